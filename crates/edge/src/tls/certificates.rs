//! The certificate that is shown now, and those that prove to an authority that a name is ours.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::{CHALLENGE, validity};

/// What is shown to whom.
#[derive(Debug, Default)]
pub(crate) struct Certificates {
    current: RwLock<Option<Arc<CertifiedKey>>>,
    challenges: RwLock<HashMap<String, Arc<CertifiedKey>>>,
}

impl Certificates {
    /// The one that is shown now.
    pub fn current(&self) -> Option<Arc<CertifiedKey>> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Shows another one from now on; connections that there are keep theirs.
    pub fn set(&self, key: CertifiedKey) {
        let validity = key.cert.first().and_then(|cert| validity::of(cert));
        if validity.is_some_and(|validity| validity.until <= validity::now()) {
            tracing::warn!("the certificate's time is over; nobody who looks at it will trust this server");
        }
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(key));
    }

    /// Shows this one to authorities that ask for the name.
    pub fn prove(&self, name: &str, key: CertifiedKey) {
        let mut all = self.challenges.write().unwrap_or_else(PoisonError::into_inner);
        all.insert(name.to_ascii_lowercase(), Arc::new(key));
    }

    /// Forgets what was shown to authorities.
    pub fn proven(&self) {
        self.challenges.write().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let mut protocols = hello.alpn().into_iter().flatten();
        if protocols.next() == Some(CHALLENGE) && protocols.next().is_none() {
            let name = hello.server_name()?.to_ascii_lowercase();
            let all = self.challenges.read().unwrap_or_else(PoisonError::into_inner);
            return all.get(&name).cloned();
        }
        self.current()
    }
}
