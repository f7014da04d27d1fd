//! Signatures over requests. The secret is known here and nothing in a corpus is signed with it, so
//! what verifies was forged.

use http::{HeaderMap, HeaderName, HeaderValue};
use proof::httpsig::{self, Component};
use proof::request::SignedHead;
use proof::secret::Secret;
use proof::webhook::{self, Style};
use proof::{content_digest, hmac_request, sigv4};

use crate::calls::{NOW, request};

/// The head of a request as a signature sees it.
macro_rules! head {
    ($parts:ident) => {
        SignedHead {
            method: $parts.method.as_str(),
            scheme: "https",
            authority: "api.example.com",
            path: $parts.uri.path(),
            query: $parts.uri.query(),
            headers: &$parts.headers,
        }
    };
}

fn secret() -> Secret {
    Secret::new(b"a secret of the fuzzer's own, 32+ bytes".to_vec())
}

pub(crate) fn sigv4(data: &[u8]) {
    let Some((parts, body)) = request(data) else {
        return;
    };
    let head = head!(parts);
    if let Ok(Some(claimed)) = sigv4::parse(&head) {
        let rules = sigv4::Rules {
            regions: &["local"],
            services: &["orders", "s3"],
            window: sigv4::WINDOW,
            presigned: Some(sigv4::PRESIGNED_LIFETIME),
            leeway: Default::default(),
            paths: None,
            unsigned_payload: true,
            signed_chunks: true,
            unsigned_chunks: true,
            max_chunk_bytes: 1 << 16,
            signed_if_present: &[],
        };
        let digest = proof::digest::sha256(body);
        let digest = claimed.needs_body().then_some(&digest);
        assert!(claimed.verify(&[&secret()], digest, NOW, &rules).is_err());
    }
}

/// A chunked body means the same however the network cuts it, and what was tampered with never ends
/// well: whatever passes is what was encoded.
pub(crate) fn sigv4_chunks(data: &[u8]) {
    let [cut, flip, rest @ ..] = data else {
        return;
    };
    let content = &rest[..rest.len().min(512)];
    let mut headers = HeaderMap::new();
    headers.insert(
        http::header::HOST,
        HeaderValue::from_static("api.example.com"),
    );
    let length = HeaderValue::from(content.len());
    headers.insert("x-amz-decoded-content-length", length);
    let bare = SignedHead {
        method: "PUT",
        scheme: "https",
        authority: "api.example.com",
        path: "/o",
        query: None,
        headers: &headers,
    };
    let secret = secret();
    let signer = sigv4::Signer::new("DWAKTESTTESTTESTTEST", &secret, "local", "s3");
    let payload = sigv4::Payload::SignedChunks { trailers: false };
    let also = [HeaderName::from_static("x-amz-decoded-content-length")];
    let Ok(fields) = signer.sign(&bare, payload, &also, NOW) else {
        return;
    };
    let mut signed = headers.clone();
    for (name, value) in &fields.headers {
        signed.insert(name.clone(), value.clone());
    }
    let mut encoder = signer.chunks(fields);
    let mut sent = Vec::new();
    for chunk in content.chunks(usize::from(*cut).max(1)) {
        encoder.push(chunk, &mut sent);
    }
    encoder.finish(&[], &mut sent);

    let decode = |wire: &[u8], step: usize| {
        let head = SignedHead {
            headers: &signed,
            ..bare
        };
        let claimed = sigv4::parse(&head).ok()??;
        let rules = sigv4::Rules {
            regions: &["local"],
            services: &["s3"],
            window: sigv4::WINDOW,
            presigned: None,
            leeway: Default::default(),
            paths: None,
            unsigned_payload: false,
            signed_chunks: true,
            unsigned_chunks: false,
            max_chunk_bytes: 1 << 16,
            signed_if_present: &[],
        };
        let verified = claimed.verify(&[&secret], None, NOW, &rules).ok()?;
        let mut check = verified.body.into_check();
        let mut out = Vec::new();
        for piece in wire.chunks(step.max(1)) {
            check.push(piece, &mut out).ok()?;
        }
        check.finish().ok()?;
        Some(out)
    };
    assert_eq!(decode(&sent, usize::from(*cut)).as_deref(), Some(content));
    assert_eq!(decode(&sent, 1).as_deref(), Some(content));
    // Any other byte anywhere.
    let at = usize::from(*flip) * sent.len() / 256;
    let mut changed = sent.clone();
    changed[at] ^= cut.wrapping_add(1).max(1);
    if changed != sent
        && let Some(out) = decode(&changed, 7)
    {
        // The case of hexadecimal digits is the one thing that may differ.
        assert_eq!(
            out, content,
            "byte {at} of a signed body was changed and passed"
        );
    }
}

pub(crate) fn http_signature(data: &[u8]) {
    let Some((parts, _)) = request(data) else {
        return;
    };
    let head = head!(parts);
    if let Ok(Some(claimed)) = httpsig::parse(&head, None) {
        let secret = secret();
        let rules = httpsig::Rules {
            required: &[Component::Method],
            unsigned_body: true,
            ..httpsig::Rules::default()
        };
        let keys = [httpsig::Key::Shared(&secret)];
        assert!(claimed.verify(&keys, NOW, &rules).is_err());
    }
}

pub(crate) fn content_digest(data: &[u8]) {
    let Ok(value) = HeaderValue::from_bytes(data) else {
        return;
    };
    let mut headers = HeaderMap::new();
    headers.insert(content_digest::CONTENT_DIGEST, value);
    let _ = content_digest::parse(&headers);
}

pub(crate) fn hmac_request(data: &[u8]) {
    let Some((parts, _)) = request(data) else {
        return;
    };
    let head = head!(parts);
    if let Ok(Some(claimed)) = hmac_request::parse(&head) {
        let secret = secret();
        let rules = hmac_request::Rules::default();
        assert!(claimed.verify(&[&secret], NOW, &rules).is_err());
    }
}

pub(crate) fn webhook(data: &[u8]) {
    let Some((parts, body)) = request(data) else {
        return;
    };
    for style in Style::ALL {
        let Ok(Some(claimed)) = webhook::parse(style, &parts.headers) else {
            continue;
        };
        let text = Secret::new(b"whsec_ZnV6emVycyBvd24gc2VjcmV0LCAzMiBieXRlcyE=".to_vec());
        let key = webhook::Key::read(style, &text).expect("a good key");
        let rules = webhook::Rules::default();
        assert!(claimed.verify(&[key], body, NOW, &rules).is_err());
    }
}
