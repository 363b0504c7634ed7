//! Regular expressions as rules have them: RE2's syntax, as Go reads it.
//!
//! The crate `regex` does the work. What it reads differently is written for it: `\d`, `\w`, `\s` and `\b` are ASCII's, `\Q…\E` and octal
//! escapes, classes without sets, a brace that begins no count. What it has beyond RE2 (`(?x)`, `\<`, `a**`) is refused or is itself.

use std::fmt;

use regex::bytes::{Regex, RegexBuilder};

/// Says why a text is no regular expression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct RegexpError(String);

/// Bytes of an expression, at most.
const MAX_LEN: usize = 4096;
/// Bytes that it may take compiled.
const MAX_COMPILED: usize = 1 << 18;
/// Repetitions, at most, as in Go.
const MAX_REPEAT: u32 = 1000;
/// The flag that each carries: `^` and `$` are of lines.
const LINES: &str = "(?m)";

/// A regular expression over lines, not anchored.
#[derive(Clone)]
pub struct Regexp {
    text: String,
    compiled: Regex,
}

impl Regexp {
    /// Compiles an expression, with the flag `(?m)` put before it.
    ///
    /// # Errors
    /// If Go would not take it, or it is too big.
    pub fn new(written: &str) -> Result<Self, RegexpError> {
        if written.len() > MAX_LEN {
            return Err(RegexpError(format!("longer than {MAX_LEN} bytes")));
        }
        let text = if written.starts_with(LINES) { written.to_owned() } else { format!("{LINES}{written}") };
        let translated = Translate { rest: &text, out: String::new() }.all()?;
        let compiled = RegexBuilder::new(&translated).size_limit(MAX_COMPILED).nest_limit(100).build();
        let reason = |error: regex::Error| {
            let said = error.to_string();
            let last = said.lines().last().unwrap_or("").trim();
            RegexpError(last.strip_prefix("error: ").unwrap_or(last).to_owned())
        };
        Ok(Self { text, compiled: compiled.map_err(reason)? })
    }

    /// Whether it matches anywhere.
    #[must_use]
    pub fn is_match(&self, text: &[u8]) -> bool {
        self.compiled.is_match(text)
    }
}

/// In backquotes, with its flag; a backquote in it is `\x60`.
impl fmt::Display for Regexp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", self.text.replace('`', r"\x60"))
    }
}

impl fmt::Debug for Regexp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl PartialEq for Regexp {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

struct Translate<'a> {
    rest: &'a str,
    out: String,
}

fn err<T>(text: impl Into<String>) -> Result<T, RegexpError> {
    Err(RegexpError(text.into()))
}

