//! **Pages for people**: signing in, consent, devices, signing out, errors. Templates and assets are
//! compiled in; files of a theme folder stand in front of them. A page is plain HTML: no script, no
//! inline style, nothing from another host, so that its content security policy can say `'none'`.
//! Here is no decision and no protocol: a page shows what it is given.

mod asset;
mod policy;
mod sample;
mod theme;
mod view;

use axum::body::Body;
use axum::response::Response;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, StatusCode};
use minijinja::Environment;
use minijinja::value::Serde;
use serde::Serialize;
use verdict::problem::{Code, Problem};

use crate::respond;

pub use self::asset::AssetName;
pub use self::sample::samples;
pub use self::theme::ThemeError;
pub use self::view::{
    Client, Consent, DeviceConfirm, DeviceEnter, DeviceProblem, Done, ErrorShown, FormPost,
    LoggedOut, Login, LoginProblem, LoginReason, LogoutConfirm, Page, Scope, ScopeGroup,
};

use self::asset::{AssetPaths, Assets};

/// Every page, ready to be shown.
#[derive(Debug)]
pub struct Pages {
    /// The theme over what is built in.
    themed: Environment<'static>,
    /// What is built in, for the page that a theme fails to show.
    built_in: Environment<'static>,
    assets: Assets,
    paths: Paths,
    host: String,
}

/// Where the forms go.
#[derive(Debug, Clone, Serialize)]
struct Paths {
    login: String,
    consent: String,
    device: String,
    logout: String,
}

/// What templates read.
#[derive(Serialize)]
struct Shown<'a> {
    page: &'a Page,
    assets: &'a AssetPaths,
    paths: &'a Paths,
    /// The authority in the address bar.
    host: &'a str,
    request_id: &'a str,
}

impl Pages {
    /// The pages of an issuer (`issuer` is its URL, without a trailing slash), with the files of a
    /// theme folder in front: `templates/*.html` and `assets/*`. Each page is shown once with sample
    /// data, so that a theme's mistake is found here and not by a person.
    ///
    /// # Errors
    /// [`ThemeError`]: which file, and what is wrong.
    pub fn load(issuer: &str, theme: Option<&std::path::Path>) -> Result<Self, ThemeError> {
        let (base, host) = base_and_host(issuer);
        let assets = Assets::load(theme, base)?;
        let pages = Self {
            themed: theme::environment(theme)?,
            built_in: theme::environment(None)?,
            paths: Paths {
                login: format!("{base}/login"),
                consent: format!("{base}/consent"),
                device: format!("{base}/device"),
                logout: format!("{base}/logout"),
            },
            host: host.to_owned(),
            assets,
        };
        for page in samples() {
            pages
                .write(&pages.themed, &page, "sample")
                .map_err(ThemeError::Template)?;
        }
        Ok(pages)
    }

    /// Shows a page. `request_id` is what a person can name to an operator.
    pub fn show(&self, page: &Page, request_id: &str) -> Response {
        let html = self.write(&self.themed, page, request_id).or_else(|error| {
            tracing::error!(
                request_id,
                page = page.name(),
                cause = format!("{error:#}"),
                "the theme failed to show a page; the built-in one is shown"
            );
            self.write(&self.built_in, page, request_id)
        });
        let html = match html {
            Ok(html) => html,
            Err(error) => {
                return respond::problem(
                    &Problem::new(Code::Internal, format!("{error:#}")),
                    request_id,
                );
            }
        };
        let mut answer = Response::new(Body::from(html));
        *answer.status_mut() =
            StatusCode::from_u16(page.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = answer.headers_mut();
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("text/html; charset=utf-8"),
        );
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        policy::protect(headers, page);
        answer
    }

    /// One of the files that pages refer to, by the last segment of its path.
    pub fn asset(&self, file: &str) -> Option<Response> {
        self.assets.answer(file)
    }

    fn write(
        &self,
        templates: &Environment<'static>,
        page: &Page,
        request_id: &str,
    ) -> Result<String, minijinja::Error> {
        templates
            .get_template(page.template())?
            .render(Serde(Shown {
                page,
                assets: self.assets.paths(),
                paths: &self.paths,
                host: &self.host,
                request_id,
            }))
    }
}

/// The path below which everything stands, and the authority that a person sees in the address bar.
fn base_and_host(issuer: &str) -> (&str, &str) {
    let rest = issuer.split_once("://").map_or(issuer, |(_, rest)| rest);
    match rest.find('/') {
        Some(at) => (&rest[at..], &rest[..at]),
        None => ("", rest),
    }
}

#[cfg(test)]
mod tests;
