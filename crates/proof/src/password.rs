//! Verifiers: what is stored instead of a password or key, and the check against it. New ones are
//! Argon2id, or a keyed hash for long random keys where a fleet asks for it; bcrypt and plain
//! SHA-256 come in by import. Reading a stored text bounds the cost it may ask for, so that an
//! imported hash can't become a denial of service. The stored text itself never authenticates.

use std::fmt;

use argon2::{Algorithm, Argon2, Params, Version};
use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use crate::{
    digest::{MacKey, hex, sha256, unhex},
    random::Entropy,
};

/// Longest password or key that is hashed, in bytes. A longer one never matches.
pub const MAX_PASSWORD_BYTES: usize = 1024;

/// What bcrypt looks at; the rest of a longer password would not count.
const BCRYPT_MAX_BYTES: usize = 72;

/// The cost of one Argon2id hash (RFC 9106 §3.1).
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Argon2Params {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
}

impl Argon2Params {
    /// The most that is accepted, also from imported hashes: 256 MiB.
    pub const MAX_MEMORY_KIB: u32 = 256 * 1024;
    /// The most passes accepted.
    pub const MAX_PASSES: u32 = 10;
    /// The most lanes accepted.
    pub const MAX_LANES: u32 = 4;

    /// Memory in KiB (8 × lanes to 256 MiB), passes (1 to 10), lanes (1 to 4).
    ///
    /// # Errors
    /// [`PasswordDefect::CostOutOfBounds`].
    pub fn new(memory_kib: u32, passes: u32, lanes: u32) -> Result<Self, PasswordDefect> {
        let fits = (1..=Self::MAX_LANES).contains(&lanes)
            && (1..=Self::MAX_PASSES).contains(&passes)
            && (8 * lanes..=Self::MAX_MEMORY_KIB).contains(&memory_kib);
        if !fits {
            return Err(PasswordDefect::CostOutOfBounds);
        }
        Ok(Self {
            memory_kib,
            passes,
            lanes,
        })
    }

    /// The least that Argon2 allows. Protects nothing: for tests and for `dev` alone.
    pub const fn dangerous_minimum() -> Self {
        Self {
            memory_kib: 8,
            passes: 1,
            lanes: 1,
        }
    }

    /// Memory in KiB.
    pub const fn memory_kib(self) -> u32 {
        self.memory_kib
    }

    /// Passes over the memory.
    pub const fn passes(self) -> u32 {
        self.passes
    }

    /// Lanes.
    pub const fn lanes(self) -> u32 {
        self.lanes
    }

    fn hash(self, secret: &[u8], salt: &[u8], tag: &mut [u8]) -> bool {
        Params::new(self.memory_kib, self.passes, self.lanes, Some(tag.len()))
            .and_then(|params| {
                Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
                    .hash_password_into(secret, salt, tag)
            })
            .is_ok()
    }
}

impl Default for Argon2Params {
    /// OWASP's recommendation: 19 MiB, two passes, one lane.
    fn default() -> Self {
        Self {
            memory_kib: 19 * 1024,
            passes: 2,
            lanes: 1,
        }
    }
}

/// How a verifier was made.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub enum VerifierKind {
    /// Argon2id (RFC 9106): the default.
    Argon2id,
    /// HMAC-SHA256 under a pepper that is kept outside the database; for random secrets only.
    KeyedHash,
    /// bcrypt; by import.
    Bcrypt,
    /// SHA-256 without salt; by import, for random secrets only.
    Sha256,
}

impl VerifierKind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Argon2id, Self::KeyedHash, Self::Bcrypt, Self::Sha256];
}

/// Why a password can't be hashed or a stored text can't be used.
#[derive(Copy, Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PasswordDefect {
    /// Longer than [`MAX_PASSWORD_BYTES`].
    #[error("password is longer than 1024 bytes")]
    TooLong,
    /// The stored text has no algorithm tag that is known.
    #[error("unknown hash algorithm")]
    UnknownAlgorithm,
    /// The stored text breaks its own format.
    #[error("malformed hash")]
    Malformed,
    /// The hash would cost too much, or nothing.
    #[error("hash cost is out of bounds")]
    CostOutOfBounds,
    /// There was no memory for the hash.
    #[error("not enough memory to hash")]
    OutOfMemory,
}

impl PasswordDefect {
    /// Stable kebab-case code for logs.
    pub const fn code(self) -> &'static str {
        match self {
            Self::TooLong => "password-too-long",
            Self::UnknownAlgorithm => "password-unknown-algorithm",
            Self::Malformed => "password-malformed-hash",
            Self::CostOutOfBounds => "password-cost-out-of-bounds",
            Self::OutOfMemory => "password-out-of-memory",
        }
    }
}

