//! The smallest HTTP client that can drive a server on this machine. For tests and benchmarks, not for the product.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, bail};

/// A whole answer must arrive in this time.
const LIMIT: Duration = Duration::from_secs(60);

/// An HTTP answer, whole.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Status code.
    pub status: u16,
    /// Body, chunks put together.
    pub body: Vec<u8>,
}

impl Answer {
    /// The body as JSON.
    ///
    /// # Errors
    /// When the status is not 2xx, or the body is not JSON; carries the start of the body.
    pub fn json(&self) -> Result<serde_json::Value> {
        let text = String::from_utf8_lossy(&self.body);
        if !(200..300).contains(&self.status) {
            bail!("status {}: {}", self.status, text.chars().take(300).collect::<String>());
        }
        serde_json::from_slice(&self.body)
            .with_context(|| format!("not JSON: {}", text.chars().take(100).collect::<String>()))
    }
}

/// Sends one request on a connection of its own and reads the whole answer.
///
/// # Errors
/// When nobody listens, the peer is silent for 60 s, or what it says is not HTTP/1.1.
pub fn request(
    at: SocketAddr,
    method: &str,
    path: &str,
    token: Option<&str>,
    body: Option<&serde_json::Value>,
) -> Result<Answer> {
    let authorization = token.map(|token| format!("Bearer {token}"));
    exchange(at, method, path, authorization.as_deref(), body)
}

/// As [`request`], with the whole value of `Authorization`.
pub(crate) fn exchange(
    at: SocketAddr,
    method: &str,
    path: &str,
    authorization: Option<&str>,
    body: Option<&serde_json::Value>,
) -> Result<Answer> {
    let mut stream =
        TcpStream::connect_timeout(&at, Duration::from_secs(5)).with_context(|| format!("{at}"))?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.set_nodelay(true)?;
    let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {at}\r\nConnection: close\r\n");
    if let Some(value) = authorization {
        head.push_str(&format!("Authorization: {value}\r\n"));
    }
    let body = body.map(serde_json::Value::to_string).unwrap_or_default();
    if !body.is_empty() {
        head.push_str("Content-Type: application/json\r\n");
    }
    head.push_str(&format!("Content-Length: {}\r\n\r\n{body}", body.len()));
    stream.write_all(head.as_bytes())?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).with_context(|| format!("{method} {path}"))?;
    parse(&bytes).with_context(|| format!("{method} {path}"))
}

/// A connection that stays open from request to request.
#[derive(Debug)]
pub(crate) struct Connection {
    at: SocketAddr,
    stream: TcpStream,
    /// What was read beyond the answer before.
    read: Vec<u8>,
}

impl Connection {
    pub(crate) fn open(at: SocketAddr) -> Result<Self> {
        let stream =
            TcpStream::connect_timeout(&at, Duration::from_secs(5)).with_context(|| format!("{at}"))?;
        stream.set_read_timeout(Some(LIMIT))?;
        stream.set_nodelay(true)?;
        Ok(Self { at, stream, read: Vec::new() })
    }

    /// Sends a request as a stranger and reads the whole answer.
    pub(crate) fn get(&mut self, path: &str) -> Result<Answer> {
        let head = format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", self.at);
        self.stream.write_all(head.as_bytes())?;
        let mut buffer = vec![0; 64 * 1024];
        loop {
            if let Some(length) = whole(&self.read)? {
                let rest = self.read.split_off(length);
                return parse(&std::mem::replace(&mut self.read, rest));
            }
            let count = self.stream.read(&mut buffer).with_context(|| format!("GET {path}"))?;
            if count == 0 {
                bail!("GET {path}: the connection ended");
            }
            self.read.extend_from_slice(&buffer[..count]);
        }
    }
}

/// The length of the first answer in these bytes, once it is whole.
fn whole(bytes: &[u8]) -> Result<Option<usize>> {
    let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else { return Ok(None) };
    let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
    let value = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let body = end + 4;
    if value("transfer-encoding").is_some_and(|value| value.contains("chunked")) {
        // Looked for at the very end only: nothing was asked for that could follow.
        let ended = bytes[body..].ends_with(b"0\r\n\r\n") && unchunk(&bytes[body..]).is_ok();
        return Ok(ended.then_some(bytes.len()));
    }
    let length: usize = value("content-length").context("neither a length nor chunks")?.trim().parse()?;
    Ok((bytes.len() >= body + length).then_some(body + length))
}

fn parse(bytes: &[u8]) -> Result<Answer> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").context("no end of the headers")?;
    let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
    let status = head.split(' ').nth(1).context("no status")?.parse().context("status")?;
    let body = &bytes[end + 4..];
    let chunked = head.lines().any(|line| line.starts_with("transfer-encoding:") && line.contains("chunked"));
    let body = if chunked { unchunk(body)? } else { body.to_vec() };
    Ok(Answer { status, body })
}

fn unchunk(mut rest: &[u8]) -> Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let line = rest.windows(2).position(|window| window == b"\r\n").context("a chunk without a size")?;
        let text = std::str::from_utf8(&rest[..line])?;
        let size = usize::from_str_radix(text.split(';').next().unwrap_or_default().trim(), 16)?;
        rest = &rest[line + 2..];
        if size == 0 {
            return Ok(body);
        }
        body.extend_from_slice(rest.get(..size).context("a chunk is cut off")?);
        rest = rest.get(size + 2..).context("a chunk is cut off")?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_and_chunked_bodies_are_read() {
        let plain = parse(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}").unwrap();
        assert_eq!((plain.status, plain.body.as_slice()), (200, b"{}".as_slice()));
        let chunked =
            parse(b"HTTP/1.1 404 X\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x\r\nde\r\n0\r\n\r\n")
                .unwrap();
        assert_eq!((chunked.status, chunked.body.as_slice()), (404, b"abcde".as_slice()));
        assert!(chunked.json().unwrap_err().to_string().contains("404: abcde"));
    }

    #[test]
    fn an_answer_is_whole_with_its_last_byte() {
        for text in [
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
            "HTTP/1.1 204 X\r\ncontent-length: 0\r\n\r\n",
        ] {
            let bytes = text.as_bytes();
            for cut in 0..bytes.len() {
                assert_eq!(whole(&bytes[..cut]).unwrap(), None, "{text} {cut}");
            }
            assert_eq!(whole(bytes).unwrap(), Some(bytes.len()), "{text}");
        }
        assert!(whole(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
    }

    #[test]
    fn a_cut_answer_is_an_error() {
        for cut in ["", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab"]
        {
            assert!(parse(cut.as_bytes()).is_err(), "{cut:?}");
        }
    }
}
