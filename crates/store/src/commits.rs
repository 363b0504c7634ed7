//! The dashboard's `commits`: what is shown of each.

use sqlx::Row as _;
use sqlx::any::AnyRow;

use crate::statement::{among, among_list, statements};
use crate::{Conn, Micros, StoreError, Tx};

statements! {
    INSERT = "commits.insert", "INSERT INTO commits (repo, hash, parents, author_name, author_email, time_us, message) \
        VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (repo, hash) DO NOTHING";
    MANY = "commits.many", concat!("SELECT hash, parents, author_name, author_email, time_us, message FROM commits \
        WHERE repo = $1 AND hash IN ", among_list!());
    KNOWN = "commits.known", concat!("SELECT hash FROM commits WHERE repo = $1 AND hash IN ", among_list!());
    PARENTS = "commits.parents", "SELECT parents FROM commits WHERE repo = $1 AND hash = $2";
}

/// A row of `commits`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitRow {
    /// 40 hexadecimal digits.
    pub hash: String,
    /// Hashes of its parents, first parent first.
    pub parents: Vec<String>,
    /// The author's name.
    pub author_name: String,
    /// The author's address, if there is one.
    pub author_email: Option<String>,
    /// When it was committed.
    pub time: Micros,
    /// Its message.
    pub message: String,
}

fn parents(text: &str) -> Vec<String> {
    text.split_ascii_whitespace().map(str::to_owned).collect()
}

fn row(row: &AnyRow) -> Result<CommitRow, StoreError> {
    Ok(CommitRow {
        hash: row.try_get(0)?,
        parents: parents(row.try_get(1)?),
        author_name: row.try_get(2)?,
        author_email: row.try_get(3)?,
        time: row.try_get(4)?,
        message: row.try_get(5)?,
    })
}

/// Writes a commit unless it is there: a hash has one content.
///
/// # Errors
/// The database's.
pub async fn insert(tx: &mut Tx, repo: &str, commit: &CommitRow) -> Result<(), StoreError> {
    let query = INSERT.query().bind(repo).bind(&*commit.hash).bind(commit.parents.join(" "));
    let query = query.bind(&*commit.author_name).bind(commit.author_email.as_deref());
    query.bind(commit.time).bind(&*commit.message).execute(tx.conn()).await?;
    Ok(())
}

/// Returns those of `hashes` that are there, in no order.
///
/// # Errors
/// The database's.
pub async fn known(on: &mut impl Conn, repo: &str, hashes: &[&str]) -> Result<Vec<String>, StoreError> {
    let mut found = Vec::with_capacity(hashes.len());
    for some in hashes.chunks(among::WIDTH) {
        let rows = among::bind(KNOWN.query().bind(repo), some).fetch_all(on.conn()).await?;
        for row in rows {
            found.push(row.try_get(0)?);
        }
    }
    Ok(found)
}

/// Returns those of `hashes` that are there with their content, in no order.
///
/// # Errors
/// The database's.
pub async fn many(on: &mut impl Conn, repo: &str, hashes: &[&str]) -> Result<Vec<CommitRow>, StoreError> {
    let mut found = Vec::with_capacity(hashes.len());
    for some in hashes.chunks(among::WIDTH) {
        for found_row in among::bind(MANY.query().bind(repo), some).fetch_all(on.conn()).await? {
            found.push(row(&found_row)?);
        }
    }
    Ok(found)
}

/// Returns the first parent of a commit, `None` if it is not there or has none.
///
/// # Errors
/// The database's.
pub async fn first_parent(on: &mut impl Conn, repo: &str, hash: &str) -> Result<Option<String>, StoreError> {
    let row = PARENTS.query().bind(repo).bind(hash).fetch_optional(on.conn()).await?;
    let Some(row) = row else { return Ok(None) };
    Ok(parents(row.try_get(0)?).into_iter().next())
}
