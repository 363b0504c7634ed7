//! The forms in which tools print a text.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};

use super::MIN_SECRET;

/// A line of a longer secret that is shorter than this is not looked for by itself.
const MIN_LINE: usize = 8;
/// A longer line is looked for in pieces of at most this size, in bytes, so that little is ever held back.
const PIECE: usize = 8 << 10;
/// A piece of wrapped base64 that is shorter than this is not looked for by itself.
const MIN_WRAPPED: usize = 16;

/// All forms in which one secret is looked for.
pub(super) fn all(value: &str) -> Vec<Vec<u8>> {
    let mut plain = vec![value.to_owned(), value.trim().to_owned()];
    if value.trim().contains('\n') {
        let lines = value.lines().map(str::trim);
        plain.extend(
            lines.filter(|line| line.len() >= MIN_LINE && !line.starts_with("-----")).map(str::to_owned),
        );
        plain.push(value.replace('\n', "\r\n"));
    }
    let mut all = Vec::new();
    for text in plain.iter().flat_map(|text| pieces(text)) {
        if text.trim().len() < MIN_SECRET {
            continue;
        }
        all.extend(base64(text.as_bytes()));
        all.extend([hex::encode(text), hex::encode_upper(text)].map(String::into_bytes));
        all.extend(url_escaped(text.as_bytes()));
        all.extend(json_escaped(text));
        all.push(text.replace('\'', r"'\''").into_bytes());
        all.push(text.as_bytes().to_vec());
    }
    all.extend(wrapped(value));
    all
}

/// The text in pieces that are not too long, of about the same length.
fn pieces(text: &str) -> Vec<&str> {
    let size = text.len().div_ceil(text.len().div_ceil(PIECE).max(1)).max(1);
    let mut rest = text;
    let mut pieces = Vec::new();
    while rest.len() > size {
        let (piece, more) = rest.split_at(rest.ceil_char_boundary(size));
        pieces.push(piece);
        rest = more;
    }
    pieces.push(rest);
    pieces
}

/// The base64 text of the bytes alone, and the parts of the base64 text of anything that holds the bytes which depend on
/// these bytes only.
fn base64(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut forms = Vec::new();
    for (padded, bare) in [(&STANDARD, &STANDARD_NO_PAD), (&URL_SAFE, &URL_SAFE_NO_PAD)] {
        forms.push(padded.encode(bytes).into_bytes());
        forms.push(bare.encode(bytes).into_bytes());
        for offset in 0..3 {
            let mut shifted = vec![0; offset];
            shifted.extend_from_slice(bytes);
            let text = bare.encode(&shifted);
            // A character holds six bits: the first that hold only ours, and the last.
            let first = (offset * 8).div_ceil(6);
            let last = (shifted.len() * 8) / 6;
            forms.push(text.as_bytes()[first..last].to_vec());
        }
    }
    forms
}

/// The lines of the whole value's base64 text as `base64` and PEM wrap it: each may stand behind a time or a name.
fn wrapped(value: &str) -> Vec<Vec<u8>> {
    let text = STANDARD.encode(value);
    let lines = [76, 64].into_iter().filter(|columns| text.len() > *columns);
    lines
        .flat_map(|columns| text.as_bytes().chunks(columns))
        .filter(|line| line.len() >= MIN_WRAPPED)
        .map(<[u8]>::to_vec)
        .collect()
}

/// What the usual escapers leave as it is, beside letters, digits, `-`, `_` and `.`: RFC 3986, Python's `quote`,
/// JavaScript's `encodeURIComponent` and `encodeURI`, Go's `PathEscape`, Java's and forms' encoders, older Pythons.
const UNESCAPED: [&[u8]; 9] =
    [b"~", b"~/", b"~!'()*", b"~!'()*/", b"~;,/?:@&=+$#!'()*", b"~$&+=:@", b"*", b"", b"/"];

fn url_escaped(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut forms = Vec::new();
    for kept in UNESCAPED {
        for (plus, upper) in [(false, true), (false, false), (true, true), (true, false)] {
            let mut out = Vec::new();
            for &byte in bytes {
                match byte {
                    b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => out.push(byte),
                    b' ' if plus => out.push(b'+'),
                    byte if kept.contains(&byte) => out.push(byte),
                    byte if upper => out.extend(format!("%{byte:02X}").bytes()),
                    byte => out.extend(format!("%{byte:02x}").bytes()),
                }
            }
            forms.push(out);
        }
    }
    forms
}

/// What a JSON writer escapes though it need not.
#[derive(Debug, Clone, Copy)]
struct Json {
    /// All that is not ASCII (Python, PHP).
    ascii: bool,
    /// `&`, `<`, `>` (Go).
    html: bool,
    /// `/` (PHP).
    slash: bool,
    /// U+2028 and U+2029 (Go, JavaScript).
    separators: bool,
    /// With `\u00F6` and not `\u00f6`.
    upper: bool,
}

fn json_escaped(text: &str) -> Vec<Vec<u8>> {
    let bits = (0..32).map(|bits: u8| Json {
        ascii: bits & 1 > 0,
        html: bits & 2 > 0,
        slash: bits & 4 > 0,
        separators: bits & 8 > 0,
        upper: bits & 16 > 0,
    });
    let mut forms: Vec<_> = bits.map(|how| json(text, how)).collect();
    forms.sort();
    forms.dedup();
    forms
}

fn json(text: &str, how: Json) -> Vec<u8> {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '/' if how.slash => out.push_str("\\/"),
            c if c < ' '
                || (how.html && matches!(c, '&' | '<' | '>'))
                || (how.separators && matches!(c, '\u{2028}' | '\u{2029}'))
                || (how.ascii && !c.is_ascii()) =>
            {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    out.push_str(&match how.upper {
                        true => format!("\\u{unit:04X}"),
                        false => format!("\\u{unit:04x}"),
                    });
                }
            }
            c => out.push(c),
        }
    }
    out.into_bytes()
}
