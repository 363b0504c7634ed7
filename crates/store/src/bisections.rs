//! The coordinator's `bisections`: which landed commits broke builders.

use sqlx::Row as _;
use sqlx::any::AnyRow;

use crate::statement::statements;
use crate::{AttemptId, BisectionId, BuildId, Conn, Micros, StoreError, Tx};

statements! {
    PUT = "bisections.put", "INSERT INTO bisections (id, builder, repo, branch, build, attempt, test, signature, state, answer, \
        culprit, sentence, doc, began_us, ended_us) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15) \
        ON CONFLICT (id) DO UPDATE SET state = excluded.state, answer = excluded.answer, culprit = excluded.culprit, \
        sentence = excluded.sentence, doc = excluded.doc, ended_us = excluded.ended_us WHERE bisections.state <> 'done'";
    GET = "bisections.get", "SELECT id, builder, repo, branch, build, attempt, test, signature, state, answer, culprit, sentence, \
        doc, began_us, ended_us FROM bisections WHERE id = $1";
    OPEN = "bisections.open", "SELECT id, builder, repo, branch, build, attempt, test, signature, state, answer, culprit, sentence, \
        doc, began_us, ended_us FROM bisections WHERE state <> 'done' ORDER BY id";
    BEFORE = "bisections.before", "SELECT id, builder, repo, branch, build, attempt, test, signature, state, answer, culprit, \
        sentence, doc, began_us, ended_us FROM bisections WHERE id < $1 ORDER BY id DESC LIMIT $2";
    OF_BUILDER = "bisections.of_builder", "SELECT id, builder, repo, branch, build, attempt, test, signature, state, answer, \
        culprit, sentence, doc, began_us, ended_us FROM bisections WHERE builder = $1 AND repo = $2 AND branch = $3 \
        ORDER BY id DESC LIMIT $4";
}

/// A row of `bisections`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BisectionRow {
    /// Its id.
    pub id: BisectionId,
    /// The builder that broke.
    pub builder: String,
    /// The repo whose commits are searched.
    pub repo: String,
    /// Their branch.
    pub branch: String,
    /// The build that failed first.
    pub build: BuildId,
    /// The attempt of it.
    pub attempt: AttemptId,
    /// The test that failed; empty for the build as a whole.
    pub test: String,
    /// What the failure looks like.
    pub signature: String,
    /// `confirming`, `running` or `done`.
    pub state: String,
    /// `culprit`, `one_of`, `builder`, `gone`, `gave_up`, `flake` or `failed`, once it is done.
    pub answer: Option<String>,
    /// The commit that broke it, if it was found.
    pub culprit: Option<String>,
    /// The same for people.
    pub sentence: String,
    /// JSON: the range with all that is known of it.
    pub doc: String,
    /// When it began.
    pub began: Micros,
    /// When it was done.
    pub ended: Option<Micros>,
}

fn row(row: &AnyRow) -> Result<BisectionRow, StoreError> {
    Ok(BisectionRow {
        id: row.try_get(0)?,
        builder: row.try_get(1)?,
        repo: row.try_get(2)?,
        branch: row.try_get(3)?,
        build: row.try_get(4)?,
        attempt: row.try_get(5)?,
        test: row.try_get(6)?,
        signature: row.try_get(7)?,
        state: row.try_get(8)?,
        answer: row.try_get(9)?,
        culprit: row.try_get(10)?,
        sentence: row.try_get(11)?,
        doc: row.try_get(12)?,
        began: row.try_get(13)?,
        ended: row.try_get(14)?,
    })
}

/// Writes down how far a bisection is. One that is done stays.
///
/// # Errors
/// The database's.
pub async fn put(tx: &mut Tx, one: &BisectionRow) -> Result<(), StoreError> {
    let query = PUT.query().bind(one.id).bind(&*one.builder).bind(&*one.repo).bind(&*one.branch);
    let query = query.bind(one.build).bind(one.attempt).bind(&*one.test).bind(&*one.signature);
    let query = query.bind(&*one.state).bind(one.answer.as_deref()).bind(one.culprit.as_deref());
    let query = query.bind(&*one.sentence).bind(&*one.doc).bind(one.began).bind(one.ended);
    query.execute(tx.conn()).await?;
    Ok(())
}

/// Returns a bisection.
///
/// # Errors
/// The database's.
pub async fn get(on: &mut impl Conn, id: BisectionId) -> Result<Option<BisectionRow>, StoreError> {
    GET.query().bind(id).fetch_optional(on.conn()).await?.as_ref().map(row).transpose()
}

/// Returns all that are not done, oldest first.
///
/// # Errors
/// The database's.
pub async fn open(on: &mut impl Conn) -> Result<Vec<BisectionRow>, StoreError> {
    OPEN.query().fetch_all(on.conn()).await?.iter().map(row).collect()
}

/// Returns those before an id, newest first.
///
/// # Errors
/// The database's.
pub async fn before(on: &mut impl Conn, id: &str, most: i64) -> Result<Vec<BisectionRow>, StoreError> {
    BEFORE.query().bind(id.to_owned()).bind(most).fetch_all(on.conn()).await?.iter().map(row).collect()
}

/// Returns the newest of a builder on a branch.
///
/// # Errors
/// The database's.
pub async fn of_builder(
    on: &mut impl Conn,
    builder: &str,
    repo: &str,
    branch: &str,
    most: i64,
) -> Result<Vec<BisectionRow>, StoreError> {
    let query = OF_BUILDER.query().bind(builder.to_owned()).bind(repo.to_owned()).bind(branch.to_owned());
    query.bind(most).fetch_all(on.conn()).await?.iter().map(row).collect()
}
