//! A store in memory for the tests of use cases: what the ports promise, without durability.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use proof::issued::KeyId;
use proof::password::{Argon2Params, hash};
use serde_json::{Value, json};

use super::*;
use crate::access::Action;
use crate::actor::Role;
use crate::credential::{Credential, Moved, Renewed, Rotated, Transition};
use crate::document::{Document, DocumentKind};
use crate::ports::{Change, CredentialFilter, Registry, Stores};
use crate::resource::{ManagedBy, Put, Removed, ResourceKind, Stored, Version, Written};
use crate::signing::{SigningMaterial, VALID_AT_ONCE};

/// A reproducible stream of bytes.
#[derive(Default)]
pub(crate) struct Replay(AtomicU64);

impl Entropy for Replay {
    fn fill(&self, out: &mut [u8]) {
        for chunk in out.chunks_mut(32) {
            let n = self.0.fetch_add(1, Ordering::Relaxed);
            let block = proof::digest::sha256(&n.to_be_bytes());
            chunk.copy_from_slice(&block[..chunk.len()]);
        }
    }
}

/// Hashes at once, at the least cost there is.
pub(crate) struct Quick;

impl Hasher for Quick {
    async fn hash(&self, secret: Secret, _: HashPurpose) -> Result<Verifier, Unavailable> {
        Ok(hash(
            secret.expose(),
            Argon2Params::dangerous_minimum(),
            &Replay::default(),
        )
        .expect("hashes"))
    }
}

/// A pool without a free place.
pub(crate) struct Full;

impl Hasher for Full {
    async fn hash(&self, _: Secret, _: HashPurpose) -> Result<Verifier, Unavailable> {
        Err(Unavailable::HashingPool)
    }
}

#[derive(Default)]
pub(crate) struct Memory {
    pub(crate) resources: Mutex<Vec<Stored>>,
    pub(crate) credentials: Mutex<Vec<Credential>>,
    pub(crate) audit: Mutex<Vec<AuditDraft>>,
    /// What resources said, the oldest first.
    versions: Mutex<Vec<(ResourceKind, String, Version)>>,
}

impl Memory {
    /// `action subject` of everything that was written.
    pub(crate) fn events(&self) -> Vec<String> {
        let audit = self.audit.lock().expect("is sound");
        audit
            .iter()
            .map(|event| format!("{} {}", event.action, event.subject))
            .collect()
    }
    fn keep(&self, stored: &Stored) {
        let version = Version {
            version: stored.version,
            spec: stored.spec.clone(),
            managed_by: stored.managed_by,
            written_at: stored.updated_at,
        };
        let mut versions = self.versions.lock().expect("is sound");
        versions.push((stored.kind, stored.name.clone(), version));
    }
    fn note(&self, audit: AuditDraft) {
        self.audit.lock().expect("is sound").push(audit);
    }
}

