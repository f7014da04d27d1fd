//! `sign client-jwt`: a JWT for one call, as an OAuth client signs it with a key on this machine.

use core::time::Duration;
use std::path::{Path, PathBuf};

use clap::Args;
use http::HeaderValue;
use proof::client_call;
use proof::digest::sha256;
use proof::jose::alg::Algorithm;
use proof::jose::key::SigningKey;
use proof::random::{SystemEntropy, random_base62};
use proof::time::Timestamp;
use proof::x509::Certificate;
use registry::units::Period;

use super::super::failure::{Failure, Outcome};
use super::super::input;
use super::{Draft, RequestArgs, Signed, body, private_key, time, unsignable};

/// `sign client-jwt`
#[derive(Debug, Clone, Args)]
pub(crate) struct ClientJwtArgs {
    #[command(flatten)]
    request: RequestArgs,
    /// The client (`client_id`)
    #[arg(long, value_name = "ID")]
    client: String,
    /// One of the API's audiences
    #[arg(long, value_name = "AUDIENCE")]
    audience: String,
    /// File with the private key: PKCS#8 in PEM, P-256, Ed25519 or RSA
    #[arg(long, value_name = "FILE")]
    private_key_file: PathBuf,
    /// The key's name (`kid`) as the client registered it; default its thumbprint, as `sign jwks`
    /// prints it
    #[arg(long, value_name = "NAME", conflicts_with = "certificate_file")]
    kid: Option<String>,
    /// PEM file with the key's certificate first, then those that vouch for it, for a client whose
    /// keys are certified (`call_certificates`)
    #[arg(long, value_name = "FILE")]
    certificate_file: Option<PathBuf>,
    /// Ask for these scopes only, divided by spaces
    #[arg(long, value_name = "SCOPES")]
    scope: Option<String>,
    /// How long it lives, at most `5m`
    #[arg(long, value_name = "PERIOD", default_value = "1m")]
    lifetime: String,
    /// Leave method, address and body out, so that it is good for any one call
    #[arg(long)]
    any_call: bool,
}

pub(super) fn sign(args: ClientJwtArgs, now: Timestamp) -> Outcome<Signed> {
    let now = time(args.request.at.as_deref(), now)?;
    let draft = Draft::read(args.request)?;
    let pem = input::secret(&args.private_key_file, "private key")?;
    let key = private_key(pem.expose(), Algorithm::PS256)?;
    let period = &args.lifetime;
    let lifetime: Duration = period
        .parse::<Period>()
        .map_err(|error| Failure::usage(format!("`{period}`: {error}.")))?
        .0;
    if lifetime > client_call::MAX_LIFETIME {
        return Err(Failure::usage("Such a JWT lives for 5 minutes at most."));
    }
    let call = !args.any_call;
    let jwt = client_call::Draft {
        client: &args.client,
        audience: &args.audience,
        jti: &random_base62(24, &SystemEntropy),
        issued_at: now,
        lifetime,
        scope: args.scope.as_deref(),
        method: call.then_some(draft.method.as_str()),
        uri: call.then_some(draft.url.as_str()),
        body_sha256: call.then(|| sha256(&draft.body)),
    };
    let token = match &args.certificate_file {
        None => jwt.sign(&key, args.kid.as_deref().unwrap_or(key.kid())),
        Some(file) => {
            let chain = chain(file, &key)?;
            let chain: Vec<_> = chain.iter().map(Certificate::der).collect();
            jwt.sign_certified(&key, &chain)
        }
    };
    let value =
        HeaderValue::try_from(format!("Bearer {token}")).map_err(|defect| unsignable(&defect))?;
    Ok(draft.done(vec![(http::header::AUTHORIZATION, value)]))
}

/// The certificates of a file, of which the first is the key's.
fn chain(file: &Path, key: &SigningKey) -> Outcome<Vec<Certificate>> {
    let chain = Certificate::from_pem(&body(file)?)
        .map_err(|defect| Failure::usage(format!("{}: {defect}.", file.display())))?;
    let own = chain
        .first()
        .is_some_and(|first| first.public_key_matches(&key.public_jwk()));
    if !own {
        return Err(Failure::usage(format!(
            "The first certificate of {} is not the private key's.",
            file.display()
        ))
        .next("its own certificate stands first, those that vouch for it after it"));
    }
    Ok(chain)
}
