//! A URL, taken apart.

use http::Uri;

use super::FetchError;
use super::allow::plain;
use crate::reverse::coordinator::authority;

/// More is no address that anybody wrote.
const LONGEST: usize = 8 << 10;

/// What is asked for, and of whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    tls: bool,
    host: String,
    port: u16,
    path: String,
}

impl Target {
    pub(crate) fn parse(url: &str) -> Result<Self, FetchError> {
        if url.len() > LONGEST {
            return Err(FetchError::Url("it is too long"));
        }
        let uri: Uri = url.parse().map_err(|_bad| FetchError::Url("it is no URL"))?;
        let tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(FetchError::Url("it must begin with https:// or http://")),
        };
        let named = uri.authority().ok_or(FetchError::Url("it names no host"))?;
        if named.as_str().contains('@') {
            return Err(FetchError::Url("it must not have a user's name in it"));
        }
        let host = named.host().trim_start_matches('[').trim_end_matches(']');
        let host = plain(host).ok_or(FetchError::Url("it names no host"))?;
        let rest = named.as_str().strip_prefix(named.host()).unwrap_or_default();
        let port = match (rest, named.port_u16()) {
            ("" | ":", _) => {
                if tls {
                    443
                } else {
                    80
                }
            }
            (_, Some(port)) if port != 0 => port,
            _ => return Err(FetchError::Url("its port is none")),
        };
        let path = uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        Ok(Self { tls, host, port, path })
    }

    /// What a redirect leads to; never from TLS to none.
    pub(crate) fn redirected(&self, location: &str) -> Result<Self, FetchError> {
        let scheme = if self.tls { "https" } else { "http" };
        let whole = if location.is_empty() {
            return Err(FetchError::Location { from: self.authority(), what: "there is no URL" });
        } else if location.starts_with("//") {
            format!("{scheme}:{location}")
        } else if location.starts_with('/') {
            format!("{scheme}://{}{location}", self.authority())
        } else if location.split(['/', '?', '#']).next().is_some_and(|scheme| scheme.ends_with(':')) {
            location.to_owned()
        } else {
            let path = self.path.split('?').next().unwrap_or_default();
            let above = path.rsplit_once('/').map_or("", |(above, _)| above);
            format!("{scheme}://{}{above}/{location}", self.authority())
        };
        let next = Self::parse(&whole).map_err(|error| match error {
            FetchError::Url(what) => FetchError::Location { from: self.authority(), what },
            error => error,
        })?;
        if self.tls && !next.tls {
            return Err(FetchError::Downgrade(self.authority()));
        }
        Ok(next)
    }

    pub(crate) fn tls(&self) -> bool {
        self.tls
    }

    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// Its name and port.
    pub(crate) fn authority(&self) -> String {
        authority(&self.host, self.port)
    }

    /// As the head of a request has it: without the port that the scheme means anyway.
    pub(crate) fn host_header(&self) -> String {
        let whole = self.authority();
        let usual = if self.tls { ":443" } else { ":80" };
        whole.strip_suffix(usual).map_or_else(|| whole.clone(), str::to_owned)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart() {
        for (url, tls, at, path) in [
            ("http://a.example/x.tar.gz?y=1", false, "a.example:80", "/x.tar.gz?y=1"),
            ("https://A.example.", true, "a.example:443", "/"),
            ("https://a.example:8443/", true, "a.example:8443", "/"),
            ("http://[::1]:99/x#part", false, "[::1]:99", "/x"),
            ("http://[0:0::0:1]:99/", false, "[::1]:99", "/"),
            ("http://a.example?q", false, "a.example:80", "/?q"),
        ] {
            let target = Target::parse(url).unwrap();
            assert_eq!((target.tls, target.authority().as_str(), target.path()), (tls, at, path), "{url}");
        }
        for bad in [
            "",
            "a.example",
            "/x",
            "ftp://a/x",
            "file:///etc/passwd",
            "http://",
            "http://./",
            "http://a../",
            "http://u:p@a/",
            "http://u@127.0.0.1/",
            "http://a:0/",
            "http://a:99999/",
            "http://a b/",
            "gopher://a/",
            "http://a/\r\nX: y",
            &format!("http://a/{}", "x".repeat(9000)),
        ] {
            assert!(Target::parse(bad).is_err(), "{bad:?}");
        }
        assert_eq!(Target::parse("http://a.example:80/").unwrap().host_header(), "a.example");
        assert_eq!(Target::parse("https://a.example:80/").unwrap().host_header(), "a.example:80");
    }

    #[test]
    fn redirects_are_urls_of_their_own() {
        let base = Target::parse("https://a.example/d/x?q").unwrap();
        for (location, want) in [
            ("/y", "https://a.example:443/y"),
            ("y?z", "https://a.example:443/d/y?z"),
            ("//b.example/y", "https://b.example:443/y"),
            ("https://b.example:99/y", "https://b.example:99/y"),
        ] {
            assert_eq!(base.redirected(location).unwrap(), Target::parse(want).unwrap(), "{location}");
        }
        assert!(matches!(base.redirected("http://a.example/"), Err(FetchError::Downgrade(_))));
        assert!(matches!(base.redirected("file:///etc/passwd"), Err(FetchError::Location { .. })));
        assert!(matches!(base.redirected(""), Err(FetchError::Location { .. })));
    }
}
