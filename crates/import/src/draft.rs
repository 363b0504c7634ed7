//! What is to be written: builders and recipes, and what they ask of the server's file.

use std::collections::{BTreeMap, BTreeSet};

/// Labels with their values.
pub type Labels = Vec<(String, String)>;

/// Everything that is to be written.
#[derive(Debug, Default)]
pub struct Draft {
    /// The repository's name in the server's file.
    pub repo: String,
    /// Which branches of the repository are built, over all builders.
    pub branches: Vec<String>,
    pub builders: Vec<Builder>,
    pub recipes: Vec<Recipe>,
    /// Machines that the server has to have, by name.
    pub hosts: BTreeMap<String, Labels>,
    /// Variables that hold secrets, with the builders that ask for them.
    pub secrets: BTreeMap<String, BTreeSet<String>>,
    /// Paragraphs for the head of the file.
    pub notes: Vec<String>,
    taken: BTreeSet<String>,
    /// Whether there were more builders than are written.
    pub over: bool,
}

/// Files with more jobs are refused.
pub const MOST: usize = 2000;

/// A builder, or with axes several.
#[derive(Debug, Default, Clone)]
pub struct Builder {
    pub name: String,
    /// The place in the source, `FILE:LINE`.
    pub from: String,
    pub recipe: String,
    pub needs: Labels,
    pub env: Vec<(String, String)>,
    pub branches: Vec<String>,
    pub post_submit: bool,
    pub on_review: bool,
    /// Of which branches changes are tried; without any, of all.
    pub review_branches: Vec<String>,
    pub max_at_once: Option<u32>,
    pub notes: Option<String>,
    pub comments: Vec<String>,
    /// The variable with the name of the machine that a combination runs on, and what stands before and after it.
    pub runs_on: Option<[String; 3]>,
    pub axes: Vec<Axis>,
    pub exclude: Vec<Labels>,
    pub set: Vec<Set>,
}

/// An axis of a matrix: values that may stand in names.
#[derive(Debug, Clone)]
pub struct Axis {
    /// What the source calls it.
    pub key: String,
    pub name: String,
    pub values: Vec<String>,
}

/// What some combinations of a matrix get beside.
#[derive(Debug, Clone, Default)]
pub struct Set {
    pub when: Labels,
    pub needs: Labels,
    pub env: Vec<(String, String)>,
}

/// The steps of a builder.
#[derive(Debug, Default, Clone)]
pub struct Recipe {
    pub name: String,
    pub env: Vec<(String, String)>,
    pub dir: Option<String>,
    pub timeout: Option<String>,
    pub retries: u32,
    pub artifacts: Vec<String>,
    pub junit: Option<String>,
    pub steps: Vec<Step>,
}

/// A command.
#[derive(Debug, Default, Clone)]
pub struct Step {
    pub name: String,
    pub from: String,
    pub run: String,
    pub env: Vec<(String, String)>,
    pub dir: Option<String>,
    pub timeout: Option<String>,
    /// `failure` or `always`; success is not written.
    pub when: Option<&'static str>,
    /// Lines above it. A step without `run` is only these.
    pub comments: Vec<String>,
}

impl Axis {
    /// Makes one with a name that none of the others has.
    pub fn new(key: &str, values: Vec<String>, others: &[Self]) -> Self {
        let mut name = slug(key);
        while others.iter().any(|other| other.name == name) {
            name.push('x');
        }
        Self { key: key.to_owned(), name, values }
    }
}

impl Draft {
    /// Makes one for a repository.
    pub fn new(repo: &str) -> Self {
        Self { repo: slug(repo), ..Self::default() }
    }

    /// Gives a name that no builder and no recipe has yet.
    pub fn unique(&mut self, wanted: &str) -> String {
        let stem = slug(wanted);
        if self.taken.len() >= MOST {
            self.over = true;
            return stem;
        }
        let mut name = stem.clone();
        let mut n = 2;
        while !self.taken.insert(name.clone()) {
            name = format!("{}-{n}", stem.get(..stem.len().min(56)).unwrap_or("job"));
            n += 1;
        }
        name
    }

