//! **Where browsers go**: the authorization endpoint, logout, and the forms between them. Forms are
//! plain, and each carries a ticket that opens for one browser; what another site's page sends is
//! refused before it is read (threat F4). Answers are pages, or `303` to a place that the issuer
//! found good. Nothing here decides.

mod cookies;
mod shown;

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use axum::routing::get;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, LOCATION, ORIGIN, REFERRER_POLICY, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use http_body_util::{BodyExt, Limited};
use issuer::Issuer;
use issuer::browser::{Browser, Decision, NewSession, Step};
use issuer::error::{Reason, Refusal};
use issuer::flow::Flows;
use issuer::metadata::{Endpoint, Endpoints};
use issuer::params::{MAX_BODY, Params};
use issuer::ports::{IssuerStore, People, Secrets};
use proof::digest::TokenHash;
use proof::random::Entropy;
use proof::secret::Secret;
use proof::time::Timestamp;

use crate::admitted::Caller;
use crate::pages::{ErrorShown, Page, Pages};
use crate::protocol::Clock;

use self::cookies::{Cookies, Jar};
use self::shown::Next;

/// Longest authorization request that comes as a form: it goes on as an address.
const MAX_QUERY: usize = 6 * 1024;
/// Fetch Metadata: where a request comes from, as browsers say and pages can't.
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// A place of our own for a form or a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Place {
    /// The login form.
    Login,
    /// The consent form.
    Consent,
    /// The page for a device's code, and its forms.
    Device,
    /// The logout form; as a page, the same as a logout without parameters.
    Logout,
    /// Style, picture and script.
    Assets,
}

impl Place {
    /// Every place.
    pub const ALL: [Self; 5] = [
        Self::Login,
        Self::Consent,
        Self::Device,
        Self::Logout,
        Self::Assets,
    ];
    /// Its name in route tables and logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Login => "login",
            Self::Consent => "consent",
            Self::Device => "device",
            Self::Logout => "logout",
            Self::Assets => "assets",
        }
    }
    /// Its path below the issuer's.
    pub fn path(self, endpoints: &Endpoints) -> String {
        // The token endpoint's path ends in this, whatever the issuer's own path is.
        let token = endpoints.path(Endpoint::Token);
        let base = token.strip_suffix("/oauth/token").unwrap_or_default();
        match self {
            Self::Assets => format!("{base}/assets/{{file}}"),
            place => format!("{base}/{}", place.name()),
        }
    }
    /// The methods that it takes; `GET` comes with `HEAD`.
    pub const fn methods(self) -> &'static [&'static str] {
        match self {
            Self::Login | Self::Consent | Self::Device | Self::Logout => &["GET", "POST"],
            Self::Assets => &["GET"],
        }
    }
}

/// What the places work with.
struct Context<S, C> {
    issuer: Arc<Issuer<S, C>>,
    pages: Arc<Pages>,
    clock: Clock,
    entropy: Arc<dyn Entropy>,
    cookies: Cookies,
    /// `scheme://host[:port]` of the issuer, as browsers write an origin.
    origin: String,
}

type Shared<S, C> = State<Arc<Context<S, C>>>;

/// The places that browsers go to.
pub fn router<S, C>(
    issuer: Arc<Issuer<S, C>>,
    pages: Arc<Pages>,
    clock: Clock,
    entropy: Arc<dyn Entropy>,
) -> Router
where
    S: IssuerStore + Flows + 'static,
    C: Secrets + People + 'static,
{
    let endpoints = issuer.endpoints().clone();
    let context = Arc::new(Context {
        cookies: Cookies::of(endpoints.issuer()),
        origin: origin_of(endpoints.issuer()).to_owned(),
        issuer,
        pages,
        clock,
        entropy,
    });
    Router::new()
        .route(
            &endpoints.path(Endpoint::Authorization),
            get(authorize::<S, C>).post(authorize_by_form::<S, C>),
        )
        .route(
            &endpoints.path(Endpoint::EndSession),
            get(end_session::<S, C>).post(end_session_by_form::<S, C>),
        )
        .route(
            &Place::Login.path(&endpoints),
            get(lost::<S, C>).post(login::<S, C>),
        )
        .route(
            &Place::Consent.path(&endpoints),
            get(lost::<S, C>).post(consent::<S, C>),
        )
        .route(
            &Place::Device.path(&endpoints),
            get(device::<S, C>).post(device_form::<S, C>),
        )
        .route(
            &Place::Logout.path(&endpoints),
            get(end_session::<S, C>).post(logout::<S, C>),
        )
        .route(&Place::Assets.path(&endpoints), get(asset::<S, C>))
        .with_state(context)
}

