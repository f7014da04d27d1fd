//! **Basic** (RFC 7617).
