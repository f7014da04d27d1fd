//! **The standard facts**: what a running doorkeeper answers to [`verdict::facts::Facts`].
//!
//! The steady state asks nobody: a token seen before is one look into a sharded cache, an API key
//! one look and one keyed hash, an opaque token one look, a revocation one look into a list that was
//! pushed. What is new is
//! loaded from [`Records`], and slow hashes run on the pool, one at a time per credential. Changes
//! arrive by [`StandardFacts::invalidate`]; whoever follows them also says so
//! ([`StandardFacts::contact`]), and a node that has not heard for longer than its outage rule
//! answers [`Unavailable`] rather than what may have been true.

mod keys;

use core::net::IpAddr;
use core::time::Duration;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use proof::digest::{MacKey, TokenHash};
use proof::dpop::nonce::NonceKey;
use proof::issued::{KeyId, SigningKeyId};
use proof::jose::alg::Algorithm;
use proof::jose::jwe::DecryptionKeys;
use proof::jose::verifying::VerifyingKey;
use proof::paseto::{self, Purpose};
use proof::password::Argon2Params;
use proof::random::Entropy;
use proof::time::Timestamp;
use proof::x509::ocsp::{Question, Status};
use quick_cache::sync::Cache;
use verdict::credential::client_jwt::CallingClient;
use verdict::credential::introspection::Said;
use verdict::credential::jwt::{ConfigId, IssuerProfile, VerifiedToken};
use verdict::credential::mtls::{Authority, AuthorityId, VerifiedCertificate};
use verdict::credential::opaque;
use verdict::facts::{
    Answer, Begun, Counters, Facts, FirstUse, KeyCheck, KeyLookup, Looks, PasswordCheck, Records,
    ReplayScope, Replays, Unavailable,
};
use verdict::identity::{Account, ClientId, IssuedKey, SigningKey, Standing};
use verdict::limit::{LimitKey, Rate, Taken};
use verdict::penalty::{Penalties, Penalty};
use verdict::policy::relations::{Grant, Object, Related, Subject};
use verdict::probing::{Noticed, Probing};
use verdict::route::ApiName;

use crate::authorities::Authorities;
use crate::clients::{CallingClients, SuspendedClients};
use crate::clock::Clock;
use crate::decryption::ApiKeys;
use crate::hashing::HashingPool;
use crate::introspection::Introspectors;
use crate::keysets::KeySets;
use crate::paseto::PasetoKeys;
use crate::passwords::{Checked, Kind, PasswordChecks, PasswordOptions, Verifiers};
use crate::records::{Contact, RecordCache};
use crate::relations::RelationCache;
use crate::revocations::Revocations;
use crate::secrets::Binding;
use crate::statuses::Statuses;
use keys::SecretChecks;

/// Peppers of keyed hashes by their id.
pub type Peppers = HashMap<String, Arc<MacKey>>;

/// Sizes and times of the standard facts.
#[derive(Debug, Clone)]
pub struct FactsOptions {
    /// Verified tokens held.
    pub max_tokens: usize,
    /// Verified client certificates held.
    pub max_certificates: usize,
    /// API keys held, signing keys held, and accounts held.
    pub max_records: usize,
    /// Tuples held: who has what to do with which object. As many answers about single members of
    /// large groups are held besides.
    pub max_relations: usize,
    /// Compared secrets held.
    pub max_secrets: usize,
    /// How long a record is used before it is asked for again.
    pub record_ttl: Duration,
    /// How long it is remembered that there is no record.
    pub absent_ttl: Duration,
    /// How long the record of an opaque token is used before it is asked for again. Its revocation is
    /// felt at once all the same, and its end is judged on every use.
    pub opaque_ttl: Duration,
    /// How long this node goes on by itself after it last heard of the changes.
    pub outage_grace: Duration,
    /// How long a password that matched is taken without hashing; at most 5 minutes.
    pub password_ttl: Duration,
    /// The cost that an unknown account's password is hashed at: that of new passwords.
    pub password_cost: Argon2Params,
    /// Hashed guesses of one account from one address.
    pub guesses_per_pair: Rate,
    /// Hashed guesses from one address.
    pub guesses_per_address: Rate,
    /// Hashed guesses of one account, from addresses that never got in.
    pub guesses_per_account: Rate,
}

