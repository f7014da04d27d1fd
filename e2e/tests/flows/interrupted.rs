//! The process, the signing key or the node changes in the middle of a flow: between any two of its
//! steps, and nobody notices.

use core::net::SocketAddr;

use proof::jose::alg::Algorithm;
use testkit::bound::ProofKey;
use testkit::browser::{Browser, encode, field};
use testkit::wire::Answer;

use super::scene::{Asked, ORDERS, SCOPE, Scene, Tokens, command, error, orders};

/// What happens between two steps of a flow; afterwards this is where the issuer is.
trait Between {
    fn next(&mut self) -> SocketAddr;
    fn scene(&self) -> &Scene;
}

/// The process ends and starts again.
struct Restart(Scene);
impl Between for Restart {
    fn next(&mut self) -> SocketAddr {
        assert!(self.0.one.stop().unwrap(), "{}", self.0.one.log());
        self.0.one.start_again().unwrap();
        self.0.one.issuer()
    }
    fn scene(&self) -> &Scene {
        &self.0
    }
}

/// It is killed on the spot.
struct Crash(Scene);
impl Between for Crash {
    fn next(&mut self) -> SocketAddr {
        self.0.one.kill();
        self.0.one.start_again().unwrap();
        self.0.one.issuer()
    }
    fn scene(&self) -> &Scene {
        &self.0
    }
}

/// The key that signs access tokens is changed at once.
struct Rotation(Scene);
impl Between for Rotation {
    fn next(&mut self) -> SocketAddr {
        let rotate = ["signing-key", "rotate", "access", "--immediately"];
        command(&self.0.one, &rotate);
        self.0.one.issuer()
    }
    fn scene(&self) -> &Scene {
        &self.0
    }
}

/// The other node answers.
struct OtherNode(Scene, usize);
impl Between for OtherNode {
    fn next(&mut self) -> SocketAddr {
        self.1 += 1;
        self.0.nodes()[self.1 % 2]
    }
    fn scene(&self) -> &Scene {
        &self.0
    }
}

/// Something happens, and the browser goes on.
fn moved(between: &mut impl Between, browser: &mut Browser) -> SocketAddr {
    let node = between.next();
    browser.move_to(node);
    node
}

/// Login and consent with something between each two steps.
fn through(between: &mut impl Between, browser: &mut Browser, target: &str) -> Answer {
    let mut page = browser.open(target).unwrap();
    moved(between, browser);
    if page.text().contains("name=\"password\"") {
        page = between.scene().log_in(browser, &page, "alice");
        moved(between, browser);
    }
    if page.text().contains("name=\"decision\"") {
        page = browser.decide(&page, "allow").unwrap();
        moved(between, browser);
    }
    page
}

/// Both gateways take a token.
fn opens(between: &impl Between, token: &str) {
    let scene = between.scene();
    assert_eq!(orders(&scene.one, token), 200);
    assert_eq!(orders(scene.last(), token), 200);
}

fn code_flow(between: &mut impl Between) {
    for client in ["web", "app"] {
        let asked = Asked::of(client);
        let mut browser = between.scene().browser();
        let answer = through(between, &mut browser, &asked.target());
        let told = asked.answered(&answer);
        let code = told.get("code").unwrap_or_else(|| panic!("{told:?}"));
        let node = moved(between, &mut browser);
        let tokens = between.scene().tokens(node, &asked, code);
        opens(between, &tokens.access);
        let node = between.next();
        let next = Tokens::of(&between.scene().refresh(node, client, &tokens.refresh));
        opens(between, &tokens.access);
        opens(between, &next.access);
        let node = between.next();
        let told = between.scene().userinfo(node, &next.access);
        assert_eq!(told.status, 200, "{}", told.text());

        // Still logged in, wherever the next request goes.
        browser.move_to(between.next());
        let asked = Asked::of("web").with("prompt", "none");
        let told = asked.answered(&browser.open(&asked.target()).unwrap());
        assert_ne!(
            told.get("error").map(String::as_str),
            Some("login_required")
        );
    }
}

fn device_flow(between: &mut impl Between) {
    let node = between.next();
    let wanted = [("scope", SCOPE), ("resource", ORDERS)];
    let begun = between.scene().post(node, "/oauth/device", "tv", &wanted);
    let begun = begun.json();
    let user = begun["user_code"].as_str().unwrap();
    let mut browser = between.scene().browser();
    browser.move_to(between.next());
    let page = browser.open("/device").unwrap();
    moved(between, &mut browser);
    let page = between.scene().log_in(&mut browser, &page, "alice");
    moved(between, &mut browser);
    let ticket = field(&page, "ticket").unwrap();
    let fields = [("ticket", ticket.as_str()), ("user_code", user)];
    let page = browser.submit("/device", &fields).unwrap();
    moved(between, &mut browser);
    browser.decide(&page, "allow").unwrap();
    let node = between.next();
    let kind = "urn:ietf:params:oauth:grant-type:device_code";
    let device = begun["device_code"].as_str().unwrap();
    let fields = [("grant_type", kind), ("device_code", device)];
    let tokens = Tokens::of(&between.scene().token(node, "tv", &fields));
    opens(between, &tokens.access);
    let node = between.next();
    let next = Tokens::of(&between.scene().refresh(node, "tv", &tokens.refresh));
    opens(between, &next.access);
}

