//! What a client sends to a command, on its way there.
//!
//! The session's loop must never wait for a command that reads nothing: what would wake the command may be in the same
//! connection, behind. So all that comes is taken at once, and the client is held to what it was told it may send.

use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::{Bytes, BytesMut};
use tokio::sync::Notify;

/// More than this waiting, and the client is told of no more room, in bytes.
pub(super) const HIGH: usize = super::WINDOW as usize / 2;
/// More than this has sent only who does not keep to what they were told, in bytes.
const MOST: usize = super::WINDOW as usize * 8;
/// What a command is given at once, in bytes.
const PIECE: usize = 64 << 10;

/// The client sends without regard to what it may.
#[derive(Debug)]
pub(super) struct TooMuch;

/// Bytes between a client and a command.
#[derive(Default)]
pub(super) struct Input {
    state: Mutex<State>,
    filled: Notify,
    drained: Notify,
}

#[derive(Default)]
struct State {
    bytes: BytesMut,
    /// The client sends no more.
    ended: bool,
    /// The command takes no more.
    unwanted: bool,
}

impl Input {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes what the client has sent.
    pub(super) fn push(&self, data: &[u8]) -> Result<(), TooMuch> {
        let mut state = self.state();
        if state.ended || state.unwanted {
            return Ok(());
        }
        if state.bytes.len() + data.len() > MOST {
            return Err(TooMuch);
        }
        state.bytes.extend_from_slice(data);
        drop(state);
        self.filled.notify_one();
        Ok(())
    }

    /// Notes that the client sends no more.
    pub(super) fn end(&self) {
        self.state().ended = true;
        self.filled.notify_one();
    }

    /// Notes that the command takes no more: what there is and what still comes is nothing.
    pub(super) fn refuse(&self) {
        let mut state = self.state();
        state.unwanted = true;
        state.bytes = BytesMut::new();
        drop(state);
        self.drained.notify_one();
    }

    /// Whether so much waits that no more should come.
    pub(super) fn is_full(&self) -> bool {
        self.state().bytes.len() > HIGH
    }

    /// Returns when it is not full.
    pub(super) async fn has_room(&self) {
        while self.is_full() {
            self.drained.notified().await;
        }
    }

    /// Returns the next bytes; none at the end.
    pub(super) async fn next(&self) -> Option<Bytes> {
        loop {
            {
                let mut state = self.state();
                if !state.bytes.is_empty() {
                    let piece = state.bytes.len().min(PIECE);
                    let piece = state.bytes.split_to(piece).freeze();
                    drop(state);
                    self.drained.notify_one();
                    return Some(piece);
                }
                if state.ended || state.unwanted {
                    return None;
                }
            }
            self.filled.notified().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn everything_arrives_in_order_and_then_the_end() {
        let input = Input::default();
        input.push(b"ab").unwrap();
        input.push(b"c").unwrap();
        input.end();
        input.push(b"late").unwrap();
        assert_eq!(input.next().await.as_deref(), Some(&b"abc"[..]));
        assert_eq!(input.next().await, None);
    }

    #[tokio::test]
    async fn who_sends_beyond_what_they_may_is_found_out() {
        let input = Input::default();
        let piece = vec![0; HIGH];
        input.push(&piece).unwrap();
        assert!(!input.is_full());
        input.push(b"x").unwrap();
        assert!(input.is_full());
        while input.push(&piece).is_ok() {
            assert!(input.state().bytes.len() <= MOST);
        }
        input.refuse();
        input.has_room().await;
        input.push(&piece).unwrap();
        assert_eq!(input.next().await, None, "nobody wants it");
    }
}
