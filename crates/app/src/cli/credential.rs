//! `key`, `client secret`, `account password`, `admin-key`: the life of credentials. A secret is
//! printed once, on standard output, with the remark on standard error that it won't come back.

use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, Subcommand, ValueEnum};
use ipnet::IpNet;
use proof::issued::Environment;
use proof::time::Timestamp;
use registry::actor::Role;
use registry::key::KeyType;
use registry::units::{Moment, Period};
use serde_json::json;
use web::admin::view::{
    Amend, CreateAdminKey, CreateKey, CreateSecret, CredentialView, ImportKey, Issued, Page,
    Rotate, SetPassword, UsageView,
};

use super::client::AdminClient;
use super::failure::{Failure, Outcome};
use super::input;
use super::resource::segment;
use super::screen::{self, Screen, seen_from, when};

/// Most pages of a list that are read: a thousand entries each.
const MOST_PAGES: usize = 100;

/// A point in time: RFC 3339, or a length of time from now (`90d`).
#[derive(Debug, Clone, Copy)]
pub(crate) struct End(Moment);

impl FromStr for End {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        end(text, screen::now())
    }
}

fn end(text: &str, now: Timestamp) -> Result<End, String> {
    if let Ok(period) = text.parse::<Period>() {
        return Ok(End(Moment(now.plus(period.0))));
    }
    text.parse::<Moment>().map(End).map_err(|_| {
        "give a time like 2027-01-31T00:00:00Z or a length of time like 90d".to_owned()
    })
}

fn environment(text: &str) -> Result<Environment, &'static str> {
    Environment::from_name(text.as_bytes()).ok_or("it is `live` or `test`")
}

/// What a credential may do.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct GrantArgs {
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
    /// An origin that may send it (publishable keys); may be repeated
    #[arg(long = "origin", value_name = "ORIGIN")]
    origins: Vec<String>,
}

/// A new key.
#[derive(Debug, Clone, Args)]
pub(crate) struct KeyArgs {
    /// The application it belongs to
    #[arg(long, value_name = "NAME")]
    application: String,
    /// A name for people
    #[arg(long)]
    label: String,
    /// May stand in a web page or an app; needs an --origin
    #[arg(long)]
    publishable: bool,
    /// The wall it stands behind; default the application's
    #[arg(long, value_name = "live|test", value_parser = environment)]
    environment: Option<Environment>,
    #[command(flatten)]
    grant: GrantArgs,
    /// When it ends by itself: a time, or a length of time like 90d
    #[arg(long, value_name = "TIME")]
    expires: Option<End>,
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
        /// File with the hash of the whole key ($argon2id$…, $2b$… or sha256$<hex>); `-`: standard input
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
    #[command(flatten)]
    Life(LifeAct),
}

const KEYS: &str = "/v1/keys";
const ADMIN_KEYS: &str = "/v1/admin-keys";

/// `key …`
pub(crate) async fn key(act: KeyAct, client: &AdminClient, screen: Screen) -> Outcome<()> {
    match act {
        KeyAct::Create(args) => {
            let issued = client.post(KEYS, &CreateKey::from(args)).await?;
            show_issued(issued, screen)
        }
        KeyAct::Import {
            key,
            verifier_file,
            prefix,
        } => {
            let verifier = input::secret(&verifier_file, "hash")?;
            let verifier = verifier.expose_text().unwrap_or_default().trim().to_owned();
            let body = ImportKey {
                key: key.into(),
                verifier,
                prefix,
            };
            let credential: CredentialView = client.post("/v1/keys/import", &body).await?;
            show_one(credential, screen)
        }
        KeyAct::List { application } => {
            let filter = match &application {
                Some(name) => format!("owner={}", segment(name)?),
                None => String::new(),
            };
            let none = "There is no key; make one with `doorward key create`.";
            show_list(KEYS, &filter, client, screen, none).await
        }
        KeyAct::Amend {
            id,
            label,
            grant,
            expires,
        } => amend(&id, label, grant, expires, client, screen).await,
        KeyAct::Usage { id, since } => usage(&id, since.as_deref(), client, screen).await,
        KeyAct::Life(act) => life(KEYS, act, client, screen).await,
    }
}

/// `client secret …`
pub(crate) async fn client_secret(
    act: SecretAct,
    client: &AdminClient,
    screen: Screen,
) -> Outcome<()> {
    let base = |name: &str| segment(name).map(|name| format!("/v1/clients/{name}/secrets"));
    match act {
        SecretAct::Create {
            client: name,
            label,
            expires,
        } => {
            let body = CreateSecret {
                label,
                expires_at: expires.map(|end| end.0),
            };
            show_issued(client.post(&base(&name)?, &body).await?, screen)
        }
        SecretAct::List { client: name } => {
            let none = format!(
                "{name} has no secret; make one with `doorward client secret create {name}`."
            );
            show_list(&base(&name)?, "", client, screen, &none).await
        }
        SecretAct::Rotate {
            client: name,
            id,
            overlap,
        } => {
            life(
                &base(&name)?,
                LifeAct::Rotate { id, overlap },
                client,
                screen,
            )
            .await
        }
        SecretAct::Revoke { client: name, id } => {
            life(&base(&name)?, LifeAct::Revoke { id }, client, screen).await
        }
    }
}

