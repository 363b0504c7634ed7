//! Repositories of other people on this machine: finding them.

use std::path::{Path, PathBuf};

use crate::{Error, Git};

/// A repository on this machine, found from a path in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// What to fetch from: the top of the work tree, or the bare repository.
    pub top: PathBuf,
    /// The git folder of this work tree; where its `HEAD` is.
    pub git_dir: PathBuf,
    /// The git folder that all work trees of the repository share; where the branches are.
    pub common_dir: PathBuf,
}

impl Git {
    /// Finds the repository that a path lies in: a work tree (also a linked one), a folder beneath it, or a bare
    /// repository.
    ///
    /// # Errors
    /// The path does not exist, or lies in no repository.
    pub async fn find(&self, path: &Path) -> Result<Found, Error> {
        let query =
            |args: &[&str]| self.call(["rev-parse", "--path-format=absolute"]).args(args).cwd(path).run();
        let out = query(&["--git-dir", "--git-common-dir"]).await?;
        if !out.status.success() {
            let detail = String::from_utf8_lossy(out.stderr.as_bytes()).trim().to_owned();
            return Err(Error::NotFound { url: path.display().to_string(), detail });
        }
        let text = String::from_utf8_lossy(&out.stdout).into_owned();
        let mut lines = text.lines().map(PathBuf::from);
        let (Some(git_dir), Some(common_dir)) = (lines.next(), lines.next()) else {
            return Err(Error::Unexpected { what: "rev-parse".into(), detail: text });
        };
        let top = query(&["--show-toplevel"]).await?;
        let top = match String::from_utf8_lossy(&top.stdout).trim_end_matches('\n') {
            "" => git_dir.clone(),
            top => PathBuf::from(top),
        };
        Ok(Found { top, git_dir, common_dir })
    }
}
