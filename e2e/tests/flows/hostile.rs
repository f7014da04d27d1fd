//! Two people, one of them hostile; two clients, one of them curious. In every order only the right
//! one gets in.

use std::collections::BTreeMap;

use serde_json::json;
use testkit::browser::{encode, field, sent_to};
use testkit::wire::Answer;

use super::scene::{Asked, CALLBACK, Scene, Tokens, claims, command, error, orders, shared};

/// The `sub` that a request by this browser ends with, for the client `app`.
fn who_is_at(scene: &Scene, browser: &mut testkit::browser::Browser) -> String {
    let asked = Asked::of("app");
    let page = browser.open(&asked.target()).unwrap();
    let answer = browser.decide(&page, "allow").unwrap();
    let code = asked.answered(&answer)["code"].clone();
    sub(&scene.tokens(scene.one.issuer(), &asked, &code))
}

fn sub(tokens: &Tokens) -> String {
    claims(&tokens.id)["sub"].as_str().unwrap().to_owned()
}

fn is_login_page(page: &Answer) -> bool {
    page.text().contains("name=\"password\"")
}

/// Defence: `issuer::ticket`: a ticket opens for the browser that it was made for.
#[test]
fn f04_a_login_form_with_the_attacker_s_ticket_logs_nobody_in() {
    let scene = shared();
    let asked = Asked::of("web");
    let mut attacker = scene.browser();
    let theirs = attacker.open(&asked.target()).unwrap();
    let ticket = field(&theirs, "ticket").unwrap();
    // The victim's browser is made to send the attacker's form, with the attacker's password. It
    // was here before, or it was not.
    for before in [false, true] {
        let mut victim = scene.browser();
        if before {
            victim.open(&asked.target()).unwrap();
        }
        let fields = [
            ("ticket", ticket.as_str()),
            ("username", "mallory"),
            ("password", &scene.passwords["mallory"]),
        ];
        let answer = victim.submit("/login", &fields).unwrap();
        assert!(is_login_page(&answer), "{}", answer.text());
        assert!(answer.text().contains("had expired"), "{}", answer.text());
        assert!(victim.cookie("session").is_none());
        // The victim is not disturbed: the page that came instead is their own.
        scene.log_in(&mut victim, &answer, "alice");
        let carol = sub_of(scene, "alice");
        assert_eq!(who_is_at(scene, &mut victim), carol);
    }
    // And the attacker gains nothing by the victim's login with that ticket.
    assert!(attacker.cookie("session").is_none());
}

fn sub_of(scene: &Scene, who: &str) -> String {
    let asked = Asked::of("web");
    let code = scene.code(&mut scene.browser(), &asked, who);
    sub(&scene.tokens(scene.one.issuer(), &asked, &code))
}

/// Defence: `Issuer::open_session`: a new handle at each login.
#[test]
fn f02_cookies_that_were_planted_before_a_login_are_worth_nothing_after_it() {
    let scene = shared();
    let asked = Asked::of("app");
    // Mallory's own live session, and handles that nobody gave out.
    let own = scene.browser_of("mallory");
    let planted = own.cookie("session").unwrap().to_owned();
    let made_up = "A".repeat(43);
    for planted in [planted.as_str(), made_up.as_str()] {
        let mut victim = scene.browser();
        let name = own.cookies.keys().find(|name| name.ends_with("session"));
        victim
            .cookies
            .insert(name.unwrap().clone(), planted.to_owned());
        let page = victim
            .open(&asked.clone().with("prompt", "login").target())
            .unwrap();
        scene.log_in(&mut victim, &page, "alice");
        assert_ne!(victim.cookie("session"), Some(planted));
        let mut attacker = scene.browser();
        let copied = victim.cookie("browser").unwrap().to_owned();
        let browser_name = victim.cookies.keys().find(|name| name.ends_with("browser"));
        attacker
            .cookies
            .insert(browser_name.unwrap().clone(), copied);
        attacker
            .cookies
            .insert(name.unwrap().clone(), planted.to_owned());
        let page = attacker.open(&asked.target()).unwrap();
        assert!(
            is_login_page(&page),
            "the planted session ended when somebody else logged in over it"
        );
        assert_eq!(who_is_at(scene, &mut victim), sub_of(scene, "alice"));
    }
}

