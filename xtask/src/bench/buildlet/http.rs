//! A client of buildlets whose own work is small beside theirs: one connection, bodies as slices and as they come.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

/// No answer may be silent for longer.
const LIMIT: Duration = Duration::from_secs(120);
/// What is read at once.
const BUFFER: usize = 256 << 10;
/// A longer line is none of a head.
const LINE: u64 = 16 << 10;

/// One connection to a buildlet, with what proves that it may ask.
pub(super) struct Client {
    at: SocketAddr,
    authorization: String,
    stream: BufReader<TcpStream>,
}

impl Client {
    /// `authorization` is the value of that header.
    pub(super) fn open(at: SocketAddr, authorization: &str) -> Result<Self> {
        Ok(Self { at, authorization: authorization.to_owned(), stream: connect(at)? })
    }

    /// Sends a request and hands the parts of the answer's body on; returns the trailer `Process-State`, if there is one.
    pub(super) fn ask(
        &mut self,
        line: &str,
        kind: &str,
        body: &[u8],
        mut take: impl FnMut(&[u8]) -> Result<()>,
    ) -> Result<Option<String>> {
        self.send(line, kind, body).or_else(|_closed| {
            // It may close what was quiet for a while.
            self.stream = connect(self.at)?;
            self.send(line, kind, body)
        })?;
        let head = self.head().with_context(|| line.to_owned())?;
        let mut refused = Vec::new();
        let mut trailer = None;
        {
            let mut part = |bytes: &[u8]| {
                if head.status == 200 {
                    return take(bytes);
                }
                refused.extend_from_slice(bytes);
                Ok(())
            };
            match head.length {
                Length::Chunks => trailer = self.chunks(&mut part)?,
                Length::Bytes(length) => self.bytes(length, &mut part)?,
            }
        }
        if head.status != 200 {
            bail!("{line}: {} {}", head.status, String::from_utf8_lossy(&refused));
        }
        Ok(trailer)
    }

    fn send(&mut self, line: &str, kind: &str, body: &[u8]) -> Result<()> {
        let head = format!(
            "{line} HTTP/1.1\r\nHost: {}\r\nTE: trailers\r\nAuthorization: {}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n",
            self.at,
            self.authorization,
            body.len()
        );
        let stream = self.stream.get_mut();
        if body.len() < BUFFER {
            return Ok(stream.write_all(&[head.as_bytes(), body].concat())?);
        }
        stream.write_all(head.as_bytes())?;
        Ok(stream.write_all(body)?)
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        (&mut self.stream).take(LINE).read_line(&mut line)?;
        ensure!(line.ends_with('\n'), "the connection ended, or a line does not: {line:?}");
        Ok(line.trim_end().to_owned())
    }

    fn head(&mut self) -> Result<Head> {
        let first = self.line()?;
        let status = first.split(' ').nth(1).context("no status")?.parse().context(first.clone())?;
        let mut length = Length::Bytes(0);
        loop {
            let line = self.line()?;
            if line.is_empty() {
                return Ok(Head { status, length });
            }
            let (name, value) = line.split_once(':').context("a header without a colon")?;
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = Length::Bytes(value.trim().parse()?),
                "transfer-encoding" => length = Length::Chunks,
                _ => {}
            }
        }
    }

    fn bytes(&mut self, mut left: u64, take: &mut impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
        while left > 0 {
            let there = self.stream.fill_buf()?;
            ensure!(!there.is_empty(), "the connection ended within an answer");
            let part = there.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            take(&there[..part])?;
            self.stream.consume(part);
            left -= part as u64;
        }
        Ok(())
    }

    fn chunks(&mut self, take: &mut impl FnMut(&[u8]) -> Result<()>) -> Result<Option<String>> {
        loop {
            let line = self.line()?;
            let size = u64::from_str_radix(line.split(';').next().unwrap_or_default().trim(), 16)?;
            if size == 0 {
                break;
            }
            self.bytes(size, take)?;
            ensure!(self.line()?.is_empty(), "a chunk has no end");
        }
        let mut state = None;
        loop {
            let line = self.line()?;
            match line.split_once(':') {
                Some((name, value)) if name.eq_ignore_ascii_case("process-state") => {
                    state = Some(value.trim().to_owned());
                }
                Some(_) => {}
                None => return Ok(state),
            }
        }
    }
}

struct Head {
    status: u16,
    length: Length,
}

enum Length {
    Bytes(u64),
    Chunks,
}

fn connect(at: SocketAddr) -> Result<BufReader<TcpStream>> {
    let stream = TcpStream::connect_timeout(&at, Duration::from_secs(5)).with_context(|| format!("{at}"))?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.set_write_timeout(Some(LIMIT))?;
    stream.set_nodelay(true)?;
    Ok(BufReader::with_capacity(BUFFER, stream))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn chunks_and_their_trailer_are_read() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        let answers = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            for answer in [
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\nProcess-State: ok\r\n\r\n",
                "HTTP/1.1 400 Bad Request\r\nContent-Length: 3\r\n\r\nwhy",
            ] {
                let mut seen = Vec::new();
                let mut byte = [0];
                while !seen.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap() == 1 {
                    seen.push(byte[0]);
                }
                stream.write_all(answer.as_bytes()).unwrap();
            }
        });
        let mut client = Client::open(at, "Basic x").unwrap();
        let mut body = Vec::new();
        let take = |bytes: &[u8]| {
            body.extend_from_slice(bytes);
            Ok(())
        };
        assert_eq!(client.ask("GET /a", "", b"", take).unwrap().as_deref(), Some("ok"));
        assert_eq!(body, b"abcde");
        let refused = client.ask("GET /b", "", b"", |_| Ok(())).unwrap_err();
        assert!(refused.to_string().contains("400 why"), "{refused}");
        answers.join().unwrap();
    }
}
