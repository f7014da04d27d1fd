//! **Who may change what**: administrators' roles against actions, one table.

use serde::{Deserialize, Serialize};
use verdict::identity::CredentialId;

/// A role of the control plane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Everything, administrators' keys and signing keys included.
    Owner,
    /// Everyday work: resources and credentials, but not administrators or signing keys.
    Operator,
    /// Reads everything (never a secret), changes nothing.
    Auditor,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 3] = [Self::Owner, Self::Operator, Self::Auditor];
    /// The role's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Operator => "operator",
            Self::Auditor => "auditor",
        }
    }
}

/// Who acts, as audit events name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Actor {
    /// An administrator's key.
    Administrator {
        /// The key's id.
        key: CredentialId,
        /// Its name in audit events.
        name: String,
        /// Its role.
        role: Role,
    },
    /// The process itself: first start, scheduled rotation, resources declared in files.
    System {
        /// Which part of the process (`first-start`, `rotation`, `settings-file` …).
        part: &'static str,
    },
}

impl Actor {
    /// The role that the actor acts in; the process acts as owner.
    pub fn role(&self) -> Role {
        match self {
            Self::Administrator { role, .. } => *role,
            Self::System { .. } => Role::Owner,
        }
    }
    /// The actor as audit events write it.
    pub fn label(&self) -> String {
        match self {
            Self::Administrator { key, name, .. } => format!("{name} ({key})"),
            Self::System { part } => format!("system:{part}"),
        }
    }
}
