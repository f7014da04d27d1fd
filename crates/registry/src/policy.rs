//! **Policies**: Rego as a document, written in it, in files of the machine, or fetched as a bundle.
//! What a policy may use is said here; what it answers is judged in `verdict::policy::rego`.

use core::time::Duration;
use std::path::PathBuf;
use std::sync::Arc;

use proof::jose::jwk::JwkSet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use verdict::policy::rego;

use crate::document::present;
use crate::units::Period;

/// A policy as written. One of `rego`, `files`, `bundle`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PolicySpec {
    /// The policy itself: one module of Rego.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub rego: Option<String>,
    /// Files with its modules. In the settings' own files only.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub files: Option<Vec<String>>,
    /// Where it is fetched, as OPA's bundles are.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub bundle: Option<BundleSpec>,
    /// Its data document, which rules see as `data`; beside `rego` or `files`.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub data: Option<serde_json::Map<String, serde_json::Value>>,
    /// Files with parts of its data, each an object in JSON or YAML. In the settings' own files only.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub data_files: Option<Vec<String>>,
    /// The rule that is asked, e.g. `data.orders.decision`; default the only rule `decision` there is,
    /// or else the only `allow`.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub entrypoint: Option<String>,
    /// Whether it reads the call's body; default `false`.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub body: bool,
    /// Headers to the upstream that it may set by obligation. What callers send under these names never
    /// reaches an upstream behind it.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub headers: Option<Vec<String>>,
    /// What one decision may use.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub limits: Option<PolicyLimitsSpec>,
}

impl PolicySpec {
    /// Whether it names files of the machine.
    pub fn names_files(&self) -> bool {
        self.files.is_some() || self.data_files.is_some()
    }
}

/// What one decision may use, as written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PolicyLimitsSpec {
    /// Longest time, from `1ms` to `1s`; default `50ms`.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub time: Option<Period>,
    /// Most instructions of the machine, from 1000 to 100000000; default 2000000.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub instructions: Option<u32>,
}

/// Where a policy is fetched, as written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BundleSpec {
    /// The bundle: a `.tar.gz` as OPA builds it.
    pub url: String,
    /// How often it is asked for, from `10s` to `1h`; default `60s`.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub polling: Option<Period>,
    /// Whose signature it carries.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub verification: Option<VerificationSpec>,
    /// Takes bundles without a signature. Dangerous: whoever answers at the URL then decides who may
    /// call.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub dangerous_unsigned: bool,
}

/// Whose signature a bundle carries, as written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VerificationSpec {
    /// The public keys, as a key set (RFC 7517 §5). The signature names one by `kid`.
    pub jwks: serde_json::Value,
    /// The `scope` that the signature must name; default none.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub scope: Option<String>,
}

/// A policy, checked.
#[derive(Debug, Clone)]
pub struct PolicyMeaning {
    /// Its name.
    pub name: String,
    /// What calls are judged by. One in files or a bundle waits for its first version.
    pub policy: Arc<rego::Policy>,
    /// Where its versions come from.
    pub source: PolicySource,
}

/// Where a policy's versions come from.
#[derive(Debug, Clone)]
pub enum PolicySource {
    /// It stands in the document, and is compiled.
    Inline,
    /// Files, from the settings' folder where they are relative.
    Files(PolicyFiles),
    /// A bundle.
    Bundle(Arc<BundleMeaning>),
}

/// A policy in files.
#[derive(Debug, Clone, PartialEq)]
pub struct PolicyFiles {
    /// Modules.
    pub modules: Vec<PathBuf>,
    /// Data.
    pub data: Vec<PathBuf>,
    /// What the document itself has of data: an object.
    pub written: serde_json::Value,
    /// The rule that is asked, if it is named.
    pub entrypoint: Option<String>,
}

/// A bundle, checked.
#[derive(Debug, Clone, PartialEq)]
pub struct BundleMeaning {
    /// Where it is.
    pub url: url::Url,
    /// How often it is asked for.
    pub polling: Duration,
    /// The keys of which one signs it; `None`: it carries no signature.
    pub keys: Option<JwkSet>,
    /// The scope that the signature must name.
    pub scope: Option<String>,
    /// The rule that is asked, if it is named.
    pub entrypoint: Option<String>,
}
