//! Takes secrets out of a byte stream before it is stored, and out of a worker's words before they are written down.
//!
//! A secret is found as it is, each of its lines of 8 bytes or more alone, and in the forms that tools print it in: base64
//! (both alphabets, with and without padding, at the three offsets that it can have inside a longer text), hexadecimal,
//! URL-escaped, JSON-escaped as the usual libraries do it, and quoted for a shell. Each form is also found wrapped at
//! whatever column, indented or not: line breaks with the white space after them, up to [`MAX_BREAK`] bytes, are looked
//! through. It is found however the stream is cut: bytes that may be the beginning of a secret are held back until more is
//! known. Each feed says how much of the raw stream its output accounts for, so that a reader that starts again there finds
//! the same secrets.
//!
//! Not found are: values of less than [`MIN_SECRET`] bytes, and what lies beyond the first [`MAX_SECRET`]; a part of a
//! line; forms that are mixed, encoded twice, encrypted or compressed; a wrapped form with something else between its
//! lines, but for the lines of `base64` at 64 and 76 columns; dumps with a space between bytes. Artefacts are not searched
//! at all: they are a job's bytes, under their digest.

mod forms;

use std::collections::HashMap;

use aho_corasick::automaton::Automaton as _;
use aho_corasick::nfa::contiguous::NFA;
use aho_corasick::{AhoCorasick, AhoCorasickKind, Anchored, MatchKind, automaton::StateID};

/// What stands in a log where a secret was.
pub const REPLACEMENT: &[u8] = b"***";

/// Secrets shorter than this are not looked for: they would black out half of a log and protect nothing.
pub const MIN_SECRET: usize = 6;

/// So much of a secret's beginning is looked for, in bytes.
pub const MAX_SECRET: usize = 64 << 10;

/// The longest line break, with the white space after it, that may be inside a secret, in bytes.
pub const MAX_BREAK: usize = 64;

/// The most that is held back, in bytes. No form is as long: only line breaks without end get there, and are let go.
const MAX_HELD: usize = 128 << 10;

/// Up to so many bytes of patterns are compiled into the fastest automaton; it needs up to 1 KiB for each.
const FAST: usize = 4 << 10;

/// A set of secrets, compiled once per job.
#[derive(Debug, Default)]
pub struct Secrets {
    compiled: Option<Compiled>,
}

#[derive(Debug)]
struct Compiled {
    finder: AhoCorasick,
    /// Its state after a text tells the longest end of the text that begins a pattern.
    beginnings: NFA,
    /// How long that is, by state.
    depths: HashMap<StateID, usize>,
    longest: usize,
}

