//! Output of terminals as HTML: colours become classes, everything else that steers a terminal is left out.

use std::fmt::Write as _;

use askama::filters::Safe;

use crate::Markup;
use crate::escape::visible;

/// How text looks. It goes on from line to line, as on a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Look {
    bold: bool,
    dim: bool,
    italic: bool,
    underline: bool,
    inverse: bool,
    front: Option<u8>,
    back: Option<u8>,
}

impl Look {
    fn classes(self) -> String {
        let mut classes = String::new();
        let (front, back) = if self.inverse { (self.back, self.front) } else { (self.front, self.back) };
        let flags = [
            (self.bold, "sb"),
            (self.dim, "sd"),
            (self.italic, "si"),
            (self.underline, "su"),
            (self.inverse && front.is_none() && back.is_none(), "sr"),
        ];
        for (_, class) in flags.iter().filter(|(set, _)| *set) {
            let _ = write!(classes, " {class}");
        }
        if let Some(front) = front {
            let _ = write!(classes, " sf{front}");
        }
        if let Some(back) = back {
            let _ = write!(classes, " sg{back}");
        }
        classes.trim_start().to_owned()
    }

    /// Takes the parameters of one "select graphic rendition".
    fn select(&mut self, parameters: &str) {
        let mut numbers = parameters.split([';', ':']).map(|number| match number {
            "" => Some(0),
            number => number.parse::<u16>().ok(),
        });
        while let Some(number) = numbers.next() {
            match number {
                Some(0) => *self = Self::default(),
                Some(1) => self.bold = true,
                Some(2) => self.dim = true,
                Some(3) => self.italic = true,
                Some(4) => self.underline = true,
                Some(7) => self.inverse = true,
                Some(22) => (self.bold, self.dim) = (false, false),
                Some(23) => self.italic = false,
                Some(24) => self.underline = false,
                Some(27) => self.inverse = false,
                Some(n @ 30..=37) => self.front = Some((n - 30) as u8),
                Some(n @ 90..=97) => self.front = Some((n - 90 + 8) as u8),
                Some(39) => self.front = None,
                Some(n @ 40..=47) => self.back = Some((n - 40) as u8),
                Some(n @ 100..=107) => self.back = Some((n - 100 + 8) as u8),
                Some(49) => self.back = None,
                Some(n @ (38 | 48)) => {
                    let colour = extended(&mut numbers);
                    if n == 38 { self.front = colour } else { self.back = colour }
                }
                _ => {}
            }
        }
    }
}

/// Reads `5;n` or `2;r;g;b` and returns the nearest of the sixteen colours.
fn extended(numbers: &mut impl Iterator<Item = Option<u16>>) -> Option<u8> {
    let mut byte = || numbers.next().flatten().and_then(|n| u8::try_from(n).ok());
    match byte()? {
        5 => match byte()? {
            n @ 0..16 => Some(n),
            n @ 16..232 => {
                let level = |n: u8| if n == 0 { 0 } else { 55 + 40 * n };
                let n = n - 16;
                Some(nearest(level(n / 36), level(n / 6 % 6), level(n % 6)))
            }
            n => Some(nearest(8 + 10 * (n - 232), 8 + 10 * (n - 232), 8 + 10 * (n - 232))),
        },
        2 => Some(nearest(byte()?, byte()?, byte()?)),
        _ => None,
    }
}

fn nearest(red: u8, green: u8, blue: u8) -> u8 {
    let most = red.max(green).max(blue);
    let bright = most > 200;
    let on = |part: u8| u8::from(most > 60 && u16::from(part) * 2 > u16::from(most));
    let hue = on(red) | on(green) << 1 | on(blue) << 2;
    match (hue, bright) {
        (7, false) if most < 140 => 8,
        (7, false) => 7,
        (hue, true) => hue + 8,
        (hue, false) => hue,
    }
}

/// Shows one line, without its end, of which `left_out` bytes at the end are not in `text`.
#[must_use]
pub fn shown(look: &mut Look, text: &str, left_out: u64) -> Markup {
    let mut html = String::new();
    line(&mut html, look, text);
    if left_out > 0 {
        let _ = write!(html, " <small>… and {}</small>", crate::time::bytes(left_out));
    }
    Safe(html)
}

/// Appends one line, without its end, to HTML. What a carriage return has painted over is not shown.
fn line(to: &mut String, look: &mut Look, text: &str) {
    let text = text.trim_end_matches(['\r', '\n']);
    let mut rest = text;
    // What was painted over is not shown, but its colours still count.
    if let Some(at) = text.rfind('\r') {
        run(&mut String::new(), look, &text[..at]);
        rest = &text[at + 1..];
    }
    run(to, look, rest);
}

fn run(to: &mut String, look: &mut Look, mut text: &str) {
    loop {
        let (plain, after) = match text.find(['\u{1b}', '\u{9b}', '\u{9d}', '\u{90}']) {
            Some(at) => text.split_at(at),
            None => (text, ""),
        };
        piece(to, *look, plain);
        if after.is_empty() {
            return;
        }
        text = sequence(look, after);
    }
}

