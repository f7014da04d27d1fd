//! What a token says: header, claims, times in words, and what looks wrong. Nothing here proves
//! anything: whoever made the text could write what they liked.

use core::time::Duration;

use proof::issued::{self, Brand, Malformed, SecretKind};
use proof::jose::alg::Algorithm;
use proof::jose::jws::{self, Unverified};
use proof::jose::jwt::{Claims, JwtDefect};
use proof::paseto;
use proof::time::{Leeway, Timestamp};
use registry::units::Moment;
use serde::Serialize;
use serde_json::{Map, Value};

use super::opened;
use crate::cli::failure::{Failure, Outcome};
use crate::cli::screen::{Screen, length, seen_from};

/// A token of our own should not live longer than this.
const LONG: Duration = Duration::from_secs(15 * 60);
/// No token for calls should live longer than this.
const VERY_LONG: Duration = Duration::from_secs(60 * 60);

/// What was found in a token.
#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct Inspected {
    /// The header.
    header: Map<String, Value>,
    /// The payload as JSON; absent if it is not JSON.
    claims: Option<Value>,
    /// Times in words.
    times: Vec<(String, String)>,
    /// What looks wrong.
    findings: Vec<String>,
}

/// Shows a token.
pub(crate) fn run(token: &str, screen: Screen) -> Outcome<()> {
    if let Some(words) = other_than_jws(token) {
        return Err(words);
    }
    let found = inspect(token, screen.now)?;
    if screen.is_json() {
        return screen.json(&found);
    }
    let pretty = |value: &Value| serde_json::to_string_pretty(value).unwrap_or_default();
    screen.line(&format!("Header\n{}", pretty(&Value::Object(found.header))))?;
    if let Some(claims) = &found.claims {
        screen.line(&format!("\nClaims\n{}", pretty(claims)))?;
    }
    if !found.times.is_empty() {
        screen.line("\nTimes")?;
        let times: Vec<(&str, String)> = found
            .times
            .iter()
            .map(|(name, words)| (name.as_str(), words.clone()))
            .collect();
        screen.fields(&times)?;
    }
    screen.line("\nWhat looks wrong")?;
    if found.findings.is_empty() {
        screen.line("nothing; the signature was not checked (`doorward token verify` does)")
    } else {
        screen.line(
            &found
                .findings
                .iter()
                .map(|finding| format!("- {finding}"))
                .collect::<Vec<_>>()
                .join("\n"),
        )
    }
}

/// Texts that are no signed JWT but that people paste all the same; none of them is echoed.
fn other_than_jws(token: &str) -> Option<Failure> {
    if token.is_empty() {
        return Some(Failure::usage("There is no token to look at."));
    }
    if let Some(brand) = token
        .split('_')
        .next()
        .and_then(|first| Brand::new(first).ok())
    {
        match issued::parse(token.as_bytes(), &brand) {
            Ok(secret) if secret.kind == SecretKind::OpaqueToken => {
                return Some(
                    Failure::new(format!(
                        "This is an opaque access token ({}): it says nothing by itself.",
                        secret.environment
                    ))
                    .next("ask the introspection endpoint what it stands for"),
                );
            }
            Ok(secret) => {
                return Some(
                    Failure::new(format!(
                        "This is no token but a Doorward secret of kind `{}` ({}), with the public id {}.",
                        secret.kind.tag(),
                        secret.environment,
                        secret.id
                    ))
                    .next("treat it as exposed if it was pasted anywhere; `doorward key show` takes the key's `key_…` id"),
                );
            }
            Err(Malformed::Checksum) => {
                return Some(Failure::new(
                    "This looks like a Doorward secret, but its checksum is wrong: it was cut or mistyped.",
                ));
            }
            Err(_) => {}
        }
    }
    if paseto::looks_like(token.as_bytes()) {
        return None;
    }
    match token.split('.').count() {
        3 => None,
        5 => Some(
            Failure::new(format!(
                "This is {}; only its recipient can read it.",
                opened::about(token)
            ))
            .next("whoever has the API's private key can: `--key-file`"),
        ),
        parts => Some(
            Failure::new(format!(
                "This is not a signed JWT: it has {parts} parts and not 3."
            ))
            .next("an opaque token says nothing by itself; ask the introspection endpoint"),
        ),
    }
}

