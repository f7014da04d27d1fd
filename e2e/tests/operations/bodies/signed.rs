//! D7: **bodies that a signature covers**, in every scheme that signs them, over both protocols and
//! towards upstreams of both.

use proof::client_call::Draft;
use proof::content_digest;
use proof::digest::sha256;
use proof::hmac_request;
use proof::httpsig::{self, Component, SignParameters, SignerKey};
use proof::jose::alg::Algorithm;
use proof::jose::key::SigningKey;
use proof::random::{SystemEntropy, random_base62};
use proof::request::SignedHead;
use proof::secret::Secret;
use proof::sigv4::chunks::ChunkEncoder;
use proof::sigv4::{Payload, Signer};
use proof::time::Timestamp;
use testkit::doorward::Doorward;

use super::super::backend::Backend;
use super::super::scene::{self, wait_until};
use super::{MOST_GROWTH_KIB, PIECE, SIZE, Spoken, peak_kib, send};

/// A scheme that covers the body.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Signed {
    /// Signature Version 4 in signed chunks.
    Chunks,
    /// An HTTP message signature over `Content-Digest`.
    Digest,
    /// Our plain scheme, with the body's hash.
    Hmac,
    /// A client's own JWT, with the body's hash.
    ClientJwt,
}

const ALL: [Signed; 4] = [
    Signed::Chunks,
    Signed::Digest,
    Signed::Hmac,
    Signed::ClientJwt,
];

/// A gateway before `/upload` that takes signed requests alone, and who signs them.
struct Door {
    doorward: Doorward,
    upstream: Backend,
    spoken: Spoken,
    /// Of the client `export`.
    own: SigningKey,
}

/// A call that is signed, and what its body still needs.
struct Call {
    headers: http::HeaderMap,
    chunks: Option<ChunkEncoder>,
}

impl Door {
    /// One that is spoken to, and speaks to its upstream, in one protocol.
    fn open(spoken: Spoken) -> Self {
        let upstream = Backend::start("one");
        let settings = spoken
            .towards(&scene::settings(&upstream.url()))
            .replace(
                "{ name: upload, methods: [POST], path: /upload, public: true, body_limit: 1GiB }",
                "{ name: upload, methods: [POST], path: /upload, body_limit: 1GiB, \
                 credentials: [sigv4, http_signature, hmac, client_jwt] }",
            )
            .replace(
                "      credentials: [api_key, basic, jwt]\n",
                "      credentials: [api_key, basic, jwt]\n      signatures: { sigv4: { regions: [local], services: [orders] } }\n",
            );
        let doorward = Doorward::start(&settings).unwrap();
        let own = SigningKey::generate(Algorithm::ES256).unwrap();
        let spec = serde_json::json!({ "spec": {
            "application": "shop", "auth_method": "private_key_jwt", "environment": "test",
            "jwks": { "keys": [own.public_jwk().to_json()] }, "signs_calls": true,
            "grants": { "orders": ["orders:read"] } } });
        doorward.make("PUT", "/v1/clients/export", &spec).unwrap();
        let door = Self {
            doorward,
            upstream,
            spoken,
            own,
        };
        wait_until(
            "the client is known",
            core::time::Duration::from_secs(10),
            || door.upload(Signed::ClientJwt, 0, false) == Some(200),
        );
        door
    }

    /// A new key for a scheme: its public name and its secret.
    fn signing_key(&self, scheme: &str) -> (String, Secret) {
        let wish = serde_json::json!({
            "application": "shop", "label": scheme, "scheme": scheme, "apis": ["orders"], "scopes": [],
        });
        let made = self.doorward.make("POST", "/v1/signing-secrets", &wish);
        let made = made.unwrap();
        let key_id = made["credential"]["signing"]["key_id"].as_str().unwrap();
        let secret = made["secret"].as_str().unwrap().to_owned();
        (key_id.to_owned(), Secret::from_text(secret))
    }

