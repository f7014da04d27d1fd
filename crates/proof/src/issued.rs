//! The one grammar of every secret that Doorward makes:
//!
//! ```text
//! <brand>_<kind>_<live|test>_<id 16><secret 43><crc 6>
//! ```
//!
//! Base62 with fixed widths; the secret holds 256 bits, the checksum is the CRC-32 of everything
//! before it. So scanners can find a leak by one public regex, a typing mistake costs no lookup,
//! and the id finds the record without hashing. The checksum is no defence: reading a text with
//! [`parse`] says what it claims to be, and a [`crate::password::Verifier`] says whether it is.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroizing;

use crate::{
    base62,
    random::{Entropy, random_base62},
    secret::Secret,
};

/// Digits of the id.
pub const ID_WIDTH: usize = 16;
const SECRET_WIDTH: usize = base62::WIDTH_256;
const CRC_WIDTH: usize = base62::WIDTH_32;
const BODY_WIDTH: usize = ID_WIDTH + SECRET_WIDTH + CRC_WIDTH;
/// `_kk_eeee_`, between brand and id.
const MIDDLE_WIDTH: usize = 9;

/// What a secret is for. Each kind authenticates at its own places only.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SecretKind {
    /// An API key that is kept secret.
    SecretKey,
    /// An API key that may stand in a web page or an app, with a low ceiling.
    PublishableKey,
    /// An OAuth client's secret.
    ClientSecret,
    /// A key to the admin API.
    AdminKey,
    /// A shared key for signed requests.
    HmacSecret,
    /// A shared key for webhooks.
    WebhookSecret,
    /// An OAuth refresh token.
    RefreshToken,
    /// An opaque access token.
    OpaqueToken,
    /// A token of client registration (RFC 7591 §1.2): an initial or a registration access token.
    RegistrationToken,
}

impl SecretKind {
    /// Every kind.
    pub const ALL: [Self; 9] = [
        Self::SecretKey,
        Self::PublishableKey,
        Self::ClientSecret,
        Self::AdminKey,
        Self::HmacSecret,
        Self::WebhookSecret,
        Self::RefreshToken,
        Self::OpaqueToken,
        Self::RegistrationToken,
    ];

    /// The two letters that stand in the text.
    pub const fn tag(self) -> &'static str {
        match self {
            Self::SecretKey => "sk",
            Self::PublishableKey => "pk",
            Self::ClientSecret => "cs",
            Self::AdminKey => "ak",
            Self::HmacSecret => "hs",
            Self::WebhookSecret => "wh",
            Self::RefreshToken => "rt",
            Self::OpaqueToken => "ot",
            Self::RegistrationToken => "rg",
        }
    }

    /// The kind of two letters.
    pub fn from_tag(tag: &[u8]) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.tag().as_bytes() == tag)
    }
}

/// The wall between real and trial use.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Environment {
    /// Real use.
    Live,
    /// Trial use; never reaches a live API.
    Test,
}

impl Environment {
    /// Both environments.
    pub const ALL: [Self; 2] = [Self::Live, Self::Test];

    /// `live` or `test`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Test => "test",
        }
    }

    /// The environment of a name.
    pub fn from_name(name: &[u8]) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|env| env.name().as_bytes() == name)
    }
}

impl fmt::Display for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The first part of every secret of one installation: 2 to 16 lower-case letters and digits.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct Brand(Box<str>);

/// The text is not 2 to 16 lower-case ASCII letters and digits.
#[derive(Copy, Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a brand is 2 to 16 lower-case letters and digits")]
pub struct BadBrand;

impl Brand {
    /// Checks the text.
    ///
    /// # Errors
    /// [`BadBrand`].
    pub fn new(text: &str) -> Result<Self, BadBrand> {
        let clean = text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        if clean && (2..=16).contains(&text.len()) {
            Ok(Self(text.into()))
        } else {
            Err(BadBrand)
        }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for Brand {
    fn default() -> Self {
        Self("dw".into())
    }
}

impl<'de> Deserialize<'de> for Brand {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::new(&text).map_err(serde::de::Error::custom)
    }
}

/// The public id inside a secret: 16 base62 digits (95 bits), by which its record is found.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId([u8; ID_WIDTH]);

impl KeyId {
    /// A fresh random id.
    pub fn generate(entropy: &dyn Entropy) -> Self {
        Self::parse(random_base62(ID_WIDTH, entropy).as_bytes())
            .expect("16 base62 digits were drawn")
    }

