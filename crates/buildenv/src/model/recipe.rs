//! Recipes: the steps of a build.

use std::time::Duration;

use crate::facts::Facts;
use crate::fields::Fields;
use crate::model::Limits;
use crate::name::{RecipeName, RepoName};
use crate::pattern::Pattern;
use crate::source::Location;

/// How the output of tests is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Results {
    /// `go tool dist test`.
    Dist,
    /// `go test -json`.
    GoJson,
    /// JUnit files.
    Junit,
    /// The Test Anything Protocol.
    Tap,
    /// Rust's libtest with JSON.
    LibtestJson,
    /// Rust's libtest as it is.
    Libtest,
    /// pytest for people.
    Pytest,
    /// Not at all: the exit status is the result.
    #[default]
    ExitStatus,
}

impl Results {
    fn of(text: Option<&str>) -> Self {
        match text {
            Some("dist") => Self::Dist,
            Some("go-json") => Self::GoJson,
            Some("junit") => Self::Junit,
            Some("tap") => Self::Tap,
            Some("libtest-json") => Self::LibtestJson,
            Some("libtest") => Self::Libtest,
            Some("pytest") => Self::Pytest,
            _ => Self::ExitStatus,
        }
    }

    /// Its word in the configuration.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Dist => "dist",
            Self::GoJson => "go-json",
            Self::Junit => "junit",
            Self::Tap => "tap",
            Self::LibtestJson => "libtest-json",
            Self::Libtest => "libtest",
            Self::Pytest => "pytest",
            Self::ExitStatus => "exit-status",
        }
    }
}

/// What a step is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// It builds (key `build`).
    Build,
    /// It lists tests, one a line (key `list`).
    List,
    /// It runs tests (key `run`); `{tests}` stands for some of the listed ones.
    Run,
    /// It is one of the recipe's own steps (key `step`).
    Step,
}

/// When a step runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum StepWhen {
    /// After the steps before went well.
    #[default]
    Success,
    /// After one of them failed.
    Failure,
    /// In both cases.
    Always,
}

/// One command of a recipe.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// Its name in logs and spans: `build`, `list`, `run`, or its own.
    pub name: String,
    /// What it is for.
    pub role: Role,
    /// The command line, run by the machine's shell.
    pub run: String,
    /// Its time limit, before the builder's scale.
    pub timeout: Duration,
    /// Its own variables, after the host's, the recipe's and the builder's.
    pub env: Vec<(String, String)>,
    /// Where it runs, below the tree of the repository.
    pub dir: Option<String>,
    /// When it runs.
    pub when: StepWhen,
    /// Whether the tree is kept as it is after this step.
    pub snapshot: bool,
}

/// What is run for one repository.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Job {
    /// The steps, in order.
    pub steps: Vec<Step>,
    /// Variables of all steps, before the builder's.
    pub env: Vec<(String, String)>,
    /// Whether the tree is kept after one of the steps.
    pub snapshot: bool,
    /// How the output of tests is read.
    pub results: Results,
    /// The JUnit files, as a path pattern below the tree.
    pub junit: Option<String>,
    /// Path patterns of files that are kept.
    pub artifacts: Vec<Pattern>,
    /// How often a failure is tried again.
    pub retries: u32,
    /// Whether the first of the spread tests that fails ends the others.
    pub fail_fast: bool,
    /// The time limit of steps that have none of their own.
    pub timeout: Duration,
    /// What its jobs may use.
    pub limits: Limits,
}

