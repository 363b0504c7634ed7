//! libtest as JSON: one object a line, between what cargo says. nextest writes the same, with the program in each name.

use std::borrow::Cow;
use std::collections::HashMap;

use serde::Deserialize;

use crate::libtest::Target;
use crate::lines::Line;
use crate::results::{Results, micros};
use crate::text::Text;
use crate::{Measure, Outcome, Test};

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    event: Cow<'a, str>,
    #[serde(borrow, default)]
    name: Cow<'a, str>,
    #[serde(borrow, default)]
    stdout: Cow<'a, str>,
    #[serde(borrow, default)]
    message: Cow<'a, str>,
    #[serde(default)]
    exec_time: Option<f64>,
    #[serde(default)]
    median: Option<f64>,
}

#[derive(Debug, Default)]
pub(crate) struct LibtestJson {
    target: Target,
    /// Tests that run, with where they began. Those of nextest's suites overlap.
    open: HashMap<String, u64>,
    end: u64,
}

impl LibtestJson {
    pub fn line(&mut self, line: &Line<'_>, results: &mut Results) {
        if !line.bytes.starts_with(b"{") {
            let text = line.text();
            if crate::libtest::Target::default().line(&text) {
                // The program before has ended, one way or the other.
                self.unfinished(results);
                self.target.line(&text);
            }
            return;
        }
        if line.cut {
            return;
        }
        let Ok(event) = serde_json::from_slice::<Event<'_>>(line.bytes) else { return };
        self.end = line.end;
        if !matches!(&*event.kind, "test" | "bench") || event.name.is_empty() {
            return;
        }
        let outcome = match &*event.event {
            "started" => {
                if self.open.len() < results.limits.open && event.name.len() <= results.limits.name {
                    self.open.insert(event.name.into_owned(), line.first);
                }
                return;
            }
            "ok" => Outcome::Ok,
            "failed" => Outcome::Failed,
            "ignored" => Outcome::Skipped,
            "" if event.kind == "bench" => Outcome::Ok,
            // It takes long, which is no end.
            _ => return,
        };
        let first = self.open.remove(&*event.name).unwrap_or(line.first);
        let mut text = Text::default();
        for part in [&event.message, &event.stdout] {
            if !part.is_empty() {
                results.line(&mut text, part.as_bytes());
            }
        }
        let message = results.message(outcome, text);
        let measure = event.median.filter(|value| value.is_finite());
        results.put(Test {
            id: self.id(&event.name),
            variant: String::new(),
            outcome,
            micros: event.exec_time.and_then(micros),
            bytes: Some(first..line.end),
            measure: measure.map(|value| Measure { value, unit: "ns/iter".to_owned() }),
            message,
        });
    }

    /// `PACKAGE::PROGRAM$PATH` of nextest names the program itself.
    fn id(&self, name: &str) -> String {
        match name.split_once('$') {
            Some((program, path)) if !program.is_empty() && !program.contains(' ') => {
                format!("{program}::{path}")
            }
            _ => self.target.of(name),
        }
    }

    fn unfinished(&mut self, results: &mut Results) {
        let mut open: Vec<_> = std::mem::take(&mut self.open).into_iter().collect();
        open.sort_by(|a, b| (a.1, &a.0).cmp(&(b.1, &b.0)));
        for (name, first) in open {
            results.put(Test {
                id: self.id(&name),
                outcome: Outcome::Unfinished,
                bytes: Some(first..self.end),
                message: Some("the program ended before this test did".to_owned()),
                ..Test::default()
            });
        }
    }

    pub fn finish(&mut self, results: &mut Results) {
        self.unfinished(results);
    }
}
