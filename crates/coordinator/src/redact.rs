//! Takes secrets out of a byte stream before it is stored.
//!
//! A secret is found as it is, each of its longer lines alone, and in the forms that tools print it in: base64 (at the
//! three offsets it can have inside a longer text), URL-escaped and JSON-escaped. It is found however the stream is
//! cut: bytes that may be the beginning of a secret are held back until more is known. Each feed says how much of the raw
//! stream its output accounts for, so that a reader that starts again there finds the same secrets.

use aho_corasick::{AhoCorasick, MatchKind};
use base64::Engine as _;

/// What stands in a log where a secret was.
pub const REPLACEMENT: &[u8] = b"***";

/// Secrets shorter than this are not looked for: they would black out half of a log and protect nothing.
pub const MIN_SECRET: usize = 6;

/// A set of secrets, compiled once per job.
#[derive(Debug, Default)]
pub struct Secrets {
    finder: Option<AhoCorasick>,
    /// Sorted, for the test whether a text begins one of them.
    patterns: Vec<Vec<u8>>,
    longest: usize,
}

impl Secrets {
    /// Compiles the secrets; those under [`MIN_SECRET`] bytes are left out.
    pub fn new<'a>(values: impl IntoIterator<Item = &'a str>) -> Self {
        let mut patterns: Vec<Vec<u8>> = values.into_iter().flat_map(forms).collect();
        patterns.sort();
        patterns.dedup();
        let longest = patterns.iter().map(Vec::len).max().unwrap_or(0);
        let finder = AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(&patterns).ok();
        let finder = finder.filter(|_| !patterns.is_empty());
        Secrets { finder, patterns, longest }
    }

    /// How many bytes at the end of `text` may be the beginning of a secret.
    fn pending(&self, text: &[u8]) -> usize {
        let most = text.len().min(self.longest.saturating_sub(1));
        (1..=most).rev().find(|&n| self.begins(&text[text.len() - n..])).unwrap_or(0)
    }

    fn begins(&self, head: &[u8]) -> bool {
        let at = self.patterns.partition_point(|pattern| pattern.as_slice() < head);
        self.patterns.get(at).is_some_and(|pattern| pattern.starts_with(head))
    }
}

/// All forms in which one secret is looked for.
fn forms(value: &str) -> Vec<Vec<u8>> {
    let mut plain = vec![value.as_bytes().to_vec(), value.trim().as_bytes().to_vec()];
    if value.trim().contains('\n') {
        // A key file is often printed line by line, indented or with CRLF.
        plain.extend(value.lines().map(|line| line.trim().as_bytes().to_vec()));
        plain.push(value.replace('\n', "\r\n").into_bytes());
    }
    plain.retain(|form| form.len() >= MIN_SECRET);
    let mut all = Vec::new();
    for form in plain {
        all.extend(base64_forms(&form));
        all.push(url_escaped(&form, false));
        all.push(url_escaped(&form, true));
        if let Ok(text) = std::str::from_utf8(&form) {
            all.push(json_escaped(text));
        }
        all.push(form);
    }
    all.retain(|form| form.len() >= MIN_SECRET);
    all
}

/// The parts of the base64 text of anything that holds the bytes which depend on these bytes only.
fn base64_forms(bytes: &[u8]) -> Vec<Vec<u8>> {
    let engines = [
        &base64::engine::general_purpose::STANDARD_NO_PAD,
        &base64::engine::general_purpose::URL_SAFE_NO_PAD,
    ];
    let mut forms = Vec::new();
    for engine in engines {
        for offset in 0..3 {
            let mut padded = vec![0; offset];
            padded.extend_from_slice(bytes);
            let text = engine.encode(&padded);
            // A character holds six bits: the first that hold only ours, and the last.
            let first = (offset * 8).div_ceil(6);
            let last = (padded.len() * 8) / 6;
            forms.push(text.as_bytes()[first..last].to_vec());
        }
    }
    forms
}

fn url_escaped(bytes: &[u8], plus: bool) -> Vec<u8> {
    let mut out = Vec::new();
    for &byte in bytes {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(byte),
            b' ' if plus => out.push(b'+'),
            _ => out.extend(format!("%{byte:02X}").into_bytes()),
        }
    }
    out
}

fn json_escaped(text: &str) -> Vec<u8> {
    let quoted = serde_json::Value::from(text).to_string();
    quoted.as_bytes()[1..quoted.len() - 1].to_vec()
}

/// Redacts one stream.
#[derive(Debug)]
pub struct Redactor<'s> {
    secrets: &'s Secrets,
    held: Vec<u8>,
}

/// What a feed gave.
#[derive(Debug, PartialEq, Eq)]
pub struct Clean {
    /// Bytes to store.
    pub bytes: Vec<u8>,
    /// How many raw bytes they stand for.
    pub raw: u64,
}

