//! **PASETO keys** of issuers: written down or read from files for foreign ones, pushed for our own,
//! and never fetched: there is no key set of them to fetch. A token's footer names a key by its id
//! (`k4.pid…`, `k4.lid…`), which is a map key and nothing else; each key opens tokens of one purpose.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use arc_swap::ArcSwap;
use proof::paseto::{Key, Purpose};
use verdict::credential::jwt::IssuerId;

/// A key with the id that footers name it by.
#[derive(Debug, Clone)]
pub struct NamedKey {
    /// The id.
    pub id: String,
    /// The key.
    pub key: Arc<Key>,
}

/// Keys of one issuer.
#[derive(Debug, Clone)]
pub enum PasetoSource {
    /// Of our own issuer.
    Own(OwnPasetoKeys),
    /// Written down.
    Static(Vec<NamedKey>),
}

/// The keys of our own issuer: a handle that whoever keeps the signing keys feeds. Clones are the
/// same handle.
#[derive(Debug, Clone, Default)]
pub struct OwnPasetoKeys(Arc<ArcSwap<Vec<NamedKey>>>);

impl OwnPasetoKeys {
    /// Replaces the keys; effective for the next call.
    pub fn publish(&self, keys: Vec<NamedKey>) {
        self.0.store(Arc::new(keys));
    }
}

/// The PASETO keys of all configured issuers.
#[derive(Debug, Default)]
pub struct PasetoKeys(ArcSwap<HashMap<IssuerId, PasetoSource>>);

impl PasetoKeys {
    /// Replaces the list. Whether a key that was there is gone: what it opened is to be forgotten
    /// then.
    pub fn configure(&self, sources: impl IntoIterator<Item = (IssuerId, PasetoSource)>) -> bool {
        let after: HashMap<_, _> = sources.into_iter().collect();
        let before = self.0.swap(Arc::new(after));
        let after = self.0.load();
        !written(&before).is_subset(&written(&after))
    }

    /// The key of an issuer for tokens of a purpose: the one of that id, or without an id the only
    /// one.
    pub fn find(&self, issuer: &IssuerId, id: Option<&str>, purpose: Purpose) -> Option<Arc<Key>> {
        match self.0.load().get(issuer)? {
            PasetoSource::Own(keys) => the_one(&keys.0.load(), id, purpose),
            PasetoSource::Static(keys) => the_one(keys, id, purpose),
        }
    }
}

fn the_one(keys: &[NamedKey], id: Option<&str>, purpose: Purpose) -> Option<Arc<Key>> {
    let mut fitting = keys
        .iter()
        .filter(|one| one.key.purpose() == purpose && id.is_none_or(|id| one.id == id));
    let found = fitting.next()?;
    fitting.next().is_none().then(|| Arc::clone(&found.key))
}

/// Which issuer has which key; ours have a change feed of their own.
fn written(sources: &HashMap<IssuerId, PasetoSource>) -> BTreeSet<(&str, &str)> {
    let mut all = BTreeSet::new();
    for (issuer, source) in sources {
        if let PasetoSource::Static(keys) = source {
            all.extend(keys.iter().map(|key| (issuer.as_str(), key.id.as_str())));
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use proof::paseto::LocalKey;
    use proof::random::SystemEntropy;
    use proof::secret::Secret;

    use super::*;

    fn local() -> NamedKey {
        let key = LocalKey::generate(&SystemEntropy);
        NamedKey {
            id: key.id(),
            key: Arc::new(Key::Local(key)),
        }
    }

    fn public() -> NamedKey {
        let text = "k4.public.Hrnbu7wEfAP9cGBOAHHwmH4Wsot1ciXBHwBBXQ4gsaI";
        let (key, id) = Key::named(&Secret::from_text(text.to_owned())).unwrap();
        NamedKey {
            id,
            key: Arc::new(key),
        }
    }

    #[test]
    fn a_key_is_found_by_its_id_or_as_the_only_one_of_its_purpose() {
        let (one, two, public) = (local(), local(), public());
        let keys = PasetoKeys::default();
        let (issuer, other) = (IssuerId::new("https://a"), IssuerId::new("https://b"));
        let list = |keys: &[&NamedKey]| {
            PasetoSource::Static(keys.iter().map(|key| (*key).clone()).collect())
        };
        keys.configure([(issuer.clone(), list(&[&one, &public]))]);
        let find = |of: &IssuerId, id: Option<&str>, purpose| keys.find(of, id, purpose).is_some();
        assert!(find(&issuer, Some(&one.id), Purpose::Local));
        assert!(find(&issuer, None, Purpose::Local));
        assert!(find(&issuer, None, Purpose::Public));
        // Of another purpose, of another id, of another issuer.
        assert!(!find(&issuer, Some(&one.id), Purpose::Public));
        assert!(!find(&issuer, Some(&two.id), Purpose::Local));
        assert!(!find(&other, Some(&one.id), Purpose::Local));
        assert!(!keys.configure([(issuer.clone(), list(&[&one, &two, &public]))]));
        assert!(!find(&issuer, None, Purpose::Local), "no choice is made");
        assert!(find(&issuer, Some(&two.id), Purpose::Local));
        assert!(
            keys.configure([(issuer.clone(), list(&[&two]))]),
            "taken out"
        );
        assert!(!find(&issuer, Some(&one.id), Purpose::Local));
    }

    #[test]
    fn our_own_keys_are_pushed() {
        let own = OwnPasetoKeys::default();
        let keys = PasetoKeys::default();
        let issuer = IssuerId::new("https://a");
        keys.configure([(issuer.clone(), PasetoSource::Own(own.clone()))]);
        assert!(keys.find(&issuer, None, Purpose::Public).is_none());
        own.publish(vec![public()]);
        assert!(keys.find(&issuer, None, Purpose::Public).is_some());
        own.publish(Vec::new());
        assert!(keys.find(&issuer, None, Purpose::Public).is_none());
    }
}
