//! **What lasts between the requests of a flow**: [`issuer::flow::Flows`] on both databases.
//!
//! Every gate is one statement that finds its row in the one state it may leave (`UPDATE … WHERE
//! state … RETURNING`), so that of many callers on many nodes one passes. Only who passed, or who
//! has to end something, takes numbers and with them the realm's lock.
//!
//! **The order of locks.** Codes, pushed requests and devices are gates: one row each, locked
//! before the numbers. Everything else is written under the lock of numbers, or by one statement
//! that waits for nothing more. Nobody who holds the lock waits for a gate, so no two writes wait
//! for each other crosswise.

mod devices;
mod grants;
mod notices;
mod pushed;
mod refresh;
mod rotation;
mod sessions;
mod sweep;

use issuer::flow::{
    Code, CodeIssued, Device, DeviceDecision, EndReason, FlowFilter, Flows, Grant, GrantState,
    ListedGrant, LogoutNotice, NewCode, NewRefresh, NewTokens, Polled, Pushed, Redeemed, Refresh,
    Refreshed, Remembered, Session,
};
use proof::digest::TokenHash;
use proof::time::Timestamp;
use registry::audit::AuditDraft;
use registry::ports::Stores;
use verdict::identity::ClientId;

use crate::Store;
use crate::error::broken;

pub(crate) use rotation::Rotations;
pub use sweep::SweptFlows;
pub(crate) use sweep::sweep;

/// At most so many values in one list of a statement.
const VALUES_PER_STATEMENT: usize = 200;

/// A filter as SQL: conditions with placeholders, and the values that belong to them.
struct Conditions<'a> {
    text: String,
    values: Vec<&'a str>,
    /// The number of the next placeholder.
    next: usize,
}

impl<'a> Conditions<'a> {
    /// None yet; placeholders count from `next`.
    fn from(next: usize) -> Self {
        Self {
            text: String::new(),
            values: Vec::new(),
            next,
        }
    }

    /// `condition` with the placeholder where it has a `?`, if there is a value.
    fn and(&mut self, condition: &str, value: Option<&'a str>) {
        if let Some(value) = value {
            self.text.push_str(" AND ");
            self.text
                .push_str(&condition.replace('?', &format!("${}", self.next)));
            self.values.push(value);
            self.next += 1;
        }
    }
}

/// Ending everything takes more than forgetting to say what is meant.
fn refuse_empty(which: &FlowFilter) -> Stores<()> {
    if *which == FlowFilter::default() {
        return Err(broken(
            "an end without saying of whom or what; nothing was ended",
        ));
    }
    Ok(())
}

impl Flows for Store {
    async fn issue_code(&self, new: NewCode, audit: AuditDraft) -> Stores<CodeIssued> {
        grants::issue_code(self, new, &audit).await
    }
    async fn redeem_code(
        &self,
        hash: TokenHash,
        client_id: &ClientId,
        tokens: NewTokens,
        now: Timestamp,
        audit: AuditDraft,
        reused: AuditDraft,
    ) -> Stores<Redeemed> {
        grants::redeem_code(self, hash, client_id, tokens, now, &audit, &reused).await
    }
    async fn code(&self, hash: TokenHash, now: Timestamp) -> Stores<Option<(Code, Grant)>> {
        grants::code(self, hash, now).await
    }
    async fn refresh(
        &self,
        refresh: Refresh<'_>,
        audit: AuditDraft,
        reused: AuditDraft,
    ) -> Stores<Refreshed> {
        refresh::present(self, refresh, &audit, &reused).await
    }
    async fn refresh_token(
        &self,
        hash: TokenHash,
        now: Timestamp,
    ) -> Stores<Option<(Grant, GrantState, bool, Timestamp)>> {
        refresh::find(self, hash, now).await
    }
    async fn push(&self, hash: TokenHash, pushed: Pushed) -> Stores<()> {
        pushed::push(self, hash, &pushed).await
    }
    async fn pushed(&self, hash: TokenHash, now: Timestamp) -> Stores<Option<Pushed>> {
        pushed::find(self, hash, now).await
    }
    async fn open_session(
        &self,
        handle: TokenHash,
        session: Session,
        replaces: Option<TokenHash>,
        audit: AuditDraft,
    ) -> Stores<()> {
        sessions::open(self, handle, &session, replaces, &audit).await
    }
    async fn session(&self, handle: TokenHash, now: Timestamp) -> Stores<Option<Session>> {
        sessions::find(self, handle, now).await
    }
    async fn touch_session(&self, id: &str, idle_until: Timestamp) -> Stores<()> {
        sessions::touch(self, id, idle_until).await
    }
    async fn end_sessions(
        &self,
        which: &FlowFilter,
        now: Timestamp,
        audit: AuditDraft,
    ) -> Stores<Vec<Session>> {
        refuse_empty(which)?;
        sessions::end(self, which, now, &audit).await
    }
    async fn sessions(
        &self,
        which: &FlowFilter,
        now: Timestamp,
        limit: u32,
    ) -> Stores<Vec<Session>> {
        sessions::list(self, which, now, limit).await
    }
    async fn remembered(&self, subject: &str, client_id: &ClientId) -> Stores<Remembered> {
        grants::remembered(self, subject, client_id).await
    }
    async fn end_grants(
        &self,
        which: &FlowFilter,
        reason: EndReason,
        now: Timestamp,
        audit: AuditDraft,
    ) -> Stores<Vec<Grant>> {
        refuse_empty(which)?;
        grants::end_filtered(self, which, reason, now, &audit).await
    }
    async fn grants(
        &self,
        which: &FlowFilter,
        now: Timestamp,
        limit: u32,
    ) -> Stores<Vec<ListedGrant>> {
        grants::list(self, which, now, limit).await
    }
    async fn start_device(&self, hash: TokenHash, device: Device, now: Timestamp) -> Stores<bool> {
        devices::start(self, hash, &device, now).await
    }
    async fn device(&self, user_code: &str, now: Timestamp) -> Stores<Option<Device>> {
        devices::find(self, user_code, now).await
    }
    async fn decide_device(
        &self,
        user_code: &str,
        decision: DeviceDecision,
        now: Timestamp,
        audit: AuditDraft,
    ) -> Stores<bool> {
        devices::decide(self, user_code, decision, now, &audit).await
    }
    async fn approved_device(
        &self,
        hash: TokenHash,
        client_id: &ClientId,
        now: Timestamp,
    ) -> Stores<Option<Grant>> {
        devices::approved(self, hash, client_id, now).await
    }
    async fn poll_device(
        &self,
        hash: TokenHash,
        client_id: &ClientId,
        refresh: Option<NewRefresh>,
        now: Timestamp,
        audit: AuditDraft,
    ) -> Stores<Polled> {
        devices::poll(self, hash, client_id, refresh, now, &audit).await
    }
    async fn due_notices(
        &self,
        now: Timestamp,
        lease_until: Timestamp,
        limit: u32,
    ) -> Stores<Vec<LogoutNotice>> {
        notices::due(self, now, lease_until, limit).await
    }
    async fn settle_notice(&self, id: &str) -> Stores<()> {
        notices::settle(self, id).await
    }
}
