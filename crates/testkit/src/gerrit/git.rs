//! Commits that are made without a work tree and pushed over HTTP, as a developer's git does.

use std::path::PathBuf;

use anyhow::Result;

use super::rest::User;
use super::world::Person;
use crate::git;

/// The time of the first commit's author, seconds since 1970: 2026-01-01. Each next one is ten minutes later.
const FIRST: u64 = 1_767_225_600;

/// A clone of one project.
#[derive(Debug)]
pub(super) struct Clone {
    dir: PathBuf,
    commits: u64,
}

/// What a commit is made of.
pub(super) struct Content<'a> {
    pub(super) parent: &'a str,
    pub(super) author: &'a Person,
    pub(super) committer: &'a Person,
    pub(super) message: &'a str,
    pub(super) path: &'a str,
    pub(super) text: &'a str,
}

impl Clone {
    pub(super) fn create(dir: PathBuf) -> Result<Self> {
        std::fs::create_dir_all(&dir)?;
        let clone = Self { dir, commits: 0 };
        clone.git(&["init", "--quiet", "--bare", "."], None)?;
        Ok(clone)
    }

    /// Fetches all branches; the commits that were asked for are there then.
    pub(super) fn fetch(&self, user: &User, project: &str) -> Result<()> {
        let url = user.repository(project);
        let mut arguments = user.git_options();
        arguments.extend(["fetch".into(), "--quiet".into(), url, "+refs/heads/*:refs/remotes/*".into()]);
        self.git(&arguments, None).map(|_| ())
    }

    /// Makes a commit that changes one file; returns its id.
    pub(super) fn commit(&mut self, content: &Content<'_>) -> Result<String> {
        let time = FIRST + self.commits * 600;
        self.commits += 1;
        let Content { parent, author, committer, message, path, text } = content;
        let stream = format!(
            "commit refs/made/{}\nmark :1\nauthor {} <{}> {time} +0200\ncommitter {} <{}> {time} +0000\n\
             data {}\n{message}\nfrom {parent}\nM 100644 inline {path}\ndata {}\n{text}\nget-mark :1\n",
            self.commits,
            author.full_name,
            author.email,
            committer.full_name,
            committer.email,
            message.len(),
            text.len(),
        );
        let said = self.git(&["fast-import", "--quiet"], Some(stream.as_bytes()))?;
        Ok(said.trim().to_owned())
    }

    /// Pushes a commit to a ref of Gerrit's.
    pub(super) fn push(&self, user: &User, project: &str, commit: &str, to: &str) -> Result<()> {
        let mut arguments = user.git_options();
        arguments.extend([
            "push".into(),
            "--quiet".into(),
            user.repository(project),
            format!("{commit}:{to}"),
        ]);
        self.git(&arguments, None).map(|_| ())
    }

    fn git<S: AsRef<std::ffi::OsStr>>(&self, arguments: &[S], input: Option<&[u8]>) -> Result<String> {
        let mut command = git::command(&self.dir);
        // One fast-import leaves one pack of three objects; nothing here is long enough to tidy up.
        command.args(["-c", "fastimport.unpackLimit=1000", "-c", "core.fsync=none"]).args(arguments);
        git::run(&mut command, input)
    }
}
