//! The canonical dump: one run of bytes for each state of a corpus, whatever the order in which it came about, so that two
//! programs can compare what they made of a log. Source: spec/maintner.md §3.6.

mod form;
mod gerrit;
mod github;

use std::io::{self, Write};

use sha2::{Digest, Sha224};

use crate::corpus::Corpus;
use form::Lines;

/// A dump, its lines in order.
#[derive(Debug)]
pub struct Dump(Lines);

impl Dump {
    /// Of a corpus.
    #[must_use]
    pub fn of(corpus: &Corpus) -> Self {
        let mut lines = Lines::default();
        github::dump(corpus, &mut lines);
        gerrit::dump(corpus, &mut lines);
        lines.sort();
        Self(lines)
    }

    /// How many lines it has.
    #[must_use]
    pub fn lines(&self) -> usize {
        self.0.iter().count()
    }

    /// SHA-224 of all of it, in hexadecimal.
    #[must_use]
    pub fn digest(&self) -> String {
        let mut digest = Sha224::new();
        for line in self.0.iter() {
            digest.update(line);
        }
        hex::encode(digest.finalize())
    }

    /// Writes all of it.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn write(&self, mut to: impl Write) -> io::Result<()> {
        self.0.iter().try_for_each(|line| to.write_all(line))
    }
}