fn inspect(token: &str, now: Timestamp) -> Outcome<Inspected> {
    if paseto::looks_like(token.as_bytes()) {
        return inspect_paseto(token, now);
    }
    let token = jws::split_certified(token.as_bytes()).map_err(|defect| {
        Failure::new(format!("This can not be read as a signed JWT: {defect}."))
    })?;
    let mut findings = Vec::new();
    header_findings(&token, &mut findings);
    let payload = token.unverified_payload();
    let header = token.header().clone();
    Ok(told(
        header,
        payload,
        Claims::from_json(payload),
        findings,
        now,
    ))
}

fn inspect_paseto(token: &str, now: Timestamp) -> Outcome<Inspected> {
    let token = paseto::split(token.as_bytes())
        .map_err(|defect| Failure::new(format!("This can not be read as a PASETO: {defect}.")))?;
    let Some(payload) = token.unverified_payload() else {
        let kid = token.key_id().map(|kid| format!(", with the key {kid:?}"));
        let words = format!(
            "This is an encrypted token (PASETO, v4.local{}); only who holds its key can read it.",
            kid.unwrap_or_default()
        );
        return Err(Failure::new(words).next("ask the introspection endpoint of its issuer"));
    };
    let mut findings = Vec::new();
    if token.key_id().is_none() {
        findings
            .push("the footer names no key: only the sole key of an issuer opens it".to_owned());
    }
    let footer = serde_json::from_slice(token.unverified_footer()).unwrap_or_default();
    let mut header = Map::new();
    header.insert("version".to_owned(), "v4".into());
    header.insert("purpose".to_owned(), "public".into());
    header.insert("footer".to_owned(), footer);
    let read = paseto::claims_from_json(payload);
    Ok(told(header, payload, read, findings, now))
}

/// What both forms have in common.
fn told(
    header: Map<String, Value>,
    payload: &[u8],
    read: Result<Claims, JwtDefect>,
    mut findings: Vec<String>,
    now: Timestamp,
) -> Inspected {
    let claims: Option<Value> = serde_json::from_slice(payload).ok();
    let mut times = Vec::new();
    match read {
        Ok(read) => {
            times = times_in_words(&read, now);
            claim_findings(&read, now, &mut findings);
        }
        Err(defect) => findings.push(format!("{defect}; every verifier refuses it")),
    }
    Inspected {
        header,
        claims,
        times,
        findings,
    }
}

fn header_findings(token: &Unverified<'_>, findings: &mut Vec<String>) {
    let alg = token.alg_name();
    if alg.eq_ignore_ascii_case("none") {
        findings.push("alg is `none`: it is not signed at all".to_owned());
    } else if alg.starts_with("HS") {
        findings.push(format!(
            "alg is `{alg}`: signed with a shared key, which Doorward refuses for tokens"
        ));
    } else if Algorithm::from_name(alg).is_none() {
        findings.push(format!("alg is `{alg}`, which Doorward does not know"));
    }
    if token.brings_uncertified_key() {
        findings.push(
            "the header brings a key or its address along (jwk, jku, x5u): never used".to_owned(),
        );
    } else if token.brings_key() {
        findings.push(
            "the header brings certificates along (x5c): only a client's own call may, where the \
             client is declared with `call_certificates`"
                .to_owned(),
        );
    }
    match token.typ() {
        None => findings.push(
            "there is no typ: nothing tells it from an ID token (RFC 9068 wants `at+jwt`)"
                .to_owned(),
        ),
        Some(typ) => {
            let bare = typ.to_ascii_lowercase();
            let bare = bare.strip_prefix("application/").unwrap_or(&bare);
            if bare == "jwt" {
                findings.push(format!(
                    "typ is `{typ}`: nothing tells it from an ID token (RFC 9068 wants `at+jwt`)"
                ));
            } else if bare != "at+jwt" {
                findings.push(format!("typ is `{typ}`: it is not an access token"));
            }
        }
    }
    if token.kid().is_none() && !token.brings_key() {
        findings.push("there is no kid: a verifier can not find its key".to_owned());
    }
}

