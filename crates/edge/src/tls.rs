//! TLS on the one port: where certificates come from, and how they change while the server runs.
//!
//! [`Tls::open`] reads or makes the first certificate, or says why there is none; [`Keeper::run`] is to run beside the
//! server: it reads files again that have changed, or has a certificate issued and renewed by ACME. What is bad replaces
//! nothing.

mod acme;
mod certificates;
mod files;
mod self_signed;
mod validity;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::sign::CertifiedKey;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;

pub use acme::AcmeSettings;
use certificates::Certificates;
pub use self_signed::CERTIFICATE as SELF_SIGNED;

/// The first byte of a TLS handshake; no method of HTTP begins with it.
pub(crate) const HANDSHAKE: u8 = 0x16;
/// The protocol by which an authority looks whether a name is ours (RFC 8737).
const CHALLENGE: &[u8] = b"acme-tls/1";
/// The largest file with certificates or keys.
const LARGEST: u64 = 1 << 20;

/// Where the certificate comes from.
#[derive(Debug, Clone)]
pub enum Source {
    /// Files in PEM, read again when they change.
    Files {
        /// The chain, our own certificate first.
        cert: PathBuf,
        /// Its key.
        key: PathBuf,
    },
    /// One that we make and keep in this folder, for these names.
    SelfSigned {
        /// The folder.
        dir: PathBuf,
        /// Host names and addresses.
        names: Vec<String>,
    },
    /// One that an authority issues.
    Acme(AcmeSettings),
}

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file can't be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A file holds no certificate.
    #[error("{} holds no certificate in PEM", .0.display())]
    NoCertificate(PathBuf),
    /// A file holds no private key.
    #[error("{} holds no private key in PEM", .0.display())]
    NoKey(PathBuf),
    /// Certificate and key are of no use, or not of each other.
    #[error("certificate and key of {} are of no use: {source}", path.display())]
    Unusable {
        /// The file with the certificate.
        path: PathBuf,
        /// Why.
        #[source]
        source: rustls::Error,
    },
    /// A certificate can't be made.
    #[error("no certificate can be made: {0}")]
    Making(#[from] rcgen::Error),
    /// A file with the certificates of authorities holds none that can be used.
    #[error("{} holds no certificate of an authority in PEM", .0.display())]
    NoAuthority(PathBuf),
    /// What ACME needs is not there.
    #[error("ACME: {0}")]
    Acme(String),
}

/// TLS for connections. Cheap to clone.
#[derive(Clone)]
pub struct Tls {
    acceptor: TlsAcceptor,
    certificates: Arc<Certificates>,
}

/// A connection over TLS.
pub(crate) enum Accepted {
    /// Speaks HTTP/1.1.
    Http1(Box<TlsStream<TcpStream>>),
    /// Speaks HTTP/2.
    Http2(Box<TlsStream<TcpStream>>),
    /// Asked whether a name is ours, and has its answer.
    Challenge,
}

impl Tls {
    /// Opens a source.
    ///
    /// # Errors
    /// The source's: no certificate, or none that can be used. A certificate that an authority has still to issue is none.
    pub fn open(source: Source) -> Result<(Tls, Keeper), TlsError> {
        let certificates = Arc::new(Certificates::default());
        let kept = match source {
            Source::Files { cert, key } => {
                let files = files::Watched::open(cert, key, &certificates)?;
                Kept::Files(files)
            }
            Source::SelfSigned { dir, names } => {
                certificates.set(self_signed::open(&dir, &names)?);
                Kept::Nothing
            }
            Source::Acme(settings) => Kept::Acme(acme::Issuer::open(settings, &certificates)?),
        };
        let mut config = rustls::ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(|source| TlsError::Unusable { path: PathBuf::new(), source })?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&certificates) as _);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec(), CHALLENGE.to_vec()];
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let tls = Tls { acceptor, certificates: Arc::clone(&certificates) };
        Ok((tls, Keeper { certificates, kept }))
    }

    /// The SHA-256 of our own certificate as people compare it; none before there is one.
    #[must_use]
    pub fn fingerprint(&self) -> Option<String> {
        use sha2::Digest as _;
        let current = self.certificates.current()?;
        let digest = sha2::Sha256::digest(current.cert.first()?);
        Some(digest.iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(":"))
    }

    /// Until when our own certificate is valid, in seconds since 1970; none before there is one.
    #[must_use]
    pub fn valid_until(&self) -> Option<i64> {
        let current = self.certificates.current()?;
        Some(validity::of(current.cert.first()?)?.until)
    }

    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        self.acceptor.clone()
    }

    pub(crate) async fn accept(&self, stream: TcpStream) -> std::io::Result<Accepted> {
        let stream = Box::new(self.acceptor.accept(stream).await?);
        Ok(match stream.get_ref().1.alpn_protocol() {
            Some(b"h2") => Accepted::Http2(stream),
            Some(CHALLENGE) => Accepted::Challenge,
            _ => Accepted::Http1(stream),
        })
    }
}

/// Keeps the certificate as it should be, while it runs.
#[must_use]
pub struct Keeper {
    certificates: Arc<Certificates>,
    kept: Kept,
}

enum Kept {
    Nothing,
    Files(files::Watched),
    Acme(acme::Issuer),
}

impl Keeper {
    /// Runs until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let certificates = self.certificates;
        let keeping = async {
            match self.kept {
                Kept::Nothing => {}
                Kept::Files(files) => files.watch(&certificates).await,
                Kept::Acme(issuer) => issuer.run(&certificates).await,
            }
        };
        tokio::select! {
            () = keeping => {}
            () = stop.cancelled() => {}
        }
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// Reads a file that is not too large.
fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    use std::io::Read as _;
    let wrong = |source| TlsError::File { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(wrong)?;
    file.take(LARGEST + 1).read_to_end(&mut bytes).map_err(wrong)?;
    if bytes.len() as u64 > LARGEST {
        return Err(wrong(std::io::Error::other(format!("the file is over {LARGEST} bytes"))));
    }
    Ok(bytes)
}

/// Writes a file that only its owner may read, whole or not at all.
fn write(path: &Path, text: &str) -> Result<(), TlsError> {
    use std::io::Write as _;
    use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
    let wrong = |source| TlsError::File { path: path.to_owned(), source };
    if let Some(dir) = path.parent() {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(wrong)?;
    }
    let partial = path.with_extension("partial");
    match std::fs::remove_file(&partial) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(wrong(error)),
        _ => {}
    }
    let file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&partial);
    file.and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()))
        .and_then(|()| std::fs::rename(&partial, path))
        .map_err(wrong)
}

/// Takes chain and key out of their files' text.
fn certified(cert: &Path, chain: &[u8], key: &Path, secret: &[u8]) -> Result<CertifiedKey, TlsError> {
    use rustls_pki_types::pem::PemObject as _;
    use rustls_pki_types::{CertificateDer, PrivateKeyDer};
    let chain: Vec<_> = CertificateDer::pem_slice_iter(chain)
        .collect::<Result<_, _>>()
        .map_err(|_| TlsError::NoCertificate(cert.to_owned()))?;
    if chain.is_empty() {
        return Err(TlsError::NoCertificate(cert.to_owned()));
    }
    let secret = PrivateKeyDer::from_pem_slice(secret).map_err(|_| TlsError::NoKey(key.to_owned()))?;
    CertifiedKey::from_der(chain, secret, &provider())
        .map_err(|source| TlsError::Unusable { path: cert.to_owned(), source })
}
