//! components.toml, as read.

use anyhow::{Context, Result};
use serde::Deserialize;

use super::in_tree;

#[derive(Deserialize)]
struct List {
    component: Vec<Component>,
}

/// One thing from outside.
#[derive(Deserialize)]
pub(super) struct Component {
    /// Our name for it.
    pub name: String,
    /// The version that was proven.
    pub version: String,
    /// Who needs it: test, fixture, bench, interop.
    #[serde(rename = "for")]
    pub purposes: Vec<String>,
    /// What it is.
    pub what: String,
    /// Where it comes from.
    #[serde(flatten)]
    pub from: From,
}

/// Where a component comes from, by the client that fetches it.
#[derive(Deserialize)]
#[serde(tag = "from", rename_all = "lowercase")]
pub(super) enum From {
    /// Packages of Debian, by apt-get; `provides` are the paths that tell that they are there.
    Debian { packages: Vec<String>, provides: Vec<String> },
    /// Packages of Debian that are unpacked into the cache and not installed, by apt-get and dpkg: those named, and what each of
    /// `newest_of` depends on, for a name that changes with each version.
    Deb { packages: Vec<String>, newest_of: Vec<String>, provides: Vec<String> },
    /// A module's zip, by `go mod download`.
    Go { module: String, sha256: String },
    /// An artefact `group:name:version:packaging`, by mvn.
    Maven { artifact: String, sha256: String },
    /// A source distribution `name==version`, by pip.
    Pypi { package: String, sha256: String },
    /// A virtual environment from a list of requirements with digests, by pip.
    #[serde(rename = "pypi-venv")]
    Venv { requirements: String, provides: Vec<String>, sha256: String },
    /// A package's tarball `name@version`, by `npm pack`.
    Npm { package: String, sha256: String },
    /// A package with all that it needs, by a list with the digest of each (`package-lock.json` in `folder`), by `npm ci`.
    #[serde(rename = "npm-tree")]
    NpmTree { folder: String, provides: Vec<String>, sha256: String },
    /// A crate's file `name@version`, by `cargo fetch`.
    Crate { package: String, sha256: String },
}

impl From {
    /// What installing it means, in one word for the person who waits.
    pub(super) fn verb(&self) -> &'static str {
        match self {
            Self::Debian { .. } => "apt-get install …",
            Self::Deb { .. } => "apt-get download …",
            Self::Go { .. } => "go mod download …",
            Self::Maven { .. } => "mvn dependency:copy …",
            Self::Pypi { .. } => "pip download …",
            Self::Venv { .. } => "pip install into a virtual environment …",
            Self::Npm { .. } => "npm pack …",
            Self::NpmTree { .. } => "npm ci …",
            Self::Crate { .. } => "cargo fetch …",
        }
    }
}

impl Component {
    /// Whether `word` is its name or one of its purposes.
    pub(super) fn named(&self, word: &str) -> bool {
        self.name == word || self.purposes.iter().any(|purpose| purpose == word)
    }
}

/// Reads components.toml of this tree.
pub(super) fn read() -> Result<Vec<Component>> {
    let text = std::fs::read_to_string(in_tree("components.toml")).context("components.toml")?;
    Ok(toml::from_str::<List>(&text).context("components.toml")?.component)
}
