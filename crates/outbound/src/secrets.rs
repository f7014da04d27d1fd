//! **Secrets that matched before**: so that the steady state costs one keyed hash.
//!
//! Kept is not the secret but its HMAC-SHA256 under a key that lives and dies with this process,
//! over the credential, its very verifier, and what was presented. A changed or replaced verifier
//! therefore finds nothing here, whatever else is forgotten to be emptied; and what is in memory
//! helps nobody to guess. It says *this secret matched this verifier*, never *this credential may
//! be used*: states and times are judged by whoever holds the record.

use core::fmt;

use proof::digest::{MacKey, sha256};
use proof::password::{MAX_PASSWORD_BYTES, Verifier};
use proof::random::Entropy;
use proof::secret::Secret;
use proof::time::Timestamp;
use quick_cache::sync::Cache;

/// A credential and one of its verifiers, digested.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Binding([u8; 32]);

impl Binding {
    /// Binds to the credential's id and the stored form of the verifier.
    pub fn new(credential: &str, verifier: &Verifier) -> Self {
        let stored = verifier.to_stored();
        let mut bytes = Vec::with_capacity(8 + credential.len() + stored.len());
        bytes.extend_from_slice(&(credential.len() as u64).to_be_bytes());
        bytes.extend_from_slice(credential.as_bytes());
        bytes.extend_from_slice(stored.as_bytes());
        Self(sha256(&bytes))
    }
}

/// The keyed hash of a presented secret under a binding.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SecretTag([u8; 32]);

impl fmt::Debug for SecretTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretTag(***)")
    }
}

/// A bounded memory of secrets that were compared before. Used for those that matched, and by
/// another instance for those that did not.
pub struct VerifiedSecrets {
    key: MacKey,
    until: Cache<SecretTag, Timestamp>,
}

impl fmt::Debug for VerifiedSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifiedSecrets")
            .field("held", &self.until.len())
            .finish_non_exhaustive()
    }
}

impl VerifiedSecrets {
    /// Holds at most `capacity` tags under a fresh random key.
    pub fn new(capacity: usize, entropy: &dyn Entropy) -> Self {
        let mut key = vec![0; 32];
        entropy.fill(&mut key);
        // From here on the bytes are wiped when they go.
        let key = Secret::new(key);
        Self {
            key: MacKey::new(key.expose()),
            until: Cache::new(capacity.max(1)),
        }
    }

    /// The tag of what was presented; `None` if it is longer than anything that is ever hashed.
    pub fn tag(&self, binding: &Binding, presented: &[u8]) -> Option<SecretTag> {
        (presented.len() <= MAX_PASSWORD_BYTES)
            .then(|| SecretTag(self.key.tag_parts(&[&binding.0, presented])))
    }

    /// Whether the tag is remembered and its time has not passed.
    pub fn holds(&self, tag: &SecretTag, now: Timestamp) -> bool {
        self.until.get(tag).is_some_and(|until| now < until)
    }

    /// Remembers the tag until a time ([`Timestamp::MAX`]: until it is pushed out).
    pub fn remember(&self, tag: SecretTag, until: Timestamp) {
        self.until.insert(tag, until);
    }

    /// Forgets everything.
    pub fn clear(&self) {
        self.until.clear();
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use proof::password::{Argon2Params, hash};
    use proof::random::SystemEntropy;

    use super::*;

    fn verifier() -> Verifier {
        hash(b"secret", Argon2Params::dangerous_minimum(), &SystemEntropy).unwrap()
    }

    #[test]
    fn a_tag_is_bound_to_credential_verifier_secret_and_process() {
        let (first, second) = (verifier(), verifier());
        let secrets = VerifiedSecrets::new(10, &SystemEntropy);
        let tag = |credential: &str, verifier: &Verifier, presented: &[u8]| {
            secrets
                .tag(&Binding::new(credential, verifier), presented)
                .unwrap()
        };
        let honest = tag("key_1", &first, b"secret");
        assert_eq!(honest, tag("key_1", &first, b"secret"));
        assert_ne!(honest, tag("key_2", &first, b"secret"));
        assert_ne!(
            honest,
            tag("key_1", &second, b"secret"),
            "a new salt is a new verifier"
        );
        assert_ne!(honest, tag("key_1", &first, b"Secret"));
        let restarted = VerifiedSecrets::new(10, &SystemEntropy);
        assert_ne!(
            Some(honest),
            restarted.tag(&Binding::new("key_1", &first), b"secret")
        );
    }

    #[test]
    fn what_was_remembered_ends_with_its_time_or_when_emptied() {
        let secrets = VerifiedSecrets::new(10, &SystemEntropy);
        let tag = secrets
            .tag(&Binding::new("key_1", &verifier()), b"secret")
            .unwrap();
        let now = Timestamp::from_secs(1_800_000_000);
        assert!(!secrets.holds(&tag, now));
        secrets.remember(tag, now.plus(Duration::from_secs(5)));
        assert!(secrets.holds(&tag, now.plus(Duration::from_millis(4999))));
        assert!(!secrets.holds(&tag, now.plus(Duration::from_secs(5))));
        secrets.clear();
        assert!(!secrets.holds(&tag, now));
    }

    #[test]
    fn what_is_too_long_to_hash_has_no_tag() {
        let secrets = VerifiedSecrets::new(10, &SystemEntropy);
        let binding = Binding::new("key_1", &verifier());
        assert!(secrets.tag(&binding, &[0; MAX_PASSWORD_BYTES]).is_some());
        assert!(
            secrets
                .tag(&binding, &[0; MAX_PASSWORD_BYTES + 1])
                .is_none()
        );
    }

    #[test]
    fn i01_a_tag_masks_itself() {
        let secrets = VerifiedSecrets::new(10, &SystemEntropy);
        let tag = secrets.tag(&Binding::new("key_1", &verifier()), b"secret");
        assert_eq!(format!("{tag:?}"), "Some(SecretTag(***))");
    }
}
