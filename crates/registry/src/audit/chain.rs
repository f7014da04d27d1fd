//! **The chain**: what a link covers, and how a trail is checked from outside.
//!
//! The hash of an event covers everything that stands in it and its place. So an edit, an insertion
//! and a removal break the chain at that very event. A tail that was cut off leaves a sound chain
//! behind; it shows against a checkpoint that was signed later than the cut, and against one that
//! the operator kept elsewhere, which is why checkpoints are worth exporting. What this can't show:
//! a tail that was cut and rewritten by someone who holds the signing key.

use std::collections::BTreeMap;

use proof::chain::{GENESIS, link};
use proof::digest::hex;
use proof::jose::jws;
use proof::jose::key::SigningKey;
use proof::jose::verifying::VerifyingKey;
use proof::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::{AuditEvent, Checkpoint};

/// `typ` of a checkpoint's signature, so that nothing else the key signs passes for one.
pub const CHECKPOINT_TYP: &str = "doorward-audit-checkpoint+jws";

/// The bytes of an event that its link covers: one JSON array, version first, every field but the
/// hash, details in the order of their names. Stored chains must verify for ever: a new field means
/// a new version here, never another text for an old event.
pub fn canonical(event: &AuditEvent) -> Vec<u8> {
    let fields = (
        "doorward-audit-event-1",
        event.sequence,
        &event.id,
        event.at,
        &event.actor,
        &event.action,
        &event.subject,
        &event.request_id,
        &event.details,
    );
    serde_json::to_vec(&fields).expect("texts and numbers are always JSON")
}

/// What a checkpoint's signature covers.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Statement {
    sequence: i64,
    hash: String,
    at: Timestamp,
}

/// Signs how far the chain has grown.
pub fn sign_checkpoint(
    sequence: i64,
    hash: &[u8; 32],
    at: Timestamp,
    key: &SigningKey,
) -> Checkpoint {
    let statement = Statement {
        sequence,
        hash: hex(hash),
        at,
    };
    let text = serde_json::to_string(&statement).expect("texts and numbers are always JSON");
    Checkpoint {
        sequence,
        hash: statement.hash,
        at,
        signature: jws::sign(key, CHECKPOINT_TYP, &text),
    }
}

/// What was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// Events in the chain.
    pub events: i64,
    /// Hex of the hash of the last one.
    pub head: String,
    /// Checkpoints that were compared, signatures included.
    pub checkpoints: usize,
    /// The last sequence that a signed checkpoint covers; what comes after is chained only.
    pub sealed: i64,
}

/// The first thing that is wrong with a trail.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChainFault {
    /// An event is missing, or one stands where another should: something was removed or inserted.
    #[error("event {expected} should come next, but {found} does: events were removed or inserted")]
    Order {
        /// The sequence that should come.
        expected: i64,
        /// The one that came (0: an event that was never chained).
        found: i64,
    },
    /// The event does not fit its hash: it, or one before it, was changed.
    #[error(
        "event {sequence} does not fit the chain: it was edited, inserted, or follows a removed one"
    )]
    Altered {
        /// Its sequence.
        sequence: i64,
    },
    /// A checkpoint says the chain was longer than it is.
    #[error(
        "a checkpoint covers event {checkpoint}, but the trail ends at {last}: its tail was cut off"
    )]
    CutTail {
        /// What the checkpoint covers.
        checkpoint: i64,
        /// Where the trail ends.
        last: i64,
    },
    /// A checkpoint says another hash than the chain has there: the chain was rewritten.
    #[error("the chain at event {sequence} is not the one that was sealed: it was rewritten")]
    Rewritten {
        /// The checkpoint's sequence.
        sequence: i64,
    },
    /// A checkpoint's signature does not hold, or it signs something else.
    #[error("the checkpoint at event {sequence} has no valid signature")]
    BadSignature {
        /// The checkpoint's sequence.
        sequence: i64,
    },
}

/// Checks a trail event by event, so that its length does not matter.
#[derive(Debug)]
pub struct ChainReader {
    /// Hashes that the checkpoints promise, by sequence.
    promised: BTreeMap<i64, Vec<String>>,
    checkpoints: usize,
    last: i64,
    hash: [u8; 32],
}

