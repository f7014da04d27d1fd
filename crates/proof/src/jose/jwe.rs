//! Compact JWE (RFC 7516 §7.1), to take signed JWTs that were encrypted to a key of ours, and to
//! encrypt them so ([`EncryptionKey`]). Two ways to agree on the content's key, `RSA-OAEP-256` and
//! `ECDH-ES` on P-256, each key pinned to the one of its type; two ciphers, `A128GCM` and `A256GCM`;
//! nothing else exists here: no password, no compression, no key wrap, no extension, and no content
//! but a nested JWT. Bounds come before any cryptography, and whatever goes wrong with a key is one
//! defect (RFC 7516 §11.5).

mod encrypting;

pub use encrypting::{EncryptDefect, EncryptionKey};

use std::{fmt, sync::Arc};

use aws_lc_rs::{
    aead::{self, Aad, LessSafeKey, Nonce, UnboundKey},
    agreement::{self, PrivateKey, UnparsedPublicKey},
    encoding::AsDer as _,
    rsa::{OAEP_SHA256_MGF1SHA256, OaepPrivateDecryptingKey, PrivateDecryptingKey},
};
use rustls_pki_types::{PrivateKeyDer, pem::PemObject as _};
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use crate::{
    base64url,
    digest::sha256,
    jose::{
        alg::Family,
        jwk::{Jwk, JwkDefect, Material},
        jws,
        key::KeyDefect,
    },
    secret::Secret,
    strict_json::{self, JsonDefect},
};

/// Longest token.
pub const MAX_TOKEN_BYTES: usize = jws::MAX_TOKEN_BYTES;
/// Longest header, before decoding.
pub const MAX_HEADER_BYTES: usize = jws::MAX_HEADER_BYTES;
/// Most keys that one receiver has at a time.
pub const MAX_KEYS: usize = 8;
/// Longest `apu` and `apv`, before decoding.
const MAX_PARTY_BYTES: usize = 512;
/// Longest encrypted key, decoded: that of RSA with 8192 bits.
const MAX_ENCRYPTED_KEY_BYTES: usize = 1024;
/// Shortest RSA key that opens.
const MIN_RSA_BITS: usize = 2048;
const IV_BYTES: usize = 12;
const TAG_BYTES: usize = 16;

/// How the content's key comes about (RFC 7518 §4.1).
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub enum KeyManagement {
    /// `RSA-OAEP-256` (RFC 7518 §4.3), with SHA-256 throughout.
    RsaOaep256,
    /// `ECDH-ES` on P-256, direct agreement (RFC 7518 §4.6).
    EcdhEs,
}

impl KeyManagement {
    /// Both.
    pub const ALL: [Self; 2] = [Self::RsaOaep256, Self::EcdhEs];

    /// Its name in `alg`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::RsaOaep256 => "RSA-OAEP-256",
            Self::EcdhEs => "ECDH-ES",
        }
    }
}

/// What the content is encrypted with (RFC 7518 §5.3).
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub enum ContentEncryption {
    /// AES-128-GCM.
    A128Gcm,
    /// AES-256-GCM.
    A256Gcm,
}

impl ContentEncryption {
    /// Both.
    pub const ALL: [Self; 2] = [Self::A128Gcm, Self::A256Gcm];

    /// Its name in `enc`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::A128Gcm => "A128GCM",
            Self::A256Gcm => "A256GCM",
        }
    }

    fn cipher(self) -> &'static aead::Algorithm {
        match self {
            Self::A128Gcm => &aead::AES_128_GCM,
            Self::A256Gcm => &aead::AES_256_GCM,
        }
    }
}

