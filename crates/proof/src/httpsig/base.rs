//! The signature base: the text that is signed (RFC 9421 §2.5).

use std::borrow::Cow;

use http::HeaderName;

use super::{Component, FieldForm, HttpSigDefect};
use crate::{
    request::SignedHead,
    structured::{self, Bare, InnerList},
};

/// One line for each component, and one for the signature's own parameters.
pub(super) fn signature_base(
    head: &SignedHead<'_>,
    components: &[Component],
    input: &InnerList,
) -> Result<String, HttpSigDefect> {
    let mut base = String::new();
    for component in components {
        let value = value(head, component)?;
        // A line end would make one component look like two; beyond ASCII nobody agrees.
        if !value.bytes().all(|b| matches!(b, b' '..=b'~' | b'\t')) {
            return Err(HttpSigDefect::ComponentMissing);
        }
        base.push_str(&component.to_item().to_string());
        base.push_str(": ");
        base.push_str(&value);
        base.push('\n');
    }
    base.push_str("\"@signature-params\": ");
    base.push_str(&input.to_string());
    Ok(base)
}

fn value<'a>(head: &SignedHead<'a>, component: &Component) -> Result<Cow<'a, str>, HttpSigDefect> {
    Ok(match component {
        Component::Method => head.method.into(),
        Component::TargetUri => format!(
            "{}://{}{}",
            head.scheme.to_ascii_lowercase(),
            authority(head),
            head.target()
        )
        .into(),
        Component::Authority => authority(head).into(),
        Component::Scheme => head.scheme.to_ascii_lowercase().into(),
        Component::RequestTarget => head.target().into(),
        Component::Path => head.path_or_root().into(),
        // RFC 9421 §2.2.7: a question mark stands there even without a query.
        Component::Query => format!("?{}", head.query.unwrap_or_default()).into(),
        Component::QueryParam(name) => query_parameter(head.query, name)?.into(),
        Component::Field(name, form) => field(head, name, form)?.into(),
    })
}

/// Host in lower case, without the scheme's own port (RFC 9421 §2.2.3).
fn authority(head: &SignedHead<'_>) -> String {
    let authority = head.authority.to_ascii_lowercase();
    let default = match head.scheme {
        "https" => ":443",
        "http" => ":80",
        _ => return authority,
    };
    match authority.strip_suffix(default) {
        Some(host) => host.to_owned(),
        None => authority,
    }
}

/// The value of the one parameter with this name, encoded anew (RFC 9421 §2.2.8).
fn query_parameter(query: Option<&str>, name: &str) -> Result<String, HttpSigDefect> {
    let mut found = None;
    for pair in query
        .unwrap_or_default()
        .split('&')
        .filter(|p| !p.is_empty())
    {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        if form_encoded(&form_decoded(key)) == name
            && found.replace(form_encoded(&form_decoded(value))).is_some()
        {
            // A name that stands twice must not be covered: which of them would it be?
            return Err(HttpSigDefect::ComponentMissing);
        }
    }
    found.ok_or(HttpSigDefect::ComponentMissing)
}

