//! **Documents**: the one form in which people declare things, in files and over the admin API.
//!
//! ```yaml
//! apiVersion: doorward/v1
//! kind: Api
//! metadata: { name: orders }
//! spec: { … }
//! ```
//!
//! A document mirrors what was written and nothing more: unknown keys are refused, and so is `null`
//! where a value was meant. What it means is worked out in [`crate::meaning`].

use core::fmt;
use core::str::FromStr;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use crate::account::AccountSpec;
use crate::api::written::ApiSpec;
use crate::application::ApplicationSpec;
use crate::client::ClientSpec;
use crate::flaw::{DocumentRef, Flaw, PathStep};
use crate::key::ApiKeySpec;
use crate::policy::PolicySpec;
use crate::relation_model::RelationModelSpec;
use crate::resource::ResourceKind;
use crate::trusted_issuer::TrustedIssuerSpec;
use crate::user::UserSpec;
use crate::webhook::WebhookEndpointSpec;

/// The `apiVersion` of every document.
pub const API_VERSION: &str = "doorward/v1";

/// What a document can be of. Resources are stored as documents; an `ApiKey` document states the
/// metadata of a credential and never holds a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DocumentKind {
    /// A stored resource.
    Resource(ResourceKind),
    /// A key's metadata.
    ApiKey,
}

impl DocumentKind {
    /// Every kind, in the order in which documents may refer to each other (later to earlier).
    pub const ALL: [Self; 10] = [
        Self::Resource(ResourceKind::TrustedIssuer),
        Self::Resource(ResourceKind::RelationModel),
        Self::Resource(ResourceKind::Policy),
        Self::Resource(ResourceKind::Application),
        Self::Resource(ResourceKind::Api),
        Self::Resource(ResourceKind::Client),
        Self::Resource(ResourceKind::Account),
        Self::Resource(ResourceKind::User),
        Self::Resource(ResourceKind::WebhookEndpoint),
        Self::ApiKey,
    ];
    /// The kind as documents write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Resource(kind) => kind.name(),
            Self::ApiKey => "ApiKey",
        }
    }
    /// The kind of a name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
    /// The resource's kind, if it is one.
    pub fn resource(self) -> Option<ResourceKind> {
        match self {
            Self::Resource(kind) => Some(kind),
            Self::ApiKey => None,
        }
    }
}

/// A slug: 1 to 63 lower-case letters, digits and single-byte hyphens, no hyphen at either end.
/// Unique per kind.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(transparent)]
pub struct Name(#[schemars(regex(pattern = r"^[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?$"))] String);

/// The text is no slug.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a name is 1 to 63 lower-case letters, digits, hyphens and underscores, and begins and ends with a letter or digit"
)]
pub struct BadName;

impl Name {
    /// Checks the text.
    ///
    /// # Errors
    /// [`BadName`].
    pub fn new(text: &str) -> Result<Self, BadName> {
        let edge = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        let bytes = text.as_bytes();
        let clean = bytes.iter().all(|b| edge(b) || matches!(b, b'-' | b'_'))
            && bytes.first().is_some_and(edge)
            && bytes.last().is_some_and(edge)
            && bytes.len() <= 63;
        if clean {
            Ok(Self(text.to_owned()))
        } else {
            Err(BadName)
        }
    }
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Name {
    type Err = BadName;
    fn from_str(text: &str) -> Result<Self, BadName> {
        Self::new(text)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

/// `metadata` of a document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Metadata {
    /// The slug, unique per kind.
    pub name: Name,
}

/// The outer form of a document whose kind is known. `kind` is checked by [`Document::from_value`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Envelope<S> {
    /// `doorward/v1`.
    #[serde(rename = "apiVersion")]
    pub api_version: String,
    /// The kind's name.
    pub kind: String,
    /// Its name.
    pub metadata: Metadata,
    /// What is declared.
    pub spec: S,
}

/// What a document declares.
#[derive(Debug, Clone, PartialEq)]
pub enum Spec {
    /// An API with its routes.
    Api(Box<ApiSpec>),
    /// An application.
    Application(ApplicationSpec),
    /// An OAuth client.
    Client(Box<ClientSpec>),
    /// A service account.
    Account(Box<AccountSpec>),
    /// A person who can log in.
    User(Box<UserSpec>),
    /// An issuer whose tokens are accepted.
    TrustedIssuer(Box<TrustedIssuerSpec>),
    /// Types and who may have what to do with their objects.
    RelationModel(Box<RelationModelSpec>),
    /// A Rego policy.
    Policy(Box<PolicySpec>),
    /// An endpoint that is told of things by signed messages.
    WebhookEndpoint(Box<WebhookEndpointSpec>),
    /// The metadata of an API key.
    ApiKey(Box<ApiKeySpec>),
}

/// A document as written.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    /// Its name.
    pub name: Name,
    /// What it declares.
    pub spec: Spec,
}

