//! **The way of a call**, whole and on one page.
//!
//! ```text
//! read ─▶ route ─▶ preflight ─▶ address limit ─▶ identify ─▶ decide ─▶ principal limit ─▶ forward
//!   └───────┴──────────┴──────────────┴─────────────┴───────────┴────────────┴──▶ refuse
//!                                 every one of them ends in the record
//! ```

use std::sync::Arc;

use http::header::{ORIGIN, TRANSFER_ENCODING};
use http::{HeaderValue, Request, Response, Version};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use proof::time::Timestamp;
use verdict::call::{Body as CallBody, Call};
use verdict::credential::binding::DPOP_NONCE;
use verdict::facts::Facts;
use verdict::identity::Identity;
use verdict::policy::MOST_BODY;
use verdict::problem::{Code, Problem};
use verdict::{Delivery, NeededBody, Permitted, Refused, can_hold, decide, identify, needs_body};

use crate::body::{self, Body, READ_AHEAD};
use crate::cors::Preflight;
use crate::forward::{Road, forward};
use crate::held::Held;
use crate::hygiene;
use crate::intake;
use crate::limit::{self, Told};
use crate::listen::Connection;
use crate::penalty;
use crate::plane::{Plane, clock};
use crate::record::{Heading, Story};
use crate::respond;
use crate::snapshot::{ApiEntry, Matched, RouteEntry, Snapshot};
use crate::turn;
use crate::upstream::Upstream;

/// Answers one request. Whatever happens, there is an answer and a record.
pub(crate) async fn serve<F: Facts + 'static>(
    plane: &Arc<Plane<F>>,
    connection: &Connection,
    mut request: Request<Incoming>,
) -> Response<Body> {
    let began = turn::now();
    let _on_call = connection.begin_call();
    let received = clock();
    let method = request.method().clone();
    let version = request.version();
    // hyper drops Content-Length where Transfer-Encoding stands too, before it can be seen. The
    // two together are how calls are smuggled, so a connection ends after any such call
    // (RFC 9112 §6.1; threat E1).
    let ambiguous =
        version == Version::HTTP_11 && request.headers().contains_key(TRANSFER_ENCODING);
    let request_id = connection.request_id(request.headers(), received);
    let snapshot = plane.snapshot.load_full();
    let mut trip = Trip::new(snapshot, connection, request_id, received);
    trip.story.began = began;
    trip.origin = request.headers().get(ORIGIN).cloned();
    let upgrade = request.extensions_mut().remove::<OnUpgrade>();
    let outcome = match plane.admit() {
        Some(_place) => way(plane, connection, request, upgrade, &mut trip).await,
        None => Err(respond::overloaded("too many calls at once")),
    };
    // One that was begun and is not forwarded was not taken: its sender's next try is no second one.
    if let Some(delivery) = trip.delivery.take().filter(|one| !one.acknowledged) {
        Box::pin(end(&*plane.facts, &delivery, false)).await;
    }
    let (mut answer, denied) = match outcome {
        Ok(answer) => (answer, None),
        Err(problem) => {
            let answer = respond::problem(&problem, &trip.story.request_id, &method);
            (answer, Some(problem))
        }
    };
    trip.dress(&mut answer);
    let closes = |code: Code| {
        use Code::{BodyTimeout, BodyTooLarge, UncleanAuthority, UncleanHeader, UncleanTarget};
        matches!(
            code,
            UncleanTarget | UncleanHeader | UncleanAuthority | BodyTooLarge | BodyTimeout
        )
    };
    let spent = connection.count_call();
    if ambiguous || spent || denied.as_ref().is_some_and(|problem| closes(problem.code)) {
        respond::close_after(&mut answer, version);
    }
    trip.story.close(
        answer.status(),
        denied.as_ref(),
        &plane.metrics,
        &*plane.options.decisions,
    );
    answer
}

/// The whole way: up to the permit, and through the door.
async fn way<F: Facts + 'static>(
    plane: &Arc<Plane<F>>,
    connection: &Connection,
    request: Request<Incoming>,
    upgrade: Option<OnUpgrade>,
    trip: &mut Trip,
) -> Result<Response<Body>, Problem> {
    let (permitted, route, below) = match approach(plane, connection, request, trip).await? {
        Approach::Answered(answer) => return Ok(answer),
        Approach::Permitted(permitted, route, below) => (permitted, route, below),
    };
    let road = Road {
        plane,
        connection,
        route: &route,
        below,
        request_id: &trip.request_id,
        upgrade,
    };
    let delivery = trip.delivery.take();
    if delivery.as_ref().is_some_and(|one| one.acknowledged) {
        return Ok(respond::acknowledged());
    }
    let answer = forward(permitted, road).await;
    if let Some(delivery) = delivery {
        let taken = answer
            .as_ref()
            .is_ok_and(|answer| answer.status().is_success());
        Box::pin(end(&*plane.facts, &delivery, taken)).await;
    }
    let answer = answer?;
    // Clients of our own issuer prove themselves to it, so that is where their guesses show.
    if let (Upstream::Local(_), http::StatusCode::UNAUTHORIZED) =
        (&route.api.upstream, answer.status())
    {
        penalty::failed(plane, trip.story.client, trip.story.received).await;
    }
    Ok(answer)
}

