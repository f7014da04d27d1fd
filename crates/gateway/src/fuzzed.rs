//! **What the fuzzer calls, and nobody else**: readers of what strangers and proxies write that have no
//! way in from outside this room. Built with `--cfg fuzzing` alone.

use core::net::IpAddr;

use http::HeaderMap;
use verdict::call::Scheme;

use crate::TrustedProxies;
use crate::explain::text::Text;

/// Who is at the other end, as listed proxies tell it.
#[derive(Debug, PartialEq, Eq)]
pub struct FarEnd {
    /// The client's address.
    pub address: IpAddr,
    /// The scheme that it used.
    pub scheme: Option<Scheme>,
    /// The host that it called.
    pub host: Option<String>,
}

/// The client behind `peer`; `None` where a field can't be read.
pub fn far_end(proxies: &TrustedProxies, peer: IpAddr, headers: &HeaderMap) -> Option<FarEnd> {
    let client = proxies.client(peer, headers).ok()?;
    Some(FarEnd {
        address: client.address,
        scheme: client.scheme,
        host: client.host,
    })
}

/// The bytes that a listener would get of a call that somebody saved as a text; `None` where it is no
/// request.
pub fn saved_call(text: &[u8]) -> Option<Vec<u8>> {
    Text::read(text).ok().map(|read| read.bytes)
}
