//! A history that is made up: a pure function of the time that it ends at.

use dashboard::api::{
    AttemptReport, BuildReport, BuildState, Cause, CommitInfo, Outcome, Span, StepReport, TestResult, Wait,
};
use jiff::{SignedDuration, Timestamp};
use store::{AttemptId, BuildId, Micros, WorkerId};

use super::story::{AUTHORS, DEEDS, Words, words};

/// The whole of it.
pub struct Made {
    pub repos: Vec<Repo>,
    /// The oldest first.
    pub builds: Vec<Build>,
}

/// A repository with all its commits.
pub struct Repo {
    pub name: &'static str,
    pub commits: Vec<CommitInfo>,
    /// The default branch first.
    pub branches: Vec<Branch>,
}

/// A branch, newest commit first.
pub struct Branch {
    pub name: &'static str,
    pub line: Vec<String>,
}

/// A build and the log of each of its attempts that has one.
pub struct Build {
    pub report: BuildReport,
    pub logs: Vec<String>,
    /// Results of the last attempt's tests, where they are kept.
    pub tests: Vec<TestResult>,
}

/// A builder of the demonstration.
pub struct BuilderOf {
    pub name: &'static str,
    repos: &'static [&'static str],
    /// How long its tests take, seconds.
    seconds: u64,
    /// In a thousand builds, so many fail for no reason.
    flaky: u64,
}

const ALL: &[&str] = &["flock", "tower", "pasture"];

/// Sorted by name, as the grid's columns are.
const BUILDERS: [BuilderOf; 8] = [
    BuilderOf { name: "darwin-arm64", repos: ALL, seconds: 140, flaky: 8 },
    BuilderOf { name: "docs", repos: &["flock", "pasture"], seconds: 25, flaky: 0 },
    BuilderOf { name: "freebsd-amd64", repos: &["flock", "tower"], seconds: 210, flaky: 5 },
    BuilderOf { name: "lint", repos: ALL, seconds: 15, flaky: 0 },
    BuilderOf { name: "linux-amd64", repos: ALL, seconds: 80, flaky: 2 },
    BuilderOf { name: "linux-amd64-race", repos: &["flock"], seconds: 330, flaky: 180 },
    BuilderOf { name: "linux-arm64", repos: ALL, seconds: 120, flaky: 2 },
    BuilderOf { name: "windows-amd64", repos: ALL, seconds: 260, flaky: 15 },
];

/// Who builds a repository.
pub fn builders_of(repo: &str) -> impl Iterator<Item = &'static BuilderOf> {
    BUILDERS.iter().filter(move |builder| builder.repos.contains(&repo))
}

