//! **Access tokens** (RFC 9068): made here and read back here, for introspection and revocation.
//!
//! Each API says in which form: signed, as a JWT or a PASETO, and then whoever else checks them does
//! it with the published keys; opaque, a random text, and then the store keeps the same claims
//! under its hash; or as a PASETO that is encrypted with a key of this installation, and then nobody
//! else reads it and nothing is kept. A JWT is encrypted to the API after that where the API asks for it, and then
//! nobody reads it but the API and this issuer. Reading accepts only what this issuer signed, or
//! keeps, as an access token: never an identity token for upstreams, never a foreign or untyped one.

use core::time::Duration;
use std::sync::Arc;

use proof::digest::TokenHash;
use proof::issued::{self, Environment, Issued, SecretKind};
use proof::jose::jwe::{ContentEncryption, EncryptDefect, EncryptionKey};
use proof::jose::jws;
use proof::jose::jwt::{self, Claims, Expect};
use proof::paseto::{self, PasetoDefect, Purpose};
use proof::time::{Leeway, Timestamp};
use serde::{Deserialize as _, Serialize};
use serde_json::Value;
use verdict::identity::RoleName;

use crate::Issuer;
use crate::declared::{Declared, RegisteredClient};
use crate::error::{Outcome, Reason};
use crate::flow::{Authentication, Binding, Grant};
use crate::keys::KeyRing;
use crate::ports::{IssuerStore, KeptToken, KeyPurpose, Person, Secrets, TokenNames};

/// `typ` of an access token (RFC 9068 §2.1).
pub const TYPE: &str = "at+jwt";

/// The form of an access token.
#[derive(Debug, Clone)]
pub(crate) enum Form {
    /// A signed JWT.
    Jwt,
    /// The same, encrypted to this key of an API.
    Encrypted(Arc<EncryptionKey>),
    /// A random text, whose claims are kept.
    Opaque,
    /// A signed PASETO.
    Paseto,
    /// A PASETO that is encrypted with our own key.
    PasetoLocal,
}

impl Form {
    /// Whether a token of the one form is one of the other too.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Encrypted(one), Self::Encrypted(other)) => one.kid() == other.kid(),
            (one, other) => core::mem::discriminant(one) == core::mem::discriminant(other),
        }
    }
}

/// What goes into an access token.
pub(crate) struct AccessToken<'a> {
    pub(crate) issuer: &'a str,
    pub(crate) client: &'a RegisteredClient,
    pub(crate) subject: Subject<'a>,
    pub(crate) audiences: &'a [Arc<str>],
    pub(crate) scope: &'a str,
    pub(crate) issued_at: Timestamp,
    pub(crate) lifetime: Duration,
    pub(crate) token_id: &'a str,
    /// What it is bound to.
    pub(crate) binding: Option<&'a Binding>,
    /// Who acts for the subject (RFC 8693 §4.1).
    pub(crate) act: Option<&'a Value>,
}

/// Whom an access token is about.
#[derive(Clone, Copy)]
pub(crate) struct Subject<'a> {
    pub(crate) sub: &'a str,
    pub(crate) roles: &'a [RoleName],
    /// The grant that it goes back to; none for a client of its own.
    pub(crate) grant_id: Option<&'a str>,
    /// The session that the grant was made in.
    pub(crate) session: Option<&'a str>,
    /// How and when the person proved who they are.
    pub(crate) authentication: Option<&'a Authentication>,
}

impl<'a> Subject<'a> {
    /// RFC 9068 §2.2: without a resource owner the subject is the client.
    pub(crate) fn client(client: &'a RegisteredClient) -> Self {
        Self {
            sub: client.client_id.as_str(),
            roles: &client.roles,
            grant_id: None,
            session: None,
            authentication: None,
        }
    }
    /// A person, by their grant.
    pub(crate) fn person(person: &'a Person, grant: &'a Grant) -> Self {
        Self {
            sub: &person.subject,
            roles: &person.roles,
            grant_id: Some(&grant.id),
            session: grant.session.as_deref(),
            authentication: Some(&grant.authentication),
        }
    }
}

