//! **Credentials in the URL**: URLs are kept in histories, logs and referrers, so a credential
//! that stands in one is exposed. The call is refused, never forwarded, whatever else it carries.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;
use proof::issued::{self, Brand};

use super::apikey;
use crate::call::Head;
use crate::problem::{Code, Problem};
use crate::route::{Demand, Route};

/// Query parameters that are credentials by their name: RFC 6750 §2.3 (which OAuth 2.1 dropped)
/// and what APIs with keys commonly call theirs. `key` and `token` mean many things, so there the
/// value decides.
const NAMES: [&str; 5] = ["access_token", "api_key", "apikey", "api-key", "x-api-key"];

/// A shorter prefix of foreign keys would find credentials in ordinary words.
const TELLING_PREFIX: usize = 4;

/// # Errors
/// 400 [`Code::CredentialInUrl`].
pub(crate) fn refuse_exposed(head: &Head, route: &Route) -> Result<(), Problem> {
    let brand = &route.api.brand;
    for segment in head.path().as_bytes().split(|byte| *byte == b'/') {
        if let Some(id) = secret_of_ours(segment, brand) {
            return Err(exposed(format!("a secret of ours (id {id}) in the path")));
        }
    }
    let Some(query) = head.query() else {
        return Ok(());
    };
    // A secret of ours is one anywhere. What else looks like a credential is one where this API's
    // credentials are taken: a public page may have tokens of its own (`request` and
    // `id_token_hint` of OpenID Connect, a link to confirm an address).
    let (by_name, by_form) = match route.demand {
        Demand::OneOf(_) => (true, true),
        Demand::Public { pass_authorization } => (!pass_authorization, false),
    };
    // `;` is read as a separator by some (WHATWG's elder siblings): look behind it too.
    for pair in query.split(['&', ';']) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        if value.is_empty() {
            continue;
        }
        let name = decoded(name);
        if by_name && NAMES.iter().any(|known| name.eq_ignore_ascii_case(known)) {
            return Err(exposed(format!(
                "a credential in the query parameter {}",
                name.to_ascii_lowercase()
            )));
        }
        let value = decoded(value);
        if let Some(id) = secret_of_ours(value.as_bytes(), brand) {
            return Err(exposed(format!("a secret of ours (id {id}) in the query")));
        }
        if by_form
            && route.api.foreign_keys.iter().any(|pattern| {
                pattern.prefix.len() >= TELLING_PREFIX
                    && value.starts_with(&*pattern.prefix)
                    && pattern.length.contains(&value.len())
            })
        {
            return Err(exposed("an imported key in the query".into()));
        }
        if by_form && looks_like_jwt(&value) {
            return Err(exposed("a token in the query".into()));
        }
    }
    Ok(())
}

fn exposed(cause: String) -> Problem {
    Problem::new(Code::CredentialInUrl, cause)
}

fn decoded(text: &str) -> Cow<'_, str> {
    percent_decode_str(text).decode_utf8_lossy()
}

fn secret_of_ours(text: &[u8], brand: &Brand) -> Option<issued::KeyId> {
    if !apikey::is_branded(text, brand) {
        return None;
    }
    issued::parse(text, brand).ok().map(|secret| secret.id)
}

/// `eyJ` is `{"` in base64url: the beginning of every compact JWT's header.
fn looks_like_jwt(value: &str) -> bool {
    value.starts_with("eyJ") && value.bytes().filter(|byte| *byte == b'.').count() == 2
}
