//! Lines of the form `Key: value` in messages, found as the original finds them. Source: spec/maintner.md §3.2.

use memchr::memmem::Finder;

use crate::rules::Rules;

/// Without the white space at both ends.
#[must_use]
pub fn trim(text: &[u8]) -> &[u8] {
    // As it is in nearly all cases: no white space is at either end, of whatever kind.
    if let (Some(b'!'..=b'~'), Some(b'!'..=b'~')) = (text.first(), text.last()) {
        return text;
    }
    // Go's notion of white space is Unicode's. Of what is not UTF-8 no more is cut than the ASCII part of it.
    match std::str::from_utf8(text) {
        Ok(text) => text.trim().as_bytes(),
        Err(_) => text.trim_ascii(),
    }
}

/// What a line begins with: its bytes, or a search for them that was made before.
pub trait Prefix: Copy {
    /// Where it is first.
    fn find(self, text: &[u8]) -> Option<usize>;
    /// Its length in bytes.
    fn length(self) -> usize;
}

impl Prefix for &[u8] {
    fn find(self, text: &[u8]) -> Option<usize> {
        memchr::memmem::find(text, self)
    }

    fn length(self) -> usize {
        self.len()
    }
}

impl<const N: usize> Prefix for &[u8; N] {
    fn find(self, text: &[u8]) -> Option<usize> {
        memchr::memmem::find(text, self)
    }

    fn length(self) -> usize {
        N
    }
}

impl Prefix for &Finder<'_> {
    fn find(self, text: &[u8]) -> Option<usize> {
        Finder::find(self, text)
    }

    fn length(self) -> usize {
        self.needle().len()
    }
}

/// The value of the first line that begins with `prefix`, trimmed, and what follows that line.
#[must_use]
pub fn value_and_rest(text: &[u8], prefix: impl Prefix, rules: Rules) -> Option<(&[u8], &[u8])> {
    let mut from = 0;
    loop {
        let at = from + prefix.find(&text[from..])?;
        let begins = match rules {
            Rules::Ours => at == 0 || matches!(text[at - 1], b'\n' | b'\r'),
            // Having passed over one in the middle of a line, it takes the place behind it for the begin of a line.
            Rules::Original => at == from || matches!(text[at - 1], b'\n' | b'\r'),
        };
        let after = at + prefix.length();
        if begins {
            let end = memchr::memchr(b'\n', &text[after..]).map_or(text.len(), |end| after + end);
            return Some((trim(&text[after..end]), text.get(end + 1..).unwrap_or_default()));
        }
        from = after;
    }
}

/// The value of the first line that begins with `prefix`, trimmed; empty where there is none.
#[must_use]
pub fn value(text: &[u8], prefix: impl Prefix, rules: Rules) -> &[u8] {
    value_and_rest(text, prefix, rules).map_or(&[], |(value, _)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_found_as_the_original_finds_it() {
        for (text, prefix, found) in [
            ("foo:  value ", "foo:", Some(("value", ""))),
            ("foo:\n", "foo:", Some(("", ""))),
            ("bar:\n", "foo:", None),
            ("bar: other\nfoo:  value\n", "foo:", Some(("value", ""))),
            ("notfoo: other\nfoo:  value\n", "foo:", Some(("value", ""))),
            ("Foo: bar\nLabel: Vote=+1\nLabel: Vote=+2\n", "Label: ", Some(("Vote=+1", "Label: Vote=+2\n"))),
            ("a\rfoo: b\rc\nd", "foo:", Some(("b\rc", "d"))),
        ] {
            for rules in [Rules::Ours, Rules::Original] {
                let read = value_and_rest(text.as_bytes(), prefix.as_bytes(), rules);
                assert_eq!(read, found.map(|(value, rest)| (value.as_bytes(), rest.as_bytes())), "{text:?}");
            }
        }
        let quirk = b"xfoo:foo: bar\n";
        assert_eq!(
            (value(quirk, b"foo:", Rules::Original), value(quirk, b"foo:", Rules::Ours)),
            (&b"bar"[..], &b""[..])
        );
    }

    #[test]
    fn white_space_is_unicodes() {
        assert_eq!(trim(" \u{a0}\u{2003}a b\u{85}\t".as_bytes()), b"a b");
        assert_eq!(trim(b" \xffa\t"), b"\xffa");
    }
}
