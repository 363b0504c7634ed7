//! libtest for people, as `cargo test` shows it.

use crate::lines::Line;
use crate::results::{Results, seconds};
use crate::text::Text;
use crate::{Measure, Outcome, Test};

/// What rustdoc adds to the names of its tests, and libtest to those that are to panic.
const SUFFIXES: [&str; 4] = [" - should panic", " - compile fail", " - compile", " - ignore"];

/// The program whose tests run, by what cargo says of it.
#[derive(Debug, Default)]
pub(crate) struct Target(String);

impl Target {
    /// Takes `Running tests/it.rs (target/debug/deps/it-0123456789abcdef)`, or `Doc-tests NAME`. Says whether it was one.
    pub fn line(&mut self, text: &str) -> bool {
        let text = text.trim_start();
        if let Some(name) = text.strip_prefix("Doc-tests ") {
            name.trim().clone_into(&mut self.0);
            return true;
        }
        let Some(path) = text.strip_prefix("Running ").and_then(|text| text.trim_end().strip_suffix(')'))
        else {
            return false;
        };
        let Some((_, path)) = path.rsplit_once(" (") else { return false };
        let name = path.rsplit(['/', '\\']).next().unwrap_or(path);
        let name = name.strip_suffix(".exe").unwrap_or(name);
        let hash = |hash: &str| hash.len() == 16 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
        match name.rsplit_once('-') {
            Some((name, end)) if hash(end) => name.clone_into(&mut self.0),
            _ => name.clone_into(&mut self.0),
        }
        true
    }

    /// The whole name of one of its tests. The line of an example in the documentation is no part of it: it changes with
    /// whatever is written above.
    pub fn of(&self, name: &str) -> String {
        let name = SUFFIXES.iter().find_map(|suffix| name.strip_suffix(suffix)).unwrap_or(name);
        let name = match name.rsplit_once(" (line ") {
            Some((name, line)) if line.strip_suffix(')').is_some_and(|line| line.parse::<u32>().is_ok()) => {
                name
            }
            _ => name,
        };
        if self.0.is_empty() { name.to_owned() } else { format!("{}::{name}", self.0) }
    }

    pub fn name(&self) -> &str {
        &self.0
    }
}

#[derive(Debug)]
struct Failed {
    name: String,
    micros: Option<u64>,
    first: u64,
    end: u64,
    text: Text,
}

#[derive(Debug, Default)]
pub(crate) struct Libtest {
    target: Target,
    failed: Vec<Failed>,
    /// Whose output the next lines are, of those that failed.
    at: Option<usize>,
    /// A test that was named and has not ended: where tests run one by one.
    begun: Option<(String, u64)>,
    /// How many tests the suite has, how many were told of, and where it began.
    suite: Option<(u64, u64, u64)>,
    end: u64,
}

impl Libtest {
    pub fn line(&mut self, line: &Line<'_>, results: &mut Results) {
        let text = line.text();
        let ends = text.starts_with("test result: ");
        if ends || suite(&text).is_some() || (self.suite.is_none() && self.target.line(&text)) {
            self.end_suite(ends, results);
            self.suite = suite(&text).map(|tests| (tests, 0, line.first));
            self.end = line.end;
            return;
        }
        if self.suite.is_some() && is_target(&text) {
            self.end_suite(false, results);
            self.target.line(&text);
            return;
        }
        if self.suite.is_none() {
            return;
        }
        self.end = line.end;
        if let Some(name) = text.strip_prefix("---- ").and_then(|text| text.strip_suffix(" ----")) {
            let name = name.rsplit_once(" std").map_or(name, |(name, _)| name);
            self.at = self.failed.iter().position(|failed| failed.name == name);
            if let Some(failed) = self.at.and_then(|at| self.failed.get_mut(at)) {
                failed.first = line.first;
                failed.end = line.end;
            }
            return;
        }
        if text == "failures:" || text == "successes:" {
            self.at = None;
            return;
        }
        if let Some(failed) = self.at.and_then(|at| self.failed.get_mut(at)) {
            if !text.is_empty() {
                failed.end = line.end;
            }
            return results.line(&mut failed.text, line.bytes);
        }
        if let Some(name) = text.strip_suffix(" --- FAILED").filter(|name| !name.is_empty()) {
            return self.ended(name, Said::failed(), line, results);
        }
        if let Some((name, said)) = text.strip_prefix("test ").and_then(|text| text.split_once(" ... ")) {
            match outcome(said) {
                Some(said) => self.ended(name, said, line, results),
                None => self.begun = Some((name.to_owned(), line.first)),
            }
        } else if let Some(said) = self.begun.as_ref().and_then(|_| outcome(&text)) {
            let Some((name, first)) = self.begun.take() else { return };
            self.ended(
                &name,
                said,
                &Line { first, end: line.end, bytes: line.bytes, cut: line.cut },
                results,
            );
        }
    }

