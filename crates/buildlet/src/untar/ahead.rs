//! Unpacks gzip on a thread of its own, a few pieces ahead of whoever writes the files.

use std::io::{self, BufReader, Read};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

use flate2::bufread::MultiGzDecoder;

/// What is read at once of what comes packed, in bytes.
const PACKED: usize = 128 << 10;
/// A piece of what is unpacked, in bytes.
const PIECE: usize = 256 << 10;
/// Pieces that may wait for whoever reads.
const AHEAD: usize = 3;

/// Runs `read` on what `packed` has when it is unpacked.
///
/// It returns once both have ended: `read` may stop early, and the thread then stops with the next piece, or the next piece of
/// what it waits for.
pub(super) fn unpacked<T>(packed: impl Read + Send, read: impl FnOnce(&mut Ahead) -> T) -> io::Result<T> {
    std::thread::scope(|scope| {
        let (sender, pieces) = sync_channel(AHEAD);
        let (used, spare) = sync_channel(AHEAD + 1);
        let unpack = move || fill(packed, &sender, &spare);
        std::thread::Builder::new().name("gunzip".into()).spawn_scoped(scope, unpack)?;
        let mut ahead = Ahead { pieces, used, piece: Vec::new(), at: 0 };
        Ok(read(&mut ahead))
    })
}

fn fill(packed: impl Read, pieces: &SyncSender<io::Result<Vec<u8>>>, spare: &Receiver<Vec<u8>>) {
    let mut gzip = MultiGzDecoder::new(BufReader::with_capacity(PACKED, packed));
    loop {
        let mut piece = spare.try_recv().unwrap_or_default();
        piece.resize(PIECE, 0);
        let mut filled = 0;
        let ended = loop {
            match gzip.read(piece.get_mut(filled..).unwrap_or_default()) {
                // It is full, or there is no more.
                Ok(0) => break if filled < PIECE { Some(None) } else { None },
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => break Some(Some(error)),
            }
        };
        piece.truncate(filled);
        // Whoever reads may have all it wants.
        if filled > 0 && pieces.send(Ok(piece)).is_err() {
            return;
        }
        match ended {
            None => {}
            Some(None) => return,
            Some(Some(error)) => {
                let _gone = pieces.send(Err(error));
                return;
            }
        }
    }
}

/// What has been unpacked.
pub(super) struct Ahead {
    pieces: Receiver<io::Result<Vec<u8>>>,
    used: SyncSender<Vec<u8>>,
    piece: Vec<u8>,
    at: usize,
}

impl Read for Ahead {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.at == self.piece.len() {
            // The thread has ended when it sends nothing more.
            let Ok(piece) = self.pieces.recv() else { return Ok(0) };
            let used = std::mem::replace(&mut self.piece, piece?);
            self.at = 0;
            match self.used.try_send(used) {
                Ok(()) | Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {}
            }
        }
        let there = self.piece.get(self.at..).unwrap_or_default();
        let part = there.len().min(buffer.len());
        let (Some(to), Some(from)) = (buffer.get_mut(..part), there.get(..part)) else { return Ok(0) };
        to.copy_from_slice(from);
        self.at += part;
        Ok(part)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use std::io::Write as _;

    fn packed(content: &[u8]) -> Vec<u8> {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
        gzip.write_all(content).unwrap();
        gzip.finish().unwrap()
    }

    #[test]
    fn all_of_it_comes_and_then_its_end_or_its_error() {
        for length in [0, 1, PIECE - 1, PIECE, PIECE + 1, 5 * PIECE] {
            let content: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
            let whole = packed(&content);
            let mut read = Vec::new();
            unpacked(&whole[..], |ahead| ahead.read_to_end(&mut read)).unwrap().unwrap();
            assert!(read == content, "{length}");
            let cut = &whole[..whole.len() - 9];
            let mut read = Vec::new();
            unpacked(cut, |ahead| ahead.read_to_end(&mut read)).unwrap().unwrap_err();
            assert!(content.starts_with(&read), "{length}");
        }
    }

    #[test]
    fn who_stops_reading_stops_the_thread() {
        let whole = packed(&vec![7; 20 * PIECE]);
        let first = unpacked(&whole[..], |ahead| {
            let mut byte = [0];
            ahead.read_exact(&mut byte).map(|()| byte[0])
        });
        assert_eq!(first.unwrap().unwrap(), 7);
    }
}
