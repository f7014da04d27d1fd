//! **Ports**: what the use cases ask of the store. A method is a thing that happens at once or not
//! at all; the method is the transaction, its audit event and its number in the outbox included.

use core::future::Future;
use std::collections::HashMap;

use proof::issued::KeyId;
use proof::time::Timestamp;

use crate::audit::{AuditDraft, AuditEvent, Checkpoint};
use crate::credential::{Credential, CredentialType, Moved, Renewed, Rotated, Transition};
use crate::meaning::Meaning;
use crate::record::{Decision, Usage, Used, UsedFilter};
use crate::resource::{Put, Removed, ResourceKind, Stored, Version, Written};
use crate::signing::{Sealed, SigningMaterial};
use crate::user::Person;
use crate::webhook::{
    Accepted, Disabled, EndpointState, Message, MessageFilter, NewMessage, Outcome, Which,
};

/// Why the store did not do it. Nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It can't be reached, or is too busy.
    #[error("the store is not available: {0}")]
    Unavailable(String),
    /// A row fits no known state, or a unique value stands twice: a defect or a damaged database.
    #[error("the store holds something that must not be: {0}")]
    Broken(String),
}

/// The result of asking the store.
pub type Stores<T> = Result<T, StoreError>;

/// Which credentials to list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CredentialFilter {
    /// Of these types (empty: all).
    pub types: Vec<CredentialType>,
    /// Of this owner.
    pub owner: Option<String>,
    /// Ids greater than this (keyset paging).
    pub after: Option<String>,
    /// At most so many; 1–1000.
    pub limit: u32,
}

/// One numbered change. Nodes catch up by number; the number is assigned under a lock, so a reader
/// that saw `n` never finds a smaller one later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Its number, without gaps.
    pub number: i64,
    /// What changed.
    pub subject: ChangeSubject,
}

/// What a change touched, enough to empty the right caches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChangeSubject {
    /// A resource was written or removed.
    Resource(ResourceKind, String),
    /// A credential was made or moved: id, owner.
    Credential(CredentialType, String, String),
    /// Tokens were revoked.
    Revocation,
    /// A signing key was published, activated, retired.
    SigningKey,
    /// Tuples of a relation to an object were added or removed: the object, the relation.
    Relation(String, String),
}

/// Resources, credentials, audit and outbox.
pub trait Registry: Send + Sync {
    /// All resources, of one kind or of all, ordered by kind and name.
    fn resources(
        &self,
        kind: Option<ResourceKind>,
    ) -> impl Future<Output = Stores<Vec<Stored>>> + Send;
    /// One resource.
    fn resource(
        &self,
        kind: ResourceKind,
        name: &str,
    ) -> impl Future<Output = Stores<Option<Stored>>> + Send;
    /// What a resource said at its last versions, the newest (which is what it says now) first. One
    /// that was never changed since versions are kept has none.
    fn resource_versions(
        &self,
        kind: ResourceKind,
        name: &str,
    ) -> impl Future<Output = Stores<Vec<Version>>> + Send;
    /// Writes one resource with its audit event.
    fn put_resource(
        &self,
        put: Put,
        audit: AuditDraft,
    ) -> impl Future<Output = Stores<Written>> + Send;
    /// Removes one resource with its audit event. Refused while active credentials hang on it.
    fn remove_resource(
        &self,
        kind: ResourceKind,
        name: &str,
        expected: Option<i64>,
        by_file: bool,
        audit: AuditDraft,
    ) -> impl Future<Output = Stores<Removed>> + Send;

    /// Stores a new credential, with what it signs by, and its audit event; a taken id or lookup is [`StoreError::Broken`].
    fn add_credential(
        &self,
        credential: Credential,
        audit: AuditDraft,
    ) -> impl Future<Output = Stores<Credential>> + Send;
    /// One credential by id.
    fn credential(&self, id: &str) -> impl Future<Output = Stores<Option<Credential>>> + Send;
    /// One credential by the public id of its key.
    fn credential_by_key_id(
        &self,
        id: KeyId,
    ) -> impl Future<Output = Stores<Option<Credential>>> + Send;
    /// Credentials by filter, ordered by id.
    fn credentials(
        &self,
        filter: &CredentialFilter,
    ) -> impl Future<Output = Stores<Vec<Credential>>> + Send;
    /// Moves a credential through its life. What a signing key signs by is removed as it is revoked:
    /// nobody may use it again, and a provider's secret may be in use elsewhere.
    fn move_credential(
        &self,
        id: &str,
        transition: Transition,
        expected: Option<i64>,
        audit: AuditDraft,
    ) -> impl Future<Output = Stores<Moved>> + Send;
    /// Adds the successor and ends the old one at `old_ends` (or its own expiry, if sooner).
    fn rotate_credential(
        &self,
        id: &str,
        successor: Credential,
        old_ends: Timestamp,
        audit: AuditDraft,
    ) -> impl Future<Output = Stores<Rotated>> + Send;

