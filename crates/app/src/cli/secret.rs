//! `secret …`: what requests are signed with, from its making to its end. A secret is printed once;
//! a provider's is read from a file or standard input.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use ipnet::IpNet;
use proof::issued::Environment;
use registry::units::Period;
use verdict::identity::SigningScheme;
use web::admin::view::{CreateSigningSecret, CredentialView, Page, RotateSigningSecret};

use super::client::AdminClient;
use super::credential::{
    self, End, GrantArgs, LifeAct, amend, environment, read_list, show_issued, state,
};
use super::failure::{Failure, Outcome};
use super::input;
use super::resource::segment;
use super::screen::{Screen, seen_from};
use super::usage;

const SECRETS: &str = "/v1/signing-secrets";

fn scheme(text: &str) -> Result<SigningScheme, String> {
    SigningScheme::from_name(text).ok_or_else(|| {
        let names: Vec<_> = SigningScheme::ALL.iter().map(|one| one.name()).collect();
        format!("it is one of {}", names.join(", "))
    })
}

/// What it may do.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Rights {
    /// A scope it holds; may be repeated
    #[arg(long = "scope", value_name = "SCOPE")]
    scopes: Vec<String>,
    /// An API it may call; may be repeated; without any it may do nothing
    #[arg(long = "api", value_name = "API")]
    apis: Vec<String>,
    /// A role it holds; may be repeated
    #[arg(long = "role", value_name = "ROLE")]
    roles: Vec<String>,
    /// A network it may come from, e.g. 192.0.2.0/24; may be repeated; default anywhere
    #[arg(long = "network", value_name = "CIDR")]
    networks: Vec<IpNet>,
}

/// A new signing secret.
#[derive(Debug, Clone, Args)]
pub(crate) struct NewArgs {
    /// The application it belongs to
    #[arg(long, value_name = "NAME")]
    application: String,
    /// A name for people
    #[arg(long)]
    label: String,
    /// The one scheme it is for: hmac, sigv4, http_signature or webhook
    #[arg(long, value_parser = scheme)]
    scheme: SigningScheme,
    /// The wall it stands behind; default the application's
    #[arg(long, value_name = "live|test", value_parser = environment)]
    environment: Option<Environment>,
    #[command(flatten)]
    rights: Rights,
    /// When it ends by itself: a time, or a length of time like 90d
    #[arg(long, value_name = "TIME")]
    expires: Option<End>,
}