impl Document {
    /// The kind.
    pub fn kind(&self) -> DocumentKind {
        match &self.spec {
            Spec::Api(_) => DocumentKind::Resource(ResourceKind::Api),
            Spec::Application(_) => DocumentKind::Resource(ResourceKind::Application),
            Spec::Client(_) => DocumentKind::Resource(ResourceKind::Client),
            Spec::Account(_) => DocumentKind::Resource(ResourceKind::Account),
            Spec::User(_) => DocumentKind::Resource(ResourceKind::User),
            Spec::TrustedIssuer(_) => DocumentKind::Resource(ResourceKind::TrustedIssuer),
            Spec::RelationModel(_) => DocumentKind::Resource(ResourceKind::RelationModel),
            Spec::Policy(_) => DocumentKind::Resource(ResourceKind::Policy),
            Spec::WebhookEndpoint(_) => DocumentKind::Resource(ResourceKind::WebhookEndpoint),
            Spec::ApiKey(_) => DocumentKind::ApiKey,
        }
    }

    /// The `spec` in its one canonical JSON form: what the store keeps and what is compared.
    pub fn spec_value(&self) -> Value {
        let value = match &self.spec {
            Spec::Api(spec) => serde_json::to_value(spec),
            Spec::Application(spec) => serde_json::to_value(spec),
            Spec::Client(spec) => serde_json::to_value(spec),
            Spec::Account(spec) => serde_json::to_value(spec),
            Spec::User(spec) => serde_json::to_value(spec),
            Spec::TrustedIssuer(spec) => serde_json::to_value(spec),
            Spec::RelationModel(spec) => serde_json::to_value(spec),
            Spec::Policy(spec) => serde_json::to_value(spec),
            Spec::WebhookEndpoint(spec) => serde_json::to_value(spec),
            Spec::ApiKey(spec) => serde_json::to_value(spec),
        };
        value.expect("written forms have text keys and finite numbers")
    }

    /// The whole document as JSON, `apiVersion` first.
    pub fn to_value(&self) -> Value {
        let mut map = Map::new();
        map.insert("apiVersion".into(), API_VERSION.into());
        map.insert("kind".into(), self.kind().name().into());
        map.insert(
            "metadata".into(),
            serde_json::json!({ "name": self.name.as_str() }),
        );
        map.insert("spec".into(), self.spec_value());
        Value::Object(map)
    }

