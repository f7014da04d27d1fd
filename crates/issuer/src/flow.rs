//! **What lasts between the requests of a flow**: grants and what stands for them (codes, refresh
//! tokens, device codes), pushed requests, sessions of people, consents. Here are the records and
//! the port that moves them; the rules stand in [`crate::authorize`] and [`crate::grant`].
//!
//! A method of [`Flows`] is a thing that happens at once or not at all, with its audit event and
//! its change inside. No secret reaches the store: whatever a client or a browser holds is known
//! there by its SHA-256, which suits values of 256 random bits.

use core::future::Future;
use core::time::Duration;

use proof::digest::TokenHash;
use proof::time::Timestamp;
use registry::audit::AuditDraft;
use registry::ports::Stores;
use serde::{Deserialize, Serialize};
use verdict::identity::ClientId;

use crate::ports::KeptToken;

/// What a token is bound to (RFC 7800 `cnf`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Binding {
    /// The RFC 7638 thumbprint of a DPoP key (RFC 9449 §6).
    #[serde(rename = "jkt")]
    Jkt(String),
    /// The SHA-256 thumbprint of a certificate (RFC 8705 §3.1).
    #[serde(rename = "x5t#S256")]
    Certificate(String),
}

/// How and when a person proved who they are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Authentication {
    /// `auth_time`.
    pub at: Timestamp,
    /// `acr`.
    pub acr: String,
    /// `amr` (RFC 8176).
    pub amr: Vec<String>,
}

/// What a person allowed a client, and what every token of it goes back to: ending the grant ends
/// them all. A refresh family is a grant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Grant {
    /// UUIDv7; access tokens carry it as `grant_id`.
    pub id: String,
    /// The client.
    pub client_id: ClientId,
    /// The person's `sub`.
    pub subject: String,
    /// The session it was made in: `sid`.
    pub session: Option<String>,
    /// Every scope that was allowed, API scopes and identity scopes.
    pub scopes: Vec<String>,
    /// Every audience that tokens of it may have; none for a grant of identity alone.
    pub audiences: Vec<String>,
    /// The person's authentication.
    pub authentication: Authentication,
    /// The `claims` parameter (OpenID Connect Core §5.5), as it was sent.
    pub claims: Option<serde_json::Value>,
    /// What its refresh tokens are bound to: the key of a public client.
    pub binding: Option<Binding>,
    /// Whether it outlives the session (`offline_access`, or a grant without OpenID).
    pub offline: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// The end, whatever is done with it.
    pub until: Timestamp,
}

/// Where a grant is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GrantState {
    /// Tokens may be issued.
    Active,
    /// Ended; its tokens are dead.
    Ended,
}

/// Why a grant was ended: in its audit event, and in what its owner is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EndReason {
    /// Its client revoked it (RFC 7009).
    Client,
    /// An administrator ended it.
    Administrator,
    /// Its person ended it, or its session.
    Person,
    /// A code was redeemed twice.
    CodeReused,
    /// A refresh token was used that had been replaced before.
    RefreshReused,
    /// The session was over that it did not outlive.
    SessionOver,
    /// Its own time was over.
    Over,
    /// Its refresh token was not used for too long.
    Unused,
}

impl EndReason {
    /// Every reason.
    pub const ALL: [Self; 8] = [
        Self::Client,
        Self::Administrator,
        Self::Person,
        Self::CodeReused,
        Self::RefreshReused,
        Self::SessionOver,
        Self::Over,
        Self::Unused,
    ];
    /// Its name in records.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Administrator => "administrator",
            Self::Person => "person",
            Self::CodeReused => "code-reused",
            Self::RefreshReused => "refresh-reused",
            Self::SessionOver => "session-over",
            Self::Over => "over",
            Self::Unused => "unused",
        }
    }
    /// The one of a name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.name() == name)
    }
}

/// What a code remembers of its request, to be compared when it is redeemed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Code {
    /// Exactly as it was sent; `None`: it was not sent (RFC 6749 §4.1.3).
    pub redirect_uri: Option<String>,
    /// `code_challenge` (S256).
    pub code_challenge: Option<String>,
    /// `nonce`, for the ID token.
    pub nonce: Option<String>,
    /// `dpop_jkt` (RFC 9449 §10): the only key that may redeem it.
    pub dpop_jkt: Option<String>,
    /// When it ends.
    pub until: Timestamp,
}