/// What can be done with signing secrets.
#[derive(Debug, Subcommand)]
pub(crate) enum SigningSecretAct {
    /// Makes a secret and shows it once, or registers a public key
    Create {
        #[command(flatten)]
        new: NewArgs,
        /// Register this public key instead (JWK, PEM, whpk_…); `-`: standard input
        #[arg(long, value_name = "FILE")]
        public_key_file: Option<PathBuf>,
    },
    /// Brings in a secret that a provider of webhooks made
    Import {
        #[command(flatten)]
        new: NewArgs,
        /// File with the secret; `-`: standard input, or asked for on a terminal
        #[arg(long, value_name = "FILE", default_value = "-")]
        secret_file: PathBuf,
    },
    /// Lists signing secrets (never the secrets themselves)
    List {
        /// Only this application's
        #[arg(long, value_name = "NAME")]
        application: Option<String>,
    },
    /// Shows one
    Show {
        /// Its id
        id: String,
    },
    /// Changes what is given and leaves the rest
    Amend {
        /// Its id
        id: String,
        /// A name for people
        #[arg(long)]
        label: Option<String>,
        #[command(flatten)]
        rights: Rights,
        /// When it ends by itself: a time, a length of time like 90d, or `never`
        #[arg(long, value_name = "TIME")]
        expires: Option<String>,
    },
    /// Makes a second secret under the same key id; the first ends after a while
    Rotate {
        /// Its id
        id: String,
        /// How long the first stays valid; default 7d, 0s ends it at once
        #[arg(long, value_name = "TIME")]
        overlap: Option<Period>,
        /// File with the provider's new secret (webhooks); `-`: standard input; default: one is made
        #[arg(long, value_name = "FILE", conflicts_with = "public_key_file")]
        secret_file: Option<PathBuf>,
        /// File with the next public key, where there is a public key now; `-`: standard input
        #[arg(long, value_name = "FILE")]
        public_key_file: Option<PathBuf>,
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
    /// Ends it for good; what it signed by is removed
    Revoke {
        /// Its id
        id: String,
    },
    /// Shows the calls with it, hour by hour, and with each secret or key under its name
    Usage {
        /// Its id
        id: String,
        /// Since when: a time, or a length of time before now like 30d; default 7d
        #[arg(long, value_name = "TIME")]
        since: Option<String>,
    },
}

/// `secret …`
pub(crate) async fn run(
    act: SigningSecretAct,
    client: &AdminClient,
    screen: Screen,
) -> Outcome<()> {
    match act {
        SigningSecretAct::Create {
            new,
            public_key_file,
        } => {
            let public_key = read(public_key_file.as_deref(), "public key")?;
            let body = body(new, None, public_key);
            show_issued(&client.post(SECRETS, &body).await?, screen)
        }
        SigningSecretAct::Import { new, secret_file } => {
            if new.scheme != SigningScheme::Webhook {
                return Err(Failure::usage(
                    "Only webhook secrets are brought in; every other is made here.",
                ));
            }
            let secret = read(Some(&secret_file), "secret")?;
            let body = body(new, secret, None);
            show_issued(&client.post(SECRETS, &body).await?, screen)
        }
        SigningSecretAct::List { application } => {
            let filter = match &application {
                Some(name) => format!("owner={}", segment(name)?),
                None => String::new(),
            };
            let items = read_list(SECRETS, &filter, client, screen).await?;
            print_list(items, screen)
        }
        SigningSecretAct::Amend {
            id,
            label,
            rights,
            expires,
        } => {
            let Rights {
                scopes,
                apis,
                roles,
                networks,
            } = rights;
            let grant = GrantArgs::new(scopes, apis, roles, networks);
            amend(SECRETS, &id, label, grant, expires, client, screen).await
        }
        SigningSecretAct::Rotate {
            id,
            overlap,
            secret_file,
            public_key_file,
        } => {
            let body = RotateSigningSecret {
                overlap,
                secret: read(secret_file.as_deref(), "secret")?,
                public_key: read(public_key_file.as_deref(), "public key")?,
            };
            let path = format!("{SECRETS}/{}/rotate", segment(&id)?);
            show_issued(&client.post(&path, &body).await?, screen)
        }
        SigningSecretAct::Usage { id, since } => {
            usage::one(SECRETS, &id, since.as_deref(), client, screen).await
        }
        SigningSecretAct::Show { id } => life(LifeAct::Show { id }, client, screen).await,
        SigningSecretAct::Suspend { id } => life(LifeAct::Suspend { id }, client, screen).await,
        SigningSecretAct::Resume { id } => life(LifeAct::Resume { id }, client, screen).await,
        SigningSecretAct::Revoke { id } => life(LifeAct::Revoke { id }, client, screen).await,
    }
}

async fn life(act: LifeAct, client: &AdminClient, screen: Screen) -> Outcome<()> {
    credential::life(SECRETS, act, client, screen).await
}

fn read(from: Option<&Path>, what: &str) -> Outcome<Option<String>> {
    let Some(from) = from else { return Ok(None) };
    let secret = input::secret(from, what)?;
    Ok(secret.expose_text().map(str::to_owned))
}

fn body(new: NewArgs, secret: Option<String>, public_key: Option<String>) -> CreateSigningSecret {
    CreateSigningSecret {
        application: new.application,
        label: new.label,
        scheme: new.scheme,
        environment: new.environment,
        scopes: new.rights.scopes,
        apis: new.rights.apis,
        roles: new.rights.roles,
        networks: new.rights.networks,
        expires_at: new.expires.map(|end| end.0),
        secret,
        public_key,
    }
}

fn print_list(items: Vec<CredentialView>, screen: Screen) -> Outcome<()> {
    if screen.is_json() {
        return screen.json(&Page { items, next: None });
    }
    let rows = items
        .into_iter()
        .map(|one| {
            let state = state(&one).to_owned();
            let (scheme, valid) = one
                .signing
                .as_ref()
                .map_or_else(Default::default, |signing| {
                    (
                        signing.scheme.name().to_owned(),
                        signing.valid.len().to_string(),
                    )
                });
            vec![
                one.id,
                one.owner,
                one.label,
                one.display,
                scheme,
                one.environment.to_string(),
                state,
                valid,
                one.scopes
                    .iter()
                    .chain(&one.roles)
                    .cloned()
                    .collect::<Vec<_>>()
                    .join(" "),
                one.expires_at
                    .map(|end| seen_from(end.0, screen.now))
                    .unwrap_or_default(),
            ]
        })
        .collect();
    screen.table(
        &[
            "id",
            "owner",
            "label",
            "key id",
            "scheme",
            "environment",
            "state",
            "valid",
            "scopes, roles",
            "expires",
        ],
        rows,
        "There is no signing secret; make one with `doorward secret create`.",
    )
}