impl Registry for Memory {
    async fn resources(&self, kind: Option<ResourceKind>) -> Stores<Vec<Stored>> {
        let mut all = self.resources.lock().expect("is sound").clone();
        all.retain(|one| kind.is_none_or(|kind| one.kind == kind));
        all.sort_by(|a, b| (a.kind, &a.name).cmp(&(b.kind, &b.name)));
        Ok(all)
    }
    async fn resource(&self, kind: ResourceKind, name: &str) -> Stores<Option<Stored>> {
        let all = self.resources.lock().expect("is sound");
        Ok(all
            .iter()
            .find(|one| one.kind == kind && one.name == name)
            .cloned())
    }
    async fn resource_versions(&self, kind: ResourceKind, name: &str) -> Stores<Vec<Version>> {
        let all = self.versions.lock().expect("is sound");
        let of = all.iter().filter(|(of, its, _)| *of == kind && its == name);
        Ok(of.rev().map(|(_, _, version)| version.clone()).collect())
    }
    async fn put_resource(&self, put: Put, audit: AuditDraft) -> Stores<Written> {
        let mut all = self.resources.lock().expect("is sound");
        let found = all
            .iter_mut()
            .find(|one| one.kind == put.kind && one.name == put.name);
        let current = found.as_ref().map_or(0, |one| one.version);
        if put.expected.is_some_and(|expected| expected != current) {
            return Ok(Written::Conflict { current });
        }
        let Some(old) = found else {
            let stored = Stored {
                kind: put.kind,
                name: put.name,
                id: put.new_id,
                spec: put.spec,
                version: 1,
                managed_by: put.managed_by,
                created_at: put.at,
                updated_at: put.at,
            };
            all.push(stored.clone());
            drop(all);
            self.keep(&stored);
            self.note(audit);
            return Ok(Written::Created(stored));
        };
        if old.managed_by == ManagedBy::File && put.managed_by != ManagedBy::File {
            return Ok(Written::ManagedByFile);
        }
        if old.spec == put.spec && old.managed_by == put.managed_by {
            return Ok(Written::Unchanged(old.clone()));
        }
        old.spec = put.spec;
        old.managed_by = put.managed_by;
        old.version += 1;
        old.updated_at = put.at;
        let stored = old.clone();
        drop(all);
        self.keep(&stored);
        self.note(audit);
        Ok(Written::Updated(stored))
    }
    async fn remove_resource(
        &self,
        kind: ResourceKind,
        name: &str,
        expected: Option<i64>,
        by_file: bool,
        audit: AuditDraft,
    ) -> Stores<Removed> {
        let mut all = self.resources.lock().expect("is sound");
        let Some(index) = all
            .iter()
            .position(|one| one.kind == kind && one.name == name)
        else {
            return Ok(Removed::Unknown);
        };
        if expected.is_some_and(|expected| expected != all[index].version) {
            return Ok(Removed::Conflict {
                current: all[index].version,
            });
        }
        if all[index].managed_by == ManagedBy::File && !by_file {
            return Ok(Removed::ManagedByFile);
        }
        let credentials = self.credentials.lock().expect("is sound");
        let hanging = credentials.iter().filter(|one| {
            one.r#type.owner_kind() == Some(kind)
                && one.owner == name
                && one.state != LifeState::Revoked
        });
        match i64::try_from(hanging.count()).expect("is small") {
            0 => {}
            credentials => return Ok(Removed::InUse { credentials }),
        }
        all.remove(index);
        drop(all);
        self.note(audit);
        Ok(Removed::Done)
    }
    async fn add_credential(
        &self,
        credential: Credential,
        audit: AuditDraft,
    ) -> Stores<Credential> {
        self.credentials
            .lock()
            .expect("is sound")
            .push(credential.clone());
        self.note(audit);
        Ok(credential)
    }
    async fn credential(&self, id: &str) -> Stores<Option<Credential>> {
        let all = self.credentials.lock().expect("is sound");
        Ok(all.iter().find(|one| one.id == id).cloned())
    }
    async fn credential_by_key_id(&self, id: KeyId) -> Stores<Option<Credential>> {
        let lookup = crate::credential::Lookup::KeyId(id);
        let all = self.credentials.lock().expect("is sound");
        Ok(all.iter().find(|one| one.lookup == lookup).cloned())
    }
    async fn credentials(&self, filter: &CredentialFilter) -> Stores<Vec<Credential>> {
        let mut all = self.credentials.lock().expect("is sound").clone();
        all.retain(|one| {
            (filter.types.is_empty() || filter.types.contains(&one.r#type))
                && filter
                    .owner
                    .as_ref()
                    .is_none_or(|owner| *owner == one.owner)
                && filter.after.as_ref().is_none_or(|after| one.id > *after)
        });
        all.sort_by(|a, b| a.id.cmp(&b.id));
        all.truncate(filter.limit as usize);
        Ok(all)
    }
    async fn move_credential(
        &self,
        id: &str,
        transition: Transition,
        expected: Option<i64>,
        audit: AuditDraft,
    ) -> Stores<Moved> {
        let mut all = self.credentials.lock().expect("is sound");
        let Some(one) = all.iter_mut().find(|one| one.id == id) else {
            return Ok(Moved::Unknown);
        };
        if expected.is_some_and(|expected| expected != one.version) {
            return Ok(Moved::Conflict {
                current: one.version,
            });
        }
        match (transition, one.state) {
            (Transition::Suspend, LifeState::Active) => one.state = LifeState::Suspended,
            (Transition::Resume, LifeState::Suspended) => one.state = LifeState::Active,
            (Transition::Revoke, LifeState::Active | LifeState::Suspended) => {
                one.state = LifeState::Revoked;
                if let Some(signing) = &mut one.signing {
                    signing.material.clear();
                }
            }
            (
                Transition::Amend {
                    label,
                    grant,
                    expires_at,
                },
                LifeState::Active | LifeState::Suspended,
            ) => {
                (one.label, one.grant, one.expires_at) = (label, grant, expires_at);
            }
            (_, state) => return Ok(Moved::WrongState(state)),
        }
        one.version += 1;
        let moved = one.clone();
        drop(all);
        self.note(audit);
        Ok(Moved::Done(moved))
    }
    async fn rotate_credential(
        &self,
        id: &str,
        successor: Credential,
        old_ends: Timestamp,
        audit: AuditDraft,
    ) -> Stores<Rotated> {
        let mut all = self.credentials.lock().expect("is sound");
        let Some(old) = all.iter_mut().find(|one| one.id == id) else {
            return Ok(Rotated::Unknown);
        };
        if let Some(successor) = &old.successor {
            return Ok(Rotated::AlreadyRotated {
                successor: successor.clone(),
            });
        }
        if old.state != LifeState::Active {
            return Ok(Rotated::WrongState(old.state));
        }
        old.successor = Some(successor.id.clone());
        old.expires_at = Some(old.expires_at.map_or(old_ends, |end| end.min(old_ends)));
        old.version += 1;
        let old = old.clone();
        all.push(successor.clone());
        drop(all);
        self.note(audit);
        Ok(Rotated::Done {
            old,
            new: successor,
        })
    }
    async fn renew_signing(
        &self,
        id: &str,
        new: SigningMaterial,
        old_ends: Timestamp,
        expected: i64,
        audit: AuditDraft,
    ) -> Stores<Renewed> {
        let mut all = self.credentials.lock().expect("is sound");
        let Some(one) = all.iter_mut().find(|one| one.id == id) else {
            return Ok(Renewed::Unknown);
        };
        if one.version != expected {
            return Ok(Renewed::Conflict {
                current: one.version,
            });
        }
        if one.state != LifeState::Active {
            return Ok(Renewed::WrongState(one.state));
        }
        let Some(signing) = &mut one.signing else {
            return Ok(Renewed::Unknown);
        };
        let mut material = signing.material.clone();
        for old in &mut material {
            old.until = Some(old.until.map_or(old_ends, |end| end.min(old_ends)));
        }
        let now = new.created_at;
        material.insert(0, new);
        if material.iter().filter(|one| one.is_valid_at(now)).count() > VALID_AT_ONCE {
            return Ok(Renewed::TwoValid);
        }
        signing.material = material;
        one.version += 1;
        let renewed = one.clone();
        drop(all);
        self.note(audit);
        Ok(Renewed::Done(renewed))
    }
    async fn changes_after(&self, _: i64, _: u32) -> Stores<Vec<Change>> {
        Ok(Vec::new())
    }
    async fn newest_change(&self) -> Stores<i64> {
        Ok(0)
    }
}

/// What a test of use cases stands on.
pub(crate) struct House {
    pub(crate) store: Memory,
    pub(crate) context: Context,
    pub(crate) files: Box<dyn Files>,
    pub(crate) entropy: Replay,
    pub(crate) now: Timestamp,
}

impl House {
    /// An installation with an API, an application, a client and an account.
    pub(crate) async fn furnished() -> Self {
        let house = Self::empty();
        for (kind, name, spec) in [
            (ResourceKind::Api, "orders", crate::meaning::tests::orders()),
            (
                ResourceKind::Application,
                "shop",
                json!({ "environment": "live" }),
            ),
            (
                ResourceKind::Client,
                "app",
                json!({
                    "application": "shop", "auth_method": "client_secret_basic",
                    "grants": { "orders": ["orders:read"] }
                }),
            ),
            (
                ResourceKind::Account,
                "legacy",
                json!({ "application": "shop", "apis": ["orders"] }),
            ),
        ] {
            house.put(kind, name, spec).await.expect("is sound");
        }
        house.store.audit.lock().expect("is sound").clear();
        house
    }
    pub(crate) fn empty() -> Self {
        Self {
            store: Memory::default(),
            context: crate::meaning::tests::context(),
            files: Box::new(()),
            entropy: Replay::default(),
            now: Timestamp::from_secs(1_800_000_000),
        }
    }
    pub(crate) fn ctx(&self) -> Ctx<'_> {
        Ctx {
            now: self.now,
            entropy: &self.entropy,
            request_id: "request",
            context: &self.context,
            files: &*self.files,
        }
    }
    pub(crate) async fn put(
        &self,
        kind: ResourceKind,
        name: &str,
        spec: Value,
    ) -> Result<Written, Refusal> {
        let input = resource::PutResource {
            document: document(kind, name, spec),
            expected: None,
        };
        resource::put(&self.store, &owner(), &self.ctx(), input).await
    }
}

pub(crate) fn document(kind: ResourceKind, name: &str, spec: Value) -> Document {
    Document::from_parts(DocumentKind::Resource(kind), name, spec).expect("has the right shape")
}

pub(crate) fn administrator(role: Role) -> Actor {
    Actor::Administrator {
        key: verdict::identity::CredentialId::new("adm_test"),
        name: role.name().to_owned(),
        role,
    }
}

pub(crate) fn owner() -> Actor {
    administrator(Role::Owner)
}

/// What a refusal says, for asserting.
pub(crate) fn why<T: core::fmt::Debug>(result: Result<T, Refusal>) -> String {
    result.expect_err("is refused").to_string()
}

#[test]
fn what_a_role_does_not_allow_is_refused_by_name_and_can_be_noted() {
    let house = House::empty();
    let auditor = administrator(Role::Auditor);
    let refusal = authorize(&auditor, Action::ApiKeyCreate).expect_err("is refused");
    assert_eq!(refusal.code(), Code::ActionNotAllowed);
    assert_eq!(
        refusal.detail().as_deref(),
        Some("api_key.create is not allowed")
    );
    let note = refused_draft(
        &house.ctx(),
        &auditor,
        Action::ApiKeyCreate,
        "Application/shop",
    );
    assert_eq!(note.action, "access.refused");
    assert_eq!(note.details["action"], "api_key.create");
    assert_eq!(note.details["role"], "auditor");
}

#[test]
fn c10_what_the_store_says_of_itself_is_not_shown() {
    let refusal = Refusal::from(StoreError::Unavailable("password=hunter2".to_owned()));
    assert_eq!(refusal.code(), Code::FactUnavailable);
    assert_eq!(refusal.detail(), None);
}
