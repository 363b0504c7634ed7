//! Builds that are made to tell why another one failed: what came of them, and their end where nobody waits any more.
//!
//! A sample is a build of a cell beside the cell's own: it is in no grid and no list, tells no feed, and is not tried again where it
//! fails. Whoever has it made finds it by the table `samples`.

use dashboard::api::{Cause, TestKind, TestResult};
use dashboard::client::known;
use store::attempts;
use store::builds::{self, BuildRow};
use store::{AttemptId, BuildId, Micros, StoreError, Tx, WorkerId};
use tokio::sync::mpsc;
use transport::CallError;
use triage::verdict::{Outcome, Signature};

use crate::attempt::Shared;
use crate::core::Message;
use crate::job::{Job, Step, When};

/// The most tests that are looked into one by one; where more fail at once, the build is taken as a whole.
pub(crate) const MOST_TESTS: usize = 20;

/// Why it is not known what came of a build.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Trouble {
    /// The database's.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The dashboard's or the mirror's.
    #[error(transparent)]
    Call(#[from] CallError),
}

/// What came of a build that is done.
#[derive(Debug, Clone, Default)]
pub(crate) struct Told {
    /// Its last attempt, and the worker of that.
    pub attempt: Option<(AttemptId, WorkerId)>,
    /// What it cost, in seconds.
    pub seconds: u32,
    /// How it ended.
    pub outcome: String,
    /// Why, where it has a cause.
    pub cause: Cause,
    /// The tests of the last attempt, if they are known.
    pub tests: Vec<TestResult>,
    /// Whether steps were left out because one before them failed: what they would have said is not known.
    pub cut_short: bool,
    /// What its failure has in common with others that are alike, by its log.
    pub alike: Option<String>,
}

/// Something that failed in a build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failing {
    /// The test; empty for the build as a whole.
    pub test: String,
    /// Tells apart the same test run in several ways.
    pub variant: String,
    /// What the failure looks like.
    pub signature: String,
}

/// Whether a test did not go well, or did not end.
pub(crate) fn is_bad(test: &TestResult) -> bool {
    matches!(test.outcome.as_str(), "failed" | "unfinished")
}

fn signature(test: &TestResult) -> String {
    test.signature.clone().unwrap_or_else(|| test.outcome.clone())
}

impl Told {
    /// Asks for it; nothing while the dashboard does not know of its end.
    pub async fn of(shared: &Shared, build: &BuildRow) -> Result<Option<Told>, Trouble> {
        if !build.reported {
            return Ok(None);
        }
        let last = attempts::of_build(&mut shared.ledger.db().read().await?, build.id).await?.pop();
        let mut told = Told {
            attempt: last.as_ref().map(|last| (last.id, last.worker)),
            seconds: between(build.started, build.ended),
            outcome: build.outcome.clone().unwrap_or_default(),
            cause: build
                .cause
                .as_deref()
                .and_then(|text| serde_json::from_str(text).ok())
                .unwrap_or_default(),
            ..Told::default()
        };
        let Some(last) = last.filter(|_| matches!(told.outcome.as_str(), "ok" | "failed")) else {
            return Ok(Some(told));
        };
        told.cut_short = cut_short(&last.job, &told.cause);
        let (id, attempt) = (build.id.to_string(), last.id.to_string());
        told.tests = known(shared.dashboard.tests(&id).await)?.unwrap_or_default().tests;
        told.tests.retain(|test| test.kind == TestKind::Test && test.attempt.as_deref() == Some(&attempt));
        if told.outcome == "failed" {
            let failure = known(shared.dashboard.failure(&id).await)?.flatten();
            told.alike = failure.and_then(|failure| failure.signature);
        }
        Ok(Some(told))
    }

    /// What failed in it: its tests, or the build as a whole if none is known or there are too many.
    pub fn failing(&self) -> Vec<Failing> {
        let mut bad: Vec<&TestResult> = self.tests.iter().filter(|test| test.outcome == "failed").collect();
        if bad.is_empty() {
            // What ran when everything was ended.
            bad = self.tests.iter().filter(|test| is_bad(test)).collect();
        }
        if bad.is_empty() || bad.len() > MOST_TESTS {
            return vec![Failing { test: String::new(), variant: String::new(), signature: self.whole() }];
        }
        let one = |test: &TestResult| Failing {
            test: test.id.clone(),
            variant: test.variant.clone(),
            signature: signature(test),
        };
        bad.into_iter().map(one).collect()
    }

    /// What the failure of the build as a whole looks like.
    fn whole(&self) -> String {
        let bad: Vec<&str> =
            self.tests.iter().filter(|test| is_bad(test)).map(|test| test.id.as_str()).collect();
        if bad.len() > MOST_TESTS {
            return testresults::signature("", &bad.join("\n"));
        }
        self.alike.clone().unwrap_or_else(|| format!("{} {}", self.cause.kind, self.cause.detail))
    }

