//! Usage: of one credential, and of everything. Calls are counted by the hour, so that the hour in
//! which a time lies counts whole: rather too much is told than too little, since somebody may end
//! what seems to be used no more.

use core::time::Duration;

use proof::time::Timestamp;
use registry::access::Action;
use registry::credential::Credential;
use registry::ports::CallRecord as _;
use registry::record::{Used, UsedFilter, hour_of};
use registry::units::Moment;
use registry::usecase::authorize;

use super::exchange::{Answer, Fault, Input};
use super::record::limit;
use super::view::{Page, UsageQuery, UsageView, UsedQuery, UsedView};
use super::{Parts, Work};

/// How far back usage is told unless said otherwise.
const DEFAULT_USAGE: Duration = Duration::from_secs(7 * 86_400);
/// Secrets and keys that are told of one credential: more than are ever valid at once.
const MOST_SECRETS: u32 = 100;
/// Between time and name in the place of a page.
const AND: char = '/';

fn since(asked: Option<Moment>, now: Timestamp) -> Timestamp {
    hour_of(asked.map_or_else(|| now.minus(DEFAULT_USAGE), |since| since.0))
}

/// `…/{id}/usage`
pub(super) async fn of<P: Parts>(
    credential: &Credential,
    work: &Work<P>,
    input: &Input,
) -> Result<Answer, Fault> {
    authorize(&work.actor, Action::UsageRead)?;
    let query: UsageQuery = input.query()?;
    let since = since(query.since, work.now);
    let hours = work.store().usage(&credential.id, since).await?;
    let used = match &credential.signing {
        None => Vec::new(),
        Some(_) => {
            let about = UsedFilter {
                since,
                about: Some(credential.id.clone()),
                after: None,
                limit: MOST_SECRETS,
            };
            work.store().used(&about).await?
        }
    };
    Answer::ok(&UsageView::of(credential, since, hours, &used))
}

/// `/v1/usage`
pub(super) async fn list<P: Parts>(work: &Work<P>, input: &Input) -> Result<Answer, Fault> {
    authorize(&work.actor, Action::UsageRead)?;
    let query: UsedQuery = input.query()?;
    let limit = limit(query.limit)?;
    let after = query.after.as_deref().map(read_place).transpose()?;
    let found = work
        .store()
        .used(&UsedFilter {
            since: since(query.since, work.now),
            about: query.about,
            after,
            limit,
        })
        .await?;
    let full = u32::try_from(found.len()).is_ok_and(|many| many >= limit);
    let next = found.last().filter(|_| full).map(place);
    let items = found.into_iter().map(UsedView::from).collect();
    Answer::ok(&Page { items, next })
}

/// Where the next page begins. A name may hold anything, a time never the mark between.
fn place(last: &Used) -> String {
    format!("{}{AND}{}", Moment(last.last_used), last.name)
}

fn read_place(text: &str) -> Result<(Timestamp, String), Fault> {
    text.split_once(AND)
        .and_then(|(at, name)| Some((at.parse::<Moment>().ok()?.0, name.to_owned())))
        .ok_or_else(|| Fault::invalid("after is what `next` said."))
}
