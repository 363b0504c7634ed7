//! Addresses of the index and of segments, which may be relative to it.

/// An address, in the two parts by which it is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address {
    /// `http://HOST:PORT` or with `https`.
    pub(crate) origin: String,
    /// From the first `/` on, with the query.
    pub(crate) path: String,
}

impl Address {
    /// An address that says all.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = text.split_once("://")?;
        let scheme = scheme.to_ascii_lowercase();
        if !matches!(scheme.as_str(), "http" | "https") {
            return None;
        }
        let rest = rest.split('#').next().unwrap_or_default();
        let at = rest.find(['/', '?']).unwrap_or(rest.len());
        let (host, path) = rest.split_at(at);
        // Who is named before an @ is no host, and nobody is asked in their name.
        if host.is_empty()
            || host.contains(['@', '\\'])
            || text.chars().any(|one| one.is_control() || one == ' ')
        {
            return None;
        }
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        Some(Self { origin: format!("{scheme}://{}", host.to_ascii_lowercase()), path })
    }

    /// An address as it is meant where this one was read.
    pub(crate) fn join(&self, text: &str) -> Option<Self> {
        if let Some(rest) = text.strip_prefix("//") {
            let (scheme, _) = self.origin.split_once(':')?;
            return Self::parse(&format!("{scheme}://{rest}"));
        }
        let end = text.find(['/', '?', '#']).unwrap_or(text.len());
        if text[..end].contains(':') {
            return Self::parse(text);
        }
        let own = self.path.split('?').next().unwrap_or_default();
        let path = match text.chars().next() {
            Some('/') => text.to_owned(),
            Some('?') => format!("{own}{text}"),
            _ => {
                let folder = own.rfind('/').map_or("/", |at| &own[..=at]);
                format!("{folder}{text}")
            }
        };
        Self::parse(&format!("{}{path}", self.origin))
    }

    /// With a parameter more.
    pub(crate) fn with(&self, name: &str, value: u64) -> Self {
        let sign = if self.path.contains('?') { '&' } else { '?' };
        Self { origin: self.origin.clone(), path: format!("{}{sign}{name}={value}", self.path) }
    }

    /// The host without its port, and the port.
    pub(crate) fn host(&self) -> (&str, u16) {
        let (usual, rest) = match self.origin.split_once("://") {
            Some(("https", rest)) => (443, rest),
            Some((_, rest)) => (80, rest),
            None => (80, self.origin.as_str()),
        };
        // The colons of an address in brackets are its own.
        let port = rest.rsplit_once(':').filter(|(_, port)| !port.ends_with(']'));
        let (host, port) = port.map_or((rest, usual), |(host, port)| (host, port.parse().unwrap_or(usual)));
        (host.trim_start_matches('[').trim_end_matches(']'), port)
    }

    /// Whether what is asked for there can be read underway, and can't here.
    pub(crate) fn is_weaker_than(&self, other: &Self) -> bool {
        self.origin.starts_with("http:") && other.origin.starts_with("https:")
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}{}", self.origin, self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_meant_from_where_they_are_read() {
        let index = Address::parse("https://Example.org:8443/a/logs?x=1#y").unwrap();
        assert_eq!(index.to_string(), "https://example.org:8443/a/logs?x=1");
        assert_eq!(index.with("waitsizenot", 7).path, "/a/logs?x=1&waitsizenot=7");
        for (text, want) in [
            ("/logs/1", Some("https://example.org:8443/logs/1")),
            ("logs/1", Some("https://example.org:8443/a/logs/1")),
            ("?y", Some("https://example.org:8443/a/logs?y")),
            ("//b/c", Some("https://b/c")),
            ("http://b", Some("http://b/")),
            ("http://b?q", Some("http://b/?q")),
            ("ftp://b/c", None),
            ("file:/etc/passwd", None),
            ("http://u@b/c", None),
            ("http:///c", None),
            ("/a\nb", None),
        ] {
            assert_eq!(index.join(text).map(|to| to.to_string()).as_deref(), want, "{text}");
        }
        for (text, host) in [
            ("/x", ("example.org", 8443)),
            ("http://b/", ("b", 80)),
            ("https://[::1]/", ("::1", 443)),
            ("http://[::1]:9/", ("::1", 9)),
        ] {
            assert_eq!(index.join(text).unwrap().host(), host);
        }
        let plain = index.join("http://b/").unwrap();
        assert!(
            plain.is_weaker_than(&index) && !index.is_weaker_than(&plain) && !plain.is_weaker_than(&plain)
        );
    }
}
