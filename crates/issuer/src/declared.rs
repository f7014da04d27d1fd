//! **What is declared**, as the issuer reads it: APIs and clients in one immutable snapshot, made
//! when the configuration changes and swapped whole. Everything that a request would otherwise have
//! to work out (which scopes a client holds for which API, its keys ready to verify) is worked out
//! here. It refuses what can't be meant: one audience for two APIs, a grant for an unknown API, a
//! client whose keys don't fit its method, an API that wants its tokens encrypted and has no key.

use core::time::Duration;
use std::collections::HashMap;
use std::sync::Arc;

use crate::access::Form;
use crate::ports::KeyPurpose;
use ipnet::IpNet;
use proof::issued::Environment;
use proof::jose::alg::Algorithm;
use proof::jose::jwe::{self, DecryptionKeys};
use proof::jose::jwk::JwkSet;
use proof::jose::verifying::VerifyingKey;
use proof::secret::Secret;
use registry::api::{ApiMeaning, TokenFormat};
use registry::client::{
    CertificateSubject, ClientAuthMethod, ClientKind, ClientMeaning, GrantType, IdentityScope,
    Profile, SenderConstraint,
};
use registry::profile::Rules;
use url::Url;
use verdict::identity::{ApplicationId, ClientId, RoleName};
use verdict::route::ApiName;

/// Algorithms that client assertions may be signed with, the preferred first.
pub const ASSERTION_ALGORITHMS: [Algorithm; 4] = [
    Algorithm::ES256,
    Algorithm::EdDSA,
    Algorithm::PS256,
    Algorithm::RS256,
];

/// Why a snapshot can't be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeclaredError {
    /// Two APIs claim one audience.
    #[error("the audience {audience} belongs to the APIs {one} and {other}")]
    AudienceTwice {
        /// The audience.
        audience: String,
        /// One API.
        one: ApiName,
        /// The other.
        other: ApiName,
    },
    /// Two clients have one `client_id`.
    #[error("two clients have the client_id {0}")]
    ClientTwice(ClientId),
    /// A client names an API that is not declared.
    #[error("the client {client} names the API {api}, which is not declared")]
    UnknownApi {
        /// The client.
        client: ClientId,
        /// The API's name.
        api: ApiName,
    },
    /// A client is granted a scope that the API does not know.
    #[error("the client {client} is granted the scope {scope}, which the API {api} does not know")]
    UnknownScope {
        /// The client.
        client: ClientId,
        /// The API's name.
        api: ApiName,
        /// The scope.
        scope: String,
    },
    /// A test client is granted a live API, or the reverse (threat J4).
    #[error(
        "the client {client} and the API {api} stand on different sides of the wall between live and test"
    )]
    Wall {
        /// The client.
        client: ClientId,
        /// The API's name.
        api: ApiName,
    },
    /// A `private_key_jwt` client has no key that can be used.
    #[error("the client {0} authenticates by private_key_jwt and has no usable key")]
    NoKeys(ClientId),
    /// An API asks for encrypted tokens, and none of its keys is at hand.
    #[error("the API {0} asks for encrypted tokens and has no key to encrypt them to")]
    NoEncryptionKey(ApiName),
}

/// An API as the issuer knows it.
#[derive(Debug)]
pub struct DeclaredApi {
    /// Its name.
    pub name: ApiName,
    /// Its audiences; the first is used when a client names none.
    pub audiences: Vec<Arc<str>>,
    /// The wall it stands behind.
    pub environment: Environment,
    /// Life of access tokens for it.
    pub token_lifetime: Duration,
    /// The form of those tokens.
    pub(crate) form: Form,
    scopes: Vec<Arc<str>>,
    /// What people read of each scope, in the same order.
    words: Vec<Box<str>>,
}

impl DeclaredApi {
    /// What people read of a scope; empty if the API says nothing, or does not know it.
    pub fn words(&self, scope: &str) -> &str {
        self.scopes
            .iter()
            .zip(&self.words)
            .find(|(known, _)| ***known == *scope)
            .map_or("", |(_, words)| words)
    }
}

/// An API that a client may get tokens for, with the scopes it holds there.
#[derive(Debug)]
pub struct GrantedApi {
    /// The API.
    pub api: Arc<DeclaredApi>,
    /// The scopes, sorted.
    pub scopes: Vec<Arc<str>>,
}