impl Secrets {
    /// Compiles the secrets; those under [`MIN_SECRET`] bytes are left out.
    pub fn new<'a>(values: impl IntoIterator<Item = &'a str>) -> Self {
        let cut = |value: &'a str| &value[..value.floor_char_boundary(MAX_SECRET)];
        let forms = values.into_iter().flat_map(|value| forms::all(cut(value)));
        let mut patterns: Vec<Vec<u8>> = forms.map(|form| View::of(&form).into_pattern()).collect();
        patterns.retain(|pattern| pattern.len() >= MIN_SECRET);
        patterns.sort();
        patterns.dedup();
        Secrets { compiled: Compiled::new(&patterns) }
    }

    /// Whether there is nothing to look for.
    pub fn is_empty(&self) -> bool {
        self.compiled.is_none()
    }

    /// Takes the secrets out of a text.
    pub fn clean(&self, text: &str) -> String {
        let mut redactor = Redactor::new(self);
        let mut bytes = redactor.feed(text.as_bytes()).bytes;
        bytes.extend(redactor.finish().bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl Compiled {
    fn new(patterns: &[Vec<u8>]) -> Option<Self> {
        let longest = patterns.iter().map(Vec::len).max()?;
        let small = patterns.iter().map(Vec::len).sum::<usize>() <= FAST;
        let kind = if small { AhoCorasickKind::DFA } else { AhoCorasickKind::ContiguousNFA };
        // Its prefilter stops at every byte that begins one of the many forms, and is slower than none.
        let finder = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostLongest)
            .kind(Some(kind))
            .prefilter(false)
            .build(patterns);
        let beginnings = NFA::new(patterns);
        // Only more than 2^31 bytes of patterns are refused, and a configuration of secrets is none such.
        let (finder, beginnings) = (finder.ok()?, beginnings.ok()?);
        let mut depths = HashMap::new();
        for pattern in patterns {
            let mut state = beginnings.start_state(Anchored::No).ok()?;
            for (n, byte) in pattern.iter().enumerate() {
                state = beginnings.next_state(Anchored::No, state, *byte);
                depths.insert(state, n + 1);
            }
        }
        Some(Compiled { finder, beginnings, depths, longest })
    }

    /// How many bytes at the end of `text` may be the beginning of a secret.
    fn pending(&self, text: &[u8]) -> usize {
        let Ok(mut state) = self.beginnings.start_state(Anchored::No) else { return 0 };
        for byte in &text[text.len() - text.len().min(self.longest)..] {
            state = self.beginnings.next_state(Anchored::No, state, *byte);
        }
        self.depths.get(&state).copied().unwrap_or(0)
    }
}

/// A text without its line breaks and the white space after them.
#[derive(Debug, Default)]
struct View {
    bytes: Vec<u8>,
    /// Where a piece without a gap begins: here, and in the raw text.
    pieces: Vec<(usize, usize)>,
}

impl View {
    fn of(raw: &[u8]) -> View {
        let mut view = View { bytes: Vec::with_capacity(raw.len()), pieces: Vec::new() };
        let (mut begin, mut at) = (0, 0);
        while let Some(found) = raw[at..].iter().position(|byte| matches!(byte, b'\n' | b'\r')) {
            let gap = at + found;
            let white = raw[gap..].iter().position(|byte| !matches!(byte, b'\n' | b'\r' | b' ' | b'\t'));
            let end = white.map_or(raw.len(), |white| gap + white);
            at = end;
            if end - gap <= MAX_BREAK {
                view.push(raw, begin, gap);
                begin = end;
            }
        }
        view.push(raw, begin, raw.len());
        view
    }

    fn push(&mut self, raw: &[u8], begin: usize, end: usize) {
        if begin < end {
            self.pieces.push((self.bytes.len(), begin));
            self.bytes.extend_from_slice(&raw[begin..end]);
        }
    }

    /// Where in the raw text a byte of the view is.
    fn raw(&self, at: usize) -> usize {
        let piece = self.pieces.partition_point(|(here, _)| *here <= at);
        self.pieces.get(piece.wrapping_sub(1)).map_or(at, |(here, raw)| raw + (at - here))
    }

    /// What to look for. It begins with no white space: that may be gone from the view, or be there at a cut.
    fn into_pattern(self) -> Vec<u8> {
        self.bytes.trim_ascii_start().to_vec()
    }
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

    /// Takes raw bytes in, gives out what is certain. That is at most what was fed and 128 KiB held back before.
    pub fn feed(&mut self, raw: &[u8]) -> Clean {
        self.held.extend_from_slice(raw);
        self.release(false)
    }

    /// The stream has ended: gives out the rest.
    pub fn finish(&mut self) -> Clean {
        self.release(true)
    }

    fn release(&mut self, end: bool) -> Clean {
        let Some(compiled) = &self.secrets.compiled else {
            let bytes = std::mem::take(&mut self.held);
            let raw = bytes.len() as u64;
            return Clean { bytes, raw };
        };
        let view = View::of(&self.held);
        // A match that ends before the held-back tail is final; one that reaches into it may yet grow longer.
        let pending = if end { 0 } else { compiled.pending(&view.bytes) };
        let mut safe = view.bytes.len() - pending;
        let mut raw_safe = if pending == 0 { self.held.len() } else { view.raw(safe) };
        if self.held.len() - raw_safe > MAX_HELD {
            (safe, raw_safe) = (view.bytes.len(), self.held.len());
        }
        let mut bytes = Vec::with_capacity(raw_safe);
        let mut done = 0;
        for found in compiled.finder.find_iter(&view.bytes) {
            if found.start() >= safe {
                break;
            }
            let begin = view.raw(found.start());
            bytes.extend_from_slice(&self.held[done..begin]);
            done = begin;
            if found.end() > safe {
                // The tail that may begin a longer secret overlaps this one: wait for all of it.
                raw_safe = begin;
                break;
            }
            bytes.extend_from_slice(REPLACEMENT);
            done = view.raw(found.end() - 1) + 1;
        }
        bytes.extend_from_slice(&self.held[done..raw_safe]);
        let rest = self.held.split_off(raw_safe);
        self.held = rest;
        Clean { bytes, raw: raw_safe as u64 }
    }
}

#[cfg(test)]
mod tests;
