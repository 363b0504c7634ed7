//! Goes on with bisections: counts what came back, and asks for more.

use std::collections::HashMap;

use store::bisections::BisectionRow;
use store::builds::{self, BuildRow, NewBuild};
use store::samples::{self, SampleRow};
use store::{BuildId, Micros};
use triage::Bisection;
use triage::bisect::{Answer, Found, Limits, Probe, Rates, Step};
use triage::verdict::Outcome;

use super::range::Doc;
use super::{Culprits, Work, say};
use crate::clock::new_id;
use crate::samples::{Told, Trouble};
use crate::schedule::Class;

/// So many builds of a bisection are asked for at once. They wait for machines that nobody else wants.
const AT_ONCE: usize = 4;
/// How often a break is made once more where machines lose it.
const CONFIRMED: usize = 3;

impl Culprits {
    /// A build of a commit of the range.
    pub(super) fn sample(
        &self,
        of: &BisectionRow,
        doc: &Doc,
        place: &str,
        commit: &str,
        n: i64,
    ) -> (NewBuild, SampleRow) {
        let id = new_id!(BuildId, **self.finder.shared.ledger.clock());
        let new = NewBuild {
            id,
            builder: of.builder.clone(),
            repo: of.repo.clone(),
            branch: of.branch.clone(),
            toolchain_branch: doc.toolchain_branch.clone(),
            revision: doc.revision(&of.repo, commit),
            class: Class::Backfill.as_str(),
            priority: 0,
            commit_time: Micros(doc.commit(commit).map_or(0, |one| one.time)),
            untrusted: false,
            sample: format!("{}/{n}", of.id),
            avoid: if place == "confirm" { doc.worker.clone() } else { String::new() },
            rules: String::new(),
        };
        (new, SampleRow { build: id, owner: of.id.to_string(), place: place.to_owned(), n, counted: false })
    }

    /// Does what there is to do for a bisection that is open.
    pub(super) async fn go_on(&self, row: BisectionRow) -> Result<(), Trouble> {
        let shared = &self.finder.shared;
        let Ok(mut doc) = serde_json::from_str::<Doc>(&row.doc) else {
            let said = "what is kept of it can't be read";
            return self.over(row, None, ("failed", None), said.to_owned(), Work::default()).await;
        };
        let mut reader = shared.ledger.db().read().await?;
        let made = samples::of_owner(&mut reader, &row.id.to_string()).await?;
        let mut rows: HashMap<BuildId, BuildRow> = HashMap::new();
        for sample in made.iter().filter(|sample| !sample.counted) {
            rows.extend(builds::get(&mut reader, sample.build).await?.map(|row| (row.id, row)));
        }
        drop(reader);
        let mut work = Work::default();
        let mut back = Vec::new();
        for sample in &made {
            let Some(build) = rows.get(&sample.build) else { continue };
            let told = match build.state.as_str() {
                "done" => Told::of(shared, build).await?,
                _ => None,
            };
            match told {
                Some(told) => {
                    back.push((sample.place.clone(), found(&row, &doc, &told)));
                    work.counted.push(build.id);
                }
                None => work.over.push(build.id),
            }
        }
        let (running, next) = (work.over.len(), made.len() as i64);
        if doc.search.is_none() {
            let Some((_, seen)) = back.last() else { return Ok(()) };
            return self.confirmed(row, doc, *seen, next, work).await;
        }
        let Some(search) = &mut doc.search else { return Ok(()) };
        for (place, found) in &back {
            let probe = place.strip_prefix("probe ").and_then(|id| id.parse().ok());
            if let Some(Err(error)) = probe.map(|probe| search.report(probe, *found)) {
                tracing::warn!(bisection = %row.id, %error, "a build of a bisection is not counted");
            }
        }
        let before = serde_json::to_string(&*search).unwrap_or_default();
        match search.step(AT_ONCE.saturating_sub(running)) {
            Step::Test(probes) => {
                work.over.clear();
                work.new = self.probes(&row, &doc, probes, next);
                self.carry_out(&written(row, &doc), work).await
            }
            Step::Wait
                if back.is_empty() && serde_json::to_string(&*search).is_ok_and(|now| now == before) =>
            {
                Ok(())
            }
            Step::Wait => {
                work.over.clear();
                self.carry_out(&written(row, &doc), work).await
            }
            Step::Done => {
                let Some(answer) = search.take_notice() else { return Ok(()) };
                let tests = search.tests();
                self.answered(row, doc, answer, tests, work).await
            }
        }
    }

