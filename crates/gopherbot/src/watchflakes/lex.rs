//! A script's words (`spec/services.md` §5.2).

/// A word of a script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token<'a> {
    /// An action or a field.
    Ident(&'a str),
    /// A text in double quotes, with them.
    Quoted(&'a str),
    /// A regular expression in backquotes, with them.
    Backquoted(&'a str),
    /// An operator or a parenthesis.
    Op(&'static str),
    /// The end of a line that ends a rule.
    Newline,
    /// The end of the script.
    End,
}

impl std::fmt::Display for Token<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Ident(text) => write!(f, "identifier {text}"),
            Self::Quoted(text) => write!(f, "quoted string {text}"),
            Self::Backquoted(text) => write!(f, "backquoted string {text}"),
            Self::Op(op) => f.write_str(op),
            Self::Newline => f.write_str("end of line"),
            Self::End => f.write_str("end of script"),
        }
    }
}

/// After these a line may end without ending the rule.
const GOES_ON: [&str; 9] = ["(", "&&", "||", "==", "!=", "~", "!~", "!", "<-"];
/// Longest first.
const OPS: [&str; 14] = ["&&", "||", "==", "!=", "!~", "<-", "<=", ">=", "!", "~", "<", ">", "(", ")"];

/// A byte that can't be there, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LexError {
    pub at: usize,
    pub text: String,
}

/// Reads a script word by word.
#[derive(Debug, Clone)]
pub(super) struct Lexer<'a> {
    pub text: &'a str,
    /// How far it is read.
    pub at: usize,
    /// Whether a line may end here without ending the rule.
    goes_on: bool,
}

impl<'a> Lexer<'a> {
    pub fn new(text: &'a str) -> Self {
        Self { text, at: 0, goes_on: false }
    }

    /// The next word and where it begins.
    pub fn next(&mut self) -> Result<(usize, Token<'a>), LexError> {
        self.blanks();
        let at = self.at;
        let token = self.token()?;
        self.goes_on = matches!(token, Token::Op(op) if GOES_ON.contains(&op));
        Ok((at, token))
    }

    /// Goes to just after the next end of a line.
    pub fn skip_line(&mut self) {
        let newline = self.text[self.at..].find('\n');
        self.at = newline.map_or(self.text.len(), |newline| self.at + newline + 1);
        self.goes_on = false;
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    /// Blanks, comments, and ends of lines that end nothing.
    fn blanks(&mut self) {
        loop {
            let rest = self.rest();
            match rest.bytes().next() {
                Some(b' ' | b'\t') => self.at += 1,
                Some(b'\n') if self.goes_on => self.at += 1,
                Some(b'#') => self.at += rest.find('\n').unwrap_or(rest.len()),
                _ => return,
            }
        }
    }

    fn token(&mut self) -> Result<Token<'a>, LexError> {
        let rest = self.rest();
        let Some(first) = rest.chars().next() else { return Ok(Token::End) };
        if first == '\n' {
            self.at += 1;
            return Ok(Token::Newline);
        }
        if first == '_' || first.is_ascii_alphabetic() {
            let end = rest.find(|c: char| c != '_' && !c.is_ascii_alphanumeric()).unwrap_or(rest.len());
            self.at += end;
            return Ok(Token::Ident(&rest[..end]));
        }
        if let Some(op) = OPS.into_iter().find(|op| rest.starts_with(op)) {
            self.at += op.len();
            return Ok(Token::Op(op));
        }
        match first {
            '"' => self.quoted().map(Token::Quoted),
            '`' => self.backquoted().map(Token::Backquoted),
            '\'' => Err(self.error(0, "single-quoted strings not allowed")),
            '&' | '|' | '=' => Err(self.error(0, format!("invalid syntax at {first}"))),
            c => Err(self.error(0, format!("invalid syntax at {} (U+{:04x})", quote_char(c), u32::from(c)))),
        }
    }

