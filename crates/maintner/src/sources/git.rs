//! Any repository, by git alone: commits and refs of one project into the log. [`gerrit`](super::gerrit) is such a one with
//! changes.
//!
//! A poll lists the remote's refs, plans what is other than in the corpus ([`plan`](mod@plan), no I/O), fetches only that, and
//! writes: commits, parents first; then the refs that are at them; then the names that are gone. It keeps nothing that the corpus
//! does not know: whenever it is interrupted, the next poll goes on from what is in the log. The repository on disk, one for each
//! project, may be taken away at any time; what it would give again is known.
//!
//! A repository that is not on Gerrit is a `GerritMutation` with the project `HOST/PATH` all the same: the other message that
//! carries a commit, `GitMutation`, has no refs and no project, and both of the original's readers make a project of whatever
//! name comes and take refs of all kinds into it. So its programs see the branches and tags of such a repository; it has no
//! changes, since `refs/changes/` is not followed there.
//!
//! What is damaged at the remote, and all that is made of it, is left out and tried again ever more seldom; the rest is followed.
//! What is damaged in our own repository is fetched again into another one.
//!
//! An annotated tag's name is that of the tag object, under which the log has the commit that it is of, and `NAME^{}` beside it,
//! as the original writes it.

mod broken;
pub mod plan;
pub mod record;
mod state;
mod walk;

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use git::{Git, ObjectId, RefName, RemoteUrl, Repository, Want};
use maintpb::{GerritMutation, GitRef};
use sha2::{Digest as _, Sha224};
use thiserror::Error;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::live::{Sink, SinkError};
use crate::sources::gerrit::names::Kind;
use crate::time::Time;
use broken::Broken;
pub use plan::Follow;
use plan::{Moved, has, heads, needed};
pub use state::{Hint, Hints, State};
use walk::{BATCH, Part, Walk, of};

/// Refs that are fetched at once.
const FETCH: usize = 1000;
/// Old places of refs that a fetch is told of, on its command line.
const HAVE: usize = 250;
/// The longest name of a project, in bytes.
const LONGEST_NAME: usize = 1024;
/// How soon it is looked again where a ref moved while it was fetched.
const AGAIN: Duration = Duration::from_secs(1);

/// Why a poll came to no good end. The next one goes on from what is in the log.
#[derive(Debug, Error)]
pub enum PollError {
    /// Git has no result.
    #[error(transparent)]
    Git(#[from] git::Error),
    /// The log takes nothing more.
    #[error(transparent)]
    Sink(#[from] SinkError),
    /// A listing without a ref is not believed where there were some: it would delete all.
    #[error(
        "{url} shows no ref, and the corpus has some: its account may have lost the right to read (to take it at its word, \
         remove the source)"
    )]
    Empty {
        /// The remote.
        url: String,
    },
}

/// A project that can't be followed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0:?} is not a project: it is HOST/PATH, of at most {LONGEST_NAME} bytes, without blanks")]
pub struct BadProject(String);

/// What is followed.
#[derive(Debug, Clone)]
pub struct Remote {
    project: String,
    url: RemoteUrl,
    follow: Follow,
}

impl Remote {
    /// A project, `HOST/PATH` as the log names it, and where it is fetched from.
    ///
    /// # Errors
    /// A name that the original's programs could not split into server and project.
    pub fn new(project: &str, url: RemoteUrl, follow: Follow) -> Result<Self, BadProject> {
        let odd = |c: char| c.is_whitespace() || c.is_control();
        let split = project.split_once('/').is_some_and(|(host, path)| !host.is_empty() && !path.is_empty());
        if !split || project.len() > LONGEST_NAME || project.contains(odd) {
            return Err(BadProject(project.chars().take(200).collect()));
        }
        Ok(Self { project: project.to_owned(), url, follow })
    }

    /// The folder of its repository: the name, or where that is too long for one its digest.
    fn folder(&self) -> String {
        let mut name = String::new();
        for byte in self.project.bytes() {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'_' => name.push(byte.into()),
                _ => name.push_str(&format!("%{byte:02X}")),
            }
        }
        if name.len() > 200 { digest(&self.project) } else { format!("{name}.git") }
    }
}

fn digest(text: &str) -> String {
    hex::encode(Sha224::digest(text.as_bytes()))
}

/// How a source polls.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where repositories are kept, one for each project. Nobody else may write there.
    pub folder: PathBuf,
    /// A poll without a hint, after the last one.
    pub every: Duration,
    /// The least time between two polls, whatever the hints.
    pub gap: Duration,
    /// What time it is, for the state.
    pub now: fn() -> Time,
}

/// What a poll did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Polled {
    /// Refs that are new or elsewhere, and in the log.
    pub moved: usize,
    /// Refs that are gone, and in the log as such.
    pub deleted: usize,
    /// Refs that moved on while they were fetched, for the next poll.
    pub missed: usize,
}

