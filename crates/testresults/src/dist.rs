//! `go tool dist test`, and `go test` for people.
//!
//! `##### TITLE` (or the title behind a banner and a colon, as a coordinator asks for it) begins a group of packages; the title is the variant
//! of what follows, except where the packages are run as they are. Only tests that failed are named, unless `-v` is given; a
//! package is named in the line that ends it.

use std::collections::HashMap;

use crate::gojson::measured;
use crate::lines::Line;
use crate::results::{Results, seconds};
use crate::text::Text;
use crate::{Measure, Outcome, Test};

const BANNERS: [&str; 2] = ["##### ", "XXXBANNERXXX:"];

#[derive(Debug)]
struct Item {
    name: String,
    outcome: Option<Outcome>,
    micros: Option<u64>,
    measure: Option<Measure>,
    first: u64,
    end: u64,
    text: Text,
}

#[derive(Debug, Default)]
pub(crate) struct Dist {
    variant: String,
    items: Vec<Item>,
    by_name: HashMap<String, usize>,
    /// Whose output the next lines are.
    at: Option<usize>,
    /// What was said since the last package and belongs to no test.
    text: Text,
    first: Option<u64>,
    end: u64,
}

impl Dist {
    pub fn line(&mut self, line: &Line<'_>, results: &mut Results) {
        let text = line.text();
        if let Some(title) = BANNERS.iter().find_map(|banner| text.strip_prefix(banner)) {
            self.end_group(results);
            let title = title.trim();
            let plain =
                title.starts_with("Testing packages") || title.starts_with("Test execution environment");
            self.variant = if plain { String::new() } else { title.to_owned() };
            return;
        }
        if let Some((package, outcome, micros, note)) = package(&text) {
            self.first.get_or_insert(line.first);
            self.end = line.end;
            return self.close(package, outcome, micros, note, results);
        }
        if text.is_empty() && self.first.is_none() {
            return;
        }
        self.first.get_or_insert(line.first);
        self.end = line.end;
        if let Some((how, name)) = running(&text) {
            self.at = self.open(name, line, results).filter(|_| how != "PAUSE");
            return;
        }
        if let Some((outcome, name, micros)) = ended(&text) {
            self.at = self.open(name, line, results);
            if let Some(item) = self.at.and_then(|at| self.items.get_mut(at)) {
                item.outcome = Some(outcome);
                item.micros = micros;
                results.line(&mut item.text, line.bytes);
            }
            return;
        }
        if let Some((name, measure)) = measured(&text) {
            self.at = None;
            if let Some(item) = self.open(name, line, results).and_then(|at| self.items.get_mut(at)) {
                item.outcome = Some(Outcome::Ok);
                item.measure = Some(measure);
            }
            return;
        }
        if text == "FAIL" || text == "PASS" {
            self.at = None;
            return;
        }
        match self.at.and_then(|at| self.items.get_mut(at)) {
            Some(item) => {
                item.end = line.end;
                results.line(&mut item.text, line.bytes);
            }
            None => results.line(&mut self.text, line.bytes),
        }
    }

    fn open(&mut self, name: &str, line: &Line<'_>, results: &Results) -> Option<usize> {
        if let Some(at) = self.by_name.get(name) {
            let item = self.items.get_mut(*at)?;
            // Where it has ended it runs again, with -count.
            if item.outcome.is_none() {
                item.end = line.end;
                return Some(*at);
            }
        }
        if self.items.len() >= results.limits.open || name.len() > results.limits.name {
            return None;
        }
        let at = self.items.len();
        self.by_name.insert(name.to_owned(), at);
        self.items.push(Item {
            name: name.to_owned(),
            outcome: None,
            micros: None,
            measure: None,
            first: line.first,
            end: line.end,
            text: Text::default(),
        });
        Some(at)
    }

