//! **Rehearsal**: how a policy comes to its answer, and its own tests. The answer is the machine's, as
//! calls get it; lines and values are those of the interpreter, which goes the same way more slowly and
//! tells of it.

use core::fmt;
use std::collections::{BTreeMap, BTreeSet};

use regorus::unstable::{Expr, Module as Parsed, Rule, RuleHead};
use regorus::{Engine, Value};
use serde::Deserialize as _;
use serde_json::Value as Json;

use super::decision::{Failure, Outcome};
use super::flaw::Flaw;
use super::host::{self, Host};
use super::version::{self, Source, Version};
use super::{Limits, machine};

/// Which lines of which modules were reached.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Coverage(BTreeMap<String, Lines>);

/// Lines of one module that hold something to evaluate, from 1.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lines {
    /// Those that were reached.
    pub reached: BTreeSet<u32>,
    /// Those that were not.
    pub missed: BTreeSet<u32>,
    /// Whether no run came to the module yet, so that its lines are only where its rules begin.
    untouched: bool,
}

impl Coverage {
    /// Counts what another run reached too.
    pub fn add(&mut self, other: &Self) {
        for (path, lines) in &other.0 {
            let own = self.0.entry(path.clone()).or_insert_with(|| lines.clone());
            if lines.untouched {
                continue;
            }
            if own.untouched {
                *own = lines.clone();
            }
            own.reached.extend(&lines.reached);
            own.missed.extend(&lines.missed);
            own.missed.retain(|line| !own.reached.contains(line));
        }
    }

    /// The modules with their lines, without those that hold tests.
    pub fn files(&self) -> impl Iterator<Item = (&str, &Lines)> {
        self.0
            .iter()
            .filter(|(path, _)| !path.ends_with("_test.rego"))
            .map(|(path, lines)| (path.as_str(), lines))
    }

    /// How many lines of a hundred were reached; 100 where there is nothing to reach.
    pub fn percent(&self) -> f64 {
        let (mut reached, mut all) = (0, 0);
        for (_, lines) in self.files() {
            reached += lines.reached.len();
            all += lines.reached.len() + lines.missed.len();
        }
        if all == 0 {
            return 100.0;
        }
        #[allow(clippy::cast_precision_loss, reason = "numbers of lines")]
        let share = reached as f64 / all as f64;
        share * 100.0
    }
}

/// One decision with its way.
#[derive(Debug, Clone, PartialEq)]
pub struct Trace {
    /// The answer, as calls get it.
    pub outcome: Outcome,
    /// What the interpreter answers; `None` where it could not.
    pub second: Option<Outcome>,
    /// Every rule of the policy with its value for this input; `None` where it has none.
    pub values: Vec<(String, Option<Json>)>,
    /// What the interpreter could not evaluate, in its words.
    pub errors: Vec<String>,
    /// The lines that were reached on the way to the answer.
    pub reached: Coverage,
}

impl Version {
    /// Decides and tells the way.
    pub fn trace(&self, input: &Json, limits: Limits) -> Trace {
        let outcome = self.decide(input, limits);
        let mut trace = Trace {
            outcome,
            second: None,
            values: Vec::new(),
            errors: Vec::new(),
            reached: baseline(&self.engine),
        };
        let prepared = self.prepared(input, limits);
        let Ok(engine) = prepared else {
            return trace;
        };
        let mut run = engine.clone();
        run.set_enable_coverage(true);
        match run.eval_rule(self.entrypoint().to_owned()) {
            Ok(value) => trace.second = Some(Outcome::read(&value)),
            Err(error) => {
                let text = Flaw::of_engine(&error.to_string()).to_string();
                trace.errors.push(text);
            }
        }
        trace.reached.add(&reached(&run));
        for rule in rules(&self.engine) {
            match engine.clone().eval_rule(rule.clone()) {
                Ok(Value::Undefined) => trace.values.push((rule, None)),
                Ok(value) => {
                    let json = serde_json::to_value(&value).unwrap_or(Json::Null);
                    trace.values.push((rule, Some(json)));
                }
                // What is no rule by itself, a function above all, has no value to tell.
                Err(error) if error.to_string().contains("not a valid rule path") => {}
                Err(error) => {
                    let text = Flaw::of_engine(&error.to_string()).to_string();
                    if !trace.errors.contains(&text) {
                        trace.errors.push(text);
                    }
                    trace.values.push((rule, None));
                }
            }
        }
        trace
    }

    fn prepared(&self, input: &Json, limits: Limits) -> Result<Engine, Failure> {
        let data = Value::deserialize(input).map_err(|_| Failure::Input)?;
        let host = Host::new(host::now_of(input));
        let mut engine = machine::equipped(self.engine.clone(), &host)?;
        engine.set_execution_timer_config(machine::timer(limits));
        engine.set_input(data);
        Ok(engine)
    }
}

