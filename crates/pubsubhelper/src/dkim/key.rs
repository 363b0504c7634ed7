//! The key in a signer's record.

/// The identifier of RSA keys, 1.2.840.113549.1.1.1.
const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
const SEQUENCE: u8 = 0x30;
const BIT_STRING: u8 = 0x03;
const IDENTIFIER: u8 = 0x06;

/// Finds the RSA key (PKCS #1) in a public key of X.509. That it is one is left to whoever uses it.
pub(super) fn rsa(der: &[u8]) -> Option<&[u8]> {
    let (info, after) = take(der, SEQUENCE)?;
    let (algorithm, rest) = take(info, SEQUENCE)?;
    let (identifier, _) = take(algorithm, IDENTIFIER)?;
    let (bits, end) = take(rest, BIT_STRING)?;
    let whole = after.is_empty() && end.is_empty() && identifier == RSA;
    // The first byte says how many bits of the last are not used.
    bits.strip_prefix(&[0]).filter(|_| whole)
}

/// Takes an element apart: what is in it, and what comes after it.
fn take(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&first, rest) = der.strip_prefix(&[tag])?.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81 | 0x82 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (bytes.iter().fold(0, |length, b| length << 8 | usize::from(*b)), rest)
        }
        _ => return None,
    };
    rest.split_at_checked(length)
}