/// What is stored instead of a secret.
pub struct Verifier(Inner);

enum Inner {
    Argon2id {
        params: Argon2Params,
        salt: Vec<u8>,
        tag: Vec<u8>,
    },
    KeyedHash {
        pepper_id: String,
        tag: [u8; 32],
    },
    Bcrypt {
        stored: String,
    },
    Sha256 {
        digest: [u8; 32],
    },
}

/// Hashes a secret with Argon2id and a fresh salt. Slow on purpose: run it on a bounded pool.
///
/// # Errors
/// [`PasswordDefect::TooLong`], [`PasswordDefect::OutOfMemory`].
pub fn hash(
    secret: &[u8],
    params: Argon2Params,
    entropy: &dyn Entropy,
) -> Result<Verifier, PasswordDefect> {
    if secret.len() > MAX_PASSWORD_BYTES {
        return Err(PasswordDefect::TooLong);
    }
    let mut salt = vec![0u8; 16];
    entropy.fill(&mut salt);
    let mut tag = vec![0u8; 32];
    if !params.hash(secret, &salt, &mut tag) {
        return Err(PasswordDefect::OutOfMemory);
    }
    Ok(Verifier(Inner::Argon2id { params, salt, tag }))
}

/// The verifier for an account that does not exist: it costs what a real one with `params` costs
/// and matches nothing, so that a caller can't tell by time (threat F8).
pub fn dummy(params: Argon2Params) -> Verifier {
    // No preimage of this tag is known, nor will be.
    Verifier(Inner::Argon2id {
        params,
        salt: b"no account here.".to_vec(),
        tag: vec![0; 32],
    })
}

impl Verifier {
    /// A keyed hash of a random secret of at least 256 bits. `pepper_id` (1 to 32 of
    /// `A-Za-z0-9_-`) says later which key it was.
    ///
    /// # Errors
    /// [`PasswordDefect::TooLong`], [`PasswordDefect::Malformed`] for another `pepper_id`.
    pub fn keyed(secret: &[u8], pepper_id: &str, pepper: &MacKey) -> Result<Self, PasswordDefect> {
        if secret.len() > MAX_PASSWORD_BYTES {
            return Err(PasswordDefect::TooLong);
        }
        if !is_pepper_id(pepper_id) {
            return Err(PasswordDefect::Malformed);
        }
        Ok(Self(Inner::KeyedHash {
            pepper_id: pepper_id.to_owned(),
            tag: pepper.tag(secret),
        }))
    }

    /// Reads a stored text by its algorithm tag: `$argon2id$…` (PHC string), `$2a$`, `$2b$` or
    /// `$2y$…`, `hmac-sha256$<pepper id>$<hex>`, `sha256$<hex>`.
    ///
    /// # Errors
    /// [`PasswordDefect`]; a cost beyond the bounds is refused here, before it is ever paid.
    pub fn parse(stored: &str) -> Result<Self, PasswordDefect> {
        if stored.len() > 512 {
            return Err(PasswordDefect::Malformed);
        }
        if let Some(rest) = stored.strip_prefix("$argon2id$") {
            parse_argon2id(rest)
        } else if ["$2a$", "$2b$", "$2y$"]
            .iter()
            .any(|tag| stored.starts_with(tag))
        {
            parse_bcrypt(stored)
        } else if let Some(rest) = stored.strip_prefix("hmac-sha256$") {
            let (pepper_id, tag) = rest.split_once('$').ok_or(PasswordDefect::Malformed)?;
            if !is_pepper_id(pepper_id) {
                return Err(PasswordDefect::Malformed);
            }
            Ok(Self(Inner::KeyedHash {
                pepper_id: pepper_id.to_owned(),
                tag: parse_hex32(tag)?,
            }))
        } else if let Some(rest) = stored.strip_prefix("sha256$") {
            Ok(Self(Inner::Sha256 {
                digest: parse_hex32(rest)?,
            }))
        } else {
            Err(PasswordDefect::UnknownAlgorithm)
        }
    }

    /// The text to store; [`Verifier::parse`] reads it back.
    pub fn to_stored(&self) -> String {
        match &self.0 {
            Inner::Argon2id { params, salt, tag } => format!(
                "$argon2id$v=19$m={},t={},p={}${}${}",
                params.memory_kib,
                params.passes,
                params.lanes,
                STANDARD_NO_PAD.encode(salt),
                STANDARD_NO_PAD.encode(tag)
            ),
            Inner::KeyedHash { pepper_id, tag } => format!("hmac-sha256${pepper_id}${}", hex(tag)),
            Inner::Bcrypt { stored } => stored.clone(),
            Inner::Sha256 { digest } => format!("sha256${}", hex(digest)),
        }
    }

