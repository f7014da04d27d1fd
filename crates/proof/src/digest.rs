//! SHA-256 and HMAC-SHA256, the hash under which long random tokens are kept, and hexadecimal.
//! Not for passwords: what people choose goes through [`crate::password`].

use std::fmt;

use aws_lc_rs::{digest, hmac};
use serde::{Deserialize, Serialize};

/// SHA-256 of `data` (FIPS 180-4).
pub fn sha256(data: &[u8]) -> [u8; 32] {
    digest::digest(&digest::SHA256, data)
        .as_ref()
        .try_into()
        .expect("SHA-256 gives 32 bytes")
}

/// HMAC-SHA256 of `data` under `key` (RFC 2104). Prepare a [`MacKey`] where a key is used twice.
pub fn hmac_sha256(key: &[u8], data: &[u8]) -> [u8; 32] {
    MacKey::new(key).tag(data)
}

/// The SHA-256 of a random token of at least 256 bits: what is stored and looked up instead of
/// the token. Knowing it does not help to guess the token, so it is safe to log.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TokenHash([u8; 32]);

impl TokenHash {
    /// The hash of a whole token as it was presented.
    pub fn of(token: &[u8]) -> Self {
        Self(sha256(token))
    }

    /// A hash that was stored.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Reads 64 hexadecimal digits, lower case.
    pub fn parse(text: &str) -> Option<Self> {
        Some(Self(unhex(text)?.try_into().ok()?))
    }
}

impl fmt::Display for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenHash({self})")
    }
}

impl From<TokenHash> for String {
    fn from(hash: TokenHash) -> Self {
        hash.to_string()
    }
}

impl TryFrom<String> for TokenHash {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text).ok_or("not 64 lower-case hexadecimal digits")
    }
}

/// A prepared HMAC-SHA256 key: the key schedule is computed once.
pub struct MacKey(hmac::Key);

impl MacKey {
    /// Prepares `key` (RFC 2104: at least 32 random bytes).
    pub fn new(key: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, key))
    }

    /// The tag of `data`.
    pub fn tag(&self, data: &[u8]) -> [u8; 32] {
        hmac::sign(&self.0, data)
            .as_ref()
            .try_into()
            .expect("HMAC-SHA256 gives 32 bytes")
    }

    /// The tag of `parts` one after the other. Where parts vary in length, more than one of them
    /// makes different lists equal: all but one must have a fixed width.
    pub fn tag_parts(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&self.0);
        for part in parts {
            context.update(part);
        }
        context
            .sign()
            .as_ref()
            .try_into()
            .expect("HMAC-SHA256 gives 32 bytes")
    }

    /// Whether `tag` is the whole tag of `data`; constant time.
    pub fn verify(&self, data: &[u8], tag: &[u8]) -> bool {
        hmac::verify(&self.0, data, tag).is_ok()
    }
}

impl fmt::Debug for MacKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MacKey(***)")
    }
}

/// A hash that an HMAC can be made with, where another's format names it (RFC 7518 §3.2).
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub enum MacHash {
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

impl MacHash {
    fn key(self, key: &[u8]) -> hmac::Key {
        let hash = match self {
            Self::Sha256 => hmac::HMAC_SHA256,
            Self::Sha384 => hmac::HMAC_SHA384,
            Self::Sha512 => hmac::HMAC_SHA512,
        };
        hmac::Key::new(hash, key)
    }

    /// The tag of `data` under `key` (RFC 2104).
    pub fn tag(self, key: &[u8], data: &[u8]) -> Vec<u8> {
        hmac::sign(&self.key(key), data).as_ref().to_vec()
    }

    /// Whether `tag` is the whole tag of `data` under `key`; constant time.
    pub fn verify(self, key: &[u8], data: &[u8], tag: &[u8]) -> bool {
        hmac::verify(&self.key(key), data, tag).is_ok()
    }
}

const HEX: &[u8; 16] = b"0123456789abcdef";

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        text.push(char::from(HEX[usize::from(byte >> 4)]));
        text.push(char::from(HEX[usize::from(byte & 15)]));
    }
    text
}

/// Reads lower-case hexadecimal; anything else is `None`.
pub fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |c: u8| match c {
        b'0'..=b'9' => Some(c - b'0'),
        b'a'..=b'f' => Some(c - b'a' + 10),
        _ => None,
    };
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    pairs
        .iter()
        .map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sha256_gives_the_published_digest() {
        // FIPS 180-2 appendix B.1
        assert_eq!(
            hex(&sha256(b"abc")),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }

    #[test]
    fn hmac_gives_the_published_tag() {
        // RFC 4231 §4.3
        assert_eq!(
            hex(&hmac_sha256(b"Jefe", b"what do ya want for nothing?")),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
    }

    #[test]
    fn d05_a_tag_verifies_whole_and_for_its_data_only() {
        let key = MacKey::new(&[7; 32]);
        let tag = key.tag(b"data");
        assert!(key.verify(b"data", &tag));
        assert!(!key.verify(b"datb", &tag));
        assert!(!key.verify(b"data", &tag[..31]));
        assert!(!key.verify(b"data", &[]));
        assert!(!MacKey::new(&[8; 32]).verify(b"data", &tag));
        assert_eq!(key.tag_parts(&[b"da", b"", b"ta"]), tag);
    }

    #[test]
    fn i01_a_mac_key_masks_itself() {
        assert_eq!(format!("{:?}", MacKey::new(b"key")), "MacKey(***)");
    }

    #[test]
    fn a_token_hash_survives_its_text_form() {
        let hash = TokenHash::of(b"token");
        assert_eq!(TokenHash::parse(&hash.to_string()), Some(hash));
        assert_eq!(TokenHash::parse(&hash.to_string().to_uppercase()), None);
        assert_eq!(TokenHash::parse("00"), None);
    }

    #[test]
    fn hexadecimal_refuses_odd_lengths_and_other_digits() {
        assert_eq!(unhex("00ff"), Some(vec![0, 255]));
        for bad in ["0", "0g", "FF", " 0", "0\u{e9}"] {
            assert_eq!(unhex(bad), None, "{bad:?}");
        }
    }
}
