//! What is to be done about try runs, by what is asked and how those that were begun stand.

use std::collections::{HashMap, HashSet};

use store::builds::BuildRow;
use store::try_runs::TryRunRow;
use store::{BuildId, TryRunId};

use super::asked::{Asked, Seen};

/// A run that goes on, or whose commit may not be asked for again yet.
#[derive(Debug, Clone)]
pub struct Standing {
    /// As it is written down.
    pub run: TryRunRow,
    /// Its builds, of a run that goes on.
    pub builds: Vec<BuildRow>,
}

/// Something to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// A change is tried.
    Begin(Asked),
    /// A run that nobody asks for any more ends, with what of its builds nobody else waits for.
    Cancel {
        /// Which.
        run: TryRunId,
        /// Its change.
        review: String,
        /// The commit that was asked for.
        commit: String,
    },
    /// The first build of a run failed, while others go on.
    Tell {
        /// Which.
        run: TryRunId,
        /// That build.
        build: BuildId,
    },
    /// All builds of a run are done.
    End {
        /// Which.
        run: TryRunId,
        /// What they came to.
        verdict: Verdict,
    },
    /// What was asked is answered, and was taken back since: the same commit may be asked for again.
    Settle(TryRunId),
}

/// What the builds of a run came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Each that could say something said that it is well.
    Passed,
    /// So many failed by what they ran.
    Failed(usize),
    /// None failed, and so many say nothing: machines were lost, or there was nothing to build.
    Unknown(usize),
}

impl Verdict {
    /// As it is written down.
    pub fn as_str(self) -> &'static str {
        match self {
            Verdict::Passed => "passed",
            Verdict::Failed(_) => "failed",
            Verdict::Unknown(_) => "unknown",
        }
    }
}

/// Decides. The order of actions is that in which they are done: what ends makes room first.
pub fn decide(seen: &Seen, open: &[Standing]) -> Vec<Action> {
    let asked = &seen.asked;
    let wanted: HashSet<(String, &str)> =
        asked.iter().map(|asked| (asked.review.to_string(), asked.commit.as_str())).collect();
    let mut actions = Vec::new();
    for Standing { run, builds } in open {
        let wants = wanted.contains(&(run.review.clone(), run.commit.as_str()));
        match (run.state.as_str(), wants) {
            // Nobody can be asked whether they still want it.
            ("running", false) if seen.blind.contains(&run.repo) => actions.extend(goes_on(run.id, builds)),
            (_, false) if seen.blind.contains(&run.repo) => {}
            ("running", true) => actions.extend(goes_on(run.id, builds)),
            ("running", false) => actions.push(Action::Cancel {
                run: run.id,
                review: run.review.clone(),
                commit: run.commit.clone(),
            }),
            (_, true) => {}
            (_, false) => actions.push(Action::Settle(run.id)),
        }
    }
    // A run that ends now is settled by what is seen after it, so its commit is not begun anew in the same breath.
    let known: HashSet<(&str, &str)> =
        open.iter().map(|one| (one.run.review.as_str(), one.run.commit.as_str())).collect();
    let new =
        asked.iter().filter(|one| !known.contains(&(one.review.to_string().as_str(), one.commit.as_str())));
    actions.extend(new.cloned().map(Action::Begin));
    actions
}

/// What is to be done for a run that is wanted.
fn goes_on(run: TryRunId, builds: &[BuildRow]) -> Option<Action> {
    let failed: Vec<_> = builds.iter().filter(|build| build.outcome.as_deref() == Some("failed")).collect();
    if builds.iter().any(|build| build.state != "done") {
        let first = failed.iter().min_by_key(|build| (build.ended, build.id))?;
        return Some(Action::Tell { run, build: first.id });
    }
    Some(Action::End { run, verdict: verdict(builds) })
}

/// What builds that are done came to. What was skipped has nothing to say and is in nobody's way.
pub fn verdict(builds: &[BuildRow]) -> Verdict {
    let mut counted: HashMap<&str, usize> = HashMap::new();
    for build in builds {
        *counted.entry(build.outcome.as_deref().unwrap_or_default()).or_default() += 1;
    }
    let of = |outcome: &str| counted.get(outcome).copied().unwrap_or(0);
    let silent = builds.len() - of("ok") - of("failed") - of("skipped");
    match (of("failed"), silent, of("ok")) {
        (0, 0, 0) => Verdict::Unknown(0),
        (0, 0, _) => Verdict::Passed,
        (0, silent, _) => Verdict::Unknown(silent),
        (failed, _, _) => Verdict::Failed(failed),
    }
}

#[cfg(test)]
mod tests {
    use store::Micros;

    use super::super::chosen::tests::asked;
    use super::*;

