//! **Signing keys**: published before use, rotated on schedule, retired after the longest token
//! died, sealed at rest. The ring that signs and verifies is an immutable snapshot, swapped whole
//! after every change; the store's transitions are the truth, so that two nodes can run the same
//! schedule. A key of one purpose is never found for another.
//!
//! Keys that encrypt live the same life: *published* is for them to be known to the nodes of this
//! installation, who open with every one of them, and to nobody else.

mod manager;
mod ring;

use core::time::Duration;

use proof::jose::alg::Algorithm;
use proof::jose::key::KeyDefect;
use proof::seal::SealDefect;
use registry::ports::StoreError;

use crate::ports::KeyPurpose;

pub use manager::{KeyManager, RingReader};
pub use ring::KeyRing;

/// Algorithms that signing keys can have, the default first.
pub const SIGNING_ALGORITHMS: [Algorithm; 4] = [
    Algorithm::ES256,
    Algorithm::EdDSA,
    Algorithm::PS256,
    Algorithm::RS256,
];

/// The life of signing keys.
#[derive(Debug, Clone)]
pub struct KeySettings {
    /// Algorithm of new access-token keys; one of [`SIGNING_ALGORITHMS`].
    pub access: Algorithm,
    /// Algorithm of new upstream-identity keys; one of [`SIGNING_ALGORITHMS`].
    pub upstream: Algorithm,
    /// How long a key is in the key set before it signs.
    pub publish_before: Duration,
    /// How long a key signs.
    pub active_for: Duration,
    /// The longest life of a token; a key stays published for that long and an hour after it
    /// signed its last.
    pub longest_token: Duration,
}

impl KeySettings {
    /// Algorithm of a purpose's new keys; none of those that encrypt.
    pub fn algorithm(&self, purpose: KeyPurpose) -> Option<Algorithm> {
        Some(match purpose {
            KeyPurpose::Access => self.access,
            KeyPurpose::Upstream => self.upstream,
            KeyPurpose::Audit | KeyPurpose::IdEs256 => Algorithm::ES256,
            // An ID token is signed as its client registered: the purpose is the algorithm.
            KeyPurpose::IdRs256 => Algorithm::RS256,
            KeyPurpose::IdPs256 => Algorithm::PS256,
            KeyPurpose::IdEdDsa | KeyPurpose::AccessPaseto => Algorithm::EdDSA,
            KeyPurpose::AccessPasetoLocal => return None,
        })
    }
    fn retire_after(&self) -> Duration {
        self.longest_token.saturating_add(Duration::from_secs(3600))
    }
}

impl Default for KeySettings {
    /// ES256; published 1 d before use, active for 90 d, tokens of at most 60 min.
    fn default() -> Self {
        const DAY: Duration = Duration::from_secs(24 * 3600);
        Self {
            access: Algorithm::ES256,
            upstream: Algorithm::ES256,
            publish_before: DAY,
            active_for: DAY * 90,
            longest_token: Duration::from_secs(3600),
        }
    }
}

/// Why a key could not be made, loaded or moved.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The store did not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A stored key can't be opened: another master key, or a damaged row.
    #[error("the signing key {kid} can not be opened: {defect}")]
    Sealed {
        /// Which.
        kid: String,
        /// Why.
        defect: SealDefect,
    },
    /// A stored key is not the key that its row says.
    #[error("the signing key {kid} is damaged: {defect}")]
    Damaged {
        /// Which.
        kid: String,
        /// Why.
        defect: String,
    },
    /// No key could be made.
    #[error("no signing key could be made: {0}")]
    Generate(KeyDefect),
}

#[cfg(test)]
mod tests;