impl Default for FactsOptions {
    fn default() -> Self {
        Self {
            max_tokens: 100_000,
            max_certificates: 10_000,
            max_records: 100_000,
            max_relations: 200_000,
            max_secrets: 100_000,
            record_ttl: Duration::from_secs(30),
            absent_ttl: Duration::from_secs(1),
            opaque_ttl: Duration::from_secs(10),
            outage_grace: Duration::from_secs(600),
            password_ttl: Duration::from_secs(300),
            password_cost: Argon2Params::default(),
            guesses_per_pair: Rate {
                limit: 10,
                period: Duration::from_secs(60),
            },
            guesses_per_address: Rate {
                limit: 100,
                period: Duration::from_secs(60),
            },
            guesses_per_account: Rate {
                limit: 100,
                period: Duration::from_secs(600),
            },
        }
    }
}

impl FactsOptions {
    /// What of it concerns the passwords of a kind.
    pub(crate) fn passwords(&self, kind: Kind) -> PasswordOptions {
        PasswordOptions {
            kind,
            max_matched: self.max_secrets,
            max_known: self.max_records,
            ttl: self.password_ttl,
            cost: self.password_cost,
            per_pair: self.guesses_per_pair,
            per_address: self.guesses_per_address,
            per_name: self.guesses_per_account,
        }
    }
}

/// What the facts are built on.
pub struct FactsParts<R, C, P> {
    /// The stored records.
    pub records: R,
    /// The shared counters.
    pub counters: C,
    /// The memory of ids that are used once.
    pub replays: P,
    /// Issuers' keys.
    pub key_sets: Arc<KeySets>,
    /// Issuers that are asked about their opaque tokens.
    pub introspectors: Arc<Introspectors>,
    /// Who vouches for client certificates.
    pub authorities: Arc<Authorities>,
    /// What their responders say.
    pub statuses: Arc<Statuses>,
    /// Issuers' PASETO keys.
    pub paseto_keys: Arc<PasetoKeys>,
    /// Clients that sign their calls.
    pub calling_clients: Arc<CallingClients>,
    /// What was revoked.
    pub revocations: Arc<Revocations>,
    /// Where slow hashes run.
    pub pool: Arc<HashingPool>,
    /// Peppers of keyed hashes.
    pub peppers: Peppers,
    /// The nonces that DPoP proofs repeat where a route asks for one.
    pub nonces: NonceKey,
    /// The time, for questions that are asked without one.
    pub clock: Arc<dyn Clock>,
}

/// The standard implementation of [`Facts`].
pub struct StandardFacts<R, C, P> {
    records: R,
    counters: C,
    replays: P,
    key_sets: Arc<KeySets>,
    introspectors: Arc<Introspectors>,
    revocations: Arc<Revocations>,
    nonces: NonceKey,
    clock: Arc<dyn Clock>,
    contact: Contact,
    tokens: Cache<(ConfigId, TokenHash), Arc<VerifiedToken>>,
    certificates: Cache<(ConfigId, TokenHash), Arc<VerifiedCertificate>>,
    authorities: Arc<Authorities>,
    statuses: Arc<Statuses>,
    paseto_keys: Arc<PasetoKeys>,
    decryption: ApiKeys,
    calling_clients: Arc<CallingClients>,
    suspended_clients: SuspendedClients,
    opaque: RecordCache<(ConfigId, TokenHash), Arc<VerifiedToken>>,
    by_id: RecordCache<KeyId, KeyRecord>,
    by_digest: RecordCache<TokenHash, KeyRecord>,
    by_prefix: RecordCache<Box<str>, KeyRecord>,
    /// Opened; an entry's secrets are wiped when the last call that uses it lets it go.
    signing: RecordCache<KeyId, Arc<SigningKey>>,
    accounts: RecordCache<Box<str>, AccountRecord>,
    relations: RelationCache,
    secrets: Arc<SecretChecks>,
    passwords: PasswordChecks,
}

/// A key's record with what every comparison needs.
struct KeyRecord {
    key: Arc<IssuedKey>,
    binding: Binding,
}

/// An account's record with what every comparison needs.
struct AccountRecord {
    account: Arc<Account>,
    /// One for each verifier.
    bindings: Vec<Binding>,
}

