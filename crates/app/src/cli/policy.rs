//! `policy …`: what can be known of a policy before a call meets it. Tests, traces and the matrix are
//! made on this machine, by the very code that judges calls; what a change would mean for recorded
//! calls is asked of the server that has them.

mod cases;
mod collect;
mod diff;
mod matrix;
mod report;

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::Value;
use verdict::policy::rego::{Limits, Outcome as Answer, Source, Trace, Version};

use super::failure::{Failure, Outcome};
use super::resource::ResourceAct;
use super::screen::Screen;
use crate::policies;
pub(crate) use diff::diff;

/// Largest input that is read.
const MOST_INPUT: u64 = 16 << 20;

/// What can be done with policies.
#[derive(Debug, Subcommand)]
pub(crate) enum PolicyAct {
    #[command(flatten)]
    Local(LocalAct),
    /// Shows what a change of policies, or of any documents, would mean for the recorded calls
    Diff(diff::DiffArgs),
    #[command(flatten)]
    Resource(ResourceAct),
}

/// What can be done with policies on this machine.
#[derive(Debug, Subcommand)]
pub(crate) enum LocalAct {
    /// Runs a policy's tests: cases in `*.test.yaml`, and rules `test_…` in Rego
    Test(TestArgs),
    /// Shows how a policy decides about one input: answer, reason, values of its rules, lines reached
    Explain(ExplainArgs),
    /// Shows what each method of each route asks for, and who would have it
    Matrix(matrix::MatrixArgs),
}

/// Which tests, and how good they must be.
#[derive(Debug, Args)]
pub(crate) struct TestArgs {
    /// Files and folders with policies and tests
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Fail if less than so many of a hundred lines were reached
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(0..=100))]
    coverage: Option<u8>,
    /// Write the results as JUnit's XML too
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
}

/// Which policy, and about what.
#[derive(Debug, Args)]
pub(crate) struct ExplainArgs {
    /// A file of Rego, a folder, or a file with `Policy` documents
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// The input as JSON or YAML; `-`: standard input
    #[arg(long, value_name = "FILE")]
    input: PathBuf,
    /// The policy's name, where the file has several
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// The rule to ask; default `decision` or `allow`
    #[arg(long, value_name = "RULE")]
    entrypoint: Option<String>,
}

/// Runs a command.
pub(crate) fn run(act: LocalAct, screen: Screen) -> Outcome<()> {
    match act {
        LocalAct::Test(args) => test(&args, screen),
        LocalAct::Explain(args) => explain(args, screen),
        LocalAct::Matrix(args) => matrix::run(&args, screen),
    }
}

fn test(args: &TestArgs, screen: Screen) -> Outcome<()> {
    let found = collect::collect(&args.paths)?;
    let results = cases::run(&found)?;
    if let Some(file) = &args.junit {
        std::fs::write(file, report::junit(&results)).map_err(|error| {
            Failure::new(format!("{} can not be written: {error}.", file.display()))
        })?;
    }
    report::show(&results, screen)?;
    let failed = results.tests.iter().filter(|test| !test.passed()).count();
    if failed > 0 {
        let many = results.tests.len();
        return Err(Failure::new(format!("{failed} of {many} tests failed.")));
    }
    let percent = results.reached.percent();
    match args.coverage {
        Some(floor) if percent < f64::from(floor) => Err(Failure::new(format!(
            "The tests reach {percent:.1} % of the policies' lines, and {floor} % are asked for."
        ))),
        _ => Ok(()),
    }
}

fn explain(args: ExplainArgs, screen: Screen) -> Outcome<()> {
    let mut source = source(&args.paths, args.name.as_deref())?;
    if args.entrypoint.is_some() {
        source.entrypoint = args.entrypoint;
    }
    let version = compiled(&source)?;
    let input = input(&args.input)?;
    let trace = version.trace(&input, Limits::default());
    if screen.is_json() {
        return screen.json(&told(&version, &trace));
    }
    let mut fields = vec![
        ("policy", version.digest()[..12].to_owned()),
        ("asked", version.entrypoint().to_owned()),
        ("answer", trace.outcome.name().to_owned()),
        ("reason", trace.outcome.reason().unwrap_or_default()),
    ];
    if let Answer::Allow(said) | Answer::Deny(said) = &trace.outcome {
        fields.push(("code", said.code.clone().unwrap_or_default()));
        if !said.obligations.is_empty() {
            fields.push(("obligations", said.obligations.to_json().to_string()));
        }
    }
    screen.fields(&fields)?;
    screen.line("")?;
    for (rule, value) in &trace.values {
        let value = value.as_ref().map_or("–".to_owned(), Value::to_string);
        screen.line(&format!("{rule} = {value}"))?;
    }
    for error in &trace.errors {
        screen.line(&format!("error: {error}"))?;
    }
    for module in &source.modules {
        let lines = trace.reached.files().find(|(path, _)| *path == module.path);
        screen.line(&format!("\n{}", module.path))?;
        for (text, number) in module.text.lines().zip(1_u32..) {
            let mark = match lines {
                Some((_, lines)) if lines.reached.contains(&number) => '>',
                Some((_, lines)) if lines.missed.contains(&number) => '·',
                _ => ' ',
            };
            screen.line(&format!("{mark} {number:>4}  {text}"))?;
        }
    }
    Ok(())
}

fn told(version: &Version, trace: &Trace) -> Value {
    let mut told = serde_json::json!({
        "version": version.digest(),
        "entrypoint": version.entrypoint(),
        "answer": trace.outcome.name(),
        "reason": trace.outcome.reason(),
        "errors": trace.errors,
    });
    if let Answer::Allow(said) | Answer::Deny(said) = &trace.outcome {
        told["code"] = said.code.clone().into();
        told["obligations"] = said.obligations.to_json();
    }
    let values = trace.values.iter();
    told["rules"] = values
        .map(|(rule, value)| match value {
            Some(value) => serde_json::json!({"rule": rule, "value": value}),
            None => serde_json::json!({"rule": rule, "undefined": true}),
        })
        .collect();
    told["lines"] = report::lines(&trace.reached);
    told
}

/// A policy from files of Rego and data, or from documents.
fn source(paths: &[PathBuf], name: Option<&str>) -> Outcome<Source> {
    if let [path] = paths
        && path.is_file()
        && path
            .extension()
            .is_some_and(|end| end == "yaml" || end == "yml")
    {
        return collect::document(path, name);
    }
    let found = collect::collect(paths)?;
    Ok(Source {
        modules: found.policies(),
        data: Value::Object(found.data),
        entrypoint: None,
    })
}

/// Compiles, or says what is wrong.
fn compiled(source: &Source) -> Outcome<Version> {
    Version::compile(source).map_err(|flaws| {
        let lines = flaws.iter().map(ToString::to_string).collect();
        Failure::new("The policy does not compile.").lines(lines)
    })
}

fn input(from: &Path) -> Outcome<Value> {
    if from == Path::new("-") {
        let mut text = String::new();
        io::stdin()
            .lock()
            .take(MOST_INPUT)
            .read_to_string(&mut text)
            .map_err(|error| Failure::new(format!("Standard input can not be read: {error}.")))?;
        // JSON is YAML.
        return serde_saphyr::from_str(&text)
            .map_err(|error| Failure::usage(format!("The input can not be read: {error}.")));
    }
    policies::data_of(from)
        .map(Value::Object)
        .map_err(|flaw| Failure::usage(format!("{flaw}.")))
}

#[cfg(test)]
mod tests;
