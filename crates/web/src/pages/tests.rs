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
