//! What the gateway reads beside a call itself: what proxies say of its client, and calls that
//! somebody saved as texts.

use core::net::{IpAddr, Ipv4Addr};

use gateway::TrustedProxies;
use gateway::fuzzed;
use http::{HeaderMap, HeaderValue};

use crate::calls::request;

/// Whoever wrote what stands on the left of a chain can't make it say something else than its last
/// address that is not a proxy's (threat B2).
pub(crate) fn far_end(data: &[u8]) {
    const PEER: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let Some((parts, _)) = request(data) else {
        return;
    };
    let networks = ["127.0.0.0/8", "10.0.0.0/8", "fd00::/8"];
    let proxies = TrustedProxies::new(networks.map(|text| text.parse().expect("a network")));
    let Some(end) = fuzzed::far_end(&proxies, PEER, &parts.headers) else {
        return;
    };
    assert_eq!(end.address, end.address.to_canonical());
    if let Some(host) = &end.host {
        assert_eq!(*host, host.to_ascii_lowercase());
    }
    let chains = [
        ("x-forwarded-for", "203.0.113.9, "),
        ("forwarded", "for=203.0.113.9;host=other.example, "),
    ];
    if chains
        .iter()
        .all(|(name, _)| !parts.headers.contains_key(*name))
    {
        assert_eq!(end.address, PEER);
    }
    if proxies.lists(end.address) {
        return;
    }
    for (name, more) in chains {
        let mut values = parts.headers.get_all(name).iter().cloned();
        let Some(first) = values.next() else {
            continue;
        };
        let longer = [more.as_bytes(), first.as_bytes()].concat();
        let longer = HeaderValue::from_bytes(&longer).expect("it was one before");
        let mut headers: HeaderMap = parts.headers.clone();
        headers.insert(name, longer);
        for value in values {
            headers.append(name, value);
        }
        let again = fuzzed::far_end(&proxies, PEER, &headers);
        assert_eq!(again.as_ref(), Some(&end), "{name}");
    }
}

/// What was read is what a listener gets: it is read again as the very same bytes.
pub(crate) fn saved_call(data: &[u8]) {
    let Some(bytes) = fuzzed::saved_call(data) else {
        return;
    };
    assert!(bytes.windows(4).any(|four| four == b"\r\n\r\n"));
    // An answer's first line is refused where it is the first of the whole text.
    if !bytes.starts_with(b"HTTP/") {
        assert_eq!(fuzzed::saved_call(&bytes), Some(bytes));
    }
}
