//! Why a git command has no result.

use std::path::PathBuf;
use std::time::Duration;

use crate::RemoteUrl;

/// Why a git command has no result. Texts of git in it are its last lines, without credentials.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no repository at the address.
    #[error("the repository {url} does not exist: {detail}")]
    NotFound {
        /// The address, or the path.
        url: String,
        /// What git said.
        detail: String,
    },
    /// The remote wants to know who we are, or does not let us.
    #[error("the repository {url} needs credentials, or does not exist: {detail}")]
    NeedsCredentials {
        /// The address.
        url: String,
        /// What git said.
        detail: String,
    },
    /// The repository has no commit.
    #[error("the repository {url} is empty: it has no commits yet")]
    Empty {
        /// The address.
        url: String,
    },
    /// The remote can't be reached, or broke off.
    #[error("{url} can't be reached: {detail}")]
    Unreachable {
        /// The address.
        url: String,
        /// What git said.
        detail: String,
    },
    /// Objects of the repository are damaged or missing.
    #[error("the repository {url} is damaged: {detail}")]
    Corrupt {
        /// The address, or the path.
        url: String,
        /// What git said.
        detail: String,
    },
    /// The remote does not have the object or ref that was asked for.
    #[error("{url} has no such revision: {detail}")]
    NoSuchRevision {
        /// The address, or the path.
        url: String,
        /// What git said.
        detail: String,
    },
    /// The command took too long; it and all its children were ended.
    #[error("git {what} did not end within {} s", limit.as_secs_f32())]
    Timeout {
        /// The command.
        what: String,
        /// The limit.
        limit: Duration,
    },
    /// The caller asked for the command's end; it and all its children were ended.
    #[error("git {what} was cancelled")]
    Cancelled {
        /// The command.
        what: String,
    },
    /// The answer is larger than its limit.
    #[error("git {what} gives more than {limit} bytes")]
    TooLarge {
        /// The command, or the file.
        what: String,
        /// The limit, in bytes.
        limit: u64,
    },
    /// The disk is full.
    #[error("no space left on the disk: {detail}")]
    NoSpace {
        /// What git said.
        detail: String,
    },
    /// Git could not be started.
    #[error("can't start {}: {source}", program.display())]
    Start {
        /// The program.
        program: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// Bytes did not pass between us and git, or a file of ours could not be written.
    #[error("git {what}: {source}")]
    Io {
        /// The command, or the file.
        what: String,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// Git printed something that we don't understand.
    #[error("git {what} printed something unexpected: {detail}")]
    Unexpected {
        /// The command.
        what: String,
        /// What.
        detail: String,
    },
    /// Any other failure.
    #[error("git {what} ended with {status}: {detail}")]
    Failed {
        /// The command.
        what: String,
        /// How it ended, such as `exit status: 128`.
        status: String,
        /// What git said.
        detail: String,
    },
}

impl Error {
    /// Whether the same command may succeed later without a change of configuration.
    pub fn is_transient(&self) -> bool {
        matches!(
            self,
            Error::Unreachable { .. } | Error::Timeout { .. } | Error::Io { .. } | Error::Failed { .. }
        )
    }
}

/// Tells by git's words what went wrong. `LC_ALL=C` keeps the words still.
pub(crate) fn classify(
    what: &str,
    status: String,
    stderr: &str,
    url: Option<&RemoteUrl>,
    place: &str,
) -> Error {
    let text = url.map_or_else(|| stderr.to_owned(), |url| url.redact(stderr));
    let lower = text.to_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| lower.contains(word));
    let detail = last_lines(&text);
    let url_text = url.map_or_else(|| place.to_owned(), ToString::to_string);
    if has(&["no space left on device", "disk quota exceeded"]) {
        return Error::NoSpace { detail };
    }
    if has(&[
        "couldn't find remote ref",
        "not our ref",
        "no such remote ref",
        "unadvertised object",
        " not valid",
    ]) {
        return Error::NoSuchRevision { url: url_text, detail };
    }
    if url.is_some() {
        if has(&[
            "could not read username",
            "could not read password",
            "authentication failed",
            "permission denied (",
            "terminal prompts disabled",
            "returned error: 401",
            "returned error: 403",
            "host key verification failed",
        ]) {
            return Error::NeedsCredentials { url: url_text, detail };
        }
        if has(&[
            "does not appear to be a git repository",
            "repository not found",
            "returned error: 404",
            "returned error: 410",
            "does not exist",
            "' not found",
            "access denied or repository not exported",
            "not a git repository",
            "no such file or directory",
        ]) {
            return Error::NotFound { url: url_text, detail };
        }
    }
    if has(&[
        "invalid object",
        "is corrupt",
        "corrupt",
        "bad object",
        "inflate:",
        "missing blob",
        "missing tree",
        "missing commit",
        "unable to read tree",
        "unable to parse",
        "did not send all necessary objects",
        "hash mismatch",
        "bad tree",
        "unable to read sha1",
        "index-pack failed",
        "unresolved deltas",
        "could not read ",
        "broken ref",
        "bad ref",
    ]) && !has(&["early eof", "could not read from remote"])
    {
        return Error::Corrupt { url: url_text, detail };
    }
    if url.is_some()
        && has(&[
            "could not resolve",
            "connection refused",
            "connection timed out",
            "connection reset",
            "failed to connect",
            "unable to connect",
            "unable to access",
            "early eof",
            "hung up",
            "could not read from remote",
            "operation timed out",
            "network is unreachable",
            "no route to host",
            "rpc failed",
            "operation too slow",
            "couldn't connect",
            "the requested url returned error: 5",
            "read error",
            "unable to look up",
        ])
    {
        return Error::Unreachable { url: url_text, detail };
    }
    Error::Failed { what: what.to_owned(), status, detail }
}

