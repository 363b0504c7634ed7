//! A mail's header, and what it says if Gerrit sent it.

use std::borrow::Cow;

use crate::GerritEvent;

/// The longest address, project and hash that an event carries, bytes.
const LONGEST_URL: usize = 512;
const LONGEST_PROJECT: usize = 256;
const LONGEST_HASH: usize = 64;
/// What begins the names of the fields that are Gerrit's own.
const OWN: &[u8] = b"X-Gerrit-";

/// A field of a header, as it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Field<'a> {
    /// Its name, as it came, up to the colon.
    pub(crate) name: &'a [u8],
    /// All of it, with its folds and without its last line's end.
    pub(crate) whole: &'a [u8],
}

impl<'a> Field<'a> {
    /// What stands after the colon.
    pub(crate) fn value(&self) -> &'a [u8] {
        self.whole.get(self.name.len() + 1..).unwrap_or_default()
    }

    /// Whether it has a name, which is compared without case.
    pub(crate) fn is(&self, name: &str) -> bool {
        self.name.trim_ascii_end().eq_ignore_ascii_case(name.as_bytes())
    }

    /// What it says in one line.
    fn text(&self) -> Cow<'a, str> {
        let value = self.value().trim_ascii();
        if !value.contains(&b'\n') {
            return String::from_utf8_lossy(value);
        }
        let lines: Vec<_> = value.split(|b| *b == b'\n').map(<[u8]>::trim_ascii).collect();
        Cow::Owned(String::from_utf8_lossy(&lines.join(&b' ')).into_owned())
    }
}

/// Why a text is no header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadHeader {
    #[error("the header has no end")]
    NoEnd,
    #[error("the header has more than {0} fields")]
    TooMany(usize),
    #[error("a line of the header is no field")]
    NoField,
}

/// Takes a header apart: at most `most` fields, up to the empty line.
pub(crate) fn fields(header: &[u8], most: usize) -> Result<Vec<Field<'_>>, BadHeader> {
    let mut fields = Vec::new();
    let mut rest = header;
    loop {
        if rest.starts_with(b"\r\n") {
            return Ok(fields);
        }
        let end = field_end(rest).ok_or(BadHeader::NoEnd)?;
        let whole = &rest[..end];
        let colon = whole.iter().position(|b| *b == b':').ok_or(BadHeader::NoField)?;
        let name = &whole[..colon];
        let proper = |b: &u8| (33..=126).contains(b);
        if name.is_empty() || !name.trim_ascii_end().iter().all(proper) || !proper(&name[0]) {
            return Err(BadHeader::NoField);
        }
        if fields.len() == most {
            return Err(BadHeader::TooMany(most));
        }
        fields.push(Field { name, whole });
        rest = &rest[end + 2..];
    }
}

/// Where a field's last line ends: at an end of line after which no fold comes.
fn field_end(text: &[u8]) -> Option<usize> {
    let mut from = 0;
    loop {
        let end = from + text.get(from..)?.windows(2).position(|pair| pair == b"\r\n")?;
        match text.get(end + 2) {
            Some(b' ' | b'\t') => from = end + 2,
            Some(_) => return Some(end),
            None => return None,
        }
    }
}

/// The fields that a mail's signature covers, with those of Gerrit's that it does not cover and that are there only once.
/// For signers that do not cover them: of two, one may be anybody's.
pub(crate) fn with_unsigned<'a>(all: &[Field<'a>], mut signed: Vec<Field<'a>>) -> Vec<Field<'a>> {
    for field in all {
        let name = field.name.trim_ascii_end();
        let own = name.get(..OWN.len()).is_some_and(|start| start.eq_ignore_ascii_case(OWN));
        let same = |other: &&Field<'_>| other.name.trim_ascii_end().eq_ignore_ascii_case(name);
        if own && all.iter().filter(same).count() == 1 && !signed.iter().any(|other| same(&other)) {
            signed.push(*field);
        }
    }
    signed
}

