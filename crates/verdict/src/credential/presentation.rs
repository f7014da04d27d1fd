//! **Taking the presentation**: which credentials a call carries, and whether they are the ones
//! that its route asks for: exactly one combination, each kind once.
//!
//! A place is empty, filled, or filled with something unusable, and the last of these is never
//! taken for the first: `Authorization` with an unknown scheme is a refused credential, not a
//! missing one. A key field (`X-API-Key` and the API's own names) is a credential on routes that
//! take API keys and an ordinary field elsewhere. A client certificate is a credential where a
//! combination asks for one; elsewhere it is the connection's, and not looked at.

use http::header::AUTHORIZATION;
use proof::{client_call, paseto};
use smallvec::SmallVec;

use super::binding::{self, Sent};
use super::signed::{self, SIGNATURE, SIGNATURE_INPUT};
use super::{CredentialKind, X_API_KEY, apikey, introspection, opaque, refused, webhook};
use crate::call::{Head, TlsFacts};
use crate::problem::{Code, Problem};
use crate::route::{Api, Route};

/// A credential as it was presented, borrowed from the call's head.
pub(crate) enum Presented<'a> {
    /// In one of the API's key grammars.
    ApiKey(apikey::Key<'a>),
    /// In our grammar, of the admin kind.
    AdminKey(proof::issued::Presented<'a>),
    /// What stands after `Basic `.
    Basic(&'a [u8]),
    /// A signature over the request.
    Signed(Box<signed::Claim<'a>>),
    /// A delivery in the style of the route's webhooks.
    Webhook(Box<webhook::Claim<'a>>),
    /// The TLS session, with the certificate that the client showed.
    Mtls(&'a TlsFacts),
    /// What stands after `Bearer ` in no key grammar, or after `DPoP `; and how it was sent.
    Jwt(&'a [u8], Sent<'a>),
    /// In the form of PASETO; and how it was sent.
    Paseto(&'a [u8], Sent<'a>),
    /// What stands after `Bearer ` and calls itself a call's own JWT.
    ClientJwt(&'a [u8]),
    /// In our grammar, of the kind for access tokens; and how it was sent.
    Opaque(proof::issued::Presented<'a>, Sent<'a>),
    /// In no form that says what it is, where an issuer is asked; and how it was sent.
    Asked(introspection::Asked<'a>, Sent<'a>),
}

impl Presented<'_> {
    /// Its kind.
    pub(super) fn kind(&self) -> CredentialKind {
        match self {
            Self::ApiKey(_) => CredentialKind::ApiKey,
            Self::AdminKey(_) => CredentialKind::AdminKey,
            Self::Basic(_) => CredentialKind::Basic,
            Self::Signed(claim) => claim.kind(),
            Self::Mtls(_) => CredentialKind::Mtls,
            Self::Jwt(..) => CredentialKind::Jwt,
            Self::Opaque(..) | Self::Asked(..) => CredentialKind::Opaque,
            Self::ClientJwt(_) => CredentialKind::ClientJwt,
            Self::Webhook(_) => CredentialKind::Webhook,
            Self::Paseto(..) => CredentialKind::Paseto,
        }
    }
}

/// Something in a place for credentials: its kind, as far as that can be told, and whether it
/// can be read at all.
struct Found<'a> {
    kind: Option<CredentialKind>,
    read: Result<Presented<'a>, Problem>,
}

/// The credentials of one combination, in its order: the first names the principal.
///
/// # Errors
/// 401 [`Code::CredentialMissing`], [`Code::CredentialRefused`], [`Code::ProofRefused`];
/// 400 [`Code::CredentialAmbiguous`].
pub(crate) fn take<'a>(
    head: &'a Head,
    route: &'a Route,
    combinations: &[Vec<CredentialKind>],
) -> Result<SmallVec<[Presented<'a>; 2]>, Problem> {
    let takes = |kind: CredentialKind| combinations.iter().flatten().any(|taken| *taken == kind);
    let mut found = find(head, route, takes);
    let certificate = takes(CredentialKind::Mtls)
        .then(|| head.arrival().tls.as_deref())
        .flatten()
        .filter(|tls| tls.peer_certificate.is_some());
    match found.len() {
        0 if certificate.is_none() => {
            return Err(Problem::new(Code::CredentialMissing, "no credential"));
        }
        0 => {}
        // Nothing to choose among: whatever is wrong with it is the answer.
        1 => {}
        // Counted before anything is believed: which of two was meant is not ours to guess, even
        // where one of them is garbage.
        _ => refuse_surplus(&found, takes)?,
    }
    let held = |kind: CredentialKind| match kind {
        CredentialKind::Mtls => certificate.is_some(),
        kind => found.iter().any(|one| one.kind == Some(kind)),
    };
    let complete = |kinds: &&Vec<CredentialKind>| kinds.iter().all(|kind| held(*kind));
    // A certificate comes with the connection, asked for or not: it is never one too many.
    let sent = |kinds: &&Vec<CredentialKind>| {
        let asked = |kind: &&CredentialKind| **kind != CredentialKind::Mtls;
        kinds.iter().filter(asked).count() == found.len()
    };
    let Some(kinds) = combinations
        .iter()
        .find(|kinds| sent(kinds) && complete(kinds))
    else {
        if combinations.iter().any(|kinds| complete(&kinds)) {
            return Err(ambiguous("more credentials than any combination asks for"));
        }
        // What was presented and can't be read is refused as such; the rest is incomplete.
        for one in found {
            one.read?;
        }
        return Err(Problem::new(
            Code::CredentialMissing,
            "a part of the combination is missing",
        ));
    };
    if let Some(tls) = certificate.filter(|_| kinds.contains(&CredentialKind::Mtls)) {
        found.push(Found {
            kind: Some(CredentialKind::Mtls),
            read: Ok(Presented::Mtls(tls)),
        });
    }
    found.sort_by_key(|one| kinds.iter().position(|kind| Some(*kind) == one.kind));
    found.into_iter().map(|one| one.read).collect()
}

/// Everything in the places for credentials, certificates aside: what stands in `Authorization` first.
#[inline]
fn find<'a>(
    head: &'a Head,
    route: &'a Route,
    takes: impl Fn(CredentialKind) -> bool + Copy,
) -> SmallVec<[Found<'a>; 2]> {
    let mut found: SmallVec<[Found<'a>; 2]> = SmallVec::new();
    if let Some(value) = head.headers().get(AUTHORIZATION) {
        found.push(authorization(value.as_bytes(), head, &route.api, takes));
    }
    if takes(CredentialKind::SigV4)
        && !head
            .headers()
            .get(AUTHORIZATION)
            .is_some_and(|value| signed::is_sigv4(value.as_bytes()))
    {
        // A presigned query; the field was read above.
        found.extend(signature(CredentialKind::SigV4, signed::sigv4_claim(head)));
    }
    let fields = [&SIGNATURE, &SIGNATURE_INPUT];
    if takes(CredentialKind::HttpSignature)
        && fields.iter().any(|name| head.headers().contains_key(*name))
    {
        let claim = signed::http_signature_claim(head, route.signatures());
        found.extend(signature(CredentialKind::HttpSignature, claim));
    }
    if takes(CredentialKind::Webhook)
        && let Some(read) = webhook::claim(head, route).transpose()
    {
        found.push(Found {
            kind: Some(CredentialKind::Webhook),
            read: read.map(|claim| Presented::Webhook(Box::new(claim))),
        });
    }
    if takes(CredentialKind::ApiKey) {
        let own = route
            .api
            .key_headers
            .iter()
            .filter(|name| **name != X_API_KEY);
        for name in core::iter::once(&X_API_KEY).chain(own) {
            for value in head.headers().get_all(name) {
                found.push(Found {
                    kind: Some(CredentialKind::ApiKey),
                    read: apikey::read(value.as_bytes(), &route.api).map(Presented::ApiKey),
                });
            }
        }
    }
    found
}

/// The kinds in the places for credentials and why those that can't be read can't, for an
/// explanation.
pub(crate) fn found(
    head: &Head,
    route: &Route,
    combinations: &[Vec<CredentialKind>],
) -> Vec<(Option<CredentialKind>, Option<Box<str>>)> {
    let takes = |kind: CredentialKind| combinations.iter().flatten().any(|taken| *taken == kind);
    find(head, route, takes)
        .into_iter()
        .map(|one| (one.kind, one.read.err().map(|problem| problem.cause)))
        .collect()
}

fn refuse_surplus(
    found: &[Found<'_>],
    takes: impl Fn(CredentialKind) -> bool,
) -> Result<(), Problem> {
    for (at, one) in found.iter().enumerate() {
        if !one.kind.is_some_and(&takes) {
            return Err(ambiguous(
                "a credential that the route does not take, beside another",
            ));
        }
        if found[..at].iter().any(|earlier| earlier.kind == one.kind) {
            return Err(ambiguous("one kind of credential is presented twice"));
        }
    }
    Ok(())
}

fn ambiguous(cause: &'static str) -> Problem {
    Problem::new(Code::CredentialAmbiguous, cause)
}

/// A signature that was looked for in its place.
fn signature<'a>(
    kind: CredentialKind,
    claim: Result<Option<signed::Claim<'a>>, Problem>,
) -> Option<Found<'a>> {
    Some(Found {
        kind: Some(kind),
        read: claim
            .transpose()?
            .map(|claim| Presented::Signed(Box::new(claim))),
    })
}

/// Reads `Authorization` (RFC 9110 §11.6.2): scheme, one space, one word; or parameters, where the
/// scheme is one of signatures.
fn authorization<'a>(
    value: &'a [u8],
    head: &'a Head,
    api: &'a Api,
    takes: impl Fn(CredentialKind) -> bool,
) -> Found<'a> {
    let unusable = |cause: &'static str| Found {
        kind: None,
        read: Err(refused(cause)),
    };
    for (kind, is_of, claim) in [
        (
            CredentialKind::SigV4,
            signed::is_sigv4 as fn(&[u8]) -> bool,
            signed::sigv4_claim as fn(&'a Head) -> _,
        ),
        (CredentialKind::Hmac, signed::is_hmac, signed::hmac_claim),
    ] {
        if takes(kind) && is_of(value) {
            return signature(kind, claim(head))
                .unwrap_or_else(|| unusable("the signature can not be read"));
        }
    }
    let Some(space) = memchr::memchr(b' ', value) else {
        return unusable("Authorization is not a scheme and a credential");
    };
    let (scheme, word) = (&value[..space], &value[space + 1..]);
    // One word: a second credential after a comma, or parameters, would be read by some only.
    // Without a way out in the middle, so that many bytes are looked at together.
    let one = word.iter().fold(true, |one, byte| {
        one & (0x21..=0x7e).contains(byte) & (*byte != b',') & (*byte != b'"')
    });
    if word.is_empty() || !one {
        return unusable("the credential in Authorization is not one word");
    }
    if scheme.eq_ignore_ascii_case(b"bearer") {
        bearer(word, api, takes)
    } else if scheme.eq_ignore_ascii_case(binding::DPOP_SCHEME)
        && CredentialKind::ALL
            .iter()
            .any(|kind| kind.is_access_token() && takes(*kind))
    {
        bound(word, head, api, takes)
    } else if scheme.eq_ignore_ascii_case(b"basic") {
        let kind = CredentialKind::Basic;
        if takes(kind) {
            Found {
                kind: Some(kind),
                read: Ok(Presented::Basic(word)),
            }
        } else {
            Found {
                kind: Some(kind),
                read: Err(refused("Basic is not taken here")),
            }
        }
    } else {
        unusable("the scheme of Authorization is not taken here")
    }
}

