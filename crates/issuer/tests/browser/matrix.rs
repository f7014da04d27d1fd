//! The negative matrix: every parameter of an authorization request missing, repeated, malformed,
//! foreign, at every entrance and for every profile; what is answered, and to whom. The golden file
//! is meant to be read.

use std::fmt::Write as _;

use issuer::authorize::{Check, Entrance};
use issuer::browser::Step;
use registry::profile::ResponseMode;

use crate::pushed::{push, query};
use crate::world::{CHALLENGE, Window, World, param, request};

/// A parameter, how it is wrong, and its value as it stands in the request; `None`: it is missing;
/// `"+…"`: it stands there twice.
const DEFECTS: &[(&str, &str, Option<&str>)] = &[
    ("client_id", "missing", None),
    ("client_id", "unknown", Some("nobody")),
    ("client_id", "foreign", Some("own")),
    ("client_id", "repeated", Some("+web")),
    ("redirect_uri", "missing", None),
    (
        "redirect_uri",
        "unregistered path",
        Some("https%3A%2F%2FHOST%2Fother"),
    ),
    (
        "redirect_uri",
        "trailing slash",
        Some("https%3A%2F%2FHOST%2Fcb%2F"),
    ),
    (
        "redirect_uri",
        "added query",
        Some("https%3A%2F%2FHOST%2Fcb%3Fa%3Db"),
    ),
    (
        "redirect_uri",
        "fragment",
        Some("https%3A%2F%2FHOST%2Fcb%23x"),
    ),
    (
        "redirect_uri",
        "upper-case host",
        Some("https%3A%2F%2FWEB.example%2Fcb"),
    ),
    (
        "redirect_uri",
        "userinfo",
        Some("https%3A%2F%2FHOST%40evil.example%2Fcb"),
    ),
    (
        "redirect_uri",
        "suffix",
        Some("https%3A%2F%2FHOST.evil.example%2Fcb"),
    ),
    ("redirect_uri", "backslash", Some("https%3A%5C%5CHOST%5Ccb")),
    (
        "redirect_uri",
        "dot segments",
        Some("https%3A%2F%2FHOST%2Fa%2F..%2Fcb"),
    ),
    (
        "redirect_uri",
        "port",
        Some("https%3A%2F%2FHOST%3A443%2Fcb"),
    ),
    ("redirect_uri", "plain http", Some("http%3A%2F%2FHOST%2Fcb")),
    ("redirect_uri", "tab", Some("https%3A%2F%2FHOST%2Fcb%09")),
    (
        "redirect_uri",
        "repeated",
        Some("+https%3A%2F%2Fevil.example"),
    ),
    ("response_type", "missing", None),
    ("response_type", "implicit", Some("token")),
    ("response_type", "hybrid", Some("code+id_token")),
    ("response_type", "none", Some("none")),
    ("response_type", "repeated", Some("+code")),
    ("response_mode", "fragment", Some("fragment")),
    ("response_mode", "JARM", Some("query.jwt")),
    ("response_mode", "unknown", Some("post")),
    ("state", "missing", None),
    ("state", "repeated", Some("+s2")),
    ("state", "too long", Some("LONG")),
    ("code_challenge", "missing", None),
    ("code_challenge", "too short", Some("abc")),
    (
        "code_challenge",
        "not base64url",
        Some("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw%2Bc%3D"),
    ),
    ("code_challenge_method", "missing", None),
    ("code_challenge_method", "plain", Some("plain")),
    ("code_challenge_method", "unknown", Some("S512")),
    ("scope", "malformed", Some("openid++profile")),
    ("scope", "unknown", Some("openid+everything")),
    ("scope", "two APIs'", Some("openid+export")),
    ("scope", "missing", None),
    (
        "resource",
        "unknown",
        Some("https%3A%2F%2Fapi.example.com%2Fnothing"),
    ),
    (
        "resource",
        "without the scope",
        Some("https%3A%2F%2Fapi.example.com%2Fstock"),
    ),
    ("nonce", "too long", Some("LONG")),
    ("prompt", "unknown", Some("create")),
    ("prompt", "none beside others", Some("none+login")),
    ("max_age", "negative", Some("-1")),
    ("max_age", "text", Some("soon")),
    ("acr_values", "malformed", Some("a++b")),
    ("login_hint", "too long", Some("LONG")),
    (
        "id_token_hint",
        "nonsense",
        Some("eyJhbGciOiJub25lIn0.e30."),
    ),
    ("ui_locales", "malformed", Some("de_CH")),
    ("claims", "no JSON", Some("%7B")),
    ("claims", "no object", Some("%5B%5D")),
    (
        "claims",
        "wrong shape",
        Some("%7B%22id_token%22%3A%7B%22name%22%3A1%7D%7D"),
    ),
    (
        "claims",
        "named twice",
        Some("%7B%22id_token%22%3A%7B%7D%2C%22id_token%22%3A%7B%7D%7D"),
    ),
    (
        "claims",
        "essential acr",
        Some(
            "%7B%22id_token%22%3A%7B%22acr%22%3A%7B%22essential%22%3Atrue%2C%22value%22%3A%22gold%22%7D%7D%7D",
        ),
    ),
    ("dpop_jkt", "malformed", Some("abc")),
    ("request", "present", Some("eyJhbGciOiJub25lIn0.e30.")),
    (
        "request_uri",
        "elsewhere",
        Some("https%3A%2F%2Fweb.example%2Frequest.jwt"),
    ),
    (
        "request_uri",
        "unknown",
        Some("urn%3Aietf%3Aparams%3Aoauth%3Arequest_uri%3AAAAA"),
    ),
    ("registration", "present", Some("%7B%7D")),
    ("unknown_parameter", "present", Some("1")),
    ("unknown_parameter", "repeated", Some("+1")),
    ("state", "control character", Some("a%00b")),
    ("state", "broken escape", Some("a%zz")),
];

