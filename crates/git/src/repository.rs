//! A bare repository that belongs to us.

use std::path::{Path, PathBuf};

use crate::command::Call;
use crate::{Error, Git, ObjectId, Ref, RefName, Rev};

/// Attributes that win over any `.gitattributes` of a tree, so that an archive is the tree.
const ATTRIBUTES: &str = "* -export-ignore -export-subst -ident -text -filter !eol !working-tree-encoding\n";
/// How many packs may pile up before they are joined.
const MAX_PACKS: usize = 40;

/// A bare repository that belongs to us. Cheap to clone.
#[derive(Clone)]
pub struct Repository {
    pub(crate) git: Git,
    pub(crate) dir: PathBuf,
}

impl Git {
    /// Opens the bare repository in a folder, after making it where there is none. What a killed git left there
    /// (lock files, half packs) is removed, so the folder must have one owner.
    ///
    /// # Errors
    /// The folder can't be written, or holds something else.
    pub async fn init_bare(&self, dir: &Path) -> Result<Repository, Error> {
        let io = |source| Error::Io { what: dir.display().to_string(), source };
        let dir = std::path::absolute(dir).map_err(io)?;
        let repository = Repository { git: self.clone(), dir: dir.clone() };
        tokio::fs::create_dir_all(&dir).await.map_err(io)?;
        repository.remove_stale_files().await;
        if tokio::fs::metadata(dir.join("HEAD")).await.is_err()
            || tokio::fs::metadata(dir.join("objects")).await.is_err()
        {
            let init = self.call(["init", "--quiet", "--bare", "--template=", "--initial-branch=main", "."]);
            init.cwd(&dir).run().await?.ok()?;
        }
        tokio::fs::create_dir_all(dir.join("info")).await.map_err(io)?;
        tokio::fs::write(dir.join("info/attributes"), ATTRIBUTES).await.map_err(io)?;
        Ok(repository)
    }
}

impl Repository {
    /// Gives the folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Gives the program.
    pub fn git(&self) -> &Git {
        &self.git
    }

    pub(crate) fn call<A: AsRef<std::ffi::OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Call {
        self.git.call(args).dir(&self.dir)
    }

    /// Lists the refs whose names begin with `prefix`, such as `refs/heads/`, by name. Names that are not UTF-8 are
    /// left out.
    ///
    /// # Errors
    /// The repository is damaged.
    pub async fn refs(&self, prefix: &str) -> Result<Vec<Ref>, Error> {
        let out = self.call(["for-each-ref", "--format=%(objectname) %(refname)"]).run().await?.ok()?;
        let parse = |line: &[u8]| {
            let name = std::str::from_utf8(line.get(41..)?).ok()?;
            Some(Ref { name: name.parse().ok()?, id: ObjectId::from_hex(&line[..40])? })
        };
        let refs = out.stdout.split(|byte| *byte == b'\n').filter_map(parse);
        Ok(refs.filter(|entry| entry.name.as_str().starts_with(prefix)).collect())
    }

    /// Finds the commit that a revision means here; `None` if there is none.
    ///
    /// # Errors
    /// The repository is damaged.
    pub async fn resolve(&self, rev: &Rev) -> Result<Option<ObjectId>, Error> {
        let call = self.call(["rev-parse", "--verify", "--quiet", "--end-of-options"]);
        let out = call.arg(format!("{rev}^{{commit}}")).run().await?;
        Ok(out.status.success().then(|| ObjectId::from_hex(out.stdout.trim_ascii())).flatten())
    }

    /// Whether the object is here.
    ///
    /// # Errors
    /// Git can't be started.
    pub async fn contains(&self, id: ObjectId) -> Result<bool, Error> {
        Ok(self.call(["cat-file", "-e"]).arg(id.to_string()).run().await?.status.success())
    }

    /// Whether the history here is cut, because the source's is.
    pub async fn is_shallow(&self) -> bool {
        tokio::fs::metadata(self.dir.join("shallow")).await.is_ok_and(|data| data.len() > 0)
    }

    /// Whether `ancestor` is `commit` or one of its ancestors.
    ///
    /// # Errors
    /// One of the two is not here.
    pub async fn is_ancestor(&self, ancestor: ObjectId, commit: ObjectId) -> Result<bool, Error> {
        let call =
            self.call(["merge-base", "--is-ancestor"]).args([ancestor.to_string(), commit.to_string()]);
        let out = call.run().await?;
        match out.status.code() {
            Some(0) => Ok(true),
            Some(1) => Ok(false),
            _ => Err(out.error()),
        }
    }

