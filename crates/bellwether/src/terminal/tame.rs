//! Somebody else's bytes on a terminal: text and colours, and nothing that acts on it.

use anstyle_parse::{DefaultCharAccumulator, Params, Parser, Perform};

use super::acts;

/// Lets text, ends of lines, tabs and colours through. Titles, links, the clipboard, moves of the cursor and what else a
/// terminal obeys are left out. A sequence may be split over chunks.
#[derive(Default)]
pub struct Tame {
    parser: Parser<DefaultCharAccumulator>,
    out: Out,
}

impl std::fmt::Debug for Tame {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tame").field("coloured", &self.out.coloured).finish_non_exhaustive()
    }
}

#[derive(Default)]
struct Out {
    text: String,
    coloured: bool,
}

impl Tame {
    /// Returns what is to be shown of a chunk.
    pub fn chunk(&mut self, bytes: &[u8]) -> &str {
        self.out.text.clear();
        for byte in bytes {
            self.parser.advance(&mut self.out, *byte);
        }
        &self.out.text
    }

    /// Returns what gives the terminal its own colours back.
    pub fn end(&self) -> &'static str {
        if self.out.coloured { "\x1b[0m" } else { "" }
    }
}

impl Perform for Out {
    fn print(&mut self, c: char) {
        self.text.push(if acts(c) { '\u{fffd}' } else { c });
    }

    fn execute(&mut self, byte: u8) {
        if matches!(byte, b'\n' | b'\r' | b'\t') {
            self.text.push(char::from(byte));
        }
    }

    fn csi_dispatch(&mut self, params: &Params, intermediates: &[u8], ignore: bool, action: u8) {
        if action != b'm' || ignore || !intermediates.is_empty() {
            return;
        }
        let of_one = |one: &[u16]| one.iter().map(u16::to_string).collect::<Vec<_>>().join(":");
        let all: Vec<_> = params.iter().map(of_one).collect();
        self.text.push_str("\x1b[");
        self.text.push_str(&all.join(";"));
        self.text.push('m');
        self.coloured = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(chunks: &[&[u8]]) -> String {
        let mut tame = Tame::default();
        chunks.iter().map(|chunk| tame.chunk(chunk).to_owned()).collect()
    }

    #[test]
    fn text_and_colours_are_shown_as_they_are() {
        let text = "a\tb \u{1b}[1;38;5;196mred\u{1b}[0m é\r\n\u{1b}[4:3mcurly\u{1b}[0m\n";
        assert_eq!(shown(&[text.as_bytes()]), text);
        let mut tame = Tame::default();
        tame.chunk(b"plain");
        assert_eq!(tame.end(), "");
        tame.chunk(b"\x1b[31mred");
        assert_eq!(tame.end(), "\x1b[0m");
    }

    #[test]
    fn what_acts_on_a_terminal_is_left_out() {
        for (bytes, left) in [
            (&b"a\x1b]0;title\x07b"[..], "ab"),
            (b"a\x1b]52;c;cGFzdGU=\x1b\\b", "ab"),
            (b"\x1b]8;;http://evil/\x1b\\link\x1b]8;;\x1b\\", "link"),
            (b"\x1b[2J\x1b[10;3Ha\x1b[6n\x1b[?1049h\x1b[>4;1m", "a"),
            (b"a\x1bPq#0\x1b\\b\x1bc\x07\x08\x7f", "ab\u{fffd}"),
            ("x\u{202e}y\u{9b}31mz".as_bytes(), "x\u{fffd}y"),
        ] {
            let whole = shown(&[bytes]);
            assert!(whole.starts_with(left), "{whole:?}");
            let bytewise: Vec<&[u8]> = bytes.chunks(1).collect();
            assert_eq!(shown(&bytewise), whole, "a sequence that is split");
        }
        assert_eq!(shown(&[b"a\xffb"]), "ab", "what is no UTF-8 is no text");
    }

    proptest::proptest! {
        #[test]
        fn nothing_but_colours_begins_with_an_escape(bytes in proptest::collection::vec(
            proptest::prop_oneof![
                proptest::num::u8::ANY,
                proptest::sample::select(b"\x1b\x9b\x9d[]m;:?\x07\\0".to_vec()),
            ],
            0..80,
        )) {
            let shown = shown(&[&bytes]);
            for after in shown.split('\u{1b}').skip(1) {
                let rest = after.strip_prefix('[').unwrap_or("!").trim_start_matches(|c: char| c.is_ascii_digit() || c == ';' || c == ':');
                proptest::prop_assert!(rest.starts_with('m'), "{:?}", shown);
            }
            let other = shown.chars().any(|c| acts(c) && !matches!(c, '\n' | '\r' | '\t' | '\u{1b}'));
            proptest::prop_assert!(!other, "{:?}", shown);
        }
    }
}
