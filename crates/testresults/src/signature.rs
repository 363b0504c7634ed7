//! What failures have in common that failed alike.
//!
//! A failure's signature is a digest of its test and of what it said, without what differs from run to run and from machine
//! to machine. These rules take that out, in this order:
//!
//! 1. escape sequences of terminals; what follows the first of the goroutines that a crash lists; Rust's backtraces, which a
//!    variable of the machine switches on;
//! 2. dates and times of day: `<time>`; UUIDs: `<uuid>`;
//! 3. paths below a directory for temporary files: `<tmp>`; of other absolute paths the last two parts are left;
//! 4. hexadecimal with `0x`, and words of 8 or more hexadecimal digits, letters and numbers among them: `<hex>`; numbers of
//!    10 or more digits: `<n>`;
//! 5. the number of a goroutine, thread, process, port and the like, by the word before it: `<n>`; the port behind an
//!    address or `localhost`: `<port>`;
//! 6. lines and columns behind the name of a file, and behind `line`: `<line>`;
//! 7. durations, a number with its unit: `<dur>`;
//! 8. blanks at the ends of lines and more than one in a row, and empty lines.
//!
//! All other numbers stay, so that `got 3, want 4` and `got 5, want 4` are two failures.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::{Captures, Regex};
use sha2::{Digest as _, Sha256};

/// So much of a text is looked at, in bytes.
const LOOKED_AT: usize = 32 << 10;

