//! `api|application|client|account|user|issuer|relation-model|policy list|show|delete|history|
//! rollback`.

use clap::Subcommand;
use serde_json::Value;
use web::admin::view::{Page, Resource, RollBack, Version};

use super::client::AdminClient;
use super::failure::{Failure, Outcome};
use super::screen::{Screen, seen_from, when};

/// A kind of resource as commands name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Collection {
    /// Declared APIs.
    Apis,
    /// Applications.
    Applications,
    /// OAuth clients.
    Clients,
    /// Service accounts.
    Accounts,
    /// People.
    Users,
    /// Trusted issuers.
    Issuers,
    /// Models of relations.
    RelationModels,
    /// Policies.
    Policies,
    /// Endpoints that are told of things.
    Webhooks,
}

impl Collection {
    /// Its path.
    pub(crate) fn path(self) -> &'static str {
        match self {
            Self::Apis => "/v1/apis",
            Self::Applications => "/v1/applications",
            Self::Clients => "/v1/clients",
            Self::Accounts => "/v1/accounts",
            Self::Users => "/v1/users",
            Self::Issuers => "/v1/issuers",
            Self::RelationModels => "/v1/relation-models",
            Self::Policies => "/v1/policies",
            Self::Webhooks => "/v1/webhooks",
        }
    }
    /// One of them, in words.
    fn one(self) -> &'static str {
        match self {
            Self::Apis => "API",
            Self::Applications => "application",
            Self::Clients => "client",
            Self::Accounts => "account",
            Self::Users => "user",
            Self::Issuers => "issuer",
            Self::RelationModels => "relation model",
            Self::Policies => "policy",
            Self::Webhooks => "endpoint",
        }
    }
    /// What is most worth knowing of a `spec`, for the list.
    fn gist(self, spec: &Value) -> String {
        let text = |key: &str| {
            spec.get(key)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        let count = |key: &str| spec.get(key).and_then(Value::as_array).map_or(0, Vec::len);
        let keys = |key: &str| {
            spec.get(key)
                .and_then(Value::as_object)
                .map(|map| map.keys().cloned().collect::<Vec<_>>().join(", "))
        };
        let suspended = spec.get("suspended") == Some(&Value::Bool(true));
        let asleep = |said: &'static str| if suspended { said } else { "" };
        match self {
            Self::Apis => format!("{} routes", count("routes")),
            Self::Applications => [text("owner"), text("purpose")]
                .into_iter()
                .filter(|text| !text.is_empty())
                .collect::<Vec<_>>()
                .join(", "),
            Self::Clients => {
                let kind = spec.get("kind").and_then(Value::as_str);
                format!(
                    "{}{} of {}, {}, for {}",
                    asleep("suspended: "),
                    kind.unwrap_or("service"),
                    text("application"),
                    text("auth_method"),
                    keys("grants").unwrap_or_default()
                )
            }
            Self::Accounts => {
                let apis = spec.get("apis").and_then(Value::as_array);
                let apis = apis
                    .into_iter()
                    .flatten()
                    .filter_map(Value::as_str)
                    .collect::<Vec<_>>()
                    .join(", ");
                let asleep = asleep("suspended: ");
                format!("{asleep}of {}, for {apis}", text("application"))
            }
            Self::Users => {
                let state = asleep("suspended").to_owned();
                [text("name"), text("email"), state]
                    .into_iter()
                    .filter(|text| !text.is_empty())
                    .collect::<Vec<_>>()
                    .join(", ")
            }
            Self::Issuers => text("issuer"),
            Self::RelationModels => keys("types").unwrap_or_default(),
            Self::Policies => {
                let from = ["rego", "files", "bundle"];
                let from = from.into_iter().find(|key| spec.get(key).is_some());
                let from = from.unwrap_or_default();
                match spec.pointer("/bundle/url").and_then(Value::as_str) {
                    Some(url) => format!("{from} {url}"),
                    None => from.to_owned(),
                }
            }
            Self::Webhooks => text("url"),
        }
    }
}

/// What can be done with all resources. They are made and changed with `doorward apply`.
#[derive(Debug, Subcommand)]
pub(crate) enum ResourceAct {
    /// Lists them
    List,
    /// Shows one with all that it declares
    Show {
        /// Its name
        name: String,
    },
    /// Removes one
    Delete {
        /// Its name
        name: String,
        /// Only if it still has this version
        #[arg(long)]
        version: Option<i64>,
    },
    /// Lists what one said at its last versions
    History {
        /// Its name
        name: String,
    },
    /// Writes again what one said at an earlier version
    Rollback {
        /// Its name
        name: String,
        /// The version's number; default: the last one that said something else
        #[arg(long, value_name = "VERSION")]
        to: Option<i64>,
    },
}

/// Suspends somebody or ends that: the verb is the path's.
pub(crate) async fn switch(
    of: Collection,
    name: &str,
    verb: &str,
    client: &AdminClient,
    screen: Screen,
) -> Outcome<()> {
    let path = format!("{}/{}/{verb}", of.path(), segment(name)?);
    print_one(client.post(&path, &serde_json::json!({})).await?, screen)
}

