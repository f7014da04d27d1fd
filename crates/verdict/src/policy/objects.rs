//! **Objects**: which things a call is about, read where its route says they are named (threat J1).
//!
//! What is read here is what the service behind will act on, so it must be there in one way: a
//! parameter that stands twice, a member that differs from another by case alone, a body in a coding
//! that is not looked into are refused, never guessed at. Ids are compared byte for byte afterwards;
//! nothing is folded or trimmed, so another spelling of an id is another object, which nobody owns.

use std::borrow::Cow;
use std::sync::Arc;

use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderName};
use percent_encoding::percent_decode_str;
use proof::strict_json;
use serde_json::Value;
use smallvec::SmallVec;

use crate::call::{Head, onward, spelled_like};
use crate::policy::steps::{self, Step};
use crate::route::Route;

/// Most objects that one call may name: whoever changes more in one go asks the service behind.
pub const MOST_OBJECTS: usize = 100;

/// Most bytes of a body that is read to judge a call.
pub const MOST_BODY: usize = 4 << 20;

/// An object parameter of a route: which things it names, and what the caller must be to them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectRule {
    /// The type of what is named.
    pub object_type: Arc<str>,
    /// Where it is named.
    pub place: Place,
    /// The relation that the caller must have to each; `None`: policies judge it.
    pub relation: Option<Arc<str>>,
    /// Relations that policies are told of, if the caller has them.
    pub tell: Vec<Arc<str>>,
    /// Whether a call may name none.
    pub optional: bool,
    /// Whether the caller is told that there is nothing, rather than that it may not.
    pub hide: bool,
    /// Whether it is only recorded what this would have refused.
    pub shadow: bool,
}

/// Where a call names an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A parameter of the path: its name and the number of its segment from the root, and whether it
    /// takes the rest of the path.
    Path {
        /// The parameter's name.
        name: Arc<str>,
        /// Its segment.
        segment: usize,
        /// Whether it is the rest.
        rest: bool,
    },
    /// A parameter of the query.
    Query(Arc<str>),
    /// A header field.
    Header(HeaderName),
    /// Members of a JSON body.
    Body(Pointer),
}

/// A path into a JSON value: names of members, and `*` for each element of an array.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pointer {
    written: Arc<str>,
    steps: Vec<Step>,
}

/// Why a text is no pointer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a pointer begins with a slash and names one member per step, or `*` for each element: /items/*/order_id"
)]
pub struct BadPointer;

impl Pointer {
    /// Reads a JSON pointer (RFC 6901) in which `*` stands for each element of an array.
    ///
    /// # Errors
    /// [`BadPointer`].
    pub fn read(written: &str) -> Result<Self, BadPointer> {
        let steps = steps::read(written).ok_or(BadPointer)?;
        // The member of an id has a name, and RFC 6901 alone is enough to write it.
        let unnamed = |step: &Step| matches!(step, Step::Named(name) if name.is_empty());
        if steps.iter().any(unnamed)
            || written.contains("~2")
            || steps.len() > strict_json::MAX_DEPTH
        {
            return Err(BadPointer);
        }
        Ok(Self {
            written: written.into(),
            steps,
        })
    }

    /// As written.
    pub fn as_str(&self) -> &str {
        &self.written
    }
}

impl ObjectRule {
    /// What the rule reads, in words for people.
    pub fn describe(&self) -> String {
        match &self.place {
            Place::Path { name, .. } => format!("the path's {{{name}}}"),
            Place::Query(name) => format!("the query's `{name}`"),
            Place::Header(name) => format!("the field `{name}`"),
            Place::Body(pointer) => format!("the body's {}", pointer.as_str()),
        }
    }
}

/// The ids that a call names. Few calls name more than one.
pub(crate) type Ids = SmallVec<[String; 2]>;

/// The ids that the call names where the rule says.
///
/// # Errors
/// In words for the log, where they can't be read in one way, or there is none and one is needed.
pub(crate) fn named(
    rule: &ObjectRule,
    head: &Head,
    body: Option<&Value>,
    route: &Route,
) -> Result<Ids, Cow<'static, str>> {
    let mut ids = Ids::new();
    match &rule.place {
        Place::Path { segment, rest, .. } => ids.extend(in_path(head.path(), *segment, *rest)?),
        Place::Query(name) => ids.extend(in_query(head.query(), name)?),
        Place::Header(name) => ids.extend(in_header(head, name, route)?),
        Place::Body(pointer) => {
            if let Some(body) = body {
                in_body(body, &pointer.steps, &mut ids)?;
            }
        }
    }
    if ids.is_empty() && !rule.optional {
        return Err(format!("no object stands in {}", rule.describe()).into());
    }
    if ids.iter().any(String::is_empty) {
        return Err(format!("an empty id stands in {}", rule.describe()).into());
    }
    Ok(ids)
}

/// The value of a path's parameter, percent-encoding taken off once: paths with more than one reading
/// were refused before.
pub(crate) fn in_path(
    path: &str,
    segment: usize,
    rest: bool,
) -> Result<Option<String>, Cow<'static, str>> {
    let inner = path.strip_prefix('/').unwrap_or(path);
    let raw = if rest {
        let mut at = 0;
        for _ in 0..segment {
            let Some(next) = inner[at..].find('/') else {
                return Ok(None);
            };
            at += next + 1;
        }
        Some(&inner[at..])
    } else {
        inner.split('/').nth(segment)
    };
    raw.filter(|raw| !raw.is_empty())
        .map(|raw| decoded(raw, "the path"))
        .transpose()
}

