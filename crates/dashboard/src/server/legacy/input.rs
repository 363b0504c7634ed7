//! JSON bodies as Go reads them: the first value of the body, names in any case, what is not there empty.

use jiff::Timestamp;
use serde_json::{Map, Value};
use store::Micros;

use super::answer::Fault;

/// Go's time before all times.
pub(super) const NO_TIME: Micros = Micros(-62_135_596_800_000_000);

/// An object of a body.
pub(super) struct Input(Map<String, Value>);

impl Input {
    /// Reads the first value of a body, which must be an object.
    pub(super) fn read(body: &[u8]) -> Result<Self, Fault> {
        // What is no UTF-8 is replaced, as Go does it.
        let text = String::from_utf8_lossy(body);
        match serde_json::Deserializer::from_str(&text).into_iter::<Value>().next() {
            None => Err(Fault::new("EOF")),
            Some(Ok(Value::Object(map))) => Ok(Input(map)),
            Some(Ok(Value::Null)) => Ok(Input(Map::new())),
            Some(Ok(_)) => Err(Fault::new("json: the body is not an object")),
            Some(Err(error)) if error.is_eof() => Err(Fault::new("unexpected EOF")),
            Some(Err(error)) => Err(Fault(format!("json: {error}"))),
        }
    }

    fn get(&self, key: &str) -> Option<&Value> {
        let value = self.0.get(key).or_else(|| {
            self.0.iter().find(|(name, _)| name.eq_ignore_ascii_case(key)).map(|(_, value)| value)
        });
        value.filter(|value| !value.is_null())
    }

    fn wrong(key: &str, value: &Value, wanted: &str) -> Fault {
        let kind = match value {
            Value::Bool(_) => "bool",
            Value::Number(_) => "number",
            Value::String(_) => "string",
            Value::Array(_) => "array",
            Value::Object(_) | Value::Null => "object",
        };
        Fault(format!("json: cannot unmarshal {kind} into Go struct field .{key} of type {wanted}"))
    }

    /// A text, without zeros, which PostgreSQL can't hold.
    pub(super) fn text(&self, key: &str) -> Result<String, Fault> {
        Ok(self.bytes(key)?.replace('\0', "\u{fffd}"))
    }

    /// A text as it is.
    pub(super) fn bytes(&self, key: &str) -> Result<&str, Fault> {
        match self.get(key) {
            None => Ok(""),
            Some(Value::String(text)) => Ok(text),
            Some(other) => Err(Self::wrong(key, other, "string")),
        }
    }

    /// A whole number.
    pub(super) fn number(&self, key: &str) -> Result<i64, Fault> {
        match self.get(key) {
            None => Ok(0),
            Some(value) => value.as_i64().ok_or_else(|| Self::wrong(key, value, "int")),
        }
    }

    /// A truth.
    pub(super) fn truth(&self, key: &str) -> Result<bool, Fault> {
        match self.get(key) {
            None => Ok(false),
            Some(value) => value.as_bool().ok_or_else(|| Self::wrong(key, value, "bool")),
        }
    }

    /// A time.
    pub(super) fn time(&self, key: &str) -> Result<Micros, Fault> {
        let text = self.bytes(key)?;
        if text.is_empty() {
            return Ok(NO_TIME);
        }
        let time: Timestamp = text
            .parse()
            .map_err(|_| Fault(format!("parsing time {} as RFC 3339", super::keys::quoted(text))))?;
        Ok(Micros(time.as_microsecond()))
    }

    /// A list of objects.
    pub(super) fn list(&self, key: &str) -> Result<Vec<Input>, Fault> {
        let items = match self.get(key) {
            None => return Ok(Vec::new()),
            Some(Value::Array(items)) => items,
            Some(other) => return Err(Self::wrong(key, other, "list")),
        };
        let one = |item: &Value| match item {
            Value::Object(map) => Ok(Input(map.clone())),
            other => Err(Self::wrong(key, other, "struct")),
        };
        items.iter().map(one).collect()
    }
}

/// Cuts a text to so many bytes, between two characters.
pub(super) fn cut(mut text: String, longest: usize) -> String {
    if text.len() > longest {
        let end = (0..=longest).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.truncate(end);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_read_as_go_reads_them() {
        let input =
            Input::read(b"{\"hash\":\"a\\u0000b\",\"Num\":7,\"OK\":true,\"User\":null} trailing").unwrap();
        assert_eq!(input.text("Hash").unwrap(), "a\u{fffd}b");
        assert_eq!((input.number("Num").unwrap(), input.truth("OK").unwrap()), (7, true));
        assert_eq!((input.text("User").unwrap(), input.time("Time").unwrap()), (String::new(), NO_TIME));
        assert!(input.number("Hash").is_err() && input.list("Num").is_err());
        assert_eq!(Input::read(b"").err().unwrap().0, "EOF");
        assert_eq!(Input::read(b"{\"a\":").err().unwrap().0, "unexpected EOF");
        assert!(Input::read(b"[1]").is_err() && Input::read(b"{x").is_err());
        assert_eq!(Input::read(b"{\"A\":\"\xff\"}").unwrap().text("a").unwrap(), "\u{fffd}");
    }

    #[test]
    fn a_text_is_cut_between_characters() {
        assert_eq!(cut("é".repeat(300), 500).len(), 500);
        assert_eq!(cut(format!("a{}", "é".repeat(300)), 500).len(), 499);
        assert_eq!(cut("short".into(), 500), "short");
    }
}
