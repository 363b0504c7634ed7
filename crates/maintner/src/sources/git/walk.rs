//! Commits of a repository of ours into the log, parents before children, by few programs that stay.

use std::collections::HashSet;
use std::sync::Arc;

use git::{Changes, ObjectId, Objects, Peel, Repository};
use maintpb::{GerritComment, GerritMutation, GitCommit, Mutation};
use prost::Message as _;

use super::PollError;
use super::plan::has;
use super::record::{LONGEST_OBJECT, MOST_FILES, fits, record, take_comments};
use crate::live::Sink;
use crate::sources::gerrit::comments;

/// Mutations that are written at once, and commits that are asked for at once.
pub(super) const BATCH: usize = 250;
/// What is written at once has about this many bytes, if no single commit has more.
const BYTES: usize = 4 << 20;

/// What a commit is part of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// Somebody's files.
    Code,
    /// A change's meta ref, with comments in its tree.
    Meta,
}

/// What writes commits of one project.
pub(super) struct Walk<'a> {
    sink: &'a Arc<dyn Sink>,
    project: &'a str,
    refused: &'a mut HashSet<ObjectId>,
    objects: Objects,
    /// Of its own, since the other one is in the middle of an answer.
    blobs: Objects,
    changes: Changes,
    pending: Vec<Mutation>,
    bytes: usize,
}

impl<'a> Walk<'a> {
    pub(super) async fn start(
        repository: &Repository,
        sink: &'a Arc<dyn Sink>,
        project: &'a str,
        refused: &'a mut HashSet<ObjectId>,
    ) -> Result<Self, PollError> {
        let (objects, blobs) = (repository.objects().await?, repository.objects().await?);
        let changes = repository.changes().await?;
        Ok(Self { sink, project, refused, objects, blobs, changes, pending: Vec::new(), bytes: 0 })
    }

    /// Writes those of these commits that the corpus does not have.
    pub(super) async fn commits(&mut self, ids: &[ObjectId], part: Part) -> Result<(), PollError> {
        let corpus = self.sink.corpus();
        let new = |id: &&ObjectId| !has(&corpus, self.project, **id) && !self.refused.contains(*id);
        let new: Vec<ObjectId> = ids.iter().filter(new).copied().collect();
        drop(corpus);
        for some in new.chunks(BATCH) {
            self.changes.ask(some).await?;
            self.objects.ask(some, Peel::Nothing).await?;
            for id in some {
                let did = self.changes.next(MOST_FILES).await?;
                let Some(object) = self.objects.next(LONGEST_OBJECT).await? else {
                    self.refused.insert(*id);
                    continue;
                };
                let comments = match part {
                    Part::Code => Vec::new(),
                    Part::Meta => self.comments(&did).await?,
                };
                match record(*id, object, &did, comments) {
                    Ok(commit) => self.write(*id, commit).await?,
                    Err(why) => {
                        tracing::warn!(project = self.project, commit = %id, %why, "a commit is left out");
                        self.refused.insert(*id);
                    }
                }
            }
        }
        self.flush().await
    }

    /// Writes the commits that tags are of under the names of the tags, as the original does: where a ref is, a commit has to be.
    pub(super) async fn tags(&mut self, ids: &[ObjectId]) -> Result<(), PollError> {
        for some in ids.chunks(BATCH) {
            self.objects.ask(some, Peel::ToCommit).await?;
            for id in some {
                let Some(object) = self.objects.next(LONGEST_OBJECT).await? else {
                    // A tag of a file, say.
                    self.refused.insert(*id);
                    continue;
                };
                self.changes.ask(&[object.id]).await?;
                let did = self.changes.next(MOST_FILES).await?;
                match record(*id, object, &did, Vec::new()) {
                    Ok(commit) => self.write(*id, commit).await?,
                    Err(_) => drop(self.refused.insert(*id)),
                }
            }
        }
        self.flush().await
    }

    async fn comments(&mut self, did: &git::Did) -> Result<Vec<GerritComment>, PollError> {
        let (mut found, mut bytes) = (Vec::new(), 0);
        for file in &did.files {
            let Some(commit) = comments::commit_of(&file.path) else { continue };
            let old = self.blob(file.old).await?;
            let new = self.blob(file.new).await?;
            if file.new.is_some() && new.is_none() {
                // Not that its comments were deleted.
                tracing::warn!(project = self.project, commit, "a file of comments can't be read");
                continue;
            }
            let (old, new) = (old.as_deref(), new.as_deref());
            if !take_comments(&mut found, &mut bytes, comments::changed(&commit, old, new)) {
                tracing::warn!(
                    project = self.project,
                    commit,
                    "a commit has more comments than a record can have"
                );
                break;
            }
        }
        Ok(found)
    }

    /// A file, whole; `None` where there is none, or one that is not here or too long.
    async fn blob(&mut self, id: Option<ObjectId>) -> Result<Option<Vec<u8>>, PollError> {
        let Some(id) = id else { return Ok(None) };
        self.blobs.ask(&[id], Peel::Nothing).await?;
        let object = self.blobs.next(comments::LONGEST).await?;
        Ok(object.filter(|object| object.size == object.bytes.len() as u64).map(|object| object.bytes))
    }

    async fn write(&mut self, id: ObjectId, commit: GitCommit) -> Result<(), PollError> {
        let mutation = of(GerritMutation {
            project: self.project.to_owned(),
            commits: vec![commit],
            ..GerritMutation::default()
        });
        let length = mutation.encoded_len();
        if !fits(length) {
            tracing::warn!(project = self.project, commit = %id, length, "a commit is too long for the log");
            self.refused.insert(id);
            return Ok(());
        }
        self.bytes += length;
        self.pending.push(mutation);
        if self.pending.len() >= BATCH || self.bytes >= BYTES {
            self.flush().await?;
        }
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), PollError> {
        self.bytes = 0;
        let pending = std::mem::take(&mut self.pending);
        if !pending.is_empty() {
            self.sink.add(pending).await?;
        }
        Ok(())
    }
}

/// A mutation of Gerrit's alone.
pub(super) fn of(gerrit: GerritMutation) -> Mutation {
    Mutation { gerrit: Some(gerrit), ..Mutation::default() }
}
