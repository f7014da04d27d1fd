//! What a `WebhookEndpoint` document means.

use core::time::Duration;

use proof::issued::SigningKeyId;
use verdict::identity::ApplicationId;

use super::Known;
use super::owner::unknown;
use crate::flaw::{Place, Report};
use crate::redirect::is_loopback;
use crate::resource::ResourceKind;
use crate::webhook::{
    EndpointMeaning, LONGEST_QUEUE, LONGEST_TIMEOUT, LONGEST_WAIT, MOST_RETRIES, Pattern, QUEUE,
    RETRIES, TIMEOUT, WebhookEndpointSpec,
};

pub(super) fn mean(
    name: &str,
    spec: &WebhookEndpointSpec,
    known: &Known<'_>,
    report: &mut Report<'_>,
) -> Option<EndpointMeaning> {
    let before = report.count();
    let at = Place::spec();
    let url = url(&spec.url, at.key("url"), report);
    if !known.is_broken(ResourceKind::Application, &spec.application)
        && !known.applications.contains_key(spec.application.as_str())
    {
        unknown(
            report,
            at.key("application"),
            "application",
            &spec.application,
            known.applications.keys().copied(),
        );
    }
    let events = events(&spec.events, &at.key("events"), report);
    if SigningKeyId::parse(&spec.signing_key).is_none() {
        report.hinted(
            at.key("signing_key"),
            "this is no key id of a signing secret",
            "make one with `doorward secret create --scheme webhook` and write its key id, `DWAK…`",
        );
    }
    let timeout = spec.timeout.map_or(TIMEOUT, |period| period.0);
    if !(Duration::from_secs(1)..=LONGEST_TIMEOUT).contains(&timeout) {
        report.flaw(at.key("timeout"), "a try takes 1s to 30s");
    }
    let retries: Vec<Duration> = match &spec.retries {
        Some(written) => written.iter().map(|period| period.0).collect(),
        None => RETRIES.to_vec(),
    };
    if retries.len() > MOST_RETRIES {
        report.flaw(at.key("retries"), "there are at most 20 waits");
    }
    for (index, wait) in retries.iter().enumerate() {
        if !(Duration::from_millis(100)..=LONGEST_WAIT).contains(wait) {
            report.flaw(at.key("retries").index(index), "a wait is 100ms to 2d");
        }
    }
    let queue = spec.queue.unwrap_or(QUEUE);
    if !(1..=LONGEST_QUEUE).contains(&queue) {
        report.flaw(at.key("queue"), "1 to 100000 messages wait");
    }
    if report.count() > before {
        return None;
    }
    Some(EndpointMeaning {
        name: name.to_owned(),
        url: url?,
        application: ApplicationId::new(spec.application.as_str()),
        events,
        signing_key: spec.signing_key.clone(),
        timeout,
        retries,
        queue,
    })
}

/// Plain `http` is for trials on one machine: whether it is called at all is for the settings.
fn url(text: &str, place: Place, report: &mut Report<'_>) -> Option<url::Url> {
    let parsed = url::Url::parse(text).ok().filter(|url| {
        let scheme = match url.scheme() {
            "https" => url.host().is_some(),
            "http" => is_loopback(url),
            _ => false,
        };
        let bare =
            url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
        scheme && bare
    });
    if parsed.is_none() {
        report.flaw(
            place,
            "messages go to an absolute https URL without user information and fragment (http to a loopback address)",
        );
    }
    parsed
}

fn events(written: &[String], place: &Place, report: &mut Report<'_>) -> Vec<Pattern> {
    report.not_empty(place.clone(), Some(written));
    report.no_doubles(place, written);
    let mut events = Vec::with_capacity(written.len());
    for (index, text) in written.iter().enumerate() {
        match Pattern::read(text) {
            Some(pattern) if pattern.is_possible() => events.push(pattern),
            Some(_) => report.hinted(
                place.index(index),
                format!("there are no events `{text}`"),
                "after `doorward.` stands the name of an act as the audit trail writes it",
            ),
            None => report.hinted(
                place.index(index),
                format!("`{text}` is no type of messages"),
                "write `order.paid`, `order.*` or `*`",
            ),
        }
    }
    events
}
