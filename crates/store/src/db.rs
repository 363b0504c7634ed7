//! The database: one writer and several readers on SQLite, one pool on PostgreSQL, behind one type.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use sqlx::any::AnyPoolOptions;
use sqlx::pool::PoolConnection;
use sqlx::{Any, AnyConnection, AnyPool, Connection as _, Executor as _, Transaction};

use crate::{Micros, StoreError, migrate};

/// Where the database is: `sqlite:FILE` (relative to the data directory) or `postgres://…`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DatabaseUrl {
    /// A file.
    Sqlite(PathBuf),
    /// A server, by its whole URL. It may hold a password: never print it.
    Postgres(String),
}

/// Says that a text is not the URL of a database we know.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected sqlite:FILE or postgres://…, found scheme {0:?}")]
pub struct UrlError(String);

impl FromStr for DatabaseUrl {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        match text.split_once(':') {
            Some(("sqlite", file)) if !file.is_empty() => {
                // `sqlite:///abs/path` and `sqlite:/abs/path` are both in use.
                Ok(Self::Sqlite(PathBuf::from(file.strip_prefix("//").unwrap_or(file))))
            }
            Some(("postgres" | "postgresql", rest)) if rest.starts_with("//") => {
                Ok(Self::Postgres(text.to_owned()))
            }
            Some((scheme, _)) => Err(UrlError(scheme.to_owned())),
            None => Err(UrlError(String::new())),
        }
    }
}

/// Which of the two databases this is. Only migrations and tests need to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// SQLite 3.
    Sqlite,
    /// PostgreSQL 13 or newer.
    Postgres,
}

impl Dialect {
    pub(crate) fn blob(self) -> &'static str {
        match self {
            Self::Sqlite => "BLOB",
            Self::Postgres => "BYTEA",
        }
    }
}

/// How many connections that a full disk has spoilt are put away before a caller is told that the database is busy.
const MOST_SPOILT: u32 = 100;

/// Limits of a [`Db`].
#[derive(Debug, Clone)]
pub struct DbOptions {
    /// Connections that read on SQLite; all connections on PostgreSQL.
    pub connections: u32,
    /// Longest wait for a connection, hence also for the one writer of SQLite.
    pub acquire: Duration,
}

impl Default for DbOptions {
    fn default() -> Self {
        Self { connections: 8, acquire: Duration::from_secs(10) }
    }
}

/// Says why a database can't be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// It was written by a newer program.
    #[error("the database has schema version {has}, this program knows up to {newest}: use a newer program")]
    Newer {
        /// Version of the database.
        has: i64,
        /// Newest version that is known here.
        newest: i64,
    },
    /// A migration it has had is not the one we know by that number.
    #[error("the database's schema version {version} ({name}) is not ours: it was made by another program")]
    Diverged {
        /// Number of the migration.
        version: i64,
        /// Its name there.
        name: String,
    },
    /// A migration does not apply.
    #[error("migration {name}: {source}")]
    Migration {
        /// Its name.
        name: &'static str,
        /// Why.
        #[source]
        source: StoreError,
    },
    /// The program was built without PostgreSQL.
    #[error("this program was built without PostgreSQL (feature `postgres`, part of `full`)")]
    NoPostgres,
    /// The database itself refuses.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The database. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Db {
    writer: AnyPool,
    reader: AnyPool,
    dialect: Dialect,
}

/// Something that statements run on: a transaction, or a connection that only reads.
pub trait Conn: Send {
    /// Returns the connection below.
    fn conn(&mut self) -> &mut AnyConnection;
}

