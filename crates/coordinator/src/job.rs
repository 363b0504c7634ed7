//! A job: what exactly is to be done on a worker, resolved from the configuration when a lease is given, so that a later
//! change of the configuration changes nothing for what runs.

use serde::{Deserialize, Serialize};

/// A job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// The subject's repo.
    pub repo: String,
    /// The builder's name.
    pub builder: String,
    /// The revision's canonical text.
    pub revision: String,
    /// What is unpacked into the work directory first.
    pub sources: Vec<Source>,
    /// What is run, in order, until one fails.
    pub steps: Vec<Step>,
    /// Names (or `PREFIX_*`) of the worker's environment that the job may see.
    pub env_pass: Vec<String>,
    /// How far its commits are trusted.
    #[serde(default)]
    pub trust: Trust,
    /// Environment variables whose values are secrets of the server; the values are never stored here.
    pub secrets: Vec<SecretUse>,
    /// Whoever goes on with the job tells by this whether it knows the values that the job was given.
    #[serde(default)]
    pub secrets_proof: Option<String>,
    /// Globs, below the subject's tree, of files to keep.
    pub artifacts: Vec<String>,
    /// The object to which the built tree of the subject is saved after the last step.
    pub snapshot: Option<String>,
    /// How test results are read: the recipe's word for it.
    pub results: String,
    /// The files that hold them, as a path pattern below the subject's tree, where that is JUnit.
    #[serde(default)]
    pub junit: Option<String>,
    /// Limits on each step.
    pub limits: Limits,
    /// SHA-256 of the recipe and builder as configured.
    pub digest: String,
    /// How many attempts that failed are followed by another.
    #[serde(default)]
    pub retries: u32,
    /// Which of the listed tests run, as patterns.
    #[serde(default)]
    pub tests: Vec<String>,
    /// And which of those, where it is a try run.
    #[serde(default)]
    pub try_tests: Vec<String>,
    /// How many more machines its tests are spread over.
    #[serde(default)]
    pub helpers: u32,
    /// Whether the first of the spread tests that fails ends the others.
    #[serde(default)]
    pub fail_fast: bool,
    /// The repo whose tree is the toolchain of this job, where it is not the subject itself.
    pub toolchain: Option<String>,
}

/// How far commits are trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trust {
    /// A branch or a tag of its repo has each in its history, or the `HEAD` of the repo where that is on no branch.
    Landed,
    /// Somebody who may order builds brought or named one that no branch has, or it is not known.
    #[default]
    Unlanded,
    /// Nobody has reviewed it: what it makes is nobody's to start from.
    Untrusted,
}

impl Trust {
    /// As it is said in orders.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Trust::Landed => "landed",
            Trust::Unlanded => "unlanded",
            Trust::Untrusted => "untrusted",
        }
    }
}

impl Job {
    /// Every commit that it is about, as `REPO@COMMIT`.
    #[must_use]
    pub fn commits(&self) -> Vec<String> {
        self.sources.iter().map(|source| format!("{}@{}", source.repo, source.commit)).collect()
    }

    /// The object that a step's built tree is kept as, and the directory that holds it; nothing for most steps.
    #[must_use]
    pub fn snapshot_of(&self, step: &Step) -> Option<(String, String)> {
        // Whatever it built would be what others are built with.
        if !step.snapshot || self.trust == Trust::Untrusted {
            return None;
        }
        if !step.for_toolchain {
            return Some((self.snapshot.clone()?, self.repo.clone()));
        }
        let source = self.sources.iter().find(|source| Some(&source.repo) == self.toolchain.as_ref())?;
        Some((source.snapshot.clone()?, source.dir.clone()))
    }
}

/// One tree in the work directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// The repo.
    pub repo: String,
    /// The commit, 40 hex digits.
    pub commit: String,
    /// The directory, relative to the work directory.
    pub dir: String,
    /// A snapshot of the built tree, used in place of the plain source where it exists.
    pub snapshot: Option<String>,
    /// Whether the worker needs a git repository and not only a tree.
    pub git: bool,
}

/// A line for `sh -c` that makes a git repository of the bundle beside it. Its arguments: the directory, the commit, and where the history is cut, one a line.
///
/// Git would take a shallow bundle for a broken history, so the cuts are written down before anything is fetched.
pub const FROM_BUNDLE: &str = r#"bundle="$PWD/$1.bundle" && git init -q --template= "$1" && cd "$1" \
&& if [ -n "$3" ]; then printf '%s\n' "$3" > .git/shallow; fi \
&& git fetch -q --no-auto-maintenance "$bundle" HEAD '+refs/tags/*:refs/tags/*' \
&& git checkout -q --detach "$2" && rm "$bundle""#;

/// One command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Its name, for spans and messages.
    pub name: String,
    /// A line for `sh -c`.
    pub run: String,
    /// Where it runs, relative to the work directory.
    pub dir: String,
    /// Its environment, later entries win.
    pub env: Vec<(String, String)>,
    /// Its time limit, in milliseconds.
    pub timeout_ms: u64,
    /// When it runs, given how the steps before went.
    pub when: When,
    /// Whether the tree that it is about is kept as a snapshot once it went well.
    pub snapshot: bool,
    /// Whether it builds the toolchain, and is left out where a snapshot of that was had.
    pub for_toolchain: bool,
    /// Whether it only lists tests: its output is the list, and `{tests}` in later steps stands for it.
    pub lists: bool,
    /// Whether its output is read for results of tests.
    #[serde(default)]
    pub tests: bool,
}

/// When a step runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum When {
    /// After all before went well.
    #[default]
    Success,
    /// After one before failed.
    Failure,
    /// In both cases.
    Always,
}

/// A secret that the job gets as an environment variable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretUse {
    /// The secret's name in the configuration.
    pub name: String,
    /// The variable.
    pub variable: String,
}

/// Limits on the job's processes; `None` leaves it to the worker's defaults.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Resident memory of the process tree, in bytes.
    pub memory_bytes: Option<u64>,
    /// Processes at once.
    pub processes: Option<u64>,
    /// Work directory, in bytes.
    pub disk_bytes: Option<u64>,
    /// Output of a step, in bytes.
    pub log_bytes: Option<u64>,
    /// Share of processors, in thousandths of one.
    #[serde(default)]
    pub cpu_millis: Option<u64>,
}
