//! Addresses of hosts, all of them or only those that are everybody's.

use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper_util::client::legacy::connect::dns::{GaiResolver, Name};
use tower::Service;

/// Whom a client may connect to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whom {
    All,
    /// No address of this machine or of a private network.
    Public,
}

/// A host is not asked: it is this machine's, or of a private network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{host} is {address}, which is an address of this machine or of a private network: it is not asked")]
pub(crate) struct Inner {
    host: String,
    address: IpAddr,
}

/// The system's resolver.
#[derive(Clone)]
pub(crate) struct Names {
    system: GaiResolver,
    whom: Whom,
}

impl Names {
    pub(crate) fn of(whom: Whom) -> Self {
        Names { system: GaiResolver::new(), whom }
    }
}

type Found = std::vec::IntoIter<SocketAddr>;
type Error = Box<dyn std::error::Error + Send + Sync>;

impl Service<Name> for Names {
    type Response = Found;
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Found, Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.system.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let host = name.as_str().to_owned();
        let (found, whom) = (self.system.call(name), self.whom);
        Box::pin(async move {
            let found: Vec<SocketAddr> = found.await?.collect();
            // Where some are inner ones, so is the host: what connects tries one after the other.
            let inner =
                found.iter().map(SocketAddr::ip).find(|address| whom == Whom::Public && is_inner(*address));
            match inner {
                Some(address) => Err(Inner { host, address }.into()),
                None => Ok(found.into_iter()),
            }
        })
    }
}

/// A host that is an address by itself, which no resolver is asked for.
pub(crate) fn literal(base: &str) -> Option<IpAddr> {
    let host = base.parse::<http::Uri>().ok()?.host()?.to_owned();
    host.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

/// Refuses a base whose host is an inner address by itself.
pub(crate) fn public(base: &str) -> Result<(), Inner> {
    match literal(base).filter(|address| is_inner(*address)) {
        Some(address) => Err(Inner { host: "the host".into(), address }),
        None => Ok(()),
    }
}

/// Whether an error came of an inner address.
pub(crate) fn inner<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a Inner> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(inner) = error.downcast_ref::<Inner>() {
            return Some(inner);
        }
        cause = error.source();
    }
    None
}

/// Whether an address is this machine's, or of a private network: such as mean something else to everybody.
pub fn is_inner(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_inner_v4(address),
        IpAddr::V6(address) => embedded(address).map_or_else(|| is_inner_v6(address), is_inner_v4),
    }
}

fn is_inner_v4(address: Ipv4Addr) -> bool {
    let [first, second, ..] = address.octets();
    address.is_loopback()
        || address.is_private()
        || address.is_link_local()
        // "This network", and addresses that providers share among their customers.
        || first == 0
        || (first == 100 && (64..128).contains(&second))
}

fn is_inner_v6(address: Ipv6Addr) -> bool {
    address.is_loopback()
        || address.is_unspecified()
        || address.is_unique_local()
        || address.is_unicast_link_local()
}

/// An address of the older kind within one of the newer: written so, or translated on the way (RFC 6052).
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let translated = address.segments()[..6] == [0x64, 0xff9b, 0, 0, 0, 0];
    let octets = address.octets();
    let last = Ipv4Addr::new(octets[12], octets[13], octets[14], octets[15]);
    address.to_ipv4_mapped().or(translated.then_some(last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inner_addresses_are_those_of_nobody_else() {
        for inner in [
            "127.0.0.1",
            "127.9.9.9",
            "10.1.2.3",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "169.254.169.254",
            "0.0.0.0",
            "0.1.2.3",
            "100.64.0.1",
            "100.127.255.255",
            "::1",
            "::",
            "fe80::1",
            "febf::1",
            "fc00::1",
            "fdff::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "64:ff9b::7f00:1",
        ] {
            assert!(is_inner(inner.parse().unwrap()), "{inner}");
        }
        for public in [
            "1.1.1.1",
            "172.15.0.1",
            "172.32.0.1",
            "192.169.0.1",
            "169.253.0.1",
            "100.63.0.1",
            "100.128.0.1",
            "128.0.0.1",
            "2606:4700::1",
            "::ffff:1.1.1.1",
            "64:ff9b::101:101",
            "fec0::1",
        ] {
            assert!(!is_inner(public.parse().unwrap()), "{public}");
        }
        assert_eq!(literal("http://[::1]:80"), Some("::1".parse().unwrap()));
        assert_eq!(
            (literal("https://1.2.3.4"), literal("http://a.b")),
            (Some("1.2.3.4".parse().unwrap()), None)
        );
    }
}
