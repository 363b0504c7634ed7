//! The git command line, safely.
//!
//! Everything Bellwether does with git goes through [`Git`], which starts the real `git` (2.39 or newer) with an
//! environment of its own, and [`Repository`], a bare repository that belongs to us. Nothing from outside becomes an
//! option: URLs, names and revisions are types that are checked when they are made ([`RemoteUrl`], [`RefName`],
//! [`Rev`], [`ObjectId`]). Each command runs in its own process group with a time limit; however it ends, no process
//! of that group is left. Hooks, filters, `core.fsmonitor`, `.gitattributes` and `.gitmodules` of a repository have
//! no effect here.
//!
//! This crate knows no product word: no branch pattern, no dashboard, no configuration file.

mod archive;
mod bundle;
mod command;
mod config;
mod error;
mod gather;
mod group;
mod id;
mod many;
mod merge;
mod name;
mod remote;
mod repository;
mod tree;
mod url;
mod walk;
mod worktree;

pub use archive::Archive;
pub use bundle::Bundle;
pub use config::{Git, GitConfig, Limits, Version};
pub use error::Error;
pub use gather::{Row, Want};
pub use id::{ObjectId, ParseIdError};
pub use many::{Changes, Did, FileChange, Object, Objects, Peel};
pub use merge::Merge;
pub use name::{NameError, RefName, RefSpec, Rev};
pub use remote::{
    FetchOptions, FetchReport, Listing, PushOptions, PushOutcome, PushResult, Ref, RefChange, RefUpdate,
    Scope,
};
pub use repository::Repository;
pub use tree::Listed;
pub use url::{RemoteUrl, UrlError};
pub use walk::{Commit, Person};
pub use worktree::Found;