/// Defence: `Issuer::consent`: the page's session must be the one that is there.
#[test]
fn f04_a_consent_page_of_one_person_is_not_answered_by_another() {
    let scene = shared();
    let asked = Asked::of("app");
    let mut browser = scene.browser();
    let page = browser.open(&asked.target()).unwrap();
    let page = scene.log_in(&mut browser, &page, "mallory");
    let page = match page.header("location") {
        Some(_) => browser.open(&asked.target()).unwrap(),
        None => page,
    };
    assert!(page.text().contains("Mallory Example"), "{}", page.text());
    let before = browser.clone();

    // Another window of this browser: Alice logs in.
    let other = Asked::of("app").with("prompt", "login");
    let login = browser.open(&other.target()).unwrap();
    scene.log_in(&mut browser, &login, "alice");
    let answer = browser.decide(&page, "allow").unwrap();
    assert!(answer.header("location").is_none(), "no code for anybody");
    assert!(answer.text().contains("Alice Example"), "{}", answer.text());
    let allowed = browser.decide(&answer, "allow").unwrap();
    let code = asked.answered(&allowed)["code"].clone();
    let tokens = scene.tokens(scene.one.issuer(), &asked, &code);
    assert_eq!(
        sub(&tokens),
        sub_of(scene, "alice"),
        "who was shown, decided"
    );

    // Mallory's session ended with Alice's login: the old page is good for a login form at most.
    let mut gone = before;
    let answer = gone.decide(&page, "allow").unwrap();
    assert!(is_login_page(&answer), "{}", answer.text());
    // In a browser of its own the page opens nothing either.
    for mut foreign in [scene.browser(), scene.browser_of("carol")] {
        let answer = foreign.decide(&page, "allow").unwrap();
        assert!(answer.header("location").is_none(), "{}", answer.text());
    }
    // Nor does a ticket of another page.
    let ticket = field(&page, "ticket").unwrap();
    let fields = [
        ("ticket", ticket.as_str()),
        ("username", "alice"),
        ("password", &scene.passwords["alice"]),
    ];
    let answer = browser.submit("/login", &fields).unwrap();
    assert_eq!(answer.status, 400, "{}", answer.text());
}

/// Defence: `Issuer::code`: client, redirect URI and verifier are compared before a code is spent.
#[test]
fn f06_a_code_is_good_for_its_client_redirect_uri_and_verifier_alone() {
    let scene = shared();
    let node = scene.one.issuer();
    let mut browser = scene.browser();
    let asked = Asked::of("web");
    let code = scene.code(&mut browser, &asked, "alice");
    let refused = |what: &str, answer: &Answer| {
        assert_eq!(error(answer), (400, "invalid_grant".to_owned()), "{what}");
    };
    let theirs = Asked {
        client: "other",
        ..asked.clone()
    };
    refused("another client", &scene.redeem(node, &theirs, &code));
    let public = Asked {
        client: "app",
        ..asked.clone()
    };
    refused("a public client", &scene.redeem(node, &public, &code));
    let own = Asked::of("web");
    refused("another verifier", &scene.redeem(node, &own, &code));
    let mut form = asked.redemption(&code);
    form.retain(|(name, _)| *name != "code_verifier");
    refused("no verifier", &scene.token(node, "web", &form));
    let mut form = asked.redemption(&code);
    form[2].1 = "https://client.example/other";
    refused("another redirect URI", &scene.token(node, "web", &form));
    refused("another code", &scene.redeem(node, &asked, &"A".repeat(43)));
    let unproved = {
        let mut form = asked.redemption(&code);
        form.push(("client_id", "web"));
        scene.token(node, "nobody", &form)
    };
    assert_eq!(unproved.status, 400, "client_id twice: {}", unproved.text());
    // None of this spent it.
    let tokens = scene.tokens(node, &asked, &code);
    assert_eq!(orders(&scene.one, &tokens.access), 200);
}

