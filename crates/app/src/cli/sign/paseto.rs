//! `sign paseto`: an access token as a foreign issuer would make it, with a key on this machine.

use core::time::Duration;
use std::path::PathBuf;

use clap::Args;
use http::HeaderValue;
use proof::jose::jwt::Claims;
use proof::paseto::{self, IssuingKey};
use proof::random::{SystemEntropy, random_base62};
use proof::time::Timestamp;
use registry::units::Period;

use super::super::failure::{Failure, Outcome};
use super::super::input;
use super::{Draft, RequestArgs, Signed, time, unsignable};

/// Longest life of such a token.
const LONGEST: Duration = Duration::from_secs(3600);

/// `sign paseto`
#[derive(Debug, Clone, Args)]
pub(crate) struct PasetoArgs {
    #[command(flatten)]
    request: RequestArgs,
    /// File with the key, PASERK: `k4.secret.…` signs, `k4.local.…` encrypts; `-` for standard input
    #[arg(long, value_name = "FILE", default_value = "-")]
    key_file: PathBuf,
    /// Who issued it, as the trusted issuer is declared
    #[arg(long, value_name = "ISSUER")]
    issuer: String,
    /// One of the API's audiences
    #[arg(long, value_name = "AUDIENCE")]
    audience: String,
    /// Whom it is about
    #[arg(long, value_name = "SUBJECT")]
    subject: String,
    /// The client that it was issued to; default the subject
    #[arg(long, value_name = "ID")]
    client: Option<String>,
    /// Scopes, divided by spaces
    #[arg(long, value_name = "SCOPES")]
    scope: Option<String>,
    /// How long it lives, at most `1h`
    #[arg(long, value_name = "PERIOD", default_value = "10m")]
    lifetime: Period,
}

/// Makes the token and puts it into the request.
pub(super) fn sign(args: PasetoArgs, now: Timestamp) -> Outcome<Signed> {
    let now = time(args.request.at.as_deref(), now)?;
    let draft = Draft::read(args.request)?;
    let text = input::secret(&args.key_file, "key")?;
    let key = IssuingKey::from_paserk(&text)
        .map_err(|_| Failure::usage("The key is neither k4.secret.… nor k4.local.… (PASERK)."))?;
    if args.lifetime.0.is_zero() || args.lifetime.0 > LONGEST {
        return Err(Failure::usage("Such a token lives for one hour at most."));
    }
    let claims = Claims {
        iss: Some(args.issuer),
        client_id: Some(args.client.unwrap_or_else(|| args.subject.clone())),
        sub: Some(args.subject),
        aud: vec![args.audience],
        exp: Some(now.plus(args.lifetime.0)),
        iat: Some(now),
        jti: Some(random_base62(24, &SystemEntropy)),
        scope: args.scope,
        ..Claims::default()
    };
    let token = paseto::issue(&key, &claims, &[]).map_err(|defect| unsignable(&defect))?;
    let value =
        HeaderValue::try_from(format!("Bearer {token}")).map_err(|defect| unsignable(&defect))?;
    Ok(draft.done(vec![(http::header::AUTHORIZATION, value)]))
}
