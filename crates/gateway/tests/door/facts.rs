//! Facts for tests: keys in a map, budgets by the very arithmetic of the product.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, LazyLock, Mutex};

use proof::digest::TokenHash;
use proof::dpop::nonce::NonceKey;
use proof::issued::{Brand, Environment, Issued, KeyId, SecretKind};
use proof::jose::alg::Algorithm;
use proof::jose::verifying::VerifyingKey;
use proof::random::SystemEntropy;
use proof::time::Timestamp;
use verdict::credential::client_jwt::CallingClient;
use verdict::credential::introspection::Said;
use verdict::credential::jwt::{ConfigId, IssuerProfile, VerifiedToken};
use verdict::credential::mtls::{Authority, AuthorityId, VerifiedCertificate};
use verdict::facts::{
    Answer, Facts, FirstUse, KeyCheck, KeyLookup, Looks, PasswordCheck, ReplayScope, Unavailable,
};
use verdict::identity::{
    ApiAllow, ApplicationId, ClientId, CredentialId, IssuedKey, LifeState, Principal, RoleName,
    Scopes, SigningKey, Standing, SubjectId,
};
use verdict::limit::{Arrival, LimitKey, Rate, Taken, step};
use verdict::penalty::{Offences, Penalties, Penalty};
use verdict::route::ApiName;

#[derive(Default)]
pub(crate) struct Doubles {
    keys: Mutex<HashMap<KeyId, (String, Arc<IssuedKey>)>>,
    budgets: Mutex<HashMap<LimitKey, Arrival>>,
    used: Mutex<HashSet<String>>,
    /// Keys that were compared before.
    matched: Mutex<HashSet<KeyId>>,
    offences: Mutex<HashMap<core::net::IpAddr, Offences>>,
}

pub(crate) fn brand() -> Brand {
    Brand::new("acme").expect("a brand")
}

impl Doubles {
    /// All that calls leave behind here.
    pub(crate) fn traces(&self) -> String {
        let sound = "no test panics in here";
        format!(
            "{:?} {:?} {:?} {:?}",
            self.budgets.lock().expect(sound),
            self.used.lock().expect(sound),
            self.matched.lock().expect(sound),
            self.offences.lock().expect(sound)
        )
    }

    /// Issues a key for `subject`; returns its text.
    pub(crate) fn key(&self, subject: &str, apis: &[&str], scopes: &[&str]) -> String {
        let issued = Issued::generate(
            &brand(),
            SecretKind::SecretKey,
            Environment::Live,
            &SystemEntropy,
        );
        let text = issued.text().to_owned();
        let standing = Standing {
            principal: Principal::Service(SubjectId::new(subject)),
            credential: CredentialId::new(format!("key_{subject}")),
            application: Some(ApplicationId::new("app_1")),
            client: None,
            scopes: Scopes::new(scopes.iter().copied()),
            roles: vec![RoleName::new("clerk")],
            apis: ApiAllow::Listed(apis.iter().map(|api| ApiName::new(*api)).collect()),
            environment: Some(Environment::Live),
            tenant: None,
            networks: Vec::new(),
            origins: Vec::new(),
            claims: serde_json::Map::new(),
        };
        let key = IssuedKey {
            key_id: Some(issued.id),
            kind: SecretKind::SecretKey,
            verifier: Arc::new(proof::password::dummy(
                proof::password::Argon2Params::new(8, 1, 1).unwrap_or_default(),
            )),
            state: LifeState::Active,
            expires_at: None,
            standing: Arc::new(standing),
        };
        let mut keys = self.keys.lock().expect("no test panics in here");
        keys.insert(issued.id, (text.clone(), Arc::new(key)));
        text
    }
}

