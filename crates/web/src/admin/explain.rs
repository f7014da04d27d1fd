//! How a call would be judged, and how one was. Asking is an act: a credential comes along, so the
//! role is an operator's, each time stands in the audit trail, and an answer that could not be noted
//! there is not given.

use std::collections::BTreeMap;

use bytes::Bytes;
use proof::base64std;
use registry::access::Action;
use registry::ports::{AuditTrail as _, CallRecord as _};
use registry::usecase::{Refusal, authorize, draft};

use super::exchange::{Answer, Fault, Input};
use super::view::{DecisionView, Explain, ExplanationView};
use super::{Asked, Parts, Work};

/// Longest request id.
const MAX_REQUEST_ID: usize = 64;

pub(super) async fn explain<P: Parts>(work: &Work<P>, input: &Input) -> Result<Answer, Fault> {
    authorize(&work.actor, Action::CallExplain)?;
    let asked: Explain = input.json()?;
    let text = match (asked.request, asked.request_base64) {
        (Some(text), None) => Bytes::from(text),
        (None, Some(text)) => base64std::decode(text.as_bytes())
            .map(Bytes::from)
            .map_err(|_| Fault::invalid("request_base64 is not base64 (RFC 4648 §4)."))?,
        _ => return Err(Fault::invalid("Give either request or request_base64.")),
    };
    let asked = Asked {
        text,
        scheme: asked.scheme,
        from: asked.from,
        certificate: asked.client_certificate.map(Bytes::from),
        at: asked.at.map(|at| at.0),
    };
    let by = work.actor.label();
    let explained = work.admin.explainer.explain(asked, &by, work.now).await?;
    note(work, &explained).await?;
    Answer::ok(&explained)
}

async fn note<P: Parts>(work: &Work<P>, explained: &ExplanationView) -> Result<(), Fault> {
    let code = explained
        .answer
        .as_ref()
        .and_then(|answer| answer.code.as_ref());
    let details: BTreeMap<_, _> = [
        ("decision", Some(&explained.decision)),
        ("code", code),
        ("route", explained.route.as_ref()),
        ("credential", explained.credential.as_ref()),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name.to_owned(), value?.clone())))
    .collect();
    let subject = match &explained.api {
        Some(api) => format!("call/{api}"),
        None => "call".to_owned(),
    };
    let event = draft(
        &work.ctx(),
        &work.actor,
        Action::CallExplain,
        subject,
        details,
    );
    Ok(work.store().note(event).await?)
}

pub(super) async fn decision<P: Parts>(work: &Work<P>, input: &Input) -> Result<Answer, Fault> {
    authorize(&work.actor, Action::DecisionRead)?;
    let id = &*input.id;
    let absent = || Refusal::NotFound {
        what: "decision",
        name: id.to_owned(),
    };
    let found = match id.len() {
        1..=MAX_REQUEST_ID => work.store().decision(id).await?,
        _ => None,
    };
    Answer::ok(&DecisionView::from(found.ok_or_else(absent)?))
}
