//! The same with TLS.

use std::sync::{Arc, OnceLock};

use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

use super::names::Whom;
use super::{Client, Version, plain, with};
use crate::CallError;

fn well_known() -> RootCertStore {
    RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() }
}

fn config(roots: RootCertStore) -> ClientConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("invariant: ring has what TLS 1.2 and 1.3 need")
        .with_root_certificates(roots)
        .with_no_client_auth()
}

fn by(config: ClientConfig, version: Version, whom: Whom) -> Client {
    let mut http = plain(whom);
    http.enforce_http(false);
    let connector = hyper_rustls::HttpsConnectorBuilder::new().with_tls_config(config).https_or_http();
    let connector = match version {
        Version::One => connector.enable_http1().wrap_connector(http),
        Version::Two => connector.enable_http2().wrap_connector(http),
    };
    with(connector, version)
}

pub(crate) fn client_of(version: Version, whom: Whom) -> Client {
    static CONFIG: OnceLock<ClientConfig> = OnceLock::new();
    by(CONFIG.get_or_init(|| config(well_known())).clone(), version, whom)
}

pub(crate) fn client_trusting(certificates: &[u8], version: Version) -> Result<Client, CallError> {
    let mut roots = well_known();
    let found = CertificateDer::pem_slice_iter(certificates).flatten();
    if roots.add_parsable_certificates(found).0 == 0 {
        return Err(CallError::BadRequest("there is no certificate in PEM among those to be trusted".into()));
    }
    Ok(by(config(roots), version, Whom::All))
}

/// Whether an address can be reached at all by what is built in.
#[expect(clippy::unnecessary_wraps, reason = "without TLS there is an address that can't")]
pub(crate) fn possible(_: &str) -> Result<(), CallError> {
    Ok(())
}