    /// Reads one document; `index` is its position among those given together.
    ///
    /// # Errors
    /// Every flaw of shape that can be told apart, at most 50, each with its place.
    pub fn from_value(value: Value, index: usize) -> Result<Self, Vec<Flaw>> {
        let text = |path: &[&str]| {
            path.iter()
                .try_fold(&value, |at, key| at.get(key))
                .and_then(Value::as_str)
        };
        let kind = text(&["kind"]).map(str::to_owned);
        let document = DocumentRef {
            kind: kind.clone().unwrap_or_else(|| "?".to_owned()),
            name: text(&["metadata", "name"]).unwrap_or("?").to_owned(),
            index,
        };
        let flaw = |key: &str, message: String, hint: Option<String>| {
            vec![Flaw {
                document: document.clone(),
                path: vec![PathStep::Key(key.to_owned())],
                message,
                hint,
            }]
        };
        if !value.is_object() {
            return Err(vec![Flaw {
                document,
                path: Vec::new(),
                message: "a document is a map of apiVersion, kind, metadata and spec".to_owned(),
                hint: None,
            }]);
        }
        match text(&["apiVersion"]) {
            Some(API_VERSION) => {}
            found => {
                let found = found.map_or("missing".to_owned(), |text| format!("`{text}`"));
                let hint = Some(format!("write `apiVersion: {API_VERSION}`"));
                return Err(flaw("apiVersion", format!("apiVersion is {found}"), hint));
            }
        }
        let known = DocumentKind::ALL.map(DocumentKind::name);
        let Some(kind) = kind.as_deref().and_then(DocumentKind::from_name) else {
            let found = kind.map_or("missing".to_owned(), |kind| format!("unknown: `{kind}`"));
            let hint = Some(format!("one of {}", known.join(", ")));
            return Err(flaw("kind", format!("kind is {found}"), hint));
        };
        let (name, spec) = match kind {
            DocumentKind::Resource(ResourceKind::Api) => {
                let envelope = shape::<ApiSpec>(value, &document)?;
                (envelope.metadata.name, Spec::Api(Box::new(envelope.spec)))
            }
            DocumentKind::Resource(ResourceKind::Application) => {
                let envelope = shape::<ApplicationSpec>(value, &document)?;
                (envelope.metadata.name, Spec::Application(envelope.spec))
            }
            DocumentKind::Resource(ResourceKind::Client) => {
                let envelope = shape::<ClientSpec>(value, &document)?;
                (
                    envelope.metadata.name,
                    Spec::Client(Box::new(envelope.spec)),
                )
            }
            DocumentKind::Resource(ResourceKind::Account) => {
                let envelope = shape::<AccountSpec>(value, &document)?;
                (
                    envelope.metadata.name,
                    Spec::Account(Box::new(envelope.spec)),
                )
            }
            DocumentKind::Resource(ResourceKind::User) => {
                let envelope = shape::<UserSpec>(value, &document)?;
                (envelope.metadata.name, Spec::User(Box::new(envelope.spec)))
            }
            DocumentKind::Resource(ResourceKind::TrustedIssuer) => {
                let envelope = shape::<TrustedIssuerSpec>(value, &document)?;
                (
                    envelope.metadata.name,
                    Spec::TrustedIssuer(Box::new(envelope.spec)),
                )
            }
            DocumentKind::Resource(ResourceKind::RelationModel) => {
                let envelope = shape::<RelationModelSpec>(value, &document)?;
                (
                    envelope.metadata.name,
                    Spec::RelationModel(Box::new(envelope.spec)),
                )
            }
            DocumentKind::Resource(ResourceKind::Policy) => {
                let envelope = shape::<PolicySpec>(value, &document)?;
                (
                    envelope.metadata.name,
                    Spec::Policy(Box::new(envelope.spec)),
                )
            }
            DocumentKind::Resource(ResourceKind::WebhookEndpoint) => {
                let envelope = shape::<WebhookEndpointSpec>(value, &document)?;
                (
                    envelope.metadata.name,
                    Spec::WebhookEndpoint(Box::new(envelope.spec)),
                )
            }
            DocumentKind::ApiKey => {
                let envelope = shape::<ApiKeySpec>(value, &document)?;
                (
                    envelope.metadata.name,
                    Spec::ApiKey(Box::new(envelope.spec)),
                )
            }
        };
        Ok(Self { name, spec })
    }

