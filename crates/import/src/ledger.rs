//! What became of each key of the source. A key of which nothing was said is found in the end.

use std::collections::{HashMap, HashSet};
use std::fmt;

use crate::yaml::{Document, Entry, Node, Value};

/// What became of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It is in the result.
    Carried,
    /// It has no meaning here, and nothing is lost by that.
    Meaningless,
    /// It could not be carried over; the remedy says what to do.
    Open,
}

/// What became of one key.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Finding {
    /// The file's shown name.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// Column, from 1.
    pub column: usize,
    /// The key's path, like `jobs.test.steps[2].uses`.
    pub key: String,
    /// What became of it.
    pub verdict: Verdict,
    /// In what it was carried over, or why not.
    pub message: String,
    /// What to do, where something is to be done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = match self.verdict {
            Verdict::Carried => "carried over",
            Verdict::Meaningless => "no meaning here",
            Verdict::Open => "could not",
        };
        write!(f, "{}:{}:{}: {sign}: {}: {}", self.file, self.line, self.column, self.key, self.message)?;
        match &self.remedy {
            Some(remedy) => write!(f, "\n    → {remedy}"),
            None => Ok(()),
        }
    }
}

struct Said {
    id: u32,
    verdict: Verdict,
    message: String,
    remedy: Option<String>,
}

/// Gathers what is said of each key.
#[derive(Default)]
pub struct Ledger {
    said: Vec<Said>,
    /// What was said, so that it is said once.
    told: HashSet<(u32, String)>,
    /// Keys that are spoken for with all that is in them.
    whole: HashSet<u32>,
    /// Keys whose own keys are spoken for one by one.
    entered: HashSet<u32>,
}

impl Ledger {
    /// The key and all in it is in the result, as `message` says.
    pub fn carried(&mut self, entry: &Entry, message: impl Into<String>) {
        self.say(entry, Verdict::Carried, message.into(), None);
    }

    /// The key has no meaning here.
    pub fn meaningless(&mut self, entry: &Entry, message: impl Into<String>) {
        self.say(entry, Verdict::Meaningless, message.into(), None);
    }

    /// The key could not be carried over.
    pub fn open(&mut self, entry: &Entry, message: impl Into<String>, remedy: impl Into<String>) {
        self.say(entry, Verdict::Open, message.into(), Some(remedy.into()));
    }

    /// The key only holds others, which are looked at one by one.
    pub fn enter(&mut self, entry: &Entry) {
        self.entered.insert(entry.id);
    }

    /// The key has no meaning, unless something was said of it.
    pub fn unless_said(&mut self, entry: &Entry, message: &str) {
        if !self.whole.contains(&entry.id) && !self.entered.contains(&entry.id) {
            self.meaningless(entry, message);
        }
    }

    fn say(&mut self, entry: &Entry, verdict: Verdict, message: String, remedy: Option<String>) {
        self.whole.insert(entry.id);
        // A template that several jobs use says the same of its keys each time.
        if self.told.insert((entry.id, message.clone())) {
            self.said.push(Said { id: entry.id, verdict, message, remedy });
        }
    }

    /// Gives all findings in the order of the files, and one for each key that nobody spoke of.
    pub fn finish(mut self, documents: &[Document]) -> Vec<Finding> {
        let mut said: HashMap<u32, Vec<Said>> = HashMap::new();
        for one in self.said.drain(..) {
            said.entry(one.id).or_default().push(one);
        }
        let mut walk = Walk { ledger: &self, said, seen: HashSet::new(), findings: Vec::new() };
        for document in documents {
            walk.node(&document.file, "", &document.root, false);
        }
        let mut findings = walk.findings;
        let order: HashMap<&str, usize> =
            documents.iter().enumerate().rev().map(|(n, one)| (one.file.as_str(), n)).collect();
        findings.sort_by_key(|one| (order.get(one.file.as_str()).copied(), one.line, one.column));
        findings
    }
}

struct Walk<'a> {
    ledger: &'a Ledger,
    said: HashMap<u32, Vec<Said>>,
    /// What an alias repeats is told once.
    seen: HashSet<u32>,
    findings: Vec<Finding>,
}

impl Walk<'_> {
    fn node(&mut self, file: &str, path: &str, node: &Node, covered: bool) {
        match &node.value {
            Value::Text { .. } => {}
            Value::List(items) => {
                for (n, item) in items.iter().enumerate() {
                    self.node(file, &format!("{path}[{n}]"), item, covered);
                }
            }
            Value::Map(entries) => {
                let last: HashMap<&str, u32> =
                    entries.iter().map(|entry| (entry.key.as_str(), entry.id)).collect();
                for entry in entries {
                    if self.seen.insert(entry.id) {
                        let again = last.get(entry.key.as_str()) != Some(&entry.id);
                        self.entry(file, path, entry, covered, again);
                    }
                }
            }
        }
    }

    fn entry(&mut self, file: &str, path: &str, entry: &Entry, covered: bool, again: bool) {
        let path = if path.is_empty() { entry.key.clone() } else { format!("{path}.{}", entry.key) };
        let mut tell = |verdict, message: String, remedy| {
            let (file, key) = (file.to_owned(), path.clone());
            let (line, column) = (entry.line, entry.column);
            self.findings.push(Finding { file, line, column, key, verdict, message, remedy });
        };
        for one in self.said.remove(&entry.id).unwrap_or_default() {
            tell(one.verdict, one.message, one.remedy);
        }
        let whole = self.ledger.whole.contains(&entry.id);
        if !covered && !whole && !self.ledger.entered.contains(&entry.id) {
            let (message, remedy) = match again {
                true => ("given twice, the later one counts", "take one of them away"),
                false => {
                    ("this import knows no such key here", "see what it does there, and write it by hand")
                }
            };
            tell(Verdict::Open, message.into(), Some(remedy.into()));
            return self.node(file, &path, &entry.node, true);
        }
        self.node(file, &path, &entry.node, covered || whole);
    }
}
