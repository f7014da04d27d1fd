//! What was asked of relations and policies, for the record and for whoever explains a call; and what
//! passing is tied to.

use std::borrow::Cow;
use std::sync::Arc;

use http::{HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::ObjectRule;
use super::rego::{Answer, Budget, Mask, Obligations, Policy};
use super::relations::{Checked, Object};

/// What was asked of relations and policies in one call.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Judged {
    /// In order; the last one is the one that did not allow it, if one did not.
    pub judgements: Vec<Judgement>,
    /// What was asked and not obeyed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shadow: Vec<Judgement>,
    /// Whether the caller was noticed looking for objects of others.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub noticed: bool,
    /// What policies were told, without the body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<Value>,
}

/// One answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judgement {
    /// `relation` or `policy`.
    pub by: Cow<'static, str>,
    /// `order:1001#viewer`, or the policy's name.
    pub what: String,
    /// The policy's version: the digest of its texts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<Arc<str>>,
    /// `allow`, `deny`, `failed`, and of policies `undefined`, of relations `too_much`.
    pub outcome: Cow<'static, str>,
    /// Why, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl Judged {
    /// Whether nothing was asked.
    pub fn is_empty(&self) -> bool {
        self.judgements.is_empty() && self.shadow.is_empty() && self.input.is_none()
    }
    /// Whether something that was asked and not obeyed would have refused the call.
    pub fn shadow_denies(&self) -> bool {
        self.shadow.iter().any(|one| !one.allows())
    }
}

impl Judgement {
    /// Whether it allowed the call.
    pub fn allows(&self) -> bool {
        self.outcome == "allow"
    }

    pub(crate) fn relation(object: &Object, relation: &str, found: &Checked) -> Self {
        let (outcome, reason) = match found {
            Checked::Yes(steps) => {
                let steps: Vec<_> = steps.iter().map(ToString::to_string).collect();
                ("allow", Some(steps.join("; ")))
            }
            Checked::No => ("deny", None),
            Checked::TooMuch => ("too_much", None),
        };
        Self {
            by: "relation".into(),
            what: format!("{object}#{relation}"),
            version: None,
            outcome: outcome.into(),
            reason,
        }
    }

    /// Of an object that could not be asked about.
    pub(crate) fn unasked(rule: &ObjectRule, why: &str) -> Self {
        Self {
            by: "relation".into(),
            what: rule.object_type.to_string(),
            version: None,
            outcome: "failed".into(),
            reason: Some(why.to_owned()),
        }
    }

    pub(crate) fn policy(policy: &Policy, answer: &Answer) -> Self {
        Self {
            by: "policy".into(),
            what: policy.name().to_string(),
            version: answer.version.clone(),
            outcome: answer.outcome.name().into(),
            reason: answer.outcome.reason(),
        }
    }
}

/// What a call that passes is tied to, of all policies together.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Obliged {
    /// Set on the call to the upstream, in place of what the caller sent under these names.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Taken out of the JSON answer.
    pub masks: Vec<Mask>,
    /// Budgets in which the call counts, each with the name that tells it from others.
    pub limits: Vec<(Arc<str>, Budget)>,
}

impl Obliged {
    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.headers.is_empty() && self.masks.is_empty() && self.limits.is_empty()
    }

    pub(crate) fn add(&mut self, policy: &Arc<str>, said: Obligations) {
        for (name, value) in said.headers {
            // Of two policies the later one's word counts, as a whole value.
            self.headers.retain(|(known, _)| *known != name);
            self.headers.push((name, value));
        }
        self.masks.extend(said.mask);
        if let Some(budget) = said.limit {
            let name = match &*budget.name {
                "" => policy.clone(),
                name => name.into(),
            };
            self.limits.push((name, budget));
        }
    }
}