/// Defence: `redeem_code` ends the grant of a code that comes twice; gateways hear of it.
#[test]
fn f06_a_code_that_comes_twice_ends_what_came_of_it() {
    let scene = shared();
    let node = scene.one.issuer();
    let mut browser = scene.browser();
    let asked = Asked::of("app");
    let code = scene.code(&mut browser, &asked, "alice");
    let tokens = scene.tokens(node, &asked, &code);
    let next = Tokens::of(&scene.refresh(node, "app", &tokens.refresh));
    // Another client that saw the code go by can't harm.
    let theirs = Asked {
        client: "other",
        ..asked.clone()
    };
    assert_eq!(scene.redeem(node, &theirs, &code).status, 400);
    assert_eq!(orders(&scene.one, &next.access), 200);
    let again = scene.redeem(node, &asked, &code);
    assert_eq!(error(&again), (400, "invalid_grant".to_owned()));
    for token in [&tokens.access, &next.access] {
        assert_eq!(orders(&scene.one, token), 401);
    }
    assert_eq!(scene.refresh(node, "app", &next.refresh).status, 400);
    assert_eq!(scene.userinfo(node, &next.access).status, 401);
}

#[test]
fn f06_one_of_many_at_once_gets_what_a_code_is_for() {
    let scene = shared();
    let asked = Asked::of("web");
    let code = scene.code(&mut scene.browser(), &asked, "carol");
    let answers: Vec<Answer> = std::thread::scope(|scope| {
        let calls: Vec<_> = (0..20)
            .map(|_| scope.spawn(|| scene.redeem(scene.one.issuer(), &asked, &code)))
            .collect();
        calls.into_iter().map(|call| call.join().unwrap()).collect()
    });
    let good: Vec<_> = answers.iter().filter(|one| one.status == 200).collect();
    assert_eq!(good.len(), 1);
    assert!(answers.iter().all(|one| [200, 400].contains(&one.status)));
    let tokens = Tokens::of(good[0]);
    assert_eq!(orders(&scene.one, &tokens.access), 401, "it came twice");
}

/// Defence: step `pkce` of the table, and `check` when the code comes.
#[test]
fn f06_pkce_can_t_be_taken_out_or_weakened_on_the_way() {
    let scene = shared();
    let node = scene.one.issuer();
    let mut browser = scene.browser();
    for client in ["app", "web"] {
        for (name, value) in [
            ("code_challenge", ""),
            ("code_challenge_method", ""),
            ("code_challenge_method", "plain"),
            ("code_challenge", "short"),
        ] {
            let asked = Asked::of(client).with(name, value);
            let answer = browser.open(&asked.target()).unwrap();
            let told = asked.answered(&answer);
            assert_eq!(told["error"], "invalid_request", "{client} {name} {value}");
            assert_eq!(told["iss"], scene.origin);
            assert!(!told.contains_key("code"));
        }
        let asked = Asked::of(client)
            .with("code_challenge", "")
            .with("code_challenge_method", "");
        let told = asked.answered(&browser.open(&asked.target()).unwrap());
        assert!(!told.contains_key("code"), "{told:?}");
    }
    // A code of the attacker's own request, put into the victim's answer: the verifier differs.
    let (theirs, mine) = (Asked::of("app"), Asked::of("app"));
    let code = scene.code(&mut scene.browser(), &theirs, "mallory");
    let injected = scene.redeem(node, &mine, &code);
    assert_eq!(error(&injected), (400, "invalid_grant".to_owned()));
}

#[test]
fn f05_a_stolen_refresh_token_ends_the_family_whoever_comes_second() {
    // One of its own: what comes of it would be in others' way.
    let scene = &Scene::start("");
    let node = scene.one.issuer();
    // Both have the first token. Who presents what they have, in this order; the last is refused.
    for order in [
        ["owner", "thief"].as_slice(),
        &["thief", "owner"],
        &["owner", "owner", "thief"],
        &["thief", "thief", "owner"],
    ] {
        let asked = Asked::of("app");
        let mut browser = scene.browser();
        let code = scene.code(&mut browser, &asked, "alice");
        let first = scene.tokens(node, &asked, &code);
        // Another login of hers at the same client is another family.
        let asked = Asked::of("app");
        let code = scene.code(&mut browser, &asked, "alice");
        let apart = scene.tokens(node, &asked, &code);

        let mut holds = BTreeMap::from([("owner", first.clone()), ("thief", first.clone())]);
        let mut given = vec![first.access];
        let (second, others) = order.split_last().unwrap();
        for who in others {
            let next = Tokens::of(&scene.refresh(node, "app", &holds[who].refresh));
            assert_eq!(orders(&scene.one, &next.access), 200, "{order:?}");
            given.push(next.access.clone());
            holds.insert(who, next);
        }
        let refused = scene.refresh(node, "app", &holds[second].refresh);
        let expected = (400, "invalid_grant".to_owned());
        assert_eq!(error(&refused), expected, "{order:?}");
        for token in &given {
            assert_eq!(
                orders(&scene.one, token),
                401,
                "{order:?}: the family ended"
            );
            assert_eq!(scene.userinfo(node, token).status, 401, "{order:?}");
        }
        for (who, tokens) in &holds {
            let refused = scene.refresh(node, "app", &tokens.refresh);
            assert_eq!(error(&refused), expected, "{order:?}: {who}");
        }
        assert_eq!(orders(&scene.one, &apart.access), 200, "{order:?}");
        Tokens::of(&scene.refresh(node, "app", &apart.refresh));
    }
    // Another client's refresh token is nobody's, and stays alive.
    let asked = Asked::of("web");
    let code = scene.code(&mut scene.browser(), &asked, "alice");
    let tokens = scene.tokens(node, &asked, &code);
    for thief in ["other", "app"] {
        let stolen = scene.refresh(node, thief, &tokens.refresh);
        assert_eq!(error(&stolen), (400, "invalid_grant".to_owned()));
        // RFC 7009 §2.1: nor can others revoke it.
        scene.post(node, "/oauth/revoke", thief, &[("token", &tokens.refresh)]);
    }
    assert_eq!(orders(&scene.one, &tokens.access), 200);
    Tokens::of(&scene.refresh(node, "web", &tokens.refresh));
}

