//! **Authorization server** without HTTP: a typed request in, a typed response out.
//!
//! It makes credentials (access tokens, identity tokens for upstreams) and answers for them
//! (introspection, revocation, key sets, metadata). It judges no call to an API: that is `verdict`'s.
//! It listens nowhere and renders nothing: that is `web`'s. It knows no database: see [`ports`].
//! Whatever it advertises in [`metadata`] works; what does not work yet is not advertised.
//!
//! ```text
//! Params ─▶ authenticate_client ─▶ AuthenticatedClient ─▶ token ─▶ TokenResponse
//!                                                      ├▶ introspect ─▶ Introspection
//!                                                      └▶ revoke
//! Params, Browser ─▶ authorize ─▶ Step: a page with a sealed ticket ─▶ login, consent ─▶ Step …
//!                                 └▶ the answer to the client, with the code
//! ```
#![forbid(unsafe_code)]

pub mod access;
pub mod authorize;
pub mod backchannel;
pub mod browser;
pub mod client;
mod consent;
pub mod declared;
pub mod device;
pub mod ended;
pub mod error;
pub mod flow;
pub mod grant;
mod id_hint;
pub mod id_token;
pub mod introspect;
pub mod keys;
pub mod logout;
pub mod metadata;
pub mod params;
pub mod ports;
pub mod pushed;
pub mod revoke;
mod sender;
pub mod session;
pub mod ticket;
pub mod upstream_token;
pub mod userinfo;

use core::fmt;
use core::net::IpAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use bytes::Bytes;
use proof::digest::{MacKey, TokenHash};
use proof::dpop::nonce::NonceKey;
use proof::issued::Brand;
use proof::random::Entropy;
use proof::time::{Leeway, Timestamp};
use quick_cache::sync::Cache;

use crate::access::ReadToken;
use crate::declared::Declared;
use crate::keys::KeyManager;
use crate::metadata::{Documents, Endpoints};
use crate::params::Params;
use crate::ports::{
    Alarms, ClientAuthority, ClientKeys, IssuerStore, People, Readiness, Replay, Revocations,
    Secrets, Uses,
};

/// Tokens that were read before, kept for introspection; about 1 KiB each.
const READ_TOKENS: usize = 4096;

/// What an installation sets.
#[derive(Debug, Clone)]
pub struct IssuerSettings {
    /// First part of every secret.
    pub brand: Brand,
    /// How far clocks may differ.
    pub leeway: Leeway,
    /// Largest access token in bytes, as it is sent.
    pub max_token_bytes: usize,
}

impl Default for IssuerSettings {
    /// Brand `dw`, leeway 60 s, tokens of at most 4 KiB (what usual header limits still take).
    fn default() -> Self {
        Self {
            brand: Brand::default(),
            leeway: Leeway::default(),
            max_token_bytes: 4096,
        }
    }
}

/// What the issuer works with: its ports, wired by the composition root.
pub struct Ports<S, C> {
    /// Durable state.
    pub store: Arc<S>,
    /// Check of client secrets ([`ports::Secrets`]), and people ([`ports::People`]): what costs a
    /// slow hash is answered by one part with one bounded pool.
    pub secrets: Arc<C>,
    /// What is revoked.
    pub revocations: Arc<dyn Revocations>,
    /// Proofs and assertions seen before. Outlives a restart.
    pub replay: Arc<dyn Replay>,
    /// The replay memory of proofs with a nonce, where this process is the only node: it and the
    /// nonces live and die with the process, so what was used before a restart is refused after it
    /// by its nonce. Without one, [`Ports::replay`] remembers such proofs too and the nonces are the
    /// fleet's.
    pub proofs: Option<Arc<dyn Replay>>,
    /// Keys that clients publish.
    pub client_keys: Arc<dyn ClientKeys>,
    /// Who vouches for clients' certificates (`tls_client_auth`); without anybody, no client proves
    /// itself so.
    pub client_authority: Option<Arc<dyn ClientAuthority>>,
    /// Whether anything may be issued.
    pub readiness: Arc<dyn Readiness>,
    /// Who hears of what looks like a theft.
    pub alarms: Arc<dyn Alarms>,
    /// Who counts what clients authenticate with.
    pub uses: Arc<dyn Uses>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
}

/// The authorization server.
pub struct Issuer<S, C> {
    endpoints: Endpoints,
    settings: IssuerSettings,
    ports: Ports<S, C>,
    keys: Arc<KeyManager<S>>,
    declared: ArcSwap<Declared>,
    documents: ArcSwap<Documents>,
    read_tokens: Cache<TokenHash, Arc<ReadToken>>,
    wrong_codes: device::WrongCodes,
    nonces: NonceKey,
    refresh_key: MacKey,
}

/// One request to an OAuth endpoint.
#[derive(Debug, Clone, Copy)]
pub struct OAuthRequest<'a> {
    /// The value of `Authorization`, if there is one.
    pub authorization: Option<&'a [u8]>,
    /// The form.
    pub params: &'a Params<'a>,
    /// What the sender can show beside the form, to bind tokens to it.
    pub sender: Sender<'a>,
    /// Joins audit events to the request.
    pub request_id: &'a str,
    /// When.
    pub now: Timestamp,
}

