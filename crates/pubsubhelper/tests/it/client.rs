//! A port for mail with a helper behind it, and a client that says what it is told to.

use std::net::SocketAddr;
use std::sync::Arc;

use pubsubhelper::dns::{DnsError, Txt};
use pubsubhelper::{Config, Hub, MailPort, SmtpConfig};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::signer;
use crate::world::{LONG, World, config};

pub(crate) const RCPT: &str = "bot@helper.example";
pub(crate) const FROM: &str = "3abc@gerritcodereview.bounces.google.com";

/// What Gerrit says of a change.
pub(crate) const FIELDS: [(&str, &str); 6] = [
    ("From", "Ada (Gerrit) <noreply-gerrit@google.com>"),
    ("Subject", "Change in go[master]: cmd/go: do it"),
    ("X-Gerrit-Change-Number", "123"),
    ("X-Gerrit-ChangeURL", "<https://go-review.googlesource.com/c/go/+/123?usp=email>"),
    ("X-Gerrit-Commit", "4a7ec9bb3ce1c4bf6b0b2b0b6b0b2b0b6b0b2b0b"),
    ("X-Gerrit-Project", "go"),
];

/// A mail of Gerrit's, signed by a domain.
pub(crate) fn signed_by(domain: &str) -> String {
    signed(domain, &FIELDS, "")
}

/// Another mail of Gerrit's that says the same.
pub(crate) fn another(number: u32) -> String {
    signed("google.com", &FIELDS, &format!(" t={number};"))
}

/// A mail of which only these fields are signed.
pub(crate) fn signed(domain: &str, fields: &[(&str, &str)], more: &str) -> String {
    let signature = signer::sign(fields, "relaxed/relaxed", domain, more);
    signer::header(&format!("Received: by 2002:a05\r\n{signature}"), &FIELDS) + "the body\r\n"
}

/// Every selector of google.com and example.com has the key of tests.
struct Keys;

#[async_trait::async_trait]
impl Txt for Keys {
    async fn txt(&self, name: &str) -> Result<Vec<Vec<u8>>, DnsError> {
        if name == "slow._domainkey.google.com" {
            return Err(DnsError::Slow);
        }
        let known = ["sel._domainkey.google.com", "sel._domainkey.example.com"].contains(&name);
        if known { Ok(vec![signer::record().into_bytes()]) } else { Err(DnsError::None) }
    }
}

pub(crate) struct Port {
    pub(crate) world: World,
    pub(crate) at: SocketAddr,
    shutdown: CancellationToken,
    runs: JoinHandle<()>,
}

pub(crate) fn smtp() -> SmtpConfig {
    SmtpConfig { host: "helper.example".into(), rcpt: RCPT.into(), ..SmtpConfig::default() }
}

/// A port for mail at a listener.
pub(crate) fn mail_port(listener: TcpListener) -> MailPort {
    MailPort {
        listener,
        txt: Arc::new(Keys),
        #[cfg(feature = "tls")]
        tls: None,
    }
}

impl Port {
    pub(crate) async fn open(smtp: SmtpConfig) -> Port {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Port::with(smtp, mail_port(listener)).await
    }

    pub(crate) async fn with(smtp: SmtpConfig, port: MailPort) -> Port {
        let world = World::stopped(Config { smtp, ..config() }).await;
        let at = port.listener.local_addr().unwrap();
        let shutdown = CancellationToken::new();
        let runs = tokio::spawn({
            let (hub, shutdown) = (world.hub.clone(), shutdown.clone());
            async move { pubsubhelper::run(&hub, Some(port), shutdown).await.unwrap() }
        });
        Port { world, at, shutdown, runs }
    }

    pub(crate) fn hub(&self) -> &Hub {
        &self.world.hub
    }

    /// Ends it all, and waits for that.
    pub(crate) async fn end(self) {
        self.shutdown.cancel();
        tokio::time::timeout(LONG, self.runs).await.unwrap().unwrap();
    }

    pub(crate) async fn client(&self) -> Client {
        Client::at(self.at).await
    }
}

pub(crate) struct Client(pub(crate) TcpStream);

impl Client {
    /// Connects, and hears the greeting.
    pub(crate) async fn at(at: SocketAddr) -> Client {
        let mut client = Client(TcpStream::connect(at).await.unwrap());
        assert_eq!(client.reply().await, "220 helper.example ESMTP Bellwether\r\n");
        client
    }

    pub(crate) async fn send(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).await.unwrap();
    }

    /// The next line.
    pub(crate) async fn reply(&mut self) -> String {
        String::from_utf8(self.reply_bytes().await).unwrap()
    }

    /// The same, where it may be no text; empty at the end.
    pub(crate) async fn reply_bytes(&mut self) -> Vec<u8> {
        let mut line = Vec::new();
        let read = async {
            while !line.ends_with(b"\n") {
                match self.0.read_u8().await {
                    Ok(byte) => line.push(byte),
                    Err(_) => break,
                }
            }
        };
        tokio::time::timeout(LONG, read).await.unwrap();
        line
    }

    pub(crate) async fn ask(&mut self, text: &str) -> String {
        self.send(text).await;
        self.reply().await
    }

    /// Says who sends to whom, up to where the mail begins.
    pub(crate) async fn begin(&mut self) {
        for (line, reply) in [
            (format!("MAIL FROM:<{FROM}>\r\n"), "250 2.1.0 Ok\r\n"),
            (format!("RCPT TO:<{RCPT}>\r\n"), "250 2.1.0 Ok\r\n"),
            ("DATA\r\n".into(), "354 Go ahead\r\n"),
        ] {
            assert_eq!(self.ask(&line).await, reply, "{line}");
        }
    }

    /// Brings a mail, and says how it was answered.
    pub(crate) async fn bring(&mut self, mail: &str) -> String {
        self.begin().await;
        self.ask(&format!("{mail}\r\n.\r\n")).await
    }
}

/// Runs a program of Python's, with a port as its argument, and gives what it writes.
pub(crate) async fn python(text: &str, at: SocketAddr, input: &str) -> String {
    use std::process::Stdio;
    let mut command = tokio::process::Command::new("python3");
    command.args(["-c", text, &at.port().to_string()]).kill_on_drop(true);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input.as_bytes()).await.unwrap();
    drop(stdin);
    let done = tokio::time::timeout(LONG, child.wait_with_output()).await.unwrap().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap()
}
