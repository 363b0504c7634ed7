//! Which hosts' workers are confined on this machine, and what they see of it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use buildenv::{Config, Isolation, Pool, SecretSource, Trust};
use coordinator::{Confined, Confinement};
use tokio::sync::watch;

/// Places where a system keeps what is everybody's: the folder of a server file is hidden, unless it is one of these.
const SHARED: &[&str] = &["/", "/etc", "/usr", "/usr/local", "/usr/local/etc", "/opt"];

/// By the configuration as it is when a worker is made. `base` is the folder of the server file.
pub fn by(config: watch::Receiver<Arc<Config>>, data: &Path, base: &Path) -> Confined {
    let (data, base) = (data.to_owned(), base.to_owned());
    let tools = std::env::var_os("RUSTUP_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".rustup")));
    Confined::by(move |host| {
        let config = config.borrow().clone();
        of(&config, host, &data, &base, tools.as_deref())
    })
}

fn of(config: &Config, host: &str, data: &Path, base: &Path, tools: Option<&Path>) -> Option<Confinement> {
    let host = config.host(host)?;
    if host.pool != Pool::Local || host.isolation != Isolation::Namespaces {
        return None;
    }
    let named = config.secrets().iter().filter_map(|secret| match &secret.source {
        SecretSource::File(file) => Some(data.join(file)),
        SecretSource::Env(_) => None,
    });
    let mut hide = vec![data.to_owned()];
    hide.extend(named);
    if !SHARED.iter().any(|shared| Path::new(shared) == base) {
        hide.push(base.to_owned());
    }
    let visible = host.visible.iter().map(PathBuf::from);
    // What is a person's own stays away; toolchains are nobody's secret.
    let show: Vec<PathBuf> = visible.chain(tools.map(Path::to_owned)).collect();
    let without = ["CARGO_HOME", "GOMODCACHE"].map(str::to_owned).to_vec();
    Some(Confinement { show, hide, without, once: host.trust == Trust::UntrustedOk })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(keys: &str) -> Config {
        let text = format!(
            "[host.h]\npool = \"local\"\n{keys}\n[repo.r]\nurl = \"https://example.com/r\"\n\
             [builder.b]\nhost = \"h\"\nrecipe = \"r\"\n[recipe.r]\nrun = \"true\"\n[secret.s]\nfile = \"s.txt\"\nbuilders = [\"b\"]\n"
        );
        let (os, arch) = buildenv::this_machine();
        let sources = vec![buildenv::embedded(os, arch), buildenv::Source::server("server.toml", text)];
        let none = |_: &str| Err(std::io::ErrorKind::NotFound.into());
        buildenv::load(&sources, &none, None).unwrap_or_else(|problems| panic!("{problems}"))
    }

    #[test]
    fn only_a_local_host_that_says_so_is_confined() {
        let of = |keys: &str, base: &str| {
            of(&config(keys), "h", Path::new("/data"), Path::new(base), Some(Path::new("/t")))
        };
        assert_eq!(of("", "/etc/bellwether"), None);
        let mut want = Confinement {
            show: vec!["/sdk".into(), "/t".into()],
            hide: vec!["/data".into(), "/data/s.txt".into(), "/etc/bellwether".into()],
            without: vec!["CARGO_HOME".into(), "GOMODCACHE".into()],
            once: false,
        };
        let keys = "isolation = \"namespaces\"\nvisible = [\"/sdk\"]\n";
        assert_eq!(of(keys, "/etc/bellwether"), Some(want.clone()));
        want.hide.pop();
        want.once = true;
        assert_eq!(of(&format!("{keys}trust = \"untrusted-ok\"\n"), "/etc"), Some(want));
    }
}
