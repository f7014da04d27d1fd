//! **The steps**: what was heard while a call was judged, put into words. Nothing is decided here:
//! the check that was named last is the one that refused, and why is the refusal's own cause.

use core::fmt::Write as _;
use core::time::Duration;

use http::Version;
use hyper::body::Incoming;
use proof::time::Timestamp;
use registry::api::{IdentityForward, UpstreamMeaning};
use verdict::call::Head;
use verdict::identity::Identity;
use verdict::limit::{LimitKey, Rate, Taken};
use verdict::penalty::Penalty;
use verdict::problem::{Code, Problem};
use verdict::route::{Demand, Route};
use verdict::trace::{Check, presented};
use verdict::{Permitted, trace};

use super::listening::{Heard, Listening};
use super::text::Text;
use super::{Answer, CallRead, Explanation, Mark, NotHttp, Step, shows_path};
use crate::forward::{asked_upgrade, check_size, is_withheld, target};
use crate::hygiene;
use crate::limit::DOOR;
use crate::listen::Connection;
use crate::serve::Trip;
use crate::snapshot::RouteEntry;

/// Near routes that are named.
const NEAR: usize = 5;

/// See the module.
pub(super) struct Steps {
    list: Vec<Step>,
    at: Timestamp,
    http2: bool,
    /// What stands before the first check was told.
    introduced: bool,
    /// What of the route was told.
    routed: bool,
    held_back: bool,
}

impl Steps {
    pub(super) fn new(text: &Text, at: Timestamp, asked: bool, loopback: bool) -> Self {
        let mut steps = Self {
            list: Vec::new(),
            at,
            http2: text.http2,
            introduced: false,
            routed: false,
            held_back: false,
        };
        if text.curl {
            steps.note(
                "read",
                "read from what curl shows of a call: without its body",
            );
        }
        if asked {
            steps.note(
                "read",
                "the call is judged at the given time; what is stored and counted, as it is now",
            );
        }
        if loopback {
            steps.note("read", "the listener is bound to loopback");
        }
        steps
    }

    fn push(&mut self, stage: &'static str, mark: Mark, text: impl Into<String>) -> &mut Step {
        self.list.push(Step {
            stage,
            check: None,
            mark,
            text: text.into(),
            source: None,
            details: Vec::new(),
        });
        let last = self.list.len() - 1;
        &mut self.list[last]
    }

    fn note(&mut self, stage: &'static str, text: impl Into<String>) {
        self.push(stage, Mark::Noted, text);
    }

    fn check(&mut self, check: Check) -> &mut Step {
        let step = self.push(stage_of(check), Mark::Held, check.label());
        step.check = Some(check.name());
        step.source = check.source();
        step
    }

    /// A preflight, which is answered before anything is judged.
    pub(super) fn preflight(&mut self) {
        let text = "a CORS preflight, answered from the API's declaration";
        self.push("route", Mark::Held, text);
    }

    /// The head announces a body that the text does not have.
    pub(super) fn lacks_body(&mut self) {
        self.note("read", "the head announces a body, and the text has none");
    }

    /// A signed body that the text does not have.
    pub(super) fn unseen_body(&mut self) {
        self.note(
            "body",
            "the signature covers the body, which the text does not have: not checked",
        );
    }

    pub(super) fn signed_body(&mut self) {
        self.check(Check::SignedBody);
    }

    /// The HTTP library would not read the call.
    pub(super) fn not_http(mut self, refused: NotHttp, connection: &Connection) -> Explanation {
        let NotHttp { status, cause } = refused;
        let step = self.push(
            "read",
            Mark::Failed,
            "the message can be read as HTTP in one way",
        );
        step.source = Some("RFC 9112 §3");
        step.details.push(cause);
        step.details
            .push("refused before it is a call: no body, no entry in the decision log".to_owned());
        Explanation {
            decision: "deny",
            call: self.call(None, connection, false),
            api: None,
            route: None,
            credential: None,
            principal: None,
            steps: self.list,
            answer: Some(Answer {
                status,
                code: None,
                title: None,
                headers: Vec::new(),
            }),
        }
    }

