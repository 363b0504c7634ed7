//! Who has a place. Pure: no time, no randomness and no connection but as parameters.

use std::collections::{BTreeMap, VecDeque};

use store::{Micros, WorkerId};

use super::Registration;
use super::rules::Rules;
use crate::core::TurnedAway;
use crate::identity::Identity;
use crate::pool::{Address, Machine};

/// So many processes that were deleted are remembered, and so many machines that were revoked.
const REMEMBERED: usize = 1000;

/// One that was turned away is shown for so long, in microseconds: it tries at least twice a minute.
const SHOWN: i64 = 300_000_000;

/// A machine's process.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub host: String,
    pub name: String,
    pub instance: String,
}

impl Key {
    pub fn new(registration: &Registration, instance: &str) -> Key {
        let Registration { host, name, .. } = registration;
        Key { host: host.clone(), name: name.clone(), instance: instance.to_owned() }
    }

    pub fn of(address: &Address) -> Option<Key> {
        let (Address::Reverse { host, name, instance }
        | Address::Original { host, name, connection: instance }) = address
        else {
            return None;
        };
        Some(Key { host: host.clone(), name: name.clone(), instance: instance.clone() })
    }

    fn address(&self, ours: bool) -> Address {
        let Key { host, name, instance } = self.clone();
        match ours {
            true => Address::Reverse { host, name, instance },
            false => Address::Original { host, name, connection: instance },
        }
    }
}

/// A machine that is connected, for pages and programs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// Its host.
    pub host: String,
    /// The name that it gave itself.
    pub name: String,
    /// Its worker.
    pub worker: WorkerId,
    /// The version of the original's protocol that it speaks.
    pub version: i32,
    /// Since when it is connected.
    pub since: Micros,
}

/// A machine that comes.
#[derive(Debug, Clone)]
pub(super) struct Came {
    /// The version of the original's protocol that it speaks.
    pub version: i32,
    /// Whether it is an agent of ours.
    pub ours: bool,
    /// When it came.
    pub since: Micros,
    /// Who it is, if it has a token of its own.
    pub identity: Option<Identity>,
}

struct Seat<L> {
    worker: WorkerId,
    came: Came,
    /// What it opened; none while it is away.
    link: Option<L>,
    /// Counts its comings and goings.
    turn: u64,
    /// Why it is to go once it has done what it does, if that was told.
    leaves: Option<String>,
}

/// Places by process.
pub(super) struct Table<L> {
    seats: BTreeMap<Key, Seat<L>>,
    deleted: VecDeque<Key>,
    revoked: VecDeque<Identity>,
    /// By host and name.
    turned_away: BTreeMap<(String, String), TurnedAway>,
    turns: u64,
    /// What the hosts ask.
    pub rules: Rules,
}

impl<L> Default for Table<L> {
    fn default() -> Self {
        Table {
            seats: BTreeMap::new(),
            deleted: VecDeque::new(),
            revoked: VecDeque::new(),
            turned_away: BTreeMap::new(),
            turns: 0,
            rules: Rules::default(),
        }
    }
}

/// What became of a machine that came.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Seated {
    pub key: Key,
    pub worker: WorkerId,
    pub turn: u64,
    /// Whether it had no place before.
    pub is_new: bool,
    /// Whether it was away.
    pub was_away: bool,
    /// The places of processes of its name that were away, which are dead.
    pub replaced: Vec<WorkerId>,
    ours: bool,
    version: i32,
}

impl Seated {
    pub fn machine(&self) -> Machine {
        machine(&self.key, self.worker, self.ours, self.version)
    }

    pub fn is_ours(&self) -> bool {
        self.ours
    }
}

fn machine(key: &Key, name: WorkerId, ours: bool, version: i32) -> Machine {
    let detail = match (version, ours) {
        (0, _) => key.name.clone(),
        (version, true) => format!("{}, version {version}", key.name),
        (version, false) => format!("{}, original buildlet, version {version}", key.name),
    };
    Machine { name, host: key.host.clone(), address: Some(key.address(ours)), detail }
}

impl<L: Clone> Table<L> {
    fn turn(&mut self) -> u64 {
        self.turns += 1;
        self.turns
    }

