//! **Facts that listen**: they answer what the real ones would answer now, keep a list of what was
//! asked and checked, and leave no trace anywhere else.

use core::net::IpAddr;
use core::time::Duration;
use std::sync::Arc;

use parking_lot::Mutex;
use proof::digest::TokenHash;
use proof::dpop::nonce::NonceKey;
use proof::jose::alg::Algorithm;
use proof::jose::jwe::DecryptionKeys;
use proof::jose::verifying::VerifyingKey;
use proof::time::Timestamp;
use proof::x509::ocsp::{Question, Status};
use verdict::credential::CredentialKind;
use verdict::credential::client_jwt::CallingClient;
use verdict::credential::introspection::Said;
use verdict::credential::jwt::{ConfigId, IssuerProfile, VerifiedToken};
use verdict::credential::mtls::{Authority, AuthorityId, VerifiedCertificate};
use verdict::facts::{
    Answer, Begun, Facts, FirstUse, KeyCheck, KeyLookup, Looks, PasswordCheck, ReplayScope,
};
use verdict::identity::{ClientId, IssuedKey, SigningKey};
use verdict::limit::{LimitKey, Rate, Taken};
use verdict::penalty::{Penalties, Penalty};
use verdict::policy::Judgement;
use verdict::policy::relations::{Grant, Object, Related, Subject};
use verdict::probing::{Noticed, Probing};
use verdict::route::ApiName;
use verdict::trace::{Check, Note};

/// Most that is listened to: many times what judging one call says.
const MOST: usize = 1000;

/// What was heard.
#[derive(Debug)]
pub(super) enum Heard {
    /// The proof of a credential begins.
    Credential(CredentialKind),
    /// A check begins.
    Check(Check),
    /// A credential is proved: whose it is.
    Proved(String),
    /// What a fact said, for the check before it.
    Said(String),
    /// A budget as it stands.
    Budget(LimitKey, Rate, Taken),
    /// Whether the address is held back.
    Penalty(Option<Penalty>),
    /// A failure that would be counted.
    Failure,
}

/// See the module. Stored things are asked for by the real time: what is judged at another time is
/// the call.
pub(super) struct Listening<F> {
    facts: Arc<F>,
    now: Timestamp,
    heard: Mutex<Vec<Heard>>,
}

impl<F> Listening<F> {
    pub(super) fn new(facts: Arc<F>, now: Timestamp) -> Self {
        Self {
            facts,
            now,
            heard: Mutex::default(),
        }
    }

    /// What was heard since the last time.
    pub(super) fn heard(&self) -> Vec<Heard> {
        core::mem::take(&mut self.heard.lock())
    }

    fn hear(&self, heard: Heard) {
        let mut list = self.heard.lock();
        if list.len() < MOST {
            list.push(heard);
        }
    }

    fn said(&self, words: impl Into<String>) {
        self.hear(Heard::Said(words.into()));
    }
}

/// An answer of a relation or a policy, for people.
fn words(judgement: &Judgement) -> String {
    let Judgement {
        by,
        what,
        version,
        outcome,
        reason,
    } = judgement;
    let mut words = format!("{by} {what}");
    if let Some(version) = version {
        let short = version.get(..12).unwrap_or(version);
        words.push_str(&format!(" (version {short})"));
    }
    words.push_str(&format!(": {outcome}"));
    if let Some(reason) = reason {
        words.push_str(&format!(": {reason}"));
    }
    words
}

/// What a responder said of a certificate, for people.
fn said_of(question: &Question, status: Status) -> String {
    let words = match status {
        Status::Good => "good",
        Status::Revoked => "revoked",
        Status::Unknown => "unknown to it",
    };
    format!(
        "the responder says of number {}: {words}",
        question.serial()
    )
}

impl<F: Looks> Facts for Listening<F> {
    fn note(&self, note: Note<'_>) {
        self.hear(match note {
            Note::Credential(kind) => Heard::Credential(kind),
            Note::Check(check) => Heard::Check(check),
            Note::Proved(kind, standing, secret) => {
                let by = secret.map(|secret| format!(" by {secret}"));
                Heard::Proved(format!(
                    "{} {} of {} {}{}",
                    kind.name(),
                    standing.credential,
                    standing.principal.kind(),
                    standing.principal.id(),
                    by.unwrap_or_default()
                ))
            }
            Note::Judged(judgement) => Heard::Said(words(judgement)),
        });
    }

