//! AWS Signature Version 4, verified and made: in the `Authorization` field, as a presigned query,
//! and chunk by chunk while a body streams ([`chunks`]). The form is Amazon's, the keys are not:
//! region and service are names that the caller's rules list, and session tokens don't exist.
//!
//! Reading ([`parse`]) says under which id a secret must be looked up; [`Claimed::verify`] judges.
//! Nothing is ever rewritten: the canonical path and query are computed beside the request, in the
//! few styles that signers really use, and the request passes as it was sent. What the format
//! itself can't see stays unseen, and is worth knowing: the order of query parameters, an
//! equals sign behind a name without a value, runs of spaces in a field's value, and fields that
//! are neither required below nor signed.
//!
//! Source: AWS IAM User Guide, "Create a signed AWS API request"; Amazon S3 API Reference,
//! "Authenticating Requests (AWS Signature Version 4)".

use std::time::Duration;

use zeroize::Zeroizing;

use crate::{
    digest::{hex, hmac_sha256, sha256},
    secret::Secret,
    time::Leeway,
};

mod canonical;
pub mod chunks;
mod claim;
mod defect;
mod read;
mod sign;

pub use claim::Claimed;
pub use defect::SigV4Defect;
pub use read::parse;
pub use sign::{SignedFields, Signer};

/// The one algorithm.
pub const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// How far the time of a request may lie from now, to both sides, unless the rules say otherwise.
pub const WINDOW: Duration = Duration::from_secs(5 * 60);
/// How long a presigned request lives at most, unless the rules say otherwise.
pub const PRESIGNED_LIFETIME: Duration = Duration::from_secs(15 * 60);
/// The longest `X-Amz-Expires` that the format knows.
pub const PRESIGNED_LIFETIME_CEILING: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// Most header fields in one signature.
pub const MAX_SIGNED_HEADERS: usize = 64;
/// Most parameters in a query.
pub const MAX_QUERY_PARAMETERS: usize = 512;

/// What a verifier demands. With no region or no service listed, nothing passes.
#[derive(Clone, Debug)]
pub struct Rules<'a, S: AsRef<str> = String> {
    /// Accepted regions of the credential scope.
    pub regions: &'a [S],
    /// Accepted services of the credential scope.
    pub services: &'a [S],
    /// How far the time of a request may lie from now, to both sides.
    pub window: Duration,
    /// Longest `X-Amz-Expires` of a presigned request; `None` where presigned ones don't pass.
    pub presigned: Option<Duration>,
    /// How far clocks may differ at the end of a presigned request.
    pub leeway: Leeway,
    /// How paths may be written in the canonical request; `None` for what the service's signers
    /// do ([`PathStyle::of_service`]).
    pub paths: Option<&'a [PathStyle]>,
    /// Whether a body may be left out of the signature (`UNSIGNED-PAYLOAD`). A presigned request
    /// that leaves it out passes without this too, with an empty body.
    pub unsigned_payload: bool,
    /// Whether a body may come in signed chunks.
    pub signed_chunks: bool,
    /// Whether a body may come in chunks that are not signed, behind a signed head.
    pub unsigned_chunks: bool,
    /// Longest chunk, in bytes: as much is held in memory.
    pub max_chunk_bytes: usize,
    /// Header fields that must be signed if they are present, beside the ones that always must:
    /// `host`, `content-type`, and every `x-amz-*`. Lower case.
    pub signed_if_present: &'a [S],
}

/// How a path stands in the canonical request.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum PathStyle {
    /// As it was sent.
    AsSent,
    /// As it was sent, with what should have been percent-encoded percent-encoded.
    Encoded,
    /// Percent-encoded once more, so that `%20` reads `%2520`.
    Double,
    /// Without dot segments and empty segments, then percent-encoded once more. Only to be allowed
    /// where such paths are refused before, since several paths have one signature.
    DoubleNormalised,
}

