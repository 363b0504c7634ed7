//! The control connection's lines: one JSON object each.

use std::io;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::timeout;

/// The longest line, its end included: the buffer of the original's reader.
const LONGEST: usize = 4096;
/// A line must be taken within this time.
const WRITE: Duration = Duration::from_secs(10);
/// How much of an error's text is sent, so that its line is none too long whatever is escaped in it.
const ERROR: usize = 500;

/// Our own: the machine ends. The original's dialer passes over a command that it does not know.
pub(super) const LEAVING: &str = "bellwether-leaving";

/// A line. Members that are empty are left out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Message {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub command: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub conn_path: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub err: String,
}

impl Message {
    pub fn keep_alive() -> Message {
        Message { command: "keep-alive".into(), ..Message::default() }
    }

    pub fn conn_ready(path: &str) -> Message {
        Message { command: "conn-ready".into(), conn_path: path.to_owned(), err: String::new() }
    }

    pub fn leaving() -> Message {
        Message { command: LEAVING.into(), ..Message::default() }
    }

    pub fn pickup_failed(path: &str, error: &str) -> Message {
        let err = error.chars().take(ERROR).collect();
        Message { command: "pickup-failed".into(), conn_path: path.to_owned(), err }
    }
}

/// Why a control connection has ended.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// The other end closed it.
    #[error("the control connection was closed")]
    Closed,
    /// It broke.
    #[error("the control connection broke: {0}")]
    Io(#[from] io::Error),
    /// The other end does not take what is written.
    #[error("the other end of the control connection does not read")]
    Stalled,
    /// The machine ends, and says so.
    #[error("the machine ends")]
    Left,
    /// A line that is none.
    #[error("the other end broke the protocol: {0}")]
    Protocol(String),
}

/// Reads lines. May be dropped between any two polls: what was read stays.
#[derive(Debug)]
pub(crate) struct Lines<R> {
    reader: R,
    buffer: Vec<u8>,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    pub fn new(reader: R) -> Lines<R> {
        Lines { reader, buffer: Vec::new() }
    }

    pub async fn next(&mut self) -> Result<Message, ControlError> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                if end >= LONGEST {
                    return Err(too_long());
                }
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                // An array would be taken for an object's values.
                let object = serde_json::from_slice::<serde_json::Map<_, _>>(&line);
                return object
                    .and_then(|object| serde_json::from_value(object.into()))
                    .map_err(|error| ControlError::Protocol(format!("a line that is no message: {error}")));
            }
            if self.buffer.len() >= LONGEST {
                return Err(too_long());
            }
            if self.reader.read_buf(&mut self.buffer).await? == 0 {
                return Err(ControlError::Closed);
            }
        }
    }
}

fn too_long() -> ControlError {
    ControlError::Protocol(format!("a line of more than {LONGEST} bytes"))
}

pub(crate) async fn send<W: AsyncWrite + Unpin>(
    writer: &mut W,
    message: &Message,
) -> Result<(), ControlError> {
    let mut line = serde_json::to_vec(message).map_err(|error| ControlError::Protocol(error.to_string()))?;
    line.push(b'\n');
    if line.len() > LONGEST {
        return Err(too_long());
    }
    let written = timeout(WRITE, async {
        writer.write_all(&line).await?;
        writer.flush().await
    });
    Ok(written.await.map_err(|_| ControlError::Stalled)??)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(bytes: &[u8]) -> Result<Message, ControlError> {
        Lines::new(bytes).next().await
    }

    #[tokio::test]
    async fn lines_have_the_bytes_of_the_original() {
        let mut out = Vec::new();
        send(&mut out, &Message::keep_alive()).await.unwrap();
        send(&mut out, &Message::conn_ready("/revdial?revdial.dialer=00ff")).await.unwrap();
        send(&mut out, &Message::pickup_failed("/p", "no")).await.unwrap();
        let expected = "{\"command\":\"keep-alive\"}\n\
            {\"command\":\"conn-ready\",\"connPath\":\"/revdial?revdial.dialer=00ff\"}\n\
            {\"command\":\"pickup-failed\",\"connPath\":\"/p\",\"err\":\"no\"}\n";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
        // Go escapes `&`.
        let message =
            read(b"{\"command\":\"conn-ready\",\"connPath\":\"/r?a=b\\u0026revdial.dialer=1\"}\n").await;
        assert_eq!(message.unwrap(), Message::conn_ready("/r?a=b&revdial.dialer=1"));
        assert_eq!(read(b"{\"command\":\"new\",\"more\":[1]}\n").await.unwrap().command, "new");
    }

    #[tokio::test]
    async fn a_line_that_is_none_ends_it() {
        assert!(matches!(read(b"").await, Err(ControlError::Closed)));
        assert!(matches!(read(b"{\"command\":").await, Err(ControlError::Closed)));
        for bad in [&b"x\n"[..], b"[]\n", b"{\"command\":1}\n", b"\n", b"\xff\n", &[b' '; 5000]] {
            assert!(matches!(read(bad).await, Err(ControlError::Protocol(_))), "{bad:?}");
        }
        let most = [&b"{}"[..], &[b' '; 4093], b"\n"].concat();
        assert!(read(&most).await.is_ok());
        let more = [&b"{}"[..], &[b' '; 4094], b"\n"].concat();
        assert!(matches!(read(&more).await, Err(ControlError::Protocol(_))));
        let long = Message::pickup_failed("/p", &"\u{1}".repeat(10_000));
        send(&mut Vec::new(), &long).await.unwrap();
    }
}
