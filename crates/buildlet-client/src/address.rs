//! Where an agent is, and how to reach it.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use futures::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

/// A byte stream to an agent.
pub trait Connection: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Connection for T {}

/// Makes connections by some other means than a socket address: in memory, or dialled backwards.
pub trait Connect: Send + Sync {
    /// Opens one connection.
    fn connect(&self) -> BoxFuture<'static, io::Result<Box<dyn Connection>>>;
    /// What is reached, for people who read an error.
    fn name(&self) -> String {
        "the other end".to_owned()
    }
}

/// Where an agent is.
#[derive(Clone)]
pub enum Address {
    /// A Unix socket on this machine.
    Unix(PathBuf),
    /// A TCP port.
    Tcp(SocketAddr),
    /// Whatever the connector reaches.
    Custom(Arc<dyn Connect>),
}

impl Address {
    pub(crate) async fn connect(&self) -> io::Result<Box<dyn Connection>> {
        match self {
            Self::Unix(path) => Ok(Box::new(UnixStream::connect(path).await?)),
            Self::Tcp(addr) => {
                let stream = TcpStream::connect(addr).await?;
                stream.set_nodelay(true)?;
                Ok(Box::new(stream))
            }
            Self::Custom(connector) => connector.connect().await,
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Tcp(addr) => write!(f, "{addr}"),
            Self::Custom(connector) => f.write_str(&connector.name()),
        }
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