impl Translate<'_> {
    fn all(mut self) -> Result<String, RegexpError> {
        // Whether a repetition stands just before, after which no other may stand.
        let mut repeated = false;
        while let Some(c) = self.take() {
            let again = match c {
                '*' | '+' | '?' => Some(c.to_string()),
                '{' => self.count()?,
                _ => None,
            };
            if let Some(again) = again {
                if repeated {
                    return err(format!("invalid nested repetition operator {again}"));
                }
                self.out.push_str(&again);
                if self.take_if('?') {
                    self.out.push('?');
                }
                repeated = true;
                continue;
            }
            repeated = false;
            match c {
                '\\' => self.escape()?,
                '[' => self.class()?,
                '(' if self.rest.starts_with('?') => self.group()?,
                '{' | '}' => self.literal(c),
                c => self.out.push(c),
            }
        }
        Ok(self.out)
    }

    fn take(&mut self) -> Option<char> {
        let c = self.rest.chars().next()?;
        self.rest = &self.rest[c.len_utf8()..];
        Some(c)
    }

    fn take_if(&mut self, wanted: char) -> bool {
        let is = self.rest.starts_with(wanted);
        if is {
            self.take();
        }
        is
    }

    fn literal(&mut self, c: char) {
        self.out.push_str(&regex::escape(c.encode_utf8(&mut [0; 4])));
    }

    /// The count of a repetition behind its brace, or nothing if the brace is itself.
    fn count(&mut self) -> Result<Option<String>, RegexpError> {
        let Some((inside, _)) = self.rest.split_once('}') else { return Ok(None) };
        let (least, most) =
            inside.split_once(',').map_or((inside, None), |(least, most)| (least, Some(most)));
        let number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if !number(least) || most.is_some_and(|most| !most.is_empty() && !number(most)) {
            return Ok(None);
        }
        for text in [Some(least), most.filter(|most| !most.is_empty())].into_iter().flatten() {
            if text.parse::<u32>().map_or(true, |count| count > MAX_REPEAT) {
                return err(format!("invalid repeat count {{{inside}}}"));
            }
        }
        let count = format!("{{{inside}}}");
        self.rest = &self.rest[inside.len() + 1..];
        Ok(Some(count))
    }

    /// A group with a question mark: flags or a name, both as in Go.
    fn group(&mut self) -> Result<(), RegexpError> {
        let rest = &self.rest[1..];
        if rest.starts_with("P<") || rest.starts_with('<') {
            let Some(end) = rest.find('>') else { return err("invalid named capture") };
            let name = rest[..end].trim_start_matches('P').trim_start_matches('<');
            if name.is_empty() || !name.bytes().all(|byte| byte == b'_' || byte.is_ascii_alphanumeric()) {
                return err("invalid named capture");
            }
            // No name is asked for, and Go takes some that the crate does not.
            self.out.push('(');
            self.rest = &rest[end + 1..];
            return Ok(());
        }
        let Some(end) = rest.find([':', ')']) else { return err("missing closing )") };
        let flags = &rest[..end];
        let known = flags.chars().all(|c| matches!(c, 'i' | 'm' | 's' | 'U' | '-'));
        let empty = flags.is_empty() && rest[end..].starts_with(')');
        if !known || empty || flags.matches('-').count() > 1 || flags.ends_with('-') {
            return err(format!("invalid or unsupported Perl syntax (?{flags}"));
        }
        self.out.push_str(&format!("(?{}", &rest[..=end]));
        self.rest = &rest[end + 1..];
        Ok(())
    }

    fn escape(&mut self) -> Result<(), RegexpError> {
        let Some(c) = self.take() else { return err("trailing backslash at end of expression") };
        match c {
            'A' | 'z' | 'a' | 'f' | 'n' | 'r' | 't' | 'v' => {
                self.out.push('\\');
                self.out.push(c);
            }
            'b' | 'B' => self.out.push_str(&format!("(?-u:\\{c})")),
            'd' | 'D' | 's' | 'S' | 'w' | 'W' => self.out.push_str(&format!("[{}]", perl(c))),
            'p' | 'P' => self.property(c)?,
            'Q' => {
                let (text, rest) = self.rest.split_once(r"\E").unwrap_or((self.rest, ""));
                self.out.push_str(&regex::escape(text));
                self.rest = rest;
            }
            c => {
                let c = self.character(c)?;
                self.literal(c);
            }
        }
        Ok(())
    }

    /// `\pL`, `\p{Greek}`.
    fn property(&mut self, c: char) -> Result<(), RegexpError> {
        let length = match self.rest.chars().next() {
            Some('{') => self.rest.find('}').map(|end| end + 1),
            first => first.filter(char::is_ascii_alphabetic).map(char::len_utf8),
        };
        let Some(length) = length else { return err("invalid character class range") };
        let (name, rest) = self.rest.split_at(length);
        // Go knows no `name=value` here.
        if name.contains(['=', ':', '!']) {
            return err(format!("invalid character class range \\{c}{name}"));
        }
        match name.strip_prefix("{^") {
            // The crate has no such way to say it.
            Some(name) => self.out.push_str(&format!("\\{}{{{name}", if c == 'p' { 'P' } else { 'p' })),
            None => self.out.push_str(&format!("\\{c}{name}")),
        }
        self.rest = rest;
        Ok(())
    }

    /// The one character that an escape stands for.
    fn character(&mut self, c: char) -> Result<char, RegexpError> {
        let invalid = |text: String| err(format!("invalid escape sequence \\{text}"));
        match c {
            'a' => Ok('\u{7}'),
            'f' => Ok('\u{c}'),
            'n' => Ok('\n'),
            'r' => Ok('\r'),
            't' => Ok('\t'),
            'v' => Ok('\u{b}'),
            'x' => {
                let digits = if self.take_if('{') {
                    let Some((digits, rest)) = self.rest.split_once('}') else { return invalid("x{".into()) };
                    self.rest = rest;
                    digits
                } else {
                    let Some((digits, rest)) = self.rest.split_at_checked(2) else {
                        return invalid("x".into());
                    };
                    self.rest = rest;
                    digits
                };
                let hex = !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
                let value =
                    hex.then(|| u32::from_str_radix(digits, 16).ok()).flatten().and_then(char::from_u32);
                value.map_or_else(|| invalid(format!("x{digits}")), Ok)
            }
            '0'..='7' => {
                // One digit other than 0 alone would be a reference to a group.
                let octal = |c: char| c.is_digit(8);
                if c != '0' && !self.rest.starts_with(octal) {
                    return invalid(c.to_string());
                }
                let mut value = c.to_digit(8).unwrap_or(0);
                for _ in 0..2 {
                    let Some(digit) = self.rest.chars().next().and_then(|c| c.to_digit(8)) else { break };
                    self.take();
                    value = value * 8 + digit;
                }
                char::from_u32(value).map_or_else(|| invalid(format!("{value:o}")), Ok)
            }
            c if c.is_ascii() && !c.is_ascii_alphanumeric() && c != '_' => Ok(c),
            c => invalid(c.to_string()),
        }
    }

    /// A class behind its bracket: each member is written so that it can be read in one way only.
    fn class(&mut self) -> Result<(), RegexpError> {
        self.out.push('[');
        if self.take_if('^') {
            self.out.push('^');
        }
        let mut first = true;
        loop {
            let Some(c) = self.take() else { return err("missing closing ]") };
            if c == ']' && !first {
                break;
            }
            first = false;
            if c == '['
                && self.rest.starts_with(':')
                && let Some(end) = self.rest.find(":]")
            {
                let name = &self.rest[..end + 2];
                self.out.push_str(&format!("[{name}"));
                self.rest = &self.rest[end + 2..];
                continue;
            }
            if c == '\\' {
                match self.rest.chars().next() {
                    Some(c @ ('d' | 'D' | 's' | 'S' | 'w' | 'W')) => {
                        self.take();
                        self.out.push_str(&format!("[{}]", perl(c)));
                        continue;
                    }
                    Some(c @ ('p' | 'P')) => {
                        self.take();
                        self.property(c)?;
                        continue;
                    }
                    _ => {}
                }
            }
            let low = self.member(c)?;
            self.literal_in_class(low);
            let range = self.rest.starts_with('-') && !self.rest.starts_with("-]") && self.rest.len() > 1;
            if range {
                self.take();
                let Some(c) = self.take() else { return err("missing closing ]") };
                let high = self.member(c)?;
                if high < low {
                    return err(format!("invalid character class range {low}-{high}"));
                }
                self.out.push('-');
                self.literal_in_class(high);
            }
        }
        self.out.push(']');
        Ok(())
    }

    fn member(&mut self, c: char) -> Result<char, RegexpError> {
        if c != '\\' {
            return Ok(c);
        }
        match self.take() {
            Some(c) => self.character(c),
            None => err("trailing backslash at end of expression"),
        }
    }

    fn literal_in_class(&mut self, c: char) {
        self.out.push_str(&format!("\\x{{{:x}}}", u32::from(c)));
    }
}