    /// Reads exactly 16 base62 digits.
    pub fn parse(text: impl AsRef<[u8]>) -> Option<Self> {
        let id: [u8; ID_WIDTH] = text.as_ref().try_into().ok()?;
        base62::is_base62(&id).then_some(Self(id))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("base62 digits are ASCII")
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({self})")
    }
}

impl Serialize for KeyId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for KeyId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| serde::de::Error::custom("a key id is 16 base62 digits"))
    }
}

/// The public name of a signing key on the wire: `DWAK` and the 16 digits of its [`KeyId`]. It is
/// what SigV4 calls the access key id and what other schemes call `keyid`; it is no secret.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SigningKeyId(KeyId);

impl SigningKeyId {
    /// What every one begins with, whatever the brand: signers know access key ids by length and
    /// alphabet.
    pub const PREFIX: &'static str = "DWAK";
    /// Characters in all.
    pub const WIDTH: usize = Self::PREFIX.len() + ID_WIDTH;

    /// The name of the key with this id.
    pub const fn new(id: KeyId) -> Self {
        Self(id)
    }

    /// Reads exactly the prefix and 16 base62 digits.
    pub fn parse(text: impl AsRef<[u8]>) -> Option<Self> {
        text.as_ref()
            .strip_prefix(Self::PREFIX.as_bytes())
            .and_then(KeyId::parse)
            .map(Self)
    }

    /// The id within our grammar, which the key's secrets carry too.
    pub const fn key_id(self) -> KeyId {
        self.0
    }
}

impl fmt::Display for SigningKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", Self::PREFIX, self.0)
    }
}

impl fmt::Debug for SigningKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKeyId({self})")
    }
}

/// A secret that was just made. It is shown once; what is stored is a verifier of its
/// whole text.
pub struct Issued {
    /// What it is for.
    pub kind: SecretKind,
    /// Live or test.
    pub environment: Environment,
    /// How its record is found.
    pub id: KeyId,
    /// The whole text, brand to checksum.
    pub secret: Secret,
    brand: Brand,
}

impl Issued {
    /// Makes a fresh secret with a fresh id.
    pub fn generate(
        brand: &Brand,
        kind: SecretKind,
        environment: Environment,
        entropy: &dyn Entropy,
    ) -> Self {
        Self::generate_with_id(brand, kind, environment, KeyId::generate(entropy), entropy)
    }

    /// Makes a fresh secret for an id that exists already (rotation of a client's secret).
    pub fn generate_with_id(
        brand: &Brand,
        kind: SecretKind,
        environment: Environment,
        id: KeyId,
        entropy: &dyn Entropy,
    ) -> Self {
        let mut number = Zeroizing::new([0u8; 32]);
        entropy.fill(&mut *number);
        let digits = Zeroizing::new(base62::encode_256(&number));

        // Room for the whole, so that growing leaves no unwiped copy behind.
        let mut text = Vec::with_capacity(brand.0.len() + MIDDLE_WIDTH + BODY_WIDTH);
        text.extend_from_slice(prefix(brand, kind, environment).as_bytes());
        text.extend_from_slice(&id.0);
        text.extend_from_slice(&*digits);
        let crc = base62::encode_32(crc32fast::hash(&text));
        text.extend_from_slice(&crc);
        Self {
            kind,
            environment,
            id,
            secret: Secret::new(text),
            brand: brand.clone(),
        }
    }

    /// The whole text in clear, to be shown once.
    pub fn text(&self) -> &str {
        self.secret.expose_text().expect("the grammar is ASCII")
    }

    /// The part that may be kept and shown for ever: everything up to the id's fourth digit, and
    /// an ellipsis.
    pub fn display_prefix(&self) -> String {
        display_prefix(&self.brand, self.kind, self.environment, self.id)
    }
}

impl fmt::Debug for Issued {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Issued({}***)", self.display_prefix())
    }
}

fn prefix(brand: &Brand, kind: SecretKind, environment: Environment) -> String {
    format!("{}_{}_{}_", brand.0, kind.tag(), environment.name())
}

