//! The files: each record behind a header of where it begins and how long it is; what there is of each is counted.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use maintpb::{
    GerritMutation, GitCommit, GitMutation, GitRef, GithubIssueMutation, GithubMutation, Mutation,
};
use prost::Message;
use sha2::{Digest, Sha224};

use super::day;

/// What was written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub records: u64,
    pub issues: u64,
    pub comments: u64,
    pub events: u64,
    pub reviews: u64,
    pub changes: u64,
    pub commits: u64,
    /// On lines of changes, which are in commits of their notes.
    pub inline: u64,
    pub refs: u64,
    pub bytes: u64,
    /// Of all bytes, the files one after the other.
    pub sha224: String,
}

impl Counts {
    pub fn print(&self) {
        for (name, count) in [
            ("records", self.records),
            ("issues", self.issues),
            ("comments", self.comments),
            ("events", self.events),
            ("reviews", self.reviews),
            ("CLs", self.changes),
            ("commits", self.commits),
            ("inline comments", self.inline),
            ("refs", self.refs),
            ("bytes", self.bytes),
        ] {
            println!("{name} {count}");
        }
        println!("sha224 {}", self.sha224);
    }
}

pub struct Log {
    dir: PathBuf,
    file: Option<BufWriter<File>>,
    /// Which file that is.
    number: u64,
    offset: usize,
    hash: Sha224,
    /// One record, header and all, over and over.
    record: Vec<u8>,
    pub counts: Counts,
}

impl Log {
    /// Into a folder that has no log yet.
    pub fn create(dir: &Path) -> Result<Self> {
        fs::create_dir_all(dir).with_context(|| format!("making {}", dir.display()))?;
        for entry in fs::read_dir(dir).with_context(|| format!("reading {}", dir.display()))? {
            let name = entry?.file_name();
            ensure!(
                !name.to_string_lossy().ends_with(".mutlog"),
                "there is a log in {} already",
                dir.display()
            );
        }
        Ok(Self {
            dir: dir.to_owned(),
            file: None,
            number: 0,
            offset: 0,
            hash: Sha224::new(),
            record: Vec::new(),
            counts: Counts::default(),
        })
    }

    pub fn issue(&mut self, now: u64, issue: GithubIssueMutation) -> Result<()> {
        self.counts.comments +=
            issue.comment.iter().filter(|comment| comment.created.is_some()).count() as u64;
        self.counts.events += issue.event.len() as u64;
        self.counts.reviews += issue.review.len() as u64;
        self.write(now, &Mutation { github_issue: Some(issue), ..Mutation::default() })
    }

    pub fn github(&mut self, now: u64, github: GithubMutation) -> Result<()> {
        self.write(now, &Mutation { github: Some(github), ..Mutation::default() })
    }

    /// A commit by the old way, which is in its project as well.
    pub fn git(&mut self, now: u64, git: GitMutation) -> Result<()> {
        self.write(now, &Mutation { git: Some(git), ..Mutation::default() })
    }

    /// One commit is one record.
    pub fn commit(&mut self, now: u64, project: &str, commit: GitCommit) -> Result<()> {
        self.counts.commits += 1;
        self.counts.inline += commit.comments.len() as u64;
        self.gerrit(
            now,
            GerritMutation { project: project.into(), commits: vec![commit], ..GerritMutation::default() },
        )
    }

    pub fn refs(&mut self, now: u64, project: &str, refs: Vec<GitRef>) -> Result<()> {
        self.counts.refs += refs.len() as u64;
        self.gerrit(now, GerritMutation { project: project.into(), refs, ..GerritMutation::default() })
    }

    pub fn gerrit(&mut self, now: u64, gerrit: GerritMutation) -> Result<()> {
        self.write(now, &Mutation { gerrit: Some(gerrit), ..Mutation::default() })
    }

    fn write(&mut self, now: u64, mutation: &Mutation) -> Result<()> {
        let number = day::file(now);
        if self.file.is_none() || number > self.number {
            self.open(now)?;
            self.number = number;
        }
        self.record.clear();
        write!(self.record, "REC@{:x}+{:x}=", self.offset, mutation.encoded_len())?;
        mutation.encode(&mut self.record)?;
        self.offset += self.record.len();
        self.hash.update(&self.record);
        self.counts.records += 1;
        self.counts.bytes += self.record.len() as u64;
        if let Some(file) = &mut self.file {
            file.write_all(&self.record)?;
        }
        Ok(())
    }

    fn open(&mut self, now: u64) -> Result<()> {
        self.close()?;
        let path = self.dir.join(format!("maintner-{}.mutlog", day::name(now)));
        eprintln!(
            "{}: {} records, {} MB so far",
            path.display(),
            self.counts.records,
            self.counts.bytes >> 20
        );
        let file = File::create_new(&path).with_context(|| format!("making {}", path.display()))?;
        self.file = Some(BufWriter::with_capacity(1 << 20, file));
        self.offset = 0;
        Ok(())
    }

    fn close(&mut self) -> Result<()> {
        if let Some(mut file) = self.file.take() {
            file.flush().context("writing the log")?;
        }
        Ok(())
    }

    pub fn finish(mut self) -> Result<Counts> {
        self.close()?;
        self.counts.sha224 = hex::encode(self.hash.finalize());
        Ok(self.counts)
    }
}
