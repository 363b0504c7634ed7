//! Patterns over names and paths: `*`, `?`, `[a-z]`, and `**` for paths.

use std::fmt;
use std::str::FromStr;

/// Says why a text is not a pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// The pattern is empty.
    #[error("a pattern has at least one character")]
    Empty,
    /// A `[` has no `]`.
    #[error("'[' without its ']'")]
    Unclosed,
    /// A class like `[z-a]` or `[]` holds nothing.
    #[error("a class in brackets that matches nothing")]
    EmptyClass,
    /// A control character or a space.
    #[error("a pattern holds no spaces and no control characters")]
    Space,
    /// More than 256 characters.
    #[error("a pattern has at most 256 characters")]
    Long,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Literal(char),
    One,
    Class { inverted: bool, ranges: Vec<(char, char)> },
    Star,
    DoubleStar,
}

/// One pattern. For names `*` stands for any characters; for paths it stops at `/` and `**` does not.
#[derive(Clone, PartialEq, Eq)]
pub struct Pattern {
    text: String,
    pieces: Vec<Piece>,
}

impl Pattern {
    /// Gives the pattern as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Tells whether the pattern has no wildcard, so that it names exactly one thing.
    #[must_use]
    pub fn is_literal(&self) -> bool {
        self.pieces.iter().all(|p| matches!(p, Piece::Literal(_)))
    }

    /// Tells whether the pattern matches a whole name (`*` crosses `/`).
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        self.run(name, false)
    }

    /// Tells whether the pattern matches a whole path (`*` and `?` stop at `/`, `**` does not).
    #[must_use]
    pub fn matches_path(&self, path: &str) -> bool {
        self.run(path, true)
    }

    /// One pass over the text with the set of live positions, so the time is pattern × text whatever the stars.
    fn run(&self, text: &str, path: bool) -> bool {
        let n = self.pieces.len();
        let mut live = vec![false; n + 1];
        live[0] = true;
        self.skip_stars(&mut live);
        for c in text.chars() {
            let mut next = vec![false; n + 1];
            for (i, piece) in self.pieces.iter().enumerate().filter(|(i, _)| live[*i]) {
                let separator = path && c == '/';
                match piece {
                    Piece::Literal(want) => next[i + 1] |= *want == c,
                    Piece::One => next[i + 1] |= !separator,
                    Piece::Class { inverted, ranges } => {
                        let hit = ranges.iter().any(|(a, b)| (*a..=*b).contains(&c));
                        next[i + 1] |= !separator && hit != *inverted;
                    }
                    Piece::Star => next[i] |= !separator,
                    Piece::DoubleStar => next[i] = true,
                }
            }
            self.skip_stars(&mut next);
            live = next;
        }
        live[n]
    }

    fn skip_stars(&self, live: &mut [bool]) {
        for (i, piece) in self.pieces.iter().enumerate() {
            if live[i] && matches!(piece, Piece::Star | Piece::DoubleStar) {
                live[i + 1] = true;
                // `**/x` also matches `x` at the top.
                if *piece == Piece::DoubleStar && self.pieces.get(i + 1) == Some(&Piece::Literal('/')) {
                    live[i + 2] |= i == 0 || self.pieces[i - 1] == Piece::Literal('/');
                }
            }
        }
    }
}

impl FromStr for Pattern {
    type Err = PatternError;
    fn from_str(text: &str) -> Result<Self, PatternError> {
        if text.is_empty() {
            return Err(PatternError::Empty);
        }
        if text.chars().any(|c| c.is_control() || c == ' ') {
            return Err(PatternError::Space);
        }
        if text.chars().count() > 256 {
            return Err(PatternError::Long);
        }
        let mut pieces = Vec::new();
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            pieces.push(match c {
                '*' if chars.peek() == Some(&'*') => {
                    while chars.next_if_eq(&'*').is_some() {}
                    Piece::DoubleStar
                }
                '*' => Piece::Star,
                '?' => Piece::One,
                '[' => class(&mut chars)?,
                c => Piece::Literal(c),
            });
        }
        Ok(Self { text: text.to_string(), pieces })
    }
}

fn class(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Result<Piece, PatternError> {
    let inverted = chars.next_if(|c| matches!(c, '!' | '^')).is_some();
    let mut ranges = Vec::new();
    loop {
        let from = chars.next().ok_or(PatternError::Unclosed)?;
        if from == ']' {
            break;
        }
        let mut ahead = chars.clone();
        if ahead.next() == Some('-') && ahead.peek().is_some_and(|c| *c != ']') {
            chars.next();
            ranges.push((from, chars.next().ok_or(PatternError::Unclosed)?));
        } else {
            ranges.push((from, from));
        }
    }
    if ranges.is_empty() || ranges.iter().any(|(a, b)| a > b) {
        return Err(PatternError::EmptyClass);
    }
    Ok(Piece::Class { inverted, ranges })
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.text)
    }
}

