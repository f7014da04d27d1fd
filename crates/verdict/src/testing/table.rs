//! Facts from tables, and a list of what was asked.

use core::time::Duration;
use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex};

use proof::digest::TokenHash;
use proof::dpop::nonce::NonceKey;
use proof::jose::alg::Algorithm;
use proof::jose::jwe::DecryptionKeys;
use proof::jose::verifying::VerifyingKey;
use proof::paseto::{Key, Purpose};
use proof::time::Timestamp;
use proof::x509::ocsp::{Question, Status};

use super::NOW;
use crate::credential::client_jwt::CallingClient;
use crate::credential::introspection::{self, Said};
use crate::credential::jwt::{ConfigId, IssuerId, IssuerProfile, VerifiedToken};
use crate::credential::mtls::{Authority, AuthorityId, VerifiedCertificate};
use crate::credential::opaque;
use crate::facts::{
    Answer, Begun, Facts, FirstUse, KeyCheck, KeyLookup, PasswordCheck, ReplayScope, Unavailable,
};
use crate::identity::{Account, ClientId, IssuedKey, SecretId, SigningKey};
use crate::limit::{LimitKey, Rate, Taken, stable_hash};
use crate::penalty::{Penalties, Penalty};
use crate::policy::relations::{Extent, Grant, Object, Related, Standing, Subject, Tuple};
use crate::probing::{Noticed, Probes, Probing};
use crate::route::ApiName;
use crate::trace::Note;

/// Answers from tables and keeps a list of questions.
#[derive(Default)]
pub(crate) struct Table {
    pub(crate) keys: HashMap<String, Arc<IssuedKey>>,
    pub(crate) accounts: HashMap<String, (Vec<u8>, Arc<Account>)>,
    /// Whether the caller's address is held back.
    pub(crate) held_back: bool,
    /// By their public names.
    pub(crate) signing_keys: HashMap<String, Arc<SigningKey>>,
    pub(crate) signers: Vec<(IssuerId, Arc<VerifyingKey>)>,
    /// PASETO keys with their ids.
    pub(crate) paseto_keys: Vec<(IssuerId, String, Arc<Key>)>,
    /// What opens encrypted tokens, by the API's name.
    pub(crate) decryption_keys: HashMap<String, Arc<DecryptionKeys>>,
    /// Clients that sign their calls, with their keys.
    pub(crate) clients: HashMap<String, (Arc<CallingClient>, Vec<Arc<VerifyingKey>>)>,
    /// What the foreign issuer answers, by the token's text.
    pub(crate) answers: Mutex<HashMap<String, String>>,
    /// Claims of opaque tokens.
    pub(crate) kept: Mutex<HashMap<TokenHash, String>>,
    pub(crate) known: Mutex<HashMap<(TokenHash, ConfigId), Arc<VerifiedToken>>>,
    pub(crate) revoked: Mutex<Vec<String>>,
    /// Clients that are suspended.
    pub(crate) asleep: Mutex<Vec<String>>,
    pub(crate) certificates: Mutex<HashMap<(TokenHash, ConfigId), Arc<VerifiedCertificate>>>,
    pub(crate) authorities: Mutex<HashMap<String, Arc<Authority>>>,
    /// What responders answer when they are asked, by the certificate's number.
    pub(crate) statuses: Mutex<HashMap<String, Status>>,
    /// What they answered before.
    pub(crate) known_statuses: Mutex<HashMap<String, Status>>,
    pub(crate) throttled: bool,
    /// Scope, id and time of what was used once.
    pub(crate) used: Mutex<Vec<(String, String, Timestamp)>>,
    /// Deliveries by key and id: under way, or taken.
    pub(crate) deliveries: Mutex<HashMap<(String, String), Begun>>,
    /// What is kept of those who were refused objects.
    pub(crate) probes: Mutex<HashMap<String, Probes>>,
    /// Who has what to do with what, and until when.
    pub(crate) tuples: Mutex<HashMap<Tuple, Grant>>,
    pub(crate) out: Option<Unavailable>,
    /// The replay memory alone does not answer.
    pub(crate) no_replays: bool,
    pub(crate) asked: Mutex<Vec<&'static str>>,
    pub(crate) notes: Mutex<Vec<String>>,
}

impl Table {
    fn ask(&self, question: &'static str) -> Answer<()> {
        self.asked.lock().unwrap().push(question);
        self.out.map_or(Ok(()), Err)
    }

