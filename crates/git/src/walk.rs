//! Commits, in the order of first parents.

use std::ops::ControlFlow;

use crate::{Error, ObjectId, Repository};

/// The longest commit message that is kept, in bytes.
const MAX_MESSAGE: usize = 64 << 10;

/// A commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// Its name.
    pub id: ObjectId,
    /// The name of its tree.
    pub tree: ObjectId,
    /// Its parents, the first first. None for a root, and at the edge of a shallow history.
    pub parents: Vec<ObjectId>,
    /// Who wrote the change.
    pub author: Person,
    /// When it was written, in seconds since 1970.
    pub author_time: i64,
    /// Who made the commit.
    pub committer: Person,
    /// When it was made, in seconds since 1970.
    pub committer_time: i64,
    /// The message, in UTF-8 by the commit's `encoding` header; bytes that are none become U+FFFD. Cut at 64 KiB.
    pub message: String,
}

/// A name in a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// The name; empty if the commit is malformed.
    pub name: String,
    /// The address, if there is one.
    pub email: Option<String>,
}

impl Repository {
    /// Walks from a commit along first parents, newest first, until before `stop`, the root, or `max` commits.
    ///
    /// # Errors
    /// The commit is not here, or the repository is damaged.
    pub async fn first_parent(
        &self,
        from: ObjectId,
        stop: Option<ObjectId>,
        max: usize,
    ) -> Result<Vec<Commit>, Error> {
        self.log(&["--first-parent", &format!("--max-count={max}")], &[from], stop).await
    }

    /// Reads these commits, in their order.
    ///
    /// # Errors
    /// One of them is not here.
    pub async fn commits(&self, ids: &[ObjectId]) -> Result<Vec<Commit>, Error> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        self.log(&["--no-walk=unsorted"], ids, None).await
    }

    /// Walks as [`Repository::first_parent`] does and gives only the names.
    ///
    /// # Errors
    /// As there.
    pub async fn first_parent_ids(
        &self,
        from: ObjectId,
        stop: Option<ObjectId>,
        max: usize,
    ) -> Result<Vec<ObjectId>, Error> {
        let call = self.call(["log", "-z", "--first-parent", "--format=%H"]);
        let stream = call.arg(format!("--max-count={max}")).arg(from.to_string()).stream().await?;
        let mut ids = Vec::new();
        let each = |record: &[u8]| match ObjectId::from_hex(record) {
            Some(id) if Some(id) == stop => ControlFlow::Break(()),
            Some(id) => {
                ids.push(id);
                ControlFlow::Continue(())
            }
            None => ControlFlow::Continue(()),
        };
        stream.records(64, each).await?;
        Ok(ids)
    }

    async fn log(
        &self,
        how: &[&str],
        from: &[ObjectId],
        stop: Option<ObjectId>,
    ) -> Result<Vec<Commit>, Error> {
        const FORMAT: &str = "--format=%H%n%T%n%P%n%an%n%ae%n%at%n%cn%n%ce%n%ct%n%B";
        let call = self.call(["log", "-z", "--encoding=UTF-8", FORMAT]).args(how);
        let call = call.args(from.iter().map(ObjectId::to_string));
        let (mut commits, mut odd) = (Vec::new(), None);
        let each = |record: &[u8]| match parse(record) {
            Some(commit) if Some(commit.id) == stop => ControlFlow::Break(()),
            Some(commit) => {
                commits.push(commit);
                ControlFlow::Continue(())
            }
            None => {
                odd = Some(String::from_utf8_lossy(&record[..record.len().min(100)]).into_owned());
                ControlFlow::Break(())
            }
        };
        call.stream().await?.records(MAX_MESSAGE + (16 << 10), each).await?;
        match odd {
            Some(detail) => Err(Error::Unexpected { what: "log".into(), detail }),
            None => Ok(commits),
        }
    }
}

fn parse(record: &[u8]) -> Option<Commit> {
    let mut lines = record.splitn(10, |byte| *byte == b'\n');
    let mut line = || lines.next();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let time = |bytes: &[u8]| std::str::from_utf8(bytes).ok().and_then(|text| text.parse().ok()).unwrap_or(0);
    let person = |name: &[u8], email: &[u8]| Person {
        name: text(name),
        email: Some(text(email)).filter(|email| !email.is_empty()),
    };
    let id = ObjectId::from_hex(line()?)?;
    let tree = ObjectId::from_hex(line()?)?;
    let parents = line()?.split(|byte| *byte == b' ').filter_map(ObjectId::from_hex).collect();
    let author = person(line()?, line()?);
    let author_time = time(line()?);
    let committer = person(line()?, line()?);
    let committer_time = time(line()?);
    let message = line()?;
    let message = text(&message[..message.len().min(MAX_MESSAGE)]);
    Some(Commit { id, tree, parents, author, author_time, committer, committer_time, message })
}
