//! `doorward explain` with the real binary: what it says is what calls then get, and nothing comes
//! of it. Requests of the kinds that sign, and tokens in every form, stand in `kinds`.

mod kinds;

use std::io::Write as _;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};
use testkit::doorward::{self, Doorward};

use super::backend::Backend;
use super::scene::{self, command_json, issued, key, words};

fn node() -> (Backend, Doorward) {
    let upstream = Backend::start("one");
    let doorward = Doorward::start(&scene::settings(&upstream.url())).unwrap();
    (upstream, doorward)
}

fn explain_as(doorward: &Doorward, key: &str, arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(doorward::binary().unwrap())
        .arg("explain")
        .args(arguments)
        .current_dir(doorward.place().path())
        .env("DOORWARD_ADMIN_URL", format!("http://{}", doorward.admin()))
        .env("DOORWARD_ADMIN_KEY", key)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that refuses its flags does not read.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

fn explain(doorward: &Doorward, input: &str) -> Value {
    let arguments = ["--request", "-", "--output", "json"];
    let ran = explain_as(doorward, doorward.owner_key(), &arguments, input);
    assert!(ran.status.success(), "{}", words(&ran));
    serde_json::from_slice(&ran.stdout).unwrap()
}

fn request(doorward: &Doorward, field: &str) -> String {
    let host = doorward.gateway();
    format!("GET /orders HTTP/1.1\nHost: {host}\n{field}\n\n")
}

fn mark<'a>(explained: &'a Value, check: &str) -> &'a str {
    let steps = explained["steps"].as_array().unwrap();
    let step = steps.iter().find(|step| step["check"] == check);
    step.map_or("", |step| step["mark"].as_str().unwrap())
}

#[test]
fn i01_what_is_explained_is_what_calls_get_and_no_secret_is_told_or_kept() {
    let (_upstream, doorward) = node();
    let (id, secret) = key(&doorward, "tour");
    let password = {
        let path = "/v1/accounts/alice/passwords";
        issued(&doorward.make("POST", path, &json!({})).unwrap()).1
    };
    let token = scene::token(&doorward, &scene::client_secret(&doorward));
    let basic = |password: &str| {
        let pair = proof::base64std::encode(format!("alice:{password}").as_bytes());
        format!("Basic {pair}")
    };
    let other = if secret.ends_with('1') { '2' } else { '1' };
    let wrong = format!("{}{other}", &secret[..secret.len() - 1]);
    // Another letter within the signature.
    let (start, end) = token.split_at(token.len() - 10);
    let other = if end.starts_with('A') { "B" } else { "A" };
    let forged = format!("{start}{other}{}", &end[1..]);
    let tls = ["--scheme", "https", "--request", "-", "--output", "json"];
    for (field, value, status, failed) in [
        ("authorization", format!("Bearer {secret}"), 200, ""),
        ("x-api-key", secret.clone(), 200, ""),
        ("authorization", format!("Bearer {token}"), 200, ""),
        (
            "authorization",
            format!("Bearer {forged}"),
            401,
            "signature",
        ),
        ("authorization", format!("Bearer {wrong}"), 401, "presented"),
        ("authorization", basic(&password), 403, "transport"),
        ("x-nothing", "here".to_owned(), 401, "presented"),
    ] {
        let explained = explain(&doorward, &request(&doorward, &format!("{field}: {value}")));
        let said = explained["answer"]["status"].as_u64().unwrap_or(200);
        assert_eq!(said, status, "{field} {explained:#}");
        if !failed.is_empty() {
            assert_eq!(mark(&explained, failed), "failed", "{explained:#}");
        }
        let answer = doorward.get("/orders", &[(field, &value)]).unwrap();
        assert_eq!(u64::from(answer.status), status, "{field}");
        if status > 200 {
            assert_eq!(explained["answer"]["code"], answer.json()["code"]);
        }
        assert!(!explained.to_string().contains(&value), "{explained}");
    }
    for (password, status) in [(&*password, Value::Null), ("hunter2", json!(401))] {
        let text = request(&doorward, &format!("authorization: {}", basic(password)));
        let ran = explain_as(&doorward, doorward.owner_key(), &tls, &text);
        let explained: Value = serde_json::from_slice(&ran.stdout).unwrap();
        assert_eq!(explained["answer"]["status"], status, "{explained:#}");
    }
    // Only the key's real calls are counted: one as Bearer, one in its own field.
    let usage = || command_json(&doorward, &["key", "usage", &id])["calls"].clone();
    scene::wait_until("usage", std::time::Duration::from_secs(10), || {
        usage() == json!(2)
    });
    // Entries are written in batches: all of the real calls come, and no other.
    let real = || {
        let calls = command_json(&doorward, &["decisions", "list", "--limit", "1000"]);
        let calls = calls["items"].as_array().cloned().unwrap_or_default();
        calls.iter().filter(|call| call["api"] == "orders").count()
    };
    scene::wait_until("the record", std::time::Duration::from_secs(10), || {
        real() >= 7
    });
    assert_eq!(real(), 7, "only what was really called");
    let trail = command_json(&doorward, &["audit", "list"]).to_string();
    assert!(trail.contains("call.explain"));
    for secret in [&secret, &password, &token] {
        assert!(!trail.contains(&**secret));
        assert!(!doorward.log().contains(&**secret) && !doorward.stdout().contains(&**secret));
    }
}

