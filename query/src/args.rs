//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{CommandFactory as _, FromArgMatches as _, Parser};
use jiff::civil::Date;
use jiff::{Span, Timestamp, tz::TimeZone};

use crate::output::Format;

const AFTER: &str = "\
Tables:
  issues, comments, events, labels, reviews           of GitHub
  cls, patch_sets, votes, messages                    of Gerrit
  commits, files, refs                                of git
`--tables` lists their columns, `DESCRIBE issues` those of one.

The log is a folder that maintnerd or godata writes (--data), or a server's (--url), of which what is new is fetched into a cache
first. A query sees one version of it, and nothing of it is ever changed: SELECT, EXPLAIN, DESCRIBE and SHOW TABLES are all there
is. Lists such as labels are asked with array_has(labels, 'x'), empty(assignees), unnest(labels).

--at TIME shows what was there at that moment, as far as the log tells: nothing that was made later, titles, states, labels, owners
and votes as they were. now() is TIME then. docs/query.md says exactly how. TIME is an instant, a day, or how long ago: 3d, 2w, 6mo,
1y, 36h, '3 days ago', '1 year 2 months'; m is minutes. Days, months and years are those of the calendar in UTC.

Examples:
  bellwether query --data DIR \"SELECT number, title FROM issues WHERE state = 'open' AND array_has(labels, 'release-blocker')\"
  bellwether query --data DIR --at 2018-02-01 \"SELECT count(*) FROM issues WHERE state = 'open'\"
  bellwether query --data DIR --at '1 month ago' \"SELECT count(*) FROM issues WHERE state = 'open'\"
  bellwether query --url https://maintner.example.org/logs --format csv - < question.sql
  bellwether query --data DIR \"SELECT project, number, subject FROM cls WHERE status = 'new' ORDER BY updated LIMIT 20\"";

/// Asks the state of a project: SQL over issues, changes and commits
#[derive(Debug, Clone, Parser)]
#[command(name = "bellwether-query", version, after_help = AFTER, max_term_width = 140)]
pub struct Args {
    /// The folder of a log: day files (maintner-YYYY-MM-DD.mutlog), or segments as maintnerd and godata keep them
    #[arg(long, value_name = "DIR", env = "BELLWETHER_QUERY_DATA")]
    pub data: Option<PathBuf>,
    /// The address of a server's index, such as https://maintner.example.org/logs, which is asked instead of a folder
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,
    /// Where what is fetched is kept [default: golang-maintner in the user's cache, as the original's clients]
    #[arg(long, value_name = "DIR", requires = "url")]
    pub cache: Option<PathBuf>,
    /// What was there at that moment: 2018-02-01T12:00:00Z; a date, which is its first instant in UTC; or how long ago, 3d
    #[arg(long = "at", value_name = "TIME", value_parser = moment)]
    moment: Option<Moment>,
    /// The instant of `--at`
    #[arg(skip)]
    pub at: Option<Timestamp>,
    /// How rows are printed
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,
    /// Characters that a cell of a table is cut to
    #[arg(long, value_name = "N", default_value_t = 60, value_parser = clap::value_parser!(u16).range(1..))]
    pub width: u16,
    /// What joins, sorts and groups may hold: 512M, 2G, at least 16M; beyond it they use temporary files where they can, and fail
    /// where not
    #[arg(long, value_name = "SIZE", default_value = "1G", value_parser = size)]
    pub memory: usize,
    /// Lists tables and columns
    #[arg(long, conflicts_with = "sql")]
    pub tables: bool,
    /// One statement, or several with a semicolon after each; - or nothing reads them from standard input
    pub sql: Option<String>,
}

impl Args {
    /// Reads a command line, of which the first word is the program's name.
    ///
    /// # Errors
    /// What is wrong with it, or what was asked for instead, such as help.
    pub fn read(words: impl IntoIterator<Item = OsString>, now: Timestamp) -> Result<Self, clap::Error> {
        let mut command = Self::command();
        let matches = command.try_get_matches_from_mut(words)?;
        // A folder of the environment is the usual one, and gives way; clap's own conflicts make no such difference.
        if matches.value_source("data") == Some(ValueSource::CommandLine) && matches.contains_id("url") {
            let why = "the argument '--data <DIR>' cannot be used with '--url <URL>'";
            return Err(command.error(ErrorKind::ArgumentConflict, why));
        }
        let mut args = Self::from_arg_matches(&matches).map_err(|why| why.format(&mut command))?;
        let at = args.moment.map(|moment| moment.instant(now)).transpose();
        args.at = at.map_err(|why| {
            command.error(ErrorKind::ValueValidation, format!("invalid value for '--at <TIME>': {why}"))
        })?;
        Ok(args)
    }
}

/// What `--at` says.
#[derive(Debug, Clone, Copy)]
enum Moment {
    At(Timestamp),
    /// So long before now.
    Ago(Span),
}

