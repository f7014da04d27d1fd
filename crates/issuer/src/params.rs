//! **Form parameters** of the OAuth endpoints (`application/x-www-form-urlencoded`), read strictly:
//! a broken escape, text that is not UTF-8, a control character, or a name that stands twice is
//! refused and never repaired. Unknown parameters are ignored (RFC 6749 §3.2), but not twice.

use std::borrow::Cow;
use std::fmt;

use crate::error::{Outcome, Reason};

/// Largest body that an OAuth endpoint reads, in bytes.
pub const MAX_BODY: usize = 64 * 1024;
/// Most parameters in one request.
pub const MAX_PARAMETERS: usize = 64;

/// The one parameter of the protocol that may repeat (RFC 8707 §2).
pub const RESOURCE: &str = "resource";
/// The one field of our pages that may repeat.
pub const SCOPE: &str = "scope";

/// The parameters of one request. Values may be secrets, so `Debug` shows names only.
pub struct Params<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl<'a> Params<'a> {
    /// Reads a body.
    ///
    /// # Errors
    /// [`Reason::BodyTooLarge`], [`Reason::MalformedForm`], [`Reason::RepeatedParameter`].
    pub fn parse(body: &'a [u8]) -> Outcome<Self> {
        Self::parse_with(body, RESOURCE)
    }

    /// Reads a form of our own pages, where each ticked [`SCOPE`] is a field.
    ///
    /// # Errors
    /// As [`Params::parse`].
    pub fn parse_page(body: &'a [u8]) -> Outcome<Self> {
        Self::parse_with(body, SCOPE)
    }

    fn parse_with(body: &'a [u8], may_repeat: &str) -> Outcome<Self> {
        if body.len() > MAX_BODY {
            return Err(Reason::BodyTooLarge.into());
        }
        let mut pairs: Vec<(Cow<'a, str>, Cow<'a, str>)> = Vec::with_capacity(8);
        if body.is_empty() {
            return Ok(Self(pairs));
        }
        for (count, field) in body.split(|&b| b == b'&').enumerate() {
            if count >= MAX_PARAMETERS {
                return Err(Reason::MalformedForm.into());
            }
            let (name, value) = match field.iter().position(|&b| b == b'=') {
                Some(at) => (&field[..at], &field[at + 1..]),
                None => (field, &field[field.len()..]),
            };
            let name = decode(name).ok_or(Reason::MalformedForm)?;
            let value = decode(value).ok_or(Reason::MalformedForm)?;
            if name.is_empty() {
                return Err(Reason::MalformedForm.into());
            }
            // RFC 6749 §3.2: "parameters MUST NOT be included more than once"; RFC 8707 §2 makes
            // the one exception. Names are few, so a scan is the cheapest set.
            if name != may_repeat && pairs.iter().any(|(known, _)| *known == name) {
                return Err(Reason::RepeatedParameter.into());
            }
            pairs.push((name, value));
        }
        Ok(Self(pairs))
    }

    /// Parameters that were read before, and kept.
    pub(crate) fn of(pairs: &'a [(String, String)]) -> Self {
        let borrowed = |text: &'a String| Cow::Borrowed(text.as_str());
        Self(
            pairs
                .iter()
                .map(|(name, value)| (borrowed(name), borrowed(value)))
                .collect(),
        )
    }

    /// Those among `names` that have a value, in the order of the request, to be kept.
    pub(crate) fn only(&self, names: &[&str]) -> Vec<(String, String)> {
        self.0
            .iter()
            .filter(|(name, value)| names.contains(&name.as_ref()) && !value.is_empty())
            .map(|(name, value)| (name.to_string(), value.to_string()))
            .collect()
    }

    /// A parameter's value. One without a value counts as omitted (RFC 6749 §3.2).
    pub fn one(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// All values of a parameter that may repeat, in order.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0
            .iter()
            .filter(move |(known, value)| known == name && !value.is_empty())
            .map(|(_, value)| value.as_ref())
    }
}

impl fmt::Debug for Params<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.0.iter().map(|(name, _)| name))
            .finish()
    }
}

/// Decodes one form component (URL Standard §5.1, without its repairs): `+` is a space, `%` is
/// followed by two hexadecimal digits, the bytes are UTF-8 without control characters.
pub(crate) fn decode(text: &[u8]) -> Option<Cow<'_, str>> {
    if text
        .iter()
        .all(|&b| b > 0x20 && b < 0x7f && b != b'%' && b != b'+')
    {
        return core::str::from_utf8(text).ok().map(Cow::Borrowed);
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.iter();
    while let Some(&byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => hex_digit(*rest.next()?)? << 4 | hex_digit(*rest.next()?)?,
            0x21..=0x7e => byte,
            // A browser escapes everything else; whoever does not is not speaking this format.
            _ => return None,
        });
    }
    let text = String::from_utf8(bytes).ok()?;
    (!text.chars().any(char::is_control)).then_some(Cow::Owned(text))
}

fn hex_digit(byte: u8) -> Option<u8> {
    char::from(byte)
        .to_digit(16)
        .and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(body: &[u8]) -> Reason {
        Params::parse(body).expect_err("refused").reason()
    }

    #[test]
    fn values_are_decoded() {
        let params = Params::parse(b"scope=a+b%20c&token=%c3%a4&flag").expect("a form");
        assert_eq!(params.one("scope"), Some("a b c"));
        assert_eq!(params.one("token"), Some("\u{e4}"));
        assert_eq!(params.one("absent"), None);
    }

    #[test]
    fn a_parameter_without_a_value_counts_as_omitted() {
        let params = Params::parse(b"scope=&grant_type").expect("a form");
        assert_eq!(params.one("scope"), None);
        assert_eq!(params.one("grant_type"), None);
    }

    #[test]
    fn only_resource_may_repeat() {
        let params = Params::parse(b"resource=a&x=1&resource=b").expect("a form");
        assert_eq!(params.all("resource").collect::<Vec<_>>(), ["a", "b"]);
        for body in [
            &b"scope=a&scope=a"[..],
            b"scope=a&%73cope=b",
            b"scope=&scope=b",
            b"unknown=1&unknown=2",
        ] {
            assert_eq!(refused(body), Reason::RepeatedParameter);
        }
    }

    #[test]
    fn what_is_not_a_form_is_refused() {
        for body in [
            &b"a=%"[..],
            b"a=%4",
            b"a=%4g",
            b"a=%00",
            b"a=%ff",
            b"a=%0d%0a",
            b"a=\xc3\xa4",
            b"a=b c",
            b"=b",
            b"a=1&&b=2",
            b"&",
            b"{\"grant_type\":1}\n",
        ] {
            assert_eq!(
                refused(body),
                Reason::MalformedForm,
                "{}",
                String::from_utf8_lossy(body)
            );
        }
    }

    #[test]
    fn size_and_number_of_parameters_are_bounded() {
        assert_eq!(refused(&vec![b'a'; MAX_BODY + 1]), Reason::BodyTooLarge);
        let fields = |n: usize| {
            (0..n)
                .map(|i| format!("p{i}=1"))
                .collect::<Vec<_>>()
                .join("&")
        };
        assert!(Params::parse(fields(MAX_PARAMETERS).as_bytes()).is_ok());
        assert_eq!(
            refused(fields(MAX_PARAMETERS + 1).as_bytes()),
            Reason::MalformedForm
        );
    }

    #[test]
    fn i01_debug_output_shows_no_value() {
        let params = Params::parse(b"client_secret=hunter2").expect("a form");
        assert_eq!(format!("{params:?}"), r#"["client_secret"]"#);
    }
}
