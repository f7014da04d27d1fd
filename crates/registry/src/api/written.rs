//! **An API as written**: the `spec` of an `Api` document, key by key. Nothing is checked here but
//! the shape; what it means, and whether it means anything, is said in [`crate::meaning`].

use core::fmt;
use std::borrow::Cow;
use std::collections::BTreeMap;

use ipnet::IpNet;
use proof::issued::Environment;
use proof::webhook::Style;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use verdict::credential::CredentialKind;
use verdict::credential::webhook::Redelivery;

use crate::api::TokenFormat;
use crate::api::rights::{ObjectSpec, ProbingSpec};
use crate::api::stored::UpstreamCredentialSpec;
use crate::document::present;
use crate::units::{Frequency, Period, Size};

/// `live` unless written otherwise.
pub(crate) fn live() -> Environment {
    Environment::Live
}

/// Stands for [`Environment`] in schemas.
#[derive(JsonSchema)]
#[schemars(rename = "Environment", rename_all = "lowercase")]
#[allow(dead_code, reason = "only its schema is used")]
pub(crate) enum EnvironmentSchema {
    /// Real use.
    Live,
    /// Trial use; never reaches a live API.
    Test,
}

/// A declared API.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ApiSpec {
    /// A name for people.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub display_name: Option<String>,
    /// `live` (default) or `test`.
    #[serde(default = "live")]
    #[schemars(with = "EnvironmentSchema")]
    pub environment: Environment,
    /// Values of `aud` that mean this API; default `urn:doorward:api:<name>`.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub audiences: Option<Vec<String>>,
    /// Hosts it answers for; default: any.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub hosts: Option<Vec<String>>,
    /// Path prefix of all its routes; default `/`.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub base_path: Option<String>,
    /// Whether the upstream sees the path without `base_path`.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub strip_base_path: bool,
    /// Where permitted calls go.
    pub upstream: UpstreamSpec,
    /// Its scopes with the words that people read.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub scopes: BTreeMap<String, String>,
    /// Scopes that imply others: who holds the first has the listed ones too. Default: none does, and
    /// a write scope never implies the read one.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub implied_scopes: BTreeMap<String, Vec<String>>,
    /// Policies that every call of a route that is not public must pass, by name.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub policies: Option<Vec<String>>,
    /// Policies that are asked and not obeyed: what they would have said is recorded.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub shadow_policies: Option<Vec<String>>,
    /// Named networks that policies are told of: `office: ["192.0.2.0/24"]`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "BTreeMap<String, Vec<String>>")]
    pub zones: BTreeMap<String, Vec<IpNet>>,
    /// Who is refused many different objects is noticed; default: nobody is.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub probing: Option<ProbingSpec>,
    /// Whether the decision log keeps what policies are told of each call, so that it can be judged
    /// again; default: where there are policies or objects.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub record_inputs: Option<bool>,
    /// Credentials that routes take unless they say otherwise.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub credentials: Option<Vec<Combination>>,
    /// Names of trusted issuers, or `own`; default `[own]`.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub issuers: Option<Vec<String>>,
    /// Whose client certificates count, and as whom; default none.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub client_certificates: Option<ClientCertificatesSpec>,
    /// Access tokens as JWTs that come encrypted to this API (RFC 7516); default: none does.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub token_encryption: Option<TokenEncryptionSpec>,
    /// How signed requests are judged.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub signatures: Option<SignaturesSpec>,
    /// Whether access tokens must be bound to a key or a certificate; default `offered`.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub sender_constraint: Option<SenderConstraintSpec>,
    /// Whether DPoP proofs must repeat a nonce of the gateway's (RFC 9449 §9); default no.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub dpop_nonce: Option<bool>,
    /// What its routes are worth to a thief; default `normal`.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub sensitivity: Option<Sensitivity>,
    /// Headers that carry an API key besides `Authorization: Bearer`; default `[x-api-key]`.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub key_headers: Option<Vec<String>>,
    /// How imported keys look.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub foreign_keys: Option<Vec<ForeignKeySpec>>,
    /// What the upstream learns of the caller; default nothing.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub identity: Option<IdentitySpec>,
    /// CORS; default none.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub cors: Option<CorsSpec>,
    /// Budgets and the size of bodies.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub limits: Option<LimitsSpec>,
    /// Access tokens issued for it.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub token: Option<TokenSpec>,
    /// The form of those tokens: `jwt` (default), or `opaque`, which says nothing to who holds it.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub token_format: Option<TokenFormat>,
    /// The realm in `WWW-Authenticate`; default the API's name.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub realm: Option<String>,
    /// URL of its RFC 9728 metadata, named in the Bearer challenge.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub resource_metadata: Option<String>,
    /// Its routes, at least one.
    pub routes: Vec<RouteSpec>,
}

