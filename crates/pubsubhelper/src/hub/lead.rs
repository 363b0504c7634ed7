//! Who the one hub of a database is.

use std::time::Duration;

use store::leader::{self, Epoch, PUBSUBHELPER};
use store::{Db, Micros, StoreError};

use crate::Config;

/// How long the place is a hub's without being renewed.
pub(super) const LEAD: Duration = Duration::from_secs(15);
/// How often it is renewed.
pub(super) const RENEW: Duration = Duration::from_secs(5);

/// How a hub comes by the place of the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TakeOver {
    /// Only once that one has not renewed its lead in time: it may be alive on another machine.
    #[default]
    WhenOver,
    /// At once: the caller holds the data directory, so that one is dead.
    AtOnce,
}

/// Why there is no hub.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another one has the place.
    #[error("{holder} stores events in this database; its lead ends unless renewed by {until_us} µs")]
    Held {
        /// Who, in words.
        holder: String,
        /// Until when, in microseconds since 1970.
        until_us: i64,
    },
    /// The database's.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Takes the place.
pub(super) async fn take(db: &Db, config: &Config) -> Result<Epoch, OpenError> {
    let now = Micros::now();
    let mut tx = db.begin().await?;
    let before = leader::current(&mut tx, PUBSUBHELPER).await?;
    // A clock that jumped back must not keep everybody out for longer than a lead can last.
    let holds = |one: &&leader::Leader| one.until > now && one.until < now + LEAD * 2;
    if config.take_over == TakeOver::WhenOver
        && let Some(one) = before.as_ref().filter(holds)
    {
        return Err(OpenError::Held { holder: one.holder.clone(), until_us: one.until.0 });
    }
    let before = before.map(|one| one.epoch);
    let epoch = leader::take(&mut tx, PUBSUBHELPER, before, &config.holder, now + LEAD).await?;
    tx.commit().await?;
    Ok(epoch)
}

/// Keeps the place until some time after `now`; with nothing after it, gives it back.
pub(super) async fn renew(db: &Db, epoch: Epoch, lead: Duration) -> Result<(), StoreError> {
    let mut tx = db.begin().await?;
    leader::renew(&mut tx, PUBSUBHELPER, epoch, Micros::now() + lead).await?;
    tx.commit().await
}
