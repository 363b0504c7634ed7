//! Expressions of GitHub Actions: `${{ … }}` and `if`. What can be said to the shell is, the rest is named.

use crate::shell::{self, Piece, quote};

/// Deeper expressions are not understood.
const MAX_DEPTH: usize = 24;

/// An expression.
#[derive(Debug, Clone, PartialEq)]
pub enum Expression {
    /// A text, number, truth value or null.
    Constant(String),
    /// `github.event.ref`, or with an index in brackets.
    Name(String),
    /// A function.
    Call(String, Vec<Expression>),
    /// `!x`
    Not(Box<Expression>),
    /// `==`, `!=`, `&&`, `||`, `<`, `<=`, `>`, `>=`
    Binary(&'static str, Box<Expression>, Box<Expression>),
}

/// What is known where an expression stands.
#[derive(Debug, Default, Clone)]
pub struct Scope {
    /// Values of the matrix: `os`, `os.name`.
    pub matrix: Vec<String>,
    /// Defaults of inputs.
    pub inputs: Vec<(String, String)>,
    /// `Linux`, `Windows` or `macOS`, if all combinations run on one.
    pub runner_os: Option<&'static str>,
    /// Whether the combinations run on several, so that a variable says which.
    pub several_systems: bool,
    /// Secrets that were asked for.
    pub secrets: Vec<String>,
}

/// The variable in which a job finds a value of its matrix.
pub fn matrix_variable(path: &str) -> String {
    let upper = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
    format!("MATRIX_{}", path.chars().map(upper).collect::<String>())
}

/// The variable in which a job finds a secret.
pub fn secret_variable(name: &str) -> String {
    let upper = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
    let name: String = name.chars().map(upper).collect();
    if shell::is_variable(&name) { name } else { format!("SECRET_{name}") }
}

/// Splits a text at its `${{ … }}`, and says which of those can't be said here.
pub fn pieces(text: &str, scope: &mut Scope) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(begin) = rest.find("${{") {
        pieces.push(Piece::Text(rest[..begin].to_owned()));
        let inside = &rest[begin + 3..];
        let end = inside.find("}}").ok_or_else(|| "${{ without }}".to_owned())?;
        let source = inside[..end].trim();
        let parsed = parse(source).ok_or_else(|| format!("the expression {source:?}"))?;
        pieces.push(value(&parsed, scope).ok_or_else(|| format!("${{{{ {source} }}}}"))?);
        rest = &inside[end + 2..];
    }
    pieces.push(Piece::Text(rest.to_owned()));
    pieces.retain(|piece| *piece != Piece::Text(String::new()));
    Ok(pieces)
}

/// The text, if it has nothing that is known only when the job runs.
pub fn constant(text: &str, scope: &mut Scope) -> Result<String, String> {
    let mut out = String::new();
    for piece in pieces(text, scope)? {
        match piece {
            Piece::Text(text) => out.push_str(&text),
            Piece::Variable(name) => return Err(format!("${name}, which is known only while the job runs")),
        }
    }
    Ok(out)
}