    /// Gives a machine a place, or its own again. `worker` is what it is called if it had none. Also returns what it has
    /// open since before, and does not need any more.
    pub fn sit(&mut self, key: Key, link: L, worker: WorkerId, came: Came) -> (Seated, Option<L>) {
        let (version, ours) = (came.version, came.ours);
        self.turned_away.remove(&(key.host.clone(), key.name.clone()));
        let turn = self.turn();
        // One that comes back says nothing of another machine of its name; one that is new was started in its stead.
        let is_new = !self.seats.contains_key(&key);
        let is_dead = |other: &Key, seat: &Seat<L>| {
            is_new && other.host == key.host && other.name == key.name && seat.link.is_none()
        };
        let dead: Vec<Key> = self
            .seats
            .iter()
            .filter(|(other, seat)| is_dead(other, seat))
            .map(|(other, _)| other.clone())
            .collect();
        let replaced =
            dead.iter().filter_map(|dead| self.seats.remove(dead)).map(|seat| seat.worker).collect();
        let before = self.seats.remove(&key);
        let worker_now = before.as_ref().map_or(worker, |seat| seat.worker);
        let leaves = before.as_ref().and_then(|seat| seat.leaves.clone());
        let older = before.map(|seat| seat.link);
        let was_away = matches!(older, Some(None));
        let seat = Seat { worker: worker_now, came, link: Some(link), turn, leaves };
        self.seats.insert(key.clone(), seat);
        (Seated { key, worker: worker_now, turn, is_new, was_away, replaced, ours, version }, older.flatten())
    }

    /// Keeps a place for a machine that was there before; its turn, unless it has a place.
    pub fn keep(&mut self, key: Key, worker: WorkerId) -> Option<u64> {
        if self.seats.contains_key(&key) {
            return None;
        }
        let turn = self.turn();
        let came = Came { version: 0, ours: true, since: Micros::default(), identity: None };
        let seat = Seat { worker, came, link: None, turn, leaves: None };
        self.seats.insert(key, seat);
        Some(turn)
    }

    /// Takes the place of an original whose connection has ended, and says whose it was: nobody comes back to it.
    pub fn end_original(&mut self, key: &Key, turn: u64) -> Option<WorkerId> {
        self.seats.get(key).filter(|seat| seat.turn == turn && !seat.came.ours)?;
        self.seats.remove(key).map(|seat| seat.worker)
    }

    /// Notes that a machine's connection has ended, unless it has come by another since. Returns the turn in which it is away;
    /// none if it has no place any more.
    pub fn leave(&mut self, key: &Key, turn: u64) -> Option<u64> {
        let next = self.turn();
        let seat = self.seats.get_mut(key).filter(|seat| seat.turn == turn)?;
        (seat.link, seat.turn) = (None, next);
        Some(next)
    }

    /// The machine that has been away since this turn, if it still is.
    pub fn away(&self, key: &Key, turn: u64) -> Option<WorkerId> {
        self.seats.get(key).filter(|seat| seat.turn == turn && seat.link.is_none()).map(|seat| seat.worker)
    }

    /// Gives up the place of a machine that has been away since this turn, and says whose it was.
    pub fn give_up(&mut self, key: &Key, turn: u64) -> Option<WorkerId> {
        self.away(key, turn)?;
        self.seats.remove(key).map(|seat| seat.worker)
    }

    /// Takes the place away for ever. Returns what the machine had open, if there was such a machine.
    pub fn delete(&mut self, worker: WorkerId, now: Micros) -> Option<Option<L>> {
        let key = self.seats.iter().find(|(_, seat)| seat.worker == worker).map(|(key, _)| key.clone())?;
        let seat = self.seats.remove(&key)?;
        if let Some(reason) = &seat.leaves {
            self.turn_away(&key.host, &key.name, reason, now);
        }
        // No connection of an original comes twice.
        if seat.came.ours {
            if self.deleted.len() == REMEMBERED {
                self.deleted.pop_front();
            }
            self.deleted.push_back(key);
        }
        Some(seat.link)
    }

    /// Takes the places of a revoked machine away for ever, and gives each with what it had open. One that has not come back
    /// since a new start of the server is known by its name alone, and so is one that came by the host's key before there was a token.
    pub fn revoke(&mut self, identity: &Identity, host: &str, name: &str) -> Vec<(WorkerId, Option<L>)> {
        if self.revoked.len() == REMEMBERED {
            self.revoked.pop_front();
        }
        self.revoked.push_back(identity.clone());
        let is = |key: &Key, seat: &Seat<L>| match &seat.came.identity {
            Some(its) => its == identity,
            None => key.host == host && key.name == name,
        };
        let gone: Vec<Key> =
            self.seats.iter().filter(|(key, seat)| is(key, seat)).map(|(key, _)| key.clone()).collect();
        gone.iter().filter_map(|key| self.seats.remove(key)).map(|seat| (seat.worker, seat.link)).collect()
    }

