//! `go test -json`: one JSON object a line, lines of other kinds between them.

use std::borrow::Cow;
use std::collections::HashMap;

use serde::Deserialize;

use crate::lines::Line;
use crate::results::{Results, micros};
use crate::text::Text;
use crate::{Measure, Outcome, Test};

/// Builds of which the output is held until the package says that it failed by it.
const BUILDS: usize = 1000;

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow, rename = "Action")]
    action: Cow<'a, str>,
    #[serde(borrow, rename = "Package", default)]
    package: Cow<'a, str>,
    #[serde(borrow, rename = "Test", default)]
    test: Cow<'a, str>,
    #[serde(borrow, rename = "Output", default)]
    output: Cow<'a, str>,
    #[serde(borrow, rename = "ImportPath", default)]
    import_path: Cow<'a, str>,
    #[serde(borrow, rename = "FailedBuild", default)]
    failed_build: Cow<'a, str>,
    #[serde(rename = "Elapsed", default)]
    elapsed: Option<f64>,
}

#[derive(Debug)]
struct Open {
    first: u64,
    end: u64,
    text: Text,
    measure: Option<Measure>,
}

#[derive(Debug, Default)]
struct Package {
    first: u64,
    end: u64,
    tests: HashMap<String, Open>,
    text: Text,
    /// How many of its tests were given.
    given: u64,
    /// Whether one of them was bad.
    bad: bool,
}

#[derive(Debug, Default)]
pub(crate) struct GoJson {
    packages: HashMap<String, Package>,
    builds: HashMap<String, Text>,
    open: usize,
}

impl GoJson {
    pub fn line(&mut self, line: &Line<'_>, results: &mut Results) {
        if line.cut || !line.bytes.starts_with(b"{") {
            return;
        }
        let Ok(event) = serde_json::from_slice::<Event<'_>>(line.bytes) else { return };
        match &*event.action {
            "build-output" => {
                if self.builds.contains_key(&*event.import_path) || self.builds.len() < BUILDS {
                    let text = self.builds.entry(event.import_path.into_owned()).or_default();
                    results.push(text, event.output.as_bytes());
                }
                return;
            }
            _ if event.package.is_empty() => return,
            _ => {}
        }
        if !self.packages.contains_key(&*event.package) {
            if self.packages.len() >= results.limits.open {
                return;
            }
            let package = Package { first: line.first, ..Package::default() };
            self.packages.insert(event.package.to_string(), package);
        }
        let Some(package) = self.packages.get_mut(&*event.package) else { return };
        package.end = line.end;
        let outcome = match &*event.action {
            "pass" | "bench" => Some(Outcome::Ok),
            "fail" => Some(Outcome::Failed),
            "skip" => Some(Outcome::Skipped),
            _ => None,
        };
        let micros = event.elapsed.and_then(micros);
        match outcome {
            Some(outcome) if event.test.is_empty() => {
                let Some(mut package) = self.packages.remove(&*event.package) else { return };
                let build = self.builds.remove(&*event.failed_build);
                self.open -= package.tests.len().min(self.open);
                package.close(&event.package, Some(outcome), micros, build, results);
            }
            Some(outcome) => {
                let open = package.tests.remove(&*event.test);
                self.open -= usize::from(open.is_some()).min(self.open);
                let open = open.unwrap_or_else(|| Open::at(line));
                package.give(&event.package, &event.test, outcome, micros, open, line.end, results);
            }
            None if event.test.is_empty() => results.push(&mut package.text, event.output.as_bytes()),
            None => {
                if !package.tests.contains_key(&*event.test) {
                    if self.open >= results.limits.open {
                        return;
                    }
                    self.open += 1;
                    package.tests.insert(event.test.to_string(), Open::at(line));
                }
                let Some(open) = package.tests.get_mut(&*event.test) else { return };
                open.end = line.end;
                if let Some((name, measure)) = measured(&event.output)
                    && name == event.test
                {
                    open.measure = Some(measure);
                }
                if !event.output.is_empty() && !event.output.starts_with("=== ") {
                    results.push(&mut open.text, event.output.as_bytes());
                }
            }
        }
    }

    pub fn finish(&mut self, results: &mut Results) {
        let mut packages: Vec<_> = std::mem::take(&mut self.packages).into_iter().collect();
        packages.sort_by_key(|(_, package)| package.first);
        for (name, mut package) in packages {
            package.close(&name, None, None, None, results);
        }
        for text in std::mem::take(&mut self.builds).into_values() {
            text.free(&mut results.budget);
        }
        self.open = 0;
    }
}

impl Open {
    fn at(line: &Line<'_>) -> Self {
        Open { first: line.first, end: line.end, text: Text::default(), measure: None }
    }
}

impl Package {
    #[expect(clippy::too_many_arguments, reason = "what ends a test, and where it goes")]
    fn give(
        &mut self,
        package: &str,
        test: &str,
        outcome: Outcome,
        micros: Option<u64>,
        open: Open,
        end: u64,
        results: &mut Results,
    ) {
        self.given += 1;
        self.bad |= outcome.is_bad();
        let message = results.message(outcome, open.text);
        results.put(Test {
            id: format!("{package}.{test}"),
            variant: String::new(),
            outcome,
            micros,
            bytes: Some(open.first..end),
            measure: open.measure,
            message,
        });
    }

    /// Gives the tests that did not end, and the package itself. Without an outcome it did not end either.
    fn close(
        &mut self,
        name: &str,
        outcome: Option<Outcome>,
        micros: Option<u64>,
        build: Option<Text>,
        results: &mut Results,
    ) {
        let mut tests: Vec<_> = std::mem::take(&mut self.tests).into_iter().collect();
        tests.sort_by_key(|(_, open)| open.first);
        for (test, open) in tests {
            // Benchmarks end with what they measured.
            let ended = open.measure.is_some() && outcome == Some(Outcome::Ok);
            let said = if ended { Outcome::Ok } else { Outcome::Unfinished };
            let end = open.end;
            self.give(name, &test, said, None, open, end, results);
        }
        let text = std::mem::take(&mut self.text);
        if outcome == Some(Outcome::Skipped) && self.given == 0 {
            // It has no tests.
            text.free(&mut results.budget);
            return;
        }
        let outcome = outcome.unwrap_or(Outcome::Unfinished);
        let said = results.message(outcome, text);
        let built = build.and_then(|text| results.message(outcome, text));
        let message = match (built, said) {
            // Its tests say why.
            _ if self.bad && outcome == Outcome::Failed => None,
            (Some(built), Some(said)) => Some(format!("{built}\n{said}")),
            (built, said) => built.or(said),
        };
        let bytes = Some(self.first..self.end);
        let variant = String::new();
        results.put(Test { id: name.to_owned(), variant, outcome, micros, bytes, measure: None, message });
    }
}

/// A line of a benchmark: its name without the number of processors, and its time.
pub(crate) fn measured(line: &str) -> Option<(&str, Measure)> {
    if !line.starts_with("Benchmark") {
        return None;
    }
    let mut words = line.split_whitespace();
    let name = words.next()?;
    words.next()?.parse::<u64>().ok()?;
    let value: f64 = words.next()?.parse().ok()?;
    let unit = words.next()?;
    if !value.is_finite() || !unit.contains('/') || unit.len() > 64 {
        return None;
    }
    let name = match name.rsplit_once('-') {
        Some((name, count)) if !count.is_empty() && count.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => name,
    };
    Some((name, Measure { value, unit: unit.to_owned() }))
}