fn value(expression: &Expression, scope: &mut Scope) -> Option<Piece> {
    match expression {
        Expression::Constant(text) => Some(Piece::Text(text.clone())),
        Expression::Name(name) => {
            let lower = name.to_ascii_lowercase();
            let (first, rest) = name.split_once('.').unwrap_or((name, ""));
            match first.to_ascii_lowercase().as_str() {
                "matrix" if scope.matrix.iter().any(|known| known == rest) => {
                    Some(Piece::Variable(matrix_variable(rest)))
                }
                // A key that only some rows of `include` have is empty in the others.
                "matrix" if !scope.matrix.is_empty() => Some(Piece::Text(String::new())),
                "env" if shell::is_variable(rest) => Some(Piece::Variable(rest.to_owned())),
                "secrets" if !rest.is_empty() && !rest.eq_ignore_ascii_case("github_token") => {
                    let variable = secret_variable(rest);
                    if !scope.secrets.contains(&variable) {
                        scope.secrets.push(variable.clone());
                    }
                    Some(Piece::Variable(variable))
                }
                "inputs" => {
                    scope.inputs.iter().find(|(known, _)| known == rest).map(|(_, v)| Piece::Text(v.clone()))
                }
                _ => match lower.as_str() {
                    "github.sha" => Some(Piece::Variable("GITHUB_SHA".into())),
                    "github.workspace" => Some(Piece::Variable("GITHUB_WORKSPACE".into())),
                    "github.job" => Some(Piece::Variable("GITHUB_JOB".into())),
                    "github.event_name" => Some(Piece::Text("push".into())),
                    "runner.temp" => Some(Piece::Variable("RUNNER_TEMP".into())),
                    "runner.os" if scope.several_systems => Some(Piece::Variable("RUNNER_OS".into())),
                    "runner.os" => scope.runner_os.map(|os| Piece::Text(os.into())),
                    _ => None,
                },
            }
        }
        Expression::Binary("||", left, right) => match value(left, scope)? {
            Piece::Text(text) if matches!(text.as_str(), "" | "false" | "0") => value(right, scope),
            Piece::Text(text) => Some(Piece::Text(text)),
            Piece::Variable(_) => None,
        },
        Expression::Binary("&&", left, right) => match test(left, scope)? {
            Test::Known(true) => value(right, scope),
            Test::Known(false) => Some(Piece::Text(String::new())),
            Test::Shell(_) => None,
        },
        _ => None,
    }
}

/// A condition, as far as it can be decided or asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Test {
    /// It is decided.
    Known(bool),
    /// The shell asks.
    Shell(String),
}

/// What `if` comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// `failure` or `always`.
    pub when: Option<&'static str>,
    /// What must hold besides.
    pub test: Test,
}

/// Reads the text of `if`, with or without `${{ }}`.
pub fn condition(text: &str, scope: &mut Scope) -> Option<Condition> {
    let inner = text.trim();
    let inner = inner.strip_prefix("${{").and_then(|rest| rest.strip_suffix("}}")).unwrap_or(inner);
    let parsed = parse(inner.trim())?;
    let mut parts = Vec::new();
    conjuncts(&parsed, &mut parts);
    let mut found = Condition { when: None, test: Test::Known(true) };
    for part in parts {
        match part {
            Expression::Call(name, arguments) if arguments.is_empty() => match name.as_str() {
                "always" => found.when = Some("always"),
                "failure" => found.when = Some("failure"),
                "success" => {}
                _ => return None,
            },
            Expression::Not(inner) if **inner == Expression::Call("cancelled".into(), Vec::new()) => {
                found.when = Some("always");
            }
            other => found.test = both(found.test, test(other, scope)?),
        }
    }
    Some(found)
}

fn conjuncts<'a>(expression: &'a Expression, parts: &mut Vec<&'a Expression>) {
    match expression {
        Expression::Binary("&&", left, right) => {
            conjuncts(left, parts);
            conjuncts(right, parts);
        }
        other => parts.push(other),
    }
}

fn both(left: Test, right: Test) -> Test {
    match (left, right) {
        (Test::Known(false), _) | (_, Test::Known(false)) => Test::Known(false),
        (Test::Known(true), other) | (other, Test::Known(true)) => other,
        (Test::Shell(left), Test::Shell(right)) => Test::Shell(format!("{{ {left} && {right}; }}")),
    }
}