impl<'s> Redactor<'s> {
    /// Starts a stream.
    pub fn new(secrets: &'s Secrets) -> Self {
        Redactor { secrets, held: Vec::new() }
    }

    /// Takes raw bytes in, gives out what is certain.
    pub fn feed(&mut self, raw: &[u8]) -> Clean {
        self.held.extend_from_slice(raw);
        self.release(false)
    }

    /// The stream has ended: gives out the rest.
    pub fn finish(&mut self) -> Clean {
        self.release(true)
    }

    fn release(&mut self, end: bool) -> Clean {
        let Some(finder) = &self.secrets.finder else {
            let bytes = std::mem::take(&mut self.held);
            let raw = bytes.len() as u64;
            return Clean { bytes, raw };
        };
        // A match that ends before the held-back tail is final; one that reaches into it may yet grow longer.
        let safe = if end { self.held.len() } else { self.held.len() - self.secrets.pending(&self.held) };
        let mut bytes = Vec::with_capacity(safe);
        let mut done = 0;
        for found in finder.find_iter(&self.held) {
            if found.start() >= safe {
                break;
            }
            if found.end() > safe {
                // The tail that may begin a longer secret overlaps this one: wait for all of it.
                bytes.extend_from_slice(&self.held[done..found.start()]);
                done = found.start();
                let rest = self.held.split_off(done);
                self.held = rest;
                return Clean { bytes, raw: done as u64 };
            }
            bytes.extend_from_slice(&self.held[done..found.start()]);
            bytes.extend_from_slice(REPLACEMENT);
            done = found.end();
        }
        bytes.extend_from_slice(&self.held[done.min(safe)..safe]);
        let rest = self.held.split_off(safe);
        self.held = rest;
        Clean { bytes, raw: safe as u64 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all_at_once(secrets: &Secrets, text: &[u8]) -> Vec<u8> {
        let mut redactor = Redactor::new(secrets);
        let mut out = redactor.feed(text).bytes;
        out.extend(redactor.finish().bytes);
        out
    }

    #[test]
    fn every_form_of_a_secret_is_found() {
        let key = "-----BEGIN KEY-----\nMIIabc/def+ghi\nxyz==\n-----END KEY-----\n";
        let secrets = Secrets::new(["s3cr\"t/päss wörd", key]);
        let base = base64::engine::general_purpose::STANDARD;
        for before in ["", "a", "ab"] {
            let wrapped = format!("{before}s3cr\"t/päss wörd and more");
            let out = all_at_once(&secrets, base.encode(wrapped).as_bytes());
            assert!(out.windows(3).any(|window| window == REPLACEMENT), "{before:?}: {out:?}");
        }
        for text in [
            "x s3cr\"t/päss wörd y",
            "url=s3cr%22t%2Fp%C3%A4ss%20w%C3%B6rd&",
            "form=s3cr%22t%2Fp%C3%A4ss+w%C3%B6rd&",
            r#"{"p":"s3cr\"t/päss wörd"}"#,
            "   MIIabc/def+ghi\r\n",
        ] {
            let out = String::from_utf8(all_at_once(&secrets, text.as_bytes())).unwrap();
            assert!(
                out.contains("***") && !out.contains("s3cr") && !out.contains("MIIabc"),
                "{text} -> {out}"
            );
        }
        assert_eq!(all_at_once(&secrets, key.as_bytes()), b"***");
    }

    #[test]
    fn short_secrets_and_none_leave_the_text_alone() {
        assert_eq!(all_at_once(&Secrets::new(["abc"]), b"abcabc"), b"abcabc");
        assert_eq!(all_at_once(&Secrets::default(), b"abcabc"), b"abcabc");
    }

    proptest! {
        #[test]
        fn cuts_change_nothing_and_raw_offsets_are_places_to_start_again(
            text in "[ab]{0,40}(abbabb|abbabbab)?[ab]{0,40}",
            cuts in proptest::collection::vec(0usize..20, 0..12),
        ) {
            let secrets = Secrets::new(["abbabb", "abbabbab"]);
            let whole = all_at_once(&secrets, text.as_bytes());
            let mut redactor = Redactor::new(&secrets);
            let (mut out, mut raw, mut rest) = (Vec::new(), 0usize, text.as_bytes());
            for cut in cuts {
                let (now, later) = rest.split_at(cut.min(rest.len()));
                rest = later;
                let clean = redactor.feed(now);
                out.extend(clean.bytes);
                raw += clean.raw as usize;
                // A second reader that begins at the raw offset completes the same text.
                let mut again = out.clone();
                again.extend(all_at_once(&secrets, &text.as_bytes()[raw..]));
                prop_assert_eq!(&again, &whole);
            }
            out.extend(redactor.feed(rest).bytes);
            out.extend(redactor.finish().bytes);
            prop_assert_eq!(out, whole);
        }
    }
}
