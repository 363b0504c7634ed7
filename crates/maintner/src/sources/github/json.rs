//! JSON as the log keeps what no field takes: keys in order, no space, `<`, `>`, `&` escaped as Go does.

use std::fmt::Write as _;

use serde_json::Value;

/// Writes a value.
pub(super) fn compact(value: &Value, to: &mut String) {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => {
            let _ = write!(to, "{value}");
        }
        Value::String(text) => string(text, to),
        Value::Array(all) => {
            to.push('[');
            for (number, one) in all.iter().enumerate() {
                if number > 0 {
                    to.push(',');
                }
                compact(one, to);
            }
            to.push(']');
        }
        Value::Object(all) => {
            // A dependency may have switched the order of insertion on for all of the program.
            let mut all: Vec<_> = all.iter().collect();
            all.sort_unstable_by_key(|(key, _)| key.as_str());
            to.push('{');
            for (number, (key, one)) in all.into_iter().enumerate() {
                if number > 0 {
                    to.push(',');
                }
                string(key, to);
                to.push(':');
                compact(one, to);
            }
            to.push('}');
        }
    }
}

fn string(text: &str, to: &mut String) {
    to.push('"');
    for char in text.chars() {
        match char {
            '"' => to.push_str("\\\""),
            '\\' => to.push_str("\\\\"),
            '\n' => to.push_str("\\n"),
            '\r' => to.push_str("\\r"),
            '\t' => to.push_str("\\t"),
            '\u{8}' => to.push_str("\\b"),
            '\u{c}' => to.push_str("\\f"),
            '\0'..='\u{1f}' | '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                let _ = write!(to, "\\u{:04x}", u32::from(char));
            }
            _ => to.push(char),
        }
    }
    to.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_written_as_go_writes_it() {
        let value: Value =
            serde_json::from_str(r#"{"z": [1, -2.5, null, true], "a<b": {"y": "\u2028&\u0001", "x": "ü\n\"\\"}, "n": 9007199254740993}"#)
                .unwrap();
        let mut text = String::new();
        compact(&value, &mut text);
        assert_eq!(
            text,
            r#"{"a\u003cb":{"x":"ü\n\"\\","y":"\u2028\u0026\u0001"},"n":9007199254740993,"z":[1,-2.5,null,true]}"#
        );
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
    }
}