/// What a request shows of who sends it, beside its form.
#[derive(Debug, Clone, Copy)]
pub struct Sender<'a> {
    /// The address it came from.
    pub address: IpAddr,
    /// The `DPoP` header (RFC 9449 §4.1).
    pub dpop: DpopHeader<'a>,
    /// The client's certificate (DER) whose key the TLS handshake proved.
    pub certificate: Option<&'a [u8]>,
    /// The certificates that came with it (DER), in any order.
    pub intermediates: &'a [Bytes],
    /// `Origin` (RFC 6454 §7), of a browser's script.
    pub origin: Option<&'a str>,
}

/// The `DPoP` header of a request: RFC 9449 §4.3 allows one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DpopHeader<'a> {
    /// None.
    Absent,
    /// One.
    One(&'a [u8]),
    /// More than one.
    Repeated,
}

impl Sender<'_> {
    /// A sender that shows nothing but where it is.
    pub const fn at(address: IpAddr) -> Self {
        Self {
            address,
            dpop: DpopHeader::Absent,
            certificate: None,
            intermediates: &[],
            origin: None,
        }
    }
}

impl<S: IssuerStore, C: Secrets> Issuer<S, C> {
    /// An issuer at `endpoints`. It serves once the keys were started and something was declared.
    pub fn new(
        endpoints: Endpoints,
        settings: IssuerSettings,
        ports: Ports<S, C>,
        keys: Arc<KeyManager<S>>,
    ) -> Self {
        let declared = Declared::default();
        let client_ca = ports.client_authority.is_some();
        let documents = Documents::new(&endpoints, &declared, client_ca);
        Self {
            nonces: match ports.proofs {
                Some(_) => NonceKey::of_process(&*ports.entropy),
                None => NonceKey::derived(keys.master(), sender::NONCE_PURPOSE),
            },
            refresh_key: grant::refresh_key(keys.master()),
            endpoints,
            settings,
            ports,
            keys,
            declared: ArcSwap::from_pointee(declared),
            documents: ArcSwap::from_pointee(documents),
            read_tokens: Cache::new(READ_TOKENS),
            wrong_codes: device::WrongCodes::default(),
        }
    }

    /// Swaps what is declared. Requests under way keep what they began with. Keys that something
    /// declared needs and that do not exist yet are made by the next [`KeyManager::tick`]: see
    /// [`KeyManager::lacks`].
    pub fn declare(&self, declared: Declared) {
        self.keys.want(declared.key_purposes());
        let client_ca = self.has_client_ca();
        let documents = Documents::new(&self.endpoints, &declared, client_ca);
        self.documents.store(Arc::new(documents));
        self.declared.store(Arc::new(declared));
    }

    /// The signing keys.
    pub fn keys(&self) -> &KeyManager<S> {
        &self.keys
    }
    /// Where this issuer's endpoints are.
    pub fn endpoints(&self) -> &Endpoints {
        &self.endpoints
    }
    /// Whether any CA vouches for clients' certificates: without one nobody can prove itself by
    /// `tls_client_auth`.
    pub fn has_client_ca(&self) -> bool {
        self.ports.client_authority.is_some()
    }
    /// The metadata documents.
    pub fn documents(&self) -> Arc<Documents> {
        self.documents.load_full()
    }

    pub(crate) fn declared(&self) -> Arc<Declared> {
        self.declared.load_full()
    }
    pub(crate) fn brand(&self) -> &Brand {
        &self.settings.brand
    }
    pub(crate) fn leeway(&self) -> Leeway {
        self.settings.leeway
    }
    pub(crate) fn max_token_bytes(&self) -> usize {
        self.settings.max_token_bytes
    }
    pub(crate) fn store(&self) -> &S {
        &self.ports.store
    }
    pub(crate) fn secrets(&self) -> &C {
        &self.ports.secrets
    }
    pub(crate) fn revocations(&self) -> &dyn Revocations {
        &*self.ports.revocations
    }
    pub(crate) fn replay(&self) -> &dyn Replay {
        &*self.ports.replay
    }
    /// The replay memory of proofs that carry a nonce of ours.
    pub(crate) fn replay_with_nonce(&self) -> &dyn Replay {
        self.ports.proofs.as_deref().unwrap_or(self.replay())
    }
    pub(crate) fn client_keys(&self) -> &dyn ClientKeys {
        &*self.ports.client_keys
    }
    /// People.
    pub(crate) fn people(&self) -> &C
    where
        C: People,
    {
        &self.ports.secrets
    }
    pub(crate) fn client_authority(&self) -> Option<&dyn ClientAuthority> {
        self.ports.client_authority.as_deref()
    }
    pub(crate) fn nonces(&self) -> &NonceKey {
        &self.nonces
    }
    pub(crate) fn refresh_key(&self) -> &MacKey {
        &self.refresh_key
    }
    pub(crate) fn can_record(&self) -> bool {
        self.ports.readiness.can_record()
    }
    pub(crate) fn alarms(&self) -> &dyn Alarms {
        &*self.ports.alarms
    }
    pub(crate) fn uses(&self) -> &dyn Uses {
        &*self.ports.uses
    }
    pub(crate) fn entropy(&self) -> &dyn Entropy {
        &*self.ports.entropy
    }
}

impl<S, C> fmt::Debug for Issuer<S, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Issuer")
            .field("endpoints", &self.endpoints)
            .finish_non_exhaustive()
    }
}

impl<S, C> fmt::Debug for Ports<S, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ports").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