    fn probes(
        &self,
        row: &BisectionRow,
        doc: &Doc,
        probes: Vec<Probe>,
        next: i64,
    ) -> Vec<(NewBuild, SampleRow)> {
        let one = |(n, probe): (i64, Probe)| {
            self.sample(row, doc, &format!("probe {}", probe.id), &probe.commit, n)
        };
        (next..).zip(probes).map(one).collect()
    }

    /// What becomes of a break that was made once more.
    async fn confirmed(
        &self,
        row: BisectionRow,
        mut doc: Doc,
        seen: Found,
        next: i64,
        mut work: Work,
    ) -> Result<(), Trouble> {
        match seen {
            Found::Bad => {}
            Found::Good => {
                let said = "it went well when it was built once more: nothing is broken".to_owned();
                return self.over(row, Some(&doc), ("flake", None), said, work).await;
            }
            Found::Untestable => {
                let said = "it failed in another way when it was built once more: what broke is not clear";
                return self.over(row, Some(&doc), ("failed", None), said.to_owned(), work).await;
            }
            Found::Lost if next as usize >= CONFIRMED => {
                let said = "machines lost each build that was to confirm it".to_owned();
                return self.over(row, Some(&doc), ("failed", None), said, work).await;
            }
            Found::Lost => {
                let Some(newest) = doc.commits.last().map(|one| one.hash.clone()) else { return Ok(()) };
                work.new = vec![self.sample(&row, &doc, "confirm", &newest, next)];
                return self.carry_out(&row, work).await;
            }
        }
        let commits = doc.commits.iter().map(|one| one.hash.clone()).collect();
        let mut search = match Bisection::new(commits, Rates::default(), Limits::default()) {
            Ok(search) => search,
            Err(error) => {
                let said = format!("the range can't be searched: {error}");
                return self.over(row, Some(&doc), ("failed", None), said, work).await;
            }
        };
        let step = search.step(AT_ONCE);
        doc.search = Some(search);
        if let Step::Test(probes) = step {
            work.new = self.probes(&row, &doc, probes, next);
        }
        let row = BisectionRow { state: "running".to_owned(), ..row };
        self.carry_out(&written(row, &doc), work).await
    }

    async fn answered(
        &self,
        row: BisectionRow,
        doc: Doc,
        answer: Answer,
        tests: u64,
        mut work: Work,
    ) -> Result<(), Trouble> {
        let config = self.finder.config.borrow().clone();
        let said = say::sentence(&row, &doc, &answer, tests);
        let (word, culprit) = match answer {
            Answer::Culprit { commit, .. } => ("culprit", Some(commit)),
            Answer::OneOf { .. } => ("one_of", None),
            Answer::NotTheCode { .. } => ("builder", None),
            Answer::Gone { .. } => ("gone", None),
            Answer::GaveUp { .. } => ("gave_up", None),
        };
        if let Some(commit) = &culprit {
            let mut reader = self.finder.shared.ledger.db().read().await?;
            let tried = store::try_runs::by_commit(&mut reader, commit).await?;
            let now = self.finder.shared.ledger.clock().now();
            work.message = say::message(&config, &row, &doc, commit, &said, tried.as_ref(), now);
        }
        if word == "builder" {
            let (builder, repo) = (&row.builder, &row.repo);
            tracing::error!(bisection = %row.id, builder, repo, "a builder broke for reasons of its own: {said}");
        }
        self.over(row, Some(&doc), (word, culprit), said, work).await
    }

    async fn over(
        &self,
        row: BisectionRow,
        doc: Option<&Doc>,
        (answer, culprit): (&str, Option<String>),
        sentence: String,
        work: Work,
    ) -> Result<(), Trouble> {
        tracing::info!(bisection = %row.id, answer, culprit, "a bisection is over");
        let row = match doc {
            Some(doc) => written(row, doc),
            None => row,
        };
        let row = BisectionRow {
            state: "done".to_owned(),
            answer: Some(answer.to_owned()),
            culprit,
            sentence,
            ended: Some(self.finder.shared.ledger.clock().now()),
            ..row
        };
        self.carry_out(&row, work).await
    }
}

fn written(row: BisectionRow, doc: &Doc) -> BisectionRow {
    BisectionRow { doc: serde_json::to_string(doc).unwrap_or_default(), ..row }
}

/// What a build of a commit tells of the break.
fn found(row: &BisectionRow, doc: &Doc, told: &Told) -> Found {
    match told.says_of(&row.test, &doc.variant) {
        Outcome::Passed => Found::Good,
        Outcome::Failed(signature) if signature.0 == row.signature => Found::Bad,
        // Before it was written it did not fail.
        Outcome::Absent if told.outcome == "ok" => Found::Good,
        Outcome::Failed(_) | Outcome::Absent | Outcome::Unbuildable => Found::Untestable,
        Outcome::Infra => Found::Lost,
    }
}

