//! Why a request signed with Signature Version 4 shows nothing.

use crate::request::NotOne;

/// Why a signature is not taken.
#[derive(Copy, Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SigV4Defect {
    /// A header field that must have one line has several.
    #[error("{0}")]
    Header(NotOne),
    /// Credentials stand in the header and in the query.
    #[error("credentials stand in the header and in the query")]
    TwoPlaces,
    /// Another algorithm, or another spelling of it.
    #[error("algorithm is not AWS4-HMAC-SHA256")]
    Algorithm,
    /// A part of the credentials is missing, repeated, or not written as it must be.
    #[error("signature's {0} is missing, repeated or not usable")]
    Malformed(&'static str),
    /// A session token came along.
    #[error("session tokens are not accepted")]
    SessionToken,
    /// The time is missing, not a time, or not of the scope's day.
    #[error("signature's time is missing or not usable")]
    Time,
    /// `x-amz-content-sha256` is not usable.
    #[error("x-amz-content-sha256 is not usable")]
    Payload,
    /// `x-amz-decoded-content-length` is missing or not usable.
    #[error("x-amz-decoded-content-length is missing or not usable")]
    DecodedLength,
    /// The scope's region is not accepted.
    #[error("region is not accepted")]
    Region,
    /// The scope's service is not accepted.
    #[error("service is not accepted")]
    Service,
    /// Presigned requests are not accepted.
    #[error("presigned requests are not accepted")]
    Presigned,
    /// It would live longer than is accepted.
    #[error("presigned request lives too long")]
    LifetimeTooLong,
    /// The body is not signed, in a way that is not accepted.
    #[error("body is not signed in an accepted way")]
    PayloadNotAllowed,
    /// A header field that must be signed is not.
    #[error("a header field that must be signed is not")]
    NotSigned,
    /// A header field is signed that the request does not have.
    #[error("a signed header field is missing")]
    SignedHeaderMissing,
    /// The body must be hashed first.
    #[error("body must be hashed before the signature is verified")]
    BodyNotHashed,
    /// It was signed too long ago.
    #[error("signature is too old")]
    Stale,
    /// It claims to have been signed later than now.
    #[error("signature was made in the future")]
    InFuture,
    /// It is not the signature of any of the secrets.
    #[error("signature is wrong")]
    Signature,
}

impl SigV4Defect {
    /// One of each.
    pub const ALL: [Self; 19] = [
        Self::Header(NotOne),
        Self::TwoPlaces,
        Self::Algorithm,
        Self::Malformed("part"),
        Self::SessionToken,
        Self::Time,
        Self::Payload,
        Self::DecodedLength,
        Self::Region,
        Self::Service,
        Self::Presigned,
        Self::LifetimeTooLong,
        Self::PayloadNotAllowed,
        Self::NotSigned,
        Self::SignedHeaderMissing,
        Self::BodyNotHashed,
        Self::Stale,
        Self::InFuture,
        Self::Signature,
    ];

    /// Stable kebab-case code for logs.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Header(_) => "sigv4-header",
            Self::TwoPlaces => "sigv4-two-places",
            Self::Algorithm => "sigv4-algorithm",
            Self::Malformed(_) => "sigv4-malformed",
            Self::SessionToken => "sigv4-session-token",
            Self::Time => "sigv4-time",
            Self::Payload => "sigv4-payload",
            Self::DecodedLength => "sigv4-decoded-length",
            Self::Region => "sigv4-region",
            Self::Service => "sigv4-service",
            Self::Presigned => "sigv4-presigned",
            Self::LifetimeTooLong => "sigv4-lifetime-too-long",
            Self::PayloadNotAllowed => "sigv4-payload-not-allowed",
            Self::NotSigned => "sigv4-not-signed",
            Self::SignedHeaderMissing => "sigv4-signed-header-missing",
            Self::BodyNotHashed => "sigv4-body-not-hashed",
            Self::Stale => "sigv4-stale",
            Self::InFuture => "sigv4-in-future",
            Self::Signature => "sigv4-signature",
        }
    }
}

impl From<NotOne> for SigV4Defect {
    fn from(defect: NotOne) -> Self {
        Self::Header(defect)
    }
}
