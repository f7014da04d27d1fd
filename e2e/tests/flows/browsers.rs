//! F: what must never get through where browsers go.

use std::sync::Arc;
use std::time::{Duration, Instant};

use testkit::browser::{Browser, encode, field, sent_to};
use testkit::wire::{self, Answer};

use super::scene::{Asked, CALLBACK, LOOPBACK, SCOPE, Scene, Tokens, error, orders, shared};

fn is_login_page(page: &Answer) -> bool {
    page.text().contains("name=\"password\"")
}

/// Defence: `authorize::client::is_registered`: exact strings, and the port of a loopback address.
#[test]
fn f01_nobody_is_sent_anywhere_but_to_a_registered_address() {
    let scene = shared();
    let mut browser = scene.browser_of("alice");
    let forms = |good: &str| {
        let (scheme, rest) = good.split_once("://").unwrap();
        let (host, path) = rest.split_once('/').unwrap();
        vec![
            format!("{good}/"),
            format!("{good}/more"),
            format!("{good}?more=1"),
            format!("{good}#part"),
            format!("{good}%00"),
            format!("{good}%20"),
            format!("{good} "),
            format!("{good}\t"),
            format!(" {good}"),
            format!("{good}/../x"),
            format!("{good}/..;/x"),
            format!("{good}/%2e%2e/x"),
            format!("{scheme}://{host}//{path}"),
            format!("{scheme}://{host}\\{path}"),
            format!("{scheme}:\\\\{host}\\{path}"),
            format!("{scheme}:/{host}/{path}"),
            format!("//{host}/{path}"),
            format!("/{path}"),
            format!("{scheme}://{host}.evil.example/{path}"),
            format!("{scheme}://evil.example/{host}/{path}"),
            format!("{scheme}://evil-{host}/{path}"),
            format!("{scheme}://{host}@evil.example/{path}"),
            format!("{scheme}://user@{host}/{path}"),
            format!("{scheme}://evil.example\\@{host}/{path}"),
            format!("{scheme}://evil.example#@{host}/{path}"),
            format!("{scheme}://evil.example?@{host}/{path}"),
            format!("{scheme}://{host}:/{path}"),
            format!(
                "{scheme}://{}/{path}",
                host.replacen('c', "\u{0441}", 1) + "x"
            ),
            format!("{scheme}://xn--lient-uze.example/{path}"),
            format!("{scheme}://{host}/{}", path.to_uppercase()),
            format!("{}://{host}/{path}", scheme.to_uppercase()),
            format!("ftp://{host}/{path}"),
            "javascript:alert(1)//".to_owned() + good,
            "data:text/html,x".to_owned(),
            String::new(),
        ]
    };
    let mut tried = 0;
    for (client, good) in [("web", CALLBACK), ("app", LOOPBACK)] {
        let own = [
            "http://127.0.0.1.evil.example:50123/callback",
            "http://127.0.0.1:50123@evil.example/callback",
            "http://127.0.0.1:99999999/callback",
            "http://127.0.0.1:5\\@evil.example/callback",
            "http://127.0.0.2:50123/callback",
            "http://localhost:50123/callback",
            "http://[::1]:50123/callback",
            "http://2130706433:50123/callback",
            "https://127.0.0.1:50123/callback",
        ];
        let more = own.iter().map(|text| (*text).to_owned());
        for redirect in forms(good).into_iter().chain(more) {
            let mut asked = Asked::of(client);
            asked.params.insert("redirect_uri", redirect.clone());
            for bad in [
                asked.clone(),
                asked.clone().with("response_type", "token"),
                asked.clone().with("prompt", "none"),
                asked.with("response_mode", "form_post"),
            ] {
                let page = browser.open(&bad.target()).unwrap();
                assert_eq!(page.status, 400, "{redirect:?}: {}", page.text());
                assert_eq!(sent_to(&page), None, "{redirect:?}");
                let refused = page.text();
                assert!(!refused.contains("evil.example"), "{redirect:?}");
                assert!(!refused.contains("<form"), "{redirect:?}");
                tried += 1;
            }
        }
    }
    assert!(tried > 300);
    // A client that nobody knows, and two addresses.
    let unknown = Asked::of("web").with("client_id", "nobody");
    assert_eq!(browser.open(&unknown.target()).unwrap().status, 400);
    let two = format!(
        "{}&{}",
        Asked::of("web").target(),
        encode(&[("redirect_uri", "https://evil.example/")])
    );
    let page = browser.open(&two).unwrap();
    assert_eq!((page.status, sent_to(&page)), (400, None));
    // By form too; what a browser is sent on to is a path of our own.
    let fields = Asked::of("web").with("redirect_uri", "https://evil.example/");
    let page = browser
        .submit_with("/oauth/authorize", &fields.fields(), &[])
        .unwrap();
    let (to, _) = sent_to(&page).unwrap();
    assert_eq!((page.status, to.as_str()), (303, "/oauth/authorize"));
}

