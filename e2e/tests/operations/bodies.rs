//! **Large bodies**: they stream both ways, and memory stays flat.

use std::io::{Read as _, Write as _};

use proof::content_digest;
use proof::httpsig::{self, Component, SignParameters, SignerKey};
use proof::request::SignedHead;
use proof::secret::Secret;
use proof::sigv4::{Payload, Signer};
use proof::time::Timestamp;
use testkit::doorward::Doorward;
use testkit::wire::{self, find};

use super::backend::Backend;
use super::scene;

const SIZE: usize = 100 * 1024 * 1024;
const MOST_GROWTH_KIB: u64 = 32 * 1024;

#[test]
fn a_body_of_100_mb_streams_both_ways_in_flat_memory() {
    let upstream = Backend::start("one");
    let doorward = Doorward::start(&scene::settings(&upstream.url())).unwrap();
    // The first call warms pools and buffers up.
    assert_eq!(doorward.get("/open", &[]).unwrap().status, 200);
    let before = peak_kib(doorward.pid());

    let mut stream = wire::connect(doorward.gateway()).unwrap();
    let head = format!(
        "POST /upload HTTP/1.1\r\nhost: {}\r\ncontent-length: {SIZE}\r\n\r\n",
        doorward.gateway()
    );
    stream.write_all(head.as_bytes()).unwrap();
    let piece = vec![b'x'; 64 * 1024];
    for _ in 0..SIZE / piece.len() {
        stream.write_all(&piece).unwrap();
    }
    let answer = wire::first_answer(&mut stream).unwrap();
    assert_eq!((answer.status, answer.text()), (200, SIZE.to_string()));
    let uploaded = peak_kib(doorward.pid());

    let mut stream = wire::connect(doorward.gateway()).unwrap();
    let head = format!(
        "GET /stream?{SIZE} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n",
        doorward.gateway()
    );
    stream.write_all(head.as_bytes()).unwrap();
    let got = read_to_end(&mut stream);
    assert!(got >= SIZE as u64, "{got} bytes of {SIZE}");
    let downloaded = peak_kib(doorward.pid());

    println!(
        "peak memory: {} KiB before, {} KiB after 100 MB up, {} KiB after 100 MB down",
        before, uploaded, downloaded
    );
    assert!(
        uploaded - before < MOST_GROWTH_KIB,
        "grew by {} KiB",
        uploaded - before
    );
    assert!(
        downloaded - before < MOST_GROWTH_KIB,
        "grew by {} KiB",
        downloaded - before
    );
}

/// Counts what comes after the head without keeping it.
fn read_to_end(stream: &mut std::net::TcpStream) -> u64 {
    let mut buffer = vec![0u8; 256 * 1024];
    let mut head = Vec::new();
    let mut total = 0u64;
    loop {
        let read = stream.read(&mut buffer).unwrap();
        if read == 0 {
            return total;
        }
        if total == 0 {
            head.extend_from_slice(&buffer[..read]);
            if let Some(at) = find(&head, b"\r\n\r\n") {
                assert!(head.starts_with(b"HTTP/1.1 200 "));
                total = (head.len() - at - 4) as u64;
            }
        } else {
            total += read as u64;
        }
    }
}

/// Resident memory of a process now, in KiB.
pub(super) fn resident_kib(pid: u32) -> u64 {
    figure(pid, "VmRSS:")
}

/// The most it ever was.
fn peak_kib(pid: u32) -> u64 {
    figure(pid, "VmHWM:")
}

