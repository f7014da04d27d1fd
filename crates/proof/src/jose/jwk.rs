//! Public keys as JSON (RFC 7517, RFC 7518 §6, RFC 8037) and sets of them. It takes public keys
//! for signatures only: private members, keys for encryption, short RSA keys and points off the
//! curve are refused.

use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use crate::{
    base64url,
    digest::sha256,
    jose::{
        alg::{Algorithm, Family},
        der,
        verifying::VerifyingKey,
    },
    strict_json::{self, JsonDefect},
};

mod set;
pub use set::{JwkSet, MAX_JWKS_BYTES, MAX_KEYS};

/// Longest text of one key.
pub const MAX_JWK_BYTES: usize = 16 * 1024;
/// Longest `kid`.
pub const MAX_KID_BYTES: usize = 256;

/// Private members of any key type (RFC 7518 §6.2.2, §6.3.2, §6.4.1).
const PRIVATE_MEMBERS: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

/// A public key for signatures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Jwk {
    material: Material,
    kid: Option<String>,
    alg: Option<Algorithm>,
}

/// The numbers of a public key, big-endian.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Material {
    /// A point; both coordinates have the curve's width.
    Ec {
        family: Family,
        x: Vec<u8>,
        y: Vec<u8>,
    },
    /// An Ed25519 point.
    Okp { x: Vec<u8> },
    /// Modulus and exponent without leading zeros.
    Rsa { n: Vec<u8>, e: Vec<u8> },
}

/// Why a key or a set can't be used.
#[derive(Copy, Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JwkDefect {
    /// The text is no strict JSON object.
    #[error("key is not strict JSON: {0}")]
    Json(JsonDefect),
    /// `kty` or `crv` names something else.
    #[error("key type is not supported")]
    UnknownKeyType,
    /// A member is missing or has the wrong type.
    #[error("a member of the key is missing or has the wrong type")]
    Member,
    /// A member of a private or symmetric key is present.
    #[error("key carries private members")]
    PrivateMember,
    /// `use` or `key_ops` say that it is not for verifying signatures.
    #[error("key is not for verifying signatures")]
    NotForSignatures,
    /// `alg` is not supported, or does not fit the key type.
    #[error("key is for another algorithm")]
    Algorithm,
    /// No allowed algorithm fits this key.
    #[error("no allowed algorithm fits the key")]
    NotAllowed,
    /// RSA below 2048 or above 8192 bits.
    #[error("RSA key size is out of bounds")]
    KeySize,
    /// The numbers are no valid public key.
    #[error("key material is not valid")]
    Material,
    /// Not a SubjectPublicKeyInfo in DER or PEM.
    #[error("not a public key in DER or PEM")]
    Encoding,
    /// More than [`MAX_KEYS`].
    #[error("key set has too many keys")]
    TooManyKeys,
}

impl JwkDefect {
    /// Stable kebab-case code for logs.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Json(defect) => defect.code(),
            Self::UnknownKeyType => "jwk-unknown-key-type",
            Self::Member => "jwk-member",
            Self::PrivateMember => "jwk-private-member",
            Self::NotForSignatures => "jwk-not-for-signatures",
            Self::Algorithm => "jwk-algorithm",
            Self::NotAllowed => "jwk-not-allowed",
            Self::KeySize => "jwk-key-size",
            Self::Material => "jwk-material",
            Self::Encoding => "jwk-encoding",
            Self::TooManyKeys => "jwks-too-many-keys",
        }
    }
}

impl Jwk {
    /// Reads one public key.
    ///
    /// # Errors
    /// [`JwkDefect`].
    pub fn parse_public(json: &[u8]) -> Result<Self, JwkDefect> {
        let members = strict_json::parse_object(json, MAX_JWK_BYTES).map_err(JwkDefect::Json)?;
        Self::from_members(&members)
    }

