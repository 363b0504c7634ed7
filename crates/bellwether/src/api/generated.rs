// Made from docs/openapi.json by `BELLWETHER_BLESS=1 cargo test -p xtask client`. Not to be edited.

//! Every operation of the API as a typed call. Long because there are that many.

use access::*;
use axum::body::Body;
use coordinator::*;
use dashboard::api::*;
use gitmirror::*;
use http::Method;

use super::{Answer, Client, MaintnerStanding, MirrorState, Query, Reloaded};

/// Query of [`Client::put_artifact`].
#[derive(Debug, Clone, Default)]
pub struct PutArtifactQuery {
    /// The owner's fencing token.
    pub fence: i64,
    /// The digest of what is sent, hexadecimal.
    pub sha256: String,
}

impl PutArtifactQuery {
    fn add_to(&self, path: String) -> String {
        let mut query = Query::of(path);
        query.add("fence", Some(&self.fence));
        query.add("sha256", Some(&self.sha256));
        query.text()
    }
}

/// Query of [`Client::get_attempt_log`].
#[derive(Debug, Clone, Default)]
pub struct GetAttemptLogQuery {
    /// Whether to go on with what is written until the log is finished.
    pub follow: Option<bool>,
    /// The first byte.
    pub from: Option<u64>,
    /// The first line, counted from 0; instead of bytes.
    pub line: Option<u64>,
    /// How many lines; all if not given.
    pub lines: Option<u64>,
    /// The first byte that is not wanted any more.
    pub to: Option<u64>,
}

impl GetAttemptLogQuery {
    fn add_to(&self, path: String) -> String {
        let mut query = Query::of(path);
        query.add("follow", self.follow.as_ref());
        query.add("from", self.from.as_ref());
        query.add("line", self.line.as_ref());
        query.add("lines", self.lines.as_ref());
        query.add("to", self.to.as_ref());
        query.text()
    }
}

/// Query of [`Client::follow_attempt_log`].
#[derive(Debug, Clone, Default)]
pub struct FollowAttemptLogQuery {
    /// The first byte, for who has no `Last-Event-ID`.
    pub from: Option<u64>,
}

impl FollowAttemptLogQuery {
    fn add_to(&self, path: String) -> String {
        let mut query = Query::of(path);
        query.add("from", self.from.as_ref());
        query.text()
    }
}

/// Query of [`Client::finish_log`].
#[derive(Debug, Clone, Default)]
pub struct FinishLogQuery {
    /// The owner's fencing token.
    pub fence: u64,
}

impl FinishLogQuery {
    fn add_to(&self, path: String) -> String {
        let mut query = Query::of(path);
        query.add("fence", Some(&self.fence));
        query.text()
    }
}

/// Query of [`Client::open_log`].
#[derive(Debug, Clone, Default)]
pub struct OpenLogQuery {
    /// The attempt's build.
    pub build: String,
    /// The owner's fencing token.
    pub fence: u64,
}

impl OpenLogQuery {
    fn add_to(&self, path: String) -> String {
        let mut query = Query::of(path);
        query.add("build", Some(&self.build));
        query.add("fence", Some(&self.fence));
        query.text()
    }
}

/// Query of [`Client::search_attempt_log`].
#[derive(Debug, Clone, Default)]
pub struct SearchAttemptLogQuery {
    /// At most so many lines, 100 if not given.
    pub limit: Option<u32>,
    /// What is searched for.
    pub q: String,
    /// Whether that is a regular expression.
    pub regex: Option<bool>,
}

impl SearchAttemptLogQuery {
    fn add_to(&self, path: String) -> String {
        let mut query = Query::of(path);
        query.add("limit", self.limit.as_ref());
        query.add("q", Some(&self.q));
        query.add("regex", self.regex.as_ref());
        query.text()
    }
}

/// Query of [`Client::put_log_chunk`].
#[derive(Debug, Clone, Default)]
pub struct PutLogChunkQuery {
    /// The owner's fencing token.
    pub fence: u64,
    /// Offset of the chunk's first byte in the log.
    pub first_byte: u64,
    /// How far the worker's own output is in the log with it.
    pub raw_end: u64,
}

impl PutLogChunkQuery {
    fn add_to(&self, path: String) -> String {
        let mut query = Query::of(path);
        query.add("fence", Some(&self.fence));
        query.add("first_byte", Some(&self.first_byte));
        query.add("raw_end", Some(&self.raw_end));
        query.text()
    }
}

/// Query of [`Client::put_tests`].
#[derive(Debug, Clone, Default)]
pub struct PutTestsQuery {
    /// The owner's fencing token.
    pub fence: i64,
}

impl PutTestsQuery {
    fn add_to(&self, path: String) -> String {
        let mut query = Query::of(path);
        query.add("fence", Some(&self.fence));
        query.text()
    }
}

/// Query of [`Client::read_tests`].
#[derive(Debug, Clone, Default)]
pub struct ReadTestsQuery {
    /// The owner's fencing token.
    pub fence: i64,
}

impl ReadTestsQuery {
    fn add_to(&self, path: String) -> String {
        let mut query = Query::of(path);
        query.add("fence", Some(&self.fence));
        query.text()
    }
}

/// Query of [`Client::list_audit`].
#[derive(Debug, Clone, Default)]
pub struct ListAuditQuery {
    /// Rows with lower numbers.
    pub before: Option<i64>,
    /// At most so many rows, 100 if not given.
    pub limit: Option<u32>,
    /// A repo, or another word of what it was done to.
    pub target: Option<String>,
    /// Whether the chain is checked though it is long.
    pub verify: Option<String>,
    /// The word of what was done.
    pub what: Option<String>,
    /// Who.
    pub who: Option<String>,
}

impl ListAuditQuery {
    fn add_to(&self, path: String) -> String {
        let mut query = Query::of(path);
        query.add("before", self.before.as_ref());
        query.add("limit", self.limit.as_ref());
        query.add("target", self.target.as_ref());
        query.add("verify", self.verify.as_ref());
        query.add("what", self.what.as_ref());
        query.add("who", self.who.as_ref());
        query.text()
    }
}

/// Query of [`Client::list_bisections`].
#[derive(Debug, Clone, Default)]
pub struct ListBisectionsQuery {
    /// `next_cursor` of the list before.
    pub cursor: Option<String>,
    /// At most so many, 50 if not given, never more than 500.
    pub limit: Option<u32>,
}

impl ListBisectionsQuery {
    fn add_to(&self, path: String) -> String {
        let mut query = Query::of(path);
        query.add("cursor", self.cursor.as_ref());
        query.add("limit", self.limit.as_ref());
        query.text()
    }
}

/// Query of [`Client::list_builds`].
#[derive(Debug, Clone, Default)]
pub struct ListBuildsQuery {
    /// Of this branch.
    pub branch: Option<String>,
    /// Of this builder.
    pub builder: Option<String>,
    /// Of this commit of the repo (40 digits).
    pub commit: Option<String>,
    /// `next_cursor` of the list before.
    pub cursor: Option<String>,
    /// At most so many, 50 if not given, never more than 1000.
    pub limit: Option<u32>,
    /// Ended like this.
    pub outcome: Option<Outcome>,
    /// Of this repo.
    pub repo: Option<String>,
    /// As far as this.
    pub state: Option<BuildState>,
}

impl ListBuildsQuery {
    fn add_to(&self, path: String) -> String {
        let mut query = Query::of(path);
        query.add("branch", self.branch.as_ref());
        query.add("builder", self.builder.as_ref());
        query.add("commit", self.commit.as_ref());
        query.add("cursor", self.cursor.as_ref());
        query.add("limit", self.limit.as_ref());
        query.add("outcome", self.outcome.as_ref());
        query.add("repo", self.repo.as_ref());
        query.add("state", self.state.as_ref());
        query.text()
    }
}

/// Query of [`Client::get_build_log`].
#[derive(Debug, Clone, Default)]
pub struct GetBuildLogQuery {
    /// Whether to go on with what is written until the log is finished.
    pub follow: Option<bool>,
    /// The first byte.
    pub from: Option<u64>,
    /// The first line, counted from 0; instead of bytes.
    pub line: Option<u64>,
    /// How many lines; all if not given.
    pub lines: Option<u64>,
    /// The first byte that is not wanted any more.
    pub to: Option<u64>,
}

