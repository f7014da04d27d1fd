//! Why a message signature shows nothing.

use crate::{content_digest::ContentDigestDefect, structured::StructuredDefect};

/// Why a signature is not taken.
#[derive(Copy, Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HttpSigDefect {
    /// One of `Signature-Input` and `Signature` is there without the other, or is no plain text.
    #[error("Signature-Input and Signature don't belong together")]
    Fields,
    /// One of them is no structured field as it must be.
    #[error("{0}")]
    Structured(StructuredDefect),
    /// No signature has the wanted tag, or several have it, or several are there and none is
    /// wanted.
    #[error("it is not clear which signature is meant")]
    Label,
    /// A component is not known here, not usable, or carries a flag that is not supported.
    #[error("a component of the signature is not supported")]
    Component,
    /// A component is covered twice.
    #[error("a component is covered twice")]
    DuplicateComponent,
    /// More than [`super::MAX_COMPONENTS`].
    #[error("signature covers too many components")]
    TooMany,
    /// A parameter is not known, or has the wrong type.
    #[error("a parameter of the signature is not known or has the wrong type")]
    Parameter,
    /// `created` is missing.
    #[error("signature does not say when it was made")]
    NoCreated,
    /// `keyid` is missing or not usable.
    #[error("signature does not name its key")]
    NoKeyId,
    /// `nonce` is missing and required.
    #[error("signature has no nonce")]
    NoNonce,
    /// Something that must be covered is not.
    #[error("signature does not cover all that it must")]
    NotCovered,
    /// A covered component is not in the request, or not once.
    #[error("a covered component is not in the request")]
    ComponentMissing,
    /// `alg` is another than the key's, or the key has no algorithm of RFC 9421.
    #[error("signature names another algorithm than its key")]
    Algorithm,
    /// `Content-Digest` is covered and not usable.
    #[error("{0}")]
    ContentDigest(ContentDigestDefect),
    /// It was made too long ago, or has expired.
    #[error("signature is too old")]
    Stale,
    /// It claims to have been made later than now.
    #[error("signature was made in the future")]
    InFuture,
    /// It is not the signature of any of the keys.
    #[error("signature is wrong")]
    Signature,
}

impl HttpSigDefect {
    /// One of each.
    pub const ALL: [Self; 17] = [
        Self::Fields,
        Self::Structured(StructuredDefect::Syntax),
        Self::Label,
        Self::Component,
        Self::DuplicateComponent,
        Self::TooMany,
        Self::Parameter,
        Self::NoCreated,
        Self::NoKeyId,
        Self::NoNonce,
        Self::NotCovered,
        Self::ComponentMissing,
        Self::Algorithm,
        Self::ContentDigest(ContentDigestDefect::Digest),
        Self::Stale,
        Self::InFuture,
        Self::Signature,
    ];

    /// Stable kebab-case code for logs.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Fields => "httpsig-fields",
            Self::Structured(_) => "httpsig-structured",
            Self::Label => "httpsig-label",
            Self::Component => "httpsig-component",
            Self::DuplicateComponent => "httpsig-duplicate-component",
            Self::TooMany => "httpsig-too-many",
            Self::Parameter => "httpsig-parameter",
            Self::NoCreated => "httpsig-no-created",
            Self::NoKeyId => "httpsig-no-key-id",
            Self::NoNonce => "httpsig-no-nonce",
            Self::NotCovered => "httpsig-not-covered",
            Self::ComponentMissing => "httpsig-component-missing",
            Self::Algorithm => "httpsig-algorithm",
            Self::ContentDigest(_) => "httpsig-content-digest",
            Self::Stale => "httpsig-stale",
            Self::InFuture => "httpsig-in-future",
            Self::Signature => "httpsig-signature",
        }
    }
}

impl From<StructuredDefect> for HttpSigDefect {
    fn from(defect: StructuredDefect) -> Self {
        Self::Structured(defect)
    }
}
