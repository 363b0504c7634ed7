//! Checks a table against its section: unknown keys, types and the grammar of texts.

use crate::name::check_name;
use crate::pattern::Pattern;
use crate::problem::Problem;
use crate::quantity::{Version, parse_duration, parse_size};
use crate::schema::{AXIS, Section, Type, asks_nothing, later};
use crate::source::{Files, Kind, Place};
use crate::tree::{Entry, Node, Table, Value};

/// No more problems than this are kept; the rest is counted.
const MAX_PROBLEMS: usize = 1000;
/// No table has more keys than this.
const MAX_KEYS: usize = 1000;

/// What a warning about a key begins with that nothing reads yet.
pub(crate) const NO_EFFECT: &str = "has no effect yet";

/// What is collected while checking.
#[derive(Default)]
pub(crate) struct Checker {
    pub files: Files,
    pub problems: Vec<Problem>,
    /// What is no mistake, but has no effect.
    pub warnings: Vec<Problem>,
    /// How many problems were found beyond those that are kept.
    pub more: usize,
    /// Texts may still hold `{axis}`: their grammar is checked once a matrix has filled them in.
    pub loose: bool,
}

impl Checker {
    pub fn problem(&self, place: Place, key: &str, message: impl Into<String>) -> Problem {
        Problem::new(&self.files, place, key, message)
    }

    pub fn report(&mut self, problem: Problem) {
        match self.problems.len() {
            0..MAX_PROBLEMS => self.problems.push(problem),
            _ => self.more += 1,
        }
    }

    /// Tells whether something below a key was reported, so that what follows from it need not be.
    pub fn reported(&self, path: &str) -> bool {
        self.problems.iter().any(|p| p.key.strip_prefix(path).is_some_and(|rest| rest.starts_with('.')))
    }

    /// Checks a table and gives it back without what is wrong. Missing required keys are reported at `place`.
    pub fn table(&mut self, section: &'static Section, table: &Table, path: &str, place: Place) -> Table {
        let mut good = Vec::new();
        if self.too_many(table, path, place) {
            return Table::default();
        }
        for entry in &table.0 {
            let at = dotted(path, &entry.key);
            let kind = match section.key(&entry.key) {
                Some(key) => key.kind,
                None if section.name == AXIS => Type::Text,
                None => {
                    self.unknown_key(section, entry, path);
                    continue;
                }
            };
            if let Some(node) = self.value(kind, &entry.node, &at) {
                self.without_effect(section, entry, &at);
                good.push(Entry { node, ..entry.clone() });
            }
        }
        let builder_like = matches!(section.name, "builder" | "template" | "matrix" | "set");
        // What comes from a template is checked on the whole.
        let whole = !section.name.ends_with("_template") && (builder_like || table.get("template").is_none());
        let required = section.keys.iter().filter(|k| k.default == "required" && whole);
        for key in required.filter(|k| !(builder_like && k.name == "recipe")) {
            if table.get(key.name).is_none() {
                let message = format!("{path} has no key {:?}", key.name);
                let problem = self.problem(place, &dotted(path, key.name), message);
                self.report(
                    problem.expected(key.kind.expected()).note(format!("for example: {}", key.example)),
                );
            }
        }
        Table(good)
    }

    /// Warns of a key that nothing reads yet, once where it is written.
    fn without_effect(&mut self, section: &'static Section, entry: &Entry, path: &str) {
        let Some(what) = later(section.name, &entry.key).filter(|_| !asks_nothing(&entry.node)) else {
            return;
        };
        let warning = self.problem(entry.place, path, format!("{NO_EFFECT}: {what}"));
        // A matrix's table is checked again as a part of each builder.
        let same = |w: &Problem| (&w.file, w.line, w.column) == (&warning.file, warning.line, warning.column);
        let embedded = *self.files.kind(entry.place) == Kind::Embedded;
        if !embedded && self.warnings.len() < MAX_PROBLEMS && !self.warnings.iter().any(same) {
            self.warnings.push(warning);
        }
    }

    fn too_many(&mut self, table: &Table, path: &str, place: Place) -> bool {
        if table.0.len() > MAX_KEYS {
            let message = format!("{path} has {} keys", table.0.len());
            let problem = self.problem(place, path, message).expected(format!("at most {MAX_KEYS}"));
            self.report(problem);
        }
        table.0.len() > MAX_KEYS
    }

