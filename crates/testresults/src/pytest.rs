//! pytest for people: each test with `-v`, else those that its summary names. What a failure said stands under its title.

use std::collections::HashMap;

use crate::lines::Line;
use crate::results::{Results, seconds};
use crate::text::Text;
use crate::{Outcome, Test};

const WORDS: [(&str, Outcome); 7] = [
    ("PASSED", Outcome::Ok),
    ("FAILED", Outcome::Failed),
    ("ERROR", Outcome::Failed),
    ("SKIPPED", Outcome::Skipped),
    ("XFAIL", Outcome::Skipped),
    ("XPASS", Outcome::Ok),
    ("RERUN", Outcome::Failed),
];

#[derive(Debug)]
struct Item {
    id: String,
    outcome: Outcome,
    /// How often it was run again.
    reruns: u32,
    micros: Option<u64>,
    first: u64,
    end: u64,
    reason: Option<String>,
    message: Option<String>,
}

#[derive(Debug)]
struct Section {
    title: String,
    first: u64,
    end: u64,
    text: Text,
}

#[derive(Debug, Default)]
pub(crate) struct Pytest {
    items: Vec<Item>,
    by_id: HashMap<String, usize>,
    /// Sections of failures, in their order.
    sections: Vec<Section>,
    /// Whether what comes is part of the last section.
    inside: bool,
    /// Whether the part of the output is one of failures.
    failures: bool,
    durations: bool,
    begun: Option<(String, u64)>,
    end: u64,
}

impl Pytest {
    pub fn line(&mut self, line: &Line<'_>, results: &mut Results) {
        let text = line.text();
        self.end = line.end;
        if let Some(title) = ruled(&text, '=') {
            self.inside = false;
            self.failures = matches!(title, "FAILURES" | "ERRORS");
            self.durations = title.starts_with("slowest ");
            return;
        }
        if self.failures {
            if let Some(title) = ruled(&text, '_') {
                self.inside = self.sections.len() < results.limits.open;
                if self.inside {
                    let title = title.rsplit_once(" of ").map_or(title, |(_, title)| title);
                    let mut title = title.to_owned();
                    crate::results::shorten(&mut title, results.limits.name);
                    self.sections.push(Section {
                        title,
                        first: line.first,
                        end: line.end,
                        text: Text::default(),
                    });
                }
                return;
            }
            if text.starts_with("-----") && text.contains("generated xml file") {
                self.inside = false;
                self.failures = false;
            }
            if let Some(section) = self.sections.last_mut().filter(|_| self.inside) {
                section.end = line.end;
                results.line(&mut section.text, line.bytes);
            }
            return;
        }
        if self.durations {
            // `0.12s call     tests/test_a.py::test_b`
            let mut words = text.split_whitespace();
            let took = words.next().and_then(|took| took.strip_suffix('s')).and_then(seconds);
            let id = words.nth(1);
            if let (Some(took), Some(at)) = (took, id.and_then(|id| self.by_id.get(id))) {
                let item = &mut self.items[*at];
                item.micros = Some(item.micros.unwrap_or(0).saturating_add(took));
            }
            return;
        }
        if let Some((id, word, outcome, reason)) = told(&text) {
            let first = self.begun.take().filter(|(begun, _)| begun == id).map_or(line.first, |(_, at)| at);
            self.note(id, word, outcome, reason, first..line.end, results);
        } else if let Some((id, first)) = &self.begun
            && let Some((word, outcome)) = WORDS.iter().find(|(word, _)| text.starts_with(word))
        {
            let (id, first) = (id.clone(), *first);
            self.begun = None;
            self.note(&id, word, *outcome, None, first..line.end, results);
        } else if let Some(id) = text.split(' ').next().filter(|id| id.contains(".py::")) {
            self.begun = Some((id.to_owned(), line.first));
        }
    }

