//! **The way**: identify, decide, permit. The only makers of identities and permits.
//!
//! Each step takes the call and hands it on or hands it back; there is no step that answers *yes*
//! without the value that the next one needs. What stands between the two is nobody's to skip.

use bytes::Bytes;
use http::header::ORIGIN;
use proof::request::{BodyCheck, BodyDefect, BodyDigest};
use proof::time::Timestamp;

use crate::call::{Arrival, Body, Call, Head};
use crate::credential::challenge::{self, Tried};
use crate::credential::jwt::IssuerId;
use crate::credential::{self, CredentialKind, Delivery, NeededBody, Proved};
use crate::facts::{Answer, Facts};
use crate::identity::{Companion, Identity, Standing};
use crate::policy::{self, Judged, Obliged, Ruling};
use crate::problem::{Code, Problem};
use crate::route::{Api, Demand, Route};
use crate::trace::{Check, Note};

/// A call whose caller is known (or whose route is public).
#[derive(Debug)]
pub struct Identified<R> {
    call: Call<R>,
    identity: Option<Identity>,
    body: Option<SignedBody>,
    delivery: Option<Delivery>,
}

/// What the body of a call must be, because a signature says so. Whoever forwards the call runs it
/// over the body, and forwards what comes out of it and nothing else.
#[derive(Debug)]
pub struct SignedBody {
    /// The check.
    pub check: BodyCheck,
    /// Whether what comes out differs from what goes in (signed chunks are decoded).
    pub rewrites: bool,
    /// How the call that brings it was to be proved, for the answer to a body that is another.
    pub tried: Tried,
}

/// A call that may pass: owns head and body, is not `Clone`, has no public constructor. The one
/// thing that forwarding takes, so there is no second way to the upstream.
#[derive(Debug)]
pub struct Permitted<R> {
    call: Call<R>,
    identity: Option<Identity>,
    body: Option<SignedBody>,
    delivery: Option<Delivery>,
    obliged: Option<Box<Obliged>>,
    judged: Option<Box<Judged>>,
}

/// What a permit is made of, for whoever forwards the call.
#[derive(Debug)]
pub struct Forward<R> {
    /// The head.
    pub head: Box<Head>,
    /// The body.
    pub body: Body<R>,
    /// Who calls; nobody on a public route.
    pub identity: Option<Identity>,
    /// What the body must turn out to be.
    pub signed: Option<SignedBody>,
    /// What is to be done because policies say so.
    pub obliged: Option<Box<Obliged>>,
}

/// What is kept of a permitted call while its stream is open, to ask again whether it still may.
#[derive(Debug, Clone)]
pub struct Lease {
    head: Box<Head>,
    identity: Identity,
    /// The body, where rules read it.
    body: Option<Bytes>,
}

impl Lease {
    /// The call's head, to find its route by.
    pub fn head(&self) -> &Head {
        &self.head
    }
    /// Who calls.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }
    /// Whether the call would pass now. A credential that proves itself anew each time it is shown is
    /// verified again, and so are its life and its revocation; of one that holds for a single call
    /// (a signature, a proof of possession) what it stands for is judged as it was, its end, whether
    /// the key that signed lives, and whether its client is suspended. One whose answer would be masked now does not pass: of what
    /// is open nothing can be masked.
    ///
    /// # Errors
    /// Why it would not.
    pub async fn holds(
        &self,
        route: &Route,
        facts: &impl Facts,
        now: Timestamp,
    ) -> Result<(), Problem> {
        let body = match &self.body {
            Some(bytes) => Body::<()>::Buffered(bytes.clone()),
            None => Body::Unavailable,
        };
        if credential::can_be_shown_again(&self.head, &self.identity) {
            let call = Call::new(self.head.clone(), body);
            let told = |refused: Refused<()>| refused.problem;
            let who = identify(call, route, facts, now).await.map_err(told)?;
            let permitted = decide(who, route, facts, now).await.map_err(told)?;
            return unmasked(permitted.obliged());
        }
        within_all_bounds(&self.identity, &self.head, route, facts, now)?;
        clients_are_awake(&self.identity, &route.api, facts)?;
        if let Demand::OneOf(combinations) = &route.demand {
            credential::still_live(&self.head, route, combinations, facts, now).await?;
        }
        let ruling = policy::judge(&self.identity, &self.head, &body, route, facts, now).await;
        unmasked(ruling.verdict?.as_deref())
    }
}

