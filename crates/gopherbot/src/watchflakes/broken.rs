//! Commits and builders that are broken, whose failures are no flakes (`spec/services.md` §5.8, 5.9).

/// A row of as many failures is a builder that is broken, not a flake.
const ROW: usize = 4;

/// Whether a commit failed on so many builders that its failures say nothing of the tests: its results are left out.
#[must_use]
pub fn broken_commit(builders: usize, failures: usize, successes: usize) -> bool {
    let threshold = builders / 4;
    failures > threshold || successes < threshold
}

/// What becomes of one of a builder's results.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// It is no failure, or is left out.
    Dropped,
    /// A failure among successes.
    Kept,
    /// A failure of the row that has not ended: it may fail consistently by now.
    Top,
}

/// Which of a builder's results count, newest first; `Some(true)` is a success, `Some(false)` a failure.
///
/// Failures before the newest success are [`Kept::Top`] if there are at least four, and dropped if there are fewer, as they may be the
/// begin of a row. Later rows of four or more are dropped, as is a row that reaches to the end of what is looked at.
#[must_use]
pub fn broken_builder(results: &[Option<bool>]) -> Vec<Kept> {
    let mut kept = vec![Kept::Dropped; results.len()];
    let mut row: Vec<usize> = Vec::new();
    let mut seen = false;
    for (at, result) in results.iter().enumerate() {
        match result {
            None => {}
            Some(false) => row.push(at),
            Some(true) => {
                let long = row.len() >= ROW;
                let become_ = match (seen, long) {
                    (false, true) => Kept::Top,
                    (true, false) => Kept::Kept,
                    _ => Kept::Dropped,
                };
                row.drain(..).for_each(|at| kept[at] = become_);
                seen = true;
            }
        }
    }
    kept
}
