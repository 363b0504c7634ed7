//! The request that opens a connection to be used backwards, and its answer. By hand, for two reasons: the original answers
//! `HTTP/0.0 101`, which HTTP libraries refuse, and not a byte after the head may be read with it.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// The answer of the original that a connection is used backwards from now on.
pub const SWITCHING: &[u8] = b"HTTP/0.0 101 Switching Protocols\r\n\r\n";

/// The largest head that is read.
const HEAD: usize = 16 << 10;
/// How much of a refusal's body is kept, and how much of a redirect's is passed over.
const BODY: usize = 4 << 10;
/// Requests on one connection: the first, and the one that a redirect leads to.
const REQUESTS: usize = 2;

/// Why a connection can't be used backwards.
#[derive(Debug, thiserror::Error)]
pub enum HeadError {
    /// The connection failed.
    #[error("the connection failed: {0}")]
    Io(#[from] io::Error),
    /// The answer is no head of HTTP.
    #[error("the answer is no head of HTTP: {0}")]
    Malformed(String),
    /// What is asked can't be said in a head.
    #[error("{0:?} can't stand in a head of HTTP")]
    Unsayable(String),
    /// It was refused.
    #[error("refused with {status}: {body}")]
    Refused {
        /// The status.
        status: u16,
        /// The beginning of what was said.
        body: String,
    },
}

/// Asks for `path` and waits until the connection is used backwards. Follows one redirect to a path of the same connection.
/// Nothing that follows the head is read.
///
/// # Errors
/// If the connection fails, or the answer is no 101. There is no limit of time: put one around it.
pub async fn open<C>(connection: &mut C, path: &str, headers: &[(&str, &str)]) -> Result<Answer, HeadError>
where
    C: AsyncRead + AsyncWrite + Unpin,
{
    let mut path = path.to_owned();
    for left in (0..REQUESTS).rev() {
        let request = request(&path, headers)?;
        connection.write_all(&request).await?;
        connection.flush().await?;
        let answer = Answer::read(connection).await?;
        match answer.status {
            101 => return Ok(answer),
            307 if left > 0 && answer.location().is_some() => {
                answer.skip_body(connection).await?;
                path = answer.location().unwrap_or_default().to_owned();
            }
            status => {
                let mut body = Vec::new();
                // What can be had of it in words; that it is cut is no second error.
                let _ = connection
                    .take(answer.length.unwrap_or(BODY).min(BODY) as u64)
                    .read_to_end(&mut body)
                    .await;
                let body = String::from_utf8_lossy(&body).trim().to_owned();
                return Err(HeadError::Refused { status, body });
            }
        }
    }
    Err(HeadError::Malformed("redirected again and again".into()))
}

/// Says that the connection is used backwards. It is sent alone: originals lose what comes in the same record of TLS.
///
/// # Errors
/// If the connection fails.
pub async fn accept<C: AsyncWrite + Unpin>(connection: &mut C) -> io::Result<()> {
    connection.write_all(SWITCHING).await?;
    connection.flush().await
}

/// Says the same to one of our own, and something beside it.
///
/// # Errors
/// If the connection fails, or what is to be said can't stand in a head.
pub async fn accept_with<C: AsyncWrite + Unpin>(
    connection: &mut C,
    headers: &[(&str, &str)],
) -> Result<(), HeadError> {
    let mut head = String::from_utf8_lossy(SWITCHING).trim_end().to_owned();
    head.push_str("\r\n");
    put(&mut head, headers)?;
    connection.write_all(head.as_bytes()).await?;
    connection.flush().await?;
    Ok(())
}

/// The bytes of a request, as Go writes one without a host.
fn request(path: &str, headers: &[(&str, &str)]) -> Result<Vec<u8>, HeadError> {
    if !path.starts_with('/') || !sayable(path, |byte| byte != b' ') {
        return Err(HeadError::Unsayable(path.to_owned()));
    }
    let mut request = format!("GET {path} HTTP/1.1\r\nHost: \r\nUser-Agent: Go-http-client/1.1\r\n");
    put(&mut request, headers)?;
    Ok(request.into_bytes())
}

/// Whether a text can stand in a head: printable, of the bytes that are allowed, and there.
fn sayable(text: &str, also: fn(u8) -> bool) -> bool {
    text.bytes().all(|byte| (b' '..=b'~').contains(&byte) && also(byte)) && !text.is_empty()
}

/// Puts headers, and the end of the head, after what is there.
fn put(head: &mut String, headers: &[(&str, &str)]) -> Result<(), HeadError> {
    for (name, value) in headers {
        if !sayable(name, |byte| byte.is_ascii_alphanumeric() || byte == b'-') || !sayable(value, |_| true) {
            return Err(HeadError::Unsayable(format!("{name}: {value}")));
        }
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    Ok(())
}

/// An answer's head.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    length: Option<usize>,
}

impl Answer {
    /// Reads a head byte by byte, so that none after it is taken. What is read from is a buffer already, of TLS.
    async fn read<C: AsyncRead + Unpin>(connection: &mut C) -> Result<Answer, HeadError> {
        let mut head = Vec::with_capacity(256);
        while !head.ends_with(b"\r\n\r\n") && !head.ends_with(b"\n\n") {
            if head.len() == HEAD {
                return Err(HeadError::Malformed(format!("it has more than {HEAD} bytes")));
            }
            head.push(connection.read_u8().await?);
        }
        Answer::parse(&head)
    }

