//! **Written → meant**: a whole set of documents is checked together and becomes what gateway and
//! issuer work with, or a list of everything that is wrong with it. Nothing is repaired, nothing is
//! half accepted, and no lookup by name is left for later: a reference that leads nowhere, two
//! routes that answer the same call, a route nobody decided about are all found here.

mod api;
mod certificates;
pub(crate) mod client;
mod encryption;
mod introspection;
mod issuer;
mod owner;
pub(crate) mod person;
mod policy;
mod relations;
mod rights;
mod route;
mod signatures;
mod stored;
mod webhook;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proof::issued::{Brand, Environment};
use serde_json::Value;
use verdict::credential::jwt::IssuerProfile;
use verdict::policy::relations::Model;

use crate::account::AccountMeaning;
use crate::api::ApiMeaning;
use crate::api::written::ApiSpec;
use crate::application::{ApplicationMeaning, ApplicationSpec};
use crate::client::ClientMeaning;
use crate::document::{Document, DocumentKind, Spec};
use crate::flaw::{DocumentRef, Flaw, Place, Report};
use crate::policy::PolicyMeaning;
use crate::resource::ResourceKind;
use crate::trusted_issuer::{IssuerKeys, IssuerMeaning};
use crate::user::UserMeaning;
use crate::webhook::EndpointMeaning;

pub use certificates::authority_of_issuer;
pub use issuer::config_id;
pub use rights::{Unguarded, unguarded};
pub use route::template;

/// The reserved name of our own issuer in an API's `issuers`.
pub const OWN_ISSUER: &str = "own";

/// What documents are read against: the process's own settings.
#[derive(Debug, Clone)]
pub struct Context {
    /// Brand of the keys that are issued and accepted.
    pub brand: Brand,
    /// The profile of our own issuer; `None` where this installation has none (a gateway in front
    /// of foreign issuers).
    pub own_issuer: Option<Arc<IssuerProfile>>,
    /// Whether this is `dev` on loopback: Basic may come over plain HTTP, and issuers and key sets
    /// may be reached over plain HTTP on loopback.
    pub loopback_dev: bool,
}

/// A set of documents, checked.
#[derive(Debug, Clone, Default)]
pub struct Meaning {
    /// APIs, by name.
    pub apis: Vec<Arc<ApiMeaning>>,
    /// Issuers that some API takes tokens of, our own among them.
    pub issuers: Vec<IssuerMeaning>,
    /// Policies, by name.
    pub policies: Vec<PolicyMeaning>,
    /// Applications, by name.
    pub applications: Vec<ApplicationMeaning>,
    /// Clients, by name.
    pub clients: Vec<ClientMeaning>,
    /// Accounts, by name.
    pub accounts: Vec<AccountMeaning>,
    /// People, by name.
    pub users: Vec<UserMeaning>,
    /// By which relations between subjects and objects calls are judged; `None`: none are declared.
    pub relations: Option<Arc<Model>>,
    /// Endpoints that are told of things, by name.
    pub webhooks: Vec<Arc<EndpointMeaning>>,
}

impl Meaning {
    /// The API of a name.
    pub fn api(&self, name: &str) -> Option<&Arc<ApiMeaning>> {
        self.apis
            .iter()
            .find(|api| api.judged.name.as_str() == name)
    }
    /// The policy of a name.
    pub fn policy(&self, name: &str) -> Option<&PolicyMeaning> {
        self.policies.iter().find(|policy| policy.name == name)
    }
    /// The client of a `client_id`.
    pub fn client(&self, client_id: &str) -> Option<&ClientMeaning> {
        self.clients
            .iter()
            .find(|client| client.client_id.as_str() == client_id)
    }
}

/// What other documents may refer to, by name.
struct Known<'a> {
    context: &'a Context,
    /// Kind and name of documents that are there and could not be read: references to them are
    /// no flaws of their own.
    broken: &'a BTreeSet<(String, String)>,
    apis: BTreeMap<&'a str, &'a ApiSpec>,
    applications: BTreeMap<&'a str, &'a ApplicationSpec>,
    /// Every declared issuer's name, sound or not, so that one flaw does not make another.
    issuer_names: Vec<&'a str>,
    profiles: BTreeMap<&'a str, Arc<IssuerProfile>>,
    /// Every declared policy's name, sound or not.
    policy_names: Vec<&'a str>,
    policies: BTreeMap<&'a str, Arc<verdict::policy::rego::Policy>>,
    relations: Option<Arc<Model>>,
}

