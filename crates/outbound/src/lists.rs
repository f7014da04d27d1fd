//! **Revocation lists that authorities publish**: fetched ahead of the calls that need them, each
//! again when its time has come, and soon after a failure. What was fetched is [`Authorities`]' to
//! take over; what can't be fetched, or is no list, leaves the one before in force as long as that
//! says itself (RFC 5280 §5.1.2.5). When to look is the caller's to say.

use core::time::Duration;
use std::collections::HashMap;
use std::time::Instant;

use url::Url;

use crate::authorities::Authorities;
use crate::fetch::Fetcher;

/// How long a list is used before it is asked for again.
pub const LIST_AGE: Duration = Duration::from_secs(600);
/// How long nobody is asked after a failure.
pub const LIST_RETRY: Duration = Duration::from_secs(10);

/// When each list is due.
#[derive(Debug, Default)]
pub struct PublishedLists {
    due: HashMap<Url, Instant>,
}

impl PublishedLists {
    /// Fetches the lists that are due, one after the other, by a clock.
    pub async fn renew(
        &mut self,
        authorities: &Authorities,
        fetcher: &Fetcher,
        now: impl Fn() -> Instant,
    ) {
        let urls = authorities.published();
        self.due.retain(|url, _| urls.contains(url));
        for url in urls {
            if self.due.get(&url).is_some_and(|at| now() < *at) {
                continue;
            }
            let wait = match fetch(authorities, fetcher, &url).await {
                true => LIST_AGE,
                false => LIST_RETRY,
            };
            self.due.insert(url, now() + wait);
        }
    }
}

/// Fetches one list; whether it was taken over, or is the one that stands.
async fn fetch(authorities: &Authorities, fetcher: &Fetcher, url: &Url) -> bool {
    let list = match fetcher.get(url, "application/pkix-crl, */*;q=0.1").await {
        Ok(list) => list,
        Err(error) => {
            tracing::warn!(%error, "a revocation list can't be fetched; the one before stays in force as long as it says itself");
            return false;
        }
    };
    match authorities.take(url, list) {
        Ok(changed) => {
            if changed {
                tracing::info!(%url, "a revocation list was taken over");
            }
            true
        }
        Err(defect) => {
            tracing::warn!(%url, %defect, "what was fetched is no revocation list; the one before stays in force as long as it says itself");
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use proof::time::Timestamp;
    use proof::x509::{Certificate, X509Defect};
    use verdict::credential::mtls::AuthorityId;
    use verdict::facts::Unavailable;

    use super::*;
    use crate::authorities::AuthoritySource;
    use crate::fetch::tests::{Authority, Server, loopback_listed, ok, resolving_to};

    /// An authority of clients' certificates, and one certificate of number 7.
    struct Partners {
        ca: rcgen::CertifiedIssuer<'static, rcgen::KeyPair>,
        client: Vec<u8>,
    }

    impl Partners {
        fn new() -> Self {
            let mut params = rcgen::CertificateParams::default();
            params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
            params.key_usages = vec![
                rcgen::KeyUsagePurpose::KeyCertSign,
                rcgen::KeyUsagePurpose::CrlSign,
            ];
            let key = rcgen::KeyPair::generate().expect("a key");
            let ca = rcgen::CertifiedIssuer::self_signed(params, key).expect("an authority");
            let mut params = rcgen::CertificateParams::default();
            params.serial_number = Some(7u64.into());
            let key = rcgen::KeyPair::generate().expect("a key");
            let client = params.signed_by(&key, &ca).expect("a certificate");
            Self {
                client: client.der().to_vec(),
                ca,
            }
        }

        fn list(&self, number: u64, revoked: &[u64]) -> Vec<u8> {
            let moment = rcgen::date_time_ymd(2026, 1, 1);
            let revoked = revoked.iter().map(|serial| rcgen::RevokedCertParams {
                serial_number: (*serial).into(),
                revocation_time: moment,
                reason_code: None,
                invalidity_date: None,
            });
            let list = rcgen::CertificateRevocationListParams {
                this_update: moment,
                next_update: rcgen::date_time_ymd(2046, 1, 1),
                crl_number: number.into(),
                issuing_distribution_point: None,
                revoked_certs: revoked.collect(),
                key_identifier_method: rcgen::KeyIdMethod::Sha256,
            };
            let list = list.signed_by(&self.ca).expect("a list");
            ok(&list.pem().expect("its text"))
        }
    }

    #[tokio::test]
    async fn c06_a_list_is_fetched_again_in_its_time_and_what_it_names_by_then_is_revoked() {
        let partners = Partners::new();
        let site = Authority::new();
        let tls = site.server("ca.example", |_| ());
        let server = Server::start(Some(tls), partners.list(1, &[])).await;
        let options = loopback_listed(site.trust());
        let fetcher =
            Fetcher::with_resolver(options, resolving_to(&["127.0.0.1"])).expect("a client");
        let authorities = Authorities::default();
        let id = AuthorityId::new("partners");
        let source = AuthoritySource {
            roots: partners.ca.pem().into_bytes(),
            revocation: Vec::new(),
            published: vec![server.url("ca.example")],
            responder: None,
        };
        let (prepared, bad) = authorities.prepare([(id.clone(), source)]);
        assert!(bad.is_empty(), "{bad:?}");
        authorities.configure(prepared);
        let judged = || {
            let authority = authorities.get(&id)?;
            let certificate = Certificate::parse(&partners.client).expect("a certificate");
            let (roots, lists) = (&authority.roots, authority.revocation.as_ref());
            let now = Timestamp::from_secs(1_790_000_000);
            let judged = certificate.verify_chain(&[] as &[Vec<u8>], roots, lists, now);
            Ok(judged.map(|_| ()))
        };
        let asked = || server.requests.load(Ordering::SeqCst);
        let answers = |message: Vec<u8>| {
            *server.answer.lock() = message;
        };
        let mut lists = PublishedLists::default();
        let begun = Instant::now();
        let at = |seconds| {
            let moment = begun + Duration::from_secs(seconds);
            move || moment
        };
        assert_eq!(judged(), Err(Unavailable::Authority));
        lists.renew(&authorities, &fetcher, at(0)).await;
        assert_eq!((judged(), asked()), (Ok(Ok(())), 1));

        // Revoked meanwhile: known when the list's time is over, and nobody is asked before.
        answers(partners.list(2, &[7]));
        lists.renew(&authorities, &fetcher, at(599)).await;
        assert_eq!((judged(), asked()), (Ok(Ok(())), 1));
        lists.renew(&authorities, &fetcher, at(600)).await;
        assert_eq!((judged(), asked()), (Ok(Err(X509Defect::Revoked)), 2));

        // What is no list, and no answer, changes nothing; they are asked again soon.
        for (after, message) in [
            (1200, ok("<html>gone</html>")),
            (
                1210,
                b"HTTP/1.1 500 Oops\r\ncontent-length: 0\r\n\r\n".to_vec(),
            ),
        ] {
            answers(message);
            lists.renew(&authorities, &fetcher, at(after - 1)).await;
            let before = asked();
            lists.renew(&authorities, &fetcher, at(after)).await;
            assert_eq!(judged(), Ok(Err(X509Defect::Revoked)));
            assert_eq!(asked(), before + 1, "{after}");
        }
        answers(partners.list(3, &[]));
        lists.renew(&authorities, &fetcher, at(1220)).await;
        assert_eq!(judged(), Ok(Ok(())), "taken back, as a list may say");
    }
}
