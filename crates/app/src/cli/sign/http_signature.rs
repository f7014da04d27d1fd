//! `sign http-signature`: an HTTP message signature (RFC 9421), with a shared secret or a private
//! key, over at least what a verifier asks for by default.

use std::path::PathBuf;

use clap::Args;
use http::{HeaderName, HeaderValue};
use proof::content_digest;
use proof::httpsig::{self, Component, SignParameters, SignerKey};
use proof::jose::alg::Algorithm;
use proof::random::{SystemEntropy, random_base62};
use proof::time::Timestamp;
use registry::units::Period;

use super::super::failure::{Failure, Outcome};
use super::super::input;
use super::{Draft, RequestArgs, Signed, private_key, time, unsignable};

/// `sign http-signature`
#[derive(Debug, Clone, Args)]
pub(crate) struct HttpSignatureArgs {
    #[command(flatten)]
    request: RequestArgs,
    /// The key's public name (`DWAK…`)
    #[arg(long, value_name = "ID")]
    key_id: String,
    /// File with its secret, or with the private key whose public half is registered: PKCS#8 in
    /// PEM, P-256, Ed25519 or RSA; `-` for standard input
    #[arg(long, value_name = "FILE", default_value = "-")]
    secret_file: PathBuf,
    /// A header field to cover besides method, authority, path, query and the body's digest
    #[arg(long, value_name = "NAME")]
    cover: Vec<String>,
    /// What the signature is meant for
    #[arg(long, value_name = "TEXT")]
    tag: Option<String>,
    /// End the signature after this period, e.g. `30s`, before the verifier would
    #[arg(long, value_name = "PERIOD")]
    expires: Option<Period>,
}

/// Makes the two fields and puts them into the request.
pub(super) fn sign(args: HttpSignatureArgs, now: Timestamp) -> Outcome<Signed> {
    let now = time(args.request.at.as_deref(), now)?;
    let mut draft = Draft::read(args.request)?;
    let secret = input::secret(&args.secret_file, "secret")?;
    let mut components = httpsig::REQUIRED.to_vec();
    if draft.url.query().is_none() {
        components.retain(|component| *component != Component::Query);
    }
    if draft.body_file.is_some() {
        let digest = HeaderValue::try_from(content_digest::value_sha256(&draft.body))
            .map_err(|defect| unsignable(&defect))?;
        draft.headers.insert(content_digest::CONTENT_DIGEST, digest);
    }
    let present = httpsig::REQUIRED_IF_PRESENT
        .iter()
        .map(|name| (*name).to_owned());
    for name in present
        .filter(|name| draft.headers.contains_key(name.as_str()))
        .chain(args.cover)
    {
        let field = HeaderName::try_from(name.as_str())
            .map_err(|_| Failure::usage(format!("`{name}` is no header field's name.")))?;
        let component = Component::field(field);
        if !components.contains(&component) {
            components.push(component);
        }
    }
    let nonce = random_base62(24, &SystemEntropy);
    let private = String::from_utf8_lossy(secret.expose())
        .contains("PRIVATE KEY-----")
        // RFC 9421 §3.3.1: RSA signs with PSS and SHA-512.
        .then(|| private_key(secret.expose(), Algorithm::PS512))
        .transpose()?;
    let fields = httpsig::sign(
        &draft.lent(),
        &components,
        &SignParameters {
            label: "sig1",
            key_id: &args.key_id,
            created: now,
            expires: args.expires.map(|lives| now.plus(lives.0)),
            nonce: Some(&nonce),
            tag: args.tag.as_deref(),
            name_algorithm: false,
        },
        match &private {
            Some(key) => SignerKey::Private(key),
            None => SignerKey::Shared(&secret),
        },
    )
    .map_err(|defect| unsignable(&defect))?;
    Ok(draft.done(vec![
        (
            HeaderName::from_static("signature-input"),
            fields.signature_input,
        ),
        (HeaderName::from_static("signature"), fields.signature),
    ]))
}
