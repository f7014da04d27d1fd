//! **The command line**: what people do with a Doorward that runs, over its admin API, and with
//! tokens on their own machine. It decides nothing: the server judges, this room asks and prints.
//!
//! A command prints its result on standard output and remarks on standard error; it ends with 0, or
//! with 1 when it was refused or failed, or with 2 when it was called wrongly, after one sentence
//! and the next step. Secrets are never arguments.

mod apply;
mod audit;
mod client;
mod credential;
mod doctor;
mod explain;
mod failure;
mod flows;
mod input;
mod policy;
mod relation;
mod resource;
mod screen;
mod secret;
mod sign;
mod signing_key;
mod status;
mod token;
mod usage;
mod user;
mod webhook;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};

use client::AdminClient;
use failure::Outcome;
use policy::PolicyAct;
use resource::{Collection, ResourceAct};
use screen::Screen;
pub(crate) use screen::{Format, counted};

/// What every command takes.
#[derive(Debug, Clone, Args)]
pub(crate) struct Global {
    /// How to print
    #[arg(long, global = true, value_enum, default_value_t = Format::Table, value_name = "FORMAT")]
    pub(crate) output: Format,
    /// The admin API's address; default: http://127.0.0.1:8082, and for `doctor` what the settings say
    #[arg(
        long,
        global = true,
        env = "DOORWARD_ADMIN_URL",
        value_name = "URL",
        help_heading = "Admin API"
    )]
    pub(crate) admin_url: Option<String>,
    /// File with an admin key; default: the variable DOORWARD_ADMIN_KEY, the file named by
    /// DOORWARD_ADMIN_KEY_FILE, or what `doorward dev` left
    #[arg(long, global = true, value_name = "FILE", help_heading = "Admin API")]
    pub(crate) admin_key_file: Option<PathBuf>,
    /// PEM file with the CAs to trust instead of the public ones
    #[arg(
        long,
        global = true,
        env = "DOORWARD_CA_FILE",
        value_name = "FILE",
        help_heading = "Admin API"
    )]
    pub(crate) ca_file: Option<PathBuf>,
}

/// Commands that talk to a running Doorward, or look at tokens.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Declared APIs
    #[command(subcommand)]
    Api(ResourceAct),
    /// Applications: owners of keys, limits and usage
    #[command(subcommand)]
    Application(ResourceAct),
    /// OAuth clients and their secrets
    #[command(subcommand)]
    Client(ClientAct),
    /// Service accounts and their passwords
    #[command(subcommand)]
    Account(AccountAct),
    /// People who can log in, and their passwords
    #[command(subcommand)]
    User(user::UserAct),
    /// Issuers whose tokens are accepted
    #[command(subcommand)]
    Issuer(ResourceAct),
    /// Who has what to do with which object: tuples, and what follows from them
    #[command(subcommand)]
    Relation(relation::RelationAct),
    /// Models of relations: types, and who may have what to do with their objects
    #[command(subcommand)]
    RelationModel(ResourceAct),
    /// API keys
    #[command(subcommand)]
    Key(credential::KeyAct),
    /// Secrets and public keys that requests are signed with
    #[command(subcommand)]
    Secret(secret::SigningSecretAct),
    /// Messages for endpoints of others: sent until they are taken, or kept as dead letters
    #[command(subcommand)]
    Webhook(webhook::WebhookAct),
    /// Administrators' keys
    #[command(subcommand)]
    AdminKey(credential::AdminKeyAct),
    /// Tokens with which clients are registered, or manage themselves
    #[command(subcommand)]
    RegistrationToken(credential::RegistrationTokenAct),
    /// Keys that sign tokens and checkpoints
    #[command(subcommand)]
    SigningKey(signing_key::SigningKeyAct),
    /// What people allowed clients: refresh families, ended with their tokens
    #[command(subcommand)]
    Grant(flows::FlowAct),
    /// People's sessions with the issuer
    #[command(subcommand)]
    Session(flows::FlowAct),
    /// Declares what files say, after showing the plan
    Apply(apply::ApplyArgs),
    /// Shows what applying files would change
    Diff(apply::DiffArgs),
    /// Writes what is declared as files
    Export(apply::ExportArgs),
    /// The audit trail
    #[command(subcommand)]
    Audit(audit::AuditAct),
    /// The log of judged calls
    #[command(subcommand)]
    Decisions(audit::DecisionsAct),
    /// What was used, how often and when last: credentials, secrets, keys, certificates, clients
    Usage(usage::UsageArgs),
    /// How a call would be judged, step by step and why; or how one was. Nothing comes of it
    Explain(explain::ExplainArgs),
    /// Policies: tests, traces, the matrix of functions, and what a change would mean
    #[command(subcommand)]
    Policy(PolicyAct),
    /// Tokens: look at, check, get, revoke
    #[command(subcommand)]
    Token(token::TokenAct),
    /// Signs a request on this machine, for `curl -K -`; sends nothing
    #[command(subcommand)]
    Sign(sign::SignAct),
    /// How the running Doorward is
    Status,
    /// Looks for what is wrong: settings, files, database, clocks, listeners, keys
    Doctor(doctor::DoctorArgs),
}

/// What can be done with clients.
#[derive(Debug, Subcommand)]
pub(crate) enum ClientAct {
    #[command(flatten)]
    Resource(ResourceAct),
    /// Refuses it, its tokens and the calls that it signs, until it is resumed
    Suspend {
        /// The client's name
        name: String,
    },
    /// Takes it and its tokens again
    Resume {
        /// The client's name
        name: String,
    },
    /// Its secrets
    #[command(subcommand)]
    Secret(credential::SecretAct),
}

