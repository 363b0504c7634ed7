//! What the branches get that a configuration names by itself or somebody asks for, and how two configurations differ
//! in that. Nobody is asked which branches there are: what can't be known so is said in a note.

use std::collections::{BTreeMap, BTreeSet};

use crate::config::Config;
use crate::model::{Builder, Class, Repo};
use crate::name::RepoName;
use crate::pattern::Pattern;
use crate::plan::{LeftOut, Plan, plan, toolchain_pairs};

/// What is to be planned.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Repositories, each with a branch or with those that the configuration names; none asks for all.
    pub repos: Vec<(RepoName, Option<String>)>,
    /// The branch of all that have none of their own.
    pub branch: Option<String>,
    /// Branches that toolchains have; none leaves it to the configuration.
    pub toolchain_branches: Vec<String>,
    /// Why there are builds.
    pub class: Class,
}

/// A branch of a repository against one of its toolchain, and what it gets.
#[derive(Debug, Clone)]
pub struct Cell {
    /// The repository.
    pub repo: RepoName,
    /// Its branch.
    pub branch: String,
    /// The toolchain's branch, for a repository that needs one.
    pub toolchain_branch: Option<String>,
    /// Its builds, and who builds nothing.
    pub plan: Plan,
    /// What the files alone do not tell.
    pub notes: Vec<String>,
}

/// Plans the branches that are asked for, by repository and branch.
#[must_use]
pub fn cells(config: &Config, asked: &Asked) -> Vec<Cell> {
    let all: Vec<_> = config.repos().iter().map(|repo| (repo.name.clone(), None)).collect();
    let mut cells = Vec::new();
    for (name, branch) in if asked.repos.is_empty() { &all } else { &asked.repos } {
        let Some(repo) = config.repo(name.as_str()) else { continue };
        let (branches, notes) = match branch.as_ref().or(asked.branch.as_ref()) {
            Some(branch) => (vec![branch.clone()], given(repo, branch)),
            None => named(repo),
        };
        for branch in branches {
            cells.extend(of_branch(config, repo, &branch, &notes, asked));
        }
    }
    cells
}

fn of_branch(config: &Config, repo: &Repo, branch: &str, notes: &[String], asked: &Asked) -> Vec<Cell> {
    let cell = |toolchain_branch: Option<String>, plan, more: &[String]| {
        let notes = [notes, more].concat();
        Cell { repo: repo.name.clone(), branch: branch.to_owned(), toolchain_branch, plan, notes }
    };
    let nobody = |reason: &str| {
        let left = |builder: &std::sync::Arc<Builder>| LeftOut {
            builder: builder.clone(),
            reason: reason.to_owned(),
        };
        Plan { builds: Vec::new(), left_out: config.builders_for(&repo.name).map(left).collect() }
    };
    if let Some(reason) = not_built(repo, branch) {
        return vec![cell(None, nobody(&reason), &[])];
    }
    let Some(toolchain) = config.toolchain_of(repo.name.as_str()) else {
        return vec![cell(None, plan(config, &repo.name, branch, None, asked.class), &[])];
    };
    let (paired, notes) = pairs(config, repo, toolchain, branch, &asked.toolchain_branches);
    if paired.is_empty() {
        let reason = format!("{branch} is built against none of the given branches of {}", toolchain.name);
        return vec![cell(None, nobody(&reason), &notes)];
    }
    let one = |against: String| {
        let plan = plan(config, &repo.name, branch, Some(&against), asked.class);
        cell(Some(against), plan, &notes)
    };
    paired.into_iter().map(one).collect()
}

/// Why a repository builds a branch not at all.
fn not_built(repo: &Repo, branch: &str) -> Option<String> {
    let said = |key| repo.facts.said(key);
    if !repo.branches.is_empty() {
        let no = || format!("branches of repo {} does not match {branch} ({})", repo.name, said("branches"));
        return (!repo.branches.matches(branch)).then(no);
    }
    let default = repo.default_branch.as_deref().filter(|default| *default != branch)?;
    Some(format!("only the default branch {default} is built ({})", said("default_branch")))
}

