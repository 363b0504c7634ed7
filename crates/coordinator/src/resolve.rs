//! From the configuration to a job: which machines may do it, and what exactly is to be done.

use std::collections::BTreeMap;

use buildenv::{Builder, Config, Host, Part, Role, SourceKind, StepWhen};

use crate::job::{Job, Limits, SecretUse, Source, Step, Trust, When};
use crate::schedule::{Class, Event, Of};

/// Why a cell can't be built as things are configured; becomes `blocked(…)`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ResolveError {
    /// The builder was taken out of the configuration.
    #[error("builder {builder} is not configured for repo {repo}")]
    NoBuilder {
        /// The builder.
        builder: String,
        /// The repo.
        repo: String,
    },
    /// Its recipe was.
    #[error("recipe {recipe} of builder {builder} is not configured")]
    NoRecipe {
        /// The builder.
        builder: String,
        /// The recipe.
        recipe: String,
    },
    /// The revision's text is not one.
    #[error("revision {revision}: {message}")]
    Revision {
        /// The text.
        revision: String,
        /// What is wrong with it.
        message: String,
    },
}

/// The builder of a cell.
///
/// # Errors
/// [`ResolveError::NoBuilder`].
pub fn builder<'c>(config: &'c Config, repo: &str, builder: &str) -> Result<&'c Builder, ResolveError> {
    let missing = || ResolveError::NoBuilder { builder: builder.to_owned(), repo: repo.to_owned() };
    let repo_name = repo.parse().map_err(|_| missing())?;
    let builder_name = builder.parse().map_err(|_| missing())?;
    config.builder(&repo_name, &builder_name).map(AsRef::as_ref).ok_or_else(missing)
}

/// The limits that a build of this builder takes a slot of: its own and those it names.
pub fn limits_of(builder: &Builder) -> Vec<String> {
    let own = builder.max_at_once.map(|_| own_limit(builder));
    let named = builder.limit.iter().map(|limit| limit.to_string());
    own.into_iter().chain(named).chain(["environment".to_owned()]).collect()
}

/// The name of a builder's own limit.
pub fn own_limit(builder: &Builder) -> String {
    format!("max_at_once of {}", builder.full_name())
}

/// All limits of a configuration, with how many may hold each.
pub fn all_limits(config: &Config) -> Vec<(String, u32)> {
    let named = config.limits().iter().map(|limit| (limit.name.to_string(), limit.max));
    let own = config.builders().iter().filter_map(|builder| Some((own_limit(builder), builder.max_at_once?)));
    let environment = config.environment().max_builds.unwrap_or(u32::MAX);
    named.chain(own).chain([("environment".to_owned(), environment)]).collect()
}

/// The quotas of a configuration: of all, then of single ones.
pub fn quotas(config: &Config) -> Vec<Event> {
    let quotas = config.quotas();
    let all = [(Of::Repo, quotas.repo), (Of::User, quotas.user)];
    let all = all.into_iter().map(|(of, max)| Event::Quota { of, name: None, max });
    let own = |of: Of, own: &[(String, Option<u32>)]| -> Vec<Event> {
        own.iter().map(|(name, max)| Event::Quota { of, name: Some(name.clone()), max: *max }).collect()
    };
    all.chain(own(Of::Repo, &quotas.repos)).chain(own(Of::User, &quotas.users)).collect()
}

