//! OPA's own cases, run on what calls are judged by. Which of them do not hold, and how, stands in a
//! golden file: a change of the engine shows there before a call meets it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Read as _;

use flate2::read::GzDecoder;
use regorus::{Engine, Value};
use serde::Deserialize;
use serde_json::Value as Json;

use super::host::Host;
use super::{Limits, Module, Source, Version, machine};

const CASES: &[u8] = include_bytes!("../../../../../vectors/opa-conformance/cases.json.gz");

#[derive(Deserialize)]
struct Suite {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    group: String,
    note: String,
    query: String,
    #[serde(default)]
    modules: Vec<String>,
    data: Option<Json>,
    input: Option<Json>,
    input_term: Option<String>,
    want_result: Option<Vec<BTreeMap<String, Json>>>,
    want_error: Option<String>,
    want_error_code: Option<String>,
    #[serde(default)]
    strict_error: bool,
    #[serde(default)]
    sort_bindings: bool,
}

/// How a case went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Went {
    Holds,
    /// Not a question that a policy is asked.
    NotAsked,
    /// The policy is refused before a call meets it.
    Refused,
    /// There is an error where OPA has a value: it denies.
    Failed,
    /// There is no value where OPA has one, or an error.
    Undefined,
    /// There is a value where OPA has an error.
    Value,
    /// There is another value.
    Other,
}

impl Went {
    const ALL: [(Self, &'static str); 7] = [
        (Self::Holds, "holds"),
        (Self::NotAsked, "not asked"),
        (Self::Refused, "refused"),
        (Self::Failed, "failed"),
        (Self::Undefined, "undefined"),
        (Self::Value, "value"),
        (Self::Other, "other"),
    ];
}

/// `data.a.b = x`: the rule and the variable.
fn question(query: &str) -> Option<(&str, &str)> {
    let (rule, variable) = query.trim().split_once('=')?;
    let (rule, variable) = (rule.trim(), variable.trim());
    let letter = |byte: u8| byte == b'_' || byte.is_ascii_alphanumeric();
    let is_rule =
        rule.starts_with("data.") && rule.bytes().all(|byte| letter(byte) || byte == b'.');
    (is_rule && variable.bytes().all(letter)).then_some((rule, variable))
}

fn run(case: &Case) -> Went {
    let Some((rule, variable)) = question(&case.query) else {
        return Went::NotAsked;
    };
    let wants_error = case.want_error.is_some() || case.want_error_code.is_some();
    let modules = case.modules.iter().zip(0..).map(|(text, index)| Module {
        path: format!("module-{index}.rego"),
        text: text.clone(),
    });
    let source = Source {
        modules: modules.collect(),
        data: case.data.clone().unwrap_or_else(|| serde_json::json!({})),
        entrypoint: Some(rule.to_owned()),
    };
    let version = match Version::compile(&source) {
        Ok(version) => version,
        Err(_) if wants_error => return Went::Holds,
        Err(_) => return Went::Refused,
    };
    let input = match (&case.input_term, &case.input) {
        (Some(term), _) => {
            let results = Engine::new().eval_query(term.clone(), false);
            let value = results.ok().and_then(|all| {
                let first = all.result.into_iter().next()?;
                first.expressions.into_iter().next()
            });
            value.map_or(Value::Undefined, |expression| expression.value)
        }
        (None, Some(json)) => Value::from(json.clone()),
        (None, None) => Value::Undefined,
    };
    let limits = Limits {
        time: core::time::Duration::from_secs(5),
        ..Limits::default()
    };
    let host = Host::new(Some(1_750_000_000_000_000_000));
    let answer = machine::run(&version, input.clone(), host.clone(), limits).and_then(|value| {
        if version.is_confirmed() && value != Value::Undefined {
            machine::confirm(&version, input, &host, limits, &value)?;
        }
        Ok(value)
    });
    let expected = case
        .want_result
        .as_ref()
        .map(|results| results.first().and_then(|first| first.get(variable)));
    match (answer, expected) {
        (Err(_), _) if wants_error => Went::Holds,
        (Err(_), _) => Went::Failed,
        // OPA tells of errors of builtins where it is asked to be strict; else they are undefined.
        (Ok(Value::Undefined), _) if wants_error && case.strict_error => Went::Holds,
        (Ok(Value::Undefined), Some(None)) => Went::Holds,
        (Ok(Value::Undefined), _) => Went::Undefined,
        (Ok(_), _) if wants_error => Went::Value,
        (Ok(value), Some(Some(wanted))) => {
            let mut got = serde_json::to_value(&value).unwrap_or(Json::Null);
            let mut wanted = wanted.clone();
            if case.sort_bindings {
                sort(&mut got);
                sort(&mut wanted);
            }
            if same(&got, &wanted) {
                Went::Holds
            } else {
                Went::Other
            }
        }
        (Ok(_), _) => Went::Other,
    }
}

/// How many cases of a group hold, and the others.
type Group<'a> = (usize, Vec<(Went, &'a str)>);

fn sort(value: &mut Json) {
    if let Json::Array(items) = value {
        items.sort_by_key(Json::to_string);
    }
}

/// Equal as JSON: `1` and `1.0` are one number.
fn same(one: &Json, other: &Json) -> bool {
    match (one, other) {
        (Json::Number(one), Json::Number(other)) => one == other || one.as_f64() == other.as_f64(),
        (Json::Array(one), Json::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(one, other))
        }
        (Json::Object(one), Json::Object(other)) => {
            one.len() == other.len()
                && one
                    .iter()
                    .all(|(name, value)| other.get(name).is_some_and(|other| same(value, other)))
        }
        _ => one == other,
    }
}

#[test]
fn opas_cases_hold_but_for_those_that_are_listed() {
    let mut text = String::new();
    GzDecoder::new(CASES)
        .read_to_string(&mut text)
        .expect("is gzip");
    let suite: Suite = serde_json::from_str(&text).expect("is JSON");
    assert!(suite.cases.len() > 2_000);
    let mut totals: BTreeMap<Went, usize> = BTreeMap::new();
    let mut groups: BTreeMap<&str, Group<'_>> = BTreeMap::new();
    for case in &suite.cases {
        let went = std::panic::catch_unwind(|| run(case)).unwrap_or(Went::Failed);
        *totals.entry(went).or_default() += 1;
        let group = groups.entry(&case.group).or_default();
        match went {
            Went::Holds => group.0 += 1,
            other => group.1.push((other, &case.note)),
        }
    }
    let mut list = String::new();
    for (went, name) in Went::ALL {
        let many = totals.get(&went).copied().unwrap_or_default();
        writeln!(list, "{name}: {many}").expect("fits");
    }
    for (group, (holds, mut others)) in groups {
        let all = holds + others.len();
        if others.is_empty() {
            continue;
        }
        writeln!(list, "\n{group}: {holds} of {all}").expect("fits");
        others.sort();
        for (went, note) in others {
            let name = Went::ALL
                .iter()
                .find(|(one, _)| *one == went)
                .map_or("", |one| one.1);
            writeln!(list, "  {name}: {note}").expect("fits");
        }
    }
    insta::assert_snapshot!(list);
}
