//! From when until when a certificate is valid.

use yasna::{ASN1Error, ASN1ErrorKind, ASN1Result, BERReader, Tag};

/// Seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Validity {
    pub from: i64,
    pub until: i64,
}

/// The present.
pub(crate) fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// Reads it out of a certificate's DER; nothing if that is none.
pub(crate) fn of(certificate: &[u8]) -> Option<Validity> {
    let read = yasna::parse_der(certificate, |reader| {
        reader.read_sequence(|outer| {
            let validity = outer.next().read_sequence(|body| {
                // Version, serial number, algorithm, issuer.
                body.read_optional(|version| {
                    version.read_tagged(Tag::context(0), |number| number.read_der().map(drop))
                })?;
                for _ in 0..3 {
                    body.next().read_der()?;
                }
                let validity = body.next().read_sequence(|both| {
                    Ok(Validity { from: time(both.next())?, until: time(both.next())? })
                })?;
                // Subject, key, and extensions if there are any.
                while body.read_optional(|rest| rest.read_der().map(drop))?.is_some() {}
                Ok(validity)
            })?;
            outer.next().read_der()?;
            outer.next().read_der()?;
            Ok(validity)
        })
    });
    read.ok()
}

fn time(reader: BERReader<'_, '_>) -> ASN1Result<i64> {
    match reader.lookahead_tag()? {
        yasna::tags::TAG_UTCTIME => Ok(reader.read_utctime()?.datetime().unix_timestamp()),
        yasna::tags::TAG_GENERALIZEDTIME => Ok(reader.read_generalized_time()?.datetime().unix_timestamp()),
        _ => Err(ASN1Error::new(ASN1ErrorKind::Invalid)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn certificate() -> Vec<u8> {
        let mut params = rcgen::CertificateParams::new(vec!["a.example".to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(2020, 1, 2);
        params.not_after = rcgen::date_time_ymd(2070, 3, 4);
        let key = rcgen::KeyPair::generate().unwrap();
        params.self_signed(&key).unwrap().der().to_vec()
    }

    #[test]
    fn both_ways_of_writing_a_time_are_read() {
        // Before 2050 a UTCTime, after it a GeneralizedTime.
        let expected = Validity { from: 1_577_923_200, until: 3_161_116_800 };
        assert_eq!(of(&certificate()), Some(expected));
    }

    #[test]
    fn what_is_no_certificate_has_no_validity() {
        for bad in [&b""[..], b"\x30", b"\x30\x80\x00\x00", b"not a certificate"] {
            assert_eq!(of(bad), None);
        }
    }

    proptest! {
        #[test]
        fn a_changed_certificate_is_read_or_refused(at in 0usize..400, byte: u8, cut in 0usize..400) {
            let mut bytes = certificate();
            let len = bytes.len();
            bytes[at % len] = byte;
            let _ = of(&bytes);
            prop_assert_eq!(of(&bytes[..cut.min(len - 1)]), None);
        }
    }
}
