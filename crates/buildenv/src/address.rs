//! Where a repository is, so that two ways to the same one are seen to be that.

use std::path::{Component, Path, PathBuf};

/// Other names of a host, by which the same repositories are reached: the one for browsers, and those where SSH listens beside
/// HTTPS for networks that let nothing else through.
const OTHER_NAMES: [(&str, &str); 4] = [
    ("www.github.com", "github.com"),
    ("ssh.github.com", "github.com"),
    ("altssh.gitlab.com", "gitlab.com"),
    ("altssh.bitbucket.org", "bitbucket.org"),
];

/// Where a repository is, without what differs between ways to the same one: scheme, user and port, the case of a remote's
/// letters, `.git` and slashes at the end. Two that are equal are taken for one repository. Where that is in doubt they are equal, since
/// it is asked to keep a secret: letters of both cases are the same even where a forge tells them apart.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum RepoAddress {
    /// On this machine; where it is relative, to the folder of the configuration.
    Local(PathBuf),
    /// On another one.
    Remote {
        /// Its name in small letters, without a port.
        host: String,
        /// The path in small letters, without slashes at its ends.
        path: String,
    },
}

impl RepoAddress {
    /// Reads what `git clone` would be given.
    #[must_use]
    pub fn of(url: &str) -> Self {
        if let Some((scheme, rest)) = url.split_once("://") {
            let rest = decoded(rest);
            let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            if scheme.eq_ignore_ascii_case("file") {
                return Self::local(Path::new(path));
            }
            let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
            let port = host.rsplit_once(':').filter(|(_, port)| port.bytes().all(|b| b.is_ascii_digit()));
            return Self::remote(port.map_or(host, |(host, _)| host), path);
        }
        // `USER@HOST:PATH`: as git has it, a colon after a slash is of a path.
        let host_ends = url.find("]:").map(|at| at + 1).or_else(|| url.find(':'));
        match host_ends.filter(|at| !url[..*at].contains('/')) {
            Some(at) => {
                let host = url[..at].rsplit_once('@').map_or(&url[..at], |(_, host)| host);
                Self::remote(host, &url[at + 1..])
            }
            None => Self::local(Path::new(url)),
        }
    }

    /// Reads `HOST/PATH`, as a log of mutations names a project.
    #[must_use]
    pub fn of_project(project: &str) -> Self {
        Self::of(&format!("https://{project}"))
    }

    /// A path that is relative is meant from that folder on.
    #[must_use]
    pub fn below(self, base: &Path) -> Self {
        match self {
            Self::Local(path) => Self::local(&base.join(path)),
            remote @ Self::Remote { .. } => remote,
        }
    }

    fn remote(host: &str, path: &str) -> Self {
        let host =
            host.trim_start_matches('[').trim_end_matches(']').trim_end_matches('.').to_ascii_lowercase();
        let other = OTHER_NAMES.iter().find(|(name, _)| *name == host);
        let host = other.map_or(host, |(_, usual)| (*usual).to_owned());
        let path = path.to_ascii_lowercase();
        let mut parts: Vec<_> = path.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
        // By which a Gerrit asks for a password.
        if parts.len() > 1 && parts[0] == "a" && host != "github.com" {
            parts.remove(0);
        }
        let path = parts.join("/");
        let path = path.strip_suffix(".git").map_or(path.as_str(), |path| path.trim_end_matches('/'));
        Self::Remote { host, path: path.to_owned() }
    }

    fn local(path: &Path) -> Self {
        let mut plain = PathBuf::new();
        for part in path.components() {
            match part {
                Component::CurDir => {}
                // What is above a folder that is named by a link is known only to the system.
                Component::ParentDir
                    if matches!(plain.components().next_back(), Some(Component::Normal(_))) =>
                {
                    plain.pop();
                }
                part => plain.push(part),
            }
        }
        let name = plain.file_name().and_then(|name| name.to_str()).map(str::to_owned);
        match name.as_deref().and_then(|name| name.strip_suffix(".git")) {
            Some("") => drop(plain.pop()),
            Some(name) => plain.set_file_name(name),
            None => {}
        }
        Self::Local(plain)
    }
}

/// A text in which `%XX` is the byte it stands for; what is none of these, or no text then, stays.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let mut byte = [0];
        match after.get(..2).filter(|two| *first == b'%' && hex::decode_to_slice(two, &mut byte).is_ok()) {
            Some(_) => {
                bytes.push(byte[0]);
                rest = &after[2..];
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8(bytes).unwrap_or_else(|_| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ways_to_one_repository_are_the_same() {
        let want = RepoAddress::of_project("github.com/golang/go");
        for url in [
            "https://GitHub.com/Golang/Go.git",
            "https://github.com//golang/go.git/",
            "https://www.github.com/golang/go",
            "https://github.com./golang/go",
            "http://github.com:80/golang/go/",
            "https://github.com/golang/%67o",
            "git@github.com:golang/go.git",
            "github.com:golang/go",
            "git@github.com:/golang/go",
            "ssh://git@github.com:22/golang/go",
            "ssh://git@ssh.github.com:443/golang/go.git",
            "git@ssh.github.com:golang/go",
            "https://user:w@rd@github.com/golang/go/",
            "git+ssh://git@github.com/golang/go",
        ] {
            assert_eq!(RepoAddress::of(url), want, "{url}");
        }
        for other in
            ["/github.com/golang/go", "github.com/golang/go", "https://github.com/golang/gopls", "go", ""]
        {
            assert_ne!(RepoAddress::of(other), want, "{other}");
        }
        let gerrit = RepoAddress::of_project("go.googlesource.com/go");
        assert_eq!(RepoAddress::of("https://go.googlesource.com/a/go"), gerrit);
        assert_eq!(RepoAddress::of("ssh://gopher@[::1]:29418/x"), RepoAddress::of("http://[::1]/x"));
        assert_eq!(RepoAddress::of("git@[::1]:x"), RepoAddress::of("http://[::1]/x"));
        assert_ne!(RepoAddress::of_project("github.com/a/x"), RepoAddress::of_project("github.com/x"));
    }

    #[test]
    fn paths_are_meant_from_the_configuration() {
        let base = Path::new("/srv/build");
        let want = RepoAddress::of("/srv/build/veiled");
        for path in [
            "veiled",
            "./veiled/",
            "../build/veiled.git",
            "veiled/.git",
            "x/../veiled",
            "/srv//build/./veiled",
            "file:///srv/build/veil%65d",
            "file://localhost/srv/build/veiled",
        ] {
            assert_eq!(RepoAddress::of(path).below(base), want, "{path}");
        }
        for path in ["Veiled", "/veiled", "./a:b", "../veiled", "ärger"] {
            assert_ne!(RepoAddress::of(path).below(base), want, "{path}");
        }
        assert_eq!(RepoAddress::of("./a:b").below(base), RepoAddress::Local("/srv/build/a:b".into()));
        assert_eq!(RepoAddress::of("%zz%e"), RepoAddress::Local("%zz%e".into()));
    }
}
