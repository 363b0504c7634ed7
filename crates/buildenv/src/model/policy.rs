//! Who builds what: conditions and rules by repository, branch and toolchain branch.

use crate::fields::Fields;
use crate::pattern::Patterns;
use crate::quantity::Version;
use crate::source::Location;
use crate::tree::Node;

/// Why work exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// A commit on a watched branch.
    PostSubmit,
    /// A change under review.
    Try,
}

impl Class {
    /// Gives the class as it is written in rules.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PostSubmit => "post-submit",
            Self::Try => "try",
        }
    }
}

/// A set of classes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Classes {
    /// Post-submit and try.
    Both,
    /// One of them.
    Only(Class),
    /// Neither.
    Never,
}

impl Classes {
    /// Tells whether a class is in the set.
    #[must_use]
    pub fn has(self, class: Class) -> bool {
        matches!(self, Self::Both) || self == Self::Only(class)
    }

    fn of(text: Option<&str>) -> Self {
        match text {
            Some("both") => Self::Both,
            Some("post-submit") => Self::Only(Class::PostSubmit),
            Some("try" | "try-only") => Self::Only(Class::Try),
            _ => Self::Never,
        }
    }

    /// Gives the set as it is written.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Both => "both",
            Self::Only(class) => class.as_str(),
            Self::Never => "never",
        }
    }
}

/// What a condition is held against.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Subject<'a> {
    pub repo: &'a str,
    pub branch: &'a str,
    pub branch_version: Option<&'a Version>,
    pub toolchain_branch: &'a str,
    pub toolchain_version: Option<&'a Version>,
}

/// A condition: everything given must hold.
#[derive(Debug, Clone, Default)]
pub struct When {
    /// Repositories.
    pub repo: Patterns,
    /// Branches of the repository.
    pub branch: Patterns,
    /// Branches of the toolchain.
    pub toolchain_branch: Patterns,
    /// The version of the branch, at least and at most.
    pub branch_range: (Option<Version>, Option<Version>),
    /// The version of the toolchain's branch, at least and at most.
    pub toolchain_range: (Option<Version>, Option<Version>),
}

impl When {
    pub(crate) fn read(f: Fields<'_>) -> Self {
        Self {
            repo: f.patterns("repo"),
            branch: f.patterns("branch"),
            toolchain_branch: f.patterns("toolchain_branch"),
            branch_range: (f.version("branch_min"), f.version("branch_max")),
            toolchain_range: (f.version("toolchain_min"), f.version("toolchain_max")),
        }
    }

    pub(crate) fn holds(&self, subject: Subject<'_>) -> bool {
        self.repo.matches(subject.repo)
            && self.branch.matches(subject.branch)
            && self.toolchain_branch.matches(subject.toolchain_branch)
            && within(&self.branch_range, subject.branch_version)
            && within(&self.toolchain_range, subject.toolchain_version)
    }
}

/// A branch without a version is newer than all that have one.
fn within(range: &(Option<Version>, Option<Version>), version: Option<&Version>) -> bool {
    match version {
        None => range.1.is_none(),
        Some(v) => {
            range.0.as_ref().is_none_or(|min| v.at_least(min))
                && range.1.as_ref().is_none_or(|max| v.at_most(max))
        }
    }
}

/// A rule: a condition, and which classes are built where it holds.
#[derive(Debug, Clone)]
pub struct Rule {
    /// The condition.
    pub when: When,
    /// Builders it speaks of, by [`Builder::full_name`](crate::Builder::full_name); only in rules for all builders.
    pub builder: Patterns,
    /// What is built.
    pub build: Classes,
    /// Where it was said.
    pub at: Location,
}

impl Rule {
    pub(crate) fn read_all(f: Fields<'_>, key: &str, locate: &dyn Fn(&Node) -> Location) -> Vec<Self> {
        let rule = |(node, f): (&Node, Fields<'_>)| Self {
            when: When::read(f),
            builder: f.patterns("builder"),
            build: Classes::of(f.text("build")),
            at: locate(node),
        };
        f.tables(key).into_iter().map(rule).collect()
    }
}

/// Whether a builder builds changes under review.
#[derive(Debug, Clone, Default)]
pub enum TryPolicy {
    /// It does not.
    #[default]
    Never,
    /// It does.
    Always,
    /// It does where one of the conditions holds.
    Where(Vec<When>),
}

impl TryPolicy {
    pub(crate) fn read(f: Fields<'_>, key: &str) -> Self {
        match f.bool(key) {
            Some(true) => Self::Always,
            Some(false) => Self::Never,
            None if f.node(key).is_none() => Self::Never,
            None => Self::Where(f.tables(key).into_iter().map(|(_, f)| When::read(f)).collect()),
        }
    }

    pub(crate) fn holds(&self, subject: Subject<'_>) -> bool {
        match self {
            Self::Never => false,
            Self::Always => true,
            Self::Where(list) => list.iter().any(|when| when.holds(subject)),
        }
    }

    /// Tells whether there may be any change that it builds.
    #[must_use]
    pub fn ever(&self) -> bool {
        match self {
            Self::Never => false,
            Self::Always => true,
            Self::Where(list) => !list.is_empty(),
        }
    }
}
