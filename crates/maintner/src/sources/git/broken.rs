//! What a remote has damaged and can't give: it is left out, so that all else goes on, and tried again now and then.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use git::ObjectId;
use tokio::time::Instant;

/// The longest time until it is tried again.
const LONGEST: Duration = Duration::from_secs(12 * 3600);
/// Damaged objects that are found in one poll, each of which takes some fetches; where there are more, the poll fails.
const MOST: usize = 16;
/// How soon a repository of ours is made anew for the third time; for each further one it is twice as long. What comes from the
/// remote so that git can't read it looks like damage of ours, and another copy has it again.
const ANEW: Duration = Duration::from_secs(15 * 60);
/// The longest time until then.
const SELDOM: Duration = Duration::from_secs(6 * 3600);
/// After so long without one it is the first time again.
const FORGOTTEN: Duration = Duration::from_secs(24 * 3600);
/// How long a repository that was read and found sound is taken for sound. What is wrongly taken for the remote's meanwhile is
/// tried again.
const SOUND: Duration = Duration::from_secs(600);

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
    /// When our repository was made anew for the last time.
    renewed: Option<Instant>,
    /// How many times it was, each not long after the one before.
    times: u32,
    /// Whether it was in this poll.
    fresh: bool,
    /// When our repository was last found sound.
    sound: Option<Instant>,
}

impl Broken {
    pub(super) fn new(first: Duration) -> Self {
        let (known, found, renewed, times, fresh, sound) = (HashMap::new(), 0, None, 0, false, None);
        Self { first, known, found, renewed, times, fresh, sound }
    }

    /// Begins a poll.
    pub(super) fn begin(&mut self) {
        (self.found, self.fresh) = (0, false);
    }

    /// Whether our own repository may be made anew now.
    pub(super) fn may_renew(&self) -> bool {
        let pause = match self.times {
            0 | 1 => Duration::ZERO,
            times => ANEW.saturating_mul(1 << (times - 2).min(20)).min(SELDOM),
        };
        !self.fresh && self.has_room() && self.renewed.is_none_or(|at| at.elapsed() >= pause)
    }

    /// Whether our own repository is to be made anew, whose damage may be what was met; that it is done is noted, and what was taken
    /// for the remote's is tried again at once, since it may have been ours.
    pub(super) fn renews(&mut self) -> bool {
        if self.renewed.is_none_or(|at| at.elapsed() > FORGOTTEN) {
            self.times = 0;
        }
        if !self.may_renew() {
            return false;
        }
        let now = Instant::now();
        (self.renewed, self.times, self.fresh, self.sound) = (Some(now), self.times + 1, true, None);
        self.known.values_mut().for_each(|known| known.again = now);
        true
    }

    /// Notes a good poll; where nothing is damaged, another copy helped.
    pub(super) fn good(&mut self) {
        if self.known.is_empty() {
            (self.renewed, self.times) = (None, 0);
        }
    }

    /// Whether more that is damaged may be found in this poll.
    pub(super) fn has_room(&self) -> bool {
        self.found < MOST
    }

    /// Whether damage that is met can be told to be the remote's without a look at our repository: it is new, or was found sound
    /// just now. `None` where it can't be told.
    pub(super) fn is_theirs(&self) -> Option<bool> {
        if self.fresh || self.sound.is_some_and(|at| at.elapsed() < SOUND) {
            return Some(true);
        }
        // Another copy tells more than a look at this one does.
        self.renewed.is_none().then_some(false)
    }

    /// Notes that our repository was found sound.
    pub(super) fn found_sound(&mut self) {
        self.sound = Some(Instant::now());
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

    /// What is known to be damaged.
    pub(super) fn ids(&self) -> Vec<ObjectId> {
        self.known.keys().copied().collect()
    }

    /// Forgets what came, after all, or is not there any more.
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
    #[tokio::test(start_paused = true)]
    async fn our_repository_is_made_anew_ever_more_seldom_and_tells_whose_damage_it_is() {
        let mut broken = Broken::new(Duration::from_secs(60));
        let id = ObjectId::from_bytes([7; 20]);
        assert_eq!(broken.is_theirs(), Some(false), "another copy tells");
        for minutes in [0, 0, 15, 30, 60, 120, 240, 360, 360] {
            tokio::time::advance(Duration::from_secs(60 * minutes)).await;
            broken.begin();
            broken.note(id, "why".into());
            assert!(broken.renews() && broken.is_theirs() == Some(true));
            assert!(!broken.rests(&id), "it may have been ours");
            assert!(!broken.renews(), "it is new");
            broken.begin();
            assert_eq!(broken.is_theirs(), None);
        }
        assert!(!broken.renews(), "it was not long ago");
        broken.found_sound();
        assert_eq!(broken.is_theirs(), Some(true));
        tokio::time::advance(SOUND).await;
        assert_eq!(broken.is_theirs(), None);
        tokio::time::advance(FORGOTTEN).await;
        for _ in 0..2 {
            broken.begin();
            assert!(broken.renews());
        }
        broken.begin();
        assert!(!broken.renews());
        broken.came(&[id]);
        broken.good();
        assert_eq!(broken.is_theirs(), Some(false));
        for _ in 0..MOST {
            broken.note(id, "why".into());
        }
        assert!(!broken.renews(), "another copy would have as many");
    }
}