/// Where permitted calls go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UpstreamSpec {
    /// `http://host:port` or `https://host:port`, at least one, without a path.
    pub urls: Vec<String>,
    /// HTTP version; default `auto`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub protocol: ProtocolSpec,
    /// Default `2s`.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub connect_timeout: Option<Period>,
    /// Default `30s`.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub response_timeout: Option<Period>,
    /// Default `60s`.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub idle_timeout: Option<Period>,
    /// Which `Host` the upstream sees; default `upstream`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub host: HostSpec,
    /// TLS towards `https` servers.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub tls: Option<UpstreamTlsSpec>,
    /// What the gateway presents to the upstream in its own name; default nothing.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub credential: Option<UpstreamCredentialSpec>,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// HTTP version towards the upstream.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ProtocolSpec {
    /// HTTP/1.1; over TLS, ALPN may choose HTTP/2.
    #[default]
    Auto,
    /// HTTP/1.1 only.
    H1,
    /// HTTP/2 only.
    H2,
}

/// Which `Host` the upstream sees.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum HostSpec {
    /// The server's.
    #[default]
    Upstream,
    /// The one the caller sent.
    Preserve,
}

/// TLS towards the upstream.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UpstreamTlsSpec {
    /// PEM file with the CAs to trust; default: the public web PKI.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub ca_file: Option<String>,
    /// Name to verify; default: the URL's host.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub server_name: Option<String>,
    /// PEM file with the certificate that the gateway shows to the upstream (mTLS), its chain with
    /// it; together with `key_file`.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub certificate_file: Option<String>,
    /// PEM file with the key of `certificate_file`.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub key_file: Option<String>,
}

/// A credential kind that a document can ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WrittenKind {
    /// An API key.
    ApiKey,
    /// User name and password of a service account.
    Basic,
    /// A JWT access token.
    Jwt,
    /// The client's certificate of the TLS handshake; see `client_certificates`.
    Mtls,
    /// An opaque access token of this installation's own issuer.
    Opaque,
    /// AWS Signature Version 4; see `signatures`.
    #[serde(rename = "sigv4")]
    SigV4,
    /// An HTTP message signature (RFC 9421); see `signatures`.
    HttpSignature,
    /// Doorward's own plain HMAC scheme.
    Hmac,
    /// A JWT that a client signs for each call; see `signs_calls` of clients.
    ClientJwt,
    /// A webhook that its sender signs; see `webhook`.
    Webhook,
    /// An access token in the form of PASETO version 4.
    Paseto,
}

impl From<WrittenKind> for CredentialKind {
    fn from(kind: WrittenKind) -> Self {
        match kind {
            WrittenKind::ApiKey => Self::ApiKey,
            WrittenKind::Basic => Self::Basic,
            WrittenKind::Jwt => Self::Jwt,
            WrittenKind::Mtls => Self::Mtls,
            WrittenKind::Opaque => Self::Opaque,
            WrittenKind::SigV4 => Self::SigV4,
            WrittenKind::HttpSignature => Self::HttpSignature,
            WrittenKind::Hmac => Self::Hmac,
            WrittenKind::ClientJwt => Self::ClientJwt,
            WrittenKind::Webhook => Self::Webhook,
            WrittenKind::Paseto => Self::Paseto,
        }
    }
}

/// One way to be let in: a kind (`api_key`), or a list of kinds that must all be present
/// (`[api_key, jwt]`, the first names the principal).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Combination(pub Vec<WrittenKind>);

