//! The git crate against a real git.

mod archive;
mod bundle;
mod fixture;
mod group;
mod hostile;
mod remote;
mod walk;
