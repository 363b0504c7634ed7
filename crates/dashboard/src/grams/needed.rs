//! The grams that every match of a regular expression has.
//!
//! What is asked for is always less than what the expression says: where it gets wide (classes, alternatives), less is
//! needed, down to nothing. So a log that is passed over has no match, and one that is read may have none.

use std::collections::BTreeSet;

use regex_syntax::ParserBuilder;
use regex_syntax::hir::{Class, Hir, HirKind};

use super::{Gram, hash, may_have};

/// So many texts that a part of the expression can be are told apart.
const TEXTS: usize = 64;
/// The longest of them, bytes.
const LONGEST: usize = 256;
/// Classes of at most so many characters are spelled out.
const CLASS: usize = 8;
/// So deep may an expression be nested.
const DEEPEST: u32 = 100;

/// What a log needs to have a match.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Needed(Need);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Need {
    /// Nothing that is known.
    Nothing,
    /// These grams, as hashes.
    Grams(Vec<u64>),
    All(Vec<Need>),
    Any(Vec<Need>),
}

impl Needed {
    /// Says what an expression needs. One that can't be read needs nothing: whoever compiles it says what is wrong.
    #[must_use]
    pub fn of(pattern: &str) -> Self {
        // As `regex::bytes` reads it.
        let parser = ParserBuilder::new().utf8(false).nest_limit(DEEPEST).build().parse(pattern);
        Self(parser.map_or(Need::Nothing, |hir| part(&hir).need()))
    }

    /// Says what all of several expressions need.
    #[must_use]
    pub fn all(of: impl IntoIterator<Item = Needed>) -> Self {
        Self(all(of.into_iter().map(|needed| needed.0).collect()))
    }

    /// Whether nothing is known that it needs: every log has to be read.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        self.0 == Need::Nothing
    }

    /// Whether a log with this filter may have a match.
    #[must_use]
    pub fn may_be_in(&self, filter: &[u8]) -> bool {
        filter.is_empty() || self.0.met_by(filter)
    }
}

impl Need {
    fn met_by(&self, filter: &[u8]) -> bool {
        match self {
            Self::Nothing => true,
            Self::Grams(grams) => grams.iter().all(|gram| may_have(filter, *gram)),
            Self::All(of) => of.iter().all(|need| need.met_by(filter)),
            Self::Any(of) => of.iter().any(|need| need.met_by(filter)),
        }
    }
}

fn all(mut of: Vec<Need>) -> Need {
    of.retain(|need| *need != Need::Nothing);
    match of.len() {
        0 => Need::Nothing,
        1 => of.remove(0),
        _ => Need::All(of),
    }
}

/// What is known of a part of an expression.
enum Part {
    /// It is one of these texts, letters as small ones.
    Texts(BTreeSet<Vec<u8>>),
    /// It is anything, and has this in it.
    Has(Need),
}

impl Part {
    fn empty() -> Self {
        Self::Texts(BTreeSet::from([Vec::new()]))
    }

    fn need(self) -> Need {
        match self {
            Self::Has(need) => need,
            Self::Texts(texts) => {
                // No text at all never matches; a log is read in vain then, once.
                if texts.is_empty() || texts.iter().any(|text| !has_gram(text)) {
                    return Need::Nothing;
                }
                let mut needs: Vec<_> = texts.iter().map(|text| Need::Grams(grams(text))).collect();
                match needs.len() {
                    1 => needs.remove(0),
                    _ => Need::Any(needs),
                }
            }
        }
    }
}

/// The grams of a text on one line.
fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|byte| *byte == b'\n').flat_map(|line| line.windows(3))
}

fn has_gram(text: &[u8]) -> bool {
    lines(text).next().is_some()
}

fn grams(text: &[u8]) -> Vec<u64> {
    let gram = |three: &[u8]| three.iter().fold(0, |gram: Gram, byte| gram << 8 | u32::from(*byte));
    let found: BTreeSet<u64> = lines(text).map(|three| hash(gram(three))).collect();
    found.into_iter().collect()
}

/// Every text of one before every text of the other, if those are few and short.
fn joined(one: &BTreeSet<Vec<u8>>, other: &BTreeSet<Vec<u8>>) -> Option<BTreeSet<Vec<u8>>> {
    let longest = |texts: &BTreeSet<Vec<u8>>| texts.iter().map(Vec::len).max().unwrap_or(0);
    if one.len() * other.len() > TEXTS || longest(one) + longest(other) > LONGEST {
        return None;
    }
    let pairs = one.iter().flat_map(|one| other.iter().map(move |other| [&one[..], &other[..]].concat()));
    Some(pairs.collect())
}

fn part(hir: &Hir) -> Part {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => Part::empty(),
        HirKind::Literal(literal) => {
            let text = literal.0.to_ascii_lowercase();
            match text.len() {
                0..=LONGEST => Part::Texts(BTreeSet::from([text])),
                _ => Part::Has(Need::Grams(grams(&text))),
            }
        }
        HirKind::Class(class) => of_class(class).map_or(Part::Has(Need::Nothing), Part::Texts),
        HirKind::Capture(capture) => part(&capture.sub),
        HirKind::Repetition(repetition) => match (repetition.min, repetition.max) {
            (0, Some(1)) => match part(&repetition.sub) {
                Part::Texts(mut texts) => {
                    texts.insert(Vec::new());
                    Part::Texts(texts)
                }
                Part::Has(_) => Part::Has(Need::Nothing),
            },
            (0, _) => Part::Has(Need::Nothing),
            (1, Some(1)) => part(&repetition.sub),
            _ => Part::Has(part(&repetition.sub).need()),
        },
        HirKind::Concat(parts) => of_concat(parts),
        HirKind::Alternation(parts) => of_alternation(parts),
    }
}