    fn read(&self, object: &Object, relation: &str) -> Arc<Related> {
        let tuples = self.tuples.lock().unwrap();
        let standing = tuples
            .iter()
            .filter(|(tuple, _)| tuple.object == *object && *tuple.relation == *relation)
            .map(|(tuple, grant)| Standing {
                subject: tuple.subject.clone(),
                grant: *grant,
            })
            .collect();
        Arc::new(Related::new(standing, Extent::Whole))
    }

    /// The questions since the last time.
    pub(crate) fn questions(&self) -> Vec<&'static str> {
        core::mem::take(&mut self.asked.lock().unwrap())
    }

    /// The notes since the last time.
    pub(crate) fn heard(&self) -> Vec<String> {
        core::mem::take(&mut self.notes.lock().unwrap())
    }
}

impl Facts for Table {
    fn note(&self, note: Note<'_>) {
        self.notes.lock().unwrap().push(match note {
            Note::Check(check) => check.name().to_owned(),
            Note::Credential(kind) => format!("({}", kind.name()),
            Note::Proved(kind, ..) => format!("{})", kind.name()),
            Note::Judged(one) => format!("{} {}: {}", one.by, one.what, one.outcome),
        });
    }

    async fn probing(
        &self,
        who: &str,
        rules: &Probing,
        now: Timestamp,
    ) -> Answer<Option<Duration>> {
        self.ask("probing")?;
        let probes = self.probes.lock().unwrap();
        Ok(probes.get(who).and_then(|one| rules.held(one, now)))
    }

    async fn probed(
        &self,
        who: &str,
        object: &str,
        rules: &Probing,
        now: Timestamp,
    ) -> Answer<Option<Noticed>> {
        self.ask("probed")?;
        let mut probes = self.probes.lock().unwrap();
        let object = stable_hash(&[object])[0];
        Ok(rules.refused(probes.entry(who.to_owned()).or_default(), object, now))
    }

    fn known_token(&self, hash: &TokenHash, config: ConfigId) -> Option<Arc<VerifiedToken>> {
        self.asked.lock().unwrap().push("known_token");
        self.known.lock().unwrap().get(&(*hash, config)).cloned()
    }

    fn remember_token(&self, hash: TokenHash, config: ConfigId, token: Arc<VerifiedToken>) {
        self.asked.lock().unwrap().push("remember_token");
        self.known.lock().unwrap().insert((hash, config), token);
    }

    fn is_held_back(&self) -> bool {
        self.held_back
    }

    fn known_certificate(
        &self,
        hash: &TokenHash,
        config: ConfigId,
    ) -> Option<Arc<VerifiedCertificate>> {
        self.asked.lock().unwrap().push("known_certificate");
        self.certificates
            .lock()
            .unwrap()
            .get(&(*hash, config))
            .cloned()
    }

    fn remember_certificate(
        &self,
        hash: TokenHash,
        config: ConfigId,
        certificate: Arc<VerifiedCertificate>,
    ) {
        self.asked.lock().unwrap().push("remember_certificate");
        self.certificates
            .lock()
            .unwrap()
            .insert((hash, config), certificate);
    }

    fn authority(&self, id: &AuthorityId) -> Answer<Arc<Authority>> {
        self.ask("authority")?;
        let authorities = self.authorities.lock().unwrap();
        authorities
            .get(id.as_str())
            .cloned()
            .ok_or(Unavailable::Authority)
    }

    fn known_status(&self, _: &AuthorityId, question: &Question, _: Timestamp) -> Option<Status> {
        self.asked.lock().unwrap().push("known_status");
        let statuses = self.known_statuses.lock().unwrap();
        statuses.get(&question.serial()).copied()
    }

    async fn certificate_status(
        &self,
        _: &AuthorityId,
        question: &Question,
        _: Timestamp,
    ) -> Answer<Status> {
        self.ask("certificate_status")?;
        let statuses = self.statuses.lock().unwrap();
        let status = statuses.get(&question.serial()).copied();
        status.ok_or(Unavailable::CertificateStatus)
    }

