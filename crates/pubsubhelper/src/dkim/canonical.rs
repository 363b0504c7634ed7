//! How a field is written before it is signed.

/// The two ways of RFC 6376, §3.4.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Canonical {
    /// As it came.
    Simple,
    /// The name in lower case, unfolded, with white space only between words and one space at a time.
    Relaxed,
}

impl Canonical {
    pub(super) fn named(name: &str) -> Option<Canonical> {
        match name {
            "simple" => Some(Canonical::Simple),
            "relaxed" => Some(Canonical::Relaxed),
            _ => None,
        }
    }

    /// Writes a field, without an end of line.
    pub(super) fn write(self, field: &[u8], to: &mut Vec<u8>) {
        if self == Canonical::Simple {
            to.extend_from_slice(field);
            return;
        }
        let colon = field.iter().position(|b| *b == b':').unwrap_or(field.len());
        to.extend(field[..colon].trim_ascii_end().iter().map(u8::to_ascii_lowercase));
        to.push(b':');
        let value = field.get(colon + 1..).unwrap_or_default();
        let is_space = |b: &u8| matches!(b, b' ' | b'\t' | b'\r' | b'\n');
        let words = value.split(is_space).filter(|word| !word.is_empty());
        for (n, word) in words.enumerate() {
            if n > 0 {
                to.push(b' ');
            }
            to.extend_from_slice(word);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(how: Canonical, field: &str) -> String {
        let mut to = Vec::new();
        how.write(field.as_bytes(), &mut to);
        String::from_utf8(to).unwrap()
    }

    /// The example of RFC 6376, §3.4.5.
    #[test]
    fn the_example_of_the_rfc() {
        for (field, relaxed) in [("A: X", "a:X"), ("B : Y\t\r\n\tZ  ", "b:Y Z")] {
            assert_eq!(written(Canonical::Relaxed, field), relaxed);
            assert_eq!(written(Canonical::Simple, field), field);
        }
        assert_eq!(written(Canonical::Relaxed, "A:"), "a:");
    }
}
