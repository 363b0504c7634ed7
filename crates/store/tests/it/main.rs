//! The tables against real databases: one list of tests, run on SQLite and (feature `postgres`) on PostgreSQL.

#![allow(clippy::unwrap_used, reason = "these are tests: a panic is how they fail")]

mod backup;
#[cfg(feature = "cloud")]
mod bucket_faults;
mod objects;
mod outbox;
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

/// A database's place, with nothing in it yet.
struct Place {
    url: DatabaseUrl,
    dir: tempfile::TempDir,
}

impl Place {
    async fn opened(self) -> Fixture {
        let db = Db::open(&self.url, self.dir.path()).await.unwrap();
        Fixture { db, url: self.url, dir: self.dir }
    }
}

impl Fixture {
    async fn new(dialect: Dialect) -> Self {
        Self::empty(dialect).await.opened().await
    }

    async fn empty(dialect: Dialect) -> Place {
        let dir = tempfile::tempdir().unwrap();
        let url = match dialect {
            Dialect::Sqlite => DatabaseUrl::Sqlite("bellwether.db".into()),
            #[cfg(feature = "postgres")]
            Dialect::Postgres => DatabaseUrl::Postgres(pg::database().await),
            #[cfg(not(feature = "postgres"))]
            Dialect::Postgres => unreachable!("feature postgres is off"),
        };
        Place { url, dir }
    }
}

/// Runs each test of a list on each database.
macro_rules! on_both {
    ($($module:ident::$name:ident),* $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$module::$name(super::Fixture::new(store::Dialect::Sqlite).await).await;
            })*
        }
        #[cfg(feature = "postgres")]
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$module::$name(super::Fixture::new(store::Dialect::Postgres).await).await;
            })*
        }
    };
}

on_both! {
    tables::every_statement_prepares,
    outbox::messages_are_put_once_and_go_out_in_order,
    tables::opening_again_changes_nothing,
    tables::a_transaction_that_is_dropped_did_nothing,
    tables::writers_take_turns,
    tables::old_events_go_and_the_newest_stays,
    tables::a_feed_is_numbered_as_it_becomes_visible,
    tables::a_database_belongs_to_the_environment_that_used_it_first,
    tables::repos_and_branches,
    tables::commits_once,
    tables::a_line_after_a_force_push,
    tables::results_only_get_newer,
    tables::results_are_listed_by_what_is_asked,
    tables::the_fence_of_a_log,
    tables::log_chunks_by_byte_and_line,
    tables::tests_and_artifacts,
    tables::the_audit_chain_shows_any_change,
    tables::tokens_by_their_hash,
    tables::hints_stay_until_they_are_forgotten,
    tables::a_machine_s_token_is_used_once,
    tables::a_machine_is_set_aside_until_it_ends,
    tables::sessions_and_links_that_work_once,
    backup::a_backup_is_restored_into_either_database,
    backup::a_backup_shows_one_moment_while_others_write,
    backup::what_is_damaged_or_not_ours_is_refused_before_anything_is_written,
}
