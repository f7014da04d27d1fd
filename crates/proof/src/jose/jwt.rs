//! JSON Web Tokens (RFC 7519): typed registered claims, and the one place where a token's type,
//! issuer, audience and times are judged (RFC 8725 §3). A registered claim of the wrong JSON type
//! refuses the token: nothing is converted. Signatures are [`super::jws`]'s work.

use std::time::Duration;

use serde_json::{Map, Value};

use crate::{
    jose::jws::{MAX_TOKEN_BYTES, Payload},
    strict_json::{self, JsonDefect},
    time::{Leeway, Timestamp},
};

/// The latest NumericDate taken, in seconds: the year 2286.
pub const MAX_NUMERIC_DATE: i64 = 9_999_999_999;
/// Most audiences in one token.
pub const MAX_AUDIENCES: usize = 64;

/// A token's claims. `Default` is the empty set, to be filled by an issuer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Claims {
    /// Who issued it (RFC 7519 §4.1.1).
    pub iss: Option<String>,
    /// Whom it is about (§4.1.2).
    pub sub: Option<String>,
    /// For whom it is meant (§4.1.3); empty if absent.
    pub aud: Vec<String>,
    /// When it ends (§4.1.4).
    pub exp: Option<Timestamp>,
    /// When it begins (§4.1.5).
    pub nbf: Option<Timestamp>,
    /// When it was issued (§4.1.6).
    pub iat: Option<Timestamp>,
    /// Its own id (§4.1.7).
    pub jti: Option<String>,
    /// The client it was issued to (RFC 8693 §4.3, RFC 9068 §2.2).
    pub client_id: Option<String>,
    /// Scopes divided by spaces (RFC 8693 §4.2).
    pub scope: Option<String>,
    /// Every other claim, as it stands.
    pub extra: Map<String, Value>,
}

/// Why a token is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JwtDefect {
    /// The payload is no strict JSON object.
    #[error("claims are not strict JSON: {0}")]
    Json(JsonDefect),
    /// A registered claim has the wrong JSON type or an impossible value.
    #[error("claim {0} has the wrong type")]
    ClaimType(&'static str),
    /// Its `typ` is another or missing (RFC 8725 §3.11).
    #[error("token is of another type")]
    WrongType,
    /// Its issuer is another.
    #[error("token is of another issuer")]
    WrongIssuer,
    /// It is meant for others.
    #[error("token is for another audience")]
    WrongAudience,
    /// Its time is over.
    #[error("token has expired")]
    Expired,
    /// Its time has not come.
    #[error("token is not valid yet")]
    NotYetValid,
    /// It claims to have been issued later than now.
    #[error("token was issued in the future")]
    IssuedInFuture,
    /// It lives longer than is accepted.
    #[error("token lives too long")]
    LifetimeTooLong,
    /// A claim that is required is absent.
    #[error("claim {0} is missing")]
    Missing(String),
}

impl JwtDefect {
    /// Stable kebab-case code for logs.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Json(_) => "jwt-json",
            Self::ClaimType(_) => "jwt-claim-type",
            Self::WrongType => "jwt-wrong-type",
            Self::WrongIssuer => "jwt-wrong-issuer",
            Self::WrongAudience => "jwt-wrong-audience",
            Self::Expired => "jwt-expired",
            Self::NotYetValid => "jwt-not-yet-valid",
            Self::IssuedInFuture => "jwt-issued-in-future",
            Self::LifetimeTooLong => "jwt-lifetime-too-long",
            Self::Missing(_) => "jwt-missing-claim",
        }
    }
}

/// What a verifier demands of a token. `iss`, `aud` and `exp` are always demanded: with no
/// audience or type listed, no token passes.
#[derive(Clone, Debug)]
pub struct Expect<'a, S: AsRef<str> = String> {
    /// The issuer, compared exactly.
    pub issuer: &'a str,
    /// Audiences, of which the token must name one exactly.
    pub audiences: &'a [S],
    /// Accepted types; case and the prefix `application/` don't count (RFC 7515 §4.1.9).
    pub typ: &'a [S],
    /// Whether a token without `typ` passes too: for client assertions (RFC 7523), which name none.
    pub typ_may_be_absent: bool,
    /// Claims that must be present and not null.
    pub require: &'a [S],
    /// Longest time from `iat` (or now, where there is none) to `exp`.
    pub max_lifetime: Option<Duration>,
    /// How far clocks may differ.
    pub leeway: Leeway,
}

