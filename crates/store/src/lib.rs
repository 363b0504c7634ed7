//! SQL for SQLite and PostgreSQL by one set of statements, and the object store.
//!
//! One file per table, one function per statement. A function takes `on: &mut impl Conn`, which is a
//! transaction ([`Tx`], from [`Db::begin`]) or, for what only reads, a [`Reader`] (from [`Db::read`]).
//! No rule of the product lives here: what a row means is decided by the service that owns its table.
//!
//! To add a table: a migration in `migrations/NNNN_name.sql` with its line in `migrate.rs`, a file here
//! with its line below, and that file's `STATEMENTS` in `statement.rs`.

pub mod backup;
mod bind;
mod datadir;
mod db;
mod error;
pub mod id;
mod migrate;
mod objects;
mod statement;
mod time;

// The coordinator's tables.
pub mod alarms;
pub mod attempts;
pub mod bisections;
pub mod builds;
pub mod durations;
pub mod events;
pub mod failures;
pub mod gomotes;
pub mod leader;
pub mod leases;
pub mod machine_tokens;
pub mod outbox;
pub mod own_rules;
pub mod samples;
pub mod set_asides;
pub mod snapshots;
pub mod spans;
pub mod standings;
pub mod verdicts;
pub mod wanted_holds;
pub mod workers;

// Of all services.
pub mod environment;

// Of whoever asks who somebody is.
pub mod sessions;
pub mod tokens;

// The dashboard's tables.
pub mod artifacts;
pub mod attempt_stats;
pub mod audit;
pub mod branch_commits;
pub mod branches;
pub mod commits;
pub mod feed;
pub mod legacy;
pub mod log_chunks;
pub mod log_digests;
pub mod log_index;
pub mod logs;
pub mod repos;
pub mod results;
pub mod retention;
pub mod step_times;
pub mod test_results;
pub mod tree_changes;
pub mod tree_orders;
pub mod try_changes;
pub mod try_runs;

// The table of pubsubhelper.
pub mod pubsub_events;
pub mod pulls;

pub use datadir::{DataDir, DataDirError};
pub use db::{Conn, DatabaseUrl, Db, DbOptions, Dialect, OpenError, Reader, Snapshot, Tx, UrlError};
pub use error::StoreError;
pub use id::{AttemptId, BisectionId, BuildId, EventId, LeaseId, TryRunId, WorkerId};
pub use migrate::{MIGRATIONS, Migration, newest_version};
pub use objects::{
    AccessKey, Bucket, CloudOptions, ObjectError, ObjectLimits, ObjectMeta, Objects, ObjectsUrl,
};
pub use statement::{Hidden, Statement, all as statements};
pub use time::Micros;
