//! Messages for endpoints of others: handed in, taken over from the audit trail, looked at, sent
//! again, dropped. Nothing is sent here: whoever sends asks [`crate::ports::Webhooks`] for what is
//! due and tells with [`settle`] what came of it.

use proof::random::{Entropy, uuid_v7};
use proof::time::Timestamp;
use serde_json::Value;

use super::{Ctx, Details, Refusal, authorize, draft};
use crate::access::Action;
use crate::actor::Actor;
use crate::meaning::mean_all;
use crate::ports::{AuditTrail, Registry, Stores, Webhooks};
use crate::resource::ResourceKind;
use crate::usecase::resource::documents;
use crate::webhook::{
    Accepted, Disabled, EndpointMeaning, EndpointState, GONE, Heard, LARGEST_BODY, Message,
    MessageFilter, NewMessage, OWN, Outcome, Which, body, is_type, subject,
};

/// Who acts when a receiver or a schedule decides.
const SENDER: Actor = Actor::System { part: "webhooks" };
/// Events looked at between two writes.
const EVENTS_AT_ONCE: u32 = 200;
/// Writes before others get their turn.
const MOST_ROUNDS: usize = 10;
/// Longest cause that is kept, in bytes.
const LONGEST_CAUSE: usize = 200;

/// Hands in a message for an endpoint.
///
/// # Errors
/// [`Refusal::Invalid`] for a type that is none, that is Doorward's own, or that the endpoint does
/// not take; [`Refusal::QueueFull`], [`Refusal::Endpoint`]; others.
pub async fn send(
    ports: &(impl Registry + Webhooks),
    actor: &Actor,
    ctx: &Ctx<'_>,
    endpoint: &str,
    r#type: &str,
    data: &Value,
) -> Result<Message, Refusal> {
    authorize(actor, Action::WebhookSend)?;
    let invalid = |field, message| Err(Refusal::Invalid { field, message });
    if !is_type(r#type) {
        return invalid(
            "type",
            "a type is letters, digits, - and _ with full stops between, at most 128 bytes",
        );
    }
    if r#type.starts_with(OWN) {
        return invalid("type", "types that begin with doorward. are Doorward's own");
    }
    let endpoint = found(ports, ctx, endpoint).await?;
    if !endpoint.takes(r#type) {
        return invalid("type", "the endpoint does not take messages of this type");
    }
    let text = body(r#type, ctx.now, data);
    if text.len() > LARGEST_BODY {
        return invalid("data", "a message is at most 256 KiB");
    }
    let message = NewMessage {
        id: new_id(ctx.now, ctx.entropy),
        endpoint: endpoint.name.clone(),
        r#type: r#type.to_owned(),
        body: text,
        at: ctx.now,
    };
    let details = Details::from([
        ("message".to_owned(), message.id.clone()),
        ("type".to_owned(), message.r#type.clone()),
    ]);
    let audit = draft(
        ctx,
        actor,
        Action::WebhookSend,
        subject(&endpoint.name),
        details,
    );
    let id = message.id.clone();
    match ports.accept_message(message, endpoint.queue, audit).await? {
        Accepted::Done => show_any(ports, &id).await,
        Accepted::Unknown => Err(unknown(&endpoint.name)),
        Accepted::Disabled => Err(Refusal::Endpoint("disabled")),
        Accepted::Full => Err(Refusal::QueueFull(endpoint.queue)),
    }
}

/// What an endpoint means, as it is declared now.
async fn found(
    ports: &impl Registry,
    ctx: &Ctx<'_>,
    name: &str,
) -> Result<EndpointMeaning, Refusal> {
    let kind = ResourceKind::WebhookEndpoint;
    if ports.resource(kind, name).await?.is_none() {
        return Err(unknown(name));
    }
    // Only what it refers to is read beside it: a flaw elsewhere must not stop messages.
    let mut stored = ports.resources(Some(ResourceKind::Application)).await?;
    stored.extend(ports.resource(kind, name).await?);
    let documents = documents(&stored)?;
    let meant = mean_all(&documents, ctx.context).map_err(Refusal::Flawed)?;
    let is_it = |one: &&std::sync::Arc<EndpointMeaning>| one.name == name;
    let endpoint = meant.webhooks.iter().find(is_it);
    endpoint
        .map(|one| EndpointMeaning::clone(one))
        .ok_or_else(|| unknown(name))
}

/// Takes over what the audit trail says, for an endpoint that listens. What does not fit into its
/// queue stays in the trail until there is room. Returns how many messages there are more.
///
/// # Errors
/// [`crate::ports::StoreError`].
pub async fn take_events(
    ports: &(impl Webhooks + AuditTrail),
    endpoint: &EndpointMeaning,
    state: &EndpointState,
    now: Timestamp,
    entropy: &dyn Entropy,
) -> Stores<u64> {
    if state.disabled.is_some() || !endpoint.listens() {
        return Ok(0);
    }
    let (mut after, mut waiting, mut taken) = (state.after, state.waiting, 0);
    for _ in 0..MOST_ROUNDS {
        let events = ports.audit_events(after, EVENTS_AT_ONCE, false).await?;
        let mut messages = Vec::new();
        let mut to = after;
        for event in &events {
            let Some(sequence) = event.sequence else {
                break;
            };
            if let Some(message) = endpoint.message_of(event, new_id(now, entropy), now) {
                if waiting >= i64::from(endpoint.queue) {
                    break;
                }
                waiting += 1;
                messages.push(message);
            }
            to = sequence;
        }
        if to == after {
            return Ok(taken);
        }
        if !ports
            .accept_events(&endpoint.name, after, to, &messages)
            .await?
        {
            // Another node has them.
            return Ok(taken);
        }
        taken += messages.len() as u64;
        after = to;
        if events.len() < EVENTS_AT_ONCE as usize {
            break;
        }
    }
    Ok(taken)
}

/// Records what came of a try, and disables the endpoint if the receiver says that it is gone.
/// Returns what became of the message; `None`: somebody else settled it.
///
/// # Errors
/// [`crate::ports::StoreError`]; the try is made again once its lease is over.
pub async fn settle(
    ports: &impl Webhooks,
    ctx: &Ctx<'_>,
    endpoint: &EndpointMeaning,
    message: &Message,
    mut heard: Heard,
) -> Stores<Option<Outcome>> {
    let end = heard.cause.floor_char_boundary(LONGEST_CAUSE);
    heard.cause.truncate(end);
    let gone = heard.status == Some(GONE);
    let outcome = endpoint.outcome(message.attempts, heard, ctx.now, ctx.entropy);
    let audit = match &outcome {
        Outcome::Dead { cause, .. } => {
            let details = Details::from([
                ("message".to_owned(), message.id.clone()),
                ("type".to_owned(), message.r#type.clone()),
                ("attempts".to_owned(), message.attempts.to_string()),
                ("cause".to_owned(), cause.clone()),
            ]);
            let subject = subject(&endpoint.name);
            Some(draft(ctx, &SENDER, Action::WebhookDead, subject, details))
        }
        Outcome::Delivered { .. } | Outcome::Again { .. } => None,
    };
    let done = ports
        .settle_message(
            &message.id,
            message.attempts,
            outcome.clone(),
            ctx.now,
            audit,
        )
        .await?;
    if gone {
        let cause = "the receiver answered 410: it wants no more".to_owned();
        switch(ports, &SENDER, ctx, &endpoint.name, Some(cause)).await?;
    }
    Ok(done.then_some(outcome))
}

async fn switch(
    ports: &impl Webhooks,
    actor: &Actor,
    ctx: &Ctx<'_>,
    name: &str,
    disabled: Option<String>,
) -> Stores<bool> {
    let (action, details) = match &disabled {
        Some(cause) => (
            Action::WebhookDisable,
            Details::from([("cause".to_owned(), cause.clone())]),
        ),
        None => (Action::WebhookEnable, Details::new()),
    };
    let audit = draft(ctx, actor, action, subject(name), details);
    let disabled = disabled.map(|cause| Disabled { at: ctx.now, cause });
    ports.switch_endpoint(name, disabled, audit).await
}

/// Sends nothing to an endpoint any more; what waits goes on waiting.
///
/// # Errors
/// [`Refusal::Endpoint`] if it is disabled already; others.
pub async fn disable(
    ports: &impl Webhooks,
    actor: &Actor,
    ctx: &Ctx<'_>,
    name: &str,
) -> Result<EndpointState, Refusal> {
    authorize(actor, Action::WebhookDisable)?;
    let cause = "an administrator disabled it".to_owned();
    let done = switch(ports, actor, ctx, name, Some(cause)).await?;
    switched(ports, name, done, "disabled already").await
}

/// Sends to an endpoint again. Events of the time in between are not made up for.
///
/// # Errors
/// [`Refusal::Endpoint`] if it is not disabled; others.
pub async fn enable(
    ports: &impl Webhooks,
    actor: &Actor,
    ctx: &Ctx<'_>,
    name: &str,
) -> Result<EndpointState, Refusal> {
    authorize(actor, Action::WebhookEnable)?;
    let done = switch(ports, actor, ctx, name, None).await?;
    switched(ports, name, done, "not disabled").await
}

async fn switched(
    ports: &impl Webhooks,
    name: &str,
    done: bool,
    otherwise: &'static str,
) -> Result<EndpointState, Refusal> {
    let states = ports.endpoint_states().await?;
    match states.into_iter().find(|state| state.name == name) {
        None => Err(unknown(name)),
        Some(_) if !done => Err(Refusal::Endpoint(otherwise)),
        Some(state) => Ok(state),
    }
}

/// How all endpoints are.
///
/// # Errors
/// [`Refusal`].
pub async fn states(ports: &impl Webhooks, actor: &Actor) -> Result<Vec<EndpointState>, Refusal> {
    authorize(actor, Action::WebhookRead)?;
    Ok(ports.endpoint_states().await?)
}

/// Messages by filter, the newest first.
///
/// # Errors
/// [`Refusal`].
pub async fn list(
    ports: &impl Webhooks,
    actor: &Actor,
    filter: &MessageFilter,
) -> Result<Vec<Message>, Refusal> {
    authorize(actor, Action::WebhookRead)?;
    Ok(ports.messages(filter).await?)
}

/// One message.
///
/// # Errors
/// [`Refusal::NotFound`]; others.
pub async fn show(ports: &impl Webhooks, actor: &Actor, id: &str) -> Result<Message, Refusal> {
    authorize(actor, Action::WebhookRead)?;
    show_any(ports, id).await
}

async fn show_any(ports: &impl Webhooks, id: &str) -> Result<Message, Refusal> {
    ports.message(id).await?.ok_or_else(|| no_message(id))
}

/// Sends messages again: one, whatever became of it, or all dead letters of an endpoint. Returns how
/// many.
///
/// # Errors
/// [`Refusal::NotFound`] for one that is not there; others.
pub async fn retry(
    ports: &(impl Registry + Webhooks),
    actor: &Actor,
    ctx: &Ctx<'_>,
    which: &Which,
) -> Result<u64, Refusal> {
    let action = Action::WebhookRetry;
    let audit = about(ports, actor, ctx, action, which).await?;
    Ok(ports.send_again(which, ctx.now, audit).await?)
}

/// Drops messages: one, whatever became of it, or all dead letters of an endpoint. Returns how many.
///
/// # Errors
/// [`Refusal::NotFound`] for one that is not there; others.
pub async fn discard(
    ports: &(impl Registry + Webhooks),
    actor: &Actor,
    ctx: &Ctx<'_>,
    which: &Which,
) -> Result<u64, Refusal> {
    let audit = about(ports, actor, ctx, Action::WebhookDrop, which).await?;
    Ok(ports.drop_messages(which, audit).await?)
}

/// The event of an act on messages that are there.
async fn about(
    ports: &(impl Registry + Webhooks),
    actor: &Actor,
    ctx: &Ctx<'_>,
    action: Action,
    which: &Which,
) -> Result<crate::audit::AuditDraft, Refusal> {
    authorize(actor, action)?;
    let (endpoint, details) = match which {
        Which::One(id) => {
            let message = show_any(ports, id).await?;
            let details = Details::from([
                ("message".to_owned(), message.id),
                ("type".to_owned(), message.r#type),
            ]);
            (message.endpoint, details)
        }
        Which::DeadOf(name) => {
            let kind = ResourceKind::WebhookEndpoint;
            if ports.resource(kind, name).await?.is_none() {
                return Err(unknown(name));
            }
            let details = Details::from([("messages".to_owned(), "dead".to_owned())]);
            (name.clone(), details)
        }
    };
    Ok(draft(ctx, actor, action, subject(&endpoint), details))
}

fn new_id(now: Timestamp, entropy: &dyn Entropy) -> String {
    format!("msg_{}", uuid_v7(now, entropy))
}

fn unknown(name: &str) -> Refusal {
    Refusal::NotFound {
        what: ResourceKind::WebhookEndpoint.name(),
        name: name.to_owned(),
    }
}

fn no_message(id: &str) -> Refusal {
    Refusal::NotFound {
        what: "message",
        name: id.to_owned(),
    }
}