impl GetBuildLogQuery {
    fn add_to(&self, path: String) -> String {
        let mut query = Query::of(path);
        query.add("follow", self.follow.as_ref());
        query.add("from", self.from.as_ref());
        query.add("line", self.line.as_ref());
        query.add("lines", self.lines.as_ref());
        query.add("to", self.to.as_ref());
        query.text()
    }
}

/// Query of [`Client::follow_build_log`].
#[derive(Debug, Clone, Default)]
pub struct FollowBuildLogQuery {
    /// The first byte, for who has no `Last-Event-ID`.
    pub from: Option<u64>,
}

impl FollowBuildLogQuery {
    fn add_to(&self, path: String) -> String {
        let mut query = Query::of(path);
        query.add("from", self.from.as_ref());
        query.text()
    }
}

/// Query of [`Client::search_build_log`].
#[derive(Debug, Clone, Default)]
pub struct SearchBuildLogQuery {
    /// At most so many lines, 100 if not given.
    pub limit: Option<u32>,
    /// What is searched for.
    pub q: String,
    /// Whether that is a regular expression.
    pub regex: Option<bool>,
}

impl SearchBuildLogQuery {
    fn add_to(&self, path: String) -> String {
        let mut query = Query::of(path);
        query.add("limit", self.limit.as_ref());
        query.add("q", Some(&self.q));
        query.add("regex", self.regex.as_ref());
        query.text()
    }
}

/// Query of [`Client::get_cells`].
#[derive(Debug, Clone, Default)]
pub struct GetCellsQuery {
    /// Only commits in whose author's name or address this is.
    pub author: Option<String>,
    /// Commits older than this place.
    pub before: Option<i64>,
    /// The branch; the default one if not given.
    pub branch: Option<String>,
    /// Only builders that a pattern with `*`, or a part of their name, fits.
    pub builder: Option<String>,
    /// The first column.
    pub column: Option<u64>,
    /// Whether builders that the configuration leaves out have columns.
    pub left_out: Option<bool>,
    /// Commits, 30 if not given.
    pub limit: Option<u32>,
    /// Repo and branch in one, with a space between, as the form's list has them.
    pub on: Option<String>,
    /// The repo; the first one with commits if not given.
    pub repo: Option<String>,
    /// Only cells in this state.
    pub state: Option<String>,
}

impl GetCellsQuery {
    fn add_to(&self, path: String) -> String {
        let mut query = Query::of(path);
        query.add("author", self.author.as_ref());
        query.add("before", self.before.as_ref());
        query.add("branch", self.branch.as_ref());
        query.add("builder", self.builder.as_ref());
        query.add("column", self.column.as_ref());
        query.add("left_out", self.left_out.as_ref());
        query.add("limit", self.limit.as_ref());
        query.add("on", self.on.as_ref());
        query.add("repo", self.repo.as_ref());
        query.add("state", self.state.as_ref());
        query.text()
    }
}

/// Query of [`Client::list_empty_cells`].
#[derive(Debug, Clone, Default)]
pub struct ListEmptyCellsQuery {
    /// At most so many, 100 if not given.
    pub limit: Option<u32>,
}

impl ListEmptyCellsQuery {
    fn add_to(&self, path: String) -> String {
        let mut query = Query::of(path);
        query.add("limit", self.limit.as_ref());
        query.text()
    }
}

/// Query of [`Client::follow_events`].
#[derive(Debug, Clone, Default)]
pub struct FollowEventsQuery {
    /// The number of the last event that was seen, for who has no `Last-Event-ID`; 0 for all that is kept.
    pub after: Option<u64>,
    /// Only of builds on this builder.
    pub builder: Option<String>,
    /// Whether to wait for more; if not, the answer ends with what there is. Yes, if not given.
    pub follow: Option<bool>,
    /// Only of this repo.
    pub repo: Option<String>,
}

impl FollowEventsQuery {
    fn add_to(&self, path: String) -> String {
        let mut query = Query::of(path);
        query.add("after", self.after.as_ref());
        query.add("builder", self.builder.as_ref());
        query.add("follow", self.follow.as_ref());
        query.add("repo", self.repo.as_ref());
        query.text()
    }
}

/// Query of [`Client::get_expected`].
#[derive(Debug, Clone, Default)]
pub struct GetExpectedQuery {
    /// The builder's name.
    pub builder: String,
    /// The recipe's digest; of every recipe if not given.
    pub recipe: Option<String>,
    /// The repo.
    pub repo: String,
}

impl GetExpectedQuery {
    fn add_to(&self, path: String) -> String {
        let mut query = Query::of(path);
        query.add("builder", Some(&self.builder));
        query.add("recipe", self.recipe.as_ref());
        query.add("repo", Some(&self.repo));
        query.text()
    }
}

/// Query of [`Client::search_logs`].
#[derive(Debug, Clone, Default)]
pub struct SearchLogsQuery {
    /// Of this branch.
    pub branch: Option<String>,
    /// Of this builder.
    pub builder: Option<String>,
    /// So many lines around each that was found, none if not given, 20 at most.
    pub context: Option<u32>,
    /// `next_cursor` of the answer before.
    pub cursor: Option<String>,
    /// At most so many logs, 20 if not given.
    pub limit: Option<u32>,
    /// At most so many lines of one log, 20 if not given.
    pub lines: Option<u32>,
    /// A regular expression: logs with a line that it fits are left out.
    pub omit: Option<String>,
    /// Of builds that ended like this.
    pub outcome: Option<Outcome>,
    /// Regular expressions, one a line; a log needs a line for each. At most 10, of 1000 characters together.
    pub q: String,
    /// Of builds of this repo.
    pub repo: Option<String>,
    /// Of builds that were made then or later.
    pub since: Option<String>,
}

impl SearchLogsQuery {
    fn add_to(&self, path: String) -> String {
        let mut query = Query::of(path);
        query.add("branch", self.branch.as_ref());
        query.add("builder", self.builder.as_ref());
        query.add("context", self.context.as_ref());
        query.add("cursor", self.cursor.as_ref());
        query.add("limit", self.limit.as_ref());
        query.add("lines", self.lines.as_ref());
        query.add("omit", self.omit.as_ref());
        query.add("outcome", self.outcome.as_ref());
        query.add("q", Some(&self.q));
        query.add("repo", self.repo.as_ref());
        query.add("since", self.since.as_ref());
        query.text()
    }
}

/// Query of [`Client::list_tries`].
#[derive(Debug, Clone, Default)]
pub struct ListTriesQuery {
    /// `next_cursor` of the list before.
    pub cursor: Option<String>,
    /// At most so many, 50 if not given, never more than 500.
    pub limit: Option<u32>,
    /// Of this change, as its forge names it: of a Gerrit `SERVER/PROJECT~NUMBER`, of GitHub `github.com/OWNER/REPO#NUMBER`.
    pub review: Option<String>,
}

impl ListTriesQuery {
    fn add_to(&self, path: String) -> String {
        let mut query = Query::of(path);
        query.add("cursor", self.cursor.as_ref());
        query.add("limit", self.limit.as_ref());
        query.add("review", self.review.as_ref());
        query.text()
    }
}

/// Query of [`Client::get_audit_page`].
#[derive(Debug, Clone, Default)]
pub struct GetAuditPageQuery {
    /// Rows with lower numbers.
    pub before: Option<i64>,
    /// At most so many rows, 100 if not given.
    pub limit: Option<u32>,
    /// A repo, or another word of what it was done to.
    pub target: Option<String>,
    /// Whether the chain is checked though it is long.
    pub verify: Option<String>,
    /// The word of what was done.
    pub what: Option<String>,
    /// Who.
    pub who: Option<String>,
}

impl GetAuditPageQuery {
    fn add_to(&self, path: String) -> String {
        let mut query = Query::of(path);
        query.add("before", self.before.as_ref());
        query.add("limit", self.limit.as_ref());
        query.add("target", self.target.as_ref());
        query.add("verify", self.verify.as_ref());
        query.add("what", self.what.as_ref());
        query.add("who", self.who.as_ref());
        query.text()
    }
}