fn test(expression: &Expression, scope: &mut Scope) -> Option<Test> {
    Some(match expression {
        Expression::Binary("&&", left, right) => both(test(left, scope)?, test(right, scope)?),
        Expression::Binary("||", left, right) => match (test(left, scope)?, test(right, scope)?) {
            (Test::Known(true), _) | (_, Test::Known(true)) => Test::Known(true),
            (Test::Known(false), other) | (other, Test::Known(false)) => other,
            (Test::Shell(left), Test::Shell(right)) => Test::Shell(format!("{{ {left} || {right}; }}")),
        },
        Expression::Not(inner) => match test(inner, scope)? {
            Test::Known(known) => Test::Known(!known),
            Test::Shell(shell) => Test::Shell(format!("! {shell}")),
        },
        // `startsWith(…) == false`
        Expression::Binary(sign @ ("==" | "!="), left, right) if truth(right).is_some() && asks(left) => {
            match (test(left, scope)?, truth(right) == Some(*sign == "==")) {
                (found, true) => found,
                (Test::Known(known), false) => Test::Known(!known),
                (Test::Shell(shell), false) => Test::Shell(format!("! {shell}")),
            }
        }
        Expression::Binary(sign @ ("==" | "!="), left, right) => {
            let equal = *sign == "==";
            match (value(left, scope)?, value(right, scope)?) {
                // GitHub's comparison does not look at case.
                (Piece::Text(a), Piece::Text(b)) => Test::Known(a.eq_ignore_ascii_case(&b) == equal),
                (a, b) => {
                    let sign = if equal { "=" } else { "!=" };
                    Test::Shell(format!("[ {} {sign} {} ]", word(&a), word(&b)))
                }
            }
        }
        Expression::Call(name, arguments) if arguments.len() == 2 => {
            let whole = value(&arguments[0], scope)?;
            let Piece::Text(part) = value(&arguments[1], scope)? else { return None };
            match (name.as_str(), whole) {
                ("contains", Piece::Text(text)) => Test::Known(text.contains(&part)),
                ("startswith", Piece::Text(text)) => Test::Known(text.starts_with(&part)),
                ("endswith", Piece::Text(text)) => Test::Known(text.ends_with(&part)),
                ("contains", whole) => Test::Shell(case(&whole, &format!("*{}*", quote(&part)))),
                ("startswith", whole) => Test::Shell(case(&whole, &format!("{}*", quote(&part)))),
                ("endswith", whole) => Test::Shell(case(&whole, &format!("*{}", quote(&part)))),
                _ => return None,
            }
        }
        other => match value(other, scope)? {
            Piece::Text(text) => Test::Known(!matches!(text.as_str(), "" | "false" | "0")),
            Piece::Variable(name) => {
                Test::Shell(format!("case \"${{{name}:-}}\" in ''|false|0) false;; esac"))
            }
        },
    })
}

fn truth(expression: &Expression) -> Option<bool> {
    match expression {
        Expression::Constant(text) => text.parse().ok(),
        _ => None,
    }
}

/// Whether it is a question, and not a value.
fn asks(expression: &Expression) -> bool {
    matches!(expression, Expression::Call(..) | Expression::Not(_) | Expression::Binary(..))
}

fn word(piece: &Piece) -> String {
    match piece {
        Piece::Text(text) => quote(text),
        Piece::Variable(name) => format!("\"${{{name}:-}}\""),
    }
}

fn case(piece: &Piece, pattern: &str) -> String {
    format!("case {} in {pattern}) ;; *) false;; esac", word(piece))
}

/// Parses an expression.
pub fn parse(source: &str) -> Option<Expression> {
    let mut parser = Parser { rest: source, depth: 0 };
    let parsed = parser.level(0)?;
    parser.rest.trim_start().is_empty().then_some(parsed)
}

struct Parser<'a> {
    rest: &'a str,
    depth: usize,
}

const LEVELS: [&[&str]; 4] = [&["||"], &["&&"], &["==", "!="], &["<=", ">=", "<", ">"]];

