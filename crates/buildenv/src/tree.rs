//! A TOML document as a tree that knows where each value stands and keeps the order of the file.

use std::fmt::Write;

use toml::de::{DeTable, DeValue};

use crate::source::Place;

/// A value with its place.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub value: Value,
    pub place: Place,
}

/// The kinds of TOML values that a configuration uses.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    Text(String),
    Int(i64),
    Float(f64),
    Bool(bool),
    Date(String),
    List(Vec<Node>),
    Table(Table),
}

/// A table in the order of the file.
#[derive(Debug, Clone, Default)]
pub(crate) struct Table(pub Vec<Entry>);

/// A key with its place, and its value.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub key: String,
    pub place: Place,
    pub node: Node,
}

impl Table {
    pub fn get(&self, key: &str) -> Option<&Entry> {
        self.0.iter().find(|e| e.key == key)
    }

    /// Estimates the memory that the table takes, in bytes.
    pub fn weight(&self) -> usize {
        self.0.iter().map(|e| std::mem::size_of::<Entry>() + e.key.len() + e.node.weight()).sum()
    }

    /// Marks everything in it as having come through a template or matrix, where nothing is marked yet.
    pub fn mark(&mut self, via: u32) {
        for entry in &mut self.0 {
            entry.place.mark(via);
            entry.node.mark(via);
        }
    }

    /// Puts another table's entries over its own: tables are merged, all else is replaced.
    pub fn overlay(&mut self, over: &Self) {
        for entry in &over.0 {
            let mine = self.0.iter_mut().find(|e| e.key == entry.key);
            match (mine.map(|e| &mut e.node.value), &entry.node.value) {
                (Some(Value::Table(mine)), Value::Table(theirs)) => mine.overlay(theirs),
                _ => self.put(entry.clone()),
            }
        }
    }

    /// Takes the entry of a key out.
    pub fn take(&mut self, key: &str) -> Option<Entry> {
        let at = self.0.iter().position(|e| e.key == key)?;
        Some(self.0.remove(at))
    }

    /// Puts an entry, in place of the one with the same key.
    pub fn put(&mut self, entry: Entry) {
        match self.0.iter_mut().find(|e| e.key == entry.key) {
            Some(old) => *old = entry,
            None => self.0.push(entry),
        }
    }
}

impl Node {
    pub fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    pub fn table(&self) -> Option<&Table> {
        match &self.value {
            Value::Table(table) => Some(table),
            _ => None,
        }
    }

    /// Gives a list's elements, or the value itself as the only one.
    pub fn many(&self) -> &[Node] {
        match &self.value {
            Value::List(list) => list,
            _ => std::slice::from_ref(self),
        }
    }

