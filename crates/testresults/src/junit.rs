//! JUnit files, as Maven, Gradle, pytest, nextest, gotestsum and many more write them.

use crate::results::{Results, micros};
use crate::text::Text;
use crate::xml::{Found, Xml};
use crate::{Outcome, Test};

#[derive(Debug, Default)]
pub(crate) struct Junit {
    xml: Xml,
    cases: Cases,
}

#[derive(Debug, Default)]
struct Cases {
    suites: bool,
    elements: bool,
    case: Option<Case>,
}

#[derive(Debug)]
struct Case {
    id: String,
    micros: Option<u64>,
    outcome: Outcome,
    /// What it said, whichever element says it first.
    text: Text,
    /// The element within it whose text is taken.
    inside: Option<String>,
    /// Whether there was such an element before.
    told: bool,
    /// Runs of it that failed, before or after.
    others: u32,
}

impl Junit {
    pub fn feed(&mut self, bytes: &[u8], results: &mut Results) {
        let mut found = Into { cases: &mut self.cases, results };
        self.xml.feed(bytes, &mut found);
    }

    pub fn finish(&mut self, results: &mut Results) {
        let problem = match &self.cases {
            _ if self.xml.strange => Some("it is no UTF-8: JUnit files in other encodings are not read"),
            cases if !cases.elements => Some("there is no element in it: it is no XML"),
            cases if !cases.suites => Some("there is no <testsuite> in it: it is no JUnit file"),
            cases if cases.case.is_some() => Some("it ends within a <testcase>: it is not whole"),
            _ => None,
        };
        results.problem = problem.map(str::to_owned);
        if let Some(mut case) = self.cases.case.take() {
            case.outcome = Outcome::Unfinished;
            case.give(results);
        }
    }
}

struct Into<'a> {
    cases: &'a mut Cases,
    results: &'a mut Results,
}

impl Found for Into<'_> {
    fn start(&mut self, name: &str, attributes: &[(String, String)], closed: bool) {
        let Self { cases, results } = self;
        cases.elements = true;
        let value = |key: &str| {
            let found = attributes.iter().find(|(name, _)| name == key);
            found.map_or("", |(_, value)| value.as_str())
        };
        match name {
            "testsuites" | "testsuite" => cases.suites = true,
            "testcase" => {
                if let Some(before) = cases.case.take() {
                    before.give(results);
                }
                let (class, name) = (value("classname").trim(), value("name").trim());
                let id = match (class, name) {
                    ("", name) => name.to_owned(),
                    (class, "") => class.to_owned(),
                    // As Rust writes paths.
                    (class, name) if class.contains("::") || name.contains("::") => {
                        format!("{class}::{name}")
                    }
                    (class, name) => format!("{class}.{name}"),
                };
                let took = value("time").replace(',', "").trim().parse::<f64>().ok().and_then(micros);
                let outcome = if value("status") == "notrun" { Outcome::Skipped } else { Outcome::Ok };
                let case = Case {
                    id,
                    micros: took,
                    outcome,
                    text: Text::default(),
                    inside: None,
                    told: false,
                    others: 0,
                };
                if closed {
                    case.give(results);
                } else {
                    cases.case = Some(case);
                }
            }
            _ => {
                let Some(case) = &mut cases.case else { return };
                let outcome = match name {
                    "failure" | "error" => Outcome::Failed,
                    "skipped" | "disabled" => Outcome::Skipped,
                    "flakyFailure" | "flakyError" | "rerunFailure" | "rerunError" => {
                        case.others = case.others.saturating_add(1);
                        return;
                    }
                    _ => return,
                };
                if case.outcome != Outcome::Failed {
                    case.outcome = outcome;
                }
                if case.told || case.inside.is_some() {
                    return;
                }
                case.told = true;
                let message = match value("message") {
                    "" => value("type"),
                    message => message,
                };
                if !message.is_empty() {
                    results.line(&mut case.text, message.as_bytes());
                }
                if !closed {
                    case.inside = Some(name.to_owned());
                }
            }
        }
    }

    fn end(&mut self, name: &str) {
        let Self { cases, results } = self;
        if name == "testcase" {
            if let Some(case) = cases.case.take() {
                case.give(results);
            }
        } else if let Some(case) = &mut cases.case
            && case.inside.as_deref() == Some(name)
        {
            case.inside = None;
        }
    }

    fn text(&mut self, bytes: &[u8]) {
        if let Some(case) = self.cases.case.as_mut().filter(|case| case.inside.is_some()) {
            self.results.push(&mut case.text, bytes);
        }
    }
}

impl Case {
    fn give(self, results: &mut Results) {
        let message = results.message(self.outcome, self.text);
        let (id, outcome, micros) = (self.id, self.outcome, self.micros);
        let test = Test { id, outcome, micros, message, ..Test::default() };
        let others = self.others.min(100);
        results.put(test.clone());
        for _ in 0..others {
            let message = Some("it was run again".to_owned());
            results.put(Test { outcome: Outcome::Failed, micros: None, message, ..test.clone() });
        }
    }
}
