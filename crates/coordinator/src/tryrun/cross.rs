//! Terms that ask for builds of another repo against a change of its toolchain: `TRY=x/tools@builder`. Source: spec/coordinator.md
//! §1.2, §7.7.

use std::collections::BTreeSet;

use buildenv::{Builder, Class, Config, RepoName, plan, toolchain_pairs};

use super::asked::Asked;
use super::chosen::{Cell, Chosen, LeftOut, fits};
use super::landing::Trees;
use super::terms;

/// The most terms of this kind that are heard.
const MOST: usize = 20;

/// What a term asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Cross {
    /// The term.
    word: String,
    /// The repo that is built.
    repo: RepoName,
    /// The builder's name or alias; without one it is all that try the repo's own changes.
    builder: Option<String>,
}

fn read(config: &Config, asked: &Asked) -> Vec<Cross> {
    let mut all: Vec<Cross> = Vec::new();
    for word in asked.terms.as_deref().into_iter().flat_map(terms::words) {
        let (name, builder) = match word.split_once('@') {
            Some((name, builder)) => (name, Some(builder.to_owned())),
            None => (word, None),
        };
        let (name, prefixed) = name.strip_prefix("x/").map_or((name, false), |name| (name, true));
        let Ok(repo) = name.parse::<RepoName>() else { continue };
        let against =
            config.toolchain_of(name).is_some_and(|toolchain| toolchain.name.as_str() == asked.repo);
        if against && (prefixed || builder.is_some()) && !all.iter().any(|one| one.word == word) {
            all.push(Cross { word: word.to_owned(), repo, builder });
        }
    }
    all.truncate(MOST);
    all
}

/// The repos that the terms of a change ask for beside its own.
pub fn further(config: &Config, asked: &Asked) -> Vec<String> {
    let repos: BTreeSet<_> = read(config, asked).into_iter().map(|one| one.repo.to_string()).collect();
    repos.into_iter().collect()
}

/// Adds what they ask for.
pub fn add(config: &Config, asked: &Asked, trees: &Trees, chosen: &mut Chosen) {
    for Cross { word, repo, builder } in read(config, asked) {
        chosen.said.unknown.retain(|known| *known != word);
        let Some((branch, commit)) = trees.further.get(repo.as_str()) else {
            chosen.said.unknown.push(format!("{word} ({repo} has no default branch)"));
            continue;
        };
        let pairs = toolchain_pairs(config, &repo, branch, &trees.own_branches);
        if !pairs.contains(&asked.branch) {
            chosen.said.unknown.push(format!("{word} (it is not built against {})", asked.branch));
            continue;
        }
        // Whoever is asked for by name builds what it would build once the change has landed.
        let class = if builder.is_some() { Class::PostSubmit } else { Class::Try };
        let mut builds = plan(config, &repo, branch, Some(&asked.branch), class).builds;
        builds.retain(|one| builder.as_deref().is_none_or(|name| is_named(&one.builder, name)));
        if builds.is_empty() {
            chosen.said.unknown.push(format!("{word} (no such builder builds {repo})"));
            continue;
        }
        chosen.said.builders.push(word);
        for planned in builds {
            match fits(config, &planned) {
                Ok(()) => chosen.cells.push(Cell {
                    builder: planned.builder.name.to_string(),
                    repo: repo.to_string(),
                    branch: branch.clone(),
                    toolchain_branch: Some(asked.branch.clone()),
                    revision: format!("{repo}@{commit}+{}@{}", asked.repo, asked.tree()),
                }),
                Err(reason) => {
                    let builder = format!("({repo}) {}", planned.builder.full_name());
                    chosen.left_out.push(LeftOut { builder, against: Some(asked.branch.clone()), reason });
                }
            }
        }
    }
    chosen.in_order();
}

fn is_named(builder: &Builder, name: &str) -> bool {
    builder.name.as_str() == name
        || builder.full_name() == name
        || builder.aliases.iter().any(|alias| alias.as_str() == name)
}

#[cfg(test)]
mod tests {
    use super::super::chosen::choose;
    use super::super::chosen::tests::{FLOCK, asked, config};
    use super::*;

    fn chosen(branch: &str, terms: &str) -> Chosen {
        let more = "[repo.far]\nurl = \"far\"\n[builder.arm]\nhost = \"open\"\nrecipe = \"go\"\naliases = [\"arm64\"]\n";
        let config = config(&format!("{FLOCK}{more}"));
        let asked = asked("go", branch, Some(terms));
        assert!(further(&config, &asked).iter().all(|name| name == "net"));
        let net = ("master".to_owned(), "a".repeat(40));
        let trees = Trees {
            own_branches: vec!["master".into(), "release-branch.1.1".into(), "release-branch.1.2".into()],
            further: [("net".to_owned(), net)].into(),
            ..Trees::default()
        };
        let mut chosen = choose(&config, &asked, &Default::default());
        add(&config, &asked, &trees, &mut chosen);
        chosen
    }

    #[test]
    fn a_term_may_ask_for_what_is_built_against_the_change() {
        let of = |chosen: &Chosen| -> Vec<(String, String, String)> {
            let cells = chosen.cells.iter().filter(|cell| cell.repo != "go");
            cells.map(|cell| (cell.builder.clone(), cell.branch.clone(), cell.revision.clone())).collect()
        };
        let revision = format!("net@{}+go@{}", "a".repeat(40), "7".repeat(40));
        let cell = |builder: &str| (builder.to_owned(), "master".to_owned(), revision.clone());
        let usual = chosen("master", "x/net slow");
        assert_eq!(of(&usual), [cell("usual")]);
        assert_eq!((usual.said.builders, usual.said.unknown), (vec!["slow".into(), "x/net".into()], vec![]));
        let named = chosen("release-branch.1.2", "net@arm64, x/net@slow");
        assert_eq!(of(&named), [cell("arm"), cell("slow")]);
        // Nobody is given a change by its words that is not to have it.
        let ours = chosen("master", "net@ours");
        assert!(
            of(&ours).is_empty() && ours.left_out.iter().any(|left| left.builder == "(net) ours"),
            "{ours:?}"
        );
        let said = |branch: &str, terms: &str| chosen(branch, terms).said.unknown;
        assert_eq!(
            said("release-branch.1.1", "x/net"),
            ["x/net (it is not built against release-branch.1.1)"]
        );
        assert_eq!(said("master", "net@who"), ["net@who (no such builder builds net)"]);
        assert_eq!(said("master", "x/far far@slow net x/go"), ["x/far", "far@slow", "net", "x/go"]);
    }
}
