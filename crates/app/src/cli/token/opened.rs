//! Encrypted tokens (RFC 7516): what can be said of one from outside, and what is in it for who has
//! the API's key.

use std::path::Path;

use proof::jose::jwe::{self, DecryptionKey};

use crate::cli::failure::{Failure, Outcome};
use crate::cli::input;
use crate::cli::screen::Screen;

/// What is in a token; one that is not encrypted is what it is.
pub(super) fn open(token: &str, key_file: &Path, screen: Screen) -> Outcome<String> {
    if !jwe::looks_like(token.as_bytes()) {
        screen.note("The token is not encrypted; no key was needed.");
        return Ok(token.to_owned());
    }
    let key = DecryptionKey::from_pem(&input::secret(key_file, "key")?).map_err(|_| {
        Failure::new(format!(
            "{} is no key that opens tokens: PKCS#8 in PEM, RSA of 2048 bits and more or EC P-256.",
            key_file.display()
        ))
    })?;
    let encrypted = jwe::split(token.as_bytes()).map_err(|defect| {
        Failure::new(format!(
            "This can not be read as an encrypted token: {defect}."
        ))
    })?;
    let refused = |why: String| {
        let names = encrypted.kid().map_or_else(
            || "it names no key".to_owned(),
            |kid| format!("it names the key {kid:?}"),
        );
        Failure::new(format!("The token does not open: {why}."))
            .next(format!("{names}, and this one is {:?}", key.kid()))
    };
    let nested = encrypted
        .open(&key)
        .map_err(|defect| refused(defect.to_string()))?;
    let text = nested
        .expose_text()
        .ok_or_else(|| refused("what is in it is no text".to_owned()))?;
    screen.note(&format!("Opened: {}.", about(token)));
    Ok(text.to_owned())
}

/// What everybody can see of it.
pub(super) fn about(token: &str) -> String {
    match jwe::split(token.as_bytes()) {
        Ok(seen) => {
            let (alg, enc) = (seen.alg().name(), seen.enc().name());
            let kid = seen.kid().map(|kid| format!(", to the key {kid:?}"));
            format!(
                "an encrypted token (JWE, {alg}, {enc}{})",
                kid.unwrap_or_default()
            )
        }
        Err(_) => "an encrypted token (JWE)".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use proof::jose::alg::Algorithm;
    use proof::jose::jwe::ContentEncryption;
    use proof::jose::key::SigningKey;
    use proof::time::Timestamp;

    use super::*;
    use crate::cli::screen::Format;

    const SCREEN: Screen = Screen {
        format: Format::Table,
        now: Timestamp::from_secs(1_800_000_000),
    };

    #[test]
    fn a_token_opens_with_the_key_of_its_api_and_with_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let [mine, other] = ["mine.pem", "other.pem"].map(|name| {
            let key = SigningKey::generate(Algorithm::ES256).unwrap();
            let der = key.to_pkcs8().unwrap();
            let text = proof::base64std::encode(der.expose());
            let pem = format!("-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----\n");
            let path = folder.path().join(name);
            std::fs::write(&path, pem).unwrap();
            (DecryptionKey::from_pkcs8(&der).unwrap(), path)
        });
        let public = mine.0.public();
        let token = public.encrypt("a.b.c", "at+jwt", ContentEncryption::A256Gcm);
        let token = token.unwrap();
        let seen = about(&token);
        assert!(seen.contains("ECDH-ES, A256GCM"), "{seen}");
        assert!(seen.contains(public.kid()), "{seen}");
        assert_eq!(about("a.b.c.d.e"), "an encrypted token (JWE)");

        assert_eq!(open(&token, &mine.1, SCREEN).unwrap(), "a.b.c");
        assert_eq!(open("a.b.c", &mine.1, SCREEN).unwrap(), "a.b.c");
        let words = |token: &str, key: &Path| open(token, key, SCREEN).unwrap_err().to_string();
        let refused = words(&token, &other.1);
        for part in ["does not open", public.kid(), other.0.kid()] {
            assert!(refused.contains(part), "{refused}");
        }
        assert!(words("a.b.c.d.e", &mine.1).contains("can not be read"));
        std::fs::write(&other.1, "no key").unwrap();
        assert!(words(&token, &other.1).contains("no key that opens tokens"));
    }
}
