//! A client by russh: it asks for what OpenSSH's does not, or tells what OpenSSH's does not show.

use std::path::Path;
use std::sync::Arc;

use russh::client::{AuthResult, Config, Handle, Handler, Msg, connect_stream};
use russh::keys::{PrivateKey, PrivateKeyWithHashAlg, PublicKeyOrCertificate};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::UnixStream;

use super::guest::{enter, request};
use crate::agent::Agent;

/// A client that has come in.
pub struct Client(pub Handle<Trusting>);

/// Takes any server for the right one: it knows where its connection leads.
pub struct Trusting;

impl Handler for Trusting {
    type Error = russh::Error;

    async fn check_server_key(&mut self, _: &PublicKeyOrCertificate) -> Result<bool, russh::Error> {
        Ok(true)
    }
}

/// Comes to an agent that lets in one key, with another or the same; says what came of it.
pub async fn knock(agent: &Agent, told: &Path, own: &Path) -> (Handle<Trusting>, AuthResult) {
    knock_at(UnixStream::connect(agent.socket()).await.unwrap(), told, own).await
}

async fn knock_at<S>(stream: S, told: &Path, own: &Path) -> (Handle<Trusting>, AuthResult)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let told = std::fs::read_to_string(told.with_extension("pub")).unwrap();
    let own = PrivateKey::from_openssh(std::fs::read(own).unwrap()).unwrap();
    let stream = enter(stream, &request(&told, "")).await;
    let mut session = connect_stream(Arc::new(Config::default()), stream, Trusting).await.unwrap();
    let key = PrivateKeyWithHashAlg::new(Arc::new(own), None);
    let result = session.authenticate_publickey("anybody", key).await.unwrap();
    (session, result)
}

impl Client {
    pub async fn enter(agent: &Agent, key: &Path) -> Self {
        Self::by(UnixStream::connect(agent.socket()).await.unwrap(), key).await
    }

    /// On a connection to an agent.
    pub async fn by<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(stream: S, key: &Path) -> Self {
        let (session, result) = knock_at(stream, key, key).await;
        assert!(result.success(), "{result:?}");
        Self(session)
    }

    pub async fn channel(&self) -> Result<russh::Channel<Msg>, russh::Error> {
        self.0.channel_open_session().await
    }
}
