//! Files and names of a commit's tree.

use std::ops::ControlFlow;

use crate::{Error, ObjectId, Repository};

/// How many entries of a tree are looked at for a listing.
const MAX_SEEN: usize = 500_000;

/// Names in a tree.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listed {
    /// Paths of files and symbolic links, those nearest to the top first. Bytes that are no UTF-8 become U+FFFD.
    pub paths: Vec<String>,
    /// Paths of submodules, at any depth; an archive has an empty folder there.
    pub submodules: Vec<String>,
    /// Whether there were more than asked for.
    pub truncated: bool,
}

impl Repository {
    /// Reads a file of a commit; `None` if it has no such file (or the path is a folder). A symbolic link is given as
    /// its target.
    ///
    /// # Errors
    /// The file is larger than `max` bytes, or the repository is damaged.
    pub async fn read_file(&self, commit: ObjectId, path: &str, max: u64) -> Result<Option<Vec<u8>>, Error> {
        if path.is_empty()
            || path.contains(['\n', '\0'])
            || path.split('/').any(|part| matches!(part, "." | ".."))
        {
            return Ok(None);
        }
        let call = self.call(["cat-file", "--batch"]).stdin(format!("{commit}:{path}\n").into_bytes());
        let out = match call.output(max + 256).run().await {
            Err(Error::TooLarge { .. }) => return Err(Error::TooLarge { what: path.to_owned(), limit: max }),
            other => other?.ok()?,
        };
        let Some(end) = out.stdout.iter().position(|byte| *byte == b'\n') else { return Ok(None) };
        let head = String::from_utf8_lossy(&out.stdout[..end]).into_owned();
        let mut words = head.rsplit(' ');
        let (size, kind) = (words.next().and_then(|size| size.parse::<usize>().ok()), words.next());
        match (size, kind) {
            (Some(size), Some("blob")) if size as u64 > max => {
                Err(Error::TooLarge { what: path.to_owned(), limit: max })
            }
            (Some(size), Some("blob")) => Ok(out.stdout.get(end + 1..end + 1 + size).map(<[u8]>::to_vec)),
            _ => Ok(None),
        }
    }

    /// Lists the files of a commit down to `depth` names, at most `max` of them.
    ///
    /// # Errors
    /// The commit is not here, or the repository is damaged.
    pub async fn list_tree(&self, commit: ObjectId, depth: usize, max: usize) -> Result<Listed, Error> {
        let call = self.call(["ls-tree", "-r", "-z", "--full-tree"]).arg(commit.to_string());
        let (mut listed, mut seen) = (Listed::default(), 0);
        let each = |record: &[u8]| {
            seen += 1;
            let Some(tab) = record.iter().position(|byte| *byte == b'\t') else {
                return ControlFlow::Continue(());
            };
            let path = &record[tab + 1..];
            if record.starts_with(b"160000") {
                listed.submodules.push(String::from_utf8_lossy(path).into_owned());
            } else if path.iter().filter(|byte| **byte == b'/').count() < depth {
                listed.paths.push(String::from_utf8_lossy(path).into_owned());
            }
            if seen < MAX_SEEN { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        };
        call.stream().await?.records(16 << 10, each).await?;
        listed.paths.sort_by_key(|path| path.matches('/').count());
        listed.truncated = listed.paths.len() > max || seen >= MAX_SEEN;
        listed.paths.truncate(max);
        listed.submodules.truncate(max);
        Ok(listed)
    }
}
