//! A certificate that an authority issues over ACME (RFC 8555), to whoever answers on this very port (RFC 8737).

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use instant_acme::{
    Account, AccountCredentials, AuthorizationStatus, ChallengeType, Identifier, NewAccount, NewOrder, Order,
    OrderStatus, RetryPolicy,
};
use rcgen::{CertificateParams, CustomExtension, KeyPair};
use rustls::RootCertStore;
use sha2::Digest as _;

use super::{Certificates, TlsError, certified, provider, read, validity, write};

mod http;

/// A certificate must be issued in this time.
const ISSUE: Duration = Duration::from_secs(300);
/// After a failure is waited so long, after each further one four times as long, up to the last. Authorities count
/// failures by the hour.
const FIRST: Duration = Duration::from_secs(10);
const LAST: Duration = Duration::from_secs(3600);
/// A running clock that was set right is noticed in this time.
const LOOK: Duration = Duration::from_secs(3600);

/// What an authority is asked for.
#[derive(Debug, Clone)]
pub struct AcmeSettings {
    /// Where account and certificate are kept.
    pub dir: PathBuf,
    /// The names; the authority reaches each of them on port 443, which must lead here.
    pub domains: Vec<String>,
    /// Whom the authority may write to, as `mailto:…`.
    pub contact: Vec<String>,
    /// The authority's directory.
    pub directory: String,
    /// Certificates in PEM by which the directory itself is known, in place of the well-known ones.
    pub ca_file: Option<PathBuf>,
}

