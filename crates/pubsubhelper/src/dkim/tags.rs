//! Lists of tags, `name=value; name=value`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::mail::Field;

/// The most tags that are read.
const MOST: usize = 64;

/// A list of tags. No name is in it twice.
pub(super) struct Tags<'a>(Vec<(&'a [u8], &'a [u8])>);

impl<'a> Tags<'a> {
    pub(super) fn read(text: &'a [u8]) -> Result<Tags<'a>, &'static str> {
        let mut tags: Vec<(&[u8], &[u8])> = Vec::new();
        for part in text.split(|b| *b == b';') {
            let part = part.trim_ascii();
            if part.is_empty() {
                continue;
            }
            let equals = part.iter().position(|b| *b == b'=').ok_or("a tag without a value")?;
            let (name, value) = (part[..equals].trim_ascii(), part[equals + 1..].trim_ascii());
            if tags.iter().any(|(known, _)| *known == name) {
                return Err("a tag that is there twice");
            }
            if tags.len() == MOST {
                return Err("too many tags");
            }
            tags.push((name, value));
        }
        Ok(Tags(tags))
    }

    pub(super) fn get(&self, name: &str) -> Option<&'a [u8]> {
        self.0.iter().find(|(known, _)| *known == name.as_bytes()).map(|(_, value)| *value)
    }

    /// A value without white space, if it is ASCII.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        let value = self.get(name)?;
        let plain: Vec<u8> = value.iter().copied().filter(|b| !b.is_ascii_whitespace()).collect();
        String::from_utf8(plain).ok().filter(|text| text.is_ascii())
    }
}

/// Reads base64, in which white space is of no account.
pub(super) fn base64(value: &[u8]) -> Option<Vec<u8>> {
    let plain: Vec<u8> = value.iter().copied().filter(|b| !b.is_ascii_whitespace()).collect();
    STANDARD.decode(plain).ok()
}

/// A field with the value of one of its tags left out.
pub(super) fn without(field: &Field<'_>, name: &str) -> Vec<u8> {
    let start = field.whole.len() - field.value().len();
    let mut left = field.whole[..start].to_vec();
    for (n, part) in field.value().split(|b| *b == b';').enumerate() {
        if n > 0 {
            left.push(b';');
        }
        let equals = part.iter().position(|b| *b == b'=');
        let named = equals.filter(|at| part[..*at].trim_ascii() == name.as_bytes());
        left.extend_from_slice(named.map_or(part, |at| &part[..=at]));
    }
    left
}
