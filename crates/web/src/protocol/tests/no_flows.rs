//! Ports that these tests do not reach: flows of people, and people.

use std::sync::Arc;

use issuer::flow::{
    Code, CodeIssued, Device, DeviceDecision, EndReason, FlowFilter, Flows, Grant, GrantState,
    ListedGrant, LogoutNotice, NewCode, NewRefresh, NewTokens, Polled, Pushed, Redeemed, Refresh,
    Refreshed, Remembered, Session,
};
use issuer::ports::{People, Person, PersonCheck};
use proof::digest::TokenHash;
use proof::secret::Secret;
use proof::time::Timestamp;
use registry::audit::AuditDraft;
use registry::ports::Stores;
use verdict::facts::Answer;
use verdict::identity::ClientId;

use super::{OneSecret, Store};

/// No test here comes as far as a flow.
impl Flows for Store {
    async fn issue_code(&self, _new: NewCode, _audit: AuditDraft) -> Stores<CodeIssued> {
        no_flows()
    }
    async fn redeem_code(
        &self,
        _hash: TokenHash,
        _client_id: &ClientId,
        _tokens: NewTokens,
        _now: Timestamp,
        _audit: AuditDraft,
        _reused: AuditDraft,
    ) -> Stores<Redeemed> {
        no_flows()
    }
    async fn code(&self, _hash: TokenHash, _now: Timestamp) -> Stores<Option<(Code, Grant)>> {
        no_flows()
    }
    async fn refresh(
        &self,
        _refresh: Refresh<'_>,
        _audit: AuditDraft,
        _reused: AuditDraft,
    ) -> Stores<Refreshed> {
        no_flows()
    }
    async fn refresh_token(
        &self,
        _hash: TokenHash,
        _now: Timestamp,
    ) -> Stores<Option<(Grant, GrantState, bool, Timestamp)>> {
        no_flows()
    }
    async fn push(&self, _hash: TokenHash, _pushed: Pushed) -> Stores<()> {
        no_flows()
    }
    async fn pushed(&self, _hash: TokenHash, _now: Timestamp) -> Stores<Option<Pushed>> {
        no_flows()
    }
    async fn open_session(
        &self,
        _handle: TokenHash,
        _session: Session,
        _replaces: Option<TokenHash>,
        _audit: AuditDraft,
    ) -> Stores<()> {
        no_flows()
    }
    async fn session(&self, _handle: TokenHash, _now: Timestamp) -> Stores<Option<Session>> {
        no_flows()
    }
    async fn touch_session(&self, _id: &str, _idle_until: Timestamp) -> Stores<()> {
        no_flows()
    }
    async fn end_sessions(
        &self,
        _which: &FlowFilter,
        _now: Timestamp,
        _audit: AuditDraft,
    ) -> Stores<Vec<Session>> {
        no_flows()
    }
    async fn sessions(
        &self,
        _which: &FlowFilter,
        _now: Timestamp,
        _limit: u32,
    ) -> Stores<Vec<Session>> {
        no_flows()
    }
    async fn remembered(&self, _subject: &str, _client_id: &ClientId) -> Stores<Remembered> {
        no_flows()
    }
    async fn end_grants(
        &self,
        _which: &FlowFilter,
        _reason: EndReason,
        _now: Timestamp,
        _audit: AuditDraft,
    ) -> Stores<Vec<Grant>> {
        no_flows()
    }
    async fn grants(
        &self,
        _which: &FlowFilter,
        _now: Timestamp,
        _limit: u32,
    ) -> Stores<Vec<ListedGrant>> {
        no_flows()
    }
    async fn start_device(
        &self,
        _hash: TokenHash,
        _device: Device,
        _now: Timestamp,
    ) -> Stores<bool> {
        no_flows()
    }
    async fn device(&self, _user_code: &str, _now: Timestamp) -> Stores<Option<Device>> {
        no_flows()
    }
    async fn decide_device(
        &self,
        _user_code: &str,
        _decision: DeviceDecision,
        _now: Timestamp,
        _audit: AuditDraft,
    ) -> Stores<bool> {
        no_flows()
    }
    async fn approved_device(
        &self,
        _hash: TokenHash,
        _client_id: &ClientId,
        _now: Timestamp,
    ) -> Stores<Option<Grant>> {
        no_flows()
    }
    async fn poll_device(
        &self,
        _hash: TokenHash,
        _client_id: &ClientId,
        _refresh: Option<NewRefresh>,
        _now: Timestamp,
        _audit: AuditDraft,
    ) -> Stores<Polled> {
        no_flows()
    }
    async fn due_notices(
        &self,
        _now: Timestamp,
        _lease_until: Timestamp,
        _limit: u32,
    ) -> Stores<Vec<LogoutNotice>> {
        no_flows()
    }
    async fn settle_notice(&self, _id: &str) -> Stores<()> {
        no_flows()
    }
}

fn no_flows<T>() -> Stores<T> {
    Err(registry::ports::StoreError::Unavailable(
        "no flows here".to_owned(),
    ))
}

impl People for OneSecret {
    async fn check_password(
        &self,
        _username: &str,
        _password: &Secret,
        _from: core::net::IpAddr,
        _now: Timestamp,
    ) -> Answer<PersonCheck> {
        Ok(PersonCheck::Refused)
    }
    async fn person(&self, _subject: &str, _now: Timestamp) -> Answer<Option<Arc<Person>>> {
        Ok(None)
    }
}