/// Defence: `Issuer::open_session`.
#[test]
fn f02_a_login_makes_a_new_session_and_the_old_handle_is_dead() {
    let scene = shared();
    let mut browser = scene.browser_of("carol");
    let before = browser.clone();
    for who in ["carol", "alice"] {
        let old = browser.clone();
        let asked = Asked::of("app").with("prompt", "login");
        let page = browser.open(&asked.target()).unwrap();
        scene.log_in(&mut browser, &page, who);
        assert_ne!(browser.cookie("session"), old.cookie("session"));
        for mut dead in [old, before.clone()] {
            let page = dead.open(&Asked::of("app").target()).unwrap();
            assert!(is_login_page(&page), "{who}: {}", page.text());
        }
    }
    // A login that fails gives nothing.
    let mut fresh = scene.browser();
    let page = fresh.open(&Asked::of("app").target()).unwrap();
    let page = fresh.log_in(&page, "carol", "wrong password").unwrap();
    assert!(is_login_page(&page));
    assert!(fresh.cookie("session").is_none());
}

/// Defence: `web::browser::cookies`.
#[test]
fn f03_cookies_are_this_host_s_and_no_script_s() {
    let scene = Scene::over_tls();
    let ca = scene.one.place().path().join("tls/ca.pem");
    let config = Arc::new(wire::client_config(&ca).unwrap());
    let fresh = || Browser::new(&scene.origin, scene.one.issuer_tls()).over_tls(config.clone());
    let asked = Asked::of("web");
    let mut browser = fresh();
    let page = browser.open(&asked.target()).unwrap();
    let answer = scene.log_in(&mut browser, &page, "alice");
    let answer = match answer.header("location") {
        Some(_) => answer,
        None => browser.decide(&answer, "allow").unwrap(),
    };
    assert!(asked.answered(&answer).contains_key("code"));
    assert_eq!(browser.lines.len(), 2, "{:?}", browser.lines);
    for (line, name) in browser
        .lines
        .iter()
        .zip(["__Host-doorward-browser", "__Host-doorward-session"])
    {
        let mut parts = line.split("; ");
        let (found, value) = parts.next().unwrap().split_once('=').unwrap();
        assert_eq!((found, value.len()), (name, 43));
        let mut flags: Vec<&str> = parts.collect();
        flags.sort_unstable();
        assert_eq!(flags, ["HttpOnly", "Path=/", "SameSite=Lax", "Secure"]);
    }

    // The names of plain HTTP mean nothing here.
    let mut plain = fresh();
    for (name, value) in &browser.cookies {
        let name = name.replace("__Host-doorward-", "doorward-dev-");
        plain.cookies.insert(name, value.clone());
    }
    assert!(is_login_page(&plain.open(&asked.target()).unwrap()));
    // The session does not go with another browser's cookie only: it is the handle that counts.
    let mut stolen = fresh();
    let handle = browser.cookie("session").unwrap().to_owned();
    for wrong in [&handle[1..], &format!("{handle}A"), &handle.to_uppercase()] {
        let name = "__Host-doorward-session".to_owned();
        stolen.cookies.insert(name, wrong.to_owned());
        assert!(is_login_page(&stolen.open(&asked.target()).unwrap()));
    }

    // b07: two of one name.
    for name in ["__Host-doorward-session", "__Host-doorward-browser"] {
        let value = &browser.cookies[name];
        let mut twice = fresh();
        let more = format!("{name}={value}; {name}={value}");
        let page = twice
            .send("GET", &asked.target(), &[("cookie", &more)], "")
            .unwrap();
        assert_eq!(page.status, 400, "{name}");
        let page = browser
            .clone()
            .send(
                "GET",
                &asked.target(),
                &[("cookie", &format!("{name}=x"))],
                "",
            )
            .unwrap();
        assert_eq!(page.status, 400, "{name} in two header fields");
    }

    // Signing out takes the cookie away, and kills the session on the server.
    let copy = browser.clone();
    let page = browser.open("/logout").unwrap();
    browser.decide(&page, "allow").unwrap();
    let line = browser.lines.last().unwrap();
    assert!(line.starts_with("__Host-doorward-session=;"), "{line}");
    assert!(line.contains("; Max-Age=0"), "{line}");
    for mut one in [browser, copy] {
        assert!(is_login_page(&one.open(&asked.target()).unwrap()));
    }
}

