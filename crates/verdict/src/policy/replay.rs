//! **Judging a recorded call again**, by other rules: what a change would mean for the calls of
//! yesterday, before it is live.
//!
//! The record keeps what policies were told ([`super::input`]), and that is what is judged here: scopes,
//! roles, objects and policies as they would be, relations as they are now. Who called was settled
//! when the call was made and is not asked again. What the record does not hold (bodies) can't be
//! judged, and is said.

use std::borrow::Cow;
use std::sync::Arc;

use proof::time::Timestamp;
use serde_json::Value;

use super::input::Named;
use super::relations::{Checked, Model, Object, check};
use super::{HOLDER, ObjectRule, Place, ROLE};
use crate::facts::{Answer, Facts};
use crate::identity::Scopes;
use crate::problem::Code;
use crate::route::Route;

/// What would come of a recorded call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Replayed {
    /// It would pass.
    Allow,
    /// It would be refused.
    Deny {
        /// What the caller would hear.
        code: Code,
        /// Why, in words.
        cause: String,
    },
    /// The record does not hold what would be needed; what that is, in words.
    Unknown(Cow<'static, str>),
}

/// Judges the call of a recorded `input` by the rules of `route`.
///
/// # Errors
/// [`crate::facts::Unavailable`] if tuples can't be read.
pub async fn replay(
    route: &Route,
    input: &Value,
    facts: &impl Facts,
    now: Timestamp,
) -> Answer<Replayed> {
    if input["version"] != super::INPUT_VERSION {
        return Ok(Replayed::Unknown("its record is of another version".into()));
    }
    let texts = |value: &Value| -> Vec<Arc<str>> {
        let list = value.as_array().into_iter().flatten();
        list.filter_map(Value::as_str).map(Arc::from).collect()
    };
    let deny = |code: Code, cause: String| Ok(Replayed::Deny { code, cause });

    let held = Scopes::new(texts(&input["credential"]["scopes"]));
    let rights = &route.api.rights;
    let mut asked = route.rule.scopes.iter();
    if let Some(scope) = asked.find(|scope| !rights.has_scope(&held, scope)) {
        return deny(Code::ScopeMissing, format!("scope {scope} is missing"));
    }

    let model = route.api.relations.as_deref();
    let subject: Option<Object> = input["principal"]["subject"]
        .as_str()
        .and_then(|text| text.parse().ok());
    let any_role = &route.rule.any_role;
    let roles = texts(&input["principal"]["roles"]);
    if !any_role.is_empty() && !any_role.iter().any(|role| roles.contains(&role.shared())) {
        let granted = match (model, &subject) {
            (Some(model), Some(subject)) => {
                let mut granted = false;
                for role in any_role {
                    if let Ok(object) = Object::new(ROLE, role.as_str()) {
                        let found = check(model, subject, HOLDER, &object, facts, now).await?;
                        granted |= found.holds();
                    }
                }
                granted
            }
            _ => false,
        };
        if !granted {
            return deny(Code::RoleMissing, "no role that would do".to_owned());
        }
    }

    let mut named = Vec::new();
    for rule in &route.rule.objects {
        let ids = match ids(rule, input) {
            Ok(ids) => ids,
            Err(_) if rule.shadow => continue,
            Err(unknown) => return Ok(unknown),
        };
        if ids.is_empty() && !rule.optional {
            let cause = format!("no object stands in {}", rule.describe());
            return deny(Code::ObjectUnreadable, cause);
        }
        for id in ids {
            let mut relations = Vec::new();
            for relation in rule.relation.iter().chain(&rule.tell) {
                let known = relations.contains(relation);
                if !known
                    && related(model, subject.as_ref(), rule, relation, &id, facts, now).await?
                {
                    relations.push(relation.clone());
                }
            }
            if let Some(relation) = &rule.relation
                && !rule.shadow
                && !relations.contains(relation)
            {
                let kind = &rule.object_type;
                let cause = format!("the caller is no {relation} of {kind}:{id}");
                return deny(Code::ObjectNotAllowed, cause);
            }
            let object_type = rule.object_type.clone();
            named.push(Named {
                object_type,
                id,
                relations,
            });
        }
    }
    // Policies are told what the rules of now ask, as relations are now.
    let mut input = input.clone();
    input["objects"] = super::input::objects(&named);

    for policy in &route.rule.policies {
        if policy.reads_body() {
            let name = policy.name();
            return Ok(Replayed::Unknown(
                format!("policy {name} reads bodies, which are not recorded").into(),
            ));
        }
        let outcome = policy.decide(&input).outcome;
        if !outcome.allows() {
            let why = outcome.reason().unwrap_or_else(|| "it says no".to_owned());
            return deny(
                Code::PolicyDenied,
                format!("policy {}: {why}", policy.name()),
            );
        }
    }
    Ok(Replayed::Allow)
}

async fn related(
    model: Option<&Model>,
    subject: Option<&Object>,
    rule: &ObjectRule,
    relation: &str,
    id: &str,
    facts: &impl Facts,
    now: Timestamp,
) -> Answer<bool> {
    let object = Object::new(&rule.object_type, id);
    let (Some(model), Some(subject), Ok(object)) = (model, subject, object) else {
        return Ok(false);
    };
    let found = check(model, subject, relation, &object, facts, now).await?;
    Ok(matches!(found, Checked::Yes(_)))
}

/// The ids that the recorded call named where a rule says.
fn ids(rule: &ObjectRule, input: &Value) -> Result<Vec<String>, Replayed> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    match &rule.place {
        Place::Path { name, .. } => Ok(text(&input["parameters"][&**name]).into_iter().collect()),
        Place::Header(name) => {
            let value = text(&input["call"]["headers"][name.as_str()]);
            Ok(value.into_iter().collect())
        }
        Place::Query(name) => match input["call"]["query"][&**name].as_array() {
            None => Ok(Vec::new()),
            Some(values) => Ok(values.iter().filter_map(text).collect()),
        },
        Place::Body(_) => {
            // Those that were read by the rules of then, if it was by the same type.
            let named = input["objects"].as_array().into_iter().flatten();
            let ids: Vec<_> = named
                .filter(|one| one["type"] == *rule.object_type)
                .filter_map(|one| text(&one["id"]))
                .collect();
            if ids.is_empty() && !rule.optional {
                let place = rule.describe();
                return Err(Replayed::Unknown(
                    format!("{place} is not in the record").into(),
                ));
            }
            Ok(ids)
        }
    }
}
