//! Builders.

use std::collections::BTreeMap;

use crate::facts::Facts;
use crate::fields::Fields;
use crate::model::{Class, Limits, Rule, TryPolicy};
use crate::name::{BuilderName, HostName, LimitName, RecipeName, RepoName, SecretName};
use crate::pattern::Patterns;
use crate::quantity::Version;
use crate::revision::Commit;
use crate::source::Location;
use crate::tree::Node;

/// A commit that must be in the history of what is built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ancestor {
    /// The repository; `None` is the one being built.
    pub repo: Option<RepoName>,
    /// The commit.
    pub commit: Commit,
}

/// A name, and how to build on a host.
#[derive(Debug, Clone)]
pub struct Builder {
    /// Its name, unique among the server's builders and those of one repository.
    pub name: BuilderName,
    /// The repository whose project file it is from; `None` for the server's.
    pub scope: Option<RepoName>,
    /// The host it names, if it names one.
    pub host: Option<HostName>,
    /// Labels that a host must have.
    pub needs: BTreeMap<String, String>,
    /// Hosts it may run on, by `host` and `needs`; never empty.
    pub hosts: Vec<HostName>,
    /// What is run.
    pub recipe: RecipeName,
    /// Variables, in order, after the host's.
    pub env: Vec<(String, String)>,
    /// Repositories it builds.
    pub repos: Patterns,
    /// Repositories it does not build.
    pub exclude_repos: Patterns,
    /// Branches it builds.
    pub branches: Patterns,
    /// Toolchain branches it builds against.
    pub toolchain_branches: Patterns,
    /// Rules; the first that matches decides.
    pub policy: Vec<Rule>,
    /// Whether it builds changes under review (key `try`).
    pub try_: TryPolicy,
    /// Whether it builds what is submitted.
    pub post_submit: bool,
    /// Release branches below this version are left out.
    pub minimum_version: Option<Version>,
    /// Commits without which it is skipped.
    pub required_ancestors: Vec<Ancestor>,
    /// Issues that explain its failures; never 0.
    pub known_issues: Vec<u32>,
    /// At most so many of its builds at once.
    pub max_at_once: Option<u32>,
    /// Named limits that it shares.
    pub limit: Vec<LimitName>,
    /// How many slots of its limits and quotas a build takes.
    pub width: u32,
    /// More machines that its tests are spread over.
    pub helpers: u32,
    /// The same in try runs.
    pub try_helpers: u32,
    /// Which of the recipe's listed tests run.
    pub tests: Patterns,
    /// Which of those run in try runs.
    pub try_tests: Patterns,
    /// Tests are compiled, not run.
    pub compile_only: bool,
    /// The recipe ends after its build step.
    pub stop_after_build: bool,
    /// Makes and uses no snapshot.
    pub skip_snapshot: bool,
    /// Its network is unreliable.
    pub flaky_net: bool,
    /// Its machines reach modules only through the server's proxy.
    pub private_proxy: bool,
    /// Its results are benchmarks.
    pub bench: bool,
    /// Time limits are multiplied by it.
    pub timeout_scale: f64,
    /// What its jobs may use.
    pub limits: Limits,
    /// Higher goes first within a class.
    pub priority: i32,
    /// Secrets that name it, in this environment.
    pub secrets: Vec<SecretName>,
    /// Short names for people.
    pub aliases: Vec<BuilderName>,
    /// Who looks after it.
    pub owners: Vec<String>,
    /// Whether overview pages leave it off.
    pub hidden: bool,
    /// Free text for people.
    pub notes: String,
    /// Where it was said.
    pub at: Location,
    pub(crate) facts: Facts,
}

impl Builder {
    pub(crate) fn read(
        name: BuilderName,
        scope: Option<RepoName>,
        f: Fields<'_>,
        at: Location,
        facts: Facts,
        locate: &dyn Fn(&Node) -> Location,
    ) -> Option<Self> {
        let ancestor = |(_, f): (&Node, Fields<'_>)| {
            Some(Ancestor { repo: f.name("repo"), commit: f.text("commit")?.parse().ok()? })
        };
        let issues = f.node("known_issues").map_or(&[][..], Node::many);
        let issue = |n: &Node| n.show().parse().ok();
        let helpers = f.int("helpers").unwrap_or(0);
        Some(Self {
            host: f.name("host"),
            needs: f.labels("needs"),
            hosts: Vec::new(),
            recipe: f.name("recipe")?,
            env: f.vars("env"),
            repos: f.patterns("repos"),
            exclude_repos: f.patterns("exclude_repos"),
            branches: f.patterns("branches"),
            toolchain_branches: f.patterns("toolchain_branches"),
            policy: Rule::read_all(f, "policy", locate),
            try_: TryPolicy::read(f, "try"),
            post_submit: f.bool("post_submit").unwrap_or(true),
            minimum_version: f.version("minimum_version"),
            required_ancestors: f.tables("required_ancestors").into_iter().filter_map(ancestor).collect(),
            known_issues: issues.iter().filter_map(issue).collect(),
            max_at_once: f.limit("max_at_once"),
            limit: f.names("limit"),
            width: f.int("width").unwrap_or(1),
            helpers,
            try_helpers: f.int("try_helpers").unwrap_or(helpers),
            tests: f.patterns("tests"),
            try_tests: f.patterns("try_tests"),
            compile_only: f.flag("compile_only"),
            stop_after_build: f.flag("stop_after_build"),
            skip_snapshot: f.flag("skip_snapshot"),
            flaky_net: f.flag("flaky_net"),
            private_proxy: f.flag("private_proxy"),
            bench: f.flag("bench"),
            timeout_scale: f.number("timeout_scale").unwrap_or(1.0),
            limits: Limits::read(f.table("limits")),
            priority: f.int("priority").unwrap_or(0),
            secrets: Vec::new(),
            aliases: f.names("aliases"),
            owners: f.texts("owners"),
            hidden: f.flag("hidden"),
            notes: f.owned("notes").unwrap_or_default(),
            name,
            scope,
            at,
            facts,
        })
    }

    /// Tells whether one of the recipe's listed tests runs.
    #[must_use]
    pub fn runs_test(&self, test: &str, class: Class) -> bool {
        self.tests.matches(test) && (class == Class::PostSubmit || self.try_tests.matches(test))
    }

    /// Gives the name that tells it from all others: `NAME`, or `REPO:NAME` if it is from a project file.
    #[must_use]
    pub fn full_name(&self) -> String {
        match &self.scope {
            Some(repo) => format!("{repo}:{}", self.name),
            None => self.name.to_string(),
        }
    }
}