/// Defence: `web::browser::own_form`.
#[test]
fn f04_a_form_of_another_site_is_refused_unread() {
    let scene = shared();
    let asked = Asked::of("app");
    let mut browser = scene.browser();
    let page = browser.open(&asked.target()).unwrap();
    let ticket = field(&page, "ticket").unwrap();
    let fields = [
        ("ticket", ticket.as_str()),
        ("username", "alice"),
        ("password", &scene.passwords["alice"]),
    ];
    let own = scene.origin.as_str();
    let suffixed = format!("{own}.evil.example");
    let slashed = format!("{own}/");
    for foreign in [
        vec![("origin", "https://evil.example")],
        vec![("origin", "null")],
        vec![("origin", "")],
        vec![("origin", &suffixed)],
        vec![("origin", &slashed)],
        vec![("origin", own), ("origin", "https://evil.example")],
        vec![("sec-fetch-site", "cross-site")],
        vec![("sec-fetch-site", "same-site"), ("origin", own)],
        vec![("sec-fetch-site", "none")],
    ] {
        for path in ["/login", "/consent", "/device", "/logout"] {
            let answer = browser.submit_with(path, &fields, &foreign).unwrap();
            // Two of one name do not even come so far.
            let expected = if foreign.len() > 1 && foreign[1].0 == foreign[0].0 {
                400
            } else {
                403
            };
            assert_eq!(answer.status, expected, "{path} {foreign:?}");
            assert!(browser.cookie("session").is_none());
        }
    }
    // By link no form can be sent, and other types of bodies are none.
    let link = format!("/login?{}", encode(&fields));
    assert_eq!(browser.open(&link).unwrap().status, 400);
    let json = browser.send(
        "POST",
        "/login",
        &[("content-type", "text/plain"), ("origin", own)],
        &encode(&fields),
    );
    assert_eq!(json.unwrap().status, 400);
    assert!(browser.cookie("session").is_none());
    // A ticket that somebody wrote on.
    for (at, with) in [(0, "A"), (ticket.len() / 2, "_"), (ticket.len() - 1, "!")] {
        let mut forged = ticket.clone();
        forged.replace_range(at..=at, with);
        if forged == ticket {
            continue;
        }
        let mut fields = fields;
        fields[0].1 = &forged;
        let answer = browser.submit("/login", &fields).unwrap();
        assert_eq!(answer.status, 400, "{at}");
        assert!(browser.cookie("session").is_none());
    }
    // The same form from our own page is good.
    let good = browser
        .submit_with(
            "/login",
            &fields,
            &[("origin", own), ("sec-fetch-site", "same-origin")],
        )
        .unwrap();
    assert!([200, 303].contains(&good.status));
    assert!(browser.cookie("session").is_some());
}

/// Defence: `web::pages::policy`.
#[test]
fn f04_pages_are_in_nobody_s_frame_and_run_no_script() {
    let scene = shared();
    let mut browser = scene.browser();
    let login = browser.open(&Asked::of("app").target()).unwrap();
    let consent = scene.log_in(&mut browser, &login, "alice");
    let consent = match consent.header("location") {
        Some(_) => browser.open(&Asked::of("app").target()).unwrap(),
        None => consent,
    };
    let by_form = Asked::of("web").with("response_mode", "form_post");
    let mut posting = browser.open(&by_form.target()).unwrap();
    if posting.text().contains("name=\"decision\"") {
        posting = browser.decide(&posting, "allow").unwrap();
    }
    let pages = [
        ("login", login),
        ("consent", consent),
        ("form_post", posting),
        ("device", browser.open("/device").unwrap()),
        ("logout", browser.open("/logout").unwrap()),
        ("lost", browser.open("/login").unwrap()),
        (
            "error",
            browser.open("/oauth/authorize?client_id=x").unwrap(),
        ),
    ];
    for (what, page) in pages {
        let header = |name: &str| page.header(name).unwrap_or_default().to_owned();
        let policy = header("content-security-policy");
        for part in [
            "default-src 'none'",
            "frame-ancestors 'none'",
            "base-uri 'none'",
        ] {
            assert!(policy.contains(part), "{what}: {policy}");
        }
        assert!(!policy.contains("unsafe"), "{what}: {policy}");
        assert!(policy.contains("form-action "), "{what}: {policy}");
        if what != "form_post" {
            assert!(!policy.contains("script-src"), "{what}: {policy}");
            assert!(!page.text().contains("<script"), "{what}");
        }
        assert_eq!(header("x-frame-options"), "DENY", "{what}");
        assert_eq!(header("x-content-type-options"), "nosniff", "{what}");
        assert!(header("cache-control").contains("no-store"), "{what}");
        assert!(header("content-type").starts_with("text/html"), "{what}");
        assert!(!page.text().contains(" onclick="), "{what}");
        assert_eq!(page.header("access-control-allow-origin"), None, "{what}");
    }
}

