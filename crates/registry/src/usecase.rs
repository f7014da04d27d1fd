//! **Use cases**: every change to what is declared or issued, from the question whether the actor
//! may, to the event that says it was done. The store does each change at once with its event; what
//! is refused leaves no trace but the refusal, which the caller notes in the audit trail with
//! [`refused_draft`].

pub mod admin_key;
pub mod api_key;
pub mod credential;
pub mod owned_secret;
pub mod registration;
pub mod relation;
pub mod resource;
pub mod signing_secret;
pub mod suspension;
pub mod webhook;

use core::future::Future;
use std::collections::BTreeMap;

use proof::password::Verifier;
use proof::random::{Entropy, uuid_v7};
use proof::secret::Secret;
use proof::time::Timestamp;
use verdict::facts::Unavailable;
use verdict::identity::LifeState;
use verdict::problem::Code;

use crate::access::Action;
use crate::actor::Actor;
use crate::audit::AuditDraft;
use crate::flaw::Flaw;
use crate::meaning::Context;
use crate::ports::{Files, StoreError};

/// What a use case is given of the world: time and randomness are arguments.
#[derive(Clone, Copy)]
pub struct Ctx<'a> {
    /// Now.
    pub now: Timestamp,
    /// Where secrets and ids come from.
    pub entropy: &'a dyn Entropy,
    /// Joins the event to the request.
    pub request_id: &'a str,
    /// What documents are read against.
    pub context: &'a Context,
    /// The files that documents may name.
    pub files: &'a dyn Files,
}

impl core::fmt::Debug for Ctx<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Ctx")
            .field("now", &self.now)
            .field("request_id", &self.request_id)
            .finish_non_exhaustive()
    }
}

/// Hashes a fresh secret. It takes milliseconds on purpose, so the app runs it on its bounded pool;
/// which hash (Argon2id, or a keyed hash for fleets) is the app's setting.
pub trait Hasher: Send + Sync {
    /// The verifier of the whole secret.
    fn hash(
        &self,
        secret: Secret,
        purpose: HashPurpose,
    ) -> impl Future<Output = Result<Verifier, Unavailable>> + Send;
}

/// What is hashed: a keyed hash suits random secrets, never what people choose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HashPurpose {
    /// 256 random bits.
    Generated,
    /// A password, chosen or short.
    Password,
}

