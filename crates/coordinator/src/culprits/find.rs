//! Finds breaks: builds that failed where the one before went well.

use store::bisections::{self, BisectionRow};
use store::builds::{self, BuildRow};
use store::{BisectionId, BuildId, Micros};

use super::range::{Before, Doc, before};
use super::{Culprits, Work};
use crate::clock::new_id;
use crate::resolve;
use crate::samples::{Failing, Told, Trouble};

/// How far back it is looked for breaks at a start, microseconds.
const BACK: i64 = 24 * 3600 * 1_000_000;
/// So many failed builds are looked at in one go.
const LOOKED_AT: i64 = 200;
/// So many commits back a build that went well is looked for.
const COMMITS: u32 = 200;
/// So many bisections of a builder are remembered.
const REMEMBERED: i64 = 50;

/// Up to which failed build all were looked at.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen {
    ended: Micros,
    build: Option<BuildId>,
}

impl Seen {
    pub fn since(now: Micros) -> Seen {
        Seen { ended: Micros(now.0.saturating_sub(BACK)), build: None }
    }
}

impl Culprits {
    /// Looks at the builds that failed since it was looked last.
    pub(super) async fn find(&mut self) -> Result<(), Trouble> {
        if !self.finder.config.borrow().environment().bisect {
            return Ok(());
        }
        let mut reader = self.finder.shared.ledger.db().read().await?;
        let mut failed = builds::failed(&mut reader, self.seen.ended, LOOKED_AT).await?;
        drop(reader);
        failed.sort_by_key(|row| (row.ended, row.id));
        for row in failed {
            let at = (row.ended.unwrap_or(self.seen.ended), Some(row.id));
            if at <= (self.seen.ended, self.seen.build) {
                continue;
            }
            // The others come when the dashboard knows of its end.
            let Some(told) = Told::of(&self.finder.shared, &row).await? else { return Ok(()) };
            match self.consider(&row, &told).await {
                // Its branch may be gone by now.
                Err(Trouble::Call(error)) if !error.is_transient() => {
                    tracing::warn!(build = %row.id, %error, "what was before a build that failed can't be had");
                }
                done => done?,
            }
            (self.seen.ended, self.seen.build) = at;
        }
        Ok(())
    }

    async fn consider(&self, row: &BuildRow, told: &Told) -> Result<(), Trouble> {
        let shared = &self.finder.shared;
        let Some((attempt, worker)) = told.attempt else { return Ok(()) };
        let Some((_, commit)) =
            resolve::parse_revision(&row.revision).ok().and_then(|all| all.into_iter().next())
        else {
            return Ok(());
        };
        let config = self.finder.config.borrow().clone();
        let rules = shared.mutes.rules(&config, shared.ledger.clock().now());
        let muted = rules.of_build(&row.repo, &row.builder, told);
        // What is muted is searched by whoever owns it.
        let mut failing = told.failing().into_iter().filter(|one| !muted.covers(&one.test, &one.variant));
        let Some(Failing { test, variant, signature }) = failing.next() else { return Ok(()) };
        let mut reader = shared.ledger.db().read().await?;
        let (builder, repo, branch) = (&row.builder, &row.repo, &row.branch);
        let known = bisections::of_builder(&mut reader, builder, repo, branch, REMEMBERED).await?;
        drop(reader);
        let is_known = |one: &BisectionRow| {
            let doc = serde_json::from_str::<Doc>(&one.doc);
            let covers = doc.is_ok_and(|doc| doc.commits.iter().skip(1).any(|one| one.hash == commit));
            one.attempt == attempt || one.state != "done" || (covers && one.signature == signature)
        };
        if known.iter().any(is_known) {
            return Ok(());
        }
        let window = shared.dashboard.cells_of(repo, branch, builder, COMMITS).await?;
        let against = row.toolchain_branch.as_deref();
        let Before::Range(commits) = before(&window.rows, &commit, builder, against) else { return Ok(()) };
        let rest = row.revision.strip_prefix(&format!("{repo}@{commit}")).unwrap_or_default().to_owned();
        let doc = Doc {
            commits,
            rest,
            toolchain_branch: row.toolchain_branch.clone(),
            variant,
            worker: worker.to_string(),
            search: None,
        };
        let now = shared.ledger.clock().now();
        let new = BisectionRow {
            id: new_id!(BisectionId, **shared.ledger.clock()),
            builder: row.builder.clone(),
            repo: row.repo.clone(),
            branch: row.branch.clone(),
            build: row.id,
            attempt,
            test,
            signature,
            state: "confirming".to_owned(),
            answer: None,
            culprit: None,
            sentence: String::new(),
            doc: serde_json::to_string(&doc).unwrap_or_default(),
            began: now,
            ended: None,
        };
        tracing::info!(bisection = %new.id, builder, repo, branch, commit, "a builder broke");
        let newest = self.sample(&new, &doc, "confirm", &commit, 0);
        self.carry_out(&new, Work { new: vec![newest], ..Work::default() }).await
    }
}
