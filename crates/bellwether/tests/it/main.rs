//! The `bellwether` command as a user runs it: real processes, real git, real workers.

mod demo;
mod faults;
mod input;
mod sources;