/// Perl's classes, as of ASCII.
fn perl(c: char) -> &'static str {
    match c {
        'd' => "0-9",
        'D' => "^0-9",
        's' => r"\t\n\x0c\r ",
        'S' => r"^\t\n\x0c\r ",
        'w' => "0-9A-Za-z_",
        _ => "^0-9A-Za-z_",
    }
}

#[cfg(test)]
mod tests {
    use super::Regexp;

    fn is(pattern: &str, text: &str) -> bool {
        Regexp::new(pattern).unwrap_or_else(|error| panic!("{pattern}: {error}")).is_match(text.as_bytes())
    }

    #[test]
    fn what_go_reads_is_read_as_go_reads_it() {
        for (pattern, yes, no) in [
            ("^b$", "a\nb\nc", "ab"),
            ("a.c", "a\u{fc}c", "a\nc"),
            (r"^\d$", "7", "\u{0667}"),
            (r"^\w+$", "a_1", "\u{fc}"),
            (r"\ba\b", "\u{fc}a", "xa"),
            (r"\Qa.b\Ec", "a.bc", "axbc"),
            (r"^\<x\>$", "<x>", "x"),
            ("^a{,2}$", "a{,2}", "aa"),
            ("^a{2}$", "aa", "a"),
            ("^a{$", "a{", "a"),
            (r"^\101\x42\x{43}$", "ABC", "AB"),
            ("^[[a]+$", "[a", "b"),
            ("^[]a]+$", "]a", "b"),
            ("^[a&&b]+$", "&ab", "c"),
            ("^[+--]+$", "+,-", "."),
            (r"^[\d.]+$", "1.2", "\u{0667}"),
            (r"^[^\s]$", "x", " "),
            ("^[[:alpha:]]$", "x", "1"),
            ("(?i)HELLO", "hello", "help"),
            (r"(?P<a>x)(?<b>y)", "xy", "x"),
            (r"\x60", "`", "'"),
            (r"^\pL$", "\u{fc}", "1"),
            (r"^\p{^Lu}$", "a", "A"),
            (r"^[\P{^Lu}1]$", "A", "a"),
            ("(?s:a.b)", "a\nb", "ab"),
            ("^[-a]$", "-", "b"),
            ("^[a-]$", "-", "b"),
        ] {
            assert!(is(pattern, yes), "{pattern} on {yes:?}");
            assert!(!is(pattern, no), "{pattern} on {no:?}");
        }
    }

    #[test]
    fn what_go_refuses_is_refused() {
        for pattern in [
            "(",
            ")",
            "[",
            "a**",
            "a+*",
            "a{2}{3}",
            "*",
            "(?x)a",
            "(?u)a",
            r"\u0041",
            r"\Z",
            r"\1",
            r"\C",
            "a{1001}",
            "[z-a]",
            "(?",
            "(?P<",
            "(?=a)",
            "(?!a)",
            r"\",
            r"[\",
            r"\k",
            "[a",
            r"\x{110000}",
            "(?P<a-b>x)",
            "(?i-)a",
        ] {
            assert!(Regexp::new(pattern).is_err(), "{pattern}");
        }
        assert!(Regexp::new(&"a".repeat(5000)).is_err());
        assert!(Regexp::new("((a{100}){100}){100}").is_err());
    }
}
