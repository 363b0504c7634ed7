//! Messages to the world outside: reviews, checks, mail, webhooks.
//!
//! Whoever decides that something is to be said puts a [`Message`] in the transaction of what it tells ([`Message::put`]): both
//! happen or neither. Its key is an idempotency key: put again, it is the same message. A sender that runs with the coordinator
//! takes what is due, hands it to the [`Channel`] of its [`Kind`], and notes what became of it, each under the coordinator's
//! epoch. Messages to one target go out in the order in which they were put.
//!
//! # Once in effect
//! Between the post and the note a coordinator may die, and an answer may be lost: then nobody knows whether the message arrived.
//! Each message has a marker, random and kept with it from the beginning, which is in what is posted. Every attempt but the first looks
//! for the marker before it posts. What remains by channel:
//! - Gerrit: the marker is the last line of the comment, and each review is posted with `omit_duplicate_comments`, so that Gerrit
//!   drops in the transaction of the second what a first brought that was on its way for long. Exactly once.
//! - GitHub: the marker is in a comment that pages don't show; a check run is known by its `external_id`. A post that GitHub carries out after
//!   its time limit and after our look comes twice.
//! - Mail and webhooks can't be asked: at least once, with the marker as the id of the mail, and as the delivery's key for a webhook,
//!   by which a receiver knows the second as the first.

pub mod gerrit;
pub mod github;
pub mod mail;
mod sender;
pub mod webhook;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use serde::Serialize;
use serde_json::Value;
use store::outbox::{self, NewMessage};
use store::{StoreError, Tx};

use crate::clock::Clock;
pub use sender::Limits;
pub(crate) use sender::{Sender, expire};

/// How a message goes out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A review of a change.
    Gerrit,
    /// A check run or a comment.
    Github,
    /// A mail.
    Mail,
    /// A POST to somebody's address.
    Webhook,
}

impl Kind {
    /// All of them.
    pub const ALL: [Kind; 4] = [Kind::Gerrit, Kind::Github, Kind::Mail, Kind::Webhook];

    /// As rows and metrics have it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Gerrit => "gerrit",
            Self::Github => "github",
            Self::Mail => "mail",
            Self::Webhook => "webhook",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A message. The channels' modules make them: [`gerrit::Review::message`] and the like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// What it is, such as a try run and a point of its life. Free for another message 90 days after it was sent.
    pub key: String,
    /// How it goes out.
    pub channel: Kind,
    /// Whom or what it goes to, within the channel: messages to one target keep their order.
    pub target: String,
    /// What the channel reads.
    pub body: Value,
}

impl Message {
    pub(crate) fn of(key: &str, channel: Kind, target: String, body: &impl Serialize) -> Self {
        // A body of strings, numbers and maps with string keys is JSON whatever is in it; null would be given up by its channel.
        let body = serde_json::to_value(body).unwrap_or_default();
        Self { key: key.to_owned(), channel, target, body }
    }

    /// Puts it, unless one with its key was put before; returns whether it is new. It is sent once the transaction is committed.
    ///
    /// The transaction must be one of the leading coordinator ([`crate::Ledger::begin`]).
    ///
    /// # Errors
    /// The database's, and for what is longer than [`store::outbox`] takes.
    pub async fn put(&self, tx: &mut Tx, clock: &dyn Clock) -> Result<bool, StoreError> {
        let mut random = [0; 8];
        clock.random(&mut random);
        let (body, marker) = (self.body.to_string(), hex::encode(random));
        let new = NewMessage {
            key: &self.key,
            marker: &marker,
            channel: self.channel.as_str(),
            target: &self.target,
            body: &body,
        };
        outbox::put(tx, &new, clock.now()).await
    }
}

/// A message on its way.
#[derive(Debug, Clone, Copy)]
pub struct Delivery<'a> {
    /// What it is.
    pub key: &'a str,
    /// What is to be found in what was posted: 16 hexadecimal digits that nobody could guess.
    pub marker: &'a str,
    /// Whom or what it goes to.
    pub target: &'a str,
    /// JSON, of the channel's form.
    pub body: &'a str,
    /// Whether there was an attempt before, which may have posted it: look first.
    pub again: bool,
}

impl Delivery<'_> {
    /// Reads the body.
    ///
    /// # Errors
    /// What the channel does not read: it is given up.
    pub fn read<T: serde::de::DeserializeOwned>(&self) -> Result<T, Failure> {
        serde_json::from_str(self.body)
            .map_err(|error| Failure::never(format!("its body can't be read: {error}")))
    }
}

/// What became of a message that arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivered {
    /// It was posted.
    Now,
    /// An attempt before had posted it.
    Before,
    /// It was posted but for something that can't be had: a vote on a closed change.
    Partly(String),
}

/// Why a message did not arrive, as far as is known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// Why, and what a person does about it. It has no secret in it.
    pub message: String,
    /// When to try again.
    pub again: Again,
}

/// When to try again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Again {
    /// By the sender's own measure.
    Later,
    /// Not before this has passed.
    After(Duration),
    /// Never: it would come to the same.
    Never,
}

impl Failure {
    pub(crate) fn never(message: impl Into<String>) -> Self {
        Self { message: message.into(), again: Again::Never }
    }

    pub(crate) fn later(message: impl Into<String>) -> Self {
        Self { message: message.into(), again: Again::Later }
    }
}

/// Posts messages of one kind.
pub trait Channel: Send + Sync + 'static {
    /// Posts a message, or finds that it is there. It may be dropped at any point of it.
    fn deliver<'a>(&'a self, delivery: Delivery<'a>) -> BoxFuture<'a, Result<Delivered, Failure>>;
}

/// The channels that there are. A message of a kind without one waits, and is given up in the end.
pub type Channels = BTreeMap<Kind, Arc<dyn Channel>>;

/// The beginning of a text, if it is longer than so many bytes.
pub(crate) fn fit(text: &str, most: usize) -> String {
    const MORE: &str = "…";
    if text.len() <= most {
        return text.to_owned();
    }
    let end = (0..=most.saturating_sub(MORE.len())).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
    format!("{}{MORE}", &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_between_characters() {
        assert_eq!(fit("äöü", 6), "äöü");
        assert_eq!(fit("äöüß", 6), "ä…");
        assert_eq!(fit("äöüß", 7), "äö…");
        assert_eq!(fit("äöüß", 1), "…");
    }
}
