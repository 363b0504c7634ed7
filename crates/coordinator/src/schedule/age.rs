//! Promotion by age: what has waited as long as its class has patience for stands among the promoted as well, of which
//! every fourth machine is.

use std::collections::BTreeMap;

use store::Micros;

use super::bugs::{Bug, Bugs};
use super::items::{Item, Place, Slot};
use super::state::Planner;

/// Promotions are looked for in steps of so many microseconds.
const STEP: i64 = 60_000_000;
/// The most builds promoted in one step of the scheduler; the others follow in the next ones.
const AT_ONCE: usize = 512;

/// When each waiting build is to be promoted. One that leaves before stays noted until then, at eight bytes.
#[derive(Debug, Default)]
pub(super) struct Ages {
    /// By the step in which they are due: slot and sequence of the build.
    due: BTreeMap<i64, Vec<(Slot, u32)>>,
    len: usize,
}

impl Ages {
    fn note(&mut self, due: i64, slot: Slot, sequence: u32) {
        self.len += 1;
        self.due.entry(due).or_default().push((slot, sequence));
    }

    /// One that is due.
    fn pop(&mut self, now: Micros) -> Option<(Slot, u32)> {
        loop {
            let mut first = self.due.first_entry().filter(|first| *first.key() <= now.0.div_euclid(STEP))?;
            match first.get_mut().pop() {
                Some(one) => {
                    self.len -= 1;
                    return Some(one);
                }
                None => drop(first.remove()),
            }
        }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }
}

impl<B: Bugs> Planner<B> {
    /// When the build is promoted, at the end of that step.
    fn due(item: &Item) -> i64 {
        item.requested.0.saturating_add(item.class().patience()).saturating_add(STEP - 1).div_euclid(STEP)
    }

    /// A build came that is at no place yet.
    pub(super) fn watch_age(&mut self, now: Micros, slot: Slot) {
        if self.bugs.has(Bug::NoPromotion) {
            return;
        }
        let Some(item) = self.items.get_mut(slot) else { return };
        let due = Self::due(item);
        if due <= now.0.div_euclid(STEP) {
            item.aged = true;
        } else {
            let sequence = item.sequence;
            self.ages.note(due, slot, sequence);
        }
        if self.ages.len > 2 * self.items.len() + 4096 {
            let items = &self.items;
            let waits = |slot, sequence| {
                items
                    .get(slot)
                    .is_some_and(|item: &Item| item.sequence == sequence && item.place != Place::Running)
            };
            self.ages.due.retain(|_, ones| {
                ones.retain(|(slot, sequence)| waits(*slot, *sequence));
                !ones.is_empty()
            });
            self.ages.len = self.ages.due.values().map(Vec::len).sum();
        }
    }

    /// Promotes what is due.
    pub(super) fn promote(&mut self, now: Micros) {
        for _ in 0..AT_ONCE {
            let Some((slot, sequence)) = self.ages.pop(now) else { return };
            let Some(item) = self.items.get_mut(slot) else { continue };
            if item.sequence != sequence || item.aged || item.place == Place::Running {
                continue;
            }
            item.aged = true;
            let item = *item;
            match item.place {
                Place::Ready => {
                    let entry = self.entry(slot, &item);
                    for at in 0..self.items.kind(&item).hosts.len() {
                        let host = self.items.kind(&item).hosts[at];
                        self.hosts[host].ready.promote(&entry);
                    }
                }
                Place::Limit(limit) => self.promote_parked(limit, slot, &item),
                Place::Delayed | Place::Need | Place::Blocked | Place::Running => {}
            }
        }
    }
}