    /// Reads one public key from members that were parsed strictly before.
    ///
    /// # Errors
    /// [`JwkDefect`].
    pub fn from_members(members: &Map<String, Value>) -> Result<Self, JwkDefect> {
        if PRIVATE_MEMBERS
            .iter()
            .any(|name| members.contains_key(*name))
        {
            return Err(JwkDefect::PrivateMember);
        }
        let crv = || required(members, "crv");
        let material = match required(members, "kty")? {
            "EC" => Material::Ec {
                family: match crv()? {
                    "P-256" => Family::P256,
                    "P-384" => Family::P384,
                    _ => return Err(JwkDefect::UnknownKeyType),
                },
                x: bytes(members, "x")?,
                y: bytes(members, "y")?,
            },
            "OKP" if crv()? == "Ed25519" => Material::Okp {
                x: bytes(members, "x")?,
            },
            "RSA" => Material::Rsa {
                n: bytes(members, "n")?,
                e: bytes(members, "e")?,
            },
            _ => return Err(JwkDefect::UnknownKeyType),
        };
        if optional(members, "use")?.is_some_and(|usage| usage != "sig") {
            return Err(JwkDefect::NotForSignatures);
        }
        match members.get("key_ops") {
            None => {}
            Some(Value::Array(ops)) if ops.iter().any(|op| op == "verify") => {}
            Some(_) => return Err(JwkDefect::NotForSignatures),
        }
        let kid = optional(members, "kid")?.map(str::to_owned);
        if kid.as_ref().is_some_and(|kid| kid.len() > MAX_KID_BYTES) {
            return Err(JwkDefect::Member);
        }
        let alg = match optional(members, "alg")? {
            None => None,
            Some(name) => Some(Algorithm::from_name(name).ok_or(JwkDefect::Algorithm)?),
        };
        Self::new(material, kid, alg)
    }

    /// Reads a SubjectPublicKeyInfo in DER (RFC 5280 §4.1.2.7).
    ///
    /// # Errors
    /// [`JwkDefect`].
    pub fn from_spki_der(spki: &[u8]) -> Result<Self, JwkDefect> {
        /// Object identifiers: content bytes, and whole encoded elements for parameters.
        const EC_PUBLIC_KEY: &[u8] = b"\x2a\x86\x48\xce\x3d\x02\x01";
        const ED25519: &[u8] = b"\x2b\x65\x70";
        const RSA_ENCRYPTION: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01";
        const PRIME256V1: &[u8] = b"\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07";
        const SECP384R1: &[u8] = b"\x06\x05\x2b\x81\x04\x00\x22";
        const NULL: &[u8] = b"\x05\x00";

        let info = der::subject_public_key_info(spki).map_err(|_| JwkDefect::Encoding)?;
        let material = match (info.algorithm, info.parameters) {
            (EC_PUBLIC_KEY, PRIME256V1) => point(Family::P256, info.key)?,
            (EC_PUBLIC_KEY, SECP384R1) => point(Family::P384, info.key)?,
            (ED25519, []) => Material::Okp {
                x: info.key.to_vec(),
            },
            (RSA_ENCRYPTION, NULL) => {
                let (n, e) = der::rsa_public_key(info.key).map_err(|_| JwkDefect::Encoding)?;
                Material::Rsa {
                    n: n.to_vec(),
                    e: e.to_vec(),
                }
            }
            _ => return Err(JwkDefect::UnknownKeyType),
        };
        Self::new(material, None, None)
    }

    /// Reads one PEM block `PUBLIC KEY` (RFC 7468 §13).
    ///
    /// # Errors
    /// [`JwkDefect`].
    pub fn from_spki_pem(pem: &str) -> Result<Self, JwkDefect> {
        if pem.len() > MAX_JWK_BYTES {
            return Err(JwkDefect::Encoding);
        }
        Self::from_spki_der(&der::public_key_pem(pem).map_err(|_| JwkDefect::Encoding)?)
    }