/// Query of [`Client::get_bisections_page`].
#[derive(Debug, Clone, Default)]
pub struct GetBisectionsPageQuery {
    /// `next_cursor` of the list before.
    pub cursor: Option<String>,
    /// At most so many, 50 if not given, never more than 500.
    pub limit: Option<u32>,
}

impl GetBisectionsPageQuery {
    fn add_to(&self, path: String) -> String {
        let mut query = Query::of(path);
        query.add("cursor", self.cursor.as_ref());
        query.add("limit", self.limit.as_ref());
        query.text()
    }
}

/// Query of [`Client::get_builder_page`].
#[derive(Debug, Clone, Default)]
pub struct GetBuilderPageQuery {
    /// Of this branch.
    pub branch: Option<String>,
    /// Of this builder, where the path names none.
    pub builder: Option<String>,
    /// `next_cursor` of the list before.
    pub cursor: Option<String>,
    /// Ended like this.
    pub outcome: Option<String>,
    /// Of this repo.
    pub repo: Option<String>,
    /// As far as this.
    pub state: Option<String>,
}

impl GetBuilderPageQuery {
    fn add_to(&self, path: String) -> String {
        let mut query = Query::of(path);
        query.add("branch", self.branch.as_ref());
        query.add("builder", self.builder.as_ref());
        query.add("cursor", self.cursor.as_ref());
        query.add("outcome", self.outcome.as_ref());
        query.add("repo", self.repo.as_ref());
        query.add("state", self.state.as_ref());
        query.text()
    }
}

/// Query of [`Client::get_builds_page`].
#[derive(Debug, Clone, Default)]
pub struct GetBuildsPageQuery {
    /// Of this branch.
    pub branch: Option<String>,
    /// Of this builder.
    pub builder: Option<String>,
    /// Of this commit of the repo (40 digits).
    pub commit: Option<String>,
    /// `next_cursor` of the list before.
    pub cursor: Option<String>,
    /// At most so many, 50 if not given, never more than 1000.
    pub limit: Option<u32>,
    /// Ended like this.
    pub outcome: Option<Outcome>,
    /// Of this repo.
    pub repo: Option<String>,
    /// As far as this.
    pub state: Option<BuildState>,
}

impl GetBuildsPageQuery {
    fn add_to(&self, path: String) -> String {
        let mut query = Query::of(path);
        query.add("branch", self.branch.as_ref());
        query.add("builder", self.builder.as_ref());
        query.add("commit", self.commit.as_ref());
        query.add("cursor", self.cursor.as_ref());
        query.add("limit", self.limit.as_ref());
        query.add("outcome", self.outcome.as_ref());
        query.add("repo", self.repo.as_ref());
        query.add("state", self.state.as_ref());
        query.text()
    }
}

/// Query of [`Client::list_build_tests`].
#[derive(Debug, Clone, Default)]
pub struct ListBuildTestsQuery {
    /// `next_cursor` of the list before.
    pub cursor: Option<String>,
    /// Ended like this: `failed`, `unfinished`, `skipped`, `ok`.
    pub outcome: Option<String>,
    /// With this in their name, whatever its case.
    pub q: Option<String>,
}

impl ListBuildTestsQuery {
    fn add_to(&self, path: String) -> String {
        let mut query = Query::of(path);
        query.add("cursor", self.cursor.as_ref());
        query.add("outcome", self.outcome.as_ref());
        query.add("q", self.q.as_ref());
        query.text()
    }
}

/// Query of [`Client::list_failures`].
#[derive(Debug, Clone, Default)]
pub struct ListFailuresQuery {
    /// Of this repo.
    pub repo: Option<String>,
}

impl ListFailuresQuery {
    fn add_to(&self, path: String) -> String {
        let mut query = Query::of(path);
        query.add("repo", self.repo.as_ref());
        query.text()
    }
}

/// Query of [`Client::get_grid`].
#[derive(Debug, Clone, Default)]
pub struct GetGridQuery {
    /// Only commits in whose author's name or address this is.
    pub author: Option<String>,
    /// Commits older than this place.
    pub before: Option<i64>,
    /// The branch; the default one if not given.
    pub branch: Option<String>,
    /// Only builders that a pattern with `*`, or a part of their name, fits.
    pub builder: Option<String>,
    /// The first column.
    pub column: Option<u64>,
    /// Whether builders that the configuration leaves out have columns.
    pub left_out: Option<bool>,
    /// Commits, 30 if not given.
    pub limit: Option<u32>,
    /// Repo and branch in one, with a space between, as the form's list has them.
    pub on: Option<String>,
    /// The repo; the first one with commits if not given.
    pub repo: Option<String>,
    /// Only cells in this state.
    pub state: Option<String>,
}

impl GetGridQuery {
    fn add_to(&self, path: String) -> String {
        let mut query = Query::of(path);
        query.add("author", self.author.as_ref());
        query.add("before", self.before.as_ref());
        query.add("branch", self.branch.as_ref());
        query.add("builder", self.builder.as_ref());
        query.add("column", self.column.as_ref());
        query.add("left_out", self.left_out.as_ref());
        query.add("limit", self.limit.as_ref());
        query.add("on", self.on.as_ref());
        query.add("repo", self.repo.as_ref());
        query.add("state", self.state.as_ref());
        query.text()
    }
}

/// Query of [`Client::is_ancestor`].
#[derive(Debug, Clone, Default)]
pub struct IsAncestorQuery {
    /// The one that may be in the history of the other.
    pub ancestor: String,
    /// The other.
    pub commit: String,
}

impl IsAncestorQuery {
    fn add_to(&self, path: String) -> String {
        let mut query = Query::of(path);
        query.add("ancestor", Some(&self.ancestor));
        query.add("commit", Some(&self.commit));
        query.text()
    }
}

/// Query of [`Client::get_bundle`].
#[derive(Debug, Clone, Default)]
pub struct GetBundleQuery {
    /// How many commits, 50 if not given; 0 for all.
    pub depth: Option<u32>,
    /// A branch, a tag or a commit.
    pub rev: String,
}

impl GetBundleQuery {
    fn add_to(&self, path: String) -> String {
        let mut query = Query::of(path);
        query.add("depth", self.depth.as_ref());
        query.add("rev", Some(&self.rev));
        query.text()
    }
}

/// Query of [`Client::put_bundle`].
#[derive(Debug, Clone, Default)]
pub struct PutBundleQuery {
    /// The commit.
    pub commit: String,
}

impl PutBundleQuery {
    fn add_to(&self, path: String) -> String {
        let mut query = Query::of(path);
        query.add("commit", Some(&self.commit));
        query.text()
    }
}

/// Query of [`Client::get_file`].
#[derive(Debug, Clone, Default)]
pub struct GetFileQuery {
    /// Its path from the top.
    pub path: String,
    /// A branch, a tag or a commit.
    pub rev: String,
}

impl GetFileQuery {
    fn add_to(&self, path: String) -> String {
        let mut query = Query::of(path);
        query.add("path", Some(&self.path));
        query.add("rev", Some(&self.rev));
        query.text()
    }
}

/// Query of [`Client::hint_mirror`].
#[derive(Debug, Clone, Default)]
pub struct HintMirrorQuery {
    /// `1` answers after the round.
    pub wait: Option<String>,
}

impl HintMirrorQuery {
    fn add_to(&self, path: String) -> String {
        let mut query = Query::of(path);
        query.add("wait", self.wait.as_ref());
        query.text()
    }
}

/// Query of [`Client::is_landed`].
#[derive(Debug, Clone, Default)]
pub struct IsLandedQuery {
    /// A branch, a tag or a commit.
    pub commit: String,
}

impl IsLandedQuery {
    fn add_to(&self, path: String) -> String {
        let mut query = Query::of(path);
        query.add("commit", Some(&self.commit));
        query.text()
    }
}

/// Query of [`Client::merge_commits`].
#[derive(Debug, Clone, Default)]
pub struct MergeCommitsQuery {
    /// The one that comes.
    pub commit: String,
    /// The one that is there.
    pub onto: String,
}

impl MergeCommitsQuery {
    fn add_to(&self, path: String) -> String {
        let mut query = Query::of(path);
        query.add("commit", Some(&self.commit));
        query.add("onto", Some(&self.onto));
        query.text()
    }
}