#[cfg(test)]
mod tests {
    use dashboard::api::TestResult;
    use store::{AttemptId, BisectionId};

    use super::super::range::Commit;
    use super::*;

    fn told(outcome: &str, kind: &str, test: &str) -> Told {
        let signature = (test == "failed").then(|| "it broke".to_owned());
        let result = TestResult {
            id: "net.TestDial".into(),
            outcome: test.into(),
            signature,
            ..TestResult::default()
        };
        Told {
            outcome: outcome.into(),
            cause: dashboard::api::Cause { kind: kind.into(), detail: "test: exit status 1".into() },
            tests: if test.is_empty() { Vec::new() } else { vec![result] },
            ..Told::default()
        }
    }

    fn of_64() -> (BisectionRow, Doc) {
        let commit = |n: i64| Commit {
            hash: format!("{n:040x}"),
            title: format!("Commit {n}"),
            author: "Anna".into(),
            email: Some("anna@example.org".into()),
            time: n,
        };
        let doc = Doc {
            commits: (0..=64).map(commit).collect(),
            rest: String::new(),
            toolchain_branch: None,
            variant: String::new(),
            worker: String::new(),
            search: None,
        };
        let row = BisectionRow {
            id: BisectionId::new(Micros(1), &mut |to| to.fill(1)),
            builder: "linux".into(),
            repo: "one".into(),
            branch: "main".into(),
            build: BuildId::new(Micros(1), &mut |to| to.fill(1)),
            attempt: AttemptId::new(Micros(1), &mut |to| to.fill(1)),
            test: "net.TestDial".into(),
            signature: "it broke".into(),
            state: "running".into(),
            answer: None,
            culprit: None,
            sentence: String::new(),
            doc: String::new(),
            began: Micros(1),
            ended: None,
        };
        (row, doc)
    }

    /// From the results of builds to the one message, with what lies in the database between two looks.
    #[test]
    fn of_64_commits_with_5_untestable_the_culprit_is_named_in_5_rounds_and_told_once() {
        let text = "[mail]\nsmtp = \"smtp://127.0.0.1\"\nfrom = \"ci@example.org\"\n";
        let none = |_: &str| Err(std::io::ErrorKind::NotFound.into());
        let config = buildenv::load(&[buildenv::Source::server("x", text)], &none, None).unwrap();
        let mut random = fastrand::Rng::with_seed(1);
        for culprit in (1..=64).step_by(3) {
            let mut untestable = std::collections::BTreeSet::new();
            while untestable.len() < 5 {
                // What is beside the culprit hides which of both it is.
                untestable.extend(Some(random.usize(1..64)).filter(|at| at.abs_diff(culprit) > 1));
            }
            let (row, mut doc) = of_64();
            let commits = doc.commits.iter().map(|one| one.hash.clone()).collect();
            doc.search = Some(Bisection::new(commits, Rates::default(), Limits::default()).unwrap());
            let (mut rounds, mut messages) = (0, Vec::new());
            loop {
                doc = serde_json::from_str(&serde_json::to_string(&doc).unwrap()).unwrap();
                let search = doc.search.as_mut().unwrap();
                let probes = match search.step(AT_ONCE) {
                    Step::Test(probes) => probes,
                    Step::Wait => panic!("nothing is under way"),
                    Step::Done => {
                        let Some(answer) = search.take_notice() else { break };
                        let tests = search.tests();
                        let Answer::Culprit { commit, .. } = &answer else { panic!("{answer:?}") };
                        assert_eq!(*commit, doc.commits[culprit].hash);
                        let said = say::sentence(&row, &doc, &answer, tests);
                        messages.extend(say::message(&config, &row, &doc, commit, &said, None, Micros(1)));
                        continue;
                    }
                };
                rounds += 1;
                assert!(rounds <= 5, "{culprit} {untestable:?}");
                let place: HashMap<&str, usize> =
                    doc.commits.iter().enumerate().map(|(at, one)| (one.hash.as_str(), at)).collect();
                let results: Vec<_> = probes
                    .iter()
                    .map(|probe| {
                        let at = place[probe.commit.as_str()];
                        let told = match at {
                            at if untestable.contains(&at) => told("failed", "exit", ""),
                            at if at >= culprit => told("failed", "exit", "failed"),
                            _ => told("ok", "", "ok"),
                        };
                        (probe.id, found(&row, &doc, &told))
                    })
                    .collect();
                let search = doc.search.as_mut().unwrap();
                results.into_iter().for_each(|(id, found)| search.report(id, found).unwrap());
            }
            assert_eq!(messages.len(), 1, "told once");
            assert!(messages[0].body.to_string().contains("anna@example.org"), "{:?}", messages[0]);
        }
    }
}
