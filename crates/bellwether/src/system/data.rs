//! The data directory, and what is taken from this process's environment.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow, bail};
use store::{DataDir, DataDirError, Db, Micros};

/// The data directory that is used where none is named.
pub fn default_dir() -> Result<PathBuf> {
    let state = std::env::var_os("XDG_STATE_HOME").filter(|dir| !dir.is_empty()).map(PathBuf::from);
    let home = std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/state"));
    let state = state
        .filter(|dir| dir.is_absolute())
        .or(home)
        .context("neither XDG_STATE_HOME nor HOME is set: name a directory with --data")?;
    Ok(state.join("bellwether"))
}

/// The data directory: the one that is named, whole, or else the usual one.
pub fn dir(named: Option<&Path>) -> Result<PathBuf> {
    match named {
        Some(dir) => std::path::absolute(dir).with_context(|| format!("--data {}", dir.display())),
        None => default_dir(),
    }
}

/// Makes the directory, and takes it for this process alone.
pub fn own(dir: &Path) -> Result<DataDir> {
    std::fs::create_dir_all(dir).with_context(|| format!("making {}", dir.display()))?;
    Ok(DataDir::own(dir)?)
}

/// Takes the directory for the environment, or says whose it is and what to do.
pub fn claim(owner: &DataDir, environment: &str) -> Result<()> {
    owner.claim(environment).map_err(another)
}

/// What to do about a directory that is another environment's.
pub fn another(error: DataDirError) -> anyhow::Error {
    match error {
        DataDirError::Other { .. } => {
            anyhow!("{error}; name another directory with --data, or the other environment with --env")
        }
        error => error.into(),
    }
}

/// The same for the database, which may lie elsewhere.
pub async fn claim_database(db: &Db, environment: &str) -> Result<()> {
    let mut tx = db.begin().await?;
    let now = Micros(jiff::Timestamp::now().as_microsecond());
    let owner = store::environment::claim(&mut tx, environment, now).await?;
    tx.commit().await?;
    if owner != environment {
        bail!(
            "the database belongs to environment {owner}, not to {environment}; \
             give [environment.{environment}] a `database` of its own, or name the other environment with --env"
        );
    }
    Ok(())
}

/// A directory with a short path for sockets, where the data directory's own is too long for them.
pub fn sockets() -> PathBuf {
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|dir| dir.is_dir());
    match runtime {
        Some(dir) => dir.join("bellwether"),
        None => std::env::temp_dir().join(format!("bellwether-{}", rustix::process::getuid().as_raw())),
    }
}

/// What a worker may have of our environment: what some host passes on, and where its tools keep their caches.
pub fn worker_environment(config: &buildenv::Config) -> BTreeMap<String, String> {
    let passed = |name: &str| config.hosts().iter().any(|host| host.env_pass.matches(name));
    let mut env: BTreeMap<String, String> = std::env::vars().filter(|(name, _)| passed(name)).collect();
    // A job has a HOME of its own, so what these tools look for beneath HOME must be named.
    if let Some(home) = std::env::var_os("HOME").map(PathBuf::from) {
        for (name, dir) in
            [("CARGO_HOME", ".cargo"), ("RUSTUP_HOME", ".rustup"), ("GOMODCACHE", "go/pkg/mod")]
        {
            let dir = home.join(dir);
            if passed(name) && dir.is_dir() {
                env.entry(name.to_owned()).or_insert_with(|| dir.to_string_lossy().into_owned());
            }
        }
    }
    env
}