/// Query of [`Client::get_parents`].
#[derive(Debug, Clone, Default)]
pub struct GetParentsQuery {
    /// A branch, a tag or a commit.
    pub rev: String,
}

impl GetParentsQuery {
    fn add_to(&self, path: String) -> String {
        let mut query = Query::of(path);
        query.add("rev", Some(&self.rev));
        query.text()
    }
}

/// Query of [`Client::resolve_revision`].
#[derive(Debug, Clone, Default)]
pub struct ResolveRevisionQuery {
    /// A branch, a tag or a commit.
    pub rev: String,
}

impl ResolveRevisionQuery {
    fn add_to(&self, path: String) -> String {
        let mut query = Query::of(path);
        query.add("rev", Some(&self.rev));
        query.text()
    }
}

/// Query of [`Client::list_submodules`].
#[derive(Debug, Clone, Default)]
pub struct ListSubmodulesQuery {
    /// A branch, a tag or a commit.
    pub rev: String,
}

impl ListSubmodulesQuery {
    fn add_to(&self, path: String) -> String {
        let mut query = Query::of(path);
        query.add("rev", Some(&self.rev));
        query.text()
    }
}

/// Query of [`Client::list_tree`].
#[derive(Debug, Clone, Default)]
pub struct ListTreeQuery {
    /// A branch, a tag or a commit.
    pub rev: String,
}

impl ListTreeQuery {
    fn add_to(&self, path: String) -> String {
        let mut query = Query::of(path);
        query.add("rev", Some(&self.rev));
        query.text()
    }
}

/// Query of [`Client::get_statistics`].
#[derive(Debug, Clone, Default)]
pub struct GetStatisticsQuery {
    /// Only builders that a pattern with `*`, or a part of their name, fits.
    pub builder: Option<String>,
    /// How many days back, 7 if not given.
    pub days: Option<u32>,
    /// Of this repo.
    pub repo: Option<String>,
}

impl GetStatisticsQuery {
    fn add_to(&self, path: String) -> String {
        let mut query = Query::of(path);
        query.add("builder", self.builder.as_ref());
        query.add("days", self.days.as_ref());
        query.add("repo", self.repo.as_ref());
        query.text()
    }
}

/// Query of [`Client::list_statistics_by_day`].
#[derive(Debug, Clone, Default)]
pub struct ListStatisticsByDayQuery {
    /// Only builders that a pattern with `*`, or a part of their name, fits.
    pub builder: Option<String>,
    /// How many days back, 7 if not given.
    pub days: Option<u32>,
    /// Of this repo.
    pub repo: Option<String>,
}

impl ListStatisticsByDayQuery {
    fn add_to(&self, path: String) -> String {
        let mut query = Query::of(path);
        query.add("builder", self.builder.as_ref());
        query.add("days", self.days.as_ref());
        query.add("repo", self.repo.as_ref());
        query.text()
    }
}

/// Query of [`Client::list_statistics_of_machines`].
#[derive(Debug, Clone, Default)]
pub struct ListStatisticsOfMachinesQuery {
    /// How many days back, 7 if not given.
    pub days: Option<u32>,
    /// Only machines whose name, or `HOST/NAME`, a pattern with `*`, or a part of it, fits.
    pub machine: Option<String>,
    /// At builds of this repo.
    pub repo: Option<String>,
}

impl ListStatisticsOfMachinesQuery {
    fn add_to(&self, path: String) -> String {
        let mut query = Query::of(path);
        query.add("days", self.days.as_ref());
        query.add("machine", self.machine.as_ref());
        query.add("repo", self.repo.as_ref());
        query.text()
    }
}

/// Query of [`Client::list_test_runs`].
#[derive(Debug, Clone, Default)]
pub struct ListTestRunsQuery {
    /// On this builder; on all if not given.
    pub builder: Option<String>,
    /// `cursor` of the last run of the list before.
    pub cursor: Option<String>,
    /// The test's name.
    pub id: String,
    /// Of this repo.
    pub repo: String,
}

impl ListTestRunsQuery {
    fn add_to(&self, path: String) -> String {
        let mut query = Query::of(path);
        query.add("builder", self.builder.as_ref());
        query.add("cursor", self.cursor.as_ref());
        query.add("id", Some(&self.id));
        query.add("repo", Some(&self.repo));
        query.text()
    }
}

/// Query of [`Client::find_tests`].
#[derive(Debug, Clone, Default)]
pub struct FindTestsQuery {
    /// `next_cursor` of the list before.
    pub cursor: Option<String>,
    /// With this in their name, whatever its case.
    pub q: Option<String>,
    /// Tests of this repo.
    pub repo: Option<String>,
    /// Instead: failures with this signature.
    pub signature: Option<String>,
}

impl FindTestsQuery {
    fn add_to(&self, path: String) -> String {
        let mut query = Query::of(path);
        query.add("cursor", self.cursor.as_ref());
        query.add("q", self.q.as_ref());
        query.add("repo", self.repo.as_ref());
        query.add("signature", self.signature.as_ref());
        query.text()
    }
}

/// Query of [`Client::get_test_grid`].
#[derive(Debug, Clone, Default)]
pub struct GetTestGridQuery {
    /// Of this branch; of all if not given.
    pub branch: Option<String>,
    /// On this builder.
    pub builder: Option<String>,
    /// Tests with this in their name; those that failed in one of the builds if not given.
    pub q: Option<String>,
    /// Builds of this repo.
    pub repo: Option<String>,
}

impl GetTestGridQuery {
    fn add_to(&self, path: String) -> String {
        let mut query = Query::of(path);
        query.add("branch", self.branch.as_ref());
        query.add("builder", self.builder.as_ref());
        query.add("q", self.q.as_ref());
        query.add("repo", self.repo.as_ref());
        query.text()
    }
}

/// Query of [`Client::get_tries_page`].
#[derive(Debug, Clone, Default)]
pub struct GetTriesPageQuery {
    /// `next_cursor` of the list before.
    pub cursor: Option<String>,
    /// At most so many, 50 if not given, never more than 500.
    pub limit: Option<u32>,
    /// Of this change, as its forge names it: of a Gerrit `SERVER/PROJECT~NUMBER`, of GitHub `github.com/OWNER/REPO#NUMBER`.
    pub review: Option<String>,
}

impl GetTriesPageQuery {
    fn add_to(&self, path: String) -> String {
        let mut query = Query::of(path);
        query.add("cursor", self.cursor.as_ref());
        query.add("limit", self.limit.as_ref());
        query.add("review", self.review.as_ref());
        query.text()
    }
}

impl Client {
    /// Lists what is wrong with machines and builders, and what was. `GET /api/v1/alarms`
    pub async fn list_alarms(&self) -> Answer<AlarmList> {
        let path = format!("/api/v1/alarms");
        self.call(Method::GET, &path, None::<&()>).await
    }

    /// Reads an artefact. `GET /api/v1/attempts/{attempt}/artifacts/{name}`
    pub async fn get_artifact(&self, attempt: &str, name: &str) -> Answer<Body> {
        let path = format!(
            "/api/v1/attempts/{}/artifacts/{}",
            transport::segment(attempt),
            transport::segment(name)
        );
        self.bytes(Method::GET, &path, &[]).await
    }

    /// Stores an artefact; refused as `digest` if its content has another. `PUT /api/v1/attempts/{attempt}/artifacts/{name}`
    pub async fn put_artifact(
        &self,
        attempt: &str,
        name: &str,
        query: &PutArtifactQuery,
        body: Body,
    ) -> Answer<Artifact> {
        let path = query.add_to(format!(
            "/api/v1/attempts/{}/artifacts/{}",
            transport::segment(attempt),
            transport::segment(name)
        ));
        self.send(Method::PUT, &path, body).await
    }

    /// Reads the log of an attempt: bytes, or lines, or all. `GET /api/v1/attempts/{attempt}/log`
    pub async fn get_attempt_log(&self, attempt: &str, query: &GetAttemptLogQuery) -> Answer<Body> {
        let path = query.add_to(format!("/api/v1/attempts/{}/log", transport::segment(attempt)));
        self.bytes(Method::GET, &path, &[]).await
    }

