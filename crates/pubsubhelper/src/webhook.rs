//! What GitHub's webhooks say, and whether GitHub says it.

use hmac::{Hmac, KeyInit as _, Mac as _};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use sha2::Sha256;

use crate::GithubEvent;

/// The longest name of a repository with its owner, bytes; GitHub allows 39 + 1 + 100.
const LONGEST_NAME: usize = 160;
/// The longest word for what was done, bytes; GitHub's longest has 26.
const LONGEST_ACTION: usize = 64;
/// The bytes of a signature, and of the digest that it is.
const DIGEST: usize = 32;

/// Why a webhook makes no event.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Ignored {
    #[error("the signature is missing, of another kind, or wrong")]
    Signature,
    #[error("it is no JSON of a webhook: {0}")]
    Json(#[from] serde_json::Error),
    #[error("it is about no issue or pull request of a repository")]
    Other,
    #[error("{0:?} is no repository's name")]
    Name(String),
}

/// What the header `X-Hub-Signature-256` says: nothing is known of it but that it could be a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Signature([u8; DIGEST]);

impl Signature {
    /// Reads `sha256=` and 64 digits.
    pub(crate) fn read(text: &str) -> Result<Signature, Ignored> {
        let mut bytes = [0; DIGEST];
        let digits = text.strip_prefix("sha256=").ok_or(Ignored::Signature)?;
        hex::decode_to_slice(digits, &mut bytes).map_err(|_| Ignored::Signature)?;
        Ok(Signature(bytes))
    }

    /// Checks that it is the signature of a body, in a time that does not tell how much of it is right.
    pub(crate) fn verify(self, secret: &SecretString, body: &[u8]) -> Result<(), Ignored> {
        let secret = secret.expose_secret().as_bytes();
        // Whoever left the secret empty has none.
        if secret.is_empty() {
            return Err(Ignored::Signature);
        }
        let mut mac = Hmac::<Sha256>::new_from_slice(secret).map_err(|_| Ignored::Signature)?;
        mac.update(body);
        mac.verify_slice(&self.0).map_err(|_| Ignored::Signature)
    }

    /// What a delivery is known by. Unlike the id that GitHub gives it, nobody else can make another one.
    pub(crate) fn delivery(self) -> String {
        format!("github {}", hex::encode(self.0))
    }
}

#[derive(Deserialize)]
struct Payload {
    action: Option<String>,
    repository: Option<Repository>,
    issue: Option<Numbered>,
    pull_request: Option<Numbered>,
}

#[derive(Deserialize)]
struct Repository {
    full_name: String,
}

#[derive(Deserialize)]
struct Numbered {
    #[serde(default)]
    number: i64,
}

