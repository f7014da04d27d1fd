//! **Reading a call in**: from hyper's request to the head that is judged.
//!
//! Where the peer is a listed proxy, the scheme, host and address that it tells take the place of
//! the socket's, here and nowhere else; whatever an unlisted peer says of them is not read at all.

use std::sync::Arc;

use http::header::HOST;
use http::request::Parts;
use http::{HeaderValue, Request, Uri};
use verdict::call::{Arrival, Head};
use verdict::problem::{Code, Problem};

use crate::listen::Connection;
use crate::record::Story;

/// Reads the head; the body stays on the wire.
///
/// # Errors
/// 400 for what could be read in two ways, 421 for a host that the TLS session is not for.
pub(crate) fn read<B>(
    connection: &Connection,
    request: Request<B>,
    story: &Story,
) -> Result<(Box<Head>, B), Problem> {
    let (mut parts, body) = request.into_parts();
    let mut arrival = Arrival {
        request_id: story.request_id.clone(),
        peer: connection.peer,
        client: connection.address,
        scheme: connection.scheme,
        tls: connection.tls.clone(),
        received: story.received,
        loopback: connection.loopback,
    };
    let mut told_host = false;
    if connection.listed {
        let client = connection
            .proxies
            .client(connection.address, &parts.headers)
            .map_err(|error| Problem::new(Code::UncleanHeader, error.to_string()))?;
        arrival.client = client.address;
        let relayed = client.address != connection.address
            || client.scheme.is_some()
            || client.host.is_some();
        arrival.scheme = client.scheme.unwrap_or(arrival.scheme);
        let told = connection
            .proxies
            .relayed_session(&parts.headers)
            .map_err(|error| Problem::new(Code::UncleanHeader, error.to_string()))?;
        if let Some(told) = told {
            arrival.tls = Some(Arc::new(told));
        } else if relayed || connection.proxies.pass_certificates_on() {
            // The connection's certificate is the proxy's, whatever it says of its client.
            arrival.tls.clone_from(&connection.tls_of_relayed);
        }
        if let Some(host) = client.host {
            told_host = true;
            rename(&mut parts, &host)?;
        }
    }
    let head = Box::new(Head::read_on(
        parts,
        arrival,
        connection.known_authority().as_ref(),
    )?);
    if !told_host {
        head.check_server_name()?;
    }
    Ok((head, body))
}

/// Puts the host that a listed proxy tells in the place of the one it called us by.
fn rename(parts: &mut Parts, host: &str) -> Result<(), Problem> {
    let unclean = |_| Problem::new(Code::UncleanAuthority, "a listed proxy tells no host");
    if parts.headers.get_all(HOST).iter().nth(1).is_some() {
        return Err(Problem::new(
            Code::UncleanAuthority,
            "more than one Host field",
        ));
    }
    if parts.uri.authority().is_some() {
        let mut uri = core::mem::take(&mut parts.uri).into_parts();
        uri.authority = Some(host.parse().map_err(|_| unclean(()))?);
        parts.uri = Uri::from_parts(uri).map_err(|_| unclean(()))?;
    }
    if parts.uri.authority().is_none() || parts.headers.contains_key(HOST) {
        parts
            .headers
            .insert(HOST, HeaderValue::from_str(host).map_err(|_| unclean(()))?);
    }
    Ok(())
}
