//! JSON as Go writes it: its escapes, its indentation, its times.

use std::io;

use serde::Serialize;
use serde_json::ser::{CharEscape, CompactFormatter, Formatter, PrettyFormatter, Serializer};
use store::Micros;

/// Escapes what Go escapes beyond what JSON asks for.
struct Go<F>(F);

impl<F: Formatter> Formatter for Go<F> {
    fn write_string_fragment<W: ?Sized + io::Write>(&mut self, to: &mut W, fragment: &str) -> io::Result<()> {
        let mut rest = fragment;
        while let Some(at) = rest.find(['<', '>', '&', '\u{2028}', '\u{2029}']) {
            let (before, after) = rest.split_at(at);
            to.write_all(before.as_bytes())?;
            let mut chars = after.chars();
            let special = chars.next().map_or(0, u32::from);
            write!(to, "\\u{special:04x}")?;
            rest = chars.as_str();
        }
        to.write_all(rest.as_bytes())
    }

    fn write_char_escape<W: ?Sized + io::Write>(&mut self, to: &mut W, escape: CharEscape) -> io::Result<()> {
        match escape {
            CharEscape::Backspace => to.write_all(b"\\u0008"),
            CharEscape::FormFeed => to.write_all(b"\\u000c"),
            other => self.0.write_char_escape(to, other),
        }
    }

    fn begin_array<W: ?Sized + io::Write>(&mut self, to: &mut W) -> io::Result<()> {
        self.0.begin_array(to)
    }

    fn end_array<W: ?Sized + io::Write>(&mut self, to: &mut W) -> io::Result<()> {
        self.0.end_array(to)
    }

    fn begin_array_value<W: ?Sized + io::Write>(&mut self, to: &mut W, first: bool) -> io::Result<()> {
        self.0.begin_array_value(to, first)
    }

    fn end_array_value<W: ?Sized + io::Write>(&mut self, to: &mut W) -> io::Result<()> {
        self.0.end_array_value(to)
    }

    fn begin_object<W: ?Sized + io::Write>(&mut self, to: &mut W) -> io::Result<()> {
        self.0.begin_object(to)
    }

    fn end_object<W: ?Sized + io::Write>(&mut self, to: &mut W) -> io::Result<()> {
        self.0.end_object(to)
    }

    fn begin_object_key<W: ?Sized + io::Write>(&mut self, to: &mut W, first: bool) -> io::Result<()> {
        self.0.begin_object_key(to, first)
    }

    fn begin_object_value<W: ?Sized + io::Write>(&mut self, to: &mut W) -> io::Result<()> {
        self.0.begin_object_value(to)
    }

    fn end_object_value<W: ?Sized + io::Write>(&mut self, to: &mut W) -> io::Result<()> {
        self.0.end_object_value(to)
    }
}

fn write<F: Formatter>(value: &impl Serialize, formatter: F) -> String {
    let mut out = Vec::new();
    match value.serialize(&mut Serializer::with_formatter(&mut out, Go(formatter))) {
        Ok(()) => String::from_utf8(out).unwrap_or_default(),
        // What is written here are structs of texts and numbers.
        Err(error) => {
            tracing::error!(%error, "an answer can't be written");
            "null".to_owned()
        }
    }
}

/// Writes a value without any space.
pub(super) fn compact(value: &impl Serialize) -> String {
    write(value, CompactFormatter)
}

/// Writes a value indented by tabs, without an end of line.
pub(super) fn indented(value: &impl Serialize) -> String {
    write(value, PrettyFormatter::with_indent(b"\t"))
}

/// Shows a time with the digits that it has.
pub(super) fn time(at: Micros) -> String {
    super::super::time(at).to_string()
}

/// Shows a time to the second, cut and not rounded.
pub(super) fn second(at: Micros) -> String {
    super::super::time(Micros(at.0.div_euclid(1_000_000) * 1_000_000)).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_those_of_go() {
        let text = "a<b>&c\u{2028}\u{2029}\u{8}\u{c}\n\t\"\\/é\u{1f600}\u{1}\u{7f}";
        let expected = r#""a\u003cb\u003e\u0026c\u2028\u2029\u0008\u000c\n\t\"\\/é😀\u0001"#;
        assert_eq!(compact(&text), format!("{expected}\u{7f}\""));
    }

    #[test]
    fn indents_are_tabs_and_empty_lists_stay_on_their_line() {
        let value = serde_json::json!({"a": [1, "<"], "b": [], "c": null});
        assert_eq!(
            indented(&value),
            "{\n\t\"a\": [\n\t\t1,\n\t\t\"\\u003c\"\n\t],\n\t\"b\": [],\n\t\"c\": null\n}"
        );
    }

    #[test]
    fn times_have_the_digits_that_are_needed() {
        assert_eq!(time(Micros(-62_135_596_800_000_000)), "0001-01-01T00:00:00Z");
        assert_eq!(time(Micros(1_257_894_001_500_000)), "2009-11-10T23:00:01.5Z");
        assert_eq!(second(Micros(1_257_894_001_999_999)), "2009-11-10T23:00:01Z");
    }
}
