//! Envelope encryption of what must be stored and read back: each record gets a fresh AES-256-GCM
//! data key, which is wrapped under a key-encryption key that is kept elsewhere. Table, column and
//! row are authenticated with it, so that a sealed value copied to another place does not open.
//!
//! ```text
//! version 1 │ id length 1 │ key id │ nonce 12 │ wrapped key 32+16 │ nonce 12 │ ciphertext │ tag 16
//! ```
//!
//! Both nonces are random: a wrapping key is good for 2³² records (NIST SP 800-38D §8.3); rotate
//! it long before.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad as GcmAad, LessSafeKey, Nonce, UnboundKey};
use zeroize::Zeroizing;

use crate::{base64std, digest::MacKey, random::Entropy, secret::Secret};

const VERSION: u8 = 1;
const KEY: usize = 32;
const NONCE: usize = 12;
const TAG: usize = 16;
/// Largest plaintext, in bytes.
pub const MAX_PLAINTEXT_BYTES: usize = 1 << 20;

/// Where a sealed value belongs. It opens nowhere else.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Aad<'a> {
    /// The table's name.
    pub table: &'a str,
    /// The column's name.
    pub column: &'a str,
    /// The row's id.
    pub row: &'a str,
}

/// A key that wraps data keys, known by an id.
pub struct KeyEncryptionKey {
    id: String,
    key: LessSafeKey,
    expand: MacKey,
}

/// The current key-encryption key and those before it.
#[derive(Debug)]
pub struct KekRing {
    current: KeyEncryptionKey,
    previous: Vec<KeyEncryptionKey>,
}

/// Why a value can't be sealed or opened.
#[derive(Copy, Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealDefect {
    /// A key-encryption key is not 32 bytes, or its id not 1 to 64 of `A-Za-z0-9._-`.
    #[error("key-encryption key is malformed")]
    BadKey,
    /// Cut short, or too long.
    #[error("sealed value has the wrong length")]
    WrongLength,
    /// Written in a format that is not known.
    #[error("sealed value has an unknown version")]
    UnknownVersion,
    /// The key-encryption key it names is not at hand.
    #[error("sealed value names an unknown key")]
    UnknownKey,
    /// It was changed, moved to another place, or the key is another of the same id.
    #[error("sealed value does not open")]
    Tampered,
}

impl SealDefect {
    /// Stable kebab-case code for logs.
    pub const fn code(self) -> &'static str {
        match self {
            Self::BadKey => "seal-bad-key",
            Self::WrongLength => "seal-wrong-length",
            Self::UnknownVersion => "seal-unknown-version",
            Self::UnknownKey => "seal-unknown-key",
            Self::Tampered => "seal-tampered",
        }
    }
}

impl KeyEncryptionKey {
    /// From 32 bytes.
    ///
    /// # Errors
    /// [`SealDefect::BadKey`].
    pub fn from_bytes(id: &str, key: &Secret) -> Result<Self, SealDefect> {
        let clean = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
        if !(1..=64).contains(&id.len()) || !id.bytes().all(clean) || key.len() != KEY {
            return Err(SealDefect::BadKey);
        }
        let expand = MacKey::new(key.expose());
        let key = UnboundKey::new(&AES_256_GCM, key.expose()).map_err(|_| SealDefect::BadKey)?;
        Ok(Self {
            id: id.to_owned(),
            key: LessSafeKey::new(key),
            expand,
        })
    }

    /// From 32 bytes in canonical base64 (44 characters).
    ///
    /// # Errors
    /// [`SealDefect::BadKey`].
    pub fn from_base64(id: &str, text: &Secret) -> Result<Self, SealDefect> {
        let key = base64std::decode(text.expose()).map_err(|_| SealDefect::BadKey)?;
        Self::from_bytes(id, &Secret::new(key))
    }

    /// A key of its own for one purpose, 32 bytes: what a fleet must share and need not store. The
    /// first block of HKDF-Expand with SHA-256 (RFC 5869 §2.3); the key is uniform, so that the
    /// extracting step is left out as §3.3 allows.
    pub fn derive(&self, purpose: &str) -> Secret {
        Secret::new(self.expand.tag_parts(&[purpose.as_bytes(), &[1]]))
    }

    /// The id that stands in every value sealed under it.
    pub fn id(&self) -> &str {
        &self.id
    }
}

impl fmt::Debug for KeyEncryptionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyEncryptionKey({}, ***)", self.id)
    }
}

impl KekRing {
    /// A ring of one key.
    pub fn new(current: KeyEncryptionKey) -> Self {
        Self {
            current,
            previous: Vec::new(),
        }
    }

    /// The ring with an older key that still opens what it sealed.
    #[must_use]
    pub fn with_previous(mut self, key: KeyEncryptionKey) -> Self {
        self.previous.push(key);
        self
    }

    /// The key to seal with.
    pub fn current(&self) -> &KeyEncryptionKey {
        &self.current
    }

