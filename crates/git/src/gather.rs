//! A remote's refs of all kinds, and objects by their names, however many: what follows a review server needs.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::{Error, Git, ObjectId, RefName, RemoteUrl, Repository};

/// What a listing of a very large server takes: some million refs.
const LISTING: u64 = 512 << 20;
/// What the names of a very long history take: ten million commits.
const HISTORY: u64 = 512 << 20;

/// A row of a remote's listing: `HEAD`, a ref, or `NAME^{}`, which is what a tag is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The name as it is listed.
    pub name: String,
    /// The object.
    pub id: ObjectId,
}

/// What to fetch: an object by its name, and the ref that shall keep it here, if one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Want {
    /// The object.
    pub id: ObjectId,
    /// The ref.
    pub keep: Option<RefName>,
}

impl Git {
    /// Lists everything that a remote shows, in its order. Names that are not UTF-8 are left out.
    ///
    /// # Errors
    /// The remote does not exist, needs credentials, or can't be reached.
    pub async fn list_rows(&self, url: &RemoteUrl, timeout: Duration) -> Result<Vec<Row>, Error> {
        let call = self.call(["ls-remote", "--quiet", "--end-of-options"]).url(url);
        let out = call.timeout(timeout).output(LISTING).run().await?.ok()?;
        let row = |line: &[u8]| {
            let (id, name) = (line.get(..40)?, line.get(40..)?.strip_prefix(b"\t")?);
            Some(Row { name: std::str::from_utf8(name).ok()?.to_owned(), id: ObjectId::from_hex(id)? })
        };
        Ok(out.stdout.split(|byte| *byte == b'\n').filter_map(row).collect())
    }
}

impl Repository {
    /// Fetches objects with all that they are made of, by force. `have` are commits that are here and near to what is wanted;
    /// where there are none, the refs here are.
    ///
    /// # Errors
    /// The remote does not exist, needs credentials, can't be reached, or does not give an object.
    pub async fn fetch_objects(
        &self,
        url: &RemoteUrl,
        wants: &[Want],
        have: &[ObjectId],
        timeout: Duration,
        cancel: &CancellationToken,
    ) -> Result<(), Error> {
        let mut lines = String::new();
        for want in wants {
            match &want.keep {
                Some(keep) => lines.push_str(&format!("+{}:{keep}\n", want.id)),
                None => lines.push_str(&format!("{}\n", want.id)),
            }
        }
        let mut call = self.call(["fetch", "--quiet", "--no-tags", "--no-recurse-submodules", "--force"]);
        call = call.args(["--no-write-fetch-head", "--no-auto-maintenance", "--update-shallow", "--stdin"]);
        if !have.is_empty() {
            // Patterns and names alike; without the first, branches would not count any more.
            call = call.arg("--negotiation-tip=refs/keep/*");
            call = call.args(have.iter().map(|id| format!("--negotiation-tip={id}")));
        }
        let call = call.arg("--end-of-options").url(url).stdin(lines.into_bytes());
        let result = call.timeout(timeout).cancel(cancel).run().await;
        if matches!(result, Err(Error::Timeout { .. } | Error::Cancelled { .. })) {
            self.remove_stale_files().await;
        }
        result?.ok().map(drop)
    }

    /// Which of these objects are not here.
    ///
    /// # Errors
    /// The repository is damaged.
    pub async fn missing(&self, ids: &[ObjectId]) -> Result<Vec<ObjectId>, Error> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let lines: String = ids.iter().map(|id| format!("{id}\n")).collect();
        let call = self.call(["cat-file", "--batch-check=%(objecttype)"]).stdin(lines.into_bytes());
        let out = call.output(HISTORY).run().await?.ok()?;
        let missing = |line: &[u8]| ObjectId::from_hex(line.strip_suffix(b" missing")?);
        Ok(out.stdout.split(|byte| *byte == b'\n').filter_map(missing).collect())
    }

    /// The commits that these, or what they are tags of, have in their histories and those do not, parents before children.
    /// What is not here does not count among those.
    ///
    /// # Errors
    /// A commit is not here.
    pub async fn between(&self, tips: &[ObjectId], known: &[ObjectId]) -> Result<Vec<ObjectId>, Error> {
        if tips.is_empty() {
            return Ok(Vec::new());
        }
        let mut lines: String = tips.iter().map(|id| format!("{id}\n")).collect();
        lines.extend(known.iter().map(|id| format!("^{id}\n")));
        let call = self.call(["rev-list", "--topo-order", "--reverse", "--ignore-missing", "--stdin"]);
        let call = call.stdin(lines.into_bytes()).timeout(self.git.limits().transfer).output(HISTORY);
        let out = call.run().await?.ok()?;
        Ok(out.stdout.split(|byte| *byte == b'\n').filter_map(ObjectId::from_hex).collect())
    }
}