    fn unknown_key(&mut self, section: &'static Section, entry: &Entry, path: &str) {
        let message = format!("unknown key {:?} in {}", entry.key, section.header);
        let mut problem = self
            .problem(entry.place, &dotted(path, &entry.key), message)
            .nearest(&entry.key, section.names());
        let names: Vec<_> = section.names().collect();
        problem = match names.len() {
            0..16 => problem.expected(format!("one of {}", names.join(", "))),
            _ => problem.expected("a key that docs/CONFIG.md lists for it"),
        };
        self.report(problem);
    }

    /// Checks a value; `None` if it is of no use.
    fn value(&mut self, kind: Type, node: &Node, path: &str) -> Option<Node> {
        match (kind, &node.value) {
            (Type::Table(section), Value::Table(table)) => {
                let table = self.table(section, table, path, node.place);
                Some(Node { value: Value::Table(table), place: node.place })
            }
            (Type::BoolOrTables(_), Value::Bool(_)) => Some(node.clone()),
            (Type::Tables(section) | Type::BoolOrTables(section), Value::Table(_) | Value::List(_)) => {
                let list = node.many().iter();
                let good = list.filter_map(|n| self.value(Type::Table(section), n, path)).collect();
                Some(Node { value: Value::List(good), place: node.place })
            }
            (Type::Texts | Type::Names | Type::Patterns | Type::Issues, Value::List(list)) => {
                let one = match kind {
                    Type::Names => Type::Name,
                    Type::Patterns => Type::Patterns,
                    Type::Issues => Type::Issues,
                    _ => Type::Text,
                };
                let nested = |n: &&Node| !matches!(n.value, Value::List(_));
                let good = list.iter().filter(nested).filter_map(|n| self.value(one, n, path)).collect();
                if let Some(bad) = list.iter().find(|n| !nested(n)) {
                    self.wrong_type(kind, bad, path);
                }
                Some(Node { value: Value::List(good), place: node.place })
            }
            (Type::Vars | Type::Labels | Type::Axes, Value::Table(table))
                if self.too_many(table, path, node.place) =>
            {
                None
            }
            (Type::Vars | Type::Labels, Value::Table(table)) => {
                let good = table.0.iter().filter(|e| self.variable(kind, e, path)).cloned().collect();
                Some(Node { value: Value::Table(Table(good)), place: node.place })
            }
            (Type::Axes, Value::Table(table)) => {
                let good = table.0.iter().filter(|e| self.axis(e, path)).cloned().collect();
                Some(Node { value: Value::Table(Table(good)), place: node.place })
            }
            _ => self.scalar(kind, node, path).then(|| node.clone()),
        }
    }

    fn scalar(&mut self, kind: Type, node: &Node, path: &str) -> bool {
        let right_type = match (&node.value, kind) {
            (Value::Bool(_), Type::Bool) => true,
            (Value::Int(n), Type::Int(from, to)) => {
                if !(from..=to).contains(n) {
                    return self.wrong(node, path, format!("{n} is out of range"), kind);
                }
                true
            }
            (Value::Int(n), Type::Issues) => match u32::try_from(*n) {
                Ok(0) => return self.wrong(node, path, "issue 0 does not exist".into(), kind),
                Ok(_) => true,
                Err(_) => return self.wrong(node, path, format!("{n} is no issue number"), kind),
            },
            (Value::Int(n), Type::Number) => {
                *n > 0 || return self.wrong(node, path, format!("{n} is not above 0"), kind)
            }
            (Value::Float(n), Type::Number) => {
                (n.is_finite() && *n > 0.0)
                    || return self.wrong(node, path, format!("{n} is not above 0"), kind)
            }
            (Value::Int(n), Type::Size) => {
                *n >= 0 || return self.wrong(node, path, format!("{n} is not a size"), kind)
            }
            (Value::Text(text), kind) if kind.takes_text() => {
                if let Err(why) = self.grammar(kind, text) {
                    return self.wrong(node, path, why, kind);
                }
                true
            }
            _ => false,
        };
        if !right_type {
            self.wrong_type(kind, node, path);
        }
        right_type
    }

