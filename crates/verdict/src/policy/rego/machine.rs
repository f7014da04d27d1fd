//! Asks a version: the machine runs, stops where it needs one of our functions, and goes on with its
//! answer. Whatever goes wrong is a failure with its words, never an answer.

use core::num::NonZeroU32;
use std::panic::{AssertUnwindSafe, catch_unwind};

use regorus::rvm::vm::{ExecutionMode, RegoVM, SuspendReason};
use regorus::utils::limits::ExecutionTimerConfig;
use regorus::{Engine, Value};
use serde::Deserialize as _;

use super::decision::{Failure, Outcome};
use super::host::{self, Host};
use super::version::Version;
use super::{FUNCTIONS, Limits};

/// Instructions between two looks at the clock.
const CHECK_INTERVAL: NonZeroU32 = NonZeroU32::new(256).expect("256 is not zero");

/// Asks a version.
pub(super) fn decide(version: &Version, input: &serde_json::Value, limits: Limits) -> Outcome {
    let Ok(data) = Value::deserialize(input) else {
        return Outcome::Failed(Failure::Input);
    };
    let host = Host::new(host::now_of(input));
    // The engine promises not to panic and does not prove it; what the caller sent may not show.
    let run = AssertUnwindSafe(|| {
        let value = run(version, data.clone(), host.clone(), limits)?;
        let outcome = Outcome::read(&value);
        if version.is_confirmed() && matches!(outcome, Outcome::Allow(_)) {
            confirm(version, data, &host, limits, &value)?;
        }
        Ok(outcome)
    });
    match catch_unwind(run) {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(failure)) => Outcome::Failed(failure),
        Err(_) => Outcome::Failed(Failure::Engine("the engine broke off".to_owned())),
    }
}

pub(super) fn timer(limits: Limits) -> ExecutionTimerConfig {
    ExecutionTimerConfig {
        limit: limits.time,
        check_interval: CHECK_INTERVAL,
    }
}

/// The entrypoint's value.
pub(super) fn run(
    version: &Version,
    input: Value,
    mut host: Host,
    limits: Limits,
) -> Result<Value, Failure> {
    let mut vm = RegoVM::new();
    vm.set_max_instructions(limits.instructions);
    vm.set_execution_timer_config(Some(timer(limits)));
    vm.load_program(version.program.clone());
    vm.set_data(version.data.clone())
        .map_err(|error| Failure::of_machine(&error))?;
    vm.set_input(input);
    if version.program.has_host_await() {
        vm.set_execution_mode(ExecutionMode::Suspendable);
    }
    let mut value = vm.execute_entry_point_by_index(0);
    loop {
        let done = value.map_err(|error| Failure::of_machine(&error))?;
        let (name, arguments) = match vm.suspend_reason() {
            None => return Ok(done),
            Some(SuspendReason::HostAwait {
                argument,
                identifier,
                ..
            }) => (identifier.clone(), argument.clone()),
            Some(_) => return Err(Failure::Engine("the machine stopped".to_owned())),
        };
        let arguments = arguments.as_array().map(|list| list.to_vec());
        let (Ok(name), Ok(arguments)) = (name.as_string(), arguments) else {
            return Err(Failure::Engine("a function was called oddly".to_owned()));
        };
        value = vm.resume(Some(host.call(name, &arguments)?));
    }
}

/// Asks the interpreter, which takes two values of one name for the error that it is.
pub(super) fn confirm(
    version: &Version,
    input: Value,
    host: &Host,
    limits: Limits,
    machine: &Value,
) -> Result<(), Failure> {
    let mut engine = equipped(version.engine.clone(), host)?;
    engine.set_execution_timer_config(timer(limits));
    engine.set_input(input);
    match engine.eval_rule(version.entrypoint().to_owned()) {
        Ok(value) if value == *machine => Ok(()),
        Ok(_) => Err(Failure::Disagree),
        Err(error) => Err(Failure::of_engine(&error.to_string())),
    }
}

/// The interpreter with our functions.
pub(super) fn equipped(mut engine: Engine, host: &Host) -> Result<Engine, Failure> {
    for (name, arguments) in FUNCTIONS {
        let mut host = host.clone();
        let function = move |arguments: Vec<Value>| {
            host.call(name, &arguments)
                .map_err(|failure| anyhow::Error::msg(failure.to_string()))
        };
        let arguments = u8::try_from(arguments).unwrap_or(u8::MAX);
        engine
            .add_extension(name.to_owned(), arguments, Box::new(function))
            .map_err(|error| Failure::Engine(error.to_string()))?;
    }
    Ok(engine)
}
