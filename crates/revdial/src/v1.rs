//! Version 1: many streams in the frames of one connection.
//!
//! # A stream that is not read
//!
//! The protocol has no credits: whoever writes can't be told to wait with one stream alone. The original holds whatever comes, so
//! that one stream which nobody reads takes all of its memory. Here it is bounded, in this way, with not a byte on the wire
//! that the original would not send:
//!
//! - What came for a stream is held up to [`Limits::inbox`] (4 MiB), in whatever frames it came.
//! - Once that is full, nothing more is read from the connection until the stream's reader takes some. So a slow reader slows
//!   down whoever writes, and all other streams with it, and loses nothing.
//! - A reader that takes nothing for [`Limits::patience`] (1 s) loses its stream, and no other: it gets an error, the other end
//!   a close, and what comes for it afterwards is dropped as it comes, at the pace of the connection.
//! - All such waits in vain together are no more than a tenth of the time that the session has lived, and
//!   [`Limits::grace`] (100 ms): if they were, the next one is ended sooner. So those who read keep nine tenths of their rate
//!   however many others do not. A session that was long at peace may stand still for the whole patience once.
//!
//! A stream is taken for unread, too, if its reader waits until what it writes itself is taken, and the other end does not read
//! while its own writes wait, as the original's dialer does not: who sends back what comes should have room for all of it.
//!
//! What is written waits for the connection, each stream up to [`Limits::outbox`], and streams take turns. An other end that
//! takes nothing at all for 60 s loses the connection, as by the original.

mod frame;
mod inbox;
mod session;
mod standstill;
mod state;
mod stream;

pub use frame::{HEAD, Head, Kind};
pub use session::{Dialer, Listener, Session, dialer, listener};
pub use state::{End, Limits};
pub use stream::Stream;
