//! What a change of documents would mean for recorded calls: how many would end otherwise, and whose
//! they are. Nothing is written but that somebody asked.

use core::cmp::Reverse;
use core::time::Duration;
use std::collections::{BTreeMap, HashMap};

use registry::access::Action;
use registry::document::Document;
use registry::ports::{AuditTrail as _, CallRecord as _};
use registry::record::Decision;
use registry::units::Moment;
use registry::usecase::{authorize, draft};

use super::exchange::{Answer, Fault, Input};
use super::view::{self, CallChange, Counted, PrincipalChange, ReplayView, RouteChange};
use super::{Again, Parts, Work};

/// How far back unless it is said.
const SPAN: Duration = Duration::from_secs(86_400);
/// Most calls unless it is said, and at all.
const CALLS: u32 = 10_000;
const MOST_CALLS: u32 = 100_000;
/// Read at once.
const PAGE: u32 = 500;
/// Most entries that are read through for those that are wanted.
const MOST_READ: u32 = 1_000_000;
/// Most of each list of the answer.
const MOST_PRINCIPALS: usize = 50;
const MOST_EXAMPLES: usize = 20;

pub(super) async fn replay<P: Parts>(work: &Work<P>, input: &Input) -> Result<Answer, Fault> {
    authorize(&work.actor, Action::CallReplay)?;
    let asked: view::Replay = input.json()?;
    let documents: Vec<Document> = registry::document::read_all(asked.documents)
        .map_err(|flaws| Fault::Flaws(flaws.iter().map(view::FlawView::from).collect()))?;
    let limit = asked.limit.unwrap_or(CALLS);
    if !(1..=MOST_CALLS).contains(&limit) {
        return Err(Fault::invalid("limit is 1 to 100000."));
    }
    let since = asked
        .since
        .map_or_else(|| work.now.minus(SPAN), |since| since.0);
    let mut sum = Sum::default();
    let (mut before, mut read) = (None, 0);
    while sum.view.calls < u64::from(limit) && read < MOST_READ {
        let page = work.store().decisions(before, PAGE).await?;
        let Some(last) = page.last() else { break };
        before = Some(last.at);
        read += PAGE;
        let ended = last.at < since || page.len() < PAGE as usize;
        let left = limit as usize - sum.view.calls as usize;
        let wanted: Vec<Decision> = page
            .into_iter()
            .filter(|one| one.at >= since && is_of_an_api(one))
            .filter(|one| {
                asked
                    .api
                    .as_deref()
                    .is_none_or(|api| one.api.as_deref() == Some(api))
            })
            .take(left)
            .collect();
        let again = work
            .admin
            .replayer
            .replay(&documents, &wanted, work.now)
            .await?;
        for (call, again) in wanted.iter().zip(again) {
            sum.add(call, again);
        }
        if ended {
            break;
        }
    }
    let view = sum.end();
    note(work, &view).await?;
    Answer::ok(&view)
}

async fn note<P: Parts>(work: &Work<P>, view: &ReplayView) -> Result<(), Fault> {
    let details: BTreeMap<_, _> = [
        ("calls", view.calls),
        ("refused", view.refused),
        ("allowed", view.allowed),
    ]
    .map(|(name, count)| (name.to_owned(), count.to_string()))
    .into();
    let event = draft(
        &work.ctx(),
        &work.actor,
        Action::CallReplay,
        "call".to_owned(),
        details,
    );
    Ok(work.store().note(event).await?)
}

/// What the calls add up to.
#[derive(Default)]
struct Sum {
    view: ReplayView,
    unknown: BTreeMap<String, u64>,
    principals: HashMap<String, PrincipalChange>,
    routes: BTreeMap<(String, String), RouteChange>,
}

/// Whether somebody called an API that is declared. Administrators don't, and the doors for them are no
/// rule's to change.
fn is_of_an_api(call: &Decision) -> bool {
    let caller = call.principal.as_deref();
    let known = caller.is_some_and(|caller| !caller.starts_with("administrator:"));
    known && call.route.is_some()
}

/// Who called, by the name that relations have for them: two issuers may call two people alike.
fn caller(call: &Decision) -> String {
    let judged = call.judged.as_ref();
    let input = judged.and_then(|judged| judged.input.as_ref());
    let subject = input.and_then(|input| input["principal"]["subject"].as_str());
    let name = subject.or(call.principal.as_deref());
    name.unwrap_or_default().to_owned()
}

