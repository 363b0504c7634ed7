//! One connection: it moves bytes between a stream and a session.

use std::io;

use jiff::Timestamp;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio_util::sync::CancellationToken;

use super::MailPort;
use super::accept::{Accepted, accept};
use super::session::{Mail, Session, Step, Terms};
use crate::{Hint, Hub, Published};

/// How much is read at once, bytes.
const CHUNK: usize = 16 << 10;

/// A connection, over TLS or not.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

pub(super) struct Connection<'a> {
    hub: Hub,
    port: &'a MailPort,
    stream: Box<dyn Stream>,
    session: Session,
    shutdown: CancellationToken,
}

impl<'a> Connection<'a> {
    pub(super) fn new(
        hub: Hub,
        port: &'a MailPort,
        stream: Box<dyn Stream>,
        shutdown: CancellationToken,
    ) -> Connection<'a> {
        let config = &hub.inner.config.smtp;
        #[cfg(feature = "tls")]
        let tls = port.tls.is_some();
        #[cfg(not(feature = "tls"))]
        let tls = false;
        let (host, rcpt, limits) = (config.host.clone(), config.rcpt.clone(), config.limits);
        let session = Session::new(Terms { host, rcpt, limits, tls });
        Connection { hub, port, stream, session, shutdown }
    }

    pub(super) async fn run(mut self) -> io::Result<()> {
        let mut out = Vec::new();
        self.session.greet(&mut out);
        self.write(&mut out).await?;
        let mut chunk = vec![0; CHUNK];
        loop {
            match self.session.step(&mut out) {
                Step::More => {
                    // Replies to what came together go together.
                    self.write(&mut out).await?;
                    let idle = self.hub.inner.config.smtp.idle;
                    let read = tokio::select! {
                        read = tokio::time::timeout(idle, self.stream.read(&mut chunk)) => read,
                        () = self.shutdown.cancelled() => {
                            return self.leave("421 4.3.2 Error: shutting down\r\n").await;
                        }
                    };
                    match read {
                        Ok(Ok(0)) => return Ok(()),
                        Ok(length) => self.session.push(&chunk[..length?]),
                        Err(_) => return self.leave("421 4.4.2 Error: timeout\r\n").await,
                    }
                }
                Step::Mail(mail) => {
                    let taken = deliver(&self.hub, self.port, &mail).await;
                    self.session.delivered(taken, &mut out);
                }
                Step::StartTls => {
                    self.write(&mut out).await?;
                    self = self.secure().await?;
                }
                Step::Close => {
                    self.write(&mut out).await?;
                    return self.stream.shutdown().await;
                }
            }
        }
    }

    async fn write(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        let idle = self.hub.inner.config.smtp.idle;
        let written = async {
            self.stream.write_all(out).await?;
            self.stream.flush().await
        };
        tokio::time::timeout(idle, written).await??;
        out.clear();
        Ok(())
    }

    async fn leave(mut self, line: &str) -> io::Result<()> {
        self.write(&mut line.as_bytes().to_vec()).await?;
        self.stream.shutdown().await
    }

    #[cfg(feature = "tls")]
    async fn secure(self) -> io::Result<Connection<'a>> {
        let Connection { hub, port, stream, mut session, shutdown } = self;
        let Some(tls) = &port.tls else { return Err(io::ErrorKind::Unsupported.into()) };
        let accepted = tokio::time::timeout(hub.inner.config.smtp.idle, tls.accept(stream)).await??;
        session.secured();
        Ok(Connection { hub, port, stream: Box::new(accepted), session, shutdown })
    }

    #[cfg(not(feature = "tls"))]
    #[expect(clippy::unused_async, reason = "it is the other's twin")]
    async fn secure(mut self) -> io::Result<Connection<'a>> {
        // It is never offered, so that no session asks for it.
        self.session.secured();
        Ok(self)
    }
}

/// Whether the mail was looked at; if not, its sender is to bring it again.
async fn deliver(hub: &Hub, port: &MailPort, mail: &Mail) -> bool {
    let config = &hub.inner.config.smtp;
    let Accepted { event, delivery } = match accept(mail, config, &*port.txt, Timestamp::now()).await {
        Ok(accepted) => accepted,
        Err(why) if why.is_passing() => {
            tracing::warn!(%why, "a mail is put off");
            return false;
        }
        Err(why) => {
            tracing::info!(%why, "a mail is ignored");
            return true;
        }
    };
    match hub.publish(Hint::Gerrit(event), Some(delivery)).await {
        Ok(Published::New(_)) => true,
        Ok(Published::Repeated) => {
            tracing::info!("a mail was brought again");
            true
        }
        Err(error) => {
            tracing::warn!(%error, "a mail is put off");
            false
        }
    }
}
