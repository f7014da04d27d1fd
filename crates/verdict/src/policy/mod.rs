//! **Deciding**: may this caller do this? Scopes, then roles, then relations to the objects that the
//! call names, then policies. The first that says no ends it; only what all of them allow passes.
//!
//! Scopes are exact: a write scope never implies the read one, unless the API's document says so.
//! Roles are the credential's, or were granted as a relation, for a time (`role:admin#holder`).
//! Scopes never stand in for the caller's own rights: each step judges for itself (threat J2). What
//! was missing is told; what else the caller holds, or the rule's other half, is not.

mod input;
mod judged;
mod objects;
pub mod rego;
pub mod relations;
mod replay;
mod steps;

use std::borrow::Cow;
use std::sync::Arc;

use proof::time::Timestamp;
use serde_json::Value;

pub use input::{Parameter, VERSION as INPUT_VERSION};
pub use judged::{Judged, Judgement, Obliged};
pub use objects::{BadPointer, MOST_BODY, MOST_OBJECTS, ObjectRule, Place, Pointer, names_json};
pub use replay::{Replayed, replay};

use crate::call::{Body, Head};
use crate::credential::challenge;
use crate::facts::{Facts, Unavailable};
use crate::identity::{Identity, RoleName};
use crate::problem::{Code, Problem};
use crate::route::{Api, Route};
use crate::trace::{Check, Note};
use input::Named;
use rego::{Answer, Failure, Outcome, Policy, StepUp};
use relations::{Checked, Object};

/// The type of roles that are granted as relations.
pub const ROLE: &str = "role";
/// The relation of those who have such a role.
pub const HOLDER: &str = "holder";

/// What came of deciding: whether the call may pass and under which obligations, and what was asked
/// on the way, for the record.
#[derive(Debug)]
pub(crate) struct Ruling {
    pub(crate) verdict: Result<Option<Box<Obliged>>, Problem>,
    pub(crate) judged: Option<Box<Judged>>,
}

impl From<Result<Option<Box<Obliged>>, Problem>> for Ruling {
    fn from(verdict: Result<Option<Box<Obliged>>, Problem>) -> Self {
        Self {
            verdict,
            judged: None,
        }
    }
}

/// Whether the rules of a route read bodies.
pub(crate) fn reads_body(route: &Route) -> bool {
    let rule = &route.rule;
    let in_body = |one: &ObjectRule| matches!(one.place, Place::Body(_));
    let all = || rule.policies.iter().chain(&rule.shadow_policies);
    rule.objects.iter().any(in_body) || all().any(|policy| policy.reads_body())
}

/// Whether rules read bodies that may refuse a call, and not only rules in shadow.
fn obeys_body(route: &Route) -> bool {
    let rule = &route.rule;
    let in_body = |one: &ObjectRule| matches!(one.place, Place::Body(_)) && !one.shadow;
    rule.objects.iter().any(in_body) || rule.policies.iter().any(|policy| policy.reads_body())
}

/// Judges a call whose caller is known, by the route's rules.
pub(crate) async fn judge<R>(
    identity: &Identity,
    head: &Head,
    body: &Body<R>,
    route: &Route,
    facts: &impl Facts,
    now: Timestamp,
) -> Ruling {
    if let Err(problem) = scopes(identity, head, route, facts) {
        return Err(problem).into();
    }
    let rule = &route.rule;
    facts.note(Note::Check(Check::Roles));
    let lacks_role = !holds_role(&rule.any_role, identity);
    let records = rule.records_input;
    if !lacks_role
        && rule.objects.is_empty()
        && rule.policies.is_empty()
        && rule.shadow_policies.is_empty()
        && !records
    {
        return Ok(None).into();
    }
    let body = body.buffered().map(|bytes| &**bytes);
    let asking = Asking {
        identity,
        head,
        body,
        route,
        facts,
        now,
        judged: Box::default(),
    };
    // Apart, so that calls without such rules need no room for it.
    Box::pin(asking.further(lacks_role)).await
}