/// RFC 9068 §2.2, and our own `env`, `application`, `grant_id`.
#[derive(Serialize)]
struct Written<'a> {
    iss: &'a str,
    sub: &'a str,
    client_id: &'a str,
    aud: Audience<'a>,
    exp: i64,
    iat: i64,
    jti: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    scope: &'a str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    roles: &'a [RoleName],
    env: Environment,
    application: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    grant_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sid: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    auth_time: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    acr: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    amr: Option<&'a [String]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cnf: Option<&'a Binding>,
    #[serde(skip_serializing_if = "Option::is_none")]
    act: Option<&'a Value>,
}

/// RFC 7519 §4.1.3: one audience may be a string.
#[derive(Serialize)]
#[serde(untagged)]
enum Audience<'a> {
    One(&'a str),
    Many(&'a [Arc<str>]),
}

/// An access token that was just made.
pub(crate) struct Made {
    /// As it is sent.
    pub(crate) text: String,
    /// What must be kept before it is sent, of an opaque one.
    pub(crate) kept: Option<KeptToken>,
}

impl<S: IssuerStore, C: Secrets> Issuer<S, C> {
    /// Makes an access token. An opaque one is worth nothing until it is kept.
    pub(crate) fn make_token(&self, token: &AccessToken<'_>, form: &Form) -> Outcome<Made> {
        let claims = claims_json(token);
        let made = match form {
            Form::Jwt => Made {
                text: self.signed(&claims)?,
                kept: None,
            },
            Form::Encrypted(key) => {
                let signed = self.signed(&claims)?;
                let text = key.encrypt(&signed, TYPE, ContentEncryption::A256Gcm);
                let text = text.map_err(|defect| match defect {
                    EncryptDefect::TooLong => Reason::TokenTooLarge,
                    EncryptDefect::Provider => Reason::Internal,
                })?;
                Made { text, kept: None }
            }
            Form::Paseto => {
                let ring = self.keys().ring();
                let key = ring
                    .signer(KeyPurpose::AccessPaseto)
                    .ok_or(Reason::NoSigningKey)?;
                let text = paseto::sign(key, &read_back(&claims)?);
                let text = text.map_err(|_| Reason::TokenTooLarge)?;
                Made { text, kept: None }
            }
            Form::PasetoLocal => {
                let ring = self.keys().ring();
                let key = ring
                    .encrypter(KeyPurpose::AccessPasetoLocal)
                    .ok_or(Reason::NoSigningKey)?;
                let text = paseto::issue(key, &read_back(&claims)?, &[]);
                let text = text.map_err(|defect| match defect {
                    PasetoDefect::TooLong => Reason::TokenTooLarge,
                    _ => Reason::Internal,
                })?;
                Made { text, kept: None }
            }
            Form::Opaque => {
                let issued = Issued::generate(
                    self.brand(),
                    SecretKind::OpaqueToken,
                    token.client.environment,
                    self.entropy(),
                );
                let end = token.issued_at.plus(token.lifetime);
                Made {
                    text: issued.text().to_owned(),
                    kept: Some(KeptToken {
                        hash: TokenHash::of(issued.secret.expose()),
                        token_id: token.token_id.to_owned(),
                        client_id: token.client.client_id.clone(),
                        grant_id: token.subject.grant_id.map(str::to_owned),
                        claims,
                        until: end.plus(self.leeway().0),
                    }),
                }
            }
        };
        // What is kept is bounded like what is sent.
        let size = made.kept.as_ref().map_or(&made.text, |kept| &kept.claims);
        if size.len() > self.max_token_bytes() {
            return Err(Reason::TokenTooLarge.into());
        }
        Ok(made)
    }

    /// The claims as a signed JWT.
    fn signed(&self, claims: &str) -> Outcome<String> {
        let ring = self.keys().ring();
        let key = ring
            .signer(KeyPurpose::Access)
            .ok_or(Reason::NoSigningKey)?;
        Ok(jws::sign(key, TYPE, claims))
    }
}

/// What we wrote reads back, unless it is too long.
fn read_back(claims: &str) -> Result<Claims, Reason> {
    Claims::from_json(claims.as_bytes()).map_err(|_| Reason::TokenTooLarge)
}

/// The claims of a token as JSON.
fn claims_json(token: &AccessToken<'_>) -> String {
    let iat = token.issued_at.as_secs();
    let subject = token.subject;
    let written = Written {
        iss: token.issuer,
        sub: subject.sub,
        client_id: token.client.client_id.as_str(),
        aud: match token.audiences {
            [one] => Audience::One(one),
            many => Audience::Many(many),
        },
        exp: iat.saturating_add(i64::try_from(token.lifetime.as_secs()).unwrap_or(i64::MAX)),
        iat,
        jti: token.token_id,
        scope: token.scope,
        roles: subject.roles,
        env: token.client.environment,
        application: token.client.application.as_str(),
        grant_id: subject.grant_id,
        sid: subject.session,
        auth_time: subject.authentication.map(|one| one.at.as_secs()),
        acr: subject.authentication.map(|one| one.acr.as_str()),
        amr: subject.authentication.map(|one| one.amr.as_slice()),
        cnf: token.binding,
        act: token.act,
    };
    serde_json::to_string(&written).expect("strings and numbers always serialise to JSON")
}

/// An access token of ours, read back: signature (or encryption), type and issuer held, or it was kept. Times and revocation are
/// judged on every use.
#[derive(Debug)]
pub struct ReadToken {
    /// Its claims. `client_id`, `jti`, `exp`, `iat` are present.
    claims: Claims,
    /// The key that made it, with its purpose; none of an opaque one.
    made_by: Option<(KeyPurpose, String)>,
    /// The key that opened it; none of one that was not encrypted.
    opened_by: Option<String>,
    client_id: String,
    token_id: String,
    expires_at: Timestamp,
    issued_at: Timestamp,
}

impl ReadToken {
    /// All claims.
    pub fn claims(&self) -> &Claims {
        &self.claims
    }
    /// The client it was issued to.
    pub fn client_id(&self) -> &str {
        &self.client_id
    }
    /// Its `jti`.
    pub fn token_id(&self) -> &str {
        &self.token_id
    }
    /// What it can be revoked by.
    pub fn names(&self) -> TokenNames<'_> {
        TokenNames {
            token_id: &self.token_id,
            grant_id: self.grant_id(),
            client_id: &self.client_id,
            issued_at: self.issued_at,
        }
    }
    /// Its `sub`.
    pub fn subject(&self) -> &str {
        self.claims.sub.as_deref().unwrap_or_default()
    }
    /// `grant_id`, of a person's token.
    pub fn grant_id(&self) -> Option<&str> {
        self.text("grant_id")
    }
    /// A claim of ours that is a text.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.claims.extra.get(name).and_then(Value::as_str)
    }
    /// What it is bound to (RFC 7800 §3); `Err` for a `cnf` that is none of ours.
    pub(crate) fn binding(&self) -> Result<Option<Binding>, serde_json::Error> {
        match self.claims.extra.get("cnf") {
            None => Ok(None),
            Some(cnf) => Binding::deserialize(cnf).map(Some),
        }
    }
    /// Its scopes.
    pub(crate) fn scopes(&self) -> impl Iterator<Item = &str> {
        let scope = self.claims.scope.as_deref().unwrap_or_default();
        scope.split(' ').filter(|scope| !scope.is_empty())
    }
    /// Its `exp`.
    pub fn expires_at(&self) -> Timestamp {
        self.expires_at
    }
    /// Its `iat`.
    pub fn issued_at(&self) -> Timestamp {
        self.issued_at
    }
    /// Whether it is in its time, its key not retired, and the key that opened it still one
    /// that opens.
    pub(crate) fn is_current(
        &self,
        ring: &KeyRing,
        declared: &Declared,
        now: Timestamp,
        leeway: Leeway,
    ) -> bool {
        self.made_by
            .as_ref()
            .is_none_or(|(purpose, kid)| ring.knows(*purpose, kid))
            && self
                .opened_by
                .as_ref()
                .is_none_or(|kid| declared.opens(kid))
            && jwt::within(self.expires_at, self.claims.nbf, now, leeway).is_ok()
    }
}

