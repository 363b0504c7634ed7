//! What passes between repositories: listing, fetch, push.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::{Error, Git, ObjectId, RefName, RefSpec, RemoteUrl, Repository};

/// How many refs go into one push.
const PUSH_BATCH: usize = 200;

/// A ref and what it points to (a tag object, for an annotated tag).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ref {
    /// The full name.
    pub name: RefName,
    /// The object.
    pub id: ObjectId,
}

/// Which refs of a remote to list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Everything, and where `HEAD` points. A large review server has very many refs.
    All,
    /// Branches and tags only; the remote leaves the others out. `HEAD` is not known.
    HeadsAndTags,
}

/// The refs of a remote. Refs whose names are not UTF-8 are left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing {
    /// The refs, by name.
    pub refs: Vec<Ref>,
    /// The commit of `HEAD`; `None` if it was not asked for, or its branch has no commit yet.
    pub head: Option<ObjectId>,
    /// The branch that `HEAD` stands for; `None` if it is detached, unborn or not known.
    pub head_branch: Option<RefName>,
}

/// How to fetch.
#[derive(Debug, Clone)]
pub struct FetchOptions {
    /// Whether refs that are gone at the source are removed here, and a history that was cut is completed as far as
    /// the source has it.
    pub prune: bool,
    /// The most commits to fetch of each history; `None` for all.
    pub depth: Option<u32>,
    /// The longest time.
    pub timeout: Duration,
    /// Ends the fetch early.
    pub cancel: CancellationToken,
}

/// What a fetch changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FetchReport {
    /// The refs that are new, moved or gone.
    pub changed: Vec<RefChange>,
}

/// A ref that is new (`old` is `None`), moved, or gone (`new` is `None`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefChange {
    /// The full name.
    pub name: RefName,
    /// What it pointed to.
    pub old: Option<ObjectId>,
    /// What it points to.
    pub new: Option<ObjectId>,
}

/// A ref to set at a remote, by force, or to delete there (`new` is `None`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefUpdate {
    /// The full name.
    pub name: RefName,
    /// What it shall point to.
    pub new: Option<ObjectId>,
}

/// How to push.
#[derive(Debug, Clone)]
pub struct PushOptions {
    /// Texts for the receiving side, such as `nokeycheck`.
    pub push_options: Vec<String>,
    /// The longest time of one batch.
    pub timeout: Duration,
    /// Ends the push early.
    pub cancel: CancellationToken,
}

/// What became of one ref of a push.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PushResult {
    /// The full name.
    pub name: RefName,
    /// What became of it.
    pub outcome: PushOutcome,
}

/// What became of a ref.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PushOutcome {
    /// It is as wanted.
    Done,
    /// The remote refused, with its reason.
    Refused(String),
}

impl Git {
    /// Lists the refs of a remote; transfers no objects.
    ///
    /// # Errors
    /// The remote does not exist, needs credentials, or can't be reached.
    pub async fn ls_remote(
        &self,
        url: &RemoteUrl,
        scope: Scope,
        timeout: Duration,
    ) -> Result<Listing, Error> {
        let call = self.call(["ls-remote", "--quiet"]);
        let call = match scope {
            Scope::All => call.arg("--symref"),
            Scope::HeadsAndTags => call.args(["--heads", "--tags", "--refs"]),
        };
        let out = call.arg("--end-of-options").url(url).timeout(timeout).run().await?.ok()?;
        let mut listing = Listing::default();
        let mut refs = BTreeMap::new();
        for line in out.stdout.split(|byte| *byte == b'\n') {
            let Some(tab) = line.iter().position(|byte| *byte == b'\t') else { continue };
            let (value, name) = (&line[..tab], &line[tab + 1..]);
            let Ok(name) = std::str::from_utf8(name) else { continue };
            if let Some(target) = value.strip_prefix(b"ref: ") {
                if name == "HEAD" {
                    listing.head_branch = std::str::from_utf8(target).ok().and_then(|name| name.parse().ok());
                }
                continue;
            }
            let Some(id) = ObjectId::from_hex(value) else { continue };
            if name == "HEAD" {
                listing.head = Some(id);
            } else if let Ok(name) = name.parse::<RefName>() {
                refs.insert(name, id);
            }
        }
        listing.refs = refs.into_iter().map(|(name, id)| Ref { name, id }).collect();
        Ok(listing)
    }
}

