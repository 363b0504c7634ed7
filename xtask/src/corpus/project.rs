//! A project of Gerrit: its branches, its files, and what refs are to be told of next.

use anyhow::Result;
use maintpb::{GitCommit, GitDiffTreeFile, GitRef};

use super::log::Log;
use super::random::Random;
use super::words::Words;

pub struct Project {
    /// With the server's.
    pub name: String,
    /// The newest commit of the main branch, and what it is.
    pub head: String,
    pub raw: Vec<u8>,
    /// Branches beside the main one, and their newest commits.
    pub branches: Vec<(String, String)>,
    /// Some of the newest commits of the main branch.
    pub recent: Vec<String>,
    /// Commits from before the log.
    pub past: u32,
    files: Vec<String>,
    /// Moved, and not in the log yet.
    moved: Vec<GitRef>,
}

impl Project {
    pub fn new(random: &mut Random, words: &Words, name: &str, past: u32, files: usize) -> Self {
        let mut files: Vec<String> = (0..files)
            .map(|n| {
                let (package, file) = (words.name(random), words.name(random));
                match n % 40 {
                    0..20 => format!("src/{package}/{file}.go"),
                    20..30 => format!("src/{package}/{}/{file}_test.go", words.name(random)),
                    30..38 => format!("test/{file}{n}.go"),
                    38 => format!("\"src/{package}/testdata/\\303\\251{file}.txt\""),
                    _ => format!("doc/{package}/{file} {n}.png"),
                }
            })
            .collect();
        files.sort_unstable();
        files.dedup();
        // Those that are changed most are the first: they are to be anywhere.
        for n in (1..files.len()).rev() {
            files.swap(n, random.index(n + 1));
        }
        Self {
            name: name.into(),
            head: String::new(),
            raw: Vec::new(),
            branches: Vec::new(),
            recent: Vec::new(),
            past,
            files,
            moved: Vec::new(),
        }
    }

    /// What a commit does to files, in git's order.
    pub fn files(&self, random: &mut Random) -> Vec<GitDiffTreeFile> {
        let few = if random.one_in(200) { 40 } else { 0 };
        let mut names: Vec<&str> = (0..1 + random.several(160) + few)
            .map(|_| self.files[random.skewed(self.files.len())].as_str())
            .collect();
        names.sort_unstable();
        names.dedup();
        names
            .into_iter()
            .map(|name| {
                let binary = name.ends_with("png");
                let lines = |random: &mut Random| if binary { 0 } else { i64::from(random.several(900)) };
                GitDiffTreeFile {
                    file: name.into(),
                    added: lines(random),
                    deleted: lines(random) / 2,
                    binary,
                }
            })
            .collect()
    }

    /// The main branch has a new commit.
    pub fn merged(&mut self, commit: &GitCommit) {
        self.head.clone_from(&commit.sha1);
        self.raw.clone_from(&commit.raw);
        self.moved("HEAD", &commit.sha1);
        self.moved("refs/heads/master", &commit.sha1);
        if self.recent.len() >= 64 {
            self.recent.remove(0);
        }
        self.recent.push(commit.sha1.clone());
    }

    /// A ref is elsewhere; that it was elsewhere again before anybody looked is seen by nobody.
    pub fn moved(&mut self, name: &str, sha1: &str) {
        if let Some(known) = self.moved.iter_mut().find(|known| known.r#ref == name) {
            sha1.clone_into(&mut known.sha1);
        } else {
            self.moved.push(GitRef { r#ref: name.into(), sha1: sha1.into() });
        }
    }

    /// What moved since the last time, in the order of `git ls-remote`.
    pub fn tell(&mut self, log: &mut Log, now: u64) -> Result<()> {
        if self.moved.is_empty() {
            return Ok(());
        }
        self.moved.sort_unstable_by(|a, b| a.r#ref.cmp(&b.r#ref));
        log.refs(now, &self.name, std::mem::take(&mut self.moved))
    }
}
