//! Which addresses are inside: where nobody who only knows a URL may make us knock.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What kind of inside address this is; `None` is one of the public internet.
///
/// Follows IANA's special-purpose registries for IPv4 and IPv6, and is stricter in one way: what is
/// not global unicast (2000::/3) is inside, however it may be assigned one day. An IPv4 address that
/// an IPv6 address carries is judged as well.
pub fn inside(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(v4) => inside_v4(v4),
        IpAddr::V6(v6) => inside_v6(v6),
    }
}

fn inside_v4(v4: Ipv4Addr) -> Option<&'static str> {
    Some(match v4.octets() {
        // The first three cannot be told by their network alone.
        [255, 255, 255, 255] => "broadcast",
        [0, 0, 0, 0] => "unspecified",
        // Azure's host agent hands out secrets at this public address (RFC 1918 does not cover it).
        [168, 63, 129, 16] => "metadata",
        [0, ..] => "\"this network\"",
        [10, ..] | [192, 168, ..] => "private",
        [172, second, ..] if second & 0xf0 == 16 => "private",
        [100, second, ..] if second & 0xc0 == 64 => "carrier-grade NAT",
        [127, ..] => "loopback",
        [169, 254, ..] => "link-local",
        [192, 0, 0, _] => "protocol assignment",
        [192, 0, 2, _] | [198, 51, 100, _] | [203, 0, 113, _] => "documentation",
        [192, 88, 99, _] => "6to4 relay",
        [198, 18 | 19, ..] => "benchmarking",
        [224..=239, ..] => "multicast",
        [240..=255, ..] => "reserved",
        _ => return None,
    })
}