/// What clients and people write stands on pages as text.
#[test]
fn f04_nothing_that_was_sent_becomes_markup() {
    let scene = shared();
    let mut browser = scene.browser();
    let mark = "\"><script>alert(1)</script>";
    let asked = Asked::of("app")
        .with("login_hint", mark)
        .with("state", mark);
    let page = browser.open(&asked.target()).unwrap();
    assert!(!page.text().contains("<script"), "{}", page.text());
    let page = browser.log_in(&page, mark, "wrong").unwrap();
    assert!(!page.text().contains("<script"), "{}", page.text());
    for target in [
        format!("/device?{}", encode(&[("user_code", mark)])),
        format!("/oauth/end_session?{}", encode(&[("state", mark)])),
        format!("/oauth/authorize?{}", encode(&[("client_id", mark)])),
        format!("/{}", encode(&[("x", mark)])),
    ] {
        let page = browser.open(&target).unwrap();
        assert!(!page.text().contains("<script"), "{}", page.text());
    }
    let by_form = asked.with("response_mode", "form_post");
    let page = browser.open(&by_form.target()).unwrap();
    let mut page = scene.log_in(&mut browser, &page, "alice");
    if page.text().contains("name=\"decision\"") {
        page = browser.decide(&page, "allow").unwrap();
    }
    assert_eq!(field(&page, "state").as_deref(), Some(mark));
    assert!(!page.text().contains("<script>"), "{}", page.text());
}

/// Defence: nothing is kept between a page and its form but what the page carries.
#[test]
fn f05_twenty_tabs_log_in_at_once_and_each_gets_where_it_wanted() {
    let scene = shared();
    let mut browser = scene.browser();
    browser.open(&Asked::of("web").target()).unwrap();
    let tabs: Vec<(Browser, Asked, Answer)> = (0..20)
        .map(|_| {
            let mut tab = browser.clone();
            let asked = Asked::of("web");
            let page = tab.open(&asked.target()).unwrap();
            (tab, asked, page)
        })
        .collect();
    std::thread::scope(|scope| {
        for (mut tab, asked, page) in tabs {
            scope.spawn(move || {
                let answer = scene.log_in(&mut tab, &page, "alice");
                let answer = match answer.header("location") {
                    Some(_) => answer,
                    None => tab.decide(&answer, "allow").unwrap(),
                };
                let code = asked.answered(&answer)["code"].clone();
                scene.tokens(scene.one.issuer(), &asked, &code);
            });
        }
    });
}

/// Defence: `grant::refresh`: successors are derived.
#[test]
fn f05_fifty_refreshes_at_once_give_one_line() {
    // One of its own: it ends with a theft, which demands a fresh login of others too.
    let scene = &Scene::start("");
    let node = scene.one.issuer();
    let asked = Asked::of("web");
    let code = scene.code(&mut scene.browser(), &asked, "alice");
    let tokens = scene.tokens(node, &asked, &code);
    let refreshed: Vec<Answer> = std::thread::scope(|scope| {
        let calls: Vec<_> = (0..50)
            .map(|_| scope.spawn(|| scene.refresh(node, "web", &tokens.refresh)))
            .collect();
        calls.into_iter().map(|call| call.join().unwrap()).collect()
    });
    let successors: Vec<Tokens> = refreshed.iter().map(Tokens::of).collect();
    assert!(
        successors
            .iter()
            .all(|one| one.refresh == successors[0].refresh)
    );
    assert_ne!(successors[0].refresh, tokens.refresh);
    let access = successors.iter().map(|one| one.access.as_str());
    assert!(
        access
            .into_iter()
            .all(|token| orders(&scene.one, token) == 200)
    );
    // Its successor is used: from now on the first one is a thief's.
    Tokens::of(&scene.refresh(node, "web", &successors[0].refresh));
    let late = scene.refresh(node, "web", &tokens.refresh);
    assert_eq!(error(&late), (400, "invalid_grant".to_owned()));
    assert_eq!(orders(&scene.one, &successors[0].access), 401);
}

