//! Credentials: what is told of them, what makes and changes them.

use ipnet::IpNet;
use proof::issued::Environment;
use proof::time::Timestamp;
use registry::actor::Role;
use registry::credential::{Credential, CredentialType, Lookup};
use registry::key::KeyType;
use registry::signing::{MaterialForm, Signing};
use registry::units::{Moment, Period};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use verdict::identity::{LifeState, SigningScheme};

/// A key, client secret, password, admin key or signing secret: everything but the secret.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CredentialView {
    /// Its id (`key_…`, `sec_…`, `pwd_…`, `adm_…`, `reg_…`, `sgn_…`).
    pub id: String,
    /// `api_key`, `publishable_key`, `client_secret`, `password`, `admin_key`,
    /// `initial_access_token`, `registration_access_token`, `signing_secret`.
    #[schema(value_type = String, example = "api_key")]
    pub r#type: CredentialType,
    /// The application, client or account that owns it; `-` for admin keys and initial
    /// access tokens.
    pub owner: String,
    /// A name for people.
    pub label: String,
    /// `live` or `test`.
    #[schema(value_type = String, example = "live")]
    pub environment: Environment,
    /// Its first characters; of a signing secret the public name that requests carry.
    pub display: String,
    /// Whether it is a foreign key known by its hash.
    pub imported: bool,
    /// `active`, `suspended` or `revoked`.
    #[schema(value_type = String, example = "active")]
    pub state: LifeState,
    /// Whether its time is over.
    pub expired: bool,
    /// Scopes it holds.
    pub scopes: Vec<String>,
    /// APIs it may call.
    pub apis: Vec<String>,
    /// Roles it holds; of an admin key its one role.
    pub roles: Vec<String>,
    /// Networks it may come from; empty: anywhere.
    #[schema(value_type = Vec<String>)]
    pub networks: Vec<IpNet>,
    /// Origins that may send it.
    pub origins: Vec<String>,
    /// How many clients may still be registered with it (initial access tokens that are counted).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uses: Option<u32>,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Moment,
    /// When it ends by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub expires_at: Option<Moment>,
    /// When it was last used, in lists; absent where it never was, or over 400 days ago.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub last_used: Option<Moment>,
    /// The credential that replaces it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub successor: Option<String>,
    /// What requests are signed with; of signing secrets only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signing: Option<SigningView>,
    /// Raised at every change; also the `ETag`.
    pub version: i64,
}

/// What requests are signed with: everything but the secrets.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SigningView {
    /// The public name that signed requests carry (`DWAK…`); the access key id of SigV4.
    pub key_id: String,
    /// `hmac`, `sigv4`, `http_signature` or `webhook`: the one scheme it is for.
    #[schema(value_type = String, example = "sigv4")]
    pub scheme: SigningScheme,
    /// The secrets or public keys that are valid, the newest first; two while callers change over.
    pub valid: Vec<MaterialView>,
}

/// One secret or public key of a signing secret.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct MaterialView {
    /// What it is called in the record of calls, and in usage (`mat_…`).
    pub id: String,
    /// When it was made or brought in.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Moment,
    /// When it ends because another took its place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub valid_until: Option<Moment>,
    /// The public key as a JWK; absent for a secret that both sides know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub public_key: Option<serde_json::Value>,
}

impl SigningView {
    fn of(signing: &Signing, key_id: String, now: Timestamp) -> Self {
        Self {
            key_id,
            scheme: signing.scheme,
            valid: signing
                .valid_at(now)
                .map(|one| MaterialView {
                    id: one.public_id().to_string(),
                    created_at: Moment(one.created_at),
                    valid_until: one.until.map(Moment),
                    public_key: match &one.form {
                        MaterialForm::Shared { .. } => None,
                        MaterialForm::Public { jwk } => Some(jwk.clone()),
                    },
                })
                .collect(),
        }
    }
}

impl CredentialView {
    /// How a credential is shown at a point in time.
    pub fn of(credential: Credential, now: Timestamp) -> Self {
        let signing = credential
            .signing
            .as_ref()
            .map(|signing| SigningView::of(signing, credential.display.clone(), now));
        Self {
            id: credential.id,
            r#type: credential.r#type,
            owner: credential.owner,
            label: credential.label,
            environment: credential.environment,
            display: credential.display,
            imported: matches!(credential.lookup, Lookup::Digest(_) | Lookup::Prefix(_)),
            state: credential.state,
            expired: credential.expires_at.is_some_and(|end| now >= end),
            scopes: credential.grant.scopes,
            apis: credential.grant.apis,
            roles: credential.grant.roles,
            networks: credential.grant.networks,
            origins: credential.grant.origins,
            uses: credential.grant.uses,
            created_at: Moment(credential.created_at),
            expires_at: credential.expires_at.map(Moment),
            last_used: None,
            successor: credential.successor,
            signing,
            version: credential.version,
        }
    }
}

/// A credential that was just made. The secret is not kept and can't be shown again.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct Issued {
    /// What was made.
    pub credential: CredentialView,
    /// The secret, unless the caller brought it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
    /// What it replaces, with the time at which that ends (rotation).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<CredentialView>,
}

impl core::fmt::Debug for Issued {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Issued")
            .field("credential", &self.credential)
            .finish_non_exhaustive()
    }
}

