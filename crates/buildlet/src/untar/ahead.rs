//! Unpacks gzip on threads of its own, a few pieces ahead of whoever writes the files.
//!
//! Gzip is a stream, and one thread's work. Of an archive whose members say how long they are, as ours do, several are unpacked at
//! once; whoever reads gets them in their order.

use std::io::{self, BufReader, Read};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::{Builder, Scope};

use flate2::Decompress;
use flate2::bufread::MultiGzDecoder;

use crate::pack::gzip::{WHOLE_HEAD, length, unpack};
use crate::pack::threads;

/// What is read at once of what comes packed, in bytes.
const PACKED: usize = 128 << 10;
/// A piece of what is unpacked, in bytes.
const PIECE: usize = 256 << 10;
/// Pieces that may wait for whoever reads.
const AHEAD: usize = 3;

/// A piece, or why there is none.
type Piece = io::Result<Vec<u8>>;
/// A member without its head, and where it goes when it is unpacked.
type Work = (Vec<u8>, SyncSender<Piece>);

/// Runs `read` on what `packed` has when it is unpacked.
///
/// It returns once all have ended: `read` may stop early, and the threads then stop with the next piece, or the next piece of
/// what they wait for.
pub(super) fn unpacked<T>(packed: impl Read + Send, read: impl FnOnce(&mut Ahead) -> T) -> io::Result<T> {
    std::thread::scope(|scope| {
        let (sender, pieces) = sync_channel(AHEAD);
        let (used, spare) = sync_channel(AHEAD + 1);
        let fill = move || {
            let mut packed = BufReader::with_capacity(PACKED, packed);
            // Whoever reads may have all it wants.
            let _gone = match members(scope, &mut packed, &sender) {
                Ok(Rest::None) => Ok(()),
                Ok(Rest::Stream(head)) => stream(head.chain(packed), &sender, &spare),
                Err(error) => ready(&sender, Err(error)),
            };
        };
        Builder::new().name("gunzip".into()).spawn_scoped(scope, fill)?;
        let mut ahead = Ahead { pieces, used, piece: Vec::new(), at: 0 };
        Ok(read(&mut ahead))
    })
}

/// Nobody reads any more.
struct Gone;

/// What there is behind the members that say how long they are.
enum Rest {
    /// Nothing, or nobody who wants it.
    None,
    /// What can only be read from its beginning on, of which this was read.
    Stream(io::Cursor<Vec<u8>>),
}

/// Sends a piece that is there.
fn ready(pieces: &SyncSender<Receiver<Piece>>, piece: Piece) -> Result<(), Gone> {
    let (slot, receiver) = sync_channel(1);
    let put = slot.send(piece).is_ok() && pieces.send(receiver).is_ok();
    if put { Ok(()) } else { Err(Gone) }
}

/// Has members unpacked, as long as they say how long they are.
fn members<'scope>(
    scope: &'scope Scope<'scope, '_>,
    packed: &mut impl Read,
    pieces: &SyncSender<Receiver<Piece>>,
) -> io::Result<Rest> {
    let mut workers: Vec<SyncSender<Work>> = Vec::new();
    for turn in 0.. {
        let mut head = Vec::with_capacity(WHOLE_HEAD);
        packed.by_ref().take(WHOLE_HEAD as u64).read_to_end(&mut head)?;
        let known = head.first_chunk().and_then(length);
        let Some(length) = known else {
            // At its end an archive of ours has no more; any other is told of it by who reads it.
            let ended = head.is_empty() && turn > 0;
            return Ok(if ended { Rest::None } else { Rest::Stream(io::Cursor::new(head)) });
        };
        let mut member = vec![0; length - WHOLE_HEAD];
        packed.read_exact(&mut member)?;
        if workers.len() < threads() {
            let (sender, work) = sync_channel(1);
            // It ends with the sender of its work.
            Builder::new().name("gunzip".into()).spawn_scoped(scope, move || inflate(&work))?;
            workers.push(sender);
        }
        let (slot, receiver) = sync_channel(1);
        let worker = workers.get(turn % workers.len().max(1));
        // In the reader's order before it is anybody's work: so what waits is bounded.
        let sent =
            pieces.send(receiver).is_ok() && worker.is_some_and(|worker| worker.send((member, slot)).is_ok());
        if !sent {
            break;
        }
    }
    Ok(Rest::None)
}

