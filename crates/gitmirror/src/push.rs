//! Pushes: each destination on its own.

use std::collections::BTreeMap;
use std::sync::Arc;

use git::{ObjectId, PushOptions, PushOutcome, RefName, RefUpdate, RemoteUrl, Scope};
use tokio_util::sync::CancellationToken;

use crate::DestinationState;
use crate::repo::{Repo, SharedRepo};

impl Repo {
    /// Keeps one destination equal to the mirror, branches and tags only, until it is told to stop.
    pub(crate) async fn push_to(self: SharedRepo, destination: String, cancel: CancellationToken) {
        let url: RemoteUrl = match destination.parse() {
            Ok(url) => url,
            Err(error) => return self.note_push("of the configuration", Err(vec![error.to_string()])),
        };
        let shown = url.to_string();
        self.destinations().entry(shown.clone()).or_insert_with(|| blank(&shown));
        let mut view = self.view.subscribe();
        let mut done: Option<Arc<BTreeMap<RefName, ObjectId>>> = None;
        loop {
            let wanted = {
                let view = view.borrow_and_update();
                (view.seen && view.blocked.is_none()).then(|| view.refs.clone())
            };
            let mut wait = self.tuning.compare;
            if let Some(wanted) = wanted.filter(|wanted| done.as_ref() != Some(wanted)) {
                match self.push_once(&url, &wanted, &cancel).await {
                    Ok(changed) => {
                        self.note_push(&shown, Ok(changed));
                        done = Some(wanted);
                    }
                    Err(problems) => {
                        tracing::warn!(repo = self.name, destination = shown, ?problems, "the push failed");
                        self.note_push(&shown, Err(problems));
                        done = None;
                        wait = self.tuning.retry;
                    }
                }
            }
            tokio::select! {
                () = cancel.cancelled() => return,
                () = tokio::time::sleep(wait) => done = None,
                changed = view.changed() => if changed.is_err() { return },
            }
        }
    }

    /// Sets what differs at the destination and deletes what is not here; says how many refs that were.
    async fn push_once(
        &self,
        url: &RemoteUrl,
        wanted: &BTreeMap<RefName, ObjectId>,
        cancel: &CancellationToken,
    ) -> Result<u64, Vec<String>> {
        let one = |error: git::Error| vec![error.to_string()];
        let repository = self.repository().await.map_err(one)?;
        let limits = self.git.limits();
        let there = self.git.ls_remote(url, Scope::HeadsAndTags, limits.listing).await.map_err(one)?;
        let there: BTreeMap<RefName, ObjectId> =
            there.refs.into_iter().map(|entry| (entry.name, entry.id)).collect();
        let mut updates: Vec<RefUpdate> = wanted
            .iter()
            .filter(|(name, id)| there.get(*name) != Some(*id))
            .map(|(name, id)| RefUpdate { name: name.clone(), new: Some(*id) })
            .collect();
        let gone = there.keys().filter(|name| !wanted.contains_key(*name));
        // Deletions first, so that a branch `a` makes room for `a/b`.
        updates.splice(0..0, gone.map(|name| RefUpdate { name: name.clone(), new: None }));
        if updates.is_empty() {
            return Ok(0);
        }
        let timeout = limits.transfer;
        let options = PushOptions { push_options: Vec::new(), timeout, cancel: cancel.clone() };
        let results = repository.push(url, &updates, &options).await.map_err(one)?;
        let refusals: Vec<String> = results
            .iter()
            .filter_map(|result| match &result.outcome {
                PushOutcome::Refused(reason) => Some(format!("{}: {reason}", result.name)),
                PushOutcome::Done => None,
            })
            .collect();
        let pushed = (results.len() - refusals.len()) as u64;
        if refusals.is_empty() {
            return Ok(pushed);
        }
        Err(refusals)
    }

    fn note_push(&self, shown: &str, result: Result<u64, Vec<String>>) {
        let mut destinations = self.destinations();
        let state = destinations.entry(shown.to_owned()).or_insert_with(|| blank(shown));
        state.ok = Some(result.is_ok());
        match result {
            Ok(pushed) => {
                state.pushed += pushed;
                state.problems.clear();
            }
            Err(problems) => state.problems = problems,
        }
    }
}

fn blank(url: &str) -> DestinationState {
    DestinationState { url: url.to_owned(), ok: None, problems: Vec::new(), pushed: 0 }
}
