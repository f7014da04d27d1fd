//! `policy matrix`: every function of every API with what it asks for, and who would have it. A file
//! of it, kept beside the settings, shows in a review what a change of rules means; `--check` fails
//! where the two differ.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::PathBuf;

use clap::Args;
use registry::api::{ApiMeaning, RouteMeaning};
use serde::Serialize;
use verdict::identity::Scopes;
use verdict::policy::Place;
use verdict::route::Demand;

use crate::cli::failure::{Failure, Outcome};
use crate::cli::screen::Screen;
use crate::settings::{self, Mode};

/// Of which settings, and what to do with it.
#[derive(Debug, Args)]
pub(crate) struct MatrixArgs {
    /// The settings file
    #[arg(long, value_name = "FILE", default_value = "doorward.yaml")]
    config: PathBuf,
    /// One API alone
    #[arg(long, value_name = "NAME")]
    api: Option<String>,
    /// Compare with this file (Markdown, as printed), and fail where it differs
    #[arg(long, value_name = "FILE")]
    check: Option<PathBuf>,
}

/// A function: a method of a route.
#[derive(Debug, Serialize)]
struct Function {
    api: String,
    route: String,
    method: String,
    path: String,
    /// What its caller shows; empty: anybody may call it.
    credentials: Vec<String>,
    scopes: Vec<String>,
    any_role: Vec<String>,
    objects: Vec<String>,
    policies: Vec<String>,
    /// Parameters that nothing judges.
    unguarded: Vec<String>,
    /// For each scope and role of the API: whether a caller with that alone gets as far as objects and
    /// policies.
    holders: Vec<Holder>,
}

#[derive(Debug, Serialize)]
struct Holder {
    /// `scope orders:read`, `role clerk`, `nothing`.
    with: String,
    passes: bool,
}

pub(super) fn run(args: &MatrixArgs, screen: Screen) -> Outcome<()> {
    let env = |name: &str| std::env::var(name).ok();
    let loaded = settings::load(&args.config, &env, Mode::Serve)
        .map_err(|flaws| Failure::new(flaws.to_string()))?;
    let apis: Vec<_> = loaded
        .meaning
        .apis
        .iter()
        .filter(|api| {
            args.api
                .as_deref()
                .is_none_or(|name| api.judged.name.as_str() == name)
        })
        .collect();
    if apis.is_empty() {
        let what = args.api.as_deref().unwrap_or("one");
        return Err(Failure::new(format!("The settings declare no API {what}.")));
    }
    let functions: Vec<_> = apis.iter().flat_map(|api| functions(api)).collect();
    if screen.is_json() {
        screen.json(&functions)?;
    }
    let text = markdown(&functions);
    if let Some(file) = &args.check {
        let kept = std::fs::read_to_string(file).map_err(|error| {
            Failure::new(format!("{} can not be read: {error}.", file.display()))
        })?;
        let changed = differences(&kept, &text);
        if !changed.is_empty() {
            return Err(
                Failure::new(format!("The rules are not those of {}.", file.display()))
                    .lines(changed),
            );
        }
        return match screen.is_json() {
            true => Ok(()),
            false => screen.line(&format!("The rules are those of {}.", file.display())),
        };
    }
    if screen.is_json() {
        return Ok(());
    }
    screen.line(text.trim_end())
}

/// The lines that one has and the other has not.
fn differences(kept: &str, now: &str) -> Vec<String> {
    let (kept_lines, now_lines): (Vec<_>, Vec<_>) = (kept.lines().collect(), now.lines().collect());
    let gone = kept_lines
        .iter()
        .filter(|line| !now_lines.contains(line))
        .map(|line| format!("- {line}"));
    let new = now_lines
        .iter()
        .filter(|line| !kept_lines.contains(line))
        .map(|line| format!("+ {line}"));
    gone.chain(new).collect()
}

fn functions(api: &ApiMeaning) -> Vec<Function> {
    let roles: BTreeSet<&str> = api
        .routes
        .iter()
        .flat_map(|route| &route.judged.rule.any_role)
        .map(|role| role.as_str())
        .collect();
    api.routes
        .iter()
        .flat_map(|route| {
            let methods: Vec<_> = route.methods.iter().map(http::Method::as_str).collect();
            let methods = if methods.is_empty() {
                vec!["*"]
            } else {
                methods
            };
            let roles = &roles;
            methods
                .into_iter()
                .map(move |method| function(api, route, method, roles))
        })
        .collect()
}

