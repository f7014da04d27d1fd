//! The one type for secret bytes in memory. It has no `Display` and no `Serialize`, its `Debug`
//! is a mask, comparing it takes the same time wherever the difference lies, and its memory is
//! wiped when it goes. It refuses to be cloned in passing: [`Secret::duplicate`] is written out.

use std::fmt;

use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

/// Secret bytes: a key, a password, a token in clear.
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// Takes over `bytes`; their memory is wiped when the secret is dropped.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(Zeroizing::new(bytes.into()))
    }

    /// Takes over the text's memory.
    pub fn from_text(text: String) -> Self {
        Self::new(text.into_bytes())
    }

    /// The bytes themselves. Each call is a place worth a look in review.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// The secret as text, if it is UTF-8.
    pub fn expose_text(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }

    /// Whether `presented` is this secret. Constant time for equal lengths; the length itself
    /// is not hidden.
    pub fn matches(&self, presented: &[u8]) -> bool {
        self.0.ct_eq(presented).into()
    }

    /// Length in bytes.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are no bytes at all.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A second copy in memory, where two owners are truly needed.
    #[must_use]
    pub fn duplicate(&self) -> Self {
        Self::new(self.0.to_vec())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn i01_a_secret_masks_itself_in_debug_output() {
        let secret = Secret::from_text("hunter2".into());
        assert_eq!(format!("{secret:?} {secret:#?}"), "Secret(***) Secret(***)");
        assert_eq!(format!("{:?}", Some(&secret)), "Some(Secret(***))");
    }

    #[test]
    fn d05_a_secret_matches_itself_and_nothing_else() {
        let secret = Secret::new(*b"correct horse");
        assert!(secret.matches(b"correct horse"));
        for other in [
            &b"correct hors"[..],
            b"correct horse ",
            b"Correct horse",
            b"",
        ] {
            assert!(!secret.matches(other));
        }
        assert!(Secret::new([]).matches(b""));
    }

    #[test]
    fn i03_the_memory_behind_a_secret_wipes_itself() {
        // Does not compile once the buffer is one that does not wipe itself.
        fn wipes_on_drop<T: zeroize::ZeroizeOnDrop>(_: &T) {}
        let mut secret = Secret::new([7; 32]);
        wipes_on_drop(&secret.0);
        zeroize::Zeroize::zeroize(&mut secret.0);
        assert!(secret.is_empty());
    }

    #[test]
    fn bytes_that_are_not_text_say_so() {
        assert_eq!(Secret::new([0xff]).expose_text(), None);
        assert_eq!(Secret::from_text("ü".into()).expose_text(), Some("ü"));
    }
}