    /// Gives the tests so far. Returns whether one of them was bad.
    fn give(&mut self, package: &str, results: &mut Results) -> bool {
        self.by_name.clear();
        self.at = None;
        let mut bad = false;
        for item in std::mem::take(&mut self.items) {
            let outcome = item.outcome.unwrap_or(Outcome::Unfinished);
            bad |= outcome.is_bad();
            let message = results.message(outcome, item.text);
            let id = if package.is_empty() { item.name } else { format!("{package}.{}", item.name) };
            results.put(Test {
                id,
                variant: self.variant.clone(),
                outcome,
                micros: item.micros,
                bytes: Some(item.first..item.end),
                measure: item.measure,
                message,
            });
        }
        bad
    }

    fn close(
        &mut self,
        package: &str,
        outcome: Outcome,
        micros: Option<u64>,
        note: &str,
        results: &mut Results,
    ) {
        let bad = self.give(package, results);
        let first = self.first.take().unwrap_or(self.end);
        let mut text = std::mem::take(&mut self.text);
        if outcome == Outcome::Skipped {
            // It has no tests.
            return text.free(&mut results.budget);
        }
        if outcome.is_bad() && note.starts_with('[') {
            results.line(&mut text, note.as_bytes());
        }
        // Where tests failed, they say why.
        let message = results.message(outcome, text).filter(|_| !bad);
        results.put(Test {
            id: package.to_owned(),
            variant: self.variant.clone(),
            outcome,
            micros,
            bytes: Some(first..self.end),
            measure: None,
            message,
        });
    }

    fn end_group(&mut self, results: &mut Results) {
        self.give("", results);
        std::mem::take(&mut self.text).free(&mut results.budget);
        self.first = None;
    }

    pub fn finish(&mut self, results: &mut Results) {
        self.end_group(results);
    }
}

/// `=== RUN   NAME`, and its like.
fn running(text: &str) -> Option<(&str, &str)> {
    let (how, name) = text.strip_prefix("=== ")?.split_once(' ')?;
    let name = name.trim();
    (matches!(how, "RUN" | "CONT" | "NAME" | "PAUSE") && !name.is_empty()).then_some((how, name))
}

/// `--- FAIL: NAME (0.00s)`, at any depth.
fn ended(text: &str) -> Option<(Outcome, &str, Option<u64>)> {
    let (how, rest) = text.trim_start_matches(' ').strip_prefix("--- ")?.split_once(": ")?;
    let outcome = match how {
        "PASS" | "BENCH" => Outcome::Ok,
        "FAIL" => Outcome::Failed,
        "SKIP" => Outcome::Skipped,
        _ => return None,
    };
    let took = rest.rsplit_once(" (").and_then(|(name, took)| Some((name, took.strip_suffix("s)")?)));
    let (name, micros) = took.map_or((rest, None), |(name, took)| (name, seconds(took)));
    (!name.is_empty()).then_some((outcome, name, micros))
}

/// The line that ends a package: its name, how it ended, how long it took, and what else it says.
fn package(text: &str) -> Option<(&str, Outcome, Option<u64>, &str)> {
    let mut parts = text.splitn(3, '\t');
    let (how, name) = (parts.next()?, parts.next()?.trim());
    let rest = parts.next().unwrap_or("").trim();
    let (outcome, name, rest) = match how.trim_end() {
        "ok" => (Outcome::Ok, name, rest),
        "FAIL" => {
            // `FAIL\tPACKAGE [build failed]`
            match name.split_once(' ') {
                Some((name, note)) => (Outcome::Failed, name, note),
                None => (Outcome::Failed, name, rest),
            }
        }
        "?" => (Outcome::Skipped, name, rest),
        _ => return None,
    };
    if name.is_empty() || name.contains(' ') {
        return None;
    }
    let took = rest.split(['\t', ' ']).next().and_then(|word| word.strip_suffix('s'));
    Some((name, outcome, took.and_then(seconds), rest))
}
