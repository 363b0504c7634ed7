//! Which builders a change gets, against which branches of its toolchain. Source: spec/coordinator.md §1.2.

use std::collections::{BTreeMap, BTreeSet};

use buildenv::{Class, Config, HostName, Planned, RepoName, Trust, plan, toolchain_pairs};
use serde::{Deserialize, Serialize};

use super::asked::Asked;
use super::terms::{self, Terms};
use crate::{own_rules, resolve};

/// The most builds of one run: what is asked for is somebody's word.
const MOST: usize = 1000;

/// A build of a run.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cell {
    /// The builder's name.
    pub builder: String,
    /// The repo that is built: the change's own, or one that is built against it.
    pub repo: String,
    /// The branch of that repo.
    pub branch: String,
    /// The branch of the toolchain that it is built against.
    pub toolchain_branch: Option<String>,
    /// The canonical text.
    pub revision: String,
}

/// A builder that does not build the change.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct LeftOut {
    /// Its full name.
    pub builder: String,
    /// The branch of the toolchain that it is left out against.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub against: Option<String>,
    /// Why.
    pub reason: String,
}

/// What was said of further builders.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Said {
    /// Those that were asked for.
    pub builders: Vec<String>,
    /// Short names that nothing serves.
    pub missing: Vec<String>,
    /// What means nothing.
    pub unknown: Vec<String>,
    /// Whether the builds of the change's repo are made by the rules that the change brings.
    #[serde(default)]
    pub own_rules: bool,
}

/// What a change gets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Chosen {
    /// The builds, sorted.
    pub cells: Vec<Cell>,
    /// The builders that make none, sorted.
    pub left_out: Vec<LeftOut>,
    /// What was said of further ones.
    pub said: Said,
}

impl Chosen {
    /// Puts all in order, each once, and no more than may be.
    pub(super) fn in_order(&mut self) {
        self.cells.sort();
        self.cells.dedup();
        self.cells.truncate(MOST);
        self.left_out.sort();
    }
}

/// The branches of a toolchain, with their heads.
pub type Branches = BTreeMap<String, String>;

/// Chooses the builds of a change. `branches` are those of its toolchain, and nothing for a repo that needs none.
pub fn choose(config: &Config, asked: &Asked, branches: &Branches) -> Chosen {
    let Ok(repo) = asked.repo.parse::<RepoName>() else { return Chosen::default() };
    let of_repo = config.builders_for(&repo).map(AsRef::as_ref);
    let terms = asked.terms.as_deref().map(|text| terms::read(config, of_repo, text)).unwrap_or_default();
    let Terms { builders, missing, unknown } = terms;
    let mut chosen =
        Chosen { said: Said { builders, missing, unknown, own_rules: false }, ..Chosen::default() };
    match config.toolchain_of(&asked.repo) {
        None => one(config, &repo, asked, None, &mut chosen),
        Some(toolchain) => {
            let names: Vec<String> = branches.keys().cloned().collect();
            for against in toolchain_pairs(config, &repo, &asked.branch, &names) {
                let Some(commit) = branches.get(&against) else { continue };
                let with = With { toolchain: &toolchain.name, branch: &against, commit };
                one(config, &repo, asked, Some(with), &mut chosen);
            }
        }
    }
    if let Some(blocked) = config.project(&asked.repo).and_then(|own| own.blocked.clone()) {
        let all = format!("all of {repo}");
        chosen.left_out.push(LeftOut { builder: all, against: None, reason: blocked });
    }
    chosen.in_order();
    chosen
}

/// Chooses the builds of a change by the rules that it brings, and leaves out who is given secrets by those in effect.
pub fn choose_by_own(config: &Config, own: &Config, asked: &Asked, branches: &Branches) -> Chosen {
    let mut chosen = choose(own, asked, branches);
    chosen.said.own_rules = true;
    let mut held = Vec::new();
    chosen.cells.retain(|cell| match own_rules::held_back(config, own, &cell.repo, &cell.builder) {
        Some(reason) => {
            let builder = match resolve::builder(own, &cell.repo, &cell.builder) {
                Ok(builder) => builder.full_name(),
                Err(_) => cell.builder.clone(),
            };
            held.push(LeftOut { builder, against: cell.toolchain_branch.clone(), reason: reason.to_owned() });
            false
        }
        None => true,
    });
    chosen.left_out.extend(held);
    chosen.in_order();
    chosen
}

/// What it is built against.
#[derive(Clone, Copy)]
struct With<'a> {
    toolchain: &'a RepoName,
    branch: &'a str,
    commit: &'a str,
}