fn pushed_flow(between: &mut impl Between) {
    let key = ProofKey::new(Algorithm::ES256);
    let asked = Asked::of("bank");
    let node = between.next();
    let scene = between.scene();
    let pushed = scene.post_proved(node, "/oauth/par", "bank", &asked.fields(), &key);
    assert_eq!(pushed.status, 201, "{}", pushed.text());
    let pushed = pushed.json();
    let reference = pushed["request_uri"].as_str().unwrap();
    let target = encode(&[("client_id", "bank"), ("request_uri", reference)]);
    let mut browser = scene.browser();
    moved(between, &mut browser);
    let target = format!("/oauth/authorize?{target}");
    let answer = through(between, &mut browser, &target);
    let code = asked.answered(&answer)["code"].clone();
    let node = between.next();
    let form = asked.redemption(&code);
    let redeemed = between
        .scene()
        .post_proved(node, "/oauth/token", "bank", &form, &key);
    let tokens = Tokens::of(&redeemed);
    let node = between.next();
    let form = [
        ("grant_type", "refresh_token"),
        ("refresh_token", tokens.refresh.as_str()),
    ];
    let next = between
        .scene()
        .post_proved(node, "/oauth/token", "bank", &form, &key);
    Tokens::of(&next);
}

fn exchange_flow(between: &mut impl Between) {
    let asked = Asked::of("web");
    let mut browser = between.scene().browser();
    moved(between, &mut browser);
    let code = between.scene().code(&mut browser, &asked, "alice");
    let node = between.next();
    let tokens = between.scene().tokens(node, &asked, &code);
    let node = between.next();
    let exchange = [
        (
            "grant_type",
            "urn:ietf:params:oauth:grant-type:token-exchange",
        ),
        ("subject_token", tokens.access.as_str()),
        (
            "subject_token_type",
            "urn:ietf:params:oauth:token-type:access_token",
        ),
        ("resource", ORDERS),
    ];
    let own = Tokens::of(&between.scene().token(node, "stockd", &exchange));
    opens(between, &own.access);
}

fn logout(between: &mut impl Between) {
    let asked = Asked::of("web");
    let mut browser = between.scene().browser();
    moved(between, &mut browser);
    between.scene().code(&mut browser, &asked, "alice");
    moved(between, &mut browser);
    let page = browser.open("/logout").unwrap();
    moved(between, &mut browser);
    browser.decide(&page, "allow").unwrap();
    moved(between, &mut browser);
    let asked = Asked::of("web").with("prompt", "none");
    let told = asked.answered(&browser.open(&asked.target()).unwrap());
    assert_eq!(
        told.get("error").map(String::as_str),
        Some("login_required")
    );
}

fn every_flow(between: &mut impl Between) {
    code_flow(between);
    device_flow(between);
    pushed_flow(between);
    exchange_flow(between);
    logout(between);
}

#[test]
fn a_restart_between_any_two_steps_breaks_no_flow() {
    every_flow(&mut Restart(Scene::start("")));
}

#[test]
fn a_crash_between_any_two_steps_breaks_no_flow() {
    every_flow(&mut Crash(Scene::start("")));
}

#[test]
fn a_new_signing_key_between_any_two_steps_breaks_no_flow() {
    every_flow(&mut Rotation(Scene::start("")));
}

#[test]
fn another_node_at_each_step_breaks_no_flow() {
    if let Some(scene) = Scene::two_nodes() {
        every_flow(&mut OtherNode(scene, 0));
    }
}

/// Another node's gateway hears of the end of a grant within moments.
fn dies(scene: &Scene, token: &str) {
    for node in [&scene.one, scene.last()] {
        let dead = (0..100).any(|round| {
            if round > 0 {
                std::thread::sleep(core::time::Duration::from_millis(50));
            }
            orders(node, token) == 401
        });
        assert!(dead, "the token of an ended grant goes on being good");
    }
}

fn refused(answer: &Answer) {
    let expected = (400, "invalid_grant".to_owned());
    assert_eq!(error(answer), expected, "{}", answer.text());
}

