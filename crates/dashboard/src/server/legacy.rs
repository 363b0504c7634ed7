//! The original dashboard's API, below `/dash/`: for its watcher, its builders and its tools, byte for byte.
//!
//! What they post lies in tables of its own (`store::legacy`). What is only read there, the overview and logs, also shows
//! what was built here. Nothing is posted without a key, and there is none until the configuration names its file.

mod answer;
mod bench;
mod call;
mod commits;
pub(super) mod digest;
mod gojson;
mod input;
mod keys;
mod logs;
mod notify;
mod overview;
mod own;
mod results;
mod todo;

use axum::Router;
use axum::routing::any;

use super::Dashboard;
use answer::api;
use call::Desk;
pub(super) use keys::KeyRing;
pub use keys::{BadKey, builder_key};

/// Which of the original's dashboards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dash {
    Go,
    Gccgo,
}

impl Dash {
    /// Its name in tables.
    fn name(self) -> &'static str {
        match self {
            Dash::Go => "go",
            Dash::Gccgo => "gccgo",
        }
    }

    /// Where it is.
    fn prefix(self) -> &'static str {
        match self {
            Dash::Go => "/dash",
            Dash::Gccgo => "/dash/gccgo",
        }
    }
}

/// Returns both dashboards, each below its prefix.
pub(super) fn routes(dashboard: &Dashboard) -> Router {
    let of = |dash| one(Desk { dashboard: dashboard.clone(), dash });
    of(Dash::Go).merge(of(Dash::Gccgo))
}

fn one(desk: Desk) -> Router {
    let prefix = desk.dash.prefix();
    let at = |path: &str| format!("{prefix}{path}");
    Router::new()
        .route(&at("/commit"), any(api!(commits::commit)))
        .route(&at("/packages"), any(api!(commits::packages)))
        .route(&at("/tag"), any(api!(commits::tag)))
        .route(&at("/todo"), any(api!(todo::todo)))
        .route(&at("/result"), any(api!(results::result)))
        .route(&at("/building"), any(api!(results::building)))
        .route(&at("/clear-results"), any(api!(results::clear)))
        .route(&at("/perf-result"), any(api!(bench::perf_result)))
        .route(&at("/key"), any(keys::key))
        .route(&at("/log/{*key}"), any(logs::log))
        .route(&at("/log/"), any(logs::none))
        .route(&at("/"), any(overview::overview))
        .route(&at(""), any(overview::overview))
        .with_state(desk)
}