/// How far a call came that was not refused.
pub(crate) enum Approach {
    /// It is answered here: a preflight.
    Answered(Response<Body>),
    /// It may pass: by this route, whose path without its base path begins there.
    Permitted(Permitted<Incoming>, Arc<RouteEntry>, usize),
}

/// The steps up to the permit, in the order that the module's picture shows. Whoever explains a call
/// takes these very steps, with facts that only look.
pub(crate) async fn approach<F: Facts>(
    plane: &Plane<F>,
    connection: &Connection,
    request: Request<Incoming>,
    trip: &mut Trip,
) -> Result<Approach, Problem> {
    let facts = &*plane.facts;
    let now = trip.story.received;

    // Read once; what could be read in two ways goes no further.
    let (head, body) = intake::read(connection, request, &trip.story)?;
    trip.story.client = head.arrival().client;
    trip.story.head = Some(Heading::of(&head));

    // Whoever floods is held back before anything is looked up for it.
    if let Some(rate) = &plane.options.per_address {
        let taken = limit::address(facts, rate, trip.story.client, limit::DOOR, now).await;
        trip.told(taken)?;
    }

    // Preflights before any judgement: browsers send them without credentials.
    if let Some(asked) = Preflight::of(&head)
        && let Some((api, routed)) = trip.snapshot.preflight(&head, &asked.method)
        && let Some(cors) = &api.cors
    {
        trip.story.api = Some(api.meaning.judged.name.clone());
        return cors
            .preflight(&asked, routed)
            .map(Approach::Answered)
            .ok_or_else(|| Problem::new(Code::CorsRefused, "the preflight asks for too much"));
    }

    let (route, below) = match trip.snapshot.find(&head) {
        Matched::Route { route, below } => (route, below),
        Matched::OtherMethods { api, allow } => {
            trip.found(&api);
            let mut problem = Problem::new(Code::MethodNotAllowed, "no route has the method");
            problem.allow = Some(Box::new(allow));
            return Err(problem);
        }
        Matched::Nothing { api } => {
            api.iter().for_each(|api| trip.found(api));
            return Err(Problem::new(Code::NoRoute, "no route matches"));
        }
    };
    trip.found(&route.api);
    trip.story.route = Some(route.clone());
    if head.has_encoded_slash() && !route.meaning.allow_encoded_slash {
        return Err(Problem::new(
            Code::UncleanTarget,
            "the route takes no encoded slash",
        ));
    }

    // Strangers are counted before they can cost a hash or a signature check.
    if let Some(rate) = &route.api.meaning.per_address {
        let client = head.arrival().client;
        let taken = limit::address(facts, rate, client, route.api.address_rule, now).await;
        trip.told(taken)?;
    }
    let held = match &plane.options.failures_per_address {
        Some(rules) => facts.penalty(trip.story.client, rules, now).await?,
        None => None,
    };

    let judged = &*route.meaning.judged;
    if judged.answers_with_nonce(&head) {
        // Text of base64url: always a field value.
        trip.nonce = HeaderValue::from_str(&facts.dpop_nonces().mint(now)).ok();
    }
    // Some signatures are over the body, or over a hash of it that they don't name. Whoever can't be
    // believed whatever the body is has none of it held, and is refused below.
    let needed = match needs_body(&head, judged) {
        Some(_) if held.is_some() => None,
        Some(needed) => Box::pin(can_hold(&head, judged, facts, now))
            .await?
            .then_some(needed),
        None => None,
    };
    let body = match needed {
        Some(needed) => {
            let room = Held::new(&plane.options.held_bodies, trip.story.client);
            let limit = match needed {
                NeededBody::Short => route.meaning.body_limit.min(READ_AHEAD as u64),
                NeededBody::Whole => route.meaning.body_limit,
            };
            let read = body::whole(body, limit, route.idle_timeout, room).await;
            CallBody::Buffered(read.map_err(respond::of_body)?)
        }
        None => CallBody::Stream(body),
    };
    let call = Call::new(head, body);
    let mut who = match held {
        // Apart, so that other calls need no room for it.
        Some(held) => Box::pin(penalty::only_known(plane, call, judged, held, now)).await?,
        None => match identify(call, judged, facts, now).await {
            Ok(who) => who,
            Err(refused) => {
                let problem = trip.refused(refused);
                if matches!(problem.code, Code::CredentialRefused | Code::ProofRefused) {
                    penalty::failed(plane, trip.story.client, now).await;
                }
                return Err(problem);
            }
        },
    };
    trip.story.identity = who.identity().cloned();
    trip.delivery = who.delivery().cloned();
    // What rules read of a body is read only for those who are known.
    if let Some(stream) = who.take_body(judged) {
        let limit = route.meaning.body_limit.min(MOST_BODY as u64);
        let room = Held::new(&plane.options.held_bodies, trip.story.client);
        let read = Box::pin(body::whole(stream, limit, route.idle_timeout, room)).await;
        let read = read.map_err(respond::of_body)?;
        who = who
            .with_body(read, judged)
            .map_err(|refused| trip.refused(refused))?;
    }
    let mut permitted = decide(who, judged, facts, now)
        .await
        .map_err(|refused| trip.refused(refused))?;
    trip.story.judged = permitted.take_judged();

    // After the decision, so that a caller without the right can't spend another's budget.
    if let (Some(rate), Some(identity)) = (&route.api.meaning.per_principal, permitted.identity()) {
        let taken = limit::principal(facts, rate, identity, &judged.api.name, now).await;
        trip.told(taken)?;
    }
    let whose = |identity: &Identity| identity.standing().application.clone();
    if let Some(rate) = &route.api.meaning.per_application
        && let Some(application) = permitted.identity().and_then(whose)
    {
        let taken = limit::application(facts, rate, &application, &judged.api.name, now).await;
        trip.told(taken)?;
    }

    if let (Some(obliged), Some(identity)) = (permitted.obliged(), permitted.identity()) {
        for (name, budget) in &obliged.limits {
            let taken = limit::policy(facts, name, budget, identity, &judged.api.name, now).await;
            trip.told(taken)?;
        }
    }

    Ok(Approach::Permitted(permitted, route, below))
}

