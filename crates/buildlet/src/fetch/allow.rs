//! Whom the operator lets us fetch from.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use super::FetchError;
use super::address::{not_public, tells_secrets};
use crate::reverse::coordinator::{authority, host_and_port};

/// Whom archives may be fetched from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FetchFrom {
    /// Any host whose address is one of the public network.
    Public,
    /// One host, wherever it is; by name, at no address of the local link.
    Host {
        /// Its name or address.
        host: String,
        /// Its port; any if none.
        port: Option<u16>,
    },
}

impl FromStr for FetchFrom {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "public" {
            return Ok(Self::Public);
        }
        // 0 is no port, so it says that there was none.
        let (host, port) = match (text.parse::<IpAddr>(), host_and_port(text, 1), host_and_port(text, 2)) {
            (Ok(ip), ..) => (ip.to_string(), None),
            (_, Some((host, one)), Some((_, two))) => (host, (one == two).then_some(one)),
            _ => return Err("expected HOST, HOST:PORT or the word public".to_owned()),
        };
        let host = plain(&host).ok_or("a host is not called so")?;
        Ok(Self::Host { host, port })
    }
}

impl fmt::Display for FetchFrom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Public => f.write_str("public"),
            Self::Host { host, port: Some(port) } => f.write_str(&authority(host, *port)),
            // A host of that name, and not the word.
            Self::Host { host, port: None } if host == "public" => f.write_str("public."),
            Self::Host { host, port: None } => f.write_str(host),
        }
    }
}

/// A name or address without what makes no difference to who it is, if it is one.
pub(super) fn plain(host: &str) -> Option<String> {
    let host = host.strip_suffix('.').unwrap_or(host);
    if host.is_empty() || host.ends_with('.') {
        return None;
    }
    let ip = host.parse::<IpAddr>();
    Some(ip.map_or_else(|_name| host.to_ascii_lowercase(), |ip| ip.to_string()))
}

fn is_listed(from: &[FetchFrom], name: &str, at_port: u16) -> bool {
    from.iter().any(|entry| match entry {
        FetchFrom::Public => false,
        FetchFrom::Host { host, port } => host == name && port.is_none_or(|port| port == at_port),
    })
}

/// Refuses a host that nothing in the list can let in, before anybody is asked where it is.
pub(crate) fn check_host(from: &[FetchFrom], host: &str, port: u16) -> Result<(), FetchError> {
    if from.contains(&FetchFrom::Public) || is_listed(from, host, port) {
        Ok(())
    } else {
        Err(FetchError::NotListed(authority(host, port)))
    }
}

/// Refuses an address of a host.
pub(crate) fn check_address(from: &[FetchFrom], host: &str, at: SocketAddr) -> Result<(), FetchError> {
    let ip = at.ip().to_canonical();
    let refuse = |what, remedy| FetchError::Address { host: host.to_owned(), at, what, remedy };
    let Some(what) = not_public(ip) else { return Ok(()) };
    if !is_listed(from, host, at.port()) {
        return Err(refuse(what, authority(host, at.port())));
    }
    // A name's owner can let it lead anywhere. That it leads to what this machine is told in secret was not meant by its
    // listing; where it was, the address itself is listed.
    let literal = host.parse::<IpAddr>().is_ok_and(|host| host.to_canonical() == ip);
    if tells_secrets(ip) && !literal {
        return Err(refuse(what, authority(&ip.to_string(), at.port())));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(entries: &[&str]) -> Vec<FetchFrom> {
        entries.iter().map(|entry| entry.parse().unwrap()).collect()
    }

    #[test]
    fn entries_are_hosts_with_or_without_a_port() {
        for text in ["public", "a.example", "a.example:81", "10.0.0.1", "10.0.0.1:80", "::1", "[::1]:80"] {
            assert_eq!(text.parse::<FetchFrom>().unwrap().to_string(), text);
        }
        assert_eq!(list(&["A.Example."]), list(&["a.example"]));
        assert_eq!(list(&["[0:0::0:1]:80"]), list(&["[::1]:80"]));
        // A host of that name is not the word.
        assert_eq!(list(&["Public."])[0].to_string(), "public.");
        assert_eq!(list(&["public."]), list(&[&list(&["public."])[0].to_string()]));
        for bad in ["", ".", "a..", "http://a", "a/b", "a:0", "a:x", "*", "u@h"] {
            assert!(bad.parse::<FetchFrom>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn only_what_is_listed_is_let_in() {
        let may = |entries: &[&str], host: &str, at: &str| {
            let (from, at) = (list(entries), at.parse::<SocketAddr>().unwrap());
            check_host(&from, host, at.port()).and_then(|()| check_address(&from, host, at)).is_ok()
        };
        for (entries, host, at, want) in [
            (&[][..], "a.example", "8.8.8.8:80", false),
            (&["public"], "a.example", "8.8.8.8:80", true),
            (&["public"], "a.example", "127.0.0.1:80", false),
            (&["public"], "a.example", "[::ffff:127.0.0.1]:80", false),
            (&["public"], "a.example", "169.254.169.254:80", false),
            (&["public"], "127.0.0.1", "127.0.0.1:80", false),
            (&["a.example"], "a.example", "10.0.0.1:80", true),
            (&["a.example"], "b.example", "10.0.0.1:80", false),
            (&["a.example:80"], "a.example", "10.0.0.1:81", false),
            (&["a.example"], "a.example", "127.0.0.1:80", true),
            (&["a.example"], "a.example", "169.254.169.254:80", false),
            (&["a.example"], "a.example", "[fe80::1]:80", false),
            (&["169.254.169.254"], "169.254.169.254", "169.254.169.254:80", true),
            (&["127.0.0.1:80"], "127.0.0.1", "127.0.0.1:80", true),
            (&["127.0.0.1:80"], "127.0.0.1", "127.0.0.1:81", false),
        ] {
            assert_eq!(may(entries, host, at), want, "{entries:?} {host} {at}");
        }
    }
}
