//! One port for TLS and plain HTTP; certificates from files.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use edge::tls::{Source, Tls};
use edge::{Limits, Plain};
use http_body_util::{BodyExt as _, Empty};
use hyper_util::rt::{TokioExecutor, TokioIo};
use testkit::wait_for;

use crate::world::{Connection, LIMIT, Pair, Serving, client, plainly};

#[tokio::test(flavor = "multi_thread")]
async fn one_port_speaks_both_and_plain_is_dealt_with_as_told() {
    let dir = tempfile::tempdir().unwrap();
    let pair = Pair::new("ci.example");
    for plain in [Plain::Answer, Plain::Refuse, Plain::Redirect("https://ci.example".into())] {
        let serving = Serving::start(pair.write(dir.path()), Limits::default(), plain.clone()).await;
        let at = serving.address;
        let roots = pair.cert.clone();
        let (over_tls, untrusted, answer) = tokio::task::spawn_blocking(move || {
            let over_tls = Connection::open(at, "ci.example", &roots).unwrap().ask("/host").unwrap();
            let untrusted = Connection::open(at, "ci.example", &Pair::new("other").cert).is_err();
            (over_tls, untrusted, plainly(at, "/host?a=b"))
        })
        .await
        .unwrap();
        assert!(over_tls.starts_with("HTTP/1.1 200") && over_tls.ends_with("asked.example"), "{over_tls}");
        assert!(untrusted);
        let expected = match plain {
            Plain::Answer => ["HTTP/1.1 200", "x"],
            Plain::Refuse => ["HTTP/1.1 403", "https only"],
            Plain::Redirect(_) => ["HTTP/1.1 308", "location: https://ci.example/host?a=b"],
        };
        assert!(expected.iter().all(|part| answer.contains(part)), "{plain:?}: {answer}");
        serving.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn over_tls_there_is_http2_and_a_host_in_it() {
    let dir = tempfile::tempdir().unwrap();
    let pair = Pair::new("ci.example");
    let serving = Serving::start(pair.write(dir.path()), Limits::default(), Plain::Refuse).await;
    let connector = tokio_rustls::TlsConnector::from(client(&pair.cert, &[b"h2"]));
    let stream = tokio::net::TcpStream::connect(serving.address).await.unwrap();
    let name = rustls::pki_types::ServerName::try_from("ci.example").unwrap();
    let stream = connector.connect(name, stream).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let (mut send, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    let driving = tokio::spawn(connection);
    let asked = (0..20).map(|_| {
        let request =
            http::Request::get("https://ci.example:8119/host").body(Empty::<bytes::Bytes>::new()).unwrap();
        send.send_request(request)
    });
    for answer in asked.collect::<Vec<_>>() {
        let answer = answer.await.unwrap();
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "ci.example:8119");
    }
    drop(send);
    serving.end().await;
    let _ = driving.await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_is_renewed_is_shown_and_connections_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let (first, second) = (Pair::new("ci.example"), Pair::new("ci.example"));
    let serving = Serving::start(first.write(dir.path()), Limits::default(), Plain::Refuse).await;
    let (at, print) = (serving.address, serving.tls.fingerprint().unwrap());
    assert_eq!(print.len(), 95, "{print}");
    tokio::task::spawn_blocking(move || {
        let mut old = Connection::open(at, "ci.example", &first.cert).unwrap();
        assert!(old.ask("/host").unwrap().contains("200 OK"));
        second.write(dir.path());
        let new = wait_for("the new certificate", LIMIT, || {
            Ok(Connection::open(at, "ci.example", &second.cert).ok())
        })
        .unwrap();
        assert_ne!(old.shown(), new.shown());
        assert!(old.ask("/host").unwrap().contains("200 OK"), "it goes on");
        // A key that is not its own changes nothing.
        std::fs::write(dir.path().join("key.pem"), first.key).unwrap();
        std::thread::scope(|scope| {
            let many =
                (0..3).map(|_| scope.spawn(|| Connection::open(at, "ci.example", &second.cert).is_ok()));
            assert!(many.collect::<Vec<_>>().into_iter().all(|one| one.join().unwrap()));
        });
    })
    .await
    .unwrap();
    assert_ne!(serving.tls.fingerprint().unwrap(), print);
    serving.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handshake_that_is_not_finished_is_given_up() {
    let dir = tempfile::tempdir().unwrap();
    let limits = Limits { head: Duration::from_millis(300), ..Limits::default() };
    let serving = Serving::start(Pair::new("x").write(dir.path()), limits, Plain::Refuse).await;
    let at = serving.address;
    for start in [&b""[..], b"\x16", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"] {
        let got = tokio::task::spawn_blocking(move || {
            let mut stream = TcpStream::connect(at).unwrap();
            stream.set_read_timeout(Some(LIMIT)).unwrap();
            stream.write_all(start).unwrap();
            stream.read(&mut [0; 1]).unwrap_or(0)
        });
        assert_eq!(got.await.unwrap(), 0, "{start:?}");
    }
    serving.end().await;
}

#[tokio::test]
async fn a_source_without_a_certificate_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let source = || Source::Files { cert: dir.path().join("cert.pem"), key: dir.path().join("key.pem") };
    let error = Tls::open(source()).err().unwrap().to_string();
    assert!(error.contains("cert.pem"), "{error}");
    let (a, b) = (Pair::new("a"), Pair::new("b"));
    Pair { cert: a.cert, key: b.key }.write(dir.path());
    let error = Tls::open(source()).err().unwrap().to_string();
    assert!(error.contains("of no use"), "{error}");
}
