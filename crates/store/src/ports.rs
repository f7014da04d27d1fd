//! **The ports of `registry`**, method by method; the work stands in the module of each subject.

use std::collections::HashMap;

use proof::issued::KeyId;
use proof::time::Timestamp;
use registry::audit::{AuditDraft, AuditEvent, Checkpoint};
use registry::credential::{Credential, Lookup, Moved, Renewed, Rotated, Transition};
use registry::ports::{AuditTrail, CallRecord, Change, CredentialFilter, Registry, Stores};
use registry::record::{Decision, Usage, Used, UsedFilter};
use registry::resource::{Put, Removed, ResourceKind, Stored, Version, Written};
use registry::signing::SigningMaterial;

use crate::{Store, audit, credentials, outbox, record, resources, signing, usage};

impl Registry for Store {
    async fn resources(&self, kind: Option<ResourceKind>) -> Stores<Vec<Stored>> {
        resources::list(self, kind).await
    }
    async fn resource(&self, kind: ResourceKind, name: &str) -> Stores<Option<Stored>> {
        resources::find(self, kind, name).await
    }
    async fn resource_versions(&self, kind: ResourceKind, name: &str) -> Stores<Vec<Version>> {
        resources::versions(self, kind, name).await
    }
    async fn put_resource(&self, put: Put, audit: AuditDraft) -> Stores<Written> {
        resources::put(self, put, &audit).await
    }
    async fn remove_resource(
        &self,
        kind: ResourceKind,
        name: &str,
        expected: Option<i64>,
        by_file: bool,
        audit: AuditDraft,
    ) -> Stores<Removed> {
        let removal = resources::Removal {
            kind,
            name,
            expected,
            by_file,
        };
        resources::remove(self, removal, &audit).await
    }
    async fn add_credential(
        &self,
        credential: Credential,
        audit: AuditDraft,
    ) -> Stores<Credential> {
        credentials::add(self, credential, &audit).await
    }
    async fn credential(&self, id: &str) -> Stores<Option<Credential>> {
        credentials::find(self, id).await
    }
    async fn credential_by_key_id(&self, id: KeyId) -> Stores<Option<Credential>> {
        credentials::find_by_lookup(self, &Lookup::KeyId(id)).await
    }
    async fn credentials(&self, filter: &CredentialFilter) -> Stores<Vec<Credential>> {
        credentials::list(self, filter).await
    }
    async fn move_credential(
        &self,
        id: &str,
        transition: Transition,
        expected: Option<i64>,
        audit: AuditDraft,
    ) -> Stores<Moved> {
        credentials::advance(self, id, transition, expected, &audit).await
    }
    async fn rotate_credential(
        &self,
        id: &str,
        successor: Credential,
        old_ends: Timestamp,
        audit: AuditDraft,
    ) -> Stores<Rotated> {
        credentials::rotate(self, id, successor, old_ends, &audit).await
    }
    async fn renew_signing(
        &self,
        id: &str,
        new: SigningMaterial,
        old_ends: Timestamp,
        expected: i64,
        audit: AuditDraft,
    ) -> Stores<Renewed> {
        signing::renew(self, id, new, old_ends, expected, &audit).await
    }
    async fn changes_after(&self, after: i64, limit: u32) -> Stores<Vec<Change>> {
        outbox::changes_after(self, after, limit).await
    }
    async fn newest_change(&self) -> Stores<i64> {
        outbox::newest_change(self).await
    }
}

impl AuditTrail for Store {
    async fn chain_waiting(&self, node: &str, now: Timestamp, limit: u32) -> Stores<u32> {
        audit::chain_waiting(self, node, now, limit).await
    }
    async fn chain_head(&self) -> Stores<(i64, [u8; 32])> {
        audit::head(self).await
    }
    async fn add_checkpoint(&self, checkpoint: Checkpoint) -> Stores<()> {
        audit::add_checkpoint(self, &checkpoint).await
    }
    async fn checkpoints(&self) -> Stores<Vec<Checkpoint>> {
        audit::checkpoints(self).await
    }
    async fn audit_events(&self, after: i64, limit: u32, waiting: bool) -> Stores<Vec<AuditEvent>> {
        audit::events(self, after, limit, waiting).await
    }
    async fn note(&self, audit: AuditDraft) -> Stores<()> {
        audit::note(self, &audit).await
    }
}

impl CallRecord for Store {
    async fn append_decisions(&self, batch: &[Decision]) -> Stores<()> {
        record::append(self, batch).await
    }
    async fn decisions(&self, before: Option<Timestamp>, limit: u32) -> Stores<Vec<Decision>> {
        record::list(self, before, limit).await
    }
    async fn decision(&self, request_id: &str) -> Stores<Option<Decision>> {
        record::one(self, request_id).await
    }
    async fn trim_decisions(&self, before: Timestamp) -> Stores<u64> {
        record::trim(self, before).await
    }
    async fn add_usage(&self, counts: &[Usage]) -> Stores<()> {
        usage::add(self, counts).await
    }
    async fn usage(&self, name: &str, since: Timestamp) -> Stores<Vec<Usage>> {
        usage::hours(self, name, since).await
    }
    async fn last_used(&self, names: &[&str]) -> Stores<HashMap<String, Timestamp>> {
        usage::last(self, names).await
    }
    async fn used(&self, filter: &UsedFilter) -> Stores<Vec<Used>> {
        usage::list(self, filter).await
    }
}
