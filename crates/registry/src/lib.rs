//! **What is declared**: APIs, applications, clients, accounts, trusted issuers and the credentials
//! issued to them: from what was written to what it means, and every change to it as a use case
//! with its authorization check and its audit event inside.
//!
//! Two kinds of things live here. A **resource** is a document that people write (in files, by the
//! admin API): versioned, named, owned by a file or by the admin API. A **credential** is a secret
//! that Doorward issued or imported: it has a life (active, suspended, revoked; times) and its
//! secret exists in clear for one moment only, in the answer to its creation.
#![forbid(unsafe_code)]

pub mod access;
pub mod account;
pub mod actor;
pub mod api;
pub mod application;
pub mod apply;
pub mod audit;
pub mod client;
pub mod credential;
pub mod danger;
pub mod diff;
pub mod document;
pub mod flaw;
pub mod key;
pub mod meaning;
pub mod policy;
pub mod ports;
pub mod profile;
pub mod record;
pub mod redirect;
pub mod registration;
pub mod relation_model;
pub mod relations;
pub mod resource;
pub mod shape;
pub mod signing;
pub mod standing;
pub mod trusted_issuer;
pub mod units;
pub mod usecase;
pub mod user;
pub mod webhook;
