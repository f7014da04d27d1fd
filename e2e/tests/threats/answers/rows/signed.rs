//! Requests that their callers sign.

use http::{HeaderMap, HeaderValue};
use proof::digest::sha256;
use proof::hmac_request;
use proof::request::SignedHead;

use super::*;

/// What of a call is signed.
pub(super) fn head<'a>(
    method: &'a str,
    path: &'a str,
    query: Option<&'a str>,
    headers: &'a HeaderMap,
) -> SignedHead<'a> {
    SignedHead {
        method,
        scheme: "https",
        authority: "localhost",
        path,
        query,
        headers,
    }
}

/// Fields as a call has them.
pub(super) fn texts(headers: &HeaderMap) -> Vec<(String, String)> {
    let text = |value: &HeaderValue| value.to_str().unwrap().to_owned();
    headers
        .iter()
        .map(|(name, value)| (name.as_str().to_owned(), text(value)))
        .collect()
}

/// The plain scheme over a body.
pub(super) fn hmac_bodies<'a>(rows: &mut Rows<'a>, known: &'a Known) {
    let kind = CredentialKind::Hmac;
    let by = &known.signers(Scheme::Hmac).good;
    let posted = |body: &'static [u8]| {
        move || {
            let path = "/hmac/body";
            let nothing = HeaderMap::new();
            let head = head("POST", path, None, &nothing);
            let secret = Secret::from_text(by.secret.clone());
            let nonce = random_base62(24, &SystemEntropy);
            let digest = sha256(b"one");
            let value =
                hmac_request::sign(&head, &digest, &by.key_id, &secret, &nonce, moment()).unwrap();
            Call {
                method: "POST",
                body: body.to_vec(),
                ..Call::get(path).with("authorization", value.expose_text().unwrap())
            }
        }
    };
    rows.add(kind, "none, with a body", posted(b"one"));
    rows.add(kind, "with another body", posted(b"two"));
    rows.add(kind, "with no body", posted(b""));
}

pub(super) fn signed<'a>(rows: &mut Rows<'a>, signers: &'a Signers) {
    let scheme = signers.good.scheme;
    let kind = match scheme {
        Scheme::SigV4 => CredentialKind::SigV4,
        Scheme::HttpSignature => CredentialKind::HttpSignature,
        Scheme::Hmac => CredentialKind::Hmac,
    };
    let base = scheme.name().replace('_', "-");
    let (me, write) = (format!("/{base}/me"), format!("/{base}/write"));
    let call = |signer: &'a Signatory, path: &str, sent_to: &str, at: fn() -> Timestamp| {
        let (path, sent_to) = (path.to_owned(), sent_to.to_owned());
        move || {
            let target = Target {
                method: "GET",
                scheme: "https",
                authority: "localhost",
                path: &path,
            };
            let mut call = Call::get(&sent_to);
            call.fields = signer.fields(&target, at());
            call
        }
    };
    rows.add(kind, "none", call(&signers.good, &me, &me, moment));
    let path = me.clone();
    rows.add(kind, "missing", move || Call::get(&path));
    let path = me.clone();
    rows.add(kind, "malformed", move || {
        let call = Call::get(&path);
        match scheme {
            Scheme::SigV4 => call.with("authorization", "AWS4-HMAC-SHA256 Credential=x"),
            Scheme::HttpSignature => call
                .with("signature-input", "sig1=(")
                .with("signature", "sig1=:AA==:"),
            Scheme::Hmac => call.with("authorization", "HMAC-SHA256 keyid=x"),
        }
    });
    for (defect, signer) in &signers.others {
        rows.add(kind, defect, call(signer, &me, &me, moment));
    }
    rows.add(
        kind,
        "signed for another address",
        call(&signers.good, &write, &me, moment),
    );
    rows.add(
        kind,
        "signed an hour ago",
        call(&signers.good, &me, &me, long_ago),
    );
    rows.add(
        kind,
        "signed in an hour",
        call(&signers.good, &me, &me, || {
            moment().plus(Duration::from_secs(3600))
        }),
    );
    rows.twice(kind, "replayed", call(&signers.good, &me, &me, moment));
    if scheme == Scheme::SigV4 {
        let path = me.clone();
        rows.add(kind, "for another region", move || {
            let mut signer = signers.good.clone();
            signer.region = "elsewhere".to_owned();
            let target = Target {
                method: "GET",
                scheme: "https",
                authority: "localhost",
                path: &path,
            };
            let mut call = Call::get(&path);
            call.fields = signer.fields(&target, moment());
            call
        });
    }
    rows.add(
        kind,
        "without the scope",
        call(&signers.good, &write, &write, moment),
    );
}
