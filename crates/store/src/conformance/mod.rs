//! **One suite for both databases.** Each test is written once against the ports; the macro
//! [`on_both`] runs it on SQLite and on PostgreSQL, each time with an empty database of its own.

mod audit;
mod credentials;
mod deliveries;
mod flows;
mod keys;
mod opening;
mod outbox;
mod record;
mod records;
mod relations;
mod resources;
mod signing;
mod usage;
mod webhooks;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use proof::issued::{Environment, KeyId};
use proof::password::{self, Argon2Params};
use proof::random::{SystemEntropy, uuid_v7};
use proof::time::Timestamp;
use registry::audit::AuditDraft;
use registry::credential::{Credential, CredentialType, Grant, Lookup};
use registry::ports::Registry as _;
use registry::resource::{ManagedBy, Put, ResourceKind, Written};
use serde_json::{Value, json};
use sqlx::Executor as _;
use verdict::identity::LifeState;

use crate::backend::Backend;
use crate::{Location, Settings, Store};

/// Defines each test once more per backend.
macro_rules! on_both {
    ($($name:ident),* $(,)?) => {
        mod on_sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name($crate::conformance::Bench::sqlite().await).await;
            })*
        }
        mod on_postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                if let Some(bench) = $crate::conformance::Bench::postgres().await {
                    super::$name(bench).await;
                }
            })*
        }
    };
}
use on_both;

/// An open store on an empty database, and ways past it.
pub(super) struct Bench {
    pub(super) store: Store,
    address: String,
    /// Holds the SQLite file.
    directory: tempfile::TempDir,
}

impl Bench {
    pub(super) async fn sqlite() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let address = format!("sqlite:{}/data/doorward.db", directory.path().display());
        Self::open(address, directory).await
    }

    pub(super) async fn postgres() -> Option<Self> {
        let address = testkit::postgres::shared()?
            .create_database()
            .expect("a database");
        Some(Self::open(address, tempfile::tempdir().expect("a directory")).await)
    }

    async fn open(address: String, directory: tempfile::TempDir) -> Self {
        let store = Store::open(&settings(&address))
            .await
            .expect("an open store");
        Self {
            store,
            address,
            directory,
        }
    }

    /// Another node on the same database.
    pub(super) async fn another_node(&self) -> Store {
        Store::open(&settings(&self.address))
            .await
            .expect("an open store")
    }

    /// How this database is opened.
    pub(super) fn settings(&self) -> Settings {
        settings(&self.address)
    }

    /// Runs a statement past the ports, to damage what they rely on.
    pub(super) async fn damage(&self, sql: &'static str) {
        self.store
            .writing
            .execute(sqlx::raw_sql(sql))
            .await
            .expect(sql);
    }

    /// Everything the database holds, as bytes.
    pub(super) async fn dump(&self) -> Vec<u8> {
        match self.store.backend {
            Backend::Postgres => {
                let name = self.address.rsplit('/').next().expect("a name");
                let server = testkit::postgres::shared().expect("a server");
                server.dump(name).expect("a dump").into_bytes()
            }
            Backend::Sqlite => {
                let files = std::fs::read_dir(self.directory.path().join("data")).expect("files");
                files
                    .flat_map(|file| std::fs::read(file.expect("a file").path()).expect("bytes"))
                    .collect()
            }
        }
    }
}

/// Patient, since machines that test may be slow.
pub(super) fn settings(address: &str) -> Settings {
    Settings {
        acquire_timeout: core::time::Duration::from_secs(30),
        statement_timeout: core::time::Duration::from_secs(30),
        ..Settings::new(Location::parse(address).expect("an address"))
    }
}

/// A point in time, the same in every run.
pub(super) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_secs(1_800_000_000 + seconds)
}

/// An id that was not used before.
pub(super) fn fresh(prefix: &str) -> String {
    format!("{prefix}{}", uuid_v7(at(0), &SystemEntropy))
}

/// The audit event of a change.
pub(super) fn event(action: &'static str) -> AuditDraft {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    AuditDraft {
        id: fresh(""),
        at: at(0),
        actor: "alice (adm_1)".into(),
        action,
        subject: "test/thing".into(),
        request_id: format!("request-{}", COUNT.fetch_add(1, Ordering::Relaxed)),
        details: BTreeMap::from([("what".into(), "said \"so\"".into())]),
    }
}

/// A write of a resource.
pub(super) fn put(kind: ResourceKind, name: &str, spec: Value, expected: Option<i64>) -> Put {
    Put {
        kind,
        name: name.into(),
        new_id: fresh(""),
        spec,
        managed_by: ManagedBy::Api,
        expected,
        at: at(0),
    }
}

/// An application that owns the keys of a test.
pub(super) async fn application(store: &Store, name: &str) {
    let written = store
        .put_resource(
            put(ResourceKind::Application, name, json!({}), None),
            event("application.create"),
        )
        .await
        .expect("an application");
    assert!(matches!(written, Written::Created(_)));
}

/// What a test's key has as its secret.
pub(super) const SECRET: &str = "the-very-secret-of-this-test";

/// An active API key of an application, not stored yet.
pub(super) fn api_key(owner: &str) -> Credential {
    let id = KeyId::generate(&SystemEntropy);
    Credential {
        id: fresh("key_"),
        r#type: CredentialType::ApiKey,
        owner: owner.into(),
        label: "nightly job".into(),
        environment: Environment::Live,
        lookup: Lookup::KeyId(id),
        verifier: password::hash(
            SECRET.as_bytes(),
            Argon2Params::dangerous_minimum(),
            &SystemEntropy,
        )
        .expect("a hash")
        .to_stored(),
        display: format!("dw_sk_live_{}…", &id.as_str()[..4]),
        grant: Grant {
            scopes: vec!["orders:read".into()],
            apis: vec!["orders".into()],
            ..Grant::default()
        },
        state: LifeState::Active,
        created_at: at(0),
        expires_at: Some(at(86_400)),
        successor: None,
        signing: None,
        version: 1,
    }
}
