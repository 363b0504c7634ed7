//! Requests for files over SSH.
//!
//! The server does what it is told, with the rights of a job's user; here it runs with the fuzzer's. So the paths are ours, all of
//! them in the work directory, and whatever else there is of a request is not.

use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use arbitrary::Unstructured;

use super::scratch::Scratch;
use super::{bytes, number, once_in, one};
use crate::ssh::sftp::fuzzing::{Client, LONGEST};

const NAMES: [&str; 8] = ["a", "b", "c", "d", "d/a", "d/b", "d/c", "no/where"];
const EXTENSIONS: [&str; 7] = [
    "posix-rename@openssh.com",
    "hardlink@openssh.com",
    "fsync@openssh.com",
    "lsetstat@openssh.com",
    "limits@openssh.com",
    "statvfs@openssh.com",
    "",
];

thread_local! {
    static SCRATCH: Scratch = Scratch::new();
}

/// Asks for many things: each request with a number has one answer, which fits a packet.
pub fn sftp(data: &[u8]) {
    SCRATCH.with(|scratch| {
        let mut u = Unstructured::new(data);
        let work = scratch.work();
        std::fs::create_dir(work.join("d")).expect("a directory");
        let mut client = Client::default();
        let mut sent = Vec::new();
        for _ in 0..24 {
            if u.is_empty() {
                break;
            }
            let packet = request(&mut u, work);
            let answer = client.ask(&packet);
            check(&packet, answer);
            sent.extend_from_slice(&u32::try_from(packet.len()).unwrap_or(0).to_be_bytes());
            sent.extend_from_slice(&packet);
        }
        drop(client);
        // The same again as it comes over a connection, cut off somewhere.
        if once_in(&mut u, 4) {
            sent.truncate(number(&mut u, sent.len()));
        }
        let mut answers = Vec::new();
        let _cut_off = crate::ssh::sftp::serve(&sent[..], &mut answers);
        scratch.check();
    });
}

fn check(packet: &[u8], answer: Option<Vec<u8>>) {
    let numbered = packet.len() >= 5 || packet.first() == Some(&1);
    let Some(answer) = answer else {
        assert!(!numbered, "no answer to {packet:?}");
        return;
    };
    assert!(numbered && answer.len() >= 9 && answer.len() <= LONGEST + 4, "{} bytes", answer.len());
    assert_eq!(answer[..4], u32::try_from(answer.len() - 4).unwrap_or(0).to_be_bytes());
    if packet.first() != Some(&1) {
        assert_eq!(answer[5..9], packet[1..5], "the answer is of another request");
        assert!(matches!(answer[4], 101..=105 | 201));
    }
}

fn request(u: &mut Unstructured<'_>, work: &Path) -> Vec<u8> {
    let kind = *one(
        u,
        &[3, 3, 3, 4, 5, 5, 6, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 200, 200, 1, 99],
    );
    let mut packet = vec![kind];
    packet.extend_from_slice(&[number(u, 3) as u8, 0, 0, 1]);
    match kind {
        3 => {
            path(u, work, &mut packet);
            let flags = one(u, &[1_u32, 2, 3, 10, 11, 26, 27, 42, 14, 63, 0]);
            packet.extend_from_slice(&flags.to_be_bytes());
            attributes(u, &mut packet);
        }
        4 | 8 | 12 => handle(u, &mut packet),
        5 => {
            handle(u, &mut packet);
            packet.extend_from_slice(&offset(u));
            packet.extend_from_slice(&one(u, &[0_u32, 1, 32_768, u32::MAX]).to_be_bytes());
        }
        6 => {
            handle(u, &mut packet);
            packet.extend_from_slice(&offset(u));
            let content = bytes(u, 32);
            put(&content, &mut packet);
        }
        9 | 14 => {
            path(u, work, &mut packet);
            attributes(u, &mut packet);
        }
        10 => {
            handle(u, &mut packet);
            attributes(u, &mut packet);
        }
        18 | 20 => {
            path(u, work, &mut packet);
            path(u, work, &mut packet);
        }
        200 => extended(u, work, &mut packet),
        7 | 11 | 13 | 15 | 16 | 17 | 19 => path(u, work, &mut packet),
        _ => packet.extend(bytes(u, 8)),
    }
    // A path that is cut off is none, so that this leads nowhere else.
    if once_in(u, 10) {
        packet.truncate(number(u, packet.len()));
    } else if once_in(u, 10) {
        packet.extend(bytes(u, 8));
    }
    if packet.is_empty() { vec![0] } else { packet }
}

fn extended(u: &mut Unstructured<'_>, work: &Path, packet: &mut Vec<u8>) {
    let name = *one(u, &EXTENSIONS);
    put(name.as_bytes(), packet);
    match name {
        "posix-rename@openssh.com" | "hardlink@openssh.com" => {
            path(u, work, packet);
            path(u, work, packet);
        }
        "fsync@openssh.com" => handle(u, packet),
        "lsetstat@openssh.com" => {
            path(u, work, packet);
            attributes(u, packet);
        }
        _ => packet.extend(bytes(u, 8)),
    }
}

fn put(text: &[u8], packet: &mut Vec<u8>) {
    packet.extend_from_slice(&u32::try_from(text.len()).unwrap_or(0).to_be_bytes());
    packet.extend_from_slice(text);
}

fn path(u: &mut Unstructured<'_>, work: &Path, packet: &mut Vec<u8>) {
    let path = work.join(*one(u, &NAMES));
    let mut path = path.as_os_str().as_bytes().to_vec();
    if once_in(u, 16) {
        path.push(*one(u, b"\0/\xff"));
    }
    put(&path, packet);
}

fn handle(u: &mut Unstructured<'_>, packet: &mut Vec<u8>) {
    match number(u, 15) {
        15 => packet.extend(bytes(u, 8)),
        // They are counted from 0, and there are seldom many.
        handle => {
            let handle = if handle < 8 { handle % 2 } else { handle % 8 };
            put(&u32::try_from(handle).unwrap_or(0).to_be_bytes(), packet);
        }
    }
}

fn offset(u: &mut Unstructured<'_>) -> [u8; 8] {
    one(u, &[0_u64, 1, 5, 1 << 40, i64::MAX as u64, u64::MAX]).to_be_bytes()
}

/// Of owners only those that are there already: whoever runs this may be nobody, or anybody.
fn attributes(u: &mut Unstructured<'_>, packet: &mut Vec<u8>) {
    let flags = *one(u, &[0_u32, 1, 4, 8, 12, 13, 1 << 31, 1 << 31 | 5, 0xf0]);
    packet.extend_from_slice(&flags.to_be_bytes());
    if flags & 1 != 0 {
        packet.extend_from_slice(&offset(u));
    }
    if flags & 4 != 0 {
        packet.extend_from_slice(&one(u, &[0_u32, 0o644, 0o755, 0o1777, u32::MAX]).to_be_bytes());
    }
    if flags & 8 != 0 {
        packet.extend_from_slice(&[number(u, 255) as u8, 0, 0, 0, 0xff, 0xff, 0xff, number(u, 255) as u8]);
    }
    if flags & 1 << 31 != 0 {
        let pairs = *one(u, &[0_u32, 1, 2, 64, 65, u32::MAX]);
        packet.extend_from_slice(&pairs.to_be_bytes());
        for _ in 0..pairs.min(3) * 2 {
            let text = bytes(u, 4);
            put(&text, packet);
        }
    }
}
