//! What was to be seen of a session, kept as an asciicast (version 2: <https://docs.asciinema.org/manual/asciicast/v2/>).
//!
//! Only what the machine prints is kept, and not what is typed: passwords are not printed. Of a session without a terminal only
//! what it was asked to do is kept, for what it prints may be an archive.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use futures::stream;
use serde_json::json;
use tokio::sync::mpsc;

use super::door::Shells;

/// Where recordings lie in the object store.
pub(crate) const FOLDER: &str = "recordings";
/// Bytes of one; what comes after that is not kept, which is said in it.
const MOST: usize = 64 << 20;
/// Pieces that wait to be written.
const WAITING: usize = 64;

/// A recording under way. It is whole once it was dropped and what waited is written.
pub(super) struct Recording {
    began: Instant,
    /// Seconds since 1970.
    at: i64,
    title: String,
    state: Mutex<State>,
    pieces: mpsc::Sender<Bytes>,
}

#[derive(Default)]
struct State {
    term: Option<(String, u32, u32)>,
    begun: bool,
    written: usize,
    /// The beginning of a character.
    rest: Vec<u8>,
}

impl Recording {
    /// Begins one that is kept under a name.
    pub fn begin(shells: &Shells, name: &str) -> Arc<Recording> {
        let (pieces, waiting) = mpsc::channel(WAITING);
        let objects = shells.0.shared.objects.clone();
        let at = shells.0.shared.ledger.clock().now().0 / 1_000_000;
        let title = name.to_owned();
        let path = format!("{FOLDER}/{name}.cast");
        shells.0.tasks.spawn(async move {
            let bytes = stream::unfold(waiting, async |mut waiting: mpsc::Receiver<Bytes>| {
                waiting.recv().await.map(|piece| (Ok(piece), waiting))
            });
            if let Err(error) = objects.put_stream(&path, Box::pin(bytes)).await {
                tracing::error!(path, %error, "the recording of a session is lost");
            }
        });
        Arc::new(Recording { began: Instant::now(), at, title, state: Mutex::default(), pieces })
    }

    fn with<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        // Nothing panics while it is held.
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The session has a terminal.
    pub fn terminal(&self, term: &str, columns: u32, rows: u32) {
        self.with(|state| state.term = Some((term.to_owned(), columns, rows)));
    }

    /// The session begins: a command, or a shell where there is none.
    pub fn what(&self, command: Option<String>) {
        let header = self.with(|state| {
            state.begun = true;
            let (term, columns, rows) = state.term.clone().unwrap_or_else(|| ("dumb".to_owned(), 80, 24));
            let mut header = json!({
                "version": 2, "width": columns, "height": rows, "timestamp": self.at, "title": self.title,
                "env": {"TERM": term},
            });
            if let Some(command) = command {
                header["command"] = command.into();
            }
            header
        });
        // There is room: nothing was said before.
        let _ = self.pieces.try_send(format!("{header}\n").into());
    }

    /// The terminal has another size.
    pub fn resized(&self, columns: u32, rows: u32) {
        if self.with(|state| state.begun) {
            let event = json!([self.began.elapsed().as_secs_f64(), "r", format!("{columns}x{rows}")]);
            let _ = self.pieces.try_send(format!("{event}\n").into());
        }
    }

    /// Keeps what the machine prints. `None` once that can't be: nothing goes on unrecorded.
    pub async fn output(&self, data: &[u8]) -> Option<()> {
        let time = self.began.elapsed().as_secs_f64();
        let piece = self.with(|state| {
            if state.term.is_none() || state.written > MOST {
                return None;
            }
            let text = whole(&mut state.rest, data);
            let mut piece = format!("{}\n", json!([time, "o", text]));
            state.written += piece.len();
            if state.written > MOST {
                piece += &format!("{}\n", json!([time, "m", "no more was kept"]));
            }
            Some(piece)
        });
        match piece {
            Some(piece) => self.pieces.send(piece.into()).await.ok(),
            None => (!self.pieces.is_closed()).then_some(()),
        }
    }
}

/// The text of what has come, but for the beginning of a character at its end, which waits for the rest.
fn whole(rest: &mut Vec<u8>, data: &[u8]) -> String {
    rest.extend_from_slice(data);
    let cut = match std::str::from_utf8(rest) {
        Err(error) if error.error_len().is_none() => error.valid_up_to(),
        // Something in the middle is no text: only the very end can be the beginning of a character.
        Err(_) => (rest.len().saturating_sub(3)..rest.len())
            .find(|at| {
                std::str::from_utf8(&rest[*at..])
                    .is_err_and(|end| end.error_len().is_none() && end.valid_up_to() == 0)
            })
            .unwrap_or(rest.len()),
        Ok(_) => rest.len(),
    };
    let waits = rest.split_off(cut);
    let text = String::from_utf8_lossy(rest).into_owned();
    *rest = waits;
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn text_is_the_same_wherever_it_is_cut(text in ".{0,40}", cuts in proptest::collection::vec(0usize..160, 0..6)) {
            let bytes = text.as_bytes();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
            cuts.push(bytes.len());
            cuts.sort_unstable();
            let (mut rest, mut from, mut got) = (Vec::new(), 0, String::new());
            for cut in cuts {
                got += &whole(&mut rest, &bytes[from..cut]);
                from = cut;
            }
            prop_assert_eq!(got, text);
            prop_assert!(rest.is_empty());
        }

        #[test]
        fn no_byte_waits_for_ever(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut rest = Vec::new();
            for byte in &bytes {
                whole(&mut rest, &[*byte]);
                prop_assert!(rest.len() < 4);
            }
        }
    }
}