    fn grammar(&self, kind: Type, text: &str) -> Result<(), String> {
        if self.loose && text.contains('{') {
            return Ok(());
        }
        let or = |good: bool, why: String| if good { Ok(()) } else { Err(why) };
        match kind {
            Type::OneOf(list) => or(list.contains(&text), format!("{text:?} is not possible here")),
            Type::Name | Type::Names => check_name(text).map_err(|why| format!("{text:?}: {why}")),
            Type::Timeout => match parse_duration(text) {
                None => Err(format!("{text:?} is not a duration")),
                Some(d) => or(!d.is_zero(), "a time limit of nothing".into()),
            },
            Type::Size => or(parse_size(text).is_some(), format!("{text:?} is not a size")),
            Type::Version => or(text.parse::<Version>().is_ok(), format!("{text:?} is not a version")),
            Type::Patterns => {
                let plain = text.strip_prefix('!').unwrap_or(text);
                plain.parse::<Pattern>().map(drop).map_err(|why| format!("bad pattern {text:?}: {why}"))
            }
            Type::Path => path_stays_inside(text),
            Type::Variable => or(is_variable(text), format!("{text:?} is not a variable's name")),
            _ => or(!text.contains('\0'), "a text with a NUL character".into()),
        }
    }

    fn variable(&mut self, kind: Type, entry: &Entry, path: &str) -> bool {
        let path = dotted(path, &entry.key);
        let environment = path.ends_with(&format!("env.{}", entry.key));
        if environment && !is_variable(&entry.key) {
            let message = format!("{:?} is not a variable's name", entry.key);
            let problem = self.problem(entry.place, &path, message).expected(Type::Variable.expected());
            self.report(problem);
            return false;
        }
        match &entry.node.value {
            Value::Text(text) if text.contains('\0') => {
                self.wrong(&entry.node, &path, "a text with a NUL character".into(), Type::Text)
            }
            Value::Text(_) => true,
            Value::Int(_) | Value::Bool(_) if matches!(kind, Type::Labels) => true,
            _ => {
                self.wrong_type(Type::Text, &entry.node, &path);
                false
            }
        }
    }

    fn axis(&mut self, entry: &Entry, path: &str) -> bool {
        let path = dotted(path, &entry.key);
        let text = |n: &Node| n.text().is_some_and(|t| t.len() <= 64);
        match &entry.node.value {
            Value::List(list) if (1..=MAX_KEYS).contains(&list.len()) && list.iter().all(text) => true,
            _ => {
                let problem = self.problem(
                    entry.node.place,
                    &path,
                    "an axis is a list of 1 to 1000 texts of at most 64 characters",
                );
                self.report(problem.expected(Type::Axes.expected()));
                false
            }
        }
    }

    fn wrong(&mut self, node: &Node, path: &str, message: String, kind: Type) -> bool {
        let mut problem = self.problem(node.place, path, message).expected(kind.expected());
        if let (Type::OneOf(list), Some(text)) = (kind, node.text()) {
            problem = problem.nearest(text, list.iter().copied());
        }
        self.report(problem);
        false
    }

    fn wrong_type(&mut self, kind: Type, node: &Node, path: &str) {
        let message = format!("{path} is {}", node.type_name());
        let problem = self.problem(node.place, path, message).expected(kind.expected());
        self.report(problem);
    }
}

impl Type {
    fn takes_text(&self) -> bool {
        !matches!(
            self,
            Self::Bool
                | Self::Int(..)
                | Self::Number
                | Self::Vars
                | Self::Labels
                | Self::Issues
                | Self::Table(_)
                | Self::Tables(_)
                | Self::BoolOrTables(_)
                | Self::Axes
        )
    }
}

/// Checks that a file name is absolute, or stays under the data directory.
pub(crate) fn path_stays_inside(text: &str) -> Result<(), String> {
    if text.is_empty() || text.contains('\0') {
        return Err("an empty file name".into());
    }
    if !text.starts_with('/') && text.split(['/', '\\']).any(|part| part == "..") {
        return Err(format!("{text:?} leads out of the data directory"));
    }
    Ok(())
}

fn is_variable(text: &str) -> bool {
    let inside = |c: char| c.is_ascii_alphanumeric() || c == '_';
    !text.is_empty() && !text.starts_with(|c: char| c.is_ascii_digit()) && text.chars().all(inside)
}

pub(crate) fn dotted(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_string() } else { format!("{path}.{key}") }
}
