//! **What a route demands**: the prepared, immutable form that judging reads.
//!
//! Matching a call to a route is the gateway's; this is what it finds. Everything here was checked
//! when the configuration was read, so nothing in it is optional that a judge would need.

use std::collections::BTreeMap;
use std::sync::Arc;

use ipnet::IpNet;
use proof::issued::{Brand, Environment};

use crate::call::{Head, spelled_like};
use crate::credential::CredentialKind;
use crate::credential::binding::{self, DPOP};
use crate::credential::jwt::IssuerProfile;
use crate::credential::mtls::CertificateProfile;
use crate::credential::signed::SignatureRules;
use crate::credential::webhook::WebhookRules;
use crate::identity::{RoleName, Scopes, text_id};
use crate::policy::rego::Policy;
use crate::policy::relations::Model;
use crate::policy::{ObjectRule, Parameter};
use crate::probing::Probing;

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
    /// How it judges signed requests, on routes that don't say so themselves.
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
    /// By which relations between subjects and objects it is judged; `None`: none are declared.
    pub relations: Option<Arc<Model>>,
    /// What deciding needs to know besides.
    pub rights: Rights,
}

/// What deciding needs to know of an API.
#[derive(Debug, Default)]
pub struct Rights {
    /// For a scope, those that imply it: written down one by one, and closed over. Without an entry a
    /// scope is implied by none.
    pub implied_by: BTreeMap<Arc<str>, Vec<Arc<str>>>,
    /// Named networks, for policies: a name and what belongs to it.
    pub zones: Vec<(Arc<str>, Vec<IpNet>)>,
    /// Who is refused many objects is noticed by this.
    pub probing: Option<Probing>,
    /// Fields in which the gateway shows the upstream a credential of its own: a caller's end here.
    pub own_fields: Vec<http::HeaderName>,
}

impl Rights {
    /// Whether a holder of `held` has a scope, by itself or by one that implies it.
    pub fn has_scope(&self, held: &Scopes, scope: &str) -> bool {
        held.contains(scope)
            || self
                .implied_by
                .get(scope)
                .is_some_and(|broader| broader.iter().any(|one| held.contains(one)))
    }
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
#[derive(Debug, Clone, Default)]
pub struct Rule {
    /// Scopes that must all be held.
    pub scopes: Vec<Arc<str>>,
    /// Roles of which one must be held.
    pub any_role: Vec<RoleName>,
    /// Which objects calls are about, and what the caller must be to them.
    pub objects: Vec<ObjectRule>,
    /// The parameters of the path, for policies.
    pub parameters: Vec<Parameter>,
    /// Policies that must all allow the call.
    pub policies: Vec<Arc<Policy>>,
    /// Policies that are asked and not obeyed.
    pub shadow_policies: Vec<Arc<Policy>>,
    /// Whether the record keeps what policies are told, so that the call can be judged again.
    pub records_input: bool,
}

impl Rule {
    /// Whether it asks for more than the credential itself tells: then time or a change elsewhere can
    /// take away what it gave.
    pub fn asks_more(&self) -> bool {
        !(self.any_role.is_empty()
            && self.objects.is_empty()
            && self.policies.is_empty()
            && self.shadow_policies.is_empty()
            && !self.records_input)
    }
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
    /// How it judges signed requests, instead of its API.
    pub signatures: Option<SignatureRules>,
    /// How it judges webhooks, where it takes them.
    pub webhook: Option<WebhookRules>,
}

impl Route {
    /// Whether an answer to this call carries a nonce for the next proof, refusals included
    /// (RFC 9449 §8.2, §9).
    pub fn answers_with_nonce(&self, head: &Head) -> bool {
        self.sender.nonce && (head.headers().contains_key(&DPOP) || binding::is_dpop(head))
    }

    /// How it judges signed requests: by its own word, or by the API's.
    pub fn signatures(&self) -> &SignatureRules {
        self.signatures.as_ref().unwrap_or(&self.api.signatures)
    }

    /// Whether a field is the gateway's to write towards the upstream on this route, in any spelling:
    /// by a policy's word, or for a credential of its own. A caller's ends here.
    pub fn writes(&self, name: &http::HeaderName) -> bool {
        let by_policy = self.rule.policies.iter().flat_map(|one| one.headers());
        by_policy
            .chain(&self.api.rights.own_fields)
            .any(|own| spelled_like(name.as_str(), own.as_str()))
    }

    /// Whether some combination asks for a kind.
    pub fn takes(&self, kind: CredentialKind) -> bool {
        match &self.demand {
            Demand::Public { .. } => false,
            Demand::OneOf(combinations) => combinations.iter().flatten().any(|one| *one == kind),
        }
    }
}