    /// A mistake so many bytes on, from where the next line is looked for.
    fn error(&mut self, on: usize, text: impl Into<String>) -> LexError {
        self.at += on;
        LexError { at: self.at, text: text.into() }
    }

    fn quoted(&mut self) -> Result<&'a str, LexError> {
        let rest = self.rest();
        let mut bytes = rest.bytes().enumerate().skip(1);
        while let Some((at, byte)) = bytes.next() {
            match byte {
                b'"' => {
                    self.at += at + 1;
                    return Ok(&rest[..=at]);
                }
                b'\n' => return Err(self.error(at, "newline in quoted string")),
                b'\\' => {
                    if let Some((at, b'\n')) = bytes.next() {
                        return Err(self.error(at, "newline in quoted string"));
                    }
                }
                _ => {}
            }
        }
        Err(self.error(rest.len(), "unterminated quoted string"))
    }

    fn backquoted(&mut self) -> Result<&'a str, LexError> {
        let rest = self.rest();
        match rest[1..].find(['`', '\n']).map(|at| at + 1) {
            Some(at) if rest.as_bytes()[at] == b'`' => {
                self.at += at + 1;
                Ok(&rest[..=at])
            }
            Some(at) => Err(self.error(at, "newline in backquoted regexp")),
            None => Err(self.error(rest.len(), "unterminated backquoted regexp")),
        }
    }
}

fn quote_char(c: char) -> String {
    format!("'{}'", if c.is_control() { c.escape_default().to_string() } else { c.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Words as the vectors write them: `a` is a name, a backquote is a regular expression.
    fn words(text: &str) -> String {
        let mut lexer = Lexer::new(text);
        let mut words = Vec::new();
        loop {
            match lexer.next() {
                Ok((_, Token::End)) => return words.join(" "),
                Ok((_, Token::Ident(_))) => words.push("a".to_owned()),
                Ok((_, Token::Backquoted(_))) => words.push("`".to_owned()),
                Ok((_, Token::Quoted(_))) => words.push("\"".to_owned()),
                Ok((_, Token::Newline)) => words.push("NL".to_owned()),
                Ok((_, Token::Op(op))) => words.push(op.to_owned()),
                Err(error) => {
                    words.push(format!(":{} {}", error.at + 1, error.text));
                    return words.join(" ");
                }
            }
        }
    }

    /// `spec/services.md` §7.10.
    #[test]
    fn words_are_those_of_the_vectors() {
        for (text, expected) in [
            ("x.y", "a :2 invalid syntax at '.' (U+002e)"),
            ("αx", ":1 invalid syntax at 'α' (U+03b1)"),
            ("&&||!()xy yx ", "&& || ! ( ) a a"),
            ("x &", "a :3 invalid syntax at &"),
            ("x | y", "a :3 invalid syntax at |"),
            ("x = y", "a :3 invalid syntax at ="),
            ("output !~ `content`", "a !~ `"),
            ("x <- y < z <= > >= == !=", "a <- a < a <= > >= == !="),
            ("a &&\n\n # x\n b\nc (\n)\n", "a && a NL a ( ) NL"),
            ("a <\nb >=\nc", "a < NL a >= NL a"),
            ("a # b && c\nd", "a NL a"),
            ("a\r\n", "a :2 invalid syntax at '\\r' (U+000d)"),
            ("'a'", ":1 single-quoted strings not allowed"),
            ("\"a\\\"b\" c", "\" a"),
            ("\"ab\n", ":4 newline in quoted string"),
            ("\"ab\\\n", ":5 newline in quoted string"),
            ("\"ab", ":4 unterminated quoted string"),
            ("\"ab\\", ":5 unterminated quoted string"),
            ("`ab\n`", ":4 newline in backquoted regexp"),
            ("`ab", ":4 unterminated backquoted regexp"),
        ] {
            assert_eq!(words(text), expected, "{text:?}");
        }
    }
}
