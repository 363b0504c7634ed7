//! The configuration as it is at this moment: the server's files, and each repository's own file or the recipe found in
//! its tree.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use anyhow::{Context as _, Result};
use buildenv::{Config, EnvironmentName, Found, MuteFile, Problems, Project, RepoName, Source};
use gitmirror::RepoConfig;
use transport::{Service, segment};

use super::data::has_program;
use super::targets::{Named, Targets};
use crate::terminal::causes;

/// The name of a project's own file.
pub const PROJECT_FILE: &str = "bellwether.toml";

/// A configuration, with all that is known about how it came to be.
#[derive(Debug)]
pub struct Composition {
    /// The configuration.
    pub config: Arc<Config>,
    /// What is wrong with the files of repositories, which are blocked by it.
    pub problems: BTreeMap<RepoName, Problems>,
    /// What was found in the trees of repositories that have no file.
    pub found: BTreeMap<RepoName, Vec<Found>>,
    /// Repositories for which no recipe could be found.
    pub without_recipe: Vec<RepoName>,
    /// Submodules of repositories, by path: they are off, so their folders are empty in a build.
    pub submodules: BTreeMap<RepoName, Vec<String>>,
    /// The commit at which each repository's file was read.
    pub read_at: BTreeMap<String, Option<String>>,
}

/// Said of a repository that nobody says how to build.
pub const NO_RECIPE: &str = "no bellwether.toml, and no recipe was found";

impl Composition {
    /// Why a builder whose recipe was found can't run here: a tool is missing.
    pub fn missing_tool(&self, repo: &str, builder: &str) -> Option<String> {
        let (_, found) = self.found.iter().find(|(name, _)| name.as_str() == repo)?;
        let found = found.iter().find(|found| found.builder_name.as_str() == builder)?;
        let missing: Vec<_> = found.tools.iter().copied().filter(|tool| !has_program(tool)).collect();
        (!missing.is_empty()).then(|| format!("no {} on this host", missing.join(", no ")))
    }
}

/// What a composition is made from: the server's files as they were when they were read.
#[derive(Debug)]
pub struct Files {
    targets: Targets,
    environment: Option<EnvironmentName>,
    /// Included files by name. Each is read once, so that a file which somebody edits has no effect by the way.
    included: Mutex<BTreeMap<String, String>>,
}

/// Makes compositions.
pub struct Composer {
    files: RwLock<Arc<Files>>,
    /// What the files are read from again.
    named: Option<Named>,
    environment: Option<EnvironmentName>,
    /// The folder of the server file, whole.
    pub base: PathBuf,
}

impl Composer {
    /// From these targets, in this environment.
    pub fn new(targets: Targets, environment: Option<&str>) -> Result<Composer> {
        let environment: Option<EnvironmentName> =
            environment.map(str::parse).transpose().context("--env")?;
        let base = std::fs::canonicalize(&targets.base).unwrap_or_else(|_| targets.base.clone());
        let files = Files { targets, environment: environment.clone(), included: Mutex::default() };
        Ok(Composer { files: RwLock::new(Arc::new(files)), named: None, environment, base })
    }

    /// Says what its files can be read from again.
    pub fn named(mut self, named: Named) -> Composer {
        self.named = Some(named);
        self
    }

    /// The files that are in effect.
    pub fn files(&self) -> Arc<Files> {
        self.files.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads the files again; nothing is in effect by that.
    pub fn read_again(&self) -> Result<Files> {
        let named = self.named.as_ref().context("this server was not started from files")?;
        let environment = self.environment.clone();
        Ok(Files { targets: named.read()?, environment, included: Mutex::default() })
    }

    /// Makes others the files that are in effect.
    pub fn adopt(&self, files: Files) {
        *self.files.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(files);
    }

    /// The configuration before any repository was looked at.
    pub fn without_projects(&self) -> Result<Composition> {
        self.files().without_projects()
    }
}

impl Files {
    fn includes(&self) -> impl Fn(&str) -> std::io::Result<String> {
        |name: &str| {
            let mut included = self.included.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(text) = included.get(name) {
                return Ok(text.clone());
            }
            let text = std::fs::read_to_string(self.targets.base.join(name))?;
            included.insert(name.to_owned(), text.clone());
            Ok(text)
        }
    }

