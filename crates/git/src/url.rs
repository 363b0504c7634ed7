//! Addresses of repositories.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

/// The longest address that is taken, in bytes.
const MAX_URL: usize = 4096;
/// The transports that are spoken.
const SCHEMES: [&str; 5] = ["https", "http", "ssh", "git", "file"];

/// A text that is no address of a repository.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not the address of a repository: {reason}")]
pub struct UrlError {
    text: String,
    reason: &'static str,
}

/// The address of a repository: `https://…`, `http://…`, `ssh://…`, `git://…`, `file:///…`, `user@host:path` or an
/// absolute path. It is shown without its credentials, and they are not put on a command line.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct RemoteUrl {
    /// What git is given: for HTTP, without credentials.
    bare: String,
    user: Option<String>,
    password: Option<String>,
}

impl RemoteUrl {
    /// Reads an address, as [`str::parse`] does.
    ///
    /// # Errors
    /// The text is no address, or one that is not allowed.
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        text.parse()
    }

    /// Makes an address of a path on this machine.
    ///
    /// # Errors
    /// The path is relative, not UTF-8, or contains a control character.
    pub fn from_path(path: &Path) -> Result<Self, UrlError> {
        match path.to_str() {
            Some(text) if path.is_absolute() => text.parse(),
            _ => Err(UrlError {
                text: path.display().to_string(),
                reason: "the path is relative or not UTF-8",
            }),
        }
    }

    /// Gives the path, if the address is one on this machine.
    pub fn local_path(&self) -> Option<&Path> {
        let path = self.bare.strip_prefix("file://").unwrap_or(&self.bare);
        path.starts_with('/').then(|| Path::new(path))
    }

    /// What git is given as the address.
    pub(crate) fn argument(&self) -> &str {
        &self.bare
    }

    /// The setting by which git gets the credentials of an HTTP address, and the variables that carry them.
    pub(crate) fn credentials(&self) -> Option<(String, [(&'static str, String); 2])> {
        if self.user.is_none() && self.password.is_none() {
            return None;
        }
        let scheme = self.bare.find("://").map_or(0, |at| at + 3);
        let host = self.bare[scheme..].find('/').map_or(self.bare.len(), |at| scheme + at);
        // The helper is for this host only, so a redirection to another one does not get them.
        let helper = "!f() { test \"$1\" = get || exit 0; printf 'username=%s\\npassword=%s\\n' \
                      \"$BELLWETHER_GIT_USER\" \"$BELLWETHER_GIT_PASSWORD\"; }; f";
        let variables = [
            ("BELLWETHER_GIT_USER", self.user.clone().unwrap_or_default()),
            ("BELLWETHER_GIT_PASSWORD", self.password.clone().unwrap_or_default()),
        ];
        Some((format!("credential.{}.helper={helper}", &self.bare[..host]), variables))
    }

    /// Removes the credentials from a text that git printed.
    pub(crate) fn redact(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for secret in self.password.iter().chain(self.user.iter().filter(|_| self.password.is_none())) {
            if !secret.is_empty() {
                text = text.replace(secret.as_str(), "***");
            }
        }
        text
    }
}

impl FromStr for RemoteUrl {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        let no = |reason| Err(UrlError { text: shown(text), reason });
        if text.is_empty() || text.len() > MAX_URL {
            return no("it is empty or too long");
        }
        if text.starts_with('-') {
            return no("it begins with '-'");
        }
        if text.bytes().any(|b| b < b' ' || b == 0x7f) {
            return no("it contains a control character");
        }
        let plain = |text: &str| RemoteUrl { bare: text.to_owned(), user: None, password: None };
        if text.starts_with('/') {
            return Ok(plain(text));
        }
        if let Some((scheme, rest)) = text.split_once("://") {
            if !SCHEMES.contains(&scheme) {
                return no("its transport is not https, http, ssh, git or file");
            }
            if scheme == "file" {
                return if rest.starts_with('/') {
                    Ok(plain(text))
                } else {
                    no("file:// needs an absolute path")
                };
            }
            let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
            let (login, host) = match authority.rsplit_once('@') {
                Some((login, host)) => (Some(login), host),
                None => (None, authority),
            };
            if host.is_empty() || host.starts_with('-') || authority.starts_with('-') || path.is_empty() {
                return no("its host or path is missing, or begins with '-'");
            }
            return match login {
                Some(login) if scheme.starts_with("http") => {
                    let (user, password) = match login.split_once(':') {
                        Some((user, password)) => (user, Some(password)),
                        None => (login, None),
                    };
                    let (Some(user), Some(password)) = (unescape(user), unescape(password.unwrap_or("")))
                    else {
                        return no("its credentials are not well escaped");
                    };
                    // A token alone is sent as the user, with an empty password, as hosts of git expect it.
                    let bare = format!("{scheme}://{host}/{path}");
                    Ok(RemoteUrl {
                        bare,
                        user: Some(user),
                        password: Some(password).filter(|p| !p.is_empty()),
                    })
                }
                Some(login) if login.contains(':') => no("a password in such an address is not supported"),
                _ => Ok(plain(text)),
            };
        }
        if text.contains("::") {
            return no("transport helpers (ext::, fd::, …) are not allowed");
        }
        match text.split_once(':') {
            Some((host, path)) if !host.contains('/') => {
                let name = host.rsplit_once('@').map_or(host, |(_, name)| name);
                if name.is_empty() || name.starts_with('-') || path.is_empty() || path.starts_with('-') {
                    return no("its host or path is missing, or begins with '-'");
                }
                Ok(plain(text))
            }
            _ => no("it is neither a URL, nor host:path, nor an absolute path"),
        }
    }
}

