//! What waits for the same thing, a host's machines or a limit's slots, in the order in which it comes to its turn.
//!
//! Classes go in their order. Within a class, repos and people take turns: each carries a count of what it was given, a
//! build goes by the larger count of its repo and its user, and the smallest goes first. Who comes anew starts at the count
//! of the turn under way, so nobody saves turns up. So whoever floods a queue delays each other repo and user by at most
//! one build a turn, however many it has queued. Within one repo's builds of one user, a [`Queue`] has the order.
//!
//! What was promoted by age stands in a band of its own as well, in turns too, of which every fourth turn is.

use std::collections::BTreeSet;

use hashbrown::HashMap;

use super::class::CLASSES;
use super::items::{Rank, Slot};
use super::queue::Queue;

/// Of so many turns one is of what was promoted by age, where there is any.
pub(super) const SHARE: u32 = 4;

/// No repo, or no user.
pub(super) const NOBODY: u32 = u32::MAX;

/// A build as it stands in a queue.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    pub(super) class: u8,
    /// The number of its repo and user together.
    pub(super) flow: u32,
    /// The numbers of its repo and its user.
    pub(super) who: [u32; 2],
    pub(super) rank: Rank,
    /// Its place among the promoted, if it is one.
    pub(super) aged: Option<Rank>,
    /// How many turns it counts for.
    pub(super) cost: u32,
}

/// Whose turn it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct First {
    pub(super) slot: Slot,
    /// Whether it comes because it was promoted.
    pub(super) by_age: bool,
}

/// Smallest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Turn {
    /// The larger of what repo and user were given.
    most: u64,
    /// The smaller.
    least: u64,
    /// When it came, to make it first come first served among equals.
    came: u64,
    flow: u32,
}

#[derive(Debug)]
struct Lane {
    who: [u32; 2],
    turn: Turn,
    queue: Queue,
}

#[derive(Debug, Default)]
struct Band {
    /// The count at which the latest turn was given.
    now: u64,
    came: u64,
    turns: BTreeSet<Turn>,
    lanes: HashMap<u32, Lane>,
    /// What each repo and user was given, as far as it is not forgotten: who is behind `now` starts there anyway.
    given: HashMap<u32, u64>,
    len: usize,
}

impl Band {
    fn insert(&mut self, flow: u32, who: [u32; 2], rank: Rank) {
        self.len += 1;
        if let Some(lane) = self.lanes.get_mut(&flow) {
            return lane.queue.insert(rank);
        }
        for one in who.into_iter().filter(|one| *one != NOBODY) {
            let given = self.given.entry(one).or_default();
            *given = self.now.max(*given);
        }
        self.came += 1;
        let turn = self.turn(who, self.came, flow);
        let mut queue = Queue::default();
        queue.insert(rank);
        self.turns.insert(turn);
        self.lanes.insert(flow, Lane { who, turn, queue });
        if self.given.len() > 4 * self.lanes.len() + 64 {
            let here: BTreeSet<u32> = self.lanes.values().flat_map(|lane| lane.who).collect();
            self.given.retain(|one, given| *given > self.now || here.contains(one));
        }
    }

    fn turn(&self, who: [u32; 2], came: u64, flow: u32) -> Turn {
        let [repo, user] = who.map(|one| self.given.get(&one).copied().unwrap_or_default());
        Turn { most: repo.max(user), least: repo.min(user), came, flow }
    }

    fn remove(&mut self, flow: u32, rank: &Rank) -> bool {
        let Some(lane) = self.lanes.get_mut(&flow) else { return false };
        if !lane.queue.remove(rank) {
            return false;
        }
        self.len -= 1;
        if lane.queue.is_empty() {
            let turn = lane.turn;
            self.turns.remove(&turn);
            self.lanes.remove(&flow);
        }
        true
    }

    /// The lane whose turn it is. Counts only grow, so a lane that stands too early is put where it belongs as it is met.
    fn first_lane(&mut self) -> Option<u32> {
        loop {
            let known = *self.turns.first()?;
            let who = self.lanes.get(&known.flow)?.who;
            let turn = self.turn(who, known.came, known.flow);
            if turn == known || self.lanes.len() == 1 {
                return Some(known.flow);
            }
            self.turns.remove(&known);
            self.turns.insert(turn);
            self.lanes.get_mut(&known.flow)?.turn = turn;
        }
    }

    fn first(&mut self) -> Option<Rank> {
        let flow = self.first_lane()?;
        self.lanes.get_mut(&flow)?.queue.after(None)
    }

    /// Gives a turn.
    fn charge(&mut self, who: [u32; 2], cost: u32) {
        let [repo, user] = who.map(|one| self.given.get(&one).copied().unwrap_or_default());
        self.now = self.now.max(repo.max(user));
        for one in who.into_iter().filter(|one| *one != NOBODY) {
            let given = self.given.entry(one).or_default();
            *given = self.now.max(*given) + u64::from(cost);
        }
    }

    /// The first `count`, lane after lane.
    fn scan(&mut self, count: usize, into: &mut Vec<Rank>) {
        let known = self.turns.iter().filter_map(|turn| Some((turn, self.lanes.get(&turn.flow)?.who)));
        let mut turns: Vec<Turn> = known.map(|(turn, who)| self.turn(who, turn.came, turn.flow)).collect();
        turns.sort_unstable();
        for flow in turns.into_iter().take(count).map(|turn| turn.flow) {
            let Some(lane) = self.lanes.get_mut(&flow) else { continue };
            let mut from = None;
            while into.len() < count
                && let Some(rank) = lane.queue.after(from.as_ref())
            {
                into.push(rank);
                from = Some(rank);
            }
        }
    }
}

