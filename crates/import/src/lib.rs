//! Configurations of other build systems, turned into `bellwether.toml`.
//!
//! [`translate`] is a pure function from the texts of files to the text of a project file, to a draft of what belongs
//! in the server's file, and to a list of [`Finding`]s: one for each key of the source, which was carried over, has no
//! meaning here, or could not be carried over, with what to do about it. What no rule spoke of is found by walking the
//! source once more, so that nothing is dropped in silence.
//!
//! Nothing is read, run or waited for here. Buildbot's `master.cfg` is Python: who calls hands in its syntax tree, which
//! `python3 -c` [`DUMP`] makes of the text without running it.

#![forbid(unsafe_code)]

mod buildbot;
mod draft;
mod github;
mod gitlab;
mod ledger;
mod prow;
mod recognize;
mod shell;
mod write;
mod yaml;
mod zuul;

use std::fmt;
use std::str::FromStr;

pub use buildbot::DUMP;
pub use ledger::{Finding, Verdict};
pub use recognize::recognize;

use draft::Draft;
use ledger::Ledger;

/// Files larger than this are refused, in bytes.
pub const MAX_FILE: usize = 1 << 20;

/// Whose configuration it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum System {
    /// GitHub Actions: `.github/workflows/*.yml`.
    GitHub,
    /// GitLab: `.gitlab-ci.yml`.
    GitLab,
    /// Buildbot: `master.cfg`, as its syntax tree.
    Buildbot,
    /// Zuul: `zuul.yaml`, `.zuul.yaml`, `zuul.d/*.yaml`.
    Zuul,
    /// Prow: `presubmits`, `postsubmits` and `periodics`.
    Prow,
}

impl System {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::GitHub, Self::GitLab, Self::Buildbot, Self::Zuul, Self::Prow];

    /// Gives the word for it on the command line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::GitHub => "github",
            Self::GitLab => "gitlab",
            Self::Buildbot => "buildbot",
            Self::Zuul => "zuul",
            Self::Prow => "prow",
        }
    }
}

impl fmt::Display for System {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for System {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let names = Self::ALL.map(Self::as_str).join(", ");
        Self::ALL
            .into_iter()
            .find(|one| one.as_str() == text)
            .ok_or_else(|| format!("{text:?} is none of {names}"))
    }
}

/// A file to be translated.
#[derive(Debug, Clone)]
pub struct SourceFile {
    /// Its shown name.
    pub name: String,
    /// Its text; for Buildbot the JSON that [`DUMP`] printed.
    pub text: String,
}

/// What is asked beside the files.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Prow only: whose jobs, as `ORG/REPO`, where a file has those of several.
    pub of: Option<String>,
    /// The repository's name in the server's file; `this` if it is not given.
    pub repo: Option<String>,
}

/// What came of it.
#[derive(Debug, Clone)]
pub struct Imported {
    /// The text of `bellwether.toml`.
    pub project: String,
    /// A draft for the server's file: hosts and secrets that the builders ask for. Empty if they ask for none.
    pub server: String,
    /// How many builders are written.
    pub builders: usize,
    /// What became of each key, in the order of the files.
    pub findings: Vec<Finding>,
    /// What `buildenv` says against the two texts; empty unless this crate has a fault.
    pub problems: Vec<buildenv::Problem>,
}

impl Imported {
    /// Counts findings of a kind.
    #[must_use]
    pub fn count(&self, verdict: Verdict) -> usize {
        self.findings.iter().filter(|one| one.verdict == verdict).count()
    }
}

/// Why a file was not translated at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The file is too large.
    #[error("{0}: over {MAX_FILE} bytes; split it")]
    Large(String),
    /// The file can't be parsed.
    #[error("{file}:{line}:{column}: {why}")]
    Syntax {
        /// The file's shown name.
        file: String,
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
        /// What is wrong.
        why: String,
    },
    /// The file is of another shape.
    #[error("{file}: {why}")]
    Shape {
        /// The file's shown name.
        file: String,
        /// What is missing, and what to do.
        why: String,
    },
}

/// Translates the files of one repository.
///
/// # Errors
/// When a file is too large, is no YAML (or no Python), or is of another system.
pub fn translate(files: &[SourceFile], from: System, options: &Options) -> Result<Imported, Refused> {
    if let Some(large) = files.iter().find(|file| file.text.len() > MAX_FILE && from != System::Buildbot) {
        return Err(Refused::Large(large.name.clone()));
    }
    let mut draft = Draft::new(options.repo.as_deref().unwrap_or("this"));
    let mut findings = Vec::new();
    if from == System::Buildbot {
        for file in files {
            findings.extend(buildbot::translate(file, &mut draft)?);
        }
    } else {
        let mut ledger = Ledger::default();
        let mut documents = Vec::new();
        let mut next_id = 0;
        for file in files {
            documents.extend(yaml::parse(&file.name, &file.text, &mut next_id)?);
        }
        match from {
            System::GitHub => github::translate(&documents, &mut ledger, &mut draft)?,
            System::GitLab => gitlab::translate(&documents, &mut ledger, &mut draft)?,
            System::Zuul => zuul::translate(&documents, &mut ledger, &mut draft)?,
            System::Prow => prow::translate(&documents, options, &mut ledger, &mut draft)?,
            System::Buildbot => {}
        }
        findings = ledger.finish(&documents);
    }
    if draft.over {
        let why = format!("over {} jobs; import the files one by one", draft::MOST);
        return Err(Refused::Shape {
            file: files.first().map(|file| file.name.clone()).unwrap_or_default(),
            why,
        });
    }
    let names: Vec<&str> = files.iter().map(|file| file.name.as_str()).collect();
    let project = write::project(&draft, from, &names);
    let server = write::server(&draft);
    let problems = check(&draft, &project, &server);
    Ok(Imported { project, server, builders: draft.builder_names().len(), findings, problems })
}

fn check(draft: &Draft, project: &str, server: &str) -> Vec<buildenv::Problem> {
    let Ok(repo) = draft.repo.parse::<buildenv::RepoName>() else { return Vec::new() };
    let (os, arch) = buildenv::this_machine();
    let mut sources = vec![buildenv::embedded(os, arch)];
    sources.push(match server.is_empty() {
        true => buildenv::repo_source("the import", &repo, "."),
        false => buildenv::Source::server("the server file", server),
    });
    sources.push(buildenv::Source::project(repo, "bellwether.toml", project));
    let none = |_: &str| Err(std::io::Error::from(std::io::ErrorKind::NotFound));
    buildenv::load(&sources, &none, None).err().map_or_else(Vec::new, |problems| problems.0)
}
