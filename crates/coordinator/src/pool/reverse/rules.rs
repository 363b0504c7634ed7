//! What a host asks of its machines. It may change while they are here. Pure.

use std::collections::{BTreeMap, BTreeSet};

use buildenv::Config;

use super::Registration;
use super::table::Came;

/// What a host asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Rule {
    /// The oldest version that it takes.
    least: Option<u32>,
    /// Whether its key is enough.
    keys: bool,
}

/// What all hosts ask.
#[derive(Debug, Default)]
pub(super) struct Rules {
    hosts: BTreeMap<String, Rule>,
    /// Names that got a token while this server runs, by host: as many as somebody has made. Others are found in the database
    /// when a machine comes.
    with_token: BTreeSet<(String, String)>,
}

impl Rules {
    /// Takes what the hosts ask now.
    pub fn set(&mut self, config: &Config) {
        let hosts = config.hosts().iter().filter(|host| host.pool == buildenv::Pool::Reverse);
        self.hosts = hosts
            .map(|host| (host.name.to_string(), Rule { least: host.min_version, keys: host.keys }))
            .collect();
    }

    /// Notes that a name of a host is not to be had by the host's key any more.
    pub fn give_token(&mut self, host: &str, name: &str) {
        self.with_token.insert((host.to_owned(), name.to_owned()));
    }

    /// Whether a name of a host got its first token while this server runs: one with a token that was revoked has no place left.
    pub fn got_token(&self, host: &str, name: &str) -> bool {
        self.with_token.contains(&(host.to_owned(), name.to_owned()))
    }

    /// Why a machine that came so is not to be there, if it is not.
    pub fn against(&self, host: &str, name: &str, came: &Came) -> Option<String> {
        // One of before a new start that has not come back yet.
        if came.version == 0 {
            return None;
        }
        let rule = self.hosts.get(host);
        if let Some(least) = rule.and_then(|rule| rule.least)
            && i64::from(came.version) < i64::from(least)
        {
            return Some(too_old(host, came.version, least));
        }
        if came.identity.is_some() {
            return None;
        }
        if self.got_token(host, name) {
            return Some(has_token(host, name));
        }
        rule.is_some_and(|rule| !rule.keys).then(|| needs_token(host, name))
    }
}

/// What is said of a machine that obeys another key of orders than this server's.
pub(super) fn of_another_coordinator(registration: &Registration, kept: &str, ours: &str) -> String {
    let Registration { host, name, .. } = registration;
    let short = |key: &str| key.chars().take(8).collect::<String>();
    format!(
        "machine {name:?} of host {host:?} obeys the orders of key {}, and this server signs with {}. If this is the server that \
         it worked for, give that one its order-key back, from the backups; if it is another on purpose, remove order-key in the \
         machine's state directory",
        short(kept),
        short(ours)
    )
}

/// What a machine is told that is too old.
pub(super) fn too_old(host: &str, version: i32, least: u32) -> String {
    format!(
        "it says that it is version {version}, and host {host:?} takes {least} and newer (min_version): put a newer \
         buildlet on it"
    )
}

/// What a machine is told that comes by a key under a name that has a token.
pub(super) fn has_token(host: &str, name: &str) -> String {
    format!(
        "machine {name:?} of host {host:?} has a token of its own, and is not received by the key of its host: it is to show \
         the token (--token-file)"
    )
}

/// What a machine is told that comes by a key where that is not enough.
pub(super) fn needs_token(host: &str, name: &str) -> String {
    format!(
        "host {host:?} has `keys = false`: each of its machines needs a token of its own, by `bellwether token create machine \
         {name} --host {host}`"
    )
}