/// Reads a payload: an issue, a pull request or both, of a repository.
pub(crate) fn event(body: &[u8]) -> Result<GithubEvent, Ignored> {
    let Payload { action, repository, issue, pull_request } = serde_json::from_slice(body)?;
    let repository =
        repository.filter(|_| issue.is_some() || pull_request.is_some()).ok_or(Ignored::Other)?;
    let name = &repository.full_name;
    let parts = name.split_once('/').filter(|(owner, repo)| {
        let fits = name.len() <= LONGEST_NAME && !name.contains(char::is_control);
        fits && !owner.is_empty() && !repo.is_empty() && !repo.contains('/')
    });
    let (owner, repo) = parts.ok_or_else(|| Ignored::Name(name.chars().take(LONGEST_NAME).collect()))?;
    let action = action.unwrap_or_default();
    if action.len() > LONGEST_ACTION || action.contains(char::is_control) {
        return Err(Ignored::Other);
    }
    Ok(GithubEvent {
        action,
        repo_owner: owner.to_owned(),
        repo: repo.to_owned(),
        issue_number: issue.map_or(0, |one| one.number),
        pull_request_number: pull_request.map_or(0, |one| one.number),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of the specification, §6.5.
    const BODY: &[u8] = br#"{"action":"opened","issue":{"url":"https://api.github.com/repos/golang/go/issues/1","number":1},"repository":{"full_name":"golang/go"}}"#;
    const SIGNATURE: &str = "sha256=81b04cbd3e3e11934350554d43f0eff8e4129f9c59f43cb74d9b5c04695955b5";

    fn right(secret: &str, signature: &str, body: &[u8]) -> bool {
        Signature::read(signature).is_ok_and(|signature| signature.verify(&secret.into(), body).is_ok())
    }

    #[test]
    fn only_the_right_signature_over_the_very_bytes_counts() {
        assert_eq!(BODY.len(), 135);
        assert!(right("s3cr3t", SIGNATURE, BODY));
        let upper = SIGNATURE.replace("81b0", "81B0");
        assert!(right("s3cr3t", &upper, BODY), "digits are digits");
        assert_eq!(
            Signature::read(&upper).unwrap().delivery(),
            Signature::read(SIGNATURE).unwrap().delivery()
        );
        for signature in [
            "",
            "sha256=",
            "sha256=81",
            "sha1=f79bb659b0e58d4ce2f98d07eb478c491dd82fbc",
            &SIGNATURE[7..],
            &SIGNATURE.replace("955b5", "955b4"),
            &format!("{SIGNATURE}00"),
            "sha256=é",
        ] {
            assert!(!right("s3cr3t", signature, BODY), "{signature:?}");
        }
        assert!(!right("s3cr3t", SIGNATURE, &BODY[..134]));
        assert!(!right("s3cr3", SIGNATURE, BODY));
        // What anybody can sign with an empty secret.
        let empty = "sha256=b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad";
        assert!(!right("", empty, b""));
    }

    #[test]
    fn a_payload_is_an_issue_a_pull_request_or_both() {
        let event_of = |text: &str| event(text.as_bytes());
        let opened = event(BODY).unwrap();
        assert_eq!((&*opened.action, &*opened.repo_owner, &*opened.repo), ("opened", "golang", "go"));
        assert_eq!((opened.issue_number, opened.pull_request_number), (1, 0));
        let pull = event_of(r#"{"pull_request":{"number":7},"issue":null,"repository":{"full_name":"a/b"}}"#);
        let pull = pull.unwrap();
        assert_eq!((&*pull.action, pull.issue_number, pull.pull_request_number), ("", 0, 7));
        for (text, why) in [
            ("", "JSON"),
            ("{", "JSON"),
            ("[]", "JSON"),
            (r#"{"action":1}"#, "JSON"),
            (r#"{"zen":"x","repository":{"full_name":"a/b"}}"#, "no issue"),
            (r#"{"issue":{"number":1}}"#, "no issue"),
            (r#"{"issue":{"number":1},"repository":{"full_name":"ab"}}"#, "no repository's name"),
            (r#"{"issue":{"number":1},"repository":{"full_name":"a/b/c"}}"#, "no repository's name"),
            (r#"{"issue":{"number":1},"repository":{"full_name":"/b"}}"#, "no repository's name"),
            (r#"{"issue":{"number":1e30},"repository":{"full_name":"a/b"}}"#, "JSON"),
        ] {
            let error = event_of(text).unwrap_err().to_string();
            assert!(error.contains(why), "{text}: {error}");
        }
        let long =
            format!(r#"{{"issue":{{"number":1}},"repository":{{"full_name":"a/{}"}}}}"#, "b".repeat(300));
        assert!(event_of(&long).is_err());
        for bad in [r#""action":"a\u001b[31m","#, &format!(r#""action":"{}","#, "a".repeat(65))] {
            let text = format!(r#"{{{bad}"issue":{{"number":1}},"repository":{{"full_name":"a/b"}}}}"#);
            assert!(matches!(event_of(&text), Err(Ignored::Other)), "{text}");
        }
        assert!(event_of(r#"{"issue":{"number":1},"repository":{"full_name":"a/b\n"}}"#).is_err());
        assert!(event_of(&"[".repeat(100_000)).is_err());
    }
}
