//! Checks a token as an API would: signature by a key of the set, type, issuer, audience, times.

use std::path::Path;

use bytes::Bytes;
use clap::Args;
use http::Method;
use proof::jose::alg::Algorithm;
use proof::jose::jwe;
use proof::jose::jwk::JwkSet;
use proof::jose::jws;
use proof::jose::jwt::{self, Claims, Expect};
use proof::paseto::{self, PasetoDefect};
use proof::time::Leeway;
use url::Url;

use super::{TokenArg, opened};
use crate::cli::Global;
use crate::cli::client::Http;
use crate::cli::failure::{Failure, Outcome};
use crate::cli::screen::{Screen, seen_from};

/// What to check against.
#[derive(Debug, Clone, Args)]
pub(crate) struct VerifyArgs {
    #[command(flatten)]
    token: TokenArg,
    /// The key set: a file, or a URL
    #[arg(long, value_name = "FILE|URL")]
    jwks: String,
    /// The issuer that it must be of; without it the issuer is not compared
    #[arg(long, value_name = "URL")]
    issuer: Option<String>,
    /// An audience that it must be for; may be repeated; without any the audience is not compared
    #[arg(long = "audience", value_name = "AUDIENCE")]
    audiences: Vec<String>,
    /// The type that it must have
    #[arg(long, default_value = "at+jwt")]
    typ: String,
}

/// Checks it.
pub(crate) async fn run(args: VerifyArgs, global: &Global, screen: Screen) -> Outcome<()> {
    let text = args.token.clone().read(screen)?;
    let set = key_set(&args.jwks, global).await?;
    let claims = judge(&text, &set, &args, screen)?;
    if args.issuer.is_none() {
        screen.note("The issuer was not compared (--issuer).");
    }
    if args.audiences.is_empty() {
        screen.note("The audience was not compared (--audience).");
    }
    if screen.is_json() {
        let claims: serde_json::Value = serde_json::from_str(&claims.to_json()).unwrap_or_default();
        return screen.json(&serde_json::json!({ "valid": true, "claims": claims }));
    }
    let ends = claims
        .exp
        .map(|exp| seen_from(exp, screen.now))
        .unwrap_or_default();
    screen.line(&format!("The token is valid; it ends {ends}."))
}

fn judge(text: &str, set: &JwkSet, args: &VerifyArgs, screen: Screen) -> Outcome<Claims> {
    let refused = |why: String| Failure::new(format!("The token is not valid: {why}."));
    if paseto::looks_like(text.as_bytes()) {
        return judge_paseto(text, set, args, screen);
    }
    if jwe::looks_like(text.as_bytes()) {
        let words = format!("This is {}: its signature is within.", opened::about(text));
        return Err(Failure::new(words).next("open it with the API's private key: `--key-file`"));
    }
    let token = jws::split(text.as_bytes()).map_err(|defect| refused(defect.to_string()))?;
    let candidates: Vec<_> = set
        .verifying_keys(&Algorithm::ALL)
        .into_iter()
        .filter(|key| Some(key.alg()) == token.alg())
        .filter(|key| token.kid().is_none_or(|kid| key.kid() == Some(kid)))
        .collect();
    if candidates.is_empty() {
        return Err(
            refused("the key set has no key of its kid and alg".to_owned()).next(
                "give the key set of the issuer that made it; `doorward token inspect` shows both",
            ),
        );
    }
    let payload = candidates
        .iter()
        .find_map(|key| token.verify(key).ok())
        .ok_or_else(|| refused("the signature does not hold".to_owned()))?;
    let claims = Claims::parse(&payload).map_err(|defect| refused(defect.to_string()))?;
    let issuer = args
        .issuer
        .clone()
        .or_else(|| claims.iss.clone())
        .unwrap_or_default();
    let audiences = if args.audiences.is_empty() {
        claims.aud.clone()
    } else {
        args.audiences.clone()
    };
    let expect = Expect {
        issuer: &issuer,
        audiences: &audiences,
        typ: core::slice::from_ref(&args.typ),
        typ_may_be_absent: false,
        require: &[],
        max_lifetime: None,
        leeway: Leeway::default(),
    };
    jwt::check(&claims, payload.typ(), &expect, screen.now)
        .map_err(|defect| refused(defect.to_string()))?;
    Ok(claims)
}

