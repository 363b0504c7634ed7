//! The protocols between two ends, and against bytes of the original.
#![allow(clippy::unwrap_used, reason = "a test that can't go on fails where it stands")]

mod unread;
mod v1;
mod v2;
