//! The protocols between two ends, and against bytes of the original.
#![allow(clippy::unwrap_used, reason = "a test that can't go on fails where it stands")]

mod every_byte;
mod interleaved;
mod unread;
mod v1;
mod v2;
mod whole;
mod whole_v1;
mod whole_v2;
mod wire;
