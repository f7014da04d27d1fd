//! The Rust crate `openidconnect` as a relying party uses it: discovery, code with PKCE, an ID token
//! verified, UserInfo, refresh, introspection, revocation.
//!
//! `FACTS`, `NODE` and `NODE_EXTRA_CA_CERTS` say what the run knows; the person at the browser is
//! `person.mjs` in the current folder.

use std::error::Error;
use std::process::Command;

use openidconnect::core::{
    CoreAuthenticationFlow, CoreClient, CoreGenderClaim, CoreProviderMetadata, CoreTokenResponse,
};
use openidconnect::{
    AccessToken, AuthType, AuthorizationCode, ClientId, ClientSecret, CsrfToken,
    EmptyAdditionalClaims, EndpointMaybeSet, EndpointNotSet, EndpointSet, IntrospectionUrl,
    IssuerUrl, Nonce, OAuth2TokenResponse, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl,
    RefreshToken, RevocationUrl, Scope, TokenIntrospectionResponse, TokenResponse, UserInfoClaims,
};
use reqwest::blocking::Client as Http;
use serde_json::Value;

type Outcome<T = ()> = Result<T, Box<dyn Error>>;
type Party = CoreClient<
    EndpointSet,
    EndpointNotSet,
    EndpointSet,
    EndpointSet,
    EndpointMaybeSet,
    EndpointMaybeSet,
>;

fn main() -> Outcome {
    let facts: Value = serde_json::from_slice(&std::fs::read(std::env::var("FACTS")?)?)?;
    let ca =
        reqwest::Certificate::from_pem(&std::fs::read(std::env::var("NODE_EXTRA_CA_CERTS")?)?)?;
    let http = Http::builder()
        .redirect(reqwest::redirect::Policy::none())
        .add_root_certificate(ca)
        .build()?;
    let text = |pointer: &str| {
        facts
            .pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    let metadata =
        CoreProviderMetadata::discover(&IssuerUrl::new(text("/issuer").to_owned())?, &http)?;
    // What OpenID Discovery does not name, RFC 8414 does.
    let about = http
        .get(format!(
            "{}/.well-known/openid-configuration",
            text("/issuer")
        ))
        .send()?
        .text()?;
    let about: Value = serde_json::from_str(&about)?;
    let endpoint = |name: &str| about[name].as_str().unwrap_or_default().to_owned();

    for (name, how) in [
        ("web", AuthType::BasicAuth),
        ("web-post", AuthType::RequestBody),
    ] {
        let secret = text(&format!("/clients/{name}/own/secret")).to_owned();
        let redirect = text(&format!("/clients/{name}/redirect_uris/0")).to_owned();
        let party: Party = CoreClient::from_provider_metadata(
            metadata.clone(),
            ClientId::new(name.to_owned()),
            Some(ClientSecret::new(secret)),
        )
        .set_auth_type(how)
        .set_redirect_uri(RedirectUrl::new(redirect.clone())?)
        .set_introspection_url(IntrospectionUrl::new(endpoint("introspection_endpoint"))?)
        .set_revocation_url(RevocationUrl::new(endpoint("revocation_endpoint"))?);
        walk(
            &party,
            &http,
            &redirect,
            text("/person/claims/name"),
            text("/issuer"),
        )?;
        println!(
            "✔ openidconnect, {name}: code with PKCE, ID token, UserInfo, refresh, introspection, revocation"
        );
    }
    Ok(())
}

fn walk(party: &Party, http: &Http, redirect: &str, person: &str, issuer: &str) -> Outcome {
    let (tokens, nonce) = log_in(party, http, redirect, issuer)?;
    let id_token = tokens.id_token().ok_or("no ID token")?;
    let verifier = party.id_token_verifier();
    let claims = id_token.claims(&verifier, &nonce)?;
    if id_token
        .claims(&verifier, &Nonce::new("another".to_owned()))
        .is_ok()
    {
        return Err("a wrong nonce was taken".into());
    }

    let about: UserInfoClaims<EmptyAdditionalClaims, CoreGenderClaim> = party
        .user_info(
            tokens.access_token().clone(),
            Some(claims.subject().clone()),
        )?
        .request(http)?;
    let name = about
        .name()
        .and_then(|name| name.get(None))
        .map(|name| name.as_str());
    expect("name", name, Some(person))?;

    let first = tokens.refresh_token().ok_or("no refresh token")?;
    let new = refresh(party, http, first)?;
    let second = new.refresh_token().ok_or("no new refresh token")?;
    if first.secret() == second.secret() {
        return Err("the refresh token was not replaced".into());
    }

    expect("active", active(party, http, new.access_token())?, true)?;
    party.revoke_token(second.clone().into())?.request(http)?;
    expect(
        "active once revoked",
        active(party, http, new.access_token())?,
        false,
    )?;
    expect(
        "refreshed once revoked",
        refresh(party, http, second).is_ok(),
        false,
    )
}

/// The code flow, the browser's part by `person.mjs`.
fn log_in(
    party: &Party,
    http: &Http,
    redirect: &str,
    issuer: &str,
) -> Outcome<(CoreTokenResponse, Nonce)> {
    let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
    let (to, state, nonce) = party
        .authorize_url(
            CoreAuthenticationFlow::AuthorizationCode,
            CsrfToken::new_random,
            Nonce::new_random,
        )
        .add_scopes(["profile", "offline_access"].map(|scope| Scope::new(scope.to_owned())))
        .add_extra_param("prompt", "consent")
        .set_pkce_challenge(challenge)
        .url();
    let went = Command::new(std::env::var("NODE")?)
        .args([
            "person.mjs",
            &std::env::var("FACTS")?,
            to.as_str(),
            redirect,
        ])
        .output()?;
    let arrived = String::from_utf8(went.stdout)?;
    let url = reqwest::Url::parse(arrived.trim()).map_err(|_| {
        format!(
            "the browser did not arrive: {}",
            String::from_utf8_lossy(&went.stderr)
        )
    })?;
    let parameter = |name: &str| {
        let found = url.query_pairs().find(|(key, _)| key == name);
        found
            .map(|(_, value)| value.into_owned())
            .unwrap_or_default()
    };
    expect(
        "state",
        parameter("state").as_str(),
        state.secret().as_str(),
    )?;
    expect("iss", parameter("iss").as_str(), issuer)?;
    let redeem = |verifier: PkceCodeVerifier| {
        party
            .exchange_code(AuthorizationCode::new(parameter("code")))?
            .set_pkce_verifier(verifier)
            .request(http)
            .map_err(Box::<dyn Error>::from)
    };
    let (_, wrong) = PkceCodeChallenge::new_random_sha256();
    if redeem(wrong).is_ok() {
        return Err("a wrong verifier was taken".into());
    }
    Ok((redeem(verifier)?, nonce))
}

fn refresh(party: &Party, http: &Http, token: &RefreshToken) -> Outcome<CoreTokenResponse> {
    Ok(party.exchange_refresh_token(token)?.request(http)?)
}

fn active(party: &Party, http: &Http, token: &AccessToken) -> Outcome<bool> {
    Ok(party.introspect(token).request(http)?.active())
}

fn expect<T: PartialEq + std::fmt::Debug>(what: &str, found: T, wanted: T) -> Outcome {
    if found == wanted {
        Ok(())
    } else {
        Err(format!("{what}: {found:?}, not {wanted:?}").into())
    }
}