/// A list of patterns, where `!x` takes away: a name is in it when some plain pattern matches (or there is
/// none but `!` ones) and no `!` pattern does. The empty list holds everything.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Patterns {
    /// Patterns that let in.
    pub with: Vec<Pattern>,
    /// Patterns that keep out.
    pub without: Vec<Pattern>,
}

impl Patterns {
    /// Tells whether a name is in the list.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        (self.with.is_empty() || self.with.iter().any(|p| p.matches(name)))
            && !self.without.iter().any(|p| p.matches(name))
    }

    /// Tells whether the list has no pattern, and so holds everything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.with.is_empty() && self.without.is_empty()
    }

    /// Adds one pattern, with its `!` if it has one.
    ///
    /// # Errors
    /// When the text is not a pattern.
    pub fn push(&mut self, text: &str) -> Result<(), PatternError> {
        match text.strip_prefix('!') {
            Some(rest) => self.without.push(rest.parse()?),
            None => self.with.push(text.parse()?),
        }
        Ok(())
    }

    /// Reads a list of patterns.
    ///
    /// # Errors
    /// When one of the texts is not a pattern.
    pub fn of<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Self, PatternError> {
        let mut list = Self::default();
        texts.into_iter().try_for_each(|text| list.push(text))?;
        Ok(list)
    }

    /// Gives the texts of the list, as written.
    pub fn texts(&self) -> impl Iterator<Item = String> + '_ {
        let plain = self.with.iter().map(ToString::to_string);
        plain.chain(self.without.iter().map(|p| format!("!{p}")))
    }
}

impl fmt::Debug for Patterns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.texts()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn p(text: &str) -> Pattern {
        text.parse().unwrap()
    }

    #[test]
    fn patterns_match_whole_names() {
        assert!(p("release-branch.*").matches("release-branch.go1.22"));
        assert!(!p("release-branch.*").matches("xrelease-branch.go1"));
        assert!(p("*").matches("a/b"));
        assert!(p("go1.?").matches("go1.2") && !p("go1.?").matches("go1.22"));
        assert!(p("v[0-9]*").matches("v1.2") && !p("v[!0-9]").matches("v1"));
        assert!(p("*/internal/*").matches("go_test:x/internal/y"));
    }

    #[test]
    fn in_paths_a_star_stops_at_a_slash() {
        assert!(p("*.log").matches_path("a.log") && !p("*.log").matches_path("d/a.log"));
        assert!(p("**/*.log").matches_path("d/e/a.log") && p("**/*.log").matches_path("a.log"));
        assert!(p("out/**").matches_path("out/a/b") && !p("out/**").matches_path("outer/a"));
        assert!(!p("a**/b").matches_path("ab"));
    }

    #[test]
    fn bad_patterns_are_told_apart() {
        assert_eq!("".parse::<Pattern>(), Err(PatternError::Empty));
        assert_eq!("[a".parse::<Pattern>(), Err(PatternError::Unclosed));
        assert_eq!("[z-a]".parse::<Pattern>(), Err(PatternError::EmptyClass));
        assert_eq!("a b".parse::<Pattern>(), Err(PatternError::Space));
    }

    #[test]
    fn a_list_lets_in_and_keeps_out() {
        let all_but = Patterns::of(["!exp", "!mobile"]).unwrap();
        assert!(all_but.matches("net") && !all_but.matches("exp"));
        let some = Patterns::of(["dev.*", "!dev.old"]).unwrap();
        assert!(some.matches("dev.new") && !some.matches("dev.old") && !some.matches("master"));
        assert!(Patterns::default().matches("anything"));
    }

    proptest! {
        #[test]
        fn without_slashes_paths_are_names(text in "[a-c*?!\\[\\]é-]{1,12}", name in "[a-c!é]{0,10}") {
            if let Ok(pattern) = text.parse::<Pattern>() {
                prop_assert_eq!(pattern.matches(&name), pattern.matches_path(&name));
                prop_assert!(!pattern.is_literal() || pattern.matches(&text));
            }
        }

        #[test]
        fn stars_let_anything_in(a in "\\PC{0,8}", b in "\\PC{0,8}") {
            let plain = |t: &str| t.replace(['*', '?', '[', ']', ' '], "x");
            let (a, b) = (plain(&a), plain(&b));
            let pattern: Pattern = format!("{a}*{b}").parse().unwrap();
            let name = format!("{a}/any{b}");
            prop_assert!(pattern.matches(&name));
        }
    }
}
