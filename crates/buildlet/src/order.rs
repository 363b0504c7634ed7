//! What a signed order says, and what is signed (docs/PROTOCOL.md, "Signed orders"). `buildlet` holds the same file's
//! content as its own module, and a test there compares both, because the agent must not depend on this crate.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// The header that carries an order.
pub const HEADER: &str = "bw-order";
/// The code of a refusal that a new order may mend: the agent is not the process any more that the order was for, or it came late.
pub const OUTDATED: &str = "order_outdated";
/// What a signature of an order begins with, so that none of something else is taken for one.
const DOMAIN: &[u8] = b"bellwether order 1\n";
/// What a signature of another key of orders begins with, by which the key of before names the one that comes after it.
const SUCCESSION: &[u8] = b"bellwether order key 1\n";
/// The longest header that is read, in bytes.
const LONGEST: usize = 64 << 10;

/// Leave to start one command: by whom, where, for what, and until when. JSON.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// The machine: `HOST/NAME` of one that dials in, the worker's id of one that the server started.
    pub machine: String,
    /// The agent's process, as its status has it.
    pub instance: String,
    /// As `Bw-Lease` has it, if that is there.
    pub lease: Option<String>,
    /// As `Bw-Fence` has it.
    pub fence: Option<u64>,
    /// What the command is about, as `REPO@COMMIT`.
    pub commits: Vec<String>,
    /// How far what runs is trusted: `landed` commits, or what a person does who has the machine `held`.
    pub trust: String,
    /// The request, command, environment and limits included, as [`digest`] has it.
    pub request: String,
    /// Until when the command may be started, in milliseconds of the agent's own clock, which its status has as `uptime_ms`:
    /// clocks of strange machines are wrong.
    pub until_ms: u64,
    /// Random: an order is obeyed once.
    pub nonce: String,
}

/// What an order is for, of a request: SHA-256 of its parts, each with its length before it, in hexadecimal digits.
///
/// `user` and `key` are the headers `X-Go-Ssh-User` and `X-Go-Authorized-Key`; what is not there is empty.
#[must_use]
pub fn digest(method: &str, target: &str, user: &[u8], key: &[u8], body: &[u8]) -> String {
    let mut hash = Sha256::new();
    for part in [method.as_bytes(), target.as_bytes(), user, key, body] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What a coordinator signs with the key that machines know, to have them take another one: the new one's hexadecimal digits.
#[must_use]
pub fn succession(key: &str) -> Vec<u8> {
    [SUCCESSION, key.as_bytes()].concat()
}

/// What is signed of an order's JSON.
#[must_use]
pub fn signed(json: &[u8]) -> Vec<u8> {
    [DOMAIN, json].concat()
}

/// The header's value: JSON and signature, in base64 for URLs, with a dot between them.
#[must_use]
pub fn written(json: &[u8], signature: &[u8; 64]) -> String {
    format!("{}.{}", URL_SAFE_NO_PAD.encode(json), URL_SAFE_NO_PAD.encode(signature))
}

/// The JSON and the signature of a header's value.
#[must_use]
pub fn read(value: &[u8]) -> Option<(Vec<u8>, [u8; 64])> {
    if value.len() > LONGEST {
        return None;
    }
    let dot = value.iter().position(|byte| *byte == b'.')?;
    let json = URL_SAFE_NO_PAD.decode(value.get(..dot)?).ok()?;
    let signature = URL_SAFE_NO_PAD.decode(value.get(dot + 1..)?).ok()?;
    Some((json, signature.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_nothing_else() {
        let value = written(b"{}", &[7; 64]);
        assert_eq!(read(value.as_bytes()), Some((b"{}".to_vec(), [7; 64])));
        for bad in ["", ".", "e30", "e30.", "e30.AAAA", ".AAAA", "e30=.AAAA", "\u{e4}.\u{e4}"] {
            assert_eq!(read(bad.as_bytes()), None, "{bad}");
        }
        assert_eq!(read(&vec![b'A'; LONGEST + 1]), None);
    }

    #[test]
    fn no_part_of_a_request_passes_for_another() {
        let all = [
            digest("POST", "/exec", b"", b"", b"ab"),
            digest("POST", "/execa", b"", b"", b"b"),
            digest("POST", "/exec", b"a", b"", b"b"),
            digest("POST", "/exec", b"", b"a", b"b"),
            digest("PUT", "/exec", b"", b"", b"ab"),
        ];
        let different: std::collections::HashSet<_> = all.iter().collect();
        assert_eq!(different.len(), all.len());
    }
}
