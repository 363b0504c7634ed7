//! Who this machine is to its coordinator, if it has a token of its own.
//!
//! The machine makes its secret itself, and has it on disk before anybody is shown it: a coordinator whose answer is lost is
//! shown the same one again. The token is shown beside it as long as its file is there; the coordinator takes it once.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::key::{self, Key, LARGEST, WordError};

/// The file's name in the state directory.
const FILE: &str = "machine-identity";

/// Why the machine has no identity.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IdentityError {
    /// There is no token, and none was used before.
    #[error(
        "there is no token for this machine in --token-file {}, and no identity in {}; make one with \
         `bellwether token create machine NAME --host HOST` and write it there", token.display(), kept.display()
    )]
    Nothing {
        /// Where a token was looked for.
        token: PathBuf,
        /// Where an identity was looked for.
        kept: PathBuf,
    },
    /// The token can't be read.
    #[error("the token can't be read from --token-file {}: {source}", file.display())]
    Unreadable {
        /// Where it was looked for.
        file: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// What is in its file is none.
    #[error("{} is no token: expected one line of at most {LARGEST} printable characters", .0.display())]
    NoToken(PathBuf),
    /// The identity can't be read.
    #[error(
        "the identity of this machine can't be read from {}: {source}; put that right, or remove it and make a new token",
        file.display()
    )]
    Kept {
        /// Where it is kept.
        file: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The identity can't be kept.
    #[error("the identity of this machine can't be kept in {}: {source}", file.display())]
    Unkept {
        /// Where it would be.
        file: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// What is kept.
#[derive(Serialize, Deserialize)]
struct Kept {
    /// What only this machine and nobody else knows.
    secret: String,
    /// SHA-256 of the token that the secret was made for: another token is for another identity.
    token: String,
}

/// Where the identity is kept.
pub(crate) fn file(state_dir: &Path) -> PathBuf {
    state_dir.join(FILE)
}

/// Sees whether there is a token or an identity.
pub(crate) fn check(file: &Path, state_dir: &Path) -> Result<(), IdentityError> {
    let kept = self::file(state_dir);
    match (token(file)?, read(&kept)?) {
        (None, None) => Err(IdentityError::Nothing { token: file.to_owned(), kept }),
        _ => Ok(()),
    }
}

/// The machine's secret, made first if there is none for its token; and the token, as long as its file is there.
pub(super) fn of(file: &Path, state_dir: &Path) -> Result<(Key, Option<Key>), IdentityError> {
    let path = self::file(state_dir);
    let (token, kept) = (token(file)?, read(&path)?);
    match (token, kept) {
        (None, None) => Err(IdentityError::Nothing { token: file.to_owned(), kept: path }),
        (None, Some(kept)) => Ok((Key::new(kept.secret), None)),
        (Some(token), kept) => {
            let digest = hex(&Sha256::digest(token.expose()));
            let kept = match kept {
                Some(kept) if kept.token == digest => kept,
                _ => make(&path, digest).map_err(|source| IdentityError::Unkept { file: path, source })?,
            };
            Ok((Key::new(kept.secret), Some(token)))
        }
    }
}

/// The token, if there is one: its file may go once it was used.
fn token(file: &Path) -> Result<Option<Key>, IdentityError> {
    match key::word(file) {
        Ok(token) => Ok(Some(token)),
        Err(WordError::Empty) => Ok(None),
        Err(WordError::Unreadable(error)) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(WordError::Unreadable(source)) => {
            Err(IdentityError::Unreadable { file: file.to_owned(), source })
        }
        Err(WordError::NoWord) => Err(IdentityError::NoToken(file.to_owned())),
    }
}

fn read(file: &Path) -> Result<Option<Kept>, IdentityError> {
    let bad = |source| IdentityError::Kept { file: file.to_owned(), source };
    let opened = match File::open(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(bad)?,
    };
    let mut bytes = Vec::new();
    opened.take(LARGEST).read_to_end(&mut bytes).map_err(bad)?;
    let kept: Kept = serde_json::from_slice(&bytes).map_err(|error| bad(io::Error::other(error)))?;
    let is_secret = kept.secret.len() == 64 && kept.secret.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !is_secret {
        return Err(bad(io::Error::other("the secret in it has not 64 hexadecimal digits")));
    }
    Ok(Some(kept))
}

/// Makes a secret and keeps it, so that after a crash there is the one before or this one, whole.
fn make(file: &Path, token: String) -> io::Result<Kept> {
    let mut random = [0; 32];
    getrandom::fill(&mut random).map_err(|error| io::Error::other(error.to_string()))?;
    let kept = Kept { secret: hex(&random), token };
    let new = file.with_extension("new");
    // Left by a crash, and perhaps readable for others: a new one is made with the mode that it is to have.
    match std::fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut to = crate::sys::private(OpenOptions::new().write(true).create_new(true)).open(&new)?;
    to.write_all(&serde_json::to_vec(&kept)?)?;
    to.sync_all()?;
    std::fs::rename(&new, file)?;
    if let Some(dir) = file.parent() {
        crate::sys::sync_dir(dir)?;
    }
    Ok(kept)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_machine_has_one_identity_for_its_token_and_another_for_another() {
        let dir = tempfile::tempdir().unwrap();
        let (token, state) = (dir.path().join("token"), dir.path());
        let nothing = of(&token, state).unwrap_err().to_string();
        assert!(nothing.contains("bellwether token create machine"), "{nothing}");
        assert!(check(&token, state).is_err());
        std::fs::write(&token, "bwm_one\n").unwrap();
        check(&token, state).unwrap();
        assert!(!state.join(FILE).exists(), "looking makes nothing");
        let (first, shown) = of(&token, state).unwrap();
        assert_eq!((first.expose().len(), shown.unwrap().expose()), (64, "bwm_one"));
        let mode = std::fs::metadata(state.join(FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(!std::fs::read_to_string(state.join(FILE)).unwrap().contains("bwm_one"));
        // Whatever became of the answer, it is the same one; also without the token.
        let (again, _) = of(&token, state).unwrap();
        assert_eq!(again, first);
        std::fs::remove_file(&token).unwrap();
        check(&token, state).unwrap();
        assert_eq!(of(&token, state).unwrap(), (first.clone(), None));
        // A new token, of a machine that begins anew; what a crash left is in nobody's way.
        std::fs::write(&token, "bwm_two").unwrap();
        std::fs::write(state.join(FILE).with_extension("new"), "half").unwrap();
        assert_ne!(of(&token, state).unwrap().0, first);
    }

    #[test]
    fn what_is_damaged_is_told_by_its_file_and_not_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let token = dir.path().join("token");
        std::fs::write(&token, "bwm_one").unwrap();
        for damaged in ["", "{}", "{\"secret\":\"short\",\"token\":\"\"}"] {
            std::fs::write(dir.path().join(FILE), damaged).unwrap();
            let error = of(&token, dir.path()).unwrap_err().to_string();
            assert!(error.contains(FILE) && error.contains("make a new token"), "{error}");
            assert_eq!(std::fs::read_to_string(dir.path().join(FILE)).unwrap(), damaged);
        }
        std::fs::write(&token, "two words").unwrap();
        assert!(of(&token, dir.path()).unwrap_err().to_string().contains("no token"));
    }
}