    /// Adds a builder with its recipe, unless the recipe runs nothing. Says whether it did.
    pub fn add(&mut self, builder: Builder, mut recipe: Recipe) -> bool {
        if self.over {
            return false;
        }
        if recipe.steps.iter().all(|step| step.run.is_empty()) {
            return false;
        }
        recipe.name.clone_from(&builder.recipe);
        for pattern in &builder.branches {
            // What one builder leaves out, another may build.
            let pattern = if pattern.starts_with('!') { "*" } else { pattern };
            if builder.post_submit && !self.branches.iter().any(|known| known == pattern) {
                self.branches.push(pattern.to_owned());
            }
        }
        self.builders.push(builder);
        self.recipes.push(recipe);
        true
    }

    /// Adds a builder that shares a recipe.
    pub fn add_sharing(&mut self, builder: Builder) {
        self.builders.push(builder);
    }

    /// Notes that a builder asks for a secret in a variable.
    pub fn secret(&mut self, variable: &str, builder: &str) {
        self.secrets.entry(variable.to_owned()).or_default().insert(builder.to_owned());
    }

    /// Notes what kind of machine is needed. A plain Linux machine is there without the server's file.
    pub fn machine(&mut self, labels: &Labels) {
        let plain = labels.iter().all(|(key, value)| key == "os" && value == "linux");
        if !plain {
            let name: Vec<&str> =
                labels.iter().map(|(key, value)| if value == "yes" { key.as_str() } else { value }).collect();
            self.hosts.insert(slug(&name.join("-")), labels.clone());
        }
    }

    /// The names of all builders, those of matrices spelled out.
    pub fn builder_names(&self) -> Vec<String> {
        self.builders.iter().flat_map(Builder::names).collect()
    }
}

impl Builder {
    /// Its name, or those of its combinations.
    pub fn names(&self) -> Vec<String> {
        if self.axes.is_empty() {
            return vec![self.name.clone()];
        }
        let mut rows: Vec<Labels> = vec![Vec::new()];
        for axis in &self.axes {
            let with = |row: &Labels| {
                let row = row.clone();
                axis.values.iter().map(move |value| {
                    let mut row = row.clone();
                    row.push((axis.name.clone(), value.clone()));
                    row
                })
            };
            rows = rows.iter().flat_map(with).collect();
        }
        rows.retain(|row| !self.exclude.iter().any(|not| not.iter().all(|pair| row.contains(pair))));
        let name = |row: Labels| {
            let values = row.iter().map(|(_, value)| format!("-{value}"));
            std::iter::once(self.name.clone()).chain(values).collect()
        };
        rows.into_iter().map(name).collect()
    }

    /// How its combinations are named: `test-{os}-{go}`.
    pub fn pattern(&self) -> String {
        let axes = self.axes.iter().map(|axis| format!("-{{{}}}", axis.name));
        std::iter::once(self.name.clone()).chain(axes).collect()
    }
}

/// Makes a name of any text.
pub fn slug(text: &str) -> String {
    let mut name = String::new();
    for c in text.trim().chars().flat_map(char::to_lowercase) {
        match c {
            'a'..='z' | '0'..='9' | '.' | '_' if name.len() < 60 => name.push(c),
            _ if !name.is_empty() && !name.ends_with('-') && name.len() < 60 => name.push('-'),
            _ => {}
        }
    }
    let name = name.trim_matches(['-', '.', '_']);
    if name.is_empty() { "job".to_owned() } else { name.to_owned() }
}

/// Whether a text may stand in a list of branches.
pub fn is_pattern(text: &str) -> bool {
    text.strip_prefix('!').unwrap_or(text).parse::<buildenv::Pattern>().is_ok()
}

/// Writes a number of seconds as a duration.
pub fn seconds(number: u64) -> String {
    match number {
        n if n > 0 && n.is_multiple_of(3600) => format!("{}h", n / 3600),
        n if n > 0 && n.is_multiple_of(60) => format!("{}m", n / 60),
        n => format!("{}s", n.max(1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_text_becomes_a_name() {
        for text in
            ["Build & Test", "x86_64-unknown-linux-gnu", "", "…", "A/b/C.d", &"long ".repeat(40), "-.x.-"]
        {
            let name = slug(text);
            assert!(buildenv::check_name(&name).is_ok(), "{text:?} became {name:?}");
        }
        let mut draft = Draft::default();
        assert_eq!(
            [draft.unique("Test"), draft.unique("test"), draft.unique("TEST")],
            ["test", "test-2", "test-3"]
        );
    }
}
