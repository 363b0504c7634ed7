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
        /// Whether the remote said so of itself, so that no copy of ours is meant.
        theirs: bool,
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

/// What only an object says that is damaged or missing.
const DAMAGE: [&str; 21] = [
    "invalid object",
    "is corrupt",
    "corrupt loose object",
    "corrupt or missing",
    "bad object",
    "bad tree",
    "bad ref",
    "broken ref",
    "inflate:",
    "missing blob",
    "missing tree",
    "missing commit",
    "fatal: unable to read ",
    "unable to read tree",
    "unable to read sha1",
    "unable to parse",
    "hash mismatch",
    "could not read ",
    "failed to traverse parents",
    "cannot read existing object",
    "collision found",
];

/// What comes of damage, and of a connection that ends too early.
const HALF: [&str; 4] =
    ["index-pack failed", "unpack-objects failed", "unresolved deltas", "did not send all necessary objects"];

/// A server that breaks off within a pack says this whatever the cause; if it is damage, what is damaged is said as well.
const GUESS: &str = "possible repository corruption on the remote side";

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
    // Names of repositories are no words of git's, and "could not read" is said of a connection, too.
    let said = lower.replace(&url_text.to_lowercase(), "").replace("could not read from remote", "hung up");
    let any = |text: &str, words: &[&str]| words.iter().any(|word| text.contains(word));
    let corrupt = |theirs, detail| Error::Corrupt { url: url_text.clone(), theirs, detail };
    if any(&said, &DAMAGE) {
        let by_them = |line: &str| line.starts_with("remote:") && any(line, &DAMAGE);
        // A listing has nothing to do with what is here.
        let theirs = url.is_some() && (what == "ls-remote" || said.split(['\n', '\r']).any(by_them));
        return corrupt(theirs, detail);
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
            "unexpected disconnect",
            "bad pack header",
            "expected flush after",
            GUESS,
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
    if any(&said, &HALF) {
        return corrupt(false, detail);
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
        let half = cause("fatal: pack has 3 unresolved deltas\nfatal: fetch-pack: invalid index-pack output");
        assert!(matches!(half, Error::Corrupt { theirs: false, .. }), "{half}");
        let full = cause("fatal: write error: No space left on device\nfatal: index-pack failed");
        assert!(matches!(full, Error::NoSpace { .. }), "{full}");
        let rev = cause("fatal: couldn't find remote ref refs/heads/x");
        assert!(matches!(rev, Error::NoSuchRevision { .. }), "{rev}");
        let other = cause("fatal: bad config\nhint: try this");
        assert_eq!(other.to_string(), "git fetch ended with exit status: 128: fatal: bad config");
    }
    /// What git 2.39 says where a remote breaks off at some place of a pack, and where it can't read an object: by itself, before
    /// the pack, or within it.
    #[test]
    fn a_cut_connection_is_no_damage_and_damage_no_cut_connection() {
        let url: RemoteUrl = "https://h/corrupt loose object".parse().unwrap();
        let cause = |text: &str| classify("fetch", "exit status: 128".into(), text, Some(&url), "");
        let guess = "aborting due to possible repository corruption on the remote side.";
        for cut in [
            "fatal: Could not read from remote repository.\n\nPlease make sure you have the correct access rights",
            "fatal: expected flush after capabilities",
            "fetch-pack: unexpected disconnect while reading sideband packet\nfatal: protocol error: bad pack header",
            "fetch-pack: unexpected disconnect while reading sideband packet\nfatal: early EOF\nfatal: unpack-objects failed",
            "error: RPC failed; curl 18 transfer closed\nfatal: early EOF\nfatal: fetch-pack: invalid index-pack output",
            "fatal: the remote end hung up unexpectedly\nfatal: pack has 3 unresolved deltas\nfatal: index-pack failed",
            // Its program was killed.
            &format!("remote: {guess} \nfatal: early EOF\nfatal: fetch-pack: invalid index-pack output"),
            &format!("fatal: unable to access '{url}': Could not resolve host: h"),
        ] {
            let found = cause(cut);
            assert!(matches!(found, Error::Unreachable { .. }) && found.is_transient(), "{found}");
        }
        let id = "7f3e4b69e67f40c36654711c55535069037a9415";
        for (damage, by_them) in [
            (format!("remote: fatal: unable to read {id} \nremote: {guess}\nfatal: early EOF"), true),
            (format!("remote: fatal: loose object {id} is corrupt\nremote: {guess}\nfatal: early EOF"), true),
            (format!("remote: fatal: bad tree object {id}\nfatal: protocol error: bad pack header"), true),
            (format!("remote: error: Could not read {id}\nfatal: protocol error: bad pack header"), true),
            (
                format!("fatal: loose object {id} is corrupt\nfatal: the remote end hung up unexpectedly"),
                false,
            ),
            (format!("fatal: packed object {id} is corrupt\nfatal: unpack-objects failed"), false),
            (format!("error: {url} did not send all necessary objects"), false),
        ] {
            let found = cause(&damage);
            assert!(matches!(found, Error::Corrupt { theirs, .. } if theirs == by_them), "{found:?}");
        }
    }
}