impl Moment {
    fn instant(self, now: Timestamp) -> Result<Timestamp, String> {
        let moment = match self {
            Self::At(moment) => Some(moment),
            Self::Ago(span) => now.to_zoned(TimeZone::UTC).checked_sub(span).ok().map(|at| at.timestamp()),
        };
        // The engine counts what `now()` is in nanoseconds of 64 bits.
        moment
            .filter(|moment| matches!(moment.to_zoned(TimeZone::UTC).year(), 1678..=2261))
            .ok_or_else(|| "a moment is of the years 1678 to 2261".to_owned())
    }
}

/// An instant, the first one of a day in UTC, or how long ago.
fn moment(text: &str) -> Result<Moment, String> {
    if let Ok(instant) = text.parse::<Timestamp>() {
        return Ok(Moment::At(instant));
    }
    let day = text.parse::<Date>().ok().filter(|_| text.len() == "2018-02-01".len());
    if let Some(day) = day.and_then(|day| day.to_zoned(TimeZone::UTC).ok()) {
        return Ok(Moment::At(day.timestamp()));
    }
    // With or without the word; no sign says whether what is to come is meant.
    let span = text.parse::<Span>().ok().filter(|_| !text.starts_with(['+', '-']));
    span.map(|span| Moment::Ago(span.abs())).ok_or_else(|| {
        "a moment is written 2018-02-01T12:00:00Z, 2018-02-01, or as how long ago: 3d, '2 weeks ago'"
            .to_owned()
    })
}

/// Bytes with which sorts still work: each part of one needs some batches for itself.
const SMALLEST: usize = 16 << 20;

/// `512M`, `2G`, or bytes.
fn size(text: &str) -> Result<usize, String> {
    let (digits, shift) = match text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic()) {
        digits if digits.len() == text.len() => (digits, 0),
        digits => match &text[digits.len()..] {
            "K" => (digits, 10),
            "M" => (digits, 20),
            "G" => (digits, 30),
            _ => ("", 0),
        },
    };
    let bytes = digits.parse::<usize>().ok().and_then(|number| number.checked_mul(1 << shift));
    bytes
        .filter(|bytes| *bytes >= SMALLEST)
        .ok_or_else(|| "a size is written 512M or 2G, and is 16M or more, with less no sort works".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Args::command().debug_assert();
    }

    #[test]
    fn moments_are_instants_or_days() {
        let now: Timestamp = "2024-03-31T10:00:00Z".parse().unwrap();
        let moment = |text| moment(text).and_then(|moment| moment.instant(now));
        let seconds = |text| moment(text).map(Timestamp::as_second);
        assert_eq!(seconds("2018-02-01T12:00:00Z"), Ok(1_517_486_400));
        assert_eq!(seconds("2018-02-01T13:00:00+01:00"), Ok(1_517_486_400));
        assert_eq!(seconds("2018-02-01"), Ok(1_517_443_200));
        for (text, want) in [
            ("3 days ago", "2024-03-28T10:00:00Z"),
            ("3d", "2024-03-28T10:00:00Z"),
            ("P3D", "2024-03-28T10:00:00Z"),
            ("36h", "2024-03-29T22:00:00Z"),
            ("2w", "2024-03-17T10:00:00Z"),
            ("5m", "2024-03-31T09:55:00Z"),
            // The last day of a month that has fewer.
            ("1 month", "2024-02-29T10:00:00Z"),
            ("1 year 2 months ago", "2023-01-31T10:00:00Z"),
            ("0s", "2024-03-31T10:00:00Z"),
        ] {
            assert_eq!(moment(text), Ok(want.parse().unwrap()), "{text}");
        }
        for bad in
            ["", "yesterday", "2018-02-30", "2018-02-01T12:00:00", "-3d", "+3d", "3", "3 days hence", "ago"]
        {
            assert!(moment(bad).is_err_and(|why| why.contains("3d")), "{bad}");
        }
        for far in
            ["1677-12-31", "2262-01-01", "9999-12-30T00:00:00Z", "-000001-01-01T00:00:00Z", "400y", "9999y"]
        {
            assert!(moment(far).is_err_and(|why| why.contains("1678 to 2261")), "{far}");
        }
        assert!(moment("1678-01-01").is_ok() && moment("2261-12-31T23:59:59Z").is_ok());
    }

    #[test]
    fn what_is_as_long_ago_is_of_the_time_of_the_command() {
        let read = |at: &str, now: &str| {
            let words = ["bellwether-query", "--at", at, "SELECT 1"].map(OsString::from);
            Args::read(words, now.parse().unwrap()).map(|args| args.at.unwrap().to_string())
        };
        assert_eq!(read("1d", "2020-01-02T03:04:05Z").unwrap(), "2020-01-01T03:04:05Z");
        let why = read("20000y", "2020-01-02T03:04:05Z").unwrap_err();
        assert_eq!(why.exit_code(), 2);
    }

    #[test]
    fn sizes_have_a_unit() {
        assert_eq!((size("2G"), size("16M"), size("20971520")), (Ok(2 << 30), Ok(16 << 20), Ok(20 << 20)));
        for bad in
            ["", "G", "2T", "-1M", "1K", "15M", "16777215", "99999999999999999999G", "18446744073709551615G"]
        {
            assert!(size(bad).is_err(), "{bad}");
        }
    }
}
