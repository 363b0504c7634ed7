//! A coordinator that machines dial: it takes those with the right key, and asks them for connections.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use buildlet_client::{Address, BuildletClient, Connect, Connection};
use futures::future::BoxFuture;
use revdial::v2::{ControlError, Dialer, Pickups, dialer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

/// The longest wait for anything.
pub const LIMIT: Duration = Duration::from_secs(60);
/// The key that is the right one.
pub const KEY: &str = "3bbd3cc17b04ff172add770f85794dc5";

type Stream = Box<dyn Connection>;

/// Makes TLS of a connection, or leaves it.
pub type Wrap = Arc<dyn Fn(TcpStream) -> BoxFuture<'static, std::io::Result<Stream>> + Send + Sync>;

pub struct Coordinator {
    pub address: SocketAddr,
    heard: mpsc::Receiver<Heard>,
    serving: AbortOnDropHandle<()>,
}

/// What came in.
enum Heard {
    Registered(Registered),
    Refused,
    /// A connection on which there was no TLS.
    NoTls,
}

/// A machine that has registered. Dropping it cuts its control connection.
pub struct Registered {
    pub headers: HashMap<String, String>,
    pub client: BuildletClient,
    /// Opens connections to it.
    pub way: Arc<dyn Connect>,
    /// Ends with the control connection.
    pub control: AbortOnDropHandle<ControlError>,
}

/// Reaches a machine over what it dialled.
struct Backwards(Arc<Dialer<Stream>>);

impl Connect for Backwards {
    fn connect(&self) -> BoxFuture<'static, std::io::Result<Stream>> {
        let dialer = Arc::clone(&self.0);
        Box::pin(async move { dialer.dial().await.map_err(std::io::Error::other) })
    }
}

/// Takes connections as they are.
pub fn plain() -> Wrap {
    Arc::new(|stream| Box::pin(async move { Ok(Box::new(stream) as Stream) }))
}

impl Coordinator {
    pub async fn start(wrap: Wrap) -> Self {
        Self::start_at(SocketAddr::from(([127, 0, 0, 1], 0)), wrap).await
    }

    pub async fn start_at(address: SocketAddr, wrap: Wrap) -> Self {
        Self::offering(address, wrap, None).await
    }

    /// One that signs its orders, and says with what key.
    pub async fn offering(address: SocketAddr, wrap: Wrap, key: Option<String>) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (tell, heard) = mpsc::channel(64);
        let serving = async move {
            let pickups = Pickups::default();
            // Ended with the coordinator.
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (wrap, tell, pickups) = (Arc::clone(&wrap), tell.clone(), pickups.clone());
                let key = key.clone();
                connections.spawn(async move {
                    let heard = match wrap(stream).await {
                        Ok(stream) => serve(stream, &pickups, key.as_deref()).await,
                        Err(_) => Some(Heard::NoTls),
                    };
                    if let Some(heard) = heard {
                        tell.send(heard).await.unwrap();
                    }
                });
            }
        };
        Self { address, heard, serving: AbortOnDropHandle::new(tokio::spawn(serving)) }
    }

    /// Ends it, so that its address is free.
    pub async fn stop(self) {
        self.serving.abort();
        let _cancelled = timeout(LIMIT, self.serving).await.expect("it ends in time");
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    async fn next(&mut self) -> Heard {
        timeout(LIMIT, self.heard.recv()).await.expect("somebody dials in time").unwrap()
    }

    /// Waits for a machine.
    pub async fn registered(&mut self) -> Registered {
        match self.next().await {
            Heard::Registered(machine) => machine,
            Heard::Refused => panic!("it came with a wrong key"),
            Heard::NoTls => panic!("it came without TLS"),
        }
    }

    /// Waits for one with a wrong key.
    pub async fn refused(&mut self) {
        assert!(matches!(self.next().await, Heard::Refused));
    }

    /// Waits for one that does not trust us.
    pub async fn distrusted(&mut self) {
        assert!(matches!(self.next().await, Heard::NoTls));
    }
}

/// Reads up to the end of a head, and no further.
pub async fn head(stream: &mut (impl tokio::io::AsyncRead + Unpin)) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
        assert!(head.len() < 10_000);
    }
    String::from_utf8(head).unwrap()
}

async fn serve(mut stream: Stream, pickups: &Pickups<Stream>, key: Option<&str>) -> Option<Heard> {
    let head = head(&mut stream).await;
    let mut lines = head.lines();
    let path =
        lines.next().unwrap().strip_prefix("GET ").unwrap().strip_suffix(" HTTP/1.1").unwrap().to_owned();
    if let Some(id) = path.strip_prefix("/revdial?revdial.dialer=") {
        if pickups.knows(id) {
            revdial::head::accept(&mut stream).await.unwrap();
            // The machine may have been cut off meanwhile.
            let _gone = pickups.deliver(id, stream);
        }
        return None;
    }
    assert_eq!(path, "/reverse");
    let headers: HashMap<_, _> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    if headers["X-Go-Builder-Key"] != KEY {
        let answer = "HTTP/1.1 412 Precondition Failed\r\nContent-Length: 21\r\n\r\nno such key, my dear\n";
        stream.write_all(answer.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        return Some(Heard::Refused);
    }
    match key {
        Some(key) => {
            revdial::head::accept_with(&mut stream, &[("X-Bellwether-Order-Key", key)]).await.unwrap()
        }
        None => revdial::head::accept(&mut stream).await.unwrap(),
    }
    static LAST: AtomicU64 = AtomicU64::new(0);
    let id = format!("{:032x}", LAST.fetch_add(1, Ordering::Relaxed));
    let (dialer, control) = dialer(stream, "/revdial", id, pickups);
    let control = tokio::spawn(control.run());
    let way: Arc<dyn Connect> = Arc::new(Backwards(Arc::new(dialer)));
    let client = BuildletClient::new(Address::Custom(Arc::clone(&way)), None);
    Some(Heard::Registered(Registered { headers, client, way, control: AbortOnDropHandle::new(control) }))
}
