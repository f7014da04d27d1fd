//! **Callers who sign their requests**: a key id and a secret, and the fields of a call without a
//! body in each scheme. Who signs with the wrong secret, or long ago, is a test's choice.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue};
use proof::httpsig::{self, Component, SignParameters, SignerKey};
use proof::jose::key::SigningKey;
use proof::random::{SystemEntropy, random_base62};
use proof::request::SignedHead;
use proof::secret::Secret;
use proof::sigv4::{Payload, Signer};
use proof::time::Timestamp;
use proof::{digest, hmac_request};
use serde_json::Value;

/// A scheme of signed requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// AWS Signature Version 4.
    SigV4,
    /// An HTTP message signature (RFC 9421).
    HttpSignature,
    /// Doorward's own plain HMAC scheme.
    Hmac,
}

impl Scheme {
    /// Every scheme.
    pub const ALL: [Self; 3] = [Self::SigV4, Self::HttpSignature, Self::Hmac];

    /// Its name in settings and in the admin API.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::SigV4 => "sigv4",
            Self::HttpSignature => "http_signature",
            Self::Hmac => "hmac",
        }
    }
}

/// What is called: method, `http` or `https`, authority and path, as they are sent.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    /// The method.
    pub method: &'a str,
    /// `http` or `https`.
    pub scheme: &'a str,
    /// `Host`, or `:authority`.
    pub authority: &'a str,
    /// The path, without a query.
    pub path: &'a str,
}

/// Who signs.
#[derive(Debug, Clone)]
pub struct Signatory {
    /// How.
    pub scheme: Scheme,
    /// The key's public name.
    pub key_id: String,
    /// The key's secret.
    pub secret: String,
    /// The private half, where the key is a public one and there is no secret.
    pub private: Option<Arc<SigningKey>>,
    /// Region of the credential scope, where the scheme has one; the service is `orders`.
    pub region: String,
}

impl Signatory {
    /// The holder of a key that the admin API just made.
    #[must_use]
    pub fn of(scheme: Scheme, made: &Value) -> Self {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        Self {
            scheme,
            key_id: text(&made["credential"]["signing"]["key_id"]),
            secret: text(&made["secret"]),
            private: None,
            region: "local".to_owned(),
        }
    }

    /// The same with a key whose public half was registered (RFC 9421).
    #[must_use]
    pub fn with_key(key_id: &str, private: Arc<SigningKey>) -> Self {
        Self {
            scheme: Scheme::HttpSignature,
            key_id: key_id.to_owned(),
            secret: String::new(),
            private: Some(private),
            region: "local".to_owned(),
        }
    }

    /// The fields of a call without a body, like no other call's.
    ///
    /// # Panics
    /// If the call can't be signed.
    #[must_use]
    pub fn fields(&self, call: &Target<'_>, now: Timestamp) -> Vec<(String, String)> {
        let unique = random_base62(24, &SystemEntropy);
        let secret = Secret::from_text(self.secret.clone());
        let mut headers = HeaderMap::new();
        if self.scheme == Scheme::SigV4 {
            let name = HeaderName::from_static("x-amz-meta-call");
            headers.insert(name, HeaderValue::from_str(&unique).expect("letters"));
        }
        let head = SignedHead {
            method: call.method,
            scheme: call.scheme,
            authority: call.authority,
            path: call.path,
            query: None,
            headers: &headers,
        };
        let nothing = digest::sha256(b"");
        let added = match self.scheme {
            Scheme::SigV4 => {
                let signer = Signer::new(&self.key_id, &secret, &self.region, "orders");
                let signed = signer.sign(&head, Payload::Hash(nothing), &[], now);
                signed.expect("a call that can be signed").headers
            }
            Scheme::HttpSignature => {
                let mut components = httpsig::REQUIRED.to_vec();
                components.retain(|one| *one != Component::Query);
                let parameters = SignParameters {
                    label: "sig1",
                    key_id: &self.key_id,
                    created: now,
                    expires: None,
                    nonce: Some(&unique),
                    tag: None,
                    name_algorithm: false,
                };
                let key = match &self.private {
                    Some(private) => SignerKey::Private(private),
                    None => SignerKey::Shared(&secret),
                };
                let signed = httpsig::sign(&head, &components, &parameters, key);
                let signed = signed.expect("a call that can be signed");
                vec![
                    (
                        HeaderName::from_static("signature-input"),
                        signed.signature_input,
                    ),
                    (HeaderName::from_static("signature"), signed.signature),
                ]
            }
            Scheme::Hmac => {
                let value =
                    hmac_request::sign(&head, &nothing, &self.key_id, &secret, &unique, now);
                let value = value.expect("a call that can be signed");
                let value = HeaderValue::from_bytes(value.expose()).expect("letters");
                vec![(http::header::AUTHORIZATION, value)]
            }
        };
        headers.extend(added);
        headers
            .iter()
            .map(|(name, value)| {
                let text = String::from_utf8_lossy(value.as_bytes()).into_owned();
                (name.as_str().to_owned(), text)
            })
            .collect()
    }
}
