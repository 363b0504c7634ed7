//! One seed is one log, and all of it is read again.

use std::fs;
use std::path::Path;

use maintpb::Mutation;
use prost::Message;

use super::log::Counts;
use super::{Args, write};

fn made(dir: &Path, seed: u64) -> Counts {
    write(&Args { dir: dir.to_owned(), scale: 0.001, seed }).unwrap()
}

/// The records of a file, each where its header says.
fn records(bytes: &[u8]) -> Vec<Mutation> {
    let mut at = 0;
    let mut read = Vec::new();
    while at < bytes.len() {
        let end = at + bytes[at..].iter().position(|byte| *byte == b'=').unwrap();
        let header = std::str::from_utf8(&bytes[at..end]).unwrap();
        let (offset, len) = header.strip_prefix("REC@").unwrap().split_once('+').unwrap();
        assert_eq!(usize::from_str_radix(offset, 16).unwrap(), at);
        at = end + 1 + usize::from_str_radix(len, 16).unwrap();
        read.push(Mutation::decode(&bytes[end + 1..at]).unwrap());
    }
    read
}

#[test]
fn a_seed_is_a_log_of_records_that_can_be_read() {
    let [one, same, other] = [(); 3].map(|()| tempfile::tempdir().unwrap());
    let counts = made(one.path(), 1);
    assert_eq!(counts, made(same.path(), 1));
    assert_ne!(counts.sha224, made(other.path(), 2).sha224);

    let mut files: Vec<_> = fs::read_dir(one.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert_eq!(files.len(), 24);
    let (mut all, mut bytes) = (Vec::new(), 0);
    for file in &files {
        let content = fs::read(file).unwrap();
        assert_eq!(content, fs::read(same.path().join(file.file_name().unwrap())).unwrap());
        bytes += content.len() as u64;
        all.extend(records(&content));
    }
    assert_eq!((all.len() as u64, bytes), (counts.records, counts.bytes));
    let commits: usize =
        all.iter().filter_map(|record| record.gerrit.as_ref()).map(|gerrit| gerrit.commits.len()).sum();
    assert_eq!(commits as u64, counts.commits);

    // What only our own leader writes, and the original's programs pass over.
    let notes = all.iter().filter_map(|record| record.gerrit.as_ref()).flat_map(|gerrit| &gerrit.commits);
    let comments: Vec<_> = notes.flat_map(|commit| &commit.comments).collect();
    assert_eq!(comments.len() as u64, counts.inline);
    assert!(comments.iter().any(|comment| comment.parent_uuid.is_empty() && comment.line > 0));
    assert!(comments.iter().any(|comment| !comment.parent_uuid.is_empty() && comment.line == 0));
}