/// The part of a secret that may be shown, from its public parts.
pub fn display_prefix(
    brand: &Brand,
    kind: SecretKind,
    environment: Environment,
    id: KeyId,
) -> String {
    format!("{}{}…", prefix(brand, kind, environment), &id.as_str()[..4])
}

/// A text that has the form of a secret of ours. Nothing says yet that it is genuine.
#[derive(Copy, Clone)]
pub struct Presented<'a> {
    /// What it claims to be for.
    pub kind: SecretKind,
    /// Where it claims to belong.
    pub environment: Environment,
    /// How to find its record.
    pub id: KeyId,
    /// The 43 digits of the secret part.
    pub secret: &'a [u8],
    /// The whole text, which is what verifiers cover.
    pub whole: &'a [u8],
}

impl fmt::Debug for Presented<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Presented")
            .field("kind", &self.kind)
            .field("environment", &self.environment)
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// Why a text is not a secret of ours.
#[derive(Copy, Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// It does not begin with our brand and an underscore.
    #[error("does not begin with the brand")]
    NotOurs,
    /// It has another length than every secret has.
    #[error("has the wrong length")]
    WrongLength,
    /// The two letters name no kind.
    #[error("names an unknown kind")]
    UnknownKind,
    /// Neither `live` nor `test`.
    #[error("names an unknown environment")]
    UnknownEnvironment,
    /// A byte outside base62 in id, secret or checksum.
    #[error("contains a character outside base62")]
    WrongAlphabet,
    /// The checksum is another: a typing mistake or a cut.
    #[error("has a wrong checksum")]
    Checksum,
}

impl Malformed {
    /// Stable kebab-case code for logs.
    pub const fn code(self) -> &'static str {
        match self {
            Self::NotOurs => "secret-not-ours",
            Self::WrongLength => "secret-wrong-length",
            Self::UnknownKind => "secret-unknown-kind",
            Self::UnknownEnvironment => "secret-unknown-environment",
            Self::WrongAlphabet => "secret-wrong-alphabet",
            Self::Checksum => "secret-checksum",
        }
    }
}

/// Reads a presented text. Allocates nothing.
///
/// # Errors
/// The first [`Malformed`] found, in the order they are declared.
pub fn parse<'a>(text: &'a [u8], brand: &Brand) -> Result<Presented<'a>, Malformed> {
    let rest = text
        .strip_prefix(brand.0.as_bytes())
        .filter(|rest| rest.starts_with(b"_"))
        .ok_or(Malformed::NotOurs)?;
    if rest.len() != MIDDLE_WIDTH + BODY_WIDTH {
        return Err(Malformed::WrongLength);
    }
    let (middle, body) = rest.split_at(MIDDLE_WIDTH);
    let kind = Some(&middle[1..3])
        .filter(|_| middle[3] == b'_')
        .and_then(SecretKind::from_tag)
        .ok_or(Malformed::UnknownKind)?;
    let environment = Some(&middle[4..8])
        .filter(|_| middle[8] == b'_')
        .and_then(Environment::from_name)
        .ok_or(Malformed::UnknownEnvironment)?;
    if !base62::is_base62(body) {
        return Err(Malformed::WrongAlphabet);
    }
    let (covered, crc) = text.split_at(text.len() - CRC_WIDTH);
    if crc != base62::encode_32(crc32fast::hash(covered)) {
        return Err(Malformed::Checksum);
    }
    Ok(Presented {
        kind,
        environment,
        id: KeyId::parse(&body[..ID_WIDTH]).ok_or(Malformed::WrongAlphabet)?,
        secret: &body[ID_WIDTH..ID_WIDTH + SECRET_WIDTH],
        whole: text,
    })
}

/// The public, stable regular expression that finds every secret of a brand, for scanners.
/// A hit is confirmed by its checksum with [`parse`].
pub fn pattern(brand: &Brand) -> String {
    let kinds = SecretKind::ALL.map(SecretKind::tag).join("|");
    format!(
        r"\b{}_(?:{kinds})_(?:live|test)_[0-9A-Za-z]{{{BODY_WIDTH}}}\b",
        brand.0
    )
}

#[cfg(test)]
mod tests;
