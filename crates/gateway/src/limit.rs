//! **Limits**: which budget a call is taken from, and what the caller is told about it.
//!
//! Addresses are counted before anybody is identified, principals after; the arithmetic and the
//! counters are behind [`verdict::facts::Facts::take`]. Addresses that keep failing are
//! [`crate::penalty`]'s matter.

use core::fmt::Write as _;
use core::net::IpAddr;

use http::{HeaderMap, HeaderName, HeaderValue};
use verdict::facts::Facts;
use verdict::identity::{ApplicationId, Identity};
use verdict::limit::{LimitKey, Rate, Taken};
use verdict::policy::rego::Budget;
use verdict::problem::{Code, Problem};
use verdict::route::ApiName;

/// `RateLimit` (draft-ietf-httpapi-ratelimit-headers): what is left.
const RATELIMIT: HeaderName = HeaderName::from_static("ratelimit");
/// `RateLimit-Policy` (same draft): what there is.
const RATELIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// A budget that a call was taken from, to be told to the caller.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Told {
    name: &'static str,
    rate: Rate,
    taken: Taken,
}

/// The number of the door's own rule: what comes before any API is known.
pub(crate) const DOOR: u64 = 0;

/// Takes a call from its address's budget under a rule.
///
/// # Errors
/// 429, or 503 where the counters don't answer.
pub(crate) async fn address(
    facts: &impl Facts,
    rate: &Rate,
    client: IpAddr,
    rule: u64,
    now: proof::time::Timestamp,
) -> Result<Told, (Problem, Option<Told>)> {
    let key = LimitKey::address(client, rule);
    take(facts, &key, "address", rate, now).await
}

/// Takes a call from its principal's budget on an API.
///
/// # Errors
/// 429, or 503 where the counters don't answer.
pub(crate) async fn principal(
    facts: &impl Facts,
    rate: &Rate,
    identity: &Identity,
    api: &ApiName,
    now: proof::time::Timestamp,
) -> Result<Told, (Problem, Option<Told>)> {
    let key = LimitKey::principal(identity, api, "principal");
    take(facts, &key, "principal", rate, now).await
}

/// Takes a call from its application's budget on an API.
///
/// # Errors
/// 429, or 503 where the counters don't answer.
pub(crate) async fn application(
    facts: &impl Facts,
    rate: &Rate,
    application: &ApplicationId,
    api: &ApiName,
    now: proof::time::Timestamp,
) -> Result<Told, (Problem, Option<Told>)> {
    let key = LimitKey::application(application, api);
    take(facts, &key, "application", rate, now).await
}

/// Takes a call from a budget that a policy names for its principal on an API.
///
/// # Errors
/// 429, or 503 where the counters don't answer.
pub(crate) async fn policy(
    facts: &impl Facts,
    name: &str,
    budget: &Budget,
    identity: &Identity,
    api: &ApiName,
    now: proof::time::Timestamp,
) -> Result<Told, (Problem, Option<Told>)> {
    let key = LimitKey::principal(identity, api, &format!("policy {name}"));
    take(facts, &key, "policy", &budget.rate, now).await
}

async fn take(
    facts: &impl Facts,
    key: &LimitKey,
    name: &'static str,
    rate: &Rate,
    now: proof::time::Timestamp,
) -> Result<Told, (Problem, Option<Told>)> {
    let taken = facts
        .take(key, rate, 1, now)
        .await
        .map_err(|why| (Problem::from(why), None))?;
    let told = Told {
        name,
        rate: *rate,
        taken,
    };
    if taken.allowed {
        return Ok(told);
    }
    let mut problem = Problem::new(
        Code::RateLimited,
        format!("the budget of the {name} is spent"),
    );
    problem.retry_after = Some(taken.retry_after);
    Err((problem, Some(told)))
}

impl Told {
    /// Adds the fields to an answer.
    pub(crate) fn dress(&self, headers: &mut HeaderMap) {
        let mut text = String::with_capacity(48);
        let seconds = |d: core::time::Duration| d.as_secs() + u64::from(d.subsec_nanos() > 0);
        let _ = write!(
            text,
            "\"{}\";r={};t={}",
            self.name,
            self.taken.remaining,
            seconds(self.taken.reset_after)
        );
        if let Ok(value) = HeaderValue::from_str(&text) {
            headers.insert(RATELIMIT, value);
        }
        text.clear();
        let _ = write!(
            text,
            "\"{}\";q={};w={}",
            self.name,
            self.rate.limit,
            seconds(self.rate.period).max(1)
        );
        if let Ok(value) = HeaderValue::from_str(&text) {
            headers.insert(RATELIMIT_POLICY, value);
        }
    }
}