    /// Puts another secret or public key beside those of a signing key; those before end at
    /// `old_ends`, or when they would anyway. At most [`crate::signing::VALID_AT_ONCE`] are valid then.
    fn renew_signing(
        &self,
        id: &str,
        new: SigningMaterial,
        old_ends: Timestamp,
        expected: i64,
        audit: AuditDraft,
    ) -> impl Future<Output = Stores<Renewed>> + Send;

    /// Changes with numbers above `after`, in order, at most `limit`.
    fn changes_after(
        &self,
        after: i64,
        limit: u32,
    ) -> impl Future<Output = Stores<Vec<Change>>> + Send;
    /// The newest number.
    fn newest_change(&self) -> impl Future<Output = Stores<i64>> + Send;
}

/// Secrets that are kept to be read back, as a change of the master key meets them.
pub trait SealedSecrets: Send + Sync {
    /// Secrets of signing keys that are sealed under another master key than this one, in order of
    /// their ids, above `after`; at most `limit`.
    fn sealed_otherwise(
        &self,
        master_key: &str,
        after: &str,
        limit: u32,
    ) -> impl Future<Output = Stores<Vec<Sealed>>> + Send;
    /// Puts the same secret, sealed anew, in the place of `before`; `false` if that is not there any
    /// more. Nothing that anybody could see changes, so there is no event for each.
    fn reseal(&self, before: &Sealed, sealed: Vec<u8>)
    -> impl Future<Output = Stores<bool>> + Send;
}

/// People, as they log in. Each method is one point read.
pub trait People: Send + Sync {
    /// The person with a user name in normal form; a service account of that name is none.
    fn person_by_username(
        &self,
        username: &str,
    ) -> impl Future<Output = Stores<Option<Person>>> + Send;
    /// The person with an id ([`Person::id`]).
    fn person_by_id(&self, id: &str) -> impl Future<Output = Stores<Option<Person>>> + Send;
}

/// The audit trail as it is read, chained and sealed.
pub trait AuditTrail: Send + Sync {
    /// Chains waiting events in order of their writing; only the holder of the lease does it.
    /// Returns how many were chained (0 also when another node holds the lease).
    fn chain_waiting(
        &self,
        node: &str,
        now: Timestamp,
        limit: u32,
    ) -> impl Future<Output = Stores<u32>> + Send;
    /// The chain's head: sequence (0: empty) and hash.
    fn chain_head(&self) -> impl Future<Output = Stores<(i64, [u8; 32])>> + Send;
    /// Stores a signed checkpoint.
    fn add_checkpoint(&self, checkpoint: Checkpoint) -> impl Future<Output = Stores<()>> + Send;
    /// All checkpoints in order.
    fn checkpoints(&self) -> impl Future<Output = Stores<Vec<Checkpoint>>> + Send;
    /// Chained events above `after`, in order; with `waiting` those not chained yet follow.
    fn audit_events(
        &self,
        after: i64,
        limit: u32,
        waiting: bool,
    ) -> impl Future<Output = Stores<Vec<AuditEvent>>> + Send;
    /// Writes an event that belongs to no other change (a refused administrative act, a start).
    fn note(&self, audit: AuditDraft) -> impl Future<Output = Stores<()>> + Send;
}

/// The decision log and usage figures; written in batches, off the call's way.
pub trait CallRecord: Send + Sync {
    /// Appends a batch.
    fn append_decisions(&self, batch: &[Decision]) -> impl Future<Output = Stores<()>> + Send;
    /// The newest decisions first, at most `limit`, older than `before` if given.
    fn decisions(
        &self,
        before: Option<Timestamp>,
        limit: u32,
    ) -> impl Future<Output = Stores<Vec<Decision>>> + Send;
    /// The entry of a call, by its request id; the newest, should there be several.
    fn decision(&self, request_id: &str) -> impl Future<Output = Stores<Option<Decision>>> + Send;
    /// Removes entries older than `before`; returns how many.
    fn trim_decisions(&self, before: Timestamp) -> impl Future<Output = Stores<u64>> + Send;
    /// Adds counts (calls are added, `last_used` grows).
    fn add_usage(&self, counts: &[Usage]) -> impl Future<Output = Stores<()>> + Send;
    /// Usage of a name in the hours that begin at a time or later, in order.
    fn usage(
        &self,
        name: &str,
        since: Timestamp,
    ) -> impl Future<Output = Stores<Vec<Usage>>> + Send;
    /// When each of these names was last used, as far back as counts are kept; a name that was never
    /// used is left out. At most 1000 names.
    fn last_used(
        &self,
        names: &[&str],
    ) -> impl Future<Output = Stores<HashMap<String, Timestamp>>> + Send;
    /// What was used by name, the latest used first.
    fn used(&self, filter: &UsedFilter) -> impl Future<Output = Stores<Vec<Used>>> + Send;
}

