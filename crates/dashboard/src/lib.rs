//! Which builds passed or failed: commits and results, the log store, the grid, and the API over them.
//!
//! It builds nothing and decides nothing about when or where: the coordinator asks it for the empty cells
//! ([`api::EmptyCell`]), builds them elsewhere, and reports back ([`api::BuildReport`], logs, tests, artefacts).
//!
//! Entry points: [`Dashboard`] with [`router`] and [`serve`] (feature `server`), and for the services that
//! report here [`client::DashboardClient`], which needs no database.

pub mod api;
pub mod client;
pub mod extract;
#[cfg(feature = "server")]
mod grams;
#[cfg(feature = "server")]
mod server;

#[cfg(feature = "server")]
pub use server::{
    Amount, BadKey, Dashboard, DashboardParts, GcError, Gone, Item, LogLimits, Round, builder_key, router,
    routes, serve,
};
