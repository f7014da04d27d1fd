//! PASETO version 4 as a token format: `v4.public` (signed with Ed25519) and `v4.local` (encrypted
//! for whoever holds the key). The purpose is the key's: a public key never opens a local token,
//! and what a token says of itself decides nothing. Claims end in the same structure and are judged
//! by the same rules as a JWT's; the one difference in writing is that times are RFC 3339 text.
//!
//! [`split`] reads the form and the key's id in the footer, unverified; [`Claimed::open`] verifies
//! or decrypts; [`check`] judges the claims. Other versions, and purposes that wrap keys, don't
//! exist here.
//!
//! Sources: PASETO specification, version 4; PASERK specification.

use pasetors::{
    keys::SymmetricKey,
    token::UntrustedToken,
    version4::{LocalToken, V4},
};
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use crate::{
    base64url, calendar,
    jose::{
        alg::Algorithm,
        jwt::{self, Claims, JwtDefect},
        key::SigningKey,
    },
    strict_json,
    time::Timestamp,
};

mod paserk;

pub use paserk::{IssuingKey, Key, KeyDefect, LocalKey, public_id, public_paserk};

/// Longest token.
pub const MAX_TOKEN_BYTES: usize = 16 * 1024;
/// Longest footer, decoded.
pub const MAX_FOOTER_BYTES: usize = 1024;
/// Longest id of a key in a footer.
pub const MAX_KEY_ID_BYTES: usize = 256;

/// What a token is for.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// `v4.public`: everyone may read, one may write.
    Public,
    /// `v4.local`: who may read may write.
    Local,
}

impl Purpose {
    /// Every purpose.
    pub const ALL: [Self; 2] = [Self::Public, Self::Local];

    /// The first two parts of a token.
    pub const fn header(self) -> &'static str {
        match self {
            Self::Public => "v4.public.",
            Self::Local => "v4.local.",
        }
    }
}

/// Why a token is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PasetoDefect {
    /// Longer than [`MAX_TOKEN_BYTES`], or its footer longer than [`MAX_FOOTER_BYTES`].
    #[error("token is too long")]
    TooLong,
    /// It is not a version 4 token, or not canonical base64url.
    #[error("not a PASETO of version 4")]
    Form,
    /// The footer's `kid` is not usable.
    #[error("key id in the footer is not usable")]
    KeyId,
    /// The key is for tokens of the other purpose.
    #[error("key is for tokens of another purpose")]
    WrongPurpose,
    /// The signature or the encryption is not the key's.
    #[error("token is not of this key")]
    Forged,
    /// Its claims can't be read, or are not accepted.
    #[error("{0}")]
    Claims(JwtDefect),
}

impl PasetoDefect {
    /// Stable kebab-case code for logs.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::TooLong => "paseto-too-long",
            Self::Form => "paseto-form",
            Self::KeyId => "paseto-key-id",
            Self::WrongPurpose => "paseto-wrong-purpose",
            Self::Forged => "paseto-forged",
            Self::Claims(defect) => defect.code(),
        }
    }
}

/// A token that was read. Nothing of it is verified.
#[derive(Clone, Debug)]
pub struct Claimed<'a> {
    token: &'a str,
    purpose: Purpose,
    message: Vec<u8>,
    footer: Vec<u8>,
    key_id: Option<String>,
}

/// The content of a token whose key was right. Only [`Claimed::open`] makes one.
#[derive(Debug)]
pub struct Payload {
    bytes: Zeroizing<Vec<u8>>,
    footer: Vec<u8>,
}

/// Whether a text looks like a token of this version: it says so itself.
pub fn looks_like(token: &[u8]) -> bool {
    Purpose::ALL
        .iter()
        .any(|purpose| token.starts_with(purpose.header().as_bytes()))
}

/// Reads a token's form.
///
/// # Errors
/// [`PasetoDefect::TooLong`], [`PasetoDefect::Form`], [`PasetoDefect::KeyId`].
pub fn split(token: &[u8]) -> Result<Claimed<'_>, PasetoDefect> {
    if token.len() > MAX_TOKEN_BYTES {
        return Err(PasetoDefect::TooLong);
    }
    let token = std::str::from_utf8(token).map_err(|_| PasetoDefect::Form)?;
    let (purpose, rest) = Purpose::ALL
        .into_iter()
        .find_map(|purpose| Some((purpose, token.strip_prefix(purpose.header())?)))
        .ok_or(PasetoDefect::Form)?;
    let (message, footer) = match rest.split_once('.') {
        // An empty footer is written by leaving it out, with its full stop.
        Some((_, "")) => return Err(PasetoDefect::Form),
        Some((message, footer)) => (message, footer),
        None => (rest, ""),
    };
    let decoded = |text: &str| base64url::decode(text.as_bytes()).map_err(|_| PasetoDefect::Form);
    let (message, footer) = (decoded(message)?, decoded(footer)?);
    if footer.len() > MAX_FOOTER_BYTES {
        return Err(PasetoDefect::TooLong);
    }
    // A signature, or nonce and tag, and at least one byte between.
    if message.len() <= 64 {
        return Err(PasetoDefect::Form);
    }
    Ok(Claimed {
        token,
        purpose,
        key_id: key_id(&footer)?,
        message,
        footer,
    })
}

