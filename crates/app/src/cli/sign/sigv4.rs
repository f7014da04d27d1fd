//! `sign sigv4`: AWS Signature Version 4, in the header or as a presigned URL. It signs a body as a
//! whole or not at all: one in signed chunks is not a thing that `curl` could send.

use clap::Args;
use proof::digest::sha256;
use proof::sigv4::{Payload, Signer};
use proof::time::Timestamp;
use registry::units::Period;

use super::super::failure::Outcome;
use super::super::input;
use super::{Draft, RequestArgs, SecretArgs, Signed, time, unsignable};

/// `sign sigv4`
#[derive(Debug, Clone, Args)]
pub(crate) struct SigV4Args {
    #[command(flatten)]
    request: RequestArgs,
    #[command(flatten)]
    secret: SecretArgs,
    /// Region of the credential scope, as the API names it
    #[arg(long, value_name = "NAME")]
    region: String,
    /// Service of the credential scope, as the API names it
    #[arg(long, value_name = "NAME")]
    service: String,
    /// Make a presigned URL that lives so long, e.g. `10m`
    #[arg(long, value_name = "PERIOD")]
    presign: Option<Period>,
    /// Leave the body out of the signature (`UNSIGNED-PAYLOAD`), for an API with `unsigned_body`
    #[arg(long, conflicts_with = "presign")]
    unsigned_body: bool,
}

/// Signs the request, or its address.
pub(super) fn sign(args: SigV4Args, now: Timestamp) -> Outcome<Signed> {
    let now = time(args.request.at.as_deref(), now)?;
    let mut draft = Draft::read(args.request)?;
    let secret = input::secret(&args.secret.secret_file, "secret")?;
    let signer = Signer::new(&args.secret.key_id, &secret, &args.region, &args.service);
    let payload = if args.unsigned_body {
        Payload::Unsigned
    } else {
        Payload::Hash(sha256(&draft.body))
    };
    let Some(lives) = args.presign else {
        let fields = signer
            .sign(&draft.lent(), payload, &[], now)
            .map_err(|defect| unsignable(&defect))?;
        return Ok(draft.done(fields.headers));
    };
    // What signers of object storage leave out, every other one signs.
    let payload = if args.service == "s3" {
        Payload::Unsigned
    } else {
        payload
    };
    let query = signer
        .presign(&draft.lent(), payload, lives.0, now)
        .map_err(|defect| unsignable(&defect))?;
    draft.url.set_query(Some(&query));
    Ok(draft.done(Vec::new()))
}