    /// Sends the log of an attempt as it is written. `GET /api/v1/attempts/{attempt}/log/events`
    pub async fn follow_attempt_log(
        &self,
        attempt: &str,
        query: &FollowAttemptLogQuery,
        last_event_id: Option<&str>,
    ) -> Answer<Body> {
        let path = query.add_to(format!("/api/v1/attempts/{}/log/events", transport::segment(attempt)));
        self.bytes(Method::GET, &path, &[("last-event-id", last_event_id)]).await
    }

    /// Says that an attempt's log is whole. `POST /api/v1/attempts/{attempt}/log/finish`
    pub async fn finish_log(&self, attempt: &str, query: &FinishLogQuery) -> Answer<LogState> {
        let path = query.add_to(format!("/api/v1/attempts/{}/log/finish", transport::segment(attempt)));
        self.call(Method::POST, &path, None::<&()>).await
    }

    /// Says what is known of the log of an attempt. `GET /api/v1/attempts/{attempt}/log/info`
    pub async fn get_attempt_log_info(&self, attempt: &str) -> Answer<LogInfo> {
        let path = format!("/api/v1/attempts/{}/log/info", transport::segment(attempt));
        self.call(Method::GET, &path, None::<&()>).await
    }

    /// Opens an attempt's log for a fence; chunks of lower ones are refused then. `POST /api/v1/attempts/{attempt}/log/open`
    pub async fn open_log(&self, attempt: &str, query: &OpenLogQuery) -> Answer<LogState> {
        let path = query.add_to(format!("/api/v1/attempts/{}/log/open", transport::segment(attempt)));
        self.call(Method::POST, &path, None::<&()>).await
    }

    /// Finds lines of the log of an attempt. `GET /api/v1/attempts/{attempt}/log/search`
    pub async fn search_attempt_log(
        &self,
        attempt: &str,
        query: &SearchAttemptLogQuery,
    ) -> Answer<LogSearch> {
        let path = query.add_to(format!("/api/v1/attempts/{}/log/search", transport::segment(attempt)));
        self.call(Method::GET, &path, None::<&()>).await
    }

    /// Writes a chunk of a log. The same chunk again is fine. `PUT /api/v1/attempts/{attempt}/log/{n}`
    pub async fn put_log_chunk(
        &self,
        attempt: &str,
        n: u64,
        query: &PutLogChunkQuery,
        body: Body,
    ) -> Answer<LogState> {
        let path = query.add_to(format!("/api/v1/attempts/{}/log/{}", transport::segment(attempt), n));
        self.send(Method::PUT, &path, body).await
    }

    /// Writes an attempt's test results, replacing those of the same name. `PUT /api/v1/attempts/{attempt}/tests`
    pub async fn put_tests(&self, attempt: &str, query: &PutTestsQuery, body: &TestList) -> Answer<()> {
        let path = query.add_to(format!("/api/v1/attempts/{}/tests", transport::segment(attempt)));
        self.call(Method::PUT, &path, Some(body)).await
    }

    /// Reads an attempt's log for results of tests, and writes them. `POST /api/v1/attempts/{attempt}/tests/read`
    pub async fn read_tests(
        &self,
        attempt: &str,
        query: &ReadTestsQuery,
        body: &TestSource,
    ) -> Answer<TestsRead> {
        let path = query.add_to(format!("/api/v1/attempts/{}/tests/read", transport::segment(attempt)));
        self.call(Method::POST, &path, Some(body)).await
    }

    /// Lists who did what, the newest first. `GET /api/v1/audit`
    pub async fn list_audit(&self, query: &ListAuditQuery) -> Answer<AuditList> {
        let path = query.add_to(format!("/api/v1/audit"));
        self.call(Method::GET, &path, None::<&()>).await
    }

    /// Lists bisections, the newest first. `GET /api/v1/bisections`
    pub async fn list_bisections(&self, query: &ListBisectionsQuery) -> Answer<BisectionList> {
        let path = query.add_to(format!("/api/v1/bisections"));
        self.call(Method::GET, &path, None::<&()>).await
    }

    /// Returns a bisection with its range and builds. `GET /api/v1/bisections/{id}`
    pub async fn get_bisection(&self, id: &str) -> Answer<BisectionWhole> {
        let path = format!("/api/v1/bisections/{}", transport::segment(id));
        self.call(Method::GET, &path, None::<&()>).await
    }

    /// Lists builds, the newest first. `GET /api/v1/builds`
    pub async fn list_builds(&self, query: &ListBuildsQuery) -> Answer<BuildList> {
        let path = query.add_to(format!("/api/v1/builds"));
        self.call(Method::GET, &path, None::<&()>).await
    }

    /// Asks for a build of any commit that the mirrors can find. `POST /api/v1/builds`
    pub async fn request_build(&self, body: &BuildRequest) -> Answer<BuildAnswer> {
        let path = format!("/api/v1/builds");
        self.call(Method::POST, &path, Some(body)).await
    }

    /// Returns a build, with where it failed if it did. `GET /api/v1/builds/{id}`
    pub async fn get_build(&self, id: &str) -> Answer<BuildReport> {
        let path = format!("/api/v1/builds/{}", transport::segment(id));
        self.call(Method::GET, &path, None::<&()>).await
    }

    /// Reports a build. An older report than is known is refused as `stale`. `PUT /api/v1/builds/{id}`
    pub async fn put_build(&self, id: &str, body: &BuildReport) -> Answer<()> {
        let path = format!("/api/v1/builds/{}", transport::segment(id));
        self.call(Method::PUT, &path, Some(body)).await
    }

    /// Lists the artefacts of a build. `GET /api/v1/builds/{id}/artifacts`
    pub async fn list_artifacts(&self, id: &str) -> Answer<ArtifactList> {
        let path = format!("/api/v1/builds/{}/artifacts", transport::segment(id));
        self.call(Method::GET, &path, None::<&()>).await
    }

    /// Takes a build out of the queue, or ends it. `POST /api/v1/builds/{id}/cancel`
    pub async fn cancel_build(&self, id: &str, body: Option<&CancelRequest>) -> Answer<BuildAnswer> {
        let path = format!("/api/v1/builds/{}/cancel", transport::segment(id));
        self.call(Method::POST, &path, body).await
    }

    /// Returns where a build failed; `null` if it did not or has no log. `GET /api/v1/builds/{id}/failure`
    pub async fn get_failure(&self, id: &str) -> Answer<Option<Failure>> {
        let path = format!("/api/v1/builds/{}/failure", transport::segment(id));
        self.call(Method::GET, &path, None::<&()>).await
    }

    /// Lets go of a build whose machine was to be held if it fails: of one's own, or as an admin of anybody's. `DELETE /api/v1/builds/{id}/hold`
    pub async fn unhold_build(&self, id: &str) -> Answer<()> {
        let path = format!("/api/v1/builds/{}/hold", transport::segment(id));
        self.call(Method::DELETE, &path, None::<&()>).await
    }

    /// Has the machine of a build held for whoever asks, as the build left it, if the build fails. One that is done is tried again. `POST /api/v1/builds/{id}/hold`
    pub async fn hold_build(
        &self,
        id: &str,
        body: Option<&serde_json::Map<String, serde_json::Value>>,
    ) -> Answer<BuildAnswer> {
        let path = format!("/api/v1/builds/{}/hold", transport::segment(id));
        self.call(Method::POST, &path, body).await
    }

    /// Reads the log of a build's last attempt: bytes, or lines, or all. `GET /api/v1/builds/{id}/log`
    pub async fn get_build_log(&self, id: &str, query: &GetBuildLogQuery) -> Answer<Body> {
        let path = query.add_to(format!("/api/v1/builds/{}/log", transport::segment(id)));
        self.bytes(Method::GET, &path, &[]).await
    }

    /// Sends the log of a build's last attempt as it is written. `GET /api/v1/builds/{id}/log/events`
    pub async fn follow_build_log(
        &self,
        id: &str,
        query: &FollowBuildLogQuery,
        last_event_id: Option<&str>,
    ) -> Answer<Body> {
        let path = query.add_to(format!("/api/v1/builds/{}/log/events", transport::segment(id)));
        self.bytes(Method::GET, &path, &[("last-event-id", last_event_id)]).await
    }