/// Decodes `%41`; refuses what would break the helper's lines.
fn unescape(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let mut digit = || (bytes.next()? as char).to_digit(16);
        out.push((digit()? * 16 + digit()?) as u8);
    }
    let text = String::from_utf8(out).ok()?;
    (!text.contains(['\n', '\r', '\0'])).then_some(text)
}

/// A refused address as it may be shown: without what stands before an `@`.
fn shown(text: &str) -> String {
    let text: String = text.chars().take(200).collect();
    match (text.find("://"), text.rfind('@')) {
        (Some(scheme), Some(at)) if scheme + 3 < at => format!("{}***{}", &text[..scheme + 3], &text[at..]),
        _ => text,
    }
}

impl fmt::Display for RemoteUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.bare.split_once("://"), self.user.is_some() || self.password.is_some()) {
            (Some((scheme, rest)), true) => write!(f, "{scheme}://***@{rest}"),
            _ => f.write_str(&self.bare),
        }
    }
}

impl fmt::Debug for RemoteUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_git_are_taken() {
        for good in [
            "https://go.googlesource.com/sync",
            "git@github.com:golang/go.git",
            "ssh://git@host:22/x.git",
            "git://host/x",
            "file:///srv/x",
            "/srv/x",
            "host:x",
        ] {
            assert_eq!(good.parse::<RemoteUrl>().unwrap().to_string(), good);
        }
        assert_eq!("file:///srv/x".parse::<RemoteUrl>().unwrap().local_path(), Some(Path::new("/srv/x")));
        assert_eq!("host:x".parse::<RemoteUrl>().unwrap().local_path(), None);
    }

    #[test]
    fn options_helpers_and_strange_hosts_are_refused() {
        for bad in [
            "",
            "-x",
            "--upload-pack=x",
            "ext::sh -c x",
            "fd::3",
            "ftp://h/x",
            "ssh://-oProxyCommand=x/y",
            "ssh://u@-oProxyCommand=x/y",
            "-oProxyCommand=x:y",
            "u@-o:y",
            "host:-x",
            "relative/path",
            ".",
            "file://x",
            "https://",
            "https:///x",
            "a\nb:c",
            "ssh://u:secret@host/x",
            "weird::https://h/x",
            "ext::https://h/x",
        ] {
            assert!(bad.parse::<RemoteUrl>().is_err(), "{bad}");
        }
    }

    #[test]
    fn credentials_are_neither_shown_nor_arguments() {
        for text in ["https://me:s3cr%65t@host:1/a.git", "https://s3cret@host:1/a.git"] {
            let url: RemoteUrl = text.parse().unwrap();
            assert_eq!(url.to_string(), "https://***@host:1/a.git");
            assert!(!format!("{url:?} {}", url.argument()).contains("s3c"));
            assert_eq!(url.redact("fatal: s3cret said no"), "fatal: *** said no");
            let (setting, variables) = url.credentials().unwrap();
            assert!(setting.starts_with("credential.https://host:1.helper=") && !setting.contains("s3c"));
            assert!(variables.iter().any(|(_, value)| value == "s3cret"));
        }
        let error = "ftp://me:s3cret@host/a".parse::<RemoteUrl>().unwrap_err();
        assert!(!error.to_string().contains("s3cret"), "{error}");
    }
}
