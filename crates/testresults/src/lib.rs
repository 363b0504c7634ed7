//! What test runners print, test by test.
//!
//! A [`Reader`] takes the output of one format in pieces, cut anywhere, and gives a [`Test`] for each test that it finds. It
//! never fails: what it does not understand it passes over, and what was left out is counted in a [`Summary`]. Its memory
//! is bounded by its [`Limits`] whatever comes. It knows nothing of builds, logs or databases.

mod dist;
pub mod fuzzing;
mod gojson;
mod junit;
mod libtest;
mod libtestjson;
mod lines;
mod pytest;
mod results;
mod signature;
mod tap;
mod text;
mod xml;

use std::ops::Range;
use std::str::FromStr;

pub use results::{Limits, Summary};
pub use signature::{normalised, signature};

use lines::{Line, Lines};
use results::Results;

/// The format of an output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// `go tool dist test`, and `go test` without `-json`.
    Dist,
    /// `go test -json`.
    GoJson,
    /// A JUnit file.
    Junit,
    /// The Test Anything Protocol, versions 13 and 14.
    Tap,
    /// libtest with `--format json`, or nextest with `--message-format libtest-json`.
    LibtestJson,
    /// libtest as it is: `cargo test`.
    Libtest,
    /// pytest, best with `-v`.
    Pytest,
}

impl Format {
    /// All of them.
    pub const ALL: [Format; 7] = [
        Format::Dist,
        Format::GoJson,
        Format::Junit,
        Format::Tap,
        Format::LibtestJson,
        Format::Libtest,
        Format::Pytest,
    ];

    /// Its name in a recipe.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Format::Dist => "dist",
            Format::GoJson => "go-json",
            Format::Junit => "junit",
            Format::Tap => "tap",
            Format::LibtestJson => "libtest-json",
            Format::Libtest => "libtest",
            Format::Pytest => "pytest",
        }
    }
}

/// A word that is no format.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no format of test results: dist, go-json, junit, tap, libtest-json, libtest or pytest")]
pub struct NoFormat(pub String);

impl FromStr for Format {
    type Err = NoFormat;

    fn from_str(text: &str) -> Result<Self, NoFormat> {
        let found = Format::ALL.into_iter().find(|format| format.as_str() == text);
        found.ok_or_else(|| NoFormat(text.chars().take(64).collect()))
    }
}

/// How a test ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Outcome {
    /// Well.
    #[default]
    Ok,
    /// Badly.
    Failed,
    /// It was not run, or its failure was expected.
    Skipped,
    /// It began, and its runner ended before it did.
    Unfinished,
}

impl Outcome {
    /// `ok`, `failed`, `skipped` or `unfinished`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::Ok => "ok",
            Outcome::Failed => "failed",
            Outcome::Skipped => "skipped",
            Outcome::Unfinished => "unfinished",
        }
    }

    /// Whether somebody has to look at it.
    #[must_use]
    pub fn is_bad(self) -> bool {
        matches!(self, Outcome::Failed | Outcome::Unfinished)
    }
}

/// What a benchmark measured.
#[derive(Debug, Clone, PartialEq)]
pub struct Measure {
    /// The value.
    pub value: f64,
    /// Its unit: `ns/op`, `ns/iter`.
    pub unit: String,
}

/// One test, as it ended once.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Test {
    /// Its name: `PACKAGE.TEST` of Go, `PACKAGE` of a Go package as a whole, `BINARY::PATH` of Rust, `FILE::TEST` of pytest,
    /// `CLASS.NAME` of JUnit, `PARENT > CHILD` of TAP.
    pub id: String,
    /// Tells apart the same test run in several ways, and `#2`, `#3`, … where it just ran again; mostly empty.
    pub variant: String,
    /// How it ended.
    pub outcome: Outcome,
    /// How long it took, microseconds, if it was said.
    pub micros: Option<u64>,
    /// The bytes of the output that tell of it; nothing for JUnit.
    pub bytes: Option<Range<u64>>,
    /// What was measured, if it is a benchmark.
    pub measure: Option<Measure>,
    /// What it said, if it did not end well: its head and its tail where it said much.
    pub message: Option<String>,
}