    /// Says what is known of the log of a build's last attempt. `GET /api/v1/builds/{id}/log/info`
    pub async fn get_build_log_info(&self, id: &str) -> Answer<LogInfo> {
        let path = format!("/api/v1/builds/{}/log/info", transport::segment(id));
        self.call(Method::GET, &path, None::<&()>).await
    }

    /// Finds lines of the log of a build's last attempt. `GET /api/v1/builds/{id}/log/search`
    pub async fn search_build_log(&self, id: &str, query: &SearchBuildLogQuery) -> Answer<LogSearch> {
        let path = query.add_to(format!("/api/v1/builds/{}/log/search", transport::segment(id)));
        self.call(Method::GET, &path, None::<&()>).await
    }

    /// Queues a build that is done once more. `POST /api/v1/builds/{id}/retry`
    pub async fn retry_build(
        &self,
        id: &str,
        body: Option<&serde_json::Map<String, serde_json::Value>>,
    ) -> Answer<BuildAnswer> {
        let path = format!("/api/v1/builds/{}/retry", transport::segment(id));
        self.call(Method::POST, &path, body).await
    }

    /// Lists the test results of a build. `GET /api/v1/builds/{id}/tests`
    pub async fn list_tests(&self, id: &str) -> Answer<TestList> {
        let path = format!("/api/v1/builds/{}/tests", transport::segment(id));
        self.call(Method::GET, &path, None::<&()>).await
    }

    /// Says why a build waits, or what became of it. `GET /api/v1/builds/{id}/why`
    pub async fn why_build(&self, id: &str) -> Answer<WhyAnswer> {
        let path = format!("/api/v1/builds/{}/why", transport::segment(id));
        self.call(Method::GET, &path, None::<&()>).await
    }

    /// Returns commits of a branch, newest first, with their cells. `GET /api/v1/cells`
    pub async fn get_cells(&self, query: &GetCellsQuery) -> Answer<CellWindow> {
        let path = query.add_to(format!("/api/v1/cells"));
        self.call(Method::GET, &path, None::<&()>).await
    }

    /// Lists cells that are due and have no build. `GET /api/v1/cells/empty`
    pub async fn list_empty_cells(&self, query: &ListEmptyCellsQuery) -> Answer<EmptyCells> {
        let path = query.add_to(format!("/api/v1/cells/empty"));
        self.call(Method::GET, &path, None::<&()>).await
    }

    /// Sends what happens to builds and branches, as it happens. `GET /api/v1/events`
    pub async fn follow_events(
        &self,
        query: &FollowEventsQuery,
        last_event_id: Option<&str>,
    ) -> Answer<Body> {
        let path = query.add_to(format!("/api/v1/events"));
        self.bytes(Method::GET, &path, &[("last-event-id", last_event_id)]).await
    }

    /// Says how long a build of a builder and repo should take. `GET /api/v1/expected`
    pub async fn get_expected(&self, query: &GetExpectedQuery) -> Answer<Expected> {
        let path = query.add_to(format!("/api/v1/expected"));
        self.call(Method::GET, &path, None::<&()>).await
    }

    /// Lists the machines that people hold: whose, since when, until when. `GET /api/v1/gomotes`
    pub async fn list_gomotes(&self) -> Answer<GomoteList> {
        let path = format!("/api/v1/gomotes");
        self.call(Method::GET, &path, None::<&()>).await
    }

    /// Makes a link by which somebody signs in once. `POST /api/v1/login-links`
    pub async fn create_login_link(&self, body: Option<&LinkRequest>) -> Answer<LinkAnswer> {
        let path = format!("/api/v1/login-links");
        self.call(Method::POST, &path, body).await
    }

    /// Finds lines in the logs of many builds, those of the newest first. It ends after a few seconds; `truncated` and `next_cursor` say that there may be more. `GET /api/v1/logs/search`
    pub async fn search_logs(&self, query: &SearchLogsQuery) -> Answer<LogsFound> {
        let path = query.add_to(format!("/api/v1/logs/search"));
        self.call(Method::GET, &path, None::<&()>).await
    }

    /// Lists the tokens of machines, the oldest first. `GET /api/v1/machine-tokens`
    pub async fn list_machine_tokens(&self) -> Answer<MachineTokenList> {
        let path = format!("/api/v1/machine-tokens");
        self.call(Method::GET, &path, None::<&()>).await
    }

    /// Makes a token by which one machine joins, once; this answer is the only one that shows it. `POST /api/v1/machine-tokens`
    pub async fn create_machine_token(&self, body: &MachineTokenRequest) -> Answer<MachineTokenAnswer> {
        let path = format!("/api/v1/machine-tokens");
        self.call(Method::POST, &path, Some(body)).await
    }

    /// Revokes a machine's token, and cuts the machine off. `DELETE /api/v1/machine-tokens/{name}`
    pub async fn revoke_machine_token(&self, name: &str) -> Answer<()> {
        let path = format!("/api/v1/machine-tokens/{}", transport::segment(name));
        self.call(Method::DELETE, &path, None::<&()>).await
    }

    /// Lists machines: what each does, who has set it aside and why, and why it was turned away. `GET /api/v1/machines`
    pub async fn list_machines(&self) -> Answer<MachineList> {
        let path = format!("/api/v1/machines");
        self.call(Method::GET, &path, None::<&()>).await
    }

    /// Lets a machine work again; one that the server has set aside by itself is cleaned first. `POST /api/v1/machines/{name}/resume`
    pub async fn resume_machine(&self, name: &str, body: Option<&ResumeRequest>) -> Answer<MachineInfo> {
        let path = format!("/api/v1/machines/{}/resume", transport::segment(name));
        self.call(Method::POST, &path, body).await
    }

    /// Keeps a machine from work; it finishes what it does, unless told otherwise. `POST /api/v1/machines/{name}/set-aside`
    pub async fn set_machine_aside(&self, name: &str, body: &SetAsideRequest) -> Answer<MachineInfo> {
        let path = format!("/api/v1/machines/{}/set-aside", transport::segment(name));
        self.call(Method::POST, &path, Some(body)).await
    }

    /// Returns this document. `GET /api/v1/openapi.json`
    pub async fn get_document(&self) -> Answer<serde_json::Map<String, serde_json::Value>> {
        let path = format!("/api/v1/openapi.json");
        self.call(Method::GET, &path, None::<&()>).await
    }

    /// Lists messages to the world: what waits, and what failed and why. `GET /api/v1/outbox`
    pub async fn list_outbox(&self) -> Answer<OutboxList> {
        let path = format!("/api/v1/outbox");
        self.call(Method::GET, &path, None::<&()>).await
    }

    /// Has a message tried now that waits or was given up. `POST /api/v1/outbox/retry`
    pub async fn retry_message(&self, body: &RetryMessage) -> Answer<OutboxMessage> {
        let path = format!("/api/v1/outbox/retry");
        self.call(Method::POST, &path, Some(body)).await
    }

    /// Reads the configuration again; nothing changes unless all of it is well. `POST /api/v1/reload`
    pub async fn reload_config(&self) -> Answer<Reloaded> {
        let path = format!("/api/v1/reload");
        self.call(Method::POST, &path, None::<&()>).await
    }

    /// Lists the repos with their branches. `GET /api/v1/repos`
    pub async fn list_repos(&self) -> Answer<Vec<RepoInfo>> {
        let path = format!("/api/v1/repos");
        self.call(Method::GET, &path, None::<&()>).await
    }

    /// Posts a repo's state. `PUT /api/v1/repos/{repo}`
    pub async fn put_repo(&self, repo: &str, body: &RepoUpdate) -> Answer<()> {
        let path = format!("/api/v1/repos/{}", transport::segment(repo));
        self.call(Method::PUT, &path, Some(body)).await
    }

    /// Posts where a branch is, and its first-parent line. `PUT /api/v1/repos/{repo}/branches/{branch}`
    pub async fn put_branch(&self, repo: &str, branch: &str, body: &BranchUpdate) -> Answer<BranchAnswer> {
        let path =
            format!("/api/v1/repos/{}/branches/{}", transport::segment(repo), transport::segment(branch));
        self.call(Method::PUT, &path, Some(body)).await
    }

