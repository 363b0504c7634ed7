//! What the agent says of itself, on standard error.

use std::io::{self, IsTerminal as _};

use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// Who wants to hear more or less says so here: jobs may have a `RUST_LOG` of their own.
const WANTED: &str = "BELLWETHER_LOG";

/// Has it said from now on, by `BELLWETHER_LOG` or what is usual; both as `LEVEL,TARGET=LEVEL`.
///
/// Filters by spans and their fields would bring a whole engine of regular expressions with them.
pub(crate) fn begin(usual: &str) {
    let wanted = std::env::var(WANTED).ok().filter(|text| !text.trim().is_empty());
    let read = wanted.as_deref().map(str::parse::<Targets>);
    let (targets, unread) = match read {
        Some(Ok(targets)) => (targets, None),
        Some(Err(error)) => (usual.parse().unwrap_or_default(), Some(error)),
        None => (usual.parse().unwrap_or_default(), None),
    };
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        // A line that can't be written (the disk that stderr leads to is full) is lost; told of on stderr, it would be a panic.
        .log_internal_errors(false);
    // A host may have set its own already.
    let _set = tracing_subscriber::registry().with(lines).with(targets).try_init();
    if let Some(error) = unread {
        tracing::warn!(%error, "{WANTED} can't be read (as `info` or `warn,buildlet::exec=debug`); `{usual}` it is");
    }
}
