//! **One exchange**: what an operation is given of a request, and what becomes of its outcome. Bodies
//! are JSON, at most 1 MiB, and say nothing that is not understood; refusals are problem+json.

use axum::body::{Body, Bytes};
use axum::response::Response;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_MATCH};
use http::{HeaderMap, HeaderValue, StatusCode};
use registry::flaw::PathStep;
use registry::usecase::Refusal;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use verdict::problem::{Code, Problem};

use super::view::FlawView;
use crate::respond;

/// Largest body.
pub const MAX_BODY: usize = 1024 * 1024;

/// What a request says, apart from its path's shape.
#[derive(Debug)]
pub(super) struct Input {
    /// `{name}` of the path.
    pub(super) name: String,
    /// `{id}` of the path.
    pub(super) id: String,
    query: String,
    headers: HeaderMap,
    body: Bytes,
}

impl Input {
    pub(super) fn new(
        name: String,
        id: String,
        query: String,
        headers: HeaderMap,
        body: Bytes,
    ) -> Self {
        Self {
            name,
            id,
            query,
            headers,
            body,
        }
    }

    /// The body. An empty one is an empty object where that is enough.
    pub(super) fn json<T: DeserializeOwned>(&self) -> Result<T, Fault> {
        let body: &[u8] = if self.body.is_empty() {
            b"{}"
        } else {
            &self.body
        };
        if !self.body.is_empty() && !is_json(&self.headers) {
            return Err(Fault::invalid("Content-Type is not application/json."));
        }
        // Strictly: a key that stands twice could be read in two ways.
        let value = proof::strict_json::parse(body, MAX_BODY)
            .map_err(|defect| Fault::invalid(format!("The body is not sound JSON: {defect}.")))?;
        registry::shape::read(value).map_err(|misfits| {
            Fault::Flaws(
                misfits
                    .into_iter()
                    .map(|misfit| FlawView {
                        document: None,
                        index: None,
                        path: place(&misfit.path),
                        message: misfit.message,
                        hint: misfit.hint,
                    })
                    .collect(),
            )
        })
    }

    /// The query. Unknown parameters are refused.
    pub(super) fn query<T: DeserializeOwned>(&self) -> Result<T, Fault> {
        let uri = http::Uri::builder()
            .path_and_query(format!("/?{}", self.query))
            .build()
            .map_err(|_| Fault::invalid("The query is malformed."))?;
        axum::extract::Query::<T>::try_from_uri(&uri)
            .map(|query| query.0)
            .map_err(|error| {
                Fault::invalid(format!(
                    "The query is not understood: {}.",
                    error.body_text()
                ))
            })
    }

    /// The version that the request is meant for: in `given`, or in `If-Match` (RFC 9110 §13.1.1),
    /// which must agree.
    pub(super) fn version(&self, given: Option<i64>) -> Result<Option<i64>, Fault> {
        let mut fields = self.headers.get_all(IF_MATCH).iter();
        let Some(field) = fields.next() else {
            return Ok(given);
        };
        let tag = field.to_str().ok().and_then(|text| {
            text.strip_prefix('"')?
                .strip_suffix('"')?
                .parse::<i64>()
                .ok()
        });
        match (tag, given) {
            _ if fields.next().is_some() => Err(Fault::invalid("There is more than one If-Match.")),
            (Some(tag), Some(given)) if tag != given => {
                Err(Fault::invalid("If-Match and the version given differ."))
            }
            (Some(tag), _) => Ok(Some(tag)),
            (None, _) => Err(Fault::invalid(
                "If-Match is not one ETag of this API, like \"3\".",
            )),
        }
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let essence = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|text| text.split(';').next())
        .unwrap_or_default();
    essence.trim().eq_ignore_ascii_case("application/json")
}

fn place(path: &[PathStep]) -> String {
    registry::flaw::written_path(path)
}

/// What an operation answers.
#[derive(Debug)]
pub(super) struct Answer {
    status: StatusCode,
    body: Option<Vec<u8>>,
    version: Option<i64>,
}

impl Answer {
    /// 200 with a body.
    pub(super) fn ok(body: &impl Serialize) -> Result<Self, Fault> {
        Self::with(StatusCode::OK, body)
    }
    /// 201 with a body.
    pub(super) fn created(body: &impl Serialize) -> Result<Self, Fault> {
        Self::with(StatusCode::CREATED, body)
    }
    /// 202 with a body.
    pub(super) fn accepted(body: &impl Serialize) -> Result<Self, Fault> {
        Self::with(StatusCode::ACCEPTED, body)
    }
    /// 204.
    pub(super) fn empty() -> Self {
        Self {
            status: StatusCode::NO_CONTENT,
            body: None,
            version: None,
        }
    }
    fn with(status: StatusCode, body: &impl Serialize) -> Result<Self, Fault> {
        let body = serde_json::to_vec(body)
            .map_err(|error| Fault::from(Problem::new(Code::Internal, error.to_string())))?;
        Ok(Self {
            status,
            body: Some(body),
            version: None,
        })
    }
    /// Names the version that the body shows.
    pub(super) fn version(mut self, version: i64) -> Self {
        self.version = Some(version);
        self
    }