/// What is not known of a branch that was given.
fn given(repo: &Repo, branch: &str) -> Vec<String> {
    let open = repo.branches.is_empty() && repo.default_branch.is_none();
    let note = || format!("only the default branch of {} is built: {branch}, if it is that", repo.name);
    open.then(note).into_iter().collect()
}

/// The branches of a repository that its configuration names.
fn named(repo: &Repo) -> (Vec<String>, Vec<String>) {
    let default = default_of(repo);
    if repo.branches.is_empty() {
        let note = format!("the default branch of {} is taken to be {default}", repo.name);
        let notes = repo.default_branch.is_none().then_some(note);
        return (vec![default], notes.into_iter().collect());
    }
    let (literal, open): (Vec<_>, Vec<_>) = repo.branches.with.iter().partition(|p| p.is_literal());
    let mut branches: Vec<String> = literal.iter().map(|p| p.as_str().to_owned()).collect();
    branches.retain(|branch| repo.branches.matches(branch));
    let mut notes = Vec::new();
    if branches.is_empty() {
        let what = format!("branches of repo {} names patterns only", repo.name);
        notes.push(format!("{what} ({}): {default} stands for them", repo.facts.said("branches")));
        branches.push(default);
    } else if !open.is_empty() {
        let open: Vec<_> = open.iter().map(|p| p.as_str()).collect();
        notes.push(format!("each other branch that matches {} gets the like: name one", open.join(", ")));
    }
    (branches, notes)
}

/// The default branch, as far as the configuration tells.
fn default_of(repo: &Repo) -> String {
    let has = |name: &&str| repo.branches.is_empty() || repo.branches.matches(name);
    let usual = ["main", "master"].into_iter().find(has).unwrap_or("main");
    repo.default_branch.clone().unwrap_or_else(|| usual.to_owned())
}

/// The branches of the toolchain that a branch is built against: of those given, else of those named.
fn pairs(
    config: &Config,
    repo: &Repo,
    toolchain: &Repo,
    branch: &str,
    given: &[String],
) -> (Vec<String>, Vec<String>) {
    let pair = repo.pairs.iter().find(|pair| pair.branch.matches(branch));
    if !given.is_empty() {
        let paired = toolchain_pairs(config, &repo.name, branch, given);
        let left: Vec<_> = given.iter().filter(|one| !paired.contains(one)).map(String::as_str).collect();
        let by = pair.map_or_else(|| "no `pairs`".to_owned(), |pair| pair.at.to_string());
        let note = format!("not built against {} of {} ({by})", left.join(", "), toolchain.name);
        return (paired, (!left.is_empty()).then_some(note).into_iter().collect());
    }
    let default = default_of(toolchain);
    let literals = toolchain.branches.with.iter().filter(|p| p.is_literal()).map(|p| p.as_str().to_owned());
    let mut known: Vec<String> = literals.filter(|branch| toolchain.branches.matches(branch)).collect();
    known.extend(toolchain.default_branch.clone());
    let Some(pair) = pair else {
        if known.iter().any(|one| one == branch) {
            return (vec![branch.to_owned()], Vec::new());
        }
        let what =
            format!("the branch {branch} of {} if it has one, else for its default branch", toolchain.name);
        let note = format!("{default} stands for {what}: --toolchain-branch tells");
        return (vec![default], vec![note]);
    };
    let filled = pair.filled(branch);
    let literal =
        |text: &&String| !text.starts_with('!') && text.parse::<Pattern>().is_ok_and(|p| p.is_literal());
    let (literals, patterns): (Vec<_>, Vec<_>) = filled.iter().partition(literal);
    known.extend(literals.into_iter().cloned());
    known.sort();
    known.dedup();
    let paired = toolchain_pairs(config, &repo.name, branch, &known);
    let patterns: Vec<_> =
        patterns.iter().filter(|text| !text.starts_with('!')).map(|t| t.as_str()).collect();
    let newest =
        pair.newest.map_or_else(String::new, |n| format!(", the newest {n} of those with a version"));
    let open = format!("each branch of {} that matches {}{newest}", toolchain.name, patterns.join(", "));
    match (paired.is_empty(), patterns.is_empty()) {
        (false, true) => (paired, Vec::new()),
        (false, false) => {
            (paired, vec![format!("and against {open} ({}): --toolchain-branch names them", pair.at)])
        }
        (true, _) => {
            let note = format!("against {open} ({}): the default branch stands for them", pair.at);
            (vec![default], vec![note])
        }
    }
}

