//! **Penalties**: what it means for a call that its address failed too often.
//!
//! While an address is held back, nothing is looked up, hashed or verified for it. What this node
//! verified before and nobody can guess still passes: a token that it knows, a key in Doorward's own
//! grammar that it compared before. So one bad program behind a shared address does not cut off the
//! good ones beside it, and whoever guesses learns nothing: every other call gets the same 429, right
//! or wrong, with the time that is left. Passwords and imported keys wait like everything else,
//! since they can be guessed.

use core::net::IpAddr;
use core::sync::atomic::{AtomicU64, Ordering};
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
use verdict::call::Call;
use verdict::credential::client_jwt::CallingClient;
use verdict::credential::introspection::Said;
use verdict::credential::jwt::{ConfigId, IssuerProfile, VerifiedToken};
use verdict::credential::mtls::{Authority, AuthorityId, VerifiedCertificate};
use verdict::facts::{Answer, Facts, FirstUse, KeyCheck, KeyLookup, PasswordCheck, ReplayScope};
use verdict::identity::{ClientId, IssuedKey, SigningKey};
use verdict::limit::{Arrival, LimitKey, Rate, Taken, step};
use verdict::penalty::{Penalties, Penalty};
use verdict::problem::{Code, Problem};
use verdict::route::{ApiName, Route};
use verdict::trace::Note;
use verdict::{Identified, identify};

use crate::plane::Plane;

/// Lines that the log gets of penalties.
const LINES: Rate = Rate {
    limit: 10,
    period: Duration::from_secs(60),
};

/// Identifies the caller of an address that is held back, by what is remembered alone.
///
/// # Errors
/// 429 with the time that is left, whatever is wrong with the call.
pub(crate) async fn only_known<F: Facts, R>(
    plane: &Plane<F>,
    call: Call<R>,
    route: &Route,
    penalty: Penalty,
    now: Timestamp,
) -> Result<Identified<R>, Problem> {
    match identify(call, route, &Remembered(&*plane.facts), now).await {
        // Nobody in particular has nothing to be known by.
        Ok(who) if who.identity().is_some() => Ok(who),
        Ok(_) | Err(_) => {
            plane.metrics.held_back.inc();
            Err(problem(penalty))
        }
    }
}

fn problem(penalty: Penalty) -> Problem {
    let cause = match penalty.count {
        0 => "too many addresses failed lately, and this one is not told apart".to_owned(),
        count => format!("the address failed too often: penalty {count} in a row"),
    };
    let mut problem = Problem::new(Code::RateLimited, cause);
    problem.retry_after = Some(penalty.left);
    problem
}

/// Counts a failed authentication of an address, and says so if a penalty begins.
pub(crate) async fn failed<F: Facts>(plane: &Plane<F>, client: IpAddr, now: Timestamp) {
    let Some(rules) = &plane.options.failures_per_address else {
        return;
    };
    // A counter that does not answer has no say in an answer that is a refusal anyway.
    let Ok(Some(penalty)) = plane.facts.failed(client, rules, now).await else {
        return;
    };
    plane.metrics.penalties.inc();
    if let Some(unsaid) = plane.penalty_lines.next(now) {
        tracing::warn!(
            %client,
            penalty = penalty.count,
            seconds = penalty.left.as_secs(),
            unsaid,
            "an address failed too often and is held back"
        );
    }
}

/// How many lines the log still takes: whoever attacks from many addresses must not fill it.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    budget: Mutex<Option<Arrival>>,
    unsaid: AtomicU64,
}

impl Lines {
    /// Whether there may be a line now; if so, how many were left out before it.
    fn next(&self, now: Timestamp) -> Option<u64> {
        let mut budget = self.budget.lock();
        let (arrival, taken) = step(*budget, &LINES, 1, now);
        *budget = Some(arrival);
        drop(budget);
        if taken.allowed {
            return Some(self.unsaid.swap(0, Ordering::Relaxed));
        }
        self.unsaid.fetch_add(1, Ordering::Relaxed);
        None
    }
}

/// Facts that know what is remembered, and answer everything else as if there were nothing.
struct Remembered<'a, F>(&'a F);

