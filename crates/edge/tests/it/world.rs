//! An edge that serves, and clients that look closely at certificates.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use edge::tls::{Keeper, Source, Tls};
use edge::{Edge, Limits, Plain};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// The longest wait for anything.
pub const LIMIT: Duration = Duration::from_secs(90);

/// A certificate and its key in PEM, for a name and for this machine.
pub struct Pair {
    pub cert: String,
    pub key: String,
}

impl Pair {
    pub fn new(name: &str) -> Pair {
        let key = rcgen::KeyPair::generate().unwrap();
        let names = vec![name.to_owned(), "localhost".to_owned(), "127.0.0.1".to_owned()];
        let made = rcgen::CertificateParams::new(names).unwrap().self_signed(&key).unwrap();
        Pair { cert: made.pem(), key: key.serialize_pem() }
    }

    pub fn write(&self, dir: &Path) -> Source {
        let source = Source::Files { cert: dir.join("cert.pem"), key: dir.join("key.pem") };
        std::fs::write(dir.join("cert.pem"), &self.cert).unwrap();
        std::fs::write(dir.join("key.pem"), &self.key).unwrap();
        source
    }
}

/// An edge that serves until it is dropped.
pub struct Serving {
    pub address: SocketAddr,
    pub tls: Tls,
    stop: CancellationToken,
    tasks: [JoinHandle<()>; 2],
}

impl Serving {
    pub async fn start(source: Source, limits: Limits, plain: Plain) -> Serving {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (tls, keeper) = Tls::open(source).unwrap();
        Serving::on(listener, tls, keeper, limits, plain)
    }

    pub fn on(listener: TcpListener, tls: Tls, keeper: Keeper, limits: Limits, plain: Plain) -> Serving {
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let edge = Edge::with_tls(limits, tls.clone(), Arc::new(move |_| plain.clone()));
        let host = |headers: http::HeaderMap| async move {
            headers.get("host").map_or(String::new(), |host| host.to_str().unwrap().to_owned())
        };
        let router = Router::new().route("/host", get(host));
        let serving = tokio::spawn({
            let stop = stop.clone();
            async move { edge.serve(listener, router, stop).await }
        });
        let keeping = tokio::spawn(keeper.run(stop.clone()));
        Serving { address, tls, stop, tasks: [serving, keeping] }
    }

    pub async fn end(mut self) {
        self.stop.cancel();
        for task in &mut self.tasks {
            task.await.unwrap();
        }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

pub fn client(roots: &str, protocols: &[&[u8]]) -> Arc<ClientConfig> {
    let mut store = RootCertStore::empty();
    for root in CertificateDer::pem_slice_iter(roots.as_bytes()) {
        store.add(root.unwrap()).unwrap();
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(store)
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    Arc::new(config)
}

/// A connection over TLS that is kept.
pub struct Connection(StreamOwned<ClientConnection, TcpStream>);

impl Connection {
    /// Connects, trusting these roots and nobody else.
    pub fn open(at: SocketAddr, name: &str, roots: &str) -> std::io::Result<Connection> {
        let stream = TcpStream::connect(at)?;
        stream.set_read_timeout(Some(LIMIT))?;
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let connection = ClientConnection::new(client(roots, &[b"http/1.1"]), name).unwrap();
        let mut stream = StreamOwned::new(connection, stream);
        stream.flush()?;
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        Ok(Connection(stream))
    }

    /// Asks for a path and reads the answer to its end; the connection goes on.
    pub fn ask(&mut self, path: &str) -> std::io::Result<String> {
        write!(self.0, "GET {path} HTTP/1.1\r\nHost: asked.example\r\n\r\n")?;
        let mut answer = Vec::new();
        let mut byte = [0];
        while !answer.ends_with(b"\r\n\r\n") {
            self.0.read_exact(&mut byte)?;
            answer.push(byte[0]);
        }
        let head = String::from_utf8_lossy(&answer).to_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
        let mut body = vec![0; length.trim().parse().unwrap()];
        self.0.read_exact(&mut body)?;
        answer.extend_from_slice(&body);
        Ok(String::from_utf8_lossy(&answer).into_owned())
    }

    /// Our certificate, as it was shown.
    pub fn shown(&self) -> Vec<u8> {
        self.0.conn.peer_certificates().unwrap()[0].to_vec()
    }
}

/// What plain HTTP gets.
pub fn plainly(at: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(at).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}
