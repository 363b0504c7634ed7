//! The agent as a real process, spoken to by its real client.

mod agent;
mod archives;
mod bw1;
mod limits;
mod original;
mod restart;
mod wire;
