//! **Basic** (RFC 7617): service accounts for internal and legacy APIs.
//!
//! The password crosses the wire with every call, so a plain connection refuses before the pair is
//! even decoded. Unknown accounts and wrong passwords are one answer at one price; both are the
//! port's promise ([`crate::facts::PasswordCheck`]).

use core::time::Duration;

use proof::basic::Basic;
use proof::time::Timestamp;

use super::{CredentialKind, Proved, refused};
use crate::call::{Head, Scheme};
use crate::facts::{Facts, PasswordCheck};
use crate::identity::LifeState;
use crate::problem::{Code, Problem};
use crate::route::Route;
use crate::trace::{Check, Note};

/// What a throttled caller is told to wait: the throttle's true end would tell a guesser how many
/// others are guessing.
const THROTTLED_FOR: Duration = Duration::from_secs(60);

/// Verifies a user name and password.
pub(super) async fn prove(
    pair: &[u8],
    head: &Head,
    route: &Route,
    facts: &impl Facts,
    now: Timestamp,
) -> Result<Proved, Problem> {
    let arrival = head.arrival();
    facts.note(Note::Check(Check::Transport));
    if arrival.scheme != Scheme::Https && !(route.plain_basic && arrival.loopback) {
        return Err(Problem::new(
            Code::PlainTransport,
            "Basic over a plain connection",
        ));
    }
    facts.note(Note::Check(Check::Pair));
    let pair = Basic::parse(pair).map_err(|defect| refused(defect.code()))?;
    facts.note(Note::Check(Check::Password));
    let check = facts
        .check_password(&pair.username, pair.password.expose(), arrival.client, now)
        .await?;
    let (account, password) = match check {
        PasswordCheck::Match(account, password) => (account, password),
        PasswordCheck::Refused => return Err(refused("unknown account or wrong password")),
        PasswordCheck::Throttled => {
            let mut problem = Problem::new(Code::RateLimited, "too many failures lately");
            problem.retry_after = Some(THROTTLED_FOR);
            return Err(problem);
        }
    };
    let name = &account.standing.credential;
    facts.note(Note::Check(Check::Life));
    match account.state {
        LifeState::Active => {}
        LifeState::Suspended => return Err(refused(format!("{name} is suspended"))),
        LifeState::Revoked => return Err(refused(format!("{name} is revoked"))),
    }
    if account.expires_at.is_some_and(|end| now >= end) {
        return Err(refused(format!("{name} has expired")));
    }
    Ok(Proved {
        kind: CredentialKind::Basic,
        standing: account.standing.clone(),
        expires_at: account.expires_at,
        ends: account.expires_at,
        issuer: None,
        secret: Some(password),
    })
}