impl<F: Facts> Facts for Remembered<'_, F> {
    fn is_held_back(&self) -> bool {
        true
    }
    fn note(&self, note: Note<'_>) {
        self.0.note(note);
    }
    fn known_token(&self, hash: &TokenHash, config: ConfigId) -> Option<Arc<VerifiedToken>> {
        self.0.known_token(hash, config)
    }
    fn remember_token(&self, _: TokenHash, _: ConfigId, _: Arc<VerifiedToken>) {}
    fn known_certificate(
        &self,
        hash: &TokenHash,
        config: ConfigId,
    ) -> Option<Arc<VerifiedCertificate>> {
        self.0.known_certificate(hash, config)
    }
    fn remember_certificate(&self, _: TokenHash, _: ConfigId, _: Arc<VerifiedCertificate>) {}
    /// Under which a certificate that is known is judged.
    fn authority(&self, id: &AuthorityId) -> Answer<Arc<Authority>> {
        self.0.authority(id)
    }
    fn known_status(
        &self,
        authority: &AuthorityId,
        question: &Question,
        now: Timestamp,
    ) -> Option<Status> {
        self.0.known_status(authority, question, now)
    }
    /// Asked about certificates whose path holds alone.
    async fn certificate_status(
        &self,
        authority: &AuthorityId,
        question: &Question,
        now: Timestamp,
    ) -> Answer<Status> {
        self.0.certificate_status(authority, question, now).await
    }
    async fn opaque_token(
        &self,
        hash: &TokenHash,
        profile: &IssuerProfile,
        now: Timestamp,
    ) -> Answer<Option<Arc<VerifiedToken>>> {
        Ok(self.0.known_opaque(hash, profile, now))
    }
    fn known_opaque(
        &self,
        hash: &TokenHash,
        profile: &IssuerProfile,
        now: Timestamp,
    ) -> Option<Arc<VerifiedToken>> {
        self.0.known_opaque(hash, profile, now)
    }
    /// What an issuer said is good for seconds only, so it is asked again, about tokens that were
    /// good before.
    async fn introspected(
        &self,
        token: &str,
        hash: &TokenHash,
        profile: &IssuerProfile,
        now: Timestamp,
    ) -> Answer<Said> {
        if !self.0.was_introspected(hash, profile) {
            return Ok(Err("the address is held back".into()));
        }
        self.0.introspected(token, hash, profile, now).await
    }
    fn was_introspected(&self, hash: &TokenHash, profile: &IssuerProfile) -> bool {
        self.0.was_introspected(hash, profile)
    }
    fn revoked(&self, token: &VerifiedToken) -> Answer<bool> {
        self.0.revoked(token)
    }
    fn suspended(&self, client_id: &ClientId) -> bool {
        self.0.suspended(client_id)
    }
    async fn verification_key(
        &self,
        _: &IssuerProfile,
        _: Option<&str>,
        _: Algorithm,
    ) -> Answer<Option<Arc<VerifyingKey>>> {
        Ok(None)
    }
    fn dpop_nonces(&self) -> &NonceKey {
        self.0.dpop_nonces()
    }
    async fn check_key(
        &self,
        lookup: KeyLookup<'_>,
        presented: &[u8],
        now: Timestamp,
    ) -> Answer<KeyCheck> {
        let known = self.0.known_key(lookup, presented, now);
        Ok(known.map_or(KeyCheck::Unknown, KeyCheck::Match))
    }
    fn known_key(
        &self,
        lookup: KeyLookup<'_>,
        presented: &[u8],
        now: Timestamp,
    ) -> Option<Arc<IssuedKey>> {
        self.0.known_key(lookup, presented, now)
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
    /// What is known was opened under them; what is not is not opened here.
    fn decryption_keys(&self, api: &ApiName) -> Answer<Arc<DecryptionKeys>> {
        Ok(Arc::new(self.0.decryption_keys(api)?.shut()))
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
        _: IpAddr,
        _: Timestamp,
    ) -> Answer<PasswordCheck> {
        Ok(PasswordCheck::Throttled)
    }
    async fn take(&self, key: &LimitKey, rate: &Rate, cost: u32, now: Timestamp) -> Answer<Taken> {
        self.0.take(key, rate, cost, now).await
    }
    async fn penalty(
        &self,
        from: IpAddr,
        rules: &Penalties,
        now: Timestamp,
    ) -> Answer<Option<Penalty>> {
        self.0.penalty(from, rules, now).await
    }
    async fn failed(
        &self,
        from: IpAddr,
        rules: &Penalties,
        now: Timestamp,
    ) -> Answer<Option<Penalty>> {
        self.0.failed(from, rules, now).await
    }
    async fn first_use(
        &self,
        scope: ReplayScope<'_>,
        id: &str,
        until: Timestamp,
        now: Timestamp,
    ) -> Answer<FirstUse> {
        self.0.first_use(scope, id, until, now).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_gets_a_few_lines_a_minute_and_the_next_one_tells_of_those_left_out() {
        let lines = Lines::default();
        let at = |seconds: i64| Timestamp::from_secs(1_800_000_000 + seconds);
        let said = (0..100).filter(|_| lines.next(at(0)).is_some()).count();
        assert_eq!(said, 10);
        assert_eq!(lines.next(at(6)), Some(90));
        assert_eq!(lines.next(at(12)), Some(0));
    }
}