/// Why a text is no JWE that can be opened.
#[derive(Copy, Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JweDefect {
    /// Longer than [`MAX_TOKEN_BYTES`].
    #[error("token is too long")]
    TooLong,
    /// Not exactly five parts.
    #[error("token has not five parts")]
    NotFiveParts,
    /// The header is longer than [`MAX_HEADER_BYTES`].
    #[error("header is too long")]
    HeaderTooLong,
    /// A part is not canonical base64url.
    #[error("a part is not canonical base64url")]
    NotBase64url,
    /// The header is no strict JSON object.
    #[error("header is not strict JSON: {0}")]
    HeaderJson(JsonDefect),
    /// A header member is missing, too long or has the wrong type.
    #[error("a header member is missing or has the wrong type")]
    HeaderMember,
    /// `crit` is present (RFC 7516 §4.1.13): no extension is understood.
    #[error("header demands an extension")]
    CriticalHeader,
    /// `zip` is present (RFC 7516 §4.1.3).
    #[error("content is compressed")]
    Compressed,
    /// `cty` does not say `JWT` (RFC 7519 §5.2).
    #[error("content is not a nested JWT")]
    NotNested,
    /// `alg` or `enc` is none of those that exist here.
    #[error("algorithm is not accepted")]
    Algorithm,
    /// A part is longer or shorter than its algorithm makes it.
    #[error("a part has the wrong length")]
    PartLength,
    /// `epk` is no point on P-256 (RFC 7518 §4.6.1.1).
    #[error("ephemeral key is not usable: {0}")]
    EphemeralKey(JwkDefect),
    /// No key has the name in `kid`; or it names none and there are several.
    #[error("no key of that name")]
    NoKey,
    /// The header names another algorithm than the key's.
    #[error("algorithm is not the key's")]
    WrongAlgorithm,
    /// The key does not open it, whatever the reason.
    #[error("token can not be decrypted")]
    Undecryptable,
}

impl JweDefect {
    /// Stable kebab-case code for logs.
    pub const fn code(self) -> &'static str {
        match self {
            Self::TooLong => "jwe-too-long",
            Self::NotFiveParts => "jwe-not-five-parts",
            Self::HeaderTooLong => "jwe-header-too-long",
            Self::NotBase64url => "jwe-not-base64url",
            Self::HeaderJson(_) => "jwe-header-json",
            Self::HeaderMember => "jwe-header-member",
            Self::CriticalHeader => "jwe-critical-header",
            Self::Compressed => "jwe-compressed",
            Self::NotNested => "jwe-not-nested",
            Self::Algorithm => "jwe-algorithm",
            Self::PartLength => "jwe-part-length",
            Self::EphemeralKey(_) => "jwe-ephemeral-key",
            Self::NoKey => "jwe-no-key",
            Self::WrongAlgorithm => "jwe-wrong-algorithm",
            Self::Undecryptable => "jwe-undecryptable",
        }
    }
}

/// Whether a text has the five parts of a compact JWE: to tell it from a signed JWT, and for nothing
/// else.
pub fn looks_like(text: &[u8]) -> bool {
    text.iter().filter(|byte| **byte == b'.').count() == 4
}

/// A token taken apart; nothing in it is proved yet.
pub struct Encrypted<'a> {
    /// The header as it was sent, which the cipher covers.
    covered: &'a [u8],
    kid: Option<String>,
    enc: ContentEncryption,
    key: SentKey,
    iv: [u8; IV_BYTES],
    content: Vec<u8>,
    tag: [u8; TAG_BYTES],
}

/// What the sender did to share the content's key.
enum SentKey {
    /// The key itself, encrypted.
    Rsa(Vec<u8>),
    /// An uncompressed point, and what both parties call themselves.
    Ecdh {
        point: Vec<u8>,
        apu: Vec<u8>,
        apv: Vec<u8>,
    },
}

