//! Room between the SSH library and a connection.
//!
//! The library waits for its own writes in the loop that also reads. Where both ends are of it and both have much to say, each
//! would wait for the other to read. So there is room here for all that the windows of its channels let it write, which it
//! therefore never waits for. It also drives a connection in a task that is ended by nothing else than the connection's end:
//! that comes when the pump is dropped.

use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, copy_bidirectional, duplex};
use tokio_util::task::AbortOnDropHandle;

use super::guest::CHANNELS;
use super::pending::WINDOW;

/// All that may be under way each way, and some for what is no data. Nothing is taken up before it is needed.
const ROOM: usize = (CHANNELS + 1) * WINDOW as usize;

/// What carries between a connection and the library; dropped, both ends see the end.
pub(super) type Pump = AbortOnDropHandle<()>;

/// Puts the room before a connection.
pub(super) fn pumped<S>(mut stream: S) -> (DuplexStream, Pump)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (near, mut far) = duplex(ROOM);
    let pump = tokio::spawn(async move {
        if let Err(error) = copy_bidirectional(&mut far, &mut stream).await {
            tracing::debug!(%error, "a connection of SSH broke");
        }
    });
    (near, AbortOnDropHandle::new(pump))
}
