//! An archive into a work directory in which a job has been.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use arbitrary::Unstructured;

use super::archive::{Archive, archive, name};
use super::scratch::{Held, Scratch, held, opened};
use super::{number, once_in, one};
use crate::untar::{Most, untar as unpack, untar_plain};

/// What is taken of an archive here.
const MOST: Most = Most { bytes: 64 << 10, members: 10 };

thread_local! {
    static SCRATCH: Scratch = Scratch::new();
}

/// Unpacks archives one after another: nothing outside of the work directory is touched, and no more is made than is taken.
pub fn untar(data: &[u8]) {
    SCRATCH.with(|scratch| {
        let mut u = Unstructured::new(data);
        let work = scratch.work();
        if once_in(&mut u, 4) {
            a_job(&mut u, work);
        }
        for _ in 0..=number(&mut u, 2) {
            let before = held(work);
            let archive = archive(&mut u);
            let now = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
            // Whether it is refused is not asked here.
            let _unpacked = match archive {
                Archive::Packed(packed) => unpack(&packed[..], opened(work), now, MOST, &|| true),
                Archive::Plain(plain) => untar_plain(&plain[..], opened(work), now, MOST),
            };
            scratch.check();
            let Held { things, bytes } = held(work);
            assert!(things <= before.things + MOST.members, "{things} things, {before:?}");
            assert!(bytes <= before.bytes + MOST.bytes, "{bytes} bytes, {before:?}");
        }
    });
}

/// Leaves what a job may leave: links to anywhere, and things in the places of others.
fn a_job(u: &mut Unstructured<'_>, work: &Path) {
    for _ in 0..number(u, 4) {
        let at = work.join(*one(u, &["a", "b", "c", "d", "a/b", "a/x"]));
        if at.parent().and_then(|dir| dir.symlink_metadata().ok()).is_none_or(|dir| !dir.is_dir()) {
            // The job's own link there leads out, and this is no fence.
            continue;
        }
        let target = if once_in(u, 4) { work.join("../d") } else { name(u).into() };
        let _there_already = match number(u, 3) {
            0 => fs::create_dir(&at),
            // Never through a link.
            1 => fs::File::create_new(&at).and_then(|mut file| file.write_all(b"of a job")),
            2 => symlink(&target, &at),
            _ => fs::hard_link(work.join("a"), &at),
        };
    }
}
