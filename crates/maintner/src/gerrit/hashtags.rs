//! The hashtags of a change, as one commit of its meta ref has them. Source: spec/maintner.md §3.1, §4.4.

use super::{Gerrit, meta};
use crate::github::Number;
use crate::lines::trim;
use crate::log::Log;

/// Hashtags as they are written, separated by commas.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Hashtags<'a>(pub &'a [u8]);

impl<'a> Hashtags<'a> {
    /// Each of them without the white space around it; empty ones too, but nothing behind a comma that ends the list.
    pub fn iter(self) -> impl Iterator<Item = &'a [u8]> {
        let text = self.0.strip_suffix(b",").unwrap_or(self.0);
        // No list is no hashtag, and one of a comma alone is one.
        (!self.0.is_empty()).then(|| text.split(|byte| *byte == b',').map(trim)).into_iter().flatten()
    }

    /// Whether it is written among them, in the very letters.
    #[must_use]
    pub fn contains(self, hashtag: &[u8]) -> bool {
        self.iter().any(|one| one == hashtag)
    }

    /// Whether one of them is such.
    pub fn matches(self, such: impl FnMut(&'a [u8]) -> bool) -> bool {
        self.iter().any(such)
    }

    /// How many the original says there are: one more than there are commas, and none of an empty text.
    #[must_use]
    pub fn len(self) -> usize {
        if self.0.is_empty() { 0 } else { memchr::memchr_iter(b',', self.0).count() + 1 }
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0.is_empty()
    }
}

impl Gerrit {
    /// The hashtags of a change as of a commit of its meta ref: those of the commit itself, or of the newest before it that
    /// sets any.
    #[must_use]
    pub fn hashtags<'a>(&self, log: &'a Log, meta: Number) -> Hashtags<'a> {
        let mut found = None;
        // What is behind a merge is not known, and what was found before it stands.
        let _ = self.walk(meta, |number| {
            found = found.or_else(|| meta::hashtags(self.message(log, number), self.rules));
        });
        Hashtags(found.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_taken_apart_as_by_the_original() {
        for (text, want, length) in [
            ("", &[][..], 0),
            ("a", &["a"], 1),
            ("a, b ,c", &["a", "b", "c"], 3),
            ("a,", &["a"], 2),
            (",a", &["", "a"], 2),
            (" ", &[""], 1),
            (",", &[""], 2),
            ("a,,", &["a", ""], 3),
        ] {
            let hashtags = Hashtags(text.as_bytes());
            let found: Vec<&[u8]> = hashtags.iter().collect();
            assert_eq!(found, want.iter().map(|tag| tag.as_bytes()).collect::<Vec<_>>(), "{text:?}");
            assert_eq!((hashtags.len(), hashtags.is_empty()), (length, length == 0), "{text:?}");
        }
        let hashtags = Hashtags(b"wait-release, ex-bug");
        assert!(hashtags.contains(b"ex-bug") && !hashtags.contains(b"bug") && !hashtags.contains(b"Ex-bug"));
        assert!(!hashtags.contains(b"") && Hashtags(b",a").contains(b"") && !Hashtags(b"").contains(b""));
        assert!(hashtags.matches(|tag| tag.starts_with(b"ex-")) && !hashtags.matches(|tag| tag.is_empty()));
    }
}
