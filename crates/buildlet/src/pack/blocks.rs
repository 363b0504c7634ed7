//! Cuts what is written into blocks, has them packed by several threads, and sends them on in their order.
//!
//! The blocks go to the threads in turn, and are taken from them in the same turn: so no block has to say which it is. Each way
//! holds one block, so that the memory is bounded whoever is slow.

use std::fs::File;
use std::io::{self, Read as _};
use std::num::NonZero;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use axum::body::Bytes;

use super::gzip::{Level, Packer};

/// What is packed at once, in bytes: large enough that the first 32 KiB of each, which have nothing before them to refer to, cost
/// little.
pub(super) const BLOCK: usize = 512 << 10;
/// More threads would need more memory than an agent may have.
const MOST_THREADS: usize = 4;

/// How many threads there are for one archive.
pub(crate) fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, NonZero::get).min(MOST_THREADS)
}

/// Where the archive is written.
pub(super) struct Blocks {
    block: Vec<u8>,
    /// How much of the block is written.
    filled: usize,
    threads: Vec<SyncSender<Vec<u8>>>,
    next: usize,
}

/// Runs `write` and sends what it writes, packed.
pub(super) fn packed(
    level: Level,
    mut send: impl FnMut(Bytes) -> io::Result<()> + Send,
    write: impl FnOnce(&mut Blocks) -> io::Result<()>,
) -> io::Result<()> {
    std::thread::scope(|scope| {
        let mut blocks = Blocks { block: Vec::new(), filled: 0, threads: Vec::new(), next: 0 };
        let mut ways: Vec<Receiver<io::Result<Vec<u8>>>> = Vec::new();
        for _ in 0..threads() {
            let (to_thread, work) = sync_channel::<Vec<u8>>(1);
            let (done, way) = sync_channel(1);
            // It ends with the sender of its work, or with the receiver of what it has done.
            std::thread::Builder::new().name("pack".into()).spawn_scoped(scope, move || {
                let mut packer = Packer::new(level);
                while let Ok(block) = work.recv() {
                    if done.send(packer.pack(&block)).is_err() {
                        return;
                    }
                }
            })?;
            blocks.threads.push(to_thread);
            ways.push(way);
        }
        let sender = std::thread::Builder::new().name("send".into()).spawn_scoped(scope, move || {
            for way in ways.iter().cycle() {
                // The first that has no more is the one whose turn would be next.
                let Ok(block) = way.recv() else { return Ok(()) };
                send(block?.into())?;
            }
            Ok(())
        })?;
        let written = write(&mut blocks).and_then(|()| blocks.emit());
        drop(blocks);
        let sent = sender.join().map_err(|_panic| io::Error::other("the archive's sender ended"))?;
        // Who can't send says why; that nothing could be handed on is only what follows from it.
        sent.and(written)
    })
}

impl Blocks {
    /// Writes these bytes.
    pub(super) fn put(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let room = self.room()?;
            let part = room.len().min(bytes.len());
            let (now, later) = bytes.split_at(part);
            room.get_mut(..part).unwrap_or_default().copy_from_slice(now);
            self.filled += part;
            bytes = later;
        }
        Ok(())
    }

    /// Writes as many bytes as a file was said to have: one that grows is cut, one that shrinks is an error.
    pub(super) fn read(&mut self, mut file: &File, mut left: u64) -> io::Result<()> {
        while left > 0 {
            let room = self.room()?;
            let most = usize::try_from(left).unwrap_or(usize::MAX).min(room.len());
            let read = file.read(room.get_mut(..most).unwrap_or_default())?;
            if read == 0 {
                return Err(io::Error::other("a file shrank while it was read"));
            }
            self.filled += read;
            left -= read as u64;
        }
        Ok(())
    }

    /// Where the next bytes go; never empty.
    fn room(&mut self) -> io::Result<&mut [u8]> {
        if self.filled == self.block.len() {
            self.emit()?;
            self.block = vec![0; BLOCK];
        }
        Ok(self.block.get_mut(self.filled..).unwrap_or_default())
    }

    /// Hands the block on, if there is anything in it.
    fn emit(&mut self) -> io::Result<()> {
        self.block.truncate(self.filled);
        self.filled = 0;
        let block = std::mem::take(&mut self.block);
        if block.is_empty() {
            return Ok(());
        }
        let turn = self.next % self.threads.len().max(1);
        self.next += 1;
        let gone = || io::Error::from(io::ErrorKind::BrokenPipe);
        self.threads.get(turn).ok_or_else(gone)?.send(block).map_err(|_gone| gone())
    }
}
