//! Waiting for something outside, never longer than told.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// Calls `check` until it gives something, at growing distances of 1 to 50 ms; an error after `limit` names `what`.
///
/// # Errors
/// When the time is over, or at once with the error of `check`.
pub fn wait_for<T>(what: &str, limit: Duration, mut check: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let deadline = Instant::now() + limit;
    let mut pause = Duration::from_millis(1);
    loop {
        if let Some(value) = check()? {
            return Ok(value);
        }
        if Instant::now() >= deadline {
            bail!("{what}: not after {:.1} s", limit.as_secs_f64());
        }
        std::thread::park_timeout(pause);
        pause = (pause * 2).min(Duration::from_millis(50));
    }
}

/// A TCP port of 127.0.0.1 that nobody listens on now.
///
/// # Errors
/// When no port can be bound at all.
pub fn free_port() -> Result<u16> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).context("binding a port of 127.0.0.1")?;
    Ok(listener.local_addr()?.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_ends_with_the_value_the_error_or_the_limit() {
        let mut calls = 0;
        let value = wait_for("three", Duration::from_secs(20), || {
            calls += 1;
            Ok((calls == 3).then_some(calls))
        });
        assert_eq!(value.unwrap(), 3);
        let late = wait_for("never", Duration::from_millis(10), || Ok(None::<()>)).unwrap_err();
        assert!(late.to_string().starts_with("never: not after"), "{late}");
        let broken = wait_for("x", Duration::from_secs(20), || -> Result<Option<()>> { bail!("broken") });
        assert_eq!(broken.unwrap_err().to_string(), "broken");
    }
}
