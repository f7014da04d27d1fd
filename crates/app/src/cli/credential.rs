//! `key`, `client secret`, `account password`, `admin-key`: the life of credentials. A secret is
//! printed once, on standard output, with the remark on standard error that it won't come back.

mod args;

use std::path::Path;

use ipnet::IpNet;
use proof::time::Timestamp;
use serde_json::json;
use web::admin::view::{
    Amend, CreateAdminKey, CreateKey, CreateRegistrationToken, CreateSecret, CredentialView,
    ImportKey, Issued, MaterialView, Page, Rotate, SetPassword, SigningView,
};

pub(crate) use args::{AdminKeyAct, End, KeyAct, PasswordAct, RegistrationTokenAct, SecretAct};
pub(super) use args::{GrantArgs, LifeAct, environment};

use super::client::AdminClient;
use super::failure::{Failure, Outcome};
use super::input;
use super::resource::segment;
use super::screen::{Screen, seen_from, when};
use super::usage;
pub(super) use args::end;

/// Most pages of a list that are read: a thousand entries each.
const MOST_PAGES: usize = 100;

const KEYS: &str = "/v1/keys";
const ADMIN_KEYS: &str = "/v1/admin-keys";
const REGISTRATION_TOKENS: &str = "/v1/registration-tokens";

/// `key …`
pub(crate) async fn key(act: KeyAct, client: &AdminClient, screen: Screen) -> Outcome<()> {
    match act {
        KeyAct::Create(args) => {
            let issued = client.post(KEYS, &CreateKey::from(args)).await?;
            show_issued(&issued, screen)
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
            show_one(&credential, screen)
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
        } => amend(KEYS, &id, label, grant, expires, client, screen).await,
        KeyAct::Usage { id, since } => {
            usage::one(KEYS, &id, since.as_deref(), client, screen).await
        }
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
            show_issued(&client.post(&base(&name)?, &body).await?, screen)
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
        SecretAct::Usage {
            client: name,
            id,
            since,
        } => {
            let revoke = format!("client secret revoke {name}");
            used(&base(&name)?, id, since, &revoke, client, screen).await
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
            let issued =
                set_password(&base(&account)?, password_file.as_deref(), expires, client).await?;
            show_issued(&issued, screen)
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
        PasswordAct::Usage { account, id, since } => {
            let revoke = format!("account password revoke {account}");
            used(&base(&account)?, id, since, &revoke, client, screen).await
        }
    }
}

/// The calls with one of an owner's secrets, or with each of them.
async fn used(
    base: &str,
    id: Option<String>,
    since: Option<String>,
    revoke: &str,
    client: &AdminClient,
    screen: Screen,
) -> Outcome<()> {
    match id {
        Some(id) => usage::one(base, &id, since.as_deref(), client, screen).await,
        None => usage::of_owner(base, since.as_deref(), revoke, client, screen).await,
    }
}

/// Gives an account or a person a password, from a file or made up.
pub(super) async fn set_password(
    base: &str,
    file: Option<&Path>,
    expires: Option<End>,
    client: &AdminClient,
) -> Outcome<Issued> {
    let password = file
        .map(|path| input::secret(path, "password"))
        .transpose()?;
    let password = password.and_then(|secret| secret.expose_text().map(str::to_owned));
    let body = SetPassword {
        password,
        expires_at: expires.map(|end| end.0),
    };
    client.post(base, &body).await
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
            show_issued(&client.post(ADMIN_KEYS, &body).await?, screen)
        }
        AdminKeyAct::List => {
            show_list(ADMIN_KEYS, "", client, screen, "There is no admin key.").await
        }
        AdminKeyAct::Usage { id, since } => {
            usage::one(ADMIN_KEYS, &id, since.as_deref(), client, screen).await
        }
        AdminKeyAct::Life(act) => life(ADMIN_KEYS, act, client, screen).await,
    }
}

/// `registration-token …`
pub(crate) async fn registration_token(
    act: RegistrationTokenAct,
    client: &AdminClient,
    screen: Screen,
) -> Outcome<()> {
    match act {
        RegistrationTokenAct::Create {
            label,
            environment,
            uses,
            expires,
        } => {
            let body = CreateRegistrationToken {
                label,
                environment,
                uses,
                expires_at: expires.map(|end| end.0),
            };
            show_issued(&client.post(REGISTRATION_TOKENS, &body).await?, screen)
        }
        RegistrationTokenAct::List { client: owner } => {
            let filter = match &owner {
                Some(name) => format!("owner={}", segment(name)?),
                None => String::new(),
            };
            let none = "There is no token; make one with `doorward registration-token create`.";
            show_list(REGISTRATION_TOKENS, &filter, client, screen, none).await
        }
        RegistrationTokenAct::Life(act) => life(REGISTRATION_TOKENS, act, client, screen).await,
    }
}