fn function(
    api: &ApiMeaning,
    route: &RouteMeaning,
    method: &str,
    roles: &BTreeSet<&str>,
) -> Function {
    let rule = &route.judged.rule;
    let credentials = match &route.judged.demand {
        Demand::Public { .. } => Vec::new(),
        Demand::OneOf(combinations) => combinations
            .iter()
            .map(|kinds| {
                let names: Vec<_> = kinds.iter().map(|kind| kind.name()).collect();
                names.join(" + ")
            })
            .collect(),
    };
    let objects = rule.objects.iter().map(|one| {
        let place = match &one.place {
            Place::Path { name, .. } => format!("{{{name}}}"),
            Place::Query(name) => format!("?{name}"),
            Place::Header(name) => name.as_str().to_owned(),
            Place::Body(pointer) => pointer.as_str().to_owned(),
        };
        let shadow = if one.shadow { " (shadow)" } else { "" };
        match &one.relation {
            Some(relation) => format!("{relation} of {}:{place}{shadow}", one.object_type),
            None => format!("{}:{place}, by policy", one.object_type),
        }
    });
    let in_shadow = rule.shadow_policies.iter();
    let policies = rule
        .policies
        .iter()
        .map(|policy| policy.name().to_string())
        .chain(in_shadow.map(|policy| format!("{} (shadow)", policy.name())));
    Function {
        api: api.judged.name.as_str().to_owned(),
        route: route.judged.name.as_str().to_owned(),
        method: method.to_owned(),
        path: format!(
            "{}{}",
            api.base_path.trim_end_matches('/'),
            route.path.written
        ),
        credentials,
        scopes: rule.scopes.iter().map(ToString::to_string).collect(),
        any_role: rule.any_role.iter().map(ToString::to_string).collect(),
        objects: objects.collect(),
        policies: policies.collect(),
        unguarded: route.unguarded.iter().map(ToString::to_string).collect(),
        holders: holders(api, route, roles),
    }
}

/// Callers with one thing alone, and whether it would do.
fn holders(api: &ApiMeaning, route: &RouteMeaning, roles: &BTreeSet<&str>) -> Vec<Holder> {
    let rule = &route.judged.rule;
    let public = matches!(route.judged.demand, Demand::Public { .. });
    let passes = |scopes: &Scopes, role: Option<&str>| {
        let rights = &api.judged.rights;
        let scoped = rule
            .scopes
            .iter()
            .all(|scope| rights.has_scope(scopes, scope));
        let mut wanted = rule.any_role.iter();
        let in_role = rule.any_role.is_empty() || wanted.any(|one| Some(one.as_str()) == role);
        public || (scoped && in_role)
    };
    let none = Scopes::default();
    let nothing = Holder {
        with: "nothing".to_owned(),
        passes: passes(&none, None),
    };
    let with_scope = api.scopes.iter().map(|(scope, _)| Holder {
        with: format!("scope {scope}"),
        passes: passes(&Scopes::new([scope.as_str()]), None),
    });
    let with_role = roles.iter().map(|role| Holder {
        with: format!("role {role}"),
        passes: passes(&none, Some(role)),
    });
    core::iter::once(nothing)
        .chain(with_scope)
        .chain(with_role)
        .collect()
}

/// One table per API, a line for each function.
fn markdown(functions: &[Function]) -> String {
    let mut text = String::new();
    let mut api = None;
    for function in functions {
        if api != Some(&function.api) {
            api = Some(&function.api);
            let _ = write!(text, "\n## {}\n\n| function | asks for |", function.api);
            for holder in &function.holders {
                let _ = write!(text, " {} |", holder.with);
            }
            text.push_str("\n|---|---|");
            text.push_str(&"---|".repeat(function.holders.len()));
            text.push('\n');
        }
        let _ = write!(
            text,
            "| {} {} | {} |",
            function.method,
            function.path,
            asked(function)
        );
        for holder in &function.holders {
            let _ = write!(text, " {} |", if holder.passes { "yes" } else { "–" });
        }
        text.push('\n');
    }
    text.trim_start().to_owned()
}

fn asked(function: &Function) -> String {
    if function.credentials.is_empty() {
        return "public".to_owned();
    }
    let mut parts = vec![function.credentials.join(" or ")];
    if !function.scopes.is_empty() {
        parts.push(format!("scope {}", function.scopes.join(" and ")));
    }
    if !function.any_role.is_empty() {
        parts.push(format!("role {}", function.any_role.join(" or ")));
    }
    parts.extend(function.objects.iter().cloned());
    parts.extend(
        function
            .policies
            .iter()
            .map(|name| format!("policy {name}")),
    );
    let open = function.unguarded.iter();
    parts.extend(open.map(|name| format!("**any {{{name}}}**")));
    parts.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_line_shows_as_it_was_and_as_it_is() {
        let changed = differences("a\nb\nc\n", "a\nB\nc\n");
        assert_eq!(changed, ["- b", "+ B"]);
        assert!(differences("a\n", "a\n").is_empty());
    }
}