/// A code to be issued, with its grant.
#[derive(Debug, Clone)]
pub struct NewCode {
    /// SHA-256 of the code.
    pub hash: TokenHash,
    /// What it remembers.
    pub code: Code,
    /// The grant it stands for.
    pub grant: Grant,
    /// The pushed request that ends with it.
    pub spends: Option<TokenHash>,
    /// A consent to remember, beside what was allowed before.
    pub consent: Option<Consent>,
    /// Scopes that the person was shown and left out: what was remembered of them is forgotten.
    pub withdrawn: Vec<String>,
}

/// What came of issuing a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CodeIssued {
    /// It stands.
    Issued,
    /// The pushed request was spent before: nothing was written.
    RequestSpent,
}

/// What came of redeeming a code.
#[derive(Debug, Clone, PartialEq)]
pub enum Redeemed {
    /// For the first time; nobody else will get this answer.
    First(Code, Grant),
    /// It was redeemed before. The grant was ended in the same step ([`EndReason::CodeReused`]).
    Reused(Grant),
    /// There is no such code, it has expired, or it is another client's.
    Unknown,
}

/// A refresh token to be issued.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRefresh {
    /// SHA-256 of the token.
    pub hash: TokenHash,
    /// Unused until then, it ends.
    pub until: Timestamp,
    /// With the first token of a grant: the key that a public client proved with the code. It
    /// becomes [`Grant::binding`] in the same step. `None` leaves the grant's as it is.
    pub binding: Option<Binding>,
}

/// Tokens that an act of a grant issues, in the same step.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewTokens {
    /// The first refresh token of the grant's line.
    pub refresh: Option<NewRefresh>,
    /// An opaque access token.
    pub access: Option<KeptToken>,
}

/// What came of presenting a refresh token.
#[derive(Debug, Clone, PartialEq)]
pub enum Refreshed {
    /// It was current. Under rotation its successor is current now; without, it stays so.
    Current(Grant),
    /// It was replaced a moment ago, its successor was not used since, and the same successor was
    /// given: the answer had been lost.
    Retried(Grant),
    /// It was replaced before. The grant was ended in the same step ([`EndReason::RefreshReused`]).
    Reused(Grant),
    /// The grant is over, or the token's or the grant's time.
    Ended,
    /// There is no such token, or it is another client's.
    Unknown,
}

/// How a refresh token is presented.
#[derive(Debug, Clone)]
pub struct Refresh<'a> {
    /// SHA-256 of what was presented.
    pub hash: TokenHash,
    /// The client that presents it.
    pub client_id: &'a ClientId,
    /// Its successor, under rotation. It is derived from the token, so that a retry gives the same.
    pub successor: Option<NewRefresh>,
    /// The opaque access token that it is presented for. It is kept if the answer is
    /// [`Refreshed::Current`] or [`Refreshed::Retried`].
    pub access: Option<KeptToken>,
    /// How long a replaced token may be tried again; zero: never.
    pub retry: Duration,
    /// Without rotation: how far its idle end is pushed.
    pub idle_until: Timestamp,
    /// Now.
    pub now: Timestamp,
}

/// A pushed authorization request (RFC 9126).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pushed {
    /// The client that pushed it.
    pub client_id: ClientId,
    /// Its parameters, in order, as they were sent.
    pub params: Vec<(String, String)>,
    /// The key of the DPoP proof that came with it (RFC 9449 §10.1).
    pub dpop_jkt: Option<String>,
    /// When it ends.
    pub until: Timestamp,
}

/// A person's session with the issuer (single sign-on).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Session {
    /// UUIDv7: `sid` in ID tokens and logout tokens; public.
    pub id: String,
    /// The person's `sub`.
    pub subject: String,
    /// How and when they proved who they are.
    pub authentication: Authentication,
    /// The browser, in a few words, for lists that people read.
    pub agent: String,
    /// The address it was made from.
    pub address: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// Unused until then, it ends.
    pub idle_until: Timestamp,
    /// The end, whatever is done with it.
    pub until: Timestamp,
}

/// What a person allowed a client before, so that they are not asked again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Consent {
    /// The person's `sub`.
    pub subject: String,
    /// The client.
    pub client_id: ClientId,
    /// Scopes allowed so far.
    pub scopes: Vec<String>,
    /// Audiences allowed so far.
    pub audiences: Vec<String>,
    /// When it was last given.
    pub at: Timestamp,
}

