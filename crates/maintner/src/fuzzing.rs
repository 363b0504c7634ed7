//! Bytes from anybody, as what a Gerrit keeps and what a log has: functions that panic where a promise is broken.
//!
//! The tests below run them on the seeds of `fuzz/seeds`, on seeds that were changed a little and on random bytes. No program has
//! them in it.

use prost::Message as _;

use crate::check::check;
use crate::gerrit::change_view;
use crate::mutation::MutationError;
use crate::reclog::{Fault, Record, Records, header};
use crate::sources::gerrit::comments;

/// Messages of meta commits, with a zero between two; files with comments.
pub fn meta(data: &[u8]) {
    change_view::fuzzing::meta(data);
    let mut parts = data.splitn(2, |byte| *byte == 0);
    let (old, new) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let [before, now] = [old, new].map(|file| (!file.is_empty()).then_some(file));
    let found = comments::changed("", before, now);
    assert!(comments::changed("", now, now).is_empty(), "what is the same did not change");
    assert!(found.iter().all(|comment| comment.deleted || !comment.uuid.is_empty() || new.len() > 2));
}

/// A file of a log, which begins at an offset that its first two bytes say.
pub fn reclog(data: &[u8]) {
    let Some((first, file)) = data.split_first_chunk::<2>() else { return };
    let begin = u64::from(u16::from_le_bytes(*first));
    let at = |offset: u64| usize::try_from(offset - begin).unwrap_or(usize::MAX);
    let (mut end, mut ended) = (begin, false);
    for record in Records::new(file, begin) {
        assert!(!ended, "nothing is read behind what is broken");
        match record {
            Ok(record) => {
                assert_eq!(record.offset, end, "records follow one another");
                assert_eq!(
                    &file[at(record.start)..at(record.end())],
                    record.payload,
                    "its bytes are those of the file"
                );
                // What the original writes is read as the same.
                let written =
                    [header(record.offset, record.payload.len()).as_bytes(), record.payload].concat();
                let again: Vec<_> = Records::new(&written, record.offset).collect();
                assert!(
                    matches!(again.as_slice(), [Ok(Record { payload, .. })] if *payload == record.payload)
                );
                end = record.end();
            }
            Err(broken) => {
                assert_eq!(broken.offset, end, "what is broken is where the last good one ends");
                if let Fault::Truncated { want, have } = broken.what {
                    assert!(want > have && have <= file.len() as u64);
                }
                ended = true;
            }
        }
    }
    assert!(ended || at(end) == file.len(), "all is read or named");
}

/// A record's bytes: what is taken into a log is read by everybody, and what our own sources would write of it is taken.
pub fn protobuf(data: &[u8]) {
    let taken = check(data);
    let Ok(mutation) = maintpb::Mutation::decode(data) else { return };
    match taken {
        // What is said twice is put together by others, and refused here: nobody writes it.
        Ok(()) | Err(MutationError::Twice(_)) => {}
        Err(why) => panic!("others read it, and it is refused: {why}"),
    }
    let written = mutation.encode_to_vec();
    assert!(check(&written).is_ok(), "what we write is taken");
    assert_eq!(maintpb::Mutation::decode(&*written).as_ref(), Ok(&mutation), "and read as the same");
}

#[cfg(test)]
mod tests {
    use testkit::hold;

    #[test]
    fn meta_commits_of_any_kind_are_read() {
        hold("meta", super::meta);
    }

    #[test]
    fn files_of_any_kind_are_read_as_far_as_they_are_a_log() {
        hold("reclog", super::reclog);
    }

    #[test]
    fn records_of_any_kind_are_read_or_refused() {
        hold("protobuf", super::protobuf);
    }
}