/// Keeps how a webhook's delivery ended. Where that can't be kept, its sender's next try goes to the
/// upstream once more, which is what senders promise anyway.
async fn end<F: Facts>(facts: &F, delivery: &Delivery, taken: bool) {
    let until = taken.then_some(delivery.until);
    let ended = facts.end_delivery(&delivery.key, &delivery.ids, until, clock());
    if let Err(cause) = ended.await {
        tracing::warn!(%cause, key = %delivery.key, "how a webhook's delivery ended can't be kept");
    }
}

/// What a call has met so far.
pub(crate) struct Trip {
    /// The configuration it began with and ends with.
    pub(crate) snapshot: Arc<Snapshot>,
    api: Option<Arc<ApiEntry>>,
    pub(crate) origin: Option<HeaderValue>,
    told: Option<Told>,
    /// What the caller's next DPoP proof is to repeat.
    nonce: Option<HeaderValue>,
    /// The webhook's delivery that was begun, until somebody is to end it.
    delivery: Option<Delivery>,
    request_id: HeaderValue,
    pub(crate) story: Story,
}

impl Trip {
    /// A call that has met nothing yet.
    pub(crate) fn new(
        snapshot: Arc<Snapshot>,
        connection: &Connection,
        request_id: Arc<str>,
        received: Timestamp,
    ) -> Self {
        Self {
            // An id of ours or one that was checked: always a field value.
            request_id: HeaderValue::from_str(&request_id)
                .unwrap_or_else(|_| HeaderValue::from_static("")),
            snapshot,
            api: None,
            origin: None,
            told: None,
            nonce: None,
            delivery: None,
            story: Story {
                began: turn::now(),
                head: None,
                request_id,
                client: connection.address,
                received,
                route: None,
                api: None,
                identity: None,
                judged: None,
            },
        }
    }

    fn found(&mut self, api: &Arc<ApiEntry>) {
        self.story.api = Some(api.meaning.judged.name.clone());
        self.api = Some(api.clone());
    }

    fn refused(&mut self, refused: Refused<Incoming>) -> Problem {
        self.story.identity = refused.identity;
        self.story.judged = refused.judged;
        refused.problem
    }

    fn told(&mut self, taken: Result<Told, (Problem, Option<Told>)>) -> Result<(), Problem> {
        match taken {
            Ok(told) => {
                self.told = Some(told);
                Ok(())
            }
            Err((problem, told)) => {
                self.told = told;
                Err(problem)
            }
        }
    }

    /// The fields that every answer gets, refusals included.
    pub(crate) fn dress(&self, answer: &mut Response<Body>) {
        let headers = answer.headers_mut();
        headers.insert(hygiene::REQUEST_ID, self.request_id.clone());
        if let Some(told) = &self.told {
            told.dress(headers);
        }
        if let Some(nonce) = &self.nonce {
            headers.insert(&DPOP_NONCE, nonce.clone());
        }
        if let Some(cors) = self.api.as_ref().and_then(|api| api.cors.as_ref()) {
            cors.dress(self.origin.as_ref(), headers);
        }
    }
}