/// Takes a token apart without decrypting any of it.
///
/// # Errors
/// [`JweDefect`], except for those that need a key.
pub fn split(token: &[u8]) -> Result<Encrypted<'_>, JweDefect> {
    if token.len() > MAX_TOKEN_BYTES {
        return Err(JweDefect::TooLong);
    }
    let mut parts = token.split(|byte| *byte == b'.');
    let (Some(covered), Some(key), Some(iv), Some(content), Some(tag), None) = (
        parts.next(),
        parts.next(),
        parts.next(),
        parts.next(),
        parts.next(),
        parts.next(),
    ) else {
        return Err(JweDefect::NotFiveParts);
    };
    if covered.len() > MAX_HEADER_BYTES {
        return Err(JweDefect::HeaderTooLong);
    }
    let header = strict_json::parse_object(&decode(covered)?, MAX_HEADER_BYTES)
        .map_err(JweDefect::HeaderJson)?;
    let (alg, enc) = algorithms(&header)?;
    let key = decode(key)?;
    let key = match alg {
        KeyManagement::RsaOaep256 => {
            if key.is_empty() || key.len() > MAX_ENCRYPTED_KEY_BYTES {
                return Err(JweDefect::PartLength);
            }
            SentKey::Rsa(key)
        }
        KeyManagement::EcdhEs => {
            // RFC 7518 §4.6: with direct agreement nothing is sent here.
            if !key.is_empty() {
                return Err(JweDefect::PartLength);
            }
            SentKey::Ecdh {
                point: ephemeral(&header)?,
                apu: party(&header, "apu")?,
                apv: party(&header, "apv")?,
            }
        }
    };
    Ok(Encrypted {
        covered,
        kid: text(&header, "kid")?.map(str::to_owned),
        enc,
        key,
        iv: decode(iv)?.try_into().map_err(|_| JweDefect::PartLength)?,
        content: decode(content)?,
        tag: decode(tag)?.try_into().map_err(|_| JweDefect::PartLength)?,
    })
}

fn decode(part: &[u8]) -> Result<Vec<u8>, JweDefect> {
    base64url::decode(part).map_err(|_| JweDefect::NotBase64url)
}

fn text<'a>(header: &'a Map<String, Value>, name: &str) -> Result<Option<&'a str>, JweDefect> {
    match header.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(JweDefect::HeaderMember),
    }
}

fn algorithms(
    header: &Map<String, Value>,
) -> Result<(KeyManagement, ContentEncryption), JweDefect> {
    if header.contains_key("crit") {
        return Err(JweDefect::CriticalHeader);
    }
    if header.contains_key("zip") {
        return Err(JweDefect::Compressed);
    }
    let alg = text(header, "alg")?.ok_or(JweDefect::HeaderMember)?;
    let enc = text(header, "enc")?.ok_or(JweDefect::HeaderMember)?;
    text(header, "typ")?;
    let alg = KeyManagement::ALL
        .into_iter()
        .find(|known| known.name() == alg);
    let enc = ContentEncryption::ALL
        .into_iter()
        .find(|known| known.name() == enc);
    let found = alg.zip(enc).ok_or(JweDefect::Algorithm)?;
    // RFC 7519 §5.2: for a nested JWT it must be there, in whatever case.
    if !text(header, "cty")?.is_some_and(|cty| cty.eq_ignore_ascii_case("JWT")) {
        return Err(JweDefect::NotNested);
    }
    Ok(found)
}

/// The sender's one-time key as an uncompressed point (SEC 1 §2.3.3); whether it is on the curve is
/// checked here, and again where it is used.
fn ephemeral(header: &Map<String, Value>) -> Result<Vec<u8>, JweDefect> {
    let Some(Value::Object(members)) = header.get("epk") else {
        return Err(JweDefect::HeaderMember);
    };
    let jwk = Jwk::from_members(members).map_err(JweDefect::EphemeralKey)?;
    match jwk.material() {
        Material::Ec {
            family: Family::P256,
            x,
            y,
        } => Ok([&[4], &x[..], &y[..]].concat()),
        _ => Err(JweDefect::EphemeralKey(JwkDefect::UnknownKeyType)),
    }
}

fn party(header: &Map<String, Value>, name: &str) -> Result<Vec<u8>, JweDefect> {
    match text(header, name)? {
        None => Ok(Vec::new()),
        Some(text) if text.len() > MAX_PARTY_BYTES => Err(JweDefect::HeaderMember),
        Some(text) => decode(text.as_bytes()),
    }
}

/// A private key that opens what was encrypted to its public half, in one way.
pub struct DecryptionKey {
    pair: Pair,
    public: Arc<EncryptionKey>,
}

enum Pair {
    Rsa(OaepPrivateDecryptingKey),
    P256(PrivateKey),
}

impl DecryptionKey {
    /// Loads a key from unencrypted PKCS#8 in PEM (`PRIVATE KEY`): RSA of 2048 bits and more, which
    /// opens `RSA-OAEP-256`, or EC on P-256, which opens `ECDH-ES`.
    ///
    /// # Errors
    /// [`KeyDefect::Pkcs8`], [`KeyDefect::Public`].
    pub fn from_pem(pem: &Secret) -> Result<Self, KeyDefect> {
        let Ok(PrivateKeyDer::Pkcs8(der)) = PrivateKeyDer::from_pem_slice(pem.expose()) else {
            return Err(KeyDefect::Pkcs8);
        };
        Self::from_pkcs8(&Secret::new(der.secret_pkcs8_der()))
    }