fn inside_v6(v6: Ipv6Addr) -> Option<&'static str> {
    let low = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    match v6.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0] => Some("unspecified"),
        [0, 0, 0, 0, 0, 0, 0, 1] => Some("loopback"),
        // IPv4-mapped: the system dials the IPv4 address.
        [0, 0, 0, 0, 0, 0xffff, a, b] => inside_v4(low(a, b)),
        // NAT64 (RFC 6052): a gateway dials the IPv4 address; IPv6-only hosts reach IPv4 this way.
        [0x64, 0xff9b, 0, 0, 0, 0, a, b] => inside_v4(low(a, b)),
        [0x64, 0xff9b, 1, ..] => Some("local NAT64"),
        [0, 0, 0, 0, 0, 0, a, b] => Some(inside_v4(low(a, b)).unwrap_or("IPv4-compatible")),
        [0x100, 0, 0, 0 | 1, ..] => Some("discard"),
        [0x2001, 0, ..] => Some("Teredo"),
        [0x2001, 2, 0, ..] => Some("benchmarking"),
        [0x2001, second, ..] if matches!(second & 0xfff0, 0x10 | 0x20) => Some("ORCHID"),
        [0x2001, second, ..] if second & 0xfe00 == 0 => Some("protocol assignment"),
        [0x2001, 0xdb8, ..] => Some("documentation"),
        [0x3fff, second, ..] if second & 0xf000 == 0 => Some("documentation"),
        [0x2002, ..] => Some("6to4"),
        [first, ..] if first & 0xfe00 == 0xfc00 => Some("private"),
        [first, ..] if first & 0xffc0 == 0xfe80 => Some("link-local"),
        [first, ..] if first & 0xffc0 == 0xfec0 => Some("site-local"),
        [first, ..] if first & 0xff00 == 0xff00 => Some("multicast"),
        [first, ..] if first & 0xe000 != 0x2000 => Some("reserved"),
        // ISATAP (RFC 5214): the interface identifier carries the IPv4 address that is dialled.
        [_, _, _, _, 0 | 0x200, 0x5efe, a, b] => inside_v4(low(a, b)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_special_range_is_inside_at_both_ends() {
        for (range, kind) in [
            ("0.0.0.0 0.0.0.0", "unspecified"),
            ("0.0.0.1 0.255.255.255", "\"this network\""),
            ("10.0.0.0 10.255.255.255", "private"),
            ("100.64.0.0 100.127.255.255", "carrier-grade NAT"),
            ("127.0.0.0 127.255.255.255", "loopback"),
            ("168.63.129.16 168.63.129.16", "metadata"),
            ("169.254.0.0 169.254.255.255", "link-local"),
            ("169.254.169.254 169.254.170.2", "link-local"),
            ("172.16.0.0 172.31.255.255", "private"),
            ("192.0.0.0 192.0.0.255", "protocol assignment"),
            ("192.0.2.0 192.0.2.255", "documentation"),
            ("192.88.99.0 192.88.99.255", "6to4 relay"),
            ("192.168.0.0 192.168.255.255", "private"),
            ("198.18.0.0 198.19.255.255", "benchmarking"),
            ("198.51.100.0 198.51.100.255", "documentation"),
            ("203.0.113.0 203.0.113.255", "documentation"),
            ("224.0.0.0 239.255.255.255", "multicast"),
            ("240.0.0.0 255.255.255.254", "reserved"),
            ("255.255.255.255 255.255.255.255", "broadcast"),
            (":: ::", "unspecified"),
            ("::1 ::1", "loopback"),
            ("::127.0.0.1 ::127.255.255.255", "loopback"),
            ("::8.8.8.8 ::9.9.9.9", "IPv4-compatible"),
            ("::ffff:127.0.0.1 ::ffff:127.0.0.2", "loopback"),
            ("::ffff:169.254.169.254 ::ffff:a9fe:a9fe", "link-local"),
            ("::ffff:0:7f00:1 ::ffff:0:ffff:ffff", "reserved"),
            ("64:ff9b::7f00:1 64:ff9b::127.0.0.1", "loopback"),
            ("64:ff9b::10.0.0.0 64:ff9b::10.255.255.255", "private"),
            ("64:ff9b:1:: 64:ff9b:1:ffff:ffff:ffff:ffff:ffff", "local NAT64"),
            ("100:: 100::ffff:ffff:ffff:ffff", "discard"),
            ("100:0:0:1:: 100:0:0:1:ffff:ffff:ffff:ffff", "discard"),
            ("2001:: 2001:0:ffff:ffff:ffff:ffff:ffff:ffff", "Teredo"),
            ("2001:2:: 2001:2:0:ffff:ffff:ffff:ffff:ffff", "benchmarking"),
            ("2001:3:: 2001:4:112::1", "protocol assignment"),
            ("2001:10:: 2001:2f:ffff:ffff:ffff:ffff:ffff:ffff", "ORCHID"),
            ("2001:1ff:: 2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff", "protocol assignment"),
            ("2001:db8:: 2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", "documentation"),
            ("2002:7f00:1:: 2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "6to4"),
            ("3fff:: 3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff", "documentation"),
            ("5f00:: 5f00:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "reserved"),
            ("fc00:: fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "private"),
            ("fd00:ec2::254 fd00:ec2::254", "private"),
            ("fe80:: febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "link-local"),
            ("fec0:: feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "site-local"),
            ("ff00:: ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "multicast"),
            ("2a00:1450::5efe:10.0.0.1 2a00:1450::200:5efe:192.168.0.1", "private"),
        ] {
            for end in range.split(' ') {
                assert_eq!(inside(end.parse().unwrap()), Some(kind), "{end}");
            }
        }
    }

    #[test]
    fn their_neighbours_are_outside() {
        for address in [
            "1.0.0.0",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.0",
            "168.63.129.15",
            "169.253.255.255",
            "169.255.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.1.0",
            "192.0.3.0",
            "192.88.98.255",
            "192.167.255.255",
            "192.169.0.0",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "8.8.8.8",
            "::ffff:8.8.8.8",
            "64:ff9b::8.8.8.8",
            "2001:200::1",
            "2001:db7:ffff::1",
            "2001:db9::1",
            "2003::1",
            "2606:4700::1111",
            "3fff:1000::1",
            "2a00:1450::5efe:8.8.8.8",
        ] {
            assert_eq!(inside(address.parse().unwrap()), None, "{address}");
        }
    }
}
