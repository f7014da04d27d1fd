//! `Content-Digest` (RFC 9530 §2): the hash of a body as it is sent. Only SHA-256 and SHA-512
//! count; whoever sends another algorithm beside them is heard for those two, and a field without
//! one of them says nothing.

use aws_lc_rs::digest;
use http::{HeaderMap, HeaderName};

use crate::{
    digest::sha256,
    request::{BodyDigest, NotOne, one},
    structured::{self, Bare, Item, Member, StructuredDefect},
};

/// The field.
pub const CONTENT_DIGEST: HeaderName = HeaderName::from_static("content-digest");

/// Why the field can't be used.
#[derive(Copy, Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ContentDigestDefect {
    /// It has several lines, or is no plain text.
    #[error("{0}")]
    Header(NotOne),
    /// It is no dictionary.
    #[error("{0}")]
    Structured(StructuredDefect),
    /// A digest is no byte sequence of its algorithm's length.
    #[error("content digest is not a digest")]
    Digest,
    /// It names neither SHA-256 nor SHA-512.
    #[error("content digest is of an algorithm that is not accepted")]
    Algorithm,
}

impl ContentDigestDefect {
    /// One of each.
    pub const ALL: [Self; 4] = [
        Self::Header(NotOne),
        Self::Structured(StructuredDefect::Syntax),
        Self::Digest,
        Self::Algorithm,
    ];

    /// Stable kebab-case code for logs.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Header(_) => "content-digest-header",
            Self::Structured(_) => "content-digest-structured",
            Self::Digest => "content-digest-digest",
            Self::Algorithm => "content-digest-algorithm",
        }
    }
}

/// What the field says of the body; the stronger where it says two things. `None` if it is absent.
///
/// # Errors
/// [`ContentDigestDefect`].
pub fn parse(headers: &HeaderMap) -> Result<Option<BodyDigest>, ContentDigestDefect> {
    let Some(text) = one(headers, &CONTENT_DIGEST).map_err(ContentDigestDefect::Header)? else {
        return Ok(None);
    };
    let members = structured::parse_dictionary(text).map_err(ContentDigestDefect::Structured)?;
    let (mut sha_256, mut sha_512) = (None, None);
    for (key, member) in members {
        let Member::Item(Item {
            bare: Bare::Bytes(bytes),
            ..
        }) = member
        else {
            return Err(ContentDigestDefect::Digest);
        };
        match key.as_str() {
            "sha-256" => {
                let bytes = bytes.try_into().map_err(|_| ContentDigestDefect::Digest)?;
                sha_256 = Some(BodyDigest::Sha256(bytes));
            }
            "sha-512" => {
                let bytes = bytes.try_into().map_err(|_| ContentDigestDefect::Digest)?;
                sha_512 = Some(BodyDigest::Sha512(bytes));
            }
            _ => {}
        }
    }
    match sha_512.or(sha_256) {
        Some(digest) => Ok(Some(digest)),
        None => Err(ContentDigestDefect::Algorithm),
    }
}

/// The field's value for a body, with SHA-256.
pub fn value_sha256(body: &[u8]) -> String {
    format!("sha-256={}", Bare::Bytes(sha256(body).to_vec()))
}

/// The field's value for a body, with SHA-512.
pub fn value_sha512(body: &[u8]) -> String {
    let hash = digest::digest(&digest::SHA512, body);
    format!("sha-512={}", Bare::Bytes(hash.as_ref().to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::tests::Owned;

    fn parsed(value: &str) -> Result<Option<BodyDigest>, ContentDigestDefect> {
        let request = Owned::new("POST", "a", "/").with("content-digest", value);
        parse(&request.headers)
    }

    #[test]
    fn the_published_digests_are_read_and_made() {
        // RFC 9530 §B.1, RFC 9421 §B.2
        let body = b"{\"hello\": \"world\"}\n";
        assert_eq!(
            value_sha256(body),
            "sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:"
        );
        assert_eq!(
            value_sha512(b"{\"hello\": \"world\"}"),
            "sha-512=:WZDPaVn/7XgHaAy8pmojAkGWoRx2UFChF41A2svX+TaPm+AbwAgBWnrIiYllu7BNNyealdVLvRwEmTHWXvJwew==:"
        );
        let read = parsed(&value_sha256(body)).unwrap().unwrap();
        assert!(matches!(read, BodyDigest::Sha256(hash) if hash == sha256(body)));
    }

    #[test]
    fn the_stronger_of_two_counts_and_others_are_not_heard() {
        let both = format!("{}, {}, md5=:AAAA:", value_sha256(b"a"), value_sha512(b"a"));
        assert!(matches!(parsed(&both), Ok(Some(BodyDigest::Sha512(_)))));
        let request = Owned::new("POST", "a", "/");
        assert!(matches!(parse(&request.headers), Ok(None)));
    }

    #[test]
    fn d06_what_is_no_digest_is_refused() {
        use ContentDigestDefect::{Algorithm, Digest, Structured};
        for (value, defect) in [
            ("", Algorithm),
            ("md5=:AAAA:", Algorithm),
            ("SHA-256=:AAAA:", Structured(StructuredDefect::Syntax)),
            ("sha-256=:AAAA:", Digest),
            ("sha-256=\"AAAA\"", Digest),
            ("sha-256", Digest),
            ("sha-256=AAAA", Digest),
            ("sha-256=:AAAA", Structured(StructuredDefect::Syntax)),
            (
                "sha-256=:AAAA:, sha-256=:AAAA:",
                Structured(StructuredDefect::Duplicate),
            ),
        ] {
            assert_eq!(parsed(value).unwrap_err(), defect, "{value}");
        }
        let twice = Owned::new("POST", "a", "/")
            .with("content-digest", &value_sha256(b"a"))
            .with("content-digest", &value_sha256(b"b"));
        assert_eq!(
            parse(&twice.headers).unwrap_err(),
            ContentDigestDefect::Header(NotOne)
        );
    }
}
