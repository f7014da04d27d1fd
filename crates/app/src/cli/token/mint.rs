//! Gets an access token with a client's credentials (RFC 6749 §4.4) and prints it alone, so that
//! `curl -H "Authorization: Bearer $(doorward token mint …)"` works.

use std::path::PathBuf;

use bytes::Bytes;
use clap::{Args, ValueEnum};
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Method};
use proof::secret::Secret;
use serde::Deserialize;
use serde_json::Value;
use url::Url;
use url::form_urlencoded::{Serializer, byte_serialize};

use crate::cli::Global;
use crate::cli::client::{Http, is_safe_for_secrets};
use crate::cli::failure::{Failure, Outcome};
use crate::cli::input;
use crate::cli::screen::Screen;

/// How the client proves itself.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum ClientAuth {
    /// In the `Authorization` header
    Basic,
    /// In the form
    Post,
}

/// What to ask for.
#[derive(Debug, Clone, Args)]
pub(crate) struct MintArgs {
    /// The client's id
    #[arg(long, value_name = "ID")]
    client: String,
    /// File with the client's secret; `-`: standard input; default: the variable DOORWARD_CLIENT_SECRET
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
    /// The issuer; its metadata names the token endpoint
    #[arg(
        long,
        value_name = "URL",
        env = "DOORWARD_ISSUER_URL",
        default_value = "http://127.0.0.1:8081"
    )]
    issuer: String,
    /// The token endpoint itself
    #[arg(long, value_name = "URL", conflicts_with = "issuer")]
    token_url: Option<String>,
    /// A scope to ask for; may be repeated; default all that are granted
    #[arg(long = "scope", value_name = "SCOPE")]
    scopes: Vec<String>,
    /// The API that the token is for, by its audience (RFC 8707); may be repeated
    #[arg(long = "resource", value_name = "URI")]
    resources: Vec<String>,
    /// How the client proves itself
    #[arg(long, value_enum, default_value = "basic")]
    auth: ClientAuth,
}

/// A successful answer (RFC 6749 §5.1); what is not needed here is left.
#[derive(Deserialize)]
struct Minted {
    access_token: String,
    expires_in: Option<u64>,
    scope: Option<String>,
}

/// Gets it.
pub(crate) async fn run(args: MintArgs, global: &Global, screen: Screen) -> Outcome<()> {
    let http = Http::new(global.ca_file.as_deref())?;
    let secret = secret(&args)?;
    let endpoint = endpoint(&args, &http).await?;
    if !is_safe_for_secrets(&endpoint) {
        return Err(Failure::new(format!(
            "A client secret is not sent over plain HTTP to {endpoint}."
        ))
        .next("use the issuer's https address"));
    }
    let (headers, form) = request(&args, secret.expose_text().unwrap_or_default())?;
    let answer = http
        .send(Method::POST, &endpoint, &headers, Bytes::from(form))
        .await?;
    if !answer.status.is_success() {
        return Err(refusal(&answer.body, answer.status));
    }
    if screen.is_json() {
        let value: Value = serde_json::from_slice(&answer.body).map_err(|_| not_json(&endpoint))?;
        return screen.json(&value);
    }
    let minted: Minted = serde_json::from_slice(&answer.body).map_err(|_| not_json(&endpoint))?;
    screen.exactly(&minted.access_token)?;
    let life = minted
        .expires_in
        .map(|seconds| format!(" for {seconds} s"))
        .unwrap_or_default();
    let scope = minted
        .scope
        .map(|scope| format!(", scope {scope}"))
        .unwrap_or_default();
    screen.note(&format!("Valid{life}{scope}."));
    Ok(())
}

fn not_json(endpoint: &Url) -> Failure {
    Failure::new(format!(
        "{endpoint} answered something that is no token response."
    ))
    .next("check that --issuer or --token-url is right")
}

fn secret(args: &MintArgs) -> Outcome<Secret> {
    if let Some(path) = &args.secret_file {
        return input::secret(path, "client secret");
    }
    match std::env::var("DOORWARD_CLIENT_SECRET") {
        Ok(secret) if !secret.is_empty() => Ok(Secret::from_text(secret)),
        _ => Err(Failure::usage("No client secret was given.")
            .next("put it into DOORWARD_CLIENT_SECRET, or its file into --secret-file (`-` for standard input)")),
    }
}

/// The token endpoint: as given, or by the issuer's metadata (RFC 8414 §3).
async fn endpoint(args: &MintArgs, http: &Http) -> Outcome<Url> {
    let parse = |text: &str| {
        Url::parse(text)
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https"))
            .ok_or_else(|| Failure::usage(format!("`{text}` is no http or https URL.")))
    };
    if let Some(url) = &args.token_url {
        return parse(url);
    }
    let issuer = parse(&args.issuer)?;
    let metadata = metadata_url(&issuer);
    let answer = http.send(Method::GET, &metadata, &[], Bytes::new()).await?;
    let document: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let endpoint = document
        .get("token_endpoint")
        .and_then(Value::as_str)
        .filter(|_| answer.status.is_success());
    let endpoint = endpoint.ok_or_else(|| {
        Failure::new(format!("{metadata} names no token endpoint."))
            .next("give it with --token-url")
    })?;
    // RFC 8414 §3.3: the document must be of the issuer that was asked for.
    let named = document
        .get("issuer")
        .and_then(Value::as_str)
        .unwrap_or_default();
    if named.trim_end_matches('/') != args.issuer.trim_end_matches('/') {
        return Err(Failure::new(format!(
            "{metadata} is the metadata of another issuer, `{named}`."
        ))
        .next(format!("give --issuer {named}")));
    }
    parse(endpoint)
}

