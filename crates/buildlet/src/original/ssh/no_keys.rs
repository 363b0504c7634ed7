//! Adding a key to a user's `authorized_keys`, which is not done on Windows: who may log in there is in files with rights of their own.

use std::path::Path;

/// Why a key is not added.
#[derive(Debug, thiserror::Error)]
pub(super) enum KeyError {
    /// It never is.
    #[error(
        "a key can't be added for {0}: not on Windows; put the coordinator's into administrators_authorized_keys by hand"
    )]
    System(String),
}

/// Says that it can't be done.
pub(super) fn add(_homes: Option<&Path>, user: &str, _key: &str) -> Result<(), KeyError> {
    Err(KeyError::System(user.to_owned()))
}