/// Whether a text has the form of an opaque access token of this brand.
pub(crate) fn is_opaque(brand: &issued::Brand, text: &str) -> bool {
    issued::parse(text.as_bytes(), brand)
        .is_ok_and(|presented| presented.kind == SecretKind::OpaqueToken)
}

/// Reads what is kept of an opaque access token. `None`: it is of an issuer that had another name,
/// or not in its time.
pub(crate) fn read_kept(
    issuer: &str,
    claims: &str,
    now: Timestamp,
    leeway: Leeway,
) -> Option<ReadToken> {
    let claims = Claims::from_json(claims.as_bytes()).ok()?;
    checked(None, claims, Some(TYPE), issuer, now, leeway)
}

/// Reads a signed access token of this issuer. `None`: it is none, or not in its time.
pub(crate) fn read(
    ring: &KeyRing,
    issuer: &str,
    token: &[u8],
    now: Timestamp,
    leeway: Leeway,
) -> Option<ReadToken> {
    let unverified = jws::split(token).ok()?;
    let kid = unverified.kid()?.to_owned();
    // A key of another purpose is not found here, so an upstream's identity token never passes
    // (threat J4).
    let key = ring.verifier(KeyPurpose::Access, &kid)?;
    let payload = unverified.verify(key).ok()?;
    let claims = Claims::parse(&payload).ok()?;
    let made_by = Some((KeyPurpose::Access, kid));
    checked(made_by, claims, payload.typ(), issuer, now, leeway)
}

