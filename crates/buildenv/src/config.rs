//! The checked configuration, and questions to it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::check;
use crate::expand;
use crate::facts::Facts;
use crate::fields::Fields;
use crate::load::{Gathered, Id, Item};
use crate::model::{
    Access, Alarms, Builder, Dashboard, Environment, GerritServer, GithubPosts, Hints, Host, Limit,
    MailServer, Maintnerd, MuteFile, Notify, Outbox, Quotas, Recipe, Repo, Retention, Rule, Secret,
    SecretSource, Tries, Visibility, WebhookTarget,
};
use crate::name::{BuilderName, EnvironmentName, HostName, LimitName, RecipeName, RepoName, SecretName};
use crate::problem::{Problem, Problems};
use crate::schema::{BUILDER, RECIPE, SECTIONS, Section};
use crate::source::Location;
use crate::tree::{Entry, Node, Table};
use crate::values::Checker;

/// Where a repository's own part of the configuration stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Project {
    /// The commit at which it was read; none before that, and for a repository without commits.
    pub at: Option<String>,
    /// Why the repository makes no builds as it is: its file is bad, or there is nothing to go by.
    pub blocked: Option<String>,
}

/// A configuration without mistakes. Cheap to share behind an `Arc`; never changed, only replaced.
#[derive(Debug)]
pub struct Config {
    environment: Environment,
    repos: Vec<Repo>,
    hosts: Vec<Host>,
    builders: Vec<Arc<Builder>>,
    recipes: Vec<Arc<Recipe>>,
    limits: Vec<Limit>,
    quotas: Quotas,
    secrets: Vec<Secret>,
    rules: Vec<Rule>,
    known_missing: Vec<BuilderName>,
    mutes: Arc<[MuteFile]>,
    access: Access,
    dashboard: Dashboard,
    retention: Retention,
    hints: Hints,
    maintnerd: Maintnerd,
    tries: Tries,
    outbox: Outbox,
    notify: Vec<Notify>,
    alarms: Alarms,
    by_builder: HashMap<(Option<RepoName>, BuilderName), usize>,
    by_recipe: HashMap<(Option<RepoName>, RecipeName), usize>,
    by_repo: HashMap<RepoName, usize>,
    digest: String,
    warnings: Vec<Problem>,
    projects: HashMap<RepoName, Project>,
    /// What was said about things that hold no facts of their own.
    more_facts: Vec<(String, Facts)>,
}

impl Config {
    /// Lists the repositories, by name.
    #[must_use]
    pub fn repos(&self) -> &[Repo] {
        &self.repos
    }

    /// Finds a repository.
    #[must_use]
    pub fn repo(&self, name: &str) -> Option<&Repo> {
        self.by_repo.get(name).map(|i| &self.repos[*i])
    }

    /// Notes where the repositories' own parts stand.
    #[must_use]
    pub fn with_projects(self, projects: HashMap<RepoName, Project>) -> Self {
        Self { projects, ..self }
    }

    /// Where a repository's own part stands; `None` where nobody keeps track of that.
    #[must_use]
    pub fn project(&self, repo: &str) -> Option<&Project> {
        self.projects.get(repo)
    }

    /// The files of mute rules, the server's and the repositories' in the order in which they are named.
    #[must_use]
    pub fn mutes(&self) -> &Arc<[MuteFile]> {
        &self.mutes
    }

    /// Puts texts into the files of mute rules that repositories name, by whoever has their trees.
    #[must_use]
    pub fn with_mutes(self, mutes: Vec<MuteFile>) -> Self {
        Self { mutes: mutes.into(), ..self }
    }

    /// Lists the hosts, by name.
    #[must_use]
    pub fn hosts(&self) -> &[Host] {
        &self.hosts
    }

    /// Finds a host.
    #[must_use]
    pub fn host(&self, name: &str) -> Option<&Host> {
        self.hosts.iter().find(|h| h.name.as_str() == name)
    }