/// RFC 8414 §3.1: the well-known part stands before the issuer's path.
fn metadata_url(issuer: &Url) -> Url {
    let mut url = issuer.clone();
    let path = issuer.path().trim_end_matches('/');
    url.set_path(&format!("/.well-known/oauth-authorization-server{path}"));
    url.set_query(None);
    url.set_fragment(None);
    url
}

fn request(
    args: &MintArgs,
    secret: &str,
) -> Outcome<(Vec<(http::HeaderName, HeaderValue)>, String)> {
    let mut form = Serializer::new(String::new());
    form.append_pair("grant_type", "client_credentials");
    if !args.scopes.is_empty() {
        form.append_pair("scope", &args.scopes.join(" "));
    }
    for resource in &args.resources {
        form.append_pair("resource", resource);
    }
    let mut headers = vec![
        (
            CONTENT_TYPE,
            HeaderValue::from_static("application/x-www-form-urlencoded"),
        ),
        (ACCEPT, HeaderValue::from_static("application/json")),
    ];
    match args.auth {
        ClientAuth::Post => {
            form.append_pair("client_id", &args.client)
                .append_pair("client_secret", secret);
        }
        ClientAuth::Basic => {
            // RFC 6749 §2.3.1: both parts are form-encoded first.
            let encoded = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
            let pair = format!("{}:{}", encoded(&args.client), encoded(secret));
            let mut value = HeaderValue::try_from(format!(
                "Basic {}",
                proof::base64std::encode(pair.as_bytes())
            ))
            .map_err(|_| Failure::usage("The client's id or secret can not be sent."))?;
            value.set_sensitive(true);
            headers.push((AUTHORIZATION, value));
        }
    }
    Ok((headers, form.finish()))
}

/// RFC 6749 §5.2 in words.
fn refusal(body: &[u8], status: http::StatusCode) -> Failure {
    let document: Value = serde_json::from_slice(body).unwrap_or_default();
    let text = |key: &str| document.get(key).and_then(Value::as_str);
    let Some(error) = text("error") else {
        return Failure::new(format!("The token endpoint answered {status}."));
    };
    let description = text("error_description")
        .map(|words| format!(": {words}"))
        .unwrap_or_default();
    let failure = Failure::new(format!(
        "The token endpoint refused with {error}{description}"
    ));
    match error {
        "invalid_client" => failure
            .next("check the client's id, its secret and its auth_method (`doorward client show`)"),
        "invalid_scope" | "invalid_target" => {
            failure.next("ask for what the client's `grants` hold")
        }
        _ => failure,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(auth: ClientAuth) -> MintArgs {
        MintArgs {
            client: "shop:1".to_owned(),
            secret_file: None,
            issuer: "http://127.0.0.1:8081".to_owned(),
            token_url: None,
            scopes: vec!["orders:read".to_owned(), "orders:write".to_owned()],
            resources: vec!["https://orders.example".to_owned()],
            auth,
        }
    }

    #[test]
    fn client_id_and_secret_are_form_encoded_before_basic() {
        let (headers, form) = request(&args(ClientAuth::Basic), "s+/ä").unwrap();
        assert_eq!(
            form,
            "grant_type=client_credentials&scope=orders%3Aread+orders%3Awrite&resource=https%3A%2F%2Forders.example"
        );
        let value = headers
            .iter()
            .find(|(name, _)| name == AUTHORIZATION)
            .unwrap()
            .1
            .to_str()
            .unwrap()
            .to_owned();
        let pair =
            proof::base64std::decode(value.strip_prefix("Basic ").unwrap().as_bytes()).unwrap();
        assert_eq!(pair, b"shop%3A1:s%2B%2F%C3%A4");
        let (headers, form) = request(&args(ClientAuth::Post), "s").unwrap();
        assert!(form.ends_with("&client_id=shop%3A1&client_secret=s"));
        assert!(headers.iter().all(|(name, _)| name != AUTHORIZATION));
    }

    #[test]
    fn the_well_known_part_stands_before_the_issuers_path() {
        for (issuer, metadata) in [
            (
                "https://a.example",
                "https://a.example/.well-known/oauth-authorization-server",
            ),
            (
                "https://a.example/t1/",
                "https://a.example/.well-known/oauth-authorization-server/t1",
            ),
        ] {
            assert_eq!(
                metadata_url(&Url::parse(issuer).unwrap()).as_str(),
                metadata
            );
        }
    }

    #[test]
    fn a_refusal_is_told_with_its_next_step() {
        let words = refusal(
            br#"{"error":"invalid_client","error_description":"no"}"#,
            http::StatusCode::UNAUTHORIZED,
        );
        assert!(
            words
                .to_string()
                .starts_with("The token endpoint refused with invalid_client: no")
        );
        assert!(words.to_string().contains("doorward client show"));
    }
}