/// A client, ready to be authenticated and served.
#[derive(Debug)]
pub struct RegisteredClient {
    /// Its `client_id`.
    pub client_id: ClientId,
    /// The application it belongs to.
    pub application: ApplicationId,
    /// The wall it stands behind.
    pub environment: Environment,
    /// How it authenticates; one method per client.
    pub method: ClientAuthMethod,
    /// APIs it may get tokens for.
    pub granted: Vec<GrantedApi>,
    /// Life of its tokens where shorter than an API's.
    pub token_lifetime: Option<Duration>,
    /// Roles its tokens carry.
    pub roles: Vec<RoleName>,
    /// Networks that it may ask from; empty: anywhere.
    pub networks: Vec<IpNet>,
    /// Whether it is refused for now.
    pub suspended: bool,
    /// A name for people.
    pub display_name: String,
    /// What sort of program it is.
    pub kind: ClientKind,
    /// The rules it is held to.
    pub profile: Profile,
    /// Grants it may use.
    pub grant_types: Vec<GrantType>,
    /// Where a person may be sent back to with a code, as registered.
    pub redirect_uris: Vec<String>,
    /// Where a person may be sent after a logout.
    pub post_logout_redirect_uris: Vec<String>,
    /// Origins of scripts that may call the token endpoint.
    pub allowed_origins: Vec<String>,
    /// How its tokens must be bound to their sender.
    pub sender_constraint: SenderConstraint,
    /// Whether its authorization requests must be pushed, by its own word or its profile's.
    pub require_par: bool,
    /// What of a person's identity it may ask for.
    pub identity_scopes: Vec<IdentityScope>,
    /// How its ID tokens are signed.
    pub id_token_alg: Algorithm,
    /// How UserInfo is signed for it; `None`: plain JSON.
    pub userinfo_alg: Option<Algorithm>,
    /// How long ago a person may have logged in unless a request says otherwise.
    pub default_max_age: Option<Duration>,
    /// Whether `auth_time` stands in every ID token.
    pub require_auth_time: bool,
    /// Where it hears of logouts.
    pub backchannel_logout_uri: Option<Url>,
    /// Whether it needs the session's id to act on a logout.
    pub backchannel_logout_session_required: bool,
    /// Its page for people.
    pub client_uri: Option<String>,
    /// Its picture.
    pub logo_uri: Option<String>,
    /// What it does with people's data.
    pub policy_uri: Option<String>,
    /// Its terms of service.
    pub tos_uri: Option<String>,
    /// Whether people are not asked for consent.
    pub skip_consent: bool,
    /// Its public keys where they are declared inline: for `self_signed_tls_client_auth` those of
    /// its certificates.
    pub jwks: Option<JwkSet>,
    /// Where its public keys are fetched, instead of [`Self::jwks`].
    pub jwks_uri: Option<Url>,
    /// The certificate it shows; present exactly for `tls_client_auth`.
    pub certificate: Option<CertificateSubject>,
    keys: Vec<VerifyingKey>,
    introspects: Vec<Arc<DeclaredApi>>,
}

impl RegisteredClient {
    /// What its profile demands.
    pub fn rules(&self) -> &'static Rules {
        self.profile.rules()
    }
    /// Whether it may use a grant.
    pub fn may_use(&self, grant: GrantType) -> bool {
        self.grant_types.contains(&grant)
    }
    /// Whether it proves nothing (RFC 6749 §2.1: public).
    pub fn is_public(&self) -> bool {
        self.method.is_public()
    }

    /// The client's one declared key with this name and algorithm; see [`the_one`].
    pub(crate) fn key(&self, kid: Option<&str>, algorithm: Algorithm) -> Option<&VerifyingKey> {
        the_one(&self.keys, kid, algorithm)
    }

    /// Whether it is a resource server for one of these audiences.
    pub(crate) fn serves(&self, audiences: &[String]) -> bool {
        self.introspects
            .iter()
            .flat_map(|api| &api.audiences)
            .any(|own| audiences.iter().any(|aud| **aud == **own))
    }
}

/// The one key with this name (its `kid`, or its thumbprint) and algorithm. Without a name: the one
/// key of that algorithm, if there is just one.
pub(crate) fn the_one<'a>(
    keys: &'a [VerifyingKey],
    kid: Option<&str>,
    algorithm: Algorithm,
) -> Option<&'a VerifyingKey> {
    let mut fitting = keys.iter().filter(|key| {
        key.alg() == algorithm
            && kid.is_none_or(|kid| match key.kid() {
                Some(own) => own == kid,
                None => key.thumbprint() == kid,
            })
    });
    let key = fitting.next()?;
    fitting.next().is_none().then_some(key)
}