fn figure(pid: u32, name: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Signs with a key of this name, in a scheme that covers the body.
#[derive(Clone, Copy, Debug)]
enum Signed {
    /// Signature Version 4 in signed chunks.
    Chunks,
    /// An HTTP message signature over `Content-Digest`.
    Digest,
}

/// Bodies of one letter, in pieces.
const PIECE: usize = 64 * 1024;

/// A gateway before `/upload` that takes signed requests alone.
fn signed_door(upstream: &Backend) -> Doorward {
    let settings = scene::settings(&upstream.url()).replace(
        "{ name: upload, methods: [POST], path: /upload, public: true, body_limit: 1GiB }",
        "{ name: upload, methods: [POST], path: /upload, credentials: [sigv4, http_signature], body_limit: 1GiB }",
    );
    let settings = settings.replace(
        "      credentials: [api_key, basic, jwt]\n",
        "      credentials: [api_key, basic, jwt]\n      signatures: { sigv4: { regions: [local], services: [orders] } }\n",
    );
    Doorward::start(&settings).unwrap()
}

/// A key for a scheme: its public name and its secret.
fn signing_key(doorward: &Doorward, scheme: &str) -> (String, Secret) {
    let wish = serde_json::json!({
        "application": "shop", "label": scheme, "scheme": scheme, "apis": ["orders"], "scopes": [],
    });
    let made = doorward.make("POST", "/v1/signing-secrets", &wish).unwrap();
    let key_id = made["credential"]["signing"]["key_id"].as_str().unwrap();
    let secret = made["secret"].as_str().unwrap().to_owned();
    (key_id.to_owned(), Secret::from_text(secret))
}

/// Sends a signed body of so many pieces, with the last byte changed if it is to be; gives the answer,
/// if there was one before the connection ended.
fn upload(doorward: &Doorward, signed: Signed, pieces: usize, tampered: bool) -> Option<u16> {
    let piece = vec![b'x'; PIECE];
    let authority = doorward.gateway().to_string();
    let mut headers = http::HeaderMap::new();
    let name = |text: &'static str| http::HeaderName::from_static(text);
    let now = Timestamp::from_millis(
        i64::try_from(std::time::UNIX_EPOCH.elapsed().unwrap().as_millis()).unwrap(),
    );
    let size = pieces * PIECE;
    if let Signed::Chunks = signed {
        headers.insert(name("x-amz-decoded-content-length"), size.into());
        headers.insert(name("content-encoding"), "aws-chunked".parse().unwrap());
    }
    if let Signed::Digest = signed {
        let value = content_digest::value_sha256(&vec![b'x'; size]);
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
    let mut chunks = None;
    let added = match signed {
        Signed::Chunks => {
            let (key_id, secret) = signing_key(doorward, "sigv4");
            let signer = Signer::new(&key_id, &secret, "local", "orders");
            let payload = Payload::SignedChunks { trailers: false };
            let fields = signer.sign(&head, payload, &[], now).unwrap();
            let added = fields.headers.clone();
            chunks = Some(signer.chunks(fields));
            added
        }
        Signed::Digest => {
            let (key_id, secret) = signing_key(doorward, "http_signature");
            let mut components = httpsig::REQUIRED.to_vec();
            components.retain(|one| *one != Component::Query);
            components.push(Component::field(name("content-digest")));
            let parameters = SignParameters {
                label: "sig1",
                key_id: &key_id,
                created: now,
                expires: None,
                nonce: Some("0123456789abcdef"),
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
    };
    headers.extend(added);
    let mut text =
        format!("POST /upload HTTP/1.1\r\nhost: {authority}\r\ntransfer-encoding: chunked\r\n");
    for (name, value) in &headers {
        text.push_str(&format!("{name}: {}\r\n", value.to_str().unwrap()));
    }
    text.push_str("\r\n");
    let mut stream = wire::connect(doorward.gateway()).unwrap();
    stream.write_all(text.as_bytes()).unwrap();
    for at in 0..=pieces {
        let mut out = Vec::new();
        let last = at == pieces;
        match (&mut chunks, last) {
            (Some(chunks), false) => chunks.push(&piece, &mut out),
            (Some(_), true) => chunks.take().unwrap().finish(&[], &mut out),
            (None, false) => out.extend_from_slice(&piece),
            (None, true) => {}
        }
        if tampered && at + 1 == pieces {
            // A letter of the last piece, before what is signed of its end.
            let middle = out.len() / 2;
            out[middle] ^= 1;
        }
        let mut framed = Vec::with_capacity(out.len() + 16);
        if !out.is_empty() {
            framed.extend_from_slice(format!("{:x}\r\n", out.len()).as_bytes());
            framed.extend_from_slice(&out);
            framed.extend_from_slice(b"\r\n");
        }
        if last {
            framed.extend_from_slice(b"0\r\n\r\n");
        }
        // The door may have broken off already: then the answer says why.
        if stream.write_all(&framed).is_err() {
            break;
        }
    }
    wire::first_answer(&mut stream)
        .ok()
        .map(|answer| answer.status)
}

#[test]
fn d07_a_signed_body_of_100_mb_streams_in_flat_memory() {
    let upstream = Backend::start("one");
    let doorward = signed_door(&upstream);
    for signed in [Signed::Chunks, Signed::Digest] {
        assert_eq!(upload(&doorward, signed, 1, false), Some(200), "{signed:?}");
        let before = peak_kib(doorward.pid());
        let answered = upload(&doorward, signed, SIZE / PIECE, false);
        assert_eq!(answered, Some(200), "{signed:?}");
        let after = peak_kib(doorward.pid());
        println!("peak memory, {signed:?}: {before} KiB before, {after} KiB after 100 MB up");
        assert!(
            after - before < MOST_GROWTH_KIB,
            "{signed:?}: grew by {} KiB",
            after - before
        );
    }
    assert_eq!(upstream.whole(), 2 * (PIECE + SIZE) as u64);
}

#[test]
fn d07_a_tampered_last_piece_never_becomes_a_complete_message_upstream() {
    let upstream = Backend::start("one");
    let doorward = signed_door(&upstream);
    for signed in [Signed::Chunks, Signed::Digest] {
        // Below what is read ahead, and above it.
        for pieces in [2, 64, 512] {
            let answered = upload(&doorward, signed, pieces, true);
            assert_eq!(answered, Some(401), "{signed:?} {pieces}");
        }
    }
    assert_eq!(
        upstream.whole(),
        0,
        "no byte of them belongs to a whole message"
    );
}
