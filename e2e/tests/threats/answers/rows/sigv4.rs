//! Signature Version 4 beyond its field: bodies, session tokens, presigned addresses.

use http::{HeaderMap, HeaderName, HeaderValue};
use proof::digest::sha256;
use proof::sigv4::{Payload, Signer};

use super::signed::{head, texts};
use super::*;

const KIND: CredentialKind = CredentialKind::SigV4;

pub(super) fn bodies<'a>(rows: &mut Rows<'a>, known: &'a Known) {
    let by = &known.signers(Scheme::SigV4).good;
    let call = |payload: Payload, body: &'static [u8], more: &'static [(&str, &str)]| {
        move || {
            let path = "/sigv4/body";
            let mut headers = unlike_others();
            for (name, value) in more {
                let name = HeaderName::from_static(name);
                headers.insert(name, HeaderValue::from_static(value));
            }
            let head = head("POST", path, None, &headers);
            let secret = Secret::from_text(by.secret.clone());
            let signer = Signer::new(&by.key_id, &secret, &by.region, "orders");
            let signed = signer.sign(&head, payload, &[], moment()).unwrap();
            let mut sent = headers.clone();
            sent.extend(signed.headers);
            Call {
                method: "POST",
                fields: texts(&sent),
                body: body.to_vec(),
                ..Call::get(path)
            }
        }
    };
    let one = Payload::Hash(sha256(b"one"));
    rows.add(KIND, "none, with a body", call(one, b"one", &[]));
    rows.add(KIND, "with another body", call(one, b"two", &[]));
    rows.add(KIND, "with no body", call(one, b"", &[]));
    rows.add(
        KIND,
        "with a body that is not signed",
        call(Payload::Unsigned, b"one", &[]),
    );
    rows.add(
        KIND,
        "with a session token",
        call(one, b"one", &[("x-amz-security-token", "letmein")]),
    );
}

pub(super) fn presigned<'a>(rows: &mut Rows<'a>, known: &'a Known) {
    let by = &known.signers(Scheme::SigV4).good;
    let query = move |path: &str, life: u64, at: Timestamp| {
        let nothing = HeaderMap::new();
        let mark = format!("mark={}", random_base62(24, &SystemEntropy));
        let head = head("GET", path, Some(&mark), &nothing);
        let secret = Secret::from_text(by.secret.clone());
        let signer = Signer::new(&by.key_id, &secret, &by.region, "orders");
        let life = Duration::from_secs(life);
        signer.presign(&head, Payload::empty(), life, at).unwrap()
    };
    let link = move |path: &'static str, life: u64, at: fn() -> Timestamp| {
        move || Call::get(&format!("{path}?{}", query(path, life, at())))
    };
    let here = "/sigv4/link";
    rows.add(KIND, "presigned: none", link(here, 60, moment));
    rows.twice(KIND, "presigned: none, twice", link(here, 60, moment));
    rows.add(KIND, "presigned: expired", link(here, 60, long_ago));
    rows.add(
        KIND,
        "presigned: for longer than the route allows",
        link(here, 7200, moment),
    );
    let good = link(here, 60, moment);
    rows.add(KIND, "presigned: with one parameter more", move || {
        let call = good();
        Call {
            path: format!("{}&limit=2", call.path),
            ..call
        }
    });
    rows.add(KIND, "presigned: for another address", move || {
        Call::get(&format!("{here}?{}", query("/sigv4/me", 60, moment())))
    });
    let good = link(here, 60, moment);
    rows.add(KIND, "presigned: and a signature in the field", move || {
        let target = Target {
            method: "GET",
            scheme: "https",
            authority: "localhost",
            path: here,
        };
        Call {
            fields: by.fields(&target, moment()),
            ..good()
        }
    });
    rows.add(
        KIND,
        "presigned: where none passes",
        link("/sigv4/me", 60, moment),
    );
    let once = "/sigv4/once";
    rows.add(KIND, "presigned, once: none", link(once, 60, moment));
    rows.twice(KIND, "presigned, once: twice", link(once, 60, moment));
}

/// A field that is signed and makes the call like no other.
fn unlike_others() -> HeaderMap {
    let unique = random_base62(24, &SystemEntropy);
    let name = HeaderName::from_static("x-amz-meta-call");
    HeaderMap::from_iter([(name, HeaderValue::from_str(&unique).unwrap())])
}
