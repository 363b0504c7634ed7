//! The edge of a server: one port, the connections on it and what each of them may cost, TLS.
//!
//! [`Edge`] takes a listener and a router, and owns every connection until its end. It knows no path and no person: who
//! may ask for what, and how large a request's body may be, is said by the router behind it.
//!
//! What a connection may do without asking for anything is limited in time; what many of them may do together is limited
//! in number, and the one that waited longest gives way, or else the one that was told events for longest. So whoever opens
//! connections and sends nothing, or a byte now and then, or listens for ever, keeps nobody else out.

#![forbid(unsafe_code)]

mod body;
mod connection;
mod files;
mod limits;
mod serve;
mod stream;
mod table;
mod takeover;
#[cfg(feature = "tls")]
pub mod tls;

pub use files::Files;
pub use limits::Limits;
pub use serve::{Edge, Plain, PlainRule};
pub use takeover::{Duplex, Taken, Takeover};

/// Marks a request, among its extensions, as one that came over TLS into this process.
#[derive(Debug, Clone, Copy)]
pub struct OverTls;
