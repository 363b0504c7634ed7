//! Whose hand an id token is of: a signed token in its compact form (RFC 7515 §3.1), checked by the provider's published
//! keys (RFC 7517, for Ed25519 RFC 8037). Only signatures with a pair of keys count; what is signed with a secret that two
//! share (`HS256`), or not at all (`none`), is refused.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256,
    RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256,
    RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512, RsaParameters, RsaPublicKeyComponents,
    UnparsedPublicKey, VerificationAlgorithm,
};
use serde::Deserialize;

/// The most keys of a provider that are tried.
const MOST_KEYS: usize = 64;

/// Why a token's signature does not count.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum SignatureError {
    #[error("its id token can't be read")]
    Malformed,
    #[error("its id token is signed by {0:?}; let it sign with RS256, PS256, ES256, ES384 or EdDSA")]
    Algorithm(String),
    #[error("its id token is signed with a key that it does not publish")]
    NoKey,
    #[error("the signature of its id token is wrong")]
    Forged,
}

/// The keys that a provider publishes. Those of kinds that are not known are passed over (RFC 7517 §5).
#[derive(Debug, Deserialize)]
pub(crate) struct Keys {
    keys: Vec<serde_json::Value>,
}

#[derive(Debug, Deserialize)]
struct Key {
    kty: String,
    #[serde(default)]
    kid: Option<String>,
    #[serde(default, rename = "use")]
    purpose: Option<String>,
    #[serde(default)]
    alg: Option<String>,
    #[serde(default)]
    crv: Option<String>,
    #[serde(default)]
    n: String,
    #[serde(default)]
    e: String,
    #[serde(default)]
    x: String,
    #[serde(default)]
    y: String,
}

#[derive(Debug, Deserialize)]
struct Head {
    alg: String,
    #[serde(default)]
    kid: Option<String>,
    #[serde(default)]
    crit: Option<serde_json::Value>,
}

