use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A range of addresses: how it begins, and how many bits of that count.
type Range<const N: usize> = ([u8; N], u32);

/// What is not on the public internet of version 4: IANA's special-purpose registry (RFC 6890 and what
/// came after), and an address that a large cloud answers to from within its machines.
const V4: [Range<4>; 17] = [
    ([0, 0, 0, 0], 8),          // this network
    ([10, 0, 0, 0], 8),         // private
    ([100, 64, 0, 0], 10),      // behind a provider's translation
    ([127, 0, 0, 0], 8),        // loopback
    ([168, 63, 129, 16], 32),   // the host of a virtual machine at Azure
    ([169, 254, 0, 0], 16),     // link-local, and what clouds tell their machines
    ([172, 16, 0, 0], 12),      // private
    ([192, 0, 0, 0], 24),       // protocol assignments
    ([192, 0, 2, 0], 24),       // documentation
    ([192, 88, 99, 0], 24),     // relays of 6to4
    ([192, 168, 0, 0], 16),     // private
    ([198, 18, 0, 0], 15),      // benchmarking
    ([198, 51, 100, 0], 24),    // documentation
    ([203, 0, 113, 0], 24),     // documentation
    ([224, 0, 0, 0], 4),        // multicast
    ([240, 0, 0, 0], 4),        // reserved
    ([255, 255, 255, 255], 32), // broadcast
];

/// All of version 6 that is given out to anybody.
const V6_GIVEN_OUT: Range<16> = (v6(0x2000, 0), 3);
/// What of that is not on the public internet.
const V6: [Range<16>; 4] = [
    (v6(0x2001, 0), 23),     // protocol assignments, Teredo and ORCHID among them
    (v6(0x2001, 0xdb8), 32), // documentation
    (v6(0x2002, 0), 16),     // 6to4, which holds an address of version 4
    (v6(0x3fff, 0), 20),     // documentation
];
/// Addresses of version 4 in those of version 6: as systems write them, and behind a translation (RFC 6052).
const V4_IN_V6: [Range<16>; 2] =
    [([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0], 96), (v6(0x64, 0xff9b), 96)];

const fn v6(first: u16, second: u16) -> [u8; 16] {
    let ([a, b], [c, d]) = (first.to_be_bytes(), second.to_be_bytes());
    [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
}

/// Returns whether an address is one of the public internet, which anybody may be sent to.
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    !V4.iter().any(|range| is_in(address.octets(), range))
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let octets = address.octets();
    if V4_IN_V6.iter().any(|range| is_in(octets, range)) {
        let [.., a, b, c, d] = octets;
        return is_public_v4(Ipv4Addr::new(a, b, c, d));
    }
    is_in(octets, &V6_GIVEN_OUT) && !V6.iter().any(|range| is_in(octets, range))
}

fn is_in<const N: usize>(address: [u8; N], (start, bits): &Range<N>) -> bool {
    address.iter().zip(start).zip(0u32..).all(|((byte, start), place)| {
        let counted = bits.saturating_sub(place * 8).min(8);
        let mask = u8::MAX.checked_shl(8 - counted).unwrap_or(0);
        byte & mask == start & mask
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ends_of_every_range_are_inside_and_their_neighbours_are_not() {
        let of = |number: u32| IpAddr::V4(Ipv4Addr::from(number));
        // 0, 224 and 240 have no public neighbour on one of their sides; 255.255.255.255 has none.
        for (start, bits) in V4 {
            let first = u32::from_be_bytes(start);
            let last = first | u32::MAX.checked_shr(bits).unwrap_or(0);
            assert!(!is_public(of(first)) && !is_public(of(last)), "{start:?}");
            let before = first.checked_sub(1).map(of);
            let after = last.checked_add(1).map(of);
            let is_edge = |address: Option<IpAddr>| address.is_none_or(is_public);
            let is_joined = matches!(start[0], 224 | 240 | 255);
            assert!(is_joined || is_edge(before) && is_edge(after), "{start:?}");
        }
        for public in ["1.1.1.1", "8.8.8.8", "100.128.0.1", "172.32.0.1", "192.0.1.1", "223.1.1.1"]
        {
            assert!(is_public(public.parse().unwrap()), "{public}");
        }
    }

    #[test]
    fn addresses_of_version_6_are_public_only_where_they_are_given_out() {
        let public = [
            "2606:4700:4700::1111",
            "2a00:1450:4001:80e::200e",
            "2001:4860:4860::8888",
            "2400::1",
            "::ffff:1.1.1.1",
            "64:ff9b::8.8.8.8",
        ];
        for address in public {
            assert!(is_public(address.parse().unwrap()), "{address}");
        }
        let others = [
            "::",
            "::1",
            "::7f00:1",
            "::127.0.0.1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::ffff:0:127.0.0.1",
            "64:ff9b::127.0.0.1",
            "64:ff9b::10.1.2.3",
            "64:ff9b:1::1.1.1.1",
            "100::1",
            "2001::1",
            "2001:0:7f00:1::",
            "2001:2::1",
            "2001:10::1",
            "2001:20::1",
            "2001:db8::1",
            "2002:7f00:1::1",
            "2002:101:101::1",
            "3fff::1",
            "5f00::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "4000::1",
            "1fff::1",
        ];
        for address in others {
            assert!(!is_public(address.parse().unwrap()), "{address}");
        }
    }
}