/// Whatever its form, a text under the `DPoP` scheme is a token, and is never tried as a key; its
/// first letters say of which kind.
fn bound<'a>(
    text: &'a [u8],
    head: &'a Head,
    api: &'a Api,
    takes: impl Fn(CredentialKind) -> bool,
) -> Found<'a> {
    let is_ours = apikey::is_branded(text, &api.brand);
    let opaque = CredentialKind::Opaque;
    if takes(opaque)
        && let Some(asked) = introspection::asked(text, api)
    {
        return Found {
            kind: Some(opaque),
            read: Sent::dpop(head).map(|sent| Presented::Asked(asked, sent)),
        };
    }
    let is_paseto = paseto::looks_like(text);
    let kind = match (is_ours, is_paseto) {
        (true, _) => CredentialKind::Opaque,
        (false, true) => CredentialKind::Paseto,
        (false, false) => CredentialKind::Jwt,
    };
    let read = if !takes(kind) {
        Err(refused("a token of a kind that is not taken here"))
    } else if is_ours {
        opaque::read(text, api).and_then(|token| Ok(Presented::Opaque(token, Sent::dpop(head)?)))
    } else if is_paseto {
        Sent::dpop(head).map(|sent| Presented::Paseto(text, sent))
    } else {
        Sent::dpop(head).map(|sent| Presented::Jwt(text, sent))
    };
    Found {
        kind: Some(kind),
        read,
    }
}

