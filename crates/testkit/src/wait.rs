//! Waiting for something outside, never longer than told.

use std::hash::{BuildHasher as _, RandomState};
use std::net::TcpListener;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, bail};

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

/// Where [`free_port`] looks: below what systems give to those who ask for any port, Linux from 32,768 on. What a test
/// has let go of for a moment, while its server is started again, is taken by nobody.
const PORTS: std::ops::Range<u16> = 16_384..32_768;
/// How many are tried.
const TRIES: usize = 1000;

/// A TCP port of 127.0.0.1 that nobody listens on now.
///
/// # Errors
/// When no port can be bound at all.
pub fn free_port() -> Result<u16> {
    let mut last = None;
    for _ in 0..TRIES {
        // Keys of a `RandomState` differ from one to the next, and from process to process.
        let chance = RandomState::new().hash_one(());
        let port = PORTS.start + (chance % PORTS.len() as u64) as u16;
        match TcpListener::bind(("127.0.0.1", port)) {
            Ok(_free) => return Ok(port),
            Err(error) => last = Some(error),
        }
    }
    Err(anyhow!("no port of 127.0.0.1 from {} to {} can be bound: {last:?}", PORTS.start, PORTS.end - 1))
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
