//! `user …`: people who can log in. They are made here or declared with `apply`; whoever leaves is
//! suspended first and removed later, since a name that is free again may belong to somebody else.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use proof::issued::Environment;
use registry::units::Period;
use registry::user::UserSpec;
use web::admin::view::{PutResource, Resource};

use super::client::AdminClient;
use super::credential::{End, LifeAct, environment, life, set_password, show_issued, show_list};
use super::failure::Outcome;
use super::resource::{self, Collection, ResourceAct, print_one, segment};
use super::screen::Screen;

/// What can be done with people.
#[derive(Debug, Subcommand)]
pub(crate) enum UserAct {
    /// Makes a person with a password, which is shown once if it was made up
    Create(Box<UserArgs>),
    #[command(flatten)]
    Resource(ResourceAct),
    /// Keeps a person from logging in
    Suspend {
        /// The person's name
        name: String,
    },
    /// Lets a suspended person log in again
    Resume {
        /// The person's name
        name: String,
    },
    /// A person's passwords
    #[command(subcommand)]
    Password(UserPasswordAct),
}

/// A new person.
#[derive(Debug, Clone, Args)]
pub(crate) struct UserArgs {
    /// The document's name; also the user name unless that is given
    name: String,
    /// What the person types to log in
    #[arg(long, value_name = "NAME")]
    username: Option<String>,
    /// Full name
    #[arg(long, value_name = "TEXT")]
    full_name: Option<String>,
    /// Given name
    #[arg(long, value_name = "TEXT")]
    given_name: Option<String>,
    /// Family name
    #[arg(long, value_name = "TEXT")]
    family_name: Option<String>,
    /// Mail address
    #[arg(long, value_name = "ADDRESS")]
    email: Option<String>,
    /// The mail address was verified
    #[arg(long, requires = "email")]
    email_verified: bool,
    /// Telephone number, e.g. +41441234567
    #[arg(long, value_name = "NUMBER")]
    phone: Option<String>,
    /// Language, e.g. de-CH
    #[arg(long, value_name = "TAG")]
    locale: Option<String>,
    /// A role the person holds; may be repeated
    #[arg(long = "role", value_name = "ROLE")]
    roles: Vec<String>,
    /// A group the person belongs to; may be repeated
    #[arg(long = "group", value_name = "GROUP")]
    groups: Vec<String>,
    /// The wall the person stands behind; default live
    #[arg(long, value_name = "live|test", value_parser = environment)]
    environment: Option<Environment>,
    /// When the person's account ends by itself: a time, or a length of time like 90d
    #[arg(long, value_name = "TIME")]
    expires: Option<End>,
    /// File with the password; `-`: standard input, or asked for on a terminal; default: one is made
    #[arg(long, value_name = "FILE", conflicts_with = "without_password")]
    password_file: Option<PathBuf>,
    /// Make no password: the person can't log in yet
    #[arg(long)]
    without_password: bool,
}

impl From<&UserArgs> for UserSpec {
    fn from(args: &UserArgs) -> Self {
        let some = |list: &Vec<String>| (!list.is_empty()).then(|| list.clone());
        Self {
            username: args.username.clone(),
            name: args.full_name.clone(),
            given_name: args.given_name.clone(),
            family_name: args.family_name.clone(),
            email: args.email.clone(),
            email_verified: args.email_verified,
            phone_number: args.phone.clone(),
            locale: args.locale.clone(),
            roles: some(&args.roles),
            groups: some(&args.groups),
            environment: args.environment.unwrap_or(Environment::Live),
            expires_at: args.expires.map(|end| end.0),
            ..Self::default()
        }
    }
}

/// What can be done with a person's passwords.
#[derive(Debug, Subcommand)]
pub(crate) enum UserPasswordAct {
    /// Sets a password, or makes one and shows it once
    Set {
        /// The person
        user: String,
        /// File with the password; `-`: standard input, or asked for on a terminal; default: one is made
        #[arg(long, value_name = "FILE")]
        password_file: Option<PathBuf>,
        /// When it ends by itself: a time, or a length of time like 90d
        #[arg(long, value_name = "TIME")]
        expires: Option<End>,
    },
    /// Makes a successor; both are valid for a while
    Rotate {
        /// The person
        user: String,
        /// The password's id
        id: String,
        /// How long the old one stays valid; default 7d, 0s ends it at once
        #[arg(long, value_name = "TIME")]
        overlap: Option<Period>,
    },
    /// Lists a person's passwords (never the passwords themselves)
    List {
        /// The person
        user: String,
    },
    /// Ends one for good
    Revoke {
        /// The person
        user: String,
        /// The password's id
        id: String,
    },
}

/// Does it.
pub(crate) async fn run(act: UserAct, client: &AdminClient, screen: Screen) -> Outcome<()> {
    match act {
        UserAct::Create(args) => create(&args, client, screen).await,
        UserAct::Resource(act) => resource::run(Collection::Users, act, client, screen).await,
        UserAct::Suspend { name } => {
            resource::switch(Collection::Users, &name, "suspend", client, screen).await
        }
        UserAct::Resume { name } => {
            resource::switch(Collection::Users, &name, "resume", client, screen).await
        }
        UserAct::Password(act) => password(act, client, screen).await,
    }
}

async fn create(args: &UserArgs, client: &AdminClient, screen: Screen) -> Outcome<()> {
    let name = segment(&args.name)?;
    let spec = serde_json::to_value(UserSpec::from(args)).expect("a person's keys are texts");
    let body = PutResource {
        spec,
        version: Some(0),
    };
    let made: Resource = client.put(&format!("/v1/users/{name}"), &body).await?;
    if args.without_password {
        return print_one(made, screen);
    }
    let issued = set_password(
        &passwords(name)?,
        args.password_file.as_deref(),
        None,
        client,
    )
    .await
    .map_err(|failure| {
        failure.next(format!(
            "{name} is there without a password; set one with `doorward user password set {name}`"
        ))
    })?;
    screen.note(&format!("The user {name} is there."));
    show_issued(&issued, screen)
}

fn passwords(name: &str) -> Outcome<String> {
    Ok(format!("/v1/users/{}/passwords", segment(name)?))
}

async fn password(act: UserPasswordAct, client: &AdminClient, screen: Screen) -> Outcome<()> {
    match act {
        UserPasswordAct::Set {
            user,
            password_file,
            expires,
        } => {
            let issued = set_password(
                &passwords(&user)?,
                password_file.as_deref(),
                expires,
                client,
            )
            .await?;
            show_issued(&issued, screen)
        }
        UserPasswordAct::List { user } => {
            let none = format!(
                "{user} has no password; make one with `doorward user password set {user}`."
            );
            show_list(&passwords(&user)?, "", client, screen, &none).await
        }
        UserPasswordAct::Rotate { user, id, overlap } => {
            life(
                &passwords(&user)?,
                LifeAct::Rotate { id, overlap },
                client,
                screen,
            )
            .await
        }
        UserPasswordAct::Revoke { user, id } => {
            life(&passwords(&user)?, LifeAct::Revoke { id }, client, screen).await
        }
    }
}
