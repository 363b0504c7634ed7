//! Makes archives that nobody means well with.

use std::io::Write as _;

use arbitrary::Unstructured;
use flate2::Compression;
use flate2::write::GzEncoder;
use tar::Header;

use super::scratch::BESIDE;
use super::{bytes, number, once_in, one};
use crate::pack::gzip::{Level, Packer};

/// What names are made of. Those beside the work directory are among them.
const PARTS: [&str; 16] =
    ["a", "b", "c", "..", ".", "", "x", "d", "f", "l", "work", "\\", "\u{e9}", " ", "a:b", LONG];
const LONG: &str = "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn";
/// All types of members there are, and some that are none.
const TYPES: [u8; 16] = *b"001122555LKxgS34";
const PAX_KEYS: [&str; 12] = [
    "path",
    "linkpath",
    "size",
    "mtime",
    "GNU.sparse.name",
    "GNU.sparse.size",
    "GNU.sparse.realsize",
    "GNU.sparse.major",
    "GNU.sparse.map",
    "GNU.sparse.offset",
    "GNU.sparse.numbytes",
    "comment",
];
const PAX_VALUES: [&str; 12] =
    ["0", "1", "5", "0,1", "1,2,4,1", "100000", "18446744073709551615", "-1", "", "3.5", "9,9", "x"];
/// Names that are taken, and types that are.
const GOOD_PARTS: [&str; 8] = ["a", "b", "c", "d", "f", "\u{e9}", " ", LONG];
const GOOD_TYPES: [u8; 12] = *b"000001255LKx";
/// The most members of one archive.
const MEMBERS: usize = 24;

/// A name of a few parts, or one that leads to what is beside the work directory.
pub(super) fn name(u: &mut Unstructured<'_>) -> String {
    if once_in(u, 8) {
        return format!("../{}", one(u, &BESIDE));
    }
    let parts: Vec<&str> = (0..=number(u, 4)).map(|_| *one(u, &PARTS)).collect();
    let before = if once_in(u, 16) { "/" } else { "" };
    format!("{before}{}", parts.join("/"))
}

/// A name beneath the work directory.
fn good_name(u: &mut Unstructured<'_>) -> String {
    let parts: Vec<&str> = (0..=number(u, 2)).map(|_| *one(u, &GOOD_PARTS)).collect();
    parts.join("/")
}

/// Whether all of an archive is as it should be, or anything may be wrong with it. A member that is refused is the last one, so
/// that little would be seen of many members without the former.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Meant {
    Well,
    Ill,
}

impl Meant {
    /// One time in so many, if it is not meant well.
    fn ill(self, u: &mut Unstructured<'_>, times: usize) -> bool {
        self == Self::Ill && once_in(u, times)
    }
}

/// An archive, packed or not.
pub(super) enum Archive {
    Packed(Vec<u8>),
    Plain(Vec<u8>),
}

/// Mostly one that is not packed: what is in it matters more, and is seen sooner.
pub(super) fn archive(u: &mut Unstructured<'_>) -> Archive {
    match number(u, 15) {
        0 => Archive::Plain(bytes(u, 4096)),
        13 => Archive::Packed(bytes(u, 4096)),
        14 => Archive::Packed(gzip(&plain(u))),
        15 => {
            let plain = plain(u);
            Archive::Packed(ours(u, &plain))
        }
        _ => Archive::Plain(plain(u)),
    }
}

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::none());
    gzip.write_all(plain).expect("memory takes all");
    gzip.finish().expect("memory takes all")
}

/// Members that say how long they are, and something that is damaged.
fn ours(u: &mut Unstructured<'_>, plain: &[u8]) -> Vec<u8> {
    let (first, second) = plain.split_at(number(u, 4096).min(plain.len()));
    let mut packer = Packer::new(Level::default());
    let mut packed = packer.pack(first).expect("memory takes all");
    match number(u, 3) {
        0 => packed.extend(gzip(second)),
        1 => packed.extend(bytes(u, 64)),
        _ => packed.extend(packer.pack(second).expect("memory takes all")),
    }
    if once_in(u, 4) {
        let at = number(u, packed.len() - 1);
        packed[at] ^= 1 << number(u, 7);
    }
    packed
}