    fn parse(head: &[u8]) -> Result<Answer, HeadError> {
        let malformed = |line: &str| HeadError::Malformed(line.chars().take(100).collect());
        let text = String::from_utf8_lossy(head);
        let mut lines = text.lines();
        let first = lines.next().unwrap_or_default();
        // Any version: the original's is 0.0.
        let status = first.strip_prefix("HTTP/").and_then(|rest| rest.split(' ').nth(1));
        let status = status.filter(|text| text.len() == 3).and_then(|text| text.parse().ok());
        let mut answer =
            Answer { status: status.ok_or_else(|| malformed(first))?, headers: Vec::new(), length: None };
        for line in lines.filter(|line| !line.is_empty()) {
            let (name, value) = line.split_once(':').ok_or_else(|| malformed(line))?;
            let value = value.trim();
            answer.headers.push((name.to_owned(), value.to_owned()));
            if name.eq_ignore_ascii_case("content-length") {
                answer.length = Some(value.parse().map_err(|_| malformed(line))?);
            }
        }
        Ok(answer)
    }

    /// The last header of a name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let of_name = |(known, _): &&(String, String)| known.eq_ignore_ascii_case(name);
        self.headers.iter().rfind(of_name).map(|(_, value)| value.as_str())
    }

    /// Where it leads on the same connection.
    fn location(&self) -> Option<&str> {
        self.header("location").filter(|path| path.starts_with('/') && !path.starts_with("//"))
    }

