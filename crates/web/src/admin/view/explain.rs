//! How a call would be judged.

use core::net::IpAddr;

use registry::units::Moment;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The scheme that a call comes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum CallScheme {
    /// Plain.
    Http,
    /// Over TLS.
    Https,
}

/// A call to explain. Exactly one of `request` and `request_base64`.
#[derive(Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Explain {
    /// The request as text: HTTP/1.1 as on the wire, or what `curl -v` prints. At most 512 KiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
    /// The same in base64, for bodies that are no text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_base64: Option<String>,
    /// By which scheme it comes; default: as the listener of its port speaks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheme: Option<CallScheme>,
    /// From which address; default `127.0.0.1`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub from: Option<IpAddr>,
    /// The client's certificate with what vouches for it, PEM; the key is taken to be the client's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_certificate: Option<String>,
    /// When it is to be judged; default now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub at: Option<Moment>,
}

impl core::fmt::Debug for Explain {
    /// Without the request, which holds a credential.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Explain")
            .field("scheme", &self.scheme)
            .field("from", &self.from)
            .field("at", &self.at)
            .finish_non_exhaustive()
    }
}

/// How a call would be judged, and why. Nothing that was presented is in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ExplanationView {
    /// `allow`, `deny`, or `answer` where the gateway itself answers (a preflight).
    pub decision: String,
    /// The call as it was read.
    pub call: CallView,
    /// The API, once one was found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api: Option<String>,
    /// The route, once one was found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route: Option<String>,
    /// The primary credential's id, once it is proved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<String>,
    /// The principal, once it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub principal: Option<String>,
    /// What was checked, in order.
    pub steps: Vec<StepView>,
    /// What the caller gets; absent: the upstream's answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<AnswerView>,
}

/// A call's head in short, without its query.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CallView {
    /// The method; empty if the call could not be read.
    pub method: String,
    /// The path; empty if the call could not be read, or if it holds a credential.
    pub path: String,
    /// Host and port; empty if the call could not be read.
    pub authority: String,
    /// The scheme.
    pub scheme: String,
    /// The version.
    pub version: String,
    /// The client's address.
    pub client: String,
    /// The time it is judged at.
    #[schema(value_type = String, format = DateTime)]
    pub at: Moment,
}

/// A step of judging.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StepView {
    /// What it is about: `read`, `route`, `limits`, `credential`, `rights`, `body`, `upstream`.
    pub stage: String,
    /// The check's stable name, where it is a check.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check: Option<String>,
    /// `held`, `failed`, or `noted` where there is nothing to hold.
    pub mark: String,
    /// In words: what holds when it holds.
    pub text: String,
    /// The standard that says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// More of it: what was found, what is missing, the cause.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub details: Vec<String>,
}

/// An answer that the gateway itself would give.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AnswerView {
    /// The status.
    pub status: u16,
    /// The problem's code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The problem's title.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Its fields that say something: challenges, waits, limits.
    pub headers: Vec<FieldView>,
}

/// A header field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FieldView {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
}
