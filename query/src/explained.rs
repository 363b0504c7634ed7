//! Errors of SQL, with the place in the text.

use std::fmt;

use datafusion::common::{DataFusionError, Span};
use datafusion::sql::sqlparser::parser::ParserError;

/// What is wrong with a statement.
#[derive(Debug)]
pub struct SqlError {
    message: String,
    /// The line and what it says, and the column, both from 1.
    place: Option<(u64, String, u64)>,
    helps: Vec<String>,
}

impl std::error::Error for SqlError {}

impl SqlError {
    /// One without a place.
    #[must_use]
    pub fn plain(message: impl Into<String>) -> Self {
        Self { message: message.into(), place: None, helps: Vec::new() }
    }

    /// What the engine says of a text.
    #[must_use]
    pub fn of(why: &DataFusionError, text: &str) -> Self {
        let message = said(why);
        let (span, helps) = match why.diagnostic() {
            Some(diagnostic) => {
                let notes = diagnostic.notes.iter().map(|note| &note.message);
                let helps = diagnostic.helps.iter().map(|help| &help.message).chain(notes);
                (diagnostic.span, helps.cloned().collect())
            }
            None => (None, Vec::new()),
        };
        let helps = match why.find_root() {
            DataFusionError::ResourcesExhausted(_) => {
                vec!["--memory gives more to joins, sorts and groups".to_owned()]
            }
            _ => helps,
        };
        let place = span.map(|span: Span| (span.start.line, span.start.column)).or_else(|| place(&message));
        let place = place.and_then(|(line, column)| {
            let nth = usize::try_from(line).ok()?.checked_sub(1)?;
            Some((line, text.lines().nth(nth)?.to_owned(), column.max(1)))
        });
        Self { message, place, helps }
    }

    /// A statement that does more than read.
    #[must_use]
    pub fn only_reads(why: &DataFusionError) -> Self {
        Self::plain(format!(
            "{}: the corpus can only be read (SELECT, EXPLAIN, DESCRIBE, SHOW TABLES)",
            said(why)
        ))
    }
}

/// The first cause, without the engine's words for its own parts.
fn said(why: &DataFusionError) -> String {
    let root = match why.find_root() {
        DataFusionError::Diagnostic(_, inner) => inner.find_root(),
        root => root,
    };
    if let DataFusionError::SQL(why, _) = root {
        return match &**why {
            ParserError::TokenizerError(why) | ParserError::ParserError(why) => format!("SQL error: {why}"),
            ParserError::RecursionLimitExceeded => "SQL error: it is nested too deep".to_owned(),
        };
    }
    let said = root.strip_backtrace();
    // Where the engine asks for a report, which is not for whoever asks of a project.
    said.split("\nThis issue was likely caused by a bug in DataFusion").next().unwrap_or_default().to_owned()
}

/// Line and column of `… at Line: 1, Column: 8`.
fn place(message: &str) -> Option<(u64, u64)> {
    let number = |key: &str| {
        let digits = &message[message.rfind(key)? + key.len()..];
        let end = digits.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(digits.len());
        digits[..end].parse().ok()
    };
    Some((number("Line: ")?, number("Column: ")?))
}

impl fmt::Display for SqlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if let Some((line, text, column)) = &self.place {
            let number = line.to_string();
            let indent = " ".repeat(usize::try_from(*column).unwrap_or(1).min(text.chars().count() + 1) - 1);
            write!(f, "\n  line {number}, column {column}:\n    {text}\n    {indent}^")?;
        }
        for help in &self.helps {
            write!(f, "\n  {help}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parser_says_where() {
        assert_eq!(place("Expected: an expression, found: FROM at Line: 3, Column: 12"), Some((3, 12)));
        assert_eq!(place("no place"), None);
    }

    #[test]
    fn the_engine_does_not_speak_of_itself() {
        let said = |why| SqlError::of(&why, "SELECT").to_string();
        assert_eq!(said(DataFusionError::Internal("odd".into())), "Internal error: odd.");
        let why = ParserError::ParserError("Expected: \"x\"".into());
        assert_eq!(said(DataFusionError::SQL(Box::new(why), None)), "SQL error: Expected: \"x\"");
        let deep = DataFusionError::SQL(Box::new(ParserError::RecursionLimitExceeded), None);
        assert_eq!(said(deep), "SQL error: it is nested too deep");
    }

    #[test]
    fn a_place_outside_of_the_text_is_not_shown() {
        let why = DataFusionError::Plan("odd at Line: 7, Column: 1".into());
        assert!(!SqlError::of(&why, "SELECT").to_string().contains('^'));
    }
}
