//! Bad input, each with its own clear message; the command line against a running server.

mod access;
mod commands;
mod configuration;
mod gomotes;
mod places;
mod repositories;
mod repro;
mod world;

pub use world::World;