/// The origin of an issuer identifier, which is in its normal form.
fn origin_of(issuer: &str) -> &str {
    let host = issuer.find("://").map_or(0, |at| at + 3);
    let end = issuer[host..]
        .find('/')
        .map_or(issuer.len(), |at| host + at);
    &issuer[..end]
}

/// One request of a browser, taken apart.
struct Visit<'a, S, C> {
    context: &'a Context<S, C>,
    caller: &'a Caller,
    binding: TokenHash,
    session: Option<TokenHash>,
    agent: String,
    now: Timestamp,
    /// The cookie of a browser that had none.
    new_browser: Option<HeaderValue>,
}

impl<'a, S, C> Visit<'a, S, C>
where
    S: IssuerStore + Flows,
    C: Secrets + People,
{
    fn begin(
        context: &'a Context<S, C>,
        caller: &'a Caller,
        headers: &HeaderMap,
    ) -> Result<Self, Box<Response>> {
        let Ok(Jar { browser, session }) = context.cookies.read(headers) else {
            let page = ErrorShown::new("invalid_request", "two cookies have one name", 400);
            return Err(Box::new(context.refuse(page, caller)));
        };
        let (binding, new_browser) = match browser {
            Some(known) => (known, None),
            None => {
                let (hash, line) = context.cookies.new_browser(&*context.entropy);
                (hash, Some(line))
            }
        };
        let agent = headers
            .get(USER_AGENT)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
            .to_owned();
        Ok(Self {
            context,
            caller,
            binding,
            session,
            agent,
            now: (context.clock)(),
            new_browser,
        })
    }

    fn browser(&self) -> Browser<'_> {
        Browser {
            binding: self.binding,
            session: self.session,
            address: self.caller.arrival().client,
            agent: &self.agent,
        }
    }

    fn issuer(&self) -> &Issuer<S, C> {
        &self.context.issuer
    }

    fn request_id(&self) -> &str {
        self.caller.request_id()
    }

    /// A page, or the way on.
    fn answer(self, step: Step) -> Response {
        if let Step::Error(page) = &step {
            tracing::info!(
                request_id = self.caller.request_id(),
                error = page.error.name(),
                reason = %page.refusal,
                "a browser's request was refused"
            );
        }
        let mut answer = match shown::next(step) {
            Next::Page(page) => self.context.pages.show(&page, self.caller.request_id()),
            Next::Away(to) => away(&to),
        };
        if let Some(line) = self.new_browser {
            cookies::set(answer.headers_mut(), line);
        }
        answer
    }

    fn answer_with(self, step: Step, session: Option<NewSession>) -> Response {
        let line = session.map(|session| self.context.cookies.new_session(&session.handle));
        let mut answer = self.answer(step);
        if let Some(line) = line {
            cookies::set(answer.headers_mut(), line);
        }
        answer
    }

    fn answer_without(self, (step, ended): (Step, bool)) -> Response {
        let line = ended.then(|| self.context.cookies.no_session());
        let mut answer = self.answer(step);
        if let Some(line) = line {
            cookies::set(answer.headers_mut(), line);
        }
        answer
    }

    fn refused(self, refusal: Refusal) -> Response {
        let step = self.issuer().unreadable(refusal, self.request_id());
        self.answer(step)
    }
}

impl<S, C> Context<S, C> {
    fn refuse(&self, page: ErrorShown, caller: &Caller) -> Response {
        self.pages.show(&Page::Error(page), caller.request_id())
    }
}

/// `303 See Other`. What is in the address is for its receiver alone.
fn away(to: &str) -> Response {
    let mut answer = Response::default();
    *answer.status_mut() = StatusCode::SEE_OTHER;
    let headers = answer.headers_mut();
    match HeaderValue::try_from(to) {
        Ok(location) => {
            headers.insert(LOCATION, location);
        }
        // Registered redirect URIs are ASCII, and parameters are encoded.
        Err(_) => *answer.status_mut() = StatusCode::INTERNAL_SERVER_ERROR,
    }
    let headers = answer.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    answer
}

/// A form of our own pages, read whole. What is not sent by a page of ours is refused here.
async fn own_form<S, C>(
    context: &Context<S, C>,
    caller: &Caller,
    request: Request,
) -> Result<(HeaderMap, Bytes), Box<Response>> {
    let headers = request.headers();
    let foreign_origin = headers
        .get_all(ORIGIN)
        .iter()
        .any(|origin| origin.as_bytes() != context.origin.as_bytes());
    let foreign_site = headers
        .get_all(SEC_FETCH_SITE)
        .iter()
        .any(|site| site != "same-origin");
    if foreign_origin || foreign_site {
        tracing::info!(
            request_id = caller.request_id(),
            "a form of another site was refused"
        );
        let page = ErrorShown::new("access_denied", "the form was sent by another site", 403);
        return Err(Box::new(context.refuse(page, caller)));
    }
    read_form(request).await.map_err(|refusal| {
        let page = ErrorShown::new(
            refusal.reason().code().name(),
            refusal.reason().description(),
            refusal.reason().code().status(),
        );
        Box::new(context.refuse(page, caller))
    })
}

