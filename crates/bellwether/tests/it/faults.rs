//! What survives: kill -9 of the server and of its workers at every durable transition and in the middle of a step, two
//! coordinators on one database, the database gone and back, full disks.
//!
//! After each: one terminal outcome, every byte of the log once, no step run twice on a worker that lived on, every
//! attempt visible, no process left over.

mod another_key;
mod bucket;
mod database;
mod disk;
mod every_write;
mod joined;
mod killed;
mod let_go;
mod restored;
mod soak;
pub mod world;
