//! Mute rules: files in which people say that a test's failures shall fail no run, who looks after it, and until when.
//!
//! ```toml
//! [[mute]]
//! test = "net.TestDial*"           # `*` any characters, `?` one
//! builder = "windows-*"            # every builder without it
//! text = "connection (reset|refused)"   # a regular expression in the failure's text; any text without it
//! owner = "anna@example.org"       # who mends it
//! until = 2027-01-31               # the last day on which it mutes
//! reason = "issue 4711"            # for people; may be left out
//! ```
//!
//! A rule that has expired mutes nothing, and says so by itself ([`MuteRules::expired`]). Nothing is muted for longer than a year
//! at a time.

mod read;

use jiff::civil::Date;
use regex::Regex;
use serde::Serialize;

/// A file of rules, as it was read by somebody else.
#[derive(Debug, Clone, Copy)]
pub struct MuteFile<'a> {
    /// The name shown to people.
    pub name: &'a str,
    /// Its text.
    pub text: &'a str,
}

/// Where something stands: `file:line:column`, both from 1, the column in characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Place {
    /// The file's name.
    pub file: String,
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// One thing that is wrong in a file, and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, thiserror::Error)]
#[error("{place}: {message}; {remedy}")]
pub struct MuteProblem {
    /// Where.
    pub place: Place,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub remedy: String,
}

/// A failure that a rule may mute.
#[derive(Debug, Clone, Copy)]
pub struct Muted<'a> {
    /// The test's name.
    pub test: &'a str,
    /// The builder's.
    pub builder: &'a str,
    /// The failure's text.
    pub text: &'a str,
}

/// One rule.
#[derive(Debug, Clone)]
pub struct MuteRule {
    /// Where it stands.
    pub place: Place,
    /// The pattern of tests, as it was written.
    pub test: String,
    /// The pattern of builders, as it was written; `*` if there is none.
    pub builder: String,
    /// The regular expression, as it was written.
    pub text: Option<String>,
    /// Who mends it.
    pub owner: String,
    /// The last day on which it mutes.
    pub until: Date,
    /// Why, for people.
    pub reason: Option<String>,
    tests: Regex,
    builders: Regex,
    texts: Option<Regex>,
}

impl MuteRule {
    /// Whether it mutes nothing any more. Days are UTC's.
    #[must_use]
    pub fn is_expired(&self, today: Date) -> bool {
        self.until < today
    }

    /// Whether it is about this failure, expired or not.
    #[must_use]
    pub fn matches(&self, failure: &Muted<'_>) -> bool {
        self.tests.is_match(failure.test)
            && self.builders.is_match(failure.builder)
            && self.texts.as_ref().is_none_or(|texts| texts.is_match(failure.text))
    }

    /// What is said of a failure that it mutes.
    #[must_use]
    pub fn sentence(&self) -> String {
        let reason = self.reason.as_ref().map_or(String::new(), |reason| format!(" ({reason})"));
        format!("muted until {} by {}{reason}, {}", self.until, self.owner, self.place)
    }
}

/// A rule that has expired, for its owner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Expired {
    /// Where it stands.
    pub place: Place,
    /// Who looks after it.
    pub owner: String,
    /// The last day on which it muted.
    pub until: Date,
    /// All of it for people.
    pub sentence: String,
}

/// The rules of all files, in their order.
#[derive(Debug, Clone, Default)]
pub struct MuteRules {
    rules: Vec<MuteRule>,
}

impl MuteRules {
    /// Reads files. `today` bounds how far away the end of a rule may be.
    ///
    /// # Errors
    /// Everything that is wrong in them, in the files' order. Then no rule holds: half a file is not what somebody meant.
    pub fn read(files: &[MuteFile<'_>], today: Date) -> Result<Self, Vec<MuteProblem>> {
        let (mut rules, mut problems) = (Vec::new(), Vec::new());
        for file in files {
            read::file(file, today, &mut rules, &mut problems);
        }
        if problems.is_empty() { Ok(Self { rules }) } else { Err(problems) }
    }

    /// All rules.
    #[must_use]
    pub fn rules(&self) -> &[MuteRule] {
        &self.rules
    }

    /// The first rule that mutes a failure today.
    #[must_use]
    pub fn mutes(&self, failure: &Muted<'_>, today: Date) -> Option<&MuteRule> {
        self.rules.iter().find(|rule| !rule.is_expired(today) && rule.matches(failure))
    }

    /// The rules that mute nothing any more, for a report.
    #[must_use]
    pub fn expired(&self, today: Date) -> Vec<Expired> {
        let expired = self.rules.iter().filter(|rule| rule.is_expired(today));
        expired
            .map(|rule| Expired {
                place: rule.place.clone(),
                owner: rule.owner.clone(),
                until: rule.until,
                sentence: format!(
                    "{}: the rule for {} expired on {} and mutes nothing any more; {} has to mend the test and take the rule \
                     out, or give a later day",
                    rule.place, rule.test, rule.until, rule.owner
                ),
            })
            .collect()
    }
}