/// Threat J3: a mask that begins while a stream is open ends it.
fn unmasked(obliged: Option<&Obliged>) -> Result<(), Problem> {
    match obliged {
        Some(obliged) if !obliged.masks.is_empty() => Err(Problem::new(
            Code::PolicyDenied,
            "what is open would have to be masked now",
        )),
        _ => Ok(()),
    }
}

/// Whether no client of ours behind the credentials is suspended: what can be asked of one that held
/// for a single call, since its client's name stands in it.
fn clients_are_awake(identity: &Identity, api: &Api, facts: &impl Facts) -> Result<(), Problem> {
    let of_ours = |kind: CredentialKind, issuer: Option<&IssuerId>| {
        let mut own = api.issuers.iter().filter(|profile| profile.own);
        // Whoever signs its own calls is a client of ours, whether the API takes our tokens or not.
        kind == CredentialKind::ClientJwt || own.any(|profile| Some(&profile.issuer) == issuer)
    };
    let first = (identity.kind, &identity.standing, identity.issuer());
    let companions = identity.companions.iter();
    let further = companions.map(|one| (one.kind, &one.standing, one.issuer()));
    for (kind, standing, issuer) in core::iter::once(first).chain(further) {
        if of_ours(kind, issuer)
            && let Some(client) = &standing.client
        {
            credential::client_jwt::is_awake(client, facts)?;
        }
    }
    Ok(())
}

/// A call that may not pass, handed back whole so that answer and record have one place.
#[derive(Debug)]
pub struct Refused<R> {
    /// The call.
    pub call: Call<R>,
    /// Who it was, if that was established.
    pub identity: Option<Identity>,
    /// What relations and policies said, if they were asked.
    pub judged: Option<Box<Judged>>,
    /// Why.
    pub problem: Problem,
}

/// What a service in this process learns of a permitted call: how it arrived and who calls. The
/// one extension that travels with a request; only a permit makes it.
#[derive(Debug, Clone)]
pub struct Admitted {
    arrival: Arrival,
    identity: Option<Identity>,
}

/// Finds out who calls. See the crate's picture.
///
/// On a public route nobody is asked: a credential that is presented there is neither verified nor
/// believed. Whether `Authorization` goes on to the upstream is `pass_authorization`'s word.
///
/// # Errors
/// [`Refused`] with 400, 401, 403, 429 or 503.
pub async fn identify<R>(
    call: Call<R>,
    route: &Route,
    facts: &impl Facts,
    now: Timestamp,
) -> Result<Identified<R>, Refused<R>> {
    let mut call = call;
    let verdict = match who(&call, route, facts, now).await {
        Ok((identity, digest, delivery)) => {
            settle(&mut call, digest, facts).map(|body| (identity, body, delivery))
        }
        Err(problem) => Err(problem),
    };
    match verdict {
        Ok((identity, body, delivery)) => Ok(Identified {
            call,
            identity,
            body,
            delivery,
        }),
        Err(problem) => {
            let problem = challenge::attach(problem, call.head(), route);
            Err(Refused {
                call,
                identity: None,
                judged: None,
                problem,
            })
        }
    }
}

/// Whether the whole body must be at hand before this call can be judged: a signature covers a hash
/// of it that it does not name, or the body itself. A front then reads it first, within a bound.
pub fn needs_body(head: &Head, route: &Route) -> Option<NeededBody> {
    credential::needs_body(head, route)
}

/// Whether a call that [`needs_body`] could be let in at all, whatever its body turns out to be: the
/// key that it must be signed with lives. A front that is told no reads nothing and has the call
/// identified as it is, which refuses it: so strangers can't have bodies kept by fields that look
/// signed (threat E3).
///
/// # Errors
/// [`crate::facts::Unavailable`] where the key can't be asked for.
pub async fn can_hold(
    head: &Head,
    route: &Route,
    facts: &impl Facts,
    now: Timestamp,
) -> Answer<bool> {
    credential::can_hold(head, route, facts, now).await
}

