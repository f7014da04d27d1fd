//! **Usage**: how often, and when last, each thing was used that can be ended or replaced. Counted is
//! under names that last, never under a token's: those come and go with every call, and a row for
//! each would say nothing.
//!
//! | what proved it | counted under | which belongs to |
//! |---|---|---|
//! | a credential that we keep | its id (`key_…`, `sgn_…`, `svc_…`) | |
//! | one of its secrets or keys, where it can have several | the secret's id (`pwd_…`, `mat_…`) | the credential |
//! | an access token | `issuer:…`, and the client it was given to, if it is ours | |
//! | the key that made it | `jkt:…`, `k4.lid.…` | its issuer |
//! | a client's own key | `jkt:…` | the client |
//! | a client's certificate | `x5t:…` | the principal that it names |
//!
//! What is used at the endpoints of the issuer ([`ClientUse`]) is no call of an API and belongs to
//! the client. So one call stands in several rows, and a sum over rows means nothing.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use proof::time::Timestamp;
use verdict::credential::CredentialKind;
use verdict::identity::{ClientId, CredentialId};

use super::{Caller, Decision};

/// Length of an hour, in milliseconds.
const HOUR: i64 = 3_600_000;

/// Calls counted per name and hour.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Usage {
    /// What was used.
    pub name: String,
    /// What it belongs to, if it is one of several.
    pub belongs_to: Option<String>,
    /// Start of the hour.
    pub hour: Timestamp,
    /// Calls in it.
    pub calls: i64,
    /// The last of them.
    pub last_used: Timestamp,
}

/// What was used of late, its hours summed up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Used {
    /// What was used.
    pub name: String,
    /// What it belongs to, if it is one of several.
    pub belongs_to: Option<String>,
    /// Calls.
    pub calls: i64,
    /// The last of them.
    pub last_used: Timestamp,
}

/// Which names to list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsedFilter {
    /// Used in an hour that begins at this time or later.
    pub since: Timestamp,
    /// Only this name and what belongs to it.
    pub about: Option<String>,
    /// Those that come after this one: when it was last used, and its name.
    pub after: Option<(Timestamp, String)>,
    /// At most so many; 1–1000.
    pub limit: u32,
}

/// A client that authenticated at an endpoint of the issuer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientUse {
    /// Which client.
    pub client: ClientId,
    /// With which of its secrets, keys or certificates.
    pub credential: CredentialId,
    /// When.
    pub at: Timestamp,
}

/// The start of the hour that a time lies in.
pub fn hour_of(at: Timestamp) -> Timestamp {
    Timestamp::from_millis(at.as_millis().div_euclid(HOUR) * HOUR)
}

/// What a client is counted under.
pub fn client_name(client: &str) -> String {
    format!("client:{client}")
}

/// A name, without a copy while it is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Name<'a> {
    /// As it is recorded.
    Plain(&'a str),
    Client(&'a str),
    Issuer(&'a str),
}

impl Name<'_> {
    fn text(self) -> String {
        match self {
            Self::Plain(name) => name.to_owned(),
            Self::Client(client) => client_name(client),
            Self::Issuer(issuer) => format!("issuer:{issuer}"),
        }
    }
}

/// Counts of a batch.
#[derive(Debug, Default)]
pub struct Tally<'a> {
    counts: BTreeMap<(Name<'a>, Timestamp), Count<'a>>,
}

#[derive(Debug)]
struct Count<'a> {
    belongs_to: Option<Name<'a>>,
    calls: i64,
    last: Timestamp,
}

impl<'a> Tally<'a> {
    /// Counts a call: what its caller proved, and what companions did.
    pub fn call(&mut self, decision: &'a Decision) {
        for caller in decision.callers() {
            self.caller(&caller, decision.at);
        }
    }

    /// Counts a client at the issuer.
    pub fn client(&mut self, used: &'a ClientUse) {
        let name = Name::Plain(used.credential.as_str());
        self.add(name, Some(Name::Client(used.client.as_str())), used.at);
    }

    fn caller(&mut self, caller: &Caller<'a>, at: Timestamp) {
        let credential = Name::Plain(caller.credential);
        let secret = caller.secret.map(Name::Plain);
        let client = caller.client_id.map(Name::Client);
        let kind = CredentialKind::ALL
            .into_iter()
            .find(|kind| kind.name() == caller.kind);
        match kind {
            Some(kind) if kind.is_access_token() => {
                let issuer = caller.issuer.map(Name::Issuer);
                self.some(issuer, None, at);
                self.some(secret, issuer, at);
                self.some(client, None, at);
            }
            Some(CredentialKind::ClientJwt) => {
                self.add(credential, client, at);
                self.some(client, None, at);
            }
            Some(CredentialKind::Mtls) => {
                let principal = caller.principal.map(Name::Plain);
                self.add(credential, principal, at);
                self.some(principal, None, at);
            }
            _ => {
                self.add(credential, None, at);
                self.some(secret, Some(credential), at);
            }
        }
    }

    fn some(&mut self, name: Option<Name<'a>>, belongs_to: Option<Name<'a>>, at: Timestamp) {
        if let Some(name) = name {
            self.add(name, belongs_to, at);
        }
    }

    fn add(&mut self, name: Name<'a>, belongs_to: Option<Name<'a>>, at: Timestamp) {
        match self.counts.entry((name, hour_of(at))) {
            Entry::Vacant(free) => {
                free.insert(Count {
                    belongs_to,
                    calls: 1,
                    last: at,
                });
            }
            Entry::Occupied(mut taken) => {
                let count = taken.get_mut();
                count.calls += 1;
                count.last = count.last.max(at);
            }
        }
    }

    /// The counts.
    pub fn finish(self) -> Vec<Usage> {
        self.counts
            .into_iter()
            .map(|((name, hour), count)| Usage {
                name: name.text(),
                belongs_to: count.belongs_to.map(Name::text),
                hour,
                calls: count.calls,
                last_used: count.last,
            })
            .collect()
    }
}

#[cfg(test)]
mod tests;
