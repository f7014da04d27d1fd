//! **Who is at the other end**: the client's address, scheme and host, from the socket or from
//! listed proxies.
//!
//! What a proxy says counts only if the socket's peer is listed. Of a chain, the last address that
//! is not listed itself is the client; what stands left of it was written by the client and counts
//! for nothing (threat B2). A listed proxy that sends what can't be read is refused, not guessed.

use core::net::{IpAddr, Ipv6Addr};

use bytes::Bytes;
use http::HeaderMap;
use http::header::FORWARDED;
use ipnet::IpNet;
use proof::quoted;
use proof::x509::{RelayFormat, read_relayed};
use verdict::call::{PeerCertificate, Scheme, TlsFacts};

use crate::hygiene::{X_FORWARDED_FOR, X_FORWARDED_HOST, X_FORWARDED_PROTO};

/// The networks whose word on a client's address, scheme and host is taken.
#[derive(Debug, Clone, Default)]
pub struct TrustedProxies {
    networks: Vec<IpNet>,
    certificates: Option<CertificateField>,
}

/// The field in which listed proxies pass their clients' certificates on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CertificateField {
    /// `Client-Cert` and `Client-Cert-Chain` (RFC 9440).
    ClientCert,
    /// `X-SSL-Client-Cert` with percent-encoded PEM, as nginx and Apache can write it.
    XSslClientCert,
    /// `X-Amzn-Mtls-Clientcert`.
    XAmznMtlsClientcert,
    /// `X-Forwarded-Client-Cert` of Envoy.
    XForwardedClientCert,
    /// `X-Forwarded-Tls-Client-Cert` of Traefik.
    XForwardedTlsClientCert,
}

impl CertificateField {
    /// Every field that is understood.
    pub const ALL: [Self; 5] = [
        Self::ClientCert,
        Self::XSslClientCert,
        Self::XAmznMtlsClientcert,
        Self::XForwardedClientCert,
        Self::XForwardedTlsClientCert,
    ];

    /// The field's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::ClientCert => "client-cert",
            Self::XSslClientCert => "x-ssl-client-cert",
            Self::XAmznMtlsClientcert => "x-amzn-mtls-clientcert",
            Self::XForwardedClientCert => "x-forwarded-client-cert",
            Self::XForwardedTlsClientCert => "x-forwarded-tls-client-cert",
        }
    }

    fn format(self) -> RelayFormat {
        match self {
            Self::ClientCert => RelayFormat::Rfc9440,
            Self::XSslClientCert | Self::XAmznMtlsClientcert => RelayFormat::EscapedPem,
            Self::XForwardedClientCert => RelayFormat::Envoy,
            Self::XForwardedTlsClientCert => RelayFormat::Traefik,
        }
    }
}

/// What is known of the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Client {
    pub(crate) address: IpAddr,
    /// What the proxy said of the scheme.
    pub(crate) scheme: Option<Scheme>,
    /// What the proxy said of the host.
    pub(crate) host: Option<String>,
}

/// A listed proxy sent what can't be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a listed proxy sent a forwarding field that can not be read")]
pub(crate) struct Unreadable;

impl TrustedProxies {
    /// These networks; none: nobody is believed.
    pub fn new(networks: impl IntoIterator<Item = IpNet>) -> Self {
        Self {
            networks: networks.into_iter().collect(),
            certificates: None,
        }
    }

    /// The same, and their word on the client's certificate is taken from this field.
    #[must_use]
    pub fn with_certificates(self, field: Option<CertificateField>) -> Self {
        Self {
            certificates: field,
            ..self
        }
    }

    /// Whether listed proxies pass their clients' certificates on, so that one of their own speaks for
    /// no client.
    pub(crate) fn pass_certificates_on(&self) -> bool {
        self.certificates.is_some()
    }

    /// The session of a client as a listed proxy tells of it, if it passes certificates on and this
    /// client showed one. The field counts whether or not a forwarding field stands beside it.
    ///
    /// # Errors
    /// [`Unreadable`] where the field stands twice or holds no certificate.
    pub(crate) fn relayed_session(
        &self,
        headers: &HeaderMap,
    ) -> Result<Option<TlsFacts>, Unreadable> {
        let Some(field) = self.certificates else {
            return Ok(None);
        };
        let sole = |name: &str| {
            let mut values = headers.get_all(name).iter();
            let first = values.next().map(|value| value.to_str()).transpose();
            match values.next() {
                None => first.map_err(|_| Unreadable),
                Some(_) => Err(Unreadable),
            }
        };
        // A proxy whose client showed none writes an empty field.
        let Some(value) = sole(field.name())?.filter(|value| !value.is_empty()) else {
            return Ok(None);
        };
        let chain = match field {
            CertificateField::ClientCert => sole("client-cert-chain")?,
            _ => None,
        };
        let mut chain = read_relayed(field.format(), value, chain)
            .map_err(|_| Unreadable)?
            .into_iter()
            .map(Bytes::from);
        Ok(Some(TlsFacts {
            server_name: None,
            peer_certificate: chain.next().map(PeerCertificate::new),
            peer_intermediates: chain.collect(),
        }))
    }