/// The last lines of what git printed, without progress and advice, on one line.
fn last_lines(text: &str) -> String {
    let useful =
        |line: &&str| !line.trim().is_empty() && !line.starts_with("hint:") && !line.starts_with("warning:");
    let lines: Vec<&str> = text.split(['\n', '\r']).filter(useful).map(str::trim_end).collect();
    let lines = &lines[lines.len().saturating_sub(6)..];
    if lines.is_empty() { "it said nothing".to_owned() } else { lines.join("; ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gits_words_become_causes() {
        let url: RemoteUrl = "https://h/x".parse().unwrap();
        let cause = |text: &str| classify("fetch", "exit status: 128".into(), text, Some(&url), "");
        let refused = cause(
            "fatal: unable to access 'https://h/x/': Failed to connect to h port 1: Connection refused",
        );
        assert!(matches!(refused, Error::Unreachable { .. }), "{refused}");
        let gone = cause("remote: Not Found\nfatal: repository 'https://h/x/' not found\n");
        assert!(matches!(gone, Error::NotFound { .. }), "{gone}");
        let who = cause("fatal: could not read Username for 'https://h': terminal prompts disabled");
        assert!(matches!(who, Error::NeedsCredentials { .. }), "{who}");
        let key =
            cause("git@h: Permission denied (publickey).\nfatal: Could not read from remote repository.\n");
        assert!(matches!(key, Error::NeedsCredentials { .. }), "{key}");
        let bad = cause("error: object file ./objects/ab/cd is empty\nfatal: loose object abcd is corrupt");
        assert!(matches!(bad, Error::Corrupt { .. }), "{bad}");
        let cut = cause("fetch-pack: unexpected disconnect\nfatal: early EOF\nfatal: index-pack failed");
        assert!(matches!(cut, Error::Unreachable { .. }), "{cut}");
        let full = cause("fatal: write error: No space left on device\nfatal: index-pack failed");
        assert!(matches!(full, Error::NoSpace { .. }), "{full}");
        let rev = cause("fatal: couldn't find remote ref refs/heads/x");
        assert!(matches!(rev, Error::NoSuchRevision { .. }), "{rev}");
        let other = cause("fatal: bad config\nhint: try this");
        assert_eq!(other.to_string(), "git fetch ended with exit status: 128: fatal: bad config");
    }
}