/// A refresh token of a person's was used although it had been replaced, and its grant was ended
/// for it ([`EndReason::RefreshReused`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reuse {
    /// When.
    pub at: Timestamp,
    /// Whether the person allowed the client something since: they were told before.
    pub answered: bool,
}

impl Reuse {
    /// Whether a login is too old to go on with: it may be the thief's.
    pub fn demands_login(&self, authentication: &Authentication) -> bool {
        authentication.at <= self.at
    }
}

/// What is known of a person and a client.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Remembered {
    /// What the person allowed the client before.
    pub consent: Option<Consent>,
    /// The last reuse of a refresh token, if there was one in the last 30 days.
    pub reuse: Option<Reuse>,
}

/// A request of a device (RFC 8628).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// The client.
    pub client_id: ClientId,
    /// What the person types, in its one form: eight letters, upper case, no dash.
    pub user_code: String,
    /// Scopes asked for.
    pub scopes: Vec<String>,
    /// Audiences asked for.
    pub audiences: Vec<String>,
    /// The address of the device, for the page that asks the person.
    pub address: String,
    /// Least time between two polls.
    pub interval: Duration,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends.
    pub until: Timestamp,
}

/// What a person decided about a device.
#[derive(Debug, Clone, PartialEq)]
pub enum DeviceDecision {
    /// Yes: what it may do.
    Approved(Box<Grant>),
    /// No.
    Denied,
}

/// What a device learns when it polls.
#[derive(Debug, Clone, PartialEq)]
pub enum Polled {
    /// Nobody decided yet.
    Pending,
    /// It polls too often; the interval grew by 5 s (RFC 8628 §3.5).
    SlowDown,
    /// Approved; nobody else will get this answer.
    Approved(Box<Grant>),
    /// Denied.
    Denied,
    /// Its time is over.
    Expired,
    /// There is no such code, it is another client's, or it was redeemed.
    Unknown,
}

/// Which grants or sessions are meant.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FlowFilter {
    /// Of this person.
    pub subject: Option<String>,
    /// Of this client.
    pub client_id: Option<String>,
    /// Of this session.
    pub session: Option<String>,
    /// This one.
    pub id: Option<String>,
}

/// A grant as lists show it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ListedGrant {
    /// The grant.
    #[serde(flatten)]
    pub grant: Grant,
    /// Its state.
    pub state: GrantState,
    /// When a refresh token of it was used last.
    pub refreshed_at: Option<Timestamp>,
    /// When and why it ended; `None` also for one whose time is over and that nobody swept yet.
    pub end: Option<GrantEnd>,
}

/// When and why a grant ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct GrantEnd {
    /// When.
    pub at: Timestamp,
    /// Why.
    pub reason: EndReason,
}

/// A logout token to be delivered (OpenID Connect Back-Channel Logout 1.0).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogoutNotice {
    /// UUIDv7.
    pub id: String,
    /// The client to tell.
    pub client_id: ClientId,
    /// The person.
    pub subject: String,
    /// The session.
    pub session: String,
    /// How often it was tried.
    pub attempts: i64,
    /// When it is tried next.
    pub due: Timestamp,
}

/// Durable state of flows.
pub trait Flows: Send + Sync {
    /// Issues a code with its grant.
    fn issue_code(
        &self,
        new: NewCode,
        audit: AuditDraft,
    ) -> impl Future<Output = Stores<CodeIssued>> + Send;
    /// Redeems a code, and issues tokens with it. Of many that try at once one gets [`Redeemed::First`]. `audit` is written with `First`; a reuse writes its own
    /// from `reused`, ends the grant and announces the revocation of its tokens.
    fn redeem_code(
        &self,
        hash: TokenHash,
        client_id: &ClientId,
        tokens: NewTokens,
        now: Timestamp,
        audit: AuditDraft,
        reused: AuditDraft,
    ) -> impl Future<Output = Stores<Redeemed>> + Send;
    /// What a code would give, without redeeming it: checks come before the code is spent, so that
    /// a stranger's wrong verifier does not spend it.
    fn code(
        &self,
        hash: TokenHash,
        now: Timestamp,
    ) -> impl Future<Output = Stores<Option<(Code, Grant)>>> + Send;
    /// Presents a refresh token. `audit` is written when it rotates, `reused` when the family ends.
    fn refresh(
        &self,
        refresh: Refresh<'_>,
        audit: AuditDraft,
        reused: AuditDraft,
    ) -> impl Future<Output = Stores<Refreshed>> + Send;
    /// The grant behind a refresh token, current or replaced, and whether it is current.
    fn refresh_token(
        &self,
        hash: TokenHash,
        now: Timestamp,
    ) -> impl Future<Output = Stores<Option<(Grant, GrantState, bool, Timestamp)>>> + Send;

