//! **Clients that sign their calls**: who may, what they may do, and under which keys they are
//! registered; and which clients are suspended. The lists are pushed whole whenever what is declared
//! changes, so a client that is taken out, or one of its keys, ends with the next call. Keys that a
//! client publishes at its own address are fetched and kept as [`PublishedKeys`] does, the same for
//! the issuer and for this.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use arc_swap::ArcSwap;
use proof::jose::alg::Algorithm;
use proof::jose::jwk::JwkSet;
use proof::jose::verifying::VerifyingKey;
use url::Url;
use verdict::credential::client_jwt::CallingClient;
use verdict::facts::Answer;
use verdict::identity::ClientId;

use crate::published::PublishedKeys;

/// Where a client's keys are.
#[derive(Debug, Clone)]
pub enum ClientKeys {
    /// Written down.
    Declared(JwkSet),
    /// At the client's own address.
    Published(Url),
    /// Nowhere: each call brings the certificates of its key along.
    Certified,
}

/// The clients that sign their calls, as they are declared now.
#[derive(Debug)]
pub struct CallingClients {
    published: Arc<PublishedKeys>,
    clients: ArcSwap<HashMap<Arc<str>, Registered>>,
}

#[derive(Debug)]
struct Registered {
    client: Arc<CallingClient>,
    keys: Keys,
}

#[derive(Debug)]
enum Keys {
    Declared(Vec<Arc<VerifyingKey>>),
    Published(Url),
}

impl CallingClients {
    /// No clients yet; see [`CallingClients::configure`].
    pub fn new(published: Arc<PublishedKeys>) -> Self {
        Self {
            published,
            clients: ArcSwap::default(),
        }
    }

    /// Replaces the list; effective for the next call.
    pub fn configure(&self, clients: impl IntoIterator<Item = (CallingClient, ClientKeys)>) {
        let clients = clients.into_iter().map(|(client, keys)| {
            let keys = match keys {
                ClientKeys::Published(url) => Keys::Published(url),
                // None that could be asked for.
                ClientKeys::Certified => Keys::Declared(Vec::new()),
                ClientKeys::Declared(set) => {
                    let keys = set.verifying_keys(&client.algorithms);
                    Keys::Declared(keys.into_iter().map(Arc::new).collect())
                }
            };
            let client = Arc::new(client);
            (client.client.shared(), Registered { client, keys })
        });
        self.clients.store(Arc::new(clients.collect()));
    }

    /// The client of this `client_id`, if it signs its calls.
    pub fn client(&self, client_id: &str) -> Option<Arc<CallingClient>> {
        let clients = self.clients.load();
        clients.get(client_id).map(|one| Arc::clone(&one.client))
    }

    /// See [`verdict::facts::Facts::client_key`].
    ///
    /// # Errors
    /// [`verdict::facts::Unavailable::KeySet`] if the client's own address does not answer.
    pub async fn key(
        &self,
        client: &CallingClient,
        kid: &str,
        algorithm: Algorithm,
    ) -> Answer<Option<Arc<VerifyingKey>>> {
        let at = match self.clients.load().get(client.client.as_str()) {
            None => return Ok(None),
            Some(one) => match &one.keys {
                Keys::Declared(keys) => return Ok(the_one(keys, kid, algorithm)),
                Keys::Published(at) => at.clone(),
            },
        };
        let keys = self.published.keys(&at, Some(kid)).await?;
        Ok(the_one(&keys, kid, algorithm))
    }
}

/// Clients of our own issuer that are suspended, as they are declared now: what was given to them, or
/// is signed by them, is refused until they are resumed.
#[derive(Debug, Default)]
pub struct SuspendedClients(ArcSwap<HashSet<ClientId>>);

impl SuspendedClients {
    /// Replaces the list; effective for the next call.
    pub fn configure(&self, clients: impl IntoIterator<Item = ClientId>) {
        self.0.store(Arc::new(clients.into_iter().collect()));
    }

