//! Sets of public keys. What can't be used is skipped and counted, as RFC 7517 §5 asks, so that one
//! odd key of an issuer does not stop the others. A text that is no set at all is refused.

use serde::Serialize;
use serde_json::Value;

use super::{Jwk, JwkDefect};
use crate::{
    jose::{alg::Algorithm, verifying::VerifyingKey},
    strict_json::{self, JsonDefect},
};

/// Longest text of a key set.
pub const MAX_JWKS_BYTES: usize = 512 * 1024;
/// Most keys in a set.
pub const MAX_KEYS: usize = 100;

/// A set of public keys (RFC 7517 §5).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct JwkSet {
    keys: Vec<Jwk>,
    #[serde(skip)]
    skipped: Vec<JwkDefect>,
}

impl JwkSet {
    /// A set of our own keys.
    pub fn new(keys: Vec<Jwk>) -> Self {
        Self {
            keys,
            skipped: Vec::new(),
        }
    }

    /// Reads a set. Keys that can't be used are skipped; two keys of one `kid` are both kept,
    /// since an issuer may use one name for two key types (RFC 7517 §4.5).
    ///
    /// # Errors
    /// [`JwkDefect::Json`], [`JwkDefect::Member`] without a `keys` array,
    /// [`JwkDefect::TooManyKeys`].
    pub fn parse(json: &[u8]) -> Result<Self, JwkDefect> {
        let members = strict_json::parse_object(json, MAX_JWKS_BYTES).map_err(JwkDefect::Json)?;
        let Some(Value::Array(list)) = members.get("keys") else {
            return Err(JwkDefect::Member);
        };
        if list.len() > MAX_KEYS {
            return Err(JwkDefect::TooManyKeys);
        }
        let mut set = Self::default();
        for item in list {
            let key = match item {
                Value::Object(members) => Jwk::from_members(members),
                _ => Err(JwkDefect::Json(JsonDefect::NotAnObject)),
            };
            match key {
                Ok(key) => set.keys.push(key),
                Err(defect) => set.skipped.push(defect),
            }
        }
        Ok(set)
    }

    /// The usable keys, in the order of the text.
    pub fn keys(&self) -> &[Jwk] {
        &self.keys
    }

    /// How many keys were skipped.
    pub fn skipped(&self) -> usize {
        self.skipped.len()
    }

    /// Why they were skipped, for the log.
    pub fn defects(&self) -> &[JwkDefect] {
        &self.skipped
    }

    /// Every key prepared for the allowed algorithms; keys that fit none are left out.
    pub fn verifying_keys(&self, allowed: &[Algorithm]) -> Vec<VerifyingKey> {
        self.keys
            .iter()
            .filter_map(|key| key.verifying_keys(allowed).ok())
            .flatten()
            .collect()
    }
}