    /// The configuration before any repository was looked at.
    pub fn without_projects(&self) -> Result<Composition> {
        let config = buildenv::load(&self.targets.sources, &self.includes(), self.environment.as_ref())
            .map_err(|problems| anyhow::anyhow!("the configuration is bad\n\n{problems}"))?;
        let mistakes = coordinator::check_mutes(&config, today()).server;
        if !mistakes.is_empty() {
            let lines: Vec<_> = mistakes.iter().map(ToString::to_string).collect();
            anyhow::bail!("a file of mute rules is bad\n\n{}", lines.join("\n"));
        }
        // Nothing is due in a repository before its own file was read.
        let unread: HashMap<_, _> =
            config.repos().iter().map(|repo| (repo.name.clone(), Project::default())).collect();
        Ok(Composition {
            config: Arc::new(config.with_projects(unread)),
            problems: BTreeMap::new(),
            found: BTreeMap::new(),
            without_recipe: Vec::new(),
            submodules: BTreeMap::new(),
            read_at: BTreeMap::new(),
        })
    }

    /// The configuration with one repository's own file, if it has one by this.
    pub fn with_own(&self, repo: &RepoName, text: Option<String>) -> Result<Config, Problems> {
        let mut sources = self.targets.sources.clone();
        sources.extend(text.map(|text| Source::project(repo.clone(), PROJECT_FILE, text)));
        buildenv::load(&sources, &self.includes(), self.environment.as_ref())
    }

    /// The configuration with the files of all repositories, as they are at the heads of their default branches.
    pub async fn with_projects(
        &self,
        mirror: &Service,
        heads: &BTreeMap<String, (Option<String>, Option<String>)>,
    ) -> Result<Composition> {
        let server = self.without_projects()?;
        let mut sources = self.targets.sources.clone();
        let mut found = BTreeMap::new();
        let mut without_recipe = Vec::new();
        let mut submodules = BTreeMap::new();
        let mut read_at = BTreeMap::new();
        for repo in server.config.repos() {
            let Some((head, _)) = heads.get(repo.name.as_str()) else { continue };
            read_at.insert(repo.name.to_string(), head.clone());
            let Some(commit) = head else { continue };
            let tree = Tree { mirror, repo: repo.name.as_str(), commit };
            let modules = tree.submodules().await?;
            if !modules.is_empty() {
                submodules.insert(repo.name.clone(), modules);
            }
            if let Some(text) = tree.file(PROJECT_FILE).await? {
                sources.push(Source::project(
                    repo.name.clone(),
                    format!("{}:{PROJECT_FILE}", repo.name),
                    text,
                ));
                continue;
            }
            let built_by_server = server.config.builders_for(&repo.name).next().is_some();
            if built_by_server {
                continue;
            }
            let projects = tree.detect().await?;
            if projects.is_empty() {
                without_recipe.push(repo.name.clone());
                continue;
            }
            let text = buildenv::to_toml(&projects, "");
            sources.push(Source::project(repo.name.clone(), format!("{}:(recipe found)", repo.name), text));
            found.insert(repo.name.clone(), projects);
        }
        let loaded = buildenv::load_with_projects(&sources, &self.includes(), self.environment.as_ref());
        let (config, problems) =
            loaded.map_err(|problems| anyhow::anyhow!("the configuration is bad\n\n{problems}"))?;
        let project = |repo: &buildenv::Repo| {
            let bad =
                problems.get(&repo.name).map(|problems| format!("its configuration is bad: {problems}"));
            let nothing = || without_recipe.contains(&repo.name).then(|| NO_RECIPE.to_owned());
            let at = read_at.get(repo.name.as_str()).cloned().flatten();
            (repo.name.clone(), Project { at, blocked: bad.or_else(nothing) })
        };
        let projects = config.repos().iter().map(project).collect();
        let mutes = mutes(&config, mirror, &read_at).await?;
        let config = Arc::new(config.with_projects(projects).with_mutes(mutes));
        Ok(Composition { config, problems, found, without_recipe, submodules, read_at })
    }
}

/// The files of mute rules, with the texts of those of repositories as they are at the commits of their own files.
async fn mutes(
    config: &Config,
    mirror: &Service,
    read_at: &BTreeMap<String, Option<String>>,
) -> Result<Vec<MuteFile>> {
    let mut files = config.mutes().to_vec();
    for file in &mut files {
        let Some(repo) = &file.repo else { continue };
        let Some(Some(commit)) = read_at.get(repo.as_str()) else { continue };
        let tree = Tree { mirror, repo: repo.as_str(), commit };
        file.text = match tree.file(&file.name).await {
            Ok(text) => text,
            // What a repository names may be anything, and keeps no other waiting.
            Err(error) if !is_transient(&error) => {
                tracing::warn!(file = file.file, "a file of mute rules can't be read: {}", causes(&error));
                None
            }
            Err(error) => return Err(error),
        };
    }
    Ok(files)
}

/// The day, UTC's.
pub fn today() -> jiff::civil::Date {
    jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date()
}

/// Whether the mirror may answer otherwise some time later.
fn is_transient(error: &anyhow::Error) -> bool {
    error.downcast_ref::<transport::CallError>().is_some_and(transport::CallError::is_transient)
}

/// A commit's tree, through the mirror.
struct Tree<'a> {
    mirror: &'a Service,
    repo: &'a str,
    commit: &'a str,
}

