//! Who a tunnel is for, and the one key that opens it.

use russh::keys::ssh_key::Algorithm;
use russh::keys::{HashAlg, PublicKey};

/// A longer name is cut in the log.
const LONGEST_NAME: usize = 64;
/// A longer line holds no key that is taken.
const LONGEST_KEY: usize = 4096;

/// Somebody that the coordinator vouches for.
pub(crate) struct Guest {
    user: String,
    key: PublicKey,
}

/// Why nobody can be let in by a key.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GuestError {
    /// It is no key.
    #[error("X-Go-Authorized-Key is not one public key as ssh-keygen writes it: {0}")]
    Key(String),
    /// It is of a kind that is not taken.
    #[error("X-Go-Authorized-Key is a key of kind {0}, and only ed25519 and ECDSA ones are taken here")]
    Kind(String),
}

impl Guest {
    /// Reads what stands in the request: a name, and a key as a line of `authorized_keys` without options.
    pub(crate) fn read(user: &str, key: &str) -> Result<Self, GuestError> {
        if key.len() > LONGEST_KEY {
            return Err(GuestError::Key(format!("it has more than {LONGEST_KEY} bytes")));
        }
        let key = PublicKey::from_openssh(key.trim()).map_err(|error| GuestError::Key(error.to_string()))?;
        match key.algorithm() {
            Algorithm::Ed25519 | Algorithm::Ecdsa { .. } => {}
            other => return Err(GuestError::Kind(other.to_string())),
        }
        Ok(Self { user: user.chars().take(LONGEST_NAME).collect(), key })
    }

    /// What they are called; it is no account of this machine.
    pub(super) fn user(&self) -> &str {
        &self.user
    }

    /// What their key is known by.
    pub(crate) fn fingerprint(&self) -> String {
        self.key.fingerprint(HashAlg::Sha256).to_string()
    }

    /// Whether a key is theirs; what is noted beside it is not looked at.
    pub(super) fn holds(&self, key: &PublicKey) -> bool {
        key.key_data() == self.key.key_data()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ7qVzjXkFXpS0bJfG2Dk3VqWb2mXw0sS0mF2cQm1a2b";

    #[test]
    fn one_plain_key_is_taken_with_any_note() {
        let guest = Guest::read("gopher", &format!("{KEY} somebody@somewhere\n")).unwrap();
        assert!(guest.holds(&PublicKey::from_openssh(KEY).unwrap()));
        assert_eq!(guest.user(), "gopher");
        for (bad, want) in [
            ("", "not one public key"),
            ("ssh-ed25519 AAAA", "not one public key"),
            ("ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAAQM=", "ed25519 and ECDSA"),
            (&format!("command=\"x\" {KEY}"), "not one public key"),
            (&format!("{KEY}{}", " ".repeat(LONGEST_KEY)), "more than 4096 bytes"),
        ] {
            let error = Guest::read("gopher", bad).err().unwrap().to_string();
            assert!(error.contains(want), "{bad}: {error}");
        }
    }
}
