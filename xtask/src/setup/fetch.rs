//! One function per registry client. Each leaves its file in the cache under the file's digest, or refuses it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use super::component::{Component, From};
use super::{cache, cached, digest, in_tree, unpacked};
use crate::process;

/// The time one client call may take.
const LIMIT: Duration = Duration::from_secs(10 * 60);

pub(super) fn install(component: &Component) -> Result<()> {
    let version = &component.version;
    match &component.from {
        From::Debian { packages, .. } => debian(packages),
        From::Deb { packages, newest_of, .. } => {
            in_scratch(|dir| deb(packages, newest_of, dir, &unpacked(component)?))
        }
        From::Go { module, sha256 } => keep(&go(module, version)?, sha256),
        From::Maven { artifact, sha256 } => in_scratch(|dir| {
            let out = format!("-DoutputDirectory={}", dir.display());
            let artifact = format!("-Dartifact={artifact}");
            client("mvn", &["-q", "-B", "dependency:copy", &artifact, &out], dir)?;
            keep(&only_file(dir)?, sha256)
        }),
        From::Pypi { package, sha256 } => in_scratch(|dir| {
            client(
                "python3",
                &["-m", "pip", "download", "-q", "--no-deps", "--no-binary", ":all:", package],
                dir,
            )?;
            keep(&only_file(dir)?, sha256)
        }),
        From::Venv { requirements, sha256, .. } => venv(&in_tree(requirements), sha256),
        From::Npm { package, sha256 } => in_scratch(|dir| {
            client("npm", &["pack", "--silent", package], dir)?;
            keep(&only_file(dir)?, sha256)
        }),
        From::NpmTree { folder, sha256, .. } => npm_tree(&in_tree(folder), sha256),
        From::Crate { package, sha256 } => in_scratch(|dir| keep(&crate_file(package, dir)?, sha256)),
    }
}

fn client(program: &str, arguments: &[&str], folder: &Path) -> Result<String> {
    process::output(Command::new(program).args(arguments).current_dir(folder), LIMIT)
}

fn debian(packages: &[String]) -> Result<()> {
    let list = packages.join(" ");
    if !Path::new("/usr/bin/apt-get").exists() {
        bail!("this is not a Debian machine: install what Debian calls {list}");
    }
    if !rustix::process::geteuid().is_root() {
        bail!("not root: run `apt-get install {list}` as root");
    }
    let apt = |arguments: &[&str]| {
        let mut command = Command::new("apt-get");
        command.env("DEBIAN_FRONTEND", "noninteractive").args(["-q", "-y"]).args(arguments);
        process::output(&mut command, LIMIT)
    };
    apt(&["update"])?;
    let mut install = vec!["install", "--no-install-recommends"];
    install.extend(packages.iter().map(String::as_str));
    apt(&install).map(|_| ())
}

