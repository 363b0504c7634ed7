//! Limits and quotas: who holds slots of them, who waits for one, and for whom slots are put by.
//!
//! What waits for a limit is grouped by shape (the same hosts, limits and width), and of each shape as many builds are let
//! go on to their hosts as there are slots free: whichever host has a machine first takes the slot, and no build waits for
//! a slot that is free beside a machine that is free. Builds beyond that stay here, out of the way of dispatches.
//!
//! A build that takes many slots would never find them free together while narrow ones take each as it comes. Once it is
//! promoted by age the slots it takes are put by for it, one build per limit at a time: others have those fewer until it
//! has begun.

use std::collections::BTreeMap;

use store::Micros;

use super::bugs::{Bug, Bugs};
use super::class::CLASSES;
use super::fair::{Fair, First, NOBODY};
use super::items::{Item, Place, Slot};
use super::state::{Planner, Touched};
use super::{Of, Request};

#[derive(Debug, Default)]
pub(super) struct Limit {
    /// `None` is any number.
    pub(super) max: Option<u32>,
    pub(super) used: u32,
    /// Whose quota it is, where it is one, and whether it has a number of its own.
    pub(super) quota: Option<(Of, bool)>,
    /// By shape.
    groups: BTreeMap<u32, Group>,
    /// The build for which slots are put by, and how many.
    pub(super) reserved: Option<(Slot, u32)>,
}

#[derive(Debug, Default)]
pub(super) struct Group {
    pub(super) parked: Fair,
    /// How many of the shape, by class, stand ready at their hosts and take any machine.
    ready: [u32; CLASSES],
}

impl Group {
    fn is_gone(&self) -> bool {
        self.parked.is_empty() && self.ready == [0; CLASSES]
    }
}

impl Limit {
    /// Slots that this build, of this width, may have now.
    fn room(&self, slot: Slot) -> u32 {
        let Some(max) = self.max else { return u32::MAX };
        let reserved = self.reserved.filter(|(whose, _)| *whose != slot).map_or(0, |(_, width)| width);
        max.saturating_sub(self.used).saturating_sub(reserved)
    }

    /// How many slots a build of the width waits for: one that is wider than the limit runs alone.
    fn cost(&self, width: u32) -> u32 {
        self.max.map_or(width, |max| width.min(max)).max(1)
    }

    fn is_full(&self, width: u32, slot: Slot) -> bool {
        self.max.is_some() && self.room(slot) < self.cost(width)
    }

    pub(super) fn parked(&self, shape: u32) -> Option<&Fair> {
        self.groups.get(&shape).map(|group| &group.parked)
    }

    pub(super) fn kept(&self) -> usize {
        self.groups.values().map(|group| 1 + group.parked.kept()).sum()
    }
}

impl<B: Bugs> Planner<B> {
    /// The limits that hold the build back, quotas before what is configured for its builder.
    fn limits_of<'a>(&'a self, item: &'a Item) -> impl Iterator<Item = u32> + 'a {
        let who = self.flows.who(item.flow).into_iter().filter(|one| *one != NOBODY);
        who.chain(self.items.kind(item).limits.iter().copied())
    }

    /// Those that have a number, of which the ready are counted.
    fn numbered(&self, item: &Item) -> Vec<u32> {
        self.limits_of(item).filter(|limit| self.limits[*limit].max.is_some()).collect()
    }

    pub(super) fn full_limit(&self, slot: Slot, item: &Item) -> Option<u32> {
        let width = self.items.kind(item).width;
        self.limits_of(item).find(|limit| {
            let limit = &self.limits[*limit];
            let beyond = self.bugs.has(Bug::LimitOffByOne) && limit.max == Some(limit.used);
            limit.is_full(width, slot) && !beyond
        })
    }