/// Resolves a cell into a job on a host, for a build of a class.
///
/// # Errors
/// See [`ResolveError`].
pub fn job(
    config: &Config,
    repo: &str,
    builder_name: &str,
    revision_text: &str,
    host: Option<&Host>,
    class: Class,
) -> Result<Job, ResolveError> {
    let builder = builder(config, repo, builder_name)?;
    let no_recipe =
        || ResolveError::NoRecipe { builder: builder_name.to_owned(), recipe: builder.recipe.to_string() };
    let revision = parse_revision(revision_text)?;
    let repo_name = repo.parse().map_err(|_| no_recipe())?;
    let recipe = config.recipe(&repo_name, &builder.recipe).ok_or_else(no_recipe)?;
    let toolchain = recipe.toolchain.as_ref().map(ToString::to_string).filter(|name| name != repo);
    let part = if toolchain.is_some() { Part::Dependents } else { Part::Main };
    let whole = recipe.job(part);
    let compiled = builder.compile_only.then(|| whole.compiled()).flatten();
    // The check of the configuration refuses a recipe of which nothing would be left.
    let work = compiled.as_ref().unwrap_or(whole);
    let digest = config.digest_for(builder, recipe);

    let mut sources = Vec::new();
    for (n, (name, commit)) in revision.iter().enumerate() {
        let is_toolchain = toolchain.as_deref() == Some(name.as_str());
        let snapshot = (is_toolchain && recipe.main.snapshot && !builder.skip_snapshot)
            .then(|| snapshot_key(builder, name, commit, &digest));
        let kind = config.repo(name).map(|repo| repo.source);
        let git = n == 0 && kind == Some(SourceKind::Git);
        sources.push(Source { repo: name.clone(), commit: commit.clone(), dir: name.clone(), snapshot, git });
    }

    let mut base = vec![
        ("CI".to_owned(), "true".to_owned()),
        ("GO_BUILDER_NAME".to_owned(), builder_name.to_owned()),
        ("BELLWETHER_BUILDER".to_owned(), builder_name.to_owned()),
        ("BELLWETHER_REVISION".to_owned(), revision_text.to_owned()),
    ];
    if builder.flaky_net {
        base.push(("GO_BUILDER_FLAKY_NET".to_owned(), "1".to_owned()));
    }
    let mut steps = Vec::new();
    // The toolchain's own steps come first where no snapshot of it is to be had; the runner leaves them out otherwise.
    if let Some(toolchain) = &toolchain {
        for step in recipe.main.steps.iter().filter(|step| matches!(step.role, Role::Build | Role::Step)) {
            let env = environment(&base, host, &recipe.main.env, &step.env, builder);
            let name = format!("{toolchain}: {}", step.name);
            steps.push(Step {
                for_toolchain: true,
                tests: false,
                ..make(step, &name, toolchain, env, builder)
            });
        }
    }
    for step in &work.steps {
        if builder.stop_after_build && matches!(step.role, Role::List | Role::Run) {
            continue;
        }
        let env = environment(&base, host, &work.env, &step.env, builder);
        let mut step = make(step, &step.name, repo, env, builder);
        if let Some(toolchain) = &toolchain {
            step.run = format!("export PATH=\"$WORKDIR/{toolchain}/bin:$PATH\"\n{}", step.run);
        }
        steps.push(step);
    }

    let limits = work.limits.and(builder.limits).and(host.map(|host| host.limits).unwrap_or_default());
    let secrets = builder.secrets.iter().filter_map(|name| {
        let secret = config.secrets().iter().find(|secret| &secret.name == name)?;
        Some(SecretUse { name: name.to_string(), variable: secret.variable.clone() })
    });
    Ok(Job {
        repo: repo.to_owned(),
        builder: builder_name.to_owned(),
        revision: revision_text.to_owned(),
        sources,
        steps,
        env_pass: host.map(|host| host.env_pass.texts().collect()).unwrap_or_default(),
        // Nobody has asked the mirror yet.
        trust: Trust::Unlanded,
        secrets: secrets.collect(),
        secrets_proof: None,
        artifacts: work.artifacts.iter().map(ToString::to_string).collect(),
        snapshot: (part == Part::Main && work.snapshot && !builder.skip_snapshot)
            .then(|| snapshot_key(builder, repo, revision.first().map_or("", |(_, commit)| commit), &digest)),
        results: work.results.as_str().to_owned(),
        junit: work.junit.clone(),
        limits: Limits {
            memory_bytes: limits.memory,
            processes: limits.processes.map(u64::from),
            disk_bytes: limits.disk,
            log_bytes: limits.log,
            cpu_millis: limits.cpu.map(|cpu| (cpu * 1000.0).ceil() as u64),
        },
        digest,
        retries: work.retries,
        tests: builder.tests.texts().collect(),
        try_tests: if class.is_try() { builder.try_tests.texts().collect() } else { Vec::new() },
        // They begin from what is kept of the tree.
        helpers: match (builder.skip_snapshot, class.is_try()) {
            (true, _) => 0,
            (_, true) => builder.try_helpers,
            (_, false) => builder.helpers,
        },
        fail_fast: work.fail_fast,
        toolchain,
    })
}

