//! **Which addresses may be called**: public ones, and those that the configuration lists.
//!
//! A name in a configured URL can be pointed anywhere by whoever runs its zone: at the cloud's
//! metadata service, at a database on loopback, at a neighbour. So every address that a name
//! resolves to is judged here before it is connected to (threat C8). What is not plainly public
//! by IANA's special-purpose registries (RFC 6890) is refused with its class; IPv6 is public only
//! inside 2000::/3, so that mapped, translated and unassigned ranges need no entry of their own.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

/// Why an address is not public.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddressClass {
    /// The host itself.
    Loopback,
    /// Networks of a site: RFC 1918, RFC 4193, shared address space (RFC 6598).
    Private,
    /// One link only; also where clouds keep their metadata service.
    LinkLocal,
    /// A cloud's metadata or host service at an otherwise public address.
    Metadata,
    /// Many receivers.
    Multicast,
    /// Documentation and benchmarks; nothing real lives there.
    Documentation,
    /// An IPv4 address in IPv6 clothes: mapped, translated, 6to4, Teredo.
    Embedded,
    /// Unspecified, broadcast, reserved, or assigned to no one.
    Reserved,
}

impl AddressClass {
    /// Every class.
    pub const ALL: [Self; 8] = [
        Self::Loopback,
        Self::Private,
        Self::LinkLocal,
        Self::Metadata,
        Self::Multicast,
        Self::Documentation,
        Self::Embedded,
        Self::Reserved,
    ];

    /// Its name in logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Loopback => "loopback",
            Self::Private => "private",
            Self::LinkLocal => "link-local",
            Self::Metadata => "metadata",
            Self::Multicast => "multicast",
            Self::Documentation => "documentation",
            Self::Embedded => "embedded IPv4",
            Self::Reserved => "reserved",
        }
    }
}

/// Judges an address: `Ok` if it is public or inside a listed network.
///
/// # Errors
/// The class that forbids it.
pub fn check(address: IpAddr, listed: &[IpNet]) -> Result<(), AddressClass> {
    if listed.iter().any(|net| net.contains(&address)) {
        return Ok(());
    }
    let class = match address {
        IpAddr::V4(address) => class_v4(address),
        IpAddr::V6(address) => class_v6(address),
    };
    class.map_or(Ok(()), Err)
}

/// `None`: public.
fn class_v4(address: Ipv4Addr) -> Option<AddressClass> {
    use AddressClass::{
        Documentation, Embedded, LinkLocal, Loopback, Metadata, Multicast, Private, Reserved,
    };
    Some(match address.octets() {
        [127, ..] => Loopback,
        [10, ..] | [192, 168, ..] => Private,
        [172, b, ..] if b & 0xf0 == 16 => Private,
        // Shared address space; one cloud's metadata service is in it.
        [100, b, ..] if b & 0xc0 == 64 => Private,
        [169, 254, ..] => LinkLocal,
        // One cloud's host service has this address inside every guest.
        [168, 63, 129, 16] => Metadata,
        [192, 0, 2, _] | [198, 51, 100, _] | [203, 0, 113, _] => Documentation,
        [198, 18 | 19, ..] => Documentation,
        // Relays of 6to4 (RFC 7526: gone).
        [192, 88, 99, _] => Embedded,
        [a, ..] if a & 0xf0 == 224 => Multicast,
        [0, ..] | [192, 0, 0, _] | [240..=255, ..] => Reserved,
        _ => return None,
    })
}

