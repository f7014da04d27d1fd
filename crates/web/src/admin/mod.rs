//! **The admin API**: the control plane over HTTP, as JSON. It turns requests into use cases of
//! `registry` and `issuer` and their outcomes into answers; it decides nothing but whose site it is
//! ([`site`]). The gateway has verified the admin key before a request comes here; which key it was
//! travels in the sealed extension of the permit, and a request without one gets 500.
//!
//! [`operation`] lists all that can be done. Routes, declaration, OpenAPI document and the golden
//! table of roles are made from that list, so none of them can lack an operation.

mod credentials;
mod declaration;
mod declared;
mod document;
mod exchange;
mod explain;
mod flows;
pub mod operation;
mod process;
mod record;
mod relations;
mod replay;
mod resources;
mod signing;
pub mod site;
mod usage;
pub mod view;
mod webhooks;

use core::future::Future;
use core::marker::PhantomData;
use core::net::IpAddr;
use core::pin::Pin;
use std::collections::HashMap;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{RawPathParams, State};
use axum::response::Response;
use axum::routing::{MethodFilter, on};
use bytes::Bytes;
use http::{HeaderMap, Request};
use issuer::Issuer;
use issuer::flow::Flows;
use issuer::ports::{IssuerStore, People, Secrets};
use proof::random::Entropy;
use proof::time::Timestamp;
use registry::access::Action;
use registry::actor::Actor;
use registry::document::Document;
use registry::meaning::Context;
use registry::ports::{AuditTrail, CallRecord, Files, Registry, Webhooks};
use registry::record::Decision;
use registry::relations::{Relations, Token};
use registry::usecase::{Ctx, Hasher, Refusal, admin_key, refused_draft};
use verdict::identity::{LifeState, Principal};
use verdict::policy::relations::{Checked, Object};
use verdict::problem::{Code, Problem};

use crate::admitted::Caller;
use crate::respond;
use exchange::{Answer, Fault, Input};
use operation::Operation;
use site::Site;
use view::SettingsStatus;

pub use declaration::{NAME, declaration};
pub use document::openapi;
pub use exchange::MAX_BODY;

/// What the admin API asks of the store.
pub trait Store:
    Registry + Relations + AuditTrail + CallRecord + IssuerStore + Flows + Webhooks + 'static
{
}
impl<T> Store for T where
    T: Registry + Relations + AuditTrail + CallRecord + IssuerStore + Flows + Webhooks + 'static
{
}

/// What the admin API is wired from. Implemented once, by the composition root.
pub trait Parts: Send + Sync + 'static {
    /// Durable state.
    type Store: Store;
    /// Makes verifiers of new secrets.
    type Hasher: Hasher + 'static;
    /// The issuer's check of client secrets.
    type Secrets: Secrets + People + 'static;
}

/// What the admin API is told of the process that it runs in.
pub trait Process: Send + Sync {
    /// What documents are read against now.
    fn context(&self) -> Arc<Context>;
    /// The files that documents may name.
    fn files(&self) -> &dyn Files;
    /// When the settings in force were read, and why a later version was refused.
    fn settings_status(&self) -> SettingsStatus;
    /// The settings in force, secrets masked.
    fn effective_settings(&self) -> serde_json::Value;
    /// When the process started.
    fn started_at(&self) -> Timestamp;
    /// Doorward's version.
    fn version(&self) -> &str;
}

/// A call that is to be explained.
pub struct Asked {
    /// The request as a text, its credential among it.
    pub text: Bytes,
    /// By which scheme it comes, if that is said.
    pub scheme: Option<view::CallScheme>,
    /// From which address, if that is said.
    pub from: Option<IpAddr>,
    /// The client's certificate, PEM.
    pub certificate: Option<Bytes>,
    /// When it is to be judged, if not now.
    pub at: Option<Timestamp>,
}

impl core::fmt::Debug for Asked {
    /// Without the request, which holds a credential.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Asked").finish_non_exhaustive()
    }
}

/// An explanation in the making.
pub type Explaining<'a> =
    Pin<Box<dyn Future<Output = Result<view::ExplanationView, Problem>> + Send + 'a>>;

/// Tells how a call would be judged by this node. Nothing may come of it but what `by`, who asks, has
/// left of a budget.
pub trait Explainer: Send + Sync {
    /// Explains one call.
    ///
    /// # Errors
    /// 400 with its place for a text that is no request, 429 when the budget is spent.
    fn explain<'a>(&'a self, asked: Asked, by: &'a str, now: Timestamp) -> Explaining<'a>;
}

/// Recorded calls, judged again.
pub type Replaying<'a> = Pin<Box<dyn Future<Output = Result<Vec<Again>, Refusal>> + Send + 'a>>;

/// What would come of a recorded call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Again {
    /// What the record does not hold, in words: it can't be told.
    Unknown(String),
    /// It would pass.
    Allow,
    /// It would be refused: with which code, and why.
    Deny(&'static str, String),
}