/// The same for a `v4.public`, whose footer names a key of the set. It has no type to compare.
fn judge_paseto(text: &str, set: &JwkSet, args: &VerifyArgs, screen: Screen) -> Outcome<Claims> {
    let refused = |why: String| Failure::new(format!("The token is not valid: {why}."));
    let unread = |defect: PasetoDefect| refused(defect.to_string());
    let token = paseto::split(text.as_bytes()).map_err(unread)?;
    if token.purpose() == paseto::Purpose::Local {
        let words = "This is an encrypted PASETO (v4.local), whose key is in no key set.";
        return Err(Failure::new(words).next("ask the introspection endpoint of its issuer"));
    }
    let key = set
        .keys()
        .iter()
        .filter(|key| key.kid().is_some() && key.kid() == token.key_id())
        .find_map(|key| paseto::Key::public(key).ok())
        .ok_or_else(|| refused("the key set has no Ed25519 key of its kid".to_owned()))?;
    let payload = token.open(&key, &[]).map_err(unread)?;
    let claims = payload.claims().map_err(unread)?;
    let issuer = args.issuer.clone().or_else(|| claims.iss.clone());
    let audiences = match args.audiences.is_empty() {
        true => claims.aud.clone(),
        false => args.audiences.clone(),
    };
    let expect = Expect {
        issuer: &issuer.unwrap_or_default(),
        audiences: &audiences,
        typ: &[],
        typ_may_be_absent: true,
        require: &[],
        max_lifetime: None,
        leeway: Leeway::default(),
    };
    paseto::check(&claims, &expect, screen.now).map_err(unread)?;
    Ok(claims)
}

async fn key_set(from: &str, global: &Global) -> Outcome<JwkSet> {
    let bytes = match Url::parse(from)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https"))
    {
        Some(url) => {
            let http = Http::new(global.ca_file.as_deref())?;
            let answer = http.send(Method::GET, &url, &[], Bytes::new()).await?;
            if !answer.status.is_success() {
                return Err(Failure::new(format!("{from} answered {}.", answer.status)));
            }
            answer.body
        }
        None => std::fs::read(Path::new(from))
            .map(Bytes::from)
            .map_err(|error| {
                Failure::new(format!("The key set {from} can not be read: {error}."))
            })?,
    };
    JwkSet::parse(&bytes).map_err(|defect| Failure::new(format!("{from} is no key set: {defect}.")))
}

#[cfg(test)]
mod tests {
    use proof::jose::key::SigningKey;
    use proof::time::Timestamp;

    use super::*;
    use crate::cli::screen::Format;

    const SCREEN: Screen = Screen {
        format: Format::Table,
        now: Timestamp::from_secs(1_800_000_000),
    };

    fn args(issuer: Option<&str>, audience: Option<&str>) -> VerifyArgs {
        VerifyArgs {
            token: TokenArg {
                token: None,
                key_file: None,
            },
            jwks: String::new(),
            issuer: issuer.map(str::to_owned),
            audiences: audience.map(str::to_owned).into_iter().collect(),
            typ: "at+jwt".to_owned(),
        }
    }

    fn claims(exp: i64) -> String {
        serde_json::json!({"iss": "https://i.example", "aud": "a", "exp": exp}).to_string()
    }

    #[test]
    fn a_token_is_judged_by_key_type_issuer_audience_and_time() {
        let key = SigningKey::generate(Algorithm::ES256).unwrap();
        let other = SigningKey::generate(Algorithm::ES256).unwrap();
        let set = JwkSet::new(vec![key.public_jwk()]);
        let sound = jws::sign(&key, "at+jwt", &claims(1_800_000_100));
        let all = args(Some("https://i.example"), Some("a"));
        assert!(judge(&sound, &set, &all, SCREEN).is_ok());
        assert!(judge(&sound, &set, &args(None, None), SCREEN).is_ok());
        let words = |token: &str, args: &VerifyArgs| {
            judge(token, &set, args, SCREEN).unwrap_err().to_string()
        };
        assert!(words(&sound, &args(Some("https://j.example"), None)).contains("another issuer"));
        assert!(words(&sound, &args(None, Some("b"))).contains("another audience"));
        assert!(
            words(&jws::sign(&key, "JWT", &claims(1_800_000_100)), &all).contains("another type")
        );
        assert!(
            words(&jws::sign(&key, "at+jwt", &claims(1_799_999_000)), &all).contains("expired")
        );
        assert!(
            words(&jws::sign(&other, "at+jwt", &claims(1_800_000_100)), &all).contains("no key")
        );
        let cut = sound.rsplit_once('.').unwrap().0.to_owned()
            + "."
            + jws::sign(&key, "x", "{}").rsplit_once('.').unwrap().1;
        assert!(words(&cut, &all).contains("signature does not hold"));
    }
}
