//! TLS for those who dial us.

use std::io;
use std::sync::Arc;

use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;

use super::Connection;
use crate::listen::Identity;

/// Makes connections private, and shows who we are.
#[derive(Clone)]
pub(crate) struct Tls(TlsAcceptor);

impl Tls {
    pub(super) fn open(identity: &Identity) -> io::Result<Self> {
        let certificates = CertificateDer::pem_slice_iter(identity.cert.as_bytes())
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| io::Error::other(format!("the TLS certificate is not PEM: {error}")))?;
        if certificates.is_empty() {
            return Err(io::Error::other("there is no certificate in PEM in the TLS certificate"));
        }
        let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes())
            .map_err(|error| io::Error::other(format!("there is no key in PEM in the TLS key: {error}")))?;
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("invariant: ring has what TLS 1.2 and 1.3 need")
            .with_no_client_auth()
            .with_single_cert(certificates, key)
            .map_err(|error| {
                io::Error::other(format!("the TLS certificate and key can't be used: {error}"))
            })?;
        Ok(Self(TlsAcceptor::from(Arc::new(config))))
    }

    pub(super) async fn accept(&self, stream: TcpStream) -> io::Result<Connection> {
        Ok(Box::new(self.0.accept(stream).await?))
    }
}
