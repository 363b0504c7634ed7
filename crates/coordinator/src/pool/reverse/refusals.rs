//! Which machines are not received, or not any more, and the words for it.

use super::table::Key;
use super::{ANSWER, GRACE, Reception, Registration, client, end, rules};
use crate::core::TurnedAway;
use crate::identity::Identity;
use crate::pool::PoolEvent;

impl Reception {
    /// Notes that a machine is too old, and returns the words for it; none if it is not, or finishes what it does.
    pub fn too_old(&self, registration: &Registration, version: i32) -> Option<String> {
        let least = registration.least.filter(|least| i64::from(version) < i64::from(*least))?;
        let key = registration.instance.as_deref().map(|instance| Key::new(registration, instance));
        if key.is_some_and(|key| self.0.table().knows(&key)) {
            return None;
        }
        Some(self.turn_away(registration, rules::too_old(&registration.host, version, least)))
    }

    /// Notes that the key of its host is not enough for a machine, which has a token of its own or needs one as `has_token` says,
    /// and returns the words for it; none if it finishes what it does, which it was given when the key was.
    pub fn key_refused(&self, registration: &Registration, has_token: bool) -> Option<String> {
        let key = registration.instance.as_deref().map(|instance| Key::new(registration, instance));
        if key.is_some_and(|key| self.0.table().has_by_key(&key)) {
            return None;
        }
        let Registration { host, name, .. } = registration;
        let words = if has_token { rules::has_token(host, name) } else { rules::needs_token(host, name) };
        Some(self.turn_away(registration, words))
    }

    /// Notes that a machine obeys another coordinator, and returns the words for it; none if it obeys this one, will from its
    /// registration on, or does not say.
    pub fn of_another_coordinator(&self, registration: &Registration) -> Option<String> {
        let kept = registration.obeys.as_deref()?;
        let key = &self.0.order_key;
        if kept == key.public() || key.proof(kept).is_some() {
            return None;
        }
        Some(self.turn_away(registration, rules::of_another_coordinator(registration, kept, &key.public())))
    }

    /// Whether a machine is here already as another process, which answers: then what only one machine knows was copied to
    /// another. Returns the words for it. Only one of the two has a place; the first, as long as it is there, and after a new start
    /// of the server as long as it may come back.
    pub async fn doubled(&self, registration: &Registration) -> Option<String> {
        let identity = registration.identity.as_ref()?;
        let Registration { host, name, instance, .. } = registration;
        if self.0.table().keeps_for_another(host, name, instance.as_deref()) {
            let words = format!(
                "the server was started anew, and keeps the place of machine {name:?} of host {host:?} for {} s for the process \
                 that was here before: this is another one. If it was started in the stead of that, it is let in then",
                GRACE.as_secs()
            );
            return Some(self.turn_away(registration, words));
        }
        let found = self.0.table().other(identity, registration.instance.as_deref());
        let (key, turn, worker, link) = found?;
        // After a loss of power nobody has said goodbye, and what is started anew is no copy.
        if !matches!(tokio::time::timeout(ANSWER, client(&link).status()).await, Ok(Ok(_))) {
            link.close();
            let away = self.0.table().leave(&key, turn);
            self.0.changed();
            if let Some(away) = away {
                self.0.expect(key, away);
            }
            return None;
        }
        let words = format!(
            "machine {name:?} of host {host:?} is here already, and answers: this is another process with the same \
             machine-identity, and is given no work while the other is here. If a second machine has a copy of its state \
             directory, give that one an empty state directory, and a name and a token of its own"
        );
        self.0.tell(PoolEvent::Doubled { name: worker }).await;
        Some(words)
    }

    fn turn_away(&self, registration: &Registration, reason: String) -> String {
        let Registration { host, name, .. } = registration;
        self.0.table().turn_away(host, name, &reason, self.0.clock.now());
        reason
    }

    /// Has a name no more by the key of its host: it has a token. A machine that came by the key goes once it has done what it
    /// does.
    pub async fn give_token(&self, host: &str, name: &str) {
        self.0.table().rules.give_token(host, name);
        self.0.judge().await;
    }

    /// The machines that were turned away of late.
    #[must_use]
    pub fn turned_away(&self) -> Vec<TurnedAway> {
        self.0.table().turned_away(self.0.clock.now())
    }

    /// Has a machine no more whose token was revoked, whatever it does: it is told to end, and what ran there goes elsewhere.
    pub async fn cut_off(&self, identity: &Identity, host: &str, name: &str) {
        let gone = self.0.table().revoke(identity, host, name);
        self.0.changed();
        for (worker, link) in gone {
            self.0.tell(PoolEvent::Gone { name: worker, reason: format!("{name} was revoked") }).await;
            if let Some(link) = link {
                self.0.tasks.spawn(async move {
                    end(&link).await;
                    link.close();
                });
            }
        }
    }
}
