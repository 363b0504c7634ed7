//! `cargo xtask licences`: licences, bans and sources of all dependencies, those of fuzz/ and query/ included, offline, by deny.toml.

use std::collections::BTreeSet;
use std::process::ExitCode;

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::metadata::{self, Package};

#[derive(Deserialize)]
struct Deny {
    licenses: Licenses,
    bans: Bans,
    sources: Sources,
}

#[derive(Deserialize)]
struct Licenses {
    allow: BTreeSet<String>,
    #[serde(default)]
    exceptions: Vec<Exception>,
}

/// What one package may have besides.
#[derive(Deserialize)]
struct Exception {
    #[serde(rename = "crate")]
    name: String,
    allow: BTreeSet<String>,
}

#[derive(Deserialize)]
struct Bans {
    deny: Vec<Ban>,
}

#[derive(Deserialize)]
struct Ban {
    name: String,
    reason: String,
}

#[derive(Deserialize)]
struct Sources {
    #[serde(rename = "allow-git")]
    allow_git: Vec<String>,
}

/// Checks every dependency and prints each one that does not pass.
pub fn run() -> Result<ExitCode> {
    let text = std::fs::read_to_string(metadata::root().join("deny.toml")).context("deny.toml")?;
    let deny: Deny = toml::from_str(&text).context("deny.toml")?;
    let packages = packages()?;
    let problems: Vec<String> = packages.iter().flat_map(|package| check(&deny, package)).collect();
    for problem in &problems {
        eprintln!("{problem}");
    }
    println!("licences: {} packages, {} problems", packages.len(), problems.len());
    Ok(if problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// All there is in this workspace and in those beside it, each once.
fn packages() -> Result<Vec<Package>> {
    let mut packages = metadata::read()?.packages;
    for workspace in metadata::BESIDE {
        packages.extend(metadata::of_beside(workspace)?.packages);
    }
    let mut seen = BTreeSet::new();
    packages.retain(|it| seen.insert((it.name.clone(), it.version.clone(), it.source.clone())));
    Ok(packages)
}

fn check(deny: &Deny, package: &Package) -> Vec<String> {
    let mut problems = Vec::new();
    let name = format!("{} {}", package.name, package.version);
    if let Some(ban) = deny.bans.deny.iter().find(|ban| ban.name == package.name) {
        problems.push(format!("{name}: banned: {}", ban.reason));
    }
    if let Some(source) = &package.source
        && let Some(git) = source.strip_prefix("git+")
        && !deny.sources.allow_git.iter().any(|allowed| git.starts_with(allowed))
    {
        problems.push(format!("{name}: comes from a git repository, {git}"));
    }
    let mut allow = deny.licenses.allow.clone();
    let exceptions = deny.licenses.exceptions.iter().filter(|exception| exception.name == package.name);
    allow.extend(exceptions.flat_map(|exception| exception.allow.iter().cloned()));
    match &package.license {
        Some(expression) if allowed(expression, &allow) => {}
        Some(expression) => problems.push(format!("{name}: licence {expression} is not in deny.toml's list")),
        None => problems.push(format!("{name}: no licence expression")),
    }
    problems
}

/// Whether an SPDX expression can be satisfied with the allowed licences alone.
fn allowed(expression: &str, allow: &BTreeSet<String>) -> bool {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut rest = words.as_slice();
    either(&mut rest, allow) && rest.is_empty()
}

fn either(words: &mut &[&str], allow: &BTreeSet<String>) -> bool {
    let mut good = both(words, allow);
    while words.first() == Some(&"OR") {
        *words = &words[1..];
        good |= both(words, allow);
    }
    good
}

fn both(words: &mut &[&str], allow: &BTreeSet<String>) -> bool {
    let mut good = one(words, allow);
    while words.first() == Some(&"AND") {
        *words = &words[1..];
        good &= one(words, allow);
    }
    good
}

fn one(words: &mut &[&str], allow: &BTreeSet<String>) -> bool {
    let Some((first, mut rest)) = words.split_first() else { return false };
    if *first == "(" {
        let good = either(&mut rest, allow);
        *words = rest.get(1..).unwrap_or_default();
        return good && rest.first() == Some(&")");
    }
    let mut name = (*first).to_owned();
    if let ["WITH", exception, ..] = rest {
        name = format!("{name} WITH {exception}");
        rest = &rest[2..];
    }
    *words = rest;
    allow.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(expression: &str) -> bool {
        let allow = ["MIT", "Apache-2.0", "ISC", "Apache-2.0 WITH LLVM-exception"];
        allowed(expression, &allow.into_iter().map(str::to_owned).collect())
    }

    #[test]
    fn one_allowed_way_through_an_expression_is_enough() {
        for good in [
            "MIT",
            "MIT OR GPL-3.0",
            "GPL-3.0 OR MIT",
            "MIT/Apache-2.0",
            "(GPL-3.0 OR MIT) AND ISC",
            "Apache-2.0 WITH LLVM-exception OR GPL-3.0",
        ] {
            assert!(verdict(good), "{good}");
        }
    }

    #[test]
    fn what_needs_another_licence_is_refused() {
        for bad in [
            "GPL-3.0",
            "MIT AND GPL-3.0",
            "(MIT OR ISC) AND GPL-3.0",
            "MIT WITH odd-exception",
            "",
            "MIT )",
            "(MIT",
        ] {
            assert!(!verdict(bad), "{bad}");
        }
    }

    fn package(name: &str, license: &str) -> Package {
        Package {
            name: name.into(),
            version: "1.0.0".into(),
            license: Some(license.into()),
            source: None,
            dependencies: Vec::new(),
        }
    }

    #[test]
    fn an_exception_is_for_one_package() {
        let deny: Deny = toml::from_str(
            r#"
            licenses = { allow = ["MIT"], exceptions = [{ crate = "odd", allow = ["NCSA"] }] }
            bans = { deny = [] }
            sources = { allow-git = [] }
            "#,
        )
        .unwrap();
        assert!(check(&deny, &package("odd", "MIT AND NCSA")).is_empty());
        assert_eq!(check(&deny, &package("odd", "MIT AND ISC")).len(), 1);
        assert_eq!(check(&deny, &package("other", "MIT AND NCSA")).len(), 1);
    }

    #[test]
    fn what_the_workspaces_beside_are_made_of_is_looked_at() {
        let all = packages().unwrap();
        let times = |name| all.iter().filter(|package| package.name == name).count();
        assert_eq!((times("libfuzzer-sys"), times("xtask"), times("buildlet")), (1, 1, 1));
        assert_eq!((times("datafusion"), times("maintner")), (1, 1));
    }

    #[test]
    fn a_banned_crate_and_a_git_source_are_named() {
        let deny: Deny = toml::from_str(
            r#"
            licenses = { allow = ["MIT"] }
            bans = { deny = [{ name = "bad", reason = "because" }] }
            sources = { allow-git = [] }
            "#,
        )
        .unwrap();
        let package = Package { source: Some("git+ssh://example/x".into()), ..package("bad", "MIT") };
        let problems = check(&deny, &package);
        assert_eq!(problems.len(), 2, "{problems:?}");
        assert_eq!(problems[0], "bad 1.0.0: banned: because");
    }
}
