//! Version 2 as it is measured beside the original's package (`interop/rates`), which does the same.
//!
//! `rates dials N AT_ONCE` dials and closes N connections, so many at once, over TLS on loopback, and prints dials a second;
//! `rates echo BYTES` sends so much over one of them, reads it back, and prints megabytes a second. TLS is as our programs have
//! it, and so is the coordinator, which takes a connection out of HTTP at its first request.
#![allow(clippy::unwrap_used, reason = "a measuring tool")]

use std::sync::Arc;
use std::time::Instant;

use revdial::head;
use revdial::v2::{Connect, Dialer, Pickups, dialer, listener};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};

type Connection = TlsStream<TcpStream>;

const ID: &str = "00112233445566778899aabbccddeeff";
/// What is read and written at once.
const BUFFER: usize = 64 << 10;

fn tls() -> (TlsAcceptor, TlsConnector) {
    let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let certificate = own.cert.der().clone();
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).unwrap();
    let key = PrivateKeyDer::try_from(own.signing_key.serialize_der()).unwrap();
    let server = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let client = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    (TlsAcceptor::from(Arc::new(server)), TlsConnector::from(Arc::new(client)))
}

async fn request(connection: &mut Connection) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(connection.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

/// Makes both ends; the machine sends back what comes.
async fn pair(work: &mut JoinSet<()>) -> Arc<Dialer<Connection>> {
    let (acceptor, connector) = tls();
    let listening = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listening.local_addr().unwrap();
    let pickups = Pickups::default();
    let (told, control) = tokio::sync::oneshot::channel();
    work.spawn({
        let pickups = pickups.clone();
        async move {
            let mut told = Some(told);
            loop {
                let (tcp, _) = listening.accept().await.unwrap();
                tcp.set_nodelay(true).unwrap();
                let (acceptor, pickups, told) = (acceptor.clone(), pickups.clone(), told.take());
                tokio::spawn(async move {
                    let mut connection = TlsStream::Server(acceptor.accept(tcp).await.unwrap());
                    let asked = request(&mut connection).await;
                    head::accept(&mut connection).await.unwrap();
                    match told {
                        Some(told) => drop(told.send(connection)),
                        None => {
                            assert!(asked.contains(ID));
                            pickups.deliver(ID, connection).unwrap();
                        }
                    }
                });
            }
        }
    });
    let connect: Connect<Connection> = Arc::new(move |path| {
        let connector = connector.clone();
        Box::pin(async move {
            let tcp = TcpStream::connect(at).await?;
            tcp.set_nodelay(true)?;
            let name = ServerName::try_from("localhost").unwrap();
            let mut connection = TlsStream::Client(connector.connect(name, tcp).await?);
            head::open(&mut connection, &path, &[]).await.map_err(std::io::Error::other)?;
            Ok(connection)
        })
    });
    let machine = connect("/reverse".to_owned()).await.unwrap();
    let (dialer, asks) = dialer(control.await.unwrap(), "/revdial", ID.into(), &pickups);
    let (mut accepted, serves) = listener(machine, connect);
    work.spawn(async move { drop(asks.run().await) });
    work.spawn(async move { drop(serves.run().await) });
    work.spawn(async move {
        while let Some(connection) = accepted.accept().await {
            tokio::spawn(echo_back(connection));
        }
    });
    Arc::new(dialer)
}

async fn echo_back(mut connection: Connection) {
    let mut buffer = vec![0; BUFFER];
    while let Ok(length @ 1..) = connection.read(&mut buffer).await {
        let written = async {
            connection.write_all(&buffer[..length]).await?;
            connection.flush().await
        };
        if written.await.is_err() {
            return;
        }
    }
}

async fn dials(dialer: Arc<Dialer<Connection>>, count: usize, at_once: usize) -> f64 {
    let began = Instant::now();
    let mut asking = JoinSet::new();
    for _ in 0..at_once {
        let dialer = Arc::clone(&dialer);
        asking.spawn(async move {
            for _ in 0..count / at_once {
                let mut connection = dialer.dial().await.unwrap();
                connection.write_all(&[7]).await.unwrap();
                connection.flush().await.unwrap();
                assert_eq!(connection.read_u8().await.unwrap(), 7);
            }
        });
    }
    asking.join_all().await;
    (count / at_once * at_once) as f64 / began.elapsed().as_secs_f64()
}

async fn echo(dialer: Arc<Dialer<Connection>>, total: usize) -> f64 {
    let (mut reader, mut writer) = tokio::io::split(dialer.dial().await.unwrap());
    let began = Instant::now();
    let writing = tokio::spawn(async move {
        let buffer = vec![0; BUFFER];
        let mut left = total;
        while left > 0 {
            left -= writer.write(&buffer[..left.min(BUFFER)]).await.unwrap();
        }
        writer.flush().await.unwrap();
    });
    let mut buffer = vec![0; BUFFER];
    let mut left = total;
    while left > 0 {
        let length = reader.read(&mut buffer).await.unwrap();
        assert!(length > 0, "the echo ended");
        left -= length;
    }
    writing.await.unwrap();
    total as f64 / 1e6 / began.elapsed().as_secs_f64()
}

#[tokio::main]
async fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize| args.get(at).and_then(|text| text.parse::<usize>().ok()).filter(|n| *n > 0);
    let mut work = JoinSet::new();
    let dialer = pair(&mut work).await;
    let rate = match (args.first().map(String::as_str), number(1), number(2)) {
        (Some("dials"), Some(count), Some(at_once)) => dials(dialer, count, at_once).await,
        (Some("echo"), Some(total), None) => echo(dialer, total).await,
        _ => panic!("usage: rates dials N AT_ONCE | echo BYTES"),
    };
    println!("{rate:.3}");
    work.shutdown().await;
}