/// Against one branch.
fn one(config: &Config, repo: &RepoName, asked: &Asked, with: Option<With<'_>>, chosen: &mut Chosen) {
    let against = with.map(|with| with.branch);
    let usual = plan(config, repo, &asked.branch, against, Class::Try);
    // Whoever is asked for by name builds what it would build once it has landed.
    let landed = plan(config, repo, &asked.branch, against, Class::PostSubmit);
    let wanted: BTreeSet<&str> = chosen.said.builders.iter().map(String::as_str).collect();
    let by_name = landed.builds.into_iter().filter(|one| wanted.contains(one.builder.full_name().as_str()));
    let mut taken = BTreeSet::new();
    for planned in usual.builds.into_iter().chain(by_name) {
        let name = planned.builder.full_name();
        if !taken.insert(name.clone()) {
            continue;
        }
        match fits(config, &planned) {
            Ok(()) => chosen.cells.push(Cell {
                builder: planned.builder.name.to_string(),
                repo: repo.to_string(),
                branch: asked.branch.clone(),
                toolchain_branch: against.map(str::to_owned),
                revision: match with {
                    None => format!("{repo}@{}", asked.tree()),
                    Some(with) => format!("{repo}@{}+{}@{}", asked.tree(), with.toolchain, with.commit),
                },
            }),
            Err(reason) => {
                let against = against.map(str::to_owned);
                chosen.left_out.push(LeftOut { builder: name, against, reason });
            }
        }
    }
    for left in usual.left_out {
        let builder = left.builder.full_name();
        if !taken.contains(&builder) {
            let against = against.map(str::to_owned);
            chosen.left_out.push(LeftOut { builder, against, reason: left.reason });
        }
    }
}

/// Whether a builder may have what nobody has reviewed.
pub(super) fn fits(config: &Config, planned: &Planned) -> Result<(), String> {
    if !planned.builder.secrets.is_empty() {
        return Err(own_rules::SECRETS.to_owned());
    }
    if takes_untrusted(config, &planned.hosts).is_empty() {
        let hosts: Vec<_> = planned.hosts.iter().map(ToString::to_string).collect();
        return Err(format!(
            "no host of it takes what nobody has reviewed: trust of {} is not \"untrusted-ok\"",
            hosts.join(", ")
        ));
    }
    Ok(())
}

/// Of these hosts the ones that take what nobody has reviewed.
pub(crate) fn takes_untrusted<'h>(config: &Config, hosts: &'h [HostName]) -> Vec<&'h HostName> {
    let takes =
        |host: &&HostName| config.host(host.as_str()).is_some_and(|host| host.trust == Trust::UntrustedOk);
    hosts.iter().filter(takes).collect()
}

#[cfg(test)]
pub(super) mod tests {
    use buildenv::Source;

    use super::super::asked::Review;
    use super::*;

    pub(in super::super) fn config(text: &str) -> Config {
        let sources = [buildenv::embedded("linux", "amd64"), Source::server("server.toml", text)];
        buildenv::load(&sources, &|_| Err(std::io::ErrorKind::NotFound.into()), None)
            .unwrap_or_else(|error| panic!("{error}"))
    }

    pub(in super::super) fn asked(repo: &str, branch: &str, terms: Option<&str>) -> Asked {
        Asked {
            review: Review { project: format!("g/{repo}"), number: 7 },
            repo: repo.to_owned(),
            branch: branch.to_owned(),
            change_id: "I7".to_owned(),
            patch_set: 2,
            commit: "7".repeat(40),
            title: "A change".to_owned(),
            asked_by: "Ann (1)".to_owned(),
            terms: terms.map(str::to_owned),
            subject: Default::default(),
        }
    }

    pub(in super::super) const FLOCK: &str = r#"
        [host.own]
        pool = "reverse"
        [host.open]
        pool = "reverse"
        trust = "untrusted-ok"
        [repo.go]
        url = "go"
        branches = ["master", "release-branch.*"]
        [repo.net]
        url = "net"
        needs = ["go"]
        pairs = [{ branch = "master", with = ["master", "release-branch.*"], newest = 1 }]
        [recipe.go]
        toolchain = "go"
        run = "true"
        [recipe.go.dependents]
        run = "true"
        [builder.usual]
        host = "open"
        recipe = "go"
        try = true
        [builder.slow]
        host = "open"
        recipe = "go"
        [builder.ours]
        host = "own"
        recipe = "go"
        try = true
    "#;

    fn shown(chosen: &Chosen) -> Vec<String> {
        let one = |cell: &Cell| {
            format!("{} {} {}", cell.builder, cell.toolchain_branch.as_deref().unwrap_or("-"), cell.revision)
        };
        chosen.cells.iter().map(one).collect()
    }

