//! The dashboard's `log_digests`: the SHA-1 of each finished log, by which the original's clients know logs.

use sqlx::Row as _;
use sqlx::any::AnyRow;

use crate::statement::{among, among_list, statements};
use crate::{AttemptId, BuildId, Conn, StoreError, Tx};

statements! {
    INSERT = "log_digests.insert", "INSERT INTO log_digests (attempt, build_id, sha1) VALUES ($1, $2, $3) \
        ON CONFLICT (attempt) DO NOTHING";
    BY_SHA1 = "log_digests.by_sha1", "SELECT attempt, build_id, sha1 FROM log_digests WHERE sha1 = $1 \
        ORDER BY attempt LIMIT 100";
    BY_BEGINNING = "log_digests.by_beginning", "SELECT attempt, build_id, sha1 FROM log_digests \
        WHERE sha1 >= $1 AND sha1 < $2 ORDER BY attempt LIMIT 100";
    OF_BUILDS = "log_digests.of_builds", concat!("SELECT attempt, build_id, sha1 FROM log_digests \
        WHERE $1 = '' AND build_id IN ", among_list!());
}

/// A row of `log_digests`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DigestRow {
    /// The attempt.
    pub attempt: AttemptId,
    /// Its build.
    pub build: BuildId,
    /// The SHA-1 of its log, as it is shown.
    pub sha1: String,
}

fn row(row: &AnyRow) -> Result<DigestRow, StoreError> {
    Ok(DigestRow { attempt: row.try_get(0)?, build: row.try_get(1)?, sha1: row.try_get(2)? })
}

/// Notes a log's digest; a finished log never changes, so it has one.
///
/// # Errors
/// The database's.
pub async fn insert(tx: &mut Tx, digest: &DigestRow) -> Result<(), StoreError> {
    let query = INSERT.query().bind(digest.attempt).bind(digest.build).bind(&*digest.sha1);
    query.execute(tx.conn()).await?;
    Ok(())
}

/// Returns up to a hundred logs that have a digest: those of equal text.
///
/// # Errors
/// The database's.
pub async fn by_sha1(on: &mut impl Conn, sha1: &str) -> Result<Vec<DigestRow>, StoreError> {
    BY_SHA1.query().bind(sha1).fetch_all(on.conn()).await?.iter().map(row).collect()
}

/// Returns up to a hundred logs whose digest begins with these hexadecimal digits.
///
/// # Errors
/// The database's.
pub async fn by_beginning(on: &mut impl Conn, digits: &str) -> Result<Vec<DigestRow>, StoreError> {
    // After every digit, by any collation.
    let end = format!("{digits}g");
    let rows = BY_BEGINNING.query().bind(digits).bind(end).fetch_all(on.conn()).await?;
    rows.iter().map(row).collect()
}

/// Returns the digests of all attempts of some builds, in no order.
///
/// # Errors
/// The database's.
pub async fn of_builds(on: &mut impl Conn, builds: &[String]) -> Result<Vec<DigestRow>, StoreError> {
    let builds: Vec<&str> = builds.iter().map(String::as_str).collect();
    let mut found = Vec::new();
    for some in builds.chunks(among::WIDTH) {
        for found_row in among::bind(OF_BUILDS.query().bind(""), some).fetch_all(on.conn()).await? {
            found.push(row(&found_row)?);
        }
    }
    Ok(found)
}
