//! The helper over a real database, asked by HTTP and by mail: what stores is run on SQLite and (feature `postgres`) on
//! PostgreSQL.

#![cfg(feature = "service")]
#![allow(clippy::unwrap_used, reason = "these are tests: a panic is how they fail")]

mod client;
mod http;
mod mail;
#[cfg(feature = "postgres")]
#[path = "../../../store/tests/it/pg.rs"]
mod pg;
mod recorded;
mod signer;
mod stored;
#[cfg(feature = "tls")]
mod tls;
mod world;

testkit::on_both! {
    in crate::world::World;
    stored:
        a_restart_keeps_events_and_deliveries,
        a_delivery_makes_one_event_however_often_it_comes,
        a_thousand_who_wait_all_get_the_event,
        what_cannot_be_stored_is_not_shown,
        what_is_old_is_forgotten;
}
