//! What came for a stream and was not read yet.

use std::collections::VecDeque;

use bytes::{Buf as _, Bytes, BytesMut};
use tokio::io::ReadBuf;

/// Small frames share pieces of up to this size, so that a frame of one byte does not cost an allocation and its place.
const PIECE: usize = 16 << 10;

/// Bytes in order.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    pieces: VecDeque<BytesMut>,
    held: usize,
}

impl Inbox {
    /// How many bytes wait.
    pub(super) fn held(&self) -> usize {
        self.held
    }

    pub(super) fn push(&mut self, mut payload: Bytes) {
        self.held += payload.len();
        if let Some(last) = self.pieces.back_mut() {
            let room = (last.capacity() - last.len()).min(payload.len());
            last.extend_from_slice(&payload.split_to(room));
        }
        if !payload.is_empty() {
            // As much room again as waits already: a stream for which little comes takes little.
            let mut piece = BytesMut::with_capacity(self.held.min(PIECE).max(payload.len()));
            piece.extend_from_slice(&payload);
            self.pieces.push_back(piece);
        }
    }

    /// Gives what waits for longest, as much as there is room for; nothing if nothing waits.
    pub(super) fn take(&mut self, to: &mut ReadBuf<'_>) -> usize {
        let Some(first) = self.pieces.front_mut() else { return 0 };
        let length = first.len().min(to.remaining());
        to.put_slice(&first[..length]);
        first.advance(length);
        self.held -= length;
        if first.is_empty() {
            self.pieces.pop_front();
        }
        length
    }

    pub(super) fn clear(&mut self) {
        *self = Inbox::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_in_pieces_of_any_size_goes_in_order() {
        let bytes: Vec<u8> = (0..100_000_u32).map(|n| (n * 7 + n / 256) as u8).collect();
        for (size, at_once) in [(1, 1000), (3, 7), (5000, 1), (65_535, 65_535), (17_000, 30_000)] {
            let mut inbox = Inbox::default();
            let mut came = Vec::new();
            let mut room = vec![0; at_once];
            for (n, part) in bytes.chunks(size).enumerate() {
                inbox.push(Bytes::copy_from_slice(part));
                if n % 3 == 0 {
                    let mut to = ReadBuf::new(&mut room);
                    inbox.take(&mut to);
                    came.extend_from_slice(to.filled());
                }
                assert_eq!(inbox.held() + came.len(), bytes.len().min((n + 1) * size));
            }
            loop {
                let mut to = ReadBuf::new(&mut room);
                if inbox.take(&mut to) == 0 {
                    break;
                }
                came.extend_from_slice(to.filled());
            }
            assert!(came == bytes, "{size}, {at_once}");
        }
    }

    #[test]
    fn small_ones_share_a_piece_and_a_large_one_is_alone() {
        let mut inbox = Inbox::default();
        for _ in 0..1 << 20 {
            inbox.push(Bytes::from_static(b"x"));
        }
        assert!(inbox.pieces.len() < 100, "{}", inbox.pieces.len());
        let room: usize = inbox.pieces.iter().map(|piece| piece.capacity()).sum();
        assert!(room < inbox.held() + 2 * PIECE, "{room}");
        inbox.clear();
        inbox.push(Bytes::from_static(&[0; 60_000]));
        assert_eq!((inbox.held(), inbox.pieces.len()), (60_000, 1));
    }
}
