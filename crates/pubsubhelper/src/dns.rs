//! Texts in the domain name system, which is where signers keep their keys.
//!
//! This is a stub resolver for one kind of record: it asks the servers of `/etc/resolv.conf`, which do the rest. A library for
//! all of it (hickory-resolver) brings some thirty crates for these two hundred lines.

mod cache;
mod wire;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::Instant;

use cache::Cache;
use wire::Texts;

/// How long one server is waited for.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often each server is asked: a datagram may be lost.
const ROUNDS: usize = 2;
/// The most servers that are asked.
const MOST_SERVERS: usize = 3;
/// The largest answer that is read over UDP, bytes: what is asked for.
const DATAGRAM: usize = 4096;
/// The file that names servers.
const RESOLV_CONF: &str = "/etc/resolv.conf";
/// The largest that is read of it, bytes.
const LARGEST_FILE: u64 = 64 << 10;

/// Why there is no text.
#[derive(Debug, thiserror::Error)]
pub enum DnsError {
    /// The name does not exist, or has no text.
    #[error("there is no such name, or it has no text")]
    None,
    /// A server can't be asked.
    #[error("the server can't be asked: {0}")]
    Io(#[from] std::io::Error),
    /// A server refuses.
    #[error("the server answers with code {0}")]
    Refused(u8),
    /// No server answered in time.
    #[error("no server answered in time")]
    Slow,
    /// The name is none, or an answer can't be read.
    #[error("{0}")]
    Malformed(&'static str),
}

impl DnsError {
    /// Whether the same question may be answered a little later.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        matches!(self, DnsError::Io(_) | DnsError::Refused(_) | DnsError::Slow)
    }
}

/// Looks up texts.
#[async_trait::async_trait]
pub trait Txt: Send + Sync {
    /// Returns the texts of a name, each put together from its parts.
    ///
    /// # Errors
    /// See [`DnsError`].
    async fn txt(&self, name: &str) -> Result<Vec<Vec<u8>>, DnsError>;
}

/// Asks name servers, and remembers what they found for at most an hour. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Resolver {
    servers: Vec<SocketAddr>,
    /// Held for as long as it takes to look.
    cache: Arc<Mutex<Cache>>,
}

impl Resolver {
    /// Asks these, one after the other.
    #[must_use]
    pub fn new(servers: Vec<SocketAddr>) -> Resolver {
        Resolver { servers, cache: Arc::default() }
    }

    /// Asks those of `/etc/resolv.conf`; without any, one on this machine.
    ///
    /// # Errors
    /// The file is there and can't be read.
    pub async fn of_system() -> std::io::Result<Resolver> {
        let mut text = Vec::new();
        match tokio::fs::File::open(RESOLV_CONF).await {
            Ok(file) => {
                file.take(LARGEST_FILE).read_to_end(&mut text).await?;
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        Ok(Resolver::new(servers(&String::from_utf8_lossy(&text))))
    }

    async fn ask(&self, server: SocketAddr, name: &str) -> Result<Texts, DnsError> {
        let mut id = [0; 2];
        getrandom::fill(&mut id).map_err(std::io::Error::from)?;
        let question = wire::question(u16::from_be_bytes(id), name)?;
        // A port of its own for each question: who guesses an answer has to guess it too.
        let any: IpAddr =
            if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        let socket = UdpSocket::bind((any, 0)).await?;
        socket.connect(server).await?;
        socket.send(&question).await?;
        let mut answer = vec![0; DATAGRAM];
        loop {
            let length = socket.recv(&mut answer).await?;
            // What is no answer to this question is somebody else's.
            if wire::answers(&answer[..length], &question) {
                match wire::texts(&answer[..length])? {
                    Some(texts) => return Ok(texts),
                    None => return over_tcp(server, &question).await,
                }
            }
        }
    }
}

#[async_trait::async_trait]
impl Txt for Resolver {
    async fn txt(&self, name: &str) -> Result<Vec<Vec<u8>>, DnsError> {
        let cache = || self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = cache().get(name, Instant::now()) {
            return Ok(known.to_vec());
        }
        let mut last = DnsError::Slow;
        let servers = self.servers.iter().take(MOST_SERVERS);
        for server in std::iter::repeat_n(servers, ROUNDS).flatten() {
            match tokio::time::timeout(PATIENCE, self.ask(*server, name)).await {
                Ok(Ok(found)) => {
                    cache().put(name, &found, Instant::now());
                    return Ok(found.texts);
                }
                Ok(Err(none @ DnsError::None)) => return Err(none),
                Ok(Err(error)) => last = error,
                Err(_) => last = DnsError::Slow,
            }
        }
        Err(last)
    }
}

/// Asks again where the answer was too long for a datagram.
async fn over_tcp(server: SocketAddr, question: &[u8]) -> Result<Texts, DnsError> {
    let mut stream = TcpStream::connect(server).await?;
    let length = u16::try_from(question.len()).map_err(|_| DnsError::Malformed("the name is too long"))?;
    stream.write_all(&[&length.to_be_bytes(), question].concat()).await?;
    let mut answer = vec![0; usize::from(stream.read_u16().await?)];
    stream.read_exact(&mut answer).await?;
    if !wire::answers(&answer, question) {
        return Err(DnsError::Malformed("the server answers another question"));
    }
    wire::texts(&answer)?.ok_or(DnsError::Malformed("the answer is cut off"))
}

/// The servers that a `resolv.conf` names.
fn servers(text: &str) -> Vec<SocketAddr> {
    let named = text.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        let at = (words.next() == Some("nameserver")).then(|| words.next())??;
        at.parse::<IpAddr>().ok().map(|at| SocketAddr::new(at, 53))
    });
    let named: Vec<_> = named.collect();
    if named.is_empty() { vec![SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 53)] } else { named }
}

#[cfg(test)]
mod tests;
