//! **`private_key_jwt`** (RFC 7523 §3, OpenID Connect Core §9): a JWT by the client about itself,
//! for this server, living 5 minutes at most, used once. The key is one of the claimed client's own
//! keys, so another client's key never verifies (threat C13); the type is never that of an access
//! token (threat C4); the replay memory is asked last, so that strangers can't spend a client's
//! `jti`.

use core::time::Duration;

use proof::jose::jws;
use proof::jose::jwt::{self, Claims, Expect, JwtDefect};
use registry::client::ClientAuthMethod;
use verdict::identity::{CredentialId, SecretId};

use super::AuthenticatedClient;
use crate::declared::{ASSERTION_ALGORITHMS, Declared, the_one};
use crate::error::{Outcome, Reason, Refusal};
use crate::metadata::Endpoint;
use crate::ports::{FirstUse, IssuerStore, Secrets};
use crate::{Issuer, OAuthRequest};

/// Longest life of an assertion.
const MAX_LIFETIME: Duration = Duration::from_secs(300);
/// Longest `jti` kept in the replay memory, in bytes.
const MAX_JTI: usize = 256;
/// RFC 7523 names no type; `JWT` is usual, the last is its successor's.
const TYPES: [&str; 2] = ["JWT", "client-authentication+jwt"];

impl<S: IssuerStore, C: Secrets> Issuer<S, C> {
    pub(super) async fn by_assertion(
        &self,
        request: &OAuthRequest<'_>,
        declared: &Declared,
        client_id: Option<&str>,
        assertion: &str,
    ) -> Outcome<AuthenticatedClient> {
        let malformed = |cause: &'static str| Refusal::because(Reason::MalformedAssertion, cause);
        let token = jws::split(assertion.as_bytes()).map_err(|defect| malformed(defect.code()))?;
        if token.brings_key() {
            return Err(malformed("the header brings a key along"));
        }
        // Unverified, and read for one purpose: to know whose keys to ask. It is compared again
        // once the signature holds.
        let claimed = jwt::claimed_issuer(token.unverified_payload())
            .ok_or_else(|| malformed("no iss can be read"))?;
        // RFC 7521 §4.2: a client_id beside the assertion must identify the same client.
        if client_id.is_some_and(|id| id != claimed) {
            return Err(Reason::AssertionSubject.into());
        }
        let client = declared.known(&claimed).ok_or(Reason::UnknownClient)?;
        if client.method != ClientAuthMethod::PrivateKeyJwt {
            return Err(Reason::WrongClientMethod.into());
        }
        let algorithm = token
            .alg()
            .filter(|algorithm| ASSERTION_ALGORITHMS.contains(algorithm))
            .ok_or(Reason::AssertionKey)?;
        if !client.rules().signing_algorithms.contains(&algorithm) {
            return Err(Reason::AssertionAlgorithm.into());
        }
        let key = match &client.jwks_uri {
            None => client.key(token.kid(), algorithm).cloned(),
            Some(at) => {
                let keys = self.client_keys().keys(at, token.kid()).await?;
                the_one(&keys, token.kid(), algorithm).cloned()
            }
        }
        .ok_or(Reason::AssertionKey)?;
        let payload = token
            .verify(&key)
            .map_err(|defect| Refusal::because(Reason::AssertionSignature, defect.code()))?;

        let claims = Claims::parse(&payload)
            .map_err(|defect| Refusal::because(Reason::AssertionClaims, defect.code()))?;
        let endpoints = self.endpoints();
        let pushed = endpoints.url(Endpoint::PushedAuthorization);
        let every = [endpoints.issuer(), endpoints.token(), &pushed];
        let audiences = if client.rules().assertion_audience_issuer_only {
            // FAPI 2.0 §5.3.2.1: one string. An assertion for an endpoint could come from a server
            // that named ours as its own.
            if !is_string(payload.bytes(), "aud") {
                return Err(Refusal::because(
                    Reason::AssertionAudience,
                    "not a single string",
                ));
            }
            &every[..1]
        } else {
            // RFC 7523 §3, RFC 9126 §2
            &every[..]
        };
        let expect = Expect {
            issuer: client.client_id.as_str(),
            audiences,
            typ: &TYPES,
            typ_may_be_absent: true,
            require: &["sub", "jti"],
            max_lifetime: Some(MAX_LIFETIME),
            leeway: self.leeway(),
        };
        jwt::check(&claims, payload.typ(), &expect, request.now)
            .map_err(|defect| refusal(&defect))?;
        // RFC 7523 §3, item 2.B: for client authentication the subject is the client_id.
        if claims.sub.as_deref() != Some(client.client_id.as_str()) {
            return Err(Reason::AssertionSubject.into());
        }
        // An assertion that names other servers too could be replayed by one of them against us.
        if claims.aud.len() != 1 {
            return Err(Refusal::because(
                Reason::AssertionAudience,
                "more than one audience",
            ));
        }
        let (Some(jti), Some(exp)) = (claims.jti.as_deref(), claims.exp) else {
            return Err(Reason::AssertionClaims.into());
        };
        if jti.is_empty() || jti.len() > MAX_JTI {
            return Err(Refusal::because(
                Reason::AssertionClaims,
                "jti is empty or too long",
            ));
        }
        let scope = format!("client_assertion/{}", client.client_id);
        let until = exp.plus(self.leeway().0);
        // A memory that outlives a restart: an assertion lives for minutes, a restart takes less
        // than a second, and nothing in an assertion tells which process it was made for. (Times
        // don't: the client's clock wrote them.)
        match self
            .replay()
            .first_use(&scope, jti, until, request.now)
            .await?
        {
            FirstUse::Yes => {}
            FirstUse::Replayed => return Err(Reason::AssertionReplayed.into()),
        }
        Ok(AuthenticatedClient {
            client: client.clone(),
            credential: Some(CredentialId::new(SecretId::of_key(&key).shared())),
        })
    }
}

/// Whether a member of verified claims is a string, and no list of one.
fn is_string(claims: &[u8], name: &str) -> bool {
    serde_json::from_slice::<serde_json::Value>(claims)
        .is_ok_and(|claims| claims.get(name).is_some_and(serde_json::Value::is_string))
}

fn refusal(defect: &JwtDefect) -> Refusal {
    let reason = match defect {
        JwtDefect::WrongAudience => Reason::AssertionAudience,
        JwtDefect::WrongIssuer => Reason::AssertionSubject,
        JwtDefect::WrongType => Reason::MalformedAssertion,
        JwtDefect::Expired
        | JwtDefect::NotYetValid
        | JwtDefect::IssuedInFuture
        | JwtDefect::LifetimeTooLong => Reason::AssertionTimes,
        JwtDefect::Json(_) | JwtDefect::ClaimType(_) | JwtDefect::Missing(_) => {
            Reason::AssertionClaims
        }
    };
    Refusal::because(reason, defect.to_string())
}