/// Numbers that look like chance and are the same each time (SplitMix64).
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }

    fn fill(&mut self, to: &mut [u8]) {
        for chunk in to.chunks_mut(8) {
            chunk.copy_from_slice(&self.next().to_le_bytes()[..chunk.len()]);
        }
    }

    fn hash(&mut self) -> String {
        let mut bytes = [0; 20];
        self.fill(&mut bytes);
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Makes the history of the 30 days before `now`.
pub fn make(now: Timestamp) -> Made {
    let mut dice = Dice(0x5eed_0f5e_ed0f_5eed);
    let mut repos = Vec::new();
    let mut builds = Vec::new();
    for (name, commits) in [("flock", 72), ("tower", 30), ("pasture", 30)] {
        let mut repo = Repo { name, commits: Vec::new(), branches: Vec::new() };
        let main = line(&mut repo, &mut dice, now, commits, None);
        builds.extend(run(&mut dice, name, "main", &main, now));
        let hashes: Vec<String> = main.iter().rev().map(|commit| commit.hash.clone()).collect();
        repo.branches.push(Branch { name: "main", line: hashes });
        if name == "flock" {
            // Cut from main when it was half as old.
            let fork = main.len() / 2;
            let own = line(&mut repo, &mut dice, now, 8, Some(&main[fork]));
            builds.extend(run(&mut dice, name, "release-1", &own, now));
            let hashes = own.iter().rev().chain(main[..=fork].iter().rev()).map(|commit| commit.hash.clone());
            repo.branches.push(Branch { name: "release-1", line: hashes.collect() });
        }
        repos.push(repo);
    }
    builds.sort_by_key(|build| build.report.created);
    Made { repos, builds }
}

/// Adds commits on top of one, up to a few minutes ago where builds are to run now; the oldest first.
fn line(
    repo: &mut Repo,
    dice: &mut Dice,
    now: Timestamp,
    count: i64,
    on: Option<&CommitInfo>,
) -> Vec<CommitInfo> {
    let minutes = if repo.name == "flock" && on.is_none() { 4 } else { 45 };
    let end = now.as_microsecond() - minutes * 60_000_000;
    let start = on.map_or(end - 30 * 86_400_000_000, |commit| commit.time_us);
    let mut parent = on.map(|commit| commit.hash.clone());
    let mut made = Vec::new();
    for n in 1..=count {
        let step = (end - start) / count;
        let late = if n == count { 0 } else { dice.below(step.unsigned_abs() / 2) as i64 };
        let (author_name, author_email) = dice.pick(&AUTHORS);
        let package = dice.pick(&words(repo.name).packages);
        let message = format!(
            "{package}: {} {}\n\nSeen on the builders last week.\n",
            dice.pick(&DEEDS),
            dice.pick(&["the loop", "the index", "the parser", "its cache", "start-up", "the last step"])
        );
        let commit = CommitInfo {
            hash: dice.hash(),
            parents: parent.take().into_iter().collect(),
            author_name: author_name.to_owned(),
            author_email: Some(author_email.to_owned()),
            time_us: start + step * n + late,
            message,
        };
        parent = Some(commit.hash.clone());
        made.push(commit);
    }
    repo.commits.extend(made.iter().cloned());
    made
}

/// What is broken, until which commit, and which test shows it.
#[derive(Debug, Clone, Copy, Default)]
struct Broken {
    until: usize,
    test: usize,
}

/// Builds every commit of a line on every builder.
fn run(
    dice: &mut Dice,
    repo: &'static str,
    branch: &'static str,
    line: &[CommitInfo],
    now: Timestamp,
) -> Vec<Build> {
    let builders: Vec<_> = builders_of(repo).collect();
    let mut everywhere = Broken::default();
    let mut here = vec![Broken::default(); builders.len()];
    let mut builds = Vec::new();
    for (n, commit) in line.iter().enumerate() {
        let from_head = line.len() - 1 - n;
        if n >= everywhere.until && dice.below(100) < 2 {
            everywhere = Broken { until: n + 1 + dice.below(3) as usize, test: dice.below(5) as usize };
        }
        for (builder, here) in builders.iter().zip(&mut here) {
            if n >= here.until && dice.below(1000) < 12 {
                *here = Broken { until: n + 2 + dice.below(4) as usize, test: dice.below(5) as usize };
            }
            let tests = builder.name != "lint" && builder.name != "docs";
            // The head of the first repository is at work, all others are done.
            let fate = match (repo, branch, from_head) {
                ("flock", "main", 0) if builder.seconds > 200 => Fate::Queued,
                ("flock", "main", 0) if builder.seconds > 100 => Fate::Running,
                ("flock", "main", 3) if builder.name == "darwin-arm64" => Fate::InfraFailed,
                ("flock", "main", 5) if builder.name == "freebsd-amd64" => Fate::SetAside,
                ("flock", "main", 7) if builder.name == "windows-amd64" => Fate::TimedOut,
                ("tower", _, 4) if builder.name == "linux-arm64" => Fate::OutOfMemory,
                ("pasture", _, 6) if builder.name == "docs" => Fate::Cancelled,
                _ if from_head > 0 && tests && n < everywhere.until => Fate::Failed(everywhere.test),
                _ if from_head > 0 && tests && n < here.until => Fate::Failed(here.test),
                _ if dice.below(1000) < builder.flaky => Fate::Failed(5),
                _ => Fate::Ok,
            };
            let id = |from: &mut Dice| BuildId::new(Micros(commit.time_us), &mut |to| from.fill(to));
            let maker =
                Maker { repo, branch, builder, commit, now, words: words(repo), id: id(dice).to_string() };
            builds.push(maker.build(dice, fate));
        }
    }
    builds
}

/// What becomes of a build.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Ok,
    /// By this test.
    Failed(usize),
    TimedOut,
    OutOfMemory,
    /// Three workers were lost.
    InfraFailed,
    /// The first worker was not clean after the build before and was set aside; the second attempt is fine.
    SetAside,
    Cancelled,
    Running,
    Queued,
}

