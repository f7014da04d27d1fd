//! **Rules**: scopes and roles.
