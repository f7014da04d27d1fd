//! What people allowed clients, and the sessions they have here.

use issuer::flow::{FlowFilter, GrantState, ListedGrant, Session};
use registry::units::Moment;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// What a person allowed a client. Its codes and refresh tokens are known by hashes only.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct GrantView {
    /// Its id: `grant_id` in access tokens.
    pub id: String,
    /// The client.
    pub client: String,
    /// The person's `sub`.
    pub user: String,
    /// The session it was made in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// Scopes allowed.
    pub scopes: Vec<String>,
    /// Audiences allowed.
    pub audiences: Vec<String>,
    /// `active` or `ended`.
    pub state: String,
    /// Whether it outlives the session.
    pub offline: bool,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Moment,
    /// When it ends by itself.
    #[schema(value_type = String, format = DateTime)]
    pub until: Moment,
    /// When a refresh token of it was used last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub refreshed_at: Option<Moment>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub ended_at: Option<Moment>,
    /// Why it ended: `client`, `administrator`, `person`, `code-reused`, `refresh-reused`,
    /// `session-over`, `over` or `unused`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_reason: Option<String>,
}

impl GrantView {
    /// From the grant and what lists know beside it.
    pub fn new(listed: ListedGrant) -> Self {
        let grant = listed.grant;
        Self {
            id: grant.id,
            client: grant.client_id.as_str().to_owned(),
            user: grant.subject,
            session: grant.session,
            scopes: grant.scopes,
            audiences: grant.audiences,
            state: match listed.state {
                GrantState::Active => "active",
                GrantState::Ended => "ended",
            }
            .to_owned(),
            offline: grant.offline,
            created_at: Moment(grant.created_at),
            until: Moment(grant.until),
            refreshed_at: listed.refreshed_at.map(Moment),
            ended_at: listed.end.map(|end| Moment(end.at)),
            end_reason: listed.end.map(|end| end.reason.name().to_owned()),
        }
    }
}

/// A person's session with the issuer.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct SessionView {
    /// Its id: `sid` in ID tokens.
    pub id: String,
    /// The person's `sub`.
    pub user: String,
    /// How they proved who they are (`acr`).
    pub acr: String,
    /// The browser, in a few words.
    pub agent: String,
    /// The address it was made from.
    pub address: String,
    /// When they logged in.
    #[schema(value_type = String, format = DateTime)]
    pub authenticated_at: Moment,
    /// Unused until then, it ends.
    #[schema(value_type = String, format = DateTime)]
    pub idle_until: Moment,
    /// When it ends by itself.
    #[schema(value_type = String, format = DateTime)]
    pub until: Moment,
}

impl From<Session> for SessionView {
    fn from(session: Session) -> Self {
        Self {
            id: session.id,
            user: session.subject,
            acr: session.authentication.acr,
            agent: session.agent,
            address: session.address,
            authenticated_at: Moment(session.authentication.at),
            idle_until: Moment(session.idle_until),
            until: Moment(session.until),
        }
    }
}

/// Which grants or sessions to list.
#[derive(Debug, Clone, Default, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct FlowQuery {
    /// Of this person (`sub`).
    pub user: Option<String>,
    /// Of this client.
    pub client: Option<String>,
    /// Of this session.
    pub session: Option<String>,
    /// At most so many: 1–1000, default 100.
    #[param(minimum = 1, maximum = 1000)]
    pub limit: Option<u32>,
}

/// Which grants or sessions to end: those that fit all that is given, and something must be.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EndFlows {
    /// This one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Of this person (`sub`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Of this client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
    /// Of this session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
}

impl EndFlows {
    /// The filter; `None`: nothing is given, which would mean all there is.
    pub fn filter(self) -> Option<FlowFilter> {
        let filter = FlowFilter {
            subject: self.user,
            client_id: self.client,
            session: self.session,
            id: self.id,
        };
        (filter != FlowFilter::default()).then_some(filter)
    }
}