/// Why something was not done. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The actor's role does not allow it.
    #[error("{} is not allowed", .0.name())]
    NotAllowed(Action),
    /// There is no such thing.
    #[error("there is no {what} `{name}`")]
    NotFound {
        /// What kind of thing.
        what: &'static str,
        /// Its name or id, as asked for.
        name: String,
    },
    /// The documents would mean nothing, or something they must not.
    #[error("{} flaws", .0.len())]
    Flawed(Vec<Flaw>),
    /// Somebody else changed it meanwhile, or it exists already (asked for as new).
    #[error("it has version {current} by now")]
    Conflict {
        /// The version it has; 0: it does not exist.
        current: i64,
    },
    /// It is declared in a file.
    #[error("it is declared in a file")]
    ManagedByFile,
    /// Credentials hang on it.
    #[error("{credentials} credentials hang on it")]
    InUse {
        /// How many.
        credentials: i64,
    },
    /// Its state does not allow it.
    #[error("it is {}", state_name(*.0))]
    WrongState(LifeState),
    /// Its time is over.
    #[error("it has expired")]
    Expired,
    /// It was rotated before.
    #[error("it was rotated already; its successor is {successor}")]
    AlreadyRotated {
        /// The successor's id.
        successor: String,
    },
    /// It would leave nobody who may make administrators.
    #[error("it is the last owner's key")]
    LastOwner,
    /// Two are valid already.
    #[error("two are valid already; revoke one, or rotate")]
    TwoValid,
    /// Two secrets of a signing key are valid, and would stay so beside a third.
    #[error(
        "two are valid already: wait for the end of the older one, or rotate with an overlap of 0s"
    )]
    StillOverlapping,
    /// As many messages wait for an endpoint as may.
    #[error("as many messages wait for the endpoint as may: {0}")]
    QueueFull(u32),
    /// A webhook's endpoint is disabled, or is not.
    #[error("the endpoint is {0}")]
    Endpoint(&'static str),
    /// A value that can't be.
    #[error("{field}: {message}")]
    Invalid {
        /// Which.
        field: &'static str,
        /// What is wrong with it.
        message: &'static str,
    },
    /// What is said does not fit what is declared.
    #[error("{message} (at {place})")]
    Unfit {
        /// Where in what was asked.
        place: String,
        /// What is wrong with it.
        message: String,
    },
    /// A tuple was expected otherwise than it is.
    #[error("`{tuple}` {}, so nothing was written", if *.stands { "stands" } else { "does not stand" })]
    Unexpected {
        /// Which.
        tuple: String,
        /// Whether it stands.
        stands: bool,
    },
    /// The answer would go beyond a bound.
    #[error("this goes beyond {0}; ask for less")]
    TooMuch(&'static str),
    /// Tuples can't be read now.
    #[error("the tuples can not be read now: {0}")]
    Unread(Unavailable),
    /// The hashing pool is full.
    #[error("the secret can not be hashed now: {0}")]
    Hashing(Unavailable),
    /// The store did not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn state_name(state: LifeState) -> &'static str {
    match state {
        LifeState::Active => "active",
        LifeState::Suspended => "suspended",
        LifeState::Revoked => "revoked",
    }
}

impl Refusal {
    /// Its public code.
    pub fn code(&self) -> Code {
        match self {
            Self::NotAllowed(_) => Code::ActionNotAllowed,
            Self::NotFound { .. } => Code::NotFound,
            Self::Flawed(_) | Self::Invalid { .. } | Self::Unfit { .. } | Self::TooMuch(_) => {
                Code::InvalidRequest
            }
            Self::Conflict { .. } | Self::Unexpected { .. } => Code::Conflict,
            Self::ManagedByFile => Code::ManagedByFile,
            Self::InUse { .. }
            | Self::WrongState(_)
            | Self::Expired
            | Self::AlreadyRotated { .. }
            | Self::LastOwner
            | Self::TwoValid
            | Self::StillOverlapping
            | Self::Endpoint(_) => Code::WrongState,
            Self::QueueFull(_) => Code::Overloaded,
            Self::Hashing(_) | Self::Unread(_) | Self::Store(StoreError::Unavailable(_)) => {
                Code::FactUnavailable
            }
            Self::Store(StoreError::Broken(_)) => Code::Internal,
        }
    }

    /// Public detail, where the sentence is safe to show: what the store says of itself is not.
    pub fn detail(&self) -> Option<String> {
        match self {
            Self::Store(_) | Self::Hashing(_) | Self::Unread(_) => None,
            other => Some(other.to_string()),
        }
    }
}

/// Whether the actor may.
///
/// # Errors
/// [`Refusal::NotAllowed`].
pub fn authorize(actor: &Actor, action: Action) -> Result<(), Refusal> {
    if action.allows_actor(actor) {
        Ok(())
    } else {
        Err(Refusal::NotAllowed(action))
    }
}

/// Details of an event, in the order of their names.
pub type Details = BTreeMap<String, String>;

/// The event of an act.
pub fn draft(
    ctx: &Ctx<'_>,
    actor: &Actor,
    action: Action,
    subject: impl Into<String>,
    details: Details,
) -> AuditDraft {
    AuditDraft {
        id: uuid_v7(ctx.now, ctx.entropy),
        at: ctx.now,
        actor: actor.label(),
        action: action.name(),
        subject: subject.into(),
        request_id: ctx.request_id.to_owned(),
        details,
    }
}

/// The event of an act that the actor's role did not allow, for [`crate::ports::AuditTrail::note`].
pub fn refused_draft(
    ctx: &Ctx<'_>,
    actor: &Actor,
    action: Action,
    subject: impl Into<String>,
) -> AuditDraft {
    let details = Details::from([
        ("action".to_owned(), action.name().to_owned()),
        ("role".to_owned(), actor.role().name().to_owned()),
    ]);
    draft(ctx, actor, Action::Refused, subject, details)
}

#[cfg(test)]
pub(crate) mod tests;
