use std::path::Path;

use super::fields::{Fields, Packet};
use super::files::Files;
use super::*;

fn ask(files: &mut Files, packet: Packet) -> (u8, Vec<u8>) {
    let packet = packet.end();
    let answer = files.answer(&packet[4..]).expect("an answer");
    assert!(answer.len() <= LONGEST + 4);
    assert_eq!(
        usize::try_from(u32::from_be_bytes(answer[..4].try_into().unwrap())).unwrap(),
        answer.len() - 4
    );
    (answer[4], answer[9..].to_vec())
}

fn path(kind: u8, path: &Path) -> Packet {
    Packet::new(kind).u32(7).bytes(path.as_os_str().as_encoded_bytes())
}

fn status(answer: &(u8, Vec<u8>)) -> u32 {
    assert_eq!(answer.0, 101);
    Fields(&answer.1).u32().unwrap()
}

#[test]
fn a_file_is_written_read_and_listed() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("f");
    let mut files = Files::default();
    let (kind, handle) = ask(&mut files, path(3, &file).u32(1 | 2 | 8 | 16).u32(4).u32(0o640));
    assert_eq!(kind, 102);
    let handle = Fields(&handle).bytes().unwrap().to_vec();
    let write = Packet::new(6).u32(7).bytes(&handle).u64(2).bytes(b"abc");
    assert_eq!(status(&ask(&mut files, write)), 0);
    let read = |at| Packet::new(5).u32(7).bytes(&handle).u64(at).u32(u32::MAX);
    let (kind, data) = ask(&mut files, read(1));
    assert_eq!((kind, Fields(&data).bytes().unwrap()), (103, &b"\0abc"[..]));
    assert_eq!(status(&ask(&mut files, read(5))), 1, "the end");
    let (kind, listing) = ask(&mut files, path(11, dir.path()));
    assert_eq!(kind, 102);
    let listed = Fields(&listing).bytes().unwrap().to_vec();
    let list = || Packet::new(12).u32(7).bytes(&listed);
    let (kind, names) = ask(&mut files, list());
    let mut names = Fields(&names);
    assert_eq!((kind, names.u32().unwrap()), (104, 3));
    assert_eq!(names.bytes().unwrap(), b".");
    assert_eq!(status(&ask(&mut files, list())), 1);
    assert_eq!(status(&ask(&mut files, Packet::new(4).u32(7).bytes(&handle))), 0);
    assert_eq!(status(&ask(&mut files, Packet::new(4).u32(7).bytes(&handle))), 4, "closed already");
}

#[test]
fn nothing_is_replaced_by_a_plain_renaming() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = (dir.path().join("a"), dir.path().join("b"));
    std::fs::write(&a, "a").unwrap();
    std::fs::write(&b, "b").unwrap();
    let mut files = Files::default();
    let to = b.as_os_str().as_encoded_bytes();
    assert_eq!(status(&ask(&mut files, path(18, &a).bytes(to))), 4);
    let replacing = Packet::new(200).u32(7).bytes(b"posix-rename@openssh.com");
    let replacing = replacing.bytes(a.as_os_str().as_encoded_bytes()).bytes(to);
    assert_eq!(status(&ask(&mut files, replacing)), 0);
    assert_eq!(std::fs::read_to_string(&b).unwrap(), "a");
}

#[test]
fn what_is_malformed_or_unknown_is_told_so_and_nothing_panics() {
    let mut files = Files::default();
    for (packet, code) in [
        (Packet::new(3).u32(7), 5),
        (Packet::new(3).u32(7).u32(u32::MAX), 5),
        (Packet::new(17).u32(7).bytes(b"a\0b"), 5),
        (Packet::new(5).u32(7).bytes(b"xyz"), 5),
        (Packet::new(9).u32(7).bytes(b".").u32(1 << 31).u32(u32::MAX), 5),
        (Packet::new(99).u32(7), 8),
        (Packet::new(200).u32(7).bytes(b"x@y"), 8),
        (Packet::new(17).u32(7).bytes(b"/no/where"), 2),
    ] {
        assert_eq!(status(&ask(&mut files, packet)), code);
    }
    assert_eq!(files.answer(&[]), None);
    assert_eq!(files.answer(&[17, 0, 0]), None);
    let mut out = Vec::new();
    assert!(serve(&[0xff, 0xff, 0xff, 0xff][..], &mut out).is_err(), "too long");
    assert!(serve(&[0, 0, 0, 9, 1][..], &mut out).is_err(), "too short");
    serve(&[0, 0, 0, 5, 1, 0, 0, 0, 3][..], &mut out).unwrap();
    assert_eq!(out[4], 2);
}

#[test]
fn only_so_many_files_are_open_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let mut files = Files::default();
    for _ in 0..128 {
        assert_eq!(ask(&mut files, path(11, dir.path())).0, 102);
    }
    assert_eq!(status(&ask(&mut files, path(11, dir.path()))), 4);
}
