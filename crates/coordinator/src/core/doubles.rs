//! Machines whose identity another process shows as well: said in the log, in the audit log and of the machine.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use store::audit::Deed;
use store::{Micros, WorkerId};

use super::Core;

/// It goes into the audit log so often of a machine: the other one tries twice a minute.
const NOTED: Duration = Duration::from_secs(3600);
/// So many machines are remembered.
const REMEMBERED: usize = 1000;
/// It is said of a machine for so long after the other one has tried last.
const SHOWN: Duration = Duration::from_secs(300);

/// When it was last written down of which machine, by host and name.
#[derive(Debug, Default)]
pub(super) struct Doubles(HashMap<(String, String), Micros>);

impl Doubles {
    /// Whether it is to be written down of a machine now.
    fn is_due(&mut self, host: &str, name: &str, now: Micros) -> bool {
        self.0.retain(|_, last| *last + NOTED > now && *last <= now);
        let key = (host.to_owned(), name.to_owned());
        let due = self.0.len() < REMEMBERED && !self.0.contains_key(&key);
        if due {
            self.0.insert(key, now);
        }
        due
    }
}

/// What is said of a machine, as long as the other one goes on trying.
pub(super) fn words(doubled: Option<Micros>, now: Micros) -> Option<String> {
    let words = "another process with its machine-identity dials in, and is given no work: if its state directory was copied to \
                 another machine, that one needs an empty one, and a name and a token of its own";
    doubled.filter(|last| *last + SHOWN > now).map(|_| words.to_owned())
}

impl Core {
    /// Somebody else came with what only this machine knows.
    pub(super) fn doubled(&mut self, worker: WorkerId) {
        let now = self.now();
        let Some(known) = self.workers.get_mut(&worker) else { return };
        known.doubled = Some(now);
        let (host, name) = (known.host.clone(), known.called(worker));
        tracing::warn!(%worker, host, name, "another process with the identity of a machine dials in: was it copied?");
        if !self.doubles.is_due(&host, &name, now) {
            return;
        }
        let deed = Deed {
            time: now,
            actor: format!("machine {name}"),
            action: "machine_doubled".to_owned(),
            target: format!("{host} {name}"),
            detail: "another process with the same machine-identity dialled in while it was here".to_owned(),
        };
        let shared = Arc::clone(&self.shared);
        self.tasks.spawn(async move { shared.ledger.note(deed).await });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_written_down_of_each_machine_once_an_hour_and_shown_for_five_minutes() {
        let mut doubles = Doubles::default();
        let at = |seconds: i64| Micros(seconds * 1_000_000);
        assert!(doubles.is_due("far", "a", at(0)) && doubles.is_due("far", "b", at(1)));
        assert!(!doubles.is_due("far", "a", at(3599)));
        assert!(doubles.is_due("far", "a", at(3600)));
        assert!(words(Some(at(0)), at(299)).is_some());
        assert_eq!(words(Some(at(0)), at(300)), None);
        assert_eq!(words(None, at(0)), None);
    }
}
