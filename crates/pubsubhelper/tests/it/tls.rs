use std::sync::Arc;

use jiff::Timestamp;
use pubsubhelper::MailPort;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::client::{FROM, Port, RCPT, mail_port, python, signed_by, smtp};

fn acceptor() -> TlsAcceptor {
    let made = rcgen::generate_simple_self_signed(["helper.example".to_owned()]).unwrap();
    let key = rustls_pki_types::PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key.into())
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

#[tokio::test]
async fn mail_comes_over_tls_and_nothing_said_before_it_counts() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = Port::with(smtp(), MailPort { tls: Some(acceptor()), ..mail_port(listener) }).await;
    let script = format!(
        r#"
import smtplib, ssl, sys
mail = sys.stdin.buffer.read()
context = ssl.create_default_context()
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
with smtplib.SMTP("127.0.0.1", int(sys.argv[1]), timeout=50) as client:
    client.ehlo()
    print(client.has_extn("starttls"))
    client.mail("{FROM}")
    # What is sent with it is not taken for something that was said over TLS.
    client.send(b"STARTTLS\r\nRSET\r\n")
    print(client.getreply()[0])
    client.sock = context.wrap_socket(client.sock)
    client.file = None
    print(client.docmd("DATA"))
    client.ehlo()
    print(client.has_extn("starttls"), client.sock.version())
    print(client.docmd("STARTTLS")[0])
    print(client.sendmail("{FROM}", ["{RCPT}"], mail))
"#
    );
    // The client waits for the reply before it begins TLS, so both lines may have come by then.
    let said = python(&script, port.at, &signed_by("google.com")).await;
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(
        lines,
        ["True", "220", "(503, b'5.5.1 Error: need RCPT command')", "False TLSv1.3", "502", "{}"],
    );
    assert_eq!(port.hub().recent(Timestamp::MIN).len(), 1);
    port.end().await;
}

#[tokio::test]
async fn a_handshake_that_fails_ends_that_connection_alone() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = Port::with(smtp(), MailPort { tls: Some(acceptor()), ..mail_port(listener) }).await;
    let mut broken = port.client().await;
    assert_eq!(broken.ask("STARTTLS\r\n").await, "220 2.0.0 Ready to start TLS\r\n");
    broken.send("EHLO plainly\r\n").await;
    while !broken.reply_bytes().await.is_empty() {}
    let mut next = port.client().await;
    assert_eq!(next.bring(&signed_by("google.com")).await, "250 2.0.0 Ok: queued\r\n");
    port.end().await;
}