    /// Takes in what was heard so far.
    pub(super) fn heard<F>(&mut self, facts: &Listening<F>, head: Option<&Head>, trip: &Trip) {
        let Some(head) = head else { return };
        for heard in facts.heard() {
            if !matches!(&heard, Heard::Budget(LimitKey::Address(_, DOOR), ..)) {
                self.route(head, trip);
            }
            match heard {
                Heard::Budget(key, rate, stands) => self.budget(&key, &rate, &stands),
                Heard::Penalty(None) => {
                    self.push("limits", Mark::Held, "the address is not held back");
                }
                Heard::Penalty(Some(penalty)) => self.penalty(penalty),
                Heard::Failure => {
                    self.note("limits", "a call would count as a failure of its address");
                }
                Heard::Credential(kind) => {
                    self.note("credential", format!("the proof of {}", kind.name()));
                }
                Heard::Proved(whose) => {
                    self.push("credential", Mark::Held, format!("proved: {whose}"));
                }
                Heard::Said(words) => {
                    if let Some(step) = self.list.last_mut() {
                        step.details.push(words);
                    }
                }
                Heard::Check(check) => {
                    self.introduce(trip);
                    let route = trip.story.route.as_ref();
                    let judged = route.map(|route| &*route.meaning.judged);
                    let mut details = Vec::new();
                    match (check, judged, &trip.story.identity) {
                        (Check::Presented, Some(judged), _) => details = found(head, judged),
                        (Check::Scopes, Some(judged), Some(who)) => details = scopes(judged, who),
                        (Check::Roles, Some(judged), Some(who)) => details = roles(judged, who),
                        (Check::Networks, ..) => {
                            details.push(format!("from {}", head.arrival().client));
                        }
                        (Check::Apis, Some(judged), _) => {
                            details.push(format!("the API is {}", judged.api.name));
                        }
                        _ => {}
                    }
                    self.check(check).details = details;
                }
            }
        }
    }

    /// Tells of the route, once.
    fn route(&mut self, head: &Head, trip: &Trip) {
        if core::mem::replace(&mut self.routed, true) {
            return;
        }
        let Some(route) = &trip.story.route else {
            return;
        };
        let api = &route.api.meaning;
        let base = api.base_path.trim_end_matches('/');
        let text = format!(
            "the route {} of the API {}: {base}{}",
            route.meaning.judged.name, api.judged.name, route.meaning.path.written
        );
        let near = trip.snapshot.near(head, Some(&route.api), NEAR + 1);
        let own = format!("({})", route.meaning.judged.name);
        let others = near.into_iter().filter(|one| !one.ends_with(&own));
        let details = others.take(NEAR).map(|one| format!("also near: {one}"));
        self.push("route", Mark::Held, text).details = details.collect();
    }

    /// Tells which credentials the route takes, once.
    fn introduce(&mut self, trip: &Trip) {
        if core::mem::replace(&mut self.introduced, true) {
            return;
        }
        let Some(route) = &trip.story.route else {
            return;
        };
        let text = match &route.meaning.judged.demand {
            Demand::Public {
                pass_authorization: true,
            } => "the route is public; Authorization goes on to the upstream".to_owned(),
            Demand::Public { .. } => {
                "the route is public: no credential is asked for or believed".to_owned()
            }
            Demand::OneOf(combinations) => {
                let one = |kinds: &Vec<verdict::credential::CredentialKind>| {
                    let names: Vec<_> = kinds.iter().map(|kind| kind.name()).collect();
                    names.join(" with ")
                };
                let list: Vec<_> = combinations.iter().map(one).collect();
                format!("the route takes {}", list.join(", or "))
            }
        };
        self.note("credential", text);
    }

    fn budget(&mut self, key: &LimitKey, rate: &Rate, stands: &Taken) {
        let of = match key {
            LimitKey::Address(_, DOOR) => "the address, for all calls",
            LimitKey::Address(..) => "the address, at this API",
            LimitKey::Principal(..) => "the principal, at this API",
            LimitKey::Application(..) => "the application, at this API",
        };
        let mark = match stands.remaining {
            0 => Mark::Failed,
            _ => Mark::Held,
        };
        let text = format!("the budget of {of} has room");
        let step = self.push("limits", mark, text);
        step.details.push(format!(
            "{} of {} calls in {} are left",
            stands.remaining,
            rate.limit,
            span(rate.period)
        ));
        if mark == Mark::Failed {
            step.details
                .push(format!("the next may pass in {}", span(stands.retry_after)));
        }
    }

    fn penalty(&mut self, penalty: Penalty) {
        self.held_back = true;
        let text = "the address is held back, because it failed too often";
        let step = self.push("limits", Mark::Noted, text);
        step.details
            .push(format!("for another {}", span(penalty.left)));
        step.details.push(
            "only what this node verified before and nobody can guess passes meanwhile".to_owned(),
        );
    }