/// Follows one repository.
pub struct Poller {
    git: Git,
    remote: Remote,
    options: Options,
    sink: Arc<dyn Sink>,
    hint: Hint,
    state: watch::Sender<State>,
    /// What can't be had, or can't be in a log: not asked for again.
    refused: HashSet<ObjectId>,
    /// Commits that a leader before this one left out and that are damaged at the remote; `None` where none were looked for yet.
    lacking: Option<HashSet<ObjectId>>,
    /// What the remote can't give, and when the repository was made anew for it.
    broken: Broken,
}

impl Poller {
    /// Begins with nothing but what is in the log.
    #[must_use]
    pub fn new(git: Git, remote: Remote, options: Options, sink: Arc<dyn Sink>) -> Self {
        let (hint, state) = (Hint::default(), watch::Sender::new(State::default()));
        let (refused, broken) = (HashSet::new(), Broken::new(options.every));
        Self { git, remote, options, sink, hint, state, refused, lacking: None, broken }
    }

    /// What wakes it.
    #[must_use]
    pub fn hint(&self) -> Hint {
        self.hint.clone()
    }

    /// How it is doing.
    #[must_use]
    pub fn state(&self) -> watch::Receiver<State> {
        self.state.subscribe()
    }

    /// Polls, after each hint and every so often, until it is told to stop or the log takes nothing more.
    ///
    /// # Errors
    /// What is wrong with the log. Anything else is in the state, and tried again.
    pub async fn run(mut self, stop: CancellationToken) -> Result<(), SinkError> {
        let (mut failures, mut again) = (0_u32, 0);
        loop {
            let polled = tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                polled = self.poll() => polled,
            };
            let (gap, wait) = match polled {
                Ok(polled) if polled.missed > 0 && again < 5 => {
                    (failures, again) = (0, again + 1);
                    (self.options.gap, AGAIN.min(self.options.every))
                }
                Ok(_) => {
                    (failures, again) = (0, 0);
                    (self.options.gap, self.options.every)
                }
                Err(PollError::Sink(why)) => return Err(why),
                Err(why) => {
                    let times = failures.saturating_add(1);
                    // The first time, and then ever more seldom: it may be away for hours.
                    if times.is_power_of_two() {
                        tracing::warn!(project = self.remote.project, times, %why, "the poll failed");
                    } else {
                        tracing::debug!(project = self.remote.project, times, %why, "the poll failed");
                    }
                    let back = Duration::from_secs(1 << failures.min(8)).min(self.options.every);
                    failures = times;
                    // A remote that fails is not asked more often for all the hints.
                    (back.min(Duration::from_secs(10)).max(self.options.gap), back)
                }
            };
            let next = async {
                tokio::time::sleep(gap).await;
                let _ = tokio::time::timeout(wait.saturating_sub(gap), self.hint.taken()).await;
            };
            tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                () = next => {}
            }
        }
    }

    /// Makes the corpus what the remote is.
    ///
    /// # Errors
    /// Where it is not; what was written until then stays.
    pub async fn poll(&mut self) -> Result<Polled, PollError> {
        let began = (self.options.now)();
        self.broken.begin();
        let mut polled = self.attempt().await;
        // It is ours, or only by another copy it can be told.
        if matches!(polled, Err(PollError::Git(git::Error::Corrupt { theirs: false, .. })))
            && self.broken.renews()
        {
            tracing::warn!(project = self.remote.project, "its repository is damaged and is fetched anew");
            let folder = self.options.folder.join(self.remote.folder());
            // What can't be removed shows again.
            let _ = tokio::fs::remove_dir_all(folder).await;
            polled = self.attempt().await;
        }
        self.state.send_modify(|state| {
            state.polls += 1;
            state.refused = self.refused.len();
            state.broken = self.broken.told();
            match &polled {
                Ok(done) => {
                    state.error = None;
                    state.waiting = done.missed;
                    if done.missed == 0 && state.broken.is_none() {
                        state.whole = began;
                    }
                }
                Err(why) => (state.failed, state.error) = (began, Some(why.to_string())),
            }
        });
        if polled.is_ok() {
            self.broken.good();
        }
        if let Some(why) = self.broken.told() {
            tracing::warn!(project = self.remote.project, why, "the remote is damaged");
        }
        polled
    }

    async fn attempt(&mut self) -> Result<Polled, PollError> {
        let folder = self.options.folder.join(self.remote.folder());
        let repository = self.git.init_bare(&folder).await?;
        if self.lacking.as_ref().is_none_or(|lacking| lacking.iter().any(|id| !self.broken.rests(id))) {
            self.lacking = Some(self.complete_history(&repository).await?);
        }
        let rows = self.git.list_rows(&self.remote.url, self.git.limits().listing).await?;
        let corpus = self.sink.corpus();
        let plan = plan::plan(&corpus, &self.remote.project, self.remote.follow, &rows);
        if rows.is_empty() && !plan.deleted.is_empty() {
            return Err(PollError::Empty { url: self.remote.url.to_string() });
        }
        drop(corpus);
        self.state.send_modify(|state| {
            (state.refs, state.waiting, state.gone) = (plan.followed, plan.moved.len(), plan.gone.len());
        });
        let mut polled = Polled::default();
        let lacking = self.lacking.iter().flatten().copied();
        self.broken.keep(&plan.moved.iter().map(|moved| moved.to).chain(lacking).collect());
        let wanted = |moved: &&Moved| !self.refused.contains(&moved.to) && !self.broken.rests(&moved.to);
        let wanted: Vec<&Moved> = plan.moved.iter().filter(wanted).collect();
        for some in wanted.chunks(FETCH) {
            let (done, missed) = self.take(&repository, some).await?;
            polled.moved += done;
            polled.missed += missed;
            self.state.send_modify(|state| state.waiting = state.waiting.saturating_sub(some.len()));
        }
        // What was damaged may have come by another way: with another ref, or at a time when this one rested.
        let (refused, came): (Vec<_>, Vec<_>) =
            self.broken.ids().into_iter().partition(|id| self.refused.contains(id));
        self.broken.came(&refused);
        let came = self.whole(came);
        if !came.is_empty() {
            self.broken.came(&came);
            self.lacking.iter_mut().for_each(|lacking| lacking.retain(|id| !came.contains(id)));
            let refs: Vec<&Moved> = plan.moved.iter().filter(|moved| came.contains(&moved.to)).collect();
            polled.moved += self.write_refs(&refs).await?.0;
        }
        for some in plan.deleted.chunks(BATCH) {
            let project = self.remote.project.clone();
            let gone = GerritMutation { project, deleted_refs: some.to_vec(), ..GerritMutation::default() };
            self.sink.add(vec![of(gone)]).await?;
            polled.deleted += some.len();
        }
        if polled.moved > 0 {
            repository.maintain().await?;
        }
        Ok(polled)
    }

    /// Takes refs with their commits into the log; says how many, and how many have to wait for the next poll.
    async fn take(&mut self, repository: &Repository, moved: &[&Moved]) -> Result<(usize, usize), PollError> {
        let wants = moved.iter().map(|moved| Want { id: moved.to, keep: keep(moved) }).collect();
        let old: Vec<ObjectId> = moved.iter().filter_map(|moved| moved.from).take(HAVE).collect();
        self.fetch(repository, wants, &old).await?;
        let moved: Vec<&Moved> = moved.iter().filter(|moved| !self.broken.has(&moved.to)).copied().collect();
        let tips = |meta: bool| -> Vec<ObjectId> {
            let part = moved.iter().filter(|moved| matches!(moved.kind, Kind::Meta(_)) == meta);
            part.map(|moved| moved.to).collect()
        };
        let (code, meta) = (tips(false), tips(true));
        let mut known = heads(&self.sink.corpus(), &self.remote.project);
        known.extend(&old);
        let known = self.whole(known);
        let (code, meta) =
            (repository.between(&code, &known).await?, repository.between(&meta, &known).await?);
        let mut walk = Walk::start(repository, &self.sink, &self.remote.project, &mut self.refused).await?;
        walk.commits(&code, Part::Code).await?;
        walk.commits(&meta, Part::Meta).await?;
        let corpus = self.sink.corpus();
        let lacks = |moved: &&&Moved| !has(&corpus, &self.remote.project, moved.to);
        let tags: Vec<ObjectId> = moved.iter().filter(lacks).map(|moved| moved.to).collect();
        drop(corpus);
        let here = repository.missing(&tags).await?;
        let tags: Vec<ObjectId> = tags.into_iter().filter(|tag| !here.contains(tag)).collect();
        walk.tags(&tags).await?;
        self.write_refs(&moved).await
    }

    /// Those of some commits whose history the corpus has.
    fn whole(&self, ids: Vec<ObjectId>) -> Vec<ObjectId> {
        let corpus = self.sink.corpus();
        ids.into_iter().filter(|id| has(&corpus, &self.remote.project, *id)).collect()
    }

    async fn write_refs(&self, moved: &[&Moved]) -> Result<(usize, usize), PollError> {
        let corpus = self.sink.corpus();
        let there = |moved: &&&Moved| has(&corpus, &self.remote.project, moved.to);
        let there: Vec<&&Moved> = moved.iter().filter(there).collect();
        let refused = moved.iter().filter(|moved| self.refused.contains(&moved.to)).count();
        for some in there.chunks(BATCH) {
            let refs =
                some.iter().map(|moved| GitRef { r#ref: moved.name.clone(), sha1: moved.to.to_string() });
            let project = self.remote.project.clone();
            let refs = GerritMutation { project, refs: refs.collect(), ..GerritMutation::default() };
            self.sink.add(vec![of(refs)]).await?;
        }
        Ok((there.len(), moved.len() - there.len() - refused))
    }

    /// Fetches what is not here. What the remote does not give is left out: it moved on, and is listed anew the next time.
    async fn fetch(
        &mut self,
        repository: &Repository,
        wants: Vec<Want>,
        old: &[ObjectId],
    ) -> Result<Vec<ObjectId>, PollError> {
        let ids: Vec<ObjectId> = wants.iter().map(|want| want.id).collect();
        let missing: HashSet<ObjectId> = repository.missing(&ids).await?.into_iter().collect();
        let gone: HashSet<ObjectId> = repository.missing(old).await?.into_iter().collect();
        let have: Vec<ObjectId> = old.iter().filter(|id| !gone.contains(id)).copied().collect();
        // What is known as damaged may be here without all that it is made of: git looks at that itself.
        let wanted = |want: &Want| missing.contains(&want.id) || self.broken.has(&want.id);
        let wants: Vec<Want> = wants.into_iter().filter(wanted).collect();
        let (mut parts, mut refused) = (vec![wants], Vec::new());
        let (url, limit) = (self.remote.url.clone(), self.git.limits().transfer);
        // Halved until what the remote does not give is alone: twice as many fetches as there are such, times ten.
        while let Some(mut wants) = parts.pop() {
            if wants.is_empty() {
                continue;
            }
            match repository.fetch_objects(&url, &wants, &have, limit, &CancellationToken::new()).await {
                Ok(()) => self.broken.came(&wants.iter().map(|want| want.id).collect::<Vec<_>>()),
                Err(git::Error::NoSuchRevision { .. }) if wants.len() > 1 => {
                    parts.push(wants.split_off(wants.len() / 2));
                    parts.push(wants);
                }
                // What is damaged there must not keep out all else.
                Err(why @ git::Error::Corrupt { theirs, .. }) => {
                    if !self.broken.has_room() || !theirs && !self.is_theirs(repository).await? {
                        return Err(why.into());
                    }
                    match wants.as_slice() {
                        [one] => self.broken.note(one.id, why.to_string()),
                        _ => {
                            parts.push(wants.split_off(wants.len() / 2));
                            parts.push(wants);
                        }
                    }
                }
                Err(git::Error::NoSuchRevision { .. }) => {
                    let gone: Vec<ObjectId> = wants.iter().map(|want| want.id).collect();
                    self.broken.came(&gone);
                    refused.extend(gone);
                }
                Err(why) => return Err(why.into()),
            }
        }
        Ok(refused)
    }

    /// Whether damage that a fetch met is the remote's, which did not say so.
    async fn is_theirs(&mut self, repository: &Repository) -> Result<bool, PollError> {
        if let Some(theirs) = self.broken.is_theirs() {
            return Ok(theirs);
        }
        let sound = repository.is_sound().await?;
        if sound {
            self.broken.found_sound();
        }
        // Where it is too soon for another one, all that can be had is.
        Ok(sound || !self.broken.may_renew())
    }

    /// Fetches commits that the log names and does not have, with all before them; gives those that are damaged at the remote.
    async fn complete_history(&mut self, repository: &Repository) -> Result<HashSet<ObjectId>, PollError> {
        let needed = needed(&self.sink.corpus(), &self.remote.project);
        let asked = |id: &&ObjectId| !self.broken.rests(id) && !self.refused.contains(*id);
        let asked: Vec<ObjectId> = needed.iter().filter(asked).copied().collect();
        for some in asked.chunks(FETCH) {
            let wants = some.iter().map(|id| Want { id: *id, keep: None }).collect();
            let refused = self.fetch(repository, wants, &[]).await?;
            self.refused.extend(refused);
            let there = |id: &&ObjectId| !self.refused.contains(*id) && !self.broken.has(id);
            let there: Vec<ObjectId> = some.iter().filter(there).copied().collect();
            // Nothing is left out: what is known may be what came after the gap.
            let ids = repository.between(&there, &[]).await?;
            let mut walk =
                Walk::start(repository, &self.sink, &self.remote.project, &mut self.refused).await?;
            // Of which part they are is not known any more; a file of code that looks like one of comments is none.
            walk.commits(&ids, Part::Meta).await?;
        }
        Ok(needed.into_iter().filter(|id| self.broken.has(id)).collect())
    }
}

/// The ref that keeps what a branch or tag is at, so that a later fetch can build on it: one for each name, whatever the name.
fn keep(moved: &Moved) -> Option<RefName> {
    if moved.kind != Kind::Other {
        return None;
    }
    format!("refs/keep/{}", digest(&moved.name)).parse().ok()
}
