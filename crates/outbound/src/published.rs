//! **Keys that OAuth clients publish** (`jwks_uri`, RFC 7591 §2): fetched when a client first
//! authenticates with one, kept and renewed as issuers' key sets are. The addresses are registered
//! ones, never taken from a token, and so many are kept as are used; a client's unknown `kid` leads
//! to at most one fetch per interval (threats C7, C8).

use std::sync::Arc;

use proof::jose::verifying::VerifyingKey;
use quick_cache::sync::Cache;
use url::Url;
use verdict::credential::jwt::IssuerId;
use verdict::facts::Answer;

use crate::fetch::Fetcher;
use crate::keysets::{KeySetOptions, Remote};

/// Most addresses whose keys are kept; a set is some kilobytes.
const MOST: usize = 4096;

/// The key sets behind clients' addresses.
pub struct PublishedKeys {
    fetcher: Arc<Fetcher>,
    options: KeySetOptions,
    kept: Cache<Url, Arc<Remote>>,
}

impl PublishedKeys {
    /// Nothing is kept yet.
    pub fn new(fetcher: Arc<Fetcher>, options: KeySetOptions) -> Self {
        Self {
            fetcher,
            options,
            kept: Cache::new(MOST),
        }
    }

    /// The keys at an address. If the named one (or without a name, any) is not among those kept,
    /// they are fetched anew, at most once per interval.
    ///
    /// # Errors
    /// [`verdict::facts::Unavailable::KeySet`] if they can't be had.
    pub async fn keys(&self, at: &Url, kid: Option<&str>) -> Answer<Vec<Arc<VerifyingKey>>> {
        let remote = self.kept.get_or_insert_with(at, || {
            Ok::<_, core::convert::Infallible>(Arc::new(Remote::new(
                IssuerId::new(at.as_str()),
                at.clone(),
                Arc::clone(&self.fetcher),
                self.options,
            )))
        });
        match remote {
            Ok(remote) => remote.keys(kid).await,
            Err(never) => match never {},
        }
    }
}

impl core::fmt::Debug for PublishedKeys {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("PublishedKeys")
            .field("kept", &self.kept.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use core::net::Ipv4Addr;
    use core::pin::Pin;
    use core::time::Duration;
    use std::sync::atomic::Ordering;

    use proof::jose::alg::Algorithm;
    use proof::jose::jwk::JwkSet;
    use proof::jose::key::SigningKey;
    use verdict::facts::Unavailable;

    use super::*;
    use crate::fetch::Resolve;
    use crate::fetch::tests::{Authority, Server, loopback_listed, ok};

    struct Loopback;

    impl Resolve for Loopback {
        fn resolve<'a>(
            &'a self,
            _host: &'a str,
            _port: u16,
        ) -> Pin<Box<dyn Future<Output = std::io::Result<Vec<core::net::IpAddr>>> + Send + 'a>>
        {
            Box::pin(core::future::ready(Ok(vec![Ipv4Addr::LOCALHOST.into()])))
        }
    }

    #[tokio::test]
    async fn c07_a_clients_keys_are_fetched_once_and_a_made_up_kid_fetches_nothing_more() {
        let authority = Authority::new();
        let key = SigningKey::generate(Algorithm::ES256).unwrap();
        let set = JwkSet::new(vec![key.public_jwk()]);
        let tls = authority.server("client.example", |_| ());
        let server = Server::start(Some(tls), ok(&serde_json::to_string(&set).unwrap())).await;
        let options = loopback_listed(authority.trust());
        let fetcher = Arc::new(Fetcher::with_resolver(options, Arc::new(Loopback)).unwrap());
        let published = PublishedKeys::new(
            fetcher,
            KeySetOptions {
                min_interval: Duration::from_secs(3600),
                ..KeySetOptions::default()
            },
        );
        let at = server.url("client.example");
        for _ in 0..3 {
            let keys = published.keys(&at, Some(key.kid())).await.unwrap();
            assert!(keys.iter().any(|found| found.kid() == Some(key.kid())));
        }
        for n in 0..20 {
            let keys = published.keys(&at, Some(&format!("made-up-{n}"))).await;
            assert_eq!(keys.unwrap().len(), 1);
        }
        assert_eq!(server.requests.load(Ordering::SeqCst), 1);
        let nowhere = Url::parse("https://client.example:1/jwks").unwrap();
        let refused = published.keys(&nowhere, None).await;
        assert_eq!(refused.unwrap_err(), Unavailable::KeySet);
    }
}
