//! Reads typed values out of a table that has been checked against its section.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::pattern::{Pattern, Patterns};
use crate::quantity::{Version, parse_duration, parse_size};
use crate::tree::{Node, Table, Value};

/// A checked table. Whatever does not have the right type was reported and removed before.
#[derive(Clone, Copy)]
pub(crate) struct Fields<'a>(pub &'a Table);

impl<'a> Fields<'a> {
    pub fn node(self, key: &str) -> Option<&'a Node> {
        self.0.get(key).map(|e| &e.node)
    }

    pub fn text(self, key: &str) -> Option<&'a str> {
        self.node(key)?.text()
    }

    pub fn owned(self, key: &str) -> Option<String> {
        self.text(key).map(Into::into)
    }

    pub fn bool(self, key: &str) -> Option<bool> {
        match self.node(key)?.value {
            Value::Bool(b) => Some(b),
            _ => None,
        }
    }

    pub fn flag(self, key: &str) -> bool {
        self.bool(key).unwrap_or(false)
    }

    pub fn int<T: TryFrom<i64>>(self, key: &str) -> Option<T> {
        match self.node(key)?.value {
            Value::Int(n) => T::try_from(n).ok(),
            _ => None,
        }
    }

    /// A count where 0 means "no limit".
    pub fn limit(self, key: &str) -> Option<u32> {
        self.int(key).filter(|n| *n > 0)
    }

    pub fn number(self, key: &str) -> Option<f64> {
        match self.node(key)?.value {
            Value::Int(n) => Some(n as f64),
            Value::Float(n) => Some(n),
            _ => None,
        }
    }

    pub fn texts(self, key: &str) -> Vec<String> {
        let many = self.node(key).map_or(&[][..], Node::many);
        many.iter().filter_map(|n| n.text().map(Into::into)).collect()
    }

    pub fn names<T: std::str::FromStr>(self, key: &str) -> Vec<T> {
        self.texts(key).iter().filter_map(|t| t.parse().ok()).collect()
    }

    pub fn name<T: std::str::FromStr>(self, key: &str) -> Option<T> {
        self.text(key)?.parse().ok()
    }

    pub fn patterns(self, key: &str) -> Patterns {
        let mut list = Patterns::default();
        for text in self.texts(key) {
            let _ = list.push(&text);
        }
        list
    }

    pub fn globs(self, key: &str) -> Vec<Pattern> {
        self.texts(key).iter().filter_map(|t| t.parse().ok()).collect()
    }

    pub fn duration(self, key: &str) -> Option<Duration> {
        parse_duration(self.text(key)?)
    }

    pub fn size(self, key: &str) -> Option<u64> {
        match &self.node(key)?.value {
            Value::Int(n) => u64::try_from(*n).ok(),
            Value::Text(text) => parse_size(text),
            _ => None,
        }
    }

    pub fn version(self, key: &str) -> Option<Version> {
        self.text(key)?.parse().ok()
    }

    /// A table of texts in the order of the file.
    pub fn vars(self, key: &str) -> Vec<(String, String)> {
        let table = self.node(key).and_then(Node::table);
        let entries = table.map_or(&[][..], |t| &t.0);
        entries.iter().filter_map(|e| Some((e.key.clone(), plain(&e.node)?))).collect()
    }

    pub fn labels(self, key: &str) -> BTreeMap<String, String> {
        self.vars(key).into_iter().collect()
    }

    pub fn table(self, key: &str) -> Option<Fields<'a>> {
        self.node(key)?.table().map(Fields)
    }

    /// The tables of a list, or the one table that stands for a list, each with its node.
    pub fn tables(self, key: &str) -> Vec<(&'a Node, Fields<'a>)> {
        let many = self.node(key).map_or(&[][..], Node::many);
        many.iter().filter_map(|n| Some((n, Fields(n.table()?)))).collect()
    }
}

/// A text, or a number or truth value written as one.
pub(crate) fn plain(node: &Node) -> Option<String> {
    match &node.value {
        Value::Text(text) => Some(text.clone()),
        Value::Int(_) | Value::Bool(_) => Some(node.show()),
        _ => None,
    }
}
