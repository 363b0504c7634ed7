//! Machines that people keep from work: by what they call themselves, so that it counts for whichever process comes by that
//! name, and until its end.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use store::set_asides::SetAsideRow;
use store::{Micros, WorkerId};

use super::Core;
use crate::schedule::Event;

/// Who keeps a machine from work, and why. Times are microseconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SetAside {
    /// Who.
    pub owner: String,
    /// Why.
    pub reason: String,
    /// Since when.
    #[schemars(with = "i64")]
    pub since: Micros,
    /// When it ends by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<i64>")]
    pub until: Option<Micros>,
}

impl std::fmt::Display for SetAside {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "by {}: {}", self.owner, self.reason)?;
        let until = self.until.and_then(|until| jiff::Timestamp::from_microsecond(until.0).ok());
        until.map_or(Ok(()), |until| write!(f, ", until {} UTC", until.strftime("%Y-%m-%d %H:%M")))
    }
}

/// What becomes of what a machine does that is set aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Meanwhile {
    /// It is finished.
    Finishes,
    /// It is lost, and tried again elsewhere.
    IsLost,
}

/// All that are set aside, by host and name.
#[derive(Debug, Default)]
pub(super) struct Asides(BTreeMap<(String, String), SetAside>);

impl Asides {
    pub(super) fn put(&mut self, row: SetAsideRow) {
        let SetAsideRow { host, name, owner, reason, since, until } = row;
        self.0.insert((host, name), SetAside { owner, reason, since, until });
    }

    pub(super) fn of(&self, host: &str, name: &str) -> Option<&SetAside> {
        self.0.get(&(host.to_owned(), name.to_owned()))
    }

    fn remove(&mut self, host: &str, name: &str) {
        self.0.remove(&(host.to_owned(), name.to_owned()));
    }

    /// Those whose end has come.
    fn over(&self, now: Micros) -> Vec<(String, String)> {
        let over = self.0.iter().filter(|(_, aside)| aside.until.is_some_and(|until| until <= now));
        over.map(|(of, _)| of.clone()).collect()
    }
}

impl Core {
    /// Who keeps a machine from work.
    pub(super) fn aside_of(&self, worker: WorkerId) -> Option<&SetAside> {
        let known = self.workers.get(&worker)?;
        self.asides.of(&known.host, &known.called(worker))
    }

    /// The machines that are called so.
    fn called(&self, host: &str, name: &str) -> Vec<WorkerId> {
        let called = self.workers.iter().filter(|(id, one)| one.host == host && one.called(**id) == name);
        called.map(|(id, _)| *id).collect()
    }

    /// Keeps a machine from work, from now on or from when it has done what it does.
    pub(super) fn set_aside(&mut self, row: SetAsideRow, meanwhile: Meanwhile) {
        let called = self.called(&row.host, &row.name);
        let lost = format!("{} has set it aside at once: {}", row.owner, row.reason);
        self.asides.put(row);
        for worker in called {
            match self.workers.get(&worker) {
                Some(known) if known.state == "busy" && meanwhile == Meanwhile::IsLost => {
                    self.forget(worker, lost.clone());
                }
                // One that could not be cleaned has a reason of its own to stay.
                Some(known) if matches!(known.state, "idle" | "away") || known.by_person => self.idle(worker),
                _ => {}
            }
        }
    }

    /// Lets a machine work again. One that the server itself has set aside is cleaned first.
    pub(super) fn resume(&mut self, host: &str, name: &str) {
        self.asides.remove(host, name);
        for worker in self.called(host, name) {
            match self.workers.get(&worker) {
                Some(known) if known.by_person => self.idle(worker),
                Some(known) if known.state == "set_aside" => {
                    self.set_state(worker, "starting", None);
                    self.recount(host);
                    self.rewipe(worker, host.to_owned());
                }
                _ => {}
            }
        }
    }

    /// Lets those work again whose end has come. Their rows are void by then, and go with the next that is written.
    pub(super) fn end_asides(&mut self) {
        for (host, name) in self.asides.over(self.now()) {
            tracing::info!(host, name, "a machine is set aside no longer: its time is over");
            self.asides.remove(&host, &name);
            for worker in self.called(&host, &name) {
                if self.workers.get(&worker).is_some_and(|known| known.by_person) {
                    self.idle(worker);
                }
            }
        }
    }

    /// A machine that is clean and free is kept from work.
    pub(super) fn keep_aside(&mut self, worker: WorkerId, words: String) {
        let Some(known) = self.workers.get_mut(&worker) else { return };
        (known.state, known.by_person, known.reason) = ("set_aside", true, Some(words.clone()));
        let host = known.host.clone();
        // First: its place is not one to make another machine for where they come by themselves.
        self.recount(&host);
        self.apply(Event::MachineSetAside { worker, host, why: words });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_ended_is_over_and_the_words_say_who_why_and_until() {
        let mut asides = Asides::default();
        let row = |name: &str, until: Option<i64>| SetAsideRow {
            host: "far".into(),
            name: name.into(),
            owner: "ann".into(),
            reason: "disk swap".into(),
            since: Micros(1),
            until: until.map(Micros),
        };
        asides.put(row("box", Some(1_800_000_000_000_000)));
        asides.put(row("chest", None));
        assert_eq!(asides.over(Micros(1_799_999_999_999_999)), []);
        assert_eq!(asides.over(Micros(1_800_000_000_000_000)), [("far".to_owned(), "box".to_owned())]);
        let words = |name| asides.of("far", name).unwrap().to_string();
        assert_eq!(words("box"), "by ann: disk swap, until 2027-01-15 08:00 UTC");
        assert_eq!(words("chest"), "by ann: disk swap");
        assert_eq!(asides.of("near", "box"), None);
    }
}