impl Serialize for Combination {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.as_slice() {
            [one] => one.serialize(serializer),
            list => list.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Combination {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrList;
        impl<'de> Visitor<'de> for OneOrList {
            type Value = Combination;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a credential kind or a list of kinds")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Combination, E> {
                WrittenKind::deserialize(de::value::StrDeserializer::new(text))
                    .map(|kind| Combination(vec![kind]))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Combination, A::Error> {
                let mut kinds = Vec::new();
                while let Some(kind) = list.next_element()? {
                    kinds.push(kind);
                }
                Ok(Combination(kinds))
            }
        }
        deserializer.deserialize_any(OneOrList)
    }
}

impl JsonSchema for Combination {
    fn schema_name() -> Cow<'static, str> {
        "Combination".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let kind = generator.subschema_for::<WrittenKind>();
        json_schema!({
            "description": "A credential kind, or a list of kinds that must all be present.",
            "oneOf": [kind, { "type": "array", "items": kind, "minItems": 1 }]
        })
    }
}

/// Whether access tokens must be bound to their sender (RFC 9449, RFC 8705).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SenderConstraintSpec {
    /// A bound token passes with the proof of its binding, an unbound one as it is.
    #[default]
    Offered,
    /// An unbound token is refused.
    Required,
}

/// What a route is worth to a thief.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Sensitivity {
    /// Any credential kind will do.
    #[default]
    Normal,
    /// No combination may consist of secrets that are sent along and work for whoever finds them:
    /// API keys, passwords, access tokens that are bound to nothing.
    High,
}

/// Client certificates as credentials (`mtls`). The listener must ask for them
/// (`tls.client_certificates`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClientCertificatesSpec {
    /// PEM file with the certificates that vouch for callers; read again when it changes.
    pub ca_file: String,
    /// Revocation lists of that authority (PEM or DER), one for each certificate that issues; read
    /// again when they change. With lists, what they don't know, or a list past its next update,
    /// is refused. Default: none is asked.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub crl_files: Option<Vec<String>>,
    /// Where further lists are published (https, 1 MiB each at most): fetched ahead, and again every
    /// ten minutes. Until all are there, certificates are answered with 503.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub crl_urls: Option<Vec<String>>,
    /// The responder that is asked whether certificates are revoked (OCSP, RFC 6960), beside the
    /// lists. What it doesn't call good is refused. Default: none is asked.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub ocsp: Option<OcspSpec>,
    /// Who the API knows; the first that fits counts.
    #[schemars(length(min = 1))]
    pub identities: Vec<CertificateIdentitySpec>,
}

/// Who vouches for the certificates by which clients prove themselves to the issuer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AuthoritySpec {
    /// PEM file with the certificates that vouch; read again when it changes.
    pub ca_file: String,
    /// Revocation lists of that authority (PEM or DER), one for each certificate that issues; read
    /// again when they change. With lists, what they don't know, or a list past its next update,
    /// is refused. Default: none is asked.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub crl_files: Option<Vec<String>>,
    /// Where further lists are published (https, 1 MiB each at most): fetched ahead, and again every
    /// ten minutes. Until all are there, clients are answered with 503.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub crl_urls: Option<Vec<String>>,
    /// The responder that is asked whether certificates are revoked (OCSP, RFC 6960), beside the
    /// lists. What it doesn't call good is refused. Default: none is asked.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub ocsp: Option<OcspSpec>,
}

/// A responder of client certificates' authority (OCSP).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OcspSpec {
    /// Where it is asked; `http` will do, since its answers are signed. The address that a certificate
    /// names is never called.
    pub url: String,
    /// Which certificates it is asked about; default `path`.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub about: Option<OcspAbout>,
    /// How long an answer is used before it is asked for anew, `1s` to `1d`; default `10m`. One that
    /// ends soon is asked for anew at half of its time.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub refresh: Option<Period>,
}

/// Which certificates of a path a responder is asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OcspAbout {
    /// All but the root.
    #[default]
    Path,
    /// The client's own.
    Client,
}

/// A name in a certificate, and what its holder may do: one of `uri`, `dns`, `email`, `subject`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CertificateIdentitySpec {
    /// An alternative name of type URI, `spiffe://example.org/billing`; a `*` at the end stands for
    /// whatever follows.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub uri: Option<String>,
    /// An alternative name of type DNS, `billing.example.com`; `*.` in front stands for one label.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub dns: Option<String>,
    /// An alternative name of type e-mail, `batch@example.com` or `*@example.com`.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub email: Option<String>,
    /// The whole subject as RFC 4514 writes it, `CN=billing,O=Example`.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub subject: Option<String>,
    /// Scopes of its holder; default none.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub scopes: Option<Vec<String>>,
    /// Roles of its holder; default none.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub roles: Option<Vec<String>>,
    /// Its holder's tenant.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub tenant: Option<String>,
}

