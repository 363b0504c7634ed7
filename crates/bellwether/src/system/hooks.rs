//! Ends the process at a named point, as `kill -9` would: for tests of what survives.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context as _, Result};
use coordinator::{Hooks, NoHooks, SharedHooks};

struct DieAt {
    point: String,
    left: AtomicU64,
}

impl Hooks for DieAt {
    fn reach(&self, point: &str, _: &str) -> futures::future::BoxFuture<'static, ()> {
        if point == self.point && self.left.fetch_sub(1, Ordering::SeqCst) == 1 {
            let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
        }
        Box::pin(std::future::ready(()))
    }
}

/// The hooks of `--die-at POINT:N`.
pub fn of(die_at: Option<&str>) -> Result<SharedHooks> {
    let Some(text) = die_at else { return Ok(Arc::new(NoHooks)) };
    let (point, times) = text.split_once(':').unwrap_or((text, "1"));
    let times: u64 = times.parse().ok().filter(|n| *n > 0).context("--die-at wants POINT:N with N from 1")?;
    Ok(Arc::new(DieAt { point: point.to_owned(), left: AtomicU64::new(times) }))
}
