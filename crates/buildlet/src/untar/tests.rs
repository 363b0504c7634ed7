//! Archives that were changed byte by byte: whatever is made of them, nothing is outside, and nothing panics.

use super::*;

use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use tar::{Builder, Header};

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(plain).unwrap();
    gzip.finish().unwrap()
}

fn opened(dir: &Path) -> OwnedFd {
    crate::files::open_beneath(dir, "", OFlags::RDONLY | OFlags::DIRECTORY).unwrap()
}

/// By whatever name it goes meanwhile, and whatever has its name.
#[test]
fn what_was_looked_at_is_unpacked_into() {
    let top = tempfile::tempdir().unwrap();
    let (work, outside) = (top.path().join("work"), top.path().join("outside"));
    std::fs::create_dir_all(work.join("d")).unwrap();
    std::fs::create_dir(&outside).unwrap();
    let dest = crate::files::open_beneath(&work, "d", OFlags::RDONLY | OFlags::DIRECTORY).unwrap();
    std::fs::rename(work.join("d"), work.join("aside")).unwrap();
    std::os::unix::fs::symlink(&outside, work.join("d")).unwrap();
    let mut tar = Builder::new(Vec::new());
    let mut header = Header::new_gnu();
    header.set_mode(0o644);
    header.set_size(1);
    tar.append_data(&mut header, "sub/x", &b"x"[..]).unwrap();
    let most = Most { bytes: 1 << 20, members: 10 };
    untar(&gzip(&tar.into_inner().unwrap())[..], dest, SystemTime::now(), most, &|| true).unwrap();
    assert!(work.join("aside/sub/x").exists());
    assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 0);
}

/// One of each kind of member, names that nearly lead out, and records of pax.
fn archive() -> Vec<u8> {
    let mut tar = Builder::new(Vec::new());
    let mut add = |kind: EntryType, name: &str, link: &str, content: &[u8]| {
        let mut header = Header::new_gnu();
        header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
        header.as_gnu_mut().unwrap().linkname[..link.len()].copy_from_slice(link.as_bytes());
        header.set_entry_type(kind);
        header.set_mode(0o644);
        header.set_size(content.len() as u64);
        header.set_cksum();
        tar.append(&header, content).unwrap();
    };
    add(EntryType::XGlobalHeader, "pax", "", b"13 comment=x\n");
    add(EntryType::Directory, "d/", "", b"");
    add(EntryType::Regular, "d/f", "", b"content");
    add(EntryType::Symlink, "d/s", "../.x", b"");
    add(EntryType::Link, "h", "d/f", b"");
    add(EntryType::GNULongName, "L", "", b"d/././a/long/name\0");
    add(EntryType::Regular, "short", "", b"long");
    add(EntryType::XHeader, "p", "", b"16 path=d/../pa\n22 GNU.sparse.size=10\n22 GNU.sparse.map=2,3\n");
    add(EntryType::Regular, "sparse", "", b"abc");
    add(EntryType::Regular, "d/s/f", "", b"through a link");
    tar.into_inner().unwrap()
}

/// What there is beside the directory that is unpacked into, and what is in it.
fn outside(top: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(top).unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().unwrap() != "dest" {
            found.push((path.clone(), std::fs::read(&path).unwrap()));
        }
    }
    found.sort();
    found
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn a_changed_archive_makes_nothing_outside(
        changes in prop::collection::vec((any::<prop::sample::Index>(), prop_oneof![
            any::<u8>(), Just(b'.'), Just(b'/'), Just(0), b'0'..=b'7', Just(b'x'), Just(b'2'),
        ]), 0..6),
        sums in any::<bool>(),
        cut in prop::option::weighted(0.1, any::<prop::sample::Index>()),
    ) {
        let mut plain = archive();
        for (at, byte) in &changes {
            let at = at.index(plain.len());
            plain[at] = *byte;
        }
        if sums {
            // Else most changes go no further than the header's sum.
            for record in plain.chunks_mut(512).filter(|record| record.len() == 512 && record[257..262] == *b"ustar") {
                let mut header = Header::new_gnu();
                header.as_mut_bytes().copy_from_slice(record);
                header.set_cksum();
                record.copy_from_slice(header.as_bytes());
            }
        }
        if let Some(cut) = cut {
            plain.truncate(cut.index(plain.len()));
        }
        let top = tempfile::tempdir().unwrap();
        let dest = top.path().join("dest");
        std::fs::create_dir(&dest).unwrap();
        std::fs::write(top.path().join(".x"), "safe").unwrap();
        std::fs::write(top.path().join("f"), "safe").unwrap();
        let before = outside(top.path());
        let most = Most { bytes: 1 << 20, members: 100 };
        // Whether it is refused is not asked here.
        let _unpacked = untar(&gzip(&plain)[..], opened(&dest), SystemTime::now(), most, &|| true);
        prop_assert_eq!(outside(top.path()), before);
    }
}

#[test]
fn the_archive_that_is_changed_is_unpacked_whole() {
    let top = tempfile::tempdir().unwrap();
    let most = Most { bytes: 1 << 20, members: 100 };
    std::fs::write(top.path().join(".x"), "").unwrap();
    let unpacked = untar(&gzip(&archive())[..], opened(top.path()), SystemTime::now(), most, &|| true);
    // Its last member goes through a link to a file.
    assert!(matches!(&unpacked, Err(UntarError::Refused(why)) if why.contains("d/s/f")), "{unpacked:?}");
    let read = |name: &str| std::fs::read(top.path().join(name)).unwrap();
    assert_eq!(read("h"), b"content");
    assert_eq!(read("d/a/long/name"), b"long");
    assert_eq!(read("pa"), b"\0\0abc\0\0\0\0\0");
}

#[test]
fn directories_that_a_name_brings_with_it_are_members_too() {
    let mut tar = Builder::new(Vec::new());
    let mut header = Header::new_gnu();
    header.set_entry_type(EntryType::Regular);
    header.set_size(0);
    header.set_mode(0o644);
    tar.append_data(&mut header, "a/b/c/d/f", &b""[..]).unwrap();
    let archive = gzip(&tar.into_inner().unwrap());
    for (members, whole) in [(4, false), (5, true)] {
        let top = tempfile::tempdir().unwrap();
        let most = Most { bytes: 1 << 20, members };
        let unpacked = untar(&archive[..], opened(top.path()), SystemTime::now(), most, &|| true);
        assert_eq!(unpacked.is_ok(), whole, "{members}: {unpacked:?}");
        if let Err(error) = unpacked {
            assert!(matches!(&error, UntarError::Refused(why) if why.contains("more members")), "{error}");
        }
    }
}
