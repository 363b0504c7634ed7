//! TLS on one port, with real clients and a real authority.

#![cfg(feature = "tls")]
#![allow(clippy::unwrap_used, reason = "a test that can't go on fails where it stands")]

mod acme;
mod pebble;
mod tls;
mod world;