/// All that is declared at one moment.
#[derive(Debug, Default)]
pub struct Declared {
    clients: HashMap<Arc<str>, Arc<RegisteredClient>>,
    scopes: Vec<Arc<str>>,
    /// Purposes of the keys that its APIs' tokens need beside that of JWTs.
    token_keys: Vec<KeyPurpose>,
    /// The keys that open tokens for its APIs, by their own names.
    opening: HashMap<String, Arc<DecryptionKeys>>,
}

impl Declared {
    /// Joins APIs, clients, and the keys of those APIs that ask for encrypted tokens.
    ///
    /// # Errors
    /// The first [`DeclaredError`].
    pub fn new<'a>(
        apis: impl IntoIterator<Item = &'a ApiMeaning>,
        clients: impl IntoIterator<Item = &'a ClientMeaning>,
        keys: &[(ApiName, Arc<DecryptionKeys>)],
    ) -> Result<Self, DeclaredError> {
        let mut by_name: HashMap<ApiName, Arc<DeclaredApi>> = HashMap::new();
        let mut by_audience: HashMap<Arc<str>, ApiName> = HashMap::new();
        let mut known_scopes: Vec<Arc<str>> = Vec::new();
        for meaning in apis {
            let api = DeclaredApi {
                name: meaning.judged.name.clone(),
                audiences: meaning.judged.audiences.clone(),
                environment: meaning.judged.environment,
                token_lifetime: meaning.token_lifetime,
                form: form(meaning, keys)?,
                words: meaning
                    .scopes
                    .iter()
                    .map(|(_, words)| words.as_str().into())
                    .collect(),
                scopes: meaning
                    .scopes
                    .iter()
                    .map(|(name, _)| Arc::from(name.as_str()))
                    .collect(),
            };
            for audience in &api.audiences {
                match by_audience.insert(audience.clone(), api.name.clone()) {
                    Some(other) if other != api.name => {
                        return Err(DeclaredError::AudienceTwice {
                            audience: audience.to_string(),
                            one: other,
                            other: api.name,
                        });
                    }
                    _ => {}
                }
            }
            known_scopes.extend(api.scopes.iter().cloned());
            by_name.insert(api.name.clone(), Arc::new(api));
        }
        known_scopes.sort();
        known_scopes.dedup();

        let mut registered = HashMap::new();
        for client in clients {
            let client = register(client, &by_name)?;
            let id = client.client_id.clone();
            if registered
                .insert(Arc::from(id.as_str()), Arc::new(client))
                .is_some()
            {
                return Err(DeclaredError::ClientTwice(id));
            }
        }
        let token_keys = by_name.values().filter_map(|api| match api.form {
            Form::Paseto => Some(KeyPurpose::AccessPaseto),
            Form::PasetoLocal => Some(KeyPurpose::AccessPasetoLocal),
            Form::Jwt | Form::Encrypted(_) | Form::Opaque => None,
        });
        let named = keys.iter().flat_map(|(_, keys)| {
            let all = keys.all().iter();
            all.map(|key| (key.kid().to_owned(), keys.clone()))
        });
        Ok(Self {
            clients: registered,
            scopes: known_scopes,
            token_keys: token_keys.collect(),
            opening: named.collect(),
        })
    }

    /// Opens what was encrypted to an API, with the key that it names, and says its name: what we
    /// encrypt always names one. The nested text is not verified.
    pub(crate) fn open(&self, token: &[u8]) -> Option<(String, Secret)> {
        let encrypted = jwe::split(token).ok()?;
        let kid = encrypted.kid()?;
        let key = self.opening.get(kid)?.named(kid)?;
        Some((kid.to_owned(), encrypted.open(key).ok()?))
    }

    /// Whether a key of this name still opens tokens.
    pub(crate) fn opens(&self, kid: &str) -> bool {
        self.opening.contains_key(kid)
    }

    /// The client with this `client_id`, if it may do anything now. One that is suspended is like one
    /// that is gone, but that nothing of it ends.
    pub fn client(&self, client_id: &str) -> Option<&Arc<RegisteredClient>> {
        self.known(client_id).filter(|client| !client.suspended)
    }

    /// The client with this `client_id`, suspended or not: to see who it is, and for what ends
    /// something.
    pub fn known(&self, client_id: &str) -> Option<&Arc<RegisteredClient>> {
        self.clients.get(client_id)
    }

    /// Purposes of the keys that something declared needs: for ID tokens and UserInfo of its clients,
    /// for PASETOs of its APIs.
    pub fn key_purposes(&self) -> Vec<KeyPurpose> {
        let mut used: Vec<_> = self
            .clients
            .values()
            .filter(|client| client.identity_scopes.contains(&IdentityScope::Openid))
            .flat_map(|client| client.userinfo_alg.into_iter().chain([client.id_token_alg]))
            .filter_map(KeyPurpose::id_token)
            .collect();
        used.extend(&self.token_keys);
        KeyPurpose::ALL
            .into_iter()
            .filter(|purpose| used.contains(purpose))
            .collect()
    }

    /// Every scope of every API, sorted.
    pub fn scopes(&self) -> &[Arc<str>] {
        &self.scopes
    }
}

