//! The process, the signing key or the node changes in the middle of a flow: between any two of its
//! steps, and nobody notices.

use core::net::SocketAddr;

use proof::jose::alg::Algorithm;
use testkit::bound::ProofKey;
use testkit::browser::{Browser, encode, field};
use testkit::wire::Answer;

use super::scene::{Asked, ORDERS, SCOPE, Scene, Tokens, command, orders};

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

#[test]
fn what_was_used_on_one_node_is_used_up_on_the_other() {
    let Some(scene) = Scene::two_nodes() else {
        return;
    };
    let [one, two] = scene.nodes();
    let asked = Asked::of("app");
    let mut browser = scene.browser();
    let code = scene.code(&mut browser, &asked, "alice");
    let first = scene.tokens(one, &asked, &code);
    let second = Tokens::of(&scene.refresh(two, "app", &first.refresh));
    opens(&OtherNode(scene, 0), &second.access);
}
