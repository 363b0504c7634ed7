//! The folder: logs by their SHA-1, commits by their time, links from builders to logs.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

/// A commit and what failed of it.
#[derive(Debug)]
pub(super) struct Revision {
    name: String,
    /// As it came.
    row: Value,
    /// Builders that failed, each with its log.
    failed: Vec<(String, String)>,
}

/// What has to be known of a row.
#[derive(Deserialize)]
struct Row {
    revision: String,
    #[serde(rename = "goRevision", default)]
    go_revision: String,
    date: Timestamp,
    #[serde(default)]
    results: Option<Vec<String>>,
}

impl Revision {
    /// Reads a row of the overview.
    pub(super) fn read(row: Value, builders: &[String]) -> Result<Revision> {
        let read = Row::deserialize(&row).context("a row")?;
        let hash = |text: &str| match text.get(..7) {
            Some(short) if text.bytes().all(|byte| byte.is_ascii_hexdigit()) => Ok(short.to_owned()),
            _ => bail!("{text:?} is no commit"),
        };
        let mut name = format!("{}-{}", read.date.strftime("%Y-%m-%dT%H:%M:%S"), hash(&read.revision)?);
        if !read.go_revision.is_empty() {
            name.push_str(&format!("-{}", hash(&read.go_revision)?));
        }
        let results = read.results.unwrap_or_default();
        let failed = builders.iter().zip(results).filter(|(_, result)| !result.is_empty() && result != "ok");
        let failed = failed
            .filter_map(|(builder, result)| {
                // Names that are no names of files are nobody's.
                let log = result.rsplit('/').next().unwrap_or_default().to_owned();
                (is_name(builder) && is_log(&log)).then(|| (builder.clone(), log))
            })
            .collect();
        Ok(Revision { name, row, failed })
    }

    /// What its folder is called.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The logs of what failed.
    pub(super) fn logs(&self) -> impl Iterator<Item = &str> {
        self.failed.iter().map(|(_, log)| log.as_str())
    }
}

fn is_log(name: &str) -> bool {
    (1..=64).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

fn is_name(name: &str) -> bool {
    let fine = |c: char| !c.is_control() && c != '/';
    (1..=200).contains(&name.len()) && !name.starts_with('.') && name.chars().all(fine)
}

/// The folder.
#[derive(Debug)]
pub(super) struct Tree(PathBuf);

impl Tree {
    /// Opens it, and makes what is not there.
    pub(super) fn open(dir: PathBuf) -> Result<Tree> {
        for part in ["log", "rev"] {
            let part = dir.join(part);
            std::fs::create_dir_all(&part).with_context(|| format!("making {}", part.display()))?;
        }
        Ok(Tree(dir))
    }

    pub(super) fn dir(&self) -> &Path {
        &self.0
    }

    fn log(&self, log: &str) -> PathBuf {
        self.0.join("log").join(log)
    }

    /// Whether a log is there.
    pub(super) fn has(&self, log: &str) -> bool {
        self.log(log).exists()
    }

    /// Begins a log.
    pub(super) fn begin(&self, log: &str) -> Result<Partial> {
        let to = self.log(log);
        let partial = to.with_extension("tmp");
        let file = File::create(&partial).with_context(|| format!("making {}", partial.display()))?;
        Ok(Partial { file, partial, to, kept: false })
    }

    /// Writes what is known of a commit, with links to those of its logs that are there.
    pub(super) fn write(&self, revision: &Revision, builders: &[String]) -> Result<()> {
        let dir = self.0.join("rev").join(&revision.name);
        std::fs::create_dir_all(&dir).with_context(|| format!("making {}", dir.display()))?;
        put(&dir, ".rev.json", &format!("{}\n", revision.row))?;
        put(&dir, ".builders.json", &format!("{}\n", serde_json::json!(builders)))?;
        for (builder, log) in &revision.failed {
            if self.has(log) {
                link(&Path::new("../../log").join(log), &dir.join(builder))?;
            }
        }
        // What failed before and does no more, since it was built again.
        for entry in std::fs::read_dir(&dir).with_context(|| format!("reading {}", dir.display()))? {
            let entry = entry?;
            let failed = revision.failed.iter().any(|(builder, _)| entry.file_name() == builder.as_str());
            if entry.file_type()?.is_symlink() && !failed {
                std::fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }
}

fn put(dir: &Path, name: &str, text: &str) -> Result<()> {
    let (to, partial) = (dir.join(name), dir.join(format!("{name}.tmp")));
    std::fs::write(&partial, text)
        .and_then(|()| std::fs::rename(&partial, &to))
        .with_context(|| format!("writing {}", to.display()))
}

fn link(to: &Path, at: &Path) -> Result<()> {
    if std::fs::read_link(at).is_ok_and(|now| now == to) {
        return Ok(());
    }
    match std::fs::remove_file(at) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => std::os::unix::fs::symlink(to, at),
    }
    .with_context(|| format!("making the link {}", at.display()))
}

/// A log that is not there as a whole. What is not kept is removed.
#[derive(Debug)]
pub(super) struct Partial {
    file: File,
    partial: PathBuf,
    to: PathBuf,
    kept: bool,
}

impl Partial {
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.write_all(bytes).with_context(|| format!("writing {}", self.partial.display()))
    }

    /// Gives it its name.
    pub(super) fn keep(mut self) -> Result<()> {
        std::fs::rename(&self.partial, &self.to).with_context(|| format!("naming {}", self.to.display()))?;
        self.kept = true;
        Ok(())
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if !self.kept {
            let _ = std::fs::remove_file(&self.partial);
        }
    }
}
