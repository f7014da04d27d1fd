//! Clients, accounts and people: who may go on for now, and who may not. What is known of them is a
//! document like any other; this switch is an act of its own, so that the trail says who threw it.
//! Nothing ends by it: credentials, grants and sessions are there again when it is thrown back.

use super::{Ctx, Details, Refusal, authorize, draft, resource};
use crate::access::Action;
use crate::actor::Actor;
use crate::document::{Document, Spec};
use crate::ports::Registry;
use crate::resource::{ManagedBy, Put, ResourceKind, Stored, Written};
use verdict::identity::LifeState;

/// Who can be suspended as a whole, with all that they hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Party {
    /// An OAuth client.
    Client,
    /// A service account.
    Account,
    /// A person.
    User,
}

impl Party {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::Client, Self::Account, Self::User];

    /// The document that says it.
    pub const fn kind(self) -> ResourceKind {
        match self {
            Self::Client => ResourceKind::Client,
            Self::Account => ResourceKind::Account,
            Self::User => ResourceKind::User,
        }
    }

    /// The act.
    pub const fn action(self, suspended: bool) -> Action {
        match (self, suspended) {
            (Self::Client, true) => Action::ClientSuspend,
            (Self::Client, false) => Action::ClientResume,
            (Self::Account, true) => Action::AccountSuspend,
            (Self::Account, false) => Action::AccountResume,
            (Self::User, true) => Action::UserSuspend,
            (Self::User, false) => Action::UserResume,
        }
    }
}

/// Where a document says whether its party is suspended.
fn switch_of(spec: &mut Spec) -> Option<&mut bool> {
    match spec {
        Spec::Client(spec) => Some(&mut spec.suspended),
        Spec::Account(spec) => Some(&mut spec.suspended),
        Spec::User(spec) => Some(&mut spec.suspended),
        _ => None,
    }
}

/// Suspends somebody, or ends that.
///
/// # Errors
/// [`Refusal::WrongState`] if it is so already, [`Refusal::ManagedByFile`]; others.
pub async fn switch(
    ports: &impl Registry,
    actor: &Actor,
    ctx: &Ctx<'_>,
    party: Party,
    name: &str,
    expected: Option<i64>,
    suspended: bool,
) -> Result<Stored, Refusal> {
    let (kind, action) = (party.kind(), party.action(suspended));
    authorize(actor, action)?;
    let unknown = || Refusal::NotFound {
        what: kind.name(),
        name: name.to_owned(),
    };
    let stored = ports.resource(kind, name).await?.ok_or_else(unknown)?;
    if let Some(expected) = expected
        && expected != stored.version
    {
        return Err(Refusal::Conflict {
            current: stored.version,
        });
    }
    let Document { name: id, mut spec } = resource::document(&stored)?;
    let switch = switch_of(&mut spec).ok_or_else(unknown)?;
    if *switch == suspended {
        return Err(Refusal::WrongState(if suspended {
            LifeState::Suspended
        } else {
            LifeState::Active
        }));
    }
    *switch = suspended;
    let changed = Document { name: id, spec };
    let put = Put {
        kind,
        name: name.to_owned(),
        new_id: stored.id,
        spec: changed.spec_value(),
        managed_by: ManagedBy::Api,
        expected: Some(stored.version),
        at: ctx.now,
    };
    let subject = format!("{}/{name}", kind.name());
    let audit = draft(ctx, actor, action, subject, Details::new());
    match ports.put_resource(put, audit).await? {
        Written::Created(stored) | Written::Updated(stored) | Written::Unchanged(stored) => {
            Ok(stored)
        }
        Written::Conflict { current } => Err(Refusal::Conflict { current }),
        Written::ManagedByFile => Err(Refusal::ManagedByFile),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::actor::Role;
    use crate::usecase::tests::{House, administrator, owner, why};

    const PARTIES: [(Party, &str); 3] = [
        (Party::Client, "app"),
        (Party::Account, "legacy"),
        (Party::User, "alice"),
    ];

    async fn house() -> House {
        let house = House::furnished().await;
        let person = json!({ "email": "a@example.com" });
        let put = house.put(ResourceKind::User, "alice", person).await;
        put.expect("is sound");
        house
    }

    #[tokio::test]
    async fn whoever_is_suspended_and_resumed_is_as_before_and_the_trail_says_by_whom() {
        let house = house().await;
        for (party, name) in PARTIES {
            let found = house.store.resource(party.kind(), name).await;
            let first = found.expect("there is a store").expect("is there");
            let before = house.store.events().len();
            let (store, ctx) = (&house.store, house.ctx());
            let asleep = switch(store, &owner(), &ctx, party, name, None, true)
                .await
                .expect("is active");
            assert_eq!(asleep.spec["suspended"], true);
            let version = Some(asleep.version);
            let awake = switch(store, &owner(), &ctx, party, name, version, false)
                .await
                .expect("is suspended");
            assert_eq!((awake.spec, awake.id), (first.spec, first.id));
            let events = house.store.events();
            let acts: Vec<_> = events[before..].iter().map(String::as_str).collect();
            let (kind, what) = (party.kind().name(), party.kind().name().to_lowercase());
            let said = [
                format!("{what}.suspend {kind}/{name}"),
                format!("{what}.resume {kind}/{name}"),
            ];
            assert_eq!(acts, said);
        }
    }

    #[tokio::test]
    async fn what_is_so_already_or_changed_meanwhile_is_refused() {
        let house = house().await;
        let (store, ctx) = (&house.store, house.ctx());
        for (party, name) in PARTIES {
            let kind = party.kind().name();
            assert_eq!(
                why(switch(store, &owner(), &ctx, party, name, None, false).await),
                "it is active"
            );
            assert_eq!(
                why(switch(store, &owner(), &ctx, party, name, Some(7), true).await),
                "it has version 1 by now"
            );
            assert_eq!(
                why(switch(store, &owner(), &ctx, party, "mallory", None, true).await),
                format!("there is no {kind} `mallory`")
            );
            let auditor = administrator(Role::Auditor);
            let refused = switch(store, &auditor, &ctx, party, name, None, true).await;
            assert!(matches!(
                refused,
                Err(Refusal::NotAllowed(action)) if action == party.action(true)
            ));
        }
    }
}