/// A transaction that may write. Dropped without [`Tx::commit`], it has done nothing.
#[derive(Debug)]
#[must_use]
pub struct Tx(Transaction<'static, Any>);

/// A connection that reads outside of any transaction. On SQLite it can't write.
#[derive(Debug)]
pub struct Reader(PoolConnection<Any>);

impl Conn for Tx {
    fn conn(&mut self) -> &mut AnyConnection {
        &mut self.0
    }
}

impl Conn for Reader {
    fn conn(&mut self) -> &mut AnyConnection {
        &mut self.0
    }
}

impl Tx {
    /// Makes everything done in it durable and visible, all at once.
    ///
    /// # Errors
    /// Nothing has happened, except after [`StoreError::Unavailable`], when it may have.
    pub async fn commit(self) -> Result<(), StoreError> {
        Ok(self.0.commit().await?)
    }

    /// Undoes everything done in it, and waits until that is so.
    ///
    /// # Errors
    /// If the connection is lost, which undoes it too.
    pub async fn rollback(self) -> Result<(), StoreError> {
        Ok(self.0.rollback().await?)
    }
}

impl Db {
    /// Opens a database with default limits and brings its schema up to date.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub async fn open(url: &DatabaseUrl, data_dir: &Path) -> Result<Self, OpenError> {
        Self::open_with(url, data_dir, DbOptions::default()).await
    }

    /// Opens a database and brings its schema up to date.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub async fn open_with(
        url: &DatabaseUrl,
        data_dir: &Path,
        options: DbOptions,
    ) -> Result<Self, OpenError> {
        let db = Self::connect(url, data_dir, options).await?;
        migrate::run(&db, migrate::MIGRATIONS, Micros::now()).await?;
        Ok(db)
    }

    async fn connect(url: &DatabaseUrl, data_dir: &Path, options: DbOptions) -> Result<Self, OpenError> {
        sqlx::any::install_default_drivers();
        match url {
            DatabaseUrl::Sqlite(file) => sqlite(&data_dir.join(file), options).await,
            DatabaseUrl::Postgres(_) if !cfg!(feature = "postgres") => Err(OpenError::NoPostgres),
            DatabaseUrl::Postgres(url) => postgres(url, options).await,
        }
    }

    /// Begins a transaction. On SQLite there is one at a time, and it has the write lock from the start.
    ///
    /// # Errors
    /// [`StoreError::Busy`] or [`StoreError::Unavailable`] if no connection is free in time.
    pub async fn begin(&self) -> Result<Tx, StoreError> {
        tracing::trace!(statement = "begin");
        let begun = match self.dialect {
            Dialect::Sqlite => self.begin_sqlite().await,
            Dialect::Postgres => self.writer.begin().await,
        };
        begun.map(Tx).map_err(|error| self.waited(error))
    }

    /// SQLite itself rolls back a transaction that meets a full disk, and sqlx goes on counting it as open.
    /// Such a connection is of no use any more; the next one is, unless somebody else was faster and met the full disk
    /// on it.
    async fn begin_sqlite(&self) -> Result<Transaction<'static, Any>, sqlx::Error> {
        for _ in 0..MOST_SPOILT {
            match self.writer.begin_with("BEGIN IMMEDIATE").await {
                Err(sqlx::Error::InvalidSavePointStatement) => self.writer.acquire().await?.close().await?,
                begun => return begun,
            }
        }
        Err(sqlx::Error::PoolTimedOut)
    }

    /// Takes a connection for reading what is committed.
    ///
    /// # Errors
    /// [`StoreError::Busy`] or [`StoreError::Unavailable`] if no connection is free in time.
    pub async fn read(&self) -> Result<Reader, StoreError> {
        self.reader.acquire().await.map(Reader).map_err(|error| self.waited(error))
    }

    /// Returns which database this is.
    #[must_use]
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Closes all connections, waiting for those in use to come back.
    pub async fn close(&self) {
        self.reader.close().await;
        self.writer.close().await;
    }

    fn waited(&self, error: sqlx::Error) -> StoreError {
        match (error, self.dialect) {
            (sqlx::Error::PoolTimedOut, Dialect::Sqlite) => {
                StoreError::Busy("no connection became free in time".into())
            }
            (error, _) => error.into(),
        }
    }
}

/// What the writer's connection is set to. First of all to wait for others.
const WRITER: &str = "PRAGMA busy_timeout = 5000; PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; \
     PRAGMA foreign_keys = ON; PRAGMA journal_size_limit = 67108864";

/// Opens the file without a pool. A pool tries again for as long as it may wait, then says that no connection was to be
/// had and not why: of a full disk one should hear at once.
async fn look(url: &str) -> Result<AnyConnection, StoreError> {
    let mut first = AnyConnection::connect(url).await?;
    first.execute(WRITER).await?;
    Ok(first)
}

async fn sqlite(file: &Path, options: DbOptions) -> Result<Db, OpenError> {
    let url = sqlite_url(file);
    let first = match look(&url).await {
        // Somebody else is about to make it: the pool's own connection waits for that.
        Err(StoreError::Busy(_)) => None,
        first => Some(first?),
    };
    // Each connection has a thread; a lost one costs nothing, and the writer's caches stay warm.
    let pool = || {
        AnyPoolOptions::new()
            .acquire_timeout(options.acquire)
            .test_before_acquire(false)
            .idle_timeout(None)
            .max_lifetime(None)
    };
    let writer = pool()
        .max_connections(1)
        .after_connect(|conn, _| Box::pin(async move { conn.execute(WRITER).await.map(drop) }))
        .connect(&url)
        .await
        .map_err(StoreError::from)?;
    let reader = pool()
        .max_connections(options.connections)
        .after_connect(|conn, _| {
            Box::pin(async move {
                conn.execute("PRAGMA busy_timeout = 5000; PRAGMA query_only = ON").await.map(drop)
            })
        })
        .connect_lazy(&url)
        .map_err(StoreError::from)?;
    if let Some(first) = first {
        // The writer has the file open now; nothing was written by this one.
        let _ = first.close().await;
    }
    Ok(Db { writer, reader, dialect: Dialect::Sqlite })
}

/// Writes the URL by hand, because a path may hold any character.
fn sqlite_url(file: &Path) -> String {
    let mut url = String::from("sqlite://");
    for byte in file.as_os_str().as_encoded_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'_' | b'-' => url.push(*byte as char),
            byte => url.push_str(&format!("%{byte:02X}")),
        }
    }
    url.push_str("?mode=rwc");
    url
}