    /// Whether one is on it.
    pub fn names(&self, client: &ClientId) -> bool {
        let asleep = self.0.load();
        // Mostly nobody is, and every call with a token asks.
        !asleep.is_empty() && asleep.contains(client)
    }
}

/// The key of that name and algorithm, where there is just one.
fn the_one(
    keys: &[Arc<VerifyingKey>],
    kid: &str,
    algorithm: Algorithm,
) -> Option<Arc<VerifyingKey>> {
    let mut fitting = keys.iter().filter(|key| {
        key.alg() == algorithm && key.kid().unwrap_or_else(|| key.thumbprint()) == kid
    });
    let key = fitting.next()?;
    fitting.next().is_none().then(|| Arc::clone(key))
}

#[cfg(test)]
mod tests {
    use proof::issued::Environment;
    use proof::jose::key::SigningKey;
    use verdict::identity::ApplicationId;

    use super::*;
    use crate::fetch::{FetchOptions, Fetcher};
    use crate::keysets::KeySetOptions;

    fn client(name: &str) -> CallingClient {
        CallingClient {
            client: ClientId::new(name),
            application: ApplicationId::new("shop"),
            environment: Environment::Live,
            grants: Vec::new(),
            roles: Vec::new(),
            networks: Vec::new(),
            algorithms: vec![Algorithm::ES256],
            certificates: None,
        }
    }

    #[tokio::test]
    async fn a_key_is_its_clients_alone_and_is_gone_with_the_next_list() {
        let fetcher = Fetcher::new(FetchOptions::default()).unwrap();
        let published = PublishedKeys::new(Arc::new(fetcher), KeySetOptions::default());
        let clients = CallingClients::new(Arc::new(published));
        let made = |algorithm| SigningKey::generate(algorithm).unwrap();
        let (one, two, other) = (
            made(Algorithm::ES256),
            made(Algorithm::ES256),
            made(Algorithm::EdDSA),
        );
        let set = |keys: &[&SigningKey]| {
            ClientKeys::Declared(JwkSet::new(
                keys.iter().map(|key| key.public_jwk()).collect(),
            ))
        };
        clients.configure([
            (client("export"), set(&[&one, &other])),
            (client("import"), set(&[&two])),
        ]);
        let export = clients.client("export").unwrap();
        let found = async |key: &SigningKey, algorithm| {
            let key = clients.key(&export, key.kid(), algorithm).await.unwrap();
            key.is_some()
        };
        assert!(found(&one, Algorithm::ES256).await);
        // Of another client, of an algorithm that is not allowed, under another algorithm.
        assert!(!found(&two, Algorithm::ES256).await);
        assert!(!found(&other, Algorithm::EdDSA).await);
        assert!(!found(&one, Algorithm::ES384).await);
        // Rotated: the old key ends, though somebody still holds the client.
        clients.configure([(client("export"), set(&[&two]))]);
        assert!(!found(&one, Algorithm::ES256).await);
        assert!(found(&two, Algorithm::ES256).await);
        // Certified from now on: no registered key signs calls any more.
        clients.configure([(client("export"), ClientKeys::Certified)]);
        assert!(clients.client("export").is_some());
        assert!(!found(&two, Algorithm::ES256).await);
        clients.configure([]);
        assert!(clients.client("export").is_none());
        assert!(!found(&two, Algorithm::ES256).await);
    }

    #[tokio::test]
    async fn one_name_for_two_keys_names_none() {
        let fetcher = Fetcher::new(FetchOptions::default()).unwrap();
        let published = PublishedKeys::new(Arc::new(fetcher), KeySetOptions::default());
        let clients = CallingClients::new(Arc::new(published));
        let keys = [1, 2].map(|_| {
            let key = SigningKey::generate(Algorithm::ES256).unwrap();
            key.public_jwk().with_kid("k")
        });
        let set = ClientKeys::Declared(JwkSet::new(keys.to_vec()));
        clients.configure([(client("export"), set)]);
        let export = clients.client("export").unwrap();
        let found = clients.key(&export, "k", Algorithm::ES256).await.unwrap();
        assert!(found.is_none());
    }
}