/// The `kid` of a footer that is a JSON object; a footer may be anything else too.
fn key_id(footer: &[u8]) -> Result<Option<String>, PasetoDefect> {
    if !footer.starts_with(b"{") {
        return Ok(None);
    }
    let members = strict_json::parse_object(footer, MAX_FOOTER_BYTES);
    match members.map_err(|_| PasetoDefect::KeyId)?.remove("kid") {
        None => Ok(None),
        Some(Value::String(id)) if (1..=MAX_KEY_ID_BYTES).contains(&id.len()) => Ok(Some(id)),
        Some(_) => Err(PasetoDefect::KeyId),
    }
}

impl Claimed<'_> {
    /// What it says to be for.
    pub fn purpose(&self) -> Purpose {
        self.purpose
    }

    /// The id under which the key is to be looked up, if the footer names one.
    pub fn key_id(&self) -> Option<&str> {
        self.key_id.as_deref()
    }

    /// What a public token says, which anybody can read. Nothing of it is verified.
    pub fn unverified_payload(&self) -> Option<&[u8]> {
        let content = self.message.len().checked_sub(64)?;
        (self.purpose == Purpose::Public).then(|| &self.message[..content])
    }

    /// The footer, which anybody can read. Nothing of it is verified.
    pub fn unverified_footer(&self) -> &[u8] {
        &self.footer
    }

    /// Verifies the signature, or decrypts. `implicit` is what both sides know and the token does
    /// not carry; empty unless something was agreed on.
    ///
    /// # Errors
    /// [`PasetoDefect::WrongPurpose`], [`PasetoDefect::Forged`].
    pub fn open(self, key: &Key, implicit: &[u8]) -> Result<Payload, PasetoDefect> {
        let bytes = match (self.purpose, key) {
            (Purpose::Public, Key::Public(public)) => {
                let (content, signature) = self.message.split_at(self.message.len() - 64);
                let header = Purpose::Public.header().as_bytes();
                let text = pre_authenticated(&[header, content, &self.footer, implicit]);
                if !public.verify(&text, signature) {
                    return Err(PasetoDefect::Forged);
                }
                content.to_vec()
            }
            (Purpose::Local, Key::Local(local)) => {
                let token = UntrustedToken::try_from(self.token).map_err(|_| PasetoDefect::Form)?;
                let opened = LocalToken::decrypt(&symmetric(local)?, &token, None, Some(implicit))
                    .map_err(|_| PasetoDefect::Forged)?;
                opened.payload().as_bytes().to_vec()
            }
            _ => return Err(PasetoDefect::WrongPurpose),
        };
        Ok(Payload {
            bytes: Zeroizing::new(bytes),
            footer: self.footer,
        })
    }
}

impl Payload {
    /// The content, as it is.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The footer, covered by the signature or the tag.
    pub fn footer(&self) -> &[u8] {
        &self.footer
    }

    /// The claims, with times read from RFC 3339 text.
    ///
    /// # Errors
    /// [`PasetoDefect::Claims`].
    pub fn claims(&self) -> Result<Claims, PasetoDefect> {
        claims_from_json(&self.bytes).map_err(PasetoDefect::Claims)
    }
}

/// Judges verified claims: issuer, audience, times, lifetime and required claims, as for a JWT.
/// PASETO knows no `typ`, so [`jwt::Expect::typ`] is not asked: what a token is for follows from
/// its key, and a key must not be used for two things.
///
/// # Errors
/// [`PasetoDefect::Claims`].
pub fn check<S: AsRef<str>>(
    claims: &Claims,
    expect: &jwt::Expect<'_, S>,
    now: Timestamp,
) -> Result<(), PasetoDefect> {
    let expect = jwt::Expect {
        issuer: expect.issuer,
        audiences: expect.audiences,
        typ: expect.typ,
        typ_may_be_absent: true,
        require: expect.require,
        max_lifetime: expect.max_lifetime,
        leeway: expect.leeway,
    };
    jwt::check(claims, None, &expect, now).map_err(PasetoDefect::Claims)
}

/// Makes a token, with the key's id in the footer.
///
/// # Errors
/// [`PasetoDefect::TooLong`] if it is longer than [`split`] would take, [`PasetoDefect::Forged`]
/// if the provider fails.
pub fn issue(key: &IssuingKey, claims: &Claims, implicit: &[u8]) -> Result<String, PasetoDefect> {
    let mut footer = Map::new();
    footer.insert("kid".into(), Value::String(key.id().to_owned()));
    let content = claims_to_json(claims);
    seal(
        key,
        content.as_bytes(),
        Value::Object(footer).to_string().as_bytes(),
        implicit,
    )
}

