//! Runs one test binary, or the examples in the documentation.

use std::collections::BTreeMap;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use anyhow::Result;
use serde::Deserialize;

use super::{Args, Binary, cargo};
use crate::process::{self, End, Line};
use crate::setup;

/// One binary may take this long; a hanging test is ended and named.
const LIMIT: Duration = Duration::from_secs(18 * 60);
/// One that runs beside others, on what these leave of the processors, may take this long.
const BESIDE_LIMIT: Duration = Duration::from_secs(20 * 60);
/// With `--long`.
const LONG_LIMIT: Duration = Duration::from_secs(60 * 60);
/// Tests of a binary that run at once: one more than the processors of the smallest machine that this is for, since tests
/// wait for a third of their time.
const THREADS: &str = "3";

/// What became of one test.
pub(super) struct Test {
    pub name: String,
    pub verdict: Verdict,
    pub seconds: f64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Passed,
    /// With what it printed.
    Failed(String),
    /// libtest's `ignored`: counts as left out, and fails the run.
    Ignored,
}

/// What became of one binary.
pub(super) struct Ran {
    pub name: String,
    pub tests: Vec<Test>,
    pub seconds: f64,
}

impl Ran {
    /// What could not be run, as a failure of its own: the verdicts of all else stay.
    pub(super) fn failed(name: &str, seconds: f64, why: String) -> Self {
        let test = Test { name: name.to_owned(), verdict: Verdict::Failed(why), seconds };
        Self { name: name.to_owned(), tests: vec![test], seconds }
    }

    /// What came of a run that may not have begun.
    pub(super) fn of(name: &str, run: impl FnOnce() -> Result<Self>) -> Self {
        let began = Instant::now();
        run().unwrap_or_else(|error| {
            let seconds = began.elapsed().as_secs_f64();
            println!("{name:<32} not run: {error:#}");
            Self::failed(name, seconds, format!("it could not be run: {error:#}"))
        })
    }
}

impl Run {
    fn limit(self, long: bool) -> Duration {
        match self {
            _ if long => LONG_LIMIT,
            Self::First => LIMIT,
            Self::Beside => BESIDE_LIMIT,
        }
    }
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Event {
    Test(TestEvent),
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
struct TestEvent {
    event: String,
    name: String,
    #[serde(default)]
    exec_time: f64,
    #[serde(default)]
    stdout: String,
    #[serde(default)]
    message: String,
}

/// How a binary is run.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Run {
    /// Before what else runs.
    First,
    /// While others do, which go before.
    Beside,
}

pub(super) fn binary(binary: &Binary, args: &Args, how: Run) -> Ran {
    Ran::of(&format!("{}::(the binary)", binary.name), || run(binary, args, how))
}

fn run(binary: &Binary, args: &Args, how: Run) -> Result<Ran> {
    let began = Instant::now();
    let mut command = match how {
        Run::First => Command::new(&binary.executable),
        Run::Beside => {
            let mut nice = Command::new("nice");
            nice.args(["-n", "5"]).arg(&binary.executable);
            nice
        }
    };
    command
        .args(["-Z", "unstable-options", "--format=json", "--report-time", "--test-threads", THREADS])
        .args(&args.filter)
        .env("RUSTC_BOOTSTRAP", "1")
        .env("CARGO_MANIFEST_DIR", &binary.folder)
        .env("BELLWETHER_BOOT", setup::path("boot")?)
        .current_dir(&binary.folder);
    if args.long {
        command.env("BELLWETHER_TEST_LONG", "1").env("PROPTEST_CASES", "4096");
    }
    let mut events = Events::default();
    let limit = how.limit(args.long);
    let end = process::stream(&mut command, limit, |line| events.take(line))?;
    let why = match end {
        End::Exited(status) if status.success() => None,
        End::Exited(status) => Some(status.to_string()),
        End::TimedOut => {
            Some(format!("not done after {} s, killed with all that it started", limit.as_secs()))
        }
    };
    let ran = events.finish(&binary.name, why, began.elapsed().as_secs_f64());
    println!("{:<32} {:>4} tests {:>7.1} s", ran.name, ran.tests.len(), ran.seconds);
    Ok(ran)
}

#[derive(Default)]
struct Events {
    running: BTreeMap<String, ()>,
    done: Vec<Test>,
    /// Lines outside the events: a crash says its last words here.
    other: Vec<String>,
}

impl Events {
    fn take(&mut self, line: Line) {
        let text = match line {
            Line::Err(text) => return self.other.push(text),
            Line::Out(text) => text,
        };
        let Ok(Event::Test(event)) = serde_json::from_str(&text) else {
            if !text.starts_with("{ \"type\"") {
                self.other.push(text);
            }
            return;
        };
        let verdict = match event.event.as_str() {
            "started" => {
                self.running.insert(event.name, ());
                return;
            }
            "ok" => Verdict::Passed,
            "ignored" => Verdict::Ignored,
            "timeout" => return,
            _ => Verdict::Failed(format!("{}{}", event.stdout, event.message)),
        };
        self.running.remove(&event.name);
        self.done.push(Test { name: event.name, verdict, seconds: event.exec_time });
    }