    pub(super) fn into_response(self) -> Response {
        let has_body = self.body.is_some();
        let mut response = Response::new(self.body.map_or_else(Body::empty, Body::from));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        // Some of it is secret, all of it is this administrator's.
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if has_body {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        if let Some(version) = self.version
            && let Ok(tag) = HeaderValue::try_from(format!("\"{version}\""))
        {
            headers.insert(ETAG, tag);
        }
        response
    }
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Fault {
    /// A use case refused.
    Refusal(Refusal),
    /// The body has mistakes.
    Flaws(Vec<FlawView>),
    /// Anything else.
    Problem(Box<Problem>),
    /// Anything else, with one member more (RFC 9457 §3.2).
    Extended(Box<Problem>, &'static str, Value),
}

impl Fault {
    /// 400 with a sentence.
    pub(super) fn invalid(detail: impl Into<Box<str>>) -> Self {
        let detail = detail.into();
        let mut problem = Problem::new(Code::InvalidRequest, detail.clone());
        problem.detail = Some(detail);
        Self::Problem(Box::new(problem))
    }

    /// A problem with one member more.
    pub(super) fn extended(problem: Problem, member: &'static str, value: &impl Serialize) -> Self {
        Self::Extended(
            Box::new(problem),
            member,
            serde_json::to_value(value).unwrap_or_default(),
        )
    }

    pub(super) fn into_response(self, request_id: &str) -> Response {
        match self {
            Self::Extended(problem, member, value) => {
                extended(&problem, request_id, member, &value)
            }
            Self::Problem(problem) => respond::problem(&problem, request_id),
            Self::Flaws(flaws) => {
                let cause = format!("{} mistakes in the body", flaws.len());
                let problem = Problem::new(Code::InvalidRequest, cause);
                extended(&problem, request_id, "errors", &flaws)
            }
            Self::Refusal(refusal) => {
                let mut problem = Problem::new(refusal.code(), refusal.to_string());
                problem.detail = refusal.detail().as_deref().map(sentence);
                match &refusal {
                    Refusal::Flawed(flaws) => {
                        problem.detail = None;
                        let flaws: Vec<FlawView> = flaws.iter().map(FlawView::from).collect();
                        extended(&problem, request_id, "errors", &flaws)
                    }
                    Refusal::Conflict { current } => {
                        extended(&problem, request_id, "current_version", current)
                    }
                    Refusal::Hashing(why) | Refusal::Unread(why) => {
                        let mut problem = Problem::from(*why);
                        problem.cause = refusal.to_string().into();
                        respond::problem(&problem, request_id)
                    }
                    Refusal::Store(registry::ports::StoreError::Unavailable(_)) => {
                        problem.retry_after = Some(core::time::Duration::from_secs(5));
                        respond::problem(&problem, request_id)
                    }
                    _ => respond::problem(&problem, request_id),
                }
            }
        }
    }
}

/// `it is suspended` → `It is suspended.`
fn sentence(text: &str) -> Box<str> {
    let mut chars = text.chars();
    let first = chars
        .next()
        .map(|c| c.to_uppercase().collect::<String>())
        .unwrap_or_default();
    format!("{first}{}.", chars.as_str()).into()
}

/// A problem with one member more (RFC 9457 §3.2).
fn extended(problem: &Problem, request_id: &str, member: &str, value: &impl Serialize) -> Response {
    let mut response = respond::problem(problem, request_id);
    let body: Result<serde_json::Map<String, Value>, _> =
        serde_json::from_str(&problem.to_json(request_id));
    if let (Ok(mut body), Ok(value)) = (body, serde_json::to_value(value)) {
        body.insert(member.to_owned(), value);
        *response.body_mut() = Body::from(Value::Object(body).to_string());
    }
    response
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Self {
        Self::Refusal(refusal)
    }
}

impl From<Problem> for Fault {
    fn from(problem: Problem) -> Self {
        Self::Problem(Box::new(problem))
    }
}

impl From<registry::ports::StoreError> for Fault {
    fn from(error: registry::ports::StoreError) -> Self {
        Self::Refusal(error.into())
    }
}