static ESCAPES: LazyLock<Regex> =
    LazyLock::new(|| rule(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[@-Z\\^_]?"));

/// A rule, and what is put in its place.
static RULES: LazyLock<Vec<(Regex, &'static str)>> = LazyLock::new(|| {
    let rules = [
        (
            r"\b\d{4}[-/]\d\d[-/]\d\d(?:[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?: ?(?:Z|UTC|[+-]\d\d:?\d\d))?)?|\b\d\d:\d\d:\d\d(?:[.,]\d+)?\b",
            "<time>",
        ),
        (r"\b[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}\b", "<uuid>"),
        (
            r#"(?:file://)?(?:(?:/private)?(?:/var)?/tmp/|/private/var/folders/|/var/folders/|/dev/shm/|[A-Za-z]:\\[^\s"']*\\Temp\\)[^\s:"'`,;()\[\]{}<>]*"#,
            "<tmp>",
        ),
        (r"\b0[xX][0-9a-fA-F]+", "<hex>"),
        (r"\b\d{10,}\b", "<n>"),
        (
            r"(?i)\b(goroutine|thread|pid|tid|process|port|fd|worker|conn(?:ection)?|job|session)(\(s\))?((?: id)?[ =:#(]{1,3})\d+\b",
            "${1}${2}${3}<n>",
        ),
        (r"(\bthread '[^'\n]*') \(\d+\)", "${1} (<n>)"),
        (r"((?:\b\d{1,3}(?:\.\d{1,3}){3}|\blocalhost|\[[0-9a-fA-F:.]*\])):\d{1,5}\b", "${1}:<port>"),
        (r"(\.[A-Za-z][A-Za-z0-9_]{0,7}|<tmp>):\d+(?::\d+)?\b", "${1}:<line>"),
        (r"(\.[A-Za-z][A-Za-z0-9_]{0,7}|<tmp>)\(\d+(?:,\d+)?\)", "${1}(<line>)"),
        (r"(?i)\b(lines?) \d+(?:,? col(?:umn)? \d+)?", "${1} <line>"),
        (
            r"\b(?:\d+(?:\.\d+)?(?:ns|µs|μs|us|ms|h|m|s))+\b|(?i)\b\d+(?:\.\d+)? ?(?:nano|micro|milli)?(?:seconds?|secs?)\b|\b\d+(?:\.\d+)? (?:ns|µs|μs|us|ms|s|minutes?|hours?)\b",
            "<dur>",
        ),
    ];
    rules.into_iter().map(|(pattern, place)| (rule(pattern), place)).collect()
});

static PATHS: LazyLock<Regex> =
    LazyLock::new(|| rule(r#"(?m)(^|[\s"'`(=\[<>,])(?:file://)?((?:/[\w.@+~=%-]+){3,})"#));
static WORDS: LazyLock<Regex> = LazyLock::new(|| rule(r"\b[0-9a-fA-F]{8,}\b"));
/// The header of a goroutine in a crash.
static GOROUTINE: LazyLock<Regex> = LazyLock::new(|| rule(r"(?m)^goroutine \d+ .*\[.*\]:"));

fn rule(pattern: &str) -> Regex {
    Regex::new(pattern).expect("a test compiles every rule")
}

/// Takes out the escape sequences of terminals.
pub(crate) fn without_escapes(text: &str) -> String {
    ESCAPES.replace_all(text, "").into_owned()
}

/// What is left of a text by the rules above.
#[must_use]
pub fn normalised(text: &str) -> String {
    let text = &text[..text.floor_char_boundary(LOOKED_AT)];
    let mut text = Cow::Owned(one_trace(&without_escapes(text)).replace('\r', "\n"));
    let (times, rest) = RULES.split_at(3);
    text = apply(text, times);
    text = replaced(text, &PATHS, |found| {
        let path = &found[2];
        let mut parts = path.rsplitn(3, '/');
        let (last, before) = (parts.next().unwrap_or(""), parts.next().unwrap_or(""));
        format!("{}…/{before}/{last}", &found[1])
    });
    text = replaced(text, &WORDS, |found| {
        let word = &found[0];
        let (digits, letters) =
            (word.bytes().any(|b| b.is_ascii_digit()), word.bytes().any(|b| b.is_ascii_alphabetic()));
        if digits && letters { "<hex>".to_owned() } else { word.to_owned() }
    });
    text = apply(text, rest);
    let mut out = String::with_capacity(text.len());
    for line in text.lines() {
        let before = out.len();
        for word in line.split_whitespace() {
            if out.len() > before {
                out.push(' ');
            }
            out.push_str(word);
        }
        if out.len() > before {
            out.push('\n');
        }
    }
    out
}

fn apply<'t>(mut text: Cow<'t, str>, rules: &[(Regex, &str)]) -> Cow<'t, str> {
    for (rule, place) in rules {
        if let Cow::Owned(new) = rule.replace_all(&text, *place) {
            text = Cow::Owned(new);
        }
    }
    text
}

fn replaced<'t>(text: Cow<'t, str>, rule: &Regex, place: impl Fn(&Captures<'_>) -> String) -> Cow<'t, str> {
    match rule.replace_all(&text, |found: &Captures<'_>| place(found)) {
        Cow::Owned(new) => Cow::Owned(new),
        Cow::Borrowed(_) => text,
    }
}

/// Cuts off the goroutines after the first, and backtraces of Rust.
fn one_trace(text: &str) -> String {
    let mut headers = GOROUTINE.find_iter(text);
    let text = match (headers.next(), headers.next()) {
        (Some(_), Some(second)) => &text[..second.start()],
        _ => text,
    };
    let mut out = String::with_capacity(text.len());
    let mut trace = false;
    for line in text.lines() {
        let words = line.trim_start();
        trace = match words {
            "stack backtrace:" => true,
            // Frames begin with a number or are indented.
            _ if trace => line.starts_with(' ') || words.starts_with(|c: char| c.is_ascii_digit()),
            _ => false,
        };
        if !trace
            && !words.starts_with("note: run with `RUST_BACKTRACE")
            && !words.starts_with("note: Some details are omitted")
        {
            out.push_str(line);
            out.push('\n');
        }
    }
    out
}

/// The signature of a failure: 16 hexadecimal digits of the SHA-256 of its test's name and its normalised text.
#[must_use]
pub fn signature(test: &str, text: &str) -> String {
    let mut hash = Sha256::new();
    hash.update((test.len() as u64).to_le_bytes());
    hash.update(test.as_bytes());
    hash.update(normalised(text).as_bytes());
    hex::encode(&hash.finalize()[..8])
}