fn scopes(
    identity: &Identity,
    head: &Head,
    route: &Route,
    facts: &impl Facts,
) -> Result<(), Problem> {
    facts.note(Note::Check(Check::Scopes));
    let (held, rule, api) = (&identity.standing.scopes, &route.rule, &route.api);
    let has = |scope: &Arc<str>| api.rights.has_scope(held, scope);
    if rule.scopes.iter().all(has) {
        return Ok(());
    }
    let missing = rule.scopes.iter().filter(|scope| !has(scope));
    let mut problem = Problem::scopes_missing(missing.map(Arc::clone).collect());
    // The challenge belongs to tokens: a client can ask for another one (RFC 6750 §3.1).
    if identity.kind.is_access_token() {
        let needed = rule.scopes.iter().map(AsRef::as_ref);
        problem
            .challenges
            .push(challenge::insufficient_scope(head, api, needed));
    }
    Err(problem)
}

/// Whether the credential itself has one of the roles.
fn holds_role(any_of: &[RoleName], identity: &Identity) -> bool {
    let roles = &identity.standing.roles;
    any_of.is_empty() || any_of.iter().any(|role| roles.contains(role))
}

/// Who calls, as the subject of relations: `user:…`. The subjects of a foreign issuer are told apart
/// by its name, since two issuers may call two people alike: `user:https://login.example|7`.
pub fn subject_text(identity: &Identity) -> String {
    let principal = &identity.standing.principal;
    let (kind, id) = (principal.kind(), principal.id());
    match &identity.issuer {
        // Only foreign tokens are of no environment of ours.
        Some(issuer) if identity.standing.environment.is_none() => format!("{kind}:{issuer}|{id}"),
        _ => format!("{kind}:{id}"),
    }
}

/// The steps beyond what the credential itself says.
struct Asking<'a, F> {
    identity: &'a Identity,
    head: &'a Head,
    body: Option<&'a [u8]>,
    route: &'a Route,
    facts: &'a F,
    now: Timestamp,
    judged: Box<Judged>,
}