/// The same for one that was encrypted to an API that is declared. What is in it is signed, and
/// never encrypted once more.
pub(crate) fn read_encrypted(
    ring: &KeyRing,
    declared: &Declared,
    issuer: &str,
    token: &[u8],
    now: Timestamp,
    leeway: Leeway,
) -> Option<ReadToken> {
    let (kid, nested) = declared.open(token)?;
    let read = read(ring, issuer, nested.expose(), now, leeway)?;
    Some(ReadToken {
        opened_by: Some(kid),
        ..read
    })
}

/// The same for one in the form of PASETO. It has no type: its key makes access tokens and nothing
/// else. What it says to be for chooses among keys of that one purpose.
pub(crate) fn read_paseto(
    ring: &KeyRing,
    issuer: &str,
    token: &[u8],
    now: Timestamp,
    leeway: Leeway,
) -> Option<ReadToken> {
    let claimed = paseto::split(token).ok()?;
    let kid = claimed.key_id()?.to_owned();
    let (purpose, payload) = match claimed.purpose() {
        Purpose::Public => {
            let purpose = KeyPurpose::AccessPaseto;
            let key = paseto::Key::Public(ring.verifier(purpose, &kid)?.clone());
            (purpose, claimed.open(&key, &[]).ok()?)
        }
        Purpose::Local => {
            let purpose = KeyPurpose::AccessPasetoLocal;
            (
                purpose,
                claimed.open(ring.opener(purpose, &kid)?, &[]).ok()?,
            )
        }
    };
    let claims = payload.claims().ok()?;
    checked(
        Some((purpose, kid)),
        claims,
        Some(TYPE),
        issuer,
        now,
        leeway,
    )
}

/// What every access token of this issuer has.
fn checked(
    made_by: Option<(KeyPurpose, String)>,
    claims: Claims,
    typ: Option<&str>,
    issuer: &str,
    now: Timestamp,
    leeway: Leeway,
) -> Option<ReadToken> {
    let audiences: Vec<&str> = claims.aud.iter().map(String::as_str).collect();
    let expect = Expect {
        issuer,
        // Whose audience it is decides who may ask about it, not whether it is a token of ours.
        audiences: &audiences,
        typ: &[TYPE],
        typ_may_be_absent: false,
        require: &["sub", "client_id", "jti", "iat"],
        max_lifetime: None,
        leeway,
    };
    jwt::check(&claims, typ, &expect, now).ok()?;
    Some(ReadToken {
        made_by,
        opened_by: None,
        client_id: claims.client_id.clone()?,
        token_id: claims.jti.clone()?,
        expires_at: claims.exp?,
        issued_at: claims.iat?,
        claims,
    })
}