fn piece(to: &mut String, look: Look, text: &str) {
    if text.is_empty() {
        return;
    }
    let classes = look.classes();
    if classes.is_empty() {
        return visible(to, text);
    }
    let _ = write!(to, "<span class=\"{classes}\">");
    visible(to, text);
    to.push_str("</span>");
}

/// Takes one escape sequence off the front of a text that begins with one.
fn sequence<'a>(look: &mut Look, text: &'a str) -> &'a str {
    let mut chars = text.chars();
    let kind = match chars.next() {
        Some('\u{1b}') => chars.next(),
        Some('\u{9b}') => Some('['),
        _ => Some(']'),
    };
    let body = chars.as_str();
    match kind {
        Some('[') => {
            let Some(end) = body.find(|c| ('@'..='~').contains(&c)) else { return "" };
            if body[end..].starts_with('m') {
                look.select(&body[..end]);
            }
            &body[end + 1..]
        }
        // A string up to BEL or ST: titles, links, notifications, device controls.
        Some(']' | 'P' | 'X' | '^' | '_') => match body.find(['\u{7}', '\u{9c}', '\u{1b}']) {
            Some(end) if body[end..].starts_with("\u{1b}\\") => &body[end + 2..],
            Some(end) if body[end..].starts_with('\u{1b}') => &body[end..],
            Some(end) => &body[end + body[end..].chars().next().map_or(0, char::len_utf8)..],
            None => "",
        },
        // A character set: one more byte.
        Some('(' | ')' | '*' | '+' | '#' | '%' | ' ') => {
            let mut chars = body.chars();
            chars.next();
            chars.as_str()
        }
        _ => body,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        let (mut to, mut look) = (String::new(), Look::default());
        line(&mut to, &mut look, text);
        to
    }

    #[test]
    fn colours_become_classes() {
        assert_eq!(shown("a \u{1b}[1;31merror\u{1b}[0m: b"), "a <span class=\"sb sf1\">error</span>: b");
        assert_eq!(shown("\u{1b}[38;5;196mx\u{1b}[39my"), "<span class=\"sf9\">x</span>y");
        assert_eq!(shown("\u{1b}[38;2;0;120;0mx"), "<span class=\"sf2\">x</span>");
        assert_eq!(shown("\u{1b}[48;5;21mx"), "<span class=\"sg12\">x</span>");
        assert_eq!(
            shown("\u{1b}[31;7mx\u{1b}[27my"),
            "<span class=\"sg1\">x</span><span class=\"sf1\">y</span>"
        );
        assert_eq!(shown("\u{1b}[mx\u{1b}[92mok"), "x<span class=\"sf10\">ok</span>");
    }

    #[test]
    fn colours_go_on_over_lines() {
        let (mut to, mut look) = (String::new(), Look::default());
        line(&mut to, &mut look, "\u{1b}[32ma");
        line(&mut to, &mut look, "b\u{1b}[0m");
        assert_eq!(to, "<span class=\"sf2\">a</span><span class=\"sf2\">b</span>");
    }

    #[test]
    fn everything_else_is_left_out() {
        assert_eq!(shown("\u{1b}[2J\u{1b}[10;3Ha\u{1b}[Kb\u{1b}[?25l"), "ab");
        assert_eq!(
            shown("\u{1b}]0;title\u{7}a\u{1b}]8;;http://evil/\u{1b}\\link\u{1b}]8;;\u{1b}\\ z"),
            "alink z"
        );
        assert_eq!(
            shown("\u{1b}(Ba\u{1b}=b\u{1b}Pq#0\u{1b}\\c\u{9b}31md"),
            "abc<span class=\"sf1\">d</span>"
        );
        assert_eq!(shown("a\u{1b}"), "a");
        assert_eq!(shown("a\u{1b}["), "a");
        assert_eq!(shown("a\u{1b}]52;c;never ends"), "a");
        assert_eq!(shown("10%\r50%\r100%\r"), "100%");
    }

    #[test]
    fn text_is_escaped_inside_colours() {
        assert_eq!(shown("\u{1b}[31m<b>\u{202e}"), "<span class=\"sf1\">&#60;b&#62;⟦U+202E⟧</span>");
    }

    proptest::proptest! {
        #[test]
        fn spans_are_all_there_is(text in "(?s)([\u{1b}\u{9b}]?[\\[\\]P();m0-9<&\"a-c\u{7}\\\\\r]{0,6}){0,20}") {
            let shown = shown(&text);
            let bare = shown.replace("</span>", "");
            let opened = bare.matches("<span class=\"").count();
            proptest::prop_assert_eq!(bare.matches('<').count(), opened);
            proptest::prop_assert_eq!(shown.matches("</span>").count(), opened);
            let escapes = shown.contains('\u{1b}');
            proptest::prop_assert!(!escapes);
        }
    }
}
