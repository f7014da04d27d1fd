//! `usage` and `… usage`: what was used, how often and when last. Whoever replaces a secret looks here
//! before he ends the old one, so that the answer says in words whether somebody still needs it.

use core::time::Duration;

use clap::Args;
use proof::time::Timestamp;
use registry::units::{Moment, Period};
use url::form_urlencoded::byte_serialize;
use verdict::identity::LifeState;
use web::admin::view::{CredentialView, Page, SecretUsage, UsageView, UsedView};

use super::client::AdminClient;
use super::credential::{end, read_list, state};
use super::failure::{Failure, Outcome};
use super::resource::segment;
use super::screen::{Screen, seen_from, when};

/// What was used within this time is in use.
const IN_USE: Duration = Duration::from_secs(3600);

/// What was used of late.
#[derive(Debug, Clone, Args)]
pub(crate) struct UsageArgs {
    /// Only this name and what belongs to it: an id, `client:NAME`, `issuer:URL`, `jkt:…`, `x5t:…`
    name: Option<String>,
    /// Since when: a time, or a length of time before now like 1d; default 7d
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// How many
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
}

/// `usage …`
pub(crate) async fn run(args: UsageArgs, client: &AdminClient, screen: Screen) -> Outcome<()> {
    let mut path = format!("/v1/usage?limit={}", args.limit);
    if let Some(name) = &args.name {
        path.push_str("&about=");
        path.extend(byte_serialize(name.as_bytes()));
    }
    if let Some(since) = since(args.since.as_deref(), screen.now)? {
        path.push_str(&format!("&since={since}"));
    }
    let page: Page<UsedView> = client.get(&path).await?;
    if screen.is_json() {
        return screen.json(&page);
    }
    let more = page.next.is_some();
    let rows = page
        .items
        .into_iter()
        .map(|used| {
            vec![
                used.name,
                used.belongs_to.unwrap_or_default(),
                used.calls.to_string(),
                seen_from(used.last_used.0, screen.now),
            ]
        })
        .collect();
    screen.table(
        &["name", "belongs to", "calls", "last used"],
        rows,
        "Nothing was used in this time.",
    )?;
    if more {
        screen.note("There are more; give a name, a shorter time or a larger --limit.");
    }
    Ok(())
}

/// The time that `--since` names.
fn since(text: Option<&str>, now: Timestamp) -> Outcome<Option<Moment>> {
    text.map(|text| match text.parse::<Period>() {
        Ok(period) => Ok(Moment(now.minus(period.0))),
        Err(_) => Ok(end(text, now).map_err(Failure::usage)?.0),
    })
    .transpose()
}

async fn ask(
    base: &str,
    id: &str,
    since: Option<Moment>,
    client: &AdminClient,
) -> Outcome<UsageView> {
    let query = since
        .map(|since| format!("?since={since}"))
        .unwrap_or_default();
    let path = format!("{base}/{}/usage{query}", segment(id)?);
    client.get(&path).await
}

/// The calls with one credential, hour by hour, and with each of its secrets.
pub(super) async fn one(
    base: &str,
    id: &str,
    from: Option<&str>,
    client: &AdminClient,
    screen: Screen,
) -> Outcome<()> {
    let usage = ask(base, id, since(from, screen.now)?, client).await?;
    if screen.is_json() {
        return screen.json(&usage);
    }
    screen.fields(&[
        ("id", usage.id),
        ("since", when(Some(usage.since), screen.now)),
        ("calls", usage.calls.to_string()),
        ("last used", when(usage.last_used, screen.now)),
    ])?;
    let of_each = |one: &SecretUsage| {
        vec![
            one.id.clone(),
            seen_from(one.created_at.0, screen.now),
            until(one.valid_until, screen.now),
            one.calls.to_string(),
            last(one.last_used, screen.now),
        ]
    };
    if !usage.secrets.is_empty() {
        screen.line("")?;
        screen.table(
            &["secret or key", "made", "valid until", "calls", "last used"],
            usage.secrets.iter().map(of_each).collect(),
            "",
        )?;
        screen.line("")?;
    }
    let hours = usage.hours.iter();
    screen.table(
        &["hour", "calls"],
        hours
            .map(|hour| vec![hour.hour.to_string(), hour.calls.to_string()])
            .collect(),
        "No calls in this time.",
    )?;
    for old in usage.secrets.iter().skip(1) {
        screen.note(&of_old(old, screen.now));
    }
    Ok(())
}

