//! Checks of what is asked about the person and their login (OpenID Connect Core §3.1.2.1, §5.5).

use proof::strict_json;
use registry::client::IdentityScope;
use serde_json::{Map, Value};

use super::table::Subject;
use super::{AuthorizationRequest, Prompt};
use crate::error::{Outcome, Reason};
use crate::id_hint;
use crate::session::ACR_PASSWORD;

const MAX_NONCE: usize = 512;
const MAX_LIST: usize = 1024;
const MAX_LOGIN_HINT: usize = 256;
const MAX_CLAIMS: usize = 4096;
/// Most languages that are looked at.
const MAX_LOCALES: usize = 16;

pub(super) fn nonce(subject: &Subject<'_>, request: &mut AuthorizationRequest) -> Outcome<()> {
    let nonce = subject.bounded("nonce", MAX_NONCE, Reason::NonceTooLong)?;
    let openid = request
        .scopes
        .iter()
        .any(|scope| scope == IdentityScope::Openid.name());
    if nonce.is_none() && openid && subject.client.rules().nonce_required {
        return Err(Reason::NonceMissing.into());
    }
    request.nonce = nonce.map(str::to_owned);
    Ok(())
}

pub(super) fn prompt(subject: &Subject<'_>, request: &mut AuthorizationRequest) -> Outcome<()> {
    let Some(text) = subject.bounded("prompt", MAX_LIST, Reason::PromptMalformed)? else {
        return Ok(());
    };
    for name in text.split(' ') {
        let prompt = Prompt::from_name(name).ok_or(Reason::PromptMalformed)?;
        if !request.prompts(prompt) {
            request.prompt.push(prompt);
        }
    }
    if request.prompts(Prompt::None) && request.prompt.len() > 1 {
        return Err(Reason::PromptMalformed.into());
    }
    Ok(())
}

pub(super) fn max_age(subject: &Subject<'_>, request: &mut AuthorizationRequest) -> Outcome<()> {
    request.max_age = match subject.params.one("max_age") {
        // Ten digits are three centuries.
        Some(text) if text.len() <= 10 && text.bytes().all(|b| b.is_ascii_digit()) => {
            Some(text.parse().map_err(|_| Reason::MaxAgeMalformed)?)
        }
        Some(_) => return Err(Reason::MaxAgeMalformed.into()),
        None => subject.client.default_max_age.map(|age| age.as_secs()),
    };
    Ok(())
}

pub(super) fn acr_values(subject: &Subject<'_>) -> Outcome<()> {
    let text = subject.bounded("acr_values", MAX_LIST, Reason::AcrValuesMalformed)?;
    if text.is_some_and(|text| text.split(' ').any(str::is_empty)) {
        return Err(Reason::AcrValuesMalformed.into());
    }
    Ok(())
}

pub(super) fn login_hint(subject: &Subject<'_>, request: &mut AuthorizationRequest) -> Outcome<()> {
    let hint = subject.bounded("login_hint", MAX_LOGIN_HINT, Reason::LoginHintTooLong)?;
    request.login_hint = hint.map(str::to_owned);
    Ok(())
}

pub(super) fn id_token_hint(
    subject: &Subject<'_>,
    request: &mut AuthorizationRequest,
) -> Outcome<()> {
    let Some(text) = subject.params.one("id_token_hint") else {
        return Ok(());
    };
    let asked = subject.asked;
    let hint = id_hint::read(asked.ring, asked.issuer, text)
        .filter(|hint| hint.is_for(subject.client.client_id.as_str()))
        .ok_or(Reason::IdTokenHint)?;
    request.subject = Some(hint.subject);
    Ok(())
}

pub(super) fn ui_locales(subject: &Subject<'_>, request: &mut AuthorizationRequest) -> Outcome<()> {
    let Some(text) = subject.bounded("ui_locales", MAX_LIST, Reason::UiLocalesMalformed)? else {
        return Ok(());
    };
    let is_tag = |tag: &str| {
        (1..=35).contains(&tag.len()) && tag.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    if !text.split(' ').all(is_tag) {
        return Err(Reason::UiLocalesMalformed.into());
    }
    let tags = text.split(' ').take(MAX_LOCALES);
    request.ui_locales = tags.map(str::to_owned).collect();
    Ok(())
}

pub(super) fn claims(subject: &Subject<'_>, request: &mut AuthorizationRequest) -> Outcome<()> {
    let Some(text) = subject.bounded("claims", MAX_CLAIMS, Reason::ClaimsMalformed)? else {
        return Ok(());
    };
    let whole = strict_json::parse_object(text.as_bytes(), MAX_CLAIMS)
        .map_err(|_| Reason::ClaimsMalformed)?;
    // OpenID Connect Core §5.5: members that are not understood are ignored.
    for place in ["userinfo", "id_token"] {
        match whole.get(place) {
            None | Some(Value::Null) => {}
            Some(Value::Object(members)) => {
                if !members.values().all(is_individual_request) {
                    return Err(Reason::ClaimsMalformed.into());
                }
                about_the_login(members, request)?;
            }
            Some(_) => return Err(Reason::ClaimsMalformed.into()),
        }
    }
    request.claims = Some(Value::Object(whole));
    Ok(())
}

/// OpenID Connect Core §5.5.1: `null`, or an object whose `essential` is a boolean and whose
/// `values` is an array.
fn is_individual_request(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(members) => {
            members.get("essential").is_none_or(Value::is_boolean)
                && members.get("values").is_none_or(Value::is_array)
        }
        _ => false,
    }
}

/// Claims that decide about the login itself.
fn about_the_login(
    members: &Map<String, Value>,
    request: &mut AuthorizationRequest,
) -> Outcome<()> {
    // OpenID Connect Core §5.5.1: "the Authorization Server MUST only send a positive response if
    // the End-User identified by that sub value has an active session".
    if let Some(Value::Object(sub)) = members.get("sub")
        && let Some(value) = sub.get("value")
    {
        let value = value.as_str().ok_or(Reason::ClaimsMalformed)?;
        if request
            .subject
            .as_deref()
            .is_some_and(|known| known != value)
        {
            return Err(Reason::AnotherPerson.into());
        }
        request.subject = Some(value.to_owned());
    }
    // OpenID Connect Core §5.5.1.1: an essential acr that is not reached is a failed login.
    if let Some(Value::Object(acr)) = members.get("acr")
        && acr.get("essential") == Some(&Value::Bool(true))
    {
        let ours = |value: &Value| value.as_str() == Some(ACR_PASSWORD);
        let named = acr.contains_key("value") || acr.contains_key("values");
        let reached = acr.get("value").is_some_and(ours)
            || acr
                .get("values")
                .and_then(Value::as_array)
                .is_some_and(|values| values.iter().any(ours));
        if named && !reached {
            return Err(Reason::AcrUnmet.into());
        }
    }
    Ok(())
}
