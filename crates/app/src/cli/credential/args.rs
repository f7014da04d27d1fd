//! What the commands for credentials take. Never a secret: those come from files or are typed.

use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, Subcommand, ValueEnum};
use ipnet::IpNet;
use proof::issued::Environment;
use proof::time::Timestamp;
use registry::actor::Role;
use registry::key::KeyType;
use registry::units::{Moment, Period};
use web::admin::view::CreateKey;

use crate::cli::screen;

/// A point in time: RFC 3339, or a length of time from now (`90d`).
#[derive(Debug, Clone, Copy)]
pub(crate) struct End(pub(in crate::cli) Moment);

impl FromStr for End {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        end(text, screen::now())
    }
}

pub(in crate::cli) fn end(text: &str, now: Timestamp) -> Result<End, String> {
    if let Ok(period) = text.parse::<Period>() {
        return Ok(End(Moment(now.plus(period.0))));
    }
    text.parse::<Moment>().map(End).map_err(|_| {
        "give a time like 2027-01-31T00:00:00Z or a length of time like 90d".to_owned()
    })
}

pub(in crate::cli) fn environment(text: &str) -> Result<Environment, &'static str> {
    Environment::from_name(text.as_bytes()).ok_or("it is `live` or `test`")
}

/// What a credential may do.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct GrantArgs {
    /// A scope it holds; may be repeated
    #[arg(long = "scope", value_name = "SCOPE")]
    pub(super) scopes: Vec<String>,
    /// An API it may call; may be repeated; without any it may do nothing
    #[arg(long = "api", value_name = "API")]
    pub(super) apis: Vec<String>,
    /// A role it holds; may be repeated
    #[arg(long = "role", value_name = "ROLE")]
    pub(super) roles: Vec<String>,
    /// A network it may come from, e.g. 192.0.2.0/24; may be repeated; default anywhere
    #[arg(long = "network", value_name = "CIDR")]
    pub(super) networks: Vec<IpNet>,
    /// An origin that may send it (publishable keys); may be repeated
    #[arg(long = "origin", value_name = "ORIGIN")]
    pub(super) origins: Vec<String>,
}

impl GrantArgs {
    /// For what is no publishable key.
    pub(in crate::cli) fn new(
        scopes: Vec<String>,
        apis: Vec<String>,
        roles: Vec<String>,
        networks: Vec<IpNet>,
    ) -> Self {
        Self {
            scopes,
            apis,
            roles,
            networks,
            origins: Vec::new(),
        }
    }
}

/// A new key.
#[derive(Debug, Clone, Args)]
pub(crate) struct KeyArgs {
    /// The application it belongs to
    #[arg(long, value_name = "NAME")]
    pub(super) application: String,
    /// A name for people
    #[arg(long)]
    pub(super) label: String,
    /// May stand in a web page or an app; needs an --origin
    #[arg(long)]
    pub(super) publishable: bool,
    /// The wall it stands behind; default the application's
    #[arg(long, value_name = "live|test", value_parser = environment)]
    pub(super) environment: Option<Environment>,
    #[command(flatten)]
    pub(super) grant: GrantArgs,
    /// When it ends by itself: a time, or a length of time like 90d
    #[arg(long, value_name = "TIME")]
    pub(super) expires: Option<End>,
}

impl From<KeyArgs> for CreateKey {
    fn from(args: KeyArgs) -> Self {
        Self {
            application: args.application,
            label: args.label,
            environment: args.environment,
            r#type: if args.publishable {
                KeyType::Publishable
            } else {
                KeyType::Secret
            },
            scopes: args.grant.scopes,
            apis: args.grant.apis,
            roles: args.grant.roles,
            networks: args.grant.networks,
            origins: args.grant.origins,
            expires_at: args.expires.map(|end| end.0),
        }
    }
}

/// What can be done with API keys.
#[derive(Debug, Subcommand)]
pub(crate) enum KeyAct {
    /// Makes a key and shows it once
    Create(KeyArgs),
    /// Brings in a foreign key by its hash
    Import {
        #[command(flatten)]
        key: KeyArgs,
        /// File with the hash of the whole key (`$argon2id$…`, `$2b$…` or `sha256$<hex>`); `-`: standard input
        #[arg(long, value_name = "FILE")]
        verifier_file: PathBuf,
        /// The identifying prefix under an API's `foreign_keys`; needed unless the hash is SHA-256
        #[arg(long)]
        prefix: Option<String>,
    },
    /// Lists keys
    List {
        /// Only this application's
        #[arg(long, value_name = "NAME")]
        application: Option<String>,
    },
    /// Changes what is given and leaves the rest
    Amend {
        /// The key's id
        id: String,
        /// A name for people
        #[arg(long)]
        label: Option<String>,
        #[command(flatten)]
        grant: GrantArgs,
        /// When it ends by itself: a time, a length of time like 90d, or `never`
        #[arg(long, value_name = "TIME")]
        expires: Option<String>,
    },
    /// Shows the calls with a key, hour by hour
    Usage {
        /// The key's id
        id: String,
        /// Since when: a time, or a length of time before now like 30d; default 7d
        #[arg(long, value_name = "TIME")]
        since: Option<String>,
    },
    #[command(flatten)]
    Life(LifeAct),
}

