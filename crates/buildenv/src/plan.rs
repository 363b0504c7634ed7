//! Which builders build a commit or a change, and why each other one does not.

use std::sync::Arc;

use crate::config::Config;
use crate::model::Subject;
use crate::model::{Builder, Class, Part, Recipe, Repo};
use crate::name::{HostName, RepoName};
use crate::quantity::Version;

/// A build that is to be made.
#[derive(Debug, Clone)]
pub struct Planned {
    /// Who builds.
    pub builder: Arc<Builder>,
    /// Hosts it may run on; never empty.
    pub hosts: Vec<HostName>,
    /// What is run.
    pub recipe: Arc<Recipe>,
    /// Which half of the recipe.
    pub part: Part,
    /// Why.
    pub class: Class,
    /// The repository it is built against, if the repository needs one. Part of the revision.
    pub toolchain: Option<RepoName>,
    /// The branch of that repository.
    pub toolchain_branch: Option<String>,
}

/// A builder that does not build, and why.
#[derive(Debug, Clone)]
pub struct LeftOut {
    /// Who does not build.
    pub builder: Arc<Builder>,
    /// Why: the key and the file and line that decided.
    pub reason: String,
}

/// What a commit or change gets. Every builder that could build the repository is in exactly one of the lists.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// The builds, by the builder's name.
    pub builds: Vec<Planned>,
    /// The other builders, by name.
    pub left_out: Vec<LeftOut>,
}

/// Plans the builds of a branch of a repository against a branch of its toolchain (`None` for a repository that
/// needs nothing). Builders of other repositories' project files are in neither list. Whether the branch is one
/// that the repository builds at all is [`Repo::builds_branch`]'s matter.
#[must_use]
pub fn plan(
    config: &Config,
    repo: &RepoName,
    branch: &str,
    toolchain_branch: Option<&str>,
    class: Class,
) -> Plan {
    let mut plan = Plan::default();
    let Some(known) = config.repo(repo.as_str()) else {
        return plan;
    };
    let case = Case::new(config, known, branch, toolchain_branch, class);
    for builder in config.builders_for(repo) {
        match case.decide(builder) {
            Ok(planned) => plan.builds.push(planned),
            Err(reason) => plan.left_out.push(LeftOut { builder: builder.clone(), reason }),
        }
    }
    plan
}

/// What is planned for.
struct Case<'a> {
    config: &'a Config,
    repo: &'a Repo,
    branch: &'a str,
    branch_version: Option<Version>,
    toolchain: Option<&'a Repo>,
    /// The toolchain's branch; of a repository that needs nothing its own.
    toolchain_branch: Option<&'a str>,
    toolchain_version: Option<Version>,
    class: Class,
}

impl<'a> Case<'a> {
    fn new(
        config: &'a Config,
        repo: &'a Repo,
        branch: &'a str,
        toolchain_branch: Option<&'a str>,
        class: Class,
    ) -> Self {
        let toolchain = config.toolchain_of(repo.name.as_str());
        let toolchain_branch = if toolchain.is_some() { toolchain_branch } else { Some(branch) };
        let versioned = |repo: &Repo, branch: &str| repo.version_of(branch);
        Self {
            branch_version: versioned(repo, branch),
            toolchain_version: toolchain_branch.and_then(|b| versioned(toolchain.unwrap_or(repo), b)),
            config,
            repo,
            branch,
            toolchain,
            toolchain_branch,
            class,
        }
    }