/// Defence: `pushed` and the table: a reference is its client's, and only what was pushed counts.
#[test]
fn f06_a_pushed_request_is_its_client_s_and_is_used_once() {
    let scene = shared();
    let node = scene.one.issuer();
    let asked = Asked::of("web");
    let push = |fields: &[(&str, &str)]| scene.post(node, "/oauth/par", "web", fields);
    let mut form = asked.fields();
    form.retain(|(name, _)| *name != "client_id");
    let pushed = push(&form);
    assert_eq!(pushed.status, 201, "{}", pushed.text());
    let reference = pushed.json()["request_uri"].as_str().unwrap().to_owned();
    let by = |client: &str, more: &[(&str, &str)]| {
        let mut fields = vec![("client_id", client), ("request_uri", &reference)];
        fields.extend(more);
        format!("/oauth/authorize?{}", encode(&fields))
    };
    let mut browser = scene.browser_of("alice");
    for (what, target) in [
        ("another client's", by("other", &[])),
        (
            "nobody's",
            format!(
                "/oauth/authorize?{}",
                encode(&[("request_uri", &reference)])
            ),
        ),
        (
            "made up",
            by("web", &[]).replace(&reference[reference.len() - 20..], &"A".repeat(20)),
        ),
    ] {
        let page = browser.open(&target).unwrap();
        assert_eq!((page.status, sent_to(&page)), (400, None), "{what}");
    }
    // What comes beside the reference does not count.
    let page = browser
        .open(&by(
            "web",
            &[("redirect_uri", "https://evil.example/"), ("scope", SCOPE)],
        ))
        .unwrap();
    assert!(!page.header("location").unwrap_or_default().contains("evil"));
    let answer = match page.text().contains("name=\"decision\"") {
        true => browser.decide(&page, "allow").unwrap(),
        false if sent_to(&page).is_some() => page,
        false => {
            let page = browser.open(&by("web", &[])).unwrap();
            match page.text().contains("name=\"decision\"") {
                true => browser.decide(&page, "allow").unwrap(),
                false => page,
            }
        }
    };
    let code = asked.answered(&answer)["code"].clone();
    scene.tokens(node, &asked, &code);
    for mut again in [browser, scene.browser_of("mallory")] {
        let page = again.open(&by("web", &[])).unwrap();
        assert_eq!(
            (page.status, sent_to(&page)),
            (400, None),
            "{}",
            page.text()
        );
    }
    assert_eq!(push(&[("request_uri", &reference)]).status, 400);
}

/// Defence: `registry::account::normal_username`: one form, and nothing is cut or folded into it.
#[test]
fn f07_a_user_name_has_one_form() {
    let scene = Scene::start("");
    let password = &scene.passwords["alice"];
    let gets_in = |typed: &str| {
        let mut browser = scene.browser();
        let page = browser.open(&Asked::of("web").target()).unwrap();
        browser.log_in(&page, typed, password).unwrap();
        browser.cookie("session").is_some()
    };
    for typed in ["alice", "ALICE", "Alice"] {
        assert!(gets_in(typed), "{typed}");
    }
    for typed in [
        "alice ",
        " alice",
        "alice\0",
        "alice\n",
        "alice@",
        "alice@example.com",
        "alice@evil.example",
        "alice@example.com@evil.example",
        "ａlice",
        "alıce",
        "al\u{0456}ce",
        "alice\u{200b}",
        "a\u{301}lice",
        "alice%00",
        "alice,",
        "*",
        "",
        "alice:alice",
        "ali",
        "alicea",
    ] {
        assert!(!gets_in(typed), "{typed:?}");
    }
}

