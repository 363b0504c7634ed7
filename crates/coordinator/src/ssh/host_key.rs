//! By what this server is known to SSH clients, and knows itself to the machines that it leads to.

use std::sync::Arc;

use russh::keys::ssh_key::LineEnding;
use russh::keys::ssh_key::private::Ed25519Keypair;
use russh::keys::{Algorithm, PrivateKey};

/// A key that is none for a server.
#[derive(Debug, thiserror::Error)]
pub enum BadHostKey {
    /// It is not in OpenSSH's format, or damaged.
    #[error("it is no private key as ssh-keygen writes them: {0}")]
    Format(String),
    /// It wants a passphrase.
    #[error("it is encrypted; make one without a passphrase: ssh-keygen -t ed25519 -N ''")]
    Encrypted,
    /// It is of a kind that is not used here.
    #[error("it is of kind {0}; make one by: ssh-keygen -t ed25519 -N ''")]
    Kind(String),
}

/// The server's own key. Clones share it.
#[derive(Clone)]
pub struct SshHostKey(Arc<PrivateKey>);

impl std::fmt::Debug for SshHostKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("SshHostKey").field(&self.public_line()).finish()
    }
}

impl SshHostKey {
    /// Makes one, Ed25519, of 32 random bytes.
    #[must_use]
    pub fn of(random: &[u8; 32]) -> SshHostKey {
        SshHostKey(Arc::new(PrivateKey::from(Ed25519Keypair::from_seed(random))))
    }

    /// Reads one as `ssh-keygen` writes it.
    ///
    /// # Errors
    /// See [`BadHostKey`].
    pub fn parse(text: &str) -> Result<SshHostKey, BadHostKey> {
        let key = PrivateKey::from_openssh(text).map_err(|error| BadHostKey::Format(error.to_string()))?;
        if key.is_encrypted() {
            return Err(BadHostKey::Encrypted);
        }
        match key.algorithm() {
            Algorithm::Ed25519 | Algorithm::Ecdsa { .. } => Ok(SshHostKey(Arc::new(key))),
            other => Err(BadHostKey::Kind(other.to_string())),
        }
    }

    /// As `ssh-keygen` writes it: a secret.
    #[must_use]
    pub fn to_openssh(&self) -> String {
        let text = self.0.to_openssh(LineEnding::LF);
        text.map(|text| text.to_string()).expect("invariant: a key without a passphrase can be written")
    }

    /// Its public half, as a line of `authorized_keys` without a comment.
    #[must_use]
    pub fn public_line(&self) -> String {
        public_line(&self.0)
    }

    pub(super) fn private(&self) -> &Arc<PrivateKey> {
        &self.0
    }
}

/// The public half of a key, as a line.
pub(super) fn public_line(key: &PrivateKey) -> String {
    let mut public = key.public_key().clone();
    public.set_comment("");
    public.to_openssh().expect("invariant: a key that was made or read can be written").trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_read_as_it_was_written() {
        let key = SshHostKey::of(&[7; 32]);
        let text = key.to_openssh();
        assert!(text.starts_with("-----BEGIN OPENSSH PRIVATE KEY-----\n"), "{text}");
        assert_eq!(SshHostKey::parse(&text).unwrap().public_line(), key.public_line());
        assert!(key.public_line().starts_with("ssh-ed25519 AAAA"), "{key:?}");
        assert!(!format!("{key:?}").contains("PRIVATE"));
    }

    #[test]
    fn what_is_no_key_is_told() {
        assert!(matches!(SshHostKey::parse("x"), Err(BadHostKey::Format(_))));
        let text = SshHostKey::of(&[7; 32]).to_openssh().replace("AAAA", "BBBB");
        assert!(matches!(SshHostKey::parse(&text), Err(BadHostKey::Format(_))));
    }
}
