//! A bundle's signature: `.signatures.json` with one JWT, whose claims name every file with its digest.
//! Of a file that is a document (`data.json`, `.manifest`) the content is digested, in one written form,
//! and not the bytes; of others the bytes.

use std::collections::BTreeMap;

use proof::digest::{hex, sha256};
use proof::jose::alg::Algorithm;
use proof::jose::jws;
use serde::Deserialize;
use serde_json::Value;

use super::{BundleDefect, Files, Verification, base};

/// Longest signature: it grows with the number of files.
const MAX_SIGNATURE: usize = 2 << 20;
const SIGNATURES: &str = ".signatures.json";

#[derive(Deserialize)]
struct Written {
    signatures: Vec<String>,
    #[serde(default)]
    plugin: String,
}

#[derive(Deserialize)]
struct Claims {
    files: Vec<Signed>,
    #[serde(default)]
    scope: Option<String>,
    /// Where OPA's own tool names the key.
    #[serde(default)]
    keyid: Option<String>,
}

#[derive(Deserialize)]
struct Signed {
    name: String,
    hash: String,
    #[serde(default)]
    algorithm: String,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    crit: Option<Value>,
}

/// Checks the signature, and each file against it.
pub(super) fn check(files: &Files, verification: Verification<'_>) -> Result<(), BundleDefect> {
    let written = files.get(SIGNATURES).ok_or(BundleDefect::Unsigned)?;
    let written: Written =
        serde_json::from_slice(written).map_err(|_| BundleDefect::File(SIGNATURES.to_owned()))?;
    if !matches!(written.plugin.as_str(), "" | "_default") {
        return Err(BundleDefect::Signature("it asks for a way of its own"));
    }
    let [token] = written.signatures.as_slice() else {
        return Err(BundleDefect::Signature("there is not exactly one"));
    };
    let claims = verified(token, verification)?;
    if verification.scope.is_some() && claims.scope.as_deref() != verification.scope {
        return Err(BundleDefect::Signature("it is for another scope"));
    }
    let mut signed = BTreeMap::new();
    for file in claims.files {
        let name = file.name.trim_start_matches('/').to_owned();
        if signed.insert(name, (file.hash, file.algorithm)).is_some() {
            return Err(BundleDefect::Signature("it names a file twice"));
        }
    }
    for (path, bytes) in files.iter().filter(|(path, _)| *path != SIGNATURES) {
        let (hash, algorithm) = signed
            .remove(path)
            .ok_or_else(|| BundleDefect::Changed(path.clone()))?;
        if algorithm != "SHA-256" {
            return Err(BundleDefect::Signature("a digest is none of SHA-256"));
        }
        let digest = if is_document(path) {
            let value: Value =
                serde_json::from_slice(bytes).map_err(|_| BundleDefect::File(path.clone()))?;
            sha256(value_text(&value).as_bytes())
        } else {
            sha256(bytes)
        };
        if !hash.eq_ignore_ascii_case(&hex(&digest)) {
            return Err(BundleDefect::Changed(path.clone()));
        }
    }
    match signed.into_keys().next() {
        Some(missing) => Err(BundleDefect::Changed(missing)),
        None => Ok(()),
    }
}

fn is_document(path: &str) -> bool {
    matches!(base(path), "data.json" | ".manifest")
}

/// Without white space, members in the order of their names.
fn value_text(value: &Value) -> String {
    match value {
        Value::Object(members) => {
            let mut names: Vec<_> = members.keys().collect();
            names.sort();
            let members = names.into_iter().map(|name| {
                let value = value_text(&members[name]);
                format!("{}:{value}", Value::from(name.as_str()))
            });
            format!("{{{}}}", members.collect::<Vec<_>>().join(","))
        }
        Value::Array(items) => {
            let items: Vec<_> = items.iter().map(value_text).collect();
            format!("[{}]", items.join(","))
        }
        other => other.to_string(),
    }
}

/// The claims of the token, if a key of ours made its signature.
fn verified(token: &str, verification: Verification<'_>) -> Result<Claims, BundleDefect> {
    let wrong = BundleDefect::Signature;
    if token.len() > MAX_SIGNATURE {
        return Err(wrong("it is too long"));
    }
    let unreadable = || wrong("it is no JWT");
    let (signed, signature) = token.rsplit_once('.').ok_or_else(unreadable)?;
    let (header, payload) = signed.split_once('.').ok_or_else(unreadable)?;
    let decode =
        |part: &str| proof::base64url::decode(part.as_bytes()).map_err(|_| wrong("it is no JWT"));
    let header_bytes = decode(header)?;
    if header_bytes.len() > jws::MAX_HEADER_BYTES {
        return Err(unreadable());
    }
    let header: Header = serde_json::from_slice(&header_bytes).map_err(|_| unreadable())?;
    if header.crit.is_some() {
        return Err(wrong("it asks for what is not known"));
    }
    let algorithm = Algorithm::from_name(&header.alg).ok_or(wrong("its algorithm is not known"))?;
    let signature = decode(signature)?;
    let claims: Claims =
        serde_json::from_slice(&decode(payload)?).map_err(|_| wrong("its claims can't be read"))?;
    let kid = header.kid.as_deref().or(claims.keyid.as_deref());
    let keys = verification.keys.verifying_keys(&[algorithm]);
    // A set of one needs no name.
    let any = kid.is_none() && verification.keys.keys().len() == 1;
    let holds = keys
        .iter()
        .filter(|key| any || (kid.is_some() && key.kid() == kid))
        .any(|key| key.verify(signed.as_bytes(), &signature));
    if !holds {
        return Err(wrong("no key made it"));
    }
    Ok(claims)
}