/// Unpacks packages into a folder, whose mark comes last. What is installed on the machine stays as it is.
fn deb(packages: &[String], newest_of: &[String], scratch: &Path, folder: &Path) -> Result<()> {
    if rustix::process::geteuid().is_root() {
        client("apt-get", &["-q", "update"], scratch)?;
    }
    let mut wanted = packages.to_vec();
    for name in newest_of {
        let text = client(
            "apt-cache",
            &["depends", "--no-recommends", "--no-suggests", "--important", name],
            scratch,
        )?;
        wanted
            .extend(text.lines().filter_map(|line| line.trim().strip_prefix("Depends: ")).map(str::to_owned));
    }
    let mut download = vec!["-q", "download"];
    download.extend(wanted.iter().map(String::as_str));
    client("apt-get", &download, scratch)?;
    std::fs::create_dir_all(folder)?;
    for entry in std::fs::read_dir(scratch)? {
        let file = entry?.path();
        client("dpkg", &["-x", &file.to_string_lossy(), &folder.to_string_lossy()], scratch)?;
    }
    std::fs::write(folder.join(".done"), "")?;
    Ok(())
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Downloaded {
    zip: PathBuf,
}

fn go(module: &str, version: &str) -> Result<PathBuf> {
    let text =
        client("go", &["mod", "download", "-json", &format!("{module}@{version}")], &std::env::temp_dir())?;
    Ok(serde_json::from_str::<Downloaded>(&text).context("what go says of the download")?.zip)
}

/// A stub package that depends on exactly this version makes cargo fetch the file.
fn crate_file(package: &str, dir: &Path) -> Result<PathBuf> {
    let (name, version) = package.split_once('@').context("a crate is named name@version")?;
    std::fs::create_dir(dir.join("src"))?;
    std::fs::write(dir.join("src/lib.rs"), "")?;
    let manifest = format!(
        "[package]\nname = \"stub\"\nversion = \"0.0.0\"\nedition = \"2021\"\n[workspace]\n[dependencies]\n{name} = \"={version}\"\n"
    );
    std::fs::write(dir.join("Cargo.toml"), manifest)?;
    client("cargo", &["fetch", "--quiet"], dir)?;
    let home = match std::env::var_os("CARGO_HOME") {
        Some(home) => PathBuf::from(home),
        None => Path::new(&std::env::var_os("HOME").context("HOME is not set")?).join(".cargo"),
    };
    for registry in std::fs::read_dir(home.join("registry/cache"))? {
        let file = registry?.path().join(format!("{name}-{version}.crate"));
        if file.exists() {
            return Ok(file);
        }
    }
    bail!("cargo fetched {package} and its file is not in the registry's cache")
}

/// A virtual environment knows its own path, so it is made in place, and its mark comes last.
fn venv(requirements: &Path, sha256: &str) -> Result<()> {
    let found = digest(requirements)?;
    if found != sha256 {
        bail!("{} has digest {found}, components.toml says {sha256}", requirements.display());
    }
    let folder = cached(sha256)?.join("venv");
    std::fs::create_dir_all(&folder)?;
    let text = folder.to_string_lossy();
    client("python3", &["-m", "venv", "--clear", &text], &folder)?;
    let pip = folder.join("bin/pip").to_string_lossy().into_owned();
    let list = requirements.to_string_lossy();
    client(&pip, &["install", "-q", "--require-hashes", "-r", &list], &folder)
        .context("the list is for CPython 3.11 on x86_64 Linux")?;
    std::fs::write(folder.join(".done"), "")?;
    Ok(())
}

/// Installed in place; its mark comes last. No package's own script runs.
fn npm_tree(list: &Path, sha256: &str) -> Result<()> {
    let lock = list.join("package-lock.json");
    let found = digest(&lock)?;
    if found != sha256 {
        bail!("{} has digest {found}, components.toml says {sha256}", lock.display());
    }
    let folder = cached(sha256)?.join("tree");
    std::fs::create_dir_all(&folder)?;
    for file in ["package.json", "package-lock.json"] {
        std::fs::copy(list.join(file), folder.join(file)).with_context(|| format!("copying {file}"))?;
    }
    client("npm", &["ci", "--silent", "--ignore-scripts", "--no-audit", "--no-fund"], &folder)?;
    std::fs::write(folder.join(".done"), "")?;
    Ok(())
}

fn in_scratch(work: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    std::fs::create_dir_all(cache()?)?;
    let dir = tempfile::Builder::new().prefix("fetch-").tempdir_in(cache()?)?;
    work(dir.path())
}

fn only_file(dir: &Path) -> Result<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            files.push(entry.path());
        }
    }
    match files.as_slice() {
        [one] => Ok(one.clone()),
        _ => bail!("expected one file from the client, found {files:?}"),
    }
}

/// Copies a fetched file into the cache if its digest is the one that is written down.
fn keep(file: &Path, sha256: &str) -> Result<()> {
    let found = digest(file)?;
    if found != sha256 {
        bail!("{} has digest {found}, components.toml says {sha256}: refused", file.display());
    }
    let folder = cached(sha256)?;
    std::fs::create_dir_all(&folder)?;
    let name = file.file_name().context("a file without a name")?;
    let mut part = tempfile::NamedTempFile::new_in(cache()?)?;
    std::io::copy(&mut std::fs::File::open(file)?, &mut part)?;
    part.persist(folder.join(name)).context("moving the file into the cache")?;
    Ok(())
}
