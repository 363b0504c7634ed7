//! The tables against real databases: one list of tests, run on SQLite and (feature `postgres`) on PostgreSQL.

#![allow(clippy::unwrap_used, reason = "these are tests: a panic is how they fail")]

#[cfg(feature = "postgres")]
mod pg;
mod tables;

use store::{DatabaseUrl, Db, Dialect};

/// An open, empty database and what keeps it.
struct Fixture {
    db: Db,
    url: DatabaseUrl,
    dir: tempfile::TempDir,
}

impl Fixture {
    async fn new(dialect: Dialect) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let url = match dialect {
            Dialect::Sqlite => DatabaseUrl::Sqlite("bellwether.db".into()),
            #[cfg(feature = "postgres")]
            Dialect::Postgres => DatabaseUrl::Postgres(pg::database().await),
            #[cfg(not(feature = "postgres"))]
            Dialect::Postgres => unreachable!("feature postgres is off"),
        };
        let db = Db::open(&url, dir.path()).await.unwrap();
        Self { db, url, dir }
    }
}

/// Runs each test of a list on each database.
macro_rules! on_both {
    ($($name:ident),* $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::tables::$name(super::Fixture::new(store::Dialect::Sqlite).await).await;
            })*
        }
        #[cfg(feature = "postgres")]
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::tables::$name(super::Fixture::new(store::Dialect::Postgres).await).await;
            })*
        }
    };
}

on_both! {
    every_statement_prepares,
    opening_again_changes_nothing,
    a_transaction_that_is_dropped_did_nothing,
    writers_take_turns,
    old_events_go_and_the_newest_stays,
    a_database_belongs_to_the_environment_that_used_it_first,
    repos_and_branches,
    commits_once,
    a_line_after_a_force_push,
    results_only_get_newer,
    results_are_listed_by_what_is_asked,
    the_fence_of_a_log,
    log_chunks_by_byte_and_line,
    tests_and_artifacts,
    the_audit_chain_shows_any_change,
    tokens_by_their_hash,
    sessions_and_links_that_work_once,
}