fn defective(sound: &str, client: &str, parameter: &str, value: Option<&str>) -> String {
    let long = "x".repeat(2100);
    let host = format!("{client}.example");
    let value = value.map(|value| match value {
        "LONG" => long.clone(),
        value => value.replace("HOST", &host),
    });
    let repeated = value.as_deref().and_then(|value| value.strip_prefix('+'));
    let mut fields: Vec<String> = sound.split('&').map(str::to_owned).collect();
    let prefix = format!("{parameter}=");
    if let Some(again) = repeated {
        if !fields.iter().any(|field| field.starts_with(&prefix)) {
            fields.push(format!("{prefix}0"));
        }
        fields.push(format!("{prefix}{again}"));
    } else {
        fields.retain(|field| !field.starts_with(&prefix));
        fields.extend(value.map(|value| format!("{prefix}{value}")));
    }
    fields.join("&")
}

/// What is answered, in a line.
fn told(step: &Step) -> String {
    match step {
        Step::Answer(answer) => {
            let mode = match answer.mode {
                ResponseMode::Query => "redirect",
                ResponseMode::FormPost => "form_post",
            };
            let error = param(answer, "error").unwrap_or("code");
            let state = if param(answer, "state").is_some() {
                ""
            } else {
                ", no state"
            };
            assert!(param(answer, "iss").is_some(), "RFC 9207");
            format!("{mode} {error}{state}")
        }
        Step::Error(page) => format!("page {} ({})", page.error.name(), page.refusal),
        Step::Login(_) => "taken".to_owned(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn every_defect_of_an_authorization_request_has_its_answer() {
    let world = World::new().await;
    let window = Window::new("w");
    let mut text = String::new();
    for (parameter, how, value) in DEFECTS {
        writeln!(text, "{parameter}: {how}").expect("text");
        for client in ["web", "compat"] {
            let sound = request(client, "&scope=openid+orders%3Aread&nonce=n");
            let step = world
                .authorize(&window, &defective(&sound, client, parameter, *value))
                .await;
            let name = if client == "web" {
                "oauth21"
            } else {
                "oidc_compat"
            };
            writeln!(text, "  {name:<12} {}", told(&step)).expect("text");
        }
        // The profile `fapi2` pushes: the same defects, answered as JSON.
        let sound = format!(
            "client_id=fapi&response_type=code&redirect_uri=https%3A%2F%2Ffapi.example%2Fcb\
             &scope=openid+orders%3Aread&code_challenge={CHALLENGE}&code_challenge_method=S256\
             &state=s1&nonce=n"
        );
        let told = match push(&world, &defective(&sound, "fapi", parameter, *value)).await {
            Ok(_) => "taken".to_owned(),
            Err(reason) => format!("JSON {} ({})", reason.code().name(), reason.log_name()),
        };
        writeln!(text, "  {:<12} {told}", "fapi2 (push)").expect("text");
    }
    insta::assert_snapshot!("negative_matrix", text);
}

#[tokio::test]
async fn a_suspended_client_s_requests_end_on_the_page_of_an_unknown_one() {
    let world = World::new().await;
    let window = Window::new("w");
    let sound = request("web", "&scope=openid+orders%3Aread");
    let page = async |query: &str| match world.authorize(&window, query).await {
        Step::Error(page) => page,
        other => panic!("{other:?}"),
    };
    let unknown = page(&sound.replace("client_id=web", "client_id=nobody")).await;
    world.declare(|clients| clients[0].suspended = true);
    let asleep = page(&sound).await;
    assert_eq!(asleep.error, unknown.error);
    assert_eq!(asleep.refusal.reason(), unknown.refusal.reason());
    // The log alone tells why.
    assert!(asleep.refusal.to_string().contains("it is suspended"));
    world.declare(|_| {});
    assert_eq!(told(&world.authorize(&window, &sound).await), "taken");
}

#[tokio::test]
async fn errors_travel_the_way_that_was_asked_for() {
    let world = World::new().await;
    let window = Window::new("w");
    let sound = request("web", "&scope=openid&response_mode=form_post");
    let step = world
        .authorize(
            &window,
            &sound.replace("response_type=code", "response_type=token"),
        )
        .await;
    assert_eq!(told(&step), "form_post unsupported_response_type");
}

#[tokio::test]
async fn f01_only_a_native_clients_loopback_port_may_differ() {
    let world = World::new().await;
    let window = Window::new("w");
    let taken = async |client: &str, uri: &str| {
        let uri: String = url::form_urlencoded::byte_serialize(uri.as_bytes()).collect();
        let query = format!(
            "client_id={client}&response_type=code&redirect_uri={uri}&scope=openid\
             &code_challenge={CHALLENGE}&code_challenge_method=S256"
        );
        matches!(world.authorize(&window, &query).await, Step::Login(_))
    };
    for uri in [
        "http://127.0.0.1/cb",
        "http://127.0.0.1:49152/cb",
        "http://[::1]:1/cb",
        "com.example.app:/cb",
    ] {
        assert!(taken("phone", uri).await, "{uri}");
    }
    for uri in [
        "http://127.0.0.1:49152/cb/",
        "http://127.0.0.1:49152/cb?a=b",
        "http://127.0.0.1:0/cb",
        "http://127.0.0.1:99999/cb",
        "http://127.0.0.1:80@evil.example/cb",
        "http://127.0.0.1.evil.example/cb",
        "http://127.0.0.2:80/cb",
        "http://localhost:80/cb",
        "https://127.0.0.1:80/cb",
        "com.example.app://evil.example/cb",
        "com.example.app.evil:/cb",
    ] {
        assert!(!taken("phone", uri).await, "{uri}");
    }
    assert!(!taken("web", "https://web.example:8443/cb").await);
    world.declare(|clients| clients[0].redirect_uris = vec!["http://127.0.0.1/cb".to_owned()]);
    assert!(taken("web", "http://127.0.0.1/cb").await);
    assert!(!taken("web", "http://127.0.0.1:1/cb").await, "not native");
}

#[tokio::test]
async fn a_redirect_uri_may_be_omitted_by_a_client_with_one_and_without_openid() {
    let world = World::new().await;
    let window = Window::new("w");
    for (client, scope, expected) in [
        ("one", "orders%3Aread", "taken"),
        (
            "one",
            "openid",
            "page invalid_request (redirect-uri-missing)",
        ),
        (
            "web",
            "orders%3Aread",
            "page invalid_request (redirect-uri-missing)",
        ),
    ] {
        let query = format!(
            "client_id={client}&response_type=code&scope={scope}&code_challenge={CHALLENGE}\
             &code_challenge_method=S256"
        );
        assert_eq!(told(&world.authorize(&window, &query).await), expected);
    }
}

#[tokio::test]
async fn f06_pkce_is_demanded_of_all_but_confidential_clients_of_old() {
    let world = World::new().await;
    let window = Window::new("w");
    for (client, expected) in [
        ("web", "redirect invalid_request"),
        ("phone", "redirect invalid_request"),
        ("compat", "taken"),
    ] {
        let query = request(client, "&scope=openid")
            .replace(&format!("&code_challenge={CHALLENGE}"), "")
            .replace("&code_challenge_method=S256", "");
        assert_eq!(told(&world.authorize(&window, &query).await), expected);
    }
    // A public client is never excused, whatever its profile.
    world.declare(|clients| {
        for client in clients.iter_mut() {
            client.profile = registry::client::Profile::OidcCompat;
        }
    });
    let query = request("phone", "&scope=openid")
        .replace(&format!("&code_challenge={CHALLENGE}"), "")
        .replace("&code_challenge_method=S256", "");
    let step = world.authorize(&window, &query).await;
    assert_eq!(told(&step), "redirect invalid_request");
}

#[tokio::test]
async fn a_client_that_may_not_use_codes_is_told_so() {
    let world = World::new().await;
    let window = Window::new("w");
    let step = world
        .authorize(&window, &request("service", "&scope=openid"))
        .await;
    assert_eq!(told(&step), "redirect unauthorized_client");
}

#[tokio::test]
async fn what_was_pushed_is_judged_again_when_it_comes_back() {
    let world = World::new().await;
    let window = Window::new("w");
    let pushed = push(&world, &crate::pushed::sound()).await.expect("pushed");
    world.declare(|clients| {
        for client in clients.iter_mut() {
            client.identity_scopes.clear();
        }
    });
    let step = world.authorize(&window, &query("fapi", &pushed)).await;
    assert_eq!(told(&step), "redirect invalid_scope");
}

#[test]
fn the_table_of_checks_is_this() {
    let mut text = String::new();
    for check in Check::ALL {
        let entrances: Vec<_> = Entrance::ALL
            .into_iter()
            .map(|entrance| match check.holds_at(entrance) {
                true => entrance.name(),
                false => "-",
            })
            .collect();
        writeln!(
            text,
            "{:<15} {:<9} {:<4} {:<6} {}",
            check.name(),
            entrances[0],
            entrances[1],
            format!("{:?}", check.told()).to_lowercase(),
            check.section()
        )
        .expect("text");
    }
    insta::assert_snapshot!("table_of_checks", text);
}
