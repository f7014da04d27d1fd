//! Signing keys, and the end of tokens.

use core::time::Duration;

use issuer::keys::KeyError;
use issuer::ports::{IssuerStore as _, KeyForm, KeyPurpose, KeyState, StoredKey};
use proof::time::Timestamp;
use registry::access::Action;
use registry::resource::ResourceKind;
use registry::units::Moment;
use registry::usecase::{Refusal, authorize};
use verdict::identity::ClientId;
use verdict::problem::{Code, Problem};

use super::exchange::{Answer, Fault, Input};
use super::view::{Page, RevokeTokens, RevokedTokens, RotateSigningKey, SigningKeyView};
use super::{Parts, Work};

/// How long a key is known to the nodes of this installation before it signs, however much it is
/// hurried. Each hears of a change within a fraction of this, so that none refuses a token of a key
/// that it has not heard of.
const KNOWN_BEFORE: Duration = Duration::from_secs(1);
/// Longest `jti` that is taken.
const LONGEST_TOKEN_ID: usize = 128;

pub(super) async fn list<P: Parts>(work: &Work<P>) -> Result<Answer, Fault> {
    authorize(&work.actor, Action::SigningKeyRead)?;
    let mut items = Vec::new();
    for purpose in KeyPurpose::ALL {
        items.extend(
            work.store()
                .signing_keys(purpose)
                .await?
                .into_iter()
                .map(view),
        );
    }
    Answer::ok(&Page { items, next: None })
}

fn view(key: StoredKey) -> SigningKeyView {
    let (state, until) = match key.state {
        KeyState::Published => ("published", None),
        KeyState::Active => ("active", None),
        // A key that is kept for ever has no end worth telling.
        KeyState::Retiring { until } => (
            "retiring",
            (until != Timestamp::MAX).then_some(Moment(until)),
        ),
        KeyState::Retired => ("retired", None),
    };
    SigningKeyView {
        kid: key.kid,
        purpose: key.purpose.name().to_owned(),
        algorithm: key.form.algorithm().to_owned(),
        state: state.to_owned(),
        until,
        created_at: Moment(key.created_at),
        activated_at: key.activated_at.map(Moment),
        public_jwk: match key.form {
            KeyForm::Pair { public_jwk, .. } => Some(public_jwk),
            KeyForm::Local => None,
        },
    }
}

pub(super) async fn rotate<P: Parts>(work: &Work<P>, input: &Input) -> Result<Answer, Fault> {
    authorize(&work.actor, Action::SigningKeyRotate)?;
    let body: RotateSigningKey = input.json()?;
    let purpose = KeyPurpose::ALL
        .into_iter()
        .find(|purpose| purpose.name() == body.purpose)
        .ok_or_else(|| {
            let known = KeyPurpose::ALL.map(KeyPurpose::name);
            Fault::invalid(format!("purpose is one of {}.", known.join(", ")))
        })?;
    let keys = work.admin.issuer.keys();
    // Checkpoints that the old key signed would be worth nothing without it.
    if body.leaked && purpose == KeyPurpose::Audit {
        return Err(Fault::invalid(
            "A key for checkpoints can't be dropped; rotate it immediately instead.",
        ));
    }
    let (actor, request_id) = (&work.actor, &*work.request_id);
    let done = match (body.leaked, body.immediately) {
        (true, _) => {
            let dropped = keys.drop_leaked(purpose, work.now, actor, request_id);
            dropped.await.map(drop)
        }
        (_, immediately) => match keys.rotate(purpose, work.now, actor, request_id).await {
            Ok(_) if immediately => {
                tokio::time::sleep(KNOWN_BEFORE).await;
                let then = work.now.plus(KNOWN_BEFORE);
                keys.activate(purpose, then, actor, request_id).await
            }
            published => published.map(drop),
        },
    };
    match done {
        Ok(()) => list(work).await,
        Err(KeyError::Store(error)) => Err(error.into()),
        Err(other) => Err(Problem::new(Code::Internal, other.to_string()).into()),
    }
}

pub(super) async fn revoke<P: Parts>(work: &Work<P>, input: &Input) -> Result<Answer, Fault> {
    authorize(&work.actor, Action::TokenRevoke)?;
    let body: RevokeTokens = input.json()?;
    let (kind, id) = match (body.token_id, body.client) {
        (Some(id), None) => ("token", id),
        (None, Some(id)) => ("client", id),
        _ => return Err(Fault::invalid("Give either token_id or client.")),
    };
    let issuer = &work.admin.issuer;
    if kind == "token" {
        if id.is_empty() || id.len() > LONGEST_TOKEN_ID || !id.bytes().all(|b| b.is_ascii_graphic())
        {
            return Err(Fault::invalid(
                "token_id is the jti of a token: 1 to 128 visible ASCII characters.",
            ));
        }
        issuer
            .revoke_token_id(&id, &work.actor, &work.request_id, work.now)
            .await
            .map_err(|refusal| refused(&refusal))?;
    } else {
        // A client that was removed is not known any more; its tokens may well be alive.
        let known =
            registry::ports::Registry::resource(work.store(), ResourceKind::Client, &id).await?;
        if known.is_none() && registry::document::Name::new(&id).is_err() {
            return Err(Refusal::NotFound {
                what: "client",
                name: id,
            }
            .into());
        }
        issuer
            .revoke_client_tokens(
                &ClientId::new(id.as_str()),
                &work.actor,
                &work.request_id,
                work.now,
            )
            .await
            .map_err(|refusal| refused(&refusal))?;
    }
    Answer::ok(&RevokedTokens {
        kind: kind.to_owned(),
        id,
    })
}

/// What the issuer refuses here is the store's refusal.
pub(super) fn refused(refusal: &issuer::error::Refusal) -> Fault {
    let code = match refusal.reason().code() {
        issuer::error::ErrorCode::TemporarilyUnavailable => Code::FactUnavailable,
        _ => Code::Internal,
    };
    Problem::new(code, refusal.to_string()).into()
}