async fn read_form(request: Request) -> Result<(HeaderMap, Bytes), Refusal> {
    let (parts, body) = request.into_parts();
    let is_form = parts
        .headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .is_some_and(|essence| {
            essence
                .trim()
                .eq_ignore_ascii_case("application/x-www-form-urlencoded")
        });
    if !is_form {
        return Err(Reason::WrongContentType.into());
    }
    let body = Limited::new(body, MAX_BODY)
        .collect()
        .await
        .map_err(|_| Refusal::from(Reason::BodyTooLarge))?;
    Ok((parts.headers, body.to_bytes()))
}

async fn authorize<S, C>(caller: Caller, State(context): Shared<S, C>, request: Request) -> Response
where
    S: IssuerStore + Flows,
    C: Secrets + People,
{
    let visit = match Visit::begin(&context, &caller, request.headers()) {
        Ok(visit) => visit,
        Err(answer) => return *answer,
    };
    let query = request.uri().query().unwrap_or_default();
    let params = match Params::parse(query.as_bytes()) {
        Ok(params) => params,
        Err(refusal) => return visit.refused(refusal),
    };
    let step = visit
        .issuer()
        .authorize(&params, &visit.browser(), visit.request_id(), visit.now)
        .await;
    visit.answer(step)
}

/// OpenID Connect Core §3.1.2.1: by POST too. Browsers don't send our cookies with a form of
/// another site (`SameSite=Lax`), and do with a redirect, so the request goes on as an address.
async fn authorize_by_form<S, C>(
    caller: Caller,
    State(context): Shared<S, C>,
    request: Request,
) -> Response
where
    S: IssuerStore + Flows,
    C: Secrets + People,
{
    as_address(caller, context, request, Endpoint::Authorization).await
}

async fn as_address<S, C>(
    caller: Caller,
    context: Arc<Context<S, C>>,
    request: Request,
    endpoint: Endpoint,
) -> Response
where
    S: IssuerStore + Flows,
    C: Secrets + People,
{
    let refused = |refusal: Refusal| {
        let reason = refusal.reason();
        let page = ErrorShown::new(
            reason.code().name(),
            reason.description(),
            reason.code().status(),
        );
        context.refuse(page, &caller)
    };
    if request.uri().query().is_some() {
        return refused(Reason::ParametersInUri.into());
    }
    let (_, body) = match read_form(request).await {
        Ok(read) => read,
        Err(refusal) => return refused(refusal),
    };
    // Strict forms are visible ASCII throughout, so the text can stand in an address as it is.
    let text = match (Params::parse(&body), core::str::from_utf8(&body)) {
        (Ok(_), Ok(text)) if text.len() <= MAX_QUERY => text,
        (Err(refusal), _) => return refused(refusal),
        _ => return refused(Reason::BodyTooLarge.into()),
    };
    let path = context.issuer.endpoints().path(endpoint);
    if text.is_empty() {
        away(&path)
    } else {
        away(&format!("{path}?{text}"))
    }
}

async fn end_session<S, C>(
    caller: Caller,
    State(context): Shared<S, C>,
    request: Request,
) -> Response
where
    S: IssuerStore + Flows,
    C: Secrets + People,
{
    let visit = match Visit::begin(&context, &caller, request.headers()) {
        Ok(visit) => visit,
        Err(answer) => return *answer,
    };
    let query = request.uri().query().unwrap_or_default();
    let params = match Params::parse(query.as_bytes()) {
        Ok(params) => params,
        Err(refusal) => return visit.refused(refusal),
    };
    let outcome = visit
        .issuer()
        .end_session(&params, &visit.browser(), visit.request_id(), visit.now)
        .await;
    visit.answer_without(outcome)
}

/// RP-Initiated Logout 1.0 §2: by POST too; as with an authorization request.
async fn end_session_by_form<S, C>(
    caller: Caller,
    State(context): Shared<S, C>,
    request: Request,
) -> Response
where
    S: IssuerStore + Flows,
    C: Secrets + People,
{
    as_address(caller, context, request, Endpoint::EndSession).await
}

/// Somebody came to a form's address without the form.
async fn lost<S, C>(caller: Caller, State(context): Shared<S, C>) -> Response
where
    S: IssuerStore + Flows,
    C: Secrets + People,
{
    let page = ErrorShown::new(
        "invalid_request",
        "this page is reached from an app that asks you to sign in",
        400,
    );
    context.refuse(page, &caller)
}

