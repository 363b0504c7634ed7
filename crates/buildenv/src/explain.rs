//! Where each value comes from.

use crate::config::Config;
use crate::facts::{Fact, Facts};
use crate::problem::Problem;
use crate::values::NO_EFFECT;

/// A thing, with the effective value of its keys.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Explained {
    /// `SECTION.NAME`.
    pub name: String,
    /// Its keys, or those that were asked for.
    pub keys: Vec<Fact>,
    /// What follows from them and is none of them.
    pub notes: Vec<String>,
}

/// Explains a thing or a key: the effective value of every key and which file and line set it.
///
/// `what` is a builder (`linux-amd64`, `sync:test`), `SECTION.NAME`, or `SECTION.NAME.KEY`. `None` if there is no
/// such thing.
#[must_use]
pub fn explain(config: &Config, what: &str) -> Option<String> {
    let list = explained(config, what);
    (!list.is_empty()).then(|| list.iter().map(ToString::to_string).collect())
}

/// Explains the same as data; empty if there is no such thing.
#[must_use]
pub fn explained(config: &Config, what: &str) -> Vec<Explained> {
    let mut list = Vec::new();
    for (name, facts) in things(config) {
        let whole = name == what || name.strip_prefix("builder.") == Some(what);
        let key = what.strip_prefix(name.as_str()).and_then(|rest| rest.strip_prefix('.'));
        if !whole && key.is_none() {
            continue;
        }
        let wanted = |k: &str| {
            key.is_none_or(|key| k == key || k.strip_prefix(key).is_some_and(|r| r.starts_with('.')))
        };
        let keys: Vec<_> = facts.0.iter().filter(|f| wanted(&f.key)).cloned().collect();
        if keys.is_empty() {
            continue;
        }
        let of_it =
            |w: &&Problem| w.key.starts_with(&format!("{name}.")) && !w.message.starts_with(NO_EFFECT);
        let warnings = config.warnings().iter().filter(of_it);
        let mut notes: Vec<_> = warnings.map(|w| format!("{}:{}: {}", w.file, w.line, w.message)).collect();
        notes.extend(derived(config, &name));
        list.push(Explained { name, keys, notes });
    }
    list
}

/// Lists the names of all that can be explained, as `SECTION.NAME`.
#[must_use]
pub fn explainable(config: &Config) -> Vec<String> {
    things(config).into_iter().map(|(name, _)| name).collect()
}

impl std::fmt::Display for Explained {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{}", self.name)?;
        let wide = self.keys.iter().map(|f| f.key.len()).max().unwrap_or(0);
        let far = self.keys.iter().map(|f| f.value.chars().count().min(48)).max().unwrap_or(0);
        for fact in &self.keys {
            let at = fact.at.as_ref().map_or_else(|| "default".to_string(), ToString::to_string);
            write!(f, "  {:wide$} = {:far$}  # {at}", fact.key, fact.value)?;
            match fact.no_effect.filter(|_| fact.at.is_some()) {
                Some(what) => writeln!(f, "; {NO_EFFECT}: {what}")?,
                None => writeln!(f)?,
            }
        }
        self.notes.iter().try_for_each(|note| writeln!(f, "  ({note})"))
    }
}

/// What follows from the keys of a builder and is not one of them.
fn derived(config: &Config, name: &str) -> Vec<String> {
    let builder = config.builders().iter().find(|b| format!("builder.{}", b.full_name()) == name);
    let Some(builder) = builder else {
        let repo = name.strip_prefix("repo.").and_then(|n| config.repo(n));
        let environment = config.environment();
        let at = environment.facts.said("push_mirrors");
        let silent = repo.is_some() && !environment.push_mirrors;
        return silent
            .then(|| format!("environment {} pushes to no mirror: {at}", environment.name))
            .into_iter()
            .collect();
    };
    let hosts: Vec<_> = builder.hosts.iter().map(ToString::to_string).collect();
    let mut notes = vec![format!("runs on: {}", hosts.join(", "))];
    if !builder.secrets.is_empty() {
        let secrets: Vec<_> = builder.secrets.iter().map(ToString::to_string).collect();
        notes.push(format!("gets secrets: {}", secrets.join(", ")));
    }
    if let Some(recipe) = config.recipe_of(builder) {
        notes.push(format!("digest: {}", config.digest_for(builder, recipe)));
    }
    notes
}

/// Everything that has keys, as `SECTION.NAME` or `SECTION`.
pub(crate) fn things(config: &Config) -> Vec<(String, &Facts)> {
    let environment = config.environment();
    let mut list = vec![(format!("environment.{}", environment.name), &environment.facts)];
    list.extend(config.repos().iter().map(|r| (format!("repo.{}", r.name), &r.facts)));
    list.extend(config.hosts().iter().map(|h| (format!("host.{}", h.name), &h.facts)));
    list.extend(config.builders().iter().map(|b| (format!("builder.{}", b.full_name()), &b.facts)));
    list.extend(config.recipes().iter().map(|r| {
        let scope = r.scope.as_ref().map_or_else(String::new, |s| format!("{s}:"));
        (format!("recipe.{scope}{}", r.name), &r.facts)
    }));
    list.extend(config.more_facts().iter().map(|(name, facts)| (name.clone(), facts)));
    list
}
