//! What somebody has sent, on its way to the machine.
//!
//! The library's loop for their connection must never wait for a command that does not read: what lets the command go on may be
//! behind it in the same connection. So all that comes is taken, and they are told of no more room while much waits.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::Notify;

/// The room that somebody is told of, in bytes.
pub(super) const WINDOW: u32 = 2 << 20;
/// With more than this waiting they are told of none.
const HIGH: usize = WINDOW as usize / 2;
/// They do not keep to what they were told with more than this.
const MOST: usize = WINDOW as usize * 8;

/// Somebody sends without regard to what they may.
#[derive(Debug, thiserror::Error)]
#[error("a client sends more than it may")]
pub(super) struct TooMuch;

/// Bytes that wait.
#[derive(Default)]
pub(super) struct Pending {
    state: Mutex<State>,
    came: Notify,
    went: Notify,
}

#[derive(Default)]
struct State {
    pieces: VecDeque<Bytes>,
    waiting: usize,
    ended: bool,
}

impl Pending {
    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it is held.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes what has come.
    pub fn push(&self, data: &[u8]) -> Result<(), TooMuch> {
        let mut state = self.state();
        if state.waiting + data.len() > MOST {
            return Err(TooMuch);
        }
        state.waiting += data.len();
        state.pieces.push_back(Bytes::copy_from_slice(data));
        drop(state);
        self.came.notify_one();
        Ok(())
    }

    /// No more comes.
    pub fn end(&self) {
        self.state().ended = true;
        self.came.notify_one();
    }

    /// Whether so much waits that no more should come.
    pub fn is_full(&self) -> bool {
        self.state().waiting > HIGH
    }

    /// Returns when it is not full.
    pub async fn has_room(&self) {
        while self.is_full() {
            self.went.notified().await;
        }
    }

    /// The next piece; none at the end.
    pub async fn next(&self) -> Option<Bytes> {
        loop {
            {
                let mut state = self.state();
                if let Some(piece) = state.pieces.pop_front() {
                    state.waiting -= piece.len();
                    drop(state);
                    self.went.notify_one();
                    return Some(piece);
                }
                if state.ended {
                    return None;
                }
            }
            self.came.notified().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_comes_goes_on_in_order_and_too_much_is_refused() {
        let pending = Pending::default();
        let piece = vec![1; HIGH];
        pending.push(&piece).unwrap();
        assert!(!pending.is_full());
        pending.push(b"x").unwrap();
        assert!(pending.is_full());
        let mut pushed = 2;
        while pending.push(&piece).is_ok() {
            pushed += 1;
            assert!(pushed * HIGH <= MOST + HIGH);
        }
        pending.end();
        assert_eq!(pending.next().await.unwrap().len(), HIGH);
        assert_eq!(pending.next().await.as_deref(), Some(&b"x"[..]));
        while pending.next().await.is_some() {}
        pending.has_room().await;
    }
}
