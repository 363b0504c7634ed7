//! Where a coordinator is.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

/// Where a coordinator is, and whether it is spoken to with TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Coordinator {
    host: String,
    port: u16,
    tls: bool,
}

impl Coordinator {
    /// Returns its name or address, without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Returns its port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Whether the connection is made with TLS; if not, it leads to this machine.
    #[must_use]
    pub fn tls(&self) -> bool {
        self.tls
    }

    /// Returns its name and port as a request has them.
    pub(super) fn authority(&self) -> String {
        authority(&self.host, self.port)
    }
}

impl FromStr for Coordinator {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (tls, rest) = match text.split_once("://") {
            Some(("https", rest)) => (true, rest),
            Some(("http", rest)) => (false, rest),
            Some(_) => return Err("expected https://HOST, https://HOST:PORT or HOST:PORT".to_owned()),
            None => (true, text),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (host, port) = host_and_port(rest, if tls { 443 } else { 80 }).ok_or_else(|| {
            "expected https://HOST, https://HOST:PORT or HOST:PORT, without a path".to_owned()
        })?;
        if !tls && !is_loopback(&host) {
            return Err(format!(
                "over http:// the builder key could be read on its way; use https://{rest}, \
                 or an address of this machine such as http://127.0.0.1:{port}"
            ));
        }
        Ok(Self { host, port, tls })
    }
}

impl fmt::Display for Coordinator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", if self.tls { "https" } else { "http" }, self.authority())
    }
}

/// Whether a host is this machine by what it is called.
pub(crate) fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// Writes a host and a port, with the brackets that an address of IPv6 needs.
pub(crate) fn authority(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// Splits `HOST`, `HOST:PORT` or `[IPV6]:PORT`.
pub(crate) fn host_and_port(text: &str, default: u16) -> Option<(String, u16)> {
    let (host, rest) = match text.strip_prefix('[') {
        Some(inner) => {
            let (host, rest) = inner.split_once(']')?;
            host.parse::<Ipv6Addr>().ok()?;
            (host, rest)
        }
        None => {
            let (host, rest) = text.split_at(text.find(':').unwrap_or(text.len()));
            let named = host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
            if !named || host.is_empty() || host.len() > 253 {
                return None;
            }
            (host, rest)
        }
    };
    let port = match rest {
        "" => default,
        // `parse` alone would take a sign.
        _ => rest.strip_prefix(':').filter(|port| port.bytes().all(|b| b.is_ascii_digit()))?.parse().ok()?,
    };
    (port != 0).then(|| (host.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_without_a_scheme_is_one_of_tls() {
        for (text, want) in [
            ("https://ci.example.org", "https://ci.example.org:443"),
            ("https://ci.example.org/", "https://ci.example.org:443"),
            ("https://ci.example.org:8443", "https://ci.example.org:8443"),
            ("ci.example.org:443", "https://ci.example.org:443"),
            ("ci.example.org", "https://ci.example.org:443"),
            ("[2001:db8::1]:99", "https://[2001:db8::1]:99"),
            ("http://127.0.0.1:8119", "http://127.0.0.1:8119"),
            ("http://[::1]:8119", "http://[::1]:8119"),
            ("http://localhost", "http://localhost:80"),
        ] {
            let coordinator: Coordinator = text.parse().unwrap();
            assert_eq!(coordinator.to_string(), want, "{text}");
            assert_eq!(want.parse(), Ok(coordinator));
        }
    }

    #[test]
    fn what_is_no_address_of_a_coordinator_is_refused() {
        for bad in [
            "",
            "https://",
            "ftp://a",
            "a:0",
            "a:99999",
            "a:+1",
            "a:",
            "a/b",
            "https://a/b",
            "u:p@a",
            "a b",
            "::1",
            "[::1",
            "[x]:1",
            "a\r\n:1",
            "https://a?b",
        ] {
            assert!(bad.parse::<Coordinator>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn the_key_is_not_sent_readable_to_another_machine() {
        for bad in ["http://ci.example.org", "http://10.0.0.1:80", "http://localhost.example.org"] {
            let error = bad.parse::<Coordinator>().unwrap_err();
            assert!(error.contains("use https://"), "{error}");
        }
    }
}