    /// Tells what would be forwarded, and whether it may be.
    pub(super) fn forwarding(
        &mut self,
        permitted: &Permitted<Incoming>,
        route: &RouteEntry,
        below: usize,
        connection: &Connection,
    ) -> Result<(), Problem> {
        check_size(permitted, route)?;
        let head = permitted.call().head();
        let upgrade = asked_upgrade(head, route)?;
        let meaning = &route.api.meaning;
        let to = match &meaning.upstream {
            UpstreamMeaning::Local(name) => format!("the service {name} of this process"),
            UpstreamMeaning::Pool(pool) => {
                let scheme = if pool.tls.is_some() { "https" } else { "http" };
                let servers: Vec<_> = pool
                    .servers
                    .iter()
                    .map(|server| format!("{scheme}://{}:{}", server.host, server.port))
                    .collect();
                servers.join(", ")
            }
        };
        let target = target(head, route, below)?;
        let query = match target.query() {
            Some(query) => format!(" and its query of {} bytes", query.len()),
            None => String::new(),
        };
        let mut details = vec![match (&meaning.identity, permitted.identity()) {
            (_, None) => "it learns of no caller".to_owned(),
            (IdentityForward::None, _) => "it learns nothing of the caller".to_owned(),
            (IdentityForward::Original, _) => "it gets the credential as it was sent".to_owned(),
            (IdentityForward::Headers, _) => {
                "it learns of the caller by plain doorward-… fields".to_owned()
            }
            (IdentityForward::Jwt { audience, .. }, _) => {
                format!("it gets a signed statement in doorward-identity for {audience}")
            }
        }];
        let mut left = head.headers().clone();
        hygiene::clean_request(&mut left, connection.listed, |name| {
            is_withheld(name, route)
        });
        let gone: Vec<_> = head
            .headers()
            .keys()
            .filter(|name| !left.contains_key(*name))
            .map(|name| name.as_str())
            .collect();
        if !gone.is_empty() {
            details.push(format!("without the fields {}", gone.join(", ")));
        }
        if upgrade.is_some() {
            details.push("and may leave HTTP (Upgrade)".to_owned());
        }
        let text = format!("{} {}{query} goes to {to}", head.method(), target.path());
        self.push("upstream", Mark::Noted, text).details = details;
        Ok(())
    }

    /// Ends the list with what came of it.
    pub(super) fn close(
        mut self,
        head: Option<&Head>,
        connection: &Connection,
        trip: &Trip,
        problem: Option<&Problem>,
        answer: Option<Answer>,
    ) -> Explanation {
        if let Some(head) = head {
            self.route(head, trip);
        }
        if let Some(problem) = problem {
            self.fail(problem, head, trip);
        }
        let decision = match (problem, &answer) {
            (Some(_), _) => "deny",
            (None, Some(_)) => "answer",
            (None, None) => "allow",
        };
        let identity = trip.story.identity.as_ref();
        let standing = identity.map(Identity::standing);
        let path = shows_path(problem);
        Explanation {
            decision,
            call: self.call(head, connection, path),
            api: trip.story.api.as_ref().map(ToString::to_string),
            route: trip
                .story
                .route
                .as_ref()
                .map(|route| route.meaning.judged.name.to_string()),
            credential: standing.map(|standing| standing.credential.to_string()),
            principal: standing
                .map(|one| format!("{}:{}", one.principal.kind(), one.principal.id())),
            steps: self.list,
            answer,
        }
    }

