//! `explain`: how a call would be judged, step by step, or how one was.

use std::io::{IsTerminal as _, Read as _};
use std::path::{Path, PathBuf};

use clap::Args;
use proof::base64std;
use registry::units::Moment;
use verdict::policy::Judgement;
use web::admin::view::{CallScheme, DecisionView, Explain, ExplanationView};
use zeroize::Zeroizing;

use super::client::AdminClient;
use super::failure::{Failure, Outcome};
use super::screen::Screen;

/// Largest request: what the server explains.
const MOST_BYTES: u64 = 512 * 1024;
/// Largest file of certificates.
const MOST_PEM: u64 = 256 * 1024;

/// What to explain
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("what").required(true))]
pub(crate) struct ExplainArgs {
    /// File with the request: HTTP/1.1 as on the wire, or what `curl -v` prints; `-`: standard input.
    /// An answer that `curl -i` printed leads to its entry in the decision log
    #[arg(long, value_name = "FILE", group = "what")]
    request: Option<PathBuf>,
    /// The request id of a call in the decision log
    #[arg(long, value_name = "REQUEST_ID", group = "what")]
    decision: Option<String>,
    /// By which scheme the call comes; default: as the listener of its port speaks
    #[arg(long, value_parser = scheme, value_name = "http|https", conflicts_with = "decision")]
    scheme: Option<CallScheme>,
    /// From which address the call comes; default: 127.0.0.1
    #[arg(long, value_name = "ADDRESS", conflicts_with = "decision")]
    from: Option<core::net::IpAddr>,
    /// PEM file with the client's certificate; that the client has its key is taken for granted
    #[arg(long, value_name = "FILE", conflicts_with = "decision")]
    client_certificate: Option<PathBuf>,
    /// When the call is judged, e.g. 2026-01-31T12:00:00Z; default: now
    #[arg(long, value_name = "TIME", conflicts_with = "decision")]
    at: Option<Moment>,
}

fn scheme(text: &str) -> Result<CallScheme, &'static str> {
    match text {
        "http" => Ok(CallScheme::Http),
        "https" => Ok(CallScheme::Https),
        _ => Err("write http or https"),
    }
}

pub(crate) async fn run(args: ExplainArgs, client: &AdminClient, screen: Screen) -> Outcome<()> {
    if let Some(id) = &args.decision {
        return decision(id, client, screen).await;
    }
    let file = args.request.as_deref().unwrap_or(Path::new("-"));
    let text = read(file, MOST_BYTES, "request")?;
    if let Some(id) = answered(&text) {
        screen.note("This is an answer: here is what the decision log has of it.");
        return decision(&id, client, screen).await;
    }
    let pem = |file: &PathBuf| -> Outcome<String> {
        let bytes = read(file, MOST_PEM, "certificate")?;
        String::from_utf8(bytes.to_vec())
            .map_err(|_| Failure::usage(format!("{} is no PEM file.", file.display())))
    };
    let asked = Explain {
        request: None,
        request_base64: Some(base64std::encode(&text)),
        scheme: args.scheme,
        from: args.from,
        client_certificate: args.client_certificate.as_ref().map(pem).transpose()?,
        at: args.at,
    };
    let explained: ExplanationView = client.post("/v1/explain", &asked).await?;
    if screen.is_json() {
        return screen.json(&explained);
    }
    screen.line(&shown(&explained))
}

fn read(from: &Path, most: u64, what: &str) -> Outcome<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(16 * 1024));
    let unreadable = |error: std::io::Error| {
        Failure::new(format!("{} can not be read: {error}.", from.display()))
    };
    if from == Path::new("-") {
        let stdin = std::io::stdin();
        if stdin.is_terminal() {
            Screen::new(super::Format::Table)
                .note(&format!("Paste the {what}, then end it with Ctrl-D."));
        }
        let read = stdin.lock().take(most + 1).read_to_end(&mut bytes);
        read.map_err(unreadable)?;
    } else {
        let file = std::fs::File::open(from).map_err(unreadable)?;
        file.take(most + 1)
            .read_to_end(&mut bytes)
            .map_err(unreadable)?;
    }
    if bytes.len() as u64 > most {
        return Err(Failure::usage(format!(
            "The {what} is longer than {} KiB.",
            most / 1024
        )));
    }
    Ok(bytes)
}

/// The request id in an answer that `curl -i` printed.
fn answered(text: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(text.get(..text.len().min(64 * 1024))?);
    if !text.starts_with("HTTP/") {
        return None;
    }
    text.lines()
        .take_while(|line| !line.is_empty())
        .find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("doorward-request-id")
                .then(|| value.trim().to_owned())
        })
}

