//! Issues' texts and scripts of anybody: a function that panics where a promise is broken.
//!
//! The test below runs it on the seeds of `fuzz/seeds`, on seeds that were changed a little and on random bytes. No program has it in it.

use crate::watchflakes::{FIELDS, Record, Script, quote, script_of, snippet, unquote};

/// All fields have this text.
struct Same<'a>(&'a [u8]);

impl Record for Same<'_> {
    fn field(&self, _: &str) -> &[u8] {
        self.0
    }
}

/// A script, an issue's text and a log: they are read or refused at a place that is there; what was read is written so that it is
/// read as the same.
pub fn flakes(data: &[u8]) {
    assert_eq!(unquote(&quote(data)).as_deref(), Ok(data));
    let text = String::from_utf8_lossy(data);
    let _ = snippet(&text);
    let script = script_of(&text).unwrap_or_else(|_| text.into_owned());
    match Script::parse("script", &script, FIELDS) {
        Ok(parsed) => {
            let written = parsed.to_string();
            let again = Script::parse("written", &written, FIELDS);
            let again = again.unwrap_or_else(|errors| panic!("{written}: {errors:?}"));
            assert_eq!(again.to_string(), written);
            for record in [Same(data), Same(b""), Same(b"a\nTestX")] {
                assert_eq!(parsed.action(&record), again.action(&record), "{written}");
            }
        }
        Err(errors) => {
            assert!(!errors.is_empty());
            for error in errors {
                let line = script.split('\n').nth(error.line - 1).expect("a line that is there");
                assert!(error.column <= line.len() + 1, "{error}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use testkit::hold;

    #[test]
    fn scripts_of_any_kind_are_read_or_refused() {
        hold("flakes", super::flakes);
    }
}
