//! What `cargo metadata` says of the workspace, as far as the checks need it.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

/// The part of `cargo metadata` that is read here.
#[derive(Debug, Deserialize)]
pub struct Metadata {
    /// Every package of the resolved graph.
    pub packages: Vec<Package>,
}

/// One package.
#[derive(Debug, Deserialize)]
pub struct Package {
    /// Name in the registry.
    pub name: String,
    /// Version, exact.
    pub version: String,
    /// Licence expression.
    pub license: Option<String>,
    /// Where it comes from; nothing for a package of the workspace.
    pub source: Option<String>,
    /// What its manifest asks for.
    #[cfg(test)]
    pub dependencies: Vec<Dependency>,
}

/// One line of a manifest's dependencies.
#[cfg(test)]
#[derive(Debug, Deserialize)]
pub struct Dependency {
    /// Name of the package.
    pub name: String,
    /// Nothing for a normal one, else `dev` or `build`.
    pub kind: Option<String>,
    /// Its folder, if it is in this workspace.
    pub path: Option<PathBuf>,
    /// Whether its default features are on.
    pub uses_default_features: bool,
    /// Features asked for.
    pub features: Vec<String>,
}

/// The root of the workspace.
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}

/// Runs `cargo metadata` on this workspace with every feature on.
pub fn read() -> Result<Metadata> {
    of(&root())
}

/// Folders with a workspace of their own.
pub const BESIDE: [&str; 2] = ["fuzz", "query"];

/// The same for one of [`BESIDE`].
pub fn of_beside(workspace: &str) -> Result<Metadata> {
    of(&root().join(workspace))
}

fn of(workspace: &Path) -> Result<Metadata> {
    let output = crate::process::cargo()
        .args(["metadata", "--format-version", "1", "--all-features", "--locked", "--offline"])
        .current_dir(workspace)
        .output()
        .context("cargo metadata")?;
    if !output.status.success() {
        bail!(
            "cargo metadata in {}: {}; `cargo fetch --locked` there brings what is missing",
            workspace.display(),
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    serde_json::from_slice(&output.stdout).context("output of cargo metadata")
}
