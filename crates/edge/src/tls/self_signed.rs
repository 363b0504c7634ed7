//! A certificate of our own making, for development: nobody vouches for it, so its fingerprint is to be compared.

use std::path::Path;

use rcgen::{CertificateParams, DnType, KeyPair};
use rustls::sign::CertifiedKey;

use super::{TlsError, certified, read, write};

/// The certificate, in its folder: what it is for, then the certificate. Clients may be given it.
pub const CERTIFICATE: &str = "self-signed.pem";
/// Its key.
const KEY: &str = "self-signed.key";

/// Reads it, or makes it where there is none for these names.
pub(crate) fn open(dir: &Path, names: &[String]) -> Result<CertifiedKey, TlsError> {
    let (cert, key) = (dir.join(CERTIFICATE), dir.join(KEY));
    // What stands before the first mark of PEM is read by nobody else.
    let head = format!("for {}\n", names.join(" "));
    match read(&cert) {
        Ok(chain) if chain.starts_with(head.as_bytes()) => {
            return certified(&cert, &chain, &key, &read(&key)?);
        }
        Err(TlsError::File { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {}
        Ok(_) => {}
        Err(error) => return Err(error),
    }
    let mut params = CertificateParams::new(names.to_vec())?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "Bellwether, signed by itself");
    let secret = KeyPair::generate()?;
    let made = params.self_signed(&secret)?;
    // The key first: a certificate that is there has its key.
    write(&key, &secret.serialize_pem())?;
    write(&cert, &format!("{head}{}", made.pem()))?;
    certified(&cert, &read(&cert)?, &key, &read(&key)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn it_is_made_once_for_the_same_names_and_only_its_owner_reads_it() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("tls");
        let names = |all: &[&str]| all.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
        let first = open(&dir, &names(&["localhost", "127.0.0.1"])).unwrap();
        let again = open(&dir, &names(&["localhost", "127.0.0.1"])).unwrap();
        assert_eq!(first.cert, again.cert);
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&dir), mode(&dir.join(KEY))), (0o700, 0o600));
        assert!(!std::fs::read_to_string(dir.join(CERTIFICATE)).unwrap().contains("PRIVATE"));
        let other = open(&dir, &names(&["ci.example"])).unwrap();
        assert_ne!(first.cert, other.cert, "another name, another certificate");
    }
}