/// How an algorithm (RFC 7518 §3.1) checks, and the keys that fit it.
enum Algorithm {
    Rsa(&'static RsaParameters),
    Curve { kty: &'static str, crv: &'static str, how: &'static dyn VerificationAlgorithm },
}

impl Algorithm {
    fn of(name: &str) -> Option<Algorithm> {
        let curve = |kty, crv, how| Algorithm::Curve { kty, crv, how };
        Some(match name {
            "RS256" => Self::Rsa(&RSA_PKCS1_2048_8192_SHA256),
            "RS384" => Self::Rsa(&RSA_PKCS1_2048_8192_SHA384),
            "RS512" => Self::Rsa(&RSA_PKCS1_2048_8192_SHA512),
            "PS256" => Self::Rsa(&RSA_PSS_2048_8192_SHA256),
            "PS384" => Self::Rsa(&RSA_PSS_2048_8192_SHA384),
            "PS512" => Self::Rsa(&RSA_PSS_2048_8192_SHA512),
            "ES256" => curve("EC", "P-256", &ECDSA_P256_SHA256_FIXED),
            "ES384" => curve("EC", "P-384", &ECDSA_P384_SHA384_FIXED),
            "EdDSA" | "Ed25519" => curve("OKP", "Ed25519", &ED25519),
            _ => return None,
        })
    }

    fn takes(&self, key: &Key) -> bool {
        match self {
            Self::Rsa(_) => key.kty == "RSA",
            Self::Curve { kty, crv, .. } => key.kty == *kty && key.crv.as_deref() == Some(crv),
        }
    }

    fn holds(&self, key: &Key, signed: &[u8], signature: &[u8]) -> bool {
        let bytes = |text: &str| URL_SAFE_NO_PAD.decode(text).unwrap_or_default();
        match self {
            Self::Rsa(how) => RsaPublicKeyComponents { n: bytes(&key.n), e: bytes(&key.e) }
                .verify(how, signed, signature)
                .is_ok(),
            Self::Curve { kty, how, .. } => {
                let point = match *kty {
                    // An uncompressed point (SEC 1 §2.3.3).
                    "EC" => [vec![4], bytes(&key.x), bytes(&key.y)].concat(),
                    _ => bytes(&key.x),
                };
                UnparsedPublicKey::new(*how, point).verify(signed, signature).is_ok()
            }
        }
    }
}

/// Checks the signature of a token and gives what it signs.
///
/// # Errors
/// If the token is malformed, not signed in a way that counts, or by nobody who has one of `keys`.
pub(crate) fn signed(token: &str, keys: &Keys) -> Result<Vec<u8>, SignatureError> {
    use SignatureError::{Algorithm as BadAlgorithm, Forged, Malformed, NoKey};
    let (text, signature) = token.rsplit_once('.').ok_or(Malformed)?;
    let (head, body) = text.split_once('.').ok_or(Malformed)?;
    let bytes = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| Malformed);
    let (head, body, signature) = (bytes(head)?, bytes(body)?, bytes(signature)?);
    let head: Head = serde_json::from_slice(&head).map_err(|_| Malformed)?;
    if head.crit.is_some() {
        // What must be understood, and is not (RFC 7515 §4.1.11).
        return Err(Malformed);
    }
    let algorithm =
        Algorithm::of(&head.alg).ok_or_else(|| BadAlgorithm(head.alg.chars().take(40).collect()))?;
    let fits = |key: &Key| {
        algorithm.takes(key)
            && (head.kid.is_none() || key.kid.is_none() || key.kid == head.kid)
            && key.purpose.as_deref().is_none_or(|purpose| purpose == "sig")
            && key.alg.as_deref().is_none_or(|alg| alg == head.alg)
    };
    let mut tried = false;
    let read = |key: &serde_json::Value| Key::deserialize(key).ok();
    for key in keys.keys.iter().take(MOST_KEYS).filter_map(read).filter(fits) {
        tried = true;
        if algorithm.holds(&key, text.as_bytes(), &signature) {
            return Ok(body);
        }
    }
    Err(if tried { Forged } else { NoKey })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    /// RFC 7515, appendices A.2 and A.3, and RFC 8037, appendix A.
    fn examples() -> [(serde_json::Value, &'static str); 3] {
        [
            (
                json!({"kty": "RSA", "e": "AQAB", "n": concat!(
                    "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZ",
                    "S-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2",
                    "R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcD",
                    "TW9gb54h4FRWyuXpoQ")}),
                concat!(
                    "eyJhbGciOiJSUzI1NiJ9.",
                    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.",
                    "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CU",
                    "Ar7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_d",
                    "O--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0ig",
                    "cN_IoypGlUPQGe77Rw"
                ),
            ),
            (
                json!({"kty": "EC", "crv": "P-256", "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
                       "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}),
                concat!(
                    "eyJhbGciOiJFUzI1NiJ9.",
                    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.",
                    "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"
                ),
            ),
            (
                json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}),
                concat!(
                    "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.",
                    "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"
                ),
            ),
        ]
    }

    fn keys(list: &[serde_json::Value]) -> Keys {
        Keys { keys: list.to_vec() }
    }

    #[test]
    fn the_examples_of_the_standards_hold_and_no_other_key_fits() {
        let all = examples();
        let set = keys(&all.clone().map(|(key, _)| key));
        for (nth, (key, token)) in all.iter().enumerate() {
            assert!(signed(token, &set).is_ok(), "{token}");
            let mut others = all.clone().map(|(key, _)| key).to_vec();
            others.remove(nth);
            assert_eq!(signed(token, &keys(&others)), Err(SignatureError::NoKey), "{token}");
            let mut named = key.clone();
            for (name, value) in [("use", "enc"), ("alg", "RS512")] {
                named[name] = value.into();
                assert_eq!(signed(token, &keys(&[named.clone()])), Err(SignatureError::NoKey), "{named}");
                named.as_object_mut().unwrap().remove(name);
            }
        }
        assert_eq!(signed(all[2].1, &set).unwrap(), b"Example of Ed25519 signing");
    }

    #[test]
    fn a_token_that_was_touched_is_forged() {
        for (key, token) in examples() {
            let (text, signature) = token.rsplit_once('.').unwrap();
            let (head, body) = text.split_once('.').unwrap();
            let (set, other) = (keys(&[key]), URL_SAFE_NO_PAD.encode("{\"iss\":\"eve\"}"));
            assert_eq!(signed(&format!("{head}.{other}.{signature}"), &set), Err(SignatureError::Forged));
            assert_eq!(signed(&format!("{head}.{body}."), &set), Err(SignatureError::Forged));
            assert_eq!(signed(&format!("{head}.{body}"), &set), Err(SignatureError::Malformed));
        }
    }

    #[test]
    fn what_is_not_signed_with_a_pair_of_keys_does_not_count() {
        let set = keys(&examples().map(|(key, _)| key));
        for alg in ["none", "None", "HS256", "RS1", ""] {
            let head = URL_SAFE_NO_PAD.encode(json!({"alg": alg}).to_string());
            let refused = signed(&format!("{head}.e30.c2ln"), &set);
            assert_eq!(refused, Err(SignatureError::Algorithm(alg.into())));
        }
        let head = URL_SAFE_NO_PAD.encode(json!({"alg": "RS256", "crit": ["exp"]}).to_string());
        assert_eq!(signed(&format!("{head}.e30.c2ln"), &set), Err(SignatureError::Malformed));
    }

    proptest! {
        #[test]
        fn no_token_and_no_key_is_too_strange(
            token in ".{0,60}",
            alg in "(RS256|PS512|ES256|ES384|EdDSA|.{0,6})",
            kty in "(RSA|EC|OKP|x)",
            crv in "(P-256|P-384|Ed25519|x)",
            n in "[A-Za-z0-9_-]{0,400}",
            x in "[A-Za-z0-9_-]{0,44}",
            signature in "[A-Za-z0-9_-]{0,400}",
        ) {
            let key = json!({"kty": kty, "crv": crv, "n": n, "e": x, "x": x, "y": x});
            let set = keys(&[key, json!(7), json!({"kty": 1})]);
            let _ = signed(&token, &set);
            let head = URL_SAFE_NO_PAD.encode(json!({"alg": alg}).to_string());
            let token = format!("{head}.e30.{signature}");
            prop_assert!(signed(&token, &set).is_err());
        }
    }
}