    /// Whether `peer` is listed.
    pub fn lists(&self, peer: IpAddr) -> bool {
        if self.networks.is_empty() {
            return false;
        }
        let peer = plain(peer);
        self.networks.iter().any(|network| network.contains(&peer))
    }

    /// The client behind `peer`, which is listed.
    ///
    /// # Errors
    /// [`Unreadable`] where a field has no address, an unknown scheme, or two voices.
    pub(crate) fn client(&self, peer: IpAddr, headers: &HeaderMap) -> Result<Client, Unreadable> {
        if !headers.contains_key(FORWARDED) {
            return self.read_x_forwarded(peer, headers);
        }
        let client = self.read_forwarded(peer, headers)?;
        // A proxy that writes one family passes the other on as its client wrote it. Which of the
        // two is the proxy's can't be told here, so they must agree.
        if headers.contains_key(&X_FORWARDED_FOR)
            && self.read_x_forwarded(peer, headers)?.address != client.address
        {
            return Err(Unreadable);
        }
        Ok(client)
    }

    fn read_x_forwarded(&self, peer: IpAddr, headers: &HeaderMap) -> Result<Client, Unreadable> {
        let mut chain: Vec<IpAddr> = Vec::new();
        for value in headers.get_all(&X_FORWARDED_FOR) {
            let value = value.to_str().map_err(|_| Unreadable)?;
            for item in value.split(',') {
                // A client may have written nonsense in front; only what is walked over must hold.
                chain.push(address(item.trim()).unwrap_or(NOBODY));
            }
        }
        let (address, _) = self.walk(peer, chain.iter().rev().copied())?;
        Ok(Client {
            address,
            scheme: last(headers, &X_FORWARDED_PROTO)?
                .map(|s| scheme(&s))
                .transpose()?,
            host: last(headers, &X_FORWARDED_HOST)?,
        })
    }

    fn read_forwarded(&self, peer: IpAddr, headers: &HeaderMap) -> Result<Client, Unreadable> {
        let mut elements = Vec::new();
        for value in headers.get_all(FORWARDED) {
            let value = value.to_str().map_err(|_| Unreadable)?;
            for element in quoted::split(value, ',') {
                elements.push(Element::read(element)?);
            }
        }
        let chain = elements
            .iter()
            .rev()
            .map(|element| element.node.unwrap_or(NOBODY));
        let (address, steps) = self.walk(peer, chain)?;
        // Scheme and host as the proxy saw them that spoke to the client.
        let spoken = steps
            .checked_sub(1)
            .and_then(|back| elements.iter().rev().nth(back));
        Ok(Client {
            address,
            scheme: spoken.and_then(|element| element.scheme),
            host: spoken.and_then(|element| element.host.clone()),
        })
    }

    /// Walks a chain from its end while the addresses are listed: the client, and how many entries
    /// were used.
    fn walk(
        &self,
        peer: IpAddr,
        chain: impl Iterator<Item = IpAddr>,
    ) -> Result<(IpAddr, usize), Unreadable> {
        let mut client = plain(peer);
        let mut steps = 0;
        for next in chain {
            if !self.lists(client) {
                break;
            }
            if next == NOBODY {
                return Err(Unreadable);
            }
            client = plain(next);
            steps += 1;
        }
        Ok((client, steps))
    }
}

/// Stands for an entry without a readable address; never a client's own.
const NOBODY: IpAddr = IpAddr::V6(Ipv6Addr::UNSPECIFIED);

/// IPv4 in IPv6 clothes is IPv4.
pub(crate) fn plain(address: IpAddr) -> IpAddr {
    address.to_canonical()
}

fn scheme(text: &str) -> Result<Scheme, Unreadable> {
    match text {
        "http" => Ok(Scheme::Http),
        "https" => Ok(Scheme::Https),
        _ => Err(Unreadable),
    }
}

/// The rightmost item of a list-valued field: what the nearest proxy wrote.
fn last(headers: &HeaderMap, name: &http::HeaderName) -> Result<Option<String>, Unreadable> {
    let Some(value) = headers.get_all(name).iter().next_back() else {
        return Ok(None);
    };
    let value = value.to_str().map_err(|_| Unreadable)?;
    let item = value.rsplit(',').next().unwrap_or_default().trim();
    if item.is_empty() {
        Err(Unreadable)
    } else {
        Ok(Some(item.to_ascii_lowercase()))
    }
}

/// `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]:80`.
fn address(text: &str) -> Option<IpAddr> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some(address);
    }
    if let Some(rest) = text.strip_prefix('[') {
        let (inner, port) = rest.split_once(']')?;
        let port_holds = port.is_empty()
            || port
                .strip_prefix(':')
                .is_some_and(|p| p.parse::<u16>().is_ok());
        return inner
            .parse::<Ipv6Addr>()
            .ok()
            .filter(|_| port_holds)
            .map(IpAddr::V6);
    }
    text.parse::<core::net::SocketAddrV4>()
        .ok()
        .map(|socket| IpAddr::V4(*socket.ip()))
}

