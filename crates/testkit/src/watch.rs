//! Many readers of one stream of events, in one thread.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::event::{Timespec, epoll};
use rustix::fd::OwnedFd;

/// The head of an answer must come in this time.
const LIMIT: Duration = Duration::from_secs(60);
/// Between two looks whether the caller has what it waits for.
const LOOK: Duration = Duration::from_millis(50);
/// Longest head of an answer.
const LONGEST_HEAD: usize = 16 * 1024;
/// How each event with a name begins.
const EVENT: &[u8] = b"event: ";

/// Connections to one stream of server-sent events. They read only in [`Watchers::listen`]: those that are never told to
/// are watchers that never read.
#[derive(Debug)]
pub struct Watchers {
    epoll: OwnedFd,
    streams: Vec<TcpStream>,
    heard: Vec<usize>,
    /// The end of what each has read, as long as it may be the beginning of [`EVENT`].
    ends: Vec<Vec<u8>>,
    ended: usize,
}

impl Watchers {
    /// Opens so many, one after another, each as soon as the one before has an answer.
    ///
    /// # Errors
    /// When one is refused; carries how many were not.
    pub fn open(at: SocketAddr, path: &str, token: Option<&str>, count: usize) -> Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let mut watchers = Self { epoll, streams: Vec::new(), heard: Vec::new(), ends: Vec::new(), ended: 0 };
        for n in 0..count {
            watchers.add(at, path, token).with_context(|| format!("watcher {} of {count}", n + 1))?;
        }
        Ok(watchers)
    }

    fn add(&mut self, at: SocketAddr, path: &str, token: Option<&str>) -> Result<()> {
        let mut stream = TcpStream::connect_timeout(&at, Duration::from_secs(10))?;
        stream.set_read_timeout(Some(LIMIT))?;
        let mut head = format!("GET {path} HTTP/1.1\r\nHost: {at}\r\nAccept: text/event-stream\r\n");
        if let Some(token) = token {
            head.push_str(&format!("Authorization: Bearer {token}\r\n"));
        }
        stream.write_all(format!("{head}\r\n").as_bytes())?;
        let mut answer = Vec::new();
        let mut byte = [0];
        while !answer.ends_with(b"\r\n\r\n") {
            stream.read_exact(&mut byte).context("the head of the answer")?;
            answer.push(byte[0]);
            if answer.len() > LONGEST_HEAD {
                bail!("a head without an end");
            }
        }
        if !answer.starts_with(b"HTTP/1.1 200 ") {
            bail!("{}", String::from_utf8_lossy(&answer).lines().next().unwrap_or_default());
        }
        stream.set_nonblocking(true)?;
        let data = epoll::EventData::new_u64(self.streams.len() as u64);
        epoll::add(&self.epoll, &stream, data, epoll::EventFlags::IN)?;
        self.streams.push(stream);
        self.heard.push(0);
        self.ends.push(Vec::new());
        Ok(())
    }

    /// How many events each has heard so far.
    #[must_use]
    pub fn heard(&self) -> &[usize] {
        &self.heard
    }

    /// How many the server has ended.
    #[must_use]
    pub fn ended(&self) -> usize {
        self.ended
    }

    /// Reads what comes until `enough` says so of what each has heard. Returns whether it did before the limit.
    ///
    /// # Errors
    /// When a connection breaks.
    pub fn listen(&mut self, limit: Duration, mut enough: impl FnMut(&[usize]) -> bool) -> Result<bool> {
        let deadline = Instant::now() + limit;
        let wait = Timespec { tv_sec: 0, tv_nsec: i64::from(LOOK.subsec_nanos()) };
        let mut events = Vec::with_capacity(1024);
        let mut buffer = vec![0; 64 * 1024];
        loop {
            if enough(&self.heard) {
                return Ok(true);
            }
            if Instant::now() >= deadline {
                return Ok(false);
            }
            events.clear();
            epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut events), Some(&wait))?;
            for event in &events {
                let at = usize::try_from(event.data.u64())?;
                self.read(at, &mut buffer).with_context(|| format!("watcher {}", at + 1))?;
            }
        }
    }

    /// Reads once; what is left comes with the next wait.
    fn read(&mut self, at: usize, buffer: &mut [u8]) -> Result<()> {
        let count = match self.streams[at].read(buffer) {
            Ok(0) => {
                self.ended += 1;
                epoll::delete(&self.epoll, &self.streams[at])?;
                return Ok(());
            }
            Ok(count) => count,
            Err(error) if [ErrorKind::WouldBlock, ErrorKind::Interrupted].contains(&error.kind()) => {
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
        let end = &mut self.ends[at];
        end.extend_from_slice(&buffer[..count]);
        self.heard[at] += end.windows(EVENT.len()).filter(|window| *window == EVENT).count();
        // Shorter than what is looked for, so that nothing counts twice.
        let kept = end.len().min(EVENT.len() - 1);
        end.drain(..end.len() - kept);
        end.shrink_to(64);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn each_hears_each_event_once_however_it_is_cut() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        let server = std::thread::spawn(move || {
            let mut open = Vec::new();
            for _ in 0..3 {
                let (mut stream, _) = listener.accept().unwrap();
                stream.set_nodelay(true).unwrap();
                let mut request = [0; 4096];
                let count = stream.read(&mut request).unwrap();
                assert!(request[..count].starts_with(b"GET /events HTTP/1.1\r\n"));
                stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n:\n\neve").unwrap();
                open.push(stream);
            }
            for stream in &mut open {
                stream.write_all(b"nt: a\ndata: 1\n\nevent: b\n\n").unwrap();
            }
            open.pop();
            open
        });
        let mut watchers = Watchers::open(at, "/events", None, 3).unwrap();
        let all = watchers.listen(LIMIT, |heard| heard.iter().all(|&count| count == 2)).unwrap();
        assert!(all, "{:?}", watchers.heard());
        let _open = server.join().unwrap();
        assert!(!watchers.listen(Duration::from_millis(200), |_| false).unwrap());
        assert_eq!((watchers.ended(), watchers.heard()), (1, &[2, 2, 2][..]));
    }

    #[test]
    fn one_that_is_refused_is_told() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream.write_all(b"HTTP/1.1 429 Too Many Requests\r\n\r\n").unwrap();
            stream
        });
        let error = format!("{:#}", Watchers::open(at, "/", None, 2).unwrap_err());
        assert!(error.contains("watcher 1 of 2") && error.contains("429"), "{error}");
        let _ = server.join().unwrap();
    }
}
