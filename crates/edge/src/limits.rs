//! What a connection may cost.

use std::time::Duration;

/// Limits of connections.
#[derive(Debug, Clone)]
pub struct Limits {
    /// So many connections are open at once. One more takes the place of that which waited longest for its next request,
    /// or else of that which was told events for longest; where all are being answered, it gets 503.
    pub connections: usize,
    /// From a connection's beginning to the end of its first request's head, with all of TLS.
    pub head: Duration,
    /// The largest head of a request in bytes; a larger one is answered with 431.
    pub head_bytes: usize,
    /// From the end of an answer to the end of the next request's head.
    pub idle: Duration,
    /// A body may keep its reader waiting so long in all, and longer only by what it has brought: see
    /// [`Limits::body_rate`].
    pub body_wait: Duration,
    /// For each so many bytes that a body has brought, it may keep its reader waiting for a second more.
    pub body_rate: u64,
    /// So long nothing of an answer may get into the connection because the other end does not read.
    pub stalled: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            connections: 10_000,
            head: Duration::from_secs(15),
            head_bytes: 64 << 10,
            idle: Duration::from_secs(75),
            body_wait: Duration::from_secs(20),
            body_rate: 1024,
            stalled: Duration::from_secs(60),
        }
    }
}
