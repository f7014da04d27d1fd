//! **The generated reference**: pages of the book that are made from the code they describe, so
//! that they can't fall behind. `cargo run -p xtask -- docs` writes them into `docs/src/reference`.

use std::fmt::Write as _;

use clap::{Command, CommandFactory as _, ValueEnum};
use issuer::metadata::Endpoint;
use serde_json::Value as Json;
use web::admin::operation::Operation;

use crate::settings;

/// A page of the reference.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Page {
    /// Settings and resource documents.
    Settings,
    /// Error codes.
    Errors,
    /// Metrics.
    Metrics,
    /// The command line.
    Cli,
    /// Endpoints.
    Endpoints,
    /// Audit events.
    AuditEvents,
}

/// Prints a page.
#[allow(clippy::print_stdout, reason = "the command's answer")]
pub(crate) fn print(page: Page) {
    print!("{}", written(page));
}

fn written(page: Page) -> String {
    match page {
        Page::Settings => settings_page(),
        Page::Errors => errors(),
        Page::Metrics => metrics(),
        Page::Cli => cli(),
        Page::Endpoints => endpoints(),
        Page::AuditEvents => audit_events(),
    }
}

const NOTE: &str =
    "<!-- Generated from the code by `cargo run -p xtask -- docs`. Do not edit. -->\n\n";

fn settings_page() -> String {
    let mut out = format!(
        "{NOTE}# Settings\n\nEvery key of the settings file. `doorward config schema` prints the same as JSON Schema for editors, `doorward config schema --resources` that of resource documents.\n"
    );
    let schema = settings::schema();
    objects(&mut out, &schema, &schema, "The settings file");
    let documents = registry::document::json_schema();
    let _ = write!(
        out,
        "\n# Resource documents\n\nA document is a map of `apiVersion: doorward/v1`, `kind`, `metadata: {{name: …}}` and `spec`. These are the keys of `spec`, by kind.\n"
    );
    for variant in documents["oneOf"].as_array().into_iter().flatten() {
        let properties = &variant["properties"];
        let kind = properties["kind"]["const"].as_str().unwrap_or("?");
        let spec = resolve(&documents, &properties["spec"]);
        objects(&mut out, &documents, spec, &format!("`kind: {kind}`"));
    }
    out
}

/// Writes a table of an object's keys, then the objects that it refers to.
fn objects(out: &mut String, root: &Json, object: &Json, title: &str) {
    let mut waiting = vec![(title.to_owned(), object.clone())];
    let mut seen: Vec<Json> = Vec::new();
    while let Some((title, object)) = (!waiting.is_empty()).then(|| waiting.remove(0)) {
        if seen.contains(&object) {
            continue;
        }
        let Some(properties) = object["properties"].as_object() else {
            continue;
        };
        let required: Vec<&str> = object["required"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Json::as_str)
            .collect();
        let _ = write!(out, "\n## {title}\n\n");
        if let Some(text) = object["description"].as_str() {
            let _ = write!(out, "{}\n\n", one_line(text));
        }
        out.push_str("| key | value | default | what it is |\n|---|---|---|---|\n");
        for (key, property) in properties {
            let default = match (&property["default"], required.contains(&key.as_str())) {
                (_, true) => "required".to_owned(),
                (Json::Null, false) => String::new(),
                (Json::Object(_) | Json::Array(_), false) => String::new(),
                (value, false) => format!("`{}`", plain(value)),
            };
            let text = property["description"]
                .as_str()
                .map(one_line)
                .unwrap_or_default();
            let _ = writeln!(
                out,
                "| `{key}` | {} | {default} | {text} |",
                kind(root, property)
            );
            for inner in inner_objects(root, property) {
                waiting.push((format!("{title} › `{key}`"), inner));
            }
        }
        seen.push(object);
    }
}

fn resolve<'a>(root: &'a Json, schema: &'a Json) -> &'a Json {
    let target = schema["$ref"]
        .as_str()
        .and_then(|path| root.pointer(path.trim_start_matches('#')));
    target.unwrap_or(schema)
}

/// The choices of a schema: itself, or what its unions allow, without null.
fn choices<'a>(root: &'a Json, schema: &'a Json) -> Vec<&'a Json> {
    let schema = resolve(root, schema);
    for union in ["anyOf", "oneOf", "allOf"] {
        if let Some(list) = schema[union].as_array() {
            return list.iter().flat_map(|one| choices(root, one)).collect();
        }
    }
    if schema["type"] == "null" {
        Vec::new()
    } else {
        vec![schema]
    }
}

