//! **What upstreams learn of the caller**: a signed token, plain fields, the original credential, or
//! nothing, as the API's declaration says.
//!
//! Signing is not the gateway's: it asks [`UpstreamIdentity`], which holds a key set of its own. A
//! statement is kept for half of its life per standing and API, so that a busy caller costs a
//! signature now and then, not one per call. Nothing here is ever taken from the call itself
//! (threat B8).

use core::time::Duration;
use std::collections::HashMap;
use std::sync::{Arc, Weak};

use http::{HeaderMap, HeaderName, HeaderValue};
use parking_lot::Mutex;
use proof::time::Timestamp;
use verdict::identity::{Identity, Standing};

use crate::hygiene;

/// Makes the signed statement that an upstream gets. Implemented where the keys are.
pub trait UpstreamIdentity: Send + Sync {
    /// A compact JWT for `audience` that lives for `lifetime` from `now` (`typ:
    /// doorward-identity+jwt`, own key set), or nothing if none can be signed now; the call is then
    /// refused with 503, never forwarded without its statement.
    fn token(
        &self,
        identity: &Identity,
        audience: &str,
        lifetime: Duration,
        now: Timestamp,
    ) -> Option<HeaderValue>;
}

/// Can't sign: for gateways whose APIs ask for no token.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoTokens;

impl UpstreamIdentity for NoTokens {
    fn token(&self, _: &Identity, _: &str, _: Duration, _: Timestamp) -> Option<HeaderValue> {
        None
    }
}

/// Statements made lately for one API, per standing.
#[derive(Default)]
pub(crate) struct Statements {
    shards: [Mutex<HashMap<usize, Kept, foldhash::fast::RandomState>>; SHARDS],
}

impl core::fmt::Debug for Statements {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Statements")
    }
}

struct Kept {
    /// Keeps the address from being used again, and says whether it is still the same standing.
    of: Weak<Standing>,
    until: Timestamp,
    fields: Arc<[(HeaderName, HeaderValue)]>,
}

const SHARDS: usize = 16;
/// Entries of a shard; a full one is emptied of what is over, and then altogether.
const PER_SHARD: usize = 4096;

impl Statements {
    fn kept(
        &self,
        standing: &Arc<Standing>,
        now: Timestamp,
        make: impl FnOnce() -> Option<(Vec<(HeaderName, HeaderValue)>, Timestamp)>,
    ) -> Option<Arc<[(HeaderName, HeaderValue)]>> {
        let address = Arc::as_ptr(standing).addr();
        let shard = &self.shards[(address >> 6) % SHARDS];
        if let Some(kept) = shard.lock().get(&address)
            && now < kept.until
            && kept.of.ptr_eq(&Arc::downgrade(standing))
        {
            return Some(kept.fields.clone());
        }
        // Made outside of the lock: two calls may make one each, which costs less than waiting.
        let (fields, until) = make()?;
        let fields: Arc<[_]> = fields.into();
        let mut shard = shard.lock();
        if shard.len() >= PER_SHARD {
            shard.retain(|_, kept| now < kept.until && kept.of.strong_count() > 0);
            if shard.len() >= PER_SHARD {
                shard.clear();
            }
        }
        shard.insert(
            address,
            Kept {
                of: Arc::downgrade(standing),
                until,
                fields: fields.clone(),
            },
        );
        Some(fields)
    }

    /// Adds the token for `identity`; `false`: none can be signed now.
    #[must_use]
    pub(crate) fn token(
        &self,
        signer: &dyn UpstreamIdentity,
        identity: &Identity,
        audience: &str,
        lifetime: Duration,
        now: Timestamp,
        headers: &mut HeaderMap,
    ) -> bool {
        let fields = self.kept(identity.standing(), now, || {
            let token = signer.token(identity, audience, lifetime, now)?;
            let half = now.plus(lifetime / 2);
            let until = identity.expires_at().map_or(half, |end| end.min(half));
            Some((vec![(hygiene::IDENTITY, token)], until))
        });
        add(fields, headers)
    }

    /// Adds the plain fields for `identity`; `false`: something in it is no field value.
    #[must_use]
    pub(crate) fn plain(
        &self,
        identity: &Identity,
        now: Timestamp,
        headers: &mut HeaderMap,
    ) -> bool {
        let standing = identity.standing();
        let fields = self.kept(standing, now, || {
            Some((plain_fields(standing)?, now.plus(Duration::from_secs(60))))
        });
        add(fields, headers)
    }
}

fn add(fields: Option<Arc<[(HeaderName, HeaderValue)]>>, headers: &mut HeaderMap) -> bool {
    let Some(fields) = fields else { return false };
    for (name, value) in &*fields {
        headers.insert(name.clone(), value.clone());
    }
    true
}