/// What can be done with every credential that exists.
#[derive(Debug, Subcommand)]
pub(crate) enum LifeAct {
    /// Shows one
    Show {
        /// Its id
        id: String,
    },
    /// Puts it to sleep
    Suspend {
        /// Its id
        id: String,
    },
    /// Wakes it up
    Resume {
        /// Its id
        id: String,
    },
    /// Makes a successor; both are valid for a while
    Rotate {
        /// Its id
        id: String,
        /// How long the old one stays valid; default 7d, 0s ends it at once
        #[arg(long, value_name = "TIME")]
        overlap: Option<Period>,
    },
    /// Ends it for good
    Revoke {
        /// Its id
        id: String,
    },
}

/// What can be done with a client's secrets.
#[derive(Debug, Subcommand)]
pub(crate) enum SecretAct {
    /// Makes a secret and shows it once
    Create {
        /// The client
        client: String,
        /// A name for people
        #[arg(long, default_value = "")]
        label: String,
        /// When it ends by itself: a time, or a length of time like 90d
        #[arg(long, value_name = "TIME")]
        expires: Option<End>,
    },
    /// Lists a client's secrets
    List {
        /// The client
        client: String,
    },
    /// Makes a successor; both are valid for a while
    Rotate {
        /// The client
        client: String,
        /// The secret's id
        id: String,
        /// How long the old one stays valid; default 7d, 0s ends it at once
        #[arg(long, value_name = "TIME")]
        overlap: Option<Period>,
    },
    /// Ends one for good
    Revoke {
        /// The client
        client: String,
        /// The secret's id
        id: String,
    },
    /// Shows how often a client authenticated with each of its secrets, and when last
    Usage {
        /// The client
        client: String,
        /// The secret's id, for its hours; default all of them beside each other
        id: Option<String>,
        /// Since when: a time, or a length of time before now like 30d; default 7d
        #[arg(long, value_name = "TIME")]
        since: Option<String>,
    },
}

/// What can be done with an account's passwords.
#[derive(Debug, Subcommand)]
pub(crate) enum PasswordAct {
    /// Sets a password, or makes one and shows it once
    Set {
        /// The account
        account: String,
        /// File with the password; `-`: standard input, or asked for on a terminal; default: one is made
        #[arg(long, value_name = "FILE")]
        password_file: Option<PathBuf>,
        /// When it ends by itself: a time, or a length of time like 90d
        #[arg(long, value_name = "TIME")]
        expires: Option<End>,
    },
    /// Makes a successor; both are valid for a while
    Rotate {
        /// The account
        account: String,
        /// The password's id
        id: String,
        /// How long the old one stays valid; default 7d, 0s ends it at once
        #[arg(long, value_name = "TIME")]
        overlap: Option<Period>,
    },
    /// Lists an account's passwords (never the passwords themselves)
    List {
        /// The account
        account: String,
    },
    /// Ends one for good
    Revoke {
        /// The account
        account: String,
        /// The password's id
        id: String,
    },
    /// Shows the calls with each of an account's passwords, and the last one
    Usage {
        /// The account
        account: String,
        /// The password's id, for its hours; default all of them beside each other
        id: Option<String>,
        /// Since when: a time, or a length of time before now like 30d; default 7d
        #[arg(long, value_name = "TIME")]
        since: Option<String>,
    },
}

/// What can be done with tokens of client registration.
#[derive(Debug, Subcommand)]
pub(crate) enum RegistrationTokenAct {
    /// Makes an initial access token, with which clients can be registered, and shows it once
    Create {
        /// For whom it is; audit events name it
        #[arg(long)]
        label: String,
        /// The wall that the clients stand behind; default live
        #[arg(long, value_name = "live|test", value_parser = environment)]
        environment: Option<Environment>,
        /// How many clients may be registered with it; default as many as there may be at all
        #[arg(long, value_name = "COUNT")]
        uses: Option<u32>,
        /// When it ends by itself: a time, or a length of time like 90d; default 7d
        #[arg(long, value_name = "TIME")]
        expires: Option<End>,
    },
    /// Lists tokens, those of registered clients among them
    List {
        /// Only this client's
        #[arg(long, value_name = "NAME")]
        client: Option<String>,
    },
    #[command(flatten)]
    Life(LifeAct),
}

/// A role of the control plane as a flag.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum RoleArg {
    /// Everything
    Owner,
    /// Everyday work
    Operator,
    /// Reads
    Auditor,
}

impl From<RoleArg> for Role {
    fn from(arg: RoleArg) -> Self {
        match arg {
            RoleArg::Owner => Self::Owner,
            RoleArg::Operator => Self::Operator,
            RoleArg::Auditor => Self::Auditor,
        }
    }
}

/// What can be done with administrators' keys.
#[derive(Debug, Subcommand)]
pub(crate) enum AdminKeyAct {
    /// Makes an administrator's key and shows it once
    Create {
        /// Whose it is; audit events name it
        #[arg(long)]
        label: String,
        /// What it may do
        #[arg(long)]
        role: RoleArg,
        /// When it ends by itself: a time, or a length of time like 90d
        #[arg(long, value_name = "TIME")]
        expires: Option<End>,
    },
    /// Lists administrators' keys
    List,
    /// Shows the calls with a key, hour by hour
    Usage {
        /// The key's id
        id: String,
        /// Since when: a time, or a length of time before now like 30d; default 7d
        #[arg(long, value_name = "TIME")]
        since: Option<String>,
    },
    #[command(flatten)]
    Life(LifeAct),
}