/// Judges recorded calls by other documents. Nothing comes of it.
pub trait Replayer: Send + Sync {
    /// Works out what `documents` would mean in the place of those that stand, and judges each of
    /// `calls` by that. The answers come in the calls' order.
    ///
    /// # Errors
    /// The flaws of the documents, or a fact that can't be had.
    fn replay<'a>(
        &'a self,
        documents: &'a [Document],
        calls: &'a [Decision],
        now: Timestamp,
    ) -> Replaying<'a>;
}

/// Whether a subject has a relation to an object.
#[derive(Debug, Clone)]
pub struct Question {
    /// Who.
    pub subject: Object,
    /// The relation.
    pub relation: String,
    /// To what.
    pub object: Object,
}

/// Answers in the making.
pub type Checking<'a> = Pin<Box<dyn Future<Output = Result<Vec<Checked>, Problem>> + Send + 'a>>;

/// Answers questions about relations as calls at this node are judged: by the model in force, over
/// what the node remembers.
pub trait Checker: Send + Sync {
    /// The answers in the order of the questions. With a token, this node waits a little until it has
    /// seen that change.
    ///
    /// # Errors
    /// 400 with its place for a type or relation that is not there; 503 if the change did not come, or
    /// tuples can't be read.
    fn check(
        &self,
        questions: Vec<Question>,
        at_least: Option<Token>,
        now: Timestamp,
    ) -> Checking<'_>;
}

/// The admin API's parts, ready to serve.
pub struct Admin<P: Parts> {
    /// Durable state.
    pub store: Arc<P::Store>,
    /// Makes verifiers of new secrets.
    pub hasher: Arc<P::Hasher>,
    /// Rotates signing keys, revokes tokens.
    pub issuer: Arc<Issuer<P::Store, P::Secrets>>,
    /// The process.
    pub process: Arc<dyn Process>,
    /// Explains calls.
    pub explainer: Arc<dyn Explainer>,
    /// Judges recorded calls again.
    pub replayer: Arc<dyn Replayer>,
    /// Answers questions about relations.
    pub checker: Arc<dyn Checker>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
    /// Names under which it answers.
    pub site: Site,
}

impl<P: Parts> core::fmt::Debug for Admin<P> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Admin")
            .field("site", &self.site)
            .finish_non_exhaustive()
    }
}

/// The admin API as a service, to be mounted behind the gateway's admin listener under [`NAME`].
pub fn router<P: Parts>(admin: Admin<P>) -> Router {
    let mut router = Router::new();
    for operation in Operation::all() {
        let filter = MethodFilter::try_from(operation.method())
            .expect("the methods of operations are known ones");
        let served = move |State(admin): State<Arc<Admin<P>>>, caller, names, request| {
            serve(admin, operation, caller, names, request)
        };
        router = router.route(&operation.path(), on(filter, served));
    }
    router.fallback(nothing_here).with_state(Arc::new(admin))
}

/// One request on its way: by whom, when.
struct Work<P: Parts> {
    admin: Arc<Admin<P>>,
    actor: Actor,
    request_id: Arc<str>,
    now: Timestamp,
    context: Arc<Context>,
    parts: PhantomData<P>,
}

impl<P: Parts> Work<P> {
    fn store(&self) -> &P::Store {
        &self.admin.store
    }
    fn hasher(&self) -> &P::Hasher {
        &self.admin.hasher
    }
    fn ctx(&self) -> Ctx<'_> {
        Ctx {
            now: self.now,
            entropy: &*self.admin.entropy,
            request_id: &self.request_id,
            context: &self.context,
            files: self.admin.process.files(),
        }
    }
}

async fn serve<P: Parts>(
    admin: Arc<Admin<P>>,
    operation: Operation,
    caller: Caller,
    names: RawPathParams,
    request: Request<Body>,
) -> Response {
    let request_id: Arc<str> = caller.request_id().into();
    let answer = Box::pin(answer(admin, operation, caller, &names, request)).await;
    answer.map_or_else(
        |fault| fault.into_response(&request_id),
        Answer::into_response,
    )
}

async fn answer<P: Parts>(
    admin: Arc<Admin<P>>,
    operation: Operation,
    caller: Caller,
    names: &RawPathParams,
    request: Request<Body>,
) -> Result<Answer, Fault> {
    admin.site.check(request.headers(), caller.arrival())?;
    let actor = actor(&*admin.store, &caller, caller.arrival().received).await?;
    let work = Work {
        context: admin.process.context(),
        request_id: caller.request_id().into(),
        now: caller.arrival().received,
        admin,
        actor,
        parts: PhantomData::<P>,
    };
    let names: HashMap<&str, &str> = names.iter().collect();
    let name = |key| names.get(key).copied().unwrap_or_default().to_owned();
    let (name, id) = (name("name"), name("id"));
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, MAX_BODY)
        .await
        .map_err(|error| {
            // The gateway's limit is the same and comes first; whatever else broke the body is there.
            Problem::new(Code::BodyTooLarge, error.to_string())
        })?;
    let query = parts.uri.query().unwrap_or_default().to_owned();
    let input = Input::new(name, id, query, HeaderMap::clone(&parts.headers), body);
    match dispatch(operation, &work, &input).await {
        Err(Fault::Refusal(Refusal::NotAllowed(action))) => {
            note_refused(&work, operation, &input, action).await;
            Err(Fault::Refusal(Refusal::NotAllowed(action)))
        }
        other => other,
    }
}