    /// Marks what refused.
    fn fail(&mut self, problem: &Problem, head: Option<&Head>, trip: &Trip) {
        let cause = problem.cause.to_string();
        let Some(head) = head else {
            let text = "the call can be read in one way only";
            self.push("read", Mark::Failed, text).details.push(cause);
            return;
        };
        let stage = match problem.code {
            Code::NoRoute | Code::MethodNotAllowed => {
                let api = trip.story.api.as_ref();
                let api = api.and_then(|name| trip.snapshot.api(name));
                let near = trip.snapshot.near(head, api, NEAR);
                let text = match (problem.code, api) {
                    (Code::NoRoute, Some(api)) => {
                        format!("a route of the API {}", api.meaning.judged.name)
                    }
                    (Code::NoRoute, None) => "an API for this host and path".to_owned(),
                    _ => format!("a route for the method {}", head.method()),
                };
                let step = self.push("route", Mark::Failed, text);
                step.details.push(cause);
                step.details
                    .extend(near.into_iter().map(|one| format!("near: {one}")));
                return;
            }
            // Whatever was seen, the answer is the one of everybody who is held back.
            Code::RateLimited if self.held_back => {
                let at = self
                    .list
                    .iter()
                    .rposition(|step| step.text.starts_with("the address is held back"));
                if let Some(at) = at {
                    self.list.truncate(at + 1);
                    self.list[at].mark = Mark::Failed;
                    self.list[at]
                        .details
                        .push("the credential is none of these".to_owned());
                }
                return;
            }
            Code::RateLimited if self.list.iter().any(|step| step.mark == Mark::Failed) => return,
            Code::UncleanTarget => "route",
            Code::CorsRefused => "route",
            Code::BodyTooLarge | Code::BodyTimeout | Code::InvalidRequest => "body",
            Code::UpgradeRefused => "upstream",
            _ => {
                let mut last = self.list.iter_mut().rev();
                if let Some(step) = last.find(|step| step.check.is_some()) {
                    step.mark = Mark::Failed;
                    step.details.push(cause);
                    return;
                }
                "credential"
            }
        };
        let text = problem.code.title();
        self.push(stage, Mark::Failed, text).details.push(cause);
    }

    fn call(&self, head: Option<&Head>, connection: &Connection, path: bool) -> CallRead {
        let version = match head.map(Head::version) {
            _ if self.http2 => "HTTP/2",
            Some(Version::HTTP_10) => "HTTP/1.0",
            _ => "HTTP/1.1",
        };
        let arrival = head.map(Head::arrival);
        CallRead {
            method: head.map_or_else(String::new, |head| head.method().to_string()),
            path: match head {
                Some(head) if path => head.path().to_owned(),
                _ => String::new(),
            },
            authority: head.map_or_else(String::new, |head| head.authority().to_owned()),
            scheme: arrival
                .map_or(connection.scheme, |arrival| arrival.scheme)
                .as_str(),
            version,
            client: arrival.map_or(connection.address, |arrival| arrival.client),
            at: self.at,
        }
    }
}

/// Under what a check stands.
fn stage_of(check: Check) -> &'static str {
    match check {
        Check::SignedBody => "body",
        Check::Environment
        | Check::Apis
        | Check::Networks
        | Check::Origins
        | Check::Meanwhile
        | Check::Scopes
        | Check::Roles => "rights",
        _ => "credential",
    }
}

/// What was presented where.
fn found(head: &Head, route: &Route) -> Vec<String> {
    let seen = presented(head, route);
    if seen.is_empty() && !matches!(route.demand, Demand::Public { .. }) {
        return vec!["nothing is presented in the places of these kinds".to_owned()];
    }
    let line = |one: trace::Seen| {
        let kind = one
            .kind
            .map_or("of no kind that is taken", |kind| kind.name());
        let mut line = format!("{}: {kind}", one.place);
        if let Some(flaw) = one.flaw {
            let _ = write!(line, ", unusable: {flaw}");
        }
        line
    };
    seen.into_iter().map(line).collect()
}

fn scopes(route: &Route, who: &Identity) -> Vec<String> {
    let held = &who.standing().scopes;
    let asked: Vec<&str> = route.rule.scopes.iter().map(AsRef::as_ref).collect();
    let rights = &route.api.rights;
    let missing = asked.iter().filter(|scope| !rights.has_scope(held, scope));
    let missing: Vec<_> = missing.copied().collect();
    vec![
        listed("asked for", &asked),
        listed("held", &held.iter().collect::<Vec<_>>()),
        listed("missing", &missing),
    ]
}

fn roles(route: &Route, who: &Identity) -> Vec<String> {
    let names = |roles: &'_ [verdict::identity::RoleName], what: &str| {
        listed(
            what,
            &roles.iter().map(|role| role.as_str()).collect::<Vec<_>>(),
        )
    };
    vec![
        names(&route.rule.any_role, "one asked for of"),
        names(&who.standing().roles, "held"),
    ]
}

fn listed(what: &str, items: &[&str]) -> String {
    match items {
        [] => format!("{what}: none"),
        items => format!("{what}: {}", items.join(" ")),
    }
}

fn span(span: Duration) -> String {
    match span.as_secs() + u64::from(span.subsec_nanos() > 0) {
        seconds if seconds >= 120 && seconds.is_multiple_of(60) => format!("{} min", seconds / 60),
        seconds => format!("{seconds} s"),
    }
}