/// Defence: `issuer/src/authorize/person.rs` asks the store for reuses before it believes a session.
#[test]
fn f05_after_a_theft_the_owner_is_told_and_that_client_needs_a_fresh_login() {
    let scene = Scene::start("");
    let node = scene.one.issuer();
    let mut browser = scene.browser();
    let asked = Asked::of("web");
    let code = scene.code(&mut browser, &asked, "alice");
    let first = scene.tokens(node, &asked, &code);
    let second = Tokens::of(&scene.refresh(node, "web", &first.refresh));
    Tokens::of(&scene.refresh(node, "web", &second.refresh));
    assert_eq!(scene.refresh(node, "web", &first.refresh).status, 400);

    // Silently there is nothing any more, whatever session exists; another client is not concerned.
    let silent = Asked::of("web").with("prompt", "none");
    let told = silent.answered(&browser.open(&silent.target()).unwrap());
    assert_eq!(told["error"], "login_required");
    let asked = Asked::of("web");
    let page = browser.open(&asked.target()).unwrap();
    assert!(
        page.text().contains("Somebody used an old token"),
        "{}",
        page.text()
    );
    let page = scene.log_in(&mut browser, &page, "alice");
    assert!(
        page.text().contains("Somebody used an old token"),
        "{}",
        page.text()
    );
    assert!(page.text().contains("name=\"decision\""), "{}", page.text());
    let told = asked.answered(&browser.decide(&page, "allow").unwrap());
    let tokens = scene.tokens(node, &asked, &told["code"]);
    assert_eq!(orders(&scene.one, &tokens.access), 200);
    // Told once.
    let silent = Asked::of("web").with("prompt", "none");
    let told = silent.answered(&browser.open(&silent.target()).unwrap());
    assert!(told.contains_key("code"), "{told:?}");

    // For operators: the list, the log, the metric.
    let listed = command(&scene.one, &["grant", "list", "--client", "web"]);
    assert!(listed.contains("ended: refresh-reused"), "{listed}");
    assert!(
        scene
            .one
            .log()
            .contains("a refresh token was used that had been replaced"),
        "{}",
        scene.one.log()
    );
    let metrics = testkit::wire::get(scene.one.ops(), "/metrics", &[]).unwrap();
    assert!(metrics.text().contains("doorward_refresh_reuses_total 1"));
}

