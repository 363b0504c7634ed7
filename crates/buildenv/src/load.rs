//! Reads sources into a checked [`Config`], or into everything that is wrong with them.

use std::collections::BTreeMap;
use std::io;

use crate::config::Config;
use crate::embedded::BUILT_IN;
use crate::model::MuteFile;
use crate::name::{EnvironmentName, RepoName, check_name};
use crate::problem::Problems;
use crate::schema::{SECTIONS, Section, TOP};
use crate::source::{Kind, Place, Source};
use crate::syntax;
use crate::tree::{Entry, Node, Table, Value, parse, show_key};
use crate::values::{Checker, dotted, path_stays_inside};

/// Server files larger than this are refused.
const MAX_FILE: usize = 8 << 20;
/// Files of repositories larger than this are refused: anybody may write one.
const MAX_PROJECT_FILE: usize = 1 << 20;
/// More files of mute rules are refused.
const MAX_MUTES: usize = 50;
/// Includes nested deeper than this are refused.
const MAX_DEPTH: usize = 32;

/// A named thing as it was gathered from the files.
#[derive(Debug, Clone)]
pub(crate) struct Item {
    /// Where its name stands.
    pub place: Place,
    /// Its checked keys.
    pub table: Table,
    /// Whether only built-in defaults speak of it.
    pub built_in: bool,
}

/// The name of a thing: for those of a project file with its repository.
pub(crate) type Id = (Option<RepoName>, String);

/// All files, merged.
#[derive(Default)]
pub(crate) struct Gathered {
    /// By section, then by name.
    pub items: BTreeMap<&'static str, BTreeMap<Id, Item>>,
    /// Keys at the top of server files.
    pub top: Table,
    /// `branches`, `horizon` and `needs` of project files.
    pub projects: BTreeMap<RepoName, Table>,
    /// The files of mute rules, in the order in which they are named.
    pub mutes: Vec<MuteFile>,
    /// Whether every file could be parsed.
    pub parsed: bool,
}

impl Gathered {
    /// Gives the things of a section.
    pub fn section(&self, name: &str) -> impl Iterator<Item = (&Id, &Item)> {
        self.items.get(name).into_iter().flatten()
    }

    /// Finds a thing by the rules of scope: the project's own first, then the server's.
    pub fn find(&self, section: &str, scope: Option<&RepoName>, name: &str) -> Option<&Item> {
        let items = self.items.get(section)?;
        let own = scope.and_then(|repo| items.get(&(Some(repo.clone()), name.to_string())));
        own.or_else(|| items.get(&(None, name.to_string())))
    }

    /// Lists the names that can be meant from a scope.
    pub fn names(&self, section: &str, scope: Option<&RepoName>) -> Vec<&str> {
        let seen = |id: &&Id| id.0.is_none() || id.0.as_ref() == scope;
        self.section(section).map(|(id, _)| id).filter(seen).map(|id| id.1.as_str()).collect()
    }
}

/// Loads a configuration from its sources.
///
/// `includes` reads an included file by the name written in `include`. `env` chooses the environment; without it
/// there must be no more than one.
///
/// # Errors
/// Every problem of all files at once, each with file, line and column.
pub fn load(
    sources: &[Source],
    includes: &dyn Fn(&str) -> io::Result<String>,
    env: Option<&EnvironmentName>,
) -> Result<Config, Problems> {
    let mut loader =
        Loader { checker: Checker::default(), all: Gathered::default(), includes, open: Vec::new() };
    loader.all.parsed = true;
    let rank = |s: &&Source| match s.kind {
        Kind::Embedded => 0,
        Kind::Server => 1,
        Kind::Project(_) => 2,
    };
    let mut sorted: Vec<_> = sources.iter().collect();
    sorted.sort_by_key(rank);
    for source in sorted {
        loader.file(&source.file, source.text.clone(), &source.kind, None);
    }
    loader.drop_built_in("host");
    loader.drop_built_in("environment");
    if loader.all.section("environment").next().is_none() {
        loader.file(BUILT_IN, "[environment.dev]\n".into(), &Kind::Embedded, None);
    }
    let Loader { checker, all, .. } = loader;
    crate::config::assemble(checker, all, env)
}

/// Loads a configuration whose project files may be bad: a bad one is left out whole and its problems are given
/// by repository, so that it blocks no other.
///
/// # Errors
/// Every problem of the server's files at once.
pub fn load_with_projects(
    sources: &[Source],
    includes: &dyn Fn(&str) -> io::Result<String>,
    env: Option<&EnvironmentName>,
) -> Result<(Config, BTreeMap<RepoName, Problems>), Problems> {
    let mut left: Vec<Source> = sources.to_vec();
    let mut bad: BTreeMap<RepoName, Problems> = BTreeMap::new();
    loop {
        let problems = match load(&left, includes, env) {
            Ok(config) => return Ok((config, bad)),
            Err(problems) => problems,
        };
        let (of_project, of_server): (Vec<_>, Vec<_>) =
            problems.0.into_iter().partition(|p| p.project.is_some());
        if of_project.is_empty() {
            return Err(Problems(of_server));
        }
        for problem in of_project {
            let Some(repo) = problem.project.clone() else { continue };
            left.retain(|s| s.kind != Kind::Project(repo.clone()));
            bad.entry(repo).or_default().0.push(problem);
        }
    }
}

