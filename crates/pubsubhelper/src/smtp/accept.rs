//! Which mail counts.

use jiff::Timestamp;

use super::session::{Mail, Unusable};
use crate::dkim::{self, Unsigned};
use crate::dns::Txt;
use crate::mail::{self, BadHeader};
use crate::{GerritEvent, SmtpConfig};

/// Why a mail is ignored.
#[derive(Debug, thiserror::Error)]
pub(super) enum Ignored {
    #[error(transparent)]
    Unusable(#[from] Unusable),
    #[error("it is not from a host that counts: {0:?}")]
    Sender(String),
    #[error("it has no field DKIM-Signature after its first")]
    NoSignature,
    #[error(transparent)]
    Header(#[from] BadHeader),
    #[error(transparent)]
    Unsigned(#[from] Unsigned),
    #[error("the lookup of the signer's key takes too long")]
    Slow,
    #[error("nothing that is signed says what changed, or a field of it is too long or no plain text")]
    Nothing,
}

impl Ignored {
    /// Whether it may count when it comes again: only the key could not be had.
    pub(super) fn is_passing(&self) -> bool {
        match self {
            Ignored::Slow => true,
            Ignored::Unsigned(Unsigned::Dns(_, error)) => error.is_passing(),
            _ => false,
        }
    }
}

/// A mail that counts.
#[derive(Debug)]
pub(super) struct Accepted {
    pub(super) event: GerritEvent,
    /// What the mail is known by when it comes again: its signature, around which anybody may write what they like.
    pub(super) delivery: String,
}

/// Makes an event of a mail, if Gerrit sent it: of the fields that are signed.
pub(super) async fn accept(
    mail: &Mail,
    config: &SmtpConfig,
    txt: &dyn Txt,
    now: Timestamp,
) -> Result<Accepted, Ignored> {
    let header = mail.header.as_ref().map_err(|why| *why)?;
    let host = mail.from.split_once('@').map(|(_, host)| host.to_lowercase()).unwrap_or_default();
    if host != config.sender_host {
        return Err(Ignored::Sender(host.chars().take(100).collect()));
    }
    let signed = b"\nDKIM-Signature:";
    if !header.windows(signed.len()).any(|window| window == signed) {
        return Err(Ignored::NoSignature);
    }
    let fields = mail::fields(header, config.limits.fields)?;
    let rule = dkim::Rule { domains: &config.signing_domains, now: config.refuse_expired.then_some(now) };
    let verified = tokio::time::timeout(config.dns, dkim::verify(&fields, &rule, txt)).await;
    let signed = verified.map_err(|_| Ignored::Slow)??;
    let delivery = format!("mail {}", hex::encode(signed.digest));
    let used = match config.unsigned_fields {
        true => mail::with_unsigned(&fields, signed.fields),
        false => signed.fields,
    };
    let event = mail::gerrit(&used).ok_or(Ignored::Nothing)?;
    Ok(Accepted { event, delivery })
}
