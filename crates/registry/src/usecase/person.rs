//! People: who may log in for now, and who may not. What is known of a person is a document like any
//! other; this switch is an act of its own, so that the trail says who threw it.

use super::{Ctx, Details, Refusal, authorize, draft, resource};
use crate::access::Action;
use crate::actor::Actor;
use crate::document::{Document, Spec};
use crate::ports::Registry;
use crate::resource::{ManagedBy, Put, ResourceKind, Stored, Written};
use verdict::identity::LifeState;

/// Keeps a person from logging in. What the person granted to clients is not ended by it.
///
/// # Errors
/// [`Refusal::WrongState`] if the person is suspended already, [`Refusal::ManagedByFile`]; others.
pub async fn suspend(
    ports: &impl Registry,
    actor: &Actor,
    ctx: &Ctx<'_>,
    name: &str,
    expected: Option<i64>,
) -> Result<Stored, Refusal> {
    switch(ports, actor, ctx, name, expected, true).await
}

/// Lets a suspended person log in again.
///
/// # Errors
/// As [`suspend`].
pub async fn resume(
    ports: &impl Registry,
    actor: &Actor,
    ctx: &Ctx<'_>,
    name: &str,
    expected: Option<i64>,
) -> Result<Stored, Refusal> {
    switch(ports, actor, ctx, name, expected, false).await
}

async fn switch(
    ports: &impl Registry,
    actor: &Actor,
    ctx: &Ctx<'_>,
    name: &str,
    expected: Option<i64>,
    suspended: bool,
) -> Result<Stored, Refusal> {
    let action = if suspended {
        Action::UserSuspend
    } else {
        Action::UserResume
    };
    authorize(actor, action)?;
    let unknown = || Refusal::NotFound {
        what: ResourceKind::User.name(),
        name: name.to_owned(),
    };
    let stored = ports
        .resource(ResourceKind::User, name)
        .await?
        .ok_or_else(unknown)?;
    if let Some(expected) = expected
        && expected != stored.version
    {
        return Err(Refusal::Conflict {
            current: stored.version,
        });
    }
    let document = resource::document(&stored)?;
    let Spec::User(mut spec) = document.spec else {
        return Err(unknown());
    };
    if spec.suspended == suspended {
        return Err(Refusal::WrongState(if suspended {
            LifeState::Suspended
        } else {
            LifeState::Active
        }));
    }
    spec.suspended = suspended;
    let changed = Document {
        name: document.name,
        spec: Spec::User(spec),
    };
    let put = Put {
        kind: ResourceKind::User,
        name: name.to_owned(),
        new_id: stored.id,
        spec: changed.spec_value(),
        managed_by: ManagedBy::Api,
        expected: Some(stored.version),
        at: ctx.now,
    };
    let subject = format!("{}/{name}", ResourceKind::User.name());
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

    async fn house() -> House {
        let house = House::furnished().await;
        house
            .put(
                ResourceKind::User,
                "alice",
                json!({"email": "a@example.com"}),
            )
            .await
            .expect("is sound");
        house
    }

    #[tokio::test]
    async fn a_person_is_suspended_and_let_in_again_and_the_trail_says_by_whom() {
        let house = house().await;
        let before = house.store.events().len();
        let asleep = suspend(&house.store, &owner(), &house.ctx(), "alice", None)
            .await
            .expect("is active");
        assert_eq!(asleep.spec["suspended"], true);
        assert_eq!(asleep.spec["email"], "a@example.com");
        let awake = resume(
            &house.store,
            &owner(),
            &house.ctx(),
            "alice",
            Some(asleep.version),
        )
        .await
        .expect("is suspended");
        assert_eq!(awake.spec.get("suspended"), None);
        assert_eq!(awake.id, asleep.id);
        let events = house.store.events();
        let acts: Vec<_> = events[before..].iter().map(String::as_str).collect();
        assert_eq!(acts, ["user.suspend User/alice", "user.resume User/alice"]);
    }

    #[tokio::test]
    async fn what_is_so_already_or_changed_meanwhile_is_refused() {
        let house = house().await;
        let (store, ctx) = (&house.store, house.ctx());
        assert_eq!(
            why(resume(store, &owner(), &ctx, "alice", None).await),
            "it is active"
        );
        assert_eq!(
            why(suspend(store, &owner(), &ctx, "alice", Some(7)).await),
            "it has version 1 by now"
        );
        assert_eq!(
            why(suspend(store, &owner(), &ctx, "mallory", None).await),
            "there is no User `mallory`"
        );
        let auditor = administrator(Role::Auditor);
        assert!(matches!(
            suspend(store, &auditor, &ctx, "alice", None).await,
            Err(Refusal::NotAllowed(Action::UserSuspend))
        ));
    }
}