    /// Finds the host under whose name or alias a machine dials in.
    #[must_use]
    pub fn host_by_alias(&self, name: &str) -> Option<&Host> {
        self.host(name).or_else(|| self.hosts.iter().find(|h| h.aliases.iter().any(|a| a.as_str() == name)))
    }

    /// Lists all builders, the server's first, by name.
    #[must_use]
    pub fn builders(&self) -> &[Arc<Builder>] {
        &self.builders
    }

    /// Finds the builder that a name means for a repository: one of its own project file, else the server's.
    #[must_use]
    pub fn builder(&self, repo: &RepoName, name: &BuilderName) -> Option<&Arc<Builder>> {
        let own = self.by_builder.get(&(Some(repo.clone()), name.clone()));
        own.or_else(|| self.by_builder.get(&(None, name.clone()))).map(|i| &self.builders[*i])
    }

    /// Finds the server builders that a short name asks for: the one of that name, and the one that has it for an alias.
    pub fn builders_by_alias<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Arc<Builder>> {
        let asked = move |b: &&Arc<Builder>| {
            b.name.as_str() == name || b.aliases.iter().any(|alias| alias.as_str() == name)
        };
        self.builders.iter().filter(|b| b.scope.is_none()).filter(asked)
    }

    /// Lists the builders that could build a repository: the server's and its own.
    pub fn builders_for<'a>(&'a self, repo: &'a RepoName) -> impl Iterator<Item = &'a Arc<Builder>> {
        self.builders.iter().filter(move |b| b.scope.is_none() || b.scope.as_ref() == Some(repo))
    }

    /// Finds the recipe that a name means for a repository: one of its own project file, else the server's.
    #[must_use]
    pub fn recipe(&self, repo: &RepoName, name: &RecipeName) -> Option<&Arc<Recipe>> {
        let own = self.by_recipe.get(&(Some(repo.clone()), name.clone()));
        own.or_else(|| self.by_recipe.get(&(None, name.clone()))).map(|i| &self.recipes[*i])
    }

    /// Finds a builder's recipe.
    #[must_use]
    pub fn recipe_of(&self, builder: &Builder) -> Option<&Arc<Recipe>> {
        let key = |scope| (scope, builder.recipe.clone());
        let own = self.by_recipe.get(&key(builder.scope.clone()));
        own.or_else(|| self.by_recipe.get(&key(None))).map(|i| &self.recipes[*i])
    }

    /// Lists all recipes, by name.
    #[must_use]
    pub fn recipes(&self) -> &[Arc<Recipe>] {
        &self.recipes
    }

    /// Gives the chosen environment.
    #[must_use]
    pub fn environment(&self) -> &Environment {
        &self.environment
    }

    /// Gives the repository that the original's API shows without a package path.
    #[must_use]
    pub fn dashboard_main(&self) -> Option<&RepoName> {
        self.dashboard.main.as_ref()
    }

    /// Says how long what is kept.
    #[must_use]
    pub fn retention(&self) -> &Retention {
        &self.retention
    }

    /// Says where hints come from that something happened at a forge.
    #[must_use]
    pub fn hints(&self) -> &Hints {
        &self.hints
    }

    /// Says where messages go out to the world.
    #[must_use]
    pub fn outbox(&self) -> &Outbox {
        &self.outbox
    }

    /// Says who is told of what: the rules, by name.
    #[must_use]
    pub fn notify(&self) -> &[Notify] {
        &self.notify
    }

    /// Says from when on a machine or a builder is a cause for alarm.
    #[must_use]
    pub fn alarms(&self) -> &Alarms {
        &self.alarms
    }

    /// Says which projects' state is kept.
    #[must_use]
    pub fn maintnerd(&self) -> &Maintnerd {
        &self.maintnerd
    }

    /// Says how try runs are asked for and answered.
    #[must_use]
    pub fn tries(&self) -> &Tries {
        &self.tries
    }

    /// Gives the settings of the original's dashboard API.
    #[must_use]
    pub fn dashboard(&self) -> &Dashboard {
        &self.dashboard
    }

    /// Says who may what, and how people sign in.
    #[must_use]
    pub fn access(&self) -> &Access {
        &self.access
    }