fn plain(u: &mut Unstructured<'_>) -> Vec<u8> {
    let mut tar = Vec::new();
    let meant = if once_in(u, 2) { Meant::Well } else { Meant::Ill };
    for _ in 0..MEMBERS {
        if u.is_empty() {
            break;
        }
        member(u, meant, &mut tar);
    }
    if meant.ill(u, 8) {
        tar.truncate(number(u, 8192));
    } else {
        tar.resize(tar.len() + 1024, 0);
    }
    tar
}

fn member(u: &mut Unstructured<'_>, meant: Meant, tar: &mut Vec<u8>) {
    let well = meant == Meant::Well;
    let kind = if well { *one(u, &GOOD_TYPES) } else { *one(u, &TYPES) };
    let mut header = if once_in(u, 4) { Header::new_ustar() } else { Header::new_gnu() };
    // Where a link leads to may be anywhere in either.
    let (name, link) = (if well { good_name(u) } else { name(u) }, name(u));
    let content = match kind {
        b'L' | b'K' => {
            let times = if well { 2 } else { *one(u, &[1, 1, 2, 40, 900]) };
            let mut long = vec![name.as_str(); times].join("/").into_bytes();
            long.push(0);
            long
        }
        b'x' | b'g' => pax(u, meant),
        b'0' | b'S' => bytes(u, 40),
        _ if meant.ill(u, 8) => bytes(u, 40),
        _ => Vec::new(),
    };
    let block = header.as_mut_bytes();
    put(block, 0, 100, name.as_bytes());
    put(block, 157, 100, link.as_bytes());
    block[156] = if meant.ill(u, 32) { number(u, 255) as u8 } else { kind };
    header.set_mode(*one(u, &[0o644, 0o755, 0o777, 0o7777, 0, 0o444]));
    header.set_mtime(*one(u, if well { &[0, 1, 1 << 31] } else { &[0, 1, 1 << 31, u64::MAX] }));
    let size = content.len() as u64;
    header.set_size(if meant.ill(u, 16) { *one(u, &[0, 1, 513, 70_000, 1 << 40, u64::MAX]) } else { size });
    if kind == b'S' {
        holes(u, header.as_mut_bytes());
    }
    if meant.ill(u, 12) {
        let at = number(u, 511);
        header.as_mut_bytes()[at] = number(u, 255) as u8;
    }
    if !meant.ill(u, 24) {
        header.set_cksum();
    }
    tar.extend_from_slice(header.as_bytes());
    tar.extend_from_slice(&content);
    if !meant.ill(u, 24) {
        tar.resize(tar.len().next_multiple_of(512), 0);
    }
}

/// Puts text into a field, cut where the field ends.
fn put(block: &mut [u8], at: usize, room: usize, text: &[u8]) {
    for (to, from) in block[at..at + room].iter_mut().zip(text) {
        *to = *from;
    }
}

/// The map of GNU's older way: four pieces in the header, then the size with the holes.
fn holes(u: &mut Unstructured<'_>, block: &mut [u8; 512]) {
    for field in 0..9 {
        let at = if field == 8 { 483 } else { 386 + field * 12 };
        let value =
            *one(u, &["", "00000000000", "00000000001", "00000000005", "00000020000", "77777777777", "x"]);
        put(block, at, 12, value.as_bytes());
    }
    block[482] = number(u, 1) as u8;
}

/// Records as pax has them, of which some are damaged.
fn pax(u: &mut Unstructured<'_>, meant: Meant) -> Vec<u8> {
    let mut records = Vec::new();
    for _ in 0..=number(u, 5) {
        let (key, value) = if meant == Meant::Well {
            match number(u, 2) {
                0 => ("path", good_name(u)),
                1 => ("mtime", "3.5".to_owned()),
                _ => ("comment", good_name(u)),
            }
        } else {
            let key = *one(u, &PAX_KEYS);
            (key, if once_in(u, 2) { name(u) } else { (*one(u, &PAX_VALUES)).to_owned() })
        };
        let rest = format!(" {key}={value}\n");
        // Its length counts its own digits.
        let length = (rest.len()..).find(|length| length.to_string().len() + rest.len() == *length);
        let length = if meant.ill(u, 24) { number(u, 999) } else { length.unwrap_or_default() };
        records.extend(format!("{length}{rest}").into_bytes());
    }
    records
}