/// Does it.
pub(crate) async fn run(
    of: Collection,
    act: ResourceAct,
    client: &AdminClient,
    screen: Screen,
) -> Outcome<()> {
    match act {
        ResourceAct::List => list(of, client, screen).await,
        ResourceAct::Show { name } => show(of, &name, client, screen).await,
        ResourceAct::Delete { name, version } => {
            let query = version
                .map(|version| format!("?version={version}"))
                .unwrap_or_default();
            client
                .delete(&format!("{}/{}{query}", of.path(), segment(&name)?))
                .await?;
            screen.note(&format!("The {} {name} is removed.", of.one()));
            Ok(())
        }
        ResourceAct::History { name } => history(of, &name, client, screen).await,
        ResourceAct::Rollback { name, to } => {
            let path = format!("{}/{}/roll-back", of.path(), segment(&name)?);
            let now: Resource = client.post(&path, &RollBack { to }).await?;
            let said = format!(
                "The {} {name} says again what it said; that is its version {}.",
                of.one(),
                now.version
            );
            print_one(now, screen)?;
            screen.note(&said);
            Ok(())
        }
    }
}

async fn history(of: Collection, name: &str, client: &AdminClient, screen: Screen) -> Outcome<()> {
    let path = format!("{}/{}/versions", of.path(), segment(name)?);
    let page: Page<Version> = client.get(&path).await?;
    if screen.is_json() {
        return screen.json(&page);
    }
    let earlier = page.items.iter().skip(1).map(Some).chain([None]);
    let rows = page
        .items
        .iter()
        .zip(earlier)
        .map(|(one, before)| {
            let changed = match before {
                Some(before) => {
                    let changes = registry::diff::diff(&before.spec, &one.spec);
                    let places: Vec<_> = changes.iter().map(|change| change.place()).collect();
                    places.join(", ")
                }
                None => String::new(),
            };
            vec![
                one.version.to_string(),
                when(Some(one.written_at), screen.now),
                managed(one.managed_by).to_owned(),
                changed,
            ]
        })
        .collect();
    screen.table(
        &["version", "written", "managed by", "changed"],
        rows,
        "There is no version.",
    )
}

async fn list(of: Collection, client: &AdminClient, screen: Screen) -> Outcome<()> {
    let page: Page<Resource> = client.get(of.path()).await?;
    if screen.is_json() {
        return screen.json(&page);
    }
    let rows = page
        .items
        .into_iter()
        .map(|resource| {
            let environment = resource
                .spec
                .get("environment")
                .and_then(Value::as_str)
                .unwrap_or("live")
                .to_owned();
            vec![
                resource.name,
                environment,
                of.gist(&resource.spec),
                managed(resource.managed_by).to_owned(),
                resource.version.to_string(),
                seen_from(resource.updated_at.0, screen.now),
            ]
        })
        .collect();
    let how = if of == Collection::Users {
        "make one with `doorward user create NAME`"
    } else {
        "declare one with `doorward apply -f FILE`"
    };
    let none = format!("There is no {}; {how}.", of.one());
    screen.table(
        &[
            "name",
            "environment",
            "about",
            "managed by",
            "version",
            "changed",
        ],
        rows,
        &none,
    )
}

async fn show(of: Collection, name: &str, client: &AdminClient, screen: Screen) -> Outcome<()> {
    let resource: Resource = client
        .get(&format!("{}/{}", of.path(), segment(name)?))
        .await?;
    print_one(resource, screen)
}

/// One resource, in full.
pub(super) fn print_one(resource: Resource, screen: Screen) -> Outcome<()> {
    if screen.is_json() {
        return screen.json(&resource);
    }
    screen.fields(&[
        ("name", resource.name),
        ("kind", resource.kind),
        ("id", resource.id),
        ("version", resource.version.to_string()),
        ("managed by", managed(resource.managed_by).to_owned()),
        ("created", when(Some(resource.created_at), screen.now)),
        ("changed", when(Some(resource.updated_at), screen.now)),
        ("spec", super::apply::yaml(&resource.spec)?),
    ])
}

fn managed(by: registry::resource::ManagedBy) -> &'static str {
    match by {
        registry::resource::ManagedBy::Api => "admin API",
        registry::resource::ManagedBy::File => "settings file",
    }
}

/// A name or id as a segment of a path.
pub(crate) fn segment(name: &str) -> Outcome<&str> {
    let clean = name
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
    if clean && (1..=128).contains(&name.len()) {
        Ok(name)
    } else {
        Err(Failure::usage(format!("`{name}` is no name or id."))
            .next("names hold letters, digits, `-` and `_` only"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_can_not_lead_to_another_path() {
        for bad in ["", "../keys", "a/b", "a?x", "a%2fb", "ä", "a b"] {
            assert_eq!(segment(bad).unwrap_err().code(), 2, "{bad}");
        }
        assert_eq!(segment("key_0193-a").unwrap(), "key_0193-a");
    }

    #[test]
    fn a_list_tells_what_matters_of_each_kind() {
        let spec = serde_json::json!({
            "application": "shop", "auth_method": "private_key_jwt", "grants": {"orders": [], "stock": []}
        });
        assert_eq!(
            Collection::Clients.gist(&spec),
            "service of shop, private_key_jwt, for orders, stock"
        );
        let spec = serde_json::json!({"routes": [1, 2, 3]});
        assert_eq!(Collection::Apis.gist(&spec), "3 routes");
        let spec = serde_json::json!({"name": "Alice", "suspended": true});
        assert_eq!(Collection::Users.gist(&spec), "Alice, suspended");
        let spec = serde_json::json!({"owner": "alice@example.com"});
        assert_eq!(Collection::Applications.gist(&spec), "alice@example.com");
    }
}