fn mark(mark: &str) -> &'static str {
    match mark {
        "held" => "✓",
        "failed" => "✗",
        _ => "·",
    }
}

/// The explanation for people.
fn shown(explained: &ExplanationView) -> String {
    let call = &explained.call;
    let mut lines = Vec::new();
    if call.method.is_empty() {
        lines.push(format!(
            "A call from {}, which can not be read",
            call.client
        ));
    } else {
        let path = match &*call.path {
            "" => "/(a path that is not shown)",
            path => path,
        };
        lines.push(format!(
            "{} {}://{}{path} by {} from {}",
            call.method, call.scheme, call.authority, call.version, call.client
        ));
    }
    let mut stage = "";
    for step in &explained.steps {
        if step.stage != stage {
            stage = &step.stage;
            lines.push(String::new());
            lines.push(stage.to_owned());
        }
        let source = match &step.source {
            Some(source) => format!("  ({source})"),
            None => String::new(),
        };
        lines.push(format!("  {} {}{source}", mark(&step.mark), step.text));
        lines.extend(step.details.iter().map(|detail| format!("      {detail}")));
    }
    lines.push(String::new());
    match &explained.answer {
        None => lines.push("The call passes; the caller gets the upstream's answer.".to_owned()),
        Some(answer) => {
            let (code, title) = (answer.code.as_deref(), answer.title.as_deref());
            lines.push(
                format!(
                    "The caller gets {} {}  {}",
                    answer.status,
                    code.unwrap_or_default(),
                    title.unwrap_or_default()
                )
                .trim_end()
                .to_owned(),
            );
            let fields = answer.headers.iter();
            lines.extend(fields.map(|field| format!("  {}: {}", field.name, field.value)));
        }
    }
    lines.join("\n")
}

async fn decision(id: &str, client: &AdminClient, screen: Screen) -> Outcome<()> {
    let sound = id.len() <= 64
        && !id.is_empty()
        && id
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'));
    if !sound {
        return Err(Failure::usage("This is not a request id.").next(
            "take it from the answer's field doorward-request-id, or from `doorward decisions list`",
        ));
    }
    let entry: DecisionView = client
        .get(&format!("/v1/decisions/{id}"))
        .await
        .map_err(|failure| match failure.is_problem("not-found") {
            true => failure.next(
                "an entry comes a moment after its call: try again in a second (entries end after `decision_log.keep`)",
            ),
            false => failure,
        })?;
    if screen.is_json() {
        return screen.json(&entry);
    }
    screen.line(&told(&entry))
}

/// An entry of the decision log for people: what is known of each step.
fn told(entry: &DecisionView) -> String {
    let code = entry.code.as_deref();
    let denied = entry.decision == "deny";
    let mut lines = vec![
        format!(
            "{} {} from {} at {}",
            if entry.method.is_empty() {
                "A call"
            } else {
                &entry.method
            },
            entry.path,
            entry.client,
            entry.at
        ),
        String::new(),
    ];
    let failed_at = code.filter(|_| denied).map(stage_of);
    for stage in [
        "read",
        "route",
        "limits",
        "credential",
        "rights",
        "body",
        "upstream",
    ] {
        let known = match stage {
            "read" => "the call can be read in one way only".to_owned(),
            "route" => match (&entry.api, &entry.route) {
                (Some(api), Some(route)) => format!("the route {route} of the API {api}"),
                (Some(api), None) => format!("the API {api}"),
                (None, _) => "an API and a route".to_owned(),
            },
            "limits" => "budgets have room, and the address is not held back".to_owned(),
            "credential" => match (&entry.credential_kind, &entry.credential, &entry.principal) {
                (Some(kind), Some(id), Some(who)) => {
                    let by = entry
                        .secret
                        .as_deref()
                        .map(|secret| format!(" by {secret}"));
                    let with = entry.companions.iter();
                    let with = with.map(|one| {
                        format!(
                            ", with {} {} of {}",
                            one.credential_kind, one.credential, one.principal
                        )
                    });
                    format!(
                        "{kind} {id} of {who}{}{}",
                        by.unwrap_or_default(),
                        with.collect::<String>()
                    )
                }
                _ if failed_at == Some("credential") => {
                    "a credential that the route takes and that holds".to_owned()
                }
                _ => "no credential is asked for".to_owned(),
            },
            "rights" => "it may be used for this call".to_owned(),
            "body" => "the body is of a size that is taken".to_owned(),
            _ => "the upstream was asked".to_owned(),
        };
        let failed = failed_at == Some(stage);
        let sign = if failed { "✗" } else { "✓" };
        lines.push(format!("  {sign} {stage:<11}{known}"));
        if stage == "rights" {
            lines.extend(judgements(entry));
        }
        if failed {
            let cause = entry.cause.as_deref();
            lines.extend(cause.map(|cause| format!("      {cause}")));
            break;
        }
    }
    if let (false, Some(cause)) = (denied, &entry.cause) {
        lines.push(format!("      {cause}"));
    }
    lines.push(String::new());
    lines.push(format!(
        "The caller got {} {} after {} µs.",
        entry.status,
        code.unwrap_or("from behind the door"),
        entry.micros
    ));
    lines.join("\n")
}