/// The characters of a class, if they are few.
fn of_class(class: &Class) -> Option<BTreeSet<Vec<u8>>> {
    let mut texts = BTreeSet::new();
    match class {
        Class::Unicode(class) => {
            let many: usize = class.iter().map(regex_syntax::hir::ClassUnicodeRange::len).sum();
            if many > CLASS {
                return None;
            }
            for one in class.iter().flat_map(|range| range.start()..=range.end()) {
                texts.insert(one.to_ascii_lowercase().to_string().into_bytes());
            }
        }
        Class::Bytes(class) => {
            let many: usize = class.iter().map(regex_syntax::hir::ClassBytesRange::len).sum();
            if many > CLASS {
                return None;
            }
            for one in class.iter().flat_map(|range| range.start()..=range.end()) {
                texts.insert(vec![one.to_ascii_lowercase()]);
            }
        }
    }
    Some(texts)
}

fn of_concat(parts: &[Hir]) -> Part {
    let mut needs = Vec::new();
    let mut texts = BTreeSet::from([Vec::new()]);
    let mut whole = true;
    for one in parts {
        match part(one) {
            Part::Texts(next) => match joined(&texts, &next) {
                Some(both) => texts = both,
                None => {
                    whole = false;
                    needs.push(Part::Texts(std::mem::replace(&mut texts, next)).need());
                }
            },
            Part::Has(need) => {
                whole = false;
                needs.push(Part::Texts(std::mem::take(&mut texts)).need());
                needs.push(need);
                texts.insert(Vec::new());
            }
        }
    }
    if whole {
        return Part::Texts(texts);
    }
    needs.push(Part::Texts(texts).need());
    Part::Has(all(needs))
}

fn of_alternation(parts: &[Hir]) -> Part {
    let (mut texts, mut needs) = (BTreeSet::new(), Vec::new());
    let mut few = true;
    for one in parts {
        match part(one) {
            Part::Texts(some) if few && texts.len() + some.len() <= TEXTS => texts.extend(some),
            other => {
                few = false;
                needs.push(other.need());
            }
        }
    }
    if few {
        return Part::Texts(texts);
    }
    if !texts.is_empty() {
        needs.push(Part::Texts(texts).need());
    }
    match needs.contains(&Need::Nothing) {
        true => Part::Has(Need::Nothing),
        false => Part::Has(Need::Any(needs)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Grams;
    use super::*;

    fn may(pattern: &str, text: &str) -> bool {
        let mut grams = Grams::default();
        grams.push(text.as_bytes());
        Needed::of(pattern).may_be_in(&grams.filter())
    }

    #[test]
    fn what_an_expression_needs() {
        for nothing in ["", "ab", ".*", "a|bcd", r"\d+", "(foo)?", "(foo)*", "[", "x{0,9}", "[a-z]{3}"] {
            assert!(Needed::of(nothing).is_nothing(), "{nothing}");
        }
        for something in
            ["abc", "a[bc]d", "(foo)+", "foo|bar", "x{0,9}needle", "(?i)panic", "^FAIL\t", "ab?cde"]
        {
            assert!(!Needed::of(something).is_nothing(), "{something}");
        }
        assert!(may("(foo|ba[rz])!{3}", "ba z! baz!!!") && !may("(foo|ba[rz])!{3}", "fo ba zz"));
        assert!(
            may("exit (status|code) [0-9]+ at", "exit code 7 at")
                && !may("exit (status|code) x", "exit codes")
        );
        let both = Needed::all([Needed::of("alpha"), Needed::of("omega"), Needed::of("x")]);
        let mut grams = Grams::default();
        grams.push(b"alpha\nomega");
        assert!(both.may_be_in(&grams.filter()));
        grams.push(b"alpha\n");
        assert!(!both.may_be_in(&grams.filter()));
    }

    /// Whatever matches a line has what its expression needs.
    #[test]
    fn no_match_is_passed_over() {
        let patterns = [
            "panic: .* goroutine",
            "(?i)KELVIN straSSe",
            "(a|b|cde)+fgh",
            r"\bTest[A-Z]\w*\b.*\(\d",
            "é|naïve",
            "(?-u)\\xffabc",
            "x(yz|zy)?w",
            "(one|two|three)(four|five)(six|seven)(eight|nine|ten)(a|b|c|d|e)",
            "(?i)[k-m]ks",
            "((((deep)))) end",
            "a{2,3}bcd",
            "end$",
            "(?x) sp ace",
            "[[:alpha:]]rror",
            "",
        ];
        let lines = [
            "panic: x goroutine 1",
            "\u{212a}elvin stra\u{17f}\u{17f}e",
            "kelvin strasse",
            "abcdefgh",
            "bfgh",
            "TestThing failed (1",
            "caf\u{e9}",
            "na\u{ef}ve",
            "xw",
            "xyzw",
            "twofiveseventene",
            "onefoursixeighta",
            "M\u{212a}S",
            "deep end",
            "aaabcd",
            "the end",
            "space",
            "error",
            "Error",
        ];
        let mut matched = 0;
        for pattern in patterns {
            let regex = regex::bytes::Regex::new(pattern).unwrap();
            for line in lines.iter().map(|line| line.as_bytes()).chain([&b"\xffabc"[..]]) {
                if regex.is_match(line) {
                    matched += 1;
                    let mut grams = Grams::default();
                    grams.push(line);
                    assert!(Needed::of(pattern).may_be_in(&grams.filter()), "{pattern} in {line:?}");
                }
            }
        }
        assert!(matched > 30, "{matched}");
    }
}