/// Begins with a form of our own: headers, body, cookies, parameters. A macro, since parameters
/// borrow the body and both must outlive the handler's awaits.
macro_rules! with_form {
    ($context:ident, $caller:ident, $request:ident => $visit:ident, $params:ident) => {
        let (headers, body) = match own_form(&$context, &$caller, $request).await {
            Ok(read) => read,
            Err(answer) => return *answer,
        };
        let $visit = match Visit::begin(&$context, &$caller, &headers) {
            Ok(visit) => visit,
            Err(answer) => return *answer,
        };
        let $params = match Params::parse_page(&body) {
            Ok(params) => params,
            Err(refusal) => return $visit.refused(refusal),
        };
    };
}

async fn login<S, C>(caller: Caller, State(context): Shared<S, C>, request: Request) -> Response
where
    S: IssuerStore + Flows,
    C: Secrets + People,
{
    with_form!(context, caller, request => visit, params);
    let ticket = params.one("ticket").unwrap_or_default();
    if params.one("decision") == Some("continue") {
        let step = visit
            .issuer()
            .go_on(ticket, &visit.browser(), visit.request_id(), visit.now)
            .await;
        return visit.answer(step);
    }
    let username = params.one("username").unwrap_or_default();
    let password = Secret::from_text(params.one("password").unwrap_or_default().to_owned());
    let (step, session) = visit
        .issuer()
        .login(
            ticket,
            username,
            &password,
            &visit.browser(),
            visit.request_id(),
            visit.now,
        )
        .await;
    visit.answer_with(step, session)
}

fn decision(params: &Params<'_>) -> Decision {
    match params.one("decision") {
        Some("allow") => Decision::Allow {
            scopes: params.all("scope").map(str::to_owned).collect(),
        },
        _ => Decision::Deny,
    }
}

async fn consent<S, C>(caller: Caller, State(context): Shared<S, C>, request: Request) -> Response
where
    S: IssuerStore + Flows,
    C: Secrets + People,
{
    with_form!(context, caller, request => visit, params);
    let step = visit
        .issuer()
        .consent(
            params.one("ticket").unwrap_or_default(),
            decision(&params),
            &visit.browser(),
            visit.request_id(),
            visit.now,
        )
        .await;
    visit.answer(step)
}

async fn device<S, C>(caller: Caller, State(context): Shared<S, C>, request: Request) -> Response
where
    S: IssuerStore + Flows,
    C: Secrets + People,
{
    let visit = match Visit::begin(&context, &caller, request.headers()) {
        Ok(visit) => visit,
        Err(answer) => return *answer,
    };
    let query = request.uri().query().unwrap_or_default();
    let params = match Params::parse(query.as_bytes()) {
        Ok(params) => params,
        Err(refusal) => return visit.refused(refusal),
    };
    let step = visit
        .issuer()
        .device_page(
            params.one("user_code"),
            &visit.browser(),
            visit.request_id(),
            visit.now,
        )
        .await;
    visit.answer(step)
}

async fn device_form<S, C>(
    caller: Caller,
    State(context): Shared<S, C>,
    request: Request,
) -> Response
where
    S: IssuerStore + Flows,
    C: Secrets + People,
{
    with_form!(context, caller, request => visit, params);
    let ticket = params.one("ticket").unwrap_or_default();
    let step = if params.one("decision").is_some() {
        visit
            .issuer()
            .device_decide(
                ticket,
                decision(&params),
                &visit.browser(),
                visit.request_id(),
                visit.now,
            )
            .await
    } else {
        visit
            .issuer()
            .device_enter(
                ticket,
                params.one("user_code").unwrap_or_default(),
                &visit.browser(),
                visit.request_id(),
                visit.now,
            )
            .await
    };
    visit.answer(step)
}

async fn logout<S, C>(caller: Caller, State(context): Shared<S, C>, request: Request) -> Response
where
    S: IssuerStore + Flows,
    C: Secrets + People,
{
    with_form!(context, caller, request => visit, params);
    let outcome = visit
        .issuer()
        .logout(
            params.one("ticket").unwrap_or_default(),
            params.one("decision") == Some("allow"),
            &visit.browser(),
            visit.request_id(),
            visit.now,
        )
        .await;
    visit.answer_without(outcome)
}

async fn asset<S, C>(
    caller: Caller,
    State(context): Shared<S, C>,
    Path(file): Path<String>,
    method: Method,
) -> Response
where
    S: IssuerStore + Flows,
    C: Secrets + People,
{
    match context.pages.asset(&file) {
        Some(answer) => answer,
        None => {
            tracing::debug!(request_id = caller.request_id(), %method, "no such file");
            let mut answer = Response::default();
            *answer.status_mut() = StatusCode::NOT_FOUND;
            answer
        }
    }
}

#[cfg(test)]
mod tests;
