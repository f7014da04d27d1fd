//! base64url without padding (RFC 4648 §5, RFC 7515 §2), the spelling of JOSE.
//! Strict: one value has one text. Padding, white space, foreign letters and stray bits after the
//! last byte are refused, so that nobody can spell one token two ways.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

/// The text is not canonical base64.
#[derive(Copy, Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not canonical base64url")]
pub struct NotCanonical;

impl NotCanonical {
    /// Stable kebab-case code for logs.
    pub const fn code(self) -> &'static str {
        "not-canonical-base64url"
    }
}

/// Encodes without padding.
pub fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Decodes canonical text.
///
/// # Errors
/// [`NotCanonical`] for everything that [`encode`] would not have written.
pub fn decode(text: &[u8]) -> Result<Vec<u8>, NotCanonical> {
    URL_SAFE_NO_PAD.decode(text).map_err(|_| NotCanonical)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_published_example_encodes_as_published() {
        // RFC 7515 appendix C
        assert_eq!(encode(&[3, 236, 255, 224, 193]), "A-z_4ME");
        assert_eq!(decode(b"A-z_4ME"), Ok(vec![3, 236, 255, 224, 193]));
    }

    #[test]
    fn every_other_spelling_is_refused() {
        for bad in [
            "QQ==", "QQ=", " QQ", "QQ\n", "Q Q", "QR", "Q", "+/", "QQ\u{e9}", "A-z_4MF",
        ] {
            assert_eq!(decode(bad.as_bytes()), Err(NotCanonical), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn bytes_survive_the_round_trip(bytes: Vec<u8>) {
            prop_assert_eq!(decode(encode(&bytes).as_bytes()), Ok(bytes));
        }

        #[test]
        fn what_decodes_encodes_to_the_same_text(text in "[A-Za-z0-9_-]{0,24}") {
            if let Ok(bytes) = decode(text.as_bytes()) {
                prop_assert_eq!(encode(&bytes), text);
            }
        }
    }
}
