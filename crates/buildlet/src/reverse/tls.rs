//! TLS to the coordinator.

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::server::Connection;

/// A handshake must be done within this time.
const HANDSHAKE: Duration = Duration::from_secs(30);
/// More than the certificates of all public CAs take.
const LARGEST: u64 = 4 << 20;

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsError {
    /// The file of a private CA can't be read.
    #[error("the certificates of --ca-file {} can't be read: {source}", file.display())]
    CaFile {
        /// The file.
        file: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// There is nothing to be trusted in it.
    #[error("there is no certificate in PEM in --ca-file {}; name the file of the CA's own certificate", .0.display())]
    NoCertificate(PathBuf),
    /// A certificate can't be for it.
    #[error("{0:?} is no name that a certificate can be for")]
    Name(String),
    /// The handshake failed, for example because the certificate is not trusted.
    #[error(
        "TLS with {to} failed: {source}; if its certificate is signed by a CA of your own, \
         name the CA's certificate with --ca-file"
    )]
    Handshake {
        /// The coordinator.
        to: String,
        /// Why.
        source: io::Error,
    },
    /// It did not answer.
    #[error("TLS with {0}: no answer in time")]
    Slow(String),
}

/// Makes connections private, and sure of whom they lead to.
pub(crate) struct Tls(TlsConnector);

impl Tls {
    /// Trusts the well-known CAs, and those of a file.
    pub(crate) fn open(ca_file: Option<&Path>) -> Result<Self, TlsError> {
        let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        if let Some(file) = ca_file {
            let unreadable = |source| TlsError::CaFile { file: file.to_owned(), source };
            let mut pem = Vec::new();
            let opened = std::fs::File::open(file).map_err(unreadable)?;
            opened.take(LARGEST).read_to_end(&mut pem).map_err(unreadable)?;
            let found = CertificateDer::pem_slice_iter(&pem).flatten();
            if roots.add_parsable_certificates(found).0 == 0 {
                return Err(TlsError::NoCertificate(file.to_owned()));
            }
        }
        // No ALPN: a coordinator whose port does HTTP/2 as well then knows that this is not it.
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("invariant: ring has what TLS 1.2 and 1.3 need")
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self(TlsConnector::from(Arc::new(config))))
    }

    /// Does the handshake with who must be `host`.
    pub(crate) async fn wrap(&self, stream: TcpStream, host: &str) -> Result<Connection, TlsError> {
        let name = ServerName::try_from(host.to_owned()).map_err(|_bad| TlsError::Name(host.to_owned()))?;
        let shaken = timeout(HANDSHAKE, self.0.connect(name, stream)).await;
        let stream = shaken
            .map_err(|_late| TlsError::Slow(host.to_owned()))?
            .map_err(|source| TlsError::Handshake { to: host.to_owned(), source })?;
        Ok(Box::new(stream))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_a_certificate_is_told_by_its_name() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("ca.pem");
        let open = || Tls::open(Some(&file)).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(open().contains("ca.pem can't be read"), "{}", open());
        std::fs::write(&file, "nothing\n").unwrap();
        assert!(open().contains("no certificate in PEM in --ca-file"), "{}", open());
        let key = rcgen::KeyPair::generate().unwrap();
        let made = rcgen::CertificateParams::new(vec!["ci.example".to_owned()]).unwrap();
        std::fs::write(&file, made.self_signed(&key).unwrap().pem()).unwrap();
        assert_eq!(open(), "");
    }
}
