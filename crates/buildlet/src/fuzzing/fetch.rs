//! URLs that somebody else names, and whom the operator lets us fetch from.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use arbitrary::Unstructured;

use super::{bytes, number, once_in, one};
use crate::fetch::FetchFrom;
use crate::fetch::allow::{check_address, check_host};
use crate::fetch::target::Target;

const SCHEMES: [&str; 8] = ["http://", "http://", "https://", "HTTPS://", "//", "/", "", "file://"];
const HOSTS: [&str; 20] = [
    "a.example",
    "A.Example.",
    "public",
    "localhost",
    "127.0.0.1",
    "127.1",
    "2130706433",
    "0x7f.1",
    "10.0.0.1",
    "169.254.169.254",
    "169.254.169.254.",
    "[::1]",
    "[0:0::1]",
    "[::ffff:169.254.169.254]",
    "[fe80::1%25eth0]",
    "[64:ff9b::a9fe:a9fe]",
    "8.8.8.8",
    ".",
    "..",
    "",
];
const PORTS: [&str; 9] = ["", "", ":", ":80", ":443", ":0", ":080", ":99999", ":+1"];
const PATHS: [&str; 12] =
    ["", "/", "/x", "?q", "#f", "/../y", "@", "\\", "/%0d%0aX: y", "\r\n", "/\u{e9}", "/x/:y"];
/// Where addresses are that matter, and where those are that lead to them.
const NEAR: [Ipv4Addr; 13] = [
    Ipv4Addr::LOCALHOST,
    Ipv4Addr::UNSPECIFIED,
    Ipv4Addr::BROADCAST,
    Ipv4Addr::new(169, 254, 169, 254),
    Ipv4Addr::new(10, 0, 0, 1),
    Ipv4Addr::new(172, 16, 0, 1),
    Ipv4Addr::new(172, 31, 255, 255),
    Ipv4Addr::new(192, 168, 1, 1),
    Ipv4Addr::new(100, 64, 0, 1),
    Ipv4Addr::new(224, 0, 0, 1),
    Ipv4Addr::new(172, 32, 0, 1),
    Ipv4Addr::new(8, 8, 8, 8),
    METADATA,
];
/// Azure's, which the standard library takes for anybody's.
const METADATA: Ipv4Addr = Ipv4Addr::new(168, 63, 129, 16);

/// Reads URLs, redirects and lists: nobody near is let in who is not listed, and nobody of the local link by any name.
pub fn fetch(data: &[u8]) {
    let mut u = Unstructured::new(data);
    let from = list(&mut u);
    let text = url(&mut u);
    let Ok(mut target) = Target::parse(&text) else { return };
    for _ in 0..3 {
        whole(&target);
        for _ in 0..3 {
            let at = SocketAddr::new(address(&mut u, &target), target.port());
            let let_in = check_host(&from, target.host(), target.port())
                .and_then(|()| check_address(&from, target.host(), at));
            if let_in.is_ok() {
                allowed(&from, &target, at.ip());
            }
        }
        let location = url(&mut u);
        let Ok(next) = target.redirected(&location) else { return };
        assert!(next.tls() || !target.tls(), "{target:?} to {location:?}");
        target = next;
    }
}

fn url(u: &mut Unstructured<'_>) -> String {
    if once_in(u, 6) {
        return String::from_utf8_lossy(&bytes(u, 100)).into_owned();
    }
    let mut url = String::new();
    for parts in [&SCHEMES[..], &HOSTS, &PORTS, &PATHS, &PATHS] {
        url.push_str(one::<&str>(u, parts));
    }
    if once_in(u, 8) {
        let at = number(u, url.len());
        if url.is_char_boundary(at) {
            url.insert_str(at, &String::from_utf8_lossy(&bytes(u, 3)));
        }
    }
    url
}

/// What the operator lists; each is what it shows itself as.
fn list(u: &mut Unstructured<'_>) -> Vec<FetchFrom> {
    let mut from = Vec::new();
    for _ in 0..number(u, 2) {
        let text = if once_in(u, 8) {
            String::from_utf8_lossy(&bytes(u, 30)).into_owned()
        } else {
            let host = *one(u, &HOSTS);
            let host = if once_in(u, 2) { host } else { host.trim_matches(['[', ']']) };
            format!("{host}{}", one(u, &PORTS))
        };
        if let Ok(entry) = text.parse::<FetchFrom>() {
            let shown = entry.to_string();
            assert_eq!(shown.parse(), Ok(entry.clone()), "{text:?} shown as {shown:?}");
            if let FetchFrom::Host { host, port } = &entry {
                assert!(!host.is_empty() && *port != Some(0), "{text:?}");
            }
            from.push(entry);
        }
    }
    from
}

