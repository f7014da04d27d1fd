//! Each flow once from its beginning to its end.

use std::io::{Read, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use proof::jose::alg::Algorithm;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use testkit::bound::ProofKey;
use testkit::browser::{action, field, sent_to};
use testkit::wire::{self, Answer};

use super::scene::{
    Asked, BYE, CALLBACK, ORDERS, SCOPE, Scene, Tokens, claims, command, error, orders, shared,
};

/// What a client and an API do with tokens until they are taken back.
fn used_up(scene: &Scene, client: &str, tokens: &Tokens) {
    let node = scene.one.issuer();
    let me = claims(&tokens.id);
    assert_eq!(me["iss"], json!(scene.origin));
    assert_eq!(me["aud"], json!(client));
    assert_eq!(orders(&scene.one, &tokens.access), 200);
    assert_eq!(orders(&scene.one, &tokens.id), 401, "an ID token is no key");
    assert_eq!(orders(&scene.one, &tokens.refresh), 401);
    let told = scene.userinfo(node, &tokens.access);
    assert_eq!(told.status, 200, "{}", told.text());
    assert_eq!(told.json()["sub"], me["sub"]);
    assert_eq!(told.json()["name"], json!("Alice Example"));

    let next = Tokens::of(&scene.refresh(node, client, &tokens.refresh));
    assert_ne!(next.access, tokens.access);
    assert_eq!(claims(&next.access)["sub"], me["sub"]);
    assert_eq!(orders(&scene.one, &next.access), 200);
    let revoked = scene.post(node, "/oauth/revoke", client, &[("token", &next.refresh)]);
    assert_eq!(revoked.status, 200);
    let again = scene.refresh(node, client, &next.refresh);
    assert_eq!(error(&again), (400, "invalid_grant".to_owned()));
    for token in [&tokens.access, &next.access] {
        assert_eq!(
            orders(&scene.one, token),
            401,
            "the grant's tokens end with it"
        );
        assert_eq!(scene.userinfo(node, token).status, 401);
    }
}

#[test]
fn a_code_becomes_tokens_that_open_the_gateway_until_they_are_taken_back() {
    let scene = shared();
    for client in ["app", "web"] {
        let asked = Asked::of(client);
        let code = scene.code(&mut scene.browser(), &asked, "alice");
        let tokens = scene.tokens(scene.one.issuer(), &asked, &code);
        assert_eq!(claims(&tokens.id)["nonce"], json!(asked.params["nonce"]));
        used_up(scene, client, &tokens);
    }
}

#[test]
fn a_device_gets_what_a_person_allows_it() {
    let scene = shared();
    let node = scene.one.issuer();
    let wanted = [("scope", SCOPE), ("resource", ORDERS)];
    let begin = || {
        let begun = scene.post(node, "/oauth/device", "tv", &wanted);
        assert_eq!(begun.status, 200, "{}", begun.text());
        begun.json()
    };
    let polled = |device: &str| {
        let kind = "urn:ietf:params:oauth:grant-type:device_code";
        let fields = [("grant_type", kind), ("device_code", device)];
        scene.token(node, "tv", &fields)
    };
    let impatient = begin();
    let device = impatient["device_code"].as_str().unwrap();
    assert_eq!(error(&polled(device)).1, "authorization_pending");
    assert_eq!(
        error(&polled(device)).1,
        "slow_down",
        "asked twice in a row"
    );

    let begun = begin();
    let (device, user) = (
        begun["device_code"].as_str().unwrap(),
        begun["user_code"].as_str().unwrap(),
    );
    let mut browser = scene.browser();
    let page = browser.open("/device").unwrap();
    let page = scene.log_in(&mut browser, &page, "alice");
    let ticket = field(&page, "ticket").unwrap();
    let wrong = browser
        .submit(
            "/device",
            &[("ticket", &ticket), ("user_code", "BBBB-BBBB")],
        )
        .unwrap();
    assert!(wrong.text().contains("isn’t known"), "{}", wrong.text());
    let ticket = field(&wrong, "ticket").unwrap();
    let page = browser
        .submit("/device", &[("ticket", &ticket), ("user_code", user)])
        .unwrap();
    assert!(page.text().contains(user), "{}", page.text());
    let done = browser.decide(&page, "allow").unwrap();
    assert_eq!(done.status, 200, "{}", done.text());
    let again = browser.decide(&page, "deny").unwrap();
    assert!(again.text().contains("isn’t known"), "decided once");

    let tokens = Tokens::of(&polled(device));
    assert_eq!(error(&polled(device)).1, "invalid_grant", "once only");
    used_up(scene, "tv", &tokens);
}

#[test]
fn a_service_exchanges_a_person_s_token_for_one_of_its_own() {
    let scene = shared();
    let node = scene.one.issuer();
    let asked = Asked::of("web");
    let code = scene.code(&mut scene.browser(), &asked, "alice");
    let tokens = scene.tokens(node, &asked, &code);
    let kind = "urn:ietf:params:oauth:token-type:access_token";
    let exchange = [
        (
            "grant_type",
            "urn:ietf:params:oauth:grant-type:token-exchange",
        ),
        ("subject_token", tokens.access.as_str()),
        ("subject_token_type", kind),
        ("resource", ORDERS),
        ("scope", "orders:read"),
    ];
    let own = Tokens::of(&scene.token(node, "stockd", &exchange));
    let (before, after) = (claims(&tokens.access), claims(&own.access));
    assert_eq!(after["sub"], before["sub"]);
    assert_eq!(after["client_id"], json!("stockd"));
    assert_eq!(after["act"]["sub"], json!("stockd"));
    assert_eq!(orders(&scene.one, &own.access), 200);
    assert_eq!(error(&scene.token(node, "web", &exchange)).0, 400);
    let mut more = exchange;
    more[4].1 = "orders:write";
    assert_eq!(
        error(&scene.token(node, "stockd", &more)).0,
        400,
        "only less"
    );

    // What ends the person's grant ends what came of it.
    scene.post(node, "/oauth/revoke", "web", &[("token", &tokens.refresh)]);
    assert_eq!(orders(&scene.one, &own.access), 401);
    assert_eq!(error(&scene.token(node, "stockd", &exchange)).0, 400);
}

#[test]
fn fapi2_pushes_its_request_and_proves_its_key() {
    let scene = shared();
    let node = scene.one.issuer();
    let key = ProofKey::new(Algorithm::ES256);
    let asked = Asked::of("bank");
    let mut unpushed = scene.browser();
    let page = unpushed.open(&asked.target()).unwrap();
    assert!(
        page.status == 400 || asked.answered(&page).contains_key("error"),
        "{}",
        page.text()
    );

    let pushed = scene.post_proved(node, "/oauth/par", "bank", &asked.fields(), &key);
    assert_eq!(pushed.status, 201, "{}", pushed.text());
    let reference = pushed.json()["request_uri"].as_str().unwrap().to_owned();
    let target = format!(
        "/oauth/authorize?{}",
        testkit::browser::encode(&[("client_id", "bank"), ("request_uri", &reference)])
    );
    let mut browser = scene.browser();
    for _ in 0..2 {
        assert_eq!(browser.open(&target).unwrap().status, 200, "a reload works");
    }
    let page = browser.open(&target).unwrap();
    let page = scene.log_in(&mut browser, &page, "alice");
    let answer = match page.text().contains("name=\"decision\"") {
        true => browser.decide(&page, "allow").unwrap(),
        false => page,
    };
    let code = asked.answered(&answer)["code"].clone();
    let spent = browser.open(&target).unwrap();
    assert_eq!(spent.status, 400, "f06: a reference is spent with its code");

    let thief = ProofKey::new(Algorithm::ES256);
    let form = asked.redemption(&code);
    let stolen = scene.post_proved(node, "/oauth/token", "bank", &form, &thief);
    assert_eq!(error(&stolen), (400, "invalid_grant".to_owned()));
    let tokens = Tokens::of(&scene.post_proved(node, "/oauth/token", "bank", &form, &key));
    let address = format!("http://{}/orders", scene.one.gateway());
    let call = |scheme: &str, key: &ProofKey| {
        let authorization = format!("{scheme} {}", tokens.access);
        let proof = key.proof("GET", &address, Some(&tokens.access));
        let headers = [("authorization", authorization.as_str()), ("dpop", &proof)];
        scene.one.get("/orders", &headers).unwrap().status
    };
    assert_eq!(call("DPoP", &key), 200);
    assert_eq!(call("DPoP", &thief), 401, "d01");
    assert_eq!(call("Bearer", &key), 401, "d01");
    assert_eq!(orders(&scene.one, &tokens.access), 401, "d01");
    let refresh = [
        ("grant_type", "refresh_token"),
        ("refresh_token", &tokens.refresh),
    ];
    // RFC 9449 §5: a confidential client's refresh token is bound to the client, not to the key.
    let stolen = scene.token(node, "other", &refresh);
    assert_eq!(error(&stolen), (400, "invalid_grant".to_owned()));
    for _ in 0..2 {
        let next = Tokens::of(&scene.post_proved(node, "/oauth/token", "bank", &refresh, &key));
        assert_eq!(next.refresh, tokens.refresh, "fapi2 does not rotate");
    }
}

#[test]
fn an_answer_by_form_says_what_one_by_address_says() {
    let scene = shared();
    let asked = Asked::of("web").with("response_mode", "form_post");
    let mut browser = scene.browser();
    let page = browser.open(&asked.target()).unwrap();
    let page = scene.log_in(&mut browser, &page, "alice");
    let page = match page.text().contains("name=\"decision\"") {
        true => browser.decide(&page, "allow").unwrap(),
        false => page,
    };
    assert_eq!(page.status, 200, "{}", page.text());
    assert_eq!(action(&page).as_deref(), Some(CALLBACK));
    assert_eq!(field(&page, "state").as_ref(), asked.params.get("state"));
    assert_eq!(field(&page, "iss").as_ref(), Some(&scene.origin));
    let code = field(&page, "code").unwrap();
    let tokens = scene.tokens(scene.one.issuer(), &asked, &code);
    used_up(scene, "web", &tokens);
}

/// Whether somebody is logged in, as a client asks it.
fn is_logged_in(browser: &mut testkit::browser::Browser) -> bool {
    let asked = Asked::of("web").with("prompt", "none");
    let told = asked.answered(&browser.open(&asked.target()).unwrap());
    match told.get("error").map(String::as_str) {
        Some("login_required") => false,
        None | Some("consent_required" | "interaction_required") => true,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_logout_that_a_client_asks_for_ends_the_session_on_the_server() {
    let scene = shared();
    let asked = Asked::of("web");
    let mut browser = scene.browser();
    let code = scene.code(&mut browser, &asked, "alice");
    let tokens = scene.tokens(scene.one.issuer(), &asked, &code);
    assert!(is_logged_in(&mut browser));
    let mut copy = browser.clone();

    let ask = |browser: &mut testkit::browser::Browser, fields: &[(&str, &str)]| {
        let target = format!("/oauth/end_session?{}", testkit::browser::encode(fields));
        browser.open(&target).unwrap()
    };
    // Anybody can send a browser here without a hint: the person is asked.
    let page = ask(&mut browser, &[("client_id", "web")]);
    browser.decide(&page, "deny").unwrap();
    assert!(is_logged_in(&mut browser));

    let answer = ask(
        &mut browser,
        &[
            ("id_token_hint", &tokens.id),
            ("post_logout_redirect_uri", BYE),
            ("state", "s"),
        ],
    );
    let (to, told) = sent_to(&answer).unwrap();
    assert_eq!((to.as_str(), told["state"].as_str()), (BYE, "s"));
    assert!(browser.cookie("session").is_none());
    assert!(!is_logged_in(&mut copy), "f03: a copied cookie is dead too");
}

/// Takes one request over TLS, answers it and returns what it was.
fn hear(listener: TcpListener, tls: &Path) -> mpsc::Receiver<String> {
    let chain = CertificateDer::pem_file_iter(tls.join("localhost.pem")).unwrap();
    let chain = chain.collect::<Result<Vec<_>, _>>().unwrap();
    let key = PrivateKeyDer::from_pem_file(tls.join("localhost.key")).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let config = Arc::new(config);
    let (told, heard) = mpsc::channel();
    std::thread::spawn(move || {
        // A caller may try more than one address before it is content.
        for stream in listener.incoming().take(8).flatten() {
            let _ = stream.set_read_timeout(Some(wire::PATIENCE));
            let Ok(connection) = rustls::ServerConnection::new(config.clone()) else {
                return;
            };
            let mut stream = rustls::StreamOwned::new(connection, stream);
            if let Some(request) = request_from(&mut stream) {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
                stream.conn.send_close_notify();
                let _ = stream.flush();
                let _ = told.send(request);
                return;
            }
        }
    });
    heard
}

/// Head and body of a request with a length.
fn request_from(stream: &mut impl Read) -> Option<String> {
    let mut bytes = Vec::new();
    let mut chunk = [0u8; 4096];
    loop {
        let read = stream.read(&mut chunk).ok().filter(|read| *read > 0)?;
        bytes.extend_from_slice(&chunk[..read]);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let head = head.to_ascii_lowercase();
        let length = head.split("content-length: ").nth(1)?;
        let length: usize = length.split("\r\n").next()?.parse().ok()?;
        if body.len() >= length {
            return Some(text);
        }
    }
}

#[test]
fn a_client_hears_of_the_end_of_a_session_that_it_was_part_of() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let scene = Scene::start(&format!("https://localhost:{port}/logout"));
    let heard = hear(listener, &scene.one.place().path().join("tls"));
    let asked = Asked::of("web");
    let mut browser = scene.browser();
    let code = scene.code(&mut browser, &asked, "alice");
    let tokens = scene.tokens(scene.one.issuer(), &asked, &code);
    let target = format!("/oauth/end_session?id_token_hint={}", tokens.id);
    assert_eq!(browser.open(&target).unwrap().status, 200);

    let request = heard
        .recv_timeout(Duration::from_secs(60))
        .unwrap_or_else(|_| panic!("nothing was heard:\n{}", scene.one.log()));
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("POST /logout "), "{head}");
    let token = body.strip_prefix("logout_token=").unwrap();
    let (told, me) = (claims(token), claims(&tokens.id));
    assert_eq!(told["sid"], me["sid"]);
    assert_eq!(told["sub"], me["sub"]);
    assert_eq!(told["aud"], json!("web"));
    assert_eq!(told.get("nonce"), None::<&Value>, "§2.4");
    assert_eq!(orders(&scene.one, token), 401, "c04: it is no access token");
}

#[test]
fn a_person_who_is_suspended_is_out_everywhere() {
    let mut scene = Scene::start("");
    let made = command(&scene.one, &["user", "create", "dave", "--output", "json"]);
    let made: Value = serde_json::from_str(&made).unwrap();
    let password = made["secret"].as_str().unwrap_or_else(|| panic!("{made}"));
    scene.passwords.insert("dave", password.to_owned());
    let node = scene.one.issuer();
    let asked = Asked::of("web");
    let mut browser = scene.browser();
    let code = scene.code(&mut browser, &asked, "dave");
    let tokens = scene.tokens(node, &asked, &code);
    let unused = scene.code(&mut browser, &Asked::of("web"), "dave");
    command(&scene.one, &["user", "suspend", "dave"]);
    let refused = |answer: &Answer| assert_eq!(error(answer).0, 400, "{}", answer.text());
    refused(&scene.refresh(node, "web", &tokens.refresh));
    refused(&scene.redeem(node, &asked, &unused));
    assert!(!is_logged_in(&mut browser));
    let page = browser.open(&asked.target()).unwrap();
    let page = scene.log_in(&mut browser, &page, "dave");
    assert!(page.text().contains("is not right"), "{}", page.text());
}
