//! Texts as parts of a path or of a query.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// What RFC 3986 leaves as it is, and `@`, which is in every revision.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b'@');

/// Escapes a text so that it is one segment of a path or one value of a query.
#[must_use]
pub fn segment(text: &str) -> String {
    utf8_percent_encode(text, PLAIN).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_text_ends_its_segment() {
        assert_eq!(segment("release/1.0 ü?#%&+"), "release%2F1.0%20%C3%BC%3F%23%25%26%2B");
        assert_eq!(segment("--upload-pack=x"), "--upload-pack%3Dx");
        assert_eq!(segment("a@b-_.~"), "a@b-_.~");
    }
}