    fn ended(&mut self, name: &str, said: Said, line: &Line<'_>, results: &mut Results) {
        self.begun = None;
        if let Some((_, told, _)) = &mut self.suite {
            *told += 1;
        }
        let Said { outcome, micros, measure, message } = said;
        if outcome == Outcome::Failed && self.failed.len() < results.limits.open {
            let (first, end, text) = (line.first, line.end, Text::default());
            let name = name.strip_suffix(" - should panic").unwrap_or(name);
            return self.failed.push(Failed { name: name.to_owned(), micros, first, end, text });
        }
        let (id, bytes) = (self.target.of(name), Some(line.first..line.end));
        results.put(Test { id, variant: String::new(), outcome, micros, bytes, measure, message });
    }

    fn end_suite(&mut self, whole: bool, results: &mut Results) {
        self.at = None;
        let begun = self.begun.take();
        for failed in std::mem::take(&mut self.failed) {
            let message = results.message(Outcome::Failed, failed.text);
            results.put(Test {
                id: self.target.of(&failed.name),
                outcome: Outcome::Failed,
                micros: failed.micros,
                bytes: Some(failed.first..failed.end),
                message,
                ..Test::default()
            });
        }
        let Some((tests, told, first)) = self.suite.take() else { return };
        let unfinished = |id, first, message| Test {
            id,
            outcome: Outcome::Unfinished,
            bytes: Some(first..self.end),
            message: Some(message),
            ..Test::default()
        };
        if let Some((name, first)) = &begun {
            let message = "the program ended before this test did".to_owned();
            results.put(unfinished(self.target.of(name), *first, message));
        }
        if !whole && !self.target.name().is_empty() {
            let message = format!("the program ended after {told} of its {tests} tests");
            results.put(unfinished(self.target.name().to_owned(), first, message));
        }
    }

    pub fn finish(&mut self, results: &mut Results) {
        self.end_suite(false, results);
    }
}

fn is_target(text: &str) -> bool {
    Target::default().line(text)
}

/// `running 12 tests`
fn suite(text: &str) -> Option<u64> {
    let (count, rest) = text.strip_prefix("running ")?.split_once(' ')?;
    if rest == "test" || rest == "tests" { count.parse().ok() } else { None }
}

struct Said {
    outcome: Outcome,
    micros: Option<u64>,
    measure: Option<Measure>,
    message: Option<String>,
}

impl Said {
    fn failed() -> Self {
        Said { outcome: Outcome::Failed, micros: None, measure: None, message: None }
    }
}

/// What follows the name of a test: `ok`, `FAILED`, `ignored, REASON`, `bench: 1,234 ns/iter (+/- 5)`; with a time behind it
/// where that was asked for.
fn outcome(text: &str) -> Option<Said> {
    let (text, took) = match text.strip_suffix("s>").and_then(|text| text.rsplit_once(" <")) {
        Some((text, took)) => (text, seconds(took)),
        None => (text, None),
    };
    let text = text.trim();
    let said = |outcome| Some(Said { outcome, micros: took, ..Said::failed() });
    match text {
        "ok" => return said(Outcome::Ok),
        "FAILED" | "FAILED (time limit exceeded)" => return said(Outcome::Failed),
        "ignored" => return said(Outcome::Skipped),
        _ => {}
    }
    if let Some(reason) = text.strip_prefix("ignored, ") {
        return Some(Said {
            outcome: Outcome::Skipped,
            micros: took,
            measure: None,
            message: Some(reason.to_owned()),
        });
    }
    let value = text.strip_prefix("bench:")?.trim_start().split(' ').next()?.replace(',', "").parse().ok()?;
    let measure = Some(Measure { value, unit: "ns/iter".to_owned() });
    Some(Said { outcome: Outcome::Ok, micros: took, measure, message: None })
}