    /// Numbers of repo and user; each has a limit, its quota.
    pub(super) fn principals(&mut self, request: &Request) -> [u32; 2] {
        let repo = self.principal(Of::Repo, &request.repo);
        [repo, if request.user.is_empty() { NOBODY } else { self.principal(Of::User, &request.user) }]
    }

    fn principal(&mut self, of: Of, name: &str) -> u32 {
        let (limits, default) = (&mut self.limits, self.quotas[of as usize]);
        self.flows.number(of, name, || {
            // No limit of a configuration has this name: a name has no space at its end.
            let number = limits.number(&format!("quota of {} {name} ", of.as_str()));
            limits[number].quota = Some((of, false));
            limits[number].max = default.filter(|_| !name.is_empty());
            number
        })
    }

    /// Takes in the configuration of a quota.
    pub(super) fn set_quota(
        &mut self,
        now: Micros,
        quota: (Of, Option<&str>, Option<u32>),
        touched: &mut Touched,
    ) {
        let (of, name, max) = quota;
        let changed: Vec<u32> = match name {
            Some(name) => {
                let number = self.principal(of, name);
                self.limits[number].quota = Some((of, true));
                vec![number]
            }
            None => {
                self.quotas[of as usize] = max;
                let known = self.flows.known(of).filter(|(name, _)| !name.is_empty());
                known
                    .map(|(_, number)| number)
                    .filter(|n| self.limits[*n].quota == Some((of, false)))
                    .collect()
            }
        };
        for number in changed {
            self.set_max(now, number, max, touched);
        }
    }

    pub(super) fn set_max(&mut self, now: Micros, limit: u32, max: Option<u32>, touched: &mut Touched) {
        // As many as there can be is no limit.
        let max = max.filter(|max| *max < u32::MAX);
        let was = std::mem::replace(&mut self.limits[limit].max, max);
        if was.is_none() != max.is_none() {
            self.recount(limit);
        }
        if max.is_none() {
            self.unpark_all(now, limit, touched);
        } else {
            self.freed(limit);
        }
    }

    /// Counts anew what is ready, for a limit that has a number from now on.
    fn recount(&mut self, limit: u32) {
        let mut ready: BTreeMap<u32, [u32; CLASSES]> = BTreeMap::new();
        for (slot, item) in self.items.iter() {
            if item.place == Place::Ready
                && self.is_easy(slot)
                && self.limits_of(item).any(|one| one == limit)
            {
                let of_shape = ready.entry(self.items.kind(item).shape).or_default();
                of_shape[usize::from(item.class).min(CLASSES - 1)] += 1;
            }
        }
        let groups = &mut self.limits[limit].groups;
        groups.values_mut().for_each(|group| group.ready = [0; CLASSES]);
        for (shape, counts) in ready {
            groups.entry(shape).or_default().ready = counts;
        }
    }

    /// Whether it takes any machine of its hosts.
    fn is_easy(&self, slot: Slot) -> bool {
        self.items.rare(slot).is_none_or(|rare| rare.avoid.is_empty())
    }

    /// Notes that a build became ready or is ready no more, in each limit that counts it.
    pub(super) fn count_ready(&mut self, slot: Slot, item: &Item, more: bool) {
        if !self.is_easy(slot) {
            return;
        }
        let shape = self.items.kind(item).shape;
        for limit in self.numbered(item) {
            let group = self.limits[limit].groups.entry(shape).or_default();
            let count = &mut group.ready[usize::from(item.class).min(CLASSES - 1)];
            *count = if more { *count + 1 } else { count.saturating_sub(1) };
            match group.parked.is_empty() {
                true if group.is_gone() => drop(self.limits[limit].groups.remove(&shape)),
                false if !more => drop(self.refills.insert((limit, shape))),
                _ => {}
            }
        }
    }