/// JWT access tokens that come encrypted to the API: `RSA-OAEP-256` or `ECDH-ES`, with `A128GCM` or
/// `A256GCM`, and a signed JWT within.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenEncryptionSpec {
    /// PEM files with the API's private keys (PKCS#8; RSA of 2048 bits and more, or EC P-256); read
    /// again when they change. Of several, a token names one by its RFC 7638 thumbprint; our own
    /// issuer encrypts its JWTs to the first.
    #[schemars(length(min = 1, max = 8))]
    pub key_files: Vec<String>,
    /// Whether a JWT that is only signed is refused; default yes. Our own issuer encrypts either way.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub required: Option<bool>,
}

/// How signed requests are judged (`sigv4`, `http_signature`, `hmac`, `webhook`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SignaturesSpec {
    /// What `sigv4` must name in its credential scope; needed where a route takes it.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub sigv4: Option<SigV4Spec>,
    /// What `http_signature` must cover and carry.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub http_signature: Option<HttpSignatureSpec>,
    /// Whose webhooks are taken, on routes that don't say so themselves.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub webhook: Option<WebhookSpec>,
    /// Whether a body may go unsigned: `UNSIGNED-PAYLOAD`, unsigned chunks, no `Content-Digest`.
    /// Default no.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub unsigned_body: bool,
}

/// AWS Signature Version 4.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SigV4Spec {
    /// Regions that may stand in the credential scope, at least one.
    pub regions: Vec<String>,
    /// Services that may stand there, at least one. `s3` signs paths encoded once, others twice.
    pub services: Vec<String>,
    /// How long a presigned URL may live at most, up to `7d`; default: presigned ones don't pass.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub presigned: Option<Period>,
    /// Whether a presigned URL passes once only.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub presigned_once: bool,
}

/// HTTP message signatures.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HttpSignatureSpec {
    /// Components that must be covered, `"@method"` or a field's name; default method, authority,
    /// path and query. `content-type`, `content-digest` and `authorization` must be covered
    /// wherever they are present.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub components: Option<Vec<String>>,
    /// The `tag` of the signature that is meant; default: the only one there is.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub tag: Option<String>,
    /// Whether a `nonce` must be there.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub nonce: bool,
}

/// Webhooks that somebody else's service signs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WebhookSpec {
    /// How they are signed.
    pub style: WebhookStyle,
    /// Key ids (`DWAK…`) of signing secrets for `webhook`, 1 to 8: one for each sender that is
    /// taken. `doorward secret import` gives such an id.
    pub keys: Vec<String>,
    /// What a delivery meets that the upstream answered with 2xx before. Styles whose deliveries
    /// have an id only; default `acknowledge`.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub redelivery: Option<RedeliveryRule>,
}

/// Whose way of signing webhooks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum WebhookStyle {
    /// Standard Webhooks: id, time and body; by secrets (`v1`) or public keys (`v1a`).
    StandardWebhooks,
    /// Stripe: time and body.
    Stripe,
    /// GitHub: the body.
    Github,
    /// Slack: time and body.
    Slack,
    /// Shopify: the body.
    Shopify,
}

impl From<WebhookStyle> for Style {
    fn from(style: WebhookStyle) -> Self {
        match style {
            WebhookStyle::StandardWebhooks => Self::StandardWebhooks,
            WebhookStyle::Stripe => Self::Stripe,
            WebhookStyle::Github => Self::GitHub,
            WebhookStyle::Slack => Self::Slack,
            WebhookStyle::Shopify => Self::Shopify,
        }
    }
}

/// What a delivery meets that the upstream took before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RedeliveryRule {
    /// 200 at once; the upstream hears nothing of it.
    Acknowledge,
    /// 409.
    Refuse,
    /// The upstream gets it again.
    Forward,
}

