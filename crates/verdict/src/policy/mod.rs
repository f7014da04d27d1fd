//! **Rules**: scopes and roles of the principal, compared exactly.
//!
//! A write scope never implies the read one, a role never implies another (threat J2). What was
//! missing is told; what else the caller holds, or the rule's other half, is not.

use std::sync::Arc;

use crate::call::Head;
use crate::credential::challenge;
use crate::facts::Facts;
use crate::identity::Identity;
use crate::problem::Problem;
use crate::route::{Api, Rule};
use crate::trace::{Check, Note};

/// # Errors
/// 403 with what was missing.
pub(crate) fn judge(
    rule: &Rule,
    identity: &Identity,
    head: &Head,
    api: &Api,
    facts: &impl Facts,
) -> Result<(), Problem> {
    facts.note(Note::Check(Check::Scopes));
    let held = &identity.standing.scopes;
    if !rule.scopes.iter().all(|scope| held.contains(scope)) {
        let missing = rule.scopes.iter().filter(|scope| !held.contains(scope));
        let mut problem = Problem::scopes_missing(missing.map(Arc::clone).collect());
        // The challenge belongs to tokens: a client can ask for another one (RFC 6750 §3.1).
        if identity.kind.is_access_token() {
            let needed = rule.scopes.iter().map(AsRef::as_ref);
            problem
                .challenges
                .push(challenge::insufficient_scope(head, api, needed));
        }
        return Err(problem);
    }
    facts.note(Note::Check(Check::Roles));
    let roles = &identity.standing.roles;
    if !rule.any_role.is_empty() && !rule.any_role.iter().any(|role| roles.contains(role)) {
        return Err(Problem::role_missing(rule.any_role.clone()));
    }
    Ok(())
}