/// The revision of the toolchain's own cell on the same builder, for a cell whose job starts from its snapshot.
pub fn toolchain_cell(config: &Config, repo: &str, builder_name: &str, revision: &str) -> Option<String> {
    let own = builder(config, repo, builder_name).ok()?;
    let recipe = config.recipe(&repo.parse().ok()?, &own.recipe)?;
    let toolchain = recipe.toolchain.as_ref().map(ToString::to_string).filter(|name| name != repo)?;
    if !recipe.main.snapshot || own.skip_snapshot {
        return None;
    }
    // A builder of that name in the toolchain's project file is another one, and keeps its snapshots elsewhere.
    let theirs = builder(config, &toolchain, builder_name).ok()?;
    let (_, commit) = parse_revision(revision).ok()?.into_iter().find(|(name, _)| *name == toolchain)?;
    (theirs.full_name() == own.full_name()).then(|| format!("{toolchain}@{commit}"))
}

/// Host before recipe before builder before the step's own; later wins, and each variable appears once.
fn environment(
    base: &[(String, String)],
    host: Option<&Host>,
    recipe: &[(String, String)],
    step: &[(String, String)],
    builder: &Builder,
) -> Vec<(String, String)> {
    let host = host.map(|host| host.env.as_slice()).unwrap_or_default();
    let mut order: Vec<&str> = Vec::new();
    let mut values = BTreeMap::new();
    for (name, value) in base.iter().chain(host).chain(recipe).chain(&builder.env).chain(step) {
        if values.insert(name.as_str(), value.as_str()).is_none() {
            order.push(name);
        }
    }
    order.into_iter().map(|name| (name.to_owned(), values[name].to_owned())).collect()
}

fn make(
    step: &buildenv::Step,
    name: &str,
    tree: &str,
    env: Vec<(String, String)>,
    builder: &Builder,
) -> Step {
    let dir = match &step.dir {
        Some(dir) => format!("{tree}/{dir}"),
        None => tree.to_owned(),
    };
    Step {
        name: name.to_owned(),
        run: step.run.clone(),
        dir,
        env,
        timeout_ms: (step.timeout.as_millis() as f64 * builder.timeout_scale) as u64,
        when: match step.when {
            StepWhen::Success => When::Success,
            StepWhen::Failure => When::Failure,
            StepWhen::Always => When::Always,
        },
        snapshot: step.snapshot,
        for_toolchain: false,
        lists: step.role == Role::List,
        tests: matches!(step.role, Role::Run | Role::Step),
    }
}

fn snapshot_key(builder: &Builder, repo: &str, commit: &str, digest: &str) -> String {
    let digest = &digest[..digest.len().min(16)];
    format!("snapshots/trusted/{}/{repo}@{commit}/{digest}.tar.gz", builder.full_name().replace(':', "."))
}

/// The (repo, commit) pairs of a revision's text, subject first.
///
/// # Errors
/// [`ResolveError::Revision`].
pub fn parse_revision(text: &str) -> Result<Vec<(String, String)>, ResolveError> {
    let revision = text
        .parse::<buildenv::Revision>()
        .map_err(|error| ResolveError::Revision { revision: text.to_owned(), message: error.to_string() })?;
    let all = std::iter::once(&revision.subject).chain(&revision.rest);
    Ok(all.map(|(repo, commit)| (repo.to_string(), commit.to_string())).collect())
}
