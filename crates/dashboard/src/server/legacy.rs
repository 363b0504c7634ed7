//! The original dashboard's API, below `/dash/`: for its watcher, its builders and its tools, byte for byte.
//!
//! What they post lies in tables of its own (`store::legacy`). What is only read there, the overview and logs, also shows
//! what was built here. Nothing is posted without a key, and there is none until the configuration names its file.

mod admin;
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
mod perf;
mod results;
mod todo;
mod tries;

use axum::handler::Handler;
use transport::routes::{Methods, any, get};
use transport::{Role, Routes};

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
pub(super) fn routes<S: Clone + Send + Sync + 'static>(dashboard: &Dashboard) -> Routes<S> {
    let desk = |dash| Desk { dashboard: dashboard.clone(), dash };
    let tries = Routes::new().route("/try/log/{rev}/{file}", get(Role::Reader, tries::log));
    one(desk(Dash::Go)).merge(one(desk(Dash::Gccgo))).merge(tries.with_state(desk(Dash::Go)))
}

/// Answers reading for readers, and posts for all: where there is something to post, they bring a builder's key, which is
/// looked at in [`api!`].
fn keyed<H: Handler<T, Desk>, T: 'static>(handler: H) -> Methods<Desk> {
    // One byte more than is read, so that a body which is only a little too large gets the original's kind of answer.
    any(Role::Reader, handler.clone())
        .post(Role::Anonymous, handler)
        .body_limit(call::LARGEST_BODY as u64 + 1)
}

fn one<S: Clone + Send + Sync + 'static>(desk: Desk) -> Routes<S> {
    let prefix = desk.dash.prefix();
    let at = |path: &str| format!("{prefix}{path}");
    Routes::new()
        .route(&at("/commit"), keyed(api!(commits::commit)))
        .route(&at("/packages"), keyed(api!(commits::packages)))
        .route(&at("/tag"), keyed(api!(commits::tag)))
        .route(&at("/todo"), keyed(api!(todo::todo)))
        .route(&at("/result"), keyed(api!(results::result)))
        .route(&at("/building"), keyed(api!(results::building)))
        .route(&at("/clear-results"), keyed(api!(results::clear)))
        .route(&at("/perf-result"), keyed(api!(bench::perf_result)))
        .route(&at("/key"), any(Role::Admin, keys::key))
        .route(&at("/init"), any(Role::Admin, admin::init))
        .route(&at("/updatebenchmark"), keyed(admin::update_benchmark))
        .route(&at("/perf"), any(Role::Reader, perf::perf))
        .route(&at("/perfdetail"), any(Role::Reader, perf::detail))
        .route(&at("/perfgraph"), any(Role::Reader, perf::graph))
        .route(&at("/perflearn"), any(Role::Reader, perf::learn))
        .route(&at("/log/{*key}"), keyed(logs::log))
        .route(&at("/log/"), keyed(logs::none))
        .route(&at("/"), keyed(overview::overview))
        .route(&at(""), keyed(overview::overview))
        .with_state(desk)
}