/// What git needs of our environment to reach a remote.
pub fn git_environment() -> Vec<(String, String)> {
    let names =
        ["SSH_AUTH_SOCK", "http_proxy", "https_proxy", "no_proxy", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY"];
    let more = ["SSL_CERT_FILE", "SSL_CERT_DIR", "GIT_SSL_CAINFO"];
    let found =
        names.into_iter().chain(more).filter_map(|name| Some((name.to_owned(), std::env::var(name).ok()?)));
    found.collect()
}

/// The secrets of the server, read once at its start.
#[derive(Debug, Default)]
pub struct Secrets {
    /// Values by name.
    pub values: BTreeMap<String, String>,
    /// Why others are not there.
    pub missing: BTreeMap<String, String>,
}

impl Secrets {
    /// Says which secret a builder gets and the server does not have.
    pub fn lacks(&self, config: &buildenv::Config, repo: &str, builder: &str) -> Option<String> {
        let builder = config.builder(&repo.parse().ok()?, &builder.parse().ok()?)?;
        let name = builder.secrets.iter().find(|name| !self.values.contains_key(name.as_str()))?;
        let why = self.missing.get(name.as_str()).map_or("not known at the server's start", String::as_str);
        Some(format!("secret {name}: {why}"))
    }
}

/// Reads the values of the secrets that are configured. A builder whose secret is missing is blocked, and no other.
pub fn secrets(config: &buildenv::Config, data: &Path) -> Secrets {
    let mut secrets = Secrets::default();
    for secret in config.secrets() {
        let value = match &secret.source {
            buildenv::SecretSource::Env(name) => {
                std::env::var(name).map_err(|_| format!("variable {name} is not set"))
            }
            buildenv::SecretSource::File(file) => {
                let read = std::fs::read_to_string(data.join(file));
                read.map_err(|error| format!("file {file} can't be read: {error}"))
            }
        };
        let name = secret.name.to_string();
        match value {
            Ok(value) => {
                secrets.values.insert(name, value.trim_end_matches('\n').to_owned());
            }
            Err(why) => {
                tracing::warn!(secret = %name, "{why}; its builders are blocked");
                secrets.missing.insert(name, why);
            }
        }
    }
    secrets
}

/// Reads the master key of those who post to the original's API, if the configuration names its file.
pub fn builder_key(config: &buildenv::Config, data: &Path) -> Result<Option<String>> {
    let Some(file) = &config.dashboard().builder_key_file else { return Ok(None) };
    let path = data.join(file);
    let read = std::fs::read_to_string(&path);
    let key = read.with_context(|| format!("dashboard.builder_key_file {}", path.display()))?;
    anyhow::ensure!(!key.trim().is_empty(), "dashboard.builder_key_file {} is empty", path.display());
    Ok(Some(key))
}

/// Opens the object store of an environment.
pub fn objects(environment: &buildenv::Environment, data: &Path) -> Result<store::Objects> {
    let url = environment.objects.parse().with_context(|| format!("objects {:?}", environment.objects))?;
    let options = cloud(environment, data)?;
    store::Objects::open_with(&url, data, &options).context("opening the object store")
}

/// How the buckets of an environment are reached.
pub fn cloud(environment: &buildenv::Environment, data: &Path) -> Result<store::CloudOptions> {
    let at = &environment.object_store;
    let key = match &at.key {
        None => None,
        Some((id, source)) => {
            let secret = match source {
                buildenv::SecretSource::Env(name) => {
                    std::env::var(name).with_context(|| format!("object_store.secret_key_env {name}"))
                }
                buildenv::SecretSource::File(file) => {
                    let path = data.join(file);
                    let read = std::fs::read_to_string(&path);
                    read.with_context(|| format!("object_store.secret_key_file {}", path.display()))
                }
            }?;
            Some(store::AccessKey { id: id.clone(), secret: secret.trim().to_owned() })
        }
    };
    Ok(store::CloudOptions {
        endpoint: at.endpoint.clone(),
        region: at.region.clone(),
        allow_http: at.allow_http,
        key,
        service_account: at.service_account_file.as_ref().map(|file| data.join(file)),
        authorities: at.authorities_file.as_ref().map(|file| data.join(file)),
    })
}

/// Looks whether a bucket is fit for use; a directory shows that by itself.
pub async fn probe(environment: &buildenv::Environment, objects: &store::Objects) -> Result<()> {
    if environment.objects.starts_with("file:") {
        return Ok(());
    }
    let name = store::EventId::generate(store::Micros::now());
    objects.probe(&name.to_string()).await.with_context(|| format!("objects {:?}", environment.objects))
}

/// Writes down in the audit log what went.
pub async fn note_gc(db: &store::Db, actor: &str, gone: &dashboard::Gone) -> Result<()> {
    if gone.is_nothing() {
        return Ok(());
    }
    let deed = store::audit::Deed {
        time: store::Micros::now(),
        actor: actor.to_owned(),
        action: "gc".to_owned(),
        target: "retention".to_owned(),
        detail: serde_json::to_string(&gone.kinds)?,
    };
    let mut tx = db.begin().await?;
    store::audit::append(&mut tx, deed).await?;
    tx.commit().await?;
    Ok(())
}

/// This machine's name.
pub fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// Whether a program is found in `PATH`.
pub fn has_program(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|dir| {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::metadata(dir.join(name))
            .is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_builder_key_is_never_empty_and_never_missing_in_silence() {
        let dir = tempfile::tempdir().unwrap();
        let config = |text: &str| {
            let sources =
                [buildenv::embedded("linux", "amd64"), buildenv::Source::server("server.toml", text)];
            buildenv::load(&sources, &|_| Err(std::io::ErrorKind::NotFound.into()), None)
                .unwrap_or_else(|problems| panic!("{problems}"))
        };
        assert_eq!(builder_key(&config(""), dir.path()).unwrap(), None, "off until it is asked for");
        let named = config("[dashboard]\nbuilder_key_file = \"builder.key\"\n");
        let error = format!("{:#}", builder_key(&named, dir.path()).unwrap_err());
        assert!(error.contains("builder_key_file") && error.contains("builder.key"), "{error}");
        let file = dir.path().join("builder.key");
        std::fs::write(&file, " \n").unwrap();
        assert!(builder_key(&named, dir.path()).unwrap_err().to_string().contains("is empty"));
        std::fs::write(&file, "gophers rule\n").unwrap();
        assert_eq!(builder_key(&named, dir.path()).unwrap().as_deref(), Some("gophers rule\n"));
    }
}