    fn finish(mut self, name: &str, why: Option<String>, seconds: f64) -> Ran {
        let failed = self.done.iter().any(|test| matches!(test.verdict, Verdict::Failed(_)));
        if let Some(why) = why
            && (!failed || !self.running.is_empty())
        {
            let last = self.other.len().saturating_sub(40);
            let text = format!("{why}\n{}", self.other[last..].join("\n"));
            // What was running when the binary ended did not pass; if nothing was, the binary itself did not.
            let mut open: Vec<String> = self.running.into_keys().collect();
            if open.is_empty() {
                open.push("(the binary)".to_owned());
            }
            self.done.extend(open.into_iter().map(|name| Test {
                name,
                verdict: Verdict::Failed(text.clone()),
                seconds,
            }));
        }
        for test in &mut self.done {
            test.name = format!("{name}::{}", test.name);
        }
        Ran { name: name.to_owned(), tests: self.done, seconds }
    }
}

/// Makes the fixture with Go's whole source, builds all of it, and compares with what was written down: one test.
pub(super) fn fixture() -> Result<Ran> {
    let began = Instant::now();
    let dir = tempfile::Builder::new().prefix("bw-fixture-").tempdir()?;
    let name = "fixture with make.bash".to_owned();
    let compared = crate::fixture::make(&dir.path().join("fixture"), crate::fixture::Size::Long)
        .and_then(|made| crate::expect::run(&crate::expect::Args::of(made, dir.path().join("data"))));
    let verdict = match compared {
        Ok(code) if code == ExitCode::SUCCESS => Verdict::Passed,
        Ok(_) => Verdict::Failed("the cells are not as written; see above".into()),
        Err(error) => Verdict::Failed(format!("{error:#}")),
    };
    let seconds = began.elapsed().as_secs_f64();
    Ok(Ran { name: name.clone(), tests: vec![Test { name, verdict, seconds }], seconds })
}

/// Runs the script of testkit against a real Gerrit, which is not built with the other tests: one test.
pub(super) fn gerrit() -> Result<Ran> {
    setup::ensure("gerrit")?;
    let name = "the script of a real Gerrit".to_owned();
    let mut command = cargo();
    command.args(["test", "--quiet", "--package", "testkit", "--test", "gerrit"]);
    apart(name, &mut command, LONG_LIMIT)
}

/// Has a server try changes of a real Gerrit, beside the other tests, and holds what is in the reviews then against what was
/// written down: one test.
pub(super) fn tries() -> Result<Ran> {
    setup::ensure("gerrit")?;
    let mut command = Command::new("nice");
    command.args(["-n", "5"]).arg(std::env::current_exe()?);
    command.args(["gerrit", "--try", "all", "--seed", "0"]);
    apart("changes of a real Gerrit are tried".to_owned(), &mut command, BESIDE_LIMIT)
}

/// Runs tests that are built apart from the others, as one test.
fn apart(name: String, command: &mut Command, limit: Duration) -> Result<Ran> {
    let began = Instant::now();
    let mut said = Vec::new();
    let end = process::stream(command, limit, |line| match line {
        Line::Out(text) | Line::Err(text) => said.push(text),
    })?;
    let verdict = match end {
        End::Exited(status) if status.success() => Verdict::Passed,
        End::Exited(_) => Verdict::Failed(said.join("\n")),
        End::TimedOut => Verdict::Failed(format!("not done after {} s", limit.as_secs())),
    };
    let seconds = began.elapsed().as_secs_f64();
    println!("{name:<32} {:>4} tests {seconds:>7.1} s", 1);
    Ok(Ran { name: name.clone(), tests: vec![Test { name, verdict, seconds }], seconds })
}

/// Builds `bellwether-query` and runs its tests, whose engine takes long to build where it was not built before: one test.
pub(super) fn query() -> Result<Ran> {
    let name = "bellwether-query".to_owned();
    let mut command = cargo();
    command.args(["test", "--quiet", "--locked", "--manifest-path", "query/Cargo.toml"]);
    apart(name, &mut command, LONG_LIMIT)
}

/// Runs each fuzz target for a minute: one test.
pub(super) fn fuzz() -> Result<Ran> {
    let began = Instant::now();
    let name = "fuzz targets".to_owned();
    let verdict = match crate::fuzz::run(&crate::fuzz::Args::all(60)) {
        Ok(code) if code == ExitCode::SUCCESS => Verdict::Passed,
        Ok(_) => Verdict::Failed("there are findings; see above".into()),
        Err(error) => Verdict::Failed(format!("{error:#}")),
    };
    let seconds = began.elapsed().as_secs_f64();
    Ok(Ran { name: name.clone(), tests: vec![Test { name, verdict, seconds }], seconds })
}

/// Runs the examples in the documentation by cargo, and reads its text.
pub(super) fn doc_tests(args: &Args) -> Result<Ran> {
    let began = Instant::now();
    let mut command = cargo();
    command.args(["test", "--doc", "--quiet", "--no-fail-fast"]).args(args.selection());
    command.args(["--", "--format=pretty", "--test-threads", THREADS]);
    let mut text = Vec::new();
    let end = process::stream(&mut command, LIMIT, |line| {
        text.push(match line {
            Line::Out(line) | Line::Err(line) => line,
        });
    })?;
    let seconds = began.elapsed().as_secs_f64();
    let mut tests: Vec<Test> = text.iter().filter_map(|line| doc_test(line, &text)).collect();
    let good = matches!(end, End::Exited(status) if status.success());
    let nothing = text.iter().any(|line| line.contains("no library targets found"));
    if !good && !nothing && !tests.iter().any(|test| matches!(test.verdict, Verdict::Failed(_))) {
        tests.push(Test { name: "doc::(cargo)".into(), verdict: Verdict::Failed(text.join("\n")), seconds });
    }
    println!("{:<32} {:>4} tests {:>7.1} s", "examples in documentation", tests.len(), seconds);
    Ok(Ran { name: "doc".into(), tests, seconds })
}

fn doc_test(line: &str, all: &[String]) -> Option<Test> {
    let (name, verdict) = line.strip_prefix("test ")?.rsplit_once(" ... ")?;
    let verdict = match verdict {
        "ok" => Verdict::Passed,
        // An example that is only shown says so in its fence.
        word if word.starts_with("ignored") => return None,
        _ => Verdict::Failed(all.join("\n")),
    };
    Some(Test { name: format!("doc::{name}"), verdict, seconds: 0.0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(lines: &[&str]) -> Events {
        let mut events = Events::default();
        for line in lines {
            events.take(Line::Out((*line).to_owned()));
        }
        events
    }

    #[test]
    fn events_become_tests_with_times() {
        let ran = events(&[
            r#"{ "type": "suite", "event": "started", "test_count": 2 }"#,
            r#"{ "type": "test", "event": "started", "name": "a" }"#,
            r#"{ "type": "test", "name": "a", "event": "ok", "exec_time": 0.5 }"#,
            r#"{ "type": "test", "event": "started", "name": "b" }"#,
            r#"{ "type": "test", "name": "b", "event": "failed", "exec_time": 0.1, "stdout": "why" }"#,
        ])
        .finish("store::it", Some("exit status: 101".into()), 0.6);
        assert_eq!(ran.tests.len(), 2);
        assert_eq!(ran.tests[0].name, "store::it::a");
        assert_eq!(ran.tests[0].verdict, Verdict::Passed);
        assert!((ran.tests[0].seconds - 0.5).abs() < 1e-9);
        assert_eq!(ran.tests[1].verdict, Verdict::Failed("why".into()));
    }

    #[test]
    fn a_binary_that_dies_fails_what_was_running() {
        let mut events = events(&[r#"{ "type": "test", "event": "started", "name": "a" }"#]);
        events.take(Line::Err("stack overflow".into()));
        let ran = events.finish("x", Some("signal: 6".into()), 1.0);
        assert_eq!(ran.tests.len(), 1);
        assert!(matches!(&ran.tests[0].verdict, Verdict::Failed(text) if text.contains("stack overflow")));
    }

    #[test]
    fn a_binary_that_fails_without_a_test_is_a_failure() {
        let ran = events(&[]).finish("x", Some("exit status: 1".into()), 1.0);
        assert_eq!(ran.tests[0].name, "x::(the binary)");
    }

    #[test]
    fn a_binary_that_can_not_be_started_is_a_failure_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let executable = folder.path().join("gone");
        let args = Args { long: false, filter: None, package: Vec::new() };
        let gone = Binary { name: "store::it".into(), executable, folder: folder.path().to_path_buf() };
        let ran = binary(&gone, &args, Run::First);
        assert_eq!((ran.tests.len(), ran.tests[0].name.as_str()), (1, "store::it::(the binary)"));
        assert!(matches!(&ran.tests[0].verdict, Verdict::Failed(why) if why.contains("could not be run")));
    }

    #[test]
    fn what_runs_beside_has_some_minutes_more() {
        assert_eq!(Run::Beside.limit(false), Duration::from_secs(1200));
        assert!(Run::First.limit(false) < Run::Beside.limit(false) && Run::Beside.limit(false) < LONG_LIMIT);
        let ran = events(&[]).finish("maintner::gerrit", Some("not done".into()), 1200.0);
        assert_eq!(ran.tests[0].name, "maintner::gerrit::(the binary)");
    }

    #[test]
    fn examples_are_read_from_cargos_text() {
        let all = vec![];
        assert!(doc_test("test src/a.rs - f (line 3) ... ok", &all).is_some());
        assert!(doc_test("test src/a.rs - f (line 3) ... ignored", &all).is_none());
        assert!(doc_test("running 3 tests", &all).is_none());
    }
}