    /// Whether a build has to queue up behind those that wait for a limit, though it is not full: they come first.
    pub(super) fn behind_others(&self, item: &Item) -> Option<u32> {
        let shape = self.items.kind(item).shape;
        self.limits_of(item).find(|limit| {
            let parked = self.limits[*limit].parked(shape).filter(|parked| !parked.is_empty());
            parked.and_then(Fair::first_class).is_some_and(|first| first <= item.class)
        })
    }

    pub(super) fn park(&mut self, limit: u32, slot: Slot) {
        let Some(item) = self.items.get(slot).copied() else { return };
        let shape = self.items.kind(&item).shape;
        let entry = self.entry(slot, &item);
        self.limits[limit].groups.entry(shape).or_default().parked.insert(&entry);
        // Slots put by elsewhere would be kept from others, by one that can't take them.
        self.unreserve(slot, &item, Some(limit));
        self.refills.insert((limit, shape));
    }

    pub(super) fn leave_parked(&mut self, limit: u32, slot: Slot, item: &Item) {
        let shape = self.items.kind(item).shape;
        let entry = self.entry(slot, item);
        if let Some(group) = self.limits[limit].groups.get_mut(&shape) {
            group.parked.remove(&entry);
            if group.is_gone() {
                self.limits[limit].groups.remove(&shape);
            }
        }
    }

    pub(super) fn promote_parked(&mut self, limit: u32, slot: Slot, item: &Item) {
        let shape = self.items.kind(item).shape;
        let entry = self.entry(slot, item);
        if let Some(group) = self.limits[limit].groups.get_mut(&shape) {
            group.parked.promote(&entry);
            self.refills.insert((limit, shape));
        }
    }

    /// What was put by for the build is not any more, except at one limit.
    pub(super) fn unreserve(&mut self, slot: Slot, item: &Item, except: Option<u32>) {
        if self.items.kind(item).width == 1 {
            return;
        }
        let of_it: Vec<u32> = self.limits_of(item).filter(|limit| Some(*limit) != except).collect();
        for limit in of_it {
            if self.limits[limit].reserved.is_some_and(|(whose, _)| whose == slot) {
                self.limits[limit].reserved = None;
                self.freed(limit);
            }
        }
    }

    /// The build takes its slots.
    pub(super) fn take_slots(&mut self, slot: Slot, item: &Item) {
        self.unreserve(slot, item, None);
        let width = self.items.kind(item).width;
        for limit in self.limits_of(item).collect::<Vec<_>>() {
            self.limits[limit].used += width;
        }
    }

    /// The build gives its slots back.
    pub(super) fn give_slots(&mut self, item: &Item) {
        let width = self.items.kind(item).width;
        for limit in self.limits_of(item).collect::<Vec<_>>() {
            let entry = &mut self.limits[limit];
            entry.used = entry.used.saturating_sub(width);
            if entry.max.is_some() {
                self.freed(limit);
            }
        }
    }

    /// Looks again at all that waits for the limit.
    fn freed(&mut self, limit: u32) {
        let waiting = self.limits[limit].groups.iter().filter(|(_, group)| !group.parked.is_empty());
        let some = if self.bugs.has(Bug::WakesOneShape) { 1 } else { usize::MAX };
        self.refills.extend(waiting.map(|(shape, _)| (limit, *shape)).take(some));
        self.refills.extend(self.blocked_on.remove(&limit).unwrap_or_default());
    }

    pub(super) fn refill_all(&mut self, now: Micros, touched: &mut Touched) {
        while let Some((limit, shape)) = self.refills.pop_first() {
            self.refill(now, limit, shape, touched);
        }
    }

