//! One version of a policy: its texts, compiled. Compiling is where a policy is refused: what it asks
//! for and can't have is named with its place, before any call meets it.

use core::fmt;
use std::collections::BTreeSet;
use std::sync::Arc;

use proof::digest::{hex, sha256};
use regorus::languages::rego::compiler::Compiler;
use regorus::rvm::Instruction;
use regorus::rvm::program::{Program, RuleInfo, RuleType};
use regorus::rvm::vm::RegoVM;
use regorus::unstable::{Expr, Rule, RuleAssign, RuleHead};
use regorus::{Engine, Value};
use serde::Deserialize as _;

use super::decision::Outcome;
use super::flaw::Flaw;
use super::{FUNCTIONS, Limits, machine};

/// Most modules in one policy.
pub const MAX_MODULES: usize = 1_000;

/// Builtins that the engine has and a policy may not use.
const REFUSED: [&str; 2] = ["rand.intn", "trace"];

/// A Rego file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Module {
    /// The name that flaws are reported under.
    pub path: String,
    /// Its text.
    pub text: String,
}

/// What a version is made of.
#[derive(Debug, Clone, PartialEq)]
pub struct Source {
    /// Its modules, each path once.
    pub modules: Vec<Module>,
    /// The data document: an object.
    pub data: serde_json::Value,
    /// The rule that is asked, as `data.orders.decision`; `None`: the only rule `decision` there is,
    /// or else the only `allow`.
    pub entrypoint: Option<String>,
}

impl Source {
    /// A policy of one module without data.
    pub fn inline(path: &str, text: &str) -> Self {
        Self {
            modules: vec![Module {
                path: path.to_owned(),
                text: text.to_owned(),
            }],
            data: serde_json::json!({}),
            entrypoint: None,
        }
    }
}

/// A policy's version, compiled. Shared by all who ask it.
pub struct Version {
    digest: Arc<str>,
    pub(super) entrypoint: String,
    pub(super) program: Arc<Program>,
    pub(super) data: Value,
    /// The same policy for the interpreter, prepared; cloned for each use.
    pub(super) engine: Engine,
    confirmed: bool,
}

impl Version {
    /// Compiles a policy.
    ///
    /// # Errors
    /// What is wrong with it: every module that can't be read, or else the first thing that can't be
    /// compiled.
    pub fn compile(source: &Source) -> Result<Self, Vec<Flaw>> {
        let mut engine = read(source)?;
        let data = Value::deserialize(&source.data).map_err(|_| not_an_object())?;
        if data.as_object().is_err() {
            return Err(not_an_object());
        }
        engine
            .add_data(data.clone())
            .map_err(|error| vec![Flaw::of_engine(&error.to_string())])?;
        let entrypoint = entrypoint(&engine, source)?;
        let place = |error: &str| vec![hint(source, Flaw::of_engine(error))];
        let compiled = engine
            .compile_with_entrypoint(&entrypoint.as_str().into())
            .map_err(|error| match error.to_string() {
                text if text.contains("not a valid rule path") => {
                    vec![Flaw::new(format!("there is no rule `{entrypoint}`"))]
                }
                text => place(&text),
            })?;
        let program = Compiler::compile_from_policy_with_host_await(
            &compiled,
            &[entrypoint.as_str()],
            &FUNCTIONS,
        )
        .map_err(|error| place(&error.to_string()))?;
        refused(&program, source)?;
        let mut vm = RegoVM::new();
        vm.load_program(program.clone());
        vm.set_data(data.clone()).map_err(|_| {
            vec![Flaw::hinted(
                "a rule and the data have the same path",
                "give the data another name than the package",
            )]
        })?;
        Ok(Self {
            digest: digest(source, &entrypoint).into(),
            entrypoint,
            confirmed: may_contradict(&program, &engine),
            program,
            data,
            engine,
        })
    }

    /// SHA-256 over modules, data and entrypoint, 64 hexadecimal digits: the same texts have the same
    /// on every node.
    pub fn digest(&self) -> &Arc<str> {
        &self.digest
    }

    /// The rule that is asked, as `data.orders.decision`.
    pub fn entrypoint(&self) -> &str {
        &self.entrypoint
    }

    /// Whether its rules could give two values to one name. If so, an answer that allows counts only
    /// when the interpreter gives it too.
    pub fn is_confirmed(&self) -> bool {
        self.confirmed
    }

