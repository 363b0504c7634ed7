//! What is to be done about try runs, by what is asked and how those that were begun stand.

use std::collections::{HashMap, HashSet};

use store::builds::BuildRow;
use store::try_changes::TryChangeRow;
use store::try_runs::TryRunRow;
use store::{BuildId, TryRunId};

use super::asked::{Asked, Seen};
use super::subject::Hindrance;

/// A run that goes on, or whose commit may not be asked for again yet.
#[derive(Debug, Clone)]
pub struct Standing {
    /// As it is written down.
    pub run: TryRunRow,
    /// Its builds, of a run that goes on.
    pub builds: Vec<BuildRow>,
    /// What its change is tried with.
    pub with: Vec<TryChangeRow>,
    /// A builder whose rules are not those that were approved any more, while a build of it waits.
    pub other_rules: Option<String>,
}

/// Something to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "a look gives few")]
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
    /// A run is of what would not be tried now. It ends, and what is asked begins anew, if nothing is in the way of that.
    Anew {
        /// Which.
        run: TryRunId,
        /// Why, in words.
        why: String,
        /// What is in the way.
        hindrance: Option<Hindrance>,
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
    let wanted: HashMap<(String, &str), &Asked> =
        asked.iter().map(|asked| ((asked.review.to_string(), asked.commit.as_str()), asked)).collect();
    let mut actions = Vec::new();
    for standing in open {
        let Standing { run, builds, .. } = standing;
        let wants = wanted.get(&(run.review.clone(), run.commit.as_str())).copied();
        if let Some(action) = wants.and_then(|wants| otherwise(seen, wants, standing)) {
            actions.push(action);
            continue;
        }
        match (run.state.as_str(), wants.is_some()) {
            // Nobody can be asked whether they still want it.
            ("running", false) if seen.blind.contains(&run.repo) => actions.extend(goes_on(run.id, builds)),
            (_, false) if seen.blind.contains(&run.repo) => {}
            ("running", true) => actions.extend(goes_on(run.id, builds)),
            ("running", false) => actions.push(Action::Cancel {
                run: run.id,
                review: run.review.clone(),
                commit: run.commit.clone(),
            }),
            // Of a pull request, by a later word: it is begun anew at the next look.
            (_, true)
                if run.review.starts_with(super::pulls::HOST)
                    && wants.is_some_and(|by| by.change_id > run.change_id) =>
            {
                actions.push(Action::Settle(run.id));
            }
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

/// What is to be done about a run whose commit is wanted, and no more as it is tried.
fn otherwise(seen: &Seen, wants: &Asked, standing: &Standing) -> Option<Action> {
    let Standing { run, with, other_rules, .. } = standing;
    let differs = wants.subject.differs(with, &seen.landed);
    match run.state.as_str() {
        "running" => {
            let rules =
                other_rules.as_ref().map(|builder| format!("the rules of builder {builder} have changed"));
            let hindrance = wants.subject.hindrance.clone();
            differs.or(rules).map(|why| Action::Anew { run: run.id, why, hindrance })
        }
        // It was refused, and what was in the way is not any more.
        "cancelled" if wants.subject.hindrance.is_none() => differs.map(|_| Action::Settle(run.id)),
        _ => None,
    }
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

    use super::super::asked::Review;
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
            rules: String::new(),
        }
    }

    fn decided(asked: &[Asked], run: TryRunRow, outcomes: &[Option<&str>]) -> Vec<Action> {
        let builds = outcomes.iter().enumerate().map(|(n, outcome)| build(n as u8 + 1, *outcome)).collect();
        decide(&seen(asked), &[Standing { run, builds, with: Vec::new(), other_rules: None }])
    }

    fn seen(asked: &[Asked]) -> Seen {
        Seen { asked: asked.to_vec(), ..Seen::default() }
    }

    #[test]
    fn what_can_not_be_seen_is_not_taken_for_gone() {
        let blind = Seen { blind: ["go".to_owned()].into(), ..Seen::default() };
        let standing = |state: &str, outcome| {
            [Standing {
                run: run(1, state),
                builds: vec![build(1, outcome)],
                with: Vec::new(),
                other_rules: None,
            }]
        };
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
    fn a_later_word_asks_for_a_pull_request_s_commit_again() {
        let review = super::super::asked::Review { project: "github.com/o/go".into(), number: 7 };
        assert_eq!(super::super::asked::Review::parse("github.com/o/go#7").as_ref(), Some(&review));
        let by = |ask: &str| Asked {
            review: review.clone(),
            change_id: ask.into(),
            ..asked("go", "master", None)
        };
        let of =
            |state: &str| TryRunRow { review: review.to_string(), change_id: "5".into(), ..run(1, state) };
        for same in ["5", "4"] {
            assert_eq!(decided(&[by(same)], of("failed"), &[]), [], "what was said before, or is left of it");
        }
        assert_eq!(decided(&[by("6")], of("failed"), &[]), [Action::Settle(id(1))]);
        assert_eq!(decided(&[by("6")], of("running"), &[None]), [], "it goes on");
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

    #[test]
    fn a_run_of_other_changes_or_rules_begins_anew() {
        let one = [asked("go", "master", None)];
        let standing = |state: &str, with: Vec<TryChangeRow>, rules: Option<&str>| {
            let builds = vec![build(1, None)];
            [Standing { run: run(1, state), builds, with, other_rules: rules.map(str::to_owned) }]
        };
        let anew = |why: &str| Action::Anew { run: id(1), why: why.into(), hindrance: None };
        let why = "the rules of builder b have changed";
        assert_eq!(decide(&seen(&one), &standing("running", vec![], Some("b"))), [anew(why)]);
        let other = Review { project: "g/net".into(), number: 8 };
        let was = TryChangeRow {
            commit: "8".repeat(40),
            how: "depends".into(),
            ..Hindrance::new(&other, "").row()
        };
        let gone = decide(&seen(&one), &standing("running", vec![was.clone()], None));
        assert_eq!(gone, [anew("g/net~8 is not tried with it any more")]);
        let mut landed = seen(&one);
        landed.landed.insert("g/net~8".into(), "8".repeat(40));
        assert_eq!(decide(&landed, &standing("running", vec![was.clone()], None)), []);
        // What is over stays so, and what was refused is begun once nothing is in the way.
        assert_eq!(decide(&seen(&one), &standing("passed", vec![was], None)), []);
        let refused = || standing("cancelled", vec![Hindrance::new(&other, "").row()], None);
        assert_eq!(decide(&seen(&one), &refused()), [Action::Settle(id(1))]);
        let mut still = seen(&one);
        let hindrance = Hindrance::new(&other, "was abandoned");
        still.asked[0].subject.hindrance = Some(hindrance.clone());
        assert_eq!(decide(&still, &refused()), []);
        let ended =
            Action::Anew { run: id(1), why: "g/net~8 was abandoned".into(), hindrance: Some(hindrance) };
        assert_eq!(decide(&still, &standing("running", vec![], None)), [ended]);
    }
}