struct Loader<'a> {
    checker: Checker,
    all: Gathered,
    includes: &'a dyn Fn(&str) -> io::Result<String>,
    /// Names of the files that are being read, for cycles.
    open: Vec<String>,
}

impl Loader<'_> {
    fn file(&mut self, name: &str, text: String, kind: &Kind, from: Option<&Node>) {
        let most = if matches!(kind, Kind::Project(_)) { MAX_PROJECT_FILE } else { MAX_FILE };
        let too_large = text.len() > most;
        let text = if too_large { String::new() } else { text };
        let index = self.checker.files.add(name, text, kind.clone());
        let start = Place { file: index, ..Place::default() };
        if too_large {
            let problem = self.checker.problem(start, "", format!("the file is over {most} bytes"));
            self.checker.report(problem);
            self.all.parsed = false;
            return;
        }
        let text = self.checker.files.list[index as usize].text.clone();
        let (table, errors) = parse(&text, index);
        if !errors.is_empty() {
            self.all.parsed = false;
            syntax::report(&mut self.checker, &text, errors);
            return;
        }
        self.open.push(from.and_then(Node::text).unwrap_or(name).to_string());
        table.0.iter().for_each(|entry| self.top_entry(entry, kind));
        self.open.pop();
    }

    fn top_entry(&mut self, entry: &Entry, kind: &Kind) {
        let project = matches!(kind, Kind::Project(_));
        let section = SECTIONS.iter().find(|s| s.name == entry.key);
        if let Some(section) = section.filter(|s| s.project || !project) {
            return self.section(section, entry, kind);
        }
        let of_project = ["branches", "horizon", "needs"].contains(&entry.key.as_str());
        if entry.key == "mute" || (TOP.key(&entry.key).is_some() && of_project == project) {
            return self.top_key(entry, kind);
        }
        let server_only = section.is_some() || (TOP.key(&entry.key).is_some() && !of_project);
        let valid = SECTIONS.iter().filter(|s| s.project || !project).map(|s| s.name);
        let valid: Vec<_> = match project {
            true => valid.chain(["branches", "horizon", "needs", "mute"]).collect(),
            false => valid.chain(["include", "policy", "known_missing", "mute"]).collect(),
        };
        let problem = if project && server_only {
            let message = format!("{:?} does not belong in a repository's own file", entry.key);
            self.checker
                .problem(entry.place, &entry.key, message)
                .note("it belongs in the server file (--config)")
        } else if of_project {
            let message = format!("{:?} does not belong at the top of a server file", entry.key);
            let note = "it belongs in [repo.NAME], or in the repository's own bellwether.toml";
            self.checker.problem(entry.place, &entry.key, message).note(note)
        } else if project && Self::of_repo(&entry.key) {
            let message = format!("{:?} does not belong in a repository's own file", entry.key);
            let note = "it belongs in [repo.NAME] of the server file (--config)";
            self.checker.problem(entry.place, &entry.key, message).note(note)
        } else {
            let problem =
                self.checker.problem(entry.place, &entry.key, format!("unknown key {:?}", entry.key));
            problem.nearest(&entry.key, valid.iter().copied())
        };
        self.checker.report(problem.expected(format!("one of {}", valid.join(", "))));
    }

    fn of_repo(key: &str) -> bool {
        SECTIONS.iter().any(|s| s.name == "repo" && s.key(key).is_some())
    }

    fn top_key(&mut self, entry: &Entry, kind: &Kind) {
        let one = Table(vec![entry.clone()]);
        let Some(entry) = self.checker.table(&TOP, &one, "", entry.place).0.pop() else { return };
        if entry.key == "include" {
            return entry.node.many().iter().for_each(|name| self.include(name));
        }
        if entry.key == "mute" {
            entry.node.many().iter().for_each(|name| self.mute(name, kind));
        }
        let table = match kind {
            Kind::Project(repo) => self.all.projects.entry(repo.clone()).or_default(),
            Kind::Server | Kind::Embedded => &mut self.all.top,
        };
        match table.0.iter_mut().find(|e| e.key == entry.key) {
            None => table.0.push(entry),
            // Rules of several files follow one another.
            Some(Entry { node: Node { value: Value::List(list), .. }, .. }) if entry.key != "branches" => {
                list.extend(entry.node.many().iter().cloned());
            }
            Some(old) => {
                let other = self.checker.files.locate(old.place);
                let problem =
                    self.checker.problem(entry.place, &entry.key, format!("{:?} is given twice", entry.key));
                self.checker.report(problem.note(format!("the other one is at {other}")));
            }
        }
    }

    /// Notes a file of mute rules. A server's is read here; a repository's lies in its tree, which others have.
    fn mute(&mut self, name: &Node, kind: &Kind) {
        let Some(text) = name.text() else { return };
        let repo = match kind {
            Kind::Project(repo) => Some(repo.clone()),
            Kind::Server | Kind::Embedded => None,
        };
        let read = if let Err(why) = path_stays_inside(text) {
            Err(why)
        } else if self.all.mutes.iter().filter(|file| file.repo == repo).count() >= MAX_MUTES {
            Err(format!("more than {MAX_MUTES} files of mute rules"))
        } else if repo.is_some() && text.starts_with('/') {
            Err(format!("{text:?} leads out of the repository"))
        } else if repo.is_some() {
            Ok(None)
        } else {
            (self.includes)(text).map(Some).map_err(|why| format!("cannot read {text:?}: {why}"))
        };
        match read {
            Ok(content) => {
                let file = repo.as_ref().map_or_else(|| text.to_owned(), |repo| format!("{repo}:{text}"));
                let at = self.checker.files.locate(name.place);
                self.all.mutes.push(MuteFile { repo, name: text.to_owned(), file, text: content, at });
            }
            Err(message) => {
                let problem = self.checker.problem(name.place, "mute", message);
                let wanted = match repo {
                    Some(_) => "a file of the repository, like ci/mute.toml",
                    None => "a readable file in the folder of the server file",
                };
                self.checker.report(problem.expected(wanted));
            }
        }
    }

    fn include(&mut self, name: &Node) {
        let Some(text) = name.text() else { return };
        let wrong = if let Err(why) = path_stays_inside(text) {
            Err(why)
        } else if self.open.iter().any(|open| open == text) {
            Err(format!("{text:?} includes itself: {} → {text}", self.open.join(" → ")))
        } else if self.open.len() >= MAX_DEPTH {
            Err(format!("includes are nested over {MAX_DEPTH} deep"))
        } else {
            (self.includes)(text).map_err(|why| format!("cannot read {text:?}: {why}"))
        };
        match wrong {
            Ok(content) => self.file(text, content, &Kind::Server, Some(name)),
            Err(message) => {
                let problem = self.checker.problem(name.place, "include", message);
                self.checker.report(problem.expected("a readable file in the folder of the server file"));
            }
        }
    }

    fn section(&mut self, section: &'static Section, entry: &Entry, kind: &Kind) {
        let Some(table) = entry.node.table() else {
            let message = format!("{:?} is {}", entry.key, entry.node.type_name());
            let problem = self.checker.problem(entry.node.place, &entry.key, message);
            return self.checker.report(problem.expected(format!("a table: {}", section.header)));
        };
        if !section.header.contains('.') {
            return self.item(section, entry, kind);
        }
        for entry in &table.0 {
            if let Err(why) = check_name(&entry.key) {
                let path = dotted(section.name, &show_key(&entry.key));
                let message = format!("bad name {:?}: {why}", entry.key);
                let problem = self.checker.problem(entry.place, &path, message);
                self.checker.report(problem.expected(crate::schema::Type::Name.expected()));
            } else if entry.node.table().is_none() {
                let path = dotted(section.name, &show_key(&entry.key));
                let message = format!("{path} is {}", entry.node.type_name());
                let problem = self.checker.problem(entry.node.place, &path, message);
                self.checker.report(problem.expected(format!("a table: {}", section.header)));
            } else {
                self.item(section, entry, kind);
            }
        }
    }

    fn item(&mut self, section: &'static Section, entry: &Entry, kind: &Kind) {
        let Some(table) = entry.node.table() else { return };
        let named = section.header.contains('.');
        let path = if named { dotted(section.name, &show_key(&entry.key)) } else { section.name.to_string() };
        let scope = match kind {
            Kind::Project(repo) => Some(repo.clone()),
            Kind::Server | Kind::Embedded => None,
        };
        let name = if named { entry.key.clone() } else { String::new() };
        let known = self.all.find(section.name, scope.as_ref(), &name).cloned();
        self.checker.loose = section.name == "matrix";
        // A file may add keys to a built-in thing, so what is required is checked on the whole.
        let mut whole =
            known.as_ref().filter(|k| k.built_in).map_or_else(Table::default, |k| k.table.clone());
        let checked = self.checker.table(section, table, &path, entry.place);
        self.checker.loose = false;
        if let Some(known) = known.as_ref().filter(|k| !k.built_in) {
            let other = self.checker.files.locate(known.place);
            let problem = self.checker.problem(entry.place, &path, format!("{path} is defined twice"));
            return self.checker.report(problem.note(format!("the other one is at {other}")));
        }
        whole.overlay(&checked);
        let built_in = *kind == Kind::Embedded;
        let item = Item { place: entry.place, table: whole, built_in };
        self.all.items.entry(section.name).or_default().insert((scope, name), item);
    }

    /// Once a file has things of a section, built-in ones stay only if a file names them too.
    fn drop_built_in(&mut self, section: &str) {
        if let Some(items) = self.all.items.get_mut(section)
            && items.values().any(|i| !i.built_in)
        {
            items.retain(|_, i| !i.built_in);
        }
    }
}