/// The step that a code is of.
/// What relations and policies said, those last that are asked and not obeyed.
fn judgements(entry: &DecisionView) -> Vec<String> {
    let Some(judged) = &entry.judged else {
        return Vec::new();
    };
    let line = |one: &Judgement, obeyed: &str| {
        let reason = one.reason.as_deref();
        let reason = reason.map(|text| format!(": {text}")).unwrap_or_default();
        let sign = if one.allows() { "✓" } else { "✗" };
        format!(
            "      {sign} {} {}{obeyed}: {}{reason}",
            one.by, one.what, one.outcome
        )
    };
    let obeyed = judged.judgements.iter().map(|one| line(one, ""));
    let shadow = judged.shadow.iter().map(|one| line(one, " (shadow)"));
    let mut lines: Vec<_> = obeyed.chain(shadow).collect();
    if judged.noticed {
        lines
            .push("      the caller was noticed: it was refused many different objects".to_owned());
    }
    lines
}

fn stage_of(code: &str) -> &'static str {
    match code {
        "unclean-target" | "unclean-header" | "unclean-authority" | "misdirected-request" => "read",
        "no-route" | "method-not-allowed" | "cors-refused" => "route",
        "rate-limited" | "overloaded" => "limits",
        "api-not-allowed"
        | "insufficient-scope"
        | "role-missing"
        | "place-not-allowed"
        | "object-not-allowed"
        | "object-not-found"
        | "object-unreadable"
        | "object-probing"
        | "policy-denied"
        | "insufficient-user-authentication" => "rights",
        "body-too-large" | "body-timeout" | "invalid-request" => "body",
        "upgrade-refused" => "upstream",
        _ => "credential",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_told_from_a_request_and_names_its_entry() {
        for (text, id) in [
            (
                "HTTP/1.1 401 Unauthorized\r\nDoorward-Request-Id: 0193-a\r\n\r\n{}",
                Some("0193-a"),
            ),
            ("HTTP/2 200\ndoorward-request-id: b\n\n", Some("b")),
            ("HTTP/2 200\n\ndoorward-request-id: b\n", None),
            ("GET / HTTP/1.1\ndoorward-request-id: b\n", None),
            ("", None),
        ] {
            assert_eq!(answered(text.as_bytes()).as_deref(), id, "{text}");
        }
    }

    #[test]
    fn an_entry_tells_what_relations_and_policies_said() {
        let entry: DecisionView = serde_json::from_value(serde_json::json!({
            "at": "2026-01-01T00:00:00Z", "request_id": "a", "client": "192.0.2.1", "method": "GET",
            "path": "/orders/1", "api": "orders", "route": "read", "decision": "deny",
            "code": "policy-denied", "cause": "policy care: too many", "credential_kind": "jwt",
            "credential": "t", "principal": "client:courier", "status": 403, "micros": 9,
            "judged": { "judgements": [
                { "by": "relation", "what": "order:1#viewer", "outcome": "allow", "reason": "written" },
                { "by": "policy", "what": "care", "outcome": "deny", "reason": "too many" },
            ], "shadow": [{ "by": "policy", "what": "next", "outcome": "undefined" }] },
        }))
        .unwrap();
        let told = told(&entry);
        for line in [
            "✓ relation order:1#viewer: allow: written",
            "✗ policy care: deny: too many",
            "✗ policy next (shadow): undefined",
        ] {
            assert!(told.contains(line), "{line} in {told}");
        }
        assert!(told.contains("✗ rights"), "{told}");
    }

    #[test]
    fn every_code_of_the_door_belongs_to_a_step() {
        for code in verdict::problem::Code::ALL {
            let stage = stage_of(code.code());
            let rights = code.status() == http::StatusCode::FORBIDDEN;
            if rights && !matches!(stage, "route" | "credential") {
                assert!(matches!(stage, "rights"), "{}", code.code());
            }
            let decided = ["object-", "policy-", "role-"];
            if decided.iter().any(|start| code.code().starts_with(start)) {
                assert_eq!(stage, "rights", "{}", code.code());
            }
        }
        assert_eq!(stage_of("credential-refused"), "credential");
    }
}
