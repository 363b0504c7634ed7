//! Repositories made with git itself, as anyone would.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use git::{FetchOptions, Git, GitConfig, ObjectId, RefSpec, RemoteUrl, Repository, Rev};
use tempfile::TempDir;

/// A folder for a test, with a git of ours and a work tree of someone else.
pub struct Fixture {
    pub dir: TempDir,
    pub git: Git,
    pub source: PathBuf,
}

impl Fixture {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let git = Git::new(GitConfig::new(dir.path().join("home"))).unwrap();
        let source = dir.path().join("source");
        std::fs::create_dir(&source).unwrap();
        let fixture = Fixture { dir, git, source };
        fixture.run(&["init", "-q", "-b", "main"]);
        fixture
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn url(&self) -> RemoteUrl {
        RemoteUrl::from_path(&self.source).unwrap()
    }

    /// Runs git in the source and gives what it prints.
    pub fn run(&self, args: &[&str]) -> String {
        run_in(&self.source, args, b"")
    }

    pub fn write(&self, path: &str, text: impl AsRef<[u8]>) {
        let path = self.source.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// Commits everything that lies in the source.
    pub fn commit(&self, message: &str) -> ObjectId {
        self.run(&["add", "-A"]);
        self.run(&["commit", "-q", "--allow-empty", "-m", message]);
        self.run(&["rev-parse", "HEAD"]).parse().unwrap()
    }

    /// Writes a raw commit object, whatever it says.
    pub fn raw_commit(&self, text: &[u8]) -> ObjectId {
        run_in(&self.source, &["hash-object", "-t", "commit", "-w", "--stdin", "--literally"], text)
            .parse()
            .unwrap()
    }

    /// Gives a bare repository of ours with the source's branches and tags.
    pub async fn mirror(&self) -> Repository {
        let mirror = self.git.init_bare(&self.path("mirror.git")).await.unwrap();
        mirror.fetch(&self.url(), &RefSpec::heads_and_tags(), &options()).await.unwrap();
        mirror
    }
}

pub fn options() -> FetchOptions {
    let timeout = std::time::Duration::from_secs(60);
    FetchOptions { prune: true, depth: None, timeout, cancel: Default::default() }
}

pub fn rev(text: &str) -> Rev {
    text.parse().unwrap()
}

/// Runs git as a person would, far from the settings of this machine.
pub fn run_in(dir: &Path, args: &[&str], stdin: &[u8]) -> String {
    let mut child = Command::new("git")
        .args(args)
        .current_dir(dir)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("HOME", "/nonexistent")
        .envs([
            ("GIT_CONFIG_NOSYSTEM", "1"),
            ("GIT_AUTHOR_NAME", "A U Thor"),
            ("GIT_AUTHOR_EMAIL", "a@example.com"),
        ])
        .envs([("GIT_COMMITTER_NAME", "C O Mitter"), ("GIT_COMMITTER_EMAIL", "c@example.com")])
        .envs([("GIT_AUTHOR_DATE", "1500000000 +0000"), ("GIT_COMMITTER_DATE", "1500000001 +0000")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(stdin).unwrap();
    let out = child.wait_with_output().unwrap();
    assert!(out.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8_lossy(&out.stdout).trim_end().to_owned()
}
