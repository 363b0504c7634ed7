//! Which addresses are anybody's, and which lead to somewhere near.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Says what an address is if it is not one of the public network.
pub(super) fn not_public(ip: IpAddr) -> Option<&'static str> {
    match ip {
        IpAddr::V4(ip) => v4(ip),
        IpAddr::V6(ip) => v6(ip),
    }
}

/// Whether an address is one at which clouds tell a machine about itself, in secret: on the local link, and a few elsewhere.
pub(super) fn tells_secrets(ip: IpAddr) -> bool {
    matches!(not_public(ip), Some(LINK_LOCAL | METADATA))
}

const LINK_LOCAL: &str = "an address of the local link";
const METADATA: &str = "an address at which a cloud tells a machine about itself";
const LOOPBACK: &str = "this machine itself";
const PRIVATE: &str = "an address of a private network";
const RESERVED: &str = "no address of the public network";

fn v4(ip: Ipv4Addr) -> Option<&'static str> {
    match ip.octets() {
        [127, ..] | [0, ..] => Some(LOOPBACK),
        [169, 254, ..] => Some(LINK_LOCAL),
        // Alibaba's, Oracle's and Azure's.
        [100, 100, 100, 200] | [192, 0, 0, 192] | [168, 63, 129, 16] => Some(METADATA),
        [10, ..] | [192, 168, ..] => Some(PRIVATE),
        [172, second, ..] if (16..32).contains(&second) => Some(PRIVATE),
        // Shared by the customers of a provider.
        [100, second, ..] if (64..128).contains(&second) => Some(PRIVATE),
        [192, 0, 0 | 2, _] | [192, 88, 99, _] | [198, 18 | 19, ..] => Some(RESERVED),
        [198, 51, 100, _] | [203, 0, 113, _] => Some(RESERVED),
        // Groups, and what was never given out.
        [224..=255, ..] => Some(RESERVED),
        _ => None,
    }
}

fn v6(ip: Ipv6Addr) -> Option<&'static str> {
    let within = |high: u16, low: u16| {
        let [a, b] = high.to_be_bytes();
        let [c, d] = low.to_be_bytes();
        v4(Ipv4Addr::new(a, b, c, d))
    };
    match ip.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => Some(LOOPBACK),
        // What a system may still tunnel to, and nobody else has.
        [0, 0, 0, 0, 0, 0, high, low] => within(high, low).or(Some(RESERVED)),
        // The same network by another writing.
        [0, 0, 0, 0, 0, 0xffff, high, low] => within(high, low),
        // Translated from IPv4, or to it within a network.
        [0, 0, 0, 0, 0xffff, 0, high, low] | [0x64, 0xff9b, 1, .., high, low] => {
            within(high, low).or(Some(RESERVED))
        }
        // Translated to IPv4 on their way.
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => within(high, low),
        // Amazon's and Google's.
        [0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254] | [0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254] => Some(METADATA),
        [first, ..] if first & 0xffc0 == 0xfe80 => Some(LINK_LOCAL),
        [first, ..] if first & 0xfe00 == 0xfc00 || first & 0xffc0 == 0xfec0 => Some(PRIVATE),
        // Teredo, and what documents use.
        [0x2001, 0 | 0xdb8, ..] => Some(RESERVED),
        [0x3fff, second, ..] if second < 0x1000 => Some(RESERVED),
        [first, ..] if first & 0xe000 == 0x2000 => None,
        _ => Some(RESERVED),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_addresses_are_known_however_they_are_written() {
        for (text, want) in [
            ("127.0.0.1", LOOPBACK),
            ("127.255.255.254", LOOPBACK),
            ("0.0.0.0", LOOPBACK),
            ("::", LOOPBACK),
            ("::1", LOOPBACK),
            ("::ffff:127.0.0.1", LOOPBACK),
            ("64:ff9b::7f00:1", LOOPBACK),
            ("2002:7f00:1::", LOOPBACK),
            ("169.254.169.254", LINK_LOCAL),
            ("::ffff:169.254.169.254", LINK_LOCAL),
            ("64:ff9b::a9fe:a9fe", LINK_LOCAL),
            ("fe80::1", LINK_LOCAL),
            ("10.0.0.1", PRIVATE),
            ("172.16.0.1", PRIVATE),
            ("172.31.255.255", PRIVATE),
            ("192.168.1.1", PRIVATE),
            ("100.64.0.1", PRIVATE),
            ("fd00:ec2::253", PRIVATE),
            ("fd00:ec2::254", METADATA),
            ("fd20:ce::254", METADATA),
            ("100.100.100.200", METADATA),
            ("192.0.0.192", METADATA),
            ("168.63.129.16", METADATA),
            ("::ffff:168.63.129.16", METADATA),
            ("64:ff9b:1::a9fe:a9fe", LINK_LOCAL),
            ("64:ff9b:1::808:808", RESERVED),
            ("::ffff:0:a9fe:a9fe", LINK_LOCAL),
            ("fec0::1", PRIVATE),
            ("::ffff:10.0.0.1", PRIVATE),
            ("198.18.0.1", RESERVED),
            ("203.0.113.7", RESERVED),
            ("224.0.0.1", RESERVED),
            ("255.255.255.255", RESERVED),
            ("ff02::1", RESERVED),
            ("2001:db8::1", RESERVED),
            ("::7f00:1", LOOPBACK),
            ("::a9fe:a9fe", LINK_LOCAL),
            ("::8.8.8.8", RESERVED),
        ] {
            assert_eq!(not_public(text.parse().unwrap()), Some(want), "{text}");
        }
        for text in ["8.8.8.8", "172.15.0.1", "172.32.0.1", "100.128.0.1", "2607:f8b0::1", "::ffff:8.8.8.8"] {
            assert_eq!(not_public(text.parse().unwrap()), None, "{text}");
        }
    }
}