/// What was read is whole, and read again is the same.
fn whole(target: &Target) {
    let (host, path) = (target.host(), target.path());
    let odd = |c: char| c.is_control() || c.is_whitespace();
    assert!(!host.is_empty() && !host.contains(odd) && !host.contains(['@', '/', '[', ']']), "{target:?}");
    assert!(!host.bytes().any(|byte| byte.is_ascii_uppercase()), "{target:?}");
    assert!(target.port() != 0 && path.starts_with('/') && !path.contains(odd), "{target:?}");
    let scheme = if target.tls() { "https" } else { "http" };
    for at in [target.authority(), target.host_header()] {
        let again = Target::parse(&format!("{scheme}://{at}{path}")).expect("what was read is a URL");
        assert_eq!(&again, target);
    }
    // An address has one writing.
    if let Ok(ip) = host.parse::<IpAddr>() {
        assert_eq!(host, ip.to_string());
    }
}

/// Where a name may lead: to where it says if it is an address, else to anywhere.
fn address(u: &mut Unstructured<'_>, target: &Target) -> IpAddr {
    if let Ok(ip) = target.host().parse() {
        return ip;
    }
    let near = if once_in(u, 4) { Ipv4Addr::from(u.arbitrary::<u32>().unwrap_or(0)) } else { *one(u, &NEAR) };
    let [a, b, c, d] = near.octets().map(u16::from);
    let (high, low) = (a << 8 | b, c << 8 | d);
    let v6 = match number(u, 10) {
        0 => Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, high, low),
        1 => Ipv6Addr::new(0, 0, 0, 0, 0, 0, high, low),
        2 => Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, high, low),
        3 => Ipv6Addr::new(0x2002, high, low, 0, 0, 0, 0, 1),
        4 => Ipv6Addr::new(*one(u, &[0xfe80, 0xfebf, 0xfec0, 0xfc00, 0xfdff, 0xff02]), 0, 0, 0, 0, 0, 0, 1),
        5 => Ipv6Addr::from(u.arbitrary::<u128>().unwrap_or(0)),
        6 => Ipv6Addr::new(0x64, 0xff9b, 1, number(u, 0xffff) as u16, 0, 0, high, low),
        7 => Ipv6Addr::new(0, 0, 0, 0, 0xffff, 0, high, low),
        _ => return near.into(),
    };
    v6.into()
}

/// Sees that a target may be had at an address.
fn allowed(from: &[FetchFrom], target: &Target, at: IpAddr) {
    let listed = from.iter().any(|entry| match entry {
        FetchFrom::Public => false,
        FetchFrom::Host { host, port } => {
            host == target.host() && port.is_none_or(|port| port == target.port())
        }
    });
    assert!(listed || from.contains(&FetchFrom::Public), "{target:?} is in no list");
    let Some(ip) = leads_to(at) else { return };
    assert!(listed, "{target:?} at {at} is near");
    // Whoever wants that has to write the address.
    let link = match ip {
        IpAddr::V4(ip) => ip.is_link_local() || ip == METADATA,
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    };
    let literal = target.host().parse::<IpAddr>().is_ok_and(|host| host.to_canonical() == at.to_canonical());
    assert!(!link || literal, "{target:?} at {at} is of the local link");
}

/// The address that one leads to, if the standard library calls that no public one.
fn leads_to(at: IpAddr) -> Option<IpAddr> {
    let v6 = match at {
        IpAddr::V4(ip) => return near(ip).then_some(at),
        IpAddr::V6(ip) => ip,
    };
    let word = |index: usize| v6.segments().get(index).copied().unwrap_or(0);
    let within = |index: usize| Ipv4Addr::from(u32::from(word(index)) << 16 | u32::from(word(index + 1)));
    let inner = match v6.to_bits() >> 32 {
        0xffff | 0xffff_0000 | 0 | 0x64_ff9b_0000_0000_0000_0000 => Some(within(6)),
        bits if bits >> 48 == 0x64_ff9b_0001 => Some(within(6)),
        _ if word(0) == 0x2002 => Some(within(1)),
        _ => None,
    };
    if let Some(inner) = inner.filter(|inner| near(*inner)) {
        return Some(inner.into());
    }
    let local = v6.is_loopback() || v6.is_unspecified() || v6.is_multicast();
    (local || v6.is_unique_local() || v6.is_unicast_link_local()).then_some(at)
}

fn near(ip: Ipv4Addr) -> bool {
    let local = ip.is_loopback() || ip.is_unspecified() || ip.is_link_local() || ip.is_private();
    local || ip.is_multicast() || ip.is_broadcast() || ip == METADATA
}
