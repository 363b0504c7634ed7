//! What two commits are together, without a work tree.

use crate::{Error, ObjectId, Repository};

/// What two commits are together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Merge {
    /// This commit: one of the two where it has the other in its history, else one with both as parents.
    Commit(ObjectId),
    /// They change the same places of these files, by path. Bytes that are no UTF-8 become U+FFFD.
    Conflict(Vec<String>),
    /// They have no commit in common.
    Unrelated,
}

impl Repository {
    /// Merges a commit onto another. The same two give the same commit, whenever and however often it is done; no ref names it.
    ///
    /// # Errors
    /// One of the two is not here, or the repository is damaged.
    pub async fn merge(&self, onto: ObjectId, other: ObjectId) -> Result<Merge, Error> {
        if self.is_ancestor(other, onto).await? {
            return Ok(Merge::Commit(onto));
        }
        if self.is_ancestor(onto, other).await? {
            return Ok(Merge::Commit(other));
        }
        if self.merge_base(onto, other).await?.is_none() {
            return Ok(Merge::Unrelated);
        }
        let call = self.call(["merge-tree", "--write-tree", "--name-only", "--no-messages", "-z"]);
        let out = call.args([onto.to_string(), other.to_string()]).run().await?;
        let mut words = out.stdout.split(|byte| *byte == 0).filter(|word| !word.is_empty());
        let tree = match (out.status.code(), words.next().and_then(ObjectId::from_hex)) {
            (Some(0), Some(tree)) => tree,
            (Some(1), Some(_)) => {
                let mut files: Vec<_> =
                    words.map(|path| String::from_utf8_lossy(path).into_owned()).collect();
                files.sort();
                files.dedup();
                return Ok(Merge::Conflict(files));
            }
            _ => return Err(out.error()),
        };
        // Nobody's name and no clock: whoever merges the same gets the same.
        let both = self.commits(&[onto, other]).await?;
        let time = both.iter().map(|commit| commit.committer_time).max().unwrap_or_default().max(0);
        let by = format!("Bellwether <bellwether@localhost> {time} +0000");
        let text = format!(
            "tree {tree}\nparent {onto}\nparent {other}\nauthor {by}\ncommitter {by}\n\nMerge {other} to try it\n"
        );
        let call = self.call(["hash-object", "-t", "commit", "-w", "--stdin"]).stdin(text.into_bytes());
        let out = call.run().await?.ok()?;
        let commit = ObjectId::from_hex(out.stdout.trim_ascii());
        commit.map(Merge::Commit).ok_or_else(|| Error::Unexpected {
            what: "hash-object".into(),
            detail: String::from_utf8_lossy(&out.stdout).into_owned(),
        })
    }
}