/// An ordered set of builds, in turns.
#[derive(Debug, Default)]
pub(super) struct Fair {
    bands: [Band; CLASSES],
    aged: Band,
    /// Turns in a row that were not of what was promoted.
    others: u32,
    len: usize,
}

impl Fair {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    fn band(&mut self, class: u8) -> &mut Band {
        &mut self.bands[usize::from(class).min(CLASSES - 1)]
    }

    /// Adds a build that is not there yet.
    pub(super) fn insert(&mut self, entry: &Entry) {
        self.len += 1;
        self.band(entry.class).insert(entry.flow, entry.who, entry.rank);
        if let Some(aged) = entry.aged {
            self.aged.insert(entry.flow, entry.who, aged);
        }
    }

    /// Takes a build out, to no account.
    pub(super) fn remove(&mut self, entry: &Entry) -> bool {
        let was = self.band(entry.class).remove(entry.flow, &entry.rank);
        self.len -= usize::from(was);
        if let Some(aged) = &entry.aged {
            self.aged.remove(entry.flow, aged);
        }
        was
    }

    /// A build that stands here is promoted.
    pub(super) fn promote(&mut self, entry: &Entry) {
        if let Some(aged) = entry.aged {
            self.aged.insert(entry.flow, entry.who, aged);
        }
    }

    fn is_turn_of_aged(&self) -> bool {
        self.aged.len > 0 && self.others + 1 >= SHARE
    }

    /// Whose turn it is.
    pub(super) fn first(&mut self) -> Option<First> {
        match self.is_turn_of_aged() {
            true => self.aged.first().map(|rank| First { slot: rank.slot, by_age: true }),
            false => self.first_by_class(),
        }
    }

    /// The first of the first class, whether or not it is a turn of the promoted.
    pub(super) fn first_by_class(&mut self) -> Option<First> {
        let rank = self.bands.iter_mut().find(|band| band.len > 0)?.first();
        Some(First { slot: rank?.slot, by_age: false })
    }

    /// The first class in which something stands.
    pub(super) fn first_class(&self) -> Option<u8> {
        self.bands.iter().position(|band| band.len > 0).map(|class| class as u8)
    }

    /// The first of the promoted.
    pub(super) fn first_aged(&mut self) -> Option<Slot> {
        self.aged.first().map(|rank| rank.slot)
    }

    /// The first `count` in about their order, for when the first of all refuses what there is.
    pub(super) fn scan(&mut self, count: usize) -> Vec<First> {
        let (mut aged, mut ranks) = (Vec::new(), Vec::new());
        if self.is_turn_of_aged() {
            self.aged.scan(count, &mut aged);
        }
        for band in &mut self.bands {
            if ranks.len() < count {
                band.scan(count, &mut ranks);
            }
        }
        let by_age = aged.iter().map(|rank| First { slot: rank.slot, by_age: true });
        by_age.chain(ranks.iter().map(|rank| First { slot: rank.slot, by_age: false })).collect()
    }

    /// Takes out a build that is given its turn; `charged` is false for a planted bug only.
    pub(super) fn serve(&mut self, entry: &Entry, by_age: bool, charged: bool) {
        if self.aged.len == 0 || by_age {
            self.others = 0;
        } else {
            self.others = (self.others + 1).min(SHARE);
        }
        if charged {
            let band = if by_age { &mut self.aged } else { self.band(entry.class) };
            band.charge(entry.who, entry.cost);
        }
        self.remove(entry);
    }

    /// How many entries come before this one, as things stand: all of earlier classes, those before it in its own lane, and
    /// of each other lane as many as have their turns before.
    pub(super) fn before(&self, entry: &Entry) -> usize {
        let class = usize::from(entry.class).min(CLASSES - 1);
        let earlier: usize = self.bands[..class].iter().map(|band| band.len).sum();
        let band = &self.bands[class];
        let Some(own) = band.lanes.get(&entry.flow) else { return earlier };
        let own_before = own.queue.before(&entry.rank);
        let of_others = band.lanes.values().filter(|lane| lane.turn.flow != entry.flow).map(|lane| {
            let turns = if lane.turn < own.turn { own_before + 1 } else { own_before };
            lane.queue.len().min(turns)
        });
        earlier + own_before + of_others.sum::<usize>()
    }

    /// The place of each, by its slot, counted as [`Fair::before`] does.
    pub(super) fn places(&self) -> impl Iterator<Item = (Slot, usize)> + '_ {
        let mut earlier = 0;
        self.bands.iter().flat_map(move |band| {
            let start = earlier;
            earlier += band.len;
            let lengths: Vec<(Turn, usize)> =
                band.lanes.values().map(|lane| (lane.turn, lane.queue.len())).collect();
            let mut sorted: Vec<usize> = lengths.iter().map(|(_, len)| *len).collect();
            sorted.sort_unstable();
            let mut sums = vec![0];
            for len in &sorted {
                sums.push(sums.last().copied().unwrap_or_default() + len);
            }
            let mut places = Vec::with_capacity(band.len);
            for lane in band.lanes.values() {
                let own = lane.queue.len();
                for (n, rank) in lane.queue.iter().enumerate() {
                    // The sum over all lanes of the lesser of their length and n; its own gives n.
                    let short = sorted.partition_point(|len| *len <= n);
                    let all = sums[short] + n * (sorted.len() - short);
                    let sooner = match band.lanes.len() {
                        1 => 0,
                        _ => lengths.iter().filter(|(turn, len)| *turn < lane.turn && *len > n).count(),
                    };
                    places.push((rank.slot, start + all - n.min(own) + n + sooner));
                }
            }
            places
        })
    }

    /// How many lanes and counts are kept, for the check that memory stays flat.
    pub(super) fn kept(&self) -> usize {
        self.bands.iter().chain([&self.aged]).map(|band| band.lanes.len() + band.given.len()).sum()
    }
}
