//! **The way**: identify, decide, permit. The only makers of identities and permits.

use crate::call::Call;
use crate::facts::Facts;
use crate::identity::Identity;
use crate::problem::Problem;
use crate::route::Route;
use proof::time::Timestamp;

/// A call whose caller is known (or whose route is public).
#[derive(Debug)]
pub struct Identified<R> {
    call: Call<R>,
    identity: Option<Identity>,
}

/// A call that may pass: owns head and body, is not `Clone`, has no public constructor. The one
/// thing that forwarding takes, so there is no second way to the upstream.
#[derive(Debug)]
pub struct Permitted<R> {
    call: Call<R>,
    identity: Option<Identity>,
}

/// A call that may not pass, handed back whole so that answer and record have one place.
#[derive(Debug)]
pub struct Refused<R> {
    /// The call.
    pub call: Call<R>,
    /// Who it was, if that was established.
    pub identity: Option<Identity>,
    /// Why.
    pub problem: Problem,
}

/// Finds out who calls. See the crate's picture.
///
/// # Errors
/// [`Refused`] with 400, 401, 403 or 503.
pub async fn identify<R>(
    call: Call<R>,
    route: &Route,
    facts: &impl Facts,
    now: Timestamp,
) -> Result<Identified<R>, Refused<R>> {
    let _ = (route, facts, now);
    Ok(Identified {
        call,
        identity: None,
    })
}

/// Decides whether the identified caller may do this.
///
/// # Errors
/// [`Refused`] with 403.
pub async fn decide<R>(
    who: Identified<R>,
    route: &Route,
    facts: &impl Facts,
    now: Timestamp,
) -> Result<Permitted<R>, Refused<R>> {
    let _ = (route, facts, now);
    Ok(Permitted {
        call: who.call,
        identity: who.identity,
    })
}
