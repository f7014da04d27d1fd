use std::time::Duration;

use serde_json::Value;

use super::{chain::Sums, *};
use crate::{
    base64std, calendar,
    digest::sha256,
    request::{BodyDefect, BodyDigest, tests::Owned},
    secret::Secret,
    sigv4::{Payload, Rules, Signer, parse, tests::rules},
    time::Timestamp,
};

const EXAMPLES: &str = include_str!("../../../../../vectors/sigv4/s3.json");

fn now() -> Timestamp {
    calendar::parse_basic("20130524T000000Z").unwrap()
}

fn through(decoder: Box<ChunkDecoder>, body: &[u8], step: usize) -> Result<Vec<u8>, ChunkDefect> {
    let mut check = BodyDigest::Chunks(decoder).into_check();
    let mut out = Vec::new();
    let chunk = |defect| match defect {
        BodyDefect::Chunk(defect) => defect,
        other => panic!("{other}"),
    };
    for part in body.chunks(step) {
        check.push(part, &mut out).map_err(chunk)?;
    }
    check.finish().map_err(chunk)?;
    Ok(out)
}

fn decoder(request: &Owned, secret: &Secret, rules: &Rules<'_, &str>) -> Box<ChunkDecoder> {
    let head = request.head();
    let claimed = parse(&head).unwrap().unwrap();
    match claimed.verify(&[secret], None, now(), rules).unwrap().body {
        BodyDigest::Chunks(decoder) => decoder,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_published_streams_verify() {
    let file: Value = serde_json::from_str(EXAMPLES).unwrap();
    let secret = Secret::from_text(file["secret"].as_str().unwrap().into());
    for case in file["chunks"].as_array().unwrap() {
        let mut request = Owned::new("PUT", "s3.amazonaws.com", "/examplebucket/chunkObject.txt");
        for field in case["headers"].as_array().unwrap() {
            request.add(field[0].as_str().unwrap(), field[1].as_str().unwrap());
        }
        let mut body = Vec::new();
        let signatures = case["signatures"].as_array().unwrap();
        for (size, signature) in [65_536, 1024, 0].into_iter().zip(signatures) {
            let line = format!(
                "{size:x};chunk-signature={}\r\n",
                signature.as_str().unwrap()
            );
            body.extend_from_slice(line.as_bytes());
            body.extend_from_slice(&vec![b'a'; size]);
            if size > 0 {
                body.extend_from_slice(b"\r\n");
            }
        }
        for trailer in case["trailers"].as_array().unwrap() {
            let (name, value) = (trailer[0].as_str().unwrap(), trailer[1].as_str().unwrap());
            body.extend_from_slice(format!("{name}:{value}\r\n").as_bytes());
        }
        if let Some(signature) = case["trailer_signature"].as_str() {
            body.extend_from_slice(format!("{TRAILER_SIGNATURE}:{signature}\r\n").as_bytes());
        }
        body.extend_from_slice(b"\r\n");
        for step in [1, 7, 8192, body.len()] {
            let rules = rules(&["us-east-1"], &["s3"]);
            let content = through(decoder(&request, &secret, &rules), &body, step);
            assert_eq!(content, Ok(vec![b'a'; 66_560]), "{}", case["name"]);
        }
    }
}

const CONTENT: [&[u8]; 3] = [b"first chunk", b"the second\r\nchunk", b"3"];

fn secret() -> Secret {
    Secret::from_text("secret".into())
}

fn wire(with_trailers: bool) -> (Owned, Vec<u8>) {
    let secret = secret();
    let length: usize = CONTENT.iter().map(|chunk| chunk.len()).sum();
    let mut request = Owned::new("PUT", "api.example.com", "/o")
        .with("x-amz-decoded-content-length", &length.to_string());
    let mut trailers = Vec::new();
    if with_trailers {
        let sum = base64std::encode(&sha256(&CONTENT.concat()));
        trailers.push((Sums::SHA256.to_owned(), sum));
        let sum = crc32fast::hash(&CONTENT.concat()).to_be_bytes();
        trailers.push((Sums::CRC32.to_owned(), base64std::encode(&sum)));
        request.add(
            "x-amz-trailer",
            &format!("{},{}", Sums::SHA256, Sums::CRC32),
        );
    }
    let signer = Signer::new("key", &secret, "r", "s3");
    let payload = Payload::SignedChunks {
        trailers: with_trailers,
    };
    let fields = signer.sign(&request.head(), payload, &[], now()).unwrap();
    for (name, value) in &fields.headers {
        request.headers.insert(name.clone(), value.clone());
    }
    let mut encoder = signer.chunks(fields);
    let mut body = Vec::new();
    for chunk in CONTENT {
        encoder.push(chunk, &mut body);
    }
    encoder.push(b"", &mut body);
    encoder.finish(&trailers, &mut body);
    (request, body)
}

fn taken(request: &Owned, body: &[u8]) -> Result<Vec<u8>, ChunkDefect> {
    taken_by(request, body, &rules(&["r"], &["s3"]))
}

fn taken_by(request: &Owned, body: &[u8], rules: &Rules<'_, &str>) -> Result<Vec<u8>, ChunkDefect> {
    let whole = through(decoder(request, &secret(), rules), body, body.len().max(1));
    let bytewise = through(decoder(request, &secret(), rules), body, 1);
    assert_eq!(whole, bytewise);
    whole
}

#[test]
fn what_we_send_in_chunks_we_take() {
    for with_trailers in [false, true] {
        let (request, body) = wire(with_trailers);
        assert_eq!(taken(&request, &body), Ok(CONTENT.concat()));
    }
}

#[test]
fn d07_any_changed_byte_of_a_stream_refuses() {
    for with_trailers in [false, true] {
        let (request, body) = wire(with_trailers);
        for at in 0..body.len() {
            let mut other = body.clone();
            other[at] ^= 1;
            assert!(taken(&request, &other).is_err(), "changed at {at}");
            let mut shorter = body.clone();
            shorter.remove(at);
            assert!(taken(&request, &shorter).is_err(), "removed at {at}");
            assert!(taken(&request, &body[..at]).is_err(), "cut at {at}");
        }
        let longer = [body.as_slice(), b"\r\n"].concat();
        assert_eq!(taken(&request, &longer), Err(ChunkDefect::After));
    }
}

#[test]
fn d07_chunks_can_not_change_places_or_be_left_out() {
    let (request, body) = wire(false);
    let text = String::from_utf8(body).unwrap();
    let starts: Vec<usize> = text.match_indices(";chunk").map(|(at, _)| at - 1).collect();
    let (second, third, last) = (starts[1] - 1, starts[2], starts[3]);
    let swapped = [
        &text[..second],
        &text[third..last],
        &text[second..third],
        &text[last..],
    ]
    .concat();
    assert_eq!(
        taken(&request, swapped.as_bytes()),
        Err(ChunkDefect::Signature)
    );
    let without = [&text[..third], &text[last..]].concat();
    assert!(taken(&request, without.as_bytes()).is_err());
}

#[test]
fn nothing_is_passed_on_before_its_signature_holds() {
    let (request, body) = wire(false);
    let mut decoder = decoder(&request, &secret(), &rules(&["r"], &["s3"]));
    let mut out = Vec::new();
    let end_of_first = body.windows(5).position(|part| part == b"chunk").unwrap();
    assert!(end_of_first < 10);
    let line = body.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    decoder
        .push(&body[..line + CONTENT[0].len() - 1], &mut out)
        .unwrap();
    assert!(out.is_empty());
    let rest = &body[line + CONTENT[0].len() - 1..];
    decoder.push(&rest[..1], &mut out).unwrap();
    assert_eq!(out, CONTENT[0]);
}

#[test]
fn e03_chunks_and_lines_are_bounded() {
    let (request, body) = wire(false);
    let small = Rules {
        max_chunk_bytes: CONTENT[1].len() - 1,
        ..rules(&["r"], &["s3"])
    };
    assert_eq!(
        taken_by(&request, &body, &small),
        Err(ChunkDefect::TooLarge)
    );
    let endless = vec![b'1'; 10_000];
    assert_eq!(taken(&request, &endless), Err(ChunkDefect::Framing));
    for line in ["+5", "-1", "0x5", "05", "ffffffffffffffff", "", " 5", "5 "] {
        let framed = format!("{line};chunk-signature={}\r\n", "0".repeat(64));
        assert_eq!(
            taken(&request, framed.as_bytes()),
            Err(ChunkDefect::Framing),
            "{line:?}"
        );
    }
}

fn unsigned(trailer: &str, body: &str) -> Result<Vec<u8>, ChunkDefect> {
    let secret = secret();
    let mut request = Owned::new("PUT", "api.example.com", "/o")
        .with("x-amz-decoded-content-length", "5")
        .with("x-amz-trailer", trailer);
    let signer = Signer::new("key", &secret, "r", "s3");
    let fields = signer
        .sign(&request.head(), Payload::UnsignedChunks, &[], now())
        .unwrap();
    for (name, value) in &fields.headers {
        request.headers.insert(name.clone(), value.clone());
    }
    let open = Rules {
        unsigned_chunks: true,
        window: Duration::from_secs(1),
        ..rules(&["r"], &["s3"])
    };
    taken_by(&request, body.as_bytes(), &open)
}

#[test]
fn unsigned_chunks_keep_length_trailers_and_checksum() {
    let sum = base64std::encode(&crc32fast::hash(b"hello").to_be_bytes());
    let crc = Sums::CRC32;
    let good = format!("3\r\nhel\r\n2\r\nlo\r\n0\r\n{crc}:{sum}\r\n\r\n");
    assert_eq!(unsigned(crc, &good), Ok(b"hello".to_vec()));
    for (from, to, defect) in [
        ("hel", "hal", ChunkDefect::Checksum),
        ("3\r\nhel", "4\r\nhell", ChunkDefect::Length),
        ("2\r\nlo\r\n", "", ChunkDefect::Length),
        (crc, "x-amz-checksum-sha1", ChunkDefect::Trailer),
        ("0\r\nx", "0\r\n\r\nx", ChunkDefect::Trailer),
        (
            "\r\n\r\n",
            "\r\nx-amz-trailer-signature:00\r\n\r\n",
            ChunkDefect::Trailer,
        ),
        ("\r\n\r\n", "\r\n", ChunkDefect::Truncated),
        ("3\r\n", "3;chunk-signature=0\r\n", ChunkDefect::Framing),
    ] {
        assert!(good.contains(from));
        assert_eq!(
            unsigned(crc, &good.replacen(from, to, 1)),
            Err(defect),
            "{from:?} {to:?}"
        );
    }
}

#[test]
fn every_defect_has_a_code_of_its_own() {
    let codes: std::collections::BTreeSet<_> = ChunkDefect::ALL
        .iter()
        .map(|defect| defect.code())
        .collect();
    assert_eq!(codes.len(), ChunkDefect::ALL.len());
}
