//! Connections that are taken out of HTTP by their first request: what follows its head is another protocol.
//!
//! The head is read here and not by the HTTP library, since whoever takes the connection answers in bytes of their own, and
//! since old programs ask without the headers by which the library would let go of a connection.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf as _, Bytes, BytesMut};
use futures::future::BoxFuture;
use http::{HeaderMap, HeaderName, HeaderValue};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};

/// More headers than the head of such a request has.
const HEADERS: usize = 64;

/// What HTTP/2 begins with (RFC 9113, 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A byte stream both ways.
pub trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// A connection with its first request, not answered yet.
pub struct Taken {
    /// The path and the query that it asked for with `GET`.
    pub path: String,
    /// The headers.
    pub headers: HeaderMap,
    /// Who asks.
    pub peer: SocketAddr,
    /// Whether it came by TLS.
    pub tls: bool,
    /// What follows the head, and what is answered.
    pub stream: Box<dyn Duplex>,
}

impl std::fmt::Debug for Taken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Taken").field("path", &self.path).field("peer", &self.peer).finish_non_exhaustive()
    }
}

/// Takes connections whose first request is a `GET` of one of its paths.
pub trait Takeover: Send + Sync + 'static {
    /// The paths, without a query.
    fn paths(&self) -> &[&str];
    /// Has the connection until the future ends, which is dropped when the server ends. The connection counts as one that is
    /// answered as long, and gives way to none.
    fn take(&self, taken: Taken) -> BoxFuture<'static, ()>;
}

/// What a connection begins with.
pub(crate) enum Opening<S> {
    /// The head of a request for one of the paths.
    Taken(Box<Head>, Rewound<S>),
    /// HTTP/2 without TLS, as whoever speaks nothing else begins: programs that call by gRPC on this machine.
    Http2(Rewound<S>),
    /// Something else, of which no byte is lost.
    Http(Rewound<S>),
}

/// The head of a request.
pub(crate) struct Head {
    pub path: String,
    pub headers: HeaderMap,
}

/// Reads until it is clear what a connection begins with. Limits no time.
pub(crate) async fn opening<S: AsyncRead + Unpin>(
    mut stream: S,
    paths: &[&str],
    most: usize,
) -> io::Result<Opening<S>> {
    let mut read = BytesMut::with_capacity(1024);
    loop {
        match looked_at(&read, paths) {
            Looks::Http2 => return Ok(Opening::Http2(Rewound { read: read.freeze(), inner: stream })),
            Looks::Other => return Ok(Opening::Http(Rewound { read: read.freeze(), inner: stream })),
            Looks::Whole(head, length) => {
                read.advance(length);
                return Ok(Opening::Taken(head, Rewound { read: read.freeze(), inner: stream }));
            }
            // The HTTP library says what is wrong with it.
            Looks::Unfinished if read.len() >= most => {
                return Ok(Opening::Http(Rewound { read: read.freeze(), inner: stream }));
            }
            Looks::Unfinished => {
                if stream.read_buf(&mut read).await? == 0 {
                    return Ok(Opening::Http(Rewound { read: read.freeze(), inner: stream }));
                }
            }
        }
    }
}

enum Looks {
    Http2,
    Other,
    Unfinished,
    Whole(Box<Head>, usize),
}