impl Repository {
    /// Fetches, by force. Tags are only fetched where a spec names them; submodules never.
    ///
    /// # Errors
    /// The remote does not exist, needs credentials, can't be reached, or does not have what a spec names.
    pub async fn fetch(
        &self,
        url: &RemoteUrl,
        specs: &[RefSpec],
        options: &FetchOptions,
    ) -> Result<FetchReport, Error> {
        let before = self.ref_map().await?;
        self.fetch_quietly(url, specs, options).await?;
        let after = self.ref_map().await?;
        Ok(FetchReport { changed: difference(&before, &after) })
    }

    /// Fetches as [`Repository::fetch`] does, without looking at what changed.
    ///
    /// # Errors
    /// As there.
    pub async fn fetch_quietly(
        &self,
        url: &RemoteUrl,
        specs: &[RefSpec],
        options: &FetchOptions,
    ) -> Result<(), Error> {
        let mut call = self.call(["fetch", "--quiet", "--no-tags", "--no-recurse-submodules", "--force"]);
        call = call.args(["--no-write-fetch-head", "--no-auto-maintenance", "--update-shallow"]);
        if options.prune {
            call = call.arg("--prune");
        }
        match options.depth {
            Some(depth) => call = call.arg(format!("--depth={}", depth.max(1))),
            // A source that was shallow and is no longer so (or less) is followed.
            None if options.prune && self.is_shallow().await => call = call.arg("--unshallow"),
            None => {}
        }
        call = call.arg("--end-of-options").url(url).args(specs.iter().map(RefSpec::as_str));
        let result = call.timeout(options.timeout).cancel(&options.cancel).run().await;
        if matches!(result, Err(Error::Timeout { .. } | Error::Cancelled { .. })) {
            self.remove_stale_files().await;
        }
        result?.ok().map(drop)
    }

    /// Sets and deletes refs at a remote, by force, in batches; each ref has its own outcome.
    ///
    /// # Errors
    /// The remote does not exist, needs credentials, or can't be reached.
    pub async fn push(
        &self,
        url: &RemoteUrl,
        updates: &[RefUpdate],
        options: &PushOptions,
    ) -> Result<Vec<PushResult>, Error> {
        let mut results = Vec::with_capacity(updates.len());
        for batch in updates.chunks(PUSH_BATCH) {
            let mut call =
                self.call(["push", "--quiet", "--porcelain", "--force", "--no-verify", "--no-signed"]);
            call = call.arg("--recurse-submodules=no");
            for option in options.push_options.iter().filter(|option| !option.contains(['\n', '\0'])) {
                call = call.arg(format!("--push-option={option}"));
            }
            call = call.arg("--end-of-options").url(url).args(batch.iter().map(|update| match update.new {
                Some(id) => format!("+{id}:{}", update.name),
                None => format!(":{}", update.name),
            }));
            let out = call.timeout(options.timeout).cancel(&options.cancel).run().await?;
            let refused = refusals(&out.stdout);
            if !out.status.success() && refused.is_empty() {
                return Err(out.error());
            }
            results.extend(batch.iter().map(|update| PushResult {
                name: update.name.clone(),
                outcome: match refused.get(update.name.as_str()) {
                    Some(reason) => PushOutcome::Refused(reason.clone()),
                    None => PushOutcome::Done,
                },
            }));
        }
        Ok(results)
    }

    async fn ref_map(&self) -> Result<BTreeMap<RefName, ObjectId>, Error> {
        Ok(self.refs("refs/").await?.into_iter().map(|entry| (entry.name, entry.id)).collect())
    }
}

/// Reads the lines `! TAB from:to TAB [rejected] (reason)` of a porcelain push.
fn refusals(stdout: &[u8]) -> BTreeMap<String, String> {
    let text = String::from_utf8_lossy(stdout);
    let refusal = |line: &str| {
        let mut parts = line.strip_prefix("!\t")?.splitn(2, '\t');
        let (_, to) = parts.next()?.rsplit_once(':')?;
        Some((to.to_owned(), parts.next().unwrap_or("refused").to_owned()))
    };
    text.lines().filter_map(refusal).collect()
}

fn difference(before: &BTreeMap<RefName, ObjectId>, after: &BTreeMap<RefName, ObjectId>) -> Vec<RefChange> {
    let mut changed: Vec<RefChange> = after
        .iter()
        .map(|(name, new)| RefChange { name: name.clone(), old: before.get(name).copied(), new: Some(*new) })
        .filter(|change| change.old != change.new)
        .collect();
    let gone = before.iter().filter(|(name, _)| !after.contains_key(*name));
    changed.extend(gone.map(|(name, old)| RefChange { name: name.clone(), old: Some(*old), new: None }));
    changed.sort_by(|a, b| a.name.cmp(&b.name));
    changed
}