    /// Says whether a repository is private; `None` for one that is not configured.
    #[must_use]
    pub fn is_private(&self, repo: &str) -> Option<bool> {
        Some(self.repo(repo)?.visibility == Visibility::Private)
    }

    /// Lists the secrets of this environment.
    #[must_use]
    pub fn secrets(&self) -> &[Secret] {
        &self.secrets
    }

    /// Lists the limits that builders share.
    #[must_use]
    pub fn limits(&self) -> &[Limit] {
        &self.limits
    }

    /// How many builds repositories and people may have at once.
    #[must_use]
    pub fn quotas(&self) -> &Quotas {
        &self.quotas
    }

    /// Lists the rules for all builders.
    #[must_use]
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// Lists short names that people may ask for and that no builder serves.
    #[must_use]
    pub fn known_missing(&self) -> &[BuilderName] {
        &self.known_missing
    }

    /// Gives the repository whose branches a repository is paired with: the first it needs.
    #[must_use]
    pub fn toolchain_of(&self, repo: &str) -> Option<&Repo> {
        self.repo(self.repo(repo)?.needs.first()?.as_str())
    }

    /// Tells whether other repositories are built against this one.
    #[must_use]
    pub fn is_toolchain(&self, repo: &RepoName) -> bool {
        self.repos.iter().any(|r| r.needs.first() == Some(repo))
    }

    /// Gives the SHA-256, in hex, of everything in a builder and its recipe that changes what a build does. Equal
    /// in two configurations where only names of people, policies or comments differ.
    #[must_use]
    pub fn digest_for(&self, builder: &Builder, recipe: &Recipe) -> String {
        let mut hash = Sha256::new();
        hash.update("bellwether build 1\n[builder]\n");
        hash.update(builder.facts.canonical());
        hash.update("[recipe]\n");
        hash.update(recipe.facts.canonical());
        hex::encode(hash.finalize())
    }

    /// Lists what is no mistake but has no effect, like a project file's key on which the server's file has the say.
    #[must_use]
    pub fn warnings(&self) -> &[Problem] {
        &self.warnings
    }

    /// Lists what was said about secrets, limits, access and dashboard; never a secret's value.
    pub(crate) fn more_facts(&self) -> &[(String, Facts)] {
        &self.more_facts
    }

    /// Gives the SHA-256, in hex, of all files that this configuration was read from.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.digest
    }
}

/// Checks what was gathered as a whole, and makes the configuration of it.
pub(crate) fn assemble(
    mut checker: Checker,
    mut all: Gathered,
    env: Option<&EnvironmentName>,
) -> Result<Config, Problems> {
    if !all.parsed {
        return Err(finish(checker));
    }
    expand::things(&mut checker, &mut all);
    check::projects(&mut checker, &mut all);
    let builders = expand::builders(&mut checker, &all);
    let chosen = check::environment(&mut checker, &all, env);
    check::all(&mut checker, &all, &builders);
    check::filled(&mut checker, &all, chosen.as_ref());
    expand::cloud(&mut all, chosen.as_ref());
    let Some(environment) = chosen.filter(|_| checker.problems.is_empty()) else {
        return Err(finish(checker));
    };
    let maker = Maker { checker: &checker, all: &all };
    let mut config = maker.config(&environment, builders);
    check::trust(&mut checker, &all, &config);
    if !checker.problems.is_empty() {
        return Err(finish(checker));
    }
    config.digest = digest_of(&checker);
    Ok(config)
}

fn finish(checker: Checker) -> Problems {
    let mut problems = checker.problems;
    let order: HashMap<_, _> =
        checker.files.list.iter().enumerate().map(|(n, f)| (f.name.to_string(), n)).collect();
    problems.sort_by_key(|p| (order.get(&p.file).copied(), p.line, p.column));
    let mut seen = std::collections::HashSet::new();
    problems.retain(|p| seen.insert((p.file.clone(), p.line, p.column, p.message.clone())));
    if let Some(last) = problems.last_mut().filter(|_| checker.more > 0) {
        last.notes.push(format!("and {} more problems that are not listed", checker.more));
    }
    Problems(problems)
}

