//! The proxy on the way to a coordinator: the variables that name it, and what it answers.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use arbitrary::Unstructured;

use super::connection::{Wire, pieces, run};
use super::{bytes, number, once_in, one};
use crate::reverse::coordinator::is_loopback;
use crate::reverse::proxy::{HEAD, Proxy, ProxyError, find};

const TO: &str = "ci.example.org:443";
const LINES: [&str; 10] = [
    "HTTP/1.1 200 OK",
    "HTTP/1.1 200 OK",
    "HTTP/1.0 200",
    "HTTP/1.1 200",
    "HTTP/1.1 2000 x",
    "HTTP/1.1  200",
    "HTTP/1.1 407 Who",
    "HTTP/2 200",
    "SSH-2.0-x",
    "",
];
const HEADERS: [&str; 5] = ["Via: x", "Content-Length: 3", "\r", " ", "x"];
const ENDS: [&str; 5] = ["\r\n", "\r\n", "\n", "\r", "\r\r\n"];
const HOSTS: [&str; 7] =
    ["ci.example.org", "CI.example.org.", "localhost", "127.0.0.2", "::1", "10.1.2.3", "2001:db8::1"];
const ADDRESSES: [&str; 13] = [
    "http://",
    "https://",
    "us%0d%0aer",
    "\r\n",
    ":",
    "p%zzw",
    "@",
    "proxy",
    "[::1]",
    ":3128",
    "/",
    "%00",
    " ",
];
const EXEMPT: [&str; 13] =
    ["*", ",", ".", "example.org", "ci.", ":443", ":80", "10.0.0.0", "/8", "/0", "/129", "2001:db8::", "/32"];

/// Asks a proxy for a tunnel: it is one only behind a whole answer that says so, and nothing of what is in it is taken.
pub fn proxy(data: &[u8]) {
    let mut u = Unstructured::new(data);
    named(&mut u);
    network(&mut u);
    let pieces = pieces(&mut u);
    let said = if once_in(&mut u, 4) { bytes(&mut u, 4096) } else { answer(&mut u) };
    let variable = |name: &str| (name == "HTTPS_PROXY").then(|| "http://u:p@proxy".to_owned());
    let proxy = find("ci.example.org", 443, variable).expect("a proxy").expect("a proxy");
    let mut wire = Wire::new(&said, &pieces);
    let came = run(proxy.open(&mut wire, TO));
    let shown = String::from_utf8_lossy(&said);
    match (came, tunnel(&said)) {
        (Ok(()), Some(behind)) => assert_eq!(wire.comes, behind, "{shown:?}"),
        (came, tunnel) => assert!(came.is_err() && tunnel.is_none(), "{shown:?}: {came:?}, {tunnel:?}"),
    }
}

fn answer(u: &mut Unstructured<'_>) -> Vec<u8> {
    let mut said = String::new();
    said.push_str(one::<&str>(u, &LINES));
    said.push_str(one::<&str>(u, &ENDS));
    for _ in 0..number(u, 3) {
        let times = *one(u, &[1, 1, 1, 1, 1, 3000]);
        let line = format!("{}{}", one(u, &HEADERS), one(u, &ENDS));
        said.push_str(&line.repeat(times));
    }
    said.push_str(one::<&str>(u, &ENDS));
    let mut said = said.into_bytes();
    said.extend(bytes(u, 16));
    said
}

/// What is behind the head of an answer that opens a tunnel: lines, and an empty one.
fn tunnel(said: &[u8]) -> Option<&[u8]> {
    let mut at = 0;
    let mut status = None;
    for line in said.split_inclusive(|byte| *byte == b'\n') {
        at += line.len();
        let line = line.strip_suffix(b"\n")?;
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        match status {
            None => status = Some(line.split(|byte| *byte == b' ').take(2).collect::<Vec<_>>()),
            Some(words) if line.is_empty() => {
                let opens =
                    matches!(&words[..], [version, b"200"] if version.starts_with(b"HTTP/1.")) && at <= HEAD;
                return opens.then_some(&said[at..]);
            }
            Some(_) => {}
        }
    }
    None
}

/// Reads variables of any kind: this machine is reached without a proxy, and what one is asked is ours alone.
fn named(u: &mut Unstructured<'_>) {
    let host = *one(u, &HOSTS);
    let (address, exempt) = (text(u, &ADDRESSES), text(u, &EXEMPT));
    let variable = |name: &str| match name {
        "https_proxy" => Some(address.clone()),
        "NO_PROXY" => Some(exempt.clone()),
        _ => None,
    };
    let Ok(Some(proxy)) = find(host, 443, variable) else { return };
    assert!(!is_loopback(host.trim_end_matches('.')), "{host} by {address:?}");
    let Proxy { host, port, .. } = &proxy;
    let named = |byte: u8| byte.is_ascii_alphanumeric() || b"._-:".contains(&byte);
    assert!(*port != 0 && !host.is_empty() && host.bytes().all(named), "{proxy:?} of {address:?}");
    let mut wire = Wire::new(b"", &[]);
    let came = run(proxy.open(&mut wire, TO));
    assert!(matches!(came, Err(ProxyError::Io(_))), "{came:?}");
    let sent = String::from_utf8(wire.written).expect("it is text");
    let head = sent.strip_suffix("\r\n\r\n").expect("it has an end");
    let lines: Vec<&str> = head.split("\r\n").collect();
    assert!(lines.len() <= 3 && !lines.iter().any(|line| line.contains(char::is_control)), "{sent:?}");
    assert_eq!(lines[..2], [format!("CONNECT {TO} HTTP/1.1"), format!("Host: {TO}")]);
    assert!(lines.get(2).is_none_or(|line| line.starts_with("Proxy-Authorization: Basic ")), "{sent:?}");
}

/// An address is within a network if as many of their first bits are the same.
fn network(u: &mut Unstructured<'_>) {
    let address = |u: &mut Unstructured<'_>, v6: bool| {
        let low = u.arbitrary::<u16>().unwrap_or(0);
        if v6 {
            IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, low & 3, 0, 0, 0, 0, low))
        } else {
            IpAddr::V4(Ipv4Addr::from(0x0a00_0000 | u32::from(low) << 4))
        }
    };
    let v6 = once_in(u, 2);
    let (host, network) = (address(u, v6), address(u, v6));
    let bits = number(u, 130);
    let written = |ip: IpAddr| match ip {
        IpAddr::V4(ip) => format!("{:032b}", ip.to_bits()),
        IpAddr::V6(ip) => format!("{:0128b}", ip.to_bits()),
    };
    let (one, other) = (written(host), written(network));
    let within = one.get(..bits).is_some_and(|first| other.get(..bits) == Some(first));
    let variable = |name: &str| match name {
        "HTTPS_PROXY" => Some("proxy".to_owned()),
        "no_proxy" => Some(format!("{network}/{bits}")),
        _ => None,
    };
    let found = find(&host.to_string(), 443, variable).expect("a proxy");
    assert_eq!(found.is_none(), within, "{host} {network}/{bits}");
}

fn text(u: &mut Unstructured<'_>, parts: &[&str]) -> String {
    if once_in(u, 6) {
        return String::from_utf8_lossy(&bytes(u, 40)).into_owned();
    }
    (0..number(u, 5)).map(|_| *one(u, parts)).collect()
}
