//! Which refusals of machines go into the audit log. Pure.
//!
//! A machine tries twice a minute, so that each gets a row an hour for each reason. Whose token it is that is shown is known of
//! some; the others are told apart by where they come from and what they say their name is, which costs a stranger nothing, so
//! that of those there are only so many.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use store::Micros;

/// How often the same goes into the audit log.
const NOTED: Duration = Duration::from_secs(3600);
/// So many refusals of machines that have a token are remembered.
const KNOWN: usize = 1000;
/// In an hour so many strangers have a row,
const STRANGERS: usize = 200;
/// and so many of one network.
const OF_A_NETWORK: usize = 20;

/// Whose refusal it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Whose {
    /// Of the machine that the token or the secret is bound to.
    Machine(String),
    /// Of somebody who has shown nothing that is known.
    Stranger {
        /// The network they come from.
        network: String,
        /// The name that they say they have.
        said: String,
    },
}

impl Whose {
    /// Somebody who has shown nothing that is known.
    pub fn stranger(from: &str, said: &str) -> Whose {
        Whose::Stranger { network: network(from), said: said.to_owned() }
    }
}

/// When what was last written down.
#[derive(Debug, Default)]
pub(super) struct Noted(HashMap<(Whose, &'static str), Micros>);

impl Noted {
    /// Whether a refusal is to be written down now.
    pub fn is_due(&mut self, whose: Whose, kind: &'static str, now: Micros) -> bool {
        self.0.retain(|_, last| *last + NOTED > now && *last <= now);
        let key = (whose, kind);
        let due = !self.0.contains_key(&key) && self.has_room(&key.0);
        if due {
            self.0.insert(key, now);
        }
        due
    }

    fn has_room(&self, whose: &Whose) -> bool {
        let all = self.0.keys().map(|(whose, _)| whose);
        match whose {
            Whose::Machine(_) => all.filter(|one| matches!(one, Whose::Machine(_))).count() < KNOWN,
            Whose::Stranger { network: own, .. } => {
                let networks = all.filter_map(|one| match one {
                    Whose::Stranger { network, .. } => Some(network),
                    Whose::Machine(_) => None,
                });
                let (strangers, near) =
                    networks.fold((0, 0), |(all, near), one| (all + 1, near + usize::from(one == own)));
                strangers < STRANGERS && near < OF_A_NETWORK
            }
        }
    }
}

/// The network that an address is of: whoever has one address of it has as many as they like.
fn network(from: &str) -> String {
    match from.parse() {
        Ok(IpAddr::V4(address)) => {
            let [a, b, c, _] = address.octets();
            format!("{a}.{b}.{c}.0/24")
        }
        Ok(IpAddr::V6(address)) => {
            let [a, b, c, d, ..] = address.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
        }
        Err(_) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Micros {
        Micros(seconds * 1_000_000)
    }

    #[test]
    fn each_has_a_row_an_hour() {
        let mut noted = Noted::default();
        let (ann, bob) = (Whose::stranger("192.0.2.1", "ann"), Whose::stranger("192.0.2.9", "bob"));
        let known = Whose::Machine("box".into());
        for (kind, time, due) in
            [("unknown", 0, true), ("used", 1, true), ("unknown", 3599, false), ("unknown", 3600, true)]
        {
            for whose in [&ann, &bob, &known] {
                assert_eq!(noted.is_due(whose.clone(), kind, at(time)), due, "{whose:?} {kind} {time}");
            }
        }
        assert!(!noted.is_due(Whose::stranger("192.0.2.200", "ann"), "unknown", at(3601)), "as near as that");
        assert!(noted.is_due(Whose::stranger("198.51.100.1", "ann"), "unknown", at(3601)));
    }

    #[test]
    fn strangers_under_ever_new_names_are_in_nobody_s_way() {
        let mut noted = Noted::default();
        let due = |noted: &mut Noted, from: &str| {
            (0..1000)
                .filter(|n| noted.is_due(Whose::stranger(from, &n.to_string()), "unknown", at(0)))
                .count()
        };
        assert_eq!(due(&mut noted, "192.0.2.1"), OF_A_NETWORK);
        assert!(noted.is_due(Whose::stranger("198.51.100.1", "new"), "unknown", at(0)), "of another network");
        let others: usize = (0..100).map(|n| due(&mut noted, &format!("2001:db8:0:{n:x}::1"))).sum();
        assert_eq!(others, STRANGERS - OF_A_NETWORK - 1);
        for n in 0..KNOWN {
            assert!(noted.is_due(Whose::Machine(n.to_string()), "revoked", at(0)), "{n}");
        }
        assert!(!noted.is_due(Whose::Machine("more".into()), "revoked", at(0)));
    }

    #[test]
    fn an_address_is_of_a_network() {
        assert_eq!(network("192.0.2.77"), "192.0.2.0/24");
        assert_eq!(network("2001:db8:1:2:3::4"), "2001:db8:1:2::/64");
        assert_eq!(network("nowhere"), "");
    }
}