fn digest_of(checker: &Checker) -> String {
    let mut hash = Sha256::new();
    for file in &checker.files.list {
        hash.update(format!("{}\n{}\n", file.name, file.text.len()));
        hash.update(&file.text);
    }
    hex::encode(hash.finalize())
}

struct Maker<'a> {
    checker: &'a Checker,
    all: &'a Gathered,
}

impl Maker<'_> {
    fn section(name: &str) -> &'static Section {
        SECTIONS.iter().find(|s| s.name == name).copied().unwrap_or(&BUILDER)
    }

    fn locate(&self, node: &Node) -> Location {
        self.checker.files.locate(node.place)
    }

    /// Reads every thing of a section.
    fn read<N, T>(&self, section: &str, make: impl Fn(N, Fields<'_>, Location, Facts) -> T) -> Vec<T>
    where
        N: std::str::FromStr,
    {
        let one = |(id, item): (&Id, &Item)| {
            let at = self.checker.files.locate(item.place);
            let facts = Facts::gather(&self.checker.files, Self::section(section), &item.table);
            Some(make(id.1.parse().ok()?, Fields(&item.table), at, facts))
        };
        self.all.section(section).filter_map(one).collect()
    }

    fn config(&self, chosen: &EnvironmentName, whole: BTreeMap<Id, expand::Whole>) -> Config {
        let environments: Vec<Environment> = self.read("environment", Environment::read);
        let environment = environments
            .into_iter()
            .find(|e| e.name == *chosen)
            .expect("invariant: the chosen environment was found among the gathered");
        let mut repos =
            self.read("repo", |n: RepoName, f, at, facts| Repo::read(n, f, at, facts, &|n| self.locate(n)));
        if !environment.push_mirrors {
            repos.iter_mut().for_each(|r| r.mirrors.clear());
        }
        let hosts: Vec<Host> = self.read("host", |n: HostName, f, at, facts| Host::read(n, f, at, facts));
        let mut secrets: Vec<Secret> = self.read("secret", |n: SecretName, f, at, _| Secret::read(n, f, at));
        secrets.retain(|s| s.environments.is_empty() || s.environments.contains(chosen));
        let recipes = self.recipes();
        let builders = self.builders(&whole, &hosts, &secrets);
        let top = Fields(&self.all.top);
        let single = |name| self.all.find(name, None, "").map(|i| &i.table);
        let none = Table::default();
        let access = Access::read(Fields(single("access").unwrap_or(&none)));
        let dashboard = single("dashboard").map_or_else(Dashboard::default, |t| Dashboard {
            main: Fields(t).name("main"),
            hidden_branches: Fields(t).patterns("hidden_branches"),
            builder_key_file: Fields(t).owned("builder_key_file"),
        });
        let retention = Retention::read(Fields(single("retention").unwrap_or(&none)));
        let hints = Hints::read(Fields(single("pubsubhelper").unwrap_or(&none)));
        let maintnerd = Maintnerd::read(Fields(single("maintnerd").unwrap_or(&none)));
        let quotas = Quotas::read(Fields(single("quotas").unwrap_or(&none)));
        let tries = Tries::read(Fields(single("tries").unwrap_or(&none)));
        let outbox = Outbox {
            gerrits: self.read("gerrit", |name, f, _, _| GerritServer::read(name, f)),
            github: single("github_posts").map(|table| GithubPosts::read(Fields(table))),
            mail: single("mail").map(|table| MailServer::read(Fields(table))),
            webhooks: self.read("webhook", |name, f, _, _| WebhookTarget::read(name, f)),
        };
        let notify = self.read("notify", |name, f, _, _| Notify::read(name, f));
        let alarms = Alarms::read(Fields(single("alarms").unwrap_or(&none)));
        let builder_key = |(n, b): (usize, &Arc<Builder>)| ((b.scope.clone(), b.name.clone()), n);
        let recipe_key = |(n, r): (usize, &Arc<Recipe>)| ((r.scope.clone(), r.name.clone()), n);
        Config {
            by_builder: builders.iter().enumerate().map(builder_key).collect(),
            by_recipe: recipes.iter().enumerate().map(recipe_key).collect(),
            by_repo: repos.iter().enumerate().map(|(n, r)| (r.name.clone(), n)).collect(),
            limits: self.read("limit", |n: LimitName, f, at, _| Limit::read(n, f, at)),
            rules: Rule::read_all(top, "policy", &|n| self.locate(n)),
            known_missing: top.names("known_missing"),
            mutes: self.all.mutes.as_slice().into(),
            digest: String::new(),
            warnings: self.checker.warnings.clone(),
            projects: HashMap::new(),
            more_facts: self.more_facts(),
            environment,
            repos,
            hosts,
            builders,
            recipes,
            secrets,
            access,
            dashboard,
            retention,
            hints,
            maintnerd,
            quotas,
            tries,
            outbox,
            notify,
            alarms,
        }
    }

    fn more_facts(&self) -> Vec<(String, Facts)> {
        let of = |section: &'static str| {
            let one = move |(id, item): (&Id, &Item)| {
                let name = if id.1.is_empty() { section.to_owned() } else { format!("{section}.{}", id.1) };
                (name, Facts::gather(&self.checker.files, Self::section(section), &item.table))
            };
            self.all.section(section).map(one)
        };
        const SECTIONS: [&str; 15] = [
            "secret",
            "limit",
            "access",
            "dashboard",
            "retention",
            "pubsubhelper",
            "maintnerd",
            "quotas",
            "tries",
            "gerrit",
            "github_posts",
            "mail",
            "webhook",
            "notify",
            "alarms",
        ];
        SECTIONS.into_iter().flat_map(of).collect()
    }

    fn recipes(&self) -> Vec<Arc<Recipe>> {
        let one = |(id, item): (&Id, &Item)| {
            let at = self.checker.files.locate(item.place);
            let facts = Facts::gather(&self.checker.files, &RECIPE, &item.table);
            let name = RecipeName::new(id.1.clone()).ok()?;
            Some(Arc::new(Recipe::read(name, id.0.clone(), Fields(&item.table), at, facts)))
        };
        self.all.section("recipe").filter_map(one).collect()
    }

    fn builders(
        &self,
        whole: &BTreeMap<Id, expand::Whole>,
        hosts: &[Host],
        secrets: &[Secret],
    ) -> Vec<Arc<Builder>> {
        let mut builders = Vec::with_capacity(whole.len());
        for (id, whole) in whole {
            let at = self.checker.files.locate(whole.place);
            let facts = Facts::gather(&self.checker.files, &BUILDER, &whole.table);
            let Ok(name) = BuilderName::new(id.1.clone()) else { continue };
            let fields = Fields(&whole.table);
            let read = Builder::read(name, id.0.clone(), fields, at, facts, &|n| self.locate(n));
            let Some(mut builder) = read else { continue };
            let fits = |h: &&Host| {
                builder.host.as_ref().is_none_or(|name| h.name == *name) && h.serves(&builder.needs)
            };
            builder.hosts = hosts.iter().filter(fits).map(|h| h.name.clone()).collect();
            let full = builder.full_name();
            let granted = secrets.iter().filter(|s| s.builders.contains(&full));
            builder.secrets = granted.map(|s| s.name.clone()).collect();
            builders.push(Arc::new(builder));
        }
        builders
    }
}

/// Gives the entry of a secret's source, for checks.
pub(crate) fn secret_sources(item: &Item) -> Vec<&Entry> {
    ["file", "env"].iter().filter_map(|key| item.table.get(key)).collect()
}

impl Secret {
    /// Says where the value is found, without the value.
    #[must_use]
    pub fn source_text(&self) -> String {
        match &self.source {
            SecretSource::File(path) => format!("file {path}"),
            SecretSource::Env(name) => format!("variable {name}"),
        }
    }
}
