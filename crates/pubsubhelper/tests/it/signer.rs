//! Signs mails with a key that is for tests only and of use to nobody. Shared by the tests beside the code and those over
//! the port.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};

const KEY: &[u8] = include_bytes!("throw-away-test-key.der");
/// What stands before an RSA key of 2048 bits to make it a public key of X.509.
const X509: [u8; 24] = [
    0x30, 0x82, 0x01, 0x22, 0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01,
    0x05, 0x00, 0x03, 0x82, 0x01, 0x0f, 0x00,
];

fn key() -> RsaKeyPair {
    RsaKeyPair::from_der(KEY).unwrap()
}

/// The signer's record.
pub(crate) fn record() -> String {
    let public = [&X509[..], key().public().as_ref()].concat();
    format!("v=DKIM1; k=rsa; p={}", STANDARD.encode(public))
}

/// Signs fields given as name and value, whose white space is one space between words and one after the colon. The rest of
/// the signature's tags is `more`, with a space before each and a semicolon after it.
pub(crate) fn sign(fields: &[(&str, &str)], how: &str, domain: &str, more: &str) -> String {
    let simple = how.starts_with("simple");
    let write = |name: &str, value: &str| {
        if simple { format!("{name}: {value}") } else { format!("{}:{value}", name.to_lowercase()) }
    };
    let names: Vec<&str> = fields.iter().map(|(name, _)| *name).collect();
    let tags = format!("v=1; a=rsa-sha256; c={how}; d={domain}; s=sel;{more} h={}; bh=; b=", names.join(":"));
    let mut signed = String::new();
    let mut left: Vec<_> = fields.to_vec();
    for name in &names {
        let at = left.iter().rposition(|(known, _)| known == name).unwrap();
        let (name, value) = left.remove(at);
        signed += &write(name, value);
        signed += "\r\n";
    }
    signed += &write("DKIM-Signature", &tags);
    let key = key();
    let mut signature = vec![0; key.public().modulus_len()];
    key.sign(&RSA_PKCS1_SHA256, &ring::rand::SystemRandom::new(), signed.as_bytes(), &mut signature).unwrap();
    let text = STANDARD.encode(signature);
    // In two lines, as mail is written.
    format!("DKIM-Signature: {tags}{}\r\n {}\r\n", &text[..70], &text[70..])
}

/// A header, with the empty line after it.
pub(crate) fn header(before: &str, fields: &[(&str, &str)]) -> String {
    let lines: Vec<_> = fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    format!("{before}{}\r\n", lines.concat())
}