/// Holds a body that is at hand against what was signed; for one that is still on the wire, what is
/// to be run over it.
fn settle<R>(
    call: &mut Call<R>,
    digest: Option<BodyDigest>,
    facts: &impl Facts,
) -> Result<Option<SignedBody>, Problem> {
    let Some(digest) = digest else {
        return Ok(None);
    };
    if matches!(digest, BodyDigest::Unsigned | BodyDigest::Checked) {
        return Ok(None);
    }
    let rewrites = digest.rewrites();
    let mut check = digest.into_check();
    if rewrites {
        // What is forwarded is the content: no field may say otherwise.
        decoded(call.head_mut());
    }
    match call.body() {
        Body::Stream(_) => Ok(Some(SignedBody {
            check,
            rewrites,
            tried: Tried::of(call.head()),
        })),
        Body::Buffered(bytes) => {
            facts.note(Note::Check(Check::SignedBody));
            let forged = |defect: BodyDefect| credential::refused(defect.code());
            let mut out = Vec::with_capacity(bytes.len());
            check.push(bytes, &mut out).map_err(forged)?;
            check.finish().map_err(forged)?;
            // What comes out is what went in, unless it was decoded.
            if rewrites {
                *call.body_mut() = Body::Buffered(out.into());
            }
            Ok(None)
        }
        Body::Unavailable => Err(Problem::new(
            Code::Internal,
            "a signed body that this front can't show",
        )),
    }
}

/// Takes off the head what was said of chunks that are decoded here.
fn decoded(head: &mut Head) {
    use http::header::{CONTENT_ENCODING, CONTENT_LENGTH};
    for name in ["x-amz-decoded-content-length", "x-amz-trailer"] {
        head.headers.remove(name);
    }
    head.headers.remove(CONTENT_LENGTH);
    let left: Vec<_> = head
        .headers
        .get_all(CONTENT_ENCODING)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .filter(|coding| !coding.is_empty() && !coding.eq_ignore_ascii_case("aws-chunked"))
        .map(str::to_owned)
        .collect();
    head.headers.remove(CONTENT_ENCODING);
    if let Ok(value) = http::HeaderValue::try_from(left.join(", "))
        && !left.is_empty()
    {
        head.headers.insert(CONTENT_ENCODING, value);
    }
}

async fn who<R>(
    call: &Call<R>,
    route: &Route,
    facts: &impl Facts,
    now: Timestamp,
) -> Result<(Option<Identity>, Option<BodyDigest>, Option<Delivery>), Problem> {
    let head = call.head();
    // Before anything else: an exposed credential must not reach an upstream on any route, and
    // must not be outweighed by a second one that holds.
    facts.note(Note::Check(Check::Exposed));
    credential::refuse_exposed(head, route)?;
    let combinations = match &route.demand {
        Demand::Public { .. } => return Ok((None, None, None)),
        Demand::OneOf(combinations) => combinations,
    };
    let mut identity: Option<Identity> = None;
    let (mut body, mut delivery) = (None, None);
    facts.note(Note::Check(Check::Presented));
    for presented in credential::take(head, route, combinations)? {
        let (proved, digest, begun) =
            credential::prove(presented, head, call.body(), route, facts, now).await?;
        let secret = proved.secret.as_ref();
        facts.note(Note::Proved(proved.kind, &proved.standing, secret));
        // One kind, and no kind stands twice in a combination.
        delivery = delivery.or(begun);
        if let Some(digest) = digest
            && body.replace(digest).is_some()
        {
            return Err(Problem::new(
                Code::Internal,
                "two signatures in one combination",
            ));
        }
        match &mut identity {
            None => identity = Some(principal(proved, now)),
            Some(identity) => join(identity, proved),
        }
    }
    match identity {
        Some(identity) => Ok((Some(identity), body, delivery)),
        None => Err(Problem::new(
            Code::CredentialMissing,
            "an empty combination",
        )),
    }
}

fn principal(proved: Proved, now: Timestamp) -> Identity {
    Identity {
        standing: proved.standing,
        kind: proved.kind,
        expires_at: proved.expires_at,
        ends: proved.ends,
        authenticated_at: now,
        issuer: proved.issuer,
        secret: proved.secret,
        companions: Vec::new(),
    }
}

fn join(identity: &mut Identity, proved: Proved) {
    // The combination holds no longer than its shortest part.
    identity.expires_at = earlier(identity.expires_at, proved.expires_at);
    identity.ends = earlier(identity.ends, proved.ends);
    identity.companions.push(Companion {
        kind: proved.kind,
        standing: proved.standing,
        issuer: proved.issuer,
        secret: proved.secret,
    });
}

