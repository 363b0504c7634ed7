//! Where jobs have no user of their own: nothing is set apart, and nothing is left by such a user. Nobody comes here, since no such user
//! is found.

use std::io;
use std::path::Path;

use filelock::Held;

use crate::user::{JobUser, UserError};

/// Gives the work directory to the job's user.
pub(crate) fn directories(_user: &JobUser, _workdir: &Path, _state_dir: &Path) -> Result<(), UserError> {
    Err(UserError::System)
}

/// Looks whether the work directory is one that a job gets to.
pub(crate) fn place(_user: &JobUser, _workdir: &Path) -> Result<(), UserError> {
    Err(UserError::System)
}

/// Makes the work directory the user's.
pub(crate) fn give(_user: &JobUser, _workdir: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Refuses a file that a job could read.
pub(crate) fn unreadable(_user: &JobUser, _file: &Path) -> Result<(), UserError> {
    Err(UserError::System)
}

/// Takes a user for the jobs of this agent alone.
pub(crate) fn take(_user: &JobUser, _state_dir: &Path) -> Result<Option<Held>, UserError> {
    Err(UserError::System)
}

/// Refuses a user that somebody else's processes run as.
pub(crate) fn free(_user: &JobUser, _state_dir: &Path) -> Result<(), UserError> {
    Err(UserError::System)
}

/// Removes what the user owns elsewhere.
pub(crate) fn clear(_user: &JobUser, _workdir: &Path) -> io::Result<Vec<String>> {
    Err(io::ErrorKind::Unsupported.into())
}

/// How many files elsewhere are the user's.
pub(crate) fn count(_user: &JobUser, _workdir: &Path) -> io::Result<u64> {
    Err(io::ErrorKind::Unsupported.into())
}