/// Works out what the documents mean together.
///
/// # Errors
/// Every flaw of every document, in the order of the documents.
pub fn mean_all(documents: &[Document], context: &Context) -> Result<Meaning, Vec<Flaw>> {
    let set = Set {
        documents: documents.iter().enumerate().collect(),
        broken: BTreeSet::new(),
    };
    let mut flaws = Vec::new();
    let meaning = mean(&set, context, &mut flaws);
    if flaws.is_empty() {
        Ok(meaning)
    } else {
        Err(in_order(flaws))
    }
}

/// What one client means among the documents, whatever is wrong with others; `None` if it is not
/// there or means nothing.
pub(crate) fn client_alone(
    documents: &[Document],
    context: &Context,
    name: &str,
) -> Option<ClientMeaning> {
    let set = Set {
        documents: documents.iter().enumerate().collect(),
        broken: BTreeSet::new(),
    };
    mean(&set, context, &mut Vec::new())
        .clients
        .into_iter()
        .find(|client| client.client_id.as_str() == name)
}

/// Reads documents and works out what they mean together. A document whose shape is broken does
/// not hide the flaws of the others, nor make new ones where they refer to it.
///
/// # Errors
/// Every flaw of shape and of meaning, in the order of the documents.
pub fn read_and_mean(
    values: impl IntoIterator<Item = Value>,
    context: &Context,
) -> Result<(Vec<Document>, Meaning), Vec<Flaw>> {
    let mut flaws = Vec::new();
    let mut documents = Vec::new();
    let mut broken = BTreeSet::new();
    for (index, value) in values.into_iter().enumerate() {
        match Document::from_value(value, index) {
            Ok(document) => documents.push((index, document)),
            Err(mut found) => {
                broken.extend(
                    found
                        .first()
                        .map(|flaw| (flaw.document.kind.clone(), flaw.document.name.clone())),
                );
                flaws.append(&mut found);
            }
        }
    }
    let set = Set {
        documents: documents.iter().map(|(index, one)| (*index, one)).collect(),
        broken,
    };
    let meaning = mean(&set, context, &mut flaws);
    if flaws.is_empty() {
        Ok((
            documents
                .into_iter()
                .map(|(_, document)| document)
                .collect(),
            meaning,
        ))
    } else {
        Err(in_order(flaws))
    }
}

/// The documents that are read together, each with its position among all that were given.
struct Set<'a> {
    documents: Vec<(usize, &'a Document)>,
    /// Kind and name of those whose shape is broken.
    broken: BTreeSet<(String, String)>,
}

fn in_order(mut flaws: Vec<Flaw>) -> Vec<Flaw> {
    flaws.sort_by(|a, b| {
        let place = a.path.cmp(&b.path);
        a.document.index.cmp(&b.document.index).then(place)
    });
    flaws
}

