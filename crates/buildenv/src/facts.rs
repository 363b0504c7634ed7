//! What was said about one thing, key by key, with who said it: for `config explain`, reasons and digests.

use std::sync::Arc;

use crate::schema::{Section, Type, asks_nothing, later};
use crate::source::{Files, Location};
use crate::tree::{Table, Value, show_key};

/// The effective value of one key.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Fact {
    /// The key, with a dot for keys of inner tables (`env.CC`).
    pub key: String,
    /// The value as TOML; for a default the words of the manual.
    pub value: String,
    /// Which file and line said it; none for a default.
    pub at: Option<Location>,
    /// What is there instead, if the key was set and has no effect yet.
    pub no_effect: Option<&'static str>,
    #[serde(skip)]
    pub(crate) digest: bool,
}

/// Everything that is known about one thing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Facts(pub Arc<Vec<Fact>>);

impl Facts {
    pub fn gather(files: &Files, section: &'static Section, table: &Table) -> Self {
        let mut list = Vec::new();
        add(files, section, table, "", true, &mut list);
        Self(Arc::new(list))
    }

    /// Gives the place that set a key.
    pub fn at(&self, key: &str) -> Option<&Location> {
        self.0.iter().find(|f| f.key == key || key_of(&f.key) == key).and_then(|f| f.at.as_ref())
    }

    /// Says who set a key, for a reason.
    pub fn said(&self, key: &str) -> String {
        self.at(key).map_or_else(|| "default".into(), ToString::to_string)
    }

    /// Writes the keys that change what a build does, defaults included, in a fixed order.
    pub fn canonical(&self) -> String {
        let mut text = String::new();
        for fact in self.0.iter().filter(|f| f.digest) {
            text += &format!("{} = {}\n", fact.key, fact.value);
        }
        text
    }
}

fn key_of(key: &str) -> &str {
    key.split_once('.').map_or(key, |(first, _)| first)
}

fn add(
    files: &Files,
    section: &'static Section,
    table: &Table,
    prefix: &str,
    outer: bool,
    list: &mut Vec<Fact>,
) {
    for key in section.keys {
        let name = format!("{prefix}{}", key.name);
        let set = table.get(key.name).filter(|entry| !asks_nothing(&entry.node));
        let no_effect = set.and_then(|_| later(section.name, key.name));
        let digest = key.digest;
        let fact = |key: String, value: String, at| Fact { key, value, at, no_effect, digest };
        let Some(entry) = table.get(key.name) else {
            if outer {
                list.push(fact(name, key.default.to_string(), None));
            }
            continue;
        };
        match (&entry.node.value, key.kind) {
            (Value::Table(inner), Type::Table(section)) => {
                add(files, section, inner, &format!("{name}."), false, list);
            }
            (Value::Table(inner), Type::Vars | Type::Labels) if !inner.0.is_empty() => {
                list.extend(inner.0.iter().map(|e| {
                    let at = Some(files.locate(e.place));
                    fact(format!("{name}.{}", show_key(&e.key)), e.node.show(), at)
                }));
            }
            _ => list.push(fact(name, entry.node.show(), Some(files.locate(entry.place)))),
        }
    }
}