    #[test]
    fn a_change_gets_who_tries_and_may() {
        let config = config(FLOCK);
        let chosen = choose(&config, &asked("go", "master", None), &Branches::new());
        let seven = "7".repeat(40);
        assert_eq!(shown(&chosen), [format!("usual - go@{seven}")]);
        let left: Vec<_> = chosen.left_out.iter().map(|left| (&*left.builder, &*left.reason)).collect();
        assert_eq!(left[0].0, "ours");
        assert!(left[0].1.contains("trust of own is not \"untrusted-ok\""), "{left:?}");
        assert_eq!(left[1].0, "slow");
        assert!(left[1].1.starts_with("try is false"), "{left:?}");
        let chosen =
            choose(&config, &asked("go", "release-branch.1", Some("slow who ours")), &Branches::new());
        assert_eq!(shown(&chosen), [format!("slow - go@{seven}"), format!("usual - go@{seven}")]);
        assert_eq!(
            (&*chosen.said.builders, &*chosen.said.unknown),
            (&["ours".into(), "slow".into()][..], &["who".into()][..])
        );
        assert!(choose(&config, &asked("none", "master", None), &Branches::new()).cells.is_empty());
    }

    #[test]
    fn a_change_s_own_rules_are_followed_without_secrets() {
        let config = |go: &str, secret: &str| {
            let text = format!("{FLOCK}{secret}");
            let sources = [
                buildenv::embedded("linux", "amd64"),
                Source::server("server.toml", text),
                Source::project("go".parse().unwrap(), "bellwether.toml", go),
            ];
            buildenv::load(&sources, &|_| Err(std::io::ErrorKind::NotFound.into()), None)
                .unwrap_or_else(|error| panic!("{error}"))
        };
        let builder = |name: &str, host: &str| {
            format!("[builder.{name}]\nhost = \"{host}\"\nrecipe = \"p\"\ntry = true\n")
        };
        let recipe = "[recipe.p]\nrun = \"true\"\n";
        let secret = "[secret.s]\nenv = \"S\"\nbuilders = [\"go:given\"]\n";
        // By the rules in effect one is given a secret, and builds no changes.
        let before = format!("[builder.given]\nhost = \"open\"\nrecipe = \"p\"\n{recipe}");
        let before = config(&before, secret);
        let text = builder("given", "open") + &builder("new", "open") + &builder("inner", "own") + recipe;
        let own = config(&text, "");
        let seven = asked("go", "master", None);
        let chosen = choose_by_own(&before, &own, &seven, &Branches::new());
        let names: Vec<_> = chosen.cells.iter().map(|cell| cell.builder.as_str()).collect();
        assert_eq!(names, ["new", "usual"]);
        assert!(chosen.said.own_rules);
        let why = |builder: &str| {
            let left = chosen.left_out.iter().find(|left| left.builder == builder);
            left.map(|left| left.reason.as_str()).unwrap_or_default()
        };
        assert_eq!(why("go:given"), own_rules::SECRETS_LANDED);
        assert!(why("go:inner").contains("trust of own"), "{chosen:?}");
        // The other way about: the change's own rules give it one.
        let given = config(&(builder("given", "own") + recipe), secret);
        let chosen = choose_by_own(&own, &given, &seven, &Branches::new());
        let left = chosen.left_out.iter().find(|left| left.builder == "go:given").unwrap();
        assert_eq!(left.reason, own_rules::SECRETS);
        assert_eq!(own_rules::held_back(&own, &given, "go", "given"), Some(own_rules::SECRETS));
        assert_eq!(own_rules::held_back(&before, &own, "go", "given"), Some(own_rules::SECRETS_LANDED));
        assert_eq!(own_rules::held_back(&own, &own, "go", "given"), None);
    }

    #[test]
    fn what_needs_a_toolchain_gets_each_of_its_branches() {
        let config = config(FLOCK);
        let of = |names: &[(&str, &str)]| -> Branches {
            names.iter().map(|(name, digit)| ((*name).to_owned(), digit.repeat(40))).collect()
        };
        let heads = of(&[("master", "a"), ("release-branch.1.2", "b"), ("release-branch.1.3", "c")]);
        let chosen = choose(&config, &asked("net", "master", None), &heads);
        let net = format!("net@{}", "7".repeat(40));
        assert_eq!(
            shown(&chosen),
            [
                format!("usual master {net}+go@{}", "a".repeat(40)),
                format!("usual release-branch.1.3 {net}+go@{}", "c".repeat(40)),
            ]
        );
        assert!(choose(&config, &asked("net", "master", None), &Branches::new()).cells.is_empty());
    }
}
