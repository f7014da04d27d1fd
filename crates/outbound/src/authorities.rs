//! **Authorities of client certificates**: the roots and revocation lists that were read ahead, so
//! that judging a certificate waits for nobody. Whoever configures them reads the files, and fetches
//! the lists that are named by their URL; here they are kept, whole sets at a time, and a state that
//! differs from the one before gets a new number. An authority is not at hand before all of its lists
//! are: what can't be known is not guessed. An authority's responder stays the same one as long as its
//! declaration does, whatever becomes of files and lists; what it said is kept in
//! [`crate::statuses`].

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use bytes::Bytes;
use parking_lot::Mutex;
use proof::digest::sha256;
use proof::x509::{self, RevocationLists, TrustRoots, X509Defect};
use url::Url;
use verdict::credential::mtls::{Asked, Authority, AuthorityId};
use verdict::facts::{Answer, Unavailable};

use crate::statuses::{Responder, ResponderSource};

/// What an authority is read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthoritySource {
    /// Its certificates, PEM.
    pub roots: Vec<u8>,
    /// Its revocation lists as files hold them, PEM or DER.
    pub revocation: Vec<Vec<u8>>,
    /// Where further lists of it are published. Neither files nor URLs: no list is asked.
    pub published: Vec<Url>,
    /// Who is asked about single certificates.
    pub responder: Option<ResponderSource>,
}

/// The authorities of this node.
#[derive(Debug, Default)]
pub struct Authorities {
    held: ArcSwap<HashMap<AuthorityId, Held>>,
    versions: AtomicU64,
    /// What is published, as it was fetched last. Also the lock of whoever writes `held`.
    fetched: Mutex<HashMap<Url, Bytes>>,
}

#[derive(Debug, Clone)]
struct Held {
    source: Arc<AuthoritySource>,
    digest: [u8; 32],
    responder: Option<Arc<Responder>>,
    /// `None` until all published lists were fetched.
    authority: Option<Arc<Authority>>,
}

/// Authorities that were read and are not yet in force.
#[derive(Debug)]
pub struct Prepared(HashMap<AuthorityId, Held>);

impl Authorities {
    /// Reads sources; what did not change keeps its number, and with it what was verified under it.
    /// Also those that can't be read, and why: of each, what is held already goes on, and nothing is
    /// at hand where nothing is held. The others are not kept from coming into force.
    pub fn prepare(
        &self,
        sources: impl IntoIterator<Item = (AuthorityId, AuthoritySource)>,
    ) -> (Prepared, Vec<(AuthorityId, X509Defect)>) {
        let fetched = self.fetched.lock();
        let (mut prepared, mut bad) = (HashMap::new(), Vec::new());
        for (id, source) in sources {
            match self.hold(&id, Arc::new(source), &fetched) {
                Ok(held) => drop(prepared.insert(id, held)),
                Err(defect) => {
                    if let Some(before) = self.held.load().get(&id) {
                        prepared.insert(id.clone(), before.clone());
                    }
                    bad.push((id, defect));
                }
            }
        }
        (Prepared(prepared), bad)
    }

    /// Puts a prepared set in force, in the place of the whole one before.
    pub fn configure(&self, prepared: Prepared) {
        let mut fetched = self.fetched.lock();
        let mut held = prepared.0;
        // A list may have come since the set was prepared.
        for (id, waiting) in &mut held {
            if let Ok(now) = self.hold(id, waiting.source.clone(), &fetched) {
                *waiting = now;
            }
        }
        let published: Vec<_> = named(&held).cloned().collect();
        fetched.retain(|url, _| published.contains(url));
        self.held.store(Arc::new(held));
    }

    /// Where lists are to be fetched from, each once.
    pub fn published(&self) -> Vec<Url> {
        let mut urls: Vec<_> = named(&self.held.load()).cloned().collect();
        urls.sort();
        urls.dedup();
        urls
    }

    /// Takes a list that was fetched. Whether it is another one than before, and no older one: that
    /// would take back what was revoked since.
    ///
    /// # Errors
    /// [`X509Defect::NotCrl`]; the one before stays in force, as long as it says itself.
    pub fn take(&self, url: &Url, list: Bytes) -> Result<bool, X509Defect> {
        RevocationLists::from_files(&[&list])?;
        let mut fetched = self.fetched.lock();
        if let Some(before) = fetched.get(url) {
            if *before == list {
                return Ok(false);
            }
            if x509::is_rolled_back(before, &list)? {
                tracing::warn!(%url, "an older revocation list than the one before was fetched; it is not taken over");
                return Ok(false);
            }
        }
        let before = fetched.insert(url.clone(), list);
        let mut held = HashMap::clone(&self.held.load());
        for (id, one) in &mut held {
            if one.source.published.contains(url) {
                match self.hold(id, one.source.clone(), &fetched) {
                    Ok(now) => *one = now,
                    Err(defect) => {
                        match before {
                            Some(before) => fetched.insert(url.clone(), before),
                            None => fetched.remove(url),
                        };
                        return Err(defect);
                    }
                }
            }
        }
        self.held.store(Arc::new(held));
        Ok(true)
    }