/// Decodes as `application/x-www-form-urlencoded` (WHATWG URL §5.1): a plus is a space, and a
/// percent sign without two digits is itself.
fn form_decoded(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let digit = |at: usize| tail.get(at).and_then(|b| char::from(*b).to_digit(16));
        match (first, digit(0), digit(1)) {
            (b'%', Some(high), Some(low)) => {
                bytes.push((high * 16 + low) as u8);
                rest = &tail[2..];
            }
            (b'+', ..) => {
                bytes.push(b' ');
                rest = tail;
            }
            _ => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    bytes
}

/// Encodes with the form set of WHATWG URL §1.3, a space as `%20`.
fn form_encoded(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for &byte in bytes {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'*' | b'-' | b'.' | b'_') {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    text
}

fn field(
    head: &SignedHead<'_>,
    name: &HeaderName,
    form: &FieldForm,
) -> Result<String, HttpSigDefect> {
    const MISSING: HttpSigDefect = HttpSigDefect::ComponentMissing;
    // `Host` is where HTTP/1.1 says the authority; a head that came by HTTP/2 has none.
    let lines: Vec<&[u8]> = if *name == http::header::HOST {
        vec![head.authority.as_bytes()]
    } else {
        head.headers
            .get_all(name)
            .iter()
            .map(|line| line.as_bytes().trim_ascii())
            .collect()
    };
    if lines.is_empty() {
        return Err(MISSING);
    }
    if *form == FieldForm::Bytes {
        let lines: Vec<String> = lines
            .into_iter()
            .map(|line| Bare::Bytes(line.to_vec()).to_string())
            .collect();
        return Ok(lines.join(", "));
    }
    let joined = String::from_utf8(lines.join(b", ".as_slice())).map_err(|_| MISSING)?;
    match form {
        FieldForm::Plain | FieldForm::Bytes => Ok(joined),
        FieldForm::Strict => {
            let members = structured::parse_dictionary(&joined)?;
            Ok(structured::dictionary_text(&members))
        }
        FieldForm::Member(key) => structured::parse_dictionary(&joined)?
            .iter()
            .find(|(known, _)| known == key)
            .map(|(_, member)| member.to_string())
            .ok_or(MISSING),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::tests::Owned;

    fn covered(request: &Owned, component: &Component) -> Result<String, HttpSigDefect> {
        value(&request.head(), component).map(Cow::into_owned)
    }

    #[test]
    fn derived_components_have_the_published_values() {
        // RFC 9421 §2.2
        let request = Owned::new("POST", "www.Example.com:443", "/path?param=value");
        for (component, expected) in [
            (Component::Method, "POST"),
            (
                Component::TargetUri,
                "https://www.example.com/path?param=value",
            ),
            (Component::Authority, "www.example.com"),
            (Component::Scheme, "https"),
            (Component::RequestTarget, "/path?param=value"),
            (Component::Path, "/path"),
            (Component::Query, "?param=value"),
        ] {
            assert_eq!(covered(&request, &component).as_deref(), Ok(expected));
        }
        let bare = Owned::new("GET", "a:8443", "");
        assert_eq!(covered(&bare, &Component::Query).as_deref(), Ok("?"));
        assert_eq!(covered(&bare, &Component::Path).as_deref(), Ok("/"));
        assert_eq!(
            covered(&bare, &Component::Authority).as_deref(),
            Ok("a:8443")
        );
    }

    #[test]
    fn query_parameters_have_the_published_values() {
        // RFC 9421 §2.2.8
        let request = Owned::new(
            "GET",
            "a",
            "/parameters?var=this%20is%20a%20big%0Amultiline%20value&bar=with+plus+whitespace\
             &fa%C3%A7ade%22%3A%20=something&twice=1&twice=2&qux=",
        );
        let parameter = |name: &str| covered(&request, &Component::QueryParam(name.into()));
        assert_eq!(
            parameter("var").as_deref(),
            Ok("this%20is%20a%20big%0Amultiline%20value")
        );
        assert_eq!(parameter("bar").as_deref(), Ok("with%20plus%20whitespace"));
        assert_eq!(
            parameter("fa%C3%A7ade%22%3A%20").as_deref(),
            Ok("something")
        );
        assert_eq!(parameter("qux").as_deref(), Ok(""));
        for name in ["twice", "absent", ""] {
            assert_eq!(
                parameter(name),
                Err(HttpSigDefect::ComponentMissing),
                "{name}"
            );
        }
    }

    #[test]
    fn fields_have_the_published_values() {
        // RFC 9421 §2.1, §2.1.2, §2.1.3
        let request = Owned::new("GET", "www.example.com", "/")
            .with("x-ows-header", "  Leading and trailing whitespace.   ")
            .with("cache-control", "max-age=60")
            .with("cache-control", "   must-revalidate")
            .with("x-empty", "")
            .with("example-dict", " a=1, b=2;x=1;y=2, c=(a   b   c), d")
            .with("example-header", "value, with, lots")
            .with("example-header", "of, commas");
        let field = |name: &'static str, form: FieldForm| {
            covered(
                &request,
                &Component::Field(HeaderName::from_static(name), form),
            )
        };
        let key = |key: &str| field("example-dict", FieldForm::Member(key.into()));
        for (found, expected) in [
            (field("host", FieldForm::Plain), "www.example.com"),
            (
                field("x-ows-header", FieldForm::Plain),
                "Leading and trailing whitespace.",
            ),
            (
                field("cache-control", FieldForm::Plain),
                "max-age=60, must-revalidate",
            ),
            (field("x-empty", FieldForm::Plain), ""),
            (key("a"), "1"),
            (key("d"), "?1"),
            (key("b"), "2;x=1;y=2"),
            (key("c"), "(a b c)"),
            (
                field("example-dict", FieldForm::Strict),
                "a=1, b=2;x=1;y=2, c=(a b c), d",
            ),
            (
                field("example-header", FieldForm::Bytes),
                ":dmFsdWUsIHdpdGgsIGxvdHM=:, :b2YsIGNvbW1hcw==:",
            ),
        ] {
            assert_eq!(found.as_deref(), Ok(expected));
        }
        assert_eq!(key("e"), Err(HttpSigDefect::ComponentMissing));
        assert_eq!(
            field("absent", FieldForm::Plain),
            Err(HttpSigDefect::ComponentMissing)
        );
    }
}