impl Sum {
    fn add(&mut self, call: &Decision, again: Again) {
        self.view.calls += 1;
        let passed = call.decision == "allow";
        let (would_be, cause) = match again {
            Again::Unknown(why) => {
                *self.unknown.entry(why).or_default() += 1;
                return;
            }
            Again::Allow => ("allow", None),
            Again::Deny(code, cause) => (code, Some(cause)),
        };
        let passes = would_be == "allow";
        self.view.judged += 1;
        let name = caller(call);
        let principal = self
            .principals
            .entry(name.clone())
            .or_insert_with(|| PrincipalChange {
                principal: name.clone(),
                passed: 0,
                refused: 0,
            });
        principal.passed += u64::from(passed);
        principal.refused += u64::from(passed && !passes);
        let key =
            |text: &Option<std::sync::Arc<str>>| text.as_deref().unwrap_or_default().to_owned();
        let (api, route) = (key(&call.api), key(&call.route));
        let of_route = self
            .routes
            .entry((api.clone(), route.clone()))
            .or_insert_with(|| RouteChange {
                api,
                route,
                calls: 0,
                refused: 0,
                allowed: 0,
            });
        of_route.calls += 1;
        if passed == passes {
            self.view.same += 1;
            return;
        }
        if passes {
            self.view.allowed += 1;
            of_route.allowed += 1;
        } else {
            self.view.refused += 1;
            of_route.refused += 1;
        }
        if self.view.examples.len() < MOST_EXAMPLES {
            let was = if passed {
                "allow".to_owned()
            } else {
                call.code.as_deref().unwrap_or("deny").to_owned()
            };
            self.view.examples.push(CallChange {
                request_id: (*call.request_id).to_owned(),
                at: Moment(call.at),
                principal: name,
                method: call.method.clone().into_owned(),
                path: call.path.clone(),
                was,
                would_be: would_be.to_owned(),
                cause,
            });
        }
    }

    fn end(self) -> ReplayView {
        let Self {
            mut view,
            unknown,
            principals,
            routes,
        } = self;
        // Whoever got nothing through can't be locked out, and would make the others look fewer.
        let passed = principals.values().filter(|one| one.passed > 0);
        view.principals = passed.count() as u64;
        let mut refused: Vec<_> = principals
            .into_values()
            .filter(|one| one.refused > 0)
            .collect();
        view.principals_refused = refused.len() as u64;
        let locked_out = refused.iter().filter(|one| one.refused == one.passed);
        view.principals_locked_out = locked_out.count() as u64;
        refused.sort_by_key(|one| (Reverse(one.refused), one.principal.clone()));
        refused.truncate(MOST_PRINCIPALS);
        view.refused_principals = refused;
        view.routes = routes
            .into_values()
            .filter(|one| one.refused + one.allowed > 0)
            .collect();
        view.unknown = unknown
            .into_iter()
            .map(|(why, calls)| Counted { why, calls })
            .collect();
        view
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use proof::time::Timestamp;

    use super::*;

    fn call(principal: &str, passed: bool) -> Decision {
        Decision {
            v: 1,
            request_id: "0193".into(),
            at: Timestamp::from_secs(1_800_000_000),
            client: "192.0.2.7".to_owned(),
            method: Cow::Borrowed("GET"),
            path: "/orders/1".to_owned(),
            api: Some("orders".into()),
            route: Some("read".into()),
            decision: Cow::Borrowed(if passed { "allow" } else { "deny" }),
            code: (!passed).then_some(Cow::Borrowed("policy-denied")),
            cause: None,
            credential_kind: None,
            credential: None,
            secret: None,
            principal: Some(principal.to_owned()),
            application: None,
            issuer: None,
            client_id: None,
            companions: Vec::new(),
            status: 200,
            micros: 1,
            judged: None,
        }
    }

    #[test]
    fn calls_of_administrators_and_of_nobody_are_not_judged_again() {
        assert!(is_of_an_api(&call("client:courier", true)));
        assert!(!is_of_an_api(&call("administrator:adm_1", true)));
        let mut of_nobody = call("", true);
        of_nobody.principal = None;
        assert!(!is_of_an_api(&of_nobody));
    }

    #[test]
    fn whom_a_change_would_lock_out_is_told_apart_from_whom_it_would_only_touch() {
        let mut sum = Sum::default();
        let deny = || Again::Deny("object-not-allowed", "not theirs".to_owned());
        for _ in 0..3 {
            sum.add(&call("user:ada", true), Again::Allow);
            sum.add(&call("user:eve", true), deny());
        }
        sum.add(&call("user:bob", true), Again::Allow);
        sum.add(&call("user:bob", true), deny());
        sum.add(&call("user:ada", false), Again::Allow);
        sum.add(&call("user:eve", false), deny());
        sum.add(&call("user:fay", false), deny());
        let mut foreign = call("user:ada", true);
        foreign.judged = Some(Box::new(verdict::policy::Judged {
            input: Some(serde_json::json!({
                "principal": { "subject": "user:https://login.example|ada" },
            })),
            ..Default::default()
        }));
        sum.add(&foreign, deny());
        sum.add(
            &call("user:dan", true),
            Again::Unknown("no record".to_owned()),
        );
        let view = sum.end();
        assert_eq!((view.calls, view.judged, view.same), (13, 12, 6));
        assert_eq!((view.refused, view.allowed), (5, 1));
        assert_eq!(
            (
                view.principals,
                view.principals_refused,
                view.principals_locked_out
            ),
            (4, 3, 2),
            "who never got through is no caller to lose, and two issuers' ada are two"
        );
        assert_eq!(view.refused_principals[0].principal, "user:eve");
        assert_eq!(view.routes.len(), 1);
        assert_eq!(view.examples[0].would_be, "object-not-allowed");
        assert_eq!(view.unknown[0].calls, 1);
    }
}