/// What a change touched.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Changed {
    /// A key, by its credential's id. Passwords of an account go by their owner.
    Credential(Box<str>),
    /// Everything that belongs to an application, client or account, by its name or id.
    Owner(Box<str>),
}

impl<R: Records, C: Counters, P: Replays> StandardFacts<R, C, P> {
    /// Facts with empty caches; the node counts as in touch from now on.
    pub fn new(parts: FactsParts<R, C, P>, options: &FactsOptions, entropy: &dyn Entropy) -> Self {
        let (size, ttl, absent) = (options.max_records, options.record_ttl, options.absent_ttl);
        Self {
            contact: Contact::new(parts.clock.now(), options.outage_grace),
            tokens: Cache::new(options.max_tokens.max(1)),
            certificates: Cache::new(options.max_certificates.max(1)),
            authorities: parts.authorities,
            statuses: parts.statuses,
            paseto_keys: parts.paseto_keys,
            decryption: ApiKeys::default(),
            calling_clients: parts.calling_clients,
            suspended_clients: SuspendedClients::default(),
            opaque: RecordCache::new(options.max_tokens, options.opaque_ttl, absent),
            by_id: RecordCache::new(size, ttl, absent),
            by_digest: RecordCache::new(size, ttl, absent),
            by_prefix: RecordCache::new(size, ttl, absent),
            signing: RecordCache::new(size, ttl, absent),
            accounts: RecordCache::new(size, ttl, absent),
            relations: RelationCache::new(options.max_relations),
            secrets: Arc::new(SecretChecks::new(
                options.max_secrets,
                Arc::clone(&parts.pool),
                parts.peppers,
                entropy,
            )),
            passwords: PasswordChecks::new(&options.passwords(Kind::Account), parts.pool, entropy),
            records: parts.records,
            counters: parts.counters,
            replays: parts.replays,
            key_sets: parts.key_sets,
            introspectors: parts.introspectors,
            revocations: parts.revocations,
            nonces: parts.nonces,
            clock: parts.clock,
        }
    }

    /// This node has caught up with all changes just now.
    pub fn contact(&self, now: Timestamp) {
        self.contact.heard(now);
    }

    /// Whether this node is still within its outage rule.
    pub fn in_touch(&self, now: Timestamp) -> bool {
        self.contact.holds(now)
    }

    /// Forgets what changes touched; the next call asks the store. One pass for a whole batch.
    /// Secrets that were compared need no forgetting: they are bound to the very verifier.
    pub fn invalidate(&self, changes: &HashSet<Changed>) {
        if changes.is_empty() {
            return;
        }
        let stale = |record: &KeyRecord| touches(changes, &record.key.standing, None);
        self.by_id.invalidate(stale);
        self.by_digest.invalidate(stale);
        self.by_prefix.invalidate(stale);
        self.signing
            .invalidate(|key| touches(changes, &key.standing, None));
        self.accounts.invalidate(|record| {
            touches(
                changes,
                &record.account.standing,
                Some(&record.account.username),
            )
        });
    }

