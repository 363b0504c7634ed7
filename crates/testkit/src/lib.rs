//! What whole-system tests are made of: a throw-away PostgreSQL, git repositories with a known history, the real
//! `bellwether` binary as a process of its own, and waiting with a limit.
//!
//! For tests only; it knows no crate of the product, and nothing here is a fake of something that can run for real.
//! Everything is synchronous: a test on an async runtime calls it as it calls any short blocking step.

#![forbid(unsafe_code)]

mod buckets;
mod component;
mod counter;
mod forwarder;
pub mod gerrit;
mod git;
pub mod github;
mod http;
pub mod legacy;
mod no_space;
mod notedb;
mod on_both;
mod postgres;
mod process;
mod scrape;
mod seeds;
mod server;
mod wait;
mod watch;
mod worker;

pub use buckets::{Buckets, Cloud};
pub use component::{component, component_file};
pub use counter::Counter;
pub use forwarder::{Forwarder, Way};
pub use git::{File, GitRepo};
pub use http::{Answer, request};
pub use no_space::{Cut, NoSpace, Point, Role};
pub use notedb::{NoteDb, Uploaded};
pub use postgres::Postgres;
pub use process::{Kill, allow_open_files, cpu_time, kill, open_files, resident_bytes, threads};
pub use scrape::{Scraped, Scraper};
pub use seeds::hold;
pub use server::{Server, ServerOptions};
pub use wait::{free_port, wait_for};
pub use watch::Watchers;
pub use worker::{Worker, workers};