/// Defence: the store's statements, which change what they read.
#[test]
fn what_was_used_on_one_node_is_used_up_on_the_other() {
    let Some(scene) = Scene::two_nodes() else {
        return;
    };
    let [one, two] = scene.nodes();
    for (here, there) in [(one, two), (two, one)] {
        a_code_is_redeemed_once(&scene, here, there);
        a_refresh_token_is_replaced_once(&scene, here, there);
        a_lost_answer_is_the_same_elsewhere(&scene, here, there);
        a_pushed_request_is_spent(&scene, here, there);
        a_device_is_decided_and_served_once(&scene, here, there);
    }
    // All at once, half of them at each node.
    let asked = Asked::of("web");
    let code = scene.code(&mut scene.browser(), &asked, "alice");
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let calls: Vec<_> = (0..20)
            .map(|number| {
                let (scene, asked, code) = (&scene, &asked, &code);
                scope.spawn(move || scene.redeem([one, two][number % 2], asked, code).status)
            })
            .collect();
        calls.into_iter().map(|call| call.join().unwrap()).collect()
    });
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1);
}

fn a_code_is_redeemed_once(scene: &Scene, here: SocketAddr, there: SocketAddr) {
    let asked = Asked::of("web");
    let code = scene.code(&mut scene.browser(), &asked, "alice");
    let tokens = scene.tokens(here, &asked, &code);
    refused(&scene.redeem(there, &asked, &code));
    // It came twice, so what came of it ended: everywhere.
    dies(scene, &tokens.access);
    refused(&scene.refresh(here, "web", &tokens.refresh));
    refused(&scene.refresh(there, "web", &tokens.refresh));
}

fn a_refresh_token_is_replaced_once(scene: &Scene, here: SocketAddr, there: SocketAddr) {
    let asked = Asked::of("app");
    let code = scene.code(&mut scene.browser(), &asked, "alice");
    let first = scene.tokens(here, &asked, &code);
    let next = Tokens::of(&scene.refresh(here, "app", &first.refresh));
    refused(&scene.refresh(there, "app", &first.refresh));
    dies(scene, &next.access);
    refused(&scene.refresh(here, "app", &next.refresh));
    refused(&scene.refresh(there, "app", &next.refresh));
}

/// A client that proves itself gets the successor again, at whichever node it asks.
fn a_lost_answer_is_the_same_elsewhere(scene: &Scene, here: SocketAddr, there: SocketAddr) {
    let asked = Asked::of("web");
    let code = scene.code(&mut scene.browser(), &asked, "alice");
    let first = scene.tokens(here, &asked, &code);
    let next = Tokens::of(&scene.refresh(here, "web", &first.refresh));
    let again = Tokens::of(&scene.refresh(there, "web", &first.refresh));
    assert_eq!(next.refresh, again.refresh);
    let after = Tokens::of(&scene.refresh(there, "web", &again.refresh));
    refused(&scene.refresh(here, "web", &first.refresh));
    dies(scene, &after.access);
}

fn a_pushed_request_is_spent(scene: &Scene, here: SocketAddr, there: SocketAddr) {
    let asked = Asked::of("web");
    let mut form = asked.fields();
    form.retain(|(name, _)| *name != "client_id");
    let pushed = scene.post(here, "/oauth/par", "web", &form);
    let reference = pushed.json()["request_uri"].as_str().unwrap().to_owned();
    let query = encode(&[("client_id", "web"), ("request_uri", &reference)]);
    let target = format!("/oauth/authorize?{query}");
    let mut browser = scene.browser();
    browser.move_to(there);
    let page = browser.open(&target).unwrap();
    let page = scene.log_in(&mut browser, &page, "alice");
    let answer = match page.text().contains("name=\"decision\"") {
        true => browser.decide(&page, "allow").unwrap(),
        false => page,
    };
    let code = asked.answered(&answer)["code"].clone();
    for node in [here, there] {
        browser.move_to(node);
        let page = browser.open(&target).unwrap();
        assert_eq!((page.status, page.header("location")), (400, None));
    }
    scene.tokens(here, &asked, &code);
}

fn a_device_is_decided_and_served_once(scene: &Scene, here: SocketAddr, there: SocketAddr) {
    let wanted = [("scope", SCOPE), ("resource", ORDERS)];
    let begun = scene.post(here, "/oauth/device", "tv", &wanted).json();
    let query = encode(&[("user_code", begun["user_code"].as_str().unwrap())]);
    let mut browser = scene.browser();
    scene.code(&mut browser, &Asked::of("web"), "alice");
    browser.move_to(there);
    let page = browser.open(&format!("/device?{query}")).unwrap();
    browser.decide(&page, "allow").unwrap();
    browser.move_to(here);
    let late = browser.decide(&page, "deny").unwrap();
    assert!(late.text().contains("isn’t known"), "{}", late.text());

    let kind = "urn:ietf:params:oauth:grant-type:device_code";
    let device = begun["device_code"].as_str().unwrap();
    let fields = [("grant_type", kind), ("device_code", device)];
    let tokens = Tokens::of(&scene.token(here, "tv", &fields));
    refused(&scene.token(there, "tv", &fields));
    assert_eq!(orders(&scene.one, &tokens.access), 200);
    assert_eq!(orders(scene.last(), &tokens.access), 200);
}