impl Tree<'_> {
    async fn file(&self, path: &str) -> Result<Option<String>> {
        let address = format!("/mirror/{}/file?rev={}&path={}", self.repo, self.commit, segment(path));
        let request = http::Request::get(address).body(axum::body::Body::empty())?;
        match self.mirror.send_ok(request).await {
            Ok(response) => {
                let bytes = axum::body::to_bytes(response.into_body(), 2 << 20).await?;
                Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
            }
            Err(error) if error.is_status(http::StatusCode::NOT_FOUND) => Ok(None),
            Err(error) => {
                Err(error).with_context(|| format!("reading {path} of {}@{}", self.repo, self.commit))
            }
        }
    }

    async fn submodules(&self) -> Result<Vec<String>> {
        Ok(self.mirror.get_json(&format!("/mirror/{}/submodules?rev={}", self.repo, self.commit)).await?)
    }

    async fn detect(&self) -> Result<Vec<Found>> {
        let paths: Vec<String> =
            self.mirror.get_json(&format!("/mirror/{}/tree?rev={}", self.repo, self.commit)).await?;
        // `detect` reads by a plain function; the files it may ask for are manifests, and there are few.
        let mut texts = BTreeMap::new();
        for path in paths.iter().filter(|path| is_manifest(path)).take(200) {
            if let Some(text) = self.file(path).await? {
                texts.insert(path.clone(), text);
            }
        }
        Ok(buildenv::detect(&paths, &|path| texts.get(path).cloned()))
    }
}

/// Files that the rules of detection may want to read.
fn is_manifest(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    let names = [
        "Cargo.toml",
        "go.mod",
        "go.work",
        "package.json",
        "pyproject.toml",
        "setup.py",
        "setup.cfg",
        "tox.ini",
        "pytest.ini",
        "CMakeLists.txt",
    ];
    names.contains(&name)
        || name.eq_ignore_ascii_case("makefile")
        || name == "GNUmakefile"
        || (name.starts_with("requirements") && name.ends_with(".txt"))
}

/// The address of a repository; a path may be relative to the folder of the server's file.
pub fn address(url: &str, base: &Path) -> String {
    match url.contains(':') || Path::new(url).is_absolute() {
        true => url.to_owned(),
        false => base.join(url).display().to_string(),
    }
}

/// What the mirrors are to watch; relative paths lie below `base`.
pub fn mirrored(config: &Config, base: &Path) -> Vec<RepoConfig> {
    let one = |repo: &buildenv::Repo| RepoConfig {
        name: repo.name.to_string(),
        url: address(&repo.url, base),
        branches: repo.branches.texts().collect(),
        horizon: repo.horizon,
        destinations: repo.mirrors.clone(),
        poll: repo.poll,
        private: repo.visibility == buildenv::Visibility::Private,
    };
    config.repos().iter().map(one).collect()
}
