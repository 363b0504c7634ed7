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
    #[error("a field for the event is too long")]
    TooLong,
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

/// Makes an event of a mail, if Gerrit sent it. What it says of the change may not be signed: a false hint costs a look.
pub(super) async fn accept(
    mail: &Mail,
    config: &SmtpConfig,
    txt: &dyn Txt,
    now: Timestamp,
) -> Result<GerritEvent, Ignored> {
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
    verified.map_err(|_| Ignored::Slow)??;
    mail::gerrit(&fields).ok_or(Ignored::TooLong)
}