fn times_in_words(claims: &Claims, now: Timestamp) -> Vec<(String, String)> {
    let mut times = Vec::new();
    let mut tell = |name: &str, at: Option<Timestamp>| {
        if let Some(at) = at {
            times.push((
                name.to_owned(),
                format!("{} ({})", Moment(at), seen_from(at, now)),
            ));
        }
    };
    tell("issued", claims.iat);
    tell("begins", claims.nbf);
    tell("ends", claims.exp);
    if let (Some(iat), Some(exp)) = (claims.iat, claims.exp)
        && exp > iat
    {
        times.push(("lives".to_owned(), in_words(exp.since(iat))));
    }
    times
}

fn in_words(span: Duration) -> String {
    length(u64::try_from(span.as_millis()).unwrap_or(u64::MAX))
}

fn claim_findings(claims: &Claims, now: Timestamp, findings: &mut Vec<String>) {
    let leeway = Leeway::default().0;
    match claims.exp {
        None => findings.push(
            "there is no exp: it would never end; every verifier of ours refuses it".to_owned(),
        ),
        Some(exp) if now >= exp.plus(leeway) => {
            findings.push(format!("it has expired {}", seen_from(exp, now)));
        }
        Some(exp) if now >= exp => {
            findings.push(format!(
                "it has expired {}, and passes only by the leeway for clocks",
                seen_from(exp, now)
            ));
        }
        Some(_) => {}
    }
    if claims.nbf.is_some_and(|nbf| now.plus(leeway) < nbf) {
        findings.push("it is not valid yet (nbf)".to_owned());
    }
    if claims.iat.is_some_and(|iat| iat > now.plus(leeway)) {
        findings.push("it claims to be issued in the future: a clock is wrong".to_owned());
    }
    if let (Some(iat), Some(exp)) = (claims.iat, claims.exp) {
        let lives = exp.since(iat);
        if exp <= iat {
            findings.push("it ends before it was issued".to_owned());
        } else if lives > VERY_LONG {
            findings.push(format!(
                "it lives {}: far too long for something that can be stolen",
                in_words(lives)
            ));
        } else if lives > LONG {
            findings.push(format!(
                "it lives {}: longer than the 15 min that are advised",
                in_words(lives)
            ));
        }
    }
    for (name, missing, why) in [
        (
            "iss",
            claims.iss.is_none(),
            "nobody knows whose keys to check it with",
        ),
        (
            "aud",
            claims.aud.is_empty(),
            "it is meant for nobody; every verifier of ours refuses it",
        ),
        ("sub", claims.sub.is_none(), "RFC 9068 §2.2 requires it"),
        (
            "client_id",
            claims.client_id.is_none(),
            "RFC 9068 §2.2 requires it",
        ),
        ("iat", claims.iat.is_none(), "RFC 9068 §2.2 requires it"),
        (
            "jti",
            claims.jti.is_none(),
            "it can not be revoked by itself",
        ),
    ] {
        if missing {
            findings.push(format!("there is no {name}: {why}"));
        }
    }
    for name in [
        "email",
        "phone_number",
        "address",
        "birthdate",
        "name",
        "given_name",
        "family_name",
    ] {
        if claims.extra.contains_key(name) {
            findings.push(format!(
                "it carries personal data ({name}), which every API it is sent to can read"
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use proof::base64url;

    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

    fn token(header: &str, claims: &str) -> String {
        format!(
            "{}.{}.c2ln",
            base64url::encode(header.as_bytes()),
            base64url::encode(claims.as_bytes())
        )
    }

    fn sound_claims() -> Value {
        serde_json::json!({
            "iss": "https://issuer.example", "aud": "https://orders.example", "sub": "s", "client_id": "c",
            "jti": "j", "iat": 1_799_999_940, "exp": 1_800_000_540
        })
    }

    fn findings(header: &str, claims: &Value) -> Vec<String> {
        inspect(&token(header, &claims.to_string()), NOW)
            .unwrap()
            .findings
    }

    const SOUND: &str = r#"{"alg":"ES256","typ":"at+jwt","kid":"k"}"#;

    #[test]
    fn nothing_looks_wrong_with_a_sound_token_and_its_times_are_told() {
        let found = inspect(&token(SOUND, &sound_claims().to_string()), NOW).unwrap();
        assert_eq!(found.findings, Vec::<String>::new());
        let words: Vec<_> = found
            .times
            .iter()
            .map(|(name, words)| format!("{name}: {words}"))
            .collect();
        assert_eq!(
            words,
            [
                "issued: 2027-01-15T07:59:00Z (1 min ago)",
                "ends: 2027-01-15T08:09:00Z (in 9 min)",
                "lives: 10 min"
            ]
        );
    }

    #[test]
    fn each_defect_of_a_header_is_named() {
        for (header, part) in [
            (
                r#"{"alg":"none","typ":"at+jwt","kid":"k"}"#,
                "not signed at all",
            ),
            (r#"{"alg":"HS256","typ":"at+jwt","kid":"k"}"#, "shared key"),
            (r#"{"alg":"XX1","typ":"at+jwt","kid":"k"}"#, "does not know"),
            (
                r#"{"alg":"ES256","typ":"at+jwt","kid":"k","jku":"https://x"}"#,
                "never used",
            ),
            (
                r#"{"alg":"ES256","typ":"at+jwt","x5c":["MIIB"]}"#,
                "call_certificates",
            ),
            (r#"{"alg":"ES256","kid":"k"}"#, "no typ"),
            (r#"{"alg":"ES256","typ":"JWT","kid":"k"}"#, "ID token"),
            (
                r#"{"alg":"ES256","typ":"dpop+jwt","kid":"k"}"#,
                "not an access token",
            ),
            (r#"{"alg":"ES256","typ":"at+jwt"}"#, "no kid"),
        ] {
            let found = findings(header, &sound_claims());
            assert_eq!(found.len(), 1, "{header}: {found:?}");
            assert!(found[0].contains(part), "{header}: {found:?}");
        }
    }

    #[test]
    fn each_defect_of_the_claims_is_named() {
        for (name, value, part) in [
            ("exp", Some(1_799_999_940), "has expired 1 min ago"),
            ("exp", Some(1_799_999_990), "leeway"),
            ("exp", Some(1_800_001_000), "longer than the 15 min"),
            ("exp", Some(1_800_100_000), "far too long"),
            ("exp", None, "never end"),
            ("nbf", Some(1_800_000_061), "not valid yet"),
            ("iat", Some(1_800_000_061), "future"),
            ("iat", None, "no iat"),
            ("jti", None, "revoked by itself"),
            ("aud", None, "meant for nobody"),
            ("iss", None, "whose keys"),
            ("sub", None, "no sub"),
            ("client_id", None, "no client_id"),
        ] {
            let mut claims = sound_claims();
            match value {
                Some(value) => claims[name] = value.into(),
                None => drop(claims.as_object_mut().unwrap().remove(name)),
            }
            let found = findings(SOUND, &claims);
            assert!(
                found.iter().any(|finding| finding.contains(part)),
                "{name} {value:?}: {found:?}"
            );
        }
        let mut claims = sound_claims();
        claims["email"] = "a@example.com".into();
        assert!(findings(SOUND, &claims)[0].contains("personal data"));
        claims["exp"] = "soon".into();
        assert!(findings(SOUND, &claims)[0].contains("wrong type"));
    }

    #[test]
    fn what_is_no_signed_token_is_told_apart_and_not_echoed() {
        let brand = Brand::default();
        let secret = issued::Issued::generate(
            &brand,
            issued::SecretKind::SecretKey,
            issued::Environment::Live,
            &proof::random::SystemEntropy,
        );
        let text = secret.secret.expose_text().unwrap().to_owned();
        let words = other_than_jws(&text).unwrap().to_string();
        assert!(
            words.contains("`sk` (live)") && !words.contains(&text),
            "{words}"
        );
        assert!(other_than_jws(&text[..text.len() - 1]).is_some());
        let token = issued::Issued::generate(
            &brand,
            issued::SecretKind::OpaqueToken,
            issued::Environment::Live,
            &proof::random::SystemEntropy,
        );
        let words = other_than_jws(token.text()).unwrap().to_string();
        assert!(
            words.contains("introspection") && !words.contains(token.text()),
            "{words}"
        );
        assert!(
            other_than_jws("a.b.c.d.e")
                .unwrap()
                .to_string()
                .contains("encrypted")
        );
        assert!(
            other_than_jws("opaque")
                .unwrap()
                .to_string()
                .contains("introspection")
        );
        assert!(other_than_jws("").is_some());
        assert!(other_than_jws("a.b.c").is_none());
    }
}
