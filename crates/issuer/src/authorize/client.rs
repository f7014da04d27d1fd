//! Checks of who asks, where the answer goes, and how the code is protected.

use std::sync::Arc;

use proof::base64url;
use registry::client::{ClientKind, GrantType, IdentityScope, Profile};
use registry::profile::ResponseMode;

use super::table::{Asked, Entrance, Subject};
use super::{AuthorizationRequest, ReturnAddress};
use crate::declared::RegisteredClient;
use crate::error::{Outcome, Reason, Refusal};
use crate::flow::Pushed;
use crate::params::Params;

/// Longest redirect URI, in bytes.
const MAX_REDIRECT_URI: usize = 2048;
/// Longest `state`, in bytes.
const MAX_STATE: usize = 2048;

/// RFC 6749 §4.1.1: `client_id` is required. RFC 6749 §3.1.2.4: an unknown client's redirect URI is
/// nobody's.
pub(super) fn client(asked: &Asked<'_>) -> Outcome<Arc<RegisteredClient>> {
    let named = asked.params.one("client_id");
    if let Some(client) = asked.authenticated {
        // RFC 9126 §2.1: a client_id beside the authentication names the same client.
        return match named {
            Some(id) if id != client.client_id.as_str() => Err(Reason::ClientIdMismatch.into()),
            _ => Ok(client.clone()),
        };
    }
    let id = named.ok_or(Reason::ClientIdMissing)?;
    let client = asked.declared.known(id);
    let client = client.ok_or(Reason::ClientNotRegistered)?;
    // The same page: whom a client lost is not for everybody to know.
    if client.suspended {
        return Err(Refusal::because(
            Reason::ClientNotRegistered,
            "it is suspended",
        ));
    }
    Ok(client.clone())
}

/// RFC 9126 §4: a reference is good for the client that pushed, and for its time.
pub(super) fn pushed<'a>(
    asked: &Asked<'a>,
    client: &RegisteredClient,
) -> Outcome<Option<&'a Pushed>> {
    let Some(reference) = asked.reference else {
        return Ok(None);
    };
    let pushed = reference.pushed.as_ref().ok_or(Reason::RequestUriUnknown)?;
    if pushed.client_id != client.client_id {
        return Err(Reason::RequestUriForeign.into());
    }
    if pushed.until <= asked.now {
        return Err(Reason::RequestUriUnknown.into());
    }
    Ok(Some(pushed))
}

/// The address for answers, and whether it was sent.
pub(super) fn redirect_uri(
    client: &RegisteredClient,
    params: &Params<'_>,
) -> Outcome<(ReturnAddress, bool)> {
    let to = |redirect_uri: &str| ReturnAddress {
        redirect_uri: redirect_uri.to_owned(),
        form_post: false,
        state: None,
    };
    let Some(sent) = params.one("redirect_uri") else {
        // OpenID Connect Core §3.1.2.1 and FAPI 2.0 §5.3.2.2 require it; RFC 6749 §3.1.2.3 lets a
        // client with just one omit it.
        let required = client.profile == Profile::Fapi2
            || params
                .one("scope")
                .is_some_and(|scope| scope.split(' ').any(|s| s == IdentityScope::Openid.name()));
        return match client.redirect_uris.as_slice() {
            [only] if !required => Ok((to(only), false)),
            _ => Err(Reason::RedirectUriMissing.into()),
        };
    };
    if !is_registered(client, sent) {
        return Err(Reason::RedirectUriUnregistered.into());
    }
    Ok((to(sent), true))
}

/// Whether a redirect URI is one of the client's.
pub(super) fn is_registered(client: &RegisteredClient, redirect_uri: &str) -> bool {
    redirect_uri.len() <= MAX_REDIRECT_URI
        && client
            .redirect_uris
            .iter()
            .any(|own| own == redirect_uri || is_loopback_twin(client, own, redirect_uri))
}

/// RFC 8252 §7.3: a native client may listen at any port of the loopback address. Everything else is
/// compared as strings, so that there is nothing a parser could be talked into (threat F1).
fn is_loopback_twin(client: &RegisteredClient, own: &str, sent: &str) -> bool {
    if client.kind != ClientKind::Native || !client.rules().plain_http_redirects {
        return false;
    }
    ["http://127.0.0.1", "http://[::1]"].iter().any(|host| {
        match (own.strip_prefix(host), sent.strip_prefix(host)) {
            (Some(own), Some(sent)) => match (without_port(own), without_port(sent)) {
                (Some(own), Some(sent)) => own == sent,
                _ => false,
            },
            _ => false,
        }
    })
}

/// What follows host and port: nothing, a path or a query. `None`: it was no port that followed.
fn without_port(rest: &str) -> Option<&str> {
    let rest = match rest.strip_prefix(':') {
        None => rest,
        Some(port) => {
            let end = port
                .find(|c: char| !c.is_ascii_digit())
                .unwrap_or(port.len());
            let (port, rest) = port.split_at(end);
            port.parse::<u16>().ok().filter(|port| *port > 0)?;
            rest
        }
    };
    (rest.is_empty() || rest.starts_with(['/', '?'])).then_some(rest)
}

