//! Certificates: who may log in to which machine, for a few minutes. Pure.
//!
//! A certificate is of OpenSSH's kind `user`, and its principals are the machine's name, the id of the hold, and its owner: the
//! same name given to somebody else, or once more to the same person, is another hold. The authority's own key lives as long
//! as the server's process.

use std::time::Duration;

use russh::keys::ssh_key::certificate::{Builder, CertType};
use russh::keys::{Algorithm, Certificate, PrivateKey, PublicKey};
use store::Micros;

use super::host_key::SshHostKey;
use crate::clock::Clock;

/// How long somebody may log in with one; a session lasts as long as the hold.
const GOOD_FOR: Duration = Duration::from_secs(300);
/// How far the clock of whoever reads a certificate may be behind.
const BEHIND: Duration = Duration::from_secs(60);
/// The longest line of a public key.
const LONGEST: usize = 16 << 10;

/// What a certificate is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Subject<'a> {
    /// The machine's name, which is the user's name of SSH.
    pub name: &'a str,
    /// Of the hold.
    pub id: &'a str,
    /// Who holds it.
    pub owner: &'a str,
}

/// Why a key is not signed: words for whoever sent it.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum BadKey {
    #[error("it is no public key as ssh-keygen writes them (a line that begins with its kind): {0}")]
    Format(String),
    #[error("keys of kind {0} are not signed; make one by: ssh-keygen -t ed25519")]
    Kind(String),
}

/// Signs certificates, and knows its own.
pub(super) struct Authority {
    key: PrivateKey,
}

impl Authority {
    pub fn new(clock: &dyn Clock) -> Authority {
        let mut random = [0; 32];
        clock.random(&mut random);
        Authority { key: PrivateKey::clone(SshHostKey::of(&random).private()) }
    }

    /// Signs a public key, a line of it, for a machine; a line again, and its serial number.
    pub fn sign(&self, line: &str, subject: Subject<'_>, clock: &dyn Clock) -> Result<(String, u64), BadKey> {
        let format = |error: russh::keys::ssh_key::Error| BadKey::Format(error.to_string());
        if line.len() > LONGEST {
            return Err(BadKey::Format(format!("it is longer than {LONGEST} bytes")));
        }
        let public = PublicKey::from_openssh(line.trim()).map_err(format)?;
        match public.algorithm() {
            Algorithm::Ed25519
            | Algorithm::Ecdsa { .. }
            | Algorithm::SkEd25519
            | Algorithm::SkEcdsaSha2NistP256 => {}
            other => return Err(BadKey::Kind(other.to_string())),
        }
        let mut random = [0; 40];
        clock.random(&mut random);
        let (nonce, serial) = random.split_at(32);
        let now = clock.now();
        let (from, to) = (seconds(now - BEHIND), seconds(now + GOOD_FOR));
        let mut builder = Builder::new(nonce, public.key_data().clone(), from, to).map_err(format)?;
        let serial = serial.iter().fold(0, |serial, byte| serial << 8 | u64::from(*byte));
        let of = format!("{} {} {}", subject.owner, subject.name, subject.id);
        builder.serial(serial).map_err(format)?.cert_type(CertType::User).map_err(format)?;
        builder.key_id(of).map_err(format)?.extension("permit-pty", "").map_err(format)?;
        for principal in [subject.name, subject.id, subject.owner] {
            builder.valid_principal(principal).map_err(format)?;
        }
        let signed = builder.sign(&self.key).and_then(|signed| signed.to_openssh()).map_err(format)?;
        Ok((signed, serial))
    }

    /// Whether a certificate lets somebody log in to a machine. That they have its key was seen by whoever asks; that its
    /// signature is good is looked at here too.
    pub fn admits(
        &self,
        certificate: &Certificate,
        subject: Subject<'_>,
        now: Micros,
    ) -> Result<(), &'static str> {
        if certificate.signature_key() != self.key.public_key().key_data() {
            return Err("it was not signed by this server, or before its last start");
        }
        certificate.verify_signature().map_err(|_| "its signature is wrong")?;
        if certificate.cert_type() != CertType::User {
            return Err("it is not a user's");
        }
        let now = seconds(now);
        if now < certificate.valid_after() || now >= certificate.valid_before() {
            return Err("it is not good at this time");
        }
        if certificate.critical_options().iter().next().is_some() {
            return Err("it has options that are not known here");
        }
        match certificate.valid_principals() {
            [name, id, owner] if (&**name, &**id, &**owner) == (subject.name, subject.id, subject.owner) => {
                Ok(())
            }
            _ => Err("it is for another machine, or another hold of it"),
        }
    }
}

