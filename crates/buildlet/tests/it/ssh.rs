//! The agent's own SSH server, by OpenSSH's programs and by a client that asks for what they never would.

pub mod client;
mod commands;
mod ends;
mod files;
pub mod guest;
mod refusals;
mod terminal;
