//! The Test Anything Protocol, versions 13 and 14: <https://testanything.org/tap-version-14-specification.html>.

use crate::lines::Line;
use crate::results::{Results, micros, seconds};
use crate::text::Text;
use crate::{Outcome, Test};

/// So deep subtests are told apart.
const DEPTH: usize = 16;

#[derive(Debug)]
struct Item {
    test: Test,
    text: Text,
    first: u64,
    end: u64,
    depth: usize,
}

#[derive(Debug, Default)]
pub(crate) struct Tap {
    /// The last test: what follows may be about it.
    last: Option<Item>,
    /// Whether what comes is a block of YAML.
    yaml: bool,
    parents: Vec<String>,
    plan: Option<u64>,
    seen: u64,
    bailed: Option<String>,
    /// Where the document begins and ends.
    first: u64,
    end: u64,
}

impl Tap {
    pub fn line(&mut self, line: &Line<'_>, results: &mut Results) {
        let text = line.text();
        let indent = text.len() - text.trim_start_matches(' ').len();
        let words = text.trim();
        if self.yaml {
            self.note(line, words, results);
            // Its end stands as deep as its beginning; whatever is less deep has left it.
            let depth = self.last.as_ref().map_or(0, |item| item.depth * 4);
            self.yaml = !(words == "..." && indent <= depth + 2);
            return;
        }
        let depth = (indent / 4).min(DEPTH);
        if words == "---" && self.last.as_ref().is_some_and(|item| indent == item.depth * 4 + 2) {
            self.yaml = true;
            return self.note(line, "", results);
        }
        if depth == 0 && words.starts_with("TAP version ") {
            self.end_document(results);
            self.first = line.first;
            self.end = line.end;
            return;
        }
        if let Some(reason) = text.strip_prefix("Bail out!") {
            self.flush(results);
            self.bailed = Some(reason.trim().to_owned());
            self.end = line.end;
            return;
        }
        if let Some(plan) = plan(words) {
            if depth == 0 {
                if self.plan.is_some() {
                    self.end_document(results);
                    self.first = line.first;
                }
                self.plan = Some(plan);
                self.end = line.end;
            }
            return;
        }
        if let Some(name) = words.strip_prefix("# Subtest: ") {
            self.flush(results);
            self.parents.truncate(depth);
            if self.parents.len() == depth && depth < DEPTH {
                let mut name = unescaped(name);
                crate::results::shorten(&mut name, results.limits.name);
                self.parents.push(name);
            }
            return;
        }
        if let Some(found) = result(words) {
            self.flush(results);
            self.parents.truncate(depth);
            if depth == 0 {
                self.seen += 1;
            }
            self.end = line.end;
            let name = match (found.name.is_empty(), found.number) {
                (false, _) => found.name,
                (true, Some(number)) => format!("test {number}"),
                (true, None) => format!("test {}", self.seen),
            };
            let mut id = self.parents.join(" > ");
            if !id.is_empty() {
                id.push_str(" > ");
            }
            id.push_str(&name);
            let test = Test {
                id,
                outcome: found.outcome,
                micros: found.micros,
                message: found.reason,
                ..Test::default()
            };
            let (first, end) = (line.first, line.end);
            self.last = Some(Item { test, text: Text::default(), first, end, depth });
            return;
        }
        match words.strip_prefix('#') {
            Some(said) => self.note(line, said, results),
            // Something else that the program printed.
            None if words.is_empty() => {}
            None => self.flush(results),
        }
    }

    /// Adds to what is known of the last test.
    fn note(&mut self, line: &Line<'_>, words: &str, results: &mut Results) {
        let Some(item) = &mut self.last else { return };
        item.end = line.end;
        self.end = line.end;
        if let Some(took) = words.strip_prefix("duration_ms:") {
            item.test.micros = took.trim().parse::<f64>().ok().and_then(|ms| micros(ms / 1e3));
        } else if item.test.outcome != Outcome::Ok && words != "..." && !words.is_empty() {
            results.line(&mut item.text, words.as_bytes());
        }
    }

    fn flush(&mut self, results: &mut Results) {
        let Some(Item { mut test, text, first, end, .. }) = self.last.take() else { return };
        test.bytes = Some(first..end);
        let said = results.message(test.outcome, text);
        test.message = match (test.message.take(), said) {
            (Some(reason), Some(said)) => Some(format!("{reason}\n{said}")),
            (reason, said) => reason.or(said),
        };
        results.put(test);
    }

