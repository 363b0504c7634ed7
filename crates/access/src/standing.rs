//! What counts still of what was shown, for streams and sessions that last longer than the request that began them.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use transport::Standing;

/// So many may be kept before it is looked which of them nobody holds on to.
const FEW: usize = 256;

/// By the hash of what was shown.
#[derive(Debug, Default)]
pub(crate) struct Standings(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    by_hash: HashMap<String, Standing>,
    /// With so many it is looked next which of them nobody holds on to.
    sweep: usize,
}

impl Standings {
    /// What holds for whoever shows something with this hash. To be asked for before the database is asked whether that
    /// counts: what ends it after the database was asked is heard then.
    pub fn of(&self, hash: &str) -> Standing {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.by_hash.len() >= kept.sweep.max(FEW) {
            kept.by_hash.retain(|_, standing| standing.holders() > 1);
            kept.sweep = kept.by_hash.len() * 2;
        }
        kept.by_hash.entry(hash.to_owned()).or_insert_with(Standing::revocable).clone()
    }

    /// Has what has this hash count no longer. To be called once the database says so.
    pub fn end(&self, hash: &str) {
        let ended = self.0.lock().unwrap_or_else(PoisonError::into_inner).by_hash.remove(hash);
        if let Some(standing) = ended {
            standing.end();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_ends_for_all_who_showed_the_same() {
        let standings = Standings::default();
        let (one, same, other) = (standings.of("a"), standings.of("a"), standings.of("b"));
        standings.end("a");
        assert!(one.has_ended() && same.has_ended() && !other.has_ended());
        standings.end("nothing");
    }

    #[test]
    fn what_nobody_holds_on_to_is_forgotten() {
        let standings = Standings::default();
        let kept = standings.of("kept");
        for n in 0..FEW * 4 {
            standings.of(&n.to_string());
        }
        assert!(standings.0.lock().unwrap().by_hash.len() <= FEW + 1);
        standings.end("kept");
        assert!(kept.has_ended(), "it is not forgotten");
    }
}
