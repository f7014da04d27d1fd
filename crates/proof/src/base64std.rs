//! base64 with padding (RFC 4648 §4), the spelling of HTTP Basic and of PEM.
//! Strict: one value has one text. Missing padding, white space, foreign letters and stray bits after the
//! last byte are refused, so that nobody can spell one token two ways.

use base64::{Engine as _, engine::general_purpose::STANDARD};

/// The text is not canonical base64.
#[derive(Copy, Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not canonical base64")]
pub struct NotCanonical;

impl NotCanonical {
    /// Stable kebab-case code for logs.
    pub const fn code(self) -> &'static str {
        "not-canonical-base64"
    }
}

/// Encodes with padding.
pub fn encode(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// Decodes canonical text.
///
/// # Errors
/// [`NotCanonical`] for everything that [`encode`] would not have written.
pub fn decode(text: &[u8]) -> Result<Vec<u8>, NotCanonical> {
    STANDARD.decode(text).map_err(|_| NotCanonical)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_published_examples_encode_as_published() {
        // RFC 4648 §10
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(encode(bytes.as_bytes()), text);
            assert_eq!(decode(text.as_bytes()), Ok(bytes.as_bytes().to_vec()));
        }
    }

    #[test]
    fn every_other_spelling_is_refused() {
        for bad in [
            "Zg", "Zg=", "Zg===", "Zh==", " Zg==", "Zg==\n", "Z g=", "-_==", "=",
        ] {
            assert_eq!(decode(bad.as_bytes()), Err(NotCanonical), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn bytes_survive_the_round_trip(bytes: Vec<u8>) {
            prop_assert_eq!(decode(encode(&bytes).as_bytes()), Ok(bytes));
        }
    }
}