    /// Whether a branch or a tag here, or a commit of `besides`, has a commit in its history.
    ///
    /// # Errors
    /// A commit is not here.
    pub async fn is_reachable(&self, commit: ObjectId, besides: &[ObjectId]) -> Result<bool, Error> {
        let call =
            self.call(["rev-list", "--max-count=1", &commit.to_string(), "--not", "--branches", "--tags"]);
        let out = call.args(besides.iter().map(ObjectId::to_string)).run().await?.ok()?;
        Ok(out.stdout.is_empty())
    }

    /// Finds the best common ancestor; `None` if the histories have none.
    ///
    /// # Errors
    /// One of the two is not here.
    pub async fn merge_base(&self, a: ObjectId, b: ObjectId) -> Result<Option<ObjectId>, Error> {
        let out = self.call(["merge-base"]).args([a.to_string(), b.to_string()]).run().await?;
        match out.status.code() {
            Some(0) => Ok(out.stdout.get(..40).and_then(ObjectId::from_hex)),
            Some(1) => Ok(None),
            _ => Err(out.error()),
        }
    }

    /// Sets a ref, if it is what `old` says (`Some` of the zero name: if it is new; `None`: in any case).
    ///
    /// # Errors
    /// The ref is something else, or the object is not here.
    pub async fn update_ref(
        &self,
        name: &RefName,
        new: ObjectId,
        old: Option<ObjectId>,
    ) -> Result<(), Error> {
        let call = self.call(["update-ref", "--no-deref", "--end-of-options", name.as_str()]);
        let call = call.arg(new.to_string()).args(old.map(|old| old.to_string()));
        call.run().await?.ok().map(drop)
    }

    /// Removes a ref; one that is not there is no error.
    ///
    /// # Errors
    /// The refs can't be written.
    pub async fn delete_ref(&self, name: &RefName) -> Result<(), Error> {
        let call = self.call(["update-ref", "--no-deref", "-d", "--end-of-options", name.as_str()]);
        call.run().await?.ok().map(drop)
    }

    /// Joins packs and packs refs where many have piled up. Nothing is dropped, so commits that a force-push made
    /// unreachable stay.
    ///
    /// # Errors
    /// The repository is damaged, or the disk is full.
    pub async fn maintain(&self) -> Result<(), Error> {
        let mut packs = 0;
        if let Ok(mut entries) = tokio::fs::read_dir(self.dir.join("objects/pack")).await {
            while let Ok(Some(entry)) = entries.next_entry().await {
                packs += usize::from(entry.path().extension().is_some_and(|extension| extension == "pack"));
            }
        }
        if packs > MAX_PACKS {
            let limit = self.git.limits().transfer;
            self.call(["pack-refs", "--all"]).timeout(limit).run().await?.ok()?;
            self.call(["repack", "-d", "-q", "--geometric=2"]).timeout(limit).run().await?.ok()?;
        }
        Ok(())
    }

    /// Whether every object here can be read and is what its name says, with what refs name. It reads all of them. What is odd in
    /// an object that came so is no damage.
    ///
    /// # Errors
    /// Git can't be started, or takes too long.
    pub async fn is_sound(&self) -> Result<bool, Error> {
        let call = self.call(["fsck", "--full", "--no-dangling", "--no-progress", "--no-reflogs"]);
        let limits = self.git.limits();
        let out = call.timeout(limits.transfer).output(limits.output.max(64 << 20)).run().await?;
        let damage = |line: &str| {
            !line.starts_with("error in ") && ["corrupt", "mismatch"].iter().any(|word| line.contains(word))
        };
        Ok(match out.status.code() {
            Some(0) => true,
            // Objects that are damaged or odd, and no more than that.
            Some(1) => !out.stderr.lines().any(damage),
            _ => false,
        })
    }

    /// Removes what a killed git left: lock files and half-written packs.
    pub(crate) async fn remove_stale_files(&self) {
        let dir = self.dir.clone();
        // A folder that can't be read or a file that can't be removed shows at the next command.
        let _ = tokio::task::spawn_blocking(move || {
            for name in ["HEAD.lock", "config.lock", "packed-refs.lock", "shallow.lock"] {
                let _ = std::fs::remove_file(dir.join(name));
            }
            remove_where(&dir.join("refs"), 32, &|name| name.ends_with(".lock"));
            remove_where(&dir.join("objects/pack"), 0, &|name| {
                name.starts_with("tmp_") || name.starts_with(".tmp-")
            });
        })
        .await;
    }
}

fn remove_where(dir: &Path, depth: usize, stale: &dyn Fn(&str) -> bool) {
    let Ok(entries) = std::fs::read_dir(dir) else { return };
    for entry in entries.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            if depth > 0 {
                remove_where(&entry.path(), depth - 1, stale);
            }
        } else if entry.file_name().to_str().is_some_and(stale) {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}
