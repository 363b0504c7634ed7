//! Secrets that we make, and what is kept of them.

use sha2::{Digest as _, Sha256};

/// Makes a secret of 256 bits, as hexadecimal digits after a word that says what it is.
///
/// # Errors
/// If the operating system gives no randomness.
pub(crate) fn make(kind: &str) -> Result<String, getrandom::Error> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)?;
    Ok(format!("{kind}{}", hex(&bytes)))
}

/// What is kept of a secret. Two texts are compared by their hashes, so that the time it takes tells nothing of them.
pub(crate) fn hash(text: &str) -> String {
    hex(&Sha256::digest(text.as_bytes()))
}

/// What the forms of a session carry: whoever has the cookie can make it, and nobody can make the cookie from it.
pub(crate) fn csrf(cookie: &str) -> String {
    hash(&format!("bellwether form {cookie}"))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_differ_and_their_hashes_do_not_show_them() {
        let (a, b) = (make("bw_").unwrap(), make("bw_").unwrap());
        assert_ne!(a, b);
        assert_eq!((a.len(), hash(&a).len()), (67, 64));
        assert_eq!(hash(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        assert_ne!(csrf(&a), hash(&a));
    }
}
