//! **Ending by an administrator**: what people allowed clients, and the sessions they have here.
//! The caller has checked that the actor may. An end is felt on this node at once, and on the
//! others as soon as they hear of it.

use std::collections::BTreeMap;

use proof::random::uuid_v7;
use proof::time::Timestamp;
use registry::actor::Actor;
use registry::audit::AuditDraft;

use crate::Issuer;
use crate::error::Outcome;
use crate::flow::{EndReason, FlowFilter, Flows, Grant, ListedGrant, Session};
use crate::ports::{IssuerStore, People, Secrets};

impl<S: IssuerStore + Flows, C: Secrets + People> Issuer<S, C> {
    /// Grants, the newest first.
    ///
    /// # Errors
    /// `temporarily_unavailable` or `server_error`.
    pub async fn grants(
        &self,
        which: &FlowFilter,
        now: Timestamp,
        limit: u32,
    ) -> Outcome<Vec<ListedGrant>> {
        Ok(self.store().grants(which, now, limit).await?)
    }

    /// Sessions alive, the newest first.
    ///
    /// # Errors
    /// `temporarily_unavailable` or `server_error`.
    pub async fn sessions(
        &self,
        which: &FlowFilter,
        now: Timestamp,
        limit: u32,
    ) -> Outcome<Vec<Session>> {
        Ok(self.store().sessions(which, now, limit).await?)
    }

    /// Ends grants with every token of theirs.
    ///
    /// # Errors
    /// `temporarily_unavailable` or `server_error`; nothing was written then.
    pub async fn end_grants(
        &self,
        which: &FlowFilter,
        actor: &Actor,
        request_id: &str,
        now: Timestamp,
    ) -> Outcome<Vec<Grant>> {
        let audit = self.end_draft("grant.end", "grant", which, actor, request_id, now);
        let ended = self
            .store()
            .end_grants(which, EndReason::Administrator, now, audit)
            .await?;
        for grant in &ended {
            self.learn_ended(grant, now);
        }
        Ok(ended)
    }

    /// Ends sessions, with their grants that do not outlive them; clients are told.
    ///
    /// # Errors
    /// `temporarily_unavailable` or `server_error`; nothing was written then.
    pub async fn end_people_sessions(
        &self,
        which: &FlowFilter,
        actor: &Actor,
        request_id: &str,
        now: Timestamp,
    ) -> Outcome<Vec<Session>> {
        let audit = self.end_draft("session.end", "session", which, actor, request_id, now);
        // Their grants' revocations reach this node by the change, like every other node.
        Ok(self.store().end_sessions(which, now, audit).await?)
    }

    fn end_draft(
        &self,
        action: &'static str,
        kind: &str,
        which: &FlowFilter,
        actor: &Actor,
        request_id: &str,
        now: Timestamp,
    ) -> AuditDraft {
        let mut details = BTreeMap::new();
        let named = [
            ("user", &which.subject),
            ("client", &which.client_id),
            ("session", &which.session),
        ];
        for (name, value) in named {
            if let Some(value) = value {
                details.insert(name.to_owned(), value.clone());
            }
        }
        AuditDraft {
            id: uuid_v7(now, self.entropy()),
            at: now,
            actor: actor.label(),
            action,
            subject: format!("{kind}/{}", which.id.as_deref().unwrap_or("*")),
            request_id: request_id.to_owned(),
            details,
        }
    }
}
