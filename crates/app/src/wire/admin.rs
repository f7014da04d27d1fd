//! **The admin API's wiring**: what the endpoints are told of the process.

use std::sync::Arc;

use proof::time::Timestamp;
use registry::meaning::Context;
use registry::ports::Files;
use registry::units::Moment;
use store::Store;
use web::admin::site::Site;
use web::admin::view::{RefusedSettings, SettingsStatus};
use web::admin::{Admin, Parts, Process};

use super::adapters::NodeHasher;
use super::people::NodeSecrets;
use super::{NodeIssuer, Shared};

/// The rooms that the admin API of this binary stands on.
struct Rooms;

impl Parts for Rooms {
    type Store = Store;
    type Hasher = NodeHasher;
    type Secrets = NodeSecrets;
}

impl Process for Shared {
    fn context(&self) -> Arc<Context> {
        self.context.clone()
    }
    fn files(&self) -> &dyn Files {
        self
    }
    fn settings_status(&self) -> SettingsStatus {
        SettingsStatus {
            loaded_at: Moment(self.reload.loaded_at()),
            refused: self.reload.refused().map(|(at, message)| RefusedSettings {
                at: Moment(at),
                message,
            }),
        }
    }
    fn effective_settings(&self) -> serde_json::Value {
        self.loaded.load().explained.clone()
    }
    fn started_at(&self) -> Timestamp {
        self.started
    }
    fn version(&self) -> &str {
        env!("CARGO_PKG_VERSION")
    }
}

/// The admin API as a service.
pub(crate) fn router(shared: &Arc<Shared>, issuer: Arc<NodeIssuer>) -> axum::Router {
    let loaded = shared.loaded.load();
    let site = Site::new(loaded.settings.admin_hosts.iter().cloned());
    web::admin::router::<Rooms>(Admin {
        store: shared.store.clone(),
        hasher: shared.hasher.clone(),
        issuer,
        process: shared.clone(),
        explainer: shared.clone(),
        replayer: shared.clone(),
        checker: shared.clone(),
        entropy: shared.entropy.clone(),
        site,
    })
}