fn inflate(work: &Receiver<Work>) {
    let mut state = Decompress::new(false);
    while let Ok((member, slot)) = work.recv() {
        // Nobody may want it any more.
        let _gone = slot.send(unpack(&mut state, &member));
    }
}

/// Unpacks a stream of members.
fn stream(
    packed: impl io::BufRead,
    pieces: &SyncSender<Receiver<Piece>>,
    spare: &Receiver<Vec<u8>>,
) -> Result<(), Gone> {
    let mut gzip = MultiGzDecoder::new(packed);
    loop {
        let mut piece = spare.try_recv().unwrap_or_default();
        piece.resize(PIECE, 0);
        let mut filled = 0;
        let ended = loop {
            match gzip.read(piece.get_mut(filled..).unwrap_or_default()) {
                // It is full, or there is no more.
                Ok(0) => break if filled < PIECE { Some(Ok(())) } else { None },
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => break Some(Err(error)),
            }
        };
        piece.truncate(filled);
        if filled > 0 {
            ready(pieces, Ok(piece))?;
        }
        match ended {
            None => {}
            Some(Ok(())) => return Ok(()),
            Some(Err(error)) => return ready(pieces, Err(error)),
        }
    }
}

/// What has been unpacked.
pub(super) struct Ahead {
    pieces: Receiver<Receiver<Piece>>,
    used: SyncSender<Vec<u8>>,
    piece: Vec<u8>,
    at: usize,
}

impl Read for Ahead {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.at == self.piece.len() {
            // The threads have ended when they send nothing more.
            let Ok(slot) = self.pieces.recv() else { return Ok(0) };
            let piece = slot.recv().map_err(|_lost| io::Error::other("a thread that unpacks has ended"))?;
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

    /// As ours is packed.
    fn members_of(content: &[u8]) -> Vec<u8> {
        let mut all = Vec::new();
        for block in content.chunks(100_000) {
            all.extend(crate::pack::gzip::Packer::new(Default::default()).pack(block).unwrap());
        }
        all
    }

    #[test]
    fn members_that_say_their_length_come_in_their_order_whatever_is_behind_them() {
        let content: Vec<u8> = (0..2_345_678_usize).map(|at| (at / 7 % 251) as u8).collect();
        let ours = members_of(&content);
        let read = |packed: &[u8]| {
            let mut read = Vec::new();
            unpacked(packed, |ahead| ahead.read_to_end(&mut read)).unwrap().map(|_| read)
        };
        assert!(read(&ours).unwrap() == content);
        // Others behind them, and ours behind others.
        let tail = [&content[..], b"tail"].concat();
        assert!(read(&[&ours[..], &packed(b"tail")].concat()).unwrap() == tail);
        assert!(
            read(&[&ours[..], &packed(b"tail"), &ours].concat()).unwrap() == [&tail[..], &content].concat()
        );
        for cut in [5, ours.len() / 2, ours.len() - 1] {
            read(&ours[..cut]).unwrap_err();
        }
        let mut changed = ours.clone();
        changed[ours.len() / 2] ^= 1;
        read(&changed).unwrap_err();
        read(b"").unwrap_err();
        read(&[&ours[..], b"no gzip at all, which is more than a head has"].concat()).unwrap_err();
    }

    #[test]
    fn who_stops_reading_stops_the_thread() {
        let whole = packed(&vec![7; 20 * PIECE]);
        let first = unpacked(&whole[..], |ahead| {
            let mut byte = [0];
            ahead.read_exact(&mut byte).map(|()| byte[0])
        });
        assert_eq!(first.unwrap().unwrap(), 7);
        let ours = members_of(&vec![7; 20 * PIECE]);
        unpacked(&ours[..], |_| ()).unwrap();
    }
}