/// Tells by its form what a bearer text is (RFC 6750 §2.1): our brand, a configured pattern, a
/// PASETO, a call's own JWT by its header's type, what an issuer is asked about, or else a token. The
/// form decides once; what fails as one is never tried as another.
fn bearer<'a>(text: &'a [u8], api: &'a Api, takes: impl Fn(CredentialKind) -> bool) -> Found<'a> {
    use CredentialKind::{AdminKey, ApiKey, ClientJwt, Jwt, Opaque, Paseto};
    let found = |kind: CredentialKind, read: Result<Presented<'a>, Problem>| {
        let read = if takes(kind) {
            read
        } else {
            Err(refused("a credential of a kind that is not taken here"))
        };
        Found {
            kind: Some(kind),
            read,
        }
    };
    if takes(Opaque)
        && let Some(asked) = introspection::asked(text, api)
    {
        found(Opaque, Ok(Presented::Asked(asked, Sent::Bearer)))
    } else if opaque::is_named(text, &api.brand) {
        let read = opaque::read(text, api);
        found(
            Opaque,
            read.map(|token| Presented::Opaque(token, Sent::Bearer)),
        )
    } else if apikey::is_branded(text, &api.brand) {
        match proof::issued::parse(text, &api.brand) {
            Ok(key) if key.kind == proof::issued::SecretKind::AdminKey => {
                found(AdminKey, Ok(Presented::AdminKey(key)))
            }
            Ok(key) => found(ApiKey, apikey::data_key(key).map(Presented::ApiKey)),
            Err(defect) => {
                let kind = if takes(ApiKey) { ApiKey } else { AdminKey };
                found(kind, Err(refused(defect.code())))
            }
        }
    } else if takes(ApiKey)
        && let Some(key) = apikey::foreign(text, api)
    {
        found(ApiKey, Ok(Presented::ApiKey(key)))
    } else if paseto::looks_like(text) {
        // Where none is taken it is not tried as a JWT either: it may be known under its hash.
        found(Paseto, Ok(Presented::Paseto(text, Sent::Bearer)))
    } else if takes(ClientJwt) && client_call::is_named(text) {
        // Where none is taken, its type is none of an access token.
        found(ClientJwt, Ok(Presented::ClientJwt(text)))
    } else if takes(Jwt) {
        found(Jwt, Ok(Presented::Jwt(text, Sent::Bearer)))
    } else {
        Found {
            kind: None,
            read: Err(refused("a bearer text in no form that is taken here")),
        }
    }
}