/// The form of an API's tokens. Where they are JWTs and the API asks for it, they are encrypted to
/// the first of its keys; without one nothing is issued, rather than something that all can read.
fn form(api: &ApiMeaning, keys: &[(ApiName, Arc<DecryptionKeys>)]) -> Result<Form, DeclaredError> {
    let name = &api.judged.name;
    match api.token_format {
        TokenFormat::Opaque => Ok(Form::Opaque),
        TokenFormat::Paseto => Ok(Form::Paseto),
        TokenFormat::PasetoLocal => Ok(Form::PasetoLocal),
        TokenFormat::Jwt if api.judged.encryption.is_none() => Ok(Form::Jwt),
        TokenFormat::Jwt => keys
            .iter()
            .find(|(of, _)| of == name)
            .and_then(|(_, keys)| keys.all().first())
            .map(|key| Form::Encrypted(key.public().clone()))
            .ok_or_else(|| DeclaredError::NoEncryptionKey(name.clone())),
    }
}

fn register(
    client: &ClientMeaning,
    apis: &HashMap<ApiName, Arc<DeclaredApi>>,
) -> Result<RegisteredClient, DeclaredError> {
    let find = |name: &ApiName| {
        let api = apis.get(name).ok_or_else(|| DeclaredError::UnknownApi {
            client: client.client_id.clone(),
            api: name.clone(),
        })?;
        if api.environment != client.environment {
            return Err(DeclaredError::Wall {
                client: client.client_id.clone(),
                api: name.clone(),
            });
        }
        Ok(api.clone())
    };
    let mut granted: Vec<GrantedApi> = Vec::with_capacity(client.grants.len());
    for (name, scopes) in &client.grants {
        let api = find(name)?;
        let scopes = scopes
            .iter()
            .map(
                |scope| match api.scopes.iter().find(|known| ***known == *scope) {
                    Some(known) => Ok(known.clone()),
                    None => Err(DeclaredError::UnknownScope {
                        client: client.client_id.clone(),
                        api: name.clone(),
                        scope: scope.to_owned(),
                    }),
                },
            )
            .collect::<Result<_, _>>()?;
        granted.push(GrantedApi { api, scopes });
    }
    let introspects = client
        .introspects
        .iter()
        .map(find)
        .collect::<Result<_, _>>()?;
    let keys = match (client.auth_method, &client.jwks) {
        (ClientAuthMethod::PrivateKeyJwt, Some(set)) => set.verifying_keys(&ASSERTION_ALGORITHMS),
        _ => Vec::new(),
    };
    if client.auth_method == ClientAuthMethod::PrivateKeyJwt
        && keys.is_empty()
        && client.jwks_uri.is_none()
    {
        return Err(DeclaredError::NoKeys(client.client_id.clone()));
    }
    Ok(RegisteredClient {
        client_id: client.client_id.clone(),
        application: client.application.clone(),
        environment: client.environment,
        method: client.auth_method,
        granted,
        token_lifetime: client.token_lifetime,
        roles: client.roles.clone(),
        networks: client.networks.clone(),
        suspended: client.suspended,
        display_name: client.display_name.clone(),
        kind: client.kind,
        profile: client.profile,
        grant_types: client.grant_types.clone(),
        redirect_uris: client.redirect_uris.clone(),
        post_logout_redirect_uris: client.post_logout_redirect_uris.clone(),
        allowed_origins: client.allowed_origins.clone(),
        sender_constraint: client.sender_constraint,
        require_par: client.require_par,
        identity_scopes: client.identity_scopes.clone(),
        id_token_alg: client.id_token_alg,
        userinfo_alg: client.userinfo_alg,
        default_max_age: client.default_max_age,
        require_auth_time: client.require_auth_time,
        backchannel_logout_uri: client.backchannel_logout_uri.clone(),
        backchannel_logout_session_required: client.backchannel_logout_session_required,
        client_uri: client.client_uri.clone(),
        logo_uri: client.logo_uri.clone(),
        policy_uri: client.policy_uri.clone(),
        tos_uri: client.tos_uri.clone(),
        skip_consent: client.skip_consent,
        jwks: client.jwks.clone(),
        jwks_uri: client.jwks_uri.clone(),
        certificate: client.certificate.clone(),
        keys,
        introspects,
    })
}