    /// Forgets pairs of objects and relations that changes touched; the next call asks the store.
    pub fn forget_relations<'p>(&self, pairs: impl IntoIterator<Item = (&'p str, &'p str)>) {
        self.relations.forget(pairs);
    }

    /// Forgets every record and every compared secret, as after a gap in the changes.
    pub fn invalidate_all(&self) {
        self.by_id.invalidate(|_| true);
        self.by_digest.invalidate(|_| true);
        self.by_prefix.invalidate(|_| true);
        self.signing.invalidate(|_| true);
        self.accounts.invalidate(|_| true);
        self.opaque.invalidate(|_| true);
        self.relations.forget_all();
        self.introspectors.forget();
        self.secrets.forget();
        self.passwords.forget();
    }

    /// Forgets every verified token: their issuers' keys may have been withdrawn. The next call
    /// of each is verified anew.
    pub fn forget_tokens(&self) {
        self.tokens.clear();
        self.introspectors.forget();
    }

    /// Drops tokens that have expired. Call it now and then; no call is judged by it.
    pub fn drop_expired(&self, now: Timestamp) {
        // A token may still be used within its issuer's leeway, which is not known here; dropping
        // it then costs one verification.
        self.tokens.retain(|_, token| now < token.expires_at);
        self.certificates
            .retain(|_, certificate| now < certificate.recheck_at);
        self.statuses.drop_expired(now);
        self.opaque.invalidate(|token| token.expires_at <= now);
        self.introspectors.drop_expired(now);
        self.revocations.drop_ended(now);
    }

    /// Who vouches for client certificates, for whoever configures it.
    pub fn authorities(&self) -> &Arc<Authorities> {
        &self.authorities
    }

    /// What their responders say, for whoever renews it.
    pub fn statuses(&self) -> &Arc<Statuses> {
        &self.statuses
    }

    /// Issuers' PASETO keys, for whoever configures them.
    pub fn paseto_keys(&self) -> &Arc<PasetoKeys> {
        &self.paseto_keys
    }

    /// What opens APIs' encrypted tokens, for whoever configures it.
    pub fn decryption(&self) -> &ApiKeys {
        &self.decryption
    }

    /// Clients that sign their calls, for whoever configures them.
    pub fn calling_clients(&self) -> &Arc<CallingClients> {
        &self.calling_clients
    }

    /// Clients that are suspended, for whoever configures them.
    pub fn suspended_clients(&self) -> &SuspendedClients {
        &self.suspended_clients
    }

    /// The list of revocations, for whoever feeds it.
    pub fn revocations(&self) -> &Arc<Revocations> {
        &self.revocations
    }

    /// Issuers' keys, for whoever configures them.
    pub fn key_sets(&self) -> &Arc<KeySets> {
        &self.key_sets
    }

    /// Issuers that are asked about tokens, for whoever configures them.
    pub fn introspectors(&self) -> &Arc<Introspectors> {
        &self.introspectors
    }

    /// How much is held: tokens, keys, accounts. For metrics.
    pub fn held(&self) -> (usize, usize, usize) {
        let keys =
            self.by_id.len() + self.by_digest.len() + self.by_prefix.len() + self.signing.len();
        let tokens = self.tokens.len() + self.opaque.len() + self.introspectors.held();
        (tokens, keys, self.accounts.len())
    }

    /// How many answers about relations are held. For metrics.
    pub fn held_relations(&self) -> usize {
        self.relations.len()
    }

    async fn account(
        &self,
        username: &str,
        now: Timestamp,
    ) -> Answer<Option<Arc<crate::records::Held<AccountRecord>>>> {
        let load = async || {
            let account = self.records.account(username).await?;
            Ok(account.map(AccountRecord::of))
        };
        self.accounts
            .find(username.into(), now, &self.contact, load)
            .await
    }

    async fn key(&self, lookup: KeyLookup<'_>, now: Timestamp) -> Answer<Option<Found>> {
        let prepared = |key: Option<IssuedKey>| key.map(KeyRecord::of);
        let (records, contact) = (&self.records, &self.contact);
        match lookup {
            KeyLookup::Issued(id) => {
                let load = async || records.key_by_id(id).await.map(prepared);
                self.by_id.find(id, now, contact, load).await
            }
            KeyLookup::Digest(digest) => {
                let load = async || records.key_by_digest(&digest).await.map(prepared);
                self.by_digest.find(digest, now, contact, load).await
            }
            KeyLookup::Prefix(prefix) => {
                let load = async || records.key_by_prefix(prefix).await.map(prepared);
                self.by_prefix.find(prefix.into(), now, contact, load).await
            }
        }
    }
}

type Found = Arc<crate::records::Held<KeyRecord>>;

fn compared(key: &Arc<IssuedKey>, matches: bool) -> KeyCheck {
    match matches {
        true => KeyCheck::Match(Arc::clone(key)),
        false => KeyCheck::Mismatch(Arc::clone(key)),
    }
}

fn answered(checked: Checked, record: Option<&AccountRecord>) -> PasswordCheck {
    match (checked, record) {
        (Checked::Match(which), Some(record)) => {
            PasswordCheck::Match(Arc::clone(&record.account), which)
        }
        (Checked::Throttled, _) => PasswordCheck::Throttled,
        (Checked::Match(_) | Checked::Refused, _) => PasswordCheck::Refused,
    }
}

