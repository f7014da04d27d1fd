//! Writes every page with invented data into a folder, to look at a theme:
//! `cargo run -p doorward-web --example pages -- OUT [THEME]`, then serve `OUT` at `/`.

use std::path::{Path, PathBuf};

use axum::body::to_bytes;
use web::pages::{Pages, samples};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let out = arguments.next().ok_or("usage: pages OUT [THEME]")?;
    let pages = Pages::load("https://id.example.com", arguments.next().as_deref())?;
    std::fs::create_dir_all(out.join("assets"))?;
    for (number, page) in samples().iter().enumerate() {
        let answer = pages.show(page, "019a9b1c-5d2e-7c31-b7f0-3f1c8a52d9e4");
        let html = to_bytes(answer.into_body(), usize::MAX).await?;
        for asset in assets(&String::from_utf8_lossy(&html)) {
            let file = pages
                .asset(&asset)
                .ok_or("a page names a file that is not there")?;
            write(
                &out.join("assets").join(&asset),
                &to_bytes(file.into_body(), usize::MAX).await?,
            )?;
        }
        write(
            &out.join(format!("{number:02}-{}.html", page.name())),
            &html,
        )?;
    }
    Ok(())
}

fn assets(html: &str) -> Vec<String> {
    html.replace("&#x2f;", "/")
        .split("\"/assets/")
        .skip(1)
        .filter_map(|rest| rest.split('"').next())
        .map(str::to_owned)
        .collect()
}

fn write(path: &Path, content: &[u8]) -> std::io::Result<()> {
    std::fs::write(path, content)
}