    /// The same from DER (RFC 5958).
    ///
    /// # Errors
    /// As [`DecryptionKey::from_pem`].
    pub fn from_pkcs8(pkcs8: &Secret) -> Result<Self, KeyDefect> {
        let der = pkcs8.expose();
        let (pair, public) = if let Ok(key) = PrivateDecryptingKey::from_pkcs8(der) {
            if key.key_size_bits() < MIN_RSA_BITS {
                return Err(KeyDefect::Public(JwkDefect::KeySize));
            }
            let public = key.public_key();
            let spki = public.as_der().map_err(|_| KeyDefect::Encode)?;
            let jwk = Jwk::from_spki_der(spki.as_ref()).map_err(KeyDefect::Public)?;
            let public = EncryptionKey::rsa(public, &jwk)?;
            let key = OaepPrivateDecryptingKey::new(key).map_err(|_| KeyDefect::Pkcs8)?;
            (Pair::Rsa(key), public)
        } else {
            let key = PrivateKey::from_private_key_der(&agreement::ECDH_P256, der)
                .map_err(|_| KeyDefect::Pkcs8)?;
            let point = key.compute_public_key().map_err(|_| KeyDefect::Pkcs8)?;
            let jwk = Jwk::from_point(Family::P256, point.as_ref()).map_err(KeyDefect::Public)?;
            (Pair::P256(key), EncryptionKey::p256(point.as_ref(), &jwk))
        };
        let public = Arc::new(public);
        Ok(Self { pair, public })
    }

    /// Its public half, which encrypts to it.
    pub fn public(&self) -> &Arc<EncryptionKey> {
        &self.public
    }

    /// The key's name: its RFC 7638 thumbprint.
    pub fn kid(&self) -> &str {
        self.public.kid()
    }

    /// Its one algorithm.
    pub fn alg(&self) -> KeyManagement {
        self.public.alg()
    }

    /// The content's key, and whether it is the one that was sent. If not, it is one that opens
    /// nothing, so that what follows takes as long.
    fn content_key(&self, sent: &SentKey, enc: ContentEncryption) -> Option<SharedKey> {
        let length = enc.cipher().key_len();
        match (&self.pair, sent) {
            (Pair::Rsa(key), SentKey::Rsa(encrypted)) => {
                let mut buffer = Zeroizing::new(vec![0; key.min_output_size()]);
                let plain = key.decrypt(&OAEP_SHA256_MGF1SHA256, encrypted, &mut buffer, None);
                Some(match plain {
                    Ok(plain) if plain.len() == length => SharedKey {
                        bytes: Zeroizing::new(plain.to_vec()),
                        sent: true,
                    },
                    _ => SharedKey {
                        bytes: Zeroizing::new(vec![0; length]),
                        sent: false,
                    },
                })
            }
            (Pair::P256(key), SentKey::Ecdh { point, apu, apv }) => {
                let peer = UnparsedPublicKey::new(&agreement::ECDH_P256, point);
                let bytes = agreement::agree(key, peer, (), |shared| {
                    Ok(concat_kdf(shared, enc, apu, apv))
                })
                .ok()?;
                Some(SharedKey { bytes, sent: true })
            }
            _ => None,
        }
    }
}

impl fmt::Debug for DecryptionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (alg, kid) = (self.alg().name(), self.kid());
        write!(f, "DecryptionKey({alg}, {kid}, ***)")
    }
}

struct SharedKey {
    bytes: Zeroizing<Vec<u8>>,
    sent: bool,
}

