//! What one commit of a change's meta ref says: a subject, a text for people, and at its end lines `Key: value`, the footer.
//! Source: spec/maintner.md §4.4.

use std::sync::LazyLock;

use memchr::memmem::{self, Finder, FinderRev};

use crate::lines::{trim, value, value_and_rest};
use crate::rules::Rules;

/// What became of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Open.
    New,
    /// Open, of old.
    Draft,
    /// Given up.
    Abandoned,
    /// Submitted.
    Merged,
}

impl Status {
    /// All of them, in the order in which they are looked for.
    pub const ALL: [Self; 4] = [Self::Merged, Self::Abandoned, Self::Draft, Self::New];

    /// One more than its place in [`ALL`](Self::ALL): 0 is left for none.
    pub(super) const fn code(self) -> u8 {
        match self {
            Self::Merged => 1,
            Self::Abandoned => 2,
            Self::Draft => 3,
            Self::New => 4,
        }
    }

    /// As Gerrit writes it.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Draft => "draft",
            Self::Abandoned => "abandoned",
            Self::Merged => "merged",
        }
    }
}

/// A text that is looked for in each of some hundred thousand commits: what the search needs is made once.
macro_rules! wanted {
    ($name:ident, $text:literal) => {
        static $name: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new($text));
    };
}

wanted!(PATCH_SET, b"\nPatch-set: ");
wanted!(STATUS, b"\nStatus: ");
wanted!(BRANCH, b"Branch:");
wanted!(WIP, b"Work-in-progress:");
wanted!(PRIVATE, b"\nPrivate: true");
wanted!(LABEL, b"\nLabel: ");
static EMPTY_LINE: LazyLock<FinderRev<'static>> = LazyLock::new(|| FinderRev::new(b"\n\n"));

/// Whether a commit is likely to be one of a meta ref; nothing depends on it but where it is read.
#[must_use]
pub fn looks_like_one(message: &[u8]) -> bool {
    PATCH_SET.find(message).is_some()
}

/// The status that a commit sets.
#[must_use]
pub fn status(message: &[u8]) -> Option<Status> {
    let value = &message[STATUS.find(message)? + STATUS.needle().len()..];
    Status::ALL.into_iter().find(|status| value.starts_with(status.text().as_bytes()))
}

/// The branch that a commit sets, without `refs/heads/`; empty where it sets none.
#[must_use]
pub fn branch(message: &[u8], rules: Rules) -> &[u8] {
    let branch = value(message, &*BRANCH, rules);
    branch.strip_prefix(b"refs/heads/").unwrap_or(branch)
}

/// Whether a commit says that the change is work in progress, or that it is not.
#[must_use]
pub fn wip(message: &[u8], rules: Rules) -> Option<bool> {
    match value(message, &*WIP, rules) {
        b"true" => Some(true),
        b"false" => Some(false),
        _ => None,
    }
}

/// Whether a commit makes the change private.
#[must_use]
pub fn is_private(message: &[u8], rules: Rules) -> bool {
    // Nearly none does, wherever the line may be.
    if PRIVATE.find(message).is_none() {
        return false;
    }
    match rules {
        Rules::Original => memmem::find(message, b"\nPrivate: true\n").is_some(),
        Rules::Ours => lines(footer(message)).any(|line| line == b"Private: true"),
    }
}

/// Whether a commit has votes, or looks as if it had.
#[must_use]
pub fn has_labels(message: &[u8]) -> bool {
    LABEL.find(message).is_some()
}

/// The text after the last empty line.
#[must_use]
pub fn footer(message: &[u8]) -> &[u8] {
    EMPTY_LINE.rfind(message).map_or(&[], |at| &message[at + 2..])
}

fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|byte| *byte == b'\n')
}

/// The text for people that a commit adds to the change's messages, and the patch set it is of.
#[must_use]
pub fn message(message: &[u8]) -> Option<(i32, &[u8])> {
    const KEYS: [&[u8]; 2] = [b"\nPatch Set ", b"\nUploaded patch set "];
    let (at, key) = KEYS.iter().filter_map(|key| Some((memmem::find(message, key)?, key))).min()?;
    let after = &message[at + key.len()..];
    let number = &after[..memchr::memchr(b':', after)?];
    // `Uploaded patch set 1.` and what follows until some colon is no message.
    if number.iter().any(|byte| matches!(byte, b'\n' | b'.')) {
        return None;
    }
    let number = std::str::from_utf8(number).ok()?.parse().ok()?;
    let text = &message[at + 1..];
    let mut end = 0;
    while let Some(length) = memchr::memchr(b'\n', &text[end..]) {
        if text[end..].starts_with(b"Patch-set:") {
            // The empty line before it, or whatever two bytes are there.
            return Some((number, text.get(..end.checked_sub(2)?)?));
        }
        end += length + 1;
    }
    None
}

/// The `Tag: ` of a commit: what program did what.
#[must_use]
pub fn action_tag(message: &[u8], rules: Rules) -> &[u8] {
    value(footer(message), b"Tag: ", rules)
}

/// The hashtags that a commit sets, separated by commas; `None` where it sets none, which is not the same as an empty list.
#[must_use]
pub fn hashtags(message: &[u8], rules: Rules) -> Option<&[u8]> {
    value_and_rest(footer(message), b"Hashtags: ", rules).map(|(value, _)| value)
}

