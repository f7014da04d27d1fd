use axum::body::to_bytes;
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, X_FRAME_OPTIONS};

use super::*;

const ISSUER: &str = "https://id.example.com";

fn pages() -> Pages {
    Pages::load(ISSUER, None).expect("built-in pages")
}

async fn html(answer: Response) -> String {
    let bytes = to_bytes(answer.into_body(), usize::MAX)
        .await
        .expect("a body");
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

async fn every_page() -> Vec<(&'static str, String)> {
    let pages = pages();
    let mut all = Vec::new();
    for page in samples() {
        all.push((page.name(), html(pages.show(&page, "req_1")).await));
    }
    all
}

#[tokio::test]
async fn every_page_is_plain_html_with_one_heading_and_nothing_inline() {
    for (name, html) in every_page().await {
        assert!(html.starts_with("<!doctype html>"), "{name}");
        assert!(html.contains("<html lang=\"en\">"), "{name}");
        assert_eq!(html.matches("<h1").count(), 1, "{name}");
        for inline in ["<style", " style=", " onclick=", " onload=", "javascript:"] {
            assert!(!html.contains(inline), "{name} has {inline}");
        }
        let scripts = html.matches("<script").count();
        assert_eq!(scripts, usize::from(name == "form-post"), "{name}");
    }
}

#[tokio::test]
async fn every_field_that_a_person_fills_in_has_a_label() {
    for (name, html) in every_page().await {
        for input in html.split("<input").skip(1) {
            let input = input.split('>').next().unwrap_or_default();
            if input.contains("type=\"hidden\"") {
                continue;
            }
            let id = input
                .split_once("id=\"")
                .and_then(|(_, rest)| rest.split('"').next())
                .unwrap_or_else(|| panic!("{name}: a field without an id"));
            assert!(html.contains(&format!("for=\"{id}\"")), "{name}: {id}");
        }
    }
}

#[tokio::test]
async fn f04_no_page_can_be_framed_kept_or_scripted() {
    let pages = pages();
    for page in samples() {
        let answer = pages.show(&page, "req_1");
        let headers = answer.headers();
        let text = |name| headers[name].to_str().expect("text").to_owned();
        let policy = text(CONTENT_SECURITY_POLICY);
        assert!(policy.starts_with("default-src 'none'; "), "{policy}");
        assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(text(X_FRAME_OPTIONS), "DENY");
        assert_eq!(text(CACHE_CONTROL), "no-store");
        assert_eq!(text(CONTENT_TYPE), "text/html; charset=utf-8");
    }
}

#[tokio::test]
async fn what_a_client_calls_itself_is_text_and_never_markup() {
    let page = Page::Login(Login {
        client: Some(Client::named("<script>alert(1)</script>")),
        ticket: "\"><b>".to_owned(),
        username: "\" autofocus onfocus=\"x".to_owned(),
        account: None,
        reason: None,
        problem: None,
        leads_to: None,
    });
    let html = html(pages().show(&page, "req_1")).await;
    assert!(!html.contains("<script"));
    assert!(!html.contains("\"><b>"));
    assert!(!html.contains("onfocus=\"x"));
}

#[tokio::test]
async fn files_are_named_after_their_content_and_others_are_not_there() {
    let pages = pages();
    let login = html(pages.show(&samples()[0], "req_1")).await;
    let style = login
        .replace("&#x2f;", "/")
        .split("/assets/")
        .skip(1)
        .filter_map(|rest| rest.split('"').next())
        .find(|file| file.ends_with(".css"))
        .expect("a style")
        .to_owned();
    let answer = pages.asset(&style).expect("the style");
    assert!(
        answer.headers()[CACHE_CONTROL]
            .to_str()
            .expect("text")
            .contains("immutable")
    );
    assert!(pages.asset("doorward.css").is_none());
    assert!(pages.asset("../Cargo.toml").is_none());
}

#[test]
fn a_theme_with_a_mistake_is_refused_when_it_is_loaded() {
    let folder = tempfile::tempdir().expect("a folder");
    let templates = folder.path().join("templates");
    std::fs::create_dir(&templates).expect("a folder");
    std::fs::write(templates.join("login.html"), "{{ page.no_such_thing }}").expect("a file");
    let refused = Pages::load(ISSUER, Some(folder.path()));
    assert!(matches!(refused, Err(ThemeError::Template(_))));
}