fn earlier(one: Option<Timestamp>, other: Option<Timestamp>) -> Option<Timestamp> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

/// Decides whether the identified caller may do this. Of a combination, every credential must be
/// allowed to be used for this API from this place; scopes, roles and relations are the principal's.
///
/// # Errors
/// [`Refused`] with 403, or 401 if the credential ended since it was identified.
pub async fn decide<R>(
    who: Identified<R>,
    route: &Route,
    facts: &impl Facts,
    now: Timestamp,
) -> Result<Permitted<R>, Refused<R>> {
    let Identified {
        call,
        identity,
        body,
        delivery,
    } = who;
    let ruling = match (&identity, &route.demand) {
        (None, Demand::Public { .. }) => Ruling::from(Ok(None)),
        // Identified under another route: nobody is not an answer here.
        (None, Demand::OneOf(_)) => Ruling::from(Err(Problem::new(
            Code::CredentialMissing,
            "nobody was identified",
        ))),
        (Some(identity), _) => match within_all_bounds(identity, call.head(), route, facts, now) {
            Ok(()) => policy::judge(identity, call.head(), call.body(), route, facts, now).await,
            Err(problem) => Ruling::from(Err(problem)),
        },
    };
    let judged = ruling.judged;
    match ruling.verdict {
        Ok(obliged) => Ok(Permitted {
            call,
            identity,
            body,
            delivery,
            obliged,
            judged,
        }),
        Err(problem) => {
            let problem = challenge::attach(problem, call.head(), route);
            Err(Refused {
                call,
                identity,
                judged,
                problem,
            })
        }
    }
}

/// The bounds of the credentials themselves, before any rule: whoever holds the wrong one learns
/// nothing of the rule.
fn within_all_bounds(
    identity: &Identity,
    head: &Head,
    route: &Route,
    facts: &impl Facts,
    now: Timestamp,
) -> Result<(), Problem> {
    within_bounds(&identity.standing, head, &route.api, facts)?;
    for companion in &identity.companions {
        within_bounds(&companion.standing, head, &route.api, facts)?;
    }
    // Reading a body may take a while between the two steps.
    facts.note(Note::Check(Check::Meanwhile));
    if identity.ends.is_some_and(|end| now >= end) {
        return Err(credential::refused("the credential has expired meanwhile"));
    }
    Ok(())
}

/// Which side of the wall, which APIs, from where.
fn within_bounds(
    standing: &Standing,
    head: &Head,
    api: &Api,
    facts: &impl Facts,
) -> Result<(), Problem> {
    let id = &standing.credential;
    facts.note(Note::Check(Check::Environment));
    // Threat J4: both ways, since live data has no place in a test system either.
    if standing
        .environment
        .is_some_and(|environment| environment != api.environment)
    {
        return Err(Problem::new(
            Code::ApiNotAllowed,
            format!("{id} is of another environment"),
        ));
    }
    facts.note(Note::Check(Check::Apis));
    if !standing.apis.allows(&api.name) {
        return Err(Problem::new(
            Code::ApiNotAllowed,
            format!("{id} does not list the API"),
        ));
    }
    facts.note(Note::Check(Check::Networks));
    if !standing.allows_address(head.arrival().client) {
        return Err(Problem::new(
            Code::PlaceNotAllowed,
            format!("{id} is bound to other networks"),
        ));
    }
    if !standing.origins.is_empty() {
        facts.note(Note::Check(Check::Origins));
        let origin = head
            .headers()
            .get(ORIGIN)
            .and_then(|value| value.to_str().ok());
        if !origin.is_some_and(|origin| standing.origins.iter().any(|listed| **listed == *origin)) {
            return Err(Problem::new(
                Code::PlaceNotAllowed,
                format!("{id} does not list the origin"),
            ));
        }
    }
    Ok(())
}

