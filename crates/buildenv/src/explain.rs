//! Where each value comes from.

use std::fmt::Write;

use crate::config::Config;
use crate::facts::Facts;
use crate::problem::Problem;
use crate::values::NO_EFFECT;

/// Explains a thing or a key: the effective value of every key and which file and line set it.
///
/// `what` is a builder (`linux-amd64`, `sync:test`), `SECTION.NAME`, or `SECTION.NAME.KEY`. `None` if there is no
/// such thing.
#[must_use]
pub fn explain(config: &Config, what: &str) -> Option<String> {
    let things = things(config);
    let mut out = String::new();
    for (name, facts) in &things {
        let whole = name == what || name.strip_prefix("builder.") == Some(what);
        let key = what.strip_prefix(name.as_str()).and_then(|rest| rest.strip_prefix('.'));
        if !whole && key.is_none() {
            continue;
        }
        let wanted = |k: &str| {
            key.is_none_or(|key| k == key || k.strip_prefix(key).is_some_and(|r| r.starts_with('.')))
        };
        let list: Vec<_> = facts.0.iter().filter(|f| wanted(&f.key)).collect();
        if list.is_empty() {
            continue;
        }
        let _ = writeln!(out, "{name}");
        let wide = list.iter().map(|f| f.key.len()).max().unwrap_or(0);
        let far = list.iter().map(|f| f.value.chars().count().min(48)).max().unwrap_or(0);
        for fact in list {
            let at = fact.at.as_ref().map_or_else(|| "default".to_string(), ToString::to_string);
            let _ = write!(out, "  {:wide$} = {:far$}  # {at}", fact.key, fact.value);
            let _ = match fact.no_effect.filter(|_| fact.at.is_some()) {
                Some(what) => writeln!(out, "; {NO_EFFECT}: {what}"),
                None => writeln!(out),
            };
        }
        let of_it =
            |w: &&Problem| w.key.starts_with(&format!("{name}.")) && !w.message.starts_with(NO_EFFECT);
        for warning in config.warnings().iter().filter(of_it) {
            let _ = writeln!(out, "  ({}:{}: {})", warning.file, warning.line, warning.message);
        }
        derived(config, name, &mut out);
    }
    if out.is_empty() { None } else { Some(out) }
}

/// What follows from the keys of a builder and is not one of them.
fn derived(config: &Config, name: &str, out: &mut String) {
    let builder = config.builders().iter().find(|b| format!("builder.{}", b.full_name()) == name);
    let Some(builder) = builder else {
        let repo = name.strip_prefix("repo.").and_then(|n| config.repo(n));
        let environment = config.environment();
        if repo.is_some() && !environment.push_mirrors {
            let at = environment.facts.said("push_mirrors");
            let _ = writeln!(out, "  (environment {} pushes to no mirror: {at})", environment.name);
        }
        return;
    };
    let hosts: Vec<_> = builder.hosts.iter().map(ToString::to_string).collect();
    let _ = writeln!(out, "  (runs on: {})", hosts.join(", "));
    if !builder.secrets.is_empty() {
        let secrets: Vec<_> = builder.secrets.iter().map(ToString::to_string).collect();
        let _ = writeln!(out, "  (gets secrets: {})", secrets.join(", "));
    }
    if let Some(recipe) = config.recipe_of(builder) {
        let _ = writeln!(out, "  (digest: {})", config.digest_for(builder, recipe));
    }
}

fn things(config: &Config) -> Vec<(String, &Facts)> {
    let environment = config.environment();
    let mut list = vec![(format!("environment.{}", environment.name), &environment.facts)];
    list.extend(config.repos().iter().map(|r| (format!("repo.{}", r.name), &r.facts)));
    list.extend(config.hosts().iter().map(|h| (format!("host.{}", h.name), &h.facts)));
    list.extend(config.builders().iter().map(|b| (format!("builder.{}", b.full_name()), &b.facts)));
    list.extend(config.recipes().iter().map(|r| {
        let scope = r.scope.as_ref().map_or_else(String::new, |s| format!("{s}:"));
        (format!("recipe.{scope}{}", r.name), &r.facts)
    }));
    list
}