impl KeyRecord {
    fn of(key: IssuedKey) -> Self {
        let binding = Binding::new(key.standing.credential.as_str(), &key.verifier);
        Self {
            key: Arc::new(key),
            binding,
        }
    }
}

impl AccountRecord {
    fn of(account: Account) -> Self {
        let id = account.standing.credential.as_str();
        let bindings = account
            .passwords
            .iter()
            .map(|one| Binding::new(id, &one.verifier))
            .collect();
        Self {
            account: Arc::new(account),
            bindings,
        }
    }

    fn verifiers(&self) -> Verifiers<'_> {
        Verifiers {
            passwords: &self.account.passwords,
            bindings: &self.bindings,
        }
    }
}

fn touches(changes: &HashSet<Changed>, standing: &Standing, username: Option<&str>) -> bool {
    let owned = |name: &str| changes.contains(&Changed::Owner(name.into()));
    changes.contains(&Changed::Credential(standing.credential.as_str().into()))
        || owned(standing.principal.id())
        || standing
            .application
            .as_ref()
            .is_some_and(|id| owned(id.as_str()))
        || standing
            .client
            .as_ref()
            .is_some_and(|id| owned(id.as_str()))
        || username.is_some_and(owned)
}

impl<R: Records, C: Counters, P: Replays> Facts for StandardFacts<R, C, P> {
    fn known_token(&self, hash: &TokenHash, config: ConfigId) -> Option<Arc<VerifiedToken>> {
        self.tokens.get(&(config, *hash))
    }

    fn remember_token(&self, hash: TokenHash, config: ConfigId, token: Arc<VerifiedToken>) {
        self.tokens.insert((config, hash), token);
    }

    fn known_certificate(
        &self,
        hash: &TokenHash,
        config: ConfigId,
    ) -> Option<Arc<VerifiedCertificate>> {
        self.certificates.get(&(config, *hash))
    }

    fn remember_certificate(
        &self,
        hash: TokenHash,
        config: ConfigId,
        certificate: Arc<VerifiedCertificate>,
    ) {
        self.certificates.insert((config, hash), certificate);
    }

    fn authority(&self, id: &AuthorityId) -> Answer<Arc<Authority>> {
        self.authorities.get(id)
    }

    fn known_status(
        &self,
        authority: &AuthorityId,
        question: &Question,
        now: Timestamp,
    ) -> Option<Status> {
        let responder = self.authorities.responder(authority)?;
        self.statuses.known(&responder, question, now)
    }

    async fn certificate_status(
        &self,
        authority: &AuthorityId,
        question: &Question,
        now: Timestamp,
    ) -> Answer<Status> {
        let responder = self.authorities.responder(authority);
        let responder = responder.ok_or(Unavailable::CertificateStatus)?;
        self.statuses.status(&responder, question, now).await
    }

    async fn opaque_token(
        &self,
        hash: &TokenHash,
        profile: &IssuerProfile,
        now: Timestamp,
    ) -> Answer<Option<Arc<VerifiedToken>>> {
        let load = async || {
            let Some(claims) = self.records.opaque_token(hash).await? else {
                return Ok(None);
            };
            match opaque::from_record(claims.as_bytes(), hash, profile) {
                Ok(token) => Ok(token.map(Arc::new)),
                // Not taken for one that isn't there.
                Err(flaw) => {
                    tracing::error!(%flaw, %hash, "the record of an opaque token is damaged");
                    Err(Unavailable::Store)
                }
            }
        };
        let found = self
            .opaque
            .find((profile.config, *hash), now, &self.contact, load)
            .await?;
        Ok(found.map(|held| Arc::clone(&held.value)))
    }

    fn known_opaque(
        &self,
        hash: &TokenHash,
        profile: &IssuerProfile,
        now: Timestamp,
    ) -> Option<Arc<VerifiedToken>> {
        let held = self
            .opaque
            .held(&(profile.config, *hash), now, &self.contact)?;
        Some(Arc::clone(&held.value))
    }

    async fn introspected(
        &self,
        token: &str,
        hash: &TokenHash,
        profile: &IssuerProfile,
        now: Timestamp,
    ) -> Answer<Said> {
        self.introspectors.said(token, hash, profile, now).await
    }

