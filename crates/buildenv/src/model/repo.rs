//! Watched repositories.

use std::time::Duration;

use crate::facts::Facts;
use crate::fields::Fields;
use crate::name::RepoName;
use crate::pattern::Patterns;
use crate::quantity::Version;
use crate::source::Location;

/// What a build gets of a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SourceKind {
    /// The bare tree.
    #[default]
    Archive,
    /// A shallow git repository.
    Git,
}

/// Who may see a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Visibility {
    /// All readers.
    #[default]
    Public,
    /// Developers only.
    Private,
}

/// One rule about which toolchain branches a branch is built against.
#[derive(Debug, Clone)]
pub struct Pair {
    /// Branches of the repository that the rule is for.
    pub branch: Patterns,
    /// Patterns of the toolchain's branches, with `{branch}` and `{version}` still in them.
    pub with: Vec<String>,
    /// Of the branches with a version, only so many of the newest.
    pub newest: Option<u32>,
    /// Where it was said.
    pub at: Location,
}

impl Pair {
    /// Gives the patterns for a branch of the repository, filled in.
    #[must_use]
    pub fn filled(&self, branch: &str) -> Vec<String> {
        let version = Version::within(branch).map_or_else(String::new, |v| v.to_string());
        self.with.iter().map(|w| w.replace("{branch}", branch).replace("{version}", &version)).collect()
    }
}

/// When the tree of a branch is open, throttled or closed, as far as nobody sets it by hand.
#[derive(Debug, Clone)]
pub struct TreeRules {
    /// Builders of which a red one closes it; empty means all.
    pub closers: Patterns,
    /// From this share of red builders on it is throttled, in percent.
    pub throttle_red: Option<u32>,
    /// With more waiting builds than this it is throttled.
    pub throttle_queued: Option<u32>,
}

impl TreeRules {
    fn read(f: Option<Fields<'_>>) -> Self {
        const THROTTLE_RED: u32 = 25;
        let Some(f) = f else {
            let (closers, throttle_red) = (Patterns::default(), Some(THROTTLE_RED));
            return Self { closers, throttle_red, throttle_queued: None };
        };
        let throttle_red = f.int("throttle_red").unwrap_or(THROTTLE_RED);
        Self {
            closers: f.patterns("closers"),
            throttle_red: (throttle_red > 0).then_some(throttle_red),
            throttle_queued: f.limit("throttle_queued"),
        }
    }
}

/// A watched git repository.
#[derive(Debug, Clone)]
pub struct Repo {
    /// Its name.
    pub name: RepoName,
    /// Where it is fetched from.
    pub url: String,
    /// Which branches are built; empty means the default branch only.
    pub branches: Patterns,
    /// The default branch, where it was given.
    pub default_branch: Option<String>,
    /// Repositories it is built against; the first is its toolchain.
    pub needs: Vec<RepoName>,
    /// Which toolchain branches a branch is built against.
    pub pairs: Vec<Pair>,
    /// Branches whose name holds a version.
    pub release_branches: Patterns,
    /// Its name on the original's API.
    pub import_path: Option<String>,
    /// The project of a Gerrit that has its changes, `HOST/PROJECT`.
    pub changes: Option<String>,
    /// The repository on GitHub that has its pull requests, `OWNER/REPO`.
    pub pulls: Option<String>,
    /// Who may have pull requests tried: logins, and `@ORG/TEAM`.
    pub try_by: Vec<String>,
    /// The label by which they ask.
    pub try_label: Option<String>,
    /// How many first-parent commits back empty cells are filled.
    pub horizon: u32,
    /// Where it is pushed to; empty when the environment pushes to no mirror.
    pub mirrors: Vec<String>,
    /// What a build gets.
    pub source: SourceKind,
    /// How often the remote is asked when nothing hints at a change.
    pub poll: Duration,
    /// Who may see it.
    pub visibility: Visibility,
    /// When its trees are open, throttled or closed.
    pub tree: TreeRules,
    /// Whether overview pages leave it off.
    pub hidden: bool,
    /// Free text for people.
    pub notes: String,
    /// Where it was said.
    pub at: Location,
    pub(crate) facts: Facts,
}

impl Repo {
    pub(crate) fn read(
        name: RepoName,
        f: Fields<'_>,
        at: Location,
        facts: Facts,
        locate: &dyn Fn(&crate::tree::Node) -> Location,
    ) -> Self {
        let pairs = f.tables("pairs").into_iter().map(|(node, p)| Pair {
            branch: p.patterns("branch"),
            with: p.texts("with"),
            newest: p.limit("newest"),
            at: locate(node),
        });
        let mut release_branches = f.patterns("release_branches");
        if f.node("release_branches").is_none() {
            release_branches =
                Patterns::of(["release-branch.*", "release-*", "release/*"]).unwrap_or_default();
        }
        Self {
            url: f.owned("url").unwrap_or_default(),
            branches: f.patterns("branches"),
            default_branch: f.owned("default_branch"),
            needs: f.names("needs"),
            pairs: pairs.collect(),
            release_branches,
            import_path: f.owned("import_path"),
            changes: f.owned("changes"),
            pulls: f.owned("pulls"),
            try_by: f.texts("try_by"),
            try_label: f.owned("try_label"),
            horizon: f.int("horizon").unwrap_or(20),
            mirrors: f.texts("mirrors"),
            source: if f.text("source") == Some("git") { SourceKind::Git } else { SourceKind::Archive },
            poll: f.duration("poll").unwrap_or(Duration::from_secs(60)),
            visibility: match f.text("visibility") {
                Some("private") => Visibility::Private,
                _ => Visibility::Public,
            },
            tree: TreeRules::read(f.table("tree")),
            hidden: f.flag("hidden"),
            notes: f.owned("notes").unwrap_or_default(),
            name,
            at,
            facts,
        }
    }

    /// Tells whether a branch is built; `default` is the repository's default branch.
    #[must_use]
    pub fn builds_branch(&self, branch: &str, default: Option<&str>) -> bool {
        if self.branches.is_empty() {
            return Some(branch) == default.or(self.default_branch.as_deref());
        }
        self.branches.matches(branch)
    }

    /// Gives the version in a branch's name, if it is a release branch.
    #[must_use]
    pub fn version_of(&self, branch: &str) -> Option<Version> {
        if self.release_branches.matches(branch) { Version::within(branch) } else { None }
    }
}