    /// Lets as many builds of a shape go on as the limit has free slots; those that find another limit full park there.
    pub(super) fn refill(&mut self, now: Micros, limit: u32, shape: u32, touched: &mut Touched) {
        loop {
            let entry = &mut self.limits[limit];
            let Some(group) = entry.groups.get_mut(&shape) else { return };
            let ready = group.ready;
            let turns = [group.parked.first(), group.parked.first_by_class()];
            if group.is_gone() {
                entry.groups.remove(&shape);
                return;
            }
            // Where those of its class or before that stand ready have all the slots, what is not promoted may still go on.
            let has_room = |first: &First| {
                let Some(item) = self.items.get(first.slot) else { return false };
                let entry = &self.limits[limit];
                // Those of later classes that stand ready already would not go before it.
                let before: u32 = ready.iter().take(usize::from(item.class) + 1).sum();
                let wanted = (u64::from(before) + 1) * u64::from(entry.cost(self.items.kind(item).width));
                wanted <= u64::from(entry.room(first.slot))
            };
            let room = turns.into_iter().flatten().find(has_room);
            let Some(first) = room.or(turns[0]) else { return };
            let Some(width) = self.items.get(first.slot).map(|item| self.items.kind(item).width) else {
                return;
            };
            let entry = &self.limits[limit];
            if let Some(other) = self.other_full(limit, first.slot) {
                // All of this shape would be stopped there: they go on waiting here, until that one has room again.
                self.blocked_on.entry(other).or_default().insert((limit, shape));
                return;
            }
            let chosen = match room.is_some() {
                true => first.slot,
                // The one for which slots are put by need not be the first any more.
                false => match entry.reserved {
                    Some((whose, _))
                        if !entry.is_full(width, whose) && self.stands_in(whose, limit, shape) =>
                    {
                        whose
                    }
                    _ => return self.reserve(limit, shape),
                },
            };
            let Some(item) = self.items.get(chosen).copied() else { return };
            let before = self.entry(chosen, &item);
            let by_age = first.by_age && chosen == first.slot;
            if let Some(group) = self.limits[limit].groups.get_mut(&shape) {
                group.parked.serve(&before, by_age, true);
            }
            self.place_past(now, chosen, touched);
            let Some(item) = self.items.get(chosen).copied() else { return };
            match item.place {
                Place::Limit(other) if other == limit => return,
                // All others of this shape would be stopped there as well, unless it is a quota, which is of some of them.
                Place::Limit(other) if self.limits[other].quota.is_none() => return,
                _ => {}
            }
        }
    }

    /// A limit of its builder's other than this one that holds the build back.
    fn other_full(&self, limit: u32, slot: Slot) -> Option<u32> {
        let kind = self.items.kind(self.items.get(slot)?);
        let mut others = kind.limits.iter().copied().filter(|other| *other != limit);
        others.find(|other| self.limits[*other].is_full(kind.width, slot))
    }

    fn stands_in(&self, slot: Slot, limit: u32, shape: u32) -> bool {
        let item = self.items.get(slot);
        item.is_some_and(|item| item.place == Place::Limit(limit) && self.items.kind(item).shape == shape)
    }

    /// Puts slots by for the oldest wide build of the shape that was promoted, if none are for another.
    fn reserve(&mut self, limit: u32, shape: u32) {
        let entry = &mut self.limits[limit];
        if entry.reserved.is_some() {
            return;
        }
        let Some(slot) = entry.groups.get_mut(&shape).and_then(|group| group.parked.first_aged()) else {
            return;
        };
        let Some(item) = self.items.get(slot) else { return };
        let width = self.items.kind(item).width;
        let entry = &mut self.limits[limit];
        if width > 1 {
            entry.reserved = Some((slot, entry.cost(width)));
        }
    }

    fn unpark_all(&mut self, now: Micros, limit: u32, touched: &mut Touched) {
        self.refills.extend(self.blocked_on.remove(&limit).unwrap_or_default());
        let groups = std::mem::take(&mut self.limits[limit].groups);
        self.limits[limit].reserved = None;
        let slots: Vec<Slot> = groups
            .values()
            .flat_map(|group| group.parked.places().map(|(slot, _)| slot).collect::<Vec<_>>())
            .collect();
        for slot in slots {
            self.place(now, slot, touched);
        }
    }
}
