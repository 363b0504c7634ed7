//! Git repositories with a known history: the same calls give the same commit ids on every machine.

use std::ffi::OsStr;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process_group};

/// The time of the first commit, seconds since 1970: 2024-01-01. Each next one is an hour later.
const FIRST_COMMIT: i64 = 1_704_067_200;
const HOUR: i64 = 3600;
/// A command that takes longer hangs: against a server that does not answer, say.
const LIMIT: Duration = Duration::from_secs(120);

/// A git repository with a work tree, built by real git without the user's configuration.
#[derive(Debug)]
pub struct GitRepo {
    dir: PathBuf,
    commits: i64,
}

/// What a commit puts at a path.
#[derive(Clone, Copy, Debug)]
pub enum File<'a> {
    /// A file with this text.
    Text(&'a str),
    /// An executable file with this text.
    Script(&'a str),
    /// A file with these bytes.
    Bytes(&'a [u8]),
    /// A symbolic link to this target.
    Link(&'a str),
    /// Nothing: what is there is removed.
    Gone,
}

impl GitRepo {
    /// Makes an empty repository at `dir` (made if need be) whose first branch is `main`.
    ///
    /// # Errors
    /// When git is missing or refuses.
    pub fn create(dir: &Path) -> Result<Self> {
        std::fs::create_dir_all(dir).with_context(|| format!("making {}", dir.display()))?;
        let repo = Self { dir: dir.to_path_buf(), commits: 0 };
        repo.git(&["init", "--quiet", "--initial-branch=main"])?;
        Ok(repo)
    }

    /// Its work tree.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Commits the tree before with these files put into it; returns the commit's id in hex.
    ///
    /// # Errors
    /// When a file can't be written, or git refuses.
    pub fn commit(&mut self, message: &str, files: &[(&str, File<'_>)]) -> Result<String> {
        for (path, file) in files {
            self.put(Path::new(path), *file).with_context(|| format!("writing {path}"))?;
        }
        self.commit_tree(message)
    }

    /// Commits the work tree as it is, ignore files disregarded; returns the commit's id in hex.
    ///
    /// # Errors
    /// When git refuses.
    pub fn commit_tree(&mut self, message: &str) -> Result<String> {
        self.git(&["add", "--all", "--force", "."])?;
        let date = format!("{} +0000", FIRST_COMMIT + self.commits * HOUR);
        self.commits += 1;
        let mut command = self.command(&["commit", "--quiet", "--allow-empty", "--no-verify", "--file=-"]);
        command.env("GIT_AUTHOR_DATE", &date).env("GIT_COMMITTER_DATE", &date);
        run(&mut command, Some(message.as_bytes()))?;
        self.head()
    }

    /// Commits so many times, each with another text in the file `number`, by one `git fast-import`: ten thousand take a
    /// second. Returns the ids on HEAD's first-parent line, newest first.
    ///
    /// # Errors
    /// When there is no commit yet, or git refuses.
    pub fn commit_many(&mut self, count: usize) -> Result<Vec<String>> {
        let mut stream = String::new();
        for n in 0..count {
            let date = format!("{} +0000", FIRST_COMMIT + self.commits * HOUR);
            self.commits += 1;
            let (message, text) = (format!("Number {}", self.commits), format!("{}\n", self.commits));
            stream.push_str(&format!(
                "commit refs/heads/main\nauthor A. U. Thor <author@example.org> {date}\n\
                 committer C. O. Mitter <committer@example.org> {date}\ndata {}\n{message}\n{}\
                 M 100644 inline number\ndata {}\n{text}\n",
                message.len(),
                if n == 0 { "from refs/heads/main^0\n" } else { "" },
                text.len(),
            ));
        }
        run(&mut self.command(&["fast-import", "--quiet"]), Some(stream.as_bytes()))?;
        self.git(&["reset", "--quiet", "--hard"])?;
        Ok(self.git(&["rev-list", "--first-parent", "HEAD"])?.lines().map(str::to_owned).collect())
    }

    /// Removes every file of the work tree, so that the next commit holds only what is put there after.
    ///
    /// # Errors
    /// When something can't be removed.
    pub fn empty_tree(&self) -> Result<()> {
        for entry in std::fs::read_dir(&self.dir)? {
            let entry = entry?;
            if entry.file_name() == ".git" {
                continue;
            }
            if entry.file_type()?.is_dir() {
                std::fs::remove_dir_all(entry.path())?;
            } else {
                std::fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }

    /// The id of HEAD in hex.
    ///
    /// # Errors
    /// When there is no commit yet.
    pub fn head(&self) -> Result<String> {
        Ok(self.git(&["rev-parse", "HEAD"])?.trim().to_owned())
    }

    /// Runs git in this repository with the same environment as all calls here; returns its standard output.
    ///
    /// # Errors
    /// When git exits otherwise than 0; carries its standard error.
    pub fn git<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Result<String> {
        run(&mut self.command(arguments), None)
    }

    fn command<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Command {
        let mut command = command(&self.dir);
        command
            .env("GIT_AUTHOR_NAME", "A. U. Thor")
            .env("GIT_AUTHOR_EMAIL", "author@example.org")
            .env("GIT_COMMITTER_NAME", "C. O. Mitter")
            .env("GIT_COMMITTER_EMAIL", "committer@example.org")
            .args(arguments);
        command
    }

    fn put(&self, path: &Path, file: File<'_>) -> Result<()> {
        let target = self.dir.join(path);
        if let Some(parent) = target.parent() {
            std::fs::create_dir_all(parent)?;
        }
        if target.symlink_metadata().is_ok_and(|found| !found.is_dir()) {
            std::fs::remove_file(&target)?;
        }
        match file {
            File::Text(text) => std::fs::write(&target, text)?,
            File::Bytes(bytes) => std::fs::write(&target, bytes)?,
            File::Script(text) => {
                std::fs::write(&target, text)?;
                std::fs::set_permissions(&target, std::fs::Permissions::from_mode(0o755))?;
            }
            File::Link(to) => std::os::unix::fs::symlink(to, &target)?,
            File::Gone if target.is_dir() => std::fs::remove_dir_all(&target)?,
            File::Gone => {}
        }
        Ok(())
    }
}

/// Git in a folder, with nothing of the user's settings and nobody to ask for a password.
pub(crate) fn command(dir: &Path) -> Command {
    let mut command = Command::new("git");
    command
        .current_dir(dir)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", dir)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("LC_ALL", "C")
        .args(["-c", "gc.auto=0", "-c", "core.autocrlf=false", "-c", "core.hooksPath=/dev/null"]);
    command
}

/// Runs git to its end, or for [`LIMIT`]; gives what it prints.
pub(crate) fn run(command: &mut Command, input: Option<&[u8]>) -> Result<String> {
    run_within(LIMIT, command, input)
}

fn run_within(limit: Duration, command: &mut Command, input: Option<&[u8]>) -> Result<String> {
    let stdin = if input.is_some() { Stdio::piped() } else { Stdio::null() };
    // A group of its own: what it starts, to talk HTTP say, ends with it.
    command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    let mut child = command.spawn().context("starting git")?;
    let group =
        i32::try_from(child.id()).ok().and_then(Pid::from_raw).context("a pid is a positive number")?;
    let pipe = child.stdin.take();
    let (done, watched) = mpsc::channel::<()>();
    let (output, late) = std::thread::scope(|scope| {
        let watch = scope.spawn(move || {
            let late = watched.recv_timeout(limit) == Err(mpsc::RecvTimeoutError::Timeout);
            if late {
                // Nobody has waited for it yet, so that the number is still its own. Gone already is as good.
                let _ = kill_process_group(group, Signal::KILL);
            }
            late
        });
        if let (Some(input), Some(mut pipe)) = (input, pipe) {
            // Git that does not want all of it says why by its status.
            let _ = pipe.write_all(input);
        }
        let output = child.wait_with_output();
        drop(done);
        (output, watch.join().unwrap_or(false))
    });
    let output = output?;
    if late {
        bail!("git: not done after {:.1} s", limit.as_secs_f64());
    }
    if !output.status.success() {
        let words: Vec<_> = command.get_args().map(OsStr::to_string_lossy).collect();
        bail!("git {}: {}", words.join(" "), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history(dir: &Path) -> Vec<String> {
        let mut repo = GitRepo::create(dir).unwrap();
        vec![
            repo.commit("first", &[("a.txt", File::Text("1\n")), ("run.sh", File::Script("#!/bin/sh\n"))])
                .unwrap(),
            repo.commit("second\n\nbody", &[("a.txt", File::Gone), ("d/l", File::Link("../run.sh"))])
                .unwrap(),
        ]
    }

    #[test]
    fn the_same_calls_give_the_same_ids() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let ids = history(one.path());
        assert_eq!(ids, history(two.path()));
        assert_ne!(ids[0], ids[1]);
    }

    #[test]
    fn modes_links_and_removals_are_in_the_tree() {
        let dir = tempfile::tempdir().unwrap();
        history(dir.path());
        let mut repo = GitRepo { dir: dir.path().to_path_buf(), commits: 2 };
        let listed = repo.git(&["ls-tree", "-r", "HEAD"]).unwrap();
        assert!(listed.contains("100755 blob") && listed.contains("120000 blob"), "{listed}");
        assert!(!listed.contains("a.txt"), "{listed}");
        repo.empty_tree().unwrap();
        repo.commit("third", &[]).unwrap();
        assert_eq!(repo.git(&["ls-tree", "-r", "HEAD"]).unwrap(), "");
    }

    #[test]
    fn many_commits_are_on_top_of_what_was_there() {
        let dir = tempfile::tempdir().unwrap();
        let mut repo = GitRepo::create(dir.path()).unwrap();
        let first = repo.commit("first", &[("a", File::Text("1\n"))]).unwrap();
        let line = repo.commit_many(300).unwrap();
        assert_eq!((line.len(), line.last()), (301, Some(&first)));
        assert_eq!(repo.git(&["show", "HEAD:number"]).unwrap(), "301\n");
        assert_eq!(repo.git(&["status", "--porcelain"]).unwrap(), "");
        assert_ne!(repo.commit("next", &[]).unwrap(), line[0]);
    }

    #[test]
    fn what_hangs_is_ended_with_what_it_started() {
        let dir = tempfile::tempdir().unwrap();
        let mut hanging = command(dir.path());
        hanging.args(["-c", "alias.hang=!sleep 1000; true", "hang"]);
        let error = run_within(Duration::from_millis(300), &mut hanging, None).unwrap_err().to_string();
        assert_eq!(error, "git: not done after 0.3 s");
    }

    #[test]
    fn a_refusal_carries_gits_words() {
        let dir = tempfile::tempdir().unwrap();
        let repo = GitRepo::create(dir.path()).unwrap();
        let error = repo.git(&["rev-parse", "--verify", "nowhere"]).unwrap_err().to_string();
        assert!(error.contains("Needed a single revision"), "{error}");
    }
}
