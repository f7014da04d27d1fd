//! Runs tests. A case is an input with the answer it should get; it is asked of the machine that calls
//! are asked of, and of the interpreter, and both must say the same.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Map, Value};
use verdict::policy::rego::{
    Coverage, Limits, Obligations, Outcome as Answer, Source, Suite, Trace,
};

use super::collect::{Found, document};
use crate::cli::failure::{Failure, Outcome};
use crate::policies;

/// Largest file of cases.
const MOST_TEXT: u64 = 4 << 20;

/// Every test with its result.
#[derive(Debug, Default)]
pub(super) struct Results {
    /// In the order in which they ran.
    pub(super) tests: Vec<Test>,
    /// What they reached together.
    pub(super) reached: Coverage,
}

/// One test.
#[derive(Debug)]
pub(super) struct Test {
    /// The file it stands in, or the package for tests in Rego.
    pub(super) place: String,
    /// Its name.
    pub(super) name: String,
    /// Why it failed; empty if it did not.
    pub(super) wrong: Vec<String>,
    /// What it printed.
    pub(super) printed: Vec<String>,
}

impl Test {
    /// Whether it holds.
    pub(super) fn passed(&self) -> bool {
        self.wrong.is_empty()
    }
}

/// A file of cases.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    /// Files of Rego, from this file's folder.
    #[serde(default)]
    policy: OneOrMany,
    /// A file with `Policy` documents.
    document: Option<PathBuf>,
    /// Which of them.
    name: Option<String>,
    /// Data for all cases.
    #[serde(default)]
    data: Map<String, Value>,
    /// Files of data, from this file's folder.
    #[serde(default)]
    data_files: Vec<PathBuf>,
    entrypoint: Option<String>,
    /// What the inputs of all cases have.
    #[serde(default)]
    input: Map<String, Value>,
    cases: Vec<Case>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(PathBuf),
    Many(Vec<PathBuf>),
    #[default]
    None,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    #[serde(default)]
    input: Map<String, Value>,
    data: Option<Map<String, Value>>,
    expect: Expected,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Expected {
    /// `allow`, `deny`, `undefined`, `failed`.
    Word(String),
    Whole(Whole),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Whole {
    allow: bool,
    reason: Option<String>,
    code: Option<String>,
    obligations: Option<Value>,
}

/// Runs everything that was found.
pub(super) fn run(found: &Found) -> Outcome<Results> {
    let mut results = Results::default();
    for file in &found.cases {
        cases(file, &mut results)?;
    }
    if !found.modules.is_empty() {
        suite(found, &mut results)?;
    }
    if results.tests.is_empty() {
        return Err(Failure::usage("There is no test in these places.")
            .next("write cases into a .test.yaml, or rules test_… in Rego"));
    }
    Ok(results)
}

fn suite(found: &Found, results: &mut Results) -> Outcome<()> {
    let source = Source {
        modules: found.modules.clone(),
        data: Value::Object(found.data.clone()),
        entrypoint: None,
    };
    let suite = Suite::read(&source).map_err(|flaws| {
        let lines = flaws.iter().map(ToString::to_string).collect();
        Failure::new("The policies can not be read.").lines(lines)
    })?;
    results.reached.add(&suite.lines());
    let limits = Limits {
        time: core::time::Duration::from_secs(5),
        ..Limits::default()
    };
    for name in suite.names() {
        let tested = suite.run(name, limits);
        results.reached.add(&tested.reached);
        let (place, rule) = name.rsplit_once('.').unwrap_or(("", name));
        let wrong = match (tested.passed, tested.error) {
            (true, _) => Vec::new(),
            (false, Some(error)) => vec![error],
            (false, None) => vec!["it does not hold".to_owned()],
        };
        results.tests.push(Test {
            place: place.to_owned(),
            name: rule.to_owned(),
            wrong,
            printed: tested.printed,
        });
    }
    Ok(())
}

fn cases(path: &Path, results: &mut Results) -> Outcome<()> {
    let told = |flaw: String| Failure::usage(format!("{}: {flaw}.", path.display()));
    let text = policies::text_of(path, MOST_TEXT).map_err(told)?;
    let file: File = serde_saphyr::from_str(&text).map_err(|error| told(error.to_string()))?;
    let source = policy(path, &file)?;
    let version = super::compiled(&source)?;
    for case in &file.cases {
        // Data of its own makes the policy another one.
        let own = match &case.data {
            None => None,
            Some(data) => {
                let mut source = source.clone();
                if let Value::Object(there) = &mut source.data {
                    there.extend(data.clone());
                }
                Some(super::compiled(&source)?)
            }
        };
        let mut input = file.input.clone();
        overlay(&mut input, case.input.clone());
        let asked = own.as_ref().unwrap_or(&version);
        let trace = asked.trace(&Value::Object(input), Limits::default());
        results.reached.add(&trace.reached);
        results.tests.push(Test {
            place: path.display().to_string(),
            name: case.name.clone(),
            wrong: judge(&case.expect, &trace).map_err(told)?,
            printed: Vec::new(),
        });
    }
    Ok(())
}

/// What a case has stands in place of what all have, member by member.
fn overlay(base: &mut Map<String, Value>, own: Map<String, Value>) {
    for (key, value) in own {
        match (base.get_mut(&key), value) {
            (Some(Value::Object(there)), Value::Object(value)) => overlay(there, value),
            (_, value) => {
                base.insert(key, value);
            }
        }
    }
}

fn policy(path: &Path, file: &File) -> Outcome<Source> {
    let base = path.parent().unwrap_or(Path::new("."));
    let modules = match (&file.policy, &file.document) {
        (OneOrMany::None, Some(written)) => {
            let mut source = document(&base.join(written), file.name.as_deref())?;
            if let Value::Object(there) = &mut source.data {
                there.extend(file.data.clone());
            }
            return Ok(source);
        }
        (OneOrMany::One(one), None) => vec![one.clone()],
        (OneOrMany::Many(many), None) => many.clone(),
        _ => {
            return Err(
                Failure::usage(format!("{} names no policy, or two.", path.display()))
                    .next("write `policy: orders.rego`, or `document: policies.yaml`"),
            );
        }
    };
    let files = registry::policy::PolicyFiles {
        modules: modules.iter().map(|file| base.join(file)).collect(),
        data: file.data_files.iter().map(|file| base.join(file)).collect(),
        written: Value::Object(file.data.clone()),
        entrypoint: file.entrypoint.clone(),
    };
    policies::read(&files, Path::new(""))
        .map_err(|flaws| Failure::new("The policy can not be read.").lines(flaws))
}

/// What of an answer is not as it should be.
fn judge(expected: &Expected, trace: &Trace) -> Result<Vec<String>, String> {
    let got = &trace.outcome;
    let mut wrong = Vec::new();
    let because = || match got.reason() {
        Some(reason) => format!("{}: {reason}", got.name()),
        None => got.name().to_owned(),
    };
    match expected {
        Expected::Word(word) => {
            if !["allow", "deny", "undefined", "failed"].contains(&word.as_str()) {
                return Err(format!("`{word}` is no answer of a policy"));
            }
            if got.name() != word {
                wrong.push(format!("{word} is expected, and it answers {}", because()));
            }
        }
        Expected::Whole(whole) => {
            let said = match got {
                Answer::Allow(said) if whole.allow => said,
                Answer::Deny(said) if !whole.allow => said,
                _ => {
                    let word = if whole.allow { "allow" } else { "deny" };
                    wrong.push(format!("{word} is expected, and it answers {}", because()));
                    return Ok(wrong);
                }
            };
            for (what, expected, got) in [
                ("reason", &whole.reason, &said.reason),
                ("code", &whole.code, &said.code),
            ] {
                if expected.is_some() && expected != got {
                    let got = got.as_deref().unwrap_or("none");
                    let expected = expected.as_deref().unwrap_or_default();
                    wrong.push(format!("the {what} is `{got}` and not `{expected}`"));
                }
            }
            if let Some(expected) = &whole.obligations
                && Obligations::read(expected.clone())? != said.obligations
            {
                let got = said.obligations.to_json();
                wrong.push(format!("the obligations are {got} and not {expected}"));
            }
        }
    }
    // The same answer by both ways, or an error that the machine passes over is hidden in it.
    if let Some(second) = &trace.second
        && second != got
        && !matches!(got, Answer::Failed(_))
    {
        wrong.push(format!(
            "the interpreter answers {}, which is an error of the engine",
            second.name()
        ));
    }
    if wrong.is_empty() && got.allows() {
        wrong.extend(
            trace
                .errors
                .iter()
                .map(|error| format!("it allows over an error: {error}")),
        );
    }
    Ok(wrong)
}
