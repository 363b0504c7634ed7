//! Texts in double quotes, with Go's escapes.

/// Says why a text in quotes is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QuoteError {
    /// It does not begin and end with a double quote.
    #[error("no double quotes around it")]
    Quotes,
    /// An escape that Go does not have.
    #[error("unknown escape {0}")]
    Escape(String),
    /// Too few digits, or ones that are not of the base.
    #[error("{0} lacks digits")]
    Digits(String),
    /// A number that is no character.
    #[error("{0} is no character")]
    Character(String),
    /// A quote or the end of a line inside.
    #[error("a quote or the end of a line in it")]
    Inside,
}

/// Gives the bytes that a quoted text stands for; by `\x` and octal escapes they may be no UTF-8.
///
/// # Errors
/// If it is not quoted, or has an escape in it that Go does not have.
pub fn unquote(text: &str) -> Result<Vec<u8>, QuoteError> {
    let inside = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).ok_or(QuoteError::Quotes)?;
    let mut out = Vec::with_capacity(inside.len());
    let mut rest = inside;
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        match c {
            '"' | '\n' => return Err(QuoteError::Inside),
            '\\' => rest = escape(rest, &mut out)?,
            c => out.extend(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    Ok(out)
}

/// Reads what stands behind a backslash, and gives the rest.
fn escape<'a>(rest: &'a str, out: &mut Vec<u8>) -> Result<&'a str, QuoteError> {
    let c = rest.chars().next().ok_or_else(|| QuoteError::Escape("\\".into()))?;
    let after = &rest[c.len_utf8()..];
    let digits = |text: &'a str, count: usize, base: u32| {
        let (number, after) =
            text.split_at_checked(count).ok_or_else(|| QuoteError::Digits(format!("\\{c}")))?;
        let all = number.chars().all(|digit| digit.is_digit(base));
        let value = all.then(|| u32::from_str_radix(number, base).ok()).flatten();
        value.map(|value| (value, after)).ok_or_else(|| QuoteError::Digits(format!("\\{c}")))
    };
    let simple = match c {
        'a' => 7,
        'b' => 8,
        'f' => 12,
        'n' => 10,
        'r' => 13,
        't' => 9,
        'v' => 11,
        '\\' | '"' => c as u8,
        'x' => {
            let (value, after) = digits(after, 2, 16)?;
            out.push(value as u8);
            return Ok(after);
        }
        '0'..='7' => {
            let (value, after) = digits(rest, 3, 8)?;
            out.push(u8::try_from(value).map_err(|_| QuoteError::Character(format!("\\{value:o}")))?);
            return Ok(after);
        }
        'u' | 'U' => {
            let (value, after) = digits(after, if c == 'u' { 4 } else { 8 }, 16)?;
            let value =
                char::from_u32(value).ok_or_else(|| QuoteError::Character(format!("\\{c}{value:x}")))?;
            out.extend(value.encode_utf8(&mut [0; 4]).as_bytes());
            return Ok(after);
        }
        c => return Err(QuoteError::Escape(format!("\\{c}"))),
    };
    out.push(simple);
    Ok(after)
}

/// Writes bytes as a text in quotes, on one line, so that [`unquote`] gives them again.
#[must_use]
pub fn quote(bytes: &[u8]) -> String {
    let mut out = String::from('"');
    for chunk in bytes.utf8_chunks() {
        chunk.valid().chars().for_each(|c| quote_char(c, &mut out));
        chunk.invalid().iter().for_each(|byte| out.push_str(&format!("\\x{byte:02x}")));
    }
    out.push('"');
    out
}

fn quote_char(c: char, out: &mut String) {
    let simple = match c {
        '"' => "\\\"",
        '\\' => "\\\\",
        '\u{7}' => "\\a",
        '\u{8}' => "\\b",
        '\u{c}' => "\\f",
        '\n' => "\\n",
        '\r' => "\\r",
        '\t' => "\\t",
        '\u{b}' => "\\v",
        c if c.is_ascii_control() => return out.push_str(&format!("\\x{:02x}", u32::from(c))),
        '\'' => "'",
        // What would not be seen is written as its number.
        c if c.escape_debug().count() == 1 => return out.push(c),
        c if u32::from(c) < 0x1_0000 => return out.push_str(&format!("\\u{:04x}", u32::from(c))),
        c => return out.push_str(&format!("\\U{:08x}", u32::from(c))),
    };
    out.push_str(simple);
}
