//! **Tunnels**: bytes both ways after a 101, for routes that allow it (threat E2).
//!
//! A tunnel is held by the right it was opened with: when that ends, the tunnel ends
//! ([`crate::lease`]). It ends too when the node drains.

use std::sync::Arc;

use http::header::{CONNECTION, UPGRADE};
use http::{HeaderValue, Response};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use verdict::Lease;
use verdict::facts::Facts;
use verdict::problem::{Code, Problem};

use crate::body::Body;
use crate::hygiene;
use crate::lease::{self, Watch};
use crate::listen::Connection;
use crate::plane::Plane;
use crate::upstream::conn::UpstreamBody;

/// Answers 101 and joins the two sides.
///
/// # Errors
/// 502 where the upstream switches protocols unasked, or to another one than was asked for.
pub(crate) fn open<F: Facts + 'static>(
    mut answer: Response<UpstreamBody>,
    upgrade: Option<(OnUpgrade, HeaderValue)>,
    lease: Option<(Arc<Plane<F>>, Box<Lease>)>,
    connection: &Connection,
) -> Result<Response<Body>, Problem> {
    let Some((caller, asked)) = upgrade else {
        return Err(Problem::new(
            Code::UpstreamBroken,
            "the upstream switched protocols unasked",
        ));
    };
    // It names the one that it switches to (RFC 9110 §7.8).
    let mut named = answer.headers().get_all(UPGRADE).iter();
    let (first, second) = (named.next(), named.next());
    let is_asked = |named: &HeaderValue| {
        let named = named.as_bytes().trim_ascii();
        named.eq_ignore_ascii_case(asked.as_bytes())
    };
    if !first.is_some_and(is_asked) || second.is_some() {
        return Err(Problem::new(
            Code::UpstreamBroken,
            "the upstream switched to another protocol than was asked for",
        ));
    }
    let server = hyper::upgrade::on(&mut answer);
    let drain = connection.drain.clone();
    let (mut parts, body) = answer.into_parts();
    hygiene::clean_answer(&mut parts.headers);
    parts
        .headers
        .insert(CONNECTION, HeaderValue::from_static("upgrade"));
    parts.headers.insert(UPGRADE, asked);
    parts.version = http::Version::HTTP_11;
    parts.extensions.clear();
    connection.tasks.spawn(async move {
        // The body holds the count of calls on their way to the server.
        let _counted = body;
        let Ok((caller, server)) = tokio::try_join!(caller, server) else {
            return;
        };
        let (mut caller, mut server) = (TokioIo::new(caller), TokioIo::new(server));
        let copy = tokio::io::copy_bidirectional(&mut caller, &mut server);
        let over = async {
            match lease {
                Some((plane, lease)) => lease::over(plane, Watch::Again(lease)).await,
                // A public route's tunnel has no right to lose.
                None => core::future::pending().await,
            }
        };
        tokio::select! {
            done = copy => {
                if let Err(error) = done {
                    tracing::debug!(%error, "a tunnel broke off");
                }
            }
            problem = over => tracing::info!(
                code = problem.code.code(),
                cause = %problem.cause,
                "a tunnel ends with the right that opened it"
            ),
            () = drain.cancelled() => {}
        }
    });
    Ok(Response::from_parts(parts, Body::empty()))
}
