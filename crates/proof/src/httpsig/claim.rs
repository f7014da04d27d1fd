//! Reading the claim (which signature, by which key, over what), and judging it.

use http::HeaderName;

use super::{Component, HttpSigDefect, Key, MAX_COMPONENTS, Rules, base::signature_base};
use crate::{
    content_digest,
    request::{BodyDigest, MAX_NONCE_BYTES, Replay, SignedHead, Verified, key_id_is_clean},
    structured::{self, Bare, Dictionary, InnerList, Member},
    time::Timestamp,
};

pub(super) const SIGNATURE: HeaderName = HeaderName::from_static("signature");
pub(super) const SIGNATURE_INPUT: HeaderName = HeaderName::from_static("signature-input");

/// Longest tag, in bytes.
const MAX_TAG_BYTES: usize = 256;
/// The latest time in seconds that is taken: the year 2286.
const MAX_SECONDS: i64 = 9_999_999_999;

/// A request that says who signed it. Nothing of it is verified.
#[derive(Clone, Debug)]
pub struct Claimed<'a> {
    head: SignedHead<'a>,
    components: Vec<Component>,
    input: InnerList,
    signature: Vec<u8>,
    key_id: String,
    created: Timestamp,
    expires: Option<Timestamp>,
    nonce: Option<String>,
    alg: Option<String>,
    tag: Option<String>,
}

/// Reads the one signature that is meant: the one with `tag`, or without one asked for the only
/// one there is. `None` if the request has no message signature at all.
///
/// # Errors
/// [`HttpSigDefect`] if it can't be read, or it is not clear which one is meant.
pub fn parse<'a>(
    head: &SignedHead<'a>,
    tag: Option<&str>,
) -> Result<Option<Claimed<'a>>, HttpSigDefect> {
    let (inputs, signatures) = match (joined(head, &SIGNATURE_INPUT)?, joined(head, &SIGNATURE)?) {
        (None, None) => return Ok(None),
        (Some(inputs), Some(signatures)) => (
            structured::parse_dictionary(&inputs)?,
            structured::parse_dictionary(&signatures)?,
        ),
        _ => return Err(HttpSigDefect::Fields),
    };
    let (label, input) = chosen(inputs, tag)?;
    let signature = structured::bytes_of(&signatures, &label)
        .ok_or(HttpSigDefect::Fields)?
        .to_vec();
    claimed(head, input, signature).map(Some)
}

/// A field's lines joined, as RFC 9651 §4.2 reads dictionaries; keys that stand twice are found
/// there.
fn joined(head: &SignedHead<'_>, name: &HeaderName) -> Result<Option<String>, HttpSigDefect> {
    let mut text: Option<String> = None;
    for line in head.headers.get_all(name) {
        let line = line.to_str().map_err(|_| HttpSigDefect::Fields)?;
        match &mut text {
            None => text = Some(line.to_owned()),
            Some(text) => {
                text.push_str(", ");
                text.push_str(line);
            }
        }
    }
    Ok(text)
}

fn chosen(inputs: Dictionary, tag: Option<&str>) -> Result<(String, InnerList), HttpSigDefect> {
    let mut fitting = Vec::new();
    for (label, member) in inputs {
        let Member::Inner(input) = member else {
            return Err(HttpSigDefect::Fields);
        };
        let fits = tag.is_none_or(|tag| {
            input
                .parameters
                .iter()
                .any(|(name, value)| name == "tag" && *value == Bare::String(tag.to_owned()))
        });
        if fits {
            fitting.push((label, input));
        }
    }
    match (fitting.pop(), fitting.is_empty()) {
        (Some(one), true) => Ok(one),
        _ => Err(HttpSigDefect::Label),
    }
}

fn claimed<'a>(
    head: &SignedHead<'a>,
    input: InnerList,
    signature: Vec<u8>,
) -> Result<Claimed<'a>, HttpSigDefect> {
    if input.items.len() > MAX_COMPONENTS {
        return Err(HttpSigDefect::TooMany);
    }
    let mut components: Vec<Component> = Vec::with_capacity(input.items.len());
    for item in &input.items {
        let component = Component::from_item(item)?;
        if components.contains(&component) {
            return Err(HttpSigDefect::DuplicateComponent);
        }
        components.push(component);
    }
    let (mut created, mut expires) = (None, None);
    let (mut key_id, mut nonce, mut alg, mut tag) = (None, None, None, None);
    for (name, value) in &input.parameters {
        // RFC 9421 §2.3. One that is not known may mean anything, and is covered by nothing.
        match (name.as_str(), value) {
            ("created", Bare::Integer(secs)) => created = Some(time(*secs)?),
            ("expires", Bare::Integer(secs)) => expires = Some(time(*secs)?),
            ("keyid", Bare::String(text)) => key_id = Some(text.clone()),
            ("nonce", Bare::String(text)) => nonce = Some(short(text, MAX_NONCE_BYTES)?),
            ("alg", Bare::String(text)) => alg = Some(text.clone()),
            ("tag", Bare::String(text)) => tag = Some(short(text, MAX_TAG_BYTES)?),
            _ => return Err(HttpSigDefect::Parameter),
        }
    }
    Ok(Claimed {
        head: *head,
        components,
        signature,
        key_id: key_id
            .filter(|id| key_id_is_clean(id))
            .ok_or(HttpSigDefect::NoKeyId)?,
        created: created.ok_or(HttpSigDefect::NoCreated)?,
        expires,
        nonce,
        alg,
        tag,
        input,
    })
}