impl Claims {
    /// Reads the claims of a verified token.
    ///
    /// # Errors
    /// [`JwtDefect::Json`], [`JwtDefect::ClaimType`].
    pub fn parse(payload: &Payload) -> Result<Self, JwtDefect> {
        Self::from_json(payload.bytes())
    }

    /// Reads claims from JSON of whatever source; proves nothing.
    ///
    /// # Errors
    /// [`JwtDefect::Json`], [`JwtDefect::ClaimType`].
    pub fn from_json(json: &[u8]) -> Result<Self, JwtDefect> {
        let mut extra =
            strict_json::parse_object(json, MAX_TOKEN_BYTES).map_err(JwtDefect::Json)?;
        Ok(Self {
            iss: text(&mut extra, "iss")?,
            sub: text(&mut extra, "sub")?,
            aud: audiences(&mut extra)?,
            exp: numeric_date(&mut extra, "exp")?,
            nbf: numeric_date(&mut extra, "nbf")?,
            iat: numeric_date(&mut extra, "iat")?,
            jti: text(&mut extra, "jti")?,
            client_id: text(&mut extra, "client_id")?,
            scope: text(&mut extra, "scope")?,
            extra,
        })
    }

    /// The claims as JSON; a single audience becomes a string. A registered name in `extra` is
    /// overwritten by the typed claim, and left out where that is absent.
    pub fn to_json(&self) -> String {
        let mut members = self.extra.clone();
        let aud = match self.aud.as_slice() {
            [] => None,
            [one] => Some(Value::from(one.as_str())),
            many => Some(Value::from(many)),
        };
        let string = |text: &Option<String>| text.as_deref().map(Value::from);
        let date = |time: Option<Timestamp>| time.map(|time| Value::from(time.as_secs()));
        for (name, value) in [
            ("iss", string(&self.iss)),
            ("sub", string(&self.sub)),
            ("aud", aud),
            ("exp", date(self.exp)),
            ("nbf", date(self.nbf)),
            ("iat", date(self.iat)),
            ("jti", string(&self.jti)),
            ("client_id", string(&self.client_id)),
            ("scope", string(&self.scope)),
        ] {
            members.remove(name);
            if let Some(value) = value {
                members.insert(name.to_owned(), value);
            }
        }
        Value::Object(members).to_string()
    }

    fn has(&self, name: &str) -> bool {
        match name {
            "iss" => self.iss.is_some(),
            "sub" => self.sub.is_some(),
            "aud" => !self.aud.is_empty(),
            "exp" => self.exp.is_some(),
            "nbf" => self.nbf.is_some(),
            "iat" => self.iat.is_some(),
            "jti" => self.jti.is_some(),
            "client_id" => self.client_id.is_some(),
            "scope" => self.scope.is_some(),
            other => self.extra.get(other).is_some_and(|value| !value.is_null()),
        }
    }
}