    fn was_introspected(&self, hash: &TokenHash, profile: &IssuerProfile) -> bool {
        self.introspectors.knows(hash, profile)
    }

    fn revoked(&self, token: &VerifiedToken) -> Answer<bool> {
        let revoked = self.revocations.revoked(token)?;
        if !revoked && !self.contact.holds(self.clock.now()) {
            return Err(Unavailable::CutOff);
        }
        Ok(revoked)
    }

    fn suspended(&self, client_id: &ClientId) -> bool {
        self.suspended_clients.names(client_id)
    }

    async fn verification_key(
        &self,
        issuer: &IssuerProfile,
        kid: Option<&str>,
        algorithm: Algorithm,
    ) -> Answer<Option<Arc<VerifyingKey>>> {
        self.key_sets.verification_key(issuer, kid, algorithm).await
    }

    fn dpop_nonces(&self) -> &NonceKey {
        &self.nonces
    }

    async fn check_key(
        &self,
        lookup: KeyLookup<'_>,
        presented: &[u8],
        now: Timestamp,
    ) -> Answer<KeyCheck> {
        let Some(found) = self.key(lookup, now).await? else {
            return Ok(KeyCheck::Unknown);
        };
        let KeyRecord { key, binding } = &found.value;
        let matches = self
            .secrets
            .check(binding, &key.verifier, presented, now)
            .await?;
        Ok(compared(key, matches))
    }

    fn known_key(
        &self,
        lookup: KeyLookup<'_>,
        presented: &[u8],
        now: Timestamp,
    ) -> Option<Arc<IssuedKey>> {
        let KeyLookup::Issued(id) = lookup else {
            return None;
        };
        let held = self.by_id.held(&id, now, &self.contact)?;
        let KeyRecord { key, binding } = &held.value;
        self.secrets
            .knows(binding, &key.verifier, presented, now)
            .then(|| Arc::clone(key))
    }

    async fn signing_key(&self, key_id: &str, now: Timestamp) -> Answer<Option<Arc<SigningKey>>> {
        let Some(id) = SigningKeyId::parse(key_id) else {
            return Ok(None);
        };
        let load = async || {
            let key = self.records.signing_key(key_id).await?;
            Ok(key.map(Arc::new))
        };
        let found = self
            .signing
            .find(id.key_id(), now, &self.contact, load)
            .await?;
        Ok(found.map(|held| Arc::clone(&held.value)))
    }

    fn paseto_key(
        &self,
        issuer: &IssuerProfile,
        id: Option<&str>,
        purpose: Purpose,
    ) -> Answer<Option<Arc<paseto::Key>>> {
        Ok(self.paseto_keys.find(&issuer.issuer, id, purpose))
    }

    fn decryption_keys(&self, api: &ApiName) -> Answer<Arc<DecryptionKeys>> {
        self.decryption.of(api).ok_or(Unavailable::DecryptionKeys)
    }

    fn calling_client(&self, client_id: &str) -> Answer<Option<Arc<CallingClient>>> {
        let client = self.calling_clients.client(client_id);
        if client.is_some() && !self.contact.holds(self.clock.now()) {
            return Err(Unavailable::CutOff);
        }
        Ok(client)
    }

    async fn client_key(
        &self,
        client: &CallingClient,
        kid: &str,
        algorithm: Algorithm,
    ) -> Answer<Option<Arc<VerifyingKey>>> {
        self.calling_clients.key(client, kid, algorithm).await
    }

    async fn check_password(
        &self,
        username: &str,
        password: &[u8],
        from: IpAddr,
        now: Timestamp,
    ) -> Answer<PasswordCheck> {
        let found = self.account(username, now).await?;
        let record = found.as_deref().map(|held| &held.value);
        let verifiers = record.map(AccountRecord::verifiers);
        let remembered = self
            .passwords
            .remembered(verifiers, username, password, from, now);
        let checked = match remembered {
            Some(which) => Checked::Match(which),
            None => {
                self.passwords
                    .check(verifiers, username, password, from, &self.counters, now)
                    .await?
            }
        };
        Ok(answered(checked, record))
    }

    async fn take(&self, key: &LimitKey, rate: &Rate, cost: u32, now: Timestamp) -> Answer<Taken> {
        self.counters.take(key, rate, cost, now).await
    }