impl PathStyle {
    /// Every style.
    pub const ALL: [Self; 4] = [
        Self::AsSent,
        Self::Encoded,
        Self::Double,
        Self::DoubleNormalised,
    ];

    /// What Amazon's signers do for a service: object storage encodes once, every other twice.
    /// The service is part of what is signed, so no signature has two meanings.
    pub fn of_service(service: &str) -> &'static [Self] {
        if is_object_storage(service) {
            &[Self::AsSent, Self::Encoded]
        } else {
            &[Self::Double]
        }
    }
}

/// Services whose signers encode a path once and leave a presigned body out.
fn is_object_storage(service: &str) -> bool {
    matches!(
        service,
        "s3" | "s3-object-lambda" | "s3-outposts" | "s3express"
    )
}

/// What is said of the body in the signature.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Payload {
    /// Its SHA-256.
    Hash([u8; 32]),
    /// Nothing.
    Unsigned,
    /// It comes in chunks, each signed; with signed trailers or without.
    SignedChunks {
        /// Whether trailers follow.
        trailers: bool,
    },
    /// It comes in chunks with trailers, and neither is signed.
    UnsignedChunks,
}

impl Payload {
    /// As it stands in `x-amz-content-sha256`.
    pub fn declared(self) -> String {
        match self {
            Self::Hash(hash) => hex(&hash),
            Self::Unsigned => "UNSIGNED-PAYLOAD".into(),
            Self::SignedChunks { trailers: false } => "STREAMING-AWS4-HMAC-SHA256-PAYLOAD".into(),
            Self::SignedChunks { trailers: true } => {
                "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER".into()
            }
            Self::UnsignedChunks => "STREAMING-UNSIGNED-PAYLOAD-TRAILER".into(),
        }
    }

    fn from_declared(text: &str) -> Option<Self> {
        Some(match text {
            "UNSIGNED-PAYLOAD" => Self::Unsigned,
            "STREAMING-AWS4-HMAC-SHA256-PAYLOAD" => Self::SignedChunks { trailers: false },
            "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER" => Self::SignedChunks { trailers: true },
            "STREAMING-UNSIGNED-PAYLOAD-TRAILER" => Self::UnsignedChunks,
            digest => Self::Hash(crate::digest::unhex(digest)?.try_into().ok()?),
        })
    }

    /// The payload of a request without a body.
    pub fn empty() -> Self {
        Self::Hash(sha256(b""))
    }
}

/// The credential scope: for what a signing key was derived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    /// `20130524`.
    pub date: String,
    /// `eu-central-1`, or whatever the rules call it.
    pub region: String,
    /// `s3`, `execute-api`, or whatever the rules call it.
    pub service: String,
}

impl Scope {
    /// `20130524/eu-central-1/s3/aws4_request`.
    pub fn text(&self) -> String {
        format!(
            "{}/{}/{}/aws4_request",
            self.date, self.region, self.service
        )
    }

    /// The key that signs within this scope.
    fn derive(&self, secret: &Secret) -> Zeroizing<[u8; 32]> {
        let first = Zeroizing::new([b"AWS4".as_slice(), secret.expose()].concat());
        let date = Zeroizing::new(hmac_sha256(&first, self.date.as_bytes()));
        let region = Zeroizing::new(hmac_sha256(&*date, self.region.as_bytes()));
        let service = Zeroizing::new(hmac_sha256(&*region, self.service.as_bytes()));
        Zeroizing::new(hmac_sha256(&*service, b"aws4_request"))
    }
}

/// What is signed of a head: algorithm, time, scope, and the canonical request's hash.
fn string_to_sign(time: &str, scope: &Scope, canonical_request: &[u8]) -> String {
    format!(
        "{ALGORITHM}\n{time}\n{}\n{}",
        scope.text(),
        hex(&sha256(canonical_request))
    )
}

#[cfg(test)]
mod tests;
