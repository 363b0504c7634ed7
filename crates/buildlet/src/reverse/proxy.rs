//! The proxy that a machine may have to go through: which, when, and how it is asked.

use std::net::IpAddr;

use base64::Engine as _;
use percent_encoding::percent_decode_str;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::coordinator::{authority, host_and_port, is_loopback};

/// The largest answer of a proxy that is read.
pub(crate) const HEAD: usize = 16 << 10;

/// A proxy that tunnels.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Proxy {
    pub(crate) host: String,
    pub(crate) port: u16,
    /// The value of `Proxy-Authorization`.
    authorization: Option<String>,
}

impl std::fmt::Debug for Proxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Without what it is to be told of us.
        f.write_str(&authority(&self.host, self.port))
    }
}

/// Why a proxy is of no use.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProxyError {
    /// The variable says something else.
    #[error(
        "HTTPS_PROXY is no address of a proxy: expected http://HOST:PORT or http://USER:PASSWORD@HOST:PORT"
    )]
    NoAddress,
    /// The connection to it failed.
    #[error("the connection to the proxy failed: {0}")]
    Io(#[from] std::io::Error),
    /// It answered with something that is no HTTP.
    #[error("the proxy's answer is no head of HTTP")]
    Malformed,
    /// It does not let us through.
    #[error(
        "the proxy does not connect to {to}: {status:?}; allow that there, or name no proxy for it with NO_PROXY"
    )]
    Refused {
        /// Where we wanted to go.
        to: String,
        /// The answer's first line.
        status: String,
    },
}

/// Finds the proxy through which a host is reached with TLS, by the variables that Go's programs read.
pub(crate) fn find(
    host: &str,
    port: u16,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<Option<Proxy>, ProxyError> {
    let either = |one: &str, other: &str| {
        [one, other].iter().find_map(|name| variable(name).filter(|value| !value.trim().is_empty()))
    };
    let exempt = either("NO_PROXY", "no_proxy").unwrap_or_default();
    match either("HTTPS_PROXY", "https_proxy") {
        Some(text) if !is_exempt(host, port, &exempt) => parse(text.trim()).map(Some),
        _ => Ok(None),
    }
}

fn parse(text: &str) -> Result<Proxy, ProxyError> {
    let rest = match text.split_once("://") {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => rest,
        Some(_) => return Err(ProxyError::NoAddress),
        None => text,
    };
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    let (user, place) = match rest.rsplit_once('@') {
        Some((user, place)) => (Some(user), place),
        None => (None, rest),
    };
    let (host, port) = host_and_port(place, 80).ok_or(ProxyError::NoAddress)?;
    let authorization = user.map(|user| {
        let (name, password) = user.split_once(':').unwrap_or((user, ""));
        let mut plain: Vec<u8> = percent_decode_str(name).collect();
        plain.push(b':');
        plain.extend(percent_decode_str(password));
        format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(plain))
    });
    Ok(Proxy { host, port, authorization })
}

/// Whether a host is reached without a proxy: it is this machine, or one of a list of names, addresses and networks.
fn is_exempt(host: &str, port: u16, list: &str) -> bool {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    let ip = host.parse::<IpAddr>().ok();
    is_loopback(&host)
        || list.split(',').map(|entry| entry.trim().to_ascii_lowercase()).any(|entry| {
            if entry == "*" {
                return true;
            }
            if let Some((network, bits)) = entry.split_once('/') {
                return ip.is_some_and(|ip| is_within(ip, network, bits));
            }
            if let Ok(address) = entry.parse::<IpAddr>() {
                return ip == Some(address);
            }
            let name = entry.strip_prefix('*').filter(|rest| rest.starts_with('.')).unwrap_or(&entry);
            let (domain, only_below) = match name.strip_prefix('.') {
                Some(domain) => (domain, true),
                None => (name, false),
            };
            let Some((domain, at)) = host_and_port(domain, port) else { return false };
            let below = host.strip_suffix(&domain).is_some_and(|rest| rest.ends_with('.')) && ip.is_none();
            at == port && (below || (!only_below && host == domain))
        })
}

/// Whether an address is in a network such as 10.0.0.0/8.
fn is_within(ip: IpAddr, network: &str, bits: &str) -> bool {
    let (Ok(network), Ok(bits)) = (network.parse::<IpAddr>(), bits.parse::<u32>()) else { return false };
    // Both at the upper end of as many bits, so that a prefix of one is compared with the same of the other.
    let (ip, network, width) = match (ip, network) {
        (IpAddr::V4(ip), IpAddr::V4(network)) => {
            (u128::from(ip.to_bits()) << 96, u128::from(network.to_bits()) << 96, 32)
        }
        (IpAddr::V6(ip), IpAddr::V6(network)) => (ip.to_bits(), network.to_bits(), 128),
        _ => return false,
    };
    bits <= width && (ip ^ network).checked_shr(128 - bits).unwrap_or(0) == 0
}

