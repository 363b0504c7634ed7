//! How two configurations differ in what their files say.

use std::collections::{BTreeMap, BTreeSet};

use crate::config::Config;
use crate::explain::things;

/// Values are cut to so many characters.
const WIDTH: usize = 80;

/// Lists what is there in one of two configurations only, and each key that has another value: a line each, as
/// `+ host many`, `- repo sync`, `~ retention.logs: "180d" -> "1d"`.
#[must_use]
pub fn diff_keys(old: &Config, new: &Config) -> Vec<String> {
    let (was, is) = (named(old), named(new));
    let mut lines = Vec::new();
    for name in was.keys().chain(is.keys()).collect::<BTreeSet<_>>() {
        match (was.get(name), is.get(name)) {
            (None, _) => lines.push(format!("+ {}", spoken(name))),
            (_, None) => lines.push(format!("- {}", spoken(name))),
            (Some(was), Some(is)) => {
                for key in was.keys().chain(is.keys()).collect::<BTreeSet<_>>() {
                    let (before, after) = (was.get(key), is.get(key));
                    if before != after {
                        lines.push(format!("~ {name}.{key}: {} -> {}", value(before), value(after)));
                    }
                }
            }
        }
    }
    lines
}

/// The keys of each thing with their values.
fn named(config: &Config) -> BTreeMap<String, BTreeMap<&str, &str>> {
    let keys = things(config).into_iter().map(|(name, facts)| {
        (name, facts.0.iter().map(|fact| (fact.key.as_str(), fact.value.as_str())).collect())
    });
    keys.collect()
}

/// `host.many` as `host many`.
fn spoken(name: &str) -> String {
    name.replacen('.', " ", 1)
}

fn value(text: Option<&&str>) -> String {
    let Some(text) = text else { return "nothing".into() };
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    match line.char_indices().nth(WIDTH) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}
