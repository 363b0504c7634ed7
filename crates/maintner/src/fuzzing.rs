//! Bytes from anybody, as what a Gerrit keeps: functions that panic where a promise is broken.
//!
//! The tests below run them on the seeds of `fuzz/seeds`, on seeds that were changed a little and on random bytes. No program has
//! them in it.

use crate::gerrit::change_view;
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

#[cfg(test)]
mod tests {
    use testkit::hold;

    #[test]
    fn meta_commits_of_any_kind_are_read() {
        hold("meta", super::meta);
    }
}