    /// How it was made.
    pub fn kind(&self) -> VerifierKind {
        match &self.0 {
            Inner::Argon2id { .. } => VerifierKind::Argon2id,
            Inner::KeyedHash { .. } => VerifierKind::KeyedHash,
            Inner::Bcrypt { .. } => VerifierKind::Bcrypt,
            Inner::Sha256 { .. } => VerifierKind::Sha256,
        }
    }

    /// Whether a check takes milliseconds and belongs on the bounded hashing pool.
    pub fn is_expensive(&self) -> bool {
        matches!(self.kind(), VerifierKind::Argon2id | VerifierKind::Bcrypt)
    }

    /// Which pepper a keyed hash needs.
    pub fn pepper_id(&self) -> Option<&str> {
        match &self.0 {
            Inner::KeyedHash { pepper_id, .. } => Some(pepper_id),
            _ => None,
        }
    }

    /// Whether `presented` is the secret. A keyed hash needs the pepper that
    /// [`Verifier::pepper_id`] names; without it nothing matches. The final compare is constant
    /// time.
    pub fn verify(&self, presented: &[u8], pepper: Option<&MacKey>) -> bool {
        if presented.len() > MAX_PASSWORD_BYTES {
            return false;
        }
        match &self.0 {
            Inner::Argon2id { params, salt, tag } => {
                let mut computed = Zeroizing::new(vec![0u8; tag.len()]);
                params.hash(presented, salt, &mut computed) && bool::from(computed.ct_eq(tag))
            }
            Inner::KeyedHash { tag, .. } => {
                pepper.is_some_and(|pepper| pepper.verify(presented, tag))
            }
            // bcrypt would ignore what lies beyond, and a longer password would match a shorter.
            Inner::Bcrypt { .. } if presented.len() > BCRYPT_MAX_BYTES => false,
            Inner::Bcrypt { stored } => bcrypt::verify(presented, stored).unwrap_or(false),
            Inner::Sha256 { digest } => sha256(presented).ct_eq(digest).into(),
        }
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Verifier({:?}, ***)", self.kind())
    }
}

fn is_pepper_id(text: &str) -> bool {
    (1..=32).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

fn parse_hex32(text: &str) -> Result<[u8; 32], PasswordDefect> {
    unhex(text)
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or(PasswordDefect::Malformed)
}

/// `v=19$m=<KiB>,t=<passes>,p=<lanes>$<salt>$<tag>`: exactly these parameters in this order, as
/// the PHC string format demands.
fn parse_argon2id(text: &str) -> Result<Verifier, PasswordDefect> {
    let mut parts = text.split('$');
    let mut part = || parts.next().ok_or(PasswordDefect::Malformed);
    if part()? != "v=19" {
        return Err(PasswordDefect::Malformed);
    }
    let mut costs = part()?.split(',');
    let mut cost = |name: &str| {
        costs
            .next()
            .and_then(|field| field.strip_prefix(name))
            .filter(|digits| !digits.starts_with('0') && digits.bytes().all(|b| b.is_ascii_digit()))
            .and_then(|digits| digits.parse::<u32>().ok())
            .ok_or(PasswordDefect::Malformed)
    };
    let params = Argon2Params::new(cost("m=")?, cost("t=")?, cost("p=")?)?;
    if costs.next().is_some() {
        return Err(PasswordDefect::Malformed);
    }
    let mut bytes = |lengths: std::ops::RangeInclusive<usize>| {
        STANDARD_NO_PAD
            .decode(part()?)
            .ok()
            .filter(|bytes| lengths.contains(&bytes.len()))
            .ok_or(PasswordDefect::Malformed)
    };
    let salt = bytes(8..=64)?;
    let tag = bytes(16..=64)?;
    if parts.next().is_some() {
        return Err(PasswordDefect::Malformed);
    }
    Ok(Verifier(Inner::Argon2id { params, salt, tag }))
}

fn parse_bcrypt(stored: &str) -> Result<Verifier, PasswordDefect> {
    let parts: bcrypt::HashParts = stored.parse().map_err(|_| PasswordDefect::Malformed)?;
    // A cost is two digits: the library's reader would also take a sign.
    if !stored.as_bytes()[4..6].iter().all(u8::is_ascii_digit) {
        return Err(PasswordDefect::Malformed);
    }
    if !(4..=14).contains(&parts.get_cost()) {
        return Err(PasswordDefect::CostOutOfBounds);
    }
    Ok(Verifier(Inner::Bcrypt {
        stored: stored.to_owned(),
    }))
}

#[cfg(test)]
mod tests;
