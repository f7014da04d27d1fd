//! What people allowed clients, and their sessions: lists, and ends.

use issuer::flow::{EndReason, FlowFilter, GrantEnd, GrantState, ListedGrant};
use registry::access::Action;
use registry::usecase::authorize;

use super::exchange::{Answer, Fault, Input};
use super::signing::refused;
use super::view::{EndFlows, FlowQuery, GrantView, Page, SessionView};
use super::{Parts, Work};

/// Entries of a list unless told otherwise.
const USUAL: u32 = 100;
/// Most entries of a list.
const MOST: u32 = 1000;

fn asked(input: &Input) -> Result<(FlowFilter, u32), Fault> {
    let query: FlowQuery = input.query()?;
    let limit = query.limit.unwrap_or(USUAL);
    if !(1..=MOST).contains(&limit) {
        return Err(Fault::invalid("limit is 1 to 1000."));
    }
    let filter = FlowFilter {
        subject: query.user,
        client_id: query.client,
        session: query.session,
        id: None,
    };
    Ok((filter, limit))
}

fn meant(input: &Input) -> Result<FlowFilter, Fault> {
    let body: EndFlows = input.json()?;
    body.filter()
        .ok_or_else(|| Fault::invalid("Give at least one of id, user, client and session."))
}

pub(super) async fn grants<P: Parts>(work: &Work<P>, input: &Input) -> Result<Answer, Fault> {
    authorize(&work.actor, Action::GrantRead)?;
    let (filter, limit) = asked(input)?;
    let found = work.admin.issuer.grants(&filter, work.now, limit).await;
    let items = found.map_err(|refusal| refused(&refusal))?;
    Answer::ok(&Page {
        items: items.into_iter().map(GrantView::new).collect::<Vec<_>>(),
        next: None,
    })
}

pub(super) async fn end_grants<P: Parts>(work: &Work<P>, input: &Input) -> Result<Answer, Fault> {
    authorize(&work.actor, Action::GrantEnd)?;
    let filter = meant(input)?;
    let issuer = &work.admin.issuer;
    let ended = issuer
        .end_grants(&filter, &work.actor, &work.request_id, work.now)
        .await
        .map_err(|refusal| refused(&refusal))?;
    let items: Vec<_> = ended
        .into_iter()
        .map(|grant| {
            GrantView::new(ListedGrant {
                grant,
                state: GrantState::Ended,
                refreshed_at: None,
                end: Some(GrantEnd {
                    at: work.now,
                    reason: EndReason::Administrator,
                }),
            })
        })
        .collect();
    Answer::ok(&Page { items, next: None })
}

pub(super) async fn sessions<P: Parts>(work: &Work<P>, input: &Input) -> Result<Answer, Fault> {
    authorize(&work.actor, Action::SessionRead)?;
    let (filter, limit) = asked(input)?;
    let found = work.admin.issuer.sessions(&filter, work.now, limit).await;
    let items = found.map_err(|refusal| refused(&refusal))?;
    Answer::ok(&Page {
        items: items.into_iter().map(SessionView::from).collect::<Vec<_>>(),
        next: None,
    })
}

pub(super) async fn end_sessions<P: Parts>(work: &Work<P>, input: &Input) -> Result<Answer, Fault> {
    authorize(&work.actor, Action::SessionEnd)?;
    let filter = meant(input)?;
    let issuer = &work.admin.issuer;
    let ended = issuer
        .end_people_sessions(&filter, &work.actor, &work.request_id, work.now)
        .await
        .map_err(|refusal| refused(&refusal))?;
    Answer::ok(&Page {
        items: ended.into_iter().map(SessionView::from).collect::<Vec<_>>(),
        next: None,
    })
}