/// `account password …`
pub(crate) async fn account_password(
    act: PasswordAct,
    client: &AdminClient,
    screen: Screen,
) -> Outcome<()> {
    let base = |name: &str| segment(name).map(|name| format!("/v1/accounts/{name}/passwords"));
    match act {
        PasswordAct::Set {
            account,
            password_file,
            expires,
        } => {
            let password = password_file
                .map(|path| input::secret(&path, "password"))
                .transpose()?;
            let password = password.and_then(|secret| secret.expose_text().map(str::to_owned));
            let body = SetPassword {
                password,
                expires_at: expires.map(|end| end.0),
            };
            show_issued(client.post(&base(&account)?, &body).await?, screen)
        }
        PasswordAct::List { account } => {
            let none = format!(
                "{account} has no password; make one with `doorward account password set {account}`."
            );
            show_list(&base(&account)?, "", client, screen, &none).await
        }
        PasswordAct::Rotate {
            account,
            id,
            overlap,
        } => {
            life(
                &base(&account)?,
                LifeAct::Rotate { id, overlap },
                client,
                screen,
            )
            .await
        }
        PasswordAct::Revoke { account, id } => {
            life(&base(&account)?, LifeAct::Revoke { id }, client, screen).await
        }
    }
}

/// `admin-key …`
pub(crate) async fn admin_key(
    act: AdminKeyAct,
    client: &AdminClient,
    screen: Screen,
) -> Outcome<()> {
    match act {
        AdminKeyAct::Create {
            label,
            role,
            expires,
        } => {
            let body = CreateAdminKey {
                label,
                role: role.into(),
                expires_at: expires.map(|end| end.0),
            };
            show_issued(client.post(ADMIN_KEYS, &body).await?, screen)
        }
        AdminKeyAct::List => {
            show_list(ADMIN_KEYS, "", client, screen, "There is no admin key.").await
        }
        AdminKeyAct::Life(act) => life(ADMIN_KEYS, act, client, screen).await,
    }
}

async fn life(base: &str, act: LifeAct, client: &AdminClient, screen: Screen) -> Outcome<()> {
    let (id, verb) = match &act {
        LifeAct::Show { id } => (id, ""),
        LifeAct::Suspend { id } => (id, "/suspend"),
        LifeAct::Resume { id } => (id, "/resume"),
        LifeAct::Rotate { id, .. } => (id, "/rotate"),
        LifeAct::Revoke { id } => (id, "/revoke"),
    };
    let path = format!("{base}/{}{verb}", segment(id)?);
    match act {
        LifeAct::Show { .. } => show_one(client.get(&path).await?, screen),
        LifeAct::Rotate { overlap, .. } => show_issued(
            client
                .post(
                    &path,
                    &Rotate {
                        overlap,
                        expires_at: None,
                    },
                )
                .await?,
            screen,
        ),
        LifeAct::Suspend { .. } | LifeAct::Resume { .. } | LifeAct::Revoke { .. } => {
            show_one(client.post(&path, &json!({})).await?, screen)
        }
    }
}

async fn amend(
    id: &str,
    label: Option<String>,
    grant: GrantArgs,
    expires: Option<String>,
    client: &AdminClient,
    screen: Screen,
) -> Outcome<()> {
    fn given<T>(list: Vec<T>) -> Option<Vec<T>> {
        (!list.is_empty()).then_some(list)
    }
    let expires_at = match expires.as_deref() {
        None => None,
        Some("never") => Some("never".to_owned()),
        Some(text) => Some(end(text, screen.now).map_err(Failure::usage)?.0.to_string()),
    };
    let path = format!("{KEYS}/{}", segment(id)?);
    // Read first: a change by somebody else in between is a conflict and not overwritten.
    let current: CredentialView = client.get(&path).await?;
    let body = Amend {
        label,
        scopes: given(grant.scopes),
        apis: given(grant.apis),
        roles: given(grant.roles),
        networks: given(grant.networks),
        origins: given(grant.origins),
        expires_at,
        version: Some(current.version),
    };
    show_one(client.patch(&path, &body).await?, screen)
}

async fn usage(id: &str, since: Option<&str>, client: &AdminClient, screen: Screen) -> Outcome<()> {
    let since = match since {
        None => None,
        Some(text) => Some(match text.parse::<Period>() {
            Ok(period) => Moment(screen.now.minus(period.0)),
            Err(_) => end(text, screen.now).map_err(Failure::usage)?.0,
        }),
    };
    let query = since
        .map(|since| format!("?since={since}"))
        .unwrap_or_default();
    let usage: UsageView = client
        .get(&format!("{KEYS}/{}/usage{query}", segment(id)?))
        .await?;
    if screen.is_json() {
        return screen.json(&usage);
    }
    screen.fields(&[
        ("key", usage.id),
        ("since", when(Some(usage.since), screen.now)),
        ("calls", usage.calls.to_string()),
        ("last used", when(usage.last_used, screen.now)),
    ])?;
    let rows = usage
        .hours
        .iter()
        .map(|hour| vec![hour.hour.to_string(), hour.calls.to_string()])
        .collect();
    screen.table(&["hour", "calls"], rows, "No calls in this time.")
}

