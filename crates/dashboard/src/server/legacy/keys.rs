//! Keys of those who post: one master key, and from it one for each builder.

use std::sync::OnceLock;

use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::{StatusCode, header};
use md5::Md5;
use subtle::ConstantTimeEq as _;

use super::call::{Call, Desk};

/// Says that a master key is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadKey {
    /// There is nothing in it.
    #[error("the master key of the original's builders is empty")]
    Empty,
    /// There is another already.
    #[error(
        "the master key of the original's builders is another now: it is taken up at the next start only"
    )]
    Set,
}

/// Returns a builder's key: its name's HMAC-MD5 under the master key, in hexadecimal.
#[must_use]
pub fn builder_key(master: &str, builder: &str) -> String {
    let mut mac =
        Hmac::<Md5>::new_from_slice(master.as_bytes()).expect("invariant: a key of any length will do");
    mac.update(builder.as_bytes());
    mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The master key, if there is one. Without one no key is good.
#[derive(Default)]
pub(in crate::server) struct KeyRing(OnceLock<String>);

impl std::fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.0.get().is_some() { "KeyRing(set)" } else { "KeyRing(none)" })
    }
}

impl KeyRing {
    pub(in crate::server) fn set(&self, master: &str) -> Result<(), BadKey> {
        let master = master.trim();
        if master.is_empty() {
            return Err(BadKey::Empty);
        }
        // Set again by each reload: only another one is something new.
        match self.0.set(master.to_owned()) {
            Err(_) if self.0.get().is_none_or(|key| key != master) => Err(BadKey::Set),
            _ => Ok(()),
        }
    }

    pub(super) fn is_master(&self, key: &str) -> bool {
        self.0.get().is_some_and(|master| same(key, master))
    }

    pub(in crate::server) fn is_of(&self, key: &str, builder: &str) -> bool {
        self.0.get().is_some_and(|master| same(key, &builder_key(master, builder)))
    }

    fn key(&self, builder: &str) -> Option<String> {
        self.0.get().map(|master| builder_key(master, builder))
    }
}

fn same(said: &str, key: &str) -> bool {
    !key.is_empty() && said.as_bytes().ct_eq(key.as_bytes()).into()
}

/// `/key`: a builder's key as bare text. Its route lets only administrators through.
pub(super) async fn key(State(desk): State<Desk>, request: Request) -> Response {
    let call = Call::new(desk, request);
    let head = [(header::CONTENT_TYPE, "text/plain; charset=utf-8"), (header::CACHE_CONTROL, "no-store")];
    let builder = call.form("builder");
    if builder.is_empty() {
        let text = "Error: must supply builder in query string";
        return (StatusCode::INTERNAL_SERVER_ERROR, head, text).into_response();
    }
    match call.desk.dashboard.builder_keys().key(builder) {
        Some(key) => (head, key).into_response(),
        None => {
            let text = "Error: no master key is set (dashboard.builder_key_file)";
            (StatusCode::INTERNAL_SERVER_ERROR, head, text).into_response()
        }
    }
}

/// Quotes a text as Go's `%q` does.
pub(super) fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{b}' => out.push_str("\\v"),
            c if is_shown(c) => out.push(c),
            c if u32::from(c) < 0x80 => out.push_str(&format!("\\x{:02x}", u32::from(c))),
            c if u32::from(c) < 0x1_0000 => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push_str(&format!("\\U{:08x}", u32::from(c))),
        }
    }
    out.push('"');
    out
}

/// Whether Go shows a character as it is: letters, marks, numbers, signs, and of all spaces the plain one.
fn is_shown(c: char) -> bool {
    let format = matches!(c, '\u{ad}' | '\u{600}'..='\u{605}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff0}'..='\u{fffb}' | '\u{e000}'..='\u{f8ff}');
    c == ' ' || !(c.is_control() || c.is_whitespace() || format || u32::from(c) >= 0xe_0000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_those_of_the_original() {
        for (name, key) in [
            ("linux-amd64", "8b3dbf220b21848be6884e982b34702e"),
            ("linux-386", "661018431fe73b0f6c639914b6d65ae4"),
            ("user-gopher", "875a7345b291621360b36e62a0fc6a14"),
            ("host-linux-kubestd", "dbc76cbf44887dacfb18486d657001b3"),
            ("host-linux-amd64-localdev", "4d8129e2963df29b29cab65e108397d1"),
        ] {
            assert_eq!(builder_key("gophers rule", name), key, "{name}");
        }
    }

    #[test]
    fn without_a_master_key_no_key_is_good() {
        let ring = KeyRing::default();
        assert_eq!(ring.set(" \n"), Err(BadKey::Empty));
        for key in ["", "x", &builder_key("", "linux-386")] {
            assert!(!ring.is_master(key) && !ring.is_of(key, "linux-386"), "{key:?}");
        }
        ring.set("gophers rule\n").unwrap();
        assert!(ring.is_master("gophers rule") && !ring.is_master("gophers rule\n") && !ring.is_master(""));
        assert!(ring.is_of("661018431fe73b0f6c639914b6d65ae4", "linux-386"));
        assert!(!ring.is_of("661018431fe73b0f6c639914b6d65ae4", "linux-amd64"));
        assert_eq!(ring.set("another"), Err(BadKey::Set));
        assert_eq!(format!("{ring:?}"), "KeyRing(set)");
    }

    #[test]
    fn quotes_are_those_of_go() {
        assert_eq!(quoted("a\"b\\\n\u{1}\u{7f}é\u{200b}\u{a0}"), r#""a\"b\\\n\x01\x7fé\u200b\u00a0""#);
    }
}