/// Why nothing was issued.
#[derive(Debug, thiserror::Error)]
enum IssueError {
    #[error(transparent)]
    Acme(#[from] instant_acme::Error),
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error("the account that is kept can't be read: {0}")]
    Account(#[from] serde_json::Error),
    #[error("the authority does not offer tls-alpn-01 for {0}")]
    NoChallenge(String),
    #[error("the authority refuses {0}")]
    Refused(String),
    #[error("nothing was issued within {} s", ISSUE.as_secs())]
    Late,
}

/// Has a certificate issued, and renewed in time.
pub(crate) struct Issuer {
    settings: AcmeSettings,
    roots: Arc<RootCertStore>,
    /// Where the account is kept, by its authority.
    account: PathBuf,
    /// Where key and chain are kept, by authority and names.
    kept: PathBuf,
}

impl Issuer {
    /// Shows the certificate that is kept, if there is one.
    pub fn open(settings: AcmeSettings, certificates: &Certificates) -> Result<Issuer, TlsError> {
        if settings.domains.is_empty() {
            return Err(TlsError::Acme("there is no name to have a certificate for".into()));
        }
        let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        if let Some(file) = &settings.ca_file {
            use rustls_pki_types::pem::PemObject as _;
            let text = read(file)?;
            let found = rustls_pki_types::CertificateDer::pem_slice_iter(&text).flatten();
            roots = RootCertStore::empty();
            if roots.add_parsable_certificates(found).0 == 0 {
                return Err(TlsError::NoAuthority(file.clone()));
            }
        }
        let short = |text: &str| {
            let digest = sha2::Sha256::digest(text);
            digest.iter().take(6).map(|byte| format!("{byte:02x}")).collect::<String>()
        };
        let account = settings.dir.join(format!("account-{}.json", short(&settings.directory)));
        let names = format!("{} {}", settings.directory, settings.domains.join(" "));
        let kept = settings.dir.join(format!("certificate-{}.pem", short(&names)));
        match read(&kept).and_then(|text| certified(&kept, &text, &kept, &text)) {
            Ok(key) => certificates.set(key),
            Err(TlsError::File { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => {
                tracing::warn!(%error, "the certificate that was kept can't be used; another is asked for")
            }
        }
        Ok(Issuer { settings, roots: Arc::new(roots), account, kept })
    }

    /// Asks for a certificate whenever there is none, or two thirds of its time are over.
    pub async fn run(self, certificates: &Certificates) {
        let mut wait = FIRST;
        loop {
            let left = due(certificates).saturating_sub(validity::now());
            if left > 0 {
                let left = Duration::from_secs(left.unsigned_abs()).min(LOOK);
                tokio::time::sleep(left).await;
                continue;
            }
            let issued = tokio::time::timeout(ISSUE, self.issue(certificates)).await;
            certificates.proven();
            match issued.unwrap_or(Err(IssueError::Late)) {
                Ok(()) => {
                    wait = FIRST;
                    tracing::info!(domains = ?self.settings.domains, "a certificate was issued");
                }
                Err(error) => {
                    let shown = if certificates.current().is_some() {
                        "the one before is still shown"
                    } else {
                        "there is none"
                    };
                    tracing::error!(
                        %error,
                        directory = self.settings.directory,
                        domains = ?self.settings.domains,
                        "no certificate was issued; {shown}; tried again in {} s", wait.as_secs()
                    );
                    tokio::time::sleep(wait).await;
                    wait = (wait * 4).min(LAST);
                }
            }
        }
    }

    async fn issue(&self, certificates: &Certificates) -> Result<(), IssueError> {
        let names: Vec<_> = self.settings.domains.iter().cloned().map(Identifier::Dns).collect();
        let asked = NewOrder::new(&names);
        let mut order = match self.account().await?.new_order(&asked).await {
            Err(instant_acme::Error::Api(problem)) if forgotten(&problem) => {
                tracing::warn!("the authority has forgotten our account; another is made");
                let removed = std::fs::remove_file(&self.account);
                removed.map_err(|source| TlsError::File { path: self.account.clone(), source })?;
                self.account().await?.new_order(&asked).await?
            }
            order => order?,
        };
        self.prove(&mut order, certificates).await?;
        let retries = RetryPolicy::new().timeout(ISSUE);
        match order.poll_ready(&retries).await {
            Ok(OrderStatus::Ready) => {}
            Ok(_) | Err(instant_acme::Error::Api(_)) => {
                return Err(IssueError::Refused(why(&mut order).await));
            }
            Err(error) => return Err(error.into()),
        }
        let key = order.finalize().await?;
        let chain = order.poll_certificate(&retries).await?;
        let text = format!("{key}{chain}");
        let fresh = certified(&self.kept, text.as_bytes(), &self.kept, text.as_bytes())?;
        // It is of use even where it can't be kept.
        if let Err(error) = write(&self.kept, &text) {
            tracing::error!(%error, "the new certificate is not kept, so that the next start asks for another");
        }
        certificates.set(fresh);
        Ok(())
    }

    async fn account(&self) -> Result<Account, IssueError> {
        let client = || http::Client::new(&self.roots).map_err(|source| TlsError::Acme(source.to_string()));
        match read(&self.account) {
            Ok(text) => {
                let kept: AccountCredentials = serde_json::from_slice(&text)?;
                let builder = Account::builder_with_http(Box::new(client()?));
                Ok(builder.from_credentials(kept).await?)
            }
            Err(TlsError::File { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
                let contact: Vec<&str> = self.settings.contact.iter().map(String::as_str).collect();
                let asked = NewAccount {
                    contact: &contact,
                    terms_of_service_agreed: true,
                    only_return_existing: false,
                };
                let builder = Account::builder_with_http(Box::new(client()?));
                let (account, credentials) =
                    builder.create(&asked, self.settings.directory.clone(), None).await?;
                write(&self.account, &serde_json::to_string(&credentials)?)?;
                Ok(account)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Shows for each name, to whoever asks in the authority's way, what only the account's owner can know.
    async fn prove(&self, order: &mut Order, certificates: &Certificates) -> Result<(), IssueError> {
        let mut authorizations = order.authorizations();
        while let Some(authorization) = authorizations.next().await {
            let mut authorization = authorization?;
            let name = authorization.identifier().to_string();
            match authorization.status {
                AuthorizationStatus::Valid => continue,
                AuthorizationStatus::Pending => {}
                _ => return Err(IssueError::Refused(name)),
            }
            let Some(mut challenge) = authorization.challenge(ChallengeType::TlsAlpn01) else {
                return Err(IssueError::NoChallenge(name));
            };
            let digest = challenge.key_authorization().digest();
            certificates.prove(&name, proof(&name, digest.as_ref())?);
            challenge.set_ready().await?;
        }
        Ok(())
    }
}

/// Whether an authority does not know our account any more.
fn forgotten(problem: &instant_acme::Problem) -> bool {
    problem.r#type.as_deref().is_some_and(|kind| kind.ends_with(":accountDoesNotExist"))
}

/// What an authority found wrong, name by name.
async fn why(order: &mut Order) -> String {
    let mut found = Vec::new();
    let mut authorizations = order.authorizations();
    while let Some(Ok(mut authorization)) = authorizations.next().await {
        let _ = authorization.refresh().await;
        let name = authorization.identifier().to_string();
        let errors = authorization.challenges.iter().filter_map(|challenge| challenge.error.as_ref());
        found.extend(errors.map(|error| format!("{name}: {error}")));
    }
    if found.is_empty() { "the order, and does not say why".into() } else { found.join("; ") }
}

/// The certificate by which a name is shown to be ours.
fn proof(name: &str, digest: &[u8]) -> Result<rustls::sign::CertifiedKey, TlsError> {
    if digest.len() != 32 {
        return Err(TlsError::Acme("a proof is of no known kind".into()));
    }
    let mut params = CertificateParams::new(vec![name.to_owned()])?;
    params.custom_extensions = vec![CustomExtension::new_acme_identifier(digest)];
    let key = KeyPair::generate()?;
    let made = params.self_signed(&key)?;
    let secret = rustls_pki_types::PrivatePkcs8KeyDer::from(key.serialize_der()).into();
    let secret = provider().key_provider.load_private_key(secret);
    let secret = secret.map_err(|source| TlsError::Unusable { path: PathBuf::from(name), source })?;
    // Not looked at as others are: its critical extension is for authorities alone.
    Ok(rustls::sign::CertifiedKey::new(vec![made.der().clone()], secret))
}

/// When a new one is to be had, in seconds since 1970: after two thirds of the time of that which is shown.
fn due(certificates: &Certificates) -> i64 {
    let current = certificates.current();
    let validity = current.and_then(|current| validity::of(current.cert.first()?));
    validity.map_or(0, |validity| validity.until - (validity.until.saturating_sub(validity.from)) / 3)
}
