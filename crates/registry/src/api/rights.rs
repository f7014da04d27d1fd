//! **What callers may do, as written**: the keys of APIs and routes that deciding reads beyond scopes
//! and roles. What they mean is said in [`crate::meaning`].

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::document::present;
use crate::units::Period;

/// An object parameter: which things a call names, and what its caller must be to them. One of
/// `path`, `query`, `header` and `body` says where they are named.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ObjectSpec {
    /// The type of what is named.
    #[serde(rename = "type")]
    pub object_type: String,
    /// Named by this parameter of the path.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub path: Option<String>,
    /// Named by this parameter of the query.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub query: Option<String>,
    /// Named by this header field.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub header: Option<String>,
    /// Named by these members of a JSON body: a JSON pointer in which `*` stands for each element
    /// of an array, as `/items/*/order_id`.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub body: Option<String>,
    /// The relation that the caller must have to each of them; without it, a policy judges.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub relation: Option<String>,
    /// Relations that policies are told of, where the caller has them.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub tell: Option<Vec<String>>,
    /// Whether a call may name none.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub optional: bool,
    /// Whether a caller without the relation hears 404 rather than 403.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub hide: bool,
    /// Whether it is only recorded what this would refuse.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub shadow: bool,
}

/// Who is refused many different objects is looking for one that is not theirs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProbingSpec {
    /// So many different objects, refused to one caller within the window, are noticed; 2 to 256,
    /// default 20.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub distinct: Option<u32>,
    /// The window; default `10m`.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub window: Option<Period>,
    /// For how long that caller is then refused (429) on routes with objects; default: it is only
    /// noticed.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub refuse_for: Option<Period>,
}
