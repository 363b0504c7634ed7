//! Finds a recipe for a tree that has no configuration, from the names and contents of its files.
//!
//! Pure: the caller gives the paths and a way to read one. What is found names the tools it needs, so that the
//! caller can say which a machine lacks.

mod rules;
mod write;

pub use write::to_toml;

use std::collections::BTreeSet;

use crate::name::{BuilderName, RecipeName};

/// A kind of project.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ProjectKind {
    /// `Cargo.toml`.
    Cargo,
    /// `go.mod`.
    Go,
    /// `package.json`.
    Npm,
    /// `pyproject.toml`, `setup.py`, `setup.cfg` or `requirements.txt`.
    Python,
    /// `CMakeLists.txt`.
    CMake,
    /// `Makefile`.
    Make,
}

impl ProjectKind {
    /// Gives the kind's short name, which names builders: `cargo`, `go`, `npm`, `python`, `cmake`, `make`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cargo => "cargo",
            Self::Go => "go",
            Self::Npm => "npm",
            Self::Python => "python",
            Self::CMake => "cmake",
            Self::Make => "make",
        }
    }
}

/// One command of a recipe that was found.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct FoundStep {
    /// Its name: `build`, `test`, `install`.
    pub name: &'static str,
    /// The command line.
    pub run: String,
}

/// A project that was found in a tree.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Found {
    /// Its directory below the tree's root; empty for the root.
    pub dir: String,
    /// What it is.
    pub kind: ProjectKind,
    /// The file that says so, below the root.
    pub manifest: String,
    /// Programs without which it cannot be built; the first is the main one.
    pub tools: Vec<&'static str>,
    /// A name for its builder, unlike all others of the tree.
    pub builder_name: BuilderName,
    /// A name for its recipe: the builder's.
    pub recipe_name: RecipeName,
    /// What is run.
    pub steps: Vec<FoundStep>,
    /// Why these commands, for people: what was seen in the tree.
    pub because: Vec<String>,
}

impl Found {
    /// Gives the main tool.
    #[must_use]
    pub fn tool(&self) -> &'static str {
        self.tools.first().copied().unwrap_or("sh")
    }
}

/// Directories whose files belong to somebody else, or are made up for tests.
const IGNORED: &[&str] = &[
    "vendor",
    "node_modules",
    "testdata",
    "examples",
    "example",
    "third_party",
    "target",
    "dist",
    "build",
    "venv",
    "fixtures",
    "__pycache__",
    "site-packages",
    "bower_components",
    "fuzz",
];

/// No project deeper than so many directories is looked for.
const MAX_DEPTH: usize = 4;

/// Finds the projects of a tree.
///
/// `paths` are the tree's files, relative, with `/`; folders may be among them. `read` gives the text of one, or
/// nothing. A project inside a project of the same kind belongs to it.
#[must_use]
pub fn detect(paths: &[String], read: &dyn Fn(&str) -> Option<String>) -> Vec<Found> {
    let tree = Tree::new(paths, read);
    let mut found: Vec<Found> = Vec::new();
    for dir in &tree.dirs {
        for rule in rules::ALL {
            if let Some(project) = (rule.find)(&tree, dir)
                && !covered(&found, &project)
            {
                found.push(project);
            }
        }
    }
    // A Makefile beside another manifest only wraps it, and native parts inside a project are built by it.
    let places: Vec<_> = found.iter().map(|f| (f.kind, f.dir.clone())).collect();
    let native = |kind| matches!(kind, ProjectKind::Make | ProjectKind::CMake);
    let part = |f: &Found| {
        let of = |(kind, dir): &(ProjectKind, String)| match dir == &f.dir {
            true => *kind != ProjectKind::Make && f.kind == ProjectKind::Make,
            false => !native(*kind) && native(f.kind) && inside(&f.dir, dir),
        };
        places.iter().any(of)
    };
    // A package.json that neither builds nor tests, beside real projects, only holds tools.
    let alone = found.len() == 1;
    let tools = |f: &Found| f.kind == ProjectKind::Npm && f.steps.len() == 1 && !alone;
    found.retain(|f| !part(f) && !tools(f));
    name_all(&mut found);
    found
}