/// The tests that stand in Rego itself: rules whose name begins with `test_`.
pub struct Suite {
    engine: Engine,
    names: Vec<String>,
}

/// How one of them went.
#[derive(Debug, Clone, PartialEq)]
pub struct Tested {
    /// Whether it holds.
    pub passed: bool,
    /// What went wrong, where it could not be evaluated.
    pub error: Option<String>,
    /// What it printed.
    pub printed: Vec<String>,
    /// The lines that it reached.
    pub reached: Coverage,
}

impl Suite {
    /// Reads modules with their tests. There need be no entrypoint.
    ///
    /// # Errors
    /// What can't be read.
    pub fn read(source: &Source) -> Result<Self, Vec<Flaw>> {
        let mut engine = version::read(source)?;
        // As OPA's tests have it: what a builtin can't take is undefined.
        engine.set_strict_builtin_errors(false);
        let data = Value::deserialize(&source.data);
        let data = data.map_err(|_| vec![Flaw::new("a policy's data is an object")])?;
        engine
            .add_data(data)
            .map_err(|error| vec![Flaw::of_engine(&error.to_string())])?;
        let is_test = |rule: &String| {
            let name = rule.rsplit('.').next().unwrap_or_default();
            name.starts_with("test_")
        };
        let names = rules(&engine).into_iter().filter(is_test).collect();
        Ok(Self { engine, names })
    }

    /// The tests' names, as `data.orders_test.test_owner`.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// What there is to reach.
    pub fn lines(&self) -> Coverage {
        baseline(&self.engine)
    }

    /// Runs one.
    pub fn run(&self, name: &str, limits: Limits) -> Tested {
        let failed = |error: String| Tested {
            passed: false,
            error: Some(error),
            printed: Vec::new(),
            reached: Coverage::default(),
        };
        let mut engine = match machine::equipped(self.engine.clone(), &Host::new(None)) {
            Ok(engine) => engine,
            Err(failure) => return failed(failure.to_string()),
        };
        engine.set_execution_timer_config(machine::timer(limits));
        engine.set_enable_coverage(true);
        let (passed, error) = match engine.eval_rule(name.to_owned()) {
            Ok(value) => (value == Value::Bool(true), None),
            Err(error) => {
                let text = Flaw::of_engine(&error.to_string()).to_string();
                (false, Some(text))
            }
        };
        Tested {
            passed,
            error,
            printed: engine.take_prints().unwrap_or_default(),
            reached: reached(&engine),
        }
    }
}

impl fmt::Debug for Suite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Suite")
            .field("names", &self.names)
            .finish_non_exhaustive()
    }
}

/// What a run reached.
fn reached(engine: &Engine) -> Coverage {
    let Ok(report) = engine.get_coverage_report() else {
        return Coverage::default();
    };
    let files = report.files.into_iter().map(|file| {
        let mut lines = Lines {
            reached: file.covered,
            missed: file.not_covered,
            untouched: false,
        };
        lines.missed.retain(|line| !lines.reached.contains(line));
        (file.path, lines)
    });
    Coverage(files.collect())
}

/// Every module with nothing reached. A run tells the lines of the modules it came to alone, so the
/// others are known by where their rules begin.
fn baseline(engine: &Engine) -> Coverage {
    let mut engine = engine.clone();
    let files = engine.get_modules().iter().map(|module| {
        let missed = module
            .policy
            .iter()
            .filter(|rule| matches!(&***rule, Rule::Spec { bodies, .. } if !bodies.is_empty()))
            .map(|rule| rule.span().line)
            .collect();
        let path = module.package.span.source.get_path().clone();
        let lines = Lines {
            reached: BTreeSet::new(),
            missed,
            untouched: true,
        };
        (path, lines)
    });
    Coverage(files.collect())
}

/// Every rule that has a value, as `data.orders.allow`.
fn rules(engine: &Engine) -> Vec<String> {
    let packages = engine.get_packages().unwrap_or_default();
    let mut engine = engine.clone();
    let mut found = BTreeSet::new();
    for (module, package) in engine.get_modules().iter().zip(packages) {
        found.extend(heads(module).map(|name| format!("{package}.{name}")));
    }
    found.into_iter().collect()
}

fn heads(module: &Parsed) -> impl Iterator<Item = String> {
    module.policy.iter().filter_map(|rule| {
        let mut head = match &**rule {
            Rule::Spec {
                head: RuleHead::Compr { refr, .. } | RuleHead::Set { refr, .. },
                ..
            } => refr,
            Rule::Default { refr, args, .. } if args.is_empty() => refr,
            _ => return None,
        };
        loop {
            match &**head {
                Expr::Var { span, .. } => return Some(span.text().to_owned()),
                Expr::RefDot { refr, .. } | Expr::RefBrack { refr, .. } => head = refr,
                _ => return None,
            }
        }
    })
}