    fn end_document(&mut self, results: &mut Results) {
        self.flush(results);
        self.yaml = false;
        self.parents.clear();
        let (plan, seen, bailed) = (self.plan.take(), std::mem::take(&mut self.seen), self.bailed.take());
        let missing = plan.is_some_and(|plan| seen < plan);
        if !missing && bailed.is_none() {
            return;
        }
        let mut message = match plan {
            Some(plan) => format!("{seen} of {plan} tests were told of"),
            None => format!("it ended after {seen} tests"),
        };
        if let Some(reason) = bailed {
            message.push_str(&format!("; bail out: {reason}"));
        }
        results.put(Test {
            id: "(plan)".to_owned(),
            outcome: Outcome::Unfinished,
            bytes: Some(self.first..self.end),
            message: Some(message),
            ..Test::default()
        });
    }

    pub fn finish(&mut self, results: &mut Results) {
        self.end_document(results);
    }
}

/// `1..5`, perhaps with a comment behind it.
fn plan(words: &str) -> Option<u64> {
    let rest = words.strip_prefix("1..")?;
    let (count, rest) = rest.split_at(rest.bytes().take_while(u8::is_ascii_digit).count());
    (rest.is_empty() || rest.trim_start().starts_with('#')).then(|| count.parse().ok())?
}

struct Found {
    outcome: Outcome,
    number: Option<u64>,
    name: String,
    reason: Option<String>,
    micros: Option<u64>,
}

fn result(words: &str) -> Option<Found> {
    let (bad, rest) = match words.strip_prefix("not ok") {
        Some(rest) => (true, rest),
        None => (false, words.strip_prefix("ok")?),
    };
    if !rest.is_empty() && !rest.starts_with([' ', '\t']) {
        return None;
    }
    let rest = rest.trim_start();
    let (digits, after) = rest.split_at(rest.bytes().take_while(u8::is_ascii_digit).count());
    let (number, rest) = match digits.parse::<u64>() {
        Ok(number) if after.is_empty() || after.starts_with([' ', '\t']) => {
            (Some(number), after.trim_start())
        }
        _ => (None, rest),
    };
    let rest = match rest.strip_prefix('-') {
        Some(name) if name.is_empty() || name.starts_with(' ') => name.trim_start(),
        _ => rest,
    };
    let (name, directive) = directive(rest);
    let mut found = Found {
        outcome: if bad { Outcome::Failed } else { Outcome::Ok },
        number,
        name: unescaped(name.trim()),
        reason: None,
        micros: None,
    };
    let Some(directive) = directive else { return Some(found) };
    let (word, reason) = directive.split_once(char::is_whitespace).unwrap_or((directive, ""));
    let lower = word.to_ascii_lowercase();
    if lower.starts_with("skip") {
        found.outcome = Outcome::Skipped;
    } else if lower.starts_with("todo") {
        // A test that is not expected to go well yet.
        found.outcome = if bad { Outcome::Skipped } else { Outcome::Ok };
    } else if let Some(took) = lower.strip_prefix("time=") {
        found.micros = match took.strip_suffix("ms") {
            Some(ms) => ms.parse::<f64>().ok().and_then(|ms| micros(ms / 1e3)),
            None => took.strip_suffix('s').and_then(seconds),
        };
        return Some(found);
    } else {
        // A `#` in a name.
        found.name = unescaped(rest.trim());
        return Some(found);
    }
    if found.outcome == Outcome::Skipped {
        let reason = reason.trim();
        found.reason = Some(if reason.is_empty() { word.to_owned() } else { format!("{word} {reason}") });
    }
    Some(found)
}

/// Cuts a description at a `#` that is not escaped.
fn directive(text: &str) -> (&str, Option<&str>) {
    let mut escaped = false;
    let mut before = ' ';
    for (at, c) in text.char_indices() {
        if c == '#' && !escaped && before.is_whitespace() {
            return (&text[..at], Some(text[at + 1..].trim()));
        }
        escaped = c == '\\' && !escaped;
        before = c;
    }
    (text, None)
}

fn unescaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match (c, chars.peek()) {
            ('\\', Some('#' | '\\')) => out.extend(chars.next()),
            _ => out.push(c),
        }
    }
    out
}