fn seconds(time: Micros) -> u64 {
    u64::try_from(time.0 / 1_000_000).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, AtomicU8, Ordering};

    use super::*;

    struct At(AtomicI64, AtomicU8);

    impl Clock for At {
        fn now(&self) -> Micros {
            Micros(self.0.load(Ordering::Relaxed))
        }
        fn random(&self, buffer: &mut [u8]) {
            buffer.fill(self.1.fetch_add(1, Ordering::Relaxed));
        }
    }

    /// A moment in 2026: the library looks at the machine's own clock in places.
    const NOW: i64 = 1_790_000_000_000_000;

    const SUBJECT: Subject<'static> = Subject { name: "ann-linux-0", id: "01J", owner: "ann" };

    fn signed(authority: &Authority, clock: &At) -> Certificate {
        let key = SshHostKey::of(&[9; 32]).public_line();
        let (line, _) = authority.sign(&key, SUBJECT, clock).unwrap();
        Certificate::from_openssh(&line).unwrap()
    }

    #[test]
    fn it_lets_one_person_in_to_one_hold_for_five_minutes() {
        let clock = At(NOW.into(), 1.into());
        let authority = Authority::new(&clock);
        let certificate = signed(&authority, &clock);
        let admits =
            |subject, later: i64| authority.admits(&certificate, subject, Micros(NOW + later * 1_000_000));
        assert_eq!(admits(SUBJECT, 0), Ok(()));
        assert_eq!(admits(SUBJECT, 299), Ok(()));
        assert_eq!(admits(SUBJECT, -60), Ok(()));
        for later in [300, -61, 1_000_000_000] {
            assert_eq!(admits(SUBJECT, later), Err("it is not good at this time"), "{later}");
        }
        for other in [
            Subject { name: "ann-linux-1", ..SUBJECT },
            Subject { id: "01K", ..SUBJECT },
            Subject { owner: "bob", ..SUBJECT },
        ] {
            assert!(admits(other, 0).unwrap_err().contains("another"), "{other:?}");
        }
        let another = Authority::new(&clock);
        assert!(another.admits(&certificate, SUBJECT, Micros(NOW)).unwrap_err().contains("this server"));
    }

    #[test]
    fn a_changed_bit_is_seen() {
        let clock = At(NOW.into(), 1.into());
        let authority = Authority::new(&clock);
        let bytes = signed(&authority, &clock).to_bytes().unwrap();
        // A signature is looked at for each: not all of them, since that takes long.
        for at in (0..bytes.len() * 8).step_by(11) {
            let mut changed = bytes.clone();
            changed[at / 8] ^= 1 << (at % 8);
            if let Ok(certificate) = Certificate::from_bytes(&changed) {
                assert!(authority.admits(&certificate, SUBJECT, Micros(NOW)).is_err(), "bit {at}");
            }
        }
    }

    #[test]
    fn a_host_s_certificate_and_unknown_options_let_nobody_in() {
        let clock = At(NOW.into(), 1.into());
        let authority = Authority::new(&clock);
        let made = |kind, option: bool| {
            let key = SshHostKey::of(&[9; 32]);
            let public = key.private().public_key().key_data().clone();
            let (from, to) = (NOW as u64 / 1_000_000, NOW as u64 / 1_000_000 + 100);
            let mut builder = Builder::new(vec![1; 32], public, from, to).unwrap();
            builder.cert_type(kind).unwrap();
            if option {
                builder.critical_option("force-command", "true").unwrap();
            }
            for principal in [SUBJECT.name, SUBJECT.id, SUBJECT.owner] {
                builder.valid_principal(principal).unwrap();
            }
            let certificate = builder.sign(&authority.key).unwrap();
            authority.admits(&certificate, SUBJECT, Micros(NOW))
        };
        assert_eq!(made(CertType::User, false), Ok(()));
        assert_eq!(made(CertType::Host, false), Err("it is not a user's"));
        assert_eq!(made(CertType::User, true), Err("it has options that are not known here"));
    }

    #[test]
    fn what_is_no_key_is_not_signed() {
        let clock = At(NOW.into(), 1.into());
        let authority = Authority::new(&clock);
        let sign = |line: &str| authority.sign(line, SUBJECT, &clock).unwrap_err();
        for line in ["", "ssh-ed25519", "ssh-ed25519 AAAA", "no key\nof ours", &"x".repeat(20_000)] {
            assert!(matches!(sign(line), BadKey::Format(_)), "{line}");
        }
        let certificate = signed(&authority, &clock).to_openssh().unwrap();
        assert!(matches!(sign(&certificate), BadKey::Format(_)));
    }
}