impl<F: Facts> Asking<'_, F> {
    async fn further(mut self, lacks_role: bool) -> Ruling {
        let verdict = self.ask(lacks_role).await;
        // What was refused before policies were asked is judged again as well: a change may let it in.
        if verdict.is_err() && self.route.rule.records_input && self.judged.input.is_none() {
            let input = input::v1(self.head, self.identity, self.route, &[], None, self.now);
            self.judged.input = Some(input);
        }
        Ruling {
            verdict,
            judged: (!self.judged.is_empty()).then_some(self.judged),
        }
    }

    async fn ask(&mut self, lacks_role: bool) -> Result<Option<Box<Obliged>>, Problem> {
        if lacks_role {
            self.granted_role().await?;
        }
        let rule = &self.route.rule;
        let asks_objects = !rule.objects.is_empty();
        let body = match self.body {
            Some(body) if reads_body(self.route) => {
                match objects::json(self.head.headers(), body) {
                    Ok(body) => body,
                    Err(why) if obeys_body(self.route) => return Err(unreadable(why)),
                    // Whoever reads it is in shadow, and will say that it is not there.
                    Err(_) => None,
                }
            }
            Some(_) => None,
            None if reads_body(self.route) => {
                return Err(Problem::new(Code::Internal, "the body was not read"));
            }
            None => None,
        };
        let named = if asks_objects {
            self.objects(body.as_ref()).await?
        } else {
            Vec::new()
        };
        if rule.policies.is_empty() && rule.shadow_policies.is_empty() && !rule.records_input {
            return Ok(None);
        }
        self.policies(&named, body.as_ref())
    }

    /// A role that the caller was granted for a time, where its credential has none that would do.
    async fn granted_role(&mut self) -> Result<(), Problem> {
        let any_of = &self.route.rule.any_role;
        let missing = || Problem::role_missing(any_of.clone());
        let Some(model) = self.model() else {
            return Err(missing());
        };
        if !model.knows(ROLE) {
            return Err(missing());
        }
        let subject = self.subject().ok_or_else(missing)?;
        for role in any_of {
            let Ok(object) = Object::new(ROLE, role.as_str()) else {
                continue;
            };
            let found = self.check(&model, &subject, HOLDER, &object).await?;
            if found.holds() {
                self.note(Judgement::relation(&object, HOLDER, &found));
                return Ok(());
            }
        }
        Err(missing())
    }

    /// The objects that the call names, each judged by its rule.
    async fn objects(&mut self, body: Option<&Value>) -> Result<Vec<Named>, Problem> {
        let route = self.route;
        self.facts.note(Note::Check(Check::Objects));
        self.not_held_for_probing().await?;
        let mut found: Vec<(&ObjectRule, objects::Ids)> = Vec::new();
        for rule in &route.rule.objects {
            match objects::named(rule, self.head, body, route) {
                Ok(ids) => found.push((rule, ids)),
                Err(why) if rule.shadow => self.in_shadow(rule, &why),
                Err(why) => return Err(unreadable(why)),
            }
        }
        if found.iter().map(|(_, ids)| ids.len()).sum::<usize>() > MOST_OBJECTS {
            return Err(unreadable(Cow::Owned(format!(
                "the call names more than {MOST_OBJECTS} objects"
            ))));
        }
        let mut named = Vec::new();
        for (rule, ids) in found {
            for id in ids {
                let relations = match self.object(rule, &id).await {
                    Err(problem) if rule.shadow => {
                        self.in_shadow(rule, &problem.cause);
                        continue;
                    }
                    relations => relations?,
                };
                let object_type = rule.object_type.clone();
                named.push(Named {
                    object_type,
                    id,
                    relations,
                });
            }
        }
        Ok(named)
    }

    /// One of them. Which of the relations that are asked for the caller has.
    async fn object(&mut self, rule: &ObjectRule, id: &str) -> Result<Vec<Arc<str>>, Problem> {
        let Ok(object) = Object::new(&rule.object_type, id) else {
            return Err(unreadable(Cow::Owned(format!(
                "what stands in {} is no id",
                rule.describe()
            ))));
        };
        let mut held = Vec::new();
        if rule.relation.is_none() && rule.tell.is_empty() {
            return Ok(held);
        }
        let Some(model) = self.model() else {
            let cause = "there is no model of relations";
            return Err(Problem::new(Code::Internal, cause));
        };
        // A caller whose name can't stand in a tuple has no relation to anything.
        let Some(subject) = self.subject() else {
            return match &rule.relation {
                Some(relation) => Err(self.refused(rule, relation, &object).await),
                None => Ok(held),
            };
        };
        if let Some(relation) = &rule.relation {
            let found = self.check(&model, &subject, relation, &object).await?;
            let judgement = Judgement::relation(&object, relation, &found);
            if rule.shadow {
                self.judged.shadow.push(judgement);
            } else {
                self.note(judgement);
            }
            match found {
                Checked::Yes(_) => held.push(relation.clone()),
                _ if rule.shadow => {}
                Checked::TooMuch => return Err(Unavailable::Relations.into()),
                Checked::No => return Err(self.refused(rule, relation, &object).await),
            }
        }
        for relation in &rule.tell {
            // What was asked for before is not asked for again.
            let known = held.contains(relation);
            if !known
                && self
                    .check(&model, &subject, relation, &object)
                    .await?
                    .holds()
            {
                held.push(relation.clone());
            }
        }
        Ok(held)
    }

    /// What a rule in shadow could not be asked about: it refuses nothing, so it is recorded.
    fn in_shadow(&mut self, rule: &ObjectRule, why: &str) {
        self.judged.shadow.push(Judgement::unasked(rule, why));
    }

    async fn refused(
        &mut self,
        rule: &ObjectRule,
        relation: &Arc<str>,
        object: &Object,
    ) -> Problem {
        if let Some(rules) = &self.route.api.rights.probing {
            let who = self.probing_name();
            let noticed = self
                .facts
                .probed(&who, object.as_str(), rules, self.now)
                .await;
            if let Ok(Some(_)) = noticed {
                self.judged.noticed = true;
            }
        }
        Problem::relation_missing(&rule.object_type, relation, object.as_str(), rule.hide)
    }

    /// Whoever was refused many objects is held back from more.
    async fn not_held_for_probing(&self) -> Result<(), Problem> {
        let Some(rules) = &self.route.api.rights.probing else {
            return Ok(());
        };
        if rules.refuse_for.is_none() {
            return Ok(());
        }
        self.facts.note(Note::Check(Check::Probing));
        let who = self.probing_name();
        match self.facts.probing(&who, rules, self.now).await? {
            None => Ok(()),
            Some(left) => {
                let mut problem = Problem::new(
                    Code::ObjectProbing,
                    "many different objects were refused to this caller",
                );
                problem.retry_after = Some(left);
                Err(problem)
            }
        }
    }

    /// Under which name its refusals are counted: each API for itself, since each has its own rules.
    fn probing_name(&self) -> String {
        format!("{} {}", self.route.api.name, subject_text(self.identity))
    }

    /// All policies, on one input.
    fn policies(
        &mut self,
        named: &[Named],
        body: Option<&Value>,
    ) -> Result<Option<Box<Obliged>>, Problem> {
        let rule = &self.route.rule;
        let reads = |list: &[Arc<Policy>]| list.iter().any(|policy| policy.reads_body());
        let body = body.filter(|_| reads(&rule.policies) || reads(&rule.shadow_policies));
        let mut input = input::v1(self.head, self.identity, self.route, named, body, self.now);
        let verdict = self.obey(&input);
        for policy in &rule.shadow_policies {
            let answer = policy.decide(&input);
            let judgement = Judgement::policy(policy, &answer);
            self.judged.shadow.push(judgement);
        }
        // Bodies may hold anything, and much of it: what is recorded is the call without its body.
        if let Some(call) = input.get_mut("call").and_then(Value::as_object_mut) {
            call.remove("body");
        }
        self.judged.input = Some(input);
        verdict
    }

    fn obey(&mut self, input: &Value) -> Result<Option<Box<Obliged>>, Problem> {
        let mut obliged = Obliged::default();
        let policies = &self.route.rule.policies;
        if !policies.is_empty() {
            self.facts.note(Note::Check(Check::Policies));
        }
        for policy in policies {
            let Answer { outcome, version } = policy.decide(input);
            let answer = Answer { outcome, version };
            self.note(Judgement::policy(policy, &answer));
            let said = match answer.outcome {
                Outcome::Allow(said) => said,
                Outcome::Deny(said) => {
                    if let Some(step_up) = &said.obligations.step_up {
                        self.strong_enough(step_up)?;
                    }
                    return Err(Problem::policy_denied(policy.name(), &said));
                }
                Outcome::Failed(Failure::NoVersion) => return Err(Unavailable::Policy.into()),
                Outcome::Undefined | Outcome::Failed(_) => {
                    let why = answer.outcome.reason().unwrap_or_default();
                    let cause = format!("policy {}: {why}", policy.name());
                    return Err(Problem::new(Code::PolicyDenied, cause));
                }
            };
            if let Some(step_up) = &said.obligations.step_up {
                self.strong_enough(step_up)?;
            }
            obliged.add(policy.name(), said.obligations);
        }
        Ok((!obliged.is_empty()).then(|| Box::new(obliged)))
    }

    /// Whether the person was authenticated as a policy wants it (RFC 9470 §3).
    fn strong_enough(&self, asked: &StepUp) -> Result<(), Problem> {
        let claims = &self.identity.standing.claims;
        let acr = claims.get("acr").and_then(Value::as_str);
        let strong = asked.acr_values.is_empty()
            || acr.is_some_and(|acr| asked.acr_values.iter().any(|one| one == acr));
        let fresh = asked.max_age.is_none_or(|age| {
            let at = claims.get("auth_time").and_then(Value::as_i64);
            at.is_some_and(|at| self.now.since(Timestamp::from_secs(at)) <= age)
        });
        if strong && fresh {
            return Ok(());
        }
        let mut problem = Problem::new(
            Code::StepUpNeeded,
            "a policy wants a stronger or fresher authentication",
        );
        let challenge = challenge::step_up(self.head, &self.route.api, asked);
        problem.challenges.push(challenge);
        Err(problem)
    }

    fn note(&mut self, judgement: Judgement) {
        self.facts.note(Note::Judged(&judgement));
        self.judged.judgements.push(judgement);
    }

    fn model(&self) -> Option<Arc<relations::Model>> {
        let api: &Api = &self.route.api;
        api.relations.clone()
    }

    fn subject(&self) -> Option<Object> {
        let text = subject_text(self.identity);
        let (kind, id) = text.split_once(':')?;
        Object::new(kind, id).ok()
    }

    async fn check(
        &self,
        model: &relations::Model,
        subject: &Object,
        relation: &str,
        object: &Object,
    ) -> Result<Checked, Problem> {
        let found = relations::check(model, subject, relation, object, self.facts, self.now);
        Ok(found.await?)
    }
}

fn unreadable(cause: Cow<'static, str>) -> Problem {
    Problem::new(Code::ObjectUnreadable, cause)
}

#[cfg(test)]
mod tests;