impl Facts for Doubles {
    fn known_token(&self, _: &TokenHash, _: ConfigId) -> Option<Arc<VerifiedToken>> {
        None
    }
    fn remember_token(&self, _: TokenHash, _: ConfigId, _: Arc<VerifiedToken>) {}
    fn known_certificate(&self, _: &TokenHash, _: ConfigId) -> Option<Arc<VerifiedCertificate>> {
        None
    }
    fn remember_certificate(&self, _: TokenHash, _: ConfigId, _: Arc<VerifiedCertificate>) {}
    fn authority(&self, _: &AuthorityId) -> Answer<Arc<Authority>> {
        Err(Unavailable::Authority)
    }
    async fn opaque_token(
        &self,
        _: &TokenHash,
        _: &IssuerProfile,
        _: Timestamp,
    ) -> Answer<Option<Arc<VerifiedToken>>> {
        Ok(None)
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
        _: &str,
        _: &TokenHash,
        _: &IssuerProfile,
        _: Timestamp,
    ) -> Answer<Said> {
        Err(Unavailable::Introspection)
    }
    fn was_introspected(&self, _: &TokenHash, _: &IssuerProfile) -> bool {
        false
    }
    fn revoked(&self, _: &VerifiedToken) -> Answer<bool> {
        Ok(false)
    }
    fn suspended(&self, _: &ClientId) -> bool {
        false
    }
    async fn verification_key(
        &self,
        _: &IssuerProfile,
        _: Option<&str>,
        _: Algorithm,
    ) -> Answer<Option<Arc<VerifyingKey>>> {
        Err(Unavailable::KeySet)
    }
    fn dpop_nonces(&self) -> &NonceKey {
        static KEY: LazyLock<NonceKey> = LazyLock::new(|| NonceKey::new(&[7; 32]));
        &KEY
    }
    async fn check_key(
        &self,
        lookup: KeyLookup<'_>,
        presented: &[u8],
        _: Timestamp,
    ) -> Answer<KeyCheck> {
        let KeyLookup::Issued(id) = lookup else {
            return Ok(KeyCheck::Unknown);
        };
        let keys = self.keys.lock().expect("no test panics in here");
        Ok(match keys.get(&id) {
            None => KeyCheck::Unknown,
            Some((text, key)) if text.as_bytes() == presented => {
                self.matched
                    .lock()
                    .expect("no test panics in here")
                    .insert(id);
                KeyCheck::Match(key.clone())
            }
            Some((_, key)) => KeyCheck::Mismatch(key.clone()),
        })
    }
    fn known_key(
        &self,
        lookup: KeyLookup<'_>,
        presented: &[u8],
        _: Timestamp,
    ) -> Option<Arc<IssuedKey>> {
        let KeyLookup::Issued(id) = lookup else {
            return None;
        };
        let matched = self.matched.lock().expect("no test panics in here");
        let keys = self.keys.lock().expect("no test panics in here");
        let (text, key) = keys.get(&id)?;
        (matched.contains(&id) && text.as_bytes() == presented).then(|| key.clone())
    }
    async fn signing_key(&self, _: &str, _: Timestamp) -> Answer<Option<Arc<SigningKey>>> {
        Ok(None)
    }
    fn paseto_key(
        &self,
        _: &IssuerProfile,
        _: Option<&str>,
        _: proof::paseto::Purpose,
    ) -> Answer<Option<Arc<proof::paseto::Key>>> {
        Ok(None)
    }
    fn calling_client(&self, _: &str) -> Answer<Option<Arc<CallingClient>>> {
        Ok(None)
    }
    async fn client_key(
        &self,
        _: &CallingClient,
        _: &str,
        _: Algorithm,
    ) -> Answer<Option<Arc<VerifyingKey>>> {
        Ok(None)
    }
    async fn check_password(
        &self,
        _: &str,
        _: &[u8],
        _: core::net::IpAddr,
        _: Timestamp,
    ) -> Answer<PasswordCheck> {
        Ok(PasswordCheck::Refused)
    }
    async fn first_use(
        &self,
        scope: ReplayScope<'_>,
        id: &str,
        _: Timestamp,
        _: Timestamp,
    ) -> Answer<FirstUse> {
        let mut used = self.used.lock().expect("no test panics in here");
        Ok(match used.insert(format!("{scope:?} {id}")) {
            true => FirstUse::Yes,
            false => FirstUse::Replayed,
        })
    }
    async fn penalty(
        &self,
        from: core::net::IpAddr,
        rules: &Penalties,
        now: Timestamp,
    ) -> Answer<Option<Penalty>> {
        let offences = self.offences.lock().expect("no test panics in here");
        Ok(offences.get(&from).and_then(|one| rules.held(one, now)))
    }
    async fn failed(
        &self,
        from: core::net::IpAddr,
        rules: &Penalties,
        now: Timestamp,
    ) -> Answer<Option<Penalty>> {
        let mut offences = self.offences.lock().expect("no test panics in here");
        let (after, begun) = rules.fail(offences.get(&from).copied(), now);
        offences.insert(from, after);
        Ok(begun)
    }
    async fn take(&self, key: &LimitKey, rate: &Rate, cost: u32, now: Timestamp) -> Answer<Taken> {
        let mut budgets = self.budgets.lock().expect("no test panics in here");
        let (after, taken) = step(budgets.get(key).copied(), rate, cost, now);
        if cost > 0 {
            budgets.insert(key.clone(), after);
        }
        Ok(taken)
    }
}

impl Looks for Doubles {
    async fn look_at_key(
        &self,
        lookup: KeyLookup<'_>,
        presented: &[u8],
        _: Timestamp,
    ) -> Answer<KeyCheck> {
        let KeyLookup::Issued(id) = lookup else {
            return Ok(KeyCheck::Unknown);
        };
        let keys = self.keys.lock().expect("no test panics in here");
        Ok(match keys.get(&id) {
            None => KeyCheck::Unknown,
            Some((text, key)) if text.as_bytes() == presented => KeyCheck::Match(key.clone()),
            Some((_, key)) => KeyCheck::Mismatch(key.clone()),
        })
    }
    async fn look_at_password(
        &self,
        _: &str,
        _: &[u8],
        _: core::net::IpAddr,
        _: Timestamp,
    ) -> Answer<PasswordCheck> {
        Ok(PasswordCheck::Refused)
    }
    async fn look_at_use(
        &self,
        scope: ReplayScope<'_>,
        id: &str,
        _: Timestamp,
        _: Timestamp,
    ) -> Answer<FirstUse> {
        let used = self.used.lock().expect("no test panics in here");
        Ok(match used.contains(&format!("{scope:?} {id}")) {
            false => FirstUse::Yes,
            true => FirstUse::Replayed,
        })
    }
}
