//! **Relation models** as written: types of objects and subjects, and who may have what to do with
//! them. Several documents may declare them; they are read as one, and a type stands in one of them
//! only. What they mean is `verdict::policy::relations`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use verdict::policy::relations::WrittenRelation;

use crate::document::present;

/// Types with their relations, as written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RelationModelSpec {
    /// Types of objects and subjects by name.
    pub types: BTreeMap<String, TypeSpec>,
}

/// A type.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TypeSpec {
    /// Its relations by name; none for what is a subject only.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub relations: BTreeMap<String, RelationSpec>,
}

/// A relation: whoever stands in a tuple of it or has one of `any_of`, has every one of `all_of`,
/// and has not `but_not`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RelationSpec {
    /// Who may stand in its tuples: a type (`user`), everything of a type at once (`user:*`), or
    /// whoever has a relation to something of a type (`group#member`).
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub direct: Option<Vec<String>>,
    /// Whoever has one of these has it too: a relation of the same object (`owner`), or a relation
    /// of whatever another of its relations names (`shop.staff`).
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub any_of: Option<Vec<String>>,
    /// Whoever lacks one of these has it not. Without `direct` and `any_of`, it decides alone.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub all_of: Option<Vec<String>>,
    /// Whoever has this has it not.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub but_not: Option<String>,
}

impl RelationSpec {
    /// What judging reads.
    pub(crate) fn written(&self) -> WrittenRelation {
        let list = |list: &Option<Vec<String>>| list.clone().unwrap_or_default();
        WrittenRelation {
            direct: list(&self.direct),
            any_of: list(&self.any_of),
            all_of: list(&self.all_of),
            but_not: self.but_not.clone(),
        }
    }
}