fn in_query(query: Option<&str>, wanted: &str) -> Result<Option<String>, Cow<'static, str>> {
    let mut found = None;
    let Some(query) = query else { return Ok(None) };
    // Some servers divide at semicolons too, and then see other parameters.
    if query.contains(';') {
        return Err("the query has a semicolon, at which some servers divide it".into());
    }
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let name = decoded(name, "the query")?;
        // `id[]` and `id[0]` are `id` to some servers; `ID` is to others.
        let base = name.split('[').next().unwrap_or_default();
        if !base.trim().eq_ignore_ascii_case(wanted) {
            continue;
        }
        if name != wanted {
            return Err(format!("`{wanted}` stands in the query in another spelling").into());
        }
        // A plus is a space to those who read forms, and itself to others.
        if value.contains('+') {
            return Err(format!("`{wanted}` has a plus, which has two readings").into());
        }
        if found.replace(decoded(value, "the query")?).is_some() {
            return Err(format!("`{wanted}` stands in the query twice").into());
        }
    }
    Ok(found)
}

fn in_header(
    head: &Head,
    name: &HeaderName,
    route: &Route,
) -> Result<Option<String>, Cow<'static, str>> {
    if onward::ends_here(name) || route.writes(name) {
        return Err(format!("a caller's field `{name}` goes no further").into());
    }
    // Some servers don't tell dashes from underscores, and what `Connection` names goes no further.
    let alike = |other: &HeaderName| other != name && spelled_like(other.as_str(), name.as_str());
    if head.headers().keys().any(alike) {
        return Err(format!("the field `{name}` stands there in another spelling").into());
    }
    if onward::named_by_connection(head.headers()).any(|named| named == *name) {
        return Err(format!("`Connection` takes the field `{name}` off").into());
    }
    let twice = |_| Cow::Owned(format!("the field `{name}` stands there twice"));
    head.sole_header(name)
        .map_err(twice)?
        .map(|value| match value.to_str() {
            Ok(text) => Ok(text.to_owned()),
            Err(_) => Err(format!("the field `{name}` is not a text").into()),
        })
        .transpose()
}

fn in_body(value: &Value, steps: &[Step], ids: &mut Ids) -> Result<(), Cow<'static, str>> {
    if ids.len() > MOST_OBJECTS {
        return Err(format!("the call names more than {MOST_OBJECTS} objects").into());
    }
    let Some((step, others)) = steps.split_first() else {
        ids.push(match value {
            Value::String(text) => text.clone(),
            Value::Number(number) if number.is_i64() || number.is_u64() => number.to_string(),
            _ => return Err("an id in the body is neither a text nor a whole number".into()),
        });
        return Ok(());
    };
    match (step, value) {
        (Step::Any, Value::Array(elements)) => elements
            .iter()
            .try_for_each(|element| in_body(element, others, ids)),
        (Step::Named(name), Value::Object(members)) => {
            // Some readers don't tell names apart that differ by case alone.
            if members
                .keys()
                .any(|other| other != &**name && other.eq_ignore_ascii_case(name))
            {
                return Err(format!("`{name}` stands in the body in another spelling").into());
            }
            match members.get(&**name) {
                Some(member) => in_body(member, others, ids),
                None => Ok(()),
            }
        }
        _ => Err("the body has another shape than the route says".into()),
    }
}

fn decoded(raw: &str, place: &'static str) -> Result<String, Cow<'static, str>> {
    let text = percent_decode_str(raw)
        .decode_utf8()
        .map_err(|_| Cow::Owned(format!("{place} is not UTF-8 once decoded")))?;
    Ok(text.into_owned())
}

/// Whether a media type without its parameters is one of JSON: `application/json`, or one that is
/// written in it (RFC 6839 §3.1).
pub fn names_json(essence: &str) -> bool {
    let essence = essence.trim().to_ascii_lowercase();
    essence == "application/json"
        || (essence.starts_with("application/") && essence.ends_with("+json"))
}

/// A JSON body, read to judge a call. `None`: there is none.
///
/// # Errors
/// In words for the log, where it is something else or can be read in two ways.
pub(crate) fn json(headers: &HeaderMap, body: &[u8]) -> Result<Option<Value>, Cow<'static, str>> {
    if body.is_empty() {
        return Ok(None);
    }
    if headers.contains_key(CONTENT_ENCODING) {
        return Err("the body is in a coding that is not looked into".into());
    }
    let mut types = headers.get_all(CONTENT_TYPE).iter();
    let (first, second) = (types.next(), types.next());
    let text = first
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let text = text.to_ascii_lowercase();
    let (essence, parameters) = text.split_once(';').unwrap_or((&text, ""));
    // RFC 8259 §8.1: JSON is UTF-8; whoever is told something else may read something else.
    let mut charsets = parameters
        .split(';')
        .filter_map(|one| one.trim().strip_prefix("charset="));
    let is_utf8 = charsets.all(|name| name.trim_matches('"') == "utf-8");
    if !names_json(essence) || !is_utf8 || second.is_some() {
        return Err("the body is not said to be JSON".into());
    }
    match strict_json::parse(body, MOST_BODY) {
        Ok(value) => Ok(Some(value)),
        Err(defect) => Err(format!("the body: {defect}").into()),
    }
}

#[cfg(test)]
mod tests;
