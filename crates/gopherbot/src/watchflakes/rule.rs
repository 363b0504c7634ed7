//! Rules, and what they say of a record.

use std::fmt;

use super::quote::quote;
use super::regexp::Regexp;

/// Something with fields: a failure.
pub trait Record {
    /// The bytes of a field; a field that it does not have is empty. The field `""` is the failure's output.
    fn field(&self, name: &str) -> &[u8];
}

/// How two texts are compared, byte by byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RelOp {
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
}

impl RelOp {
    /// As it is written.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
        }
    }

    /// The one that is written so.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let all =
            [Self::Equal, Self::NotEqual, Self::Less, Self::LessOrEqual, Self::Greater, Self::GreaterOrEqual];
        all.into_iter().find(|op| op.as_str() == text)
    }

    fn holds(self, left: &[u8], right: &[u8]) -> bool {
        match self {
            Self::Equal => left == right,
            Self::NotEqual => left != right,
            Self::Less => left < right,
            Self::LessOrEqual => left <= right,
            Self::Greater => left > right,
            Self::GreaterOrEqual => left >= right,
        }
    }
}

/// A condition.
#[derive(Debug, Clone, PartialEq)]
pub enum Expr {
    /// A field compared with a text.
    Compare {
        /// The field.
        field: String,
        /// How.
        op: RelOp,
        /// With what.
        literal: Vec<u8>,
    },
    /// A field in which an expression matches; the field `""` where none was named.
    Match {
        /// The field.
        field: String,
        /// Whether it must not match.
        not: bool,
        /// What.
        regexp: Regexp,
    },
    /// Not so.
    Not(Box<Expr>),
    /// All of these, from left to right: `a && b && c` is one list, and means `(a && b) && c`.
    And(Vec<Expr>),
    /// One of these, from left to right.
    Or(Vec<Expr>),
}

impl Expr {
    /// Whether it holds for a record.
    #[must_use]
    pub fn holds(&self, record: &dyn Record) -> bool {
        match self {
            Self::Compare { field, op, literal } => op.holds(record.field(field), literal),
            Self::Match { field, not, regexp } => regexp.is_match(record.field(field)) != *not,
            Self::Not(inner) => !inner.holds(record),
            Self::And(all) => all.iter().all(|one| one.holds(record)),
            Self::Or(all) => all.iter().any(|one| one.holds(record)),
        }
    }
}

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Compare { field, op, literal } => write!(f, "{field} {} {}", op.as_str(), quote(literal)),
            Self::Match { field, not, regexp } if field.is_empty() => {
                if *not {
                    write!(f, "!({regexp})")
                } else {
                    write!(f, "{regexp}")
                }
            }
            Self::Match { field, not, regexp } => {
                write!(f, "{field} {} {regexp}", if *not { "!~" } else { "~" })
            }
            Self::Not(inner) => write!(f, "!({inner})"),
            Self::And(all) => joined(f, all, " && ", |one| matches!(one, Self::Or(_))),
            Self::Or(all) => joined(f, all, " || ", |one| matches!(one, Self::And(_))),
        }
    }
}

fn joined(f: &mut fmt::Formatter<'_>, all: &[Expr], by: &str, parens: fn(&Expr) -> bool) -> fmt::Result {
    for (n, one) in all.iter().enumerate() {
        if n > 0 {
            f.write_str(by)?;
        }
        if parens(one) { write!(f, "({one})")? } else { write!(f, "{one}")? }
    }
    Ok(())
}

/// One rule: what to do with the records for which a condition holds.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// `default`, `post`, `skip` or `take`; any other does nothing.
    pub action: String,
    /// The condition.
    pub when: Expr,
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} <- {}", self.action, self.when)
    }
}

/// A list of rules.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Script {
    /// In their order.
    pub rules: Vec<Rule>,
}

impl Script {
    /// The action of the first rule whose condition holds, or nothing.
    #[must_use]
    pub fn action(&self, record: &dyn Record) -> Option<&str> {
        self.rules.iter().find(|rule| rule.when.holds(record)).map(|rule| rule.action.as_str())
    }
}

/// One rule a line.
impl fmt::Display for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.rules.iter().try_for_each(|rule| writeln!(f, "{rule}"))
    }
}

/// A mistake in a script, at its place: `file:line.col: text`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}.{column}: {text}")]
pub struct ScriptError {
    /// What the script is called.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// The byte in the line, from 1.
    pub column: usize,
    /// What is wrong.
    pub text: String,
}