fn mean(set: &Set<'_>, context: &Context, flaws: &mut Vec<Flaw>) -> Meaning {
    names_are_unique(set, flaws);

    let mut known = Known {
        context,
        broken: &set.broken,
        apis: BTreeMap::new(),
        applications: BTreeMap::new(),
        issuer_names: Vec::new(),
        profiles: BTreeMap::new(),
        policy_names: Vec::new(),
        policies: BTreeMap::new(),
        relations: relations::mean(set, flaws),
    };
    for (_, document) in &set.documents {
        let name = document.name.as_str();
        match &document.spec {
            Spec::Api(spec) => drop(known.apis.insert(name, spec)),
            Spec::Application(spec) => drop(known.applications.insert(name, spec)),
            Spec::TrustedIssuer(_) => known.issuer_names.push(name),
            Spec::Client(_)
            | Spec::Account(_)
            | Spec::User(_)
            | Spec::RelationModel(_)
            | Spec::Policy(_)
            | Spec::WebhookEndpoint(_)
            | Spec::ApiKey(_) => {}
        }
    }

    let mut meaning = Meaning {
        relations: known.relations.clone(),
        ..Meaning::default()
    };
    if let Some(own) = &context.own_issuer {
        known.profiles.insert(OWN_ISSUER, own.clone());
        meaning.issuers.push(IssuerMeaning {
            name: OWN_ISSUER.to_owned(),
            profile: own.clone(),
            keys: IssuerKeys::Own,
            introspection: None,
            paseto_keys: Vec::new(),
            paseto_key_files: Vec::new(),
        });
    }
    for (document, report) in each(set) {
        if let Spec::TrustedIssuer(spec) = &document.spec
            && let Some(issuer) =
                issuer::mean(document.name.as_str(), spec, context, &mut report.on(flaws))
        {
            known
                .profiles
                .insert(document.name.as_str(), issuer.profile.clone());
            meaning.issuers.push(issuer);
        }
    }
    issuer::identifiers_are_unique(set, context, flaws);
    for (document, at) in each(set) {
        if let Spec::Policy(spec) = &document.spec {
            let name = document.name.as_str();
            known.policy_names.push(name);
            if let Some(policy) = policy::mean(name, spec, context, &mut at.on(flaws)) {
                known.policies.insert(name, policy.policy.clone());
                meaning.policies.push(policy);
            }
        }
    }
    meaning.policies.sort_by(|a, b| a.name.cmp(&b.name));

    let mut sound_apis = Vec::new();
    for (document, at) in each(set) {
        let report = &mut at.on(flaws);
        let name = document.name.as_str();
        match &document.spec {
            Spec::Api(spec) => {
                if let Some(api) = api::mean(name, spec, &known, report) {
                    sound_apis.push((at.clone(), Arc::new(api)));
                }
            }
            Spec::Application(spec) => meaning.applications.push(owner::application(name, spec)),
            Spec::Client(spec) => meaning
                .clients
                .extend(client::mean(name, spec, &known, report)),
            Spec::Account(spec) => {
                meaning
                    .accounts
                    .extend(owner::account(name, spec, &known, report));
            }
            Spec::User(spec) => meaning.users.extend(person::mean(name, spec, report)),
            Spec::WebhookEndpoint(spec) => meaning
                .webhooks
                .extend(webhook::mean(name, spec, &known, report).map(Arc::new)),
            Spec::ApiKey(spec) => owner::api_key(spec, &known, report),
            Spec::TrustedIssuer(_) | Spec::RelationModel(_) | Spec::Policy(_) => {}
        }
    }
    api::audiences_are_unique(&sound_apis, flaws);
    route::apis_do_not_collide(&sound_apis, flaws);
    owner::usernames_are_unique(set, flaws);

    meaning.apis = sound_apis.into_iter().map(|(_, api)| api).collect();
    meaning
        .apis
        .sort_by(|a, b| a.judged.name.cmp(&b.judged.name));
    meaning.applications.sort_by(|a, b| a.name.cmp(&b.name));
    meaning
        .clients
        .sort_by(|a, b| a.client_id.cmp(&b.client_id));
    meaning.accounts.sort_by(|a, b| a.name.cmp(&b.name));
    meaning.users.sort_by(|a, b| a.name.cmp(&b.name));
    meaning.webhooks.sort_by(|a, b| a.name.cmp(&b.name));
    meaning
}

impl Known<'_> {
    fn is_broken(&self, kind: ResourceKind, name: &str) -> bool {
        self.broken
            .contains(&(kind.name().to_owned(), name.to_owned()))
    }
}

/// Which document a check is about.
#[derive(Debug, Clone)]
struct At(DocumentRef);

impl At {
    fn on<'a>(&self, flaws: &'a mut Vec<Flaw>) -> Report<'a> {
        Report::new(self.0.clone(), flaws)
    }
    fn new(index: usize, document: &Document) -> Self {
        Self(DocumentRef {
            kind: document.kind().name().to_owned(),
            name: document.name.as_str().to_owned(),
            index,
        })
    }
}

fn each<'a>(set: &Set<'a>) -> impl Iterator<Item = (&'a Document, At)> {
    set.documents
        .iter()
        .map(|(index, document)| (*document, At::new(*index, document)))
}

fn names_are_unique(set: &Set<'_>, flaws: &mut Vec<Flaw>) {
    let mut seen: BTreeMap<(DocumentKind, &str), usize> = BTreeMap::new();
    for (document, at) in each(set) {
        let report = &mut at.on(flaws);
        let place = Place::root().key("metadata").key("name");
        let name = document.name.as_str();
        if seen.insert((document.kind(), name), at.0.index).is_some() {
            let kind = document.kind().name();
            report.flaw(
                place.clone(),
                format!("there are two documents of kind {kind} named `{name}`"),
            );
        }
        if matches!(document.spec, Spec::TrustedIssuer(_)) && name == OWN_ISSUER {
            report.hinted(
                place,
                "`own` means this installation's own issuer",
                "choose another name",
            );
        }
    }
}

/// Refuses a reference across the wall between live and test.
fn same_wall(
    report: &mut Report<'_>,
    place: Place,
    mine: Environment,
    other: &str,
    its: Environment,
) {
    if mine != its {
        report.hinted(
            place,
            format!("{other} is {its} and this is {mine}"),
            "live and test never meet; use one environment for both",
        );
    }
}

#[cfg(test)]
pub(crate) mod tests;