    /// Lists all routes with their roles. `GET /api/v1/routes`
    pub async fn list_routes(&self) -> Answer<RouteList> {
        let path = format!("/api/v1/routes");
        self.call(Method::GET, &path, None::<&()>).await
    }

    /// Says what runs, what waits and why, and which machines there are. `GET /api/v1/status`
    pub async fn get_status(&self) -> Answer<Status> {
        let path = format!("/api/v1/status");
        self.call(Method::GET, &path, None::<&()>).await
    }

    /// Lists all tokens, the oldest first. `GET /api/v1/tokens`
    pub async fn list_tokens(&self) -> Answer<TokenList> {
        let path = format!("/api/v1/tokens");
        self.call(Method::GET, &path, None::<&()>).await
    }

    /// Makes a token; this answer is the only one that shows it. `POST /api/v1/tokens`
    pub async fn create_token(&self, body: &TokenRequest) -> Answer<TokenAnswer> {
        let path = format!("/api/v1/tokens");
        self.call(Method::POST, &path, Some(body)).await
    }

    /// Revokes a token. `DELETE /api/v1/tokens/{name}`
    pub async fn revoke_token(&self, name: &str) -> Answer<()> {
        let path = format!("/api/v1/tokens/{}", transport::segment(name));
        self.call(Method::DELETE, &path, None::<&()>).await
    }

    /// Lists branches, and whether each is open. `GET /api/v1/tree`
    pub async fn list_trees(&self) -> Answer<TreeList> {
        let path = format!("/api/v1/tree");
        self.call(Method::GET, &path, None::<&()>).await
    }

    /// Says whether a branch is open, with its last changes. `GET /api/v1/tree/{repo}/{branch}`
    pub async fn get_tree(&self, repo: &str, branch: &str) -> Answer<TreeDetail> {
        let path = format!("/api/v1/tree/{}/{}", transport::segment(repo), transport::segment(branch));
        self.call(Method::GET, &path, None::<&()>).await
    }

    /// Ends what was set; the rules decide again. `POST /api/v1/tree/{repo}/{branch}/release`
    pub async fn release_tree(
        &self,
        repo: &str,
        branch: &str,
        body: Option<&serde_json::Map<String, serde_json::Value>>,
    ) -> Answer<TreeDetail> {
        let path =
            format!("/api/v1/tree/{}/{}/release", transport::segment(repo), transport::segment(branch));
        self.call(Method::POST, &path, body).await
    }

    /// Opens, throttles or closes a branch, until it is released. `POST /api/v1/tree/{repo}/{branch}/set`
    pub async fn set_tree(&self, repo: &str, branch: &str, body: &TreeRequest) -> Answer<TreeDetail> {
        let path = format!("/api/v1/tree/{}/{}/set", transport::segment(repo), transport::segment(branch));
        self.call(Method::POST, &path, Some(body)).await
    }

    /// Lists try runs, the newest first. `GET /api/v1/tries`
    pub async fn list_tries(&self, query: &ListTriesQuery) -> Answer<TryList> {
        let path = query.add_to(format!("/api/v1/tries"));
        self.call(Method::GET, &path, None::<&()>).await
    }

    /// Returns a try run with its builds. `GET /api/v1/tries/{id}`
    pub async fn get_try(&self, id: &str) -> Answer<TryRun> {
        let path = format!("/api/v1/tries/{}", transport::segment(id));
        self.call(Method::GET, &path, None::<&()>).await
    }

    /// Says who asks, and what they may. `GET /api/v1/whoami`
    pub async fn whoami(&self) -> Answer<WhoAnswer> {
        let path = format!("/api/v1/whoami");
        self.call(Method::GET, &path, None::<&()>).await
    }

    /// Looks for what is due now, and queues it. `POST /api/v1/work`
    pub async fn find_work(&self) -> Answer<WorkAnswer> {
        let path = format!("/api/v1/work");
        self.call(Method::POST, &path, None::<&()>).await
    }

    /// The same as `/api/v1/audit`. `GET /audit.json`
    pub async fn get_audit_page(&self, query: &GetAuditPageQuery) -> Answer<AuditList> {
        let path = query.add_to(format!("/audit.json"));
        self.call(Method::GET, &path, None::<&()>).await
    }

    /// Lists bisections, the newest first. `GET /bisections.json`
    pub async fn get_bisections_page(&self, query: &GetBisectionsPageQuery) -> Answer<BisectionList> {
        let path = query.add_to(format!("/bisections.json"));
        self.call(Method::GET, &path, None::<&()>).await
    }

    /// The same as `/api/v1/bisections/{id}`. `GET /bisections/{id}.json`
    pub async fn get_bisection_page(&self, id: &str) -> Answer<BisectionWhole> {
        let path = format!("/bisections/{}.json", transport::segment(id));
        self.call(Method::GET, &path, None::<&()>).await
    }

    /// Lists the builds of a builder, the newest first. `GET /builders/{name}.json`
    pub async fn get_builder_page(&self, name: &str, query: &GetBuilderPageQuery) -> Answer<BuildList> {
        let path = query.add_to(format!("/builders/{}.json", transport::segment(name)));
        self.call(Method::GET, &path, None::<&()>).await
    }

    /// The same as `/api/v1/builds`. `GET /builds.json`
    pub async fn get_builds_page(&self, query: &GetBuildsPageQuery) -> Answer<BuildList> {
        let path = query.add_to(format!("/builds.json"));
        self.call(Method::GET, &path, None::<&()>).await
    }

    /// The same as `/api/v1/builds/{id}`. `GET /builds/{id}.json`
    pub async fn get_build_page(&self, id: &str) -> Answer<BuildReport> {
        let path = format!("/builds/{}.json", transport::segment(id));
        self.call(Method::GET, &path, None::<&()>).await
    }

    /// Lists the test results of a build, those that failed first. `GET /builds/{id}/tests.json`
    pub async fn list_build_tests(&self, id: &str, query: &ListBuildTestsQuery) -> Answer<BuildTests> {
        let path = query.add_to(format!("/builds/{}/tests.json", transport::segment(id)));
        self.call(Method::GET, &path, None::<&()>).await
    }

    /// Lists the builds of a commit. `GET /commits/{repo}/{hash}.json`
    pub async fn get_commit_page(&self, repo: &str, hash: &str) -> Answer<BuildList> {
        let path = format!("/commits/{}/{}.json", transport::segment(repo), transport::segment(hash));
        self.call(Method::GET, &path, None::<&()>).await
    }

    /// Lists failures of 30 days, those that look alike together. `GET /failures.json`
    pub async fn list_failures(&self, query: &ListFailuresQuery) -> Answer<Vec<FailureGroup>> {
        let path = query.add_to(format!("/failures.json"));
        self.call(Method::GET, &path, None::<&()>).await
    }

    /// Lists the builds that failed alike. `GET /failures/{signature}.json`
    pub async fn list_alike(&self, signature: &str) -> Answer<Vec<AlikeBuild>> {
        let path = format!("/failures/{}.json", transport::segment(signature));
        self.call(Method::GET, &path, None::<&()>).await
    }

    /// Returns what the grid shows: `/api/v1/cells` without columns that are left out. `GET /grid.json`
    pub async fn get_grid(&self, query: &GetGridQuery) -> Answer<CellWindow> {
        let path = query.add_to(format!("/grid.json"));
        self.call(Method::GET, &path, None::<&()>).await
    }

    /// Says how it stands with the state of the projects that are watched. `GET /maintner.json`
    pub async fn get_maintner(&self) -> Answer<MaintnerStanding> {
        let path = format!("/maintner.json");
        self.call(Method::GET, &path, None::<&()>).await
    }

    /// Lists the mirrors and their states. `GET /mirror/status.json`
    pub async fn list_mirrors(&self) -> Answer<Vec<MirrorState>> {
        let path = format!("/mirror/status.json");
        self.call(Method::GET, &path, None::<&()>).await
    }

