//! Version 1: many streams in the frames of one connection.

mod frame;
mod session;
mod state;
mod stream;

pub use frame::{HEAD, Head, Kind};
pub use session::{Dialer, Listener, Session, dialer, listener};
pub use state::{End, Limits};
pub use stream::Stream;
