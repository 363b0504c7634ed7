//! Files of mute rules that a configuration names. What is in them is read elsewhere (`triage`).

use crate::name::RepoName;
use crate::source::Location;

/// A file of mute rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MuteFile {
    /// The repository whose own file names it, and whose tests alone it mutes; nothing where a server file names it.
    pub repo: Option<RepoName>,
    /// Its name as it is written: relative to the folder of the server file, or to the top of the repository.
    pub name: String,
    /// The name shown to people.
    pub file: String,
    /// Its text. Nothing for a repository's until whoever has the repository's tree puts it in ([`crate::Config::with_mutes`]).
    pub text: Option<String>,
    /// Where it is named.
    pub at: Location,
}