pub(super) async fn life(
    base: &str,
    act: LifeAct,
    client: &AdminClient,
    screen: Screen,
) -> Outcome<()> {
    let (id, verb) = match &act {
        LifeAct::Show { id } => (id, ""),
        LifeAct::Suspend { id } => (id, "/suspend"),
        LifeAct::Resume { id } => (id, "/resume"),
        LifeAct::Rotate { id, .. } => (id, "/rotate"),
        LifeAct::Revoke { id } => (id, "/revoke"),
    };
    let path = format!("{base}/{}{verb}", segment(id)?);
    match act {
        LifeAct::Show { .. } => show_one(&client.get(&path).await?, screen),
        LifeAct::Rotate { overlap, .. } => show_issued(
            &client
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
            show_one(&client.post(&path, &json!({})).await?, screen)
        }
    }
}

pub(super) async fn amend(
    base: &str,
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
    let path = format!("{base}/{}", segment(id)?);
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
    show_one(&client.patch(&path, &body).await?, screen)
}

pub(super) async fn show_list(
    base: &str,
    filter: &str,
    client: &AdminClient,
    screen: Screen,
    none: &str,
) -> Outcome<()> {
    let items = read_list(base, filter, client, screen).await?;
    print_list(items, screen, none)
}

/// A list, page by page.
pub(super) async fn read_list(
    base: &str,
    filter: &str,
    client: &AdminClient,
    screen: Screen,
) -> Outcome<Vec<CredentialView>> {
    let mut items: Vec<CredentialView> = Vec::new();
    let mut after = String::new();
    for _ in 0..MOST_PAGES {
        let page: Page<CredentialView> = client
            .get(&format!("{base}?limit=1000&{filter}{after}"))
            .await?;
        items.extend(page.items);
        match page.next {
            Some(next) => after = format!("&after={}", segment(&next)?),
            None => return Ok(items),
        }
    }
    screen.note("There are more; give a filter.");
    Ok(items)
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
                    .last_used
                    .map(|at| seen_from(at.0, screen.now))
                    .unwrap_or_default(),
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
            "last used",
            "expires",
        ],
        rows,
        none,
    )
}

fn show_one(credential: &CredentialView, screen: Screen) -> Outcome<()> {
    if screen.is_json() {
        return screen.json(credential);
    }
    screen.fields(&fields(credential, screen.now))
}

pub(super) fn show_issued(issued: &Issued, screen: Screen) -> Outcome<()> {
    let once = match issued.credential.signing {
        None => "The secret is shown this once: it is not kept. Put it where it belongs now.",
        Some(_) => "The secret is shown this once. Put it where it belongs now.",
    };
    if screen.is_json() {
        screen.json(issued)?;
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
    let mut fields = vec![
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
        (
            "uses left",
            credential
                .uses
                .map(|left| left.to_string())
                .unwrap_or_default(),
        ),
        ("networks", networks),
        ("origins", credential.origins.join(" ")),
        ("created", when(Some(credential.created_at), now)),
        ("expires", when(credential.expires_at, now)),
        (
            "successor",
            credential.successor.clone().unwrap_or_default(),
        ),
        ("version", credential.version.to_string()),
    ];
    if let Some(signing) = &credential.signing {
        fields.retain(|(name, _)| *name != "begins");
        fields.extend([
            ("key id", signing.key_id.clone()),
            ("scheme", signing.scheme.name().to_owned()),
            ("valid", valid(signing, now)),
        ]);
    }
    fields
}

/// Each valid secret or public key on a line of its own.
fn valid(signing: &SigningView, now: Timestamp) -> String {
    let line = |one: &MaterialView| {
        let what = match &one.public_key {
            None => "a secret".to_owned(),
            Some(jwk) => format!("public key {}", jwk["alg"].as_str().unwrap_or_default()),
        };
        let until = match one.valid_until {
            None => String::new(),
            some => format!(", until {}", when(some, now)),
        };
        format!("{} ({what} of {}{until})", one.id, one.created_at)
    };
    let lines: Vec<_> = signing.valid.iter().map(line).collect();
    lines.join("\n")
}

pub(super) fn state(credential: &CredentialView) -> &'static str {
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
