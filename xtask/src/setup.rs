//! `cargo xtask setup`: fetches and installs what components.toml lists, as far as it is missing.
//!
//! Files lie in a cache outside the tree, each under its own digest, so that two checkouts share them and a changed
//! list never meets an old file. Everything is fetched by its registry's ordinary client, as the machine is set up.

mod component;
mod fetch;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

use crate::metadata;
use component::{Component, From};

/// Arguments of `cargo xtask setup`.
#[derive(clap::Args)]
pub struct Args {
    /// Only the component of this name, or those for test, fixture, bench, interop, pages, api, docs, deploy, targets, wine or gerrit; may be repeated
    #[arg(long, value_name = "NAME|FOR")]
    only: Vec<String>,
    /// Only say what is there and what is missing; installs nothing
    #[arg(long)]
    check: bool,
}

/// Installs what is missing, or with `--check` says what is.
pub fn run(args: &Args) -> Result<ExitCode> {
    let components = component::read()?;
    for only in &args.only {
        if !components.iter().any(|component| component.named(only)) {
            bail!("components.toml has nothing named or for `{only}`");
        }
    }
    let wanted =
        |component: &&Component| args.only.is_empty() || args.only.iter().any(|only| component.named(only));
    let mut missing = 0;
    for component in components.iter().filter(wanted) {
        let label = format!("{} {}", component.name, component.version);
        if let Some(at) = present(component)? {
            println!("{label:<52} there: {}", at.display());
        } else if args.check {
            missing += 1;
            println!("{label:<52} missing ({})", component.what);
        } else {
            let began = Instant::now();
            println!("{label:<52} {}", component.from.verb());
            let at = install(component)?;
            println!("{:<52} done in {:.1} s: {}", "", began.elapsed().as_secs_f64(), at.display());
        }
    }
    if missing > 0 {
        println!("{missing} missing; `cargo xtask setup` installs them");
    }
    Ok(if missing == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Makes sure that everything is there that is for `purpose` (test, fixture, bench, interop, pages, api, docs, deploy, targets, wine, gerrit).
pub fn ensure(purpose: &str) -> Result<()> {
    run(&Args { only: vec![purpose.to_owned()], check: false }).map(|_| ())
}

/// The cached file (or folder, for a virtual environment and unpacked packages) of a component, fetched if need be.
pub fn path(name: &str) -> Result<PathBuf> {
    let components = component::read()?;
    let component = components
        .iter()
        .find(|component| component.name == name)
        .with_context(|| format!("components.toml has no `{name}`"))?;
    match present(component)? {
        Some(at) => Ok(at),
        None => install(component),
    }
}

fn install(component: &Component) -> Result<PathBuf> {
    fetch::install(component).with_context(|| format!("component {}", component.name))?;
    present(component)?.with_context(|| format!("{} was installed, and is not there", component.name))
}

/// Where the component is; nothing if it has to be installed. A cached file is checked against its digest each time.
fn present(component: &Component) -> Result<Option<PathBuf>> {
    match &component.from {
        From::Debian { provides, .. } => {
            let found: Vec<PathBuf> = provides.iter().filter_map(|pattern| first_match(pattern)).collect();
            Ok(if found.len() == provides.len() { found.into_iter().next() } else { None })
        }
        From::Deb { provides, .. } => {
            let folder = unpacked(component)?;
            let there = |name: &String| first_match(&folder.join(name).to_string_lossy()).is_some();
            Ok((folder.join(".done").exists() && provides.iter().all(there)).then_some(folder))
        }
        From::Venv { provides, sha256, .. } | From::NpmTree { provides, sha256, .. } => {
            let made = if matches!(component.from, From::Venv { .. }) { "venv" } else { "tree" };
            let folder = cached(sha256)?.join(made);
            let whole =
                folder.join(".done").exists() && provides.iter().all(|name| folder.join(name).exists());
            Ok(whole.then_some(folder))
        }
        From::Go { sha256, .. }
        | From::Maven { sha256, .. }
        | From::Pypi { sha256, .. }
        | From::Npm { sha256, .. }
        | From::Crate { sha256, .. } => {
            let folder = cached(sha256)?;
            let Ok(entries) = std::fs::read_dir(&folder) else { return Ok(None) };
            for entry in entries {
                let file = entry?.path();
                if digest(&file)? == *sha256 {
                    return Ok(Some(file));
                }
                eprintln!(
                    "{} has another digest than components.toml says; fetching it again",
                    file.display()
                );
                std::fs::remove_file(&file)?;
            }
            Ok(None)
        }
    }
}

/// The folder of the cache for one digest.
fn cached(sha256: &str) -> Result<PathBuf> {
    Ok(cache()?.join("components").join(sha256))
}

/// The folder of the cache for packages that are only unpacked.
fn unpacked(component: &Component) -> Result<PathBuf> {
    Ok(cache()?.join("components").join(format!("{}-{}", component.name, component.version)))
}

/// The version of a component.
pub fn version(name: &str) -> Result<String> {
    let found = component::read()?.into_iter().find(|component| component.name == name);
    Ok(found.with_context(|| format!("components.toml has no {name}"))?.version)
}

/// The cache outside the tree: `$XDG_CACHE_HOME/bellwether`, else `~/.cache/bellwether`.
pub fn cache() -> Result<PathBuf> {
    if let Some(folder) = std::env::var_os("XDG_CACHE_HOME").filter(|value| !value.is_empty()) {
        return Ok(Path::new(&folder).join("bellwether"));
    }
    let home =
        std::env::var_os("HOME").context("neither XDG_CACHE_HOME nor HOME is set: no place for a cache")?;
    Ok(Path::new(&home).join(".cache").join("bellwether"))
}

/// SHA-256 of a file, in hex.
pub fn digest(file: &Path) -> Result<String> {
    let bytes = std::fs::read(file).with_context(|| format!("reading {}", file.display()))?;
    Ok(hex::encode(Sha256::digest(bytes)))
}

/// A file by a path in which one folder may be `*`; the last by name, so the newest version.
fn first_match(pattern: &str) -> Option<PathBuf> {
    let Some((before, after)) = pattern.split_once("/*/") else {
        let path = PathBuf::from(pattern);
        return path.exists().then_some(path);
    };
    let mut found: Vec<PathBuf> =
        std::fs::read_dir(before).ok()?.flatten().map(|entry| entry.path().join(after)).collect();
    found.retain(|path| path.exists());
    found.sort();
    found.pop()
}

/// The tree's path of a file named in components.toml.
fn in_tree(file: &str) -> PathBuf {
    metadata::root().join(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_finds_the_newest_version() {
        let dir = tempfile::tempdir().unwrap();
        for version in ["14", "15"] {
            std::fs::create_dir_all(dir.path().join(version).join("bin")).unwrap();
            std::fs::write(dir.path().join(version).join("bin/initdb"), "").unwrap();
        }
        std::fs::create_dir_all(dir.path().join("16/bin")).unwrap();
        let pattern = format!("{}/*/bin/initdb", dir.path().display());
        assert_eq!(first_match(&pattern), Some(dir.path().join("15/bin/initdb")));
        assert_eq!(first_match("/nowhere/*/x"), None);
    }

    #[test]
    fn the_list_is_whole() {
        let components = component::read().unwrap();
        let mut names: Vec<&str> = components.iter().map(|component| component.name.as_str()).collect();
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all, "two components of one name");
        for component in &components {
            assert!(!component.purposes.is_empty(), "{}", component.name);
            if let From::Venv { requirements, sha256, .. } = &component.from {
                assert_eq!(digest(&in_tree(requirements)).unwrap(), *sha256, "{requirements}");
            }
            if let From::NpmTree { folder, sha256, .. } = &component.from {
                let list = in_tree(folder).join("package-lock.json");
                assert_eq!(digest(&list).unwrap(), *sha256, "{folder}");
            }
        }
    }
}