    async fn penalty(
        &self,
        from: IpAddr,
        rules: &Penalties,
        now: Timestamp,
    ) -> Answer<Option<Penalty>> {
        self.counters.penalty(from, rules, now).await
    }

    async fn failed(
        &self,
        from: IpAddr,
        rules: &Penalties,
        now: Timestamp,
    ) -> Answer<Option<Penalty>> {
        self.counters.failed(from, rules, now).await
    }

    async fn probing(
        &self,
        who: &str,
        rules: &Probing,
        now: Timestamp,
    ) -> Answer<Option<Duration>> {
        self.counters.probing(who, rules, now).await
    }

    async fn probed(
        &self,
        who: &str,
        object: &str,
        rules: &Probing,
        now: Timestamp,
    ) -> Answer<Option<Noticed>> {
        self.counters.probed(who, object, rules, now).await
    }

    async fn first_use(
        &self,
        scope: ReplayScope<'_>,
        id: &str,
        until: Timestamp,
        now: Timestamp,
    ) -> Answer<FirstUse> {
        self.replays.first_use(scope, id, until, now).await
    }

    async fn begin_delivery(
        &self,
        key: &str,
        ids: &[String],
        until: Timestamp,
        now: Timestamp,
    ) -> Answer<Begun> {
        self.records.begin_delivery(key, ids, until, now).await
    }

    async fn end_delivery(
        &self,
        key: &str,
        ids: &[String],
        taken: Option<Timestamp>,
        now: Timestamp,
    ) -> Answer<()> {
        self.records.end_delivery(key, ids, taken, now).await
    }

    fn known_related(
        &self,
        object: &Object,
        relation: &Arc<str>,
        now: Timestamp,
    ) -> Option<Arc<Related>> {
        self.relations
            .known_related(object, relation, now, &self.contact)
    }

    async fn related(
        &self,
        object: &Object,
        relation: &Arc<str>,
        _: Timestamp,
    ) -> Answer<Arc<Related>> {
        self.relations
            .related(object, relation, &self.records)
            .await
    }

    fn known_grant(
        &self,
        object: &Object,
        relation: &Arc<str>,
        subject: &Subject,
        now: Timestamp,
    ) -> Option<Option<Grant>> {
        self.relations
            .known_grant(object, relation, subject, now, &self.contact)
    }

    async fn grant(
        &self,
        object: &Object,
        relation: &Arc<str>,
        subject: &Subject,
        _: Timestamp,
    ) -> Answer<Option<Grant>> {
        self.relations
            .grant(object, relation, subject, &self.records)
            .await
    }
}

/// Records are loaded and remembered as for a call, since that changes no answer; what would change
/// one (secrets that matched or did not, budgets of guesses, ids that are used once) is only looked
/// at.
impl<R: Records, C: Counters, P: Replays> Looks for StandardFacts<R, C, P> {
    async fn look_at_key(
        &self,
        lookup: KeyLookup<'_>,
        presented: &[u8],
        now: Timestamp,
    ) -> Answer<KeyCheck> {
        let Some(found) = self.key(lookup, now).await? else {
            return Ok(KeyCheck::Unknown);
        };
        let KeyRecord { key, binding } = &found.value;
        let matches = self
            .secrets
            .look(binding, &key.verifier, presented, now)
            .await?;
        Ok(compared(key, matches))
    }

    async fn look_at_password(
        &self,
        username: &str,
        password: &[u8],
        from: IpAddr,
        now: Timestamp,
    ) -> Answer<PasswordCheck> {
        let found = self.account(username, now).await?;
        let record = found.as_deref().map(|held| &held.value);
        let verifiers = record.map(AccountRecord::verifiers);
        let checked = self
            .passwords
            .look(verifiers, username, password, from, &self.counters, now)
            .await?;
        Ok(answered(checked, record))
    }

    async fn look_at_use(
        &self,
        scope: ReplayScope<'_>,
        id: &str,
        until: Timestamp,
        now: Timestamp,
    ) -> Answer<FirstUse> {
        self.replays.look_at_use(scope, id, until, now).await
    }
}

#[cfg(test)]
pub(crate) mod tests;
