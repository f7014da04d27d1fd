//! **UserInfo** (OpenID Connect Core §5.3): what a client may learn of the person who let it. It is
//! a resource of the issuer's own, with its own check of access tokens: ours, meant for this
//! endpoint, alive, sent by whom it is bound to (threats C4, D1). Claims go by the token's scopes
//! and the request's `claims`, never beyond what the client is declared for.

use proof::jose::jws;
use proof::x509;
use registry::client::IdentityScope;
use serde_json::{Map, Value};

use crate::access::ReadToken;
use crate::declared::RegisteredClient;
use crate::error::{ErrorCode, Outcome, Reason, Refusal};
use crate::flow::{Binding, FlowFilter, Flows};
use crate::id_token;
use crate::metadata::Endpoint;
use crate::ports::{IssuerStore, KeyPurpose, People, Person, Secrets};
use crate::sender::ProofCheck;
use crate::{Issuer, OAuthRequest};

/// What a client is told.
#[derive(Debug, Clone, PartialEq)]
pub enum Userinfo {
    /// A JSON object.
    Json(Map<String, Value>),
    /// The same as a signed JWT (`application/jwt`), for clients that are declared so.
    Jwt(String),
}

/// How an access token was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scheme {
    /// RFC 6750.
    Bearer,
    /// RFC 9449 §7.1.
    Dpop,
}

/// Claims of OpenID Connect Core §5.1, with the scope that asks for each (§5.4).
pub const CLAIMS: [(&str, IdentityScope); 19] = [
    ("name", IdentityScope::Profile),
    ("family_name", IdentityScope::Profile),
    ("given_name", IdentityScope::Profile),
    ("middle_name", IdentityScope::Profile),
    ("nickname", IdentityScope::Profile),
    ("preferred_username", IdentityScope::Profile),
    ("profile", IdentityScope::Profile),
    ("picture", IdentityScope::Profile),
    ("website", IdentityScope::Profile),
    ("gender", IdentityScope::Profile),
    ("birthdate", IdentityScope::Profile),
    ("zoneinfo", IdentityScope::Profile),
    ("locale", IdentityScope::Profile),
    ("updated_at", IdentityScope::Profile),
    ("email", IdentityScope::Email),
    ("email_verified", IdentityScope::Email),
    ("phone_number", IdentityScope::Phone),
    ("phone_number_verified", IdentityScope::Phone),
    ("address", IdentityScope::Address),
];

impl<S: IssuerStore + Flows, C: Secrets + People> Issuer<S, C> {
    /// Answers a UserInfo request. `method` is the request's own; the form, if it is one, may hold
    /// the access token (RFC 6750 §2.2).
    ///
    /// # Errors
    /// `invalid_token`, `insufficient_scope`, `invalid_request`, `invalid_dpop_proof`; send them
    /// with [`challenge`].
    pub async fn userinfo(&self, request: &OAuthRequest<'_>, method: &str) -> Outcome<Userinfo> {
        let (scheme, text) = presented(request)?;
        let token = self
            .read_token(text, request.now)
            .await?
            .ok_or(Reason::DeadAccessToken)?;
        let endpoint = self.endpoints().userinfo();
        if !token.claims().aud.iter().any(|aud| aud == endpoint) {
            return Err(Refusal::because(
                Reason::DeadAccessToken,
                "another audience",
            ));
        }
        if self.revocations().revoked(&token.names())? {
            return Err(Refusal::because(Reason::DeadAccessToken, "revoked"));
        }
        self.check_sender(request, method, scheme, text, &token)
            .await?;
        let declared = self.declared();
        let client = declared
            .client(token.client_id())
            .ok_or(Reason::DeadAccessToken)?;
        if !token
            .scopes()
            .any(|scope| scope == IdentityScope::Openid.name())
        {
            return Err(Reason::OpenidNeeded.into());
        }
        let person = self
            .people()
            .person(token.subject(), request.now)
            .await?
            .filter(|person| person.environment == client.environment)
            .ok_or_else(|| Refusal::because(Reason::DeadAccessToken, "the person is gone"))?;
        let claims = self.claims_of(&token, client, &person, request).await?;
        let Some(algorithm) = client.userinfo_alg else {
            return Ok(Userinfo::Json(claims));
        };
        // §5.3.2: signed, it says by whom and for whom.
        let mut claims = claims;
        claims.insert("iss".to_owned(), self.endpoints().issuer().into());
        claims.insert("aud".to_owned(), client.client_id.as_str().into());
        let ring = self.keys().ring();
        let key = KeyPurpose::id_token(algorithm)
            .and_then(|purpose| ring.signer(purpose))
            .ok_or(Reason::NoSigningKey)?;
        let payload = Value::Object(claims).to_string();
        Ok(Userinfo::Jwt(jws::sign(key, id_token::TYPE, &payload)))
    }