fn inner_objects(root: &Json, property: &Json) -> Vec<Json> {
    let mut found = Vec::new();
    for choice in choices(root, property) {
        if choice["properties"].is_object() {
            found.push(choice.clone());
        }
        for inner in [&choice["items"], &choice["additionalProperties"]] {
            if inner.is_object() {
                found.extend(inner_objects(root, inner));
            }
        }
    }
    found
}

fn kind(root: &Json, property: &Json) -> String {
    let mut names: Vec<String> = Vec::new();
    for choice in choices(root, property) {
        let name = if let Some(value) = choice.get("const") {
            format!("`{}`", plain(value))
        } else if let Some(list) = choice["enum"].as_array() {
            list.iter()
                .map(|value| format!("`{}`", plain(value)))
                .collect::<Vec<_>>()
                .join(", ")
        } else {
            let types: Vec<&str> = match &choice["type"] {
                Json::String(one) => vec![one.as_str()],
                Json::Array(list) => list
                    .iter()
                    .filter_map(Json::as_str)
                    .filter(|name| *name != "null")
                    .collect(),
                _ => vec!["any"],
            };
            match types.first().copied().unwrap_or("any") {
                "array" => format!("list of {}", kind(root, &choice["items"])),
                "object" if choice["additionalProperties"].is_object() => {
                    format!("map to {}", kind(root, &choice["additionalProperties"]))
                }
                "object" => "map".to_owned(),
                "string" => "text".to_owned(),
                "integer" => "number".to_owned(),
                "boolean" => "`true`, `false`".to_owned(),
                other => other.to_owned(),
            }
        };
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names.join(" or ")
}

fn plain(value: &Json) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

/// For a cell of a table: in one line, and without what would end the cell.
fn one_line(text: &str) -> String {
    text.split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .replace('|', "\\|")
}

fn errors() -> String {
    let mut out = format!(
        "{NOTE}# Errors\n\nThe gateway and the admin API answer `application/problem+json` (RFC 9457). `type` is `urn:doorward:error:<code>`; `request_id` joins the answer to the log, which has the cause.\n\n| code | status | title |\n|---|---|---|\n"
    );
    for code in verdict::problem::Code::ALL {
        let _ = writeln!(
            out,
            "| `{}` | {} | {} |",
            code.code(),
            code.status().as_u16(),
            code.title()
        );
    }
    out.push_str("\n## OAuth endpoints\n\nJSON as in RFC 6749 §5.2. The log names the reason.\n\n| `error` | reason in the log | `error_description` |\n|---|---|---|\n");
    for reason in issuer::error::Reason::ALL {
        let _ = writeln!(
            out,
            "| `{}` | `{}` | {} |",
            reason.code().name(),
            reason.log_name(),
            reason.description()
        );
    }
    out
}

fn metrics() -> String {
    let mut registry = prometheus_client::registry::Registry::default();
    let _gateway = gateway::Metrics::register(&mut registry);
    let _node = crate::wire::NodeMetrics::register(&mut registry);
    let mut text = String::new();
    let _ = prometheus_client::encoding::text::encode(&mut text, &registry);
    let mut out = format!(
        "{NOTE}# Metrics\n\nOpenMetrics at `/metrics` of the `ops` listener. Counters end in `_total` there.\n\n| name | type | what it counts |\n|---|---|---|\n"
    );
    let by_label = gateway::BY_ROUTE
        .into_iter()
        .chain(crate::wire::BY_ENDPOINT);
    for (name, kind, help) in by_label {
        let _ = writeln!(out, "| `{name}` | {kind} | {help} |");
    }
    let mut help: Option<(&str, &str)> = None;
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            help = rest.split_once(' ');
        } else if let Some(rest) = line.strip_prefix("# TYPE ")
            && let (Some((name, words)), Some((_, kind))) = (help.take(), rest.split_once(' '))
        {
            let _ = writeln!(
                out,
                "| `{name}` | {kind} | {} |",
                words.trim_end_matches('.')
            );
        }
    }
    out
}

fn cli() -> String {
    let mut out = format!(
        "{NOTE}# Command line\n\nEvery command takes `--help` and, where it answers with data, `--output table|json`.\n"
    );
    let mut root = crate::Args::command();
    root.build();
    command(&mut out, &root, "");
    out
}