async fn dispatch<P: Parts>(
    operation: Operation,
    work: &Work<P>,
    input: &Input,
) -> Result<Answer, Fault> {
    // The role first: who may not do it learns nothing of what is there. The use case asks again,
    // since it is the one that must not be got round.
    if let Some(action) = operation.action() {
        registry::usecase::authorize(&work.actor, action)?;
    }
    match operation {
        Operation::Status => process::status(work).await,
        Operation::Settings => process::settings(work),
        Operation::OpenApi => Answer::ok(&openapi()),
        Operation::Apply => declared::apply(work, input).await,
        Operation::Export => declared::export(work, input).await,
        Operation::Resource(kind, act) => resources::serve(kind, act, work, input).await,
        Operation::Credential(family, act) => credentials::serve(family, act, work, input).await,
        Operation::Webhook(act) => webhooks::serve(act, work, input).await,
        Operation::Suspend(party) => resources::switch(party, true, work, input).await,
        Operation::Resume(party) => resources::switch(party, false, work, input).await,
        Operation::ImportKey => credentials::import(work, input).await,
        Operation::SigningKeys => signing::list(work).await,
        Operation::RotateSigningKey => signing::rotate(work, input).await,
        Operation::RevokeTokens => signing::revoke(work, input).await,
        Operation::Relations => relations::list(work, input).await,
        Operation::WriteRelations => relations::write(work, input).await,
        Operation::LeftOverRelations => relations::left_over(work).await,
        Operation::CheckRelations => relations::check(work, input).await,
        Operation::ListObjects => relations::objects(work, input).await,
        Operation::ListSubjects => relations::subjects(work, input).await,
        Operation::ExpandRelation => relations::expand(work, input).await,
        Operation::Grants => flows::grants(work, input).await,
        Operation::EndGrants => flows::end_grants(work, input).await,
        Operation::Sessions => flows::sessions(work, input).await,
        Operation::EndSessions => flows::end_sessions(work, input).await,
        Operation::Audit => record::audit(work, input).await,
        Operation::VerifyAudit => record::verify(work).await,
        Operation::Checkpoints => record::checkpoints(work).await,
        Operation::Decisions => record::decisions(work, input).await,
        Operation::Decision => explain::decision(work, input).await,
        Operation::Usage => usage::list(work, input).await,
        Operation::Explain => explain::explain(work, input).await,
        Operation::Replay => replay::replay(work, input).await,
    }
}

/// Who acts: the administrator's key that the gateway verified, as it is stored now, so that a
/// change of its role or its end is felt at once.
async fn actor(store: &impl Registry, caller: &Caller, now: Timestamp) -> Result<Actor, Fault> {
    let stray = |cause: &str| Fault::from(Problem::new(Code::Internal, cause));
    let identity = caller
        .identity()
        .ok_or_else(|| stray("nobody was identified on an admin route"))?;
    let standing = identity.standing();
    // Threat J4: no other kind of principal, whatever roles its credential carries.
    if !matches!(standing.principal, Principal::Administrator(_)) {
        return Err(stray("somebody other than an administrator was admitted"));
    }
    let refused = |cause: &str| Fault::from(Problem::new(Code::CredentialRefused, cause));
    let key = store
        .credential(standing.credential.as_str())
        .await?
        .ok_or_else(|| refused("the admin key is gone meanwhile"))?;
    if key.state != LifeState::Active || key.expires_at.is_some_and(|end| now >= end) {
        return Err(refused("the admin key has ended meanwhile"));
    }
    admin_key::actor_of(&key).ok_or_else(|| stray("the admin key has no role"))
}

/// A refused act leaves a trace. It was not done, so the note is all there is to lose: a store that
/// can't take it is reported and does not turn the refusal into something else.
async fn note_refused<P: Parts>(
    work: &Work<P>,
    operation: Operation,
    input: &Input,
    action: Action,
) {
    let mut subject = operation.id();
    for part in [&input.name, &input.id] {
        // What was asked for is the caller's text; only what can be a name or an id is written down.
        if !part.is_empty()
            && part.len() <= 64
            && part
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
        {
            subject.push('/');
            subject.push_str(part);
        }
    }
    let draft = refused_draft(&work.ctx(), &work.actor, action, subject);
    if let Err(error) = work.store().note(draft).await {
        tracing::error!(request_id = &*work.request_id, %error, "a refused act could not be noted in the audit trail");
    }
}

/// Answers requests that no operation matches, should the gateway let one through.
async fn nothing_here(caller: Caller) -> Response {
    respond::problem(
        &Problem::new(Code::NotFound, "no such operation"),
        caller.request_id(),
    )
}

#[cfg(test)]
pub(crate) mod tests;