    /// Asks this version.
    pub fn decide(&self, input: &serde_json::Value, limits: Limits) -> Outcome {
        machine::decide(self, input, limits)
    }
}

impl fmt::Debug for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Version")
            .field("digest", &self.digest)
            .field("entrypoint", &self.entrypoint)
            .finish_non_exhaustive()
    }
}

fn not_an_object() -> Vec<Flaw> {
    vec![Flaw::new("a policy's data is an object")]
}

/// Reads every module, whatever is wrong with the others.
pub(super) fn read(source: &Source) -> Result<Engine, Vec<Flaw>> {
    let mut engine = Engine::new();
    engine.set_strict_builtin_errors(true);
    engine.set_gather_prints(true);
    let mut flaws = Vec::new();
    if source.modules.is_empty() {
        flaws.push(Flaw::new("the policy has no module"));
    }
    if source.modules.len() > MAX_MODULES {
        flaws.push(Flaw::new("the policy has more than 1000 modules"));
        return Err(flaws);
    }
    let mut paths = BTreeSet::new();
    for module in &source.modules {
        if !paths.insert(&module.path) {
            flaws.push(Flaw::new(format!("`{}` is there twice", module.path)));
            continue;
        }
        if let Err(error) = engine.add_policy(module.path.clone(), module.text.clone()) {
            flaws.push(Flaw::of_engine(&error.to_string()));
        }
    }
    if flaws.is_empty() {
        Ok(engine)
    } else {
        Err(flaws)
    }
}

/// The rule to ask: the one that is written, or the only one there is.
fn entrypoint(engine: &Engine, source: &Source) -> Result<String, Vec<Flaw>> {
    if let Some(written) = &source.entrypoint {
        // OPA's bundles write `orders/decision`.
        return Ok(match written.strip_prefix("data.") {
            Some(_) => written.clone(),
            None => format!("data.{}", written.replace('/', ".")),
        });
    }
    let packages = engine
        .get_packages()
        .map_err(|error| vec![Flaw::of_engine(&error.to_string())])?;
    for rule in ["decision", "allow"] {
        let found: BTreeSet<String> = source
            .modules
            .iter()
            .zip(&packages)
            .filter(|(module, _)| {
                engine
                    .has_declared_rule_rooted_at(&module.path, rule)
                    .unwrap_or(false)
            })
            .map(|(_, package)| format!("{package}.{rule}"))
            .collect();
        match found.len() {
            0 => {}
            1 => return Ok(found.into_iter().collect()),
            _ => {
                let list: Vec<_> = found.into_iter().collect();
                return Err(vec![Flaw::hinted(
                    format!("several rules could be asked: {}", list.join(", ")),
                    "name one of them as `entrypoint`",
                )]);
            }
        }
    }
    Err(vec![Flaw::hinted(
        "there is no rule `decision` and no rule `allow`",
        "write one, or name the rule to ask as `entrypoint`",
    )])
}

/// Says of a function that is not there why it is not.
fn hint(source: &Source, mut flaw: Flaw) -> Flaw {
    const NETWORK: &str = "a policy asks nothing of the network; bring what it needs as data";
    const MACHINE: &str = "a policy knows nothing of the machine; bring what it needs as data";
    const DICE: &str = "the same call must get the same answer whenever it is asked again";
    let called = flaw.message.split(['\'', '`']).nth(1).unwrap_or_default();
    let (name, hint) = match called {
        "http.send" | "net.lookup_ip_addr" => (called, NETWORK),
        "opa.runtime" => (called, MACHINE),
        "uuid.rfc4122" => (called, DICE),
        _ if flaw.message.contains("builtin function: print") => ("print", "use it in tests only"),
        _ if flaw.message.starts_with("Unknown function") => {
            (called, "the book lists what there is")
        }
        _ if flaw.message.contains("partial object rules with") => {
            flaw.message = "a rule gives one fixed member of an object".to_owned();
            flaw.hint = Some("give the whole object in one rule, or join objects by object.union");
            return flaw;
        }
        _ if flaw.message.contains("`with` keyword") => {
            flaw.message = "`with` stands in a rule that decides".to_owned();
            flaw.hint = Some("use it in tests only");
            return flaw;
        }
        _ => return flaw,
    };
    let message = format!("a policy has no function `{name}`");
    if flaw.line == 0 {
        return Flaw {
            hint: Some(hint),
            ..named(source, name, message)
        };
    }
    Flaw {
        message,
        hint: Some(hint),
        ..flaw
    }
}

