//! **Logout** asked for by a client (OpenID Connect RP-Initiated Logout 1.0). A session ends at
//! once if the ID token that comes along proves that the client means this very session; otherwise
//! the person is asked, since anybody can send a browser here (threat F4). Nobody is sent on to an
//! address that is not registered (threat F1).

use std::collections::BTreeMap;

use proof::time::Timestamp;
use registry::profile::ResponseMode;
use serde::{Deserialize, Serialize};

use crate::Issuer;
use crate::browser::{self, Browser, ClientAnswer, ClientView, Done, LogoutConfirmPage, Step};
use crate::error::{Outcome, Reason, Refusal};
use crate::flow::{FlowFilter, Flows, Session};
use crate::id_hint::{self, IdHint};
use crate::params::Params;
use crate::ports::{IssuerStore, People, Secrets};
use crate::session::Present;
use crate::ticket::{Page, Taken};

/// Longest `state`, in bytes.
const MAX_STATE: usize = 2048;

/// What a logout was asked with, judged.
#[derive(Serialize, Deserialize)]
struct LogoutRequest {
    client_id: Option<String>,
    back: Option<Back>,
}

/// A logout request that may be answered.
struct Judged {
    request: LogoutRequest,
    hint: Option<IdHint>,
}

/// Where the person goes afterwards.
#[derive(Serialize, Deserialize)]
struct Back {
    uri: String,
    state: Option<String>,
}

impl<S: IssuerStore + Flows, C: Secrets + People> Issuer<S, C> {
    /// Answers a logout request; `true`: the session cookie is to be cleared.
    pub async fn end_session(
        &self,
        params: &Params<'_>,
        browser: &Browser<'_>,
        request_id: &str,
        now: Timestamp,
    ) -> (Step, bool) {
        let Judged { request, hint } = match self.judge_logout(params) {
            Ok(judged) => judged,
            Err(refusal) => return (browser::error_page(refusal, None, request_id), false),
        };
        let present = match self.present(browser, now).await {
            Ok(present) => present,
            Err(refusal) => return (browser::error_page(refusal, None, request_id), false),
        };
        let Some(present) = present else {
            // RP-Initiated Logout 1.0 §3: nobody is logged in; what was asked for holds already.
            return (done(request), true);
        };
        if hint.is_some_and(|hint| proves(&hint, &present.session)) {
            return self
                .log_out(request, &present.session, request_id, now)
                .await;
        }
        (self.logout_page(&request, &present, browser, now), false)
    }

    /// The confirmation came back; `true`: the session cookie is to be cleared.
    pub async fn logout(
        &self,
        ticket: &str,
        confirmed: bool,
        browser: &Browser<'_>,
        request_id: &str,
        now: Timestamp,
    ) -> (Step, bool) {
        let (request, session) = match self.take(Page::Logout, ticket, browser, now) {
            Taken::Good(request, session) => (request, session),
            // Without a session of its own the page is asked again below.
            Taken::Stale(request) => (request, None),
            Taken::Broken(refusal) => {
                return (browser::error_page(refusal, None, request_id), false);
            }
        };
        let request: LogoutRequest = request;
        let present = match self.present(browser, now).await {
            Ok(present) => present,
            Err(refusal) => return (browser::error_page(refusal, None, request_id), false),
        };
        let Some(present) = present else {
            return (done(request), true);
        };
        if session.as_deref() != Some(present.session.id.as_str()) {
            return (self.logout_page(&request, &present, browser, now), false);
        }
        if !confirmed {
            return (Step::Done(Done::StillLoggedIn), false);
        }
        self.log_out(request, &present.session, request_id, now)
            .await
    }

    fn logout_page(
        &self,
        request: &LogoutRequest,
        present: &Present,
        browser: &Browser<'_>,
        now: Timestamp,
    ) -> Step {
        let session = Some(present.session.id.as_str());
        let declared = self.declared();
        let client = request.client_id.as_deref();
        let client = client.and_then(|id| declared.known(id));
        Step::LogoutConfirm(LogoutConfirmPage {
            ticket: self.ticket(Page::Logout, browser, session, request, now),
            client: client.map(|client| ClientView::of(client)),
            person: present.name(),
            leads_to: request.back.as_ref().map(|back| back.uri.clone()),
        })
    }

    async fn log_out(
        &self,
        request: LogoutRequest,
        session: &Session,
        request_id: &str,
        now: Timestamp,
    ) -> (Step, bool) {
        let which = FlowFilter {
            session: Some(session.id.clone()),
            ..FlowFilter::default()
        };
        let client = request.client_id.clone();
        let details = client
            .map(|id| ("client_id".to_owned(), id))
            .into_iter()
            .collect::<BTreeMap<_, _>>();
        let audit = self.person_did(
            &session.subject,
            "session.end",
            format!("session/{}", session.id),
            details,
            request_id,
            now,
        );
        match self.store().end_sessions(&which, now, audit).await {
            Ok(_) => (done(request), true),
            Err(error) => (browser::error_page(error.into(), None, request_id), false),
        }
    }

    /// RP-Initiated Logout 1.0 §2, §3.
    fn judge_logout(&self, params: &Params<'_>) -> Outcome<Judged> {
        let declared = self.declared();
        let hint = match params.one("id_token_hint") {
            None => None,
            Some(text) => Some(
                id_hint::read(&self.keys().ring(), self.endpoints().issuer(), text)
                    .ok_or(Reason::LogoutHint)?,
            ),
        };
        let client = match (params.one("client_id"), &hint) {
            (Some(id), hint) => {
                // §2: "the OP MUST verify that the Client Identifier matches the one provided when
                // issuing the ID Token".
                if hint.as_ref().is_some_and(|hint| !hint.is_for(id)) {
                    return Err(Reason::LogoutHint.into());
                }
                // Suspended or not: whoever comes from there may log out.
                Some(declared.known(id).ok_or(Reason::ClientNotRegistered)?)
            }
            (None, Some(hint)) => hint.audience.iter().find_map(|aud| declared.known(aud)),
            (None, None) => None,
        };
        let back = match (params.one("post_logout_redirect_uri"), client) {
            (None, _) => None,
            (Some(_), None) => return Err(Reason::LogoutClientMissing.into()),
            (Some(uri), Some(client)) => {
                // Exact strings; there is no loopback exception here.
                if !client
                    .post_logout_redirect_uris
                    .iter()
                    .any(|own| own == uri)
                {
                    return Err(Reason::LogoutUriUnregistered.into());
                }
                let state = params.one("state");
                if state.is_some_and(|state| state.len() > MAX_STATE) {
                    return Err(Refusal::from(Reason::StateTooLong));
                }
                Some(Back {
                    uri: uri.to_owned(),
                    state: state.map(str::to_owned),
                })
            }
        };
        let request = LogoutRequest {
            client_id: client.map(|client| client.client_id.as_str().to_owned()),
            back,
        };
        Ok(Judged { request, hint })
    }
}

/// Whether a hint names this session: by `sid`, or by the person where it has none.
fn proves(hint: &IdHint, session: &Session) -> bool {
    hint.subject == session.subject && hint.session.as_ref().is_none_or(|sid| *sid == session.id)
}

fn done(request: LogoutRequest) -> Step {
    match request.back {
        None => Step::Done(Done::LoggedOut),
        Some(back) => Step::Answer(ClientAnswer {
            redirect_uri: back.uri,
            mode: ResponseMode::Query,
            params: back
                .state
                .map(|state| ("state", state))
                .into_iter()
                .collect(),
        }),
    }
}
