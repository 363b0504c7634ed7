//! A script, read (`spec/services.md` §5.2).

use super::lex::{Lexer, Token};
use super::quote::unquote;
use super::regexp::Regexp;
use super::rule::{Expr, RelOp, Rule, Script, ScriptError};

/// Bytes of a script, at most.
pub const MAX_SCRIPT: usize = 64 << 10;
/// Parentheses and `!` inside one another, at most.
const MAX_DEPTH: usize = 64;
/// Regular expressions of a script, at most: each takes up to 256 KiB.
const MAX_REGEXPS: usize = 200;
/// Mistakes that are told, at most.
const MAX_ERRORS: usize = 50;

impl Script {
    /// Reads a script whose fields are these (and `""`).
    ///
    /// # Errors
    /// All mistakes, in the script's order. A script with one has no effect.
    pub fn parse(file: &str, text: &str, fields: &[&str]) -> Result<Self, Vec<ScriptError>> {
        let mut parser =
            Parser { lexer: Lexer::new(text), fields, token: Token::Newline, start: 0, depth: 0, regexps: 0 };
        let (mut rules, mut errors) = (Vec::new(), Vec::new());
        if text.len() > MAX_SCRIPT {
            let text = format!("script longer than {MAX_SCRIPT} bytes");
            return Err(vec![ScriptError { file: file.to_owned(), line: 1, column: 1, text }]);
        }
        loop {
            match parser.rule() {
                Ok(Some(rule)) => rules.push(rule),
                Ok(None) => break,
                Err((at, text)) => {
                    errors.push(place(file, parser.lexer.text, at, text));
                    if errors.len() >= MAX_ERRORS {
                        break;
                    }
                    parser.lexer.skip_line();
                    parser.depth = 0;
                    parser.token = Token::Newline;
                }
            }
        }
        if errors.is_empty() { Ok(Self { rules }) } else { Err(errors) }
    }
}

fn place(file: &str, script: &str, at: usize, text: String) -> ScriptError {
    let before = &script[..at];
    let start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let line = before.matches('\n').count() + 1;
    ScriptError { file: file.to_owned(), line, column: at - start + 1, text }
}

/// Where, and what.
type Mistake = (usize, String);

struct Parser<'a> {
    lexer: Lexer<'a>,
    fields: &'a [&'a str],
    /// The last word that was read.
    token: Token<'a>,
    /// Where it begins.
    start: usize,
    depth: usize,
    regexps: usize,
}

impl Parser<'_> {
    fn next(&mut self) -> Result<(), Mistake> {
        let (start, token) = self.lexer.next().map_err(|error| (error.at, error.text))?;
        (self.start, self.token) = (start, token);
        Ok(())
    }

    fn mistake<T>(&self, text: impl Into<String>) -> Result<T, Mistake> {
        Err((self.start, text.into()))
    }

    fn unexpected<T>(&self) -> Result<T, Mistake> {
        self.mistake(format!("unexpected {}", self.token))
    }

    /// The next rule, or nothing at the end. The word before it is the end of a line.
    fn rule(&mut self) -> Result<Option<Rule>, Mistake> {
        while self.token == Token::Newline {
            self.next()?;
        }
        let action = match self.token {
            Token::End => return Ok(None),
            Token::Ident(action) => action.to_owned(),
            _ => return self.unexpected(),
        };
        self.next()?;
        if self.token != Token::Op("<-") {
            return self.unexpected();
        }
        self.next()?;
        let when = self.or()?;
        if !matches!(self.token, Token::Newline | Token::End) {
            return self.unexpected();
        }
        Ok(Some(Rule { action, when }))
    }

    fn or(&mut self) -> Result<Expr, Mistake> {
        let mut all = vec![self.and()?];
        while self.token == Token::Op("||") {
            self.next()?;
            all.push(self.and()?);
        }
        Ok(if all.len() == 1 { all.remove(0) } else { Expr::Or(all) })
    }

    fn and(&mut self) -> Result<Expr, Mistake> {
        let mut all = vec![self.cmp()?];
        while self.token == Token::Op("&&") {
            self.next()?;
            all.push(self.cmp()?);
        }
        Ok(if all.len() == 1 { all.remove(0) } else { Expr::And(all) })
    }

    fn cmp(&mut self) -> Result<Expr, Mistake> {
        match self.token {
            Token::Op("!") => {
                self.next()?;
                self.atom().map(|inner| Expr::Not(Box::new(inner)))
            }
            Token::Ident(field) => self.field(field),
            _ => self.atom(),
        }
    }

    fn field(&mut self, field: &str) -> Result<Expr, Mistake> {
        if field.is_empty() || !self.fields.contains(&field) {
            return self.mistake(format!("unknown field {field}"));
        }
        let field = field.to_owned();
        self.next()?;
        let Token::Op(op) = self.token else { return self.unexpected() };
        if let Some(relop) = RelOp::parse(op) {
            self.next()?;
            let Token::Quoted(text) = self.token else {
                return self.mistake(format!("{op} requires quoted string"));
            };
            let literal =
                unquote(text).or_else(|error| self.mistake(format!("invalid quoted string: {error}")))?;
            self.next()?;
            return Ok(Expr::Compare { field, op: relop, literal });
        }
        let not = match op {
            "~" => false,
            "!~" => true,
            _ => return self.unexpected(),
        };
        self.next()?;
        let Token::Backquoted(text) = self.token else {
            return self.mistake(format!("{op} requires backquoted regexp"));
        };
        let regexp = self.regexp(text)?;
        Ok(Expr::Match { field, not, regexp })
    }

    fn atom(&mut self) -> Result<Expr, Mistake> {
        match self.token {
            Token::Op("(") => {
                self.depth += 1;
                if self.depth > MAX_DEPTH {
                    return self.mistake(format!("more than {MAX_DEPTH} parentheses inside one another"));
                }
                self.next()?;
                let inner = self.or()?;
                if self.token != Token::Op(")") {
                    return self.mistake("missing close paren");
                }
                self.depth -= 1;
                self.next()?;
                Ok(inner)
            }
            Token::Backquoted(text) => {
                let regexp = self.regexp(text)?;
                Ok(Expr::Match { field: String::new(), not: false, regexp })
            }
            _ => self.unexpected(),
        }
    }

    fn regexp(&mut self, text: &str) -> Result<Regexp, Mistake> {
        self.regexps += 1;
        if self.regexps > MAX_REGEXPS {
            return self.mistake(format!("more than {MAX_REGEXPS} regular expressions in a script"));
        }
        let inside = text.trim_matches('`');
        let regexp = Regexp::new(inside).or_else(|error| self.mistake(format!("invalid regexp: {error}")))?;
        self.next()?;
        Ok(regexp)
    }
}
