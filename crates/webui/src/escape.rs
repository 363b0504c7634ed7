//! Text from outside, made fit for a page: markup is escaped, and what would not be seen is made visible.

use std::fmt::{self, Write};

/// The escaper of all templates. Beside markup it takes care of controls and of the marks that turn the direction of
/// text, with which a name could forge its surroundings: a reader sees that they are there.
#[derive(Debug, Clone, Copy, Default)]
pub struct Text;

impl askama::filters::Escaper for Text {
    fn write_escaped_str<W: Write>(&self, mut to: W, text: &str) -> fmt::Result {
        write(&mut to, text)
    }
}

/// Appends escaped text to HTML.
pub fn visible(to: &mut String, text: &str) {
    let _ = write(to, text);
}

fn write(to: &mut impl Write, text: &str) -> fmt::Result {
    let mut plain = 0;
    for (at, c) in text.char_indices() {
        let mark = match c {
            '&' => "&#38;",
            '<' => "&#60;",
            '>' => "&#62;",
            '"' => "&#34;",
            '\'' => "&#39;",
            _ if is_hidden(c) => "",
            _ => continue,
        };
        to.write_str(&text[plain..at])?;
        plain = at + c.len_utf8();
        match mark {
            "" => hidden(to, c)?,
            mark => to.write_str(mark)?,
        }
    }
    to.write_str(&text[plain..])
}

/// Whether a character has no shape of its own, or changes how others are laid out.
fn is_hidden(c: char) -> bool {
    match c {
        '\n' | '\t' => false,
        c if c.is_control() => true,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}' => true,
        '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}' => true,
        '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}' => true,
        _ => false,
    }
}

/// Shows a hidden character: a picture of a control, else its number.
fn hidden(to: &mut impl Write, c: char) -> fmt::Result {
    match u32::from(c) {
        n @ 0..0x20 => to.write_char(char::from_u32(0x2400 + n).unwrap_or('\u{fffd}')),
        0x7f => to.write_char('\u{2421}'),
        n => write!(to, "⟦U+{n:04X}⟧"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        let mut to = String::new();
        visible(&mut to, text);
        to
    }

    #[test]
    fn markup_is_escaped() {
        assert_eq!(shown("<a href=\"x\">'&'</a>"), "&#60;a href=&#34;x&#34;&#62;&#39;&#38;&#39;&#60;/a&#62;");
        assert_eq!(shown("plain é 🐑\n\ttext"), "plain é 🐑\n\ttext");
    }

    #[test]
    fn what_is_not_seen_is_shown() {
        assert_eq!(shown("a\u{202e}b\u{2066}c"), "a⟦U+202E⟧b⟦U+2066⟧c");
        assert_eq!(shown("\0\u{1b}[1m\u{7f}\r"), "␀␛[1m␡␍");
        assert_eq!(shown("\u{9b}x\u{feff}\u{e0041}"), "⟦U+009B⟧x⟦U+FEFF⟧⟦U+E0041⟧");
    }

    proptest::proptest! {
        #[test]
        fn nothing_of_it_is_markup(text in "(?s).{0,200}") {
            let shown = shown(&text);
            let markup = shown.contains(['<', '>', '"', '\'']);
            proptest::prop_assert!(!markup);
            let hidden = shown.chars().any(is_hidden);
            proptest::prop_assert!(!hidden);
        }
    }
}