    fn id(n: u8) -> TryRunId {
        TryRunId::new(Micros(i64::from(n) * 1_000_000), &mut |to| to.fill(n))
    }

    fn run(n: u8, state: &str) -> TryRunRow {
        TryRunRow {
            id: id(n),
            review: "g/go~7".into(),
            repo: "go".into(),
            branch: "master".into(),
            patch_set: 2,
            commit: "7".repeat(40),
            change_id: String::new(),
            title: String::new(),
            asked_by: String::new(),
            terms: String::new(),
            left_out: String::new(),
            rules: String::new(),
            state: state.into(),
            reason: None,
            settled: false,
            began: Micros(1),
            ended: None,
        }
    }

    fn build(n: u8, outcome: Option<&str>) -> BuildRow {
        BuildRow {
            id: BuildId::new(Micros(i64::from(n) * 1_000_000), &mut |to| to.fill(n)),
            builder: "b".into(),
            repo: "go".into(),
            branch: "master".into(),
            toolchain_branch: None,
            revision: String::new(),
            class: "try".into(),
            priority: 0,
            commit_time: Micros(0),
            state: if outcome.is_some() { "done".into() } else { "running".into() },
            outcome: outcome.map(str::to_owned),
            cause: None,
            fence: 0,
            version: 0,
            attempts: 0,
            retried_from: 0,
            not_before: Micros(0),
            cancel: None,
            created: Micros(0),
            queued: Micros(0),
            started: None,
            ended: outcome.map(|_| Micros(i64::from(n))),
            reported: false,
            untrusted: true,
            sample: String::new(),
            avoid: String::new(),
        }
    }

    fn decided(asked: &[Asked], run: TryRunRow, outcomes: &[Option<&str>]) -> Vec<Action> {
        let builds = outcomes.iter().enumerate().map(|(n, outcome)| build(n as u8 + 1, *outcome)).collect();
        decide(&seen(asked), &[Standing { run, builds }])
    }

    fn seen(asked: &[Asked]) -> Seen {
        Seen { asked: asked.to_vec(), ..Seen::default() }
    }

    #[test]
    fn what_can_not_be_seen_is_not_taken_for_gone() {
        let blind = Seen { blind: ["go".to_owned()].into(), ..Seen::default() };
        let standing =
            |state: &str, outcome| [Standing { run: run(1, state), builds: vec![build(1, outcome)] }];
        assert_eq!(decide(&blind, &standing("running", None)), []);
        assert_eq!(decide(&blind, &standing("passed", None)), []);
        let end = Action::End { run: id(1), verdict: Verdict::Passed };
        assert_eq!(decide(&blind, &standing("running", Some("ok"))), [end]);
    }

    #[test]
    fn a_commit_is_begun_once_and_again_when_it_is_asked_again() {
        let seven = asked("go", "master", None);
        let asked = std::slice::from_ref(&seven);
        assert_eq!(decide(&seen(asked), &[]), [Action::Begin(seven.clone())]);
        assert_eq!(decided(asked, run(1, "running"), &[None]), []);
        assert_eq!(decided(asked, run(1, "passed"), &[]), [], "its answer is on its way");
        assert_eq!(decided(&[], run(1, "passed"), &[]), [Action::Settle(id(1))]);
        let newer = Asked { commit: "8".repeat(40), patch_set: 3, ..seven.clone() };
        let cancel = Action::Cancel { run: id(1), review: "g/go~7".into(), commit: seven.commit.clone() };
        assert_eq!(
            decided(std::slice::from_ref(&newer), run(1, "running"), &[None]),
            [cancel, Action::Begin(newer)]
        );
    }

    #[test]
    fn a_run_ends_with_its_last_build() {
        let seven = [asked("go", "master", None)];
        let of = |outcomes: &[Option<&str>]| decided(&seven, run(1, "running"), outcomes);
        let end = |verdict| vec![Action::End { run: id(1), verdict }];
        assert_eq!(of(&[Some("ok"), None]), []);
        assert_eq!(of(&[Some("ok"), Some("ok"), Some("skipped")]), end(Verdict::Passed));
        assert_eq!(of(&[Some("failed"), Some("ok"), Some("infra_failed")]), end(Verdict::Failed(1)));
        assert_eq!(of(&[Some("infra_failed"), Some("ok"), Some("cancelled")]), end(Verdict::Unknown(2)));
        assert_eq!(of(&[Some("skipped")]), end(Verdict::Unknown(0)));
        assert_eq!(of(&[]), end(Verdict::Unknown(0)));
        let first = build(2, None).id;
        assert_eq!(of(&[None, Some("failed"), Some("failed")]), [Action::Tell { run: id(1), build: first }]);
    }
}