/// Defence: `outbound::passwords`: one price for every refusal; the page says one thing.
#[test]
fn f08_a_refused_login_does_not_tell_whether_there_is_such_a_person() {
    let scene = Scene::start("");
    let mut told = Vec::new();
    let mut took = [Vec::new(), Vec::new()];
    for round in 0..6 {
        for (number, who) in ["alice", "nobody"].into_iter().enumerate() {
            let mut browser = scene.browser();
            let page = browser.open(&Asked::of("web").target()).unwrap();
            let began = Instant::now();
            let answer = browser
                .log_in(&page, who, &format!("wrong password {round}"))
                .unwrap();
            took[number].push(began.elapsed());
            assert!(browser.cookie("session").is_none());
            let ticket = field(&answer, "ticket").unwrap();
            let text = answer.text();
            let text = text.replace(&ticket, "T").replace(who, "W");
            let mut names: Vec<&str> = answer.headers.iter().map(|(n, _)| n.as_str()).collect();
            names.sort_unstable();
            told.push((answer.status, without_ids(&text), names.join(" ")));
        }
    }
    assert!(told[0].1.contains("is not right"));
    for one in &told {
        assert_eq!(one, &told[0]);
    }
    // Both hash: neither is an order of magnitude quicker. (Exact prices are held by unit tests;
    // this machine may be busy.)
    let least = took.map(|times| times.into_iter().min().unwrap());
    let (quick, slow) = (least[0].min(least[1]), least[0].max(least[1]));
    assert!(slow < quick * 4, "{least:?}");
}

/// A page without what is another with each request.
fn without_ids(text: &str) -> String {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'))
        .filter(|word| !(word.len() >= 26 && word.chars().any(|c| c.is_ascii_digit())))
        .collect::<Vec<_>>()
        .join(" ")
}

/// Defence: budgets by name and address, which fill up again.
#[test]
fn f08_guessing_is_slowed_down_and_locks_the_owner_out_for_a_moment_only() {
    let scene = Scene::start("");
    let mut browser = scene.browser();
    let page = browser.open(&Asked::of("web").target()).unwrap();
    let mut guesses = 0;
    loop {
        let wrong = format!("wrong password {guesses}");
        let answer = browser.log_in(&page, "alice", &wrong).unwrap();
        if answer.text().contains("Too many attempts") {
            break;
        }
        guesses += 1;
        assert!(guesses < 30, "nobody slows the guesser down");
    }
    assert!(guesses >= 5, "a person may mistype");
    // Somebody else at this address is not held up.
    let mut carol = scene.browser();
    scene.code(&mut carol, &Asked::of("web"), "carol");
    let began = Instant::now();
    loop {
        scene.log_in(&mut browser, &page, "alice");
        if browser.cookie("session").is_some() {
            break;
        }
        assert!(
            began.elapsed() < Duration::from_secs(90),
            "the owner is locked out"
        );
        std::thread::sleep(Duration::from_millis(500));
    }
}

/// RFC 9207 §2: `iss` stands in every answer, so that a client that talks to two servers knows whose
/// it is. Defence: `ReturnAddress::answer` and `refuse`.
#[test]
fn f06_every_answer_names_its_issuer() {
    let scene = shared();
    let mut nobody = scene.browser();
    let mut alice = scene.browser_of("alice");
    for mode in ["query", "form_post"] {
        let asked = || Asked::of("app").with("response_mode", mode);
        let told = |answer: &Answer, asked: &Asked| match mode {
            "query" => asked.answered(answer),
            _ => ["iss", "state", "code", "error"]
                .into_iter()
                .filter_map(|name| Some((name.to_owned(), field(answer, name)?)))
                .collect(),
        };
        for (what, expected, asked) in [
            ("code", "", asked()),
            ("no", "access_denied", asked()),
            (
                "nobody there",
                "login_required",
                asked().with("prompt", "none"),
            ),
            (
                "response_type",
                "unsupported_response_type",
                asked().with("response_type", "token"),
            ),
            ("scope", "invalid_scope", asked().with("scope", "nonsense")),
            (
                "PKCE",
                "invalid_request",
                asked().with("code_challenge", "short"),
            ),
        ] {
            let browser = match what {
                "nobody there" => &mut nobody,
                _ => &mut alice,
            };
            let page = browser.open(&asked.target()).unwrap();
            let answer = match what {
                "code" => browser.decide(&page, "allow").unwrap(),
                "no" => browser.decide(&page, "deny").unwrap(),
                _ => page,
            };
            let told = told(&answer, &asked);
            assert_eq!(told.get("iss"), Some(&scene.origin), "{mode} {what}");
            assert_eq!(
                told.get("state"),
                asked.params.get("state"),
                "{mode} {what}"
            );
            let error = told.get("error").map_or("", String::as_str);
            assert_eq!(error, expected, "{mode} {what}");
            assert_eq!(told.contains_key("code"), expected.is_empty(), "{mode}");
        }
    }
}