pub(super) fn state(subject: &Subject<'_>, request: &mut AuthorizationRequest) -> Outcome<()> {
    let state = subject.bounded("state", MAX_STATE, Reason::StateTooLong)?;
    request.back.state = state.map(str::to_owned);
    Ok(())
}

pub(super) fn response_mode(
    subject: &Subject<'_>,
    request: &mut AuthorizationRequest,
) -> Outcome<()> {
    let mode = match subject.params.one("response_mode") {
        None => ResponseMode::Query,
        // Never `fragment`: it is for tokens in the front channel, which are never sent.
        Some(name) => ResponseMode::from_name(name)
            .filter(|mode| subject.client.rules().response_modes.contains(mode))
            .ok_or(Reason::ResponseModeUnsupported)?,
    };
    request.back.form_post = mode == ResponseMode::FormPost;
    Ok(())
}

pub(super) fn request_object(subject: &Subject<'_>) -> Outcome<()> {
    // One of ours was resolved before, and is not among the pushed parameters.
    if subject.params.one("request_uri").is_some() {
        return Err(match subject.asked.entrance {
            // RFC 9126 §2.1: "The request_uri authorization request parameter MUST NOT be provided."
            Entrance::Push => Reason::RequestUriPushed,
            Entrance::Authorize => Reason::RequestUriElsewhere,
        }
        .into());
    }
    if subject.params.one("request").is_some() {
        return Err(Reason::RequestObject.into());
    }
    if subject.params.one("registration").is_some() {
        return Err(Reason::RegistrationParameter.into());
    }
    Ok(())
}

pub(super) fn response_type(subject: &Subject<'_>) -> Outcome<()> {
    match subject.params.one("response_type") {
        Some("code") => Ok(()),
        Some(_) => Err(Reason::ResponseTypeUnsupported.into()),
        None => Err(Reason::ResponseTypeMissing.into()),
    }
}

pub(super) fn grant(subject: &Subject<'_>) -> Outcome<()> {
    if subject.client.may_use(GrantType::AuthorizationCode) {
        return Ok(());
    }
    Err(Reason::GrantNotAllowed.into())
}

pub(super) fn push_demanded(subject: &Subject<'_>) -> Outcome<()> {
    if subject.client.require_par && subject.asked.reference.is_none() {
        return Err(Reason::PushDemanded.into());
    }
    Ok(())
}

pub(super) fn pkce(subject: &Subject<'_>, request: &mut AuthorizationRequest) -> Outcome<()> {
    let challenge = subject.params.one("code_challenge");
    let method = subject.params.one("code_challenge_method");
    let Some(challenge) = challenge else {
        if method.is_some() {
            return Err(Reason::ChallengeMethod.into());
        }
        let demanded =
            subject.client.is_public() || subject.client.rules().pkce_required_for_confidential;
        return if demanded {
            Err(Reason::ChallengeMissing.into())
        } else {
            Ok(())
        };
    };
    // RFC 7636 §4.3: without a method it would be `plain`, which protects from nobody who reads the
    // request.
    if method != Some("S256") {
        return Err(Reason::ChallengeMethod.into());
    }
    // RFC 7636 §4.2: BASE64URL(SHA256(…)): 32 bytes, so 43 characters, and no padding.
    let sound = base64url::decode(challenge.as_bytes()).is_ok_and(|digest| digest.len() == 32);
    if !sound {
        return Err(Reason::ChallengeMalformed.into());
    }
    request.code_challenge = Some(challenge.to_owned());
    Ok(())
}

/// RFC 9449 §10: the one key that may redeem the code, by its thumbprint.
pub(super) fn dpop_jkt(subject: &Subject<'_>, request: &mut AuthorizationRequest) -> Outcome<()> {
    let asked = subject.asked;
    let pushed = asked
        .reference
        .and_then(|reference| reference.pushed.as_ref())
        .and_then(|pushed| pushed.dpop_jkt.as_deref());
    let proven = asked.proof_key.or(pushed);
    let named = subject.params.one("dpop_jkt");
    if let Some(named) = named {
        let sound = base64url::decode(named.as_bytes()).is_ok_and(|digest| digest.len() == 32);
        if !sound {
            return Err(Reason::DpopJktMalformed.into());
        }
        // RFC 9449 §10.1: "both … MUST match".
        if proven.is_some_and(|proven| proven != named) {
            return Err(Refusal::from(Reason::DpopJktMismatch));
        }
    }
    request.dpop_jkt = named.or(proven).map(str::to_owned);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f01_only_a_port_may_differ_on_loopback() {
        for (rest, after) in [
            ("", Some("")),
            ("/cb", Some("/cb")),
            (":1/cb", Some("/cb")),
            (":65535/cb?a=b", Some("/cb?a=b")),
            (":8080", Some("")),
            (":0/cb", None),
            (":65536/cb", None),
            (":/cb", None),
            (":+80/cb", None),
            (":80@evil.example/cb", None),
            (".evil.example/cb", None),
            ("@evil.example/cb", None),
            ("\\@evil.example", None),
            (":80\t/cb", None),
            ("%2f", None),
        ] {
            assert_eq!(without_port(rest), after, "{rest}");
        }
    }
}