/// The plain fields of a standing. What can't be a field value refuses the call: an upstream that
/// reads a shortened name would judge somebody else.
fn plain_fields(standing: &Standing) -> Option<Vec<(HeaderName, HeaderValue)>> {
    let value = |text: &str| {
        // Visible ASCII and space alone: Latin-1 to some is UTF-8 to others.
        let clean = text.bytes().all(|byte| matches!(byte, 0x20..=0x7e));
        if clean {
            HeaderValue::from_str(text).ok()
        } else {
            None
        }
    };
    let list = |items: &mut dyn Iterator<Item = &str>, divider: &str| -> Option<HeaderValue> {
        let mut text = String::new();
        for item in items {
            if item.contains(divider) {
                return None;
            }
            if !text.is_empty() {
                text.push_str(divider);
            }
            text.push_str(item);
        }
        value(&text)
    };
    let mut fields = vec![
        (hygiene::SUBJECT, value(standing.principal.id())?),
        (
            hygiene::PRINCIPAL,
            HeaderValue::from_static(standing.principal.kind()),
        ),
    ];
    if let Some(client) = &standing.client {
        fields.push((hygiene::CLIENT, value(client.as_str())?));
    }
    if let Some(application) = &standing.application {
        fields.push((hygiene::APPLICATION, value(application.as_str())?));
    }
    if !standing.scopes.is_empty() {
        fields.push((hygiene::SCOPES, list(&mut scopes(standing), " ")?));
    }
    if !standing.roles.is_empty() {
        fields.push((
            hygiene::ROLES,
            list(&mut standing.roles.iter().map(|r| r.as_str()), ",")?,
        ));
    }
    if let Some(tenant) = &standing.tenant {
        fields.push((hygiene::TENANT, value(tenant.as_str())?));
    }
    Some(fields)
}

fn scopes(standing: &Standing) -> impl Iterator<Item = &str> {
    standing.scopes.iter().map(|scope| -> &str { scope })
}

#[cfg(test)]
mod tests {
    use super::*;
    use verdict::identity::{ApiAllow, CredentialId, Principal, RoleName, Scopes, SubjectId};

    fn standing(subject: &str) -> Standing {
        Standing {
            principal: Principal::Service(SubjectId::new(subject)),
            credential: CredentialId::new("key_1"),
            application: None,
            client: None,
            scopes: Scopes::new(["b", "a"]),
            roles: vec![RoleName::new("clerk"), RoleName::new("boss")],
            apis: ApiAllow::Listed(Vec::new()),
            environment: None,
            tenant: None,
            networks: Vec::new(),
            origins: Vec::new(),
            claims: serde_json::Map::new(),
        }
    }

    #[test]
    fn plain_fields_say_who_it_is() {
        let fields: HeaderMap = plain_fields(&standing("sub_1"))
            .expect("clean")
            .into_iter()
            .collect();
        assert_eq!(fields["doorward-subject"], "sub_1");
        assert_eq!(fields["doorward-principal"], "service");
        assert_eq!(fields["doorward-scopes"], "a b");
        assert_eq!(fields["doorward-roles"], "clerk,boss");
        assert!(!fields.contains_key("doorward-tenant"));
    }

    #[test]
    fn e05_a_name_that_is_no_field_value_is_refused_not_shortened() {
        for subject in ["a\r\nadmin: 1", "a\0", "zoë"] {
            assert!(plain_fields(&standing(subject)).is_none(), "{subject:?}");
        }
        let mut odd = standing("sub_1");
        odd.roles = vec![RoleName::new("clerk,admin")];
        assert!(plain_fields(&odd).is_none(), "one role would read as two");
    }

    #[test]
    fn a_statement_is_kept_for_its_standing_alone_and_not_for_ever() {
        let statements = Statements::default();
        let now = Timestamp::from_secs(1000);
        let until = Timestamp::from_secs(1030);
        let make = |text: &'static str| {
            move || {
                Some((
                    vec![(hygiene::IDENTITY, HeaderValue::from_static(text))],
                    until,
                ))
            }
        };
        let (one, other) = (Arc::new(standing("1")), Arc::new(standing("2")));
        let ask = |of: &Arc<Standing>, now, text| {
            statements.kept(of, now, make(text)).expect("made")[0]
                .1
                .clone()
        };
        assert_eq!(ask(&one, now, "a"), "a");
        assert_eq!(ask(&one, now, "b"), "a", "kept");
        assert_eq!(ask(&other, now, "c"), "c", "another standing");
        assert_eq!(ask(&one, until, "e"), "e", "its time is over");
    }
}