/// Refuses builtins whose answer is not the same each time.
fn refused(program: &Program, source: &Source) -> Result<(), Vec<Flaw>> {
    let flaws: Vec<_> = program
        .builtin_info_table
        .iter()
        .filter_map(|builtin| REFUSED.into_iter().find(|name| *name == builtin.name))
        .map(|name| {
            let message = format!("a policy has no function `{name}`");
            let hint = match name {
                "trace" => "it is for debugging",
                _ => "the same call must get the same answer whenever it is asked again",
            };
            Flaw {
                hint: Some(hint),
                ..named(source, name, message)
            }
        })
        .collect();
    if flaws.is_empty() { Ok(()) } else { Err(flaws) }
}

/// A flaw at the first call of a function.
fn named(source: &Source, name: &str, message: String) -> Flaw {
    let call = format!("{name}(");
    let place = source.modules.iter().find_map(|module| {
        let mut lines = module.text.lines().zip(1..);
        lines.find_map(|(line, number)| {
            let column = u32::try_from(line.find(&call)?).ok()? + 1;
            Some((module.path.clone(), number, column))
        })
    });
    match place {
        Some((file, line, column)) => Flaw {
            file: Some(file),
            line,
            column,
            ..Flaw::new(message)
        },
        None => Flaw::new(message),
    }
}

/// Whether one name could get two values at once: of two definitions, or of one that runs through
/// several things and computes its value from each.
fn may_contradict(program: &Program, engine: &Engine) -> bool {
    let computed = computed(engine);
    program.rule_infos.iter().any(|rule| {
        let several = rule.definitions.len() > 1 && !rule.early_exit_on_first_success;
        let varies = || {
            computed.iter().any(|name| {
                rule.name
                    .strip_prefix(name.as_str())
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
            })
        };
        match rule.rule_type {
            RuleType::Complete => several || (varies() && loops(program, rule)),
            RuleType::PartialObject => true,
            RuleType::PartialSet => false,
        }
    })
}

/// The rules of which a definition gives anything but a plain constant.
fn computed(engine: &Engine) -> BTreeSet<String> {
    let plain = |assign: &Option<RuleAssign>| match assign {
        None => true,
        Some(assign) => matches!(
            &*assign.value,
            Expr::String { .. }
                | Expr::RawString { .. }
                | Expr::Number { .. }
                | Expr::Bool { .. }
                | Expr::Null { .. }
        ),
    };
    let packages = engine.get_packages().unwrap_or_default();
    let mut engine = engine.clone();
    let mut names = BTreeSet::new();
    for (module, package) in engine.get_modules().iter().zip(packages) {
        for rule in &module.policy {
            let Rule::Spec {
                head: RuleHead::Compr { refr, assign, .. } | RuleHead::Func { refr, assign, .. },
                bodies,
                ..
            } = &**rule
            else {
                continue;
            };
            if plain(assign) && bodies.iter().all(|body| plain(&body.assign)) {
                continue;
            }
            let mut head = refr;
            loop {
                match &**head {
                    Expr::RefDot { refr, .. } | Expr::RefBrack { refr, .. } => head = refr,
                    other => {
                        names.insert(format!("{package}.{}", other.span().text()));
                        break;
                    }
                }
            }
        }
    }
    names
}

/// Whether a rule's own instructions run through anything.
fn loops(program: &Program, rule: &RuleInfo) -> bool {
    rule.definitions.iter().flatten().any(|entry| {
        let from = usize::try_from(*entry).unwrap_or(usize::MAX);
        let body = program.instructions.iter().skip(from);
        body.take_while(|one| !matches!(one, Instruction::RuleReturn {}))
            .any(|one| matches!(one, Instruction::LoopStart { .. }))
    })
}

/// Each part with its length, so that no two sources share one.
fn digest(source: &Source, entrypoint: &str) -> String {
    let data = source.data.to_string();
    let mut modules: Vec<_> = source.modules.iter().collect();
    modules.sort_by(|a, b| a.path.cmp(&b.path));
    let texts = modules.iter().flat_map(|one| [&one.path, &one.text]);
    let parts = [entrypoint, data.as_str()]
        .into_iter()
        .chain(texts.map(String::as_str));
    let mut bytes = Vec::new();
    for part in parts {
        bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
        bytes.extend_from_slice(part.as_bytes());
    }
    hex(&sha256(&bytes))
}
