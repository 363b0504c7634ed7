//! What the machine shows when it registers.

use std::path::{Path, PathBuf};

use super::identity::{self, IdentityError};
use super::key::{self, Key, KeyError};

/// Why there is nothing to show.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CredentialsError {
    /// There is no key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// There is no identity.
    #[error(transparent)]
    Identity(#[from] IdentityError),
}

/// Where it is that the machine is known by.
#[derive(Debug)]
pub(super) enum Credentials {
    /// The file with the key of its host.
    Key(PathBuf),
    /// Its own token, and the directory in which the identity is kept that the token becomes.
    Token { file: PathBuf, state_dir: PathBuf },
}

impl Credentials {
    /// Sees whether there is anything to show; changes nothing.
    pub(super) fn check(&self) -> Result<(), CredentialsError> {
        match self {
            Self::Key(file) => key::read(file).map(drop)?,
            Self::Token { file, state_dir } => identity::check(file, state_dir)?,
        }
        Ok(())
    }

    /// The headers that show it.
    pub(super) fn read(&self) -> Result<Vec<(&'static str, Key)>, CredentialsError> {
        match self {
            Self::Key(file) => Ok(vec![("X-Go-Builder-Key", key::read(file)?)]),
            Self::Token { file, state_dir } => {
                let (secret, token) = identity::of(file, state_dir)?;
                let token = token.map(|token| ("X-Bellwether-Token", token));
                Ok([("X-Bellwether-Machine", secret)].into_iter().chain(token).collect())
            }
        }
    }

    /// The file that somebody may have to change.
    pub(super) fn file(&self) -> &Path {
        match self {
            Self::Key(file) | Self::Token { file, .. } => file,
        }
    }

    /// What is in that file.
    pub(super) fn what(&self) -> &'static str {
        match self {
            Self::Key(_) => "the key in the key file",
            Self::Token { .. } => "the token in the token file",
        }
    }
}