impl ChainReader {
    /// Begins with the checkpoints: those of the store, and any that the operator kept outside.
    ///
    /// # Errors
    /// [`ChainFault::BadSignature`] for one that no key of `keys` has signed.
    pub fn new(checkpoints: &[Checkpoint], keys: &[VerifyingKey]) -> Result<Self, ChainFault> {
        let mut promised: BTreeMap<i64, Vec<String>> = BTreeMap::new();
        for checkpoint in checkpoints {
            if !is_signed(checkpoint, keys) {
                return Err(ChainFault::BadSignature {
                    sequence: checkpoint.sequence,
                });
            }
            promised
                .entry(checkpoint.sequence)
                .or_default()
                .push(checkpoint.hash.clone());
        }
        // An empty chain can be sealed too.
        let reader = Self {
            promised,
            checkpoints: checkpoints.len(),
            last: 0,
            hash: GENESIS,
        };
        reader.keeps_promises()?;
        Ok(reader)
    }

    /// Takes in the next event.
    ///
    /// # Errors
    /// [`ChainFault`]; the reader is of no use afterwards.
    pub fn push(&mut self, event: &AuditEvent) -> Result<(), ChainFault> {
        let expected = self.last + 1;
        if event.sequence != Some(expected) {
            return Err(ChainFault::Order {
                expected,
                found: event.sequence.unwrap_or(0),
            });
        }
        let hash = link(&self.hash, &canonical(event));
        if event.hash.as_deref() != Some(hex(&hash).as_str()) {
            return Err(ChainFault::Altered { sequence: expected });
        }
        self.hash = hash;
        self.last = expected;
        self.keeps_promises()
    }

    fn keeps_promises(&self) -> Result<(), ChainFault> {
        let mine = hex(&self.hash);
        match self.promised.get(&self.last) {
            Some(hashes) if hashes.iter().any(|hash| *hash != mine) => Err(ChainFault::Rewritten {
                sequence: self.last,
            }),
            _ => Ok(()),
        }
    }

    /// Ends: no checkpoint may lie beyond.
    ///
    /// # Errors
    /// [`ChainFault::CutTail`].
    pub fn finish(self) -> Result<Verified, ChainFault> {
        if let Some((&checkpoint, _)) = self.promised.last_key_value()
            && checkpoint > self.last
        {
            return Err(ChainFault::CutTail {
                checkpoint,
                last: self.last,
            });
        }
        Ok(Verified {
            events: self.last,
            head: hex(&self.hash),
            checkpoints: self.checkpoints,
            sealed: self
                .promised
                .last_key_value()
                .map_or(0, |(sequence, _)| *sequence),
        })
    }
}

/// Checks a whole trail at once. See [`ChainReader`].
///
/// # Errors
/// The first [`ChainFault`].
pub fn verify_chain<'a>(
    events: impl IntoIterator<Item = &'a AuditEvent>,
    checkpoints: &[Checkpoint],
    keys: &[VerifyingKey],
) -> Result<Verified, ChainFault> {
    let mut reader = ChainReader::new(checkpoints, keys)?;
    for event in events {
        reader.push(event)?;
    }
    reader.finish()
}

/// Whether a key of ours signed exactly what the checkpoint says.
fn is_signed(checkpoint: &Checkpoint, keys: &[VerifyingKey]) -> bool {
    let Ok(token) = jws::split(checkpoint.signature.as_bytes()) else {
        return false;
    };
    let named = |key: &&VerifyingKey| {
        token
            .kid()
            .is_some_and(|kid| key.kid() == Some(kid) || key.thumbprint() == kid)
    };
    let Some(payload) = keys
        .iter()
        .filter(named)
        .find_map(|key| token.verify(key).ok())
    else {
        return false;
    };
    payload.typ() == Some(CHECKPOINT_TYP)
        && serde_json::from_slice::<Statement>(payload.bytes()).is_ok_and(|statement| {
            statement.sequence == checkpoint.sequence
                && statement.hash == checkpoint.hash
                && statement.at == checkpoint.at
        })
}

#[cfg(test)]
mod tests;
