//! The signing side: for calls that Doorward itself makes, and for the command line.

use http::HeaderValue;

use super::{Component, HttpSigDefect, SignerKey, base::signature_base};
use crate::{
    request::SignedHead,
    structured::{Bare, InnerList, Item, Member, Parameters, dictionary_text},
    time::Timestamp,
};

/// What a signature says of itself.
#[derive(Clone, Copy, Debug)]
pub struct SignParameters<'a> {
    /// The signature's name in both fields.
    pub label: &'a str,
    /// The key's id.
    pub key_id: &'a str,
    /// When it is made.
    pub created: Timestamp,
    /// When it ends.
    pub expires: Option<Timestamp>,
    /// What makes it unlike every other.
    pub nonce: Option<&'a str>,
    /// What it is meant for.
    pub tag: Option<&'a str>,
    /// Whether it names its algorithm.
    pub name_algorithm: bool,
}

/// The two fields that a signature adds to a request.
#[derive(Clone, Debug)]
pub struct SignedFields {
    /// `Signature-Input`.
    pub signature_input: HeaderValue,
    /// `Signature`.
    pub signature: HeaderValue,
}

/// Signs components of a head.
///
/// # Errors
/// [`HttpSigDefect`] if a component is not in the head, the key has no algorithm here, or a
/// parameter can't be written.
pub fn sign(
    head: &SignedHead<'_>,
    components: &[Component],
    parameters: &SignParameters<'_>,
    key: SignerKey<'_>,
) -> Result<SignedFields, HttpSigDefect> {
    let algorithm = key.algorithm().ok_or(HttpSigDefect::Algorithm)?;
    let text = |text: &str| -> Result<Bare, HttpSigDefect> {
        if text.bytes().all(|b| matches!(b, b' '..=b'~')) {
            Ok(Bare::String(text.to_owned()))
        } else {
            Err(HttpSigDefect::Parameter)
        }
    };
    let mut written: Parameters = Vec::new();
    let mut put = |name: &str, value: Bare| written.push((name.to_owned(), value));
    put("created", Bare::Integer(parameters.created.as_secs()));
    if let Some(expires) = parameters.expires {
        put("expires", Bare::Integer(expires.as_secs()));
    }
    put("keyid", text(parameters.key_id)?);
    if parameters.name_algorithm {
        put("alg", text(algorithm.name())?);
    }
    if let Some(nonce) = parameters.nonce {
        put("nonce", text(nonce)?);
    }
    if let Some(tag) = parameters.tag {
        put("tag", text(tag)?);
    }
    let input = InnerList {
        items: components.iter().map(Component::to_item).collect(),
        parameters: written,
    };
    let base = signature_base(head, components, &input)?;
    let signature = Item {
        bare: Bare::Bytes(key.signature(base.as_bytes())),
        parameters: Vec::new(),
    };
    let field = |member: Member| {
        let text = dictionary_text(&vec![(parameters.label.to_owned(), member)]);
        HeaderValue::from_str(&text).map_err(|_| HttpSigDefect::Parameter)
    };
    Ok(SignedFields {
        signature_input: field(Member::Inner(input))?,
        signature: field(Member::Item(signature))?,
    })
}