/// Each secret or password of an owner beside the others: while one is replaced, two are valid.
pub(super) async fn of_owner(
    base: &str,
    from: Option<&str>,
    revoke: &str,
    client: &AdminClient,
    screen: Screen,
) -> Outcome<()> {
    let since = since(from, screen.now)?;
    let mut shown: Vec<(CredentialView, UsageView)> = Vec::new();
    for one in read_list(base, "", client, screen).await? {
        if one.state != LifeState::Revoked {
            let usage = ask(base, &one.id, since, client).await?;
            shown.push((one, usage));
        }
    }
    if screen.is_json() {
        let items = shown.into_iter().map(|(_, usage)| usage).collect();
        return screen.json(&Page { items, next: None });
    }
    let rows = shown.iter().map(|(one, usage)| {
        vec![
            one.id.clone(),
            one.label.clone(),
            state(one).to_owned(),
            seen_from(one.created_at.0, screen.now),
            until(one.expires_at, screen.now),
            usage.calls.to_string(),
            last(usage.last_used, screen.now),
        ]
    });
    screen.table(
        &[
            "id",
            "label",
            "state",
            "made",
            "valid until",
            "calls",
            "last used",
        ],
        rows.collect(),
        "There is none.",
    )?;
    for (one, usage) in &shown {
        if one.successor.is_some() && !one.expired {
            let end = format!("end it with `doorward {revoke} {}`", one.id);
            screen.note(&remark(&one.id, usage.last_used, &end, screen.now));
        }
    }
    Ok(())
}

fn until(end: Option<Moment>, now: Timestamp) -> String {
    end.map(|end| seen_from(end.0, now)).unwrap_or_default()
}

fn last(used: Option<Moment>, now: Timestamp) -> String {
    used.map_or_else(|| "never".to_owned(), |used| seen_from(used.0, now))
}

/// Whether one that was replaced is still needed.
fn remark(id: &str, used: Option<Moment>, then: &str, now: Timestamp) -> String {
    match used {
        Some(at) if now < at.0.plus(IN_USE) => format!(
            "{id} was replaced and is still in use: the last call was {}.",
            seen_from(at.0, now)
        ),
        _ => format!("Nobody used {id} in the last hour; {then}."),
    }
}

/// The same of a secret or key that ends by itself, or has.
fn of_old(old: &SecretUsage, now: Timestamp) -> String {
    match old.valid_until {
        Some(end) if end.0 <= now => {
            format!("{} has ended {}.", old.id, seen_from(end.0, now))
        }
        end => {
            let then = format!("it ends by itself {}", until(end, now));
            remark(&old.id, old.last_used, &then, now)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_that_has_ended_is_not_said_to_end() {
        let now = Timestamp::from_secs(1_700_000_000);
        let said = |end: Timestamp| {
            let old = SecretUsage {
                id: "sec_1".to_owned(),
                created_at: Moment(now),
                valid_until: Some(Moment(end)),
                calls: 1,
                last_used: Some(Moment(now.minus(Duration::from_secs(7200)))),
            };
            of_old(&old, now)
        };
        assert_eq!(
            said(now.minus(Duration::from_secs(60))),
            "sec_1 has ended 1 min ago."
        );
        assert!(said(now).starts_with("sec_1 has ended"), "{}", said(now));
        assert_eq!(
            said(now.plus(Duration::from_secs(60))),
            "Nobody used sec_1 in the last hour; it ends by itself in 1 min."
        );
    }

    #[test]
    fn an_old_secret_is_in_use_for_an_hour_after_its_last_call() {
        let now = Timestamp::from_secs(1_700_000_000);
        let said = |ago: Option<u64>| {
            let used = ago.map(|ago| Moment(now.minus(Duration::from_secs(ago))));
            remark("pwd_1", used, "end it", now)
        };
        assert_eq!(
            said(Some(60)),
            "pwd_1 was replaced and is still in use: the last call was 1 min ago."
        );
        assert!(said(Some(3599)).contains("still in use"));
        for idle in [Some(3600), None] {
            assert_eq!(
                said(idle),
                "Nobody used pwd_1 in the last hour; end it.",
                "{idle:?}"
            );
        }
    }

    #[test]
    fn a_time_before_now_is_a_length_or_a_point() {
        let now = Timestamp::from_secs(1_700_000_000);
        let day = since(Some("1d"), now).unwrap().unwrap();
        assert_eq!(day.0, now.minus(Duration::from_secs(86_400)));
        let point = since(Some("2026-01-31T00:00:00Z"), now).unwrap().unwrap();
        assert_eq!(point.to_string(), "2026-01-31T00:00:00Z");
        assert!(since(None, now).unwrap().is_none());
        assert_eq!(since(Some("yesterday"), now).unwrap_err().code(), 2);
    }
}
