//! Whether a domain signed the header of a mail (RFC 6376). The body's hash is not looked at: nothing of it is used.
//!
//! Where the original and the RFC differ, this is the original's: `c=` has to be there, `l=`, `i=` and the record's other tags
//! are of no account. Unlike it a signature has to name version 1 and cover `From`, as the RFC says, and may be refused when its
//! time is over.

mod canonical;
mod key;
mod tags;

use jiff::Timestamp;
use ring::signature::{self, RsaParameters, UnparsedPublicKey};
use sha2::{Digest as _, Sha256};

use canonical::Canonical;
use tags::Tags;

use crate::dns::Txt;
use crate::mail::Field;

/// The name of the field.
pub(crate) const FIELD: &str = "DKIM-Signature";
/// The most names that a signature may cover.
const MOST_NAMES: usize = 200;
/// The most records of a signer that are tried.
const MOST_RECORDS: usize = 8;
/// The longest name that is looked up, bytes, and the longest label of one.
const LONGEST_NAME: usize = 253;
const LONGEST_LABEL: usize = 63;

/// Why a header is not signed by anybody.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unsigned {
    #[error("it has {0} signatures, not one")]
    Count(usize),
    #[error("its signature is malformed: {0}")]
    Malformed(&'static str),
    #[error("the signature was valid until {0} s after 1970")]
    Expired(i64),
    #[error("{0} does not sign for us")]
    Domain(String),
    #[error("the key of {0} is not known: {1}")]
    Dns(String, #[source] crate::dns::DnsError),
    #[error("the signature fits none of the keys of {0}")]
    Wrong(String),
}

/// What a signature says of itself.
struct Signature {
    algorithm: &'static RsaParameters,
    header: Canonical,
    value: Vec<u8>,
    domain: String,
    selector: String,
    names: Vec<String>,
    expires: Option<i64>,
}

/// What decides beside the signature itself.
pub(crate) struct Rule<'a> {
    /// Domains that count, in lower case.
    pub(crate) domains: &'a [String],
    /// Refuses what was valid until before now.
    pub(crate) now: Option<Timestamp>,
}

/// What somebody signed.
#[derive(Debug)]
pub(crate) struct Signed<'a> {
    /// The fields, in the order in which the signature names them: of those of one name, the lowest first.
    pub(crate) fields: Vec<Field<'a>>,
    /// The SHA-256 of the signature, by which it is known when it comes again, whatever is written around it.
    pub(crate) digest: [u8; 32],
}

/// Checks that one of the domains signed these fields, and gives those that it did sign. Nobody else's key is asked for.
pub(crate) async fn verify<'a>(
    fields: &[Field<'a>],
    rule: &Rule<'_>,
    txt: &dyn Txt,
) -> Result<Signed<'a>, Unsigned> {
    let mut signatures = fields.iter().filter(|field| field.is(FIELD));
    let (Some(field), None) = (signatures.next(), signatures.next()) else {
        return Err(Unsigned::Count(fields.iter().filter(|field| field.is(FIELD)).count()));
    };
    let signature = read(field)?;
    if !rule.domains.contains(&signature.domain) {
        return Err(Unsigned::Domain(signature.domain));
    }
    if let (Some(now), Some(expires)) = (rule.now, signature.expires)
        && now.as_second() > expires
    {
        return Err(Unsigned::Expired(expires));
    }
    let name = format!("{}._domainkey.{}", signature.selector, signature.domain);
    if name.len() > LONGEST_NAME {
        return Err(Unsigned::Malformed("its key's name is too long"));
    }
    let records = txt.txt(&name).await.map_err(|error| Unsigned::Dns(name.clone(), error))?;
    let covered = covered(fields, &signature.names);
    let signed = text(&covered, field, &signature);
    let fits = |record: &Vec<u8>| {
        let key = Tags::read(record).ok().and_then(|tags| tags.get("p").and_then(tags::base64));
        let key = key.as_deref().and_then(key::rsa);
        key.is_some_and(|key| {
            UnparsedPublicKey::new(signature.algorithm, key).verify(&signed, &signature.value).is_ok()
        })
    };
    if !records.iter().take(MOST_RECORDS).any(fits) {
        return Err(Unsigned::Wrong(name));
    }
    Ok(Signed { fields: covered, digest: Sha256::digest(&signature.value).into() })
}

fn read(field: &Field<'_>) -> Result<Signature, Unsigned> {
    let tags = Tags::read(field.value()).map_err(Unsigned::Malformed)?;
    let need =
        |name: &str, why| tags.text(name).filter(|text| !text.is_empty()).ok_or(Unsigned::Malformed(why));
    if need("v", "no version")? != "1" {
        return Err(Unsigned::Malformed("another version than 1"));
    }
    let algorithm: &RsaParameters = match &*need("a", "no algorithm")? {
        "rsa-sha256" => &signature::RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY,
        "rsa-sha1" => &signature::RSA_PKCS1_1024_8192_SHA1_FOR_LEGACY_USE_ONLY,
        _ => return Err(Unsigned::Malformed("an algorithm that is not known here")),
    };
    let how = need("c", "no canonicalization")?;
    let (header, body) = how.split_once('/').unwrap_or((&how, "simple"));
    let header = Canonical::named(header).filter(|_| Canonical::named(body).is_some());
    let value = tags.get("b").and_then(tags::base64).filter(|value| !value.is_empty());
    let names = need("h", "no list of fields")?;
    if names.split(':').count() > MOST_NAMES {
        return Err(Unsigned::Malformed("too many fields are listed"));
    }
    if !names.split(':').any(|name| name.trim().eq_ignore_ascii_case("from")) {
        return Err(Unsigned::Malformed("it does not cover From"));
    }
    let name = |tag, why| match need(tag, why)?.to_ascii_lowercase() {
        text if is_name(&text) => Ok(text),
        _ => Err(Unsigned::Malformed(why)),
    };
    let expires = tags.text("x").map(|text| text.parse().map_err(|_| Unsigned::Malformed("no time in x")));
    Ok(Signature {
        algorithm,
        header: header.ok_or(Unsigned::Malformed("a canonicalization that is not known here"))?,
        value: value.ok_or(Unsigned::Malformed("no signature"))?,
        domain: name("d", "no domain")?,
        selector: name("s", "no selector")?,
        names: names.split(':').map(|name| name.trim().to_owned()).collect(),
        expires: expires.transpose()?,
    })
}

/// Whether a text can be looked up.
fn is_name(text: &str) -> bool {
    let proper = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
    let label = |label: &str| (1..=LONGEST_LABEL).contains(&label.len()) && label.bytes().all(proper);
    text.len() <= LONGEST_NAME && text.split('.').all(label)
}

/// The fields of a signature: of each name the lowest that is not taken yet.
fn covered<'a>(fields: &[Field<'a>], names: &[String]) -> Vec<Field<'a>> {
    let mut left = fields.to_vec();
    // One that is not there signs that it is not there.
    let lowest = |name: &String| left.iter().rposition(|field| field.is(name)).map(|at| left.remove(at));
    names.iter().filter_map(lowest).collect()
}

/// What was signed: the fields, then the signature's own without the signature.
fn text(covered: &[Field<'_>], own: &Field<'_>, signature: &Signature) -> Vec<u8> {
    let mut signed = Vec::new();
    for field in covered {
        signature.header.write(field.whole, &mut signed);
        signed.extend_from_slice(b"\r\n");
    }
    let without = tags::without(own, "b");
    signature.header.write(&without, &mut signed);
    signed
}

#[cfg(test)]
mod tests;