    /// The authority of a name.
    ///
    /// # Errors
    /// [`Unavailable::Authority`] if there is none.
    pub fn get(&self, id: &AuthorityId) -> Answer<Arc<Authority>> {
        self.held
            .load()
            .get(id)
            .and_then(|held| held.authority.clone())
            .ok_or(Unavailable::Authority)
    }

    /// The responder of an authority.
    pub(crate) fn responder(&self, id: &AuthorityId) -> Option<Arc<Responder>> {
        self.held.load().get(id)?.responder.clone()
    }

    /// An authority of this source with the lists that were fetched; the one that is held already, if
    /// nothing of it changed.
    fn hold(
        &self,
        id: &AuthorityId,
        source: Arc<AuthoritySource>,
        fetched: &HashMap<Url, Bytes>,
    ) -> Result<Held, X509Defect> {
        let lists = source.published.iter().map(|url| fetched.get(url));
        let (digest, lists) = match lists.collect::<Option<Vec<_>>>() {
            Some(lists) => (source.digest(&lists), Some(lists)),
            None => (source.digest(&[]), None),
        };
        let before = self.held.load();
        let before = before.get(id);
        if let Some(held) = before
            && held.digest == digest
            && held.authority.is_some() == lists.is_some()
        {
            return Ok(held.clone());
        }
        let roots = TrustRoots::from_pem(&source.roots)?;
        let files = source.revocation.iter().map(Vec::as_slice);
        let files: Vec<&[u8]> = match &lists {
            Some(lists) => files.chain(lists.iter().map(|list| &list[..])).collect(),
            None => files.collect(),
        };
        let revocation = match files.as_slice() {
            [] => None,
            files => Some(RevocationLists::from_files(files)?),
        };
        let authority = lists.is_some().then(|| {
            Arc::new(Authority {
                version: self.number(),
                roots,
                revocation,
                responder: source
                    .responder
                    .as_ref()
                    .map_or(Asked::Nothing, |responder| responder.asked),
            })
        });
        let responder = source.responder.as_ref().map(|declared| {
            let before = before.and_then(|held| held.responder.as_ref());
            match before.filter(|responder| responder.source == *declared) {
                Some(same) => Arc::clone(same),
                None => Arc::new(Responder::new(declared.clone(), self.number())),
            }
        });
        Ok(Held {
            source,
            digest,
            responder,
            authority,
        })
    }

    fn number(&self) -> u64 {
        self.versions.fetch_add(1, Ordering::Relaxed)
    }
}

/// Every URL of a list that a set of authorities names.
fn named(held: &HashMap<AuthorityId, Held>) -> impl Iterator<Item = &Url> {
    held.values().flat_map(|one| &one.source.published)
}