    pub(crate) fn find(&self, id: &[u8]) -> Option<&KeyEncryptionKey> {
        std::iter::once(&self.current)
            .chain(&self.previous)
            .find(|key| key.id.as_bytes() == id)
    }
}

/// Seals `plaintext` for one place under a fresh data key.
///
/// # Panics
/// If the provider fails to encrypt, which means that it is broken; or for a plaintext beyond
/// [`MAX_PLAINTEXT_BYTES`], which nothing that is sealed comes near.
pub fn seal(
    kek: &KeyEncryptionKey,
    aad: &Aad<'_>,
    plaintext: &[u8],
    entropy: &dyn Entropy,
) -> Vec<u8> {
    const WHY: &str = "AES-256-GCM encrypts any short message";
    assert!(
        plaintext.len() <= MAX_PLAINTEXT_BYTES,
        "plaintext fits the format"
    );
    let header = header(kek);
    let context = context(&header, aad);

    let mut data_key = Zeroizing::new(vec![0u8; KEY]);
    entropy.fill(&mut data_key);
    let inner = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &data_key).expect(WHY));

    let mut sealed = Vec::with_capacity(header.len() + 2 * (NONCE + TAG) + KEY + plaintext.len());
    sealed.extend_from_slice(&header);
    for (key, message) in [(&kek.key, data_key.as_slice()), (&inner, plaintext)] {
        let mut nonce = [0u8; NONCE];
        entropy.fill(&mut nonce);
        let mut buffer = message.to_vec();
        let tag = key
            .seal_in_place_separate_tag(
                Nonce::assume_unique_for_key(nonce),
                GcmAad::from(&context),
                &mut buffer,
            )
            .expect(WHY);
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(&buffer);
        sealed.extend_from_slice(tag.as_ref());
    }
    sealed
}

/// Opens what [`seal`] wrote for the same place.
///
/// # Errors
/// [`SealDefect`].
pub fn open(ring: &KekRing, aad: &Aad<'_>, sealed: &[u8]) -> Result<Secret, SealDefect> {
    let (kek_id, rest) = split_header(sealed)?;
    if rest.len() > 2 * (NONCE + TAG) + KEY + MAX_PLAINTEXT_BYTES {
        return Err(SealDefect::WrongLength);
    }
    let kek = ring.find(kek_id).ok_or(SealDefect::UnknownKey)?;
    let context = context(&header(kek), aad);
    let (wrapped, body) = rest
        .split_at_checked(NONCE + KEY + TAG)
        .ok_or(SealDefect::WrongLength)?;
    let data_key = decrypt(&kek.key, &context, wrapped)?;
    let inner =
        UnboundKey::new(&AES_256_GCM, data_key.expose()).map_err(|_| SealDefect::Tampered)?;
    decrypt(&LessSafeKey::new(inner), &context, body)
}

/// The id of the key-encryption key that a sealed value names: to find what a rotation has left.
///
/// # Errors
/// [`SealDefect::WrongLength`], [`SealDefect::UnknownVersion`].
pub fn kek_id(sealed: &[u8]) -> Result<&str, SealDefect> {
    std::str::from_utf8(split_header(sealed)?.0).map_err(|_| SealDefect::UnknownKey)
}

fn split_header(sealed: &[u8]) -> Result<(&[u8], &[u8]), SealDefect> {
    match sealed {
        [VERSION, length, rest @ ..] => rest
            .split_at_checked(usize::from(*length))
            .ok_or(SealDefect::WrongLength),
        [_, _, ..] => Err(SealDefect::UnknownVersion),
        _ => Err(SealDefect::WrongLength),
    }
}

fn decrypt(key: &LessSafeKey, context: &[u8], message: &[u8]) -> Result<Secret, SealDefect> {
    let (nonce, ciphertext) = message
        .split_at_checked(NONCE)
        .filter(|(_, rest)| rest.len() >= TAG)
        .ok_or(SealDefect::WrongLength)?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| SealDefect::WrongLength)?;
    let mut buffer = Zeroizing::new(ciphertext.to_vec());
    let plaintext = key
        .open_in_place(nonce, GcmAad::from(context), &mut buffer)
        .map_err(|_| SealDefect::Tampered)?;
    Ok(Secret::new(&*plaintext))
}

fn header(kek: &KeyEncryptionKey) -> Vec<u8> {
    // The id's length was bounded when the key was made.
    let mut header = vec![VERSION, kek.id.len() as u8];
    header.extend_from_slice(kek.id.as_bytes());
    header
}

/// What both layers authenticate: the header and the place, each field with its length, so that
/// no two places have one context.
fn context(header: &[u8], aad: &Aad<'_>) -> Vec<u8> {
    let mut context = b"doorward seal 1\n".to_vec();
    for field in [
        header,
        aad.table.as_bytes(),
        aad.column.as_bytes(),
        aad.row.as_bytes(),
    ] {
        context.extend_from_slice(&(field.len() as u64).to_be_bytes());
        context.extend_from_slice(field);
    }
    context
}

#[cfg(test)]
mod tests;