/// Signs a `v4.public` token with a key that is known by another name than its PASERK id: that of
/// the published key set, so that who has the set finds it.
///
/// # Errors
/// [`PasetoDefect::WrongPurpose`] for keys of other types, [`PasetoDefect::TooLong`].
pub fn sign(key: &SigningKey, claims: &Claims) -> Result<String, PasetoDefect> {
    if key.alg() != Algorithm::EdDSA {
        return Err(PasetoDefect::WrongPurpose);
    }
    let footer = serde_json::json!({ "kid": key.kid() }).to_string();
    let content = claims_to_json(claims);
    short_enough(signed(key, content.as_bytes(), footer.as_bytes(), &[]))
}

fn signed(key: &SigningKey, content: &[u8], footer: &[u8], implicit: &[u8]) -> String {
    let header = Purpose::Public.header();
    let text = pre_authenticated(&[header.as_bytes(), content, footer, implicit]);
    let message = [content, &key.sign(&text)].concat();
    let mut token = format!("{header}{}", base64url::encode(&message));
    if !footer.is_empty() {
        token.push('.');
        token.push_str(&base64url::encode(footer));
    }
    token
}

fn short_enough(token: String) -> Result<String, PasetoDefect> {
    if token.len() > MAX_TOKEN_BYTES {
        return Err(PasetoDefect::TooLong);
    }
    Ok(token)
}

fn seal(
    key: &IssuingKey,
    content: &[u8],
    footer: &[u8],
    implicit: &[u8],
) -> Result<String, PasetoDefect> {
    let token = match key {
        IssuingKey::Public { key, .. } => signed(key, content, footer, implicit),
        IssuingKey::Local { key, .. } => {
            LocalToken::encrypt(&symmetric(key)?, content, Some(footer), Some(implicit))
                .map_err(|_| PasetoDefect::Forged)?
        }
    };
    short_enough(token)
}

fn symmetric(key: &LocalKey) -> Result<SymmetricKey<V4>, PasetoDefect> {
    SymmetricKey::from(key.bytes()).map_err(|_| PasetoDefect::WrongPurpose)
}

/// Pre-authentication encoding: the number of pieces, and each behind its length, in 64 bits
/// little-endian with the highest bit clear (PASETO, Common implementation details).
fn pre_authenticated(pieces: &[&[u8]]) -> Vec<u8> {
    let number = |n: usize| (n as u64 & (u64::MAX >> 1)).to_le_bytes();
    let mut text = number(pieces.len()).to_vec();
    for piece in pieces {
        text.extend_from_slice(&number(piece.len()));
        text.extend_from_slice(piece);
    }
    text
}

/// The claims of a payload, with times read from RFC 3339 text; whether it was verified is the
/// caller's to know.
///
/// # Errors
/// [`JwtDefect`].
pub fn claims_from_json(json: &[u8]) -> Result<Claims, JwtDefect> {
    let mut extra = strict_json::parse_object(json, MAX_TOKEN_BYTES).map_err(JwtDefect::Json)?;
    // PASETO's `aud` is one text; a list is read as a JWT's is, since it can't be meant otherwise.
    let aud = jwt::audiences(&mut extra)?;
    let mut text = |name: &'static str| match extra.remove(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(JwtDefect::ClaimType(name)),
    };
    let date = |name, text: Option<String>| match text {
        None => Ok(None),
        Some(text) => calendar::parse_rfc3339(&text)
            .map(Some)
            .ok_or(JwtDefect::ClaimType(name)),
    };
    Ok(Claims {
        iss: text("iss")?,
        sub: text("sub")?,
        aud,
        exp: date("exp", text("exp")?)?,
        nbf: date("nbf", text("nbf")?)?,
        iat: date("iat", text("iat")?)?,
        jti: text("jti")?,
        client_id: text("client_id")?,
        scope: text("scope")?,
        extra,
    })
}

/// One audience is a text, as PASETO has it; several are a list, as in a JWT.
fn claims_to_json(claims: &Claims) -> String {
    let mut members = claims.extra.clone();
    let date = |time: Option<Timestamp>| time.map(calendar::rfc3339);
    for (name, value) in [
        ("iss", claims.iss.clone()),
        ("sub", claims.sub.clone()),
        ("exp", date(claims.exp)),
        ("nbf", date(claims.nbf)),
        ("iat", date(claims.iat)),
        ("jti", claims.jti.clone()),
        ("client_id", claims.client_id.clone()),
        ("scope", claims.scope.clone()),
    ] {
        members.remove(name);
        if let Some(value) = value {
            members.insert(name.to_owned(), Value::String(value));
        }
    }
    members.remove("aud");
    match claims.aud.as_slice() {
        [] => {}
        [one] => drop(members.insert("aud".to_owned(), one.as_str().into())),
        many => drop(members.insert("aud".to_owned(), many.into())),
    }
    Value::Object(members).to_string()
}

#[cfg(test)]
mod tests;
