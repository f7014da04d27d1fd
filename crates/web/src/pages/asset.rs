//! **The files that pages refer to.** Each is named after its content, so it may be kept for a year
//! and still changes at once.

use std::path::Path;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::HeaderValue;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use serde::Serialize;

use super::policy;
use super::theme::{self, ThemeError};

/// A file that pages refer to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AssetName {
    /// The style of every page.
    Style,
    /// The picture over every page.
    Mark,
    /// Sends a form post answer on without a click.
    Continue,
    /// A theme's own style, after ours.
    Theme,
}

impl AssetName {
    /// Every file.
    pub const ALL: [Self; 4] = [Self::Style, Self::Mark, Self::Continue, Self::Theme];

    /// Its name in a theme's `assets` folder.
    pub const fn file(self) -> &'static str {
        match self {
            Self::Style => "doorward.css",
            Self::Mark => "mark.svg",
            Self::Continue => "continue.js",
            Self::Theme => "theme.css",
        }
    }

    const fn content_type(self) -> &'static str {
        match self {
            Self::Style | Self::Theme => "text/css; charset=utf-8",
            Self::Mark => "image/svg+xml",
            Self::Continue => "text/javascript; charset=utf-8",
        }
    }

    /// What is built in; a theme's style is not.
    const fn built_in(self) -> Option<&'static str> {
        match self {
            Self::Style => Some(include_str!("assets/doorward.css")),
            Self::Mark => Some(include_str!("assets/mark.svg")),
            Self::Continue => Some(include_str!("assets/continue.js")),
            Self::Theme => None,
        }
    }
}

/// Where pages find the files.
#[derive(Debug, Default, Serialize)]
pub(super) struct AssetPaths {
    style: String,
    mark: String,
    script: String,
    /// Empty: there is none.
    theme: String,
}

#[derive(Debug)]
struct Asset {
    file: String,
    name: AssetName,
    content: Bytes,
}

/// The files, as they are served.
#[derive(Debug)]
pub(super) struct Assets {
    files: Vec<Asset>,
    paths: AssetPaths,
}

impl Assets {
    /// Reads a theme's files, and takes the built-in ones for the rest.
    pub(super) fn load(folder: Option<&Path>, base: &str) -> Result<Self, ThemeError> {
        let mut files = Vec::new();
        let mut paths = AssetPaths::default();
        for name in AssetName::ALL {
            let own = match folder {
                Some(folder) => theme::read(&folder.join("assets").join(name.file()))?,
                None => None,
            };
            let Some(content) = own.or_else(|| name.built_in().map(str::to_owned)) else {
                continue;
            };
            let hash = proof::digest::hex(&proof::digest::sha256(content.as_bytes())[..8]);
            let (stem, kind) = name.file().split_once('.').unwrap_or((name.file(), ""));
            let file = format!("{stem}-{hash}.{kind}");
            let path = format!("{base}/assets/{file}");
            match name {
                AssetName::Style => paths.style = path,
                AssetName::Mark => paths.mark = path,
                AssetName::Continue => paths.script = path,
                AssetName::Theme => paths.theme = path,
            }
            files.push(Asset {
                file,
                name,
                content: content.into(),
            });
        }
        Ok(Self { files, paths })
    }

    pub(super) fn paths(&self) -> &AssetPaths {
        &self.paths
    }

    pub(super) fn answer(&self, file: &str) -> Option<Response> {
        let asset = self.files.iter().find(|asset| asset.file == file)?;
        let mut answer = Response::new(Body::from(asset.content.clone()));
        let headers = answer.headers_mut();
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static(asset.name.content_type()),
        );
        headers.insert(
            CACHE_CONTROL,
            HeaderValue::from_static("public, max-age=31536000, immutable"),
        );
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        policy::protect_asset(headers);
        Some(answer)
    }
}
