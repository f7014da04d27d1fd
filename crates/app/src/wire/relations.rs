//! **Questions about relations**, answered as calls at this node are judged.

use core::time::Duration;

use proof::time::Timestamp;
use registry::relations::Token;
use verdict::policy::relations::{Model, check};
use verdict::problem::{Code, Problem};
use web::admin::{Checker, Checking, Question};

use super::Shared;
use super::explain::with_detail;

/// How long a question waits for a change that it must know of.
const PATIENCE: Duration = Duration::from_secs(2);

impl Checker for Shared {
    fn check(
        &self,
        questions: Vec<Question>,
        at_least: Option<Token>,
        now: Timestamp,
    ) -> Checking<'_> {
        Box::pin(async move {
            if let Some(token) = at_least {
                self.wait_for(token).await?;
            }
            let Some(model) = self.relations.load_full() else {
                let detail = "No RelationModel is declared.".to_owned();
                return Err(with_detail(Code::InvalidRequest, detail));
            };
            let mut answers = Vec::with_capacity(questions.len());
            for (index, asked) in questions.iter().enumerate() {
                is_sound(&model, asked).map_err(|(part, why)| {
                    let detail = format!("checks[{index}].{part}: {why}.");
                    with_detail(Code::InvalidRequest, detail)
                })?;
                let (relation, object) = (&*asked.relation, &asked.object);
                let found = check(&model, &asked.subject, relation, object, &*self.facts, now);
                answers.push(found.await?);
            }
            Ok(answers)
        })
    }
}

impl Shared {
    /// Waits until this node has seen a change.
    async fn wait_for(&self, token: Token) -> Result<(), Problem> {
        let mut seen = self.seen.subscribe();
        let came = seen.wait_for(|seen| *seen >= token.0);
        if matches!(tokio::time::timeout(PATIENCE, came).await, Ok(Ok(_))) {
            return Ok(());
        }
        let detail = format!("This node has not seen the change {token} yet; ask again.");
        let mut problem = with_detail(Code::FactUnavailable, detail);
        problem.retry_after = Some(Duration::from_secs(1));
        Err(problem)
    }
}

/// Whether the model knows what is asked for; what is asked amiss otherwise, and why.
fn is_sound(model: &Model, asked: &Question) -> Result<(), (&'static str, String)> {
    model
        .find(asked.object.kind(), &asked.relation)
        .map_err(|why| ("object", why))?;
    if model.knows(asked.subject.kind()) {
        return Ok(());
    }
    Err((
        "subject",
        format!("there is no type `{}`", asked.subject.kind()),
    ))
}
