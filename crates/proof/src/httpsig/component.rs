//! Components: what a signature can cover, and how each is named (RFC 9421 §2).

use std::fmt;

use http::HeaderName;

use super::HttpSigDefect;
use crate::structured::{Bare, Item};

/// One part of a request that a signature covers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Component {
    /// `@method` (§2.2.1).
    Method,
    /// `@target-uri` (§2.2.2).
    TargetUri,
    /// `@authority` (§2.2.3).
    Authority,
    /// `@scheme` (§2.2.4).
    Scheme,
    /// `@request-target` (§2.2.5), in origin form.
    RequestTarget,
    /// `@path` (§2.2.6).
    Path,
    /// `@query` (§2.2.7).
    Query,
    /// `@query-param` (§2.2.8), with the parameter's name as it is encoded there.
    QueryParam(String),
    /// A header field (§2.1).
    Field(HeaderName, FieldForm),
}

/// In which form a field's value is covered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FieldForm {
    /// Its lines, joined (§2.1).
    Plain,
    /// Written anew as a structured field (`sf`, §2.1.1). Only for the dictionaries known here.
    Strict,
    /// One member of a dictionary (`key`, §2.1.2).
    Member(String),
    /// Its lines as byte sequences (`bs`, §2.1.3).
    Bytes,
}

/// Fields that are known to be dictionaries, and so can be written anew.
pub(super) const DICTIONARIES: [&str; 7] = [
    "content-digest",
    "repr-digest",
    "want-content-digest",
    "want-repr-digest",
    "priority",
    "signature",
    "signature-input",
];

impl Component {
    /// A field as it stands.
    pub fn field(name: HeaderName) -> Self {
        Self::Field(name, FieldForm::Plain)
    }

    /// The component of a name without flags: a derived one, or a field in lower case. `None` where
    /// there is none (`@query-param` needs to be told which).
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "@method" => Self::Method,
            "@target-uri" => Self::TargetUri,
            "@authority" => Self::Authority,
            "@scheme" => Self::Scheme,
            "@request-target" => Self::RequestTarget,
            "@path" => Self::Path,
            "@query" => Self::Query,
            // RFC 9421 §2.1: the name is the field's in lower case.
            _ if name.starts_with('@') || name.bytes().any(|b| b.is_ascii_uppercase()) => {
                return None;
            }
            _ => Self::field(HeaderName::from_bytes(name.as_bytes()).ok()?),
        })
    }

    /// Reads a component's name and flags, as `Signature-Input` lists it.
    ///
    /// # Errors
    /// [`HttpSigDefect::Component`] for everything that is not supported: parts of a related
    /// request (`req`), trailers (`tr`), and whatever is unknown.
    pub(super) fn from_item(item: &Item) -> Result<Self, HttpSigDefect> {
        const WRONG: HttpSigDefect = HttpSigDefect::Component;
        let Bare::String(name) = &item.bare else {
            return Err(WRONG);
        };
        // Each component takes one flag at most; those that could stand together mean the same.
        let flag = match item.parameters.as_slice() {
            [] => None,
            [(flag, value)] => Some((flag.as_str(), value)),
            _ => return Err(WRONG),
        };
        let Some((flag, value)) = flag else {
            return Self::named(name).ok_or(WRONG);
        };
        if let ("@query-param", "name", Bare::String(parameter)) = (name.as_str(), flag, value) {
            return Ok(Self::QueryParam(parameter.clone()));
        }
        let Some(Self::Field(field, _)) = Self::named(name) else {
            return Err(WRONG);
        };
        let form = match (flag, value) {
            ("sf", Bare::Boolean(true)) if DICTIONARIES.contains(&name.as_str()) => {
                FieldForm::Strict
            }
            ("key", Bare::String(key)) => FieldForm::Member(key.clone()),
            ("bs", Bare::Boolean(true)) => FieldForm::Bytes,
            _ => return Err(WRONG),
        };
        Ok(Self::Field(field, form))
    }

    /// Name and flags, as `Signature-Input` lists them.
    pub(super) fn to_item(&self) -> Item {
        let item = |name: &str, flag: Option<(&str, Bare)>| Item {
            bare: Bare::String(name.to_owned()),
            parameters: flag
                .map(|(flag, value)| (flag.to_owned(), value))
                .into_iter()
                .collect(),
        };
        match self {
            Self::Method => item("@method", None),
            Self::TargetUri => item("@target-uri", None),
            Self::Authority => item("@authority", None),
            Self::Scheme => item("@scheme", None),
            Self::RequestTarget => item("@request-target", None),
            Self::Path => item("@path", None),
            Self::Query => item("@query", None),
            Self::QueryParam(name) => {
                item("@query-param", Some(("name", Bare::String(name.clone()))))
            }
            Self::Field(name, form) => item(
                name.as_str(),
                match form {
                    FieldForm::Plain => None,
                    FieldForm::Strict => Some(("sf", Bare::Boolean(true))),
                    FieldForm::Member(key) => Some(("key", Bare::String(key.clone()))),
                    FieldForm::Bytes => Some(("bs", Bare::Boolean(true))),
                },
            ),
        }
    }

    /// Whether covering this covers `other` too.
    pub(super) fn includes(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::TargetUri, Self::Scheme | Self::Authority | Self::Path | Self::Query)
            | (Self::RequestTarget, Self::Path | Self::Query) => true,
            // A field is covered whole in each form but one.
            (Self::Field(one, form), Self::Field(name, FieldForm::Plain)) => {
                one == name && !matches!(form, FieldForm::Member(_))
            }
            _ => self == other,
        }
    }
}

impl fmt::Display for Component {
    /// The identifier as RFC 9421 §2 writes it, without the quotes: `@method`,
    /// `content-digest;key="sha-256"`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.to_item().to_string();
        let (name, flags) = match text[1..].split_once('"') {
            Some(parts) => parts,
            None => (text.as_str(), ""),
        };
        write!(f, "{name}{flags}")
    }
}