impl<R> Identified<R> {
    /// The call.
    pub fn call(&self) -> &Call<R> {
        &self.call
    }
    /// Who calls; nobody on a public route.
    pub fn identity(&self) -> Option<&Identity> {
        self.identity.as_ref()
    }
    /// The webhook's delivery that this is, where it is one that can come again. Whoever gives up on
    /// the call ends it, so that its sender's next try is not taken for a second one at once.
    pub fn delivery(&self) -> Option<&Delivery> {
        self.delivery.as_ref()
    }
    /// Gives up on the call before a decision (a spent budget, say): there is no other way out.
    pub fn refuse(self, problem: Problem) -> Refused<R> {
        Refused {
            call: self.call,
            identity: self.identity,
            judged: None,
            problem,
        }
    }
    /// The body that is still on the wire, where the route's rules read it: to be read whole, within
    /// the route's bound, and given back by [`Identified::with_body`] before the call is decided.
    /// Asked for once its caller is known, so that strangers can't have bodies kept.
    pub fn take_body(&mut self, route: &Route) -> Option<R> {
        if self.identity.is_none() || !policy::reads_body(route) {
            return None;
        }
        match core::mem::replace(self.call.body_mut(), Body::Unavailable) {
            Body::Stream(stream) => Some(stream),
            other => {
                *self.call.body_mut() = other;
                None
            }
        }
    }
    /// Gives the whole body back. What was signed of it is held against it now.
    ///
    /// # Errors
    /// [`Refused`] where it is not the one that was signed.
    #[expect(
        clippy::result_large_err,
        reason = "as the steps themselves: it hands the call back"
    )]
    pub fn with_body(mut self, bytes: Bytes, route: &Route) -> Result<Self, Refused<R>> {
        let mut whole = bytes;
        if let Some(SignedBody {
            mut check, tried, ..
        }) = self.body.take()
        {
            let mut out = Vec::with_capacity(whole.len());
            let checked = check.push(&whole, &mut out).and_then(|()| check.finish());
            if let Err(defect) = checked {
                return Err(self.refuse(credential::signed::forged(route, tried, defect.code())));
            }
            whole = out.into();
        }
        *self.call.body_mut() = Body::Buffered(whole);
        Ok(self)
    }
}

impl<R> Permitted<R> {
    /// The call.
    pub fn call(&self) -> &Call<R> {
        &self.call
    }
    /// Who calls; nobody on a public route.
    pub fn identity(&self) -> Option<&Identity> {
        self.identity.as_ref()
    }
    /// What a service in this process may know of the call.
    pub fn admitted(&self) -> Admitted {
        Admitted {
            arrival: self.call.head().arrival().clone(),
            identity: self.identity.clone(),
        }
    }
    /// The webhook's delivery that this is, where it is one that can come again. Whoever forwards
    /// the call ends it; one that is acknowledged is answered and not forwarded.
    pub fn delivery(&self) -> Option<&Delivery> {
        self.delivery.as_ref()
    }
    /// What is needed to ask again later whether the call still may pass; nothing on a public route.
    pub fn lease(&self) -> Option<Lease> {
        Some(Lease {
            head: Box::new(self.call.head().clone()),
            identity: self.identity.clone()?,
            body: self.call.body().buffered().cloned(),
        })
    }
    /// What passing is tied to. Whoever forwards the call does it.
    pub fn obliged(&self) -> Option<&Obliged> {
        self.obliged.as_deref()
    }
    /// What relations and policies said, for the record: once.
    pub fn take_judged(&mut self) -> Option<Box<Judged>> {
        self.judged.take()
    }
    /// Takes the permit apart to forward the call. What it is made of can't be joined again.
    #[must_use = "a signed body is forwarded through its check, and what a policy obliges to is done"]
    pub fn into_forward(self) -> Forward<R> {
        let (head, body) = self.call.into_parts();
        Forward {
            head,
            body,
            identity: self.identity,
            signed: self.body,
            obliged: self.obliged,
        }
    }
    /// Gives up on the call after all (a spent budget, an upstream that is gone).
    pub fn refuse(self, problem: Problem) -> Refused<R> {
        Refused {
            call: self.call,
            identity: self.identity,
            judged: self.judged,
            problem,
        }
    }
}

impl Admitted {
    /// Where and how the call arrived.
    pub fn arrival(&self) -> &Arrival {
        &self.arrival
    }
    /// Who calls; nobody on a public route.
    pub fn identity(&self) -> Option<&Identity> {
        self.identity.as_ref()
    }
}

#[cfg(test)]
mod tests;