impl From<RedeliveryRule> for Redelivery {
    fn from(rule: RedeliveryRule) -> Self {
        match rule {
            RedeliveryRule::Acknowledge => Self::Acknowledge,
            RedeliveryRule::Refuse => Self::Refuse,
            RedeliveryRule::Forward => Self::Forward,
        }
    }
}

/// How imported keys of one provenance look.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ForeignKeySpec {
    /// Text that every key starts with.
    pub prefix: String,
    /// How many characters after the prefix identify the key; default 0: by digest of the whole.
    #[serde(default)]
    pub id_length: usize,
    /// Fewest bytes of a whole key.
    pub min_length: usize,
    /// Most bytes of a whole key.
    pub max_length: usize,
}

/// What the upstream learns of the caller.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IdentitySpec {
    /// How.
    pub mode: IdentityMode,
    /// `aud` of the identity JWT; default the upstream's URL.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub audience: Option<String>,
    /// Life of the identity JWT; default `60s`.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub lifetime: Option<Period>,
}

/// How the upstream learns of the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum IdentityMode {
    /// Not at all.
    None,
    /// The credential as it came.
    Original,
    /// Plain `doorward-*` headers.
    Headers,
    /// A short-lived JWT in `doorward-identity`.
    Jwt,
}

/// CORS of an API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CorsSpec {
    /// Exact origins (`https://app.example.com`), or `*` alone.
    pub origins: Vec<String>,
    /// Request headers that scripts may set.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub headers: Option<Vec<String>>,
    /// Response headers that scripts may read.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub expose: Option<Vec<String>>,
    /// Whether the browser's own credentials may come along.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub credentials: bool,
    /// How long a preflight's answer may be kept; default `10m`.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub max_age: Option<Period>,
}

/// Budgets and sizes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LimitsSpec {
    /// Calls per client address, before authentication.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub per_address: Option<Frequency>,
    /// Calls per principal, after it.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub per_principal: Option<Frequency>,
    /// Largest body; default `1MiB`.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub body: Option<Size>,
}

/// Access tokens issued for an API.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenSpec {
    /// 1 to 60 minutes; default `10m`.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub lifetime: Option<Period>,
}

/// A route of an API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RouteSpec {
    /// Its name; default method and path, e.g. `GET /orders/{id}`.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub name: Option<String>,
    /// Methods; default any.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub methods: Option<Vec<String>>,
    /// Path template below `base_path`: `/orders/{id}`, `/files/{path*}`.
    pub path: String,
    /// Credentials it takes, instead of the API's.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub credentials: Option<Vec<Combination>>,
    /// Instead of the API's.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub sender_constraint: Option<SenderConstraintSpec>,
    /// Instead of the API's.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub dpop_nonce: Option<bool>,
    /// Instead of the API's.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub sensitivity: Option<Sensitivity>,
    /// Whether anybody may call it.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub public: bool,
    /// How signed requests are judged, as a whole instead of the API's; `webhook` stands beside it.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub signatures: Option<SignaturesSpec>,
    /// Whose webhooks it takes, instead of the API's.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub webhook: Option<WebhookSpec>,
    /// Whether a public route passes `Authorization` through untouched.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub pass_authorization: bool,
    /// Scopes that must all be held.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub scopes: Option<Vec<String>>,
    /// Roles of which one must be held.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub roles: Option<Vec<String>>,
    /// Which objects calls are about, and what the caller must be to them.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub objects: Option<Vec<ObjectSpec>>,
    /// Parameters of the path that name nothing which is somebody's own: a year, a page, a language.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub unguarded: Option<Vec<String>>,
    /// Policies that its calls must pass besides the API's.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub policies: Option<Vec<String>>,
    /// Besides the API's.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub shadow_policies: Option<Vec<String>>,
    /// Largest body, instead of the API's.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub body_limit: Option<Size>,
    /// Instead of the upstream's.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub response_timeout: Option<Period>,
    /// Whether a path parameter may hold `%2F`.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub allow_encoded_slash: bool,
    /// Whether calls of a public route go with the upstream's `credential`: whoever reaches the
    /// route then acts with the gateway's own rights. Default no: they go without.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub dangerous_upstream_credential: bool,
    /// Whether the connection may be upgraded, to WebSocket and nothing else.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub upgrade: bool,
}