    fn new(
        material: Material,
        kid: Option<String>,
        alg: Option<Algorithm>,
    ) -> Result<Self, JwkDefect> {
        check(&material)?;
        let jwk = Self { material, kid, alg };
        if alg.is_some_and(|alg| alg.family() != jwk.family()) {
            return Err(JwkDefect::Algorithm);
        }
        Ok(jwk)
    }

    /// An elliptic-curve key from its uncompressed point (SEC 1 §2.3.3).
    pub(crate) fn from_point(family: Family, octets: &[u8]) -> Result<Self, JwkDefect> {
        Self::new(point(family, octets)?, None, None)
    }

    /// An Ed25519 key from its 32 bytes.
    pub(crate) fn from_ed25519(octets: &[u8]) -> Result<Self, JwkDefect> {
        Self::new(Material::Okp { x: octets.to_vec() }, None, None)
    }

    /// An RSA key from an RSAPublicKey (RFC 8017 §A.1.1).
    pub(crate) fn from_rsa_der(octets: &[u8]) -> Result<Self, JwkDefect> {
        let (n, e) = der::rsa_public_key(octets).map_err(|_| JwkDefect::Encoding)?;
        Self::new(
            Material::Rsa {
                n: n.to_vec(),
                e: e.to_vec(),
            },
            None,
            None,
        )
    }

    /// This key under another name.
    #[must_use]
    pub fn with_kid(self, kid: impl Into<String>) -> Self {
        Self {
            kid: Some(kid.into()),
            ..self
        }
    }

    /// This key, for one algorithm only.
    ///
    /// # Errors
    /// [`JwkDefect::Algorithm`] if the key type does not fit.
    pub fn with_alg(self, alg: Algorithm) -> Result<Self, JwkDefect> {
        if alg.family() != self.family() {
            return Err(JwkDefect::Algorithm);
        }
        Ok(Self {
            alg: Some(alg),
            ..self
        })
    }

    /// The key's name in its set (RFC 7517 §4.5).
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// The one algorithm it says it is for (RFC 7517 §4.4).
    pub fn alg(&self) -> Option<Algorithm> {
        self.alg
    }

    /// Its key type.
    pub fn family(&self) -> Family {
        match &self.material {
            Material::Ec { family, .. } => *family,
            Material::Okp { .. } => Family::Ed25519,
            Material::Rsa { .. } => Family::Rsa,
        }
    }

    pub(crate) fn material(&self) -> &Material {
        &self.material
    }

    /// The key's SHA-256 thumbprint in base64url (RFC 7638 §3).
    pub fn thumbprint(&self) -> String {
        // Members in the order of their names, as RFC 7638 §3.2 asks; no value needs escaping.
        let b64 = |bytes: &[u8]| base64url::encode(bytes);
        let text = match &self.material {
            Material::Ec { family, x, y } => {
                format!(
                    r#"{{"crv":"{}","kty":"EC","x":"{}","y":"{}"}}"#,
                    crv(*family),
                    b64(x),
                    b64(y)
                )
            }
            Material::Okp { x } => format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, b64(x)),
            Material::Rsa { n, e } => {
                format!(r#"{{"e":"{}","kty":"RSA","n":"{}"}}"#, b64(e), b64(n))
            }
        };
        base64url::encode(&sha256(text.as_bytes()))
    }

    /// The key prepared for each allowed algorithm that it may be used with: its own `alg` if it
    /// names one, else every allowed one of its family. Each result is pinned to one algorithm.
    ///
    /// # Errors
    /// [`JwkDefect::NotAllowed`] if none is left.
    pub fn verifying_keys(&self, allowed: &[Algorithm]) -> Result<Vec<VerifyingKey>, JwkDefect> {
        let keys = Algorithm::ALL
            .into_iter()
            .filter(|alg| allowed.contains(alg) && alg.family() == self.family())
            .filter(|alg| self.alg.is_none_or(|own| own == *alg))
            .map(|alg| VerifyingKey::new(self, alg))
            .collect::<Result<Vec<_>, _>>()?;
        if keys.is_empty() {
            return Err(JwkDefect::NotAllowed);
        }
        Ok(keys)
    }