    /// Keeps a pushed request.
    fn push(&self, hash: TokenHash, pushed: Pushed) -> impl Future<Output = Stores<()>> + Send;
    /// A pushed request that is neither spent nor over.
    fn pushed(
        &self,
        hash: TokenHash,
        now: Timestamp,
    ) -> impl Future<Output = Stores<Option<Pushed>>> + Send;

    /// Opens a session; the one that the browser had before ends with it, with its notices. If that
    /// has the same id, it is the same session: it goes on, and only its old handle is dead.
    fn open_session(
        &self,
        handle: TokenHash,
        session: Session,
        replaces: Option<TokenHash>,
        audit: AuditDraft,
    ) -> impl Future<Output = Stores<()>> + Send;
    /// The session behind a handle, if it is alive.
    fn session(
        &self,
        handle: TokenHash,
        now: Timestamp,
    ) -> impl Future<Output = Stores<Option<Session>>> + Send;
    /// Pushes the idle end of a session.
    fn touch_session(
        &self,
        id: &str,
        idle_until: Timestamp,
    ) -> impl Future<Output = Stores<()>> + Send;
    /// Ends sessions: each with its grants that are not offline, a revocation of their tokens, and
    /// a notice to each client of the session that has a grant in it. Returns the sessions ended.
    fn end_sessions(
        &self,
        which: &FlowFilter,
        now: Timestamp,
        audit: AuditDraft,
    ) -> impl Future<Output = Stores<Vec<Session>>> + Send;
    /// Sessions alive, the newest first.
    fn sessions(
        &self,
        which: &FlowFilter,
        now: Timestamp,
        limit: u32,
    ) -> impl Future<Output = Stores<Vec<Session>>> + Send;

    /// What is known of a person and a client: consent, and what the person must be told.
    fn remembered(
        &self,
        subject: &str,
        client_id: &ClientId,
    ) -> impl Future<Output = Stores<Remembered>> + Send;

    /// Ends grants, with their consents, and revokes their tokens. Returns those ended.
    fn end_grants(
        &self,
        which: &FlowFilter,
        reason: EndReason,
        now: Timestamp,
        audit: AuditDraft,
    ) -> impl Future<Output = Stores<Vec<Grant>>> + Send;
    /// Grants, the newest first.
    fn grants(
        &self,
        which: &FlowFilter,
        now: Timestamp,
        limit: u32,
    ) -> impl Future<Output = Stores<Vec<ListedGrant>>> + Send;

    /// Keeps a device's request. `false`: the user code is taken; make another.
    fn start_device(
        &self,
        hash: TokenHash,
        device: Device,
        now: Timestamp,
    ) -> impl Future<Output = Stores<bool>> + Send;
    /// The request behind a user code that waits for a decision.
    fn device(
        &self,
        user_code: &str,
        now: Timestamp,
    ) -> impl Future<Output = Stores<Option<Device>>> + Send;
    /// Decides. `false`: nothing waits under this code any more.
    fn decide_device(
        &self,
        user_code: &str,
        decision: DeviceDecision,
        now: Timestamp,
        audit: AuditDraft,
    ) -> impl Future<Output = Stores<bool>> + Send;
    /// What a person approved under a device code that was not redeemed yet: so that a poll which
    /// asks for more is refused before it spends the approval.
    fn approved_device(
        &self,
        hash: TokenHash,
        client_id: &ClientId,
        now: Timestamp,
    ) -> impl Future<Output = Stores<Option<Grant>>> + Send;
    /// Polls; an approval is redeemed with the grant's first refresh token.
    fn poll_device(
        &self,
        hash: TokenHash,
        client_id: &ClientId,
        refresh: Option<NewRefresh>,
        now: Timestamp,
        audit: AuditDraft,
    ) -> impl Future<Output = Stores<Polled>> + Send;

    /// Notices due, each leased to the asker until `lease_until`.
    fn due_notices(
        &self,
        now: Timestamp,
        lease_until: Timestamp,
        limit: u32,
    ) -> impl Future<Output = Stores<Vec<LogoutNotice>>> + Send;
    /// A notice was delivered, or is given up.
    fn settle_notice(&self, id: &str) -> impl Future<Output = Stores<()>> + Send;
}