    /// Says whether a commit is in the history of another. `GET /mirror/{repo}/ancestor`
    pub async fn is_ancestor(&self, repo: &str, query: &IsAncestorQuery) -> Answer<Ancestor> {
        let path = query.add_to(format!("/mirror/{}/ancestor", transport::segment(repo)));
        self.call(Method::GET, &path, None::<&()>).await
    }

    /// Returns the history of a revision as a git bundle. `GET /mirror/{repo}/bundle`
    pub async fn get_bundle(&self, repo: &str, query: &GetBundleQuery) -> Answer<Body> {
        let path = query.add_to(format!("/mirror/{}/bundle", transport::segment(repo)));
        self.bytes(Method::GET, &path, &[]).await
    }

    /// Takes a git bundle with a commit that no branch has, so that it can be built. `PUT /mirror/{repo}/bundle`
    pub async fn put_bundle(&self, repo: &str, query: &PutBundleQuery, body: Body) -> Answer<Resolved> {
        let path = query.add_to(format!("/mirror/{}/bundle", transport::segment(repo)));
        self.send(Method::PUT, &path, body).await
    }

    /// Reads a file of at most 1 MiB as it is at a revision. `GET /mirror/{repo}/file`
    pub async fn get_file(&self, repo: &str, query: &GetFileQuery) -> Answer<Body> {
        let path = query.add_to(format!("/mirror/{}/file", transport::segment(repo)));
        self.bytes(Method::GET, &path, &[]).await
    }

    /// Says that the source may have news; it is looked at now. `POST /mirror/{repo}/hint`
    pub async fn hint_mirror(&self, repo: &str, query: &HintMirrorQuery) -> Answer<MirrorState> {
        let path = query.add_to(format!("/mirror/{}/hint", transport::segment(repo)));
        self.call(Method::POST, &path, None::<&()>).await
    }

    /// Says whether a branch or a tag has a commit in its history. `GET /mirror/{repo}/landed`
    pub async fn is_landed(&self, repo: &str, query: &IsLandedQuery) -> Answer<Landed> {
        let path = query.add_to(format!("/mirror/{}/landed", transport::segment(repo)));
        self.call(Method::GET, &path, None::<&()>).await
    }

    /// Says what a commit is with another one merged onto it, or where the two conflict. `POST /mirror/{repo}/merge`
    pub async fn merge_commits(&self, repo: &str, query: &MergeCommitsQuery) -> Answer<Merged> {
        let path = query.add_to(format!("/mirror/{}/merge", transport::segment(repo)));
        self.call(Method::POST, &path, None::<&()>).await
    }

    /// Returns the parents of a commit. `GET /mirror/{repo}/parents`
    pub async fn get_parents(&self, repo: &str, query: &GetParentsQuery) -> Answer<Parents> {
        let path = query.add_to(format!("/mirror/{}/parents", transport::segment(repo)));
        self.call(Method::GET, &path, None::<&()>).await
    }

    /// Lists branches and tags. `GET /mirror/{repo}/refs`
    pub async fn list_refs(&self, repo: &str) -> Answer<Refs> {
        let path = format!("/mirror/{}/refs", transport::segment(repo));
        self.call(Method::GET, &path, None::<&()>).await
    }

    /// Finds the commit of a branch, a tag or a short name of a commit. `GET /mirror/{repo}/resolve`
    pub async fn resolve_revision(&self, repo: &str, query: &ResolveRevisionQuery) -> Answer<Resolved> {
        let path = query.add_to(format!("/mirror/{}/resolve", transport::segment(repo)));
        self.call(Method::GET, &path, None::<&()>).await
    }

    /// Returns the state of a mirror. `GET /mirror/{repo}/status.json`
    pub async fn get_mirror(&self, repo: &str) -> Answer<MirrorState> {
        let path = format!("/mirror/{}/status.json", transport::segment(repo));
        self.call(Method::GET, &path, None::<&()>).await
    }

    /// Lists the paths of the submodules of a revision. `GET /mirror/{repo}/submodules`
    pub async fn list_submodules(&self, repo: &str, query: &ListSubmodulesQuery) -> Answer<Vec<String>> {
        let path = query.add_to(format!("/mirror/{}/submodules", transport::segment(repo)));
        self.call(Method::GET, &path, None::<&()>).await
    }

    /// Lists the files of a revision, three folders deep, at most 5000. `GET /mirror/{repo}/tree`
    pub async fn list_tree(&self, repo: &str, query: &ListTreeQuery) -> Answer<Vec<String>> {
        let path = query.add_to(format!("/mirror/{}/tree", transport::segment(repo)));
        self.call(Method::GET, &path, None::<&()>).await
    }

    /// The same as `/api/v1/outbox`. `GET /outbox.json`
    pub async fn get_outbox_page(&self) -> Answer<OutboxList> {
        let path = format!("/outbox.json");
        self.call(Method::GET, &path, None::<&()>).await
    }

    /// Says how long builds wait and take by builder, and how often they fail. `GET /statistics.json`
    pub async fn get_statistics(&self, query: &GetStatisticsQuery) -> Answer<Vec<BuilderStatistics>> {
        let path = query.add_to(format!("/statistics.json"));
        self.call(Method::GET, &path, None::<&()>).await
    }

    /// Says how long the builds of each day waited and took, and how often they failed or flaked. `GET /statistics/days.json`
    pub async fn list_statistics_by_day(
        &self,
        query: &ListStatisticsByDayQuery,
    ) -> Answer<Vec<DayStatistics>> {
        let path = query.add_to(format!("/statistics/days.json"));
        self.call(Method::GET, &path, None::<&()>).await
    }

    /// Says what machines did, and how much of it was for nothing; the worst first. `GET /statistics/machines.json`
    pub async fn list_statistics_of_machines(
        &self,
        query: &ListStatisticsOfMachinesQuery,
    ) -> Answer<Vec<MachineStatistics>> {
        let path = query.add_to(format!("/statistics/machines.json"));
        self.call(Method::GET, &path, None::<&()>).await
    }

    /// The same as `/api/v1/status`. `GET /status.json`
    pub async fn get_status_page(&self) -> Answer<Status> {
        let path = format!("/status.json");
        self.call(Method::GET, &path, None::<&()>).await
    }

    /// Lists a test's results, the newest first. `GET /tests.json`
    pub async fn list_test_runs(&self, query: &ListTestRunsQuery) -> Answer<Vec<TestRun>> {
        let path = query.add_to(format!("/tests.json"));
        self.call(Method::GET, &path, None::<&()>).await
    }

    /// Lists tests of a repo by their names, or failures by their signature. `GET /tests/find.json`
    pub async fn find_tests(&self, query: &FindTestsQuery) -> Answer<TestNames> {
        let path = query.add_to(format!("/tests/find.json"));
        self.call(Method::GET, &path, None::<&()>).await
    }

    /// Says what tests did in the newest builds of a builder. `GET /tests/grid.json`
    pub async fn get_test_grid(&self, query: &GetTestGridQuery) -> Answer<TestGrid> {
        let path = query.add_to(format!("/tests/grid.json"));
        self.call(Method::GET, &path, None::<&()>).await
    }

    /// The same as `/api/v1/tree`. `GET /tree.json`
    pub async fn get_trees_page(&self) -> Answer<TreeList> {
        let path = format!("/tree.json");
        self.call(Method::GET, &path, None::<&()>).await
    }

    /// The same as `/api/v1/tree/{repo}/{branch}`. `GET /tree/{repo}/{branch}.json`
    pub async fn get_tree_page(&self, repo: &str, branch: &str) -> Answer<TreeDetail> {
        let path = format!("/tree/{}/{}.json", transport::segment(repo), transport::segment(branch));
        self.call(Method::GET, &path, None::<&()>).await
    }

    /// Lists try runs, the newest first. `GET /tries.json`
    pub async fn get_tries_page(&self, query: &GetTriesPageQuery) -> Answer<TryList> {
        let path = query.add_to(format!("/tries.json"));
        self.call(Method::GET, &path, None::<&()>).await
    }

    /// The same as `/api/v1/tries/{id}`. `GET /tries/{id}.json`
    pub async fn get_try_page(&self, id: &str) -> Answer<TryRun> {
        let path = format!("/tries/{}.json", transport::segment(id));
        self.call(Method::GET, &path, None::<&()>).await
    }
}
