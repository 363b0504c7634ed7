//! `bellwether query`: SQL over the state of a project, by DataFusion.
//!
//! [`tables`] says what there is to ask; a [`session`] runs statements over one version of a corpus, whatever is written
//! meanwhile. Rows are made while a query reads them, and only the columns that it names: a body is read in the log when a query
//! asks for bodies. A crate of its own, outside of the workspace: the engine takes minutes to build.

#![forbid(unsafe_code)]

pub mod args;
pub mod cell;
pub mod explained;
pub mod output;
pub mod run;
pub mod session;
pub mod source;
pub mod table;
pub mod tables;
pub mod view;