fn command(out: &mut String, this: &Command, above: &str) {
    let name = format!("{above}{}", this.get_name());
    let about = this
        .get_about()
        .map(ToString::to_string)
        .unwrap_or_default();
    if !above.is_empty() {
        let depth = if above.matches(' ').count() > 1 {
            "###"
        } else {
            "##"
        };
        let _ = write!(out, "\n{depth} {name}\n\n{about}\n");
    }
    let mut rows = String::new();
    for arg in this.get_arguments().filter(|arg| !arg.is_hide_set()) {
        if ["help", "version"].contains(&arg.get_id().as_str())
            || (!above.is_empty() && arg.is_global_set())
        {
            continue;
        }
        let value = arg
            .get_value_names()
            .map(|names| names.join(" "))
            .unwrap_or_default();
        let takes = arg.get_action().takes_values();
        let shown = match (arg.get_long(), takes) {
            (Some(long), true) => format!("--{long} {value}"),
            (Some(long), false) => format!("--{long}"),
            (None, _) => value,
        };
        let help = arg
            .get_help()
            .map(|text| one_line(&text.to_string()))
            .unwrap_or_default();
        let _ = writeln!(rows, "| `{}` | {help} |", one_line(&shown));
    }
    if !rows.is_empty() {
        let _ = write!(out, "\n| argument | |\n|---|---|\n{rows}");
    }
    for inner in this
        .get_subcommands()
        .filter(|inner| inner.get_name() != "help" && !inner.is_hide_set())
    {
        command(out, inner, &format!("{name} "));
    }
}

fn endpoints() -> String {
    let mut out = format!(
        "{NOTE}# Endpoints\n\n## Issuer\n\nPaths below the issuer's URL; the well-known documents follow RFC 8414 §3 where that URL has a path.\n\n| method | path | endpoint |\n|---|---|---|\n"
    );
    if let Ok(endpoints) = issuer::metadata::Endpoints::new("https://issuer.example", false) {
        let endpoints = endpoints.with_registration();
        for endpoint in Endpoint::ALL {
            let method = endpoint.methods().join("`, `");
            let _ = writeln!(
                out,
                "| `{method}` | `{}` | {} |",
                endpoints.path(endpoint),
                endpoint.name()
            );
        }
    }
    out.push_str("\n## Admin API\n\nThe OpenAPI document is served at `/v1/openapi.json`. The action names who may: see [audit events](audit-events.md).\n\n| method | path | operation | action |\n|---|---|---|---|\n");
    for operation in Operation::all() {
        let action = operation
            .action()
            .map_or("any administrator", |action| action.name());
        let _ = writeln!(
            out,
            "| `{}` | `{}` | {} | `{action}` |",
            operation.method(),
            operation.path(),
            operation.id()
        );
    }
    out
}

fn audit_events() -> String {
    use registry::actor::Role;
    let mut out = format!(
        "{NOTE}# Audit events\n\nThe name of an act is its name in the audit trail. Who may do it:\n\n| act | owner | operator | auditor |\n|---|---|---|---|\n"
    );
    for action in registry::access::Action::ALL {
        let may = |role: Role| if action.allows(role) { "yes" } else { "–" };
        let _ = writeln!(
            out,
            "| `{}` | {} | {} | {} |",
            action.name(),
            may(Role::Owner),
            may(Role::Operator),
            may(Role::Auditor)
        );
    }
    out.push_str("\nReading leaves no event. What was refused leaves one under its own name with `refused` in its details. The process itself (first start, rotation of signing keys, resources declared in the settings file) acts as `system:<part>`; whoever registers a client, as `registration:<id of the token>` or `registration:open`.\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bars of a row that divide cells: those that are not escaped.
    fn cells(row: &str) -> usize {
        row.replace("\\|", "").matches('|').count()
    }

    #[test]
    fn every_row_of_a_table_has_as_many_cells_as_its_head() {
        for page in Page::value_variants() {
            let text = written(*page);
            let mut head = None;
            for row in text.lines() {
                if row.starts_with('|') {
                    assert_eq!(
                        cells(row),
                        *head.get_or_insert(cells(row)),
                        "{page:?}: {row}"
                    );
                } else {
                    head = None;
                }
            }
            assert!(text.contains("|---|"), "{page:?} has a table");
        }
    }
}