impl Job {
    pub(crate) fn read(f: Fields<'_>) -> Self {
        let timeout = f.duration("timeout").unwrap_or(Duration::from_secs(20 * 60));
        let (dir, snapshot) = (f.owned("dir"), f.flag("snapshot"));
        let roles = [("build", Role::Build), ("list", Role::List), ("run", Role::Run)];
        let short = roles.into_iter().filter_map(|(key, role)| {
            Some(Step {
                name: key.into(),
                role,
                run: f.owned(key)?,
                timeout,
                env: Vec::new(),
                dir: dir.clone(),
                when: StepWhen::Success,
                snapshot: snapshot && role == Role::Build,
            })
        });
        let long = f.tables("step").into_iter().enumerate().map(|(n, (_, s))| Step {
            name: s.owned("name").unwrap_or_else(|| format!("step-{}", n + 1)),
            role: Role::Step,
            run: s.owned("run").unwrap_or_default(),
            timeout: s.duration("timeout").unwrap_or(timeout),
            env: s.vars("env"),
            dir: s.owned("dir").or_else(|| dir.clone()),
            when: match s.text("when") {
                Some("failure") => StepWhen::Failure,
                Some("always") => StepWhen::Always,
                _ => StepWhen::Success,
            },
            snapshot: s.flag("snapshot"),
        });
        let steps: Vec<_> = short.chain(long).collect();
        Self {
            snapshot: steps.iter().any(|s| s.snapshot),
            steps,
            env: f.vars("env"),
            results: Results::of(f.text("results")),
            junit: f.owned("junit"),
            artifacts: f.globs("artifacts"),
            retries: f.int("retries").unwrap_or(0),
            fail_fast: f.flag("fail_fast"),
            timeout,
            limits: Limits::read(f.table("limits")),
        }
    }

    /// Gives the job as it is where tests are compiled and not run; `None` if it is not known which of its steps test,
    /// or if nothing would be left of it.
    ///
    /// With `results = "dist"` both `dist test` of `list` and `run` get `--compile-only`; with `"go-json"` the
    /// tests' programs are handed to `/bin/true` (`go test -exec`). Of all others `list` and `run` are left out.
    #[must_use]
    pub fn compiled(&self) -> Option<Self> {
        let tests = |role| matches!(role, Role::List | Role::Run);
        let mut steps = Vec::new();
        for step in &self.steps {
            let run = match (self.results, step.role) {
                (_, Role::Step) => return None,
                (_, Role::Build) => step.run.clone(),
                (Results::Dist, _) if step.run.contains("dist test") => {
                    step.run.replace("dist test", "dist test --compile-only")
                }
                (Results::GoJson, Role::Run) => {
                    format!("export GOFLAGS=\"$GOFLAGS -exec=/bin/true\"\n{}", step.run)
                }
                (Results::GoJson, _) => step.run.clone(),
                (_, role) if tests(role) => continue,
                _ => step.run.clone(),
            };
            steps.push(Step { run, ..step.clone() });
        }
        (!steps.is_empty()).then(|| Self { steps, ..self.clone() })
    }

    /// Gives the step of a role, for the short form of recipes.
    #[must_use]
    pub fn step(&self, role: Role) -> Option<&Step> {
        self.steps.iter().find(|s| s.role == role)
    }
}

/// Which half of a recipe a build runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// The recipe itself.
    Main,
    /// What a repository runs that needs the recipe's toolchain, whose tree is built before.
    Dependents,
}

/// The steps of a build.
#[derive(Debug, Clone)]
pub struct Recipe {
    /// Its name.
    pub name: RecipeName,
    /// The repository whose project file it is from; `None` for the server's.
    pub scope: Option<RepoName>,
    /// The repository whose tree others need.
    pub toolchain: Option<RepoName>,
    /// What is run for the toolchain, or for any repository if there is none.
    pub main: Job,
    /// What a repository runs that needs the toolchain.
    pub dependents: Option<Job>,
    /// Where it was said.
    pub at: Location,
    pub(crate) facts: Facts,
}

impl Recipe {
    pub(crate) fn read(
        name: RecipeName,
        scope: Option<RepoName>,
        f: Fields<'_>,
        at: Location,
        facts: Facts,
    ) -> Self {
        let dependents = f.table("dependents").map(Job::read);
        Self { name, scope, toolchain: f.name("toolchain"), main: Job::read(f), dependents, at, facts }
    }

    /// Gives one half of the recipe; the main one where there is no other.
    #[must_use]
    pub fn job(&self, part: Part) -> &Job {
        match part {
            Part::Main => &self.main,
            Part::Dependents => self.dependents.as_ref().unwrap_or(&self.main),
        }
    }
}