fn time(secs: i64) -> Result<Timestamp, HttpSigDefect> {
    if (0..=MAX_SECONDS).contains(&secs) {
        Ok(Timestamp::from_secs(secs))
    } else {
        Err(HttpSigDefect::Parameter)
    }
}

fn short(text: &str, max_bytes: usize) -> Result<String, HttpSigDefect> {
    if (1..=max_bytes).contains(&text.len()) {
        Ok(text.to_owned())
    } else {
        Err(HttpSigDefect::Parameter)
    }
}

impl Claimed<'_> {
    /// The id under which the key is to be looked up.
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// What the signature is meant for, as claimed.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// What the signature covers, as claimed.
    pub fn components(&self) -> &[Component] {
        &self.components
    }

    /// Verifies with whichever of `keys` it was signed with. Several only where they all belong to
    /// the one owner of [`Self::key_id`].
    ///
    /// # Errors
    /// The first [`HttpSigDefect`]: what must be covered, times, algorithm, components, signature,
    /// body.
    pub fn verify(
        self,
        keys: &[Key<'_>],
        now: Timestamp,
        rules: &Rules<'_>,
    ) -> Result<Verified, HttpSigDefect> {
        self.covers_all(rules)?;
        if rules.nonce_required && self.nonce.is_none() {
            return Err(HttpSigDefect::NoNonce);
        }
        let until = self.within(now, rules)?;

        // The key says which algorithm; the signature may say the same or nothing.
        let fits = |key: &Key<'_>| {
            key.algorithm()
                .is_some_and(|own| self.alg.as_deref().is_none_or(|named| named == own.name()))
        };
        if !keys.is_empty() && !keys.iter().any(fits) {
            return Err(HttpSigDefect::Algorithm);
        }
        let base = signature_base(&self.head, &self.components, &self.input)?;
        let key = keys
            .iter()
            .position(|key| fits(key) && key.verifies(base.as_bytes(), &self.signature))
            .ok_or(HttpSigDefect::Signature)?;

        let body = self.body(rules)?;
        // Not the signature's bytes: with ECDSA another valid signature can be made of one. A nonce
        // is spent whatever it stands in.
        let id = self.key_id.as_bytes();
        let replay = match &self.nonce {
            Some(nonce) => Replay::new("httpsig-nonce", &[id, nonce.as_bytes()], until),
            None => Replay::new("httpsig", &[id, base.as_bytes()], until),
        };
        Ok(Verified {
            key,
            created: Some(self.created),
            expires: self.expires,
            covered: self.components.iter().map(Component::to_string).collect(),
            nonce: self.nonce,
            tag: self.tag,
            reusable: false,
            body,
            replay,
            key_id: self.key_id,
        })
    }

    fn covers(&self, wanted: &Component) -> bool {
        self.components.iter().any(|own| own.includes(wanted))
    }

    fn covers_all(&self, rules: &Rules<'_>) -> Result<(), HttpSigDefect> {
        let misses = |wanted: &&Component| {
            let needless = **wanted == Component::Query && self.head.query.is_none();
            !needless && !self.covers(wanted)
        };
        let missing = rules.required.iter().find(misses).is_some()
            || rules.required_if_present.iter().any(|name| {
                let Ok(name) = HeaderName::from_bytes(name.as_bytes()) else {
                    return true;
                };
                self.head.headers.contains_key(&name) && !self.covers(&Component::field(name))
            });
        if missing {
            return Err(HttpSigDefect::NotCovered);
        }
        Ok(())
    }

    /// Whether now lies in its time; gives when it would be refused anyway.
    fn within(&self, now: Timestamp, rules: &Rules<'_>) -> Result<Timestamp, HttpSigDefect> {
        if self.created > now.plus(rules.window) {
            return Err(HttpSigDefect::InFuture);
        }
        let end = self.created.plus(rules.window);
        let end = self.expires.map_or(end, |expires| expires.min(end));
        if now >= end {
            return Err(HttpSigDefect::Stale);
        }
        Ok(end)
    }

    fn body(&self, rules: &Rules<'_>) -> Result<BodyDigest, HttpSigDefect> {
        let digest = Component::field(content_digest::CONTENT_DIGEST);
        if self.covers(&digest) {
            let said = content_digest::parse(self.head.headers);
            let said = said.map_err(HttpSigDefect::ContentDigest)?;
            return said.ok_or(HttpSigDefect::ComponentMissing);
        }
        Ok(if rules.unsigned_body {
            BodyDigest::Unsigned
        } else {
            BodyDigest::Empty
        })
    }
}