/// `None`: public.
fn class_v6(address: Ipv6Addr) -> Option<AddressClass> {
    use AddressClass::{
        Documentation, Embedded, LinkLocal, Loopback, Multicast, Private, Reserved,
    };
    Some(match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 1] => Loopback,
        [0, 0, 0, 0, 0, 0, 0, 0] => Reserved,
        // ::/96, ::ffff:0:0/96 and ::ffff:0:0:0/96
        [0, 0, 0, 0, 0, 0 | 0xffff, ..] | [0, 0, 0, 0, 0xffff, 0, ..] => Embedded,
        // NAT64, well-known and local prefixes
        [0x64, 0xff9b, ..] => Embedded,
        [a, ..] if a & 0xfe00 == 0xfc00 => Private,
        // Link-local and the old site-local
        [a, ..] if a & 0xff80 == 0xfe80 => LinkLocal,
        [a, ..] if a & 0xff00 == 0xff00 => Multicast,
        [0x2001, 0xdb8, ..] => Documentation,
        [0x3fff, b, ..] if b < 0x1000 => Documentation,
        // Benchmarks
        [0x2001, 2, 0, ..] => Documentation,
        // Teredo and 6to4 carry an IPv4 address that nobody has judged.
        [0x2001, 0, ..] | [0x2002, ..] => Embedded,
        // The rest of the protocol assignments, 2001::/23
        [0x2001, b, ..] if b < 0x200 => Reserved,
        [a, ..] if a & 0xe000 == 0x2000 => return None,
        _ => Reserved,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(address: &str) -> Option<AddressClass> {
        check(address.parse().unwrap(), &[]).err()
    }

    #[test]
    fn c08_what_is_not_public_is_refused_with_its_class() {
        use AddressClass::*;
        for (address, expected) in [
            ("127.0.0.1", Loopback),
            ("127.255.255.254", Loopback),
            ("::1", Loopback),
            ("10.0.0.1", Private),
            ("172.16.0.1", Private),
            ("172.31.255.255", Private),
            ("192.168.1.1", Private),
            ("100.64.0.1", Private),
            ("100.100.100.200", Private),
            ("fd00:ec2::254", Private),
            ("fc00::1", Private),
            ("169.254.169.254", LinkLocal),
            ("fe80::1", LinkLocal),
            ("fec0::1", LinkLocal),
            ("168.63.129.16", Metadata),
            ("224.0.0.1", Multicast),
            ("239.255.255.255", Multicast),
            ("ff02::1", Multicast),
            ("192.0.2.1", Documentation),
            ("198.51.100.1", Documentation),
            ("203.0.113.1", Documentation),
            ("198.18.0.1", Documentation),
            ("198.19.255.255", Documentation),
            ("2001:db8::1", Documentation),
            ("3fff::1", Documentation),
            ("2001:2::1", Documentation),
            ("::ffff:127.0.0.1", Embedded),
            ("::ffff:8.8.8.8", Embedded),
            ("::ffff:0:127.0.0.1", Embedded),
            ("::7f00:1", Embedded),
            ("64:ff9b::a9fe:a9fe", Embedded),
            ("64:ff9b:1::1", Embedded),
            ("2002:7f00:1::1", Embedded),
            ("2001:0:1::1", Embedded),
            ("192.88.99.1", Embedded),
            ("0.0.0.0", Reserved),
            ("0.1.2.3", Reserved),
            ("192.0.0.192", Reserved),
            ("240.0.0.1", Reserved),
            ("255.255.255.255", Reserved),
            ("::", Reserved),
            ("2001:1::1", Reserved),
            ("4000::1", Reserved),
            ("100::1", Reserved),
            ("5f00::1", Reserved),
        ] {
            assert_eq!(class(address), Some(expected), "{address}");
        }
    }

    #[test]
    fn public_addresses_pass() {
        for address in [
            "1.1.1.1",
            "8.8.8.8",
            "172.15.0.1",
            "172.32.0.1",
            "100.63.0.1",
            "100.128.0.1",
            "169.253.1.1",
            "192.0.1.1",
            "223.255.255.255",
            "2606:4700::1111",
            "2001:4860:4860::8888",
            "2a00:1450::1",
        ] {
            assert_eq!(class(address), None, "{address}");
        }
    }

    #[test]
    fn a_listed_network_passes_and_its_neighbour_does_not() {
        let listed = ["10.1.0.0/16".parse().unwrap()];
        assert_eq!(check("10.1.2.3".parse().unwrap(), &listed), Ok(()));
        assert_eq!(
            check("10.2.2.3".parse().unwrap(), &listed),
            Err(AddressClass::Private)
        );
        // The mapped form of a listed address is another address.
        assert_eq!(
            check("::ffff:10.1.2.3".parse().unwrap(), &listed),
            Err(AddressClass::Embedded)
        );
    }
}