async fn postgres(url: &str, options: DbOptions) -> Result<Db, OpenError> {
    let pool = AnyPoolOptions::new()
        .max_connections(options.connections)
        .acquire_timeout(options.acquire)
        .after_connect(|conn, _| {
            Box::pin(async move {
                // A server that is paused in a transaction must not hold its locks for long.
                conn.execute(
                    "SET idle_in_transaction_session_timeout = '10s'; SET statement_timeout = '30s'; \
                     SET lock_timeout = '10s'; SET client_min_messages = warning",
                )
                .await
                .map(drop)
            })
        })
        .connect(url)
        .await
        .map_err(StoreError::from)?;
    Ok(Db { writer: pool.clone(), reader: pool, dialect: Dialect::Postgres })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::migrate::Migration;

    #[test]
    fn urls() {
        assert_eq!("sqlite:a b.db".parse(), Ok(DatabaseUrl::Sqlite("a b.db".into())));
        assert_eq!("sqlite:///x/y".parse(), Ok(DatabaseUrl::Sqlite("/x/y".into())));
        let url = "postgres://u:p@h/d";
        assert_eq!(url.parse(), Ok(DatabaseUrl::Postgres(url.into())));
        assert!("mysql://h/d".parse::<DatabaseUrl>().is_err());
        assert!("bellwether.db".parse::<DatabaseUrl>().is_err());
    }

    #[tokio::test]
    async fn a_path_may_hold_any_character() {
        let dir = tempfile::tempdir().unwrap();
        let file = "a b?mode=ro#%41 é.db";
        let db = Db::open(&DatabaseUrl::Sqlite(file.into()), dir.path()).await.unwrap();
        db.close().await;
        assert!(dir.path().join(file).exists());
    }

    #[tokio::test]
    async fn a_disk_on_which_nothing_can_be_made_is_named_at_once() {
        let dir = tempfile::tempdir().unwrap();
        // No journal can be made, as on a full disk.
        std::fs::create_dir(dir.path().join("x.db-journal")).unwrap();
        let options = DbOptions { connections: 1, acquire: Duration::from_millis(500) };
        let url = DatabaseUrl::Sqlite("x.db".into());
        let error = Db::open_with(&url, dir.path(), options).await.unwrap_err().to_string();
        assert!(error.contains("unable to open") && error.contains("full"), "{error}");
    }

    #[tokio::test]
    async fn a_newer_database_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let url = DatabaseUrl::Sqlite("x.db".into());
        let ours = [Migration { version: 1, name: "0001_a", sql: "CREATE TABLE a (b TEXT)" }];
        let newer = [
            Migration { version: 1, name: "0001_a", sql: "CREATE TABLE a (b TEXT)" },
            Migration { version: 2, name: "0002_c", sql: "CREATE TABLE c (d {BLOB})" },
        ];
        let other = [Migration { version: 1, name: "0001_z", sql: "CREATE TABLE z (b TEXT)" }];
        let db = Db::connect(&url, dir.path(), DbOptions::default()).await.unwrap();
        migrate::run(&db, &ours, Micros(1)).await.unwrap();
        migrate::run(&db, &newer, Micros(2)).await.unwrap();
        migrate::run(&db, &newer, Micros(3)).await.unwrap();
        let refused = migrate::run(&db, &ours, Micros(4)).await.unwrap_err();
        assert!(matches!(refused, OpenError::Newer { has: 2, newest: 1 }), "{refused}");
        let refused = migrate::run(&db, &other, Micros(4)).await.unwrap_err();
        assert!(matches!(refused, OpenError::Diverged { version: 1, .. }), "{refused}");
    }

    #[tokio::test]
    async fn a_migration_that_landed_later_with_a_lower_number_is_applied_too() {
        let dir = tempfile::tempdir().unwrap();
        let url = DatabaseUrl::Sqlite("x.db".into());
        let a = || Migration { version: 1, name: "0001_a", sql: "CREATE TABLE a (b TEXT)" };
        let late = || Migration { version: 2, name: "0002_late", sql: "CREATE TABLE late (b TEXT)" };
        let c = || Migration { version: 3, name: "0003_c", sql: "CREATE TABLE c (d TEXT)" };
        let db = Db::connect(&url, dir.path(), DbOptions::default()).await.unwrap();
        migrate::run(&db, &[a(), c()], Micros(1)).await.unwrap();
        migrate::run(&db, &[a(), late(), c()], Micros(2)).await.unwrap();
        let mut reader = db.read().await.unwrap();
        sqlx::query("SELECT b FROM late").fetch_all(reader.conn()).await.unwrap();
        drop(reader);
        let refused = migrate::run(&db, &[a(), c()], Micros(3)).await.unwrap_err();
        assert!(matches!(refused, OpenError::Diverged { version: 2, .. }), "{refused}");
    }

    #[cfg(not(feature = "postgres"))]
    #[tokio::test]
    async fn without_the_feature_postgres_is_named() {
        let url = DatabaseUrl::Postgres("postgres://h/d".into());
        let error = Db::open(&url, Path::new("/nonexistent")).await.unwrap_err();
        assert!(error.to_string().contains("feature `postgres`"), "{error}");
    }
}
