use http::HeaderValue;

use super::*;
use crate::digest::sha256;

/// A request that owns its parts, so that tests can change one and lend the whole.
#[derive(Clone, Debug)]
pub(crate) struct Owned {
    pub(crate) method: String,
    pub(crate) scheme: String,
    pub(crate) authority: String,
    pub(crate) path: String,
    pub(crate) query: Option<String>,
    pub(crate) headers: HeaderMap,
}

impl Owned {
    /// `target` is path and query.
    pub(crate) fn new(method: &str, authority: &str, target: &str) -> Self {
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path, Some(query.to_owned())),
            None => (target, None),
        };
        Self {
            method: method.to_owned(),
            scheme: "https".to_owned(),
            authority: authority.to_owned(),
            path: path.to_owned(),
            query,
            headers: HeaderMap::new(),
        }
    }

    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.add(name, value);
        self
    }

    pub(crate) fn add(&mut self, name: &str, value: &str) {
        self.headers.append(
            name.parse::<HeaderName>().unwrap(),
            HeaderValue::from_bytes(value.as_bytes()).unwrap(),
        );
    }

    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.headers.insert(
            name.parse::<HeaderName>().unwrap(),
            HeaderValue::from_bytes(value.as_bytes()).unwrap(),
        );
    }

    pub(crate) fn head(&self) -> SignedHead<'_> {
        SignedHead {
            method: &self.method,
            scheme: &self.scheme,
            authority: &self.authority,
            path: &self.path,
            query: self.query.as_deref(),
            headers: &self.headers,
        }
    }

    /// Every request that differs from this one in one byte of the method, authority, path, query
    /// or of one of the named fields: each byte is replaced by another, left out, and doubled.
    pub(crate) fn neighbours(&self, fields: &[&str]) -> Vec<(String, Self)> {
        fn changed(text: &str) -> Vec<String> {
            let mut all = Vec::new();
            for at in 0..text.len() {
                let (before, rest) = text.split_at(at);
                let (byte, after) = rest.split_at(1);
                for other in ["0", "1", "a", "b", "A", "x", "/", "%", "=", "&", ".", "~"] {
                    if other != byte {
                        all.push(format!("{before}{other}{after}"));
                    }
                }
                if byte.as_bytes()[0].is_ascii_alphabetic() {
                    let other = char::from(byte.as_bytes()[0] ^ 0x20);
                    all.push(format!("{before}{other}{after}"));
                }
                all.push(format!("{before}{after}"));
            }
            all
        }
        let mut all = Vec::new();
        for text in changed(&self.method) {
            all.push((
                format!("method {text}"),
                Self {
                    method: text,
                    ..self.clone()
                },
            ));
        }
        for text in changed(&self.authority) {
            all.push((
                format!("authority {text}"),
                Self {
                    authority: text,
                    ..self.clone()
                },
            ));
        }
        // No path at all stands for the root.
        for text in changed(&self.path)
            .into_iter()
            .filter(|text| !text.is_empty())
        {
            all.push((
                format!("path {text}"),
                Self {
                    path: text,
                    ..self.clone()
                },
            ));
        }
        for text in changed(self.query.as_deref().unwrap_or_default()) {
            let query = Some(text.clone());
            all.push((
                format!("query {text}"),
                Self {
                    query,
                    ..self.clone()
                },
            ));
        }
        for field in fields {
            let value = self.headers[*field].to_str().unwrap();
            for text in changed(value) {
                let mut other = self.clone();
                other.set(field, &text);
                all.push((format!("{field}: {text}"), other));
            }
        }
        all
    }
}

fn passed(digest: BodyDigest, body: &[u8]) -> Result<Vec<u8>, BodyDefect> {
    let mut check = digest.into_check();
    let mut out = Vec::new();
    for part in body.chunks(3) {
        check.push(part, &mut out)?;
    }
    check.finish()?;
    Ok(out)
}

#[test]
fn d07_a_body_passes_only_if_it_is_the_one_that_was_signed() {
    let body = b"the whole body";
    let sha512: [u8; 64] = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA512, body)
        .as_ref()
        .try_into()
        .unwrap();
    assert_eq!(
        passed(BodyDigest::Sha256(sha256(body)), body),
        Ok(body.to_vec())
    );
    assert_eq!(passed(BodyDigest::Sha512(sha512), body), Ok(body.to_vec()));
    for other in [
        &b"the whole bodY"[..],
        b"the whole bod",
        b"the whole body ",
        b"",
    ] {
        let wrong = Err(BodyDefect::WrongDigest);
        assert_eq!(passed(BodyDigest::Sha256(sha256(body)), other), wrong);
        assert_eq!(passed(BodyDigest::Sha512(sha512), other), wrong);
    }
}

#[test]
fn d04_a_body_that_nothing_covers_is_refused() {
    assert_eq!(passed(BodyDigest::Empty, b""), Ok(Vec::new()));
    assert_eq!(passed(BodyDigest::Empty, b"x"), Err(BodyDefect::NotCovered));
    assert_eq!(passed(BodyDigest::Unsigned, b"x"), Ok(b"x".to_vec()));
}

#[test]
fn a_field_is_absent_one_or_refused() {
    const NAME: HeaderName = HeaderName::from_static("x-field");
    let absent = Owned::new("GET", "a", "/");
    assert_eq!(absent.head().one(&NAME), Ok(None));
    let one = absent.with("x-field", "text");
    assert_eq!(one.head().one(&NAME), Ok(Some("text")));
    let two = one.with("x-field", "text");
    assert_eq!(two.head().one(&NAME), Err(NotOne));
    let foreign = Owned::new("GET", "a", "/").with("x-field", "caf\u{e9}");
    assert_eq!(foreign.head().one(&NAME), Err(NotOne));
}

#[test]
fn what_is_remembered_differs_by_format_and_by_part() {
    let until = Timestamp::from_secs(1);
    let id = |format, parts: &[&[u8]]| Replay::new(format, parts, until).id;
    let base = id("sigv4", &[b"key", b"signature"]);
    assert_ne!(base, id("httpsig", &[b"key", b"signature"]));
    assert_ne!(base, id("sigv4", &[b"keys", b"ignature"]));
    assert_eq!(base, id("sigv4", &[b"key", b"signature"]));
}

#[test]
fn a_key_id_reads_the_same_in_every_format() {
    for id in ["dw_hs_live_0123456789abcdef", "AKIDEXAMPLE", "k:1@x.y"] {
        assert!(key_id_is_clean(id), "{id}");
    }
    for id in [
        "",
        "a b",
        "a/b",
        "a,b",
        "a\"b",
        "a\\b",
        "a\nb",
        "caf\u{e9}",
        &"a".repeat(257),
    ] {
        assert!(!key_id_is_clean(id), "{id}");
    }
}