/// Messages for endpoints of others: what waits to be sent, what was given up. A message is one
/// node's at a time: whoever claims it has it until the lease is over.
pub trait Webhooks: Send + Sync {
    /// Keeps a message, if its endpoint is there, not disabled, and fewer than `queue` wait.
    fn accept_message(
        &self,
        message: NewMessage,
        queue: u32,
        audit: AuditDraft,
    ) -> impl Future<Output = Stores<Accepted>> + Send;
    /// Keeps the messages of the audit events above `from` up to `to`, if nobody did so before:
    /// `false` then, and nothing was kept.
    fn accept_events(
        &self,
        endpoint: &str,
        from: i64,
        to: i64,
        messages: &[NewMessage],
    ) -> impl Future<Output = Stores<bool>> + Send;
    /// How all endpoints are, by name.
    fn endpoint_states(&self) -> impl Future<Output = Stores<Vec<EndpointState>>> + Send;
    /// Stops sending to an endpoint, or goes on. `false`: there is none, or it is so already.
    fn switch_endpoint(
        &self,
        name: &str,
        disabled: Option<Disabled>,
        audit: AuditDraft,
    ) -> impl Future<Output = Stores<bool>> + Send;
    /// Names of endpoints that something is due for, the disabled left out.
    fn endpoints_due(&self, now: Timestamp) -> impl Future<Output = Stores<Vec<String>>> + Send;
    /// Takes messages of an endpoint that are due, the longest waiting first, until `lease_until`.
    fn claim_messages(
        &self,
        endpoint: &str,
        now: Timestamp,
        lease_until: Timestamp,
        limit: u32,
    ) -> impl Future<Output = Stores<Vec<Message>>> + Send;
    /// Records what came of the try number `attempt`; `audit` is written with it. `false`: the
    /// message is not waiting any more, or (unless it was taken) somebody else tries it by now.
    fn settle_message(
        &self,
        id: &str,
        attempt: i64,
        outcome: Outcome,
        now: Timestamp,
        audit: Option<AuditDraft>,
    ) -> impl Future<Output = Stores<bool>> + Send;
    /// Messages by filter, the newest first.
    fn messages(&self, filter: &MessageFilter)
    -> impl Future<Output = Stores<Vec<Message>>> + Send;
    /// One message.
    fn message(&self, id: &str) -> impl Future<Output = Stores<Option<Message>>> + Send;
    /// Sends messages again, now, with their whole schedule before them; one that waits goes on with
    /// its own. Returns how many.
    fn send_again(
        &self,
        which: &Which,
        now: Timestamp,
        audit: AuditDraft,
    ) -> impl Future<Output = Stores<u64>> + Send;
    /// Forgets messages, delivered or not. Returns how many.
    fn drop_messages(
        &self,
        which: &Which,
        audit: AuditDraft,
    ) -> impl Future<Output = Stores<u64>> + Send;
}

/// The machine's files that documents name. Whoever writes a document hears at once which of them
/// can't be used, and not only those who are to serve it. What other nodes have under the same names
/// is theirs to say.
pub trait Files: Send + Sync {
    /// Reads what one document names as serving it would: what of it can't be used.
    fn look(&self, meaning: &Meaning, kind: ResourceKind, name: &str) -> Vec<BadFile>;
}

/// A file that can't be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadFile {
    /// Where in the document's `spec` it is named: keys, joined by full stops.
    pub place: &'static str,
    /// Its name, and what is wrong; nothing of what it holds.
    pub message: String,
}

/// No files: for use cases that write no document that names any.
impl Files for () {
    fn look(&self, _: &Meaning, _: ResourceKind, _: &str) -> Vec<BadFile> {
        Vec::new()
    }
}