/// Reads the output of tests.
#[derive(Debug)]
pub struct Reader {
    parser: Parser,
    lines: Lines,
    results: Results,
    finished: bool,
}

#[derive(Debug)]
enum Parser {
    Dist(dist::Dist),
    GoJson(gojson::GoJson),
    Junit(Box<junit::Junit>),
    Tap(tap::Tap),
    LibtestJson(libtestjson::LibtestJson),
    Libtest(libtest::Libtest),
    Pytest(pytest::Pytest),
}

impl Parser {
    fn line(&mut self, line: &Line<'_>, results: &mut Results) {
        match self {
            Parser::Dist(parser) => parser.line(line, results),
            Parser::GoJson(parser) => parser.line(line, results),
            Parser::Junit(_) => {}
            Parser::Tap(parser) => parser.line(line, results),
            Parser::LibtestJson(parser) => parser.line(line, results),
            Parser::Libtest(parser) => parser.line(line, results),
            Parser::Pytest(parser) => parser.line(line, results),
        }
    }
}

impl Reader {
    /// Begins to read, `at` so many bytes from the beginning of whatever holds the output.
    #[must_use]
    pub fn new(format: Format, limits: Limits, at: u64) -> Self {
        let parser = match format {
            Format::Dist => Parser::Dist(dist::Dist::default()),
            Format::GoJson => Parser::GoJson(gojson::GoJson::default()),
            Format::Junit => Parser::Junit(Box::default()),
            Format::Tap => Parser::Tap(tap::Tap::default()),
            Format::LibtestJson => Parser::LibtestJson(libtestjson::LibtestJson::default()),
            Format::Libtest => Parser::Libtest(libtest::Libtest::default()),
            Format::Pytest => Parser::Pytest(pytest::Pytest::default()),
        };
        let lines = Lines::new(limits.line, at);
        Self { parser, lines, results: Results::new(limits), finished: false }
    }

    /// Takes the next bytes.
    pub fn feed(&mut self, bytes: &[u8]) {
        let Self { parser, lines, results, .. } = self;
        if let Parser::Junit(parser) = parser {
            return parser.feed(bytes, results);
        }
        lines.feed(bytes, |line| {
            results.cut += u64::from(line.cut);
            parser.line(line, results);
        });
    }

    /// Goes on at another place: what lies between is not to be had.
    pub fn skip_to(&mut self, at: u64) {
        let Self { parser, lines, results, .. } = self;
        lines.skip_to(at, |line| parser.line(line, results));
    }

    /// Goes on with another file, of which the first is done: its tests are told apart from those before.
    ///
    /// Gives what is wrong with the file that is done.
    pub fn next_file(&mut self, format: Format) -> Option<String> {
        let problem = self.finish().problem;
        let fresh = Reader::new(format, self.results.limits.clone(), 0);
        (self.parser, self.lines, self.finished) = (fresh.parser, fresh.lines, false);
        self.results.problem = None;
        problem
    }

    /// Takes what was found since the last time.
    pub fn take(&mut self) -> Vec<Test> {
        std::mem::take(&mut self.results.ready)
    }

    /// Says that nothing more comes: tests that did not end are unfinished. [`Reader::take`] gives the rest of them.
    pub fn finish(&mut self) -> Summary {
        let Self { parser, lines, results, finished } = self;
        if !std::mem::replace(finished, true) {
            lines.finish(|line| parser.line(line, results));
            match parser {
                Parser::Dist(parser) => parser.finish(results),
                Parser::GoJson(parser) => parser.finish(results),
                Parser::Junit(parser) => parser.finish(results),
                Parser::Tap(parser) => parser.finish(results),
                Parser::LibtestJson(parser) => parser.finish(results),
                Parser::Libtest(parser) => parser.finish(results),
                Parser::Pytest(parser) => parser.finish(results),
            }
        }
        self.results.summary()
    }
}

/// Reads a whole output that is at hand.
#[must_use]
pub fn read(format: Format, limits: Limits, output: &[u8]) -> (Vec<Test>, Summary) {
    let mut reader = Reader::new(format, limits, 0);
    reader.feed(output);
    let summary = reader.finish();
    (reader.take(), summary)
}
