//! **Authorities of client certificates**: the roots and revocation lists that were read ahead, so
//! that judging a certificate waits for nobody. Whoever configures them reads the files; here they
//! are kept, whole sets at a time, and a state that differs from the one before gets a new number.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use proof::digest::sha256;
use proof::x509::{RevocationLists, TrustRoots, X509Defect};
use verdict::credential::mtls::{Authority, AuthorityId};
use verdict::facts::{Answer, Unavailable};

/// What an authority is read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthoritySource {
    /// Its certificates, PEM.
    pub roots: Vec<u8>,
    /// Its revocation lists as files hold them, PEM or DER; none: no list is asked.
    pub revocation: Vec<Vec<u8>>,
}

/// The authorities of this node.
#[derive(Debug, Default)]
pub struct Authorities {
    held: ArcSwap<HashMap<AuthorityId, Held>>,
    versions: AtomicU64,
}

#[derive(Debug, Clone)]
struct Held {
    digest: [u8; 32],
    authority: Arc<Authority>,
}

/// Authorities that were read and are not yet in force.
#[derive(Debug)]
pub struct Prepared(HashMap<AuthorityId, Held>);

impl Authorities {
    /// Reads sources; what did not change keeps its number, and with it what was verified under it.
    ///
    /// # Errors
    /// The first source that can't be read, and why.
    pub fn prepare(
        &self,
        sources: impl IntoIterator<Item = (AuthorityId, AuthoritySource)>,
    ) -> Result<Prepared, (AuthorityId, X509Defect)> {
        let current = self.held.load();
        let mut prepared = HashMap::new();
        for (id, source) in sources {
            let digest = source.digest();
            let held = match current.get(&id) {
                Some(held) if held.digest == digest => held.clone(),
                _ => Held {
                    digest,
                    authority: Arc::new(self.read(&source).map_err(|defect| (id.clone(), defect))?),
                },
            };
            prepared.insert(id, held);
        }
        Ok(Prepared(prepared))
    }

    /// Puts a prepared set in force, in the place of the whole one before.
    pub fn configure(&self, prepared: Prepared) {
        self.held.store(Arc::new(prepared.0));
    }

    /// The authority of a name.
    ///
    /// # Errors
    /// [`Unavailable::Authority`] if there is none.
    pub fn get(&self, id: &AuthorityId) -> Answer<Arc<Authority>> {
        self.held
            .load()
            .get(id)
            .map(|held| held.authority.clone())
            .ok_or(Unavailable::Authority)
    }

    fn read(&self, source: &AuthoritySource) -> Result<Authority, X509Defect> {
        Ok(Authority {
            version: self.versions.fetch_add(1, Ordering::Relaxed),
            roots: TrustRoots::from_pem(&source.roots)?,
            revocation: match source.revocation.as_slice() {
                [] => None,
                files => Some(RevocationLists::from_files(files)?),
            },
        })
    }
}

impl AuthoritySource {
    /// Tells two sources apart: each part with its length.
    fn digest(&self) -> [u8; 32] {
        let mut whole = Vec::new();
        for part in core::iter::once(&self.roots).chain(&self.revocation) {
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
        }
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
            let prepared = authorities
                .prepare([(id.clone(), source(text))])
                .expect("readable");
            authorities.configure(prepared);
            authorities.get(&id).expect("held").version
        };
        let first = configure(&one);
        assert_eq!(configure(&one), first);
        assert_ne!(configure(&other), first);
    }

    #[test]
    fn h05_a_source_that_can_not_be_read_leaves_the_one_before_in_force() {
        let authorities = Authorities::default();
        let id = AuthorityId::new("partners");
        assert_eq!(authorities.get(&id).err(), Some(Unavailable::Authority));
        let prepared = authorities
            .prepare([(id.clone(), source(&pem()))])
            .expect("readable");
        authorities.configure(prepared);
        let no_lists = AuthoritySource {
            revocation: vec![b"no list".to_vec()],
            ..source(&pem())
        };
        for (bad, defect) in [
            (source("nothing"), X509Defect::NotPem),
            (no_lists, X509Defect::NotCrl),
        ] {
            let refused = authorities.prepare([(id.clone(), bad)]).err();
            assert_eq!(refused, Some((id.clone(), defect)));
            assert!(authorities.get(&id).is_ok());
        }
    }
}
