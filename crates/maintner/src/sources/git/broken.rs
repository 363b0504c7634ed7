//! What a remote has damaged and can't give: it is left out, so that all else goes on, and tried again now and then.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use git::ObjectId;
use tokio::time::Instant;

/// The longest time until it is tried again.
const LONGEST: Duration = Duration::from_secs(12 * 3600);
/// Damaged objects that are found in one poll, each of which takes some fetches; where there are more, the poll fails.
const MOST: usize = 16;
/// How long a repository of ours is not made anew after it was, while something at the remote is damaged: that is what it looks
/// like as well.
const ANEW: Duration = Duration::from_secs(6 * 3600);

#[derive(Debug, Clone)]
struct Known {
    why: String,
    tries: u32,
    again: Instant,
}

/// What could not be had.
#[derive(Debug)]
pub(super) struct Broken {
    /// How soon it is tried again for the first time; each further time it is twice as long.
    first: Duration,
    known: HashMap<ObjectId, Known>,
    /// Found in this poll.
    found: usize,
    renewed: Option<Instant>,
}

impl Broken {
    pub(super) fn new(first: Duration) -> Self {
        Self { first, known: HashMap::new(), found: 0, renewed: None }
    }

    /// Begins a poll.
    pub(super) fn begin(&mut self) {
        self.found = 0;
    }

    /// Whether our own repository is to be made anew, since only by another copy it can be told whose damage it is; that it is
    /// done is noted.
    pub(super) fn renews(&mut self) -> bool {
        let renews = self.renewed.is_none_or(|at| at.elapsed() > ANEW);
        if renews {
            self.renewed = Some(Instant::now());
        }
        renews
    }

    /// Notes a good poll, after which damage may be ours again.
    pub(super) fn good(&mut self) {
        if self.known.is_empty() {
            self.renewed = None;
        }
    }

    /// Whether what can't be had is told from the rest now: our copy is new.
    pub(super) fn is_looked_for(&self) -> bool {
        self.renewed.is_some() && self.found < MOST
    }

    /// Notes that the remote can't give something.
    pub(super) fn note(&mut self, id: ObjectId, why: String) {
        self.found += 1;
        let tries = self.known.get(&id).map_or(0, |known| known.tries);
        let pause = self.first.saturating_mul(1 << tries.min(20)).min(LONGEST);
        let again = Instant::now() + pause;
        self.known.insert(id, Known { why, tries: tries.saturating_add(1), again });
    }

    /// Whether it is known to be damaged, and not yet to be tried again.
    pub(super) fn rests(&self, id: &ObjectId) -> bool {
        self.known.get(id).is_some_and(|known| Instant::now() < known.again)
    }

    /// Whether it is known to be damaged.
    pub(super) fn has(&self, id: &ObjectId) -> bool {
        self.known.contains_key(id)
    }

    /// Forgets what came, after all.
    pub(super) fn came(&mut self, ids: &[ObjectId]) {
        for id in ids {
            self.known.remove(id);
        }
    }

    /// Forgets what nobody wants any more.
    pub(super) fn keep(&mut self, wanted: &HashSet<ObjectId>) {
        self.known.retain(|id, _| wanted.contains(id));
    }

    /// What is damaged, in words.
    pub(super) fn told(&self) -> Option<String> {
        let (id, known) = self.known.iter().min_by_key(|(id, _)| **id)?;
        let more = match self.known.len() - 1 {
            0 => String::new(),
            more => format!(", and {more} more such"),
        };
        Some(format!("{id} and what it is made of can't be had{more}; all else is followed: {}", known.why))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_is_damaged_is_tried_again_ever_more_seldom() {
        let mut broken = Broken::new(Duration::from_secs(60));
        let id = ObjectId::from_bytes([7; 20]);
        for minutes in [1, 2, 4, 8] {
            broken.note(id, "why".into());
            tokio::time::advance(Duration::from_secs(60 * minutes - 1)).await;
            assert!(broken.rests(&id));
            tokio::time::advance(Duration::from_secs(1)).await;
            assert!(!broken.rests(&id) && broken.has(&id));
        }
        assert!(broken.told().unwrap().contains("why"));
        broken.came(&[id]);
        assert_eq!((broken.has(&id), broken.told()), (false, None));
        for _ in 0..100 {
            broken.note(id, "why".into());
        }
        tokio::time::advance(LONGEST).await;
        assert!(!broken.rests(&id));
        broken.keep(&HashSet::new());
        assert!(!broken.has(&id));
    }
}