fn looked_at(read: &[u8], paths: &[&str]) -> Looks {
    if read.starts_with(PREFACE) {
        return Looks::Http2;
    }
    if PREFACE.starts_with(read) {
        return Looks::Unfinished;
    }
    let wanted = paths.iter().any(|path| {
        let line = ["GET ", path].concat();
        match read.strip_prefix(line.as_bytes()) {
            Some(rest) => rest.first().is_none_or(|next| matches!(next, b' ' | b'?')),
            None => line.as_bytes().starts_with(read),
        }
    });
    if !wanted {
        return Looks::Other;
    }
    let mut headers = [httparse::EMPTY_HEADER; HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    match request.parse(read) {
        Ok(httparse::Status::Partial) => Looks::Unfinished,
        Ok(httparse::Status::Complete(length)) => match head(&request) {
            Some(head) => Looks::Whole(Box::new(head), length),
            None => Looks::Other,
        },
        Err(_) => Looks::Other,
    }
}

/// The head, if no body follows it.
fn head(request: &httparse::Request<'_, '_>) -> Option<Head> {
    let mut headers = HeaderMap::new();
    for header in request.headers.iter() {
        let name = HeaderName::try_from(header.name).ok()?;
        if name == http::header::CONTENT_LENGTH || name == http::header::TRANSFER_ENCODING {
            return None;
        }
        headers.append(name, HeaderValue::from_bytes(header.value).ok()?);
    }
    (request.version == Some(1)).then_some(Head { path: request.path?.to_owned(), headers })
}

/// A stream of which the first bytes were read already.
pub(crate) struct Rewound<S> {
    read: Bytes,
    inner: S,
}

impl<S> Rewound<S> {
    #[cfg(test)]
    pub fn new(read: &'static [u8], inner: S) -> Rewound<S> {
        Rewound { read: Bytes::from_static(read), inner }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Rewound<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        to: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.read.is_empty() {
            return Pin::new(&mut self.inner).poll_read(cx, to);
        }
        let count = self.read.len().min(to.remaining());
        to.put_slice(&self.read.split_to(count));
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Rewound<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncWriteExt as _;

    struct Two;

    impl Takeover for Two {
        fn paths(&self) -> &[&str] {
            &["/reverse", "/revdial"]
        }

        fn take(&self, _: Taken) -> BoxFuture<'static, ()> {
            Box::pin(async {})
        }
    }

    /// What is made of bytes that come one at a time, and what is read of the stream afterwards.
    async fn opened(bytes: &[u8]) -> (Option<Head>, Vec<u8>) {
        let (ours, mut theirs) = tokio::io::duplex(1);
        let sent = async move {
            // The other end may have seen enough.
            let _ = theirs.write_all(bytes).await;
        };
        let read = async {
            let (head, mut stream) = match opening(ours, Two.paths(), 1000).await.unwrap() {
                Opening::Taken(head, stream) => (Some(*head), stream),
                Opening::Http(stream) | Opening::Http2(stream) => (None, stream),
            };
            let mut rest = Vec::new();
            stream.read_to_end(&mut rest).await.unwrap();
            (head, rest)
        };
        tokio::join!(sent, read).1
    }

    #[tokio::test]
    async fn the_paths_are_taken_and_nothing_else() {
        let (head, rest) = opened(b"GET /reverse HTTP/1.1\r\nHost: \r\nX-A: b\r\n\r\nN\0\0").await;
        let head = head.unwrap();
        assert_eq!((head.path.as_str(), rest.as_slice()), ("/reverse", &b"N\0\0"[..]));
        assert_eq!((head.headers["host"].as_bytes(), head.headers["x-a"].as_bytes()), (&b""[..], &b"b"[..]));
        let (head, _) = opened(b"GET /revdial?revdial.dialer=0a HTTP/1.1\r\n\r\n").await;
        assert_eq!(head.unwrap().path, "/revdial?revdial.dialer=0a");
        let long = format!("GET /reverse HTTP/1.1\r\nX-A: {}\r\n\r\n", "a".repeat(2000));
        for other in [
            "GET / HTTP/1.1\r\n\r\n",
            "GET /reversed HTTP/1.1\r\n\r\n",
            "GET /rev",
            "GET /reverse/ HTTP/1.1\r\n\r\n",
            "POST /reverse HTTP/1.1\r\n\r\n",
            "GET /reverse HTTP/1.0\r\n\r\n",
            "GET /reverse HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc",
            "GET /reverse HTTP/1.1\r\nno colon\r\n\r\n",
            "GET /reverse HTTP/1.1\r\nX-A: b",
            "",
            &long,
        ] {
            let (head, rest) = opened(other.as_bytes()).await;
            assert!(head.is_none(), "{other}");
            assert_eq!(rest, other.as_bytes(), "no byte is lost");
        }
    }

    #[tokio::test]
    async fn http2_is_known_by_its_whole_beginning() {
        for (bytes, is_http2) in [
            (&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0"[..], true),
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n", false),
            (b"PRI /x HTTP/1.1\r\n\r\n", false),
            (b"PUT / HTTP/1.1\r\n\r\n", false),
        ] {
            let opened = opening(bytes, &[], 1000).await.unwrap();
            assert_eq!(matches!(opened, Opening::Http2(_)), is_http2, "{bytes:?}");
            let (Opening::Http(mut stream) | Opening::Http2(mut stream)) = opened else { panic!("taken") };
            let mut rest = Vec::new();
            stream.read_to_end(&mut rest).await.unwrap();
            assert_eq!(rest, bytes, "no byte is lost");
        }
    }

    #[tokio::test]
    async fn what_was_read_comes_first() {
        let mut rewound = Rewound::new(b"abc", &b"def"[..]);
        let mut two = [0; 2];
        rewound.read_exact(&mut two).await.unwrap();
        let mut rest = Vec::new();
        rewound.read_to_end(&mut rest).await.unwrap();
        assert_eq!((&two, rest.as_slice()), (b"ab", &b"cdef"[..]));
    }

    proptest::proptest! {
        #[test]
        fn whatever_comes_no_byte_is_lost(bytes in proptest::collection::vec(
            proptest::prop_oneof![
                proptest::num::u8::ANY.prop_map(|byte| vec![byte]),
                proptest::sample::select(vec![&b"GET /reverse"[..], b" HTTP/1.1\r\n", b"\r\n", b"A: b", b"GET /revdial?", b" "])
                    .prop_map(<[u8]>::to_vec),
            ],
            0..12,
        )) {
            let bytes = bytes.concat();
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let (head, rest) = runtime.block_on(opened(&bytes));
            let tail = bytes.ends_with(&rest);
            proptest::prop_assert!(tail);
            proptest::prop_assert!(head.is_some() || rest.len() == bytes.len());
        }
    }
    use proptest::strategy::Strategy as _;
}
