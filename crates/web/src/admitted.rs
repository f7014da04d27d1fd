//! **Who calls, and how the call arrived**: the one extension that the gateway's permit leaves on a
//! request. A request without it did not come through the door and gets 500, whatever it asks for.

use axum::extract::FromRequestParts;
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use verdict::call::Arrival;
use verdict::identity::Identity;
use verdict::permit::Admitted;
use verdict::problem::{Code, Problem};

use crate::respond;

/// A permitted call, as handlers see it.
#[derive(Debug, Clone)]
pub struct Caller(Admitted);

impl Caller {
    /// How the call arrived.
    pub fn arrival(&self) -> &Arrival {
        self.0.arrival()
    }
    /// Joins caller, log, audit and trace.
    pub fn request_id(&self) -> &str {
        &self.0.arrival().request_id
    }
    /// Who calls; nobody on a public route.
    pub fn identity(&self) -> Option<&Identity> {
        self.0.identity()
    }
}

/// A request came in that no permit had let through: a mistake in how the service is mounted.
#[derive(Debug, Clone, Copy)]
pub struct NotAdmitted;

impl IntoResponse for NotAdmitted {
    fn into_response(self) -> Response {
        respond::problem(
            &Problem::new(Code::Internal, "the request carries no admission"),
            "",
        )
    }
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = NotAdmitted;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, NotAdmitted> {
        parts
            .extensions
            .get::<Admitted>()
            .cloned()
            .map(Self)
            .ok_or(NotAdmitted)
    }
}
