//! HTTP message signatures (RFC 9421) beyond the plain one: registered keys, bodies, what must be
//! covered and said.

use http::{HeaderMap, HeaderName, HeaderValue};
use proof::content_digest::{CONTENT_DIGEST, value_sha256};
use proof::httpsig::{self, Component, SignParameters, SignerKey};

use super::signed::{head, texts};
use super::*;

const KIND: CredentialKind = CredentialKind::HttpSignature;

/// A call and how it is signed.
struct Message {
    method: &'static str,
    path: &'static str,
    fields: HeaderMap,
    body: &'static [u8],
    covered: Vec<Component>,
    expires: Option<Timestamp>,
    tag: Option<&'static str>,
    nonce: bool,
}

impl Message {
    fn get(path: &'static str) -> Self {
        Self {
            method: "GET",
            path,
            fields: HeaderMap::new(),
            body: b"",
            covered: vec![Component::Method, Component::Authority, Component::Path],
            expires: None,
            tag: None,
            nonce: true,
        }
    }

    /// A body, its digest, and whether that is covered.
    fn post(body: &'static [u8], digest_of: Option<&[u8]>, covered: bool) -> Self {
        let mut message = Self::get("/http-signature/body");
        (message.method, message.body) = ("POST", body);
        if let Some(text) = digest_of {
            let value = HeaderValue::from_str(&value_sha256(text)).unwrap();
            message.fields.insert(CONTENT_DIGEST, value);
        }
        if covered {
            message.covered.push(Component::field(CONTENT_DIGEST));
        }
        message
    }

    fn signed(self, by: &Signatory) -> Call {
        let nonce = random_base62(24, &SystemEntropy);
        let parameters = SignParameters {
            label: "sig1",
            key_id: &by.key_id,
            created: moment(),
            expires: self.expires,
            nonce: self.nonce.then_some(&nonce),
            tag: self.tag,
            name_algorithm: false,
        };
        let secret = Secret::from_text(by.secret.clone());
        let key = match &by.private {
            Some(private) => SignerKey::Private(private),
            None => SignerKey::Shared(&secret),
        };
        let head = head(self.method, self.path, None, &self.fields);
        let signed = httpsig::sign(&head, &self.covered, &parameters, key).unwrap();
        Call {
            method: self.method,
            fields: texts(&self.fields),
            body: self.body.to_vec(),
            ..Call::get(self.path)
        }
        .with("signature-input", signed.signature_input.to_str().unwrap())
        .with("signature", signed.signature.to_str().unwrap())
    }
}

pub(super) fn messages<'a>(rows: &mut Rows<'a>, known: &'a Known) {
    let by = &known.signers(Scheme::HttpSignature).good;
    let me = "/http-signature/me";
    let mut add = |defect, by: &Signatory, message: fn() -> Message| {
        let by = by.clone();
        rows.add(KIND, defect, move || message().signed(&by));
    };
    let mut other = known.registered.clone();
    other.private = Some(Arc::new(SigningKey::generate(Algorithm::EdDSA).unwrap()));
    let plain = || Message::get("/http-signature/me");
    add("registered: none", &known.registered, plain);
    add("registered: by another key", &other, plain);
    let mut shared = other;
    (shared.private, shared.secret) = (None, by.secret.clone());
    add("registered: by a secret", &shared, plain);

    add("expired by its own word", by, || Message {
        expires: Some(moment().minus(Duration::from_secs(240))),
        ..Message::get("/http-signature/me")
    });
    add("without the method", by, || {
        let mut message = Message::get("/http-signature/me");
        message.covered.remove(0);
        message
    });
    // The query is covered by nothing.
    let signer = by.clone();
    rows.add(KIND, "with a query that is not covered", move || {
        let call = Message::get(me).signed(&signer);
        Call {
            path: format!("{me}?limit=2"),
            ..call
        }
    });

    let mut add = |defect, message: fn() -> Message| {
        rows.add(KIND, defect, move || message().signed(by));
    };
    add("none, with a body", || {
        Message::post(b"one", Some(b"one"), true)
    });
    add("with another body", || {
        Message::post(b"two", Some(b"one"), true)
    });
    add("with no body", || Message::post(b"", Some(b"one"), true));
    add("with a body without a digest", || {
        Message::post(b"one", None, false)
    });
    add("with a digest that is not covered", || {
        Message::post(b"one", Some(b"one"), false)
    });

    add("covering what the route asks for: none", || {
        let mut message = asked_for();
        message.fields.insert(SHOP, HeaderValue::from_static("7"));
        message.covered.push(Component::field(SHOP));
        message
    });
    add("covering what the route asks for: without a field", || {
        let mut message = asked_for();
        message.fields.insert(SHOP, HeaderValue::from_static("7"));
        message
    });
    add(
        "covering what the route asks for: without the address",
        || {
            let mut message = asked_for();
            message.fields.insert(SHOP, HeaderValue::from_static("7"));
            message.covered = vec![Component::Method, Component::field(SHOP)];
            message
        },
    );

    let tagged = "tagged, with a nonce: none";
    add(tagged, || Message {
        tag: Some("shop"),
        ..Message::get("/http-signature/tagged")
    });
    add("tagged, with a nonce: without the tag", || {
        Message::get("/http-signature/tagged")
    });
    add("tagged, with a nonce: with another tag", || Message {
        tag: Some("bank"),
        ..Message::get("/http-signature/tagged")
    });
    add("tagged, with a nonce: without a nonce", || Message {
        tag: Some("shop"),
        nonce: false,
        ..Message::get("/http-signature/tagged")
    });
}

/// A field that a route wants covered.
const SHOP: HeaderName = HeaderName::from_static("x-shop");

fn asked_for() -> Message {
    let mut message = Message::get("/http-signature/covered");
    message.covered = vec![Component::Method, Component::TargetUri];
    message
}