/// One difference between the plans of two configurations.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Change {
    /// The repository.
    pub repo: RepoName,
    /// The branch.
    pub branch: String,
    /// The toolchain's branch.
    pub toolchain_branch: Option<String>,
    /// The builder.
    pub builder: String,
    /// What becomes of it.
    pub kind: ChangeKind,
    /// Why it no longer builds, or what is other; empty for what builds now.
    pub detail: String,
}

/// What becomes of a builder on a branch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeKind {
    /// It builds now.
    Added,
    /// It builds no longer.
    Removed,
    /// It builds otherwise.
    Changed,
}

impl std::fmt::Display for Change {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let sign = match self.kind {
            ChangeKind::Added => '+',
            ChangeKind::Removed => '-',
            ChangeKind::Changed => '~',
        };
        write!(f, "{sign} {} {} {}", self.repo, self.branch, self.builder)?;
        self.toolchain_branch.iter().try_for_each(|branch| write!(f, " with toolchain {branch}"))?;
        if self.detail.is_empty() { Ok(()) } else { write!(f, ": {}", self.detail) }
    }
}

/// Repository, branch, toolchain's branch, builder.
type Key = (RepoName, String, Option<String>, String);
/// The digest, and the hosts.
type Build = (String, Vec<String>);

/// Lists what the branches get otherwise under another configuration.
#[must_use]
pub fn diff_cells(old: &Config, new: &Config, asked: &Asked) -> Vec<Change> {
    let (before, after) = (builds(old, &cells(old, asked)), cells(new, asked));
    let reasons = |key: &Key| reason(new, &after, key);
    let after = builds(new, &after);
    let mut changes = Vec::new();
    for key in before.keys().chain(after.keys()).collect::<BTreeSet<_>>() {
        let (kind, detail) = match (before.get(key), after.get(key)) {
            (None, _) => (ChangeKind::Added, String::new()),
            (Some(_), None) => (ChangeKind::Removed, reasons(key)),
            (Some(a), Some(b)) if a.0 != b.0 => (ChangeKind::Changed, "recipe or builder changed".to_owned()),
            (Some(a), Some(b)) if a.1 != b.1 => {
                (ChangeKind::Changed, format!("on {} instead of {}", b.1.join(", "), a.1.join(", ")))
            }
            _ => continue,
        };
        let (repo, branch, toolchain_branch, builder) = key.clone();
        changes.push(Change { repo, branch, toolchain_branch, builder, kind, detail });
    }
    changes
}

fn builds(config: &Config, cells: &[Cell]) -> BTreeMap<Key, Build> {
    let mut builds = BTreeMap::new();
    for cell in cells {
        for planned in &cell.plan.builds {
            let hosts = planned.hosts.iter().map(ToString::to_string).collect();
            let digest = config.digest_for(&planned.builder, &planned.recipe);
            let (repo, branch) = (cell.repo.clone(), cell.branch.clone());
            let key = (repo, branch, cell.toolchain_branch.clone(), planned.builder.full_name());
            builds.insert(key, (digest, hosts));
        }
    }
    builds
}

/// Why a builder no longer builds something.
fn reason(new: &Config, cells: &[Cell], (repo, branch, against, builder): &Key) -> String {
    let Some(known) = new.repo(repo.as_str()) else { return "the repository is gone".to_owned() };
    if !new.builders_for(repo).any(|b| b.full_name() == *builder) {
        return "the builder is gone".to_owned();
    }
    let of_branch = || cells.iter().filter(|cell| cell.repo == *repo && cell.branch == *branch);
    let same = of_branch().find(|cell| cell.toolchain_branch == *against);
    let none = of_branch().find(|cell| cell.toolchain_branch.is_none());
    let left =
        same.or(none).and_then(|cell| cell.plan.left_out.iter().find(|l| l.builder.full_name() == *builder));
    match left {
        Some(left) => left.reason.clone(),
        None => not_built(known, branch).unwrap_or_else(|| "the branches are no longer paired".to_owned()),
    }
}
