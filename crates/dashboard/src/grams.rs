//! What a log can't hold, told without reading it: a Bloom filter of its grams (three bytes that follow one another on a
//! line, ASCII letters as small ones), and the grams that a regular expression needs.
//!
//! A filter is 5 bits a gram with two places each: about one gram in nine that is not there seems to be, so that a text of
//! eight letters is looked for in vain in one log of half a million. What a filter leaves is read, so no line is missed.

pub mod needed;

use std::fmt;

/// Bits of a filter for each gram.
const BITS: usize = 5;
/// The shortest filter, in bytes.
const LEAST: usize = 64;
/// A log with more grams is not worth a filter: it may hold anything.
const MOST: usize = 400_000;
/// How many grams there can be.
const ALL: usize = 1 << 24;

/// Three bytes, the first in the highest place.
pub(crate) type Gram = u32;

/// Takes a log byte by byte and knows its grams. Made once and used for one log after another: it is 2 MiB.
pub struct Grams {
    seen: Vec<u64>,
    found: Vec<Gram>,
    last: Gram,
    held: u8,
}

impl fmt::Debug for Grams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Grams").field("found", &self.found.len()).finish_non_exhaustive()
    }
}

impl Default for Grams {
    fn default() -> Self {
        Self { seen: vec![0; ALL / 64], found: Vec::new(), last: 0, held: 0 }
    }
}

impl Grams {
    /// Takes the next bytes of the log.
    pub fn push(&mut self, bytes: &[u8]) {
        for byte in bytes {
            if *byte == b'\n' {
                self.held = 0;
                continue;
            }
            self.last = (self.last << 8 | u32::from(byte.to_ascii_lowercase())) & 0x00ff_ffff;
            self.held = (self.held + 1).min(3);
            if self.held == 3 {
                let (word, bit) = (self.last as usize / 64, self.last % 64);
                if self.seen[word] & (1 << bit) == 0 {
                    self.seen[word] |= 1 << bit;
                    self.found.push(self.last);
                }
            }
        }
    }

    /// Says that what comes next does not follow what came before.
    pub fn cut(&mut self) {
        self.held = 0;
    }

    /// Returns the filter of all that came, and forgets it. It is empty if the log may hold anything.
    pub fn filter(&mut self) -> Vec<u8> {
        let filter = match self.found.len() {
            // Of no gram, and not the one that holds anything.
            0 => vec![0],
            n if n > MOST => Vec::new(),
            n => {
                let mut filter = vec![0_u8; (n * BITS).div_ceil(8).max(LEAST)];
                for gram in &self.found {
                    for place in places(hash(*gram), filter.len()) {
                        filter[place / 8] |= 1 << (place % 8);
                    }
                }
                filter
            }
        };
        for gram in self.found.drain(..) {
            self.seen[gram as usize / 64] = 0;
        }
        self.held = 0;
        filter
    }
}

/// Mixes a gram (the finish of SplitMix64).
pub(crate) fn hash(gram: Gram) -> u64 {
    let mut mixed = u64::from(gram).wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// The bits of a gram in a filter of some bytes.
fn places(hash: u64, bytes: usize) -> [usize; 2] {
    let bits = bytes as u64 * 8;
    // Both are below `bits`: 32 bits of the hash, scaled down.
    let scaled = |part: u64| ((part * bits) >> 32) as usize;
    [scaled(hash >> 32), scaled(hash & 0xffff_ffff)]
}

/// Whether a filter may have a gram, by the gram's hash.
pub(crate) fn may_have(filter: &[u8], hash: u64) -> bool {
    places(hash, filter.len()).iter().all(|place| filter[place / 8] & (1 << (place % 8)) != 0)
}

#[cfg(test)]
mod tests {
    use super::needed::Needed;
    use super::*;

    fn filter(text: &str) -> Vec<u8> {
        let mut grams = Grams::default();
        // By ones and twos, as pieces of a log may be.
        for part in text.as_bytes().chunks(2) {
            grams.push(part);
        }
        grams.filter()
    }

    fn may(pattern: &str, text: &str) -> bool {
        Needed::of(pattern).may_be_in(&filter(text))
    }

    #[test]
    fn a_filter_has_what_is_there_over_pieces_and_not_over_lines() {
        let text = "--- FAIL: TestDial (0.01s)\n    dial_test.go:12: refused\n";
        assert!(
            may("FAIL: TestDial", text) && may("fail: testdial", text) && may(r"_test\.go:\d+: ref", text)
        );
        assert!(!may("FAIL: TestListen", text) && !may(r"0\.01s\)    dial", text));
        assert!(may("a+", text) && may("", text), "nothing is needed");
    }

    #[test]
    fn a_log_without_grams_has_none_and_one_with_too_many_may_have_any() {
        assert!(!may("xyz", "") && !may("xyz", "x\ny\nz\n") && may("x", ""));
        let mut grams = Grams::default();
        for n in 0..=MOST as u32 {
            grams.push(&[
                (n >> 14) as u8 & 0x7f | 0x80,
                (n >> 7) as u8 & 0x7f | 0x80,
                n as u8 & 0x7f | 0x80,
                b'\n',
            ]);
        }
        assert!(grams.filter().is_empty());
        assert!(Needed::of("never").may_be_in(&[]));
        // Nothing of it is left for the next log.
        grams.push(b"abc");
        assert_eq!(grams.filter(), filter("abc"));
    }

    #[test]
    fn few_logs_seem_to_have_what_they_have_not() {
        let filters: Vec<_> = (0..300_u32)
            .map(|log| {
                let mut text = String::new();
                for line in 0..200_u32 {
                    let word = hash(log * 1000 + line);
                    text.push_str(&format!("{word:016x} ok module/{:x} {line}\n", word % 977));
                }
                filter(&text)
            })
            .collect();
        let needed = Needed::of("TestSomethingRare");
        assert_eq!(filters.iter().filter(|filter| needed.may_be_in(filter)).count(), 0);
    }
}