/// Judges verified claims. `typ` is the signed header's.
///
/// # Errors
/// The first [`JwtDefect`]: type, then issuer, audience, times, lifetime, required claims.
pub fn check<S: AsRef<str>>(
    claims: &Claims,
    typ: Option<&str>,
    expect: &Expect<'_, S>,
    now: Timestamp,
) -> Result<(), JwtDefect> {
    // The type first: an ID token or a logout token is not a wrong access token, but none at all.
    let typ_fits = match typ {
        Some(typ) => expect
            .typ
            .iter()
            .any(|accepted| same_type(typ, accepted.as_ref())),
        None => expect.typ_may_be_absent,
    };
    if !typ_fits {
        return Err(JwtDefect::WrongType);
    }
    match claims.iss.as_deref() {
        None => return Err(JwtDefect::Missing("iss".into())),
        Some(iss) if iss != expect.issuer => return Err(JwtDefect::WrongIssuer),
        Some(_) => {}
    }
    if claims.aud.is_empty() {
        return Err(JwtDefect::Missing("aud".into()));
    }
    if !claims
        .aud
        .iter()
        .any(|aud| expect.audiences.iter().any(|ours| ours.as_ref() == aud))
    {
        return Err(JwtDefect::WrongAudience);
    }
    let exp = claims.exp.ok_or_else(|| JwtDefect::Missing("exp".into()))?;
    within(exp, claims.nbf, now, expect.leeway)?;
    if claims
        .iat
        .is_some_and(|iat| iat > now.plus(expect.leeway.0))
    {
        return Err(JwtDefect::IssuedInFuture);
    }
    // `iat` lies at most the leeway ahead of now, so this bounds what is left to live as well.
    let lifetime = exp.since(claims.iat.unwrap_or(now));
    if expect
        .max_lifetime
        .is_some_and(|longest| lifetime > longest)
    {
        return Err(JwtDefect::LifetimeTooLong);
    }
    match expect
        .require
        .iter()
        .find(|name| !claims.has(name.as_ref()))
    {
        Some(name) => Err(JwtDefect::Missing(name.as_ref().to_owned())),
        None => Ok(()),
    }
}

/// Whether `now` lies in a token's time: from `nbf` − leeway, up to but not including
/// `exp` + leeway (RFC 7519 §4.1.4, §4.1.5). The one comparison, for fresh and cached tokens.
///
/// # Errors
/// [`JwtDefect::Expired`], [`JwtDefect::NotYetValid`].
pub fn within(
    exp: Timestamp,
    nbf: Option<Timestamp>,
    now: Timestamp,
    leeway: Leeway,
) -> Result<(), JwtDefect> {
    if now >= exp.plus(leeway.0) {
        return Err(JwtDefect::Expired);
    }
    if nbf.is_some_and(|nbf| now.plus(leeway.0) < nbf) {
        return Err(JwtDefect::NotYetValid);
    }
    Ok(())
}

/// The issuer that a payload claims, to find the keys to check it with. Not a judgement: once the
/// signature holds, the claims are read strictly and the issuer is compared.
pub fn claimed_issuer(unverified_payload: &[u8]) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Issuer {
        iss: String,
    }
    serde_json::from_slice::<Issuer>(unverified_payload)
        .ok()
        .map(|claims| claims.iss)
}

/// Whether two media types of JWTs are one: without regard to case, and `application/` may be left
/// out (RFC 7515 §4.1.9).
pub fn same_type(one: &str, other: &str) -> bool {
    fn bare(typ: &str) -> &str {
        const PREFIX: &str = "application/";
        match typ.get(..PREFIX.len()) {
            Some(start) if start.eq_ignore_ascii_case(PREFIX) => &typ[PREFIX.len()..],
            _ => typ,
        }
    }
    bare(one).eq_ignore_ascii_case(bare(other))
}

fn text(members: &mut Map<String, Value>, name: &'static str) -> Result<Option<String>, JwtDefect> {
    match members.remove(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(JwtDefect::ClaimType(name)),
    }
}

fn numeric_date(
    members: &mut Map<String, Value>,
    name: &'static str,
) -> Result<Option<Timestamp>, JwtDefect> {
    match members.remove(name) {
        None => Ok(None),
        Some(value) => value
            .as_i64()
            .filter(|secs| (0..=MAX_NUMERIC_DATE).contains(secs))
            .map(|secs| Some(Timestamp::from_secs(secs)))
            .ok_or(JwtDefect::ClaimType(name)),
    }
}

pub(crate) fn audiences(members: &mut Map<String, Value>) -> Result<Vec<String>, JwtDefect> {
    const WRONG: JwtDefect = JwtDefect::ClaimType("aud");
    match members.remove("aud") {
        None => Ok(Vec::new()),
        Some(Value::String(one)) => Ok(vec![one]),
        Some(Value::Array(many)) if (1..=MAX_AUDIENCES).contains(&many.len()) => many
            .into_iter()
            .map(|item| match item {
                Value::String(text) => Ok(text),
                _ => Err(WRONG),
            })
            .collect(),
        Some(_) => Err(WRONG),
    }
}

#[cfg(test)]
mod tests;