/// The hashtags that a commit says it added and removed, as it says them.
#[must_use]
pub fn hashtag_edits(message: &[u8], rules: Rules) -> (&[u8], &[u8]) {
    let (mut added, mut removed) = (&b""[..], &b""[..]);
    if action_tag(message, rules) != b"autogenerated:gerrit:setHashtag" {
        return (added, removed);
    }
    for line in lines(message) {
        let Some((what, list)) = line.strip_prefix(b"Hash").and_then(|rest| {
            let colon = memchr::memchr(b':', rest)?;
            Some((&rest[..colon], trim(&rest[colon + 1..])))
        }) else {
            continue;
        };
        match what {
            b"tag added" | b"tags added" => added = list,
            b"tag removed" | b"tags removed" => removed = list,
            _ => {}
        }
    }
    (added, removed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_status_is_the_first_lines() {
        for (text, want) in [
            ("x\n\nStatus: draft\n", Some(Status::Draft)),
            ("x\n\nStatus: merged\n", Some(Status::Merged)),
            ("x\n\nStatus: newer\n", Some(Status::New)),
            ("x\n\nStatus: odd\nStatus: new\n", None),
            ("Status: new\n", None),
            ("x\n", None),
        ] {
            assert_eq!(status(text.as_bytes()), want, "{text:?}");
        }
    }

    #[test]
    fn messages_are_cut_as_by_the_original() {
        let review = "Update patch set 1\n\nPatch Set 1: Code-Review+2\n\nJust to confirm, \"go test\" ... passing?\n\n\
                      Patch-set: 1\nReviewer: A <1@u>\nLabel: Code-Review=+2\n";
        for (text, want) in [
            (review, Some((1, "Patch Set 1: Code-Review+2\n\nJust to confirm, \"go test\" ... passing?"))),
            (
                "Create change\n\nUploaded patch set 1: Run-TryBot+1.\n\nPatch-set: 1\n",
                Some((1, "Uploaded patch set 1: Run-TryBot+1.")),
            ),
            ("Uploaded patch set 1.\n\nPatch-set: 1\n", None),
            ("Create change\n\nUploaded patch set 1.\n\nPatch-set: 1\nSubject: net: x\n", None),
            (
                "Create patch set 7\n\nUploaded patch set 7.: Commit message was updated\n\nPatch-set: 7\n",
                None,
            ),
            ("x\n\nPatch Set +1: hi\n\nPatch-set: 1\n", Some((1, "Patch Set +1: hi"))),
            ("x\n\nPatch Set 1: hi\nPatch-set: 1\n", Some((1, "Patch Set 1: h"))),
            ("x\n\nPatch Set 1: hi\nPatch-set: 1", None),
            ("Patch Set 1: hi\n\nPatch-set: 1\n", None),
            ("x\n\nPatch Set 9999999999: hi\n\nPatch-set: 1\n", None),
        ] {
            assert_eq!(
                message(text.as_bytes()),
                want.map(|(version, text)| (version, text.as_bytes())),
                "{text:?}"
            );
        }
    }

    #[test]
    fn edits_of_hashtags_are_found() {
        let said =
            |line: &str, tag: &str| format!("Update patch set 1\n\n{line}\n\nPatch-set: 1\nTag: {tag}\n");
        let tag = "autogenerated:gerrit:setHashtag";
        for (line, added, removed) in [
            ("Hashtag removed:foo", "", "foo"),
            ("Hashtags removed:    foo, bar", "", "foo, bar"),
            ("Hashtag added:   bar", "bar", ""),
            ("Hashtags added: x,y", "x,y", ""),
        ] {
            let text = said(line, tag);
            assert_eq!(
                hashtag_edits(text.as_bytes(), Rules::Ours),
                (added.as_bytes(), removed.as_bytes()),
                "{line}"
            );
            let other = said(line, "otherTag");
            assert_eq!(hashtag_edits(other.as_bytes(), Rules::Ours), (&b""[..], &b""[..]));
        }
    }

    #[test]
    fn flags_are_read_by_whose_rules_it_is() {
        let last = b"x\n\nPatch-set: 1\nPrivate: true";
        assert!(is_private(last, Rules::Ours) && !is_private(last, Rules::Original));
        let within = b"x\n\nPrivate: true\n\nPatch-set: 1\n";
        assert!(!is_private(within, Rules::Ours) && is_private(within, Rules::Original));
        assert_eq!(wip(b"x\n\nWork-in-progress: false\n", Rules::Ours), Some(false));
        assert_eq!(wip(b"x\n\nWork-in-progress: perhaps\n", Rules::Ours), None);
        assert_eq!(branch(b"x\n\nBranch: refs/heads/dev.x\n", Rules::Ours), b"dev.x");
        assert_eq!(
            (hashtags(b"x\n\nHashtags: \n", Rules::Ours), hashtags(b"x\n\nHashtags:\n", Rules::Ours)),
            (Some(&b""[..]), None)
        );
    }

    proptest! {
        #[test]
        fn any_message_is_read(text in "(x|\n|\nPatch Set |\nUploaded patch set |:|1|\\.|Patch-set:|Status: |Hash|tag added|Tag: ){0,30}") {
            let text = text.as_bytes();
            let _ = (message(text), status(text), hashtag_edits(text, Rules::Ours), is_private(text, Rules::Ours));
        }
    }
}
