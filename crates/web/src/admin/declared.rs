//! What is declared, as a whole: documents are planned, applied, exported together.

use registry::apply::{self, Applied, Plan as Planned, Side};
use registry::diff::FieldChange;
use registry::document::{Document, read_all};
use registry::usecase::Refusal;
use verdict::problem::{Code, Problem};

use super::exchange::{Answer, Fault, Input};
use super::view::{
    self, Apply, ChangeAction, Export, ExportQuery, FlawView, Plan, PlannedChange, RefusedChange,
};
use super::{Parts, Work};

pub(super) async fn apply<P: Parts>(work: &Work<P>, input: &Input) -> Result<Answer, Fault> {
    let body: Apply = input.json()?;
    let wanted = read_all(body.documents)
        .map_err(|flaws| Fault::Flaws(flaws.iter().map(FlawView::from).collect()))?;
    let side = Side::Api { prune: body.prune };
    let (store, actor, ctx) = (work.store(), &work.actor, &work.ctx());
    let current = apply::current(store, actor, &wanted).await?;
    let plan = apply::plan(&current, &wanted, side);
    if body.dry_run {
        // A plan whose end would mean nothing is no plan.
        apply::rehearse(store, actor, ctx, &plan).await?;
        return Answer::ok(&shown(&plan, false));
    }
    if !plan.refused.is_empty() {
        return Err(can_not_be(&plan));
    }
    let applied = apply::execute(store, actor, ctx, &plan, side).await?;
    match applied.stopped {
        None => Answer::ok(&shown(&plan, true)),
        Some((ref subject, ref refusal)) => Err(stopped(&applied, &subject.to_string(), refusal)),
    }
}

fn shown(plan: &Planned, applied: bool) -> Plan {
    let change = |action, document: &Document, fields: &[FieldChange]| PlannedChange {
        action,
        kind: document.kind().name().to_owned(),
        name: document.name.as_str().to_owned(),
        fields: fields.iter().map(field).collect(),
    };
    let mut changes = Vec::new();
    changes.extend(
        plan.creates
            .iter()
            .map(|one| change(ChangeAction::Create, &one.document, &[])),
    );
    changes.extend(
        plan.updates
            .iter()
            .map(|one| change(ChangeAction::Update, &one.document, &one.changes)),
    );
    changes.extend(
        plan.deletes
            .iter()
            .map(|one| change(ChangeAction::Delete, &one.document, &[])),
    );
    Plan {
        applied,
        changes,
        unchanged: plan.unchanged.len() as u64,
        refused: plan
            .refused
            .iter()
            .map(|one| RefusedChange {
                kind: one.subject.kind.to_owned(),
                name: one.subject.name.clone(),
                reason: one.reason.to_owned(),
            })
            .collect(),
    }
}

fn field(change: &FieldChange) -> view::FieldChange {
    view::FieldChange {
        path: format!("spec.{}", change.place()),
        before: change.before.clone(),
        after: change.after.clone(),
    }
}

/// Changes that can't be stop the whole before its first step.
fn can_not_be(plan: &Planned) -> Fault {
    let problem = Problem::new(
        Code::WrongState,
        format!("{} changes can't be", plan.refused.len()),
    );
    let errors: Vec<FlawView> = plan
        .refused
        .iter()
        .map(|one| FlawView {
            document: Some(one.subject.to_string()),
            index: None,
            path: String::new(),
            message: one.reason.to_owned(),
            hint: None,
        })
        .collect();
    Fault::extended(problem, "errors", &errors)
}

/// It stopped on its way: what was done stands, and the answer says what that was.
fn stopped(applied: &Applied, subject: &str, refusal: &Refusal) -> Fault {
    let mut problem = Problem::new(
        refusal.code(),
        format!("applying stopped at {subject}: {refusal}"),
    );
    let why = refusal
        .detail()
        .map(|detail| format!(": {detail}"))
        .unwrap_or_default();
    problem.detail =
        Some(format!("Applying stopped at {subject}{why}. What was done before it stands.").into());
    let done: Vec<String> = applied.done.iter().map(ToString::to_string).collect();
    Fault::extended(problem, "done", &done)
}

pub(super) async fn export<P: Parts>(work: &Work<P>, input: &Input) -> Result<Answer, Fault> {
    let query: ExportQuery = input.query()?;
    let documents = apply::export(work.store(), &work.actor, query.keys.unwrap_or(false)).await?;
    Answer::ok(&Export {
        documents: documents.iter().map(Document::to_value).collect(),
    })
}
