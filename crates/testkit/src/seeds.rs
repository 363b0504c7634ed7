//! Runs a fuzz target of `fuzz/` as a test: on its seeds, on those changed a little, and on bytes of no kind.

use std::path::Path;

use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, TestRunner};

/// Bytes of no kind, at most.
const MOST: usize = 1500;

/// Holds a target to its promises on each of `fuzz/seeds/NAME`, and on as many random inputs as proptest's cases.
///
/// # Panics
/// If the target does, with the seed's name or the bytes in the message; if there is no seed.
pub fn hold(name: &str, target: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds").join(name);
    let mut seeds = Vec::new();
    for entry in std::fs::read_dir(&folder).expect("the folder of seeds") {
        let path = entry.expect("a seed").path();
        let bytes = std::fs::read(&path).expect("a seed");
        // It is the last line of what a test says that fails.
        println!("{}", path.display());
        target(&bytes);
        seeds.push(bytes);
    }
    assert!(!seeds.is_empty(), "there is no seed in {}", folder.display());
    let changes = prop::collection::vec((any::<Index>(), any::<u8>()), 0..8);
    let changed = (prop::sample::select(seeds), changes, prop::option::weighted(0.2, any::<Index>()))
        .prop_map(|(mut bytes, changes, cut)| {
            for (at, byte) in changes {
                if !bytes.is_empty() {
                    let at = at.index(bytes.len());
                    bytes[at] = byte;
                }
            }
            if let Some(cut) = cut {
                bytes.truncate(cut.index(bytes.len() + 1));
            }
            bytes
        });
    let input = prop_oneof![3 => changed, 1 => prop::collection::vec(any::<u8>(), 0..MOST)];
    let held = TestRunner::new(Config::default()).run(&input, |bytes| {
        target(&bytes);
        Ok(())
    });
    if let Err(error) = held {
        panic!("{error}");
    }
}
