//! What it costs to serve a log to many clients at once that have nothing of it, beside the least that it can cost.
//!
//! - `catch_up make DIR FOLDER BYTES`: writes so much of the log in DIR as segments into FOLDER
//! - `catch_up serve FOLDER`: our routes, behind the edge of our server
//! - `catch_up copy FOLDER`: the same, without an edge that knows which bytes lie in files
//! - `catch_up sendfile FOLDER`: the same segments by sendfile, with nothing else on the way
//! - `catch_up fetch ADDRESS CLIENTS`: each client reads all of the log, and throws it away
//!
//! A server prints its address, and for each line that it reads the seconds of processor that it had, the system's for it
//! included. For `cargo xtask bench --only corpus`.

use std::error::Error;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use edge::{Edge, Limits};
use maintner::journal::{Journal, Options};
use maintner::log::Log;
use maintner::reclog::Records;
use maintnerd::logs::{Logs, LogsConfig, routes};
use rustix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use transport::Viewer;

/// Bytes of records that are appended at once.
const TOGETHER: usize = 1 << 20;
/// What a client reads at once.
const READ: usize = 256 << 10;
/// What sendfile is asked for at once.
const SENT: usize = 16 << 20;

type Done<T = ()> = Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> Done {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["make", dir, folder, bytes] => make(Path::new(dir), Path::new(folder), bytes.parse()?),
        ["serve", folder] => serve(PathBuf::from(folder), true),
        ["copy", folder] => serve(PathBuf::from(folder), false),
        ["sendfile", folder] => sendfile(Path::new(folder)),
        ["fetch", address, clients] => fetch(address, clients.parse()?),
        _ => Err("usage: catch_up make DIR FOLDER BYTES | serve FOLDER | copy FOLDER | sendfile FOLDER | fetch ADDRESS CLIENTS".into()),
    }
}

/// Tells what it costs until nobody asks any more.
fn told(address: impl std::fmt::Display) -> Done {
    println!("{address}");
    for line in io::stdin().lock().lines() {
        line?;
        let time = clock_gettime(ClockId::ProcessCPUTime);
        println!("{}", time.tv_sec as f64 + time.tv_nsec as f64 / 1e9);
    }
    Ok(())
}

#[tokio::main]
async fn serve(folder: PathBuf, from_files: bool) -> Done {
    let journal = Journal::open(&folder, Options::default()).await?;
    let logs = Logs::new(folder, journal.committed(), LogsConfig::default());
    let router = routes(&logs, maintnerd::Readers::All).into_router().layer(from_fn(
        |mut request: Request, next: Next| {
            request.extensions_mut().insert(Viewer::stranger(true));
            next.run(request)
        },
    ));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let (address, stop) = (listener.local_addr()?, CancellationToken::new());
    let serving = tokio::spawn({
        let stop = stop.clone();
        let edge = Edge::new(Limits::default());
        let edge = if from_files { edge.with_files(Arc::new(move |bytes| logs.lies(bytes))) } else { edge };
        async move { edge.serve(listener, router, stop).await }
    });
    tokio::task::spawn_blocking(move || told(address)).await??;
    stop.cancel();
    Ok(serving.await?)
}

#[tokio::main]
async fn make(dir: &Path, folder: &Path, most: u64) -> Done {
    let log = Log::open(dir)?;
    let log = log.begin(most.min(log.len() - 1))?;
    let journal = Journal::open(folder, Options::default()).await?;
    let (mut records, mut bytes) = (Vec::new(), 0);
    for file in log.files() {
        for record in Records::new(file.bytes(), 0) {
            let payload = record?.payload.to_vec();
            bytes += payload.len();
            records.push(payload);
            if bytes >= TOGETHER {
                journal.append(std::mem::take(&mut records)).await?;
                bytes = 0;
            }
        }
    }
    if !records.is_empty() {
        journal.append(records).await?;
    }
    println!("{}", json!({"bytes": journal.committed().borrow().total}));
    Ok(journal.close().await?)
}

