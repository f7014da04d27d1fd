//! Usage: how often, and when last, what can be ended or replaced was used.

use proof::time::Timestamp;
use registry::credential::Credential;
use registry::record::{Usage, Used};
use registry::units::Moment;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// Calls with a credential.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct UsageView {
    /// The credential.
    pub id: String,
    /// Since when it was counted: the start of an hour.
    #[schema(value_type = String, format = DateTime)]
    pub since: Moment,
    /// Calls since then. Of a client's secret: how often it authenticated the client.
    pub calls: i64,
    /// The last call, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub last_used: Option<Moment>,
    /// Calls by the hour, the latest first.
    pub hours: Vec<UsageHour>,
    /// Where requests are signed with one of several secrets or keys under one name: each by itself,
    /// the newest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<SecretUsage>,
}

/// Calls of one hour.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct UsageHour {
    /// Its start.
    #[schema(value_type = String, format = DateTime)]
    pub hour: Moment,
    /// Calls in it.
    pub calls: i64,
}

/// Calls with one of the secrets or public keys of a credential.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct SecretUsage {
    /// Which one (`mat_…`).
    pub id: String,
    /// When it was made or brought in.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Moment,
    /// When it ends, or ended, because another took its place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub valid_until: Option<Moment>,
    /// Calls with it since then.
    pub calls: i64,
    /// The last of them, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub last_used: Option<Moment>,
}

impl UsageView {
    /// Sums hours up. `used`: what belongs to the credential.
    pub fn of(
        credential: &Credential,
        since: Timestamp,
        mut hours: Vec<Usage>,
        used: &[Used],
    ) -> Self {
        hours.sort_by_key(|usage| core::cmp::Reverse(usage.hour));
        let material = credential.signing.iter().flat_map(|one| &one.material);
        Self {
            id: credential.id.clone(),
            since: Moment(since),
            calls: hours
                .iter()
                .fold(0, |sum: i64, usage| sum.saturating_add(usage.calls)),
            last_used: hours.iter().map(|usage| usage.last_used).max().map(Moment),
            hours: hours
                .iter()
                .map(|usage| UsageHour {
                    hour: Moment(usage.hour),
                    calls: usage.calls,
                })
                .collect(),
            secrets: material
                .map(|one| {
                    let id = one.public_id().to_string();
                    let used = used.iter().find(|used| used.name == id);
                    SecretUsage {
                        id,
                        created_at: Moment(one.created_at),
                        valid_until: one.until.map(Moment),
                        calls: used.map_or(0, |used| used.calls),
                        last_used: used.map(|used| Moment(used.last_used)),
                    }
                })
                .collect(),
        }
    }
}

/// Since when to count.
#[derive(Debug, Clone, Default, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct UsageQuery {
    /// Since the start of the hour that this time lies in; default 7 days ago.
    #[param(value_type = Option<String>)]
    pub since: Option<Moment>,
}

/// Something that was used of late.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct UsedView {
    /// What: a credential's or a secret's id, a key (`jkt:…`, `k4.lid.…`), a certificate (`x5t:…`), a
    /// client (`client:…`), an issuer of tokens (`issuer:…`), a principal that a certificate names.
    pub name: String,
    /// Of what it is one, if it is one of several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub belongs_to: Option<String>,
    /// Calls. A call stands under each name that it was made with.
    pub calls: i64,
    /// The last of them.
    #[schema(value_type = String, format = DateTime)]
    pub last_used: Moment,
}

impl From<Used> for UsedView {
    fn from(used: Used) -> Self {
        Self {
            name: used.name,
            belongs_to: used.belongs_to,
            calls: used.calls,
            last_used: Moment(used.last_used),
        }
    }
}

/// What to list; the latest used comes first.
#[derive(Debug, Clone, Default, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct UsedQuery {
    /// Since the start of the hour that this time lies in; default 7 days ago.
    #[param(value_type = Option<String>)]
    pub since: Option<Moment>,
    /// Only this name, and what belongs to it.
    pub about: Option<String>,
    /// Read on after this: `next` of the page before.
    pub after: Option<String>,
    /// At most so many: 1–1000, default 100.
    #[param(minimum = 1, maximum = 1000)]
    pub limit: Option<u32>,
}
