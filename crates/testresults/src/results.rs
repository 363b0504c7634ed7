//! What was found so far, and what it may come to.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use crate::text::{Budget, Text};
use crate::{Outcome, Test};

/// What a reader may keep.
#[derive(Debug, Clone)]
pub struct Limits {
    /// The most tests; of those beyond it, only bad ones are given, a tenth as many.
    pub tests: usize,
    /// The longest line that is read whole, in bytes.
    pub line: usize,
    /// The longest name, in bytes.
    pub name: usize,
    /// The longest message, in bytes (and a line that says what is left out).
    pub message: usize,
    /// The most tests that have begun and not ended.
    pub open: usize,
    /// What all messages that are not given yet may have together, in bytes.
    pub held: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { tests: 100_000, line: 1 << 20, name: 1024, message: 8 << 10, open: 10_000, held: 16 << 20 }
    }
}

/// What was read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Summary {
    /// Tests that were given.
    pub tests: u64,
    /// Tests that were left out, because there were too many.
    pub left_out: u64,
    /// Lines that were too long to be read whole.
    pub cut: u64,
    /// What is wrong with the output as a whole.
    pub problem: Option<String>,
}

#[derive(Debug)]
pub(crate) struct Results {
    pub limits: Limits,
    pub budget: Budget,
    pub ready: Vec<Test>,
    pub cut: u64,
    pub problem: Option<String>,
    /// How often each was given, by a hash of its name and variant: where two have one hash, the second has a number.
    seen: HashMap<u64, u32>,
    given: u64,
    left_out: u64,
}

impl Results {
    pub fn new(limits: Limits) -> Self {
        let budget = Budget::new(limits.held);
        Self {
            limits,
            budget,
            ready: Vec::new(),
            cut: 0,
            problem: None,
            seen: HashMap::new(),
            given: 0,
            left_out: 0,
        }
    }

    /// Gives a test.
    pub fn put(&mut self, mut test: Test) {
        let most = self.limits.tests as u64;
        let room = if test.outcome.is_bad() { most + most / 10 } else { most };
        if self.given >= room {
            self.left_out += 1;
            return;
        }
        shorten(&mut test.id, self.limits.name);
        shorten(&mut test.variant, self.limits.name.min(200));
        if test.id.is_empty() {
            return;
        }
        let mut hasher = DefaultHasher::new();
        (&test.id, &test.variant, test.measure.is_some()).hash(&mut hasher);
        let times = self.seen.entry(hasher.finish()).or_insert(0);
        *times = times.saturating_add(1);
        if *times > 1 {
            let number = format!("#{times}");
            if !test.variant.is_empty() {
                test.variant.push(' ');
            }
            test.variant.push_str(&number);
        }
        self.given += 1;
        self.ready.push(test);
    }

    /// Counts a test that is not even looked at.
    pub fn leave_out(&mut self) {
        self.left_out += 1;
    }

    /// Adds a line to a text.
    pub fn line(&mut self, text: &mut Text, line: &[u8]) {
        text.line(line, self.limits.message, &mut self.budget);
    }

    /// Adds bytes to a text.
    pub fn push(&mut self, text: &mut Text, bytes: &[u8]) {
        text.push(bytes, self.limits.message, &mut self.budget);
    }

    /// The message of a test that ended so: nothing if it ended well.
    pub fn message(&mut self, outcome: Outcome, text: Text) -> Option<String> {
        match outcome {
            Outcome::Ok => {
                text.free(&mut self.budget);
                None
            }
            _ => text.message(self.limits.message, &mut self.budget),
        }
    }

    pub fn summary(&self) -> Summary {
        Summary { tests: self.given, left_out: self.left_out, cut: self.cut, problem: self.problem.clone() }
    }
}

/// Cuts a text at a character, so that it has at most so many bytes.
pub(crate) fn shorten(text: &mut String, most: usize) {
    if text.len() > most {
        text.truncate(text.floor_char_boundary(most));
    }
}

/// Seconds as they are written, as microseconds.
pub(crate) fn seconds(text: &str) -> Option<u64> {
    micros(text.trim().parse().ok()?)
}

/// Seconds as microseconds; nothing for what no test takes.
pub(crate) fn micros(seconds: f64) -> Option<u64> {
    (seconds.is_finite() && (0.0..1e9).contains(&seconds)).then(|| (seconds * 1e6).round() as u64)
}
