//! Histories as files.

use std::path::Path;

use crate::{Error, FetchOptions, ObjectId, RefName, RefSpec, RemoteUrl, Repository};

/// A history as a file of `git bundle`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bundle {
    /// The file. It has the refs `HEAD` and `refs/heads/bellwether` for the commit, and the tags that lie in the
    /// history.
    pub bytes: Vec<u8>,
    /// Where the history was cut: these commits stand without their parents. Whoever reads the bundle writes them
    /// into the file `shallow` of its git folder first, one a line; none for a whole history.
    pub shallow: Vec<ObjectId>,
}

impl Repository {
    /// Packs a commit with at most `depth` commits of its history (`None` for all), and its tags.
    ///
    /// # Errors
    /// The commit is not here, or the bundle is larger than `max` bytes.
    pub async fn bundle(&self, commit: ObjectId, depth: Option<u32>, max: u64) -> Result<Bundle, Error> {
        let name = RefName::branch("bellwether").expect("invariant: a plain name");
        let folder = self.dir.join(format!("bundle-{commit}-{:016x}", unique()));
        let result = async {
            let part = self.git.init_bare(&folder).await?;
            let source = RemoteUrl::from_path(&self.dir)
                .map_err(|error| Error::Unexpected { what: "bundle".into(), detail: error.to_string() })?;
            let limits = self.git.limits();
            let options =
                FetchOptions { prune: false, depth, timeout: limits.transfer, cancel: Default::default() };
            part.fetch_quietly(&source, &[RefSpec::object(commit, &name)], &options).await?;
            for tag in self.tags_within(&part).await? {
                part.update_ref(&tag.name, tag.id, None).await?;
            }
            part.call(["symbolic-ref", "HEAD", name.as_str()]).run().await?.ok()?;
            let call = part.call(["bundle", "create", "--quiet", "-", "HEAD", "--branches", "--tags"]);
            let bytes = call.output(max).timeout(limits.transfer).run().await?.ok()?.stdout;
            let shallow = tokio::fs::read_to_string(part.dir.join("shallow")).await.unwrap_or_default();
            Ok(Bundle { bytes, shallow: shallow.lines().filter_map(|line| line.parse().ok()).collect() })
        }
        .await;
        let _ = tokio::fs::remove_dir_all(&folder).await;
        result
    }

    /// Finds our tags on the commits of a part of our history, after bringing annotated tags there.
    async fn tags_within(&self, part: &Repository) -> Result<Vec<crate::Ref>, Error> {
        let format = "--format=%(objectname) %(objecttype) %(*objectname) %(refname)";
        let out = self.call(["for-each-ref", format, "refs/tags/"]).run().await?.ok()?;
        let here = part.call(["log", "--format=%H", "--all"]).run().await?.ok()?;
        let here: std::collections::HashSet<&[u8]> = here.stdout.split(|byte| *byte == b'\n').collect();
        let mut tags = Vec::new();
        for line in out.stdout.split(|byte| *byte == b'\n') {
            let Ok(line) = std::str::from_utf8(line) else { continue };
            let mut words = line.splitn(4, ' ');
            let (Some(id), Some(kind), Some(target), Some(name)) =
                (words.next(), words.next(), words.next(), words.next())
            else {
                continue;
            };
            let commit = if kind == "tag" { target } else { id };
            if !here.contains(commit.as_bytes()) {
                continue;
            }
            let (Ok(id), Ok(name)) = (id.parse::<ObjectId>(), name.parse::<RefName>()) else { continue };
            if kind == "tag" {
                let object = self.call(["cat-file", "tag"]).arg(id.to_string()).run().await?.ok()?.stdout;
                part.call(["hash-object", "-w", "-t", "tag", "--stdin", "--literally"])
                    .stdin(object)
                    .run()
                    .await?
                    .ok()?;
            }
            tags.push(crate::Ref { name, id });
        }
        Ok(tags)
    }

    /// Takes a commit out of a bundle file and keeps it under `to`.
    ///
    /// # Errors
    /// The file is no bundle, does not have the commit, or builds on commits that are not here.
    pub async fn import_bundle(&self, file: &Path, commit: ObjectId, to: &RefName) -> Result<(), Error> {
        let call = self.call(["bundle", "list-heads"]).arg(file);
        let out = call.run().await?.ok()?;
        let wanted = commit.to_string();
        let heads = String::from_utf8_lossy(&out.stdout).into_owned();
        let source = heads.lines().find_map(|line| {
            let (id, name) = line.split_once(' ')?;
            (id == wanted).then_some(name)
        });
        let no = |detail: &str| Error::NoSuchRevision { url: "the bundle".into(), detail: detail.to_owned() };
        let spec = match source {
            Some("HEAD") => RefSpec::head(to),
            Some(name) => RefSpec::one(&name.parse().map_err(|_| no("its ref has a bad name"))?, to),
            None => return Err(no(&format!("it has no ref at {commit}"))),
        };
        let url = RemoteUrl::from_path(file)
            .map_err(|error| Error::Unexpected { what: "bundle".into(), detail: error.to_string() })?;
        let timeout = self.git.limits().transfer;
        let options = FetchOptions { prune: false, depth: None, timeout, cancel: Default::default() };
        self.fetch_quietly(&url, &[spec], &options).await
    }
}

/// A number that no other call of this process gives.
fn unique() -> u64 {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}