    /// What it tells of a test, or of the build as a whole.
    pub fn says_of(&self, test: &str, variant: &str) -> Outcome {
        let found = self.tests.iter().find(|one| one.id == test && one.variant == variant);
        match (self.outcome.as_str(), found) {
            ("ok", _) if test.is_empty() => Outcome::Passed,
            ("failed", _) if test.is_empty() => Outcome::Failed(Signature(self.whole())),
            ("ok" | "failed", Some(one)) if one.outcome == "ok" => Outcome::Passed,
            ("ok" | "failed", Some(one)) if is_bad(one) => Outcome::Failed(Signature(signature(one))),
            ("ok", None) => Outcome::Absent,
            // Its tests ran to their end, and this one was not among them.
            ("failed", None) if self.cause.kind == "exit" && !self.tests.is_empty() => Outcome::Absent,
            ("failed", None) => Outcome::Unbuildable,
            // Left out, or lost.
            _ => Outcome::Infra,
        }
    }
}

/// Whether there are steps behind the one that failed that run only if all before them went well. A cause begins with its step's name.
pub(crate) fn cut_short(job: &str, cause: &Cause) -> bool {
    let Ok(job) = serde_json::from_str::<Job>(job) else { return true };
    let is = |step: &Step| cause.detail.strip_prefix(&step.name).is_some_and(|rest| rest.starts_with(": "));
    match job.steps.iter().position(is) {
        Some(at) => job.steps[at + 1..].iter().any(|step| step.when == When::Success),
        None => true,
    }
}

fn between(from: Option<Micros>, to: Option<Micros>) -> u32 {
    let us = from.zip(to).map_or(0, |(from, to)| to.0.saturating_sub(from.0));
    u32::try_from(us / 1_000_000).unwrap_or(0)
}

/// Asks for the end of those of these builds that are not done; returns their rows after it, for [`send_stopped`].
pub(crate) async fn stop(
    tx: &mut Tx,
    all: impl IntoIterator<Item = BuildId>,
    cause: &str,
    now: Micros,
) -> Result<Vec<BuildRow>, StoreError> {
    let mut after = Vec::new();
    for id in all {
        let Some(row) = builds::get(tx, id).await?.filter(|row| row.state != "done") else { continue };
        builds::cancel(tx, id, cause).await?;
        if row.state == "queued" {
            builds::finish(tx, id, row.fence, "cancelled", Some(cause), now).await?;
        }
        after.extend(builds::get(tx, id).await?);
    }
    Ok(after)
}

/// Tells the scheduler of builds that were stopped.
pub(crate) async fn send_stopped(core: &mpsc::Sender<Message>, rows: Vec<BuildRow>) {
    for row in rows {
        let message = match row.state.as_str() {
            "done" => Message::Withdrawn(row.id),
            _ => Message::Cancel(row.id),
        };
        // A core that is gone reads the rows at its next start.
        let _ = core.send(message).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn test(id: &str, outcome: &str) -> TestResult {
        let signature = (outcome == "failed").then(|| format!("sig of {id}"));
        TestResult { id: id.into(), outcome: outcome.into(), signature, ..TestResult::default() }
    }

    fn told(outcome: &str, kind: &str, tests: &[(&str, &str)]) -> Told {
        Told {
            outcome: outcome.into(),
            cause: Cause { kind: kind.into(), detail: "test: exit status 1".into() },
            tests: tests.iter().map(|(id, outcome)| test(id, outcome)).collect(),
            ..Told::default()
        }
    }

    #[test]
    fn what_failed_is_its_tests_or_all_of_it() {
        let some = told("failed", "exit", &[("a", "failed"), ("b", "ok"), ("c", "unfinished")]);
        let names: Vec<_> = some.failing().into_iter().map(|one| (one.test, one.signature)).collect();
        assert_eq!(names, [("a".to_owned(), "sig of a".to_owned())]);
        let ended = told("failed", "timeout", &[("b", "ok"), ("c", "unfinished")]);
        assert_eq!(ended.failing()[0].test, "c");
        let none = told("failed", "exit", &[]);
        assert_eq!(
            (&*none.failing()[0].test, &*none.failing()[0].signature),
            ("", "exit test: exit status 1")
        );
        let names: Vec<String> = (0..=MOST_TESTS).map(|n| format!("t{n}")).collect();
        let many: Vec<_> = names.iter().map(|name| (name.as_str(), "failed")).collect();
        let many = told("failed", "exit", &many).failing();
        assert_eq!((many.len(), &*many[0].test), (1, ""));
    }

    #[test]
    fn what_a_build_says_of_a_test() {
        let failed = |id: &str| Outcome::Failed(Signature(format!("sig of {id}")));
        let some = told("failed", "exit", &[("a", "failed"), ("b", "ok"), ("s", "skipped")]);
        assert_eq!(some.says_of("a", ""), failed("a"));
        assert_eq!(some.says_of("b", ""), Outcome::Passed);
        assert_eq!(some.says_of("s", ""), Outcome::Infra);
        assert_eq!(some.says_of("new", ""), Outcome::Absent);
        assert_eq!(some.says_of("", ""), Outcome::Failed(Signature("exit test: exit status 1".into())));
        assert_eq!(told("failed", "timeout", &[("b", "ok")]).says_of("a", ""), Outcome::Unbuildable);
        assert_eq!(told("failed", "exit", &[]).says_of("a", ""), Outcome::Unbuildable);
        assert_eq!(told("ok", "", &[("b", "ok")]).says_of("a", ""), Outcome::Absent);
        assert_eq!(told("ok", "", &[]).says_of("", ""), Outcome::Passed);
        assert_eq!(told("infra_failed", "worker_lost", &[]).says_of("", ""), Outcome::Infra);
        assert_eq!(told("cancelled", "", &[]).says_of("a", ""), Outcome::Infra);
    }
}
