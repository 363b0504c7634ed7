//! The keys that are understood and checked, and have no effect yet: what they speak of is no part of this version.
//!
//! `config check` and `config explain` say so for each that is set, and the manual marks them. A key that gets its
//! effect is taken out of here in the same commit; a test looks whether a key that is not here is read by somebody.

use crate::tree::{Node, Value};

const MACHINES: &str = "no pool of this version makes machines";
const PAGES: &str = "the overview pages are no part of this version";

/// Section, keys, and what is there instead.
const LATER: &[(&str, &[&str], &str)] = &[
    ("environment", &["cloud"], MACHINES),
    ("repo", &["hidden"], PAGES),
    (
        "host",
        &["image", "container", "machine_type", "machine", "buildlet", "bootstrap", "delete_after"],
        MACHINES,
    ),
    ("host", &["aliases"], "machines that dial in name their host, and not their builders"),
    ("host", &["restricted"], "whoever may order builds of a host may hold its machines"),
    ("host", &["hermetic"], "every worker is wiped after each build, and machines are not made anew"),
    ("builder", &["known_issues"], "no test is known to be flaky"),
    ("builder", &["bench"], "results of benchmarks are kept with the tests, and not as series"),
    ("builder", &["private_proxy"], "this version has no module proxy"),
    ("builder", &["hidden"], PAGES),
];

/// Lists the keys without effect: section, key, and what is there instead.
#[must_use]
pub fn keys_without_effect() -> Vec<(&'static str, &'static str, &'static str)> {
    LATER.iter().flat_map(|(section, keys, what)| keys.iter().map(|key| (*section, *key, *what))).collect()
}

/// Says why a key has no effect yet, if it has none.
pub(crate) fn later(section: &str, key: &str) -> Option<&'static str> {
    let section = match section {
        "template" | "matrix" | "set" => "builder",
        "dependents" => "recipe",
        "host_template" => "host",
        "repo_template" => "repo",
        section => section,
    };
    LATER.iter().find(|(of, keys, _)| *of == section && keys.contains(&key)).map(|(_, _, what)| *what)
}

/// Tells whether a value asks for nothing, so that nobody waits for its effect.
pub(crate) fn asks_nothing(node: &Node) -> bool {
    match &node.value {
        Value::Bool(asked) => !asked,
        Value::Int(count) => *count == 0,
        Value::Text(text) => text == "exit-status",
        Value::List(list) => list.is_empty(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::all_keys;

    #[test]
    fn every_key_without_effect_is_a_key() {
        let known = all_keys();
        for (section, key, _) in keys_without_effect() {
            assert!(known.contains(&(section, key)), "{section}.{key}");
        }
        assert!(later("set", "bench").is_some() && later("dependents", "results").is_none());
        assert!(later("recipe", "run").is_none());
    }
}
