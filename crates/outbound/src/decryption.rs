//! **Keys that open encrypted tokens**, by the API that they were encrypted to. Whoever configures
//! them reads the files; here they are kept, the whole set at a time.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use proof::jose::jwe::DecryptionKeys;
use verdict::route::ApiName;

/// The keys of all APIs that ask for encrypted tokens.
#[derive(Debug, Default)]
pub struct ApiKeys(ArcSwap<HashMap<ApiName, Arc<DecryptionKeys>>>);

impl ApiKeys {
    /// Replaces the keys; effective for the next call. What was opened with keys that changed is not
    /// known any more, since they have another version.
    pub fn configure(&self, keys: impl IntoIterator<Item = (ApiName, Arc<DecryptionKeys>)>) {
        self.0.store(Arc::new(keys.into_iter().collect()));
    }

    /// The keys of an API, if it asks for encrypted tokens.
    pub fn of(&self, api: &ApiName) -> Option<Arc<DecryptionKeys>> {
        self.0.load().get(api).cloned()
    }
}
