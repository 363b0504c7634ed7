//! The dashboard's `failures`: where each build that failed did so, and which others failed alike.

use sqlx::Row as _;
use sqlx::any::AnyRow;

use crate::statement::{Hidden, among, among_list, seen, statements, with_hidden};
use crate::{BuildId, Conn, StoreError, Tx};

/// That the build of a failure is none of a hidden repo; `$p` is the parameter with their names.
macro_rules! seen_build {
    ($p:literal) => {
        concat!(
            "(",
            $p,
            " = '' OR EXISTS (SELECT 1 FROM results r WHERE r.build_id = failures.build_id AND ",
            seen!("r.revision"),
            "))"
        )
    };
}

statements! {
    PUT = "failures.put", "INSERT INTO failures (build_id, repo, branch, builder, subject, signature, test, headline, \
        line) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (build_id) DO UPDATE SET \
        signature = excluded.signature, test = excluded.test, headline = excluded.headline, line = excluded.line";
    MANY = "failures.many", concat!("SELECT build_id, repo, branch, builder, subject, signature, test, headline, line \
        FROM failures WHERE repo = $1 AND build_id IN ", among_list!());
    OF_BUILDS = "failures.of_builds", concat!("SELECT build_id, repo, branch, builder, subject, signature, test, \
        headline, line FROM failures WHERE build_id >= $1 AND build_id IN ", among_list!());
    ALIKE = "failures.alike", concat!(with_hidden!("$4"), "SELECT build_id, repo, branch, builder, subject, signature, \
        test, headline, line FROM failures WHERE signature = $1 AND build_id < $2 AND ", seen_build!("$4"),
        " ORDER BY build_id DESC LIMIT $3");
    COUNTS = "failures.counts", concat!(with_hidden!("$34"), "SELECT signature, COUNT(*), COUNT(DISTINCT builder), COUNT(DISTINCT branch), \
        MIN(build_id), MAX(build_id) FROM failures WHERE repo = $1 AND signature IN ", among_list!(),
        " AND ", seen_build!("$34"), " GROUP BY signature");
    GROUPS = "failures.groups", concat!(with_hidden!("$4"), "SELECT signature, COUNT(*), COUNT(DISTINCT builder), COUNT(DISTINCT branch), \
        MIN(build_id), MAX(build_id) FROM failures WHERE ($1 = '' OR repo = $1) AND build_id >= $2 \
        AND ", seen_build!("$4"), " GROUP BY signature ORDER BY MAX(build_id) DESC LIMIT $3");
}

/// A row of `failures`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailureRow {
    /// The build.
    pub build: BuildId,
    /// The subject's repo.
    pub repo: String,
    /// The branch.
    pub branch: String,
    /// The builder's name.
    pub builder: String,
    /// The subject's commit.
    pub subject: String,
    /// The same for builds that failed alike.
    pub signature: String,
    /// The test that failed, where one is named.
    pub test: Option<String>,
    /// The line of the log that says it.
    pub headline: String,
    /// Its number, from 0.
    pub line: i64,
}

fn row(row: &AnyRow) -> Result<FailureRow, StoreError> {
    Ok(FailureRow {
        build: row.try_get(0)?,
        repo: row.try_get(1)?,
        branch: row.try_get(2)?,
        builder: row.try_get(3)?,
        subject: row.try_get(4)?,
        signature: row.try_get(5)?,
        test: row.try_get(6)?,
        headline: row.try_get(7)?,
        line: row.try_get(8)?,
    })
}

/// How many builds failed alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// What they have in common.
    pub signature: String,
    /// How many builds.
    pub builds: i64,
    /// On how many builders.
    pub builders: i64,
    /// On how many branches.
    pub branches: i64,
    /// The oldest of them.
    pub first: BuildId,
    /// The newest of them.
    pub last: BuildId,
}

fn group(row: &AnyRow) -> Result<Group, StoreError> {
    Ok(Group {
        signature: row.try_get(0)?,
        builds: row.try_get(1)?,
        builders: row.try_get(2)?,
        branches: row.try_get(3)?,
        first: row.try_get(4)?,
        last: row.try_get(5)?,
    })
}

/// Writes where a build failed.
///
/// # Errors
/// The database's.
pub async fn put(tx: &mut Tx, failure: &FailureRow) -> Result<(), StoreError> {
    let query = PUT.query().bind(failure.build).bind(&*failure.repo).bind(&*failure.branch);
    let query = query.bind(&*failure.builder).bind(&*failure.subject).bind(&*failure.signature);
    let query = query.bind(failure.test.as_deref()).bind(&*failure.headline).bind(failure.line);
    query.execute(tx.conn()).await?;
    Ok(())
}

/// Returns the failures of some builds of a repo, in no order.
///
/// # Errors
/// The database's.
pub async fn many(on: &mut impl Conn, repo: &str, builds: &[&str]) -> Result<Vec<FailureRow>, StoreError> {
    let mut found = Vec::new();
    for some in builds.chunks(among::WIDTH) {
        for found_row in among::bind(MANY.query().bind(repo), some).fetch_all(on.conn()).await? {
            found.push(row(&found_row)?);
        }
    }
    Ok(found)
}

/// Returns the failures of some builds of any repo, in no order.
///
/// # Errors
/// The database's.
pub async fn of_builds(on: &mut impl Conn, builds: &[&str]) -> Result<Vec<FailureRow>, StoreError> {
    let mut found = Vec::new();
    for some in builds.chunks(among::WIDTH) {
        for found_row in among::bind(OF_BUILDS.query().bind(""), some).fetch_all(on.conn()).await? {
            found.push(row(&found_row)?);
        }
    }
    Ok(found)
}

/// Lists the builds of one signature, the newest first, that are older than `before`.
///
/// # Errors
/// The database's.
pub async fn alike(
    on: &mut impl Conn,
    signature: &str,
    before: Option<BuildId>,
    limit: u32,
    hidden: &Hidden,
) -> Result<Vec<FailureRow>, StoreError> {
    let before = before.map_or_else(|| crate::results::END.to_owned(), |id| id.to_string());
    let query = ALIKE.query().bind(signature).bind(before).bind(i64::from(limit)).bind(hidden.text());
    query.fetch_all(on.conn()).await?.iter().map(row).collect()
}

/// Counts the builds of some signatures of a repo.
///
/// # Errors
/// The database's.
pub async fn counts(
    on: &mut impl Conn,
    repo: &str,
    signatures: &[&str],
    hidden: &Hidden,
) -> Result<Vec<Group>, StoreError> {
    let mut found = Vec::new();
    for some in signatures.chunks(among::WIDTH) {
        let query = among::bind(COUNTS.query().bind(repo), some).bind(hidden.text());
        for found_row in query.fetch_all(on.conn()).await? {
            found.push(group(&found_row)?);
        }
    }
    Ok(found)
}

/// Groups the failures of a repo (of all, if it is empty) since a build, the group of the newest failure first.
///
/// # Errors
/// The database's.
pub async fn groups(
    on: &mut impl Conn,
    repo: &str,
    since: BuildId,
    limit: u32,
    hidden: &Hidden,
) -> Result<Vec<Group>, StoreError> {
    let query = GROUPS.query().bind(repo).bind(since).bind(i64::from(limit)).bind(hidden.text());
    query.fetch_all(on.conn()).await?.iter().map(group).collect()
}