impl Proxy {
    /// Asks for a tunnel on a connection to the proxy. Nothing that follows the answer is read. Limits no time.
    pub(crate) async fn open<C>(&self, connection: &mut C, to: &str) -> Result<(), ProxyError>
    where
        C: AsyncRead + AsyncWrite + Unpin,
    {
        let mut request = format!("CONNECT {to} HTTP/1.1\r\nHost: {to}\r\n");
        if let Some(authorization) = &self.authorization {
            request.push_str(&format!("Proxy-Authorization: {authorization}\r\n"));
        }
        request.push_str("\r\n");
        connection.write_all(request.as_bytes()).await?;
        connection.flush().await?;
        let mut head = Vec::with_capacity(256);
        // A line ends in either way, so the empty one does, whatever the one before it has.
        while !head.ends_with(b"\n\r\n") && !head.ends_with(b"\n\n") {
            if head.len() == HEAD {
                return Err(ProxyError::Malformed);
            }
            head.push(connection.read_u8().await?);
        }
        let head = String::from_utf8_lossy(&head);
        let line = head.lines().next().unwrap_or_default();
        match line.strip_prefix("HTTP/1.").and_then(|rest| rest.split(' ').nth(1)) {
            Some("200") => Ok(()),
            Some(_) => {
                Err(ProxyError::Refused { to: to.to_owned(), status: line.chars().take(100).collect() })
            }
            None => Err(ProxyError::Malformed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::duplex;

    fn found(host: &str, proxy: &str, exempt: &str) -> Option<String> {
        let variable = |name: &str| match name {
            "https_proxy" => Some(proxy.to_owned()),
            "NO_PROXY" => Some(exempt.to_owned()),
            _ => None,
        };
        find(host, 443, variable).unwrap().map(|proxy| format!("{proxy:?}"))
    }

    #[test]
    fn the_variables_are_read_as_by_programs_of_go() {
        let proxy = "http://proxy.example:3128";
        assert_eq!(found("ci.example.org", proxy, "").as_deref(), Some("proxy.example:3128"));
        assert_eq!(found("ci.example.org", "proxy", "").as_deref(), Some("proxy:80"));
        assert_eq!(found("ci.example.org", "", ""), None);
        for exempt in ["*", "example.org", ".example.org", "*.example.org", " x, ci.EXAMPLE.org:443 "] {
            assert_eq!(found("ci.example.org", proxy, exempt), None, "{exempt}");
        }
        for exempt in ["xample.org", ".ci.example.org", "ci.example.org:80", "a/b", ",", "10.0.0.0/8"] {
            assert!(found("ci.example.org", proxy, exempt).is_some(), "{exempt}");
        }
        for exempt in ["10.0.0.0/8", "10.1.2.3", "10.1.2.3:443", "0.0.0.0/0", "10.1.2.3/32"] {
            assert_eq!(found("10.1.2.3", proxy, exempt), None, "{exempt}");
        }
        for exempt in ["10.1.2.4/32", "11.0.0.0/8", "10.0.0.0/33", "::/0", "2.3", "10.0.0.0/x"] {
            assert!(found("10.1.2.3", proxy, exempt).is_some(), "{exempt}");
        }
        assert_eq!(found("2001:db8::1", proxy, "2001:db8::/32"), None);
        assert!(found("2001:db9::1", proxy, "2001:db8::/32").is_some());
        for here in ["localhost", "127.0.0.1", "127.9.9.9", "::1"] {
            assert_eq!(found(here, proxy, ""), None, "{here}");
        }
        for bad in ["https://proxy:1", "socks5://proxy", "http://", "http://a/b"] {
            let variable = |name: &str| (name == "HTTPS_PROXY").then(|| bad.to_owned());
            assert!(matches!(find("ci.example.org", 443, variable), Err(ProxyError::NoAddress)), "{bad}");
        }
    }

    /// What is asked, what comes of it, and what is left to read.
    async fn asked(proxy: &str, answer: &[u8]) -> (String, Result<(), ProxyError>, Vec<u8>) {
        let (mut ours, mut theirs) = duplex(1 << 16);
        theirs.write_all(answer).await.unwrap();
        theirs.shutdown().await.unwrap();
        let came = parse(proxy).unwrap().open(&mut ours, "ci.example.org:443").await;
        let mut rest = Vec::new();
        ours.read_to_end(&mut rest).await.unwrap();
        drop(ours);
        let mut sent = String::new();
        theirs.read_to_string(&mut sent).await.unwrap();
        (sent, came, rest)
    }

    #[tokio::test]
    async fn it_is_asked_for_a_tunnel_and_nothing_in_the_tunnel_is_taken() {
        let (sent, came, rest) =
            asked("http://us%40er:p%3Aw@proxy", b"HTTP/1.1 200 OK\r\nVia: x\r\n\r\nrest").await;
        came.unwrap();
        assert_eq!(rest, b"rest");
        assert_eq!(
            sent,
            "CONNECT ci.example.org:443 HTTP/1.1\r\nHost: ci.example.org:443\r\n\
             Proxy-Authorization: Basic dXNAZXI6cDp3\r\n\r\n"
        );
        let (sent, came, _) = asked("proxy", b"HTTP/1.0 403 Forbidden\r\n\r\n").await;
        assert!(!sent.contains("Authorization"));
        let error = came.unwrap_err().to_string();
        assert!(error.contains("403 Forbidden") && error.contains("NO_PROXY"), "{error}");
        // Where either way to end a line is meant, the next byte is the tunnel's.
        for head in ["HTTP/1.1 200 OK\n\n", "HTTP/1.1 200 OK\n\r\n", "HTTP/1.1 200 OK\r\nVia: x\r\n\n"] {
            let (_, came, rest) = asked("proxy", format!("{head}rest").as_bytes()).await;
            came.unwrap();
            assert_eq!(rest, b"rest", "{head:?}");
        }
        for bad in [&b"SSH-2.0-x\r\n\r\n"[..], b"\n\n", &[b'a'; HEAD + 10]] {
            assert!(matches!(asked("proxy", bad).await.1, Err(ProxyError::Malformed)), "{bad:?}");
        }
        assert!(matches!(asked("proxy", b"HTTP/1.1 2").await.1, Err(ProxyError::Io(_))));
    }
}