    async fn skip_body<C: AsyncRead + Unpin>(&self, connection: &mut C) -> Result<(), HeadError> {
        let length =
            self.length.ok_or_else(|| HeadError::Malformed("a redirect of no known length".into()))?;
        if length > BODY {
            return Err(HeadError::Malformed(format!("a redirect of {length} bytes")));
        }
        connection.read_exact(&mut vec![0; length]).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::duplex;

    /// What is sent, and what comes of it; what follows the head must still be there.
    async fn asked(
        answers: &[&[u8]],
        headers: &[(&str, &str)],
    ) -> (String, Result<Answer, HeadError>, Vec<u8>) {
        let (mut ours, mut theirs) = duplex(1 << 16);
        let answers: Vec<u8> = answers.concat();
        theirs.write_all(&answers).await.unwrap();
        let came = open(&mut ours, "/reverse", headers).await;
        theirs.shutdown().await.unwrap();
        let mut rest = Vec::new();
        ours.read_to_end(&mut rest).await.unwrap();
        drop(ours);
        let mut sent = String::new();
        theirs.read_to_string(&mut sent).await.unwrap();
        (sent, came, rest)
    }

    #[tokio::test]
    async fn it_is_asked_as_by_the_original_and_nothing_behind_the_head_is_taken() {
        let headers = [("X-Go-Builder-Hostname", "h1"), ("X-Go-Builder-Version", "11")];
        let (sent, came, rest) = asked(&[SWITCHING, b"N\0\0\0\x01\0\0"], &headers).await;
        came.unwrap();
        assert_eq!(rest, b"N\0\0\0\x01\0\0");
        assert_eq!(
            sent,
            "GET /reverse HTTP/1.1\r\nHost: \r\nUser-Agent: Go-http-client/1.1\r\n\
             X-Go-Builder-Hostname: h1\r\nX-Go-Builder-Version: 11\r\n\r\n"
        );
        let with_headers = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n";
        let answer = asked(&[with_headers], &[]).await.1.unwrap();
        assert_eq!((answer.header("upgrade"), answer.header("x")), (Some("x"), None));
    }

    #[tokio::test]
    async fn more_is_said_to_one_of_our_own() {
        let (mut ours, mut theirs) = duplex(1 << 16);
        accept_with(&mut theirs, &[("X-A", "b")]).await.unwrap();
        assert_eq!(open(&mut ours, "/reverse", &[]).await.unwrap().header("x-a"), Some("b"));
        let bad = accept_with(&mut theirs, &[("X-A", "b\r\n")]).await;
        assert!(matches!(bad, Err(HeadError::Unsayable(_))), "{bad:?}");
    }

    #[tokio::test]
    async fn one_redirect_on_the_same_connection_is_followed() {
        let redirect =
            b"HTTP/1.1 307 Temporary Redirect\r\nLocation: /other?a=b\r\nContent-Length: 3\r\n\r\nabc";
        let (sent, came, _) = asked(&[redirect, SWITCHING], &[]).await;
        came.unwrap();
        assert!(sent.contains("GET /other?a=b HTTP/1.1\r\n"), "{sent}");
        let (_, came, _) = asked(&[redirect, redirect, SWITCHING], &[]).await;
        assert!(matches!(came, Err(HeadError::Refused { status: 307, .. })), "{came:?}");
        let elsewhere = b"HTTP/1.1 307 x\r\nLocation: https://example.org/\r\nContent-Length: 0\r\n\r\n";
        assert!(matches!(asked(&[elsewhere], &[]).await.1, Err(HeadError::Refused { status: 307, .. })));
    }

    #[tokio::test]
    async fn a_refusal_is_told_in_the_other_ends_words() {
        let (_, came, _) =
            asked(&[b"HTTP/1.1 412 Precondition Failed\r\nContent-Length: 8\r\n\r\nbad key\n"], &[]).await;
        assert_eq!(came.unwrap_err().to_string(), "refused with 412: bad key");
        for bad in [
            &b"SSH-2.0-x\r\n\r\n"[..],
            b"HTTP/1.1 1x1 a\r\n\r\n",
            b"HTTP/1.1 101 a\r\nno colon\r\n\r\n",
            b"\r\n\r\n",
        ] {
            assert!(matches!(asked(&[bad], &[]).await.1, Err(HeadError::Malformed(_))), "{bad:?}");
        }
        let endless = vec![b'a'; HEAD + 10];
        assert!(matches!(asked(&[&endless], &[]).await.1, Err(HeadError::Malformed(_))));
        for (name, value) in [("X-A", "a\r\nX-B: c"), ("X A", "b"), ("X-A", "")] {
            assert!(matches!(request("/", &[(name, value)]), Err(HeadError::Unsayable(_))));
        }
        assert!(request("no-slash", &[]).is_err() && request("/a b", &[]).is_err());
    }
}