/// RFC 8628 §5.4: the attacker's device waits; the victim's browser is sent to its code.
#[test]
fn f04_a_device_s_page_is_decided_by_who_saw_it() {
    let scene = shared();
    let node = scene.one.issuer();
    let begun = scene
        .post(
            node,
            "/oauth/device",
            "tv",
            &[("scope", "openid orders:read")],
        )
        .json();
    let user = begun["user_code"].as_str().unwrap();
    let target = format!("/device?{}", encode(&[("user_code", user)]));
    let mut mallory = scene.browser_of("mallory");
    let page = mallory.open(&target).unwrap();
    // Mallory's page, sent by Alice's browser: it is shown anew, for Alice to read.
    let mut alice = scene.browser_of("alice");
    let answer = alice.decide(&page, "allow").unwrap();
    assert!(
        answer.text().contains("name=\"decision\""),
        "{}",
        answer.text()
    );
    assert!(answer.text().contains("Alice Example"));
    let device = begun["device_code"].as_str().unwrap();
    let kind = "urn:ietf:params:oauth:grant-type:device_code";
    let poll = |client: &str| {
        let fields = [("grant_type", kind), ("device_code", device)];
        error(&scene.token(node, client, &fields)).1
    };
    assert_eq!(poll("tv"), "authorization_pending", "nobody decided");
    assert_ne!(poll("app"), "authorization_pending", "another client's");
    alice.decide(&answer, "deny").unwrap();
    assert_eq!(poll("tv"), "access_denied");
    let late = mallory.decide(&page, "allow").unwrap();
    assert!(late.text().contains("isn’t known"), "{}", late.text());
    assert_ne!(
        scene
            .token(node, "tv", &[("grant_type", kind), ("device_code", device)])
            .status,
        200
    );
}

/// Two people, two browsers, one client: whose code it is, its tokens say.
#[test]
fn f06_two_people_at_one_client_never_get_each_other_s_tokens() {
    let scene = shared();
    let node = scene.one.issuer();
    let (alice, mallory) = (sub_of(scene, "alice"), sub_of(scene, "mallory"));
    assert_ne!(alice, mallory);
    let people = [("alice", &alice), ("mallory", &mallory)];
    std::thread::scope(|scope| {
        for round in 0..6 {
            let (who, expected) = people[round % 2];
            scope.spawn(move || {
                let asked = Asked::of("web");
                let code = scene.code(&mut scene.browser(), &asked, who);
                let tokens = scene.tokens(node, &asked, &code);
                assert_eq!(sub(&tokens), **expected);
                assert_eq!(&claims(&tokens.access)["sub"], &json!(expected));
            });
        }
    });
}

/// Defence: `issuer::logout`: without proof the person is asked.
#[test]
fn f04_another_person_s_id_token_does_not_log_anybody_out() {
    let scene = shared();
    let asked = Asked::of("web");
    let mut mallory = scene.browser();
    let code = scene.code(&mut mallory, &asked, "mallory");
    let theirs = scene.tokens(scene.one.issuer(), &asked, &code);
    let mut alice = scene.browser_of("alice");
    let target = format!(
        "/oauth/end_session?{}",
        encode(&[("id_token_hint", &theirs.id)])
    );
    let page = alice.open(&target).unwrap();
    assert!(page.text().contains("name=\"decision\""), "{}", page.text());
    let stolen = scene.browser_of("mallory").decide(&page, "allow").unwrap();
    assert!(
        stolen.text().contains("name=\"decision\""),
        "{}",
        stolen.text()
    );
    assert_eq!(who_is_at(scene, &mut alice), sub_of(scene, "alice"));
    // Nor does it lead anywhere that is not registered.
    for elsewhere in [
        "https://evil.example/",
        CALLBACK,
        "https://client.example/bye/",
    ] {
        let fields = [
            ("id_token_hint", theirs.id.as_str()),
            ("post_logout_redirect_uri", elsewhere),
        ];
        let page = mallory
            .open(&format!("/oauth/end_session?{}", encode(&fields)))
            .unwrap();
        assert_eq!(page.status, 400, "{elsewhere}");
        assert!(sent_to(&page).is_none());
    }
}

/// A password that was changed does not open any more, here or on another node.
#[test]
fn a_password_that_was_revoked_logs_nobody_in() {
    let scene = Scene::start("");
    let listed = command(
        &scene.one,
        &["user", "password", "list", "carol", "--output", "json"],
    );
    let mut browser = scene.browser();
    scene.code(&mut browser, &Asked::of("web"), "carol");
    let listed: serde_json::Value = serde_json::from_str(&listed).unwrap();
    let items = listed.get("items").unwrap_or(&listed);
    let id = items[0]["id"]
        .as_str()
        .unwrap_or_else(|| panic!("{listed}"));
    command(&scene.one, &["user", "password", "revoke", "carol", id]);
    let mut fresh = scene.browser();
    let page = fresh.open(&Asked::of("web").target()).unwrap();
    let page = scene.log_in(&mut fresh, &page, "carol");
    assert!(page.text().contains("is not right"), "{}", page.text());
}
