//! Loading, planning and explaining configurations, through the public API.

#![allow(clippy::unwrap_used, reason = "a test may panic, in its helpers too")]

mod bad;
mod design;
mod files;
mod go;
mod properties;
mod reference;

use std::io;

use buildenv::{Config, EnvironmentName, Problems, Source};

/// No file can be included.
fn no_includes(_: &str) -> io::Result<String> {
    Err(io::Error::new(io::ErrorKind::NotFound, "no such file"))
}

/// Loads server texts beside the built-in defaults.
fn try_load(text: &str) -> Result<Config, Problems> {
    let sources = [buildenv::embedded("linux", "amd64"), Source::server("server.toml", text)];
    buildenv::load(&sources, &no_includes, None)
}

fn load(text: &str) -> Config {
    try_load(text).unwrap_or_else(|problems| panic!("{problems}"))
}

fn name<T: std::str::FromStr>(text: &str) -> T {
    text.parse().unwrap_or_else(|_| panic!("{text:?} is no name"))
}

fn environment(text: &str) -> EnvironmentName {
    name(text)
}
