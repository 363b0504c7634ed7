//! A tree as a gzip'd tar: one thread walks and reads, others pack block after block.

mod blocks;
pub(crate) mod gzip;

use std::fs::File;
use std::io;

use axum::body::Bytes;
use tar::{EntryType, Header};

use crate::sys::fd::OwnedFd;
use crate::sys::fs::{FileType, Mode, OFlags, openat, readlinkat};
use crate::walk::{Entry, Next, walk_fd};
use blocks::Blocks;
pub(crate) use blocks::threads;
pub(crate) use gzip::Level;

/// What a tar is made of, in bytes.
const RECORD: usize = 512;
/// A name or target of so many bytes stands in the header itself; a longer one in a member of its own before it.
const SHORT: usize = 100;

/// Packs what lies beneath a directory; `send` gets the archive piece by piece, and ends the work by an error.
pub(crate) fn pack(
    base: OwnedFd,
    level: Level,
    send: impl FnMut(Bytes) -> io::Result<()> + Send,
) -> io::Result<()> {
    blocks::packed(level, send, |blocks| {
        walk_fd(base, &mut |entry| {
            member(entry, blocks)?;
            Ok(Next::Enter)
        })?;
        blocks.put(&[0; 2 * RECORD])
    })
}

fn member(entry: &Entry<'_>, blocks: &mut Blocks) -> io::Result<()> {
    let mut header = Header::new_gnu();
    header.set_mode(entry.mode() & 0o7777);
    header.set_mtime(u64::try_from(entry.stat.st_mtime).unwrap_or(0));
    header.set_uid(entry.stat.st_uid.into());
    header.set_gid(entry.stat.st_gid.into());
    header.set_size(0);
    let mut name = entry.path.to_vec();
    let kind = match entry.kind {
        FileType::Directory => {
            name.push(b'/');
            EntryType::Directory
        }
        FileType::RegularFile => EntryType::Regular,
        FileType::Symlink => EntryType::Symlink,
        FileType::Fifo => EntryType::Fifo,
        FileType::CharacterDevice => EntryType::Char,
        FileType::BlockDevice => EntryType::Block,
        _ => return Err(io::Error::other(format!("{}: a socket", String::from_utf8_lossy(&name)))),
    };
    header.set_entry_type(kind);
    let mut target = Vec::new();
    if kind == EntryType::Symlink {
        target = readlinkat(entry.parent, entry.name, Vec::new())?.into_bytes();
    }
    let mut file = None;
    if kind == EntryType::Regular {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let opened = File::from(openat(entry.parent, entry.name, flags, Mode::empty())?);
        let size = opened.metadata()?.len();
        header.set_size(size);
        file = Some((opened, size));
    }
    if target.len() > SHORT {
        long(EntryType::GNULongLink, &target, blocks)?;
    }
    if name.len() > SHORT {
        long(EntryType::GNULongName, &name, blocks)?;
    }
    if let Some(gnu) = header.as_gnu_mut() {
        // What is cut off here stands whole before it.
        fill(&mut gnu.name, &name);
        fill(&mut gnu.linkname, &target);
    }
    header.set_cksum();
    blocks.put(header.as_bytes())?;
    if let Some((file, size)) = file {
        blocks.read(&file, size)?;
        blocks.put(padding(size))?;
    }
    Ok(())
}

/// A name too long for a header, as GNU's tar has it, which the original's library reads.
fn long(kind: EntryType, text: &[u8], blocks: &mut Blocks) -> io::Result<()> {
    let mut header = Header::new_gnu();
    if let Some(gnu) = header.as_gnu_mut() {
        fill(&mut gnu.name, b"././@LongLink");
    }
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_entry_type(kind);
    // With the zero that ends it.
    let size = text.len() as u64 + 1;
    header.set_size(size);
    header.set_cksum();
    blocks.put(header.as_bytes())?;
    blocks.put(text)?;
    blocks.put(&[0])?;
    blocks.put(padding(size))
}

fn fill(field: &mut [u8; SHORT], text: &[u8]) {
    for (to, from) in field.iter_mut().zip(text) {
        *to = *from;
    }
}

/// What a content of this size needs to fill its last record.
fn padding(size: u64) -> &'static [u8] {
    const ZEROS: [u8; RECORD] = [0; RECORD];
    let over = (size % RECORD as u64) as usize;
    ZEROS.get(..(RECORD - over) % RECORD).unwrap_or_default()
}