async fn show_list(
    base: &str,
    filter: &str,
    client: &AdminClient,
    screen: Screen,
    none: &str,
) -> Outcome<()> {
    let mut items: Vec<CredentialView> = Vec::new();
    let mut after = String::new();
    for _ in 0..MOST_PAGES {
        let page: Page<CredentialView> = client
            .get(&format!("{base}?limit=1000&{filter}{after}"))
            .await?;
        items.extend(page.items);
        match page.next {
            Some(next) => after = format!("&after={}", segment(&next)?),
            None => return print_list(items, screen, none),
        }
    }
    screen.note("There are more; give a filter.");
    print_list(items, screen, none)
}

fn print_list(items: Vec<CredentialView>, screen: Screen, none: &str) -> Outcome<()> {
    if screen.is_json() {
        return screen.json(&Page { items, next: None });
    }
    let rows = items
        .into_iter()
        .map(|credential| {
            let state = state(&credential).to_owned();
            vec![
                credential.id,
                credential.owner,
                credential.label,
                credential.display,
                credential.environment.to_string(),
                state,
                credential
                    .scopes
                    .iter()
                    .chain(&credential.roles)
                    .cloned()
                    .collect::<Vec<_>>()
                    .join(" "),
                credential
                    .expires_at
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
            "begins",
            "environment",
            "state",
            "scopes, roles",
            "expires",
        ],
        rows,
        none,
    )
}

fn show_one(credential: CredentialView, screen: Screen) -> Outcome<()> {
    if screen.is_json() {
        return screen.json(&credential);
    }
    screen.fields(&fields(&credential, screen.now))
}

fn show_issued(issued: Issued, screen: Screen) -> Outcome<()> {
    let once = "The secret is shown this once: it is not kept. Put it where it belongs now.";
    if screen.is_json() {
        screen.json(&issued)?;
        if issued.secret.is_some() {
            screen.note(once);
        }
        return Ok(());
    }
    let mut shown = fields(&issued.credential, screen.now);
    if let Some(old) = &issued.replaces {
        shown.push((
            "replaces",
            format!(
                "{}, valid until {}",
                old.id,
                when(old.expires_at, screen.now)
            ),
        ));
    }
    screen.fields(&shown)?;
    if let Some(secret) = &issued.secret {
        screen.exactly(&format!("\n{secret}\n"))?;
        screen.note(once);
    }
    Ok(())
}

fn fields(credential: &CredentialView, now: Timestamp) -> Vec<(&'static str, String)> {
    let networks = credential
        .networks
        .iter()
        .map(IpNet::to_string)
        .collect::<Vec<_>>()
        .join(" ");
    vec![
        ("id", credential.id.clone()),
        ("type", credential.r#type.name().replace('_', " ")),
        ("owner", credential.owner.clone()),
        ("label", credential.label.clone()),
        ("environment", credential.environment.to_string()),
        ("begins", credential.display.clone()),
        ("state", state(credential).to_owned()),
        ("scopes", credential.scopes.join(" ")),
        ("APIs", credential.apis.join(" ")),
        ("roles", credential.roles.join(" ")),
        ("networks", networks),
        ("origins", credential.origins.join(" ")),
        ("created", when(Some(credential.created_at), now)),
        ("expires", when(credential.expires_at, now)),
        (
            "successor",
            credential.successor.clone().unwrap_or_default(),
        ),
        ("version", credential.version.to_string()),
    ]
}

fn state(credential: &CredentialView) -> &'static str {
    use verdict::identity::LifeState;
    match (credential.state, credential.expired) {
        (LifeState::Revoked, _) => "revoked",
        (_, true) => "expired",
        (LifeState::Suspended, _) => "suspended",
        (LifeState::Active, _) => "active",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_a_time_or_a_length_of_time() {
        let now = Timestamp::from_secs(1_700_000_000);
        assert_eq!(
            end("90d", now).unwrap().0.0,
            now.plus(core::time::Duration::from_secs(90 * 86_400))
        );
        assert_eq!(
            end("2027-01-31T00:00:00Z", now).unwrap().0.to_string(),
            "2027-01-31T00:00:00Z"
        );
        for bad in ["", "90", "tomorrow", "2027-01-31"] {
            assert!(end(bad, now).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_revoked_key_is_called_so_even_after_its_end() {
        let mut view: CredentialView = serde_json::from_value(json!({
            "id": "key_1", "type": "api_key", "owner": "shop", "label": "l", "environment": "live",
            "display": "dw_sk_live_ab", "imported": false, "state": "active", "expired": false, "scopes": [],
            "apis": [], "roles": [], "networks": [], "origins": [], "created_at": "2026-01-01T00:00:00Z", "version": 1
        }))
        .unwrap();
        assert_eq!(state(&view), "active");
        view.expired = true;
        assert_eq!(state(&view), "expired");
        view.state = verdict::identity::LifeState::Revoked;
        assert_eq!(state(&view), "revoked");
    }
}