impl Parser<'_> {
    fn eat(&mut self, token: &str) -> bool {
        self.rest = self.rest.trim_start();
        match self.rest.strip_prefix(token) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn level(&mut self, level: usize) -> Option<Expression> {
        let Some(signs) = LEVELS.get(level) else { return self.one() };
        let mut left = self.level(level + 1)?;
        let mut terms = 0;
        while let Some(sign) = signs.iter().find(|sign| self.eat(sign)) {
            terms += 1;
            if terms > MAX_DEPTH {
                return None;
            }
            let right = self.level(level + 1)?;
            left = Expression::Binary(sign, Box::new(left), Box::new(right));
        }
        Some(left)
    }

    fn one(&mut self) -> Option<Expression> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return None;
        }
        let found = self.atom();
        self.depth -= 1;
        found
    }

    fn atom(&mut self) -> Option<Expression> {
        if self.eat("!") {
            return Some(Expression::Not(Box::new(self.one()?)));
        }
        if self.eat("(") {
            let inner = self.level(0)?;
            return self.eat(")").then_some(inner);
        }
        if self.eat("'") {
            let mut text = String::new();
            loop {
                let end = self.rest.find('\'')?;
                text.push_str(&self.rest[..end]);
                self.rest = &self.rest[end + 1..];
                match self.rest.strip_prefix('\'') {
                    Some(rest) => {
                        text.push('\'');
                        self.rest = rest;
                    }
                    None => return Some(Expression::Constant(text)),
                }
            }
        }
        let mut name = self.word()?;
        while let Some(rest) = self.rest.strip_prefix("['") {
            let end = rest.find("']")?;
            name = format!("{name}.{}", &rest[..end]);
            self.rest = &rest[end + 2..];
            if self.rest.starts_with('.') {
                name.push_str(&self.word()?);
            }
        }
        if self.eat("(") {
            let mut arguments = Vec::new();
            while !self.eat(")") {
                if !arguments.is_empty() && !self.eat(",") {
                    return None;
                }
                arguments.push(self.level(0)?);
            }
            return Some(Expression::Call(name.to_ascii_lowercase(), arguments));
        }
        let number = name.starts_with(|c: char| c.is_ascii_digit() || c == '-');
        match name.as_str() {
            "null" => Some(Expression::Constant(String::new())),
            "true" | "false" => Some(Expression::Constant(name)),
            _ if number => Some(Expression::Constant(name)),
            _ => Some(Expression::Name(name)),
        }
    }

    fn word(&mut self) -> Option<String> {
        self.rest = self.rest.trim_start();
        let inside = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '*');
        let end = self.rest.find(|c: char| !inside(c)).unwrap_or(self.rest.len());
        let word = self.rest[..end].to_owned();
        self.rest = &self.rest[end..];
        (!word.is_empty()).then_some(word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope() -> Scope {
        Scope { matrix: vec!["os".into(), "go-version".into()], runner_os: Some("Linux"), ..Scope::default() }
    }

    fn shell(text: &str) -> Option<String> {
        match condition(text, &mut scope())?.test {
            Test::Shell(shell) => Some(shell),
            Test::Known(known) => Some(known.to_string()),
        }
    }

    #[test]
    fn conditions_are_decided_or_asked() {
        assert_eq!(shell("runner.os == 'linux'").unwrap(), "true");
        assert_eq!(shell("github.event_name == 'pull_request'").unwrap(), "false");
        assert_eq!(shell("${{ matrix.os == 'x y' }}").unwrap(), "[ \"${MATRIX_OS:-}\" = 'x y' ]");
        assert_eq!(
            shell("matrix.os != 'a' && (matrix.go-version == '1' || runner.os == 'Windows')").unwrap(),
            "{ [ \"${MATRIX_OS:-}\" != a ] && [ \"${MATRIX_GO_VERSION:-}\" = 1 ]; }"
        );
        assert!(shell("startsWith(matrix.os, 'ubuntu')").unwrap().contains("in ubuntu*)"));
        assert_eq!(shell("startsWith(runner.os, 'Lin') == false").unwrap(), "false");
        assert!(shell("contains(matrix.os, 'x') == false").unwrap().starts_with("! case"));
        assert_eq!(condition("always() && true", &mut scope()).unwrap().when, Some("always"));
        assert_eq!(condition("steps.x.outputs.y == 'z'", &mut scope()), None);
        assert_eq!(condition("a ==", &mut scope()), None);
        assert_eq!(condition(&"(".repeat(10_000), &mut scope()), None);
        assert_eq!(condition(&"!".repeat(10_000), &mut scope()), None);
    }

    #[test]
    fn texts_are_split_at_expressions() {
        let mut scope = scope();
        let found = pieces("a${{ matrix.os }}${{secrets.My-Key}}", &mut scope).unwrap();
        let variable = |name: &str| Piece::Variable(name.into());
        assert_eq!(found, [Piece::Text("a".into()), variable("MATRIX_OS"), variable("MY_KEY")]);
        assert_eq!(scope.secrets, ["MY_KEY"]);
        assert_eq!(constant("x${{ 'it''s' }}", &mut scope).unwrap(), "xit's");
        assert!(pieces("${{ github.token }}", &mut scope).unwrap_err().contains("github.token"));
        assert!(pieces("${{ x", &mut scope).is_err());
    }
}