struct Maker<'a> {
    repo: &'static str,
    branch: &'static str,
    builder: &'static BuilderOf,
    commit: &'a CommitInfo,
    now: Timestamp,
    words: &'static Words,
    id: String,
}

fn cause(kind: &str, detail: &str) -> Option<Cause> {
    Some(Cause { kind: kind.to_owned(), detail: detail.to_owned() })
}

impl Maker<'_> {
    fn build(&self, dice: &mut Dice, fate: Fate) -> Build {
        let committed = Timestamp::from_microsecond(self.commit.time_us).unwrap_or_default();
        let created = committed + SignedDuration::from_millis(400 + dice.below(3000) as i64);
        let mut report = BuildReport {
            id: self.id.clone(),
            builder: self.builder.name.to_owned(),
            repo: self.repo.to_owned(),
            branch: self.branch.to_owned(),
            revision: format!("{}@{}", self.repo, self.commit.hash),
            class: "post_submit".to_owned(),
            state: BuildState::Done,
            outcome: None,
            cause: None,
            fence: 1,
            version: 1,
            created,
            started: None,
            ended: None,
            expected_ms: None,
            recipe: None,
            wait: None,
            attempts: Vec::new(),
            trigger: Some("commit".to_owned()),
            url: None,
            failure: None,
            sample: false,
        };
        let mut logs = Vec::new();
        let (outcome, why, tries) = match fate {
            Fate::Queued => {
                report.state = BuildState::Queued;
                let reason = format!("waits for a worker of {}: 2 of 2 are busy", self.builder.name);
                report.wait = Some(Wait { reason, since: Some(created), ahead: Some(1) });
                return Build { report, logs, tests: Vec::new() };
            }
            Fate::Running => {
                report.state = BuildState::Running;
                report.expected_ms = Some(self.builder.seconds * 1000);
                (None, None, 1)
            }
            Fate::Ok => (Some(Outcome::Ok), None, 1),
            Fate::SetAside => (Some(Outcome::Ok), None, 2),
            Fate::Failed(_) => (Some(Outcome::Failed), cause("exit", "step test exited 1"), 1),
            Fate::TimedOut => (Some(Outcome::Failed), cause("timeout", "step test ran longer than 20m"), 1),
            Fate::OutOfMemory => {
                (Some(Outcome::Failed), cause("limit", "memory: step test needed more than 4 GiB"), 1)
            }
            Fate::InfraFailed => {
                (Some(Outcome::InfraFailed), cause("worker_lost", "the buildlet no longer answers"), 3)
            }
            Fate::Cancelled => {
                (Some(Outcome::Cancelled), cause("person", "ada: superseded by the next commit"), 1)
            }
        };
        let queued = SignedDuration::from_millis(200 + dice.below(90_000) as i64);
        let mut at =
            if fate == Fate::Running { self.now - SignedDuration::from_secs(45) } else { created + queued };
        report.started = Some(at);
        for number in 1..=tries {
            let last = number == tries;
            let (ended, said) = match fate {
                Fate::SetAside if !last => (
                    Some(Outcome::InfraFailed),
                    cause(
                        "set_aside",
                        "a canary outlived the wipe: /dev/shm/canary; the worker takes no more work",
                    ),
                ),
                _ => (outcome, why.clone()),
            };
            let (attempt, log) = self.attempt(dice, number, fate, created, at, (ended, said));
            at = attempt.ended.unwrap_or(at) + SignedDuration::from_secs(2);
            report.ended = attempt.ended;
            report.attempts.push(attempt);
            logs.push(log);
        }
        report.outcome = outcome;
        report.cause = why;
        let tests = self.tests(fate);
        Build { report, logs, tests }
    }

    /// What each test did; those of old builds that were ok are not kept.
    fn tests(&self, fate: Fate) -> Vec<TestResult> {
        let failing = match fate {
            Fate::Failed(test) => Some(test),
            Fate::Ok => None,
            _ => return Vec::new(),
        };
        let age = self.now.as_microsecond() - self.commit.time_us;
        if ["lint", "docs"].contains(&self.builder.name) || (failing.is_none() && age > 7 * 86_400_000_000) {
            return Vec::new();
        }
        let result = |(n, name): (usize, &&str)| TestResult {
            id: (*name).to_owned(),
            outcome: if failing == Some(n) { "failed" } else { "ok" }.to_owned(),
            duration_us: Some((n as i64 + 1) * 90_000 + self.commit.time_us % 70_000),
            message: (failing == Some(n)).then(|| "3 is not 4".to_owned()),
            ..TestResult::default()
        };
        self.words.tests.iter().enumerate().map(result).collect()
    }

    /// One attempt: its spans follow one another from the time it was queued, so they add up to the total.
    fn attempt(
        &self,
        dice: &mut Dice,
        number: u32,
        fate: Fate,
        created: Timestamp,
        started: Timestamp,
        (outcome, cause): (Option<Outcome>, Option<Cause>),
    ) -> (AttemptReport, String) {
        let id = AttemptId::new(Micros(started.as_microsecond()), &mut |to| dice.fill(to)).to_string();
        let worker = WorkerId::new(Micros(started.as_microsecond()), &mut |to| dice.fill(to)).to_string();
        let lost = outcome == Some(Outcome::InfraFailed);
        let log = self.log(fate, lost);
        let full = match fate {
            Fate::TimedOut => 1_200_000,
            Fate::Cancelled => 9000,
            _ => self.builder.seconds * 1000,
        };
        let test = full * (80 + dice.below(40)) / 100;
        let parts = [
            ("lease", 3),
            ("source", 90),
            ("unpack", 140),
            ("build", full / 5),
            ("test", test),
            ("report", 30),
        ];
        let stops_after = match (fate, lost) {
            (Fate::SetAside, true) => "lease",
            (_, true) => "test",
            (Fate::Running, _) => "build",
            _ => "",
        };
        let begun = if number == 1 { created } else { started };
        let mut spans = vec![span("queued", begun, Some(started))];
        let mut steps = Vec::new();
        let mut at = started;
        for (name, millis) in parts {
            let open = fate == Fate::Running && name == "test";
            let end = (!open).then(|| at + SignedDuration::from_millis(millis as i64));
            spans.push(span(name, at, end));
            if name == "build" || name == "test" {
                let failed = name == "test" && cause.is_some();
                let command = if name == "build" { self.words.build } else { self.words.test };
                let exit = match (open || (failed && lost), failed) {
                    (true, _) => None,
                    (false, failed) => Some(i32::from(failed)),
                };
                steps.push(StepReport {
                    name: name.to_owned(),
                    index: None,
                    command: Some(command.to_owned()),
                    started: Some(at),
                    ended: end,
                    exit,
                    first_byte: None,
                    end_byte: None,
                });
            }
            match end {
                Some(end) => at = end,
                None => break,
            }
            if lost && name == stops_after {
                break;
            }
        }
        if lost && let Some(last) = spans.last_mut() {
            last.error = cause.as_ref().map(|cause| cause.detail.clone());
        }
        let ended = (fate != Fate::Running).then_some(at);
        let warnings = match dice.below(60) {
            0 if outcome == Some(Outcome::Ok) => vec!["2 processes were left behind and ended".to_owned()],
            _ => Vec::new(),
        };
        let attempt = AttemptReport {
            id,
            number,
            worker: Some(worker),
            host: Some(self.builder.name.to_owned()),
            state: Some(if ended.is_some() { BuildState::Done } else { BuildState::Running }),
            outcome,
            cause,
            started: Some(started),
            ended,
            spans,
            inputs: self.inputs(),
            warnings,
            steps,
            job: None,
            spread: None,
        };
        (attempt, log)
    }

    fn inputs(&self) -> std::collections::BTreeMap<String, serde_json::Value> {
        let inputs = [
            ("commits", format!("{} {}", self.repo, self.commit.hash)),
            ("machine", format!("made up, {}, 8 processors, 32 GiB", self.builder.name)),
            ("buildlet_version", env!("CARGO_PKG_VERSION").to_owned()),
            ("configuration", "bellwether.toml at the same commit".to_owned()),
        ];
        inputs.map(|(name, value)| (name.to_owned(), value.into())).into()
    }

    fn log(&self, fate: Fate, lost: bool) -> String {
        let whole = |failing| self.words.log(failing);
        let part = |text: String| text.lines().take(8).map(|line| format!("{line}\n")).collect::<String>();
        match fate {
            _ if lost => part(whole(None)),
            Fate::Failed(test) => whole(Some(test)),
            Fate::TimedOut => part(whole(None)) + "step test ran longer than 20m and was ended\n",
            Fate::OutOfMemory => {
                part(whole(None)) + "error: process ended by signal 9: out of memory (4 GiB)\n"
            }
            Fate::Cancelled | Fate::Running => part(whole(None)),
            _ => whole(None),
        }
    }
}