    async fn claims_of(
        &self,
        token: &ReadToken,
        client: &RegisteredClient,
        person: &Person,
        request: &OAuthRequest<'_>,
    ) -> Outcome<Map<String, Value>> {
        let mut claims = Map::new();
        // The request's `claims` lives as long as its grant.
        if let Some(grant_id) = token.grant_id() {
            let which = FlowFilter {
                id: Some(grant_id.to_owned()),
                ..FlowFilter::default()
            };
            let grants = self.store().grants(&which, request.now, 1).await?;
            if let Some(wanted) = grants
                .first()
                .and_then(|listed| listed.grant.claims.as_ref())
                .and_then(|claims| claims.get("userinfo"))
            {
                requested(&mut claims, wanted, client, person);
            }
        }
        for scope in token.scopes().filter_map(IdentityScope::from_name) {
            let held = CLAIMS.iter().filter(|(_, own)| *own == scope);
            for (name, value) in
                held.filter_map(|(name, _)| Some((*name, person.claims.get(*name)?)))
            {
                claims.insert(name.to_owned(), value.clone());
            }
        }
        claims.insert("sub".to_owned(), person.subject.as_str().into());
        Ok(claims)
    }

    async fn check_sender(
        &self,
        request: &OAuthRequest<'_>,
        method: &str,
        scheme: Scheme,
        text: &str,
        token: &ReadToken,
    ) -> Outcome<()> {
        let binding = token
            .binding()
            .map_err(|_| Refusal::because(Reason::UnboundUse, "a foreign cnf"))?;
        match (binding, scheme) {
            (None, Scheme::Bearer) => Ok(()),
            (Some(Binding::Certificate(bound)), Scheme::Bearer) => {
                let shown = request.sender.certificate.map(x509::thumbprint);
                if shown.as_deref() == Some(&bound) {
                    Ok(())
                } else {
                    Err(Refusal::because(Reason::UnboundUse, "another certificate"))
                }
            }
            (Some(Binding::Jkt(bound)), Scheme::Dpop) => {
                let check = ProofCheck {
                    method,
                    endpoint: Endpoint::Userinfo,
                    access_token: Some(text.as_bytes()),
                    nonce: false,
                };
                let proof = self
                    .check_proof(request.sender.dpop, check, request.now)
                    .await?
                    .ok_or(Reason::ProofMissing)?;
                if proof.thumbprint == bound {
                    Ok(())
                } else {
                    Err(Refusal::because(Reason::UnboundUse, "another key"))
                }
            }
            // RFC 9449 §7.2: a bound token is never taken as a plain bearer token, nor the reverse.
            (Some(Binding::Jkt(_)), Scheme::Bearer)
            | (None | Some(Binding::Certificate(_)), Scheme::Dpop) => {
                Err(Refusal::because(Reason::UnboundUse, "another scheme"))
            }
        }
    }
}

/// The one access token of a request (RFC 6750 §2: one way per request).
fn presented<'a>(request: &OAuthRequest<'a>) -> Outcome<(Scheme, &'a str)> {
    let in_form = request.params.one("access_token");
    let header = match (request.authorization, in_form) {
        (None, None) => return Err(Reason::NoAccessToken.into()),
        (Some(_), Some(_)) => return Err(Reason::MalformedAccessToken.into()),
        (None, Some(token)) => return Ok((Scheme::Bearer, token)),
        (Some(header), None) => header,
    };
    let text = core::str::from_utf8(header).map_err(|_| Reason::MalformedAccessToken)?;
    let (scheme, token) = text.split_once(' ').ok_or(Reason::MalformedAccessToken)?;
    // RFC 6750 §2.1: `b64token`.
    let clean = |b: u8| b.is_ascii_alphanumeric() || b"-._~+/=".contains(&b);
    if token.is_empty() || !token.bytes().all(clean) {
        return Err(Reason::MalformedAccessToken.into());
    }
    if scheme.eq_ignore_ascii_case("Bearer") {
        Ok((Scheme::Bearer, token))
    } else if scheme.eq_ignore_ascii_case("DPoP") {
        Ok((Scheme::Dpop, token))
    } else {
        Err(Reason::NoAccessToken.into())
    }
}

/// Adds what one member of the `claims` parameter asks for (OpenID Connect Core §5.5), of what is
/// known of the person and the client may ask for at all.
pub(crate) fn requested(
    claims: &mut Map<String, Value>,
    wanted: &Value,
    client: &RegisteredClient,
    person: &Person,
) {
    let Some(wanted) = wanted.as_object() else {
        return;
    };
    for (name, scope) in CLAIMS {
        if wanted.contains_key(name)
            && client.identity_scopes.contains(&scope)
            && let Some(value) = person.claims.get(name)
        {
            claims.insert(name.to_owned(), value.clone());
        }
    }
}

/// The values of `WWW-Authenticate` for a refused UserInfo request (RFC 6750 §3, RFC 9449 §7.1).
pub fn challenge(refusal: &Refusal) -> [String; 2] {
    let reason = refusal.reason();
    // RFC 6750 §3.1: without any authentication, no error code.
    let error = if reason == Reason::NoAccessToken {
        String::new()
    } else {
        format!(
            r#", error="{}", error_description="{}""#,
            reason.code().name(),
            reason.description()
        )
    };
    let scope = match reason.code() {
        ErrorCode::InsufficientScope => r#", scope="openid""#,
        _ => "",
    };
    [
        format!(r#"Bearer realm="userinfo"{error}{scope}"#),
        format!(
            r#"DPoP realm="userinfo", algs="{}"{error}{scope}"#,
            proof::dpop::ALGORITHM_NAMES
        ),
    ]
}