#[test]
fn an_entry_of_the_log_is_explained_by_its_id_or_by_the_answer_itself() {
    let (_upstream, doorward) = node();
    let answer = doorward.get("/orders", &[]).unwrap();
    let id = answer.json()["request_id"].as_str().unwrap().to_owned();
    let owner = doorward.owner_key();
    let said = || {
        let ran = explain_as(&doorward, owner, &["--decision", &id], "");
        String::from_utf8(ran.stdout).unwrap()
    };
    scene::wait_until("the record", std::time::Duration::from_secs(10), || {
        said().contains("The caller got 401 credential-missing")
    });
    assert!(said().contains("✗ credential"), "{}", said());
    let pasted = format!("HTTP/1.1 401 Unauthorized\r\ndoorward-request-id: {id}\r\n\r\n{{}}");
    let ran = explain_as(&doorward, owner, &["--request", "-"], &pasted);
    assert!(
        words(&ran).contains("credential-missing"),
        "{}",
        words(&ran)
    );
    let ran = explain_as(&doorward, owner, &["--decision", "0193-nobody"], "");
    assert_eq!(ran.status.code(), Some(1));
}

#[test]
fn e01_hostile_requests_are_refused_with_their_line_or_explained_as_refused() {
    let (_upstream, doorward) = node();
    let owner = doorward.owner_key();
    for (text, says) in [
        ("", "line 1: not a request line"),
        ("GET / HTTP/1.1\nHost: a\nhunter2\n", "line 3: not a field"),
        ("\u{0}\u{1}\u{2}", "line 1: not a request line"),
    ] {
        let ran = explain_as(&doorward, owner, &["--request", "-"], text);
        assert_eq!(ran.status.code(), Some(1), "{}", words(&ran));
        assert!(words(&ran).contains(says), "{}", words(&ran));
        assert!(!words(&ran).contains("hunter2"));
    }
    let huge = format!("GET / HTTP/1.1\nx: {}\n", "a".repeat(600 * 1024));
    let ran = explain_as(&doorward, owner, &["--request", "-"], &huge);
    assert_eq!(ran.status.code(), Some(2), "{}", words(&ran));
    let two = request(&doorward, "Content-Length: 1\nContent-Length: 2");
    let explained = explain(&doorward, &two);
    assert_eq!(
        (&explained["decision"], &explained["answer"]["status"]),
        (&json!("deny"), &json!(400))
    );
    let climbing = request(&doorward, "x: y").replace("/orders", "/orders/%2e%2e/open");
    assert_eq!(
        explain(&doorward, &climbing)["answer"]["code"],
        "unclean-target"
    );
}

#[test]
fn j04_an_auditor_may_not_have_calls_explained_and_nobody_may_ask_without_end() {
    let (_upstream, doorward) = node();
    let auditor = json!({"label": "eve", "role": "auditor"});
    let auditor = doorward.make("POST", "/v1/admin-keys", &auditor).unwrap();
    let (_, auditor) = issued(&auditor);
    let text = request(&doorward, "x: y");
    let ran = explain_as(&doorward, &auditor, &["--request", "-"], &text);
    assert_eq!(ran.status.code(), Some(1), "{}", words(&ran));
    let body = json!({"request": text});
    let statuses: Vec<_> = (0..70)
        .map(|_| {
            let answer = doorward.admin_call("POST", "/v1/explain", Some(&body));
            answer.unwrap().0
        })
        .collect();
    assert!(
        statuses[..60].iter().all(|status| *status == 200),
        "{statuses:?}"
    );
    assert_eq!(statuses[69], 429, "{statuses:?}");
}