/// Serves files by what their numbers are, on a thread for each connection.
fn sendfile(folder: &Path) -> Done {
    let mut files = Vec::new();
    for file in Log::open(folder)?.files() {
        files.push((file.path().to_path_buf(), file.bytes().len() as u64));
    }
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    thread::spawn(move || {
        for stream in listener.incoming() {
            let files = files.clone();
            thread::spawn(move || stream.map_err(Into::into).and_then(|stream| sent(stream, &files)));
        }
    });
    told(address)
}

fn sent(mut stream: TcpStream, files: &[(PathBuf, u64)]) -> Done {
    stream.set_nodelay(true)?;
    let mut asked = BufReader::new(stream.try_clone()?);
    while let Some(path) = head(&mut asked)?.first().and_then(|line| line.split(' ').nth(1)) {
        let list = || {
            let one = |(number, (_, size)): (usize, &(PathBuf, u64))| json!({"number": number, "size": size, "sha224": "", "url": format!("/logs/{number}")});
            Value::from_iter(files.iter().enumerate().map(one)).to_string()
        };
        let number = path.strip_prefix("/logs/").and_then(|number| number.parse::<usize>().ok());
        let Some((path, size)) = number.and_then(|number| files.get(number)) else {
            let list = list();
            write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{list}", list.len())?;
            continue;
        };
        write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {size}\r\n\r\n")?;
        let (file, mut at) = (File::open(path)?, 0);
        while at < *size {
            let left = usize::try_from(*size - at)?.min(SENT);
            if rustix::fs::sendfile(&stream, &file, Some(&mut at), left)? == 0 {
                return Err("the file is shorter than it was".into());
            }
        }
    }
    Ok(())
}

/// The lines of a head; none at the end.
fn head(from: &mut BufReader<TcpStream>) -> io::Result<Vec<String>> {
    from.lines().take_while(|line| line.as_ref().map_or(true, |line| !line.is_empty())).collect()
}

fn fetch(address: &str, clients: usize) -> Done {
    let began = Instant::now();
    let running: Vec<_> = (0..clients)
        .map(|_| {
            let address = address.to_owned();
            thread::spawn(move || fetched(&address))
        })
        .collect();
    let mut bytes = 0;
    for one in running {
        bytes += one.join().map_err(|_| "a client died")??;
    }
    println!("{}", json!({"bytes": bytes, "seconds": began.elapsed().as_secs_f64()}));
    Ok(())
}

fn fetched(address: &str) -> Done<u64> {
    let mut client = Client { address, from: BufReader::with_capacity(READ, TcpStream::connect(address)?) };
    let mut list = Vec::new();
    client.get("/logs", |bytes| list.extend_from_slice(bytes))?;
    let mut all = 0;
    for segment in serde_json::from_slice::<Vec<Value>>(&list)? {
        let url = segment["url"].as_str().ok_or("a segment without an address")?;
        client.get(url, |bytes| all += bytes.len() as u64)?;
    }
    Ok(all)
}

/// One connection, on which one thing is asked after another.
struct Client<'a> {
    address: &'a str,
    from: BufReader<TcpStream>,
}

impl Client<'_> {
    fn get(&mut self, path: &str, mut take: impl FnMut(&[u8])) -> Done {
        write!(self.from.get_mut(), "GET {path} HTTP/1.1\r\nhost: {}\r\n\r\n", self.address)?;
        let head = head(&mut self.from)?;
        if !head.first().is_some_and(|line| line.contains(" 200 ")) {
            return Err(format!("{path}: {head:?}").into());
        }
        let length = |line: &String| {
            line.to_ascii_lowercase()
                .strip_prefix("content-length: ")
                .and_then(|length| length.parse::<usize>().ok())
        };
        let mut left = head.iter().find_map(length).ok_or("no length")?;
        while left > 0 {
            let bytes = self.from.fill_buf()?;
            let count = bytes.len().min(left);
            if count == 0 {
                return Err(format!("{path} ended before its end").into());
            }
            take(&bytes[..count]);
            self.from.consume(count);
            left -= count;
        }
        Ok(())
    }
}