    async fn opaque_token(
        &self,
        hash: &TokenHash,
        profile: &IssuerProfile,
        _now: Timestamp,
    ) -> Answer<Option<Arc<VerifiedToken>>> {
        self.ask("opaque_token")?;
        let Some(claims) = self.kept.lock().unwrap().get(hash).cloned() else {
            return Ok(None);
        };
        opaque::from_record(claims.as_bytes(), hash, profile)
            .map(|token| token.map(Arc::new))
            .map_err(|_damaged| Unavailable::Store)
    }

    fn known_opaque(
        &self,
        _: &TokenHash,
        _: &IssuerProfile,
        _: Timestamp,
    ) -> Option<Arc<VerifiedToken>> {
        None
    }

    async fn introspected(
        &self,
        token: &str,
        hash: &TokenHash,
        profile: &IssuerProfile,
        now: Timestamp,
    ) -> Answer<Said> {
        self.ask("introspected")?;
        let answers = self.answers.lock().unwrap();
        let answer = answers
            .get(token)
            .map_or(r#"{"active":false}"#, |answer| answer);
        introspection::read(answer.as_bytes(), hash, profile, now)
            .map(|said| said.map(Arc::new).map_err(Arc::from))
            .map_err(|_bad| Unavailable::Introspection)
    }

    fn was_introspected(&self, _: &TokenHash, _: &IssuerProfile) -> bool {
        false
    }

    fn revoked(&self, token: &VerifiedToken) -> Answer<bool> {
        self.ask("revoked")?;
        let id = token.token_id.as_deref().unwrap_or_default();
        Ok(self
            .revoked
            .lock()
            .unwrap()
            .iter()
            .any(|revoked| revoked == id))
    }

    fn suspended(&self, client_id: &ClientId) -> bool {
        let asleep = self.asleep.lock().unwrap();
        asleep.iter().any(|one| one == client_id.as_str())
    }

    async fn verification_key(
        &self,
        issuer: &IssuerProfile,
        kid: Option<&str>,
        algorithm: Algorithm,
    ) -> Answer<Option<Arc<VerifyingKey>>> {
        self.ask("verification_key")?;
        let fits = |key: &VerifyingKey| key.kid() == kid && key.alg() == algorithm;
        let found = self
            .signers
            .iter()
            .find(|(id, key)| *id == issuer.issuer && fits(key));
        Ok(found.map(|(_, key)| key.clone()))
    }

    fn dpop_nonces(&self) -> &NonceKey {
        static KEY: LazyLock<NonceKey> = LazyLock::new(|| NonceKey::new(&[7; 32]));
        &KEY
    }
    async fn check_key(
        &self,
        lookup: KeyLookup<'_>,
        presented: &[u8],
        now: Timestamp,
    ) -> Answer<KeyCheck> {
        assert_eq!(
            now.as_secs() / 10_000,
            NOW.as_secs() / 10_000,
            "the call's own time is passed on"
        );
        self.ask("check_key")?;
        let name = match lookup {
            KeyLookup::Issued(id) => id.to_string(),
            KeyLookup::Digest(digest) => digest.to_string(),
            KeyLookup::Prefix(prefix) => prefix.to_owned(),
        };
        Ok(match self.keys.get(&name) {
            None => KeyCheck::Unknown,
            Some(key) if key.verifier.verify(presented, None) => KeyCheck::Match(key.clone()),
            Some(key) => KeyCheck::Mismatch(key.clone()),
        })
    }

    fn known_key(&self, _: KeyLookup<'_>, _: &[u8], _: Timestamp) -> Option<Arc<IssuedKey>> {
        unreachable!("only a front asks for no more than what is remembered")
    }

    async fn signing_key(&self, key_id: &str, _now: Timestamp) -> Answer<Option<Arc<SigningKey>>> {
        self.ask("signing_key")?;
        Ok(self.signing_keys.get(key_id).cloned())
    }

    fn paseto_key(
        &self,
        issuer: &IssuerProfile,
        id: Option<&str>,
        purpose: Purpose,
    ) -> Answer<Option<Arc<Key>>> {
        self.ask("paseto_key")?;
        let mut fitting = self.paseto_keys.iter().filter(|(of, own, key)| {
            *of == issuer.issuer && key.purpose() == purpose && id.is_none_or(|id| id == own)
        });
        let found = fitting.next().map(|(_, _, key)| key.clone());
        Ok(found.filter(|_| fitting.next().is_none()))
    }

    fn decryption_keys(&self, api: &ApiName) -> Answer<Arc<DecryptionKeys>> {
        self.ask("decryption_keys")?;
        let keys = self.decryption_keys.get(api.as_str()).cloned();
        keys.ok_or(Unavailable::DecryptionKeys)
    }

    fn calling_client(&self, client_id: &str) -> Answer<Option<Arc<CallingClient>>> {
        self.ask("calling_client")?;
        Ok(self
            .clients
            .get(client_id)
            .map(|(client, _)| client.clone()))
    }

    async fn client_key(
        &self,
        client: &CallingClient,
        kid: &str,
        algorithm: Algorithm,
    ) -> Answer<Option<Arc<VerifyingKey>>> {
        self.ask("client_key")?;
        let (_, keys) = &self.clients[client.client.as_str()];
        let fits = |key: &&Arc<VerifyingKey>| key.kid() == Some(kid) && key.alg() == algorithm;
        Ok(keys.iter().find(fits).cloned())
    }

    async fn check_password(
        &self,
        username: &str,
        password: &[u8],
        _from: core::net::IpAddr,
        _now: Timestamp,
    ) -> Answer<PasswordCheck> {
        self.ask("check_password")?;
        if self.throttled {
            return Ok(PasswordCheck::Throttled);
        }
        Ok(match self.accounts.get(username) {
            Some((right, account)) if right == password => {
                let password = SecretId::new(format!("pwd_{username}"));
                PasswordCheck::Match(account.clone(), password)
            }
            _ => PasswordCheck::Refused,
        })
    }

    async fn first_use(
        &self,
        scope: ReplayScope<'_>,
        id: &str,
        until: Timestamp,
        _now: Timestamp,
    ) -> Answer<FirstUse> {
        self.ask("first_use")?;
        if self.no_replays {
            return Err(Unavailable::ReplayMemory);
        }
        let (_, key) = scope.parts();
        let mut used = self.used.lock().unwrap();
        if used.iter().any(|(k, i, _)| k == key && i == id) {
            return Ok(FirstUse::Replayed);
        }
        used.push((key.to_owned(), id.to_owned(), until));
        Ok(FirstUse::Yes)
    }

    async fn begin_delivery(
        &self,
        key: &str,
        ids: &[String],
        _until: Timestamp,
        _now: Timestamp,
    ) -> Answer<Begun> {
        self.ask("begin_delivery")?;
        let mut known = self.deliveries.lock().unwrap();
        let places = ids.iter().map(|id| (key.to_owned(), id.clone()));
        let found = places.clone().filter_map(|place| known.get(&place));
        if let Some(found) = found.max_by_key(|found| **found == Begun::Before) {
            return Ok(*found);
        }
        known.extend(places.map(|place| (place, Begun::UnderWay)));
        Ok(Begun::Now)
    }

    async fn end_delivery(
        &self,
        key: &str,
        ids: &[String],
        taken: Option<Timestamp>,
        _now: Timestamp,
    ) -> Answer<()> {
        self.ask("end_delivery")?;
        let mut known = self.deliveries.lock().unwrap();
        for id in ids {
            let place = (key.to_owned(), id.clone());
            match taken {
                Some(_) => known.insert(place, Begun::Before),
                None => known.remove(&place),
            };
        }
        Ok(())
    }

    async fn take(
        &self,
        _key: &LimitKey,
        _rate: &Rate,
        _cost: u32,
        _now: Timestamp,
    ) -> Answer<Taken> {
        unreachable!("judging spends no budget: the front does")
    }

    async fn penalty(
        &self,
        _from: core::net::IpAddr,
        _rules: &Penalties,
        _now: Timestamp,
    ) -> Answer<Option<Penalty>> {
        unreachable!("judging holds nobody back: the front does")
    }

    async fn failed(
        &self,
        _from: core::net::IpAddr,
        _rules: &Penalties,
        _now: Timestamp,
    ) -> Answer<Option<Penalty>> {
        unreachable!("judging counts no failures: the front does")
    }

    async fn related(
        &self,
        object: &Object,
        relation: &Arc<str>,
        _: Timestamp,
    ) -> Answer<Arc<Related>> {
        self.ask("related")?;
        Ok(self.read(object, relation))
    }

    async fn grant(
        &self,
        object: &Object,
        relation: &Arc<str>,
        subject: &Subject,
        _: Timestamp,
    ) -> Answer<Option<Grant>> {
        self.ask("grant")?;
        Ok(self.read(object, relation).grant(subject))
    }
}