    /// The members, with `use` = `sig`.
    pub fn to_json(&self) -> Value {
        let mut members = Map::new();
        let mut put =
            |name: &str, text: String| members.insert(name.to_owned(), Value::String(text));
        match &self.material {
            Material::Ec { family, x, y } => {
                put("kty", "EC".into());
                put("crv", crv(*family).into());
                put("x", base64url::encode(x));
                put("y", base64url::encode(y));
            }
            Material::Okp { x } => {
                put("kty", "OKP".into());
                put("crv", "Ed25519".into());
                put("x", base64url::encode(x));
            }
            Material::Rsa { n, e } => {
                put("kty", "RSA".into());
                put("n", base64url::encode(n));
                put("e", base64url::encode(e));
            }
        }
        put("use", "sig".into());
        if let Some(kid) = &self.kid {
            put("kid", kid.clone());
        }
        if let Some(alg) = self.alg {
            put("alg", alg.name().into());
        }
        Value::Object(members)
    }
}

impl Serialize for Jwk {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_json().serialize(serializer)
    }
}

const fn crv(family: Family) -> &'static str {
    match family {
        Family::P256 => "P-256",
        Family::P384 => "P-384",
        Family::Ed25519 => "Ed25519",
        Family::Rsa => "",
    }
}

fn point(family: Family, octets: &[u8]) -> Result<Material, JwkDefect> {
    // Uncompressed only: RFC 5480 §2.2 lets us refuse compressed points.
    match octets {
        [4, xy @ ..] if xy.len().is_multiple_of(2) => {
            let (x, y) = xy.split_at(xy.len() / 2);
            Ok(Material::Ec {
                family,
                x: x.to_vec(),
                y: y.to_vec(),
            })
        }
        _ => Err(JwkDefect::Material),
    }
}

/// Widths and sizes; whether a point is on its curve is found when the key is prepared.
fn check(material: &Material) -> Result<(), JwkDefect> {
    match material {
        Material::Ec { family, x, y } => {
            let width = if *family == Family::P256 { 32 } else { 48 };
            if x.len() != width || y.len() != width {
                return Err(JwkDefect::Material);
            }
        }
        Material::Okp { x } => {
            if x.len() != 32 {
                return Err(JwkDefect::Material);
            }
        }
        Material::Rsa { n, e } => {
            // RFC 7518 §2: Base64urlUInt has no leading zero bytes.
            let (Some(&top), Some(&e_top), Some(&e_low)) = (n.first(), e.first(), e.last()) else {
                return Err(JwkDefect::Material);
            };
            if top == 0 || e_top == 0 || e_low & 1 == 0 || e.len() > 4 || e.as_slice() == [1] {
                return Err(JwkDefect::Material);
            }
            let bits = n.len() * 8 - top.leading_zeros() as usize;
            if !(2048..=8192).contains(&bits) {
                return Err(JwkDefect::KeySize);
            }
        }
    }
    crate::jose::verifying::prepare_any(material).map(|_| ())
}

fn optional<'a>(members: &'a Map<String, Value>, name: &str) -> Result<Option<&'a str>, JwkDefect> {
    match members.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(JwkDefect::Member),
    }
}

fn required<'a>(members: &'a Map<String, Value>, name: &str) -> Result<&'a str, JwkDefect> {
    optional(members, name)?.ok_or(JwkDefect::Member)
}

fn bytes(members: &Map<String, Value>, name: &str) -> Result<Vec<u8>, JwkDefect> {
    base64url::decode(required(members, name)?.as_bytes()).map_err(|_| JwkDefect::Member)
}

#[cfg(test)]
mod tests;
