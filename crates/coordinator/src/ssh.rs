//! Shells on held machines: SSH that ends here, and goes on from here to the machine (spec/buildlet.md §4.5).
//!
//! Whoever holds a machine has a key of theirs signed for it ([`authority`]), and shows the certificate at this server's
//! door ([`door`]), which lets them through to that machine and no other, as long as they hold it. What a session is used for
//! goes both ways between two SSH connections ([`guest`]), the second of which is a machine's `/connect-ssh`
//! ([`machine`]). Nothing is forwarded from here: a shell on a builder is no way into the network of the coordinator.

mod authority;
mod door;
mod guest;
mod host_key;
mod machine;
mod pending;
mod pump;
mod recording;
mod routes;

pub use door::Shells;
pub use host_key::{BadHostKey, SshHostKey};
pub(crate) use recording::FOLDER as RECORDINGS;
pub(crate) use routes::routes;