    fn known_token(&self, hash: &TokenHash, config: ConfigId) -> Option<Arc<VerifiedToken>> {
        let known = self.facts.known_token(hash, config)?;
        self.said("seen before: its signature and claims held then and are not verified again");
        Some(known)
    }
    fn remember_token(&self, _: TokenHash, _: ConfigId, _: Arc<VerifiedToken>) {}
    fn known_certificate(
        &self,
        hash: &TokenHash,
        config: ConfigId,
    ) -> Option<Arc<VerifiedCertificate>> {
        let known = self.facts.known_certificate(hash, config)?;
        self.said("seen before: its path held then");
        Some(known)
    }
    fn remember_certificate(&self, _: TokenHash, _: ConfigId, _: Arc<VerifiedCertificate>) {}
    fn authority(&self, id: &AuthorityId) -> Answer<Arc<Authority>> {
        self.facts.authority(id)
    }
    fn known_status(
        &self,
        authority: &AuthorityId,
        question: &Question,
        _: Timestamp,
    ) -> Option<Status> {
        let status = self.facts.known_status(authority, question, self.now)?;
        self.said(said_of(question, status));
        Some(status)
    }
    /// Asking changes no answer, so it is done as for a call.
    async fn certificate_status(
        &self,
        authority: &AuthorityId,
        question: &Question,
        _: Timestamp,
    ) -> Answer<Status> {
        let status = self
            .facts
            .certificate_status(authority, question, self.now)
            .await?;
        self.said(said_of(question, status));
        Ok(status)
    }
    async fn opaque_token(
        &self,
        hash: &TokenHash,
        profile: &IssuerProfile,
        _: Timestamp,
    ) -> Answer<Option<Arc<VerifiedToken>>> {
        self.facts.opaque_token(hash, profile, self.now).await
    }
    fn known_opaque(
        &self,
        hash: &TokenHash,
        profile: &IssuerProfile,
        _: Timestamp,
    ) -> Option<Arc<VerifiedToken>> {
        self.facts.known_opaque(hash, profile, self.now)
    }
    fn revoked(&self, token: &VerifiedToken) -> Answer<bool> {
        self.facts.revoked(token)
    }
    fn suspended(&self, client_id: &ClientId) -> bool {
        self.facts.suspended(client_id)
    }
    async fn verification_key(
        &self,
        issuer: &IssuerProfile,
        kid: Option<&str>,
        algorithm: Algorithm,
    ) -> Answer<Option<Arc<VerifyingKey>>> {
        let found = self.facts.verification_key(issuer, kid, algorithm).await?;
        if let Some(kid) = found.as_ref().and_then(|key| key.kid()) {
            self.said(format!("key {kid} of {}", issuer.issuer));
        }
        Ok(found)
    }
    async fn check_key(
        &self,
        lookup: KeyLookup<'_>,
        presented: &[u8],
        _: Timestamp,
    ) -> Answer<KeyCheck> {
        let found = self.facts.look_at_key(lookup, presented, self.now).await?;
        if let KeyCheck::Match(key) | KeyCheck::Mismatch(key) = &found {
            self.said(format!("the key is {}", key.standing.credential));
        }
        Ok(found)
    }
    fn known_key(
        &self,
        lookup: KeyLookup<'_>,
        presented: &[u8],
        _: Timestamp,
    ) -> Option<Arc<IssuedKey>> {
        self.facts.known_key(lookup, presented, self.now)
    }
    /// Nothing is told of it: the judgement itself asks again.
    async fn signing_key_ahead(
        &self,
        key_id: &str,
        _: Timestamp,
    ) -> Answer<Option<Arc<SigningKey>>> {
        self.facts.signing_key(key_id, self.now).await
    }
    async fn signing_key(&self, key_id: &str, _: Timestamp) -> Answer<Option<Arc<SigningKey>>> {
        let found = self.facts.signing_key(key_id, self.now).await?;
        if let Some(key) = &found {
            let (id, scheme) = (&key.standing.credential, key.scheme.name());
            self.said(format!("the key is {id}, made for {scheme}"));
        }
        Ok(found)
    }
    fn dpop_nonces(&self) -> &NonceKey {
        self.facts.dpop_nonces()
    }
    fn paseto_key(
        &self,
        issuer: &IssuerProfile,
        id: Option<&str>,
        purpose: proof::paseto::Purpose,
    ) -> Answer<Option<Arc<proof::paseto::Key>>> {
        self.facts.paseto_key(issuer, id, purpose)
    }
    async fn introspected(
        &self,
        token: &str,
        hash: &TokenHash,
        profile: &IssuerProfile,
        _: Timestamp,
    ) -> Answer<Said> {
        self.facts
            .introspected(token, hash, profile, self.now)
            .await
    }
    fn was_introspected(&self, hash: &TokenHash, profile: &IssuerProfile) -> bool {
        self.facts.was_introspected(hash, profile)
    }
    fn decryption_keys(&self, api: &ApiName) -> Answer<Arc<DecryptionKeys>> {
        self.facts.decryption_keys(api)
    }
    fn calling_client(&self, client_id: &str) -> Answer<Option<Arc<CallingClient>>> {
        self.facts.calling_client(client_id)
    }
    async fn client_key(
        &self,
        client: &CallingClient,
        kid: &str,
        algorithm: Algorithm,
    ) -> Answer<Option<Arc<VerifyingKey>>> {
        self.facts.client_key(client, kid, algorithm).await
    }
    async fn check_password(
        &self,
        username: &str,
        password: &[u8],
        from: IpAddr,
        _: Timestamp,
    ) -> Answer<PasswordCheck> {
        self.facts
            .look_at_password(username, password, from, self.now)
            .await
    }
    async fn take(&self, key: &LimitKey, rate: &Rate, cost: u32, _: Timestamp) -> Answer<Taken> {
        // A cost of 0 asks and takes nothing.
        let stands = self.facts.take(key, rate, 0, self.now).await?;
        self.hear(Heard::Budget(key.clone(), *rate, stands));
        Ok(Taken {
            allowed: stands.remaining >= cost,
            remaining: stands.remaining.saturating_sub(cost),
            ..stands
        })
    }
    async fn penalty(
        &self,
        from: IpAddr,
        rules: &Penalties,
        _: Timestamp,
    ) -> Answer<Option<Penalty>> {
        let held = self.facts.penalty(from, rules, self.now).await?;
        self.hear(Heard::Penalty(held));
        Ok(held)
    }
    async fn failed(&self, _: IpAddr, _: &Penalties, _: Timestamp) -> Answer<Option<Penalty>> {
        self.hear(Heard::Failure);
        Ok(None)
    }
    async fn probing(&self, who: &str, rules: &Probing, _: Timestamp) -> Answer<Option<Duration>> {
        self.facts.probing(who, rules, self.now).await
    }
    async fn probed(&self, _: &str, _: &str, _: &Probing, _: Timestamp) -> Answer<Option<Noticed>> {
        self.said("a call would count towards those that are noticed");
        Ok(None)
    }
    async fn first_use(
        &self,
        scope: ReplayScope<'_>,
        id: &str,
        until: Timestamp,
        now: Timestamp,
    ) -> Answer<FirstUse> {
        if now < self.now && until < self.now {
            // Judged at a time that is over: the memory keeps an id no longer than it can be used.
            self.said("whether it was used before that time is not known any more");
            return Ok(FirstUse::Yes);
        }
        let answer = self.facts.look_at_use(scope, id, until, now).await?;
        if answer == FirstUse::Yes {
            self.said("not used before; a call would spend it");
        }
        Ok(answer)
    }
    fn known_related(
        &self,
        object: &Object,
        relation: &Arc<str>,
        _: Timestamp,
    ) -> Option<Arc<Related>> {
        self.facts.known_related(object, relation, self.now)
    }
    async fn related(
        &self,
        object: &Object,
        relation: &Arc<str>,
        _: Timestamp,
    ) -> Answer<Arc<Related>> {
        self.facts.related(object, relation, self.now).await
    }
    fn known_grant(
        &self,
        object: &Object,
        relation: &Arc<str>,
        subject: &Subject,
        _: Timestamp,
    ) -> Option<Option<Grant>> {
        self.facts.known_grant(object, relation, subject, self.now)
    }
    async fn grant(
        &self,
        object: &Object,
        relation: &Arc<str>,
        subject: &Subject,
        _: Timestamp,
    ) -> Answer<Option<Grant>> {
        self.facts.grant(object, relation, subject, self.now).await
    }
    /// Looking would begin it, so it is not asked.
    async fn begin_delivery(
        &self,
        _: &str,
        _: &[String],
        _: Timestamp,
        _: Timestamp,
    ) -> Answer<Begun> {
        self.said("whether it was delivered before is not looked up here");
        Ok(Begun::Now)
    }
}