/// Tells whether `dir` is `outer` or below it.
fn inside(dir: &str, outer: &str) -> bool {
    outer.is_empty() || dir == outer || dir.strip_prefix(outer).is_some_and(|rest| rest.starts_with('/'))
}

/// A nested manifest is part of the project around it, if the kind says so.
fn covered(found: &[Found], project: &Found) -> bool {
    let around = |f: &&Found| f.kind == project.kind && inside(&project.dir, &f.dir);
    found.iter().any(|f| around(&f) && rules::covers(f.kind))
}

fn name_all(found: &mut [Found]) {
    let mut used = BTreeSet::new();
    let single = |kind, found: &[Found]| found.iter().filter(|f| f.kind == kind).count() == 1;
    for n in 0..found.len() {
        let kind = found[n].kind;
        let base = match single(kind, found) || found[n].dir.is_empty() {
            true => kind.as_str().to_string(),
            false => format!("{}-{}", kind.as_str(), slug(&found[n].dir)),
        };
        let base = base.trim_end_matches('-').to_string();
        let mut name = base.clone();
        let mut next = 2;
        while !used.insert(name.clone()) {
            name = format!("{base}-{next}");
            next += 1;
        }
        if let (Ok(builder), Ok(recipe)) = (name.parse(), name.parse()) {
            (found[n].builder_name, found[n].recipe_name) = (builder, recipe);
        }
    }
}

fn slug(dir: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let text: String = dir.chars().map(plain).take(40).collect();
    text.split('-').filter(|p| !p.is_empty()).collect::<Vec<_>>().join("-")
}

/// A tree's files, by directory.
struct Tree<'a> {
    files: BTreeSet<&'a str>,
    /// Directories in which projects are looked for: shallow ones first, then by name.
    dirs: Vec<String>,
    read: &'a dyn Fn(&str) -> Option<String>,
}

impl<'a> Tree<'a> {
    fn new(paths: &'a [String], read: &'a dyn Fn(&str) -> Option<String>) -> Self {
        let own = |dir: &str| !dir.split('/').any(|p| IGNORED.contains(&p) || p.starts_with(['.', '_']));
        let mut dirs = BTreeSet::from([(0, String::new())]);
        // A git tree holds no such names; what else is given here must not lead anywhere else.
        let odd =
            |part: &str| part.is_empty() || part == "." || part == ".." || part.contains(char::is_control);
        let paths = || paths.iter().filter(|p| !p.trim_end_matches('/').split('/').any(odd));
        for path in paths() {
            let Some((dir, _)) = path.rsplit_once('/') else { continue };
            let depth = dir.split('/').count();
            if depth <= MAX_DEPTH && own(dir) {
                dirs.insert((depth, dir.to_string()));
            }
        }
        let dirs = dirs.into_iter().map(|(_, dir)| dir).collect();
        Self { files: paths().map(String::as_str).collect(), dirs, read }
    }

    fn path(dir: &str, name: &str) -> String {
        if dir.is_empty() { name.to_string() } else { format!("{dir}/{name}") }
    }

    fn has(&self, dir: &str, name: &str) -> bool {
        self.files.contains(Self::path(dir, name).as_str())
    }

    /// The first of these files that a directory has.
    fn first(&self, dir: &str, names: &[&'static str]) -> Option<&'static str> {
        names.iter().find(|name| self.has(dir, name)).copied()
    }

    fn text(&self, dir: &str, name: &str) -> Option<String> {
        if self.has(dir, name) { (self.read)(&Self::path(dir, name)) } else { None }
    }

    /// Files below a directory, relative to it.
    fn below(&self, dir: &str) -> impl Iterator<Item = &'a str> {
        let dir = dir.to_string();
        self.files.iter().filter_map(move |path| match dir.is_empty() {
            true => Some(*path),
            false => path.strip_prefix(dir.as_str())?.strip_prefix('/'),
        })
    }
}

#[cfg(test)]
mod tests;