/// One element of `Forwarded` (RFC 7239 §4).
struct Element {
    node: Option<IpAddr>,
    scheme: Option<Scheme>,
    host: Option<String>,
}

impl Element {
    fn read(text: &str) -> Result<Self, Unreadable> {
        let mut element = Self {
            node: None,
            scheme: None,
            host: None,
        };
        let mut seen = [false; 3];
        for pair in quoted::split(text, ';') {
            let (name, value) = pair.trim().split_once('=').ok_or(Unreadable)?;
            let value = unquote(value)?;
            let slot = match name.to_ascii_lowercase().as_str() {
                "for" => {
                    // `unknown` and obfuscated nodes are no addresses.
                    element.node = address(&value);
                    0
                }
                "proto" => {
                    element.scheme = Some(scheme(&value.to_ascii_lowercase())?);
                    1
                }
                "host" => {
                    element.host = Some(value.to_ascii_lowercase());
                    2
                }
                _ => continue,
            };
            if core::mem::replace(&mut seen[slot], true) {
                return Err(Unreadable);
            }
        }
        Ok(element)
    }
}

fn unquote(value: &str) -> Result<String, Unreadable> {
    let Some(inner) = value.strip_prefix('"') else {
        return Ok(value.to_owned());
    };
    let inner = inner.strip_suffix('"').ok_or(Unreadable)?;
    if inner.contains(['"', '\\']) {
        Err(Unreadable)
    } else {
        Ok(inner.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderName, HeaderValue};

    fn proxies() -> TrustedProxies {
        TrustedProxies::new([
            "10.0.0.0/8".parse().expect("net"),
            "fd00::/8".parse().expect("net"),
        ])
    }

    fn ask(peer: &str, fields: &[(&'static str, &'static str)]) -> Result<Client, Unreadable> {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            );
        }
        proxies().client(peer.parse().expect("address"), &headers)
    }

    #[test]
    fn b02_the_last_address_that_is_not_listed_is_the_client() {
        let cases: &[(&[(&'static str, &'static str)], &str)] = &[
            (&[("x-forwarded-for", "203.0.113.7")], "203.0.113.7"),
            (
                &[("x-forwarded-for", "1.1.1.1, 203.0.113.7, 10.0.0.9")],
                "203.0.113.7",
            ),
            (
                &[
                    ("x-forwarded-for", "1.1.1.1"),
                    ("x-forwarded-for", "203.0.113.7"),
                ],
                "203.0.113.7",
            ),
            (
                &[("x-forwarded-for", "nonsense, 203.0.113.7")],
                "203.0.113.7",
            ),
            (&[("x-forwarded-for", "10.0.0.4, 10.0.0.5")], "10.0.0.4"),
            (
                &[("forwarded", "for=1.1.1.1, for=203.0.113.7;proto=https")],
                "203.0.113.7",
            ),
            (
                &[("forwarded", "for=\"[2001:db8::1]:4711\"")],
                "2001:db8::1",
            ),
            (&[], "10.0.0.1"),
        ];
        for (fields, expected) in cases {
            let client = ask("10.0.0.1", fields).expect("readable");
            assert_eq!(
                client.address,
                expected.parse::<IpAddr>().expect("address"),
                "{fields:?}"
            );
        }
    }

    #[test]
    fn b02_what_can_not_be_read_of_a_listed_proxy_is_refused() {
        let cases: &[&[(&'static str, &'static str)]] = &[
            &[("x-forwarded-for", "203.0.113.7, unknown")],
            &[("forwarded", "for=unknown")],
            &[("forwarded", "for=_hidden")],
            &[("forwarded", "for=1.1.1.1;for=2.2.2.2")],
            &[("forwarded", "gibberish")],
            &[
                ("forwarded", "for=6.6.6.6"),
                ("x-forwarded-for", "203.0.113.7"),
            ],
            &[
                ("x-forwarded-for", "1.1.1.1"),
                ("x-forwarded-proto", "gopher"),
            ],
            &[("x-forwarded-for", "1.1.1.1"), ("x-forwarded-host", "")],
        ];
        for fields in cases {
            assert_eq!(ask("10.0.0.1", fields), Err(Unreadable), "{fields:?}");
        }
    }

    #[test]
    fn scheme_and_host_are_those_of_the_element_that_names_the_client() {
        let client = ask(
            "10.0.0.1",
            &[("forwarded", "for=9.9.9.9;host=evil.example, for=203.0.113.7;host=api.example;proto=https, for=10.0.0.2;proto=http")],
        )
        .expect("readable");
        assert_eq!(client.scheme, Some(Scheme::Https));
        assert_eq!(client.host.as_deref(), Some("api.example"));
    }

    #[test]
    fn an_address_in_ipv6_clothes_is_listed_as_what_it_is() {
        assert!(proxies().lists("::ffff:10.1.2.3".parse().expect("address")));
        assert!(!proxies().lists("::ffff:11.1.2.3".parse().expect("address")));
        assert!(!TrustedProxies::default().lists("127.0.0.1".parse().expect("address")));
    }
}