impl AuthoritySource {
    /// Tells two states apart: each part with its length.
    fn digest(&self, fetched: &[&Bytes]) -> [u8; 32] {
        let mut whole = Vec::new();
        let files = self.revocation.iter().map(Vec::as_slice);
        let fetched = fetched.iter().map(|list| &list[..]);
        let responder = self
            .responder
            .as_ref()
            .map(|responder| format!("{responder:?}"));
        for part in core::iter::once(self.roots.as_slice())
            .chain(responder.iter().map(String::as_bytes))
            .chain(files)
            .chain(fetched)
        {
            whole.extend_from_slice(&(part.len() as u64).to_be_bytes());
            whole.extend_from_slice(part);
        }
        sha256(&whole)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(roots: &str) -> AuthoritySource {
        AuthoritySource {
            roots: roots.as_bytes().to_vec(),
            revocation: Vec::new(),
            published: Vec::new(),
            responder: None,
        }
    }

    /// A revocation list with this number.
    fn list(number: u64) -> Bytes {
        let key = rcgen::KeyPair::generate().expect("a key");
        let mut params = rcgen::CertificateParams::default();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params.key_usages = vec![rcgen::KeyUsagePurpose::CrlSign];
        let issuer = rcgen::Issuer::new(params, key);
        let list = rcgen::CertificateRevocationListParams {
            this_update: rcgen::date_time_ymd(2026, 1, 1),
            next_update: rcgen::date_time_ymd(2046, 1, 1),
            crl_number: number.into(),
            issuing_distribution_point: None,
            revoked_certs: Vec::new(),
            key_identifier_method: rcgen::KeyIdMethod::Sha256,
        };
        let list = list.signed_by(&issuer).expect("a list");
        list.pem().expect("its text").into()
    }

    #[test]
    fn c06_an_authority_is_not_at_hand_before_its_published_lists_are() {
        let authorities = Authorities::default();
        let id = AuthorityId::new("partners");
        let [one, other] = ["one", "other"]
            .map(|name| Url::parse(&format!("https://ca.example/{name}.crl")).expect("a URL"));
        let source = AuthoritySource {
            published: vec![one.clone(), other.clone()],
            ..source(&pem())
        };
        let declare = |source: &AuthoritySource| {
            let (prepared, _) = authorities.prepare([(id.clone(), source.clone())]);
            authorities.configure(prepared);
        };
        declare(&source);
        assert_eq!(authorities.published(), [one.clone(), other.clone()]);
        let known = || authorities.get(&id).map(|authority| authority.version);
        assert_eq!(known(), Err(Unavailable::Authority));
        assert_eq!(authorities.take(&one, list(1)), Ok(true));
        assert_eq!(known(), Err(Unavailable::Authority), "one of two");
        let second = list(2);
        assert_eq!(authorities.take(&other, second.clone()), Ok(true));
        let first = known().expect("both are there");
        assert!(authorities.get(&id).expect("held").revocation.is_some());

        // The same list again, and a reload of the same declaration, change nothing.
        assert_eq!(authorities.take(&other, second), Ok(false));
        declare(&source);
        assert_eq!(known(), Ok(first));
        // What is no list leaves the one before in force.
        let page = Bytes::from_static(b"<html>gone</html>");
        assert_eq!(authorities.take(&other, page), Err(X509Defect::NotCrl));
        assert_eq!(known(), Ok(first));
        assert_eq!(authorities.take(&other, list(3)), Ok(true));
        // One of before, shown again, takes back nothing.
        assert_eq!(authorities.take(&other, list(2)), Ok(false));
        assert_ne!(known(), Ok(first));

        // What nobody names any more is forgotten.
        declare(&AuthoritySource {
            published: vec![one.clone()],
            ..source
        });
        assert_eq!(authorities.published(), [one]);
        assert!(known().is_ok());
        assert_eq!(authorities.fetched.lock().len(), 1);
    }

    fn pem() -> String {
        let key = rcgen::KeyPair::generate().expect("a key");
        let mut params = rcgen::CertificateParams::default();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params.self_signed(&key).expect("a certificate").pem()
    }

    #[test]
    fn what_did_not_change_keeps_its_number_and_what_did_gets_another() {
        let authorities = Authorities::default();
        let id = AuthorityId::new("partners");
        let (one, other) = (pem(), pem());
        let configure = |text: &str| {
            let (prepared, _) = authorities.prepare([(id.clone(), source(text))]);
            authorities.configure(prepared);
            authorities.get(&id).expect("held").version
        };
        let first = configure(&one);
        assert_eq!(configure(&one), first);
        assert_ne!(configure(&other), first);
    }

    #[test]
    fn a_responder_is_the_same_one_as_long_as_its_declaration_is() {
        let authorities = Authorities::default();
        let id = AuthorityId::new("partners");
        let responder = |host: &str| ResponderSource {
            url: Url::parse(&format!("http://{host}/")).expect("a URL"),
            asked: Asked::Path,
            refresh: core::time::Duration::from_secs(600),
        };
        let configure = |roots: &str, responder: Option<ResponderSource>| {
            let source = AuthoritySource {
                responder,
                ..source(roots)
            };
            let (prepared, _) = authorities.prepare([(id.clone(), source)]);
            authorities.configure(prepared);
            let authority = authorities.get(&id).expect("held");
            (authority, authorities.responder(&id))
        };
        let (one, other) = (pem(), pem());
        let (authority, first) = configure(&one, Some(responder("one.example")));
        let first = first.expect("declared");
        assert_eq!(authority.responder, Asked::Path);
        let (_, second) = configure(&other, Some(responder("one.example")));
        assert!(Arc::ptr_eq(&first, &second.expect("declared")));
        let (changed, third) = configure(&other, Some(responder("two.example")));
        assert!(!Arc::ptr_eq(&first, &third.expect("declared")));
        // What was verified under the one before is verified anew.
        let (without, none) = configure(&other, None);
        assert_eq!((without.responder, none.is_none()), (Asked::Nothing, true));
        assert_ne!(without.version, changed.version);
        assert!(authorities.responder(&AuthorityId::new("x")).is_none());
    }

    #[test]
    fn h05_a_source_that_can_not_be_read_leaves_the_one_before_and_all_others_in_force() {
        let authorities = Authorities::default();
        let id = AuthorityId::new("partners");
        assert_eq!(authorities.get(&id).err(), Some(Unavailable::Authority));
        let (prepared, bad) = authorities.prepare([(id.clone(), source(&pem()))]);
        assert_eq!(bad, []);
        authorities.configure(prepared);
        let version = || authorities.get(&id).map(|authority| authority.version);
        let first = version();
        let no_lists = AuthoritySource {
            revocation: vec![b"no list".to_vec()],
            ..source(&pem())
        };
        for (bad, defect) in [
            (source("nothing"), X509Defect::NotPem),
            (no_lists, X509Defect::NotCrl),
        ] {
            let (other, never) = (AuthorityId::new("other"), AuthorityId::new("never"));
            let sources = [
                (id.clone(), bad.clone()),
                (other.clone(), source(&pem())),
                (never.clone(), bad),
            ];
            let (prepared, refused) = authorities.prepare(sources);
            let both = [(id.clone(), defect), (never.clone(), defect)];
            assert_eq!(refused, both);
            authorities.configure(prepared);
            assert_eq!(version(), first);
            assert!(authorities.get(&other).is_ok());
            assert_eq!(authorities.get(&never).err(), Some(Unavailable::Authority));
        }
    }
}