    /// Reads a document of a known kind from name and `spec` alone (the admin API's bodies, stored
    /// rows).
    ///
    /// # Errors
    /// As [`Document::from_value`].
    pub fn from_parts(kind: DocumentKind, name: &str, spec: Value) -> Result<Self, Vec<Flaw>> {
        let mut map = Map::new();
        map.insert("apiVersion".into(), API_VERSION.into());
        map.insert("kind".into(), kind.name().into());
        map.insert("metadata".into(), serde_json::json!({ "name": name }));
        map.insert("spec".into(), spec);
        Self::from_value(Value::Object(map), 0)
    }
}

/// Reads a list of documents, whatever is wrong in any of them.
///
/// # Errors
/// Every flaw of every document.
pub fn read_all(values: impl IntoIterator<Item = Value>) -> Result<Vec<Document>, Vec<Flaw>> {
    let mut documents = Vec::new();
    let mut flaws = Vec::new();
    for (index, value) in values.into_iter().enumerate() {
        match Document::from_value(value, index) {
            Ok(document) => documents.push(document),
            Err(mut found) => flaws.append(&mut found),
        }
    }
    if flaws.is_empty() {
        Ok(documents)
    } else {
        Err(flaws)
    }
}

/// Reads the envelope of a known kind.
fn shape<S: DeserializeOwned>(
    value: Value,
    document: &DocumentRef,
) -> Result<Envelope<S>, Vec<Flaw>> {
    crate::shape::read(value).map_err(|misfits| {
        misfits
            .into_iter()
            .map(|misfit| Flaw {
                document: document.clone(),
                path: misfit.path,
                message: misfit.message,
                hint: misfit.hint,
            })
            .collect()
    })
}

/// Reads a value that must not be `null` into an `Option`: absent and malformed stay apart.
pub(crate) fn present<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    T::deserialize(deserializer).map(Some)
}

/// The JSON Schema of a document of any kind, for editors.
pub fn json_schema() -> Value {
    let mut generator = schemars::SchemaGenerator::default();
    let mut variants = Vec::new();
    for kind in DocumentKind::ALL {
        let schema = match kind {
            DocumentKind::Resource(ResourceKind::Api) => generator.subschema_for::<ApiSpec>(),
            DocumentKind::Resource(ResourceKind::Application) => {
                generator.subschema_for::<ApplicationSpec>()
            }
            DocumentKind::Resource(ResourceKind::Client) => generator.subschema_for::<ClientSpec>(),
            DocumentKind::Resource(ResourceKind::Account) => {
                generator.subschema_for::<AccountSpec>()
            }
            DocumentKind::Resource(ResourceKind::User) => generator.subschema_for::<UserSpec>(),
            DocumentKind::Resource(ResourceKind::TrustedIssuer) => {
                generator.subschema_for::<TrustedIssuerSpec>()
            }
            DocumentKind::Resource(ResourceKind::RelationModel) => {
                generator.subschema_for::<RelationModelSpec>()
            }
            DocumentKind::Resource(ResourceKind::Policy) => generator.subschema_for::<PolicySpec>(),
            DocumentKind::Resource(ResourceKind::WebhookEndpoint) => {
                generator.subschema_for::<WebhookEndpointSpec>()
            }
            DocumentKind::ApiKey => generator.subschema_for::<ApiKeySpec>(),
        };
        variants.push(serde_json::json!({
            "type": "object",
            "required": ["apiVersion", "kind", "metadata", "spec"],
            "additionalProperties": false,
            "properties": {
                "apiVersion": { "const": API_VERSION },
                "kind": { "const": kind.name() },
                "metadata": generator.subschema_for::<Metadata>(),
                "spec": schema,
            }
        }));
    }
    serde_json::json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A Doorward document",
        "oneOf": variants,
        "$defs": generator.take_definitions(true),
    })
}

#[cfg(test)]
mod tests;
