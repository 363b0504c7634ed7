//! Whether a commit is in the history of another. Source: spec/maintner.md §5.3.

use maintner::commit::Hash;
use maintner::corpus::Corpus;

use super::deadline::{Deadline, Late};

/// What is known of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ancestry {
    /// The commit has it in its history. No commit is in its own.
    Has,
    /// It has not; or the other is not known, of which nothing else is said.
    HasNot,
    /// The commit is not known.
    Unknown,
}

/// Looks through the history of a commit, in any order, each commit once.
///
/// # Errors
/// That time is over.
pub fn ancestor(corpus: &Corpus, commit: &Hash, other: &Hash, deadline: &Deadline) -> Result<Ancestry, Late> {
    let gerrit = &corpus.gerrit;
    let Some(commit) = gerrit.commit(commit) else { return Ok(Ancestry::Unknown) };
    let Some(other) = gerrit.commit(other) else { return Ok(Ancestry::HasNot) };
    let mut seen = vec![0u64; gerrit.commits().len().div_ceil(64)];
    let mut left = vec![commit];
    let mut steps = 0u32;
    while let Some(number) = left.pop() {
        steps = steps.wrapping_add(1);
        if steps.is_multiple_of(1024) {
            deadline.check()?;
        }
        for parent in gerrit.parents(gerrit.commits().get(number)) {
            if parent == other {
                return Ok(Ancestry::Has);
            }
            let (word, bit) = (parent as usize / 64, 1 << (parent % 64));
            if seen[word] & bit == 0 {
                seen[word] |= bit;
                left.push(parent);
            }
        }
    }
    Ok(Ancestry::HasNot)
}
