//! The `Basic` scheme's credentials (RFC 7617): what stands after `Basic ` in `Authorization`.
//! Reading is strict; whether the pair is right is decided elsewhere. It refuses padding games,
//! text that is not UTF-8, and control characters (RFC 7617 §2).

use zeroize::Zeroizing;

use crate::{base64std, password::MAX_PASSWORD_BYTES, secret::Secret};

/// Longest user name, in bytes.
pub const MAX_USERNAME_BYTES: usize = 256;

/// A user name and password as they were presented; nothing is verified yet.
#[derive(Debug)]
pub struct Basic {
    /// Everything before the first colon.
    pub username: String,
    /// Everything after it; may hold colons.
    pub password: Secret,
}

/// Why the credentials can't be read.
#[derive(Copy, Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BasicDefect {
    /// Longer than any user name and password that is accepted.
    #[error("credentials are too long")]
    TooLong,
    /// Not canonical base64 with padding (RFC 7617 §2 by RFC 4648 §4).
    #[error("credentials are not canonical base64")]
    NotBase64,
    /// The decoded bytes are not UTF-8.
    #[error("credentials are not UTF-8")]
    NotUtf8,
    /// No colon divides name and password.
    #[error("credentials have no colon")]
    NoColon,
    /// A control character in name or password (RFC 7617 §2).
    #[error("credentials contain a control character")]
    ControlCharacter,
}

impl BasicDefect {
    /// Stable kebab-case code for logs.
    pub const fn code(self) -> &'static str {
        match self {
            Self::TooLong => "basic-too-long",
            Self::NotBase64 => "basic-not-base64",
            Self::NotUtf8 => "basic-not-utf8",
            Self::NoColon => "basic-no-colon",
            Self::ControlCharacter => "basic-control-character",
        }
    }
}

impl Basic {
    /// Reads the credentials part of an `Authorization` value, without the scheme.
    ///
    /// # Errors
    /// The first [`BasicDefect`] found.
    pub fn parse(credentials: &[u8]) -> Result<Self, BasicDefect> {
        const MAX_ENCODED: usize = (MAX_USERNAME_BYTES + 1 + MAX_PASSWORD_BYTES).div_ceil(3) * 4;
        if credentials.len() > MAX_ENCODED {
            return Err(BasicDefect::TooLong);
        }
        let decoded = base64std::decode(credentials)
            .map(Zeroizing::new)
            .map_err(|_| BasicDefect::NotBase64)?;
        let text = std::str::from_utf8(&decoded).map_err(|_| BasicDefect::NotUtf8)?;
        let (username, password) = text.split_once(':').ok_or(BasicDefect::NoColon)?;
        if text.chars().any(char::is_control) {
            return Err(BasicDefect::ControlCharacter);
        }
        if username.len() > MAX_USERNAME_BYTES || password.len() > MAX_PASSWORD_BYTES {
            return Err(BasicDefect::TooLong);
        }
        Ok(Self {
            username: username.to_owned(),
            password: Secret::new(password.as_bytes()),
        })
    }

    /// The credentials part for a request that we send (command line, tests). A user name with a
    /// colon can't be sent (RFC 7617 §2): the receiver would divide it elsewhere.
    pub fn encode(username: &str, password: &Secret) -> Secret {
        let mut joined = Zeroizing::new(Vec::with_capacity(username.len() + 1 + password.len()));
        joined.extend_from_slice(username.as_bytes());
        joined.push(b':');
        joined.extend_from_slice(password.expose());
        Secret::from_text(base64std::encode(&joined))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn encoded(text: &[u8]) -> String {
        base64std::encode(text)
    }

    #[test]
    fn the_published_examples_are_read() {
        // RFC 7617 §2 and §2.1
        for (text, name, password) in [
            ("QWxhZGRpbjpvcGVuIHNlc2FtZQ==", "Aladdin", "open sesame"),
            ("dGVzdDoxMjPCow==", "test", "123£"),
        ] {
            let basic = Basic::parse(text.as_bytes()).unwrap();
            assert_eq!(basic.username, name);
            assert_eq!(basic.password.expose_text(), Some(password));
        }
    }

    #[test]
    fn the_first_colon_divides() {
        let basic = Basic::parse(encoded(b"user:pass:word").as_bytes()).unwrap();
        assert_eq!(basic.username, "user");
        assert!(basic.password.matches(b"pass:word"));
    }

    #[test]
    fn what_is_not_clean_is_refused() {
        let long_name = encoded(&[vec![b'u'; 257], b":p".to_vec()].concat());
        let long_password = encoded(&[b"u:".to_vec(), vec![b'p'; 1025]].concat());
        for (text, defect) in [
            ("", BasicDefect::NoColon),
            ("QWxhZGRpbjpvcGVuIHNlc2FtZQ", BasicDefect::NotBase64),
            (" QWxhZGRpbjpvcGVuIHNlc2FtZQ==", BasicDefect::NotBase64),
            (&encoded(b"\xff:x"), BasicDefect::NotUtf8),
            (&encoded(b"nocolon"), BasicDefect::NoColon),
            (&encoded(b"a\nb:c"), BasicDefect::ControlCharacter),
            (&encoded(b"a:c\0"), BasicDefect::ControlCharacter),
            (
                &encoded("a:\u{85}".as_bytes()),
                BasicDefect::ControlCharacter,
            ),
            (&long_name, BasicDefect::TooLong),
            (&long_password, BasicDefect::TooLong),
            (&"A".repeat(1 << 20), BasicDefect::TooLong),
        ] {
            assert_eq!(
                Basic::parse(text.as_bytes()).map(|_| ()),
                Err(defect),
                "{text:.40}"
            );
        }
    }

    #[test]
    fn i01_the_password_is_masked() {
        let basic = Basic::parse(encoded(b"me:open sesame").as_bytes()).unwrap();
        let printed = format!("{basic:?} {basic:#?}");
        assert!(
            printed.contains("me") && !printed.contains("sesame"),
            "{printed}"
        );
    }

    proptest! {
        #[test]
        fn names_and_passwords_survive_the_round_trip(name in "[^:\\pC]{0,40}", password in "\\PC{0,60}") {
            let text = Basic::encode(&name, &Secret::from_text(password.clone()));
            let basic = Basic::parse(text.expose()).unwrap();
            prop_assert_eq!(basic.username, name);
            prop_assert!(basic.password.matches(password.as_bytes()));
        }

        #[test]
        fn any_bytes_are_refused_without_a_panic(bytes: Vec<u8>) {
            let _ = Basic::parse(&bytes);
        }
    }
}
