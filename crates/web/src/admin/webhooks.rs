//! Messages for endpoints of others: handed in, listed, sent again, dropped.

use registry::usecase::webhook;
use registry::webhook::{MessageFilter, MessageState, Which};

use super::exchange::{Answer, Fault, Input};
use super::operation::WebhookAct;
use super::view::{
    Act, Page, SendWebhook, WebhookMessage, WebhookQuery, WebhookStatus, WebhooksTouched,
};
use super::{Parts, Work};

/// Entries of a list unless told otherwise.
const USUAL: u32 = 100;

pub(super) async fn serve<P: Parts>(
    act: WebhookAct,
    work: &Work<P>,
    input: &Input,
) -> Result<Answer, Fault> {
    let (store, actor, ctx) = (work.store(), &work.actor, &work.ctx());
    let (name, id) = (&*input.name, &*input.id);
    if !matches!(act, WebhookAct::Send) && act.is_post() {
        let _: Act = input.json()?;
    }
    let touched = |messages| Answer::ok(&WebhooksTouched { messages });
    match act {
        WebhookAct::Send => {
            let body: SendWebhook = input.json()?;
            let sent = webhook::send(store, actor, ctx, name, &body.r#type, &body.data).await?;
            Answer::accepted(&WebhookMessage::whole(sent))
        }
        WebhookAct::Status => {
            let states = webhook::states(store, actor).await?;
            let items: Vec<_> = states.into_iter().map(WebhookStatus::from).collect();
            Answer::ok(&Page { items, next: None })
        }
        WebhookAct::Enable => {
            let state = webhook::enable(store, actor, ctx, name).await?;
            Answer::ok(&WebhookStatus::from(state))
        }
        WebhookAct::Disable => {
            let state = webhook::disable(store, actor, ctx, name).await?;
            Answer::ok(&WebhookStatus::from(state))
        }
        WebhookAct::List => list(work, input).await,
        WebhookAct::Show => {
            let message = webhook::show(store, actor, id).await?;
            Answer::ok(&WebhookMessage::whole(message))
        }
        WebhookAct::Retry => {
            let which = Which::One(id.to_owned());
            touched(webhook::retry(store, actor, ctx, &which).await?)
        }
        WebhookAct::RetryDead => {
            let which = Which::DeadOf(name.to_owned());
            touched(webhook::retry(store, actor, ctx, &which).await?)
        }
        WebhookAct::Drop => {
            let which = Which::One(id.to_owned());
            touched(webhook::discard(store, actor, ctx, &which).await?)
        }
        WebhookAct::DropDead => {
            let which = Which::DeadOf(name.to_owned());
            touched(webhook::discard(store, actor, ctx, &which).await?)
        }
    }
}

async fn list<P: Parts>(work: &Work<P>, input: &Input) -> Result<Answer, Fault> {
    let query: WebhookQuery = input.query()?;
    let limit = query.limit.unwrap_or(USUAL);
    if !(1..=1000).contains(&limit) {
        return Err(Fault::invalid("limit is 1 to 1000."));
    }
    let state = query.state.as_deref().map(MessageState::from_name);
    if state == Some(None) {
        return Err(Fault::invalid("state is waiting, delivered or dead."));
    }
    let filter = MessageFilter {
        endpoint: query.endpoint,
        state: state.flatten(),
        before: query.before,
        limit,
    };
    let found = webhook::list(work.store(), &work.actor, &filter).await?;
    let full = u32::try_from(found.len()).is_ok_and(|many| many >= limit);
    let next = found.last().map(|last| last.id.clone()).filter(|_| full);
    let items: Vec<_> = found.into_iter().map(WebhookMessage::listed).collect();
    Answer::ok(&Page { items, next })
}