/// The one step of Concat KDF that a key of up to 256 bits takes (RFC 7518 §4.6.2).
fn concat_kdf(shared: &[u8], enc: ContentEncryption, apu: &[u8], apv: &[u8]) -> Zeroizing<Vec<u8>> {
    let length = enc.cipher().key_len();
    let counted = |bytes: &[u8]| {
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        [&length.to_be_bytes()[..], bytes].concat()
    };
    let bits = u32::try_from(length * 8).unwrap_or(u32::MAX);
    let round = Zeroizing::new(
        [
            &1_u32.to_be_bytes()[..],
            shared,
            &counted(enc.name().as_bytes()),
            &counted(apu),
            &counted(apv),
            &bits.to_be_bytes(),
        ]
        .concat(),
    );
    let digest = Zeroizing::new(sha256(&round));
    Zeroizing::new(digest[..length].to_vec())
}

impl Encrypted<'_> {
    /// The key's name: a map key and nothing else.
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// How it says that the content's key came about.
    pub fn alg(&self) -> KeyManagement {
        match &self.key {
            SentKey::Rsa(_) => KeyManagement::RsaOaep256,
            SentKey::Ecdh { .. } => KeyManagement::EcdhEs,
        }
    }

    /// How it says that the content is encrypted.
    pub fn enc(&self) -> ContentEncryption {
        self.enc
    }

    /// Opens it with `key`: the nested text, which is not verified.
    ///
    /// # Errors
    /// [`JweDefect::WrongAlgorithm`], [`JweDefect::Undecryptable`].
    pub fn open(&self, key: &DecryptionKey) -> Result<Secret, JweDefect> {
        if self.alg() != key.alg() {
            return Err(JweDefect::WrongAlgorithm);
        }
        let shared = key
            .content_key(&self.key, self.enc)
            .ok_or(JweDefect::Undecryptable)?;
        let cipher = UnboundKey::new(self.enc.cipher(), &shared.bytes)
            .map_err(|_| JweDefect::Undecryptable)?;
        let mut content = Zeroizing::new(self.content.clone());
        let nonce = Nonce::assume_unique_for_key(self.iv);
        let opened = LessSafeKey::new(cipher)
            .open_in_place_separate_tag(nonce, Aad::from(self.covered), &self.tag, &mut content)
            .is_ok();
        // A key that was not sent may be guessed, so what it opens counts for nothing.
        if opened & shared.sent {
            Ok(Secret::new(&content[..]))
        } else {
            Err(JweDefect::Undecryptable)
        }
    }
}

impl fmt::Debug for Encrypted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Encrypted")
            .field("alg", &self.alg())
            .field("enc", &self.enc)
            .field("kid", &self.kid)
            .finish_non_exhaustive()
    }
}

/// The keys of one receiver: one, or several while they are replaced.
#[derive(Debug)]
pub struct DecryptionKeys {
    keys: Vec<DecryptionKey>,
    version: u64,
}

impl DecryptionKeys {
    /// Keys: what is newly made is encrypted to the first. For opening their order says nothing.
    pub fn new(keys: Vec<DecryptionKey>) -> Self {
        let mut names: Vec<_> = keys.iter().map(DecryptionKey::kid).collect();
        names.sort_unstable();
        let digest = sha256(names.join(" ").as_bytes());
        let mut version = [0; 8];
        version.copy_from_slice(&digest[..8]);
        let version = u64::from_be_bytes(version);
        Self { keys, version }
    }

    /// A number that other keys don't have: what was opened with these is not known under others.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The same version without its keys: it opens nothing.
    #[must_use]
    pub fn shut(&self) -> Self {
        Self {
            keys: Vec::new(),
            version: self.version,
        }
    }

    /// The keys.
    pub fn all(&self) -> &[DecryptionKey] {
        &self.keys
    }

    /// The one of this name.
    pub fn named(&self, kid: &str) -> Option<&DecryptionKey> {
        self.keys.iter().find(|key| key.kid() == kid)
    }

    /// Opens a token: with the only key, or with the one of several that it names. The nested text is
    /// not verified.
    ///
    /// # Errors
    /// [`JweDefect`].
    pub fn open(&self, token: &[u8]) -> Result<Secret, JweDefect> {
        let encrypted = split(token)?;
        let key = match &self.keys[..] {
            // A name that its sender gave it is no reason to refuse what it opens.
            [only] => only,
            _ => encrypted
                .kid()
                .and_then(|kid| self.named(kid))
                .ok_or(JweDefect::NoKey)?,
        };
        encrypted.open(key)
    }
}

#[cfg(test)]
mod tests;