    fn note(
        &mut self,
        id: &str,
        word: &str,
        outcome: Outcome,
        reason: Option<&str>,
        bytes: std::ops::Range<u64>,
        results: &mut Results,
    ) {
        let rerun = word == "RERUN";
        if let Some(at) = self.by_id.get(id) {
            let item = &mut self.items[*at];
            if rerun {
                item.reruns = item.reruns.saturating_add(1);
            } else if outcome.is_bad() || item.outcome == Outcome::Unfinished {
                item.outcome = outcome;
            }
            if let Some(reason) = reason.filter(|_| item.reason.is_none()) {
                item.reason = Some(reason.to_owned());
            }
            return;
        }
        if self.items.len() >= results.limits.tests || !results.budget.take(2 * id.len()) {
            // What is told of first is kept; these are not even counted by name.
            results.leave_out();
            return;
        }
        self.by_id.insert(id.to_owned(), self.items.len());
        self.items.push(Item {
            id: id.to_owned(),
            outcome: if rerun { Outcome::Unfinished } else { outcome },
            reruns: u32::from(rerun),
            micros: None,
            first: bytes.start,
            end: bytes.end,
            reason: reason.map(str::to_owned),
            message: None,
        });
    }

    pub fn finish(&mut self, results: &mut Results) {
        if let Some((id, first)) = self.begun.take()
            && !self.by_id.contains_key(&id)
        {
            self.note(&id, "", Outcome::Unfinished, None, first..self.end, results);
        }
        let mut titles: HashMap<String, Vec<usize>> = HashMap::new();
        for (at, item) in self.items.iter().enumerate().rev().filter(|(_, item)| item.outcome.is_bad()) {
            let name = item.id.split_once("::").map_or(&*item.id, |(_, name)| name);
            titles.entry(name.replace("::", ".")).or_default().push(at);
        }
        for section in std::mem::take(&mut self.sections) {
            let message = results.message(Outcome::Failed, section.text);
            let Some(at) = titles.get_mut(&section.title).and_then(Vec::pop) else { continue };
            let item = &mut self.items[at];
            (item.first, item.end) = (section.first, section.end);
            item.message = message;
        }
        self.by_id.clear();
        for item in std::mem::take(&mut self.items) {
            results.budget.give(2 * item.id.len());
            let test = Test {
                outcome: item.outcome,
                micros: item.micros,
                bytes: Some(item.first..item.end),
                message: item.message.or(item.reason).filter(|_| item.outcome != Outcome::Ok),
                id: item.id,
                ..Test::default()
            };
            results.put(test.clone());
            for _ in 0..item.reruns.min(100) {
                let message = Some("it was run again".to_owned());
                results.put(Test { outcome: Outcome::Failed, message, ..test.clone() });
            }
        }
    }
}

/// A title between rules: `==== FAILURES ====`.
fn ruled(text: &str, rule: char) -> Option<&str> {
    let text = text.trim_end();
    let title = text.trim_matches(rule);
    let rules = text.len() - title.len();
    let inner = title.strip_prefix(' ')?.strip_suffix(' ')?;
    (rules >= 4 && text.starts_with(rule) && text.ends_with(rule) && !inner.is_empty()).then_some(inner)
}

type Told<'a> = (&'a str, &'static str, Outcome, Option<&'a str>);

/// `ID WORD (reason) [ 12%]`, `[gw0] [ 12%] WORD ID`, and `WORD ID - reason` of the summary.
fn told(text: &str) -> Option<Told<'_>> {
    let mut rest = text;
    while let Some(after) = rest.strip_prefix('[') {
        rest = after.split_once(']')?.1.trim_start();
    }
    for (word, outcome) in WORDS {
        let Some(id) = rest.strip_prefix(word).and_then(|rest| rest.strip_prefix(' ')) else { continue };
        let (id, reason) = id.split_once(" - ").map_or((id, None), |(id, reason)| (id, Some(reason)));
        let id = id.trim();
        return id.contains("::").then_some((id, word, outcome, reason));
    }
    for (word, outcome) in WORDS {
        let Some(at) = rest.rfind(&format!(" {word}")) else { continue };
        let (id, after) = (&rest[..at], &rest[at + 1 + word.len()..]);
        if !id.contains("::") || !(after.is_empty() || after.starts_with(' ')) {
            continue;
        }
        let after = after.trim();
        let after = after
            .rsplit_once('[')
            .map_or(after, |(after, percent)| if percent.ends_with("%]") { after.trim_end() } else { after });
        let reason = after.strip_prefix('(').map(|reason| reason.strip_suffix(')').unwrap_or(reason));
        if after.is_empty() || reason.is_some() {
            return Some((id.trim_end(), word, outcome, reason));
        }
    }
    None
}