    fn subject(&self) -> Subject<'_> {
        Subject {
            repo: self.repo.name.as_str(),
            branch: self.branch,
            branch_version: self.branch_version.as_ref(),
            toolchain_branch: self.toolchain_branch.unwrap_or(""),
            toolchain_version: self.toolchain_version.as_ref(),
        }
    }

    fn decide(&self, builder: &Arc<Builder>) -> Result<Planned, String> {
        let said = |key: &str| builder.facts.said(key);
        self.in_environment(builder)?;
        let (recipe, part) = self.recipe(builder)?;
        if let (Some(toolchain), None) = (self.toolchain, self.toolchain_branch) {
            return Err(format!(
                "{} is built against {}, of which no branch is given",
                self.repo.name, toolchain.name
            ));
        }
        let (repo, branch) = (self.repo.name.as_str(), self.branch);
        if !builder.repos.matches(repo) {
            return Err(format!("repos does not name {repo} ({})", said("repos")));
        }
        if !builder.exclude_repos.is_empty() && builder.exclude_repos.matches(repo) {
            return Err(format!("exclude_repos names {repo} ({})", said("exclude_repos")));
        }
        if !builder.branches.matches(branch) {
            return Err(format!("branches does not match {branch} ({})", said("branches")));
        }
        let against = self.toolchain_branch.unwrap_or("");
        if !builder.toolchain_branches.matches(against) {
            return Err(format!(
                "toolchain_branches does not match {against} ({})",
                said("toolchain_branches")
            ));
        }
        self.versions(builder)?;
        self.policies(builder)?;
        if self.class == Class::PostSubmit && !builder.post_submit {
            return Err(format!("post_submit is false ({})", said("post_submit")));
        }
        if self.class == Class::Try && !builder.try_.holds(self.subject()) {
            let what = if builder.try_.ever() { "no condition of try holds" } else { "try is false" };
            return Err(format!("{what} ({})", said("try")));
        }
        Ok(Planned {
            builder: builder.clone(),
            hosts: builder.hosts.clone(),
            recipe,
            part,
            class: self.class,
            toolchain: self.toolchain.map(|t| t.name.clone()),
            toolchain_branch: self.toolchain.and(self.toolchain_branch).map(Into::into),
        })
    }

    fn in_environment(&self, builder: &Builder) -> Result<(), String> {
        let environment = self.config.environment();
        let pool = |h: &HostName| self.config.host(h.as_str()).map(|h| h.pool.as_str());
        let limited = !environment.builders.is_empty() || !environment.builders_on.is_empty();
        let named = !environment.builders.is_empty() && environment.builders.matches(&builder.full_name());
        let pooled =
            builder.hosts.iter().filter_map(pool).any(|p| environment.builders_on.iter().any(|o| o == p));
        if !limited || named || pooled {
            return Ok(());
        }
        let key = if environment.builders.is_empty() { "builders_on" } else { "builders" };
        Err(format!("environment.{}.{key} leaves it out ({})", environment.name, environment.facts.said(key)))
    }

    fn recipe(&self, builder: &Builder) -> Result<(Arc<Recipe>, Part), String> {
        let missing = || format!("no recipe {} ({})", builder.recipe, builder.facts.said("recipe"));
        let recipe = self.config.recipe_of(builder).ok_or_else(missing)?;
        let Some(toolchain) = &recipe.toolchain else {
            return Ok((recipe.clone(), Part::Main));
        };
        if self.repo.name == *toolchain {
            return Ok((recipe.clone(), Part::Main));
        }
        let at = recipe.facts.said("toolchain");
        if self.toolchain.is_none_or(|t| t.name != *toolchain) {
            let what = format!("recipe {} serves {toolchain} and what needs it first", recipe.name);
            return Err(format!("{what}, and {} does not (toolchain, {at})", self.repo.name));
        }
        if recipe.dependents.is_none() {
            return Err(format!("recipe {} has no dependents ({})", recipe.name, recipe.at));
        }
        Ok((recipe.clone(), Part::Dependents))
    }

    fn versions(&self, builder: &Builder) -> Result<(), String> {
        let Some(minimum) = &builder.minimum_version else { return Ok(()) };
        let at = builder.facts.said("minimum_version");
        let old = |version: &Option<Version>| version.as_ref().is_some_and(|v| !v.at_least(minimum));
        if old(&self.branch_version) {
            return Err(format!("minimum_version is {minimum}, the branch is {} ({at})", self.branch));
        }
        match self.toolchain_branch {
            Some(branch) if old(&self.toolchain_version) => {
                Err(format!("minimum_version is {minimum}, the toolchain's branch is {branch} ({at})"))
            }
            _ => Ok(()),
        }
    }

    /// The first matching rule for all builders, and the first of the builder's own: both must accept.
    fn policies(&self, builder: &Builder) -> Result<(), String> {
        let name = builder.full_name();
        let of_all = self.config.rules().iter().filter(|r| r.builder.matches(&name));
        let first = of_all.clone().find(|r| r.when.holds(self.subject()));
        let own = builder.policy.iter().find(|r| r.when.holds(self.subject()));
        for (rule, key) in [(first, "policy"), (own, "policy of the builder")] {
            if let Some(rule) = rule.filter(|r| !r.build.has(self.class)) {
                return Err(format!("{key} says build = {:?} ({})", rule.build.as_str(), rule.at));
            }
        }
        Ok(())
    }
}

/// Chooses the branches of the toolchain that a branch of a repository is built against, in order, out of those
/// that the toolchain has. Empty for a repository that needs nothing.
///
/// The first entry of the repository's `pairs` whose `branch` matches says which: branches without a version in the
/// given order, then those with one, newest first. Without such an entry it is the branch of the same name, else the
/// toolchain's default branch: `default_branch` if given, else `main` or `master`, else the first.
#[must_use]
pub fn toolchain_pairs(
    config: &Config,
    repo: &RepoName,
    branch: &str,
    toolchain_branches: &[String],
) -> Vec<String> {
    let (Some(known), Some(toolchain)) = (config.repo(repo.as_str()), config.toolchain_of(repo.as_str()))
    else {
        return Vec::new();
    };
    let Some(pair) = known.pairs.iter().find(|p| p.branch.matches(branch)) else {
        let has = |name: &str| toolchain_branches.iter().find(|b| *b == name);
        let default = toolchain.default_branch.as_deref().and_then(has);
        let fallback =
            default.or_else(|| has("main")).or_else(|| has("master")).or(toolchain_branches.first());
        return has(branch).or(fallback).cloned().into_iter().collect();
    };
    let filled = pair.filled(branch);
    let patterns = crate::pattern::Patterns::of(filled.iter().map(String::as_str)).unwrap_or_default();
    let matching = toolchain_branches.iter().filter(|b| patterns.matches(b));
    let (mut with, mut without) = (Vec::new(), Vec::new());
    for branch in matching {
        match toolchain.version_of(branch) {
            Some(version) => with.push((version, branch.clone())),
            None => without.push(branch.clone()),
        }
    }
    with.sort_by(|a, b| b.cmp(a));
    let newest = pair.newest.map_or(usize::MAX, |n| n as usize);
    without.into_iter().chain(with.into_iter().take(newest).map(|(_, b)| b)).collect()
}