/// What Gerrit says of a change, by the first field of each name; none if it says nothing, or what an event can't carry: long
/// texts, and such as are no plain ones.
pub(crate) fn gerrit(fields: &[Field<'_>]) -> Option<GerritEvent> {
    let text = |name: &str| {
        let field = fields.iter().find(|field| field.is(name));
        field.map(Field::text).filter(|text| !text.is_empty())
    };
    let url = text("X-Gerrit-ChangeURL").unwrap_or_default();
    let url = url.strip_prefix('<').unwrap_or(&url);
    let url = url.strip_suffix('>').unwrap_or(url);
    let project = text("X-Gerrit-Project").or_else(|| {
        // `<gerrit-PROJECT.HOST>`
        let list = text("List-Id")?;
        let (project, _) = list.strip_prefix("<gerrit-")?.split_once('.')?;
        Some(Cow::Owned(project.to_owned()))
    });
    let event = GerritEvent {
        url: url.strip_suffix("?usp=email").unwrap_or(url).to_owned(),
        project: project.unwrap_or_default().into_owned(),
        commit_hash: text("X-Gerrit-Commit").unwrap_or_default().into_owned(),
        change_number: text("X-Gerrit-Change-Number").and_then(|text| text.parse().ok()).unwrap_or(0),
    };
    let texts =
        [(&event.url, LONGEST_URL), (&event.project, LONGEST_PROJECT), (&event.commit_hash, LONGEST_HASH)];
    let fits = texts.iter().all(|(text, most)| text.len() <= *most && !text.contains(char::is_control));
    (fits && event != GerritEvent::default()).then_some(event)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(header: &str) -> GerritEvent {
        gerrit(&fields(header.as_bytes(), 100).unwrap()).unwrap()
    }

    #[test]
    fn the_fields_of_gerrit_make_an_event() {
        let said = event(
            "X-Gerrit-Change-Number: 123\r\nX-Gerrit-ChangeURL: <https://go-review.example/c/go/+/123?usp=email>\r\n\
             X-Gerrit-Commit:\r\n 0123abcd \r\nx-gerrit-project : a.b/c\r\nList-Id: <gerrit-no.example>\r\n\r\nbody",
        );
        let url = "https://go-review.example/c/go/+/123".into();
        let (project, commit_hash) = ("a.b/c".into(), "0123abcd".into());
        assert_eq!(said, GerritEvent { url, project, commit_hash, change_number: 123 });
        let older =
            event("List-Id: <gerrit-oauth2.go-review.googlesource.com>\r\nX-Gerrit-Change-Number: x\r\n\r\n");
        assert_eq!((&*older.project, older.change_number), ("oauth2", 0));
        let none = |header: &str| gerrit(&fields(header.as_bytes(), 100).unwrap()).is_none();
        assert!(none("List-Id: <gerrit-oauth2>\r\nSubject: all\r\n\r\n"), "it says nothing");
        for (name, most) in
            [("Project", LONGEST_PROJECT), ("Commit", LONGEST_HASH), ("ChangeURL", LONGEST_URL)]
        {
            let of = |value: &str| format!("X-Gerrit-{name}: {value}\r\n\r\n");
            assert!(!none(&of(&"a".repeat(most))) && none(&of(&"a".repeat(most + 1))), "{name}");
            for bad in ["a\tb", "a\u{1b}[31m", "a\u{85}", "a\rb", "a\0"] {
                assert!(none(&of(bad)), "{name}: {bad:?}");
            }
        }
    }

    #[test]
    fn what_is_not_signed_is_added_only_where_it_is_there_once() {
        let text = "X-Gerrit-Project: other\r\nx-gerrit-commit : one\r\nX-Gerrit-Commit: two\r\n\
                    X-Gerrit-Change-Number: 7\r\nSubject: all\r\nX-Gerrit-Project: go\r\n\r\n";
        let all = fields(text.as_bytes(), 100).unwrap();
        let event = gerrit(&with_unsigned(&all, vec![all[5]])).unwrap();
        let expected = GerritEvent { project: "go".into(), change_number: 7, ..GerritEvent::default() };
        assert_eq!(event, expected);
    }

    #[test]
    fn what_is_no_header_is_refused() {
        for (text, why) in [
            ("", BadHeader::NoEnd),
            ("a: b\r\n", BadHeader::NoEnd),
            ("a: b\r\n c", BadHeader::NoEnd),
            (" a: b\r\n\r\n", BadHeader::NoField),
            (": b\r\n\r\n", BadHeader::NoField),
            ("a b: c\r\n\r\n", BadHeader::NoField),
            ("no colon\r\n\r\n", BadHeader::NoField),
            ("é: c\r\n\r\n", BadHeader::NoField),
            ("a:\r\nb:\r\nc:\r\n\r\n", BadHeader::TooMany(2)),
        ] {
            assert_eq!(fields(text.as_bytes(), 2).unwrap_err(), why, "{text:?}");
        }
        assert_eq!(fields(b"\r\n", 2).unwrap(), []);
        let folded = fields(b"a: b\r\n\tc\r\n \r\nd:\r\n\r\n", 2).unwrap();
        assert_eq!(folded[0].whole, b"a: b\r\n\tc\r\n ");
        assert_eq!(folded[1], Field { name: b"d", whole: b"d:" });
    }
}