/// A new API key.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateKey {
    /// The application it belongs to.
    pub application: String,
    /// A name for people.
    pub label: String,
    /// `secret` (default) or `publishable`.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "secret")]
    pub r#type: KeyType,
    /// The wall it stands behind, `live` or `test`; default the application's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "live")]
    pub environment: Option<Environment>,
    /// Scopes it holds.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// APIs it may call; without any it may do nothing.
    #[serde(default)]
    pub apis: Vec<String>,
    /// Roles it holds.
    #[serde(default)]
    pub roles: Vec<String>,
    /// Networks it may come from; default anywhere.
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    pub networks: Vec<IpNet>,
    /// Origins that may send it; a publishable key needs one at least.
    #[serde(default)]
    pub origins: Vec<String>,
    /// When it ends by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub expires_at: Option<Moment>,
}

/// A foreign key, brought in by its hash.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ImportKey {
    /// What it is and may do.
    pub key: CreateKey,
    /// `$argon2id$…`, `$2b$…` or `sha256$<hex>`, of the whole key.
    pub verifier: String,
    /// The identifying prefix under an API's `foreign_keys`; needed unless the verifier is SHA-256.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
}

impl core::fmt::Debug for ImportKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("ImportKey")
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

/// A new signing secret. Exactly one of three: a secret is made (neither `secret` nor `public_key`),
/// a provider's secret is brought in (webhooks), or a public key is registered.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateSigningSecret {
    /// The application it belongs to.
    pub application: String,
    /// A name for people.
    pub label: String,
    /// `hmac`, `sigv4`, `http_signature` or `webhook`: the one scheme it is for.
    #[schema(value_type = String, example = "sigv4")]
    pub scheme: SigningScheme,
    /// The wall it stands behind, `live` or `test`; default the application's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "live")]
    pub environment: Option<Environment>,
    /// Scopes it holds.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// APIs it may call; without any it may do nothing.
    #[serde(default)]
    pub apis: Vec<String>,
    /// Roles it holds.
    #[serde(default)]
    pub roles: Vec<String>,
    /// Networks it may come from; default anywhere.
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    pub networks: Vec<IpNet>,
    /// When it ends by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub expires_at: Option<Moment>,
    /// A secret that a provider made (`webhook` only).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = Password)]
    pub secret: Option<String>,
    /// A public key: a JWK as text, PEM, or `whpk_…`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public_key: Option<String>,
}

impl core::fmt::Debug for CreateSigningSecret {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("CreateSigningSecret")
            .field("application", &self.application)
            .field("label", &self.label)
            .field("scheme", &self.scheme)
            .finish_non_exhaustive()
    }
}

/// What takes the place of a signing secret's newest secret or public key, under the same public
/// name.
#[derive(Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RotateSigningSecret {
    /// How long those before stay valid; default 7 d, `0s` ends them at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "7d")]
    pub overlap: Option<Period>,
    /// The secret that a provider made (`webhook` only); absent: one is made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = Password)]
    pub secret: Option<String>,
    /// The next public key, where there is a public key now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public_key: Option<String>,
}

impl core::fmt::Debug for RotateSigningSecret {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("RotateSigningSecret")
            .field("overlap", &self.overlap)
            .finish_non_exhaustive()
    }
}

/// Changes of a credential; what is absent stays.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Amend {
    /// A name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Scopes it holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scopes: Option<Vec<String>>,
    /// APIs it may call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub apis: Option<Vec<String>>,
    /// Roles it holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub roles: Option<Vec<String>>,
    /// Networks it may come from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<String>>)]
    pub networks: Option<Vec<IpNet>>,
    /// Origins that may send it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origins: Option<Vec<String>>,
    /// When it ends by itself: a time, or `never`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
    /// The version that this is a change of. `If-Match` says the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<i64>,
}

/// How to rotate a credential.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Rotate {
    /// When the new one ends by itself; default as the old one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub expires_at: Option<Moment>,
    /// How long the old one stays valid; default 7 d, `0s` ends it at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "7d")]
    pub overlap: Option<Period>,
}

/// A new client secret.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateSecret {
    /// A name for people.
    #[serde(default)]
    pub label: String,
    /// When it ends by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub expires_at: Option<Moment>,
}

/// A new password of an account.
#[derive(Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetPassword {
    /// The password; absent: one is made and answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = Password)]
    pub password: Option<String>,
    /// When it ends by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub expires_at: Option<Moment>,
}

impl core::fmt::Debug for SetPassword {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("SetPassword").finish_non_exhaustive()
    }
}

/// A new administrator's key.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateAdminKey {
    /// Whose it is; audit events name it.
    pub label: String,
    /// `owner`, `operator` or `auditor`.
    #[schema(value_type = String, example = "operator")]
    pub role: Role,
    /// When it ends by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub expires_at: Option<Moment>,
}

/// A new initial access token: whoever holds it may register clients.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateRegistrationToken {
    /// For whom it is; audit events name it.
    pub label: String,
    /// The wall it stands behind, which must be that of the clients: `live` (default) or `test`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "live")]
    pub environment: Option<Environment>,
    /// How many clients may be registered with it; absent: as many as there may be at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    pub uses: Option<u32>,
    /// When it ends by itself; in 7 days unless said otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub expires_at: Option<Moment>,
}

/// Which credentials to list.
#[derive(Debug, Clone, Default, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct CredentialQuery {
    /// Only of this owner.
    pub owner: Option<String>,
    /// Read on after this id.
    pub after: Option<String>,
    /// At most so many: 1–1000, default 100.
    #[param(minimum = 1, maximum = 1000)]
    pub limit: Option<u32>,
}

/// Which version an act is meant for.
#[derive(Debug, Clone, Default, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct VersionQuery {
    /// Only if it still has this version. `If-Match` says the same.
    pub version: Option<i64>,
}

/// An act that needs no words: an empty object, or no body.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Act {}