/// What can be done with accounts.
#[derive(Debug, Subcommand)]
pub(crate) enum AccountAct {
    #[command(flatten)]
    Resource(ResourceAct),
    /// Refuses it until it is resumed, whatever its passwords
    Suspend {
        /// The account's name
        name: String,
    },
    /// Takes it again
    Resume {
        /// The account's name
        name: String,
    },
    /// Its passwords
    #[command(subcommand)]
    Password(credential::PasswordAct),
}

/// Runs a command to its end and says how it went.
pub(crate) async fn run(command: Command, global: &Global) -> ExitCode {
    let screen = Screen::new(global.output);
    match dispatch(command, global, screen).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            screen.note(&failure.to_string());
            ExitCode::from(failure.code())
        }
    }
}

async fn dispatch(command: Command, global: &Global, screen: Screen) -> Outcome<()> {
    // Asked for where it is needed only: some commands work where there is no server and no key.
    let client = || AdminClient::new(global);
    match command {
        Command::Api(act) => resource::run(Collection::Apis, act, &client()?, screen).await,
        Command::Application(act) => {
            resource::run(Collection::Applications, act, &client()?, screen).await
        }
        Command::Client(ClientAct::Resource(act)) => {
            resource::run(Collection::Clients, act, &client()?, screen).await
        }
        Command::Client(ClientAct::Suspend { name }) => {
            resource::switch(Collection::Clients, &name, "suspend", &client()?, screen).await
        }
        Command::Client(ClientAct::Resume { name }) => {
            resource::switch(Collection::Clients, &name, "resume", &client()?, screen).await
        }
        Command::Client(ClientAct::Secret(act)) => {
            credential::client_secret(act, &client()?, screen).await
        }
        Command::Account(AccountAct::Resource(act)) => {
            resource::run(Collection::Accounts, act, &client()?, screen).await
        }
        Command::Account(AccountAct::Suspend { name }) => {
            resource::switch(Collection::Accounts, &name, "suspend", &client()?, screen).await
        }
        Command::Account(AccountAct::Resume { name }) => {
            resource::switch(Collection::Accounts, &name, "resume", &client()?, screen).await
        }
        Command::Account(AccountAct::Password(act)) => {
            credential::account_password(act, &client()?, screen).await
        }
        Command::User(act) => user::run(act, &client()?, screen).await,
        Command::Issuer(act) => resource::run(Collection::Issuers, act, &client()?, screen).await,
        Command::Relation(act) => relation::run(act, &client()?, screen).await,
        Command::RelationModel(act) => {
            resource::run(Collection::RelationModels, act, &client()?, screen).await
        }
        Command::Key(act) => credential::key(act, &client()?, screen).await,
        Command::Secret(act) => secret::run(act, &client()?, screen).await,
        Command::Webhook(act) => webhook::run(act, &client()?, screen).await,
        Command::AdminKey(act) => credential::admin_key(act, &client()?, screen).await,
        Command::RegistrationToken(act) => {
            credential::registration_token(act, &client()?, screen).await
        }
        Command::SigningKey(act) => signing_key::run(act, &client()?, screen).await,
        Command::Grant(act) => flows::grants(act, &client()?, screen).await,
        Command::Session(act) => flows::sessions(act, &client()?, screen).await,
        Command::Apply(args) => apply::apply(args, &client()?, screen).await,
        Command::Diff(args) => apply::diff(args, &client()?, screen).await,
        Command::Export(args) => apply::export(args, &client()?, screen).await,
        Command::Audit(act) => audit::run(act, &client()?, screen).await,
        Command::Decisions(act) => audit::decisions(act, &client()?, screen).await,
        Command::Usage(args) => usage::run(args, &client()?, screen).await,
        Command::Explain(args) => explain::run(args, &client()?, screen).await,
        Command::Token(act) => token::run(act, global, screen).await,
        Command::Policy(PolicyAct::Resource(act)) => {
            resource::run(Collection::Policies, act, &client()?, screen).await
        }
        Command::Policy(PolicyAct::Diff(args)) => policy::diff(args, &client()?, screen).await,
        Command::Policy(PolicyAct::Local(act)) => policy::run(act, screen),
        Command::Sign(act) => sign::run(act, screen),
        Command::Status => status::run(&client()?, screen).await,
        Command::Doctor(args) => doctor::run(args, global, screen).await,
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, Parser};

    use super::*;

    #[derive(Debug, Parser)]
    struct Program {
        #[command(flatten)]
        global: Global,
        #[command(subcommand)]
        command: Command,
    }

    #[test]
    fn the_commands_fit_together() {
        Program::command().debug_assert();
    }

    #[test]
    fn i03_no_flag_takes_a_secret() {
        fn walk(command: &clap::Command, found: &mut Vec<String>) {
            for arg in command.get_arguments() {
                if let Some(long) = arg.get_long() {
                    found.push(format!("{} --{long}", command.get_name()));
                }
            }
            for command in command.get_subcommands() {
                walk(command, found);
            }
        }
        let mut found = Vec::new();
        walk(&Program::command(), &mut found);
        assert!(found.len() > 40, "{found:?}");
        let secret = |flag: &String| {
            let name = flag.rsplit("--").next().unwrap_or_default();
            ["secret", "password", "key", "admin-key", "verifier"].contains(&name)
        };
        let bad: Vec<_> = found.iter().filter(|flag| secret(flag)).collect();
        assert!(bad.is_empty(), "{bad:?}");
    }
}