    /// The fields of a call whose body is so many pieces.
    fn call(&self, signed: Signed, pieces: usize) -> Call {
        let authority = self.doorward.gateway().to_string();
        let mut headers = http::HeaderMap::new();
        let name = |text: &'static str| http::HeaderName::from_static(text);
        let now = Timestamp::from_millis(
            i64::try_from(std::time::UNIX_EPOCH.elapsed().unwrap().as_millis()).unwrap(),
        );
        let size = pieces * PIECE;
        let whole = || vec![b'x'; size];
        if let Signed::Chunks = signed {
            headers.insert(name("x-amz-decoded-content-length"), size.into());
            headers.insert(name("content-encoding"), "aws-chunked".parse().unwrap());
        }
        if let Signed::Digest = signed {
            let value = content_digest::value_sha256(&whole());
            headers.insert(name("content-digest"), value.parse().unwrap());
        }
        let head = SignedHead {
            method: "POST",
            scheme: "http",
            authority: &authority,
            path: "/upload",
            query: None,
            headers: &headers,
        };
        let unique = random_base62(24, &SystemEntropy);
        let mut chunks = None;
        let added = match signed {
            Signed::Chunks => {
                let (key_id, secret) = self.signing_key("sigv4");
                let signer = Signer::new(&key_id, &secret, "local", "orders");
                let payload = Payload::SignedChunks { trailers: false };
                let fields = signer.sign(&head, payload, &[], now).unwrap();
                let added = fields.headers.clone();
                chunks = Some(signer.chunks(fields));
                added
            }
            Signed::Digest => {
                let (key_id, secret) = self.signing_key("http_signature");
                let mut components = httpsig::REQUIRED.to_vec();
                components.retain(|one| *one != Component::Query);
                components.push(Component::field(name("content-digest")));
                let parameters = SignParameters {
                    label: "sig1",
                    key_id: &key_id,
                    created: now,
                    expires: None,
                    nonce: Some(&unique),
                    tag: None,
                    name_algorithm: false,
                };
                let signature = SignerKey::Shared(&secret);
                let fields = httpsig::sign(&head, &components, &parameters, signature).unwrap();
                vec![
                    (name("signature-input"), fields.signature_input),
                    (name("signature"), fields.signature),
                ]
            }
            Signed::Hmac => {
                let (key_id, secret) = self.signing_key("hmac");
                let digest = sha256(&whole());
                let value = hmac_request::sign(&head, &digest, &key_id, &secret, &unique, now);
                let value = http::HeaderValue::from_bytes(value.unwrap().expose()).unwrap();
                vec![(http::header::AUTHORIZATION, value)]
            }
            Signed::ClientJwt => {
                let draft = Draft {
                    client: "export",
                    audience: "https://orders.example",
                    jti: &unique,
                    issued_at: now,
                    lifetime: core::time::Duration::from_secs(60),
                    scope: None,
                    method: Some("POST"),
                    uri: Some(&format!("http://{authority}/upload")),
                    body_sha256: Some(sha256(&whole())),
                };
                let value = format!("Bearer {}", draft.sign(&self.own, self.own.kid()));
                vec![(http::header::AUTHORIZATION, value.parse().unwrap())]
            }
        };
        headers.extend(added);
        Call { headers, chunks }
    }

    /// Sends a signed body of so many pieces, with a letter of the last one changed if it is to be;
    /// gives the answer, if there was one before the connection ended.
    fn upload(&self, signed: Signed, pieces: usize, tampered: bool) -> Option<u16> {
        let Call {
            headers,
            mut chunks,
        } = self.call(signed, pieces);
        let body = (0..=pieces).map(move |at| {
            let piece = vec![b'x'; if at < pieces { PIECE } else { 0 }];
            let mut out = Vec::new();
            match (&mut chunks, at < pieces) {
                (Some(chunks), true) => chunks.push(&piece, &mut out),
                (Some(_), false) => {
                    if let Some(chunks) = chunks.take() {
                        chunks.finish(&[], &mut out);
                    }
                }
                (None, _) => out = piece,
            }
            if tampered && at + 1 == pieces {
                // Before what is signed of its end.
                let middle = out.len() / 2;
                out[middle] ^= 1;
            }
            out
        });
        send(&self.doorward, self.spoken, &headers, body)
    }
}

#[test]
fn d07_a_signed_body_of_100_mb_streams_in_flat_memory() {
    for spoken in Spoken::ALL {
        let door = Door::open(spoken);
        let pid = door.doorward.pid();
        for signed in ALL {
            let what = format!("{signed:?} over {spoken:?}");
            assert_eq!(door.upload(signed, 1, false), Some(200), "{what}");
            let before = peak_kib(pid);
            let answered = door.upload(signed, SIZE / PIECE, false);
            assert_eq!(answered, Some(200), "{what}");
            let after = peak_kib(pid);
            println!("peak memory, {what}: {before} KiB before, {after} KiB after 100 MB up");
            // The system counts each thread's pages in lumps, so the figure may sink a little.
            let grown = after.saturating_sub(before);
            assert!(grown < MOST_GROWTH_KIB, "{what}: grew by {grown} KiB");
        }
        let all = (ALL.len() * (PIECE + SIZE)) as u64;
        assert_eq!(door.upstream.whole(), all, "{spoken:?}");
    }
}

#[test]
fn d07_a_tampered_last_piece_never_becomes_a_complete_message_upstream() {
    for spoken in Spoken::ALL {
        let door = Door::open(spoken);
        for signed in ALL {
            // Below what is read ahead, and above it.
            for pieces in [2, 64, 512] {
                let answered = door.upload(signed, pieces, true);
                assert_eq!(answered, Some(401), "{signed:?} {pieces} {spoken:?}");
            }
        }
        let whole = door.upstream.whole();
        assert_eq!(whole, 0, "no byte of them belongs to a whole message");
    }
}