    /// Looks which machines are to go once they have done what they do, and which may stay after all. Returns those of which
    /// that was not told yet, and why.
    pub fn judge(&mut self) -> Vec<(WorkerId, Option<String>)> {
        let judged = self.seats.iter_mut().filter_map(|(key, seat)| {
            let against = self.rules.against(&key.host, &key.name, &seat.came);
            if seat.leaves == against {
                return None;
            }
            seat.leaves.clone_from(&against);
            Some((seat.worker, against))
        });
        judged.collect()
    }

    /// The same of one machine; why it is to go, if it is, whether that was told or not.
    pub fn judge_one(&mut self, key: &Key) -> Option<String> {
        let seat = self.seats.get_mut(key)?;
        seat.leaves = self.rules.against(&key.host, &key.name, &seat.came);
        seat.leaves.clone()
    }

    /// Another process that is here with a machine's identity: its place, and what it has open.
    pub fn other(&self, identity: &Identity, instance: Option<&str>) -> Option<(Key, u64, WorkerId, L)> {
        self.seats.iter().find_map(|(key, seat)| {
            let is = seat.came.identity.as_ref() == Some(identity) && Some(&*key.instance) != instance;
            let link = seat.link.as_ref().filter(|_| is)?;
            Some((key.clone(), seat.turn, seat.worker, link.clone()))
        })
    }

    /// Whether the place of a machine is kept since a new start of the server for the process that was here before, and this one,
    /// which shows a token, is another: started in its stead, or a copy that was faster. It isn't kept for one that came by the key of
    /// its host if the name got a token since: it isn't received by that key any more.
    pub fn keeps_for_another(&self, host: &str, name: &str, instance: Option<&str>) -> bool {
        let known = |key: &Key| key.host == host && key.name == name && Some(&*key.instance) == instance;
        let kept = |key: &Key, seat: &Seat<L>| {
            key.host == host && key.name == name && seat.link.is_none() && seat.came.version == 0
        };
        let by_key = self.rules.got_token(host, name);
        !by_key && !self.seats.keys().any(known) && self.seats.iter().any(|(key, seat)| kept(key, seat))
    }

    /// Whether a machine that came by the key of its host has a place: it may finish what it does there.
    pub fn has_by_key(&self, key: &Key) -> bool {
        self.seats.get(key).is_some_and(|seat| seat.came.version != 0 && seat.came.identity.is_none())
    }

    /// Notes that a machine was turned away.
    pub fn turn_away(&mut self, host: &str, name: &str, reason: &str, now: Micros) {
        self.turned_away.retain(|_, one| now.0 - one.tried.0 < SHOWN);
        let of = (host.to_owned(), name.to_owned());
        if self.turned_away.len() < REMEMBERED || self.turned_away.contains_key(&of) {
            let (host, name, reason) = (host.to_owned(), name.to_owned(), reason.to_owned());
            self.turned_away.insert(of, TurnedAway { host, name, reason, tried: now });
        }
    }

    /// Those that were turned away of late.
    pub fn turned_away(&self, now: Micros) -> Vec<TurnedAway> {
        self.turned_away.values().filter(|one| now.0 - one.tried.0 < SHOWN).cloned().collect()
    }

    /// Whether the machine was revoked while this server runs.
    pub fn is_revoked(&self, identity: &Identity) -> bool {
        self.revoked.contains(identity)
    }

    pub fn was_deleted(&self, key: &Key) -> bool {
        self.deleted.contains(key)
    }

    pub fn knows(&self, key: &Key) -> bool {
        self.seats.contains_key(key)
    }

    /// What a machine has open: outer none if it has no place, inner none while it is away.
    pub fn link(&self, key: &Key) -> Option<Option<L>> {
        self.seats.get(key).map(|seat| seat.link.clone())
    }

    /// The machines that outlive a coordinator.
    pub fn machines(&self) -> Vec<Machine> {
        let ours = self.seats.iter().filter(|(_, seat)| seat.came.ours);
        ours.map(|(key, seat)| machine(key, seat.worker, seat.came.ours, seat.came.version)).collect()
    }

    /// The machines that are connected.
    pub fn shown(&self) -> Vec<Shown> {
        let connected = self.seats.iter().filter(|(_, seat)| seat.link.is_some());
        connected
            .map(|(key, seat)| Shown {
                host: key.host.clone(),
                name: key.name.clone(),
                worker: seat.worker,
                version: seat.came.version,
                since: seat.came.since,
            })
            .collect()
    }
}
