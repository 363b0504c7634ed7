//! Files by SFTP, version 3: the one that OpenSSH speaks (draft-ietf-secsh-filexfer-02, and OpenSSH's PROTOCOL for the rest).
//!
//! It is a process as any other of a session, set apart as jobs are: it sees the files that a shell beside it sees, in the work
//! directory as its own, and ends with its channel. So it reads and writes in order, and waits where a program may wait.

mod answer;
mod attributes;
mod fields;
mod files;
#[cfg_attr(unix, path = "sftp/unix.rs")]
#[cfg_attr(windows, path = "sftp/windows.rs")]
mod system;

use std::io::{self, Read, Write};

use files::Files;

/// The longest packet, in bytes; OpenSSH's is the same.
pub(crate) const LONGEST: usize = 256 << 10;
/// The most that is read or written by one request, in bytes: with all around it, it is a packet.
const MOST: usize = LONGEST - 1024;

/// Serves one client until it has no more to ask.
pub(crate) fn serve(mut from: impl Read, mut to: impl Write) -> io::Result<()> {
    let mut files = Files::default();
    let mut packet = Vec::new();
    while next(&mut from, &mut packet)? {
        let Some(answer) = files.answer(&packet) else { continue };
        match to.write_all(&answer) {
            // Whoever has gone has no more to ask.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
            written => written?,
        }
    }
    Ok(())
}

/// Reads the next packet; there is none at the end.
fn next(from: &mut impl Read, packet: &mut Vec<u8>) -> io::Result<bool> {
    let mut head = [0; 4];
    match from.read(&mut head[..1])? {
        0 => return Ok(false),
        _ => from.read_exact(&mut head[1..])?,
    }
    let length = usize::try_from(u32::from_be_bytes(head)).unwrap_or(usize::MAX);
    if length == 0 || length > LONGEST {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("sftp: a packet of {length} bytes")));
    }
    packet.resize(length, 0);
    from.read_exact(packet)?;
    Ok(true)
}

/// For what asks it without a connection.
#[cfg(all(unix, any(test, fuzzing)))]
pub(crate) mod fuzzing {
    pub(crate) use super::LONGEST;

    /// A client of its own.
    #[derive(Default)]
    pub(crate) struct Client(super::Files);

    impl Client {
        /// The answer to a packet, if there is one.
        pub(crate) fn ask(&mut self, packet: &[u8]) -> Option<Vec<u8>> {
            self.0.answer(packet)
        }
    }
}

#[cfg(test)]
mod tests;
