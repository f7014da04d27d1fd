//! The public half of a key: what encrypts a signed JWT to it (RFC 7516 §5.1), so that its holder
//! alone reads it. What comes out always names the key, and is never longer than what is read here.

use std::fmt;

use aws_lc_rs::{
    aead::{Aad, LessSafeKey, Nonce, UnboundKey},
    agreement::{self, EphemeralPrivateKey, UnparsedPublicKey},
    rand::{self, SystemRandom},
    rsa::{OAEP_SHA256_MGF1SHA256, OaepPublicEncryptingKey, PublicEncryptingKey},
};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::{ContentEncryption, IV_BYTES, KeyManagement, MAX_TOKEN_BYTES, concat_kdf};
use crate::{
    base64url,
    jose::{jwk::Jwk, key::KeyDefect},
};

/// Why a text can't be encrypted.
#[derive(Copy, Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncryptDefect {
    /// It would become longer than [`MAX_TOKEN_BYTES`], which nobody here would read.
    #[error("the encrypted token would be too long")]
    TooLong,
    /// The provider of cryptography has no randomness or no memory.
    #[error("the provider of cryptography failed")]
    Provider,
}

/// A public key that encrypts in one way, the one of its type.
pub struct EncryptionKey {
    half: Half,
    kid: String,
}

enum Half {
    Rsa(OaepPublicEncryptingKey),
    /// An uncompressed point (SEC 1 §2.3.3).
    P256(Vec<u8>),
}

impl EncryptionKey {
    pub(super) fn rsa(key: PublicEncryptingKey, jwk: &Jwk) -> Result<Self, KeyDefect> {
        let key = OaepPublicEncryptingKey::new(key).map_err(|_| KeyDefect::Encode)?;
        Ok(Self {
            half: Half::Rsa(key),
            kid: jwk.thumbprint(),
        })
    }

    pub(super) fn p256(point: &[u8], jwk: &Jwk) -> Self {
        Self {
            half: Half::P256(point.to_vec()),
            kid: jwk.thumbprint(),
        }
    }

    /// The key's name: its RFC 7638 thumbprint.
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// Its one algorithm.
    pub fn alg(&self) -> KeyManagement {
        match &self.half {
            Half::Rsa(_) => KeyManagement::RsaOaep256,
            Half::P256(_) => KeyManagement::EcdhEs,
        }
    }

    /// Encrypts a signed JWT, with its `typ` repeated outside (RFC 8725 §3.11): who decides by the
    /// type what a text is need not open it for that.
    ///
    /// # Errors
    /// [`EncryptDefect`].
    pub fn encrypt(
        &self,
        jwt: &str,
        typ: &str,
        enc: ContentEncryption,
    ) -> Result<String, EncryptDefect> {
        self.seal(jwt, &json!({ "typ": typ, "kid": self.kid }), enc)
    }

    /// The same with other members in the header.
    pub(super) fn seal(
        &self,
        jwt: &str,
        members: &Value,
        enc: ContentEncryption,
    ) -> Result<String, EncryptDefect> {
        if jwt.len() > MAX_TOKEN_BYTES {
            return Err(EncryptDefect::TooLong);
        }
        let text = self
            .sealed(jwt, members.clone(), enc)
            .ok_or(EncryptDefect::Provider)?;
        if text.len() > MAX_TOKEN_BYTES {
            return Err(EncryptDefect::TooLong);
        }
        Ok(text)
    }

    fn sealed(&self, jwt: &str, mut header: Value, enc: ContentEncryption) -> Option<String> {
        header["alg"] = self.alg().name().into();
        header["enc"] = enc.name().into();
        // RFC 7519 §5.2: what is within is a JWT once more.
        header["cty"] = "JWT".into();
        let (content_key, sent) = match &self.half {
            Half::Rsa(public) => {
                let mut key = Zeroizing::new(vec![0; enc.cipher().key_len()]);
                rand::fill(&mut key).ok()?;
                let mut sent = vec![0; public.ciphertext_size()];
                let sent = public
                    .encrypt(&OAEP_SHA256_MGF1SHA256, &key, &mut sent, None)
                    .ok()?;
                (key, base64url::encode(sent))
            }
            Half::P256(own) => {
                // RFC 7518 §4.6: a new key for each token.
                let random = SystemRandom::new();
                let once = EphemeralPrivateKey::generate(&agreement::ECDH_P256, &random).ok()?;
                let point = once.compute_public_key().ok()?;
                let (x, y) = point.as_ref().get(1..)?.split_at_checked(32)?;
                header["epk"] = json!({
                    "kty": "EC", "crv": "P-256",
                    "x": base64url::encode(x), "y": base64url::encode(y),
                });
                let peer = UnparsedPublicKey::new(&agreement::ECDH_P256, own);
                let key = agreement::agree_ephemeral(once, peer, (), |shared| {
                    Ok(concat_kdf(shared, enc, b"", b""))
                })
                .ok()?;
                (key, String::new())
            }
        };
        let covered = base64url::encode(header.to_string().as_bytes());
        let mut iv = [0; IV_BYTES];
        rand::fill(&mut iv).ok()?;
        let cipher = LessSafeKey::new(UnboundKey::new(enc.cipher(), &content_key).ok()?);
        let mut content = jwt.as_bytes().to_vec();
        let nonce = Nonce::assume_unique_for_key(iv);
        let tag = cipher
            .seal_in_place_separate_tag(nonce, Aad::from(covered.as_bytes()), &mut content)
            .ok()?;
        let [iv, content, tag] = [&iv, &content[..], tag.as_ref()].map(base64url::encode);
        Some([covered, sent, iv, content, tag].join("."))
    }
}

impl fmt::Debug for EncryptionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EncryptionKey({}, {})", self.alg().name(), self.kid)
    }
}
