//! **What a route demands**: the prepared, immutable form that judging reads.
//!
//! Matching a call to a route is the gateway's; this is what it finds. Everything here was checked
//! when the configuration was read, so nothing in it is optional that a judge would need.

use std::sync::Arc;

use proof::issued::{Brand, Environment};

use crate::call::Head;
use crate::credential::CredentialKind;
use crate::credential::binding::{self, DPOP};
use crate::credential::jwt::IssuerProfile;
use crate::credential::mtls::CertificateProfile;
use crate::credential::signed::SignatureRules;
use crate::credential::webhook::WebhookRules;
use crate::identity::{RoleName, text_id};

text_id!(
    /// An API's name (slug), unique per realm.
    ApiName
);
text_id!(
    /// A route's name, unique in its API.
    RouteName
);

/// What judging needs to know of an API.
#[derive(Debug)]
pub struct Api {
    /// Its name.
    pub name: ApiName,
    /// Values of `aud` that mean this API.
    pub audiences: Vec<Arc<str>>,
    /// The wall it stands behind: a `test` credential never reaches a `live` API, nor the reverse.
    pub environment: Environment,
    /// Issuers whose tokens it takes.
    pub issuers: Vec<Arc<IssuerProfile>>,
    /// What it demands of the encryption of JWTs; `None`: it opens none.
    pub encryption: Option<TokenEncryption>,
    /// Whose client certificates it takes, if any.
    pub certificates: Option<CertificateProfile>,
    /// How it judges signed requests.
    pub signatures: SignatureRules,
    /// Brand of the keys it takes.
    pub brand: Brand,
    /// Header names that carry an API key besides `Authorization: Bearer` (lower case).
    pub key_headers: Vec<http::HeaderName>,
    /// Foreign key patterns: how imported keys look.
    pub foreign_keys: Vec<ForeignKeyPattern>,
    /// The realm in `WWW-Authenticate`.
    pub realm: Arc<str>,
    /// RFC 9728 metadata URL for the Bearer challenge, if the API has one.
    pub resource_metadata: Option<Arc<str>>,
}

/// What an API demands of the encryption of JWT access tokens (RFC 7516).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenEncryption {
    /// Whether one that is only signed is refused.
    pub required: bool,
}

/// How imported keys of one provenance look.
#[derive(Debug, Clone)]
pub struct ForeignKeyPattern {
    /// Text that every key starts with; not empty.
    pub prefix: Arc<str>,
    /// How many characters after `prefix` identify the key (lookup by `prefix` + that part);
    /// 0: the key is looked up by the digest of the whole text.
    pub id_length: usize,
    /// Total length bounds in bytes.
    pub length: core::ops::RangeInclusive<usize>,
}

/// Which credentials a route takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Demand {
    /// Anonymous calls pass, because `public: true` is written. `Authorization` reaches the
    /// upstream only with `pass_authorization`.
    Public {
        /// Whether `Authorization` is passed through untouched.
        pass_authorization: bool,
    },
    /// One of the combinations, each a list of kinds that must all be present; the first kind of
    /// a combination names the principal. Never empty.
    OneOf(Vec<Vec<CredentialKind>>),
}

/// What an identified caller must hold. All parts must hold; an empty part asks for nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rule {
    /// Scopes that must all be held.
    pub scopes: Vec<Arc<str>>,
    /// Roles of which one must be held.
    pub any_role: Vec<RoleName>,
}

/// What a route asks of those who send access tokens. A bound token is judged with the proof of its
/// binding on every route; here stands what goes beyond that.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SenderRules {
    /// Whether a token that is bound to nothing is refused.
    pub required: bool,
    /// Whether a DPoP proof must repeat a nonce of ours (RFC 9449 §9).
    pub nonce: bool,
}

/// What judging needs to know of a route.
#[derive(Debug)]
pub struct Route {
    /// The API it belongs to.
    pub api: Arc<Api>,
    /// Its name.
    pub name: RouteName,
    /// Which credentials it takes.
    pub demand: Demand,
    /// What is asked of those who send access tokens.
    pub sender: SenderRules,
    /// What the caller must hold.
    pub rule: Rule,
    /// Whether Basic may come over plain HTTP (loopback in `dev` only).
    pub plain_basic: bool,
    /// How it judges webhooks, where it takes them.
    pub webhook: Option<WebhookRules>,
}

impl Route {
    /// Whether an answer to this call carries a nonce for the next proof, refusals included
    /// (RFC 9449 §8.2, §9).
    pub fn answers_with_nonce(&self, head: &Head) -> bool {
        self.sender.nonce && (head.headers().contains_key(&DPOP) || binding::is_dpop(head))
    }

    /// Whether some combination asks for a kind.
    pub fn takes(&self, kind: CredentialKind) -> bool {
        match &self.demand {
            Demand::Public { .. } => false,
            Demand::OneOf(combinations) => combinations.iter().flatten().any(|one| *one == kind),
        }
    }
}
