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
    /// Whoever registers a client, or manages the one that they registered (RFC 7591, RFC 7592).
    Registrant {
        /// The id of the token that let them; `None`: registration is open.
        token: Option<CredentialId>,
    },
    /// The process itself: first start, scheduled rotation, resources declared in files.
    System {
        /// Which part of the process (`first-start`, `rotation`, `settings-file` …).
        part: &'static str,
    },
}

impl Actor {
    /// The role that the actor acts in; the process acts as owner. A registrant has none, and is
    /// shown with the least: what it may is a list of its own.
    pub fn role(&self) -> Role {
        match self {
            Self::Administrator { role, .. } => *role,
            Self::Registrant { .. } => Role::Auditor,
            Self::System { .. } => Role::Owner,
        }
    }
    /// The actor as audit events write it.
    pub fn label(&self) -> String {
        match self {
            Self::Administrator { key, name, .. } => format!("{name} ({key})"),
            Self::Registrant { token: Some(id) } => format!("registration:{id}"),
            Self::Registrant { token: None } => "registration:open".to_owned(),
            Self::System { part } => format!("system:{part}"),
        }
    }
}
