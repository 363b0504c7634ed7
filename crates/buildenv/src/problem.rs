//! What is wrong with a configuration: every problem with its place, what was expected and the nearest name.

use std::fmt;

use crate::name::RepoName;
use crate::source::{Files, Kind, Place};

/// One thing that is wrong in a configuration.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Problem {
    /// The file's shown name.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// The key it is about, like `builder.linux.host`; empty for a syntax error.
    pub key: String,
    /// What is wrong, in one sentence.
    pub message: String,
    /// What should stand there.
    pub expected: Option<String>,
    /// The valid name that looks most like what was written.
    pub nearest: Option<String>,
    /// More that helps, like the place of the other one of two duplicates.
    pub notes: Vec<String>,
    /// The repository whose project file it is in, if it is in one.
    pub project: Option<RepoName>,
    /// The line of the file; empty if it is too long to be shown.
    pub snippet: String,
    /// How many characters the caret marks.
    pub width: usize,
}

impl Problem {
    pub(crate) fn new(files: &Files, place: Place, key: &str, message: impl Into<String>) -> Self {
        let file = &files.list[place.file as usize];
        let (line, column) = file.line_column(place.start as usize);
        let shown = Some(file.line(line)).filter(|line| line.len() <= MAX_SNIPPET);
        let snippet = shown.unwrap_or_default().to_string();
        let marked = file.text.get(place.start as usize..place.end as usize).unwrap_or("");
        let width = marked.lines().next().unwrap_or("").chars().count().max(1);
        let project = match &file.kind {
            Kind::Project(repo) => Some(repo.clone()),
            Kind::Server | Kind::Embedded => None,
        };
        let message = message.into();
        let (file, key) = (file.name.to_string(), key.to_string());
        let (expected, nearest, notes) = (None, None, Vec::new());
        Self { file, line, column, key, message, expected, nearest, notes, project, snippet, width }
    }

    pub(crate) fn expected(mut self, what: impl Into<String>) -> Self {
        self.expected = Some(what.into());
        self
    }

    pub(crate) fn nearest<'a>(mut self, written: &str, valid: impl IntoIterator<Item = &'a str>) -> Self {
        self.nearest = nearest(written, valid).map(Into::into);
        self
    }

    pub(crate) fn note(mut self, text: impl Into<String>) -> Self {
        self.notes.push(text.into());
        self
    }
}

/// Lines longer than this are not shown, in bytes.
const MAX_SNIPPET: usize = 400;

impl Problem {
    /// Writes the line, and a caret below what is meant.
    fn caret(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = self.line.to_string();
        let tab_kept: String =
            self.snippet.chars().take(self.column - 1).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
        writeln!(f, " {number} | {}", self.snippet)?;
        writeln!(f, " {:w$} | {tab_kept}{}", "", "^".repeat(self.width), w = number.len())
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}:{}:{}: {}", self.file, self.line, self.column, self.message)?;
        if !self.snippet.is_empty() {
            self.caret(f)?;
        }
        if !self.key.is_empty() {
            writeln!(f, "   key: {}", self.key)?;
        }
        if let Some(expected) = &self.expected {
            writeln!(f, "   expected: {expected}")?;
        }
        if let Some(nearest) = &self.nearest {
            writeln!(f, "   did you mean: {nearest}")?;
        }
        self.notes.iter().try_for_each(|note| writeln!(f, "   note: {note}"))
    }
}

/// Everything that is wrong in a configuration, sorted by file and place.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, problem) in self.0.iter().enumerate() {
            if n > 0 {
                writeln!(f)?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

/// Finds the valid name that is nearest to what was written, if one is near enough to be meant.
pub(crate) fn nearest<'a>(written: &str, valid: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = (written.chars().count() / 3).clamp(1, 4);
    valid
        .into_iter()
        .map(|name| (distance(written, name), name))
        .filter(|(far, _)| *far <= limit)
        .min_by_key(|(far, name)| (*far, *name))
        .map(|(_, name)| name)
}

/// The edit distance with swaps of neighbours; texts over 80 characters are never near.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    if a.len() > 80 || b.len() > 80 {
        return usize::MAX;
    }
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            rows[i][j] = if i == 0 || j == 0 {
                i + j
            } else {
                let same = usize::from(a[i - 1] != b[j - 1]);
                let mut best = (rows[i - 1][j] + 1).min(rows[i][j - 1] + 1).min(rows[i - 1][j - 1] + same);
                if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                    best = best.min(rows[i - 2][j - 2] + 1);
                }
                best
            };
        }
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_near() {
        let names = ["host", "horizon", "recipe", "branches"];
        assert_eq!(nearest("recpie", names), Some("recipe"));
        assert_eq!(nearest("hots", names), Some("host"));
        assert_eq!(nearest("colour", names), None);
    }
}