fn span(name: &str, start: Timestamp, end: Option<Timestamp>) -> Span {
    Span { name: name.to_owned(), detail: String::new(), start, end, error: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made() -> Made {
        make("2026-03-31T12:00:00Z".parse().unwrap())
    }

    #[test]
    fn it_is_the_same_each_time() {
        let reports = |made: Made| made.builds.into_iter().map(|build| build.report).collect::<Vec<_>>();
        assert_eq!(reports(made()), reports(made()));
    }

    #[test]
    fn most_of_it_is_green_and_everything_happens() {
        let builds = made().builds;
        let count = |outcome| builds.iter().filter(|build| build.report.outcome == Some(outcome)).count();
        let green = count(Outcome::Ok) * 100 / builds.len();
        assert!((85..=95).contains(&green), "{green} %");
        assert_eq!((count(Outcome::InfraFailed), count(Outcome::Cancelled)), (1, 1));
        let in_state = |state| builds.iter().filter(|build| build.report.state == state).count();
        assert!(in_state(BuildState::Running) >= 2 && in_state(BuildState::Queued) >= 2);
        let of = |name: &str| builds.iter().filter(|build| build.report.builder == name).collect::<Vec<_>>();
        let red = |name| {
            let all = of(name);
            all.iter().filter(|build| build.report.outcome == Some(Outcome::Failed)).count() * 100 / all.len()
        };
        assert!(red("linux-amd64-race") > 10 && red("lint") == 0, "{}", red("linux-amd64-race"));
        let now = "2026-03-31T12:00:00Z".parse::<Timestamp>().unwrap();
        for build in &builds {
            let report = &build.report;
            assert!(now.duration_since(report.created) < SignedDuration::from_hours(31 * 24));
            assert!(report.ended.unwrap_or(now) <= now, "{report:#?}");
            for attempt in &report.attempts {
                for pair in attempt.spans.windows(2) {
                    assert_eq!(pair[0].end, Some(pair[1].start), "spans add up");
                }
            }
        }
    }

    #[test]
    fn what_fails_can_be_told() {
        for build in made().builds {
            let Some(Outcome::Failed) = build.report.outcome else { continue };
            let failure = dashboard::extract::first_failure(build.logs.last().unwrap().lines()).unwrap();
            let exit = build.report.cause.is_some_and(|cause| cause.kind == "exit");
            assert_eq!(failure.test.is_some(), exit, "{failure:?}");
        }
    }
}