    /// Names the value's type for people.
    pub fn type_name(&self) -> &'static str {
        match self.value {
            Value::Text(_) => "a text",
            Value::Int(_) => "a whole number",
            Value::Float(_) => "a number with a point",
            Value::Bool(_) => "true or false",
            Value::Date(_) => "a date",
            Value::List(_) => "a list",
            Value::Table(_) => "a table",
        }
    }

    /// Estimates the memory that the value takes, in bytes.
    pub fn weight(&self) -> usize {
        let own = std::mem::size_of::<Self>();
        own + match &self.value {
            Value::Text(text) | Value::Date(text) => text.len(),
            Value::List(list) => list.iter().map(Self::weight).sum(),
            Value::Table(table) => table.weight(),
            Value::Int(_) | Value::Float(_) | Value::Bool(_) => 0,
        }
    }

    /// Marks this value and everything in it as having come through a template or matrix, where nothing is yet.
    pub fn mark(&mut self, via: u32) {
        self.place.mark(via);
        match &mut self.value {
            Value::List(list) => list.iter_mut().for_each(|n| n.mark(via)),
            Value::Table(table) => table.mark(via),
            _ => {}
        }
    }

    /// Replaces texts in this value and everything in it.
    pub fn map_text(&mut self, change: &dyn Fn(&str) -> String) {
        match &mut self.value {
            Value::Text(text) => *text = change(text),
            Value::List(list) => list.iter_mut().for_each(|n| n.map_text(change)),
            Value::Table(table) => table.0.iter_mut().for_each(|e| e.node.map_text(change)),
            _ => {}
        }
    }

    /// Writes the value as one line of TOML.
    pub fn show(&self) -> String {
        let mut out = String::new();
        self.write(&mut out);
        out
    }

    fn write(&self, out: &mut String) {
        match &self.value {
            Value::Text(text) => out.push_str(&quote(text)),
            Value::Int(n) => {
                let _ = write!(out, "{n}");
            }
            Value::Float(n) => {
                let _ = write!(out, "{n:?}");
            }
            Value::Bool(b) => {
                let _ = write!(out, "{b}");
            }
            Value::Date(text) => out.push_str(text),
            Value::List(list) => {
                out.push('[');
                for (n, node) in list.iter().enumerate() {
                    out.push_str(if n > 0 { ", " } else { "" });
                    node.write(out);
                }
                out.push(']');
            }
            Value::Table(table) => {
                out.push('{');
                for (n, entry) in table.0.iter().enumerate() {
                    out.push_str(if n > 0 { ", " } else { " " });
                    let _ = write!(out, "{} = ", show_key(&entry.key));
                    entry.node.write(out);
                }
                out.push_str(if table.0.is_empty() { "}" } else { " }" });
            }
        }
    }
}

/// Writes a key of TOML, quoted if it must be.
pub fn show_key(key: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if !key.is_empty() && key.chars().all(bare) { key.to_string() } else { quote(key) }
}

/// Writes a text as a basic TOML string.
pub fn quote(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() => {
                let _ = write!(out, "\\u{:04X}", c as u32);
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// A syntax error: its place and the parser's words.
pub(crate) struct SyntaxError {
    pub place: Place,
    pub message: String,
}

/// Parses a text; what could be read comes back beside the errors.
pub(crate) fn parse(text: &str, file: u32) -> (Table, Vec<SyntaxError>) {
    let (document, errors) = DeTable::parse_recoverable(text);
    let place = |span: std::ops::Range<usize>| Place {
        file,
        start: span.start.min(text.len()) as u32,
        end: span.end.min(text.len()) as u32,
        via: 0,
    };
    let errors: Vec<_> = errors
        .iter()
        .map(|e| SyntaxError {
            place: place(e.span().unwrap_or(0..0)),
            message: e.message().lines().collect::<Vec<_>>().join("; "),
        })
        .collect();
    (table(document.get_ref(), &place), errors)
}

fn table(raw: &DeTable<'_>, place: &dyn Fn(std::ops::Range<usize>) -> Place) -> Table {
    let mut entries: Vec<_> = raw
        .iter()
        .map(|(key, value)| Entry {
            key: key.get_ref().to_string(),
            place: place(key.span()),
            node: node(value.get_ref(), value.span(), place),
        })
        .collect();
    entries.sort_by_key(|e| e.place.start);
    Table(entries)
}

fn node(
    raw: &DeValue<'_>,
    span: std::ops::Range<usize>,
    place: &dyn Fn(std::ops::Range<usize>) -> Place,
) -> Node {
    let value = match raw {
        DeValue::String(text) => Value::Text(text.to_string()),
        DeValue::Integer(n) => match i64::from_str_radix(n.as_str(), n.radix()) {
            Ok(n) => Value::Int(n),
            Err(_) => Value::Float(f64::INFINITY),
        },
        DeValue::Float(n) => Value::Float(n.as_str().parse().unwrap_or(f64::NAN)),
        DeValue::Boolean(b) => Value::Bool(*b),
        DeValue::Datetime(date) => Value::Date(date.to_string()),
        DeValue::Array(list) => {
            Value::List(list.iter().map(|n| node(n.get_ref(), n.span(), place)).collect())
        }
        DeValue::Table(raw) => Value::Table(table(raw, place)),
    };
    Node { value, place: place(span) }
}
