//! Text that people might have written: phrases of made-up words among common ones, with code, links, numbers and mentions.

use std::fmt::Write;

use super::random::Random;

const COMMON: &[&str] = &[
    "the",
    "a",
    "of",
    "to",
    "and",
    "in",
    "is",
    "it",
    "that",
    "for",
    "this",
    "on",
    "not",
    "with",
    "as",
    "be",
    "we",
    "I",
    "but",
    "if",
    "are",
    "was",
    "have",
    "by",
    "from",
    "an",
    "or",
    "so",
    "can",
    "at",
    "when",
    "you",
    "which",
    "there",
    "should",
    "would",
    "does",
    "all",
    "no",
    "now",
    "only",
    "one",
    "some",
    "also",
    "test",
    "file",
    "code",
    "build",
    "change",
    "error",
    "package",
    "type",
    "value",
    "function",
    "method",
    "slice",
    "pointer",
    "interface",
    "channel",
    "compiler",
    "runtime",
    "linker",
    "time",
    "memory",
    "thread",
    "lock",
    "call",
    "return",
    "fails",
    "works",
    "seems",
    "think",
    "because",
    "before",
    "after",
    "still",
    "same",
    "other",
    "more",
    "than",
    "into",
    "where",
    "what",
    "how",
    "why",
    "thanks",
    "please",
    "proposal",
    "release",
    "version",
    "problem",
    "output",
    "input",
    "nil",
    "panic",
    "string",
    "bytes",
    "reader",
    "writer",
    "buffer",
    "request",
    "response",
];

const SYLLABLES: &[&str] = &[
    "ba", "con", "der", "fi", "gra", "hul", "in", "jo", "ker", "lam", "mo", "net", "ob", "par", "qui", "ros",
    "str", "tam", "un", "vel", "wor", "xy", "yo", "zen", "pro", "map", "lis", "cor", "al", "ti", "ment",
    "ing",
];

/// Letters beyond ASCII, of two, three and four bytes.
const STRANGE: &[&str] = &["naïve", "Größe", "café", "…", "→", "日本語", "тест", "🎉", "λ"];

pub struct Words {
    /// A few words each.
    phrases: Vec<String>,
    /// What is made up of syllables.
    names: Vec<String>,
    /// Mentioned in texts: the last number of an issue that there is.
    pub issues: u32,
}

impl Words {
    pub fn new(random: &mut Random) -> Self {
        let names: Vec<String> = (0..4000).map(|_| name(random)).collect();
        let phrases = (0..16_384)
            .map(|_| {
                let mut phrase = String::new();
                for n in 0..2 + random.below(5) {
                    if n > 0 {
                        phrase.push(' ');
                    }
                    if random.percent(70) {
                        phrase.push_str(COMMON[random.skewed(COMMON.len())]);
                    } else {
                        phrase.push_str(&names[random.skewed(names.len())]);
                    }
                }
                phrase
            })
            .collect();
        Self { phrases, names, issues: 1 }
    }

    pub fn name(&self, random: &mut Random) -> &str {
        &self.names[random.index(self.names.len())]
    }

    /// A line of about as many bytes, without an end.
    pub fn line(&self, random: &mut Random, out: &mut String, len: usize) {
        let until = out.len() + len;
        loop {
            out.push_str(&self.phrases[random.index(self.phrases.len())]);
            if out.len() >= until {
                return;
            }
            out.push(' ');
        }
    }

    /// Paragraphs of about as many bytes, with whatever is between words; no line of it looks like a footer.
    pub fn prose(&self, random: &mut Random, out: &mut String, len: usize, newline: &str) {
        let until = out.len() + len;
        let mut begins = true;
        loop {
            let phrase = &self.phrases[random.index(self.phrases.len())];
            if begins {
                out.push(char::from(phrase.as_bytes()[0].to_ascii_uppercase()));
                out.push_str(&phrase[1..]);
            } else {
                out.push_str(phrase);
            }
            begins = false;
            if out.len() >= until {
                out.push('.');
                return;
            }
            match random.below(40) {
                0 => self.aside(random, out, newline),
                1..4 => out.push_str(", "),
                4..9 => {
                    out.push_str(". ");
                    begins = true;
                }
                9..11 => {
                    out.push('.');
                    out.push_str(newline);
                    out.push_str(newline);
                    begins = true;
                }
                _ => out.push(' '),
            }
        }
    }

    fn aside(&self, random: &mut Random, out: &mut String, newline: &str) {
        out.push(' ');
        // Writing to a string cannot fail.
        let _ = match random.below(9) {
            0 => write!(out, "`{}.{}`", self.name(random), self.name(random)),
            1 => write!(out, "#{}", 1 + random.below(self.issues)),
            2 => write!(out, "golang/go#{}", 1 + random.below(self.issues)),
            3 => write!(out, "https://go.dev/cl/{}", 1000 + random.below(500_000)),
            4 => write!(out, "{}.{:02} ns/op", random.below(900), random.below(100)),
            5 => write!(out, "@{}", self.name(random)),
            6 => write!(out, "{}", random.pick(STRANGE)),
            7 => write!(out, "0x{:x}", random.next() >> 24),
            _ => self.code(random, out, newline),
        };
        out.push(' ');
    }

    /// A trace, as people paste it.
    fn code(&self, random: &mut Random, out: &mut String, newline: &str) -> std::fmt::Result {
        write!(out, "{newline}```{newline}goroutine {} [running]:{newline}", random.below(900))?;
        for _ in 0..1 + random.below(6) {
            let (package, function, file) = (self.name(random), self.name(random), self.name(random));
            let (at, line, off) = (random.next() >> 28, random.below(2000), random.below(4000));
            write!(
                out,
                "{package}.{function}(0x{at:x}){newline}\t/src/{package}/{file}.go:{line} +0x{off:x}{newline}"
            )?;
        }
        write!(out, "```{newline}")
    }
}

/// Of two to four syllables.
pub fn name(random: &mut Random) -> String {
    (0..2 + random.below(3)).map(|_| random.pick(SYLLABLES)).collect()
}
