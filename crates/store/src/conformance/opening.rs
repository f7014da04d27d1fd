//! Opening: what is made, what is refused with which sentence, and what happens to a store whose
//! database goes away, fills up or is killed.

use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use proof::secret::Secret;
use registry::ports::{AuditTrail as _, Registry as _, StoreError};
use registry::resource::ResourceKind;
use serde_json::json;
use sqlx::{Executor as _, Row as _};

use super::{Bench, application, event, put, settings};
use crate::backend::Backend;
use crate::{Location, OpenError, Settings, Store};

super::on_both!(
    a_schema_of_a_newer_program_is_refused_unless_it_says_otherwise,
    an_older_schema_is_refused_where_migrating_is_not_allowed,
    a_migration_that_was_edited_is_refused,
    nodes_that_start_together_migrate_once,
    what_was_acknowledged_survives_a_kill,
    a_closed_store_is_unavailable,
);

async fn refusal(settings: &Settings) -> OpenError {
    match Store::open(settings).await {
        Err(refused) => refused,
        Ok(_) => panic!("it opened"),
    }
}

async fn a_schema_of_a_newer_program_is_refused_unless_it_says_otherwise(bench: Bench) {
    bench
        .damage("UPDATE schema_meta SET version = 1000, min_compatible = 1")
        .await;
    Store::open(&bench.settings())
        .await
        .expect("it says that version 1 will do");
    bench
        .damage("UPDATE schema_meta SET version = 1000, min_compatible = 999")
        .await;
    let refused = refusal(&bench.settings()).await;
    assert!(
        matches!(
            refused,
            OpenError::Newer {
                found: 1000,
                needs: 999,
                ..
            }
        ),
        "{refused:?}"
    );
    assert!(
        refused.to_string().contains("install a newer Doorward"),
        "{refused}"
    );
}

async fn an_older_schema_is_refused_where_migrating_is_not_allowed(bench: Bench) {
    bench
        .damage("UPDATE schema_meta SET version = 0, min_compatible = 0")
        .await;
    let refused = refusal(&Settings {
        migrate: false,
        ..bench.settings()
    })
    .await;
    assert!(
        matches!(refused, OpenError::Older { found: 0, .. }),
        "{refused:?}"
    );
    assert!(refused.to_string().contains("back it up"), "{refused}");
}

async fn a_migration_that_was_edited_is_refused(bench: Bench) {
    bench
        .damage("UPDATE schema_migrations SET sha256 = 'another' WHERE number = 1")
        .await;
    let refused = refusal(&bench.settings()).await;
    assert!(matches!(refused, OpenError::Altered(1)), "{refused:?}");
}

async fn nodes_that_start_together_migrate_once(bench: Bench) {
    // An empty database again, and four nodes at once.
    let settings = match bench.store.backend {
        Backend::Sqlite => {
            let path = bench.directory.path().join("together.db");
            settings(&format!("sqlite:{}", path.display()))
        }
        Backend::Postgres => {
            let server = testkit::postgres::shared().expect("a server");
            settings(&server.create_database().expect("a database"))
        }
    };
    let nodes = tokio::join!(
        Store::open(&settings),
        Store::open(&settings),
        Store::open(&settings),
        Store::open(&settings)
    );
    for node in [nodes.0, nodes.1, nodes.2, nodes.3] {
        node.expect("an open store").healthy().await.unwrap();
    }
}

/// Writes until somebody kills it; says which writes were acknowledged. Not a test of its own:
/// `what_was_acknowledged_survives_a_kill` runs it in a process that it can kill.
#[tokio::test]
#[ignore = "run by what_was_acknowledged_survives_a_kill in a process of its own"]
async fn write_until_killed() {
    use std::io::Write as _;
    let address = std::env::var("DOORWARD_TEST_ADDRESS").expect("an address");
    let store = Store::open(&settings(&address))
        .await
        .expect("an open store");
    for n in 0..100_000 {
        let name = format!("written-{n}");
        store
            .put_resource(
                put(ResourceKind::Api, &name, json!({"n": n}), Some(0)),
                event("create"),
            )
            .await
            .unwrap();
        writeln!(std::io::stdout(), "acknowledged {name}").unwrap();
    }
}

async fn what_was_acknowledged_survives_a_kill(bench: Bench) {
    let mut child = Command::new(std::env::current_exe().expect("this program"))
        .args([
            "--exact",
            "conformance::opening::write_until_killed",
            "--ignored",
            "--nocapture",
        ])
        .env("DOORWARD_TEST_ADDRESS", &bench.address)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("a child");
    let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
    let mut acknowledged = Vec::new();
    while acknowledged.len() < 60 {
        let line = lines.next().expect("more lines").expect("a line");
        acknowledged.extend(
            line.split_once("acknowledged ")
                .map(|(_, name)| name.to_owned()),
        );
    }
    child.kill().expect("SIGKILL");
    child.wait().expect("its end");
    acknowledged.extend(
        lines
            .map_while(Result::ok)
            .filter_map(|line| line.strip_prefix("acknowledged ").map(str::to_owned)),
    );

    let store = bench.another_node().await;
    // The server may still be busy with the killed process's last transaction: a write waits for it.
    application(&store, "after").await;
    let resources = store.resources(Some(ResourceKind::Api)).await.unwrap();
    for name in &acknowledged {
        assert!(
            resources.iter().any(|stored| stored.name == *name),
            "{name} is lost"
        );
    }
    // Whole or not at all: a change, an audit event and a row for each.
    let changes = store.changes_after(0, 100_000).await.unwrap();
    let numbers: Vec<i64> = changes.iter().map(|change| change.number).collect();
    assert_eq!(
        numbers,
        (1..=store.newest_change().await.unwrap()).collect::<Vec<_>>()
    );
    assert_eq!(changes.len(), resources.len() + 1);
    assert_eq!(
        store.audit_events(0, 100_000, true).await.unwrap().len(),
        changes.len()
    );
}

async fn a_closed_store_is_unavailable(bench: Bench) {
    bench.store.close().await;
    let answer = bench.store.healthy().await;
    assert!(
        matches!(answer, Err(StoreError::Unavailable(_))),
        "{answer:?}"
    );
    let written = bench.store.note(event("server.stop")).await;
    assert!(
        matches!(written, Err(StoreError::Unavailable(_))),
        "{written:?}"
    );
}

#[test]
fn an_address_names_one_of_the_two_databases() {
    for good in [
        "sqlite:doorward.db",
        "sqlite:/var/lib/doorward.db",
        "sqlite:///var/lib/d.db",
    ] {
        assert!(
            matches!(Location::parse(good), Ok(Location::Sqlite(_))),
            "{good}"
        );
    }
    for good in ["postgres://u:p@h/d", "postgresql:///d?host=/run"] {
        assert!(
            matches!(Location::parse(good), Ok(Location::Postgres(_))),
            "{good}"
        );
    }
    for bad in [
        "",
        "sqlite:",
        "sqlite::memory:",
        "mysql://h/d",
        "/var/lib/d.db",
    ] {
        assert!(
            matches!(Location::parse(bad), Err(OpenError::Address)),
            "{bad}"
        );
    }
}

#[tokio::test]
async fn i01_an_address_never_shows_its_password() {
    let settings = Settings::new(Location::parse("postgres://u:hunter2@127.0.0.1:1/d").unwrap());
    assert!(!format!("{settings:?}").contains("hunter2"));
    let refused = refusal(&settings).await;
    assert!(matches!(refused, OpenError::Refused { .. }), "{refused:?}");
    let text = format!("{refused} {refused:?}");
    assert!(
        text.contains("127.0.0.1:1") && !text.contains("hunter2"),
        "{text}"
    );
}

#[tokio::test]
async fn numbers_of_connections_that_can_not_work_are_refused() {
    for max_connections in [0, 1, 1001] {
        let settings = Settings {
            max_connections,
            ..settings("sqlite:/nowhere/at/all.db")
        };
        assert!(matches!(
            refusal(&settings).await,
            OpenError::Connections(_)
        ));
    }
}

#[tokio::test]
async fn a_new_sqlite_file_is_durable_and_for_its_owner_only() {
    let bench = Bench::sqlite().await;
    application(&bench.store, "shop").await;
    let data = bench.directory.path().join("data");
    let mode =
        |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&data), 0o700);
    for file in std::fs::read_dir(&data).unwrap() {
        let file = file.unwrap().path();
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
    for pool in [&bench.store.writing, &bench.store.reading] {
        for (pragma, wanted) in [("synchronous", 2), ("foreign_keys", 1)] {
            let row = pool
                .fetch_one(sqlx::raw_sql(sqlx::AssertSqlSafe(format!(
                    "PRAGMA {pragma}"
                ))))
                .await
                .unwrap();
            assert_eq!(row.try_get::<i64, _>(0).unwrap(), wanted, "{pragma}");
        }
        let row = pool
            .fetch_one(sqlx::raw_sql("PRAGMA journal_mode"))
            .await
            .unwrap();
        assert_eq!(row.try_get::<String, _>(0).unwrap(), "wal");
    }
    let written = bench
        .store
        .reading
        .execute(sqlx::raw_sql("DELETE FROM resources"))
        .await;
    assert!(written.is_err(), "reading connections can't write");
}

#[tokio::test]
async fn a_sqlite_path_that_can_not_work_is_refused_with_a_sentence() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    let open = |path: std::path::PathBuf| async move {
        refusal(&Settings::new(Location::Sqlite(path))).await
    };
    let refused = open(at("missing/data/doorward.db")).await;
    assert!(matches!(refused, OpenError::NoDirectory(_)), "{refused:?}");

    std::fs::create_dir(at("directory")).unwrap();
    let refused = open(at("directory")).await;
    assert!(matches!(refused, OpenError::NotAFile(_)), "{refused:?}");

    std::fs::write(at("open.db"), "").unwrap();
    std::fs::set_permissions(at("open.db"), std::fs::Permissions::from_mode(0o644)).unwrap();
    let refused = open(at("open.db")).await;
    assert!(
        matches!(refused, OpenError::Exposed { mode: 0o644, .. }),
        "{refused:?}"
    );
    assert!(refused.to_string().contains("chmod 600"), "{refused}");

    std::fs::write(at("letter.db"), "Dear Sir or Madam, ".repeat(100)).unwrap();
    std::fs::set_permissions(at("letter.db"), std::fs::Permissions::from_mode(0o600)).unwrap();
    let refused = open(at("letter.db")).await;
    assert!(matches!(refused, OpenError::NotADatabase(_)), "{refused:?}");
    assert_eq!(
        std::fs::read(at("letter.db")).unwrap().len(),
        1900,
        "it was left alone"
    );
}

#[tokio::test]
async fn a_sqlite_file_that_is_held_is_refused_after_the_wait() {
    let bench = Bench::sqlite().await;
    bench
        .damage("UPDATE schema_meta SET version = 0, min_compatible = 0")
        .await;
    let held = bench
        .store
        .backend
        .begin(&bench.store.writing)
        .await
        .unwrap();
    let settings = Settings {
        statement_timeout: Duration::from_millis(100),
        ..bench.settings()
    };
    let refused = refusal(&settings).await;
    assert!(matches!(refused, OpenError::Busy(_)), "{refused:?}");
    drop(held);
}

#[tokio::test]
async fn a_full_disk_is_unavailable_and_writing_goes_on_afterwards() {
    let bench = Bench::sqlite().await;
    let store = &bench.store;
    bench.damage("PRAGMA max_page_count = 60").await;
    let large = json!({"text": "x".repeat(500_000)});
    let full = store
        .put_resource(
            put(ResourceKind::Api, "large", large.clone(), None),
            event("create"),
        )
        .await;
    let Err(StoreError::Unavailable(text)) = full else {
        panic!("{full:?}")
    };
    assert!(text.contains("full"), "{text}");
    assert_eq!(
        store.resource(ResourceKind::Api, "large").await.unwrap(),
        None
    );
    bench.damage("PRAGMA max_page_count = 100000").await;
    store
        .put_resource(
            put(ResourceKind::Api, "large", large, None),
            event("create"),
        )
        .await
        .unwrap();
    assert_eq!(store.newest_change().await.unwrap(), 1);
}

#[tokio::test]
async fn a_postgres_that_refuses_is_explained() {
    let Some(server) = testkit::postgres::shared() else {
        return;
    };
    let open = |address: String| async move {
        refusal(&Settings::new(Location::Postgres(Secret::from_text(
            address,
        ))))
        .await
    };
    let address = server.create_database().unwrap();
    let refused = open(address.replace("for-tests-only", "wrong")).await;
    assert!(matches!(refused, OpenError::Password(_)), "{refused:?}");
    assert!(!refused.to_string().contains("wrong"), "{refused}");

    let refused = open(server.address("nowhere")).await;
    assert!(
        matches!(&refused, OpenError::NoDatabase { name, .. } if name == "nowhere"),
        "{refused:?}"
    );
    assert!(
        refused.to_string().contains("createdb nowhere"),
        "{refused}"
    );

    let refused = open(format!("{address}?sslmode=require")).await;
    assert!(matches!(refused, OpenError::Tls { .. }), "{refused:?}");

    server
        .run_sql("postgres", "CREATE ROLE stranger LOGIN PASSWORD 'stranger'")
        .unwrap();
    let refused = open(address.replace("doorward:for-tests-only", "stranger:stranger")).await;
    assert!(
        matches!(refused, OpenError::Forbidden { .. }),
        "{refused:?}"
    );

    let refused = open("postgres://[".into()).await;
    assert!(matches!(refused, OpenError::Address), "{refused:?}");
}

#[tokio::test]
async fn postgres_sessions_are_durable_and_limited() {
    let Some(server) = testkit::postgres::shared() else {
        return;
    };
    let address = server.create_database().unwrap();
    let name = address.rsplit('/').next().unwrap();
    server
        .run_sql(
            "postgres",
            &format!("ALTER DATABASE {name} SET synchronous_commit = off"),
        )
        .unwrap();
    let store = Store::open(&settings(&address)).await.unwrap();
    for (setting, wanted) in [
        ("synchronous_commit", "on"),
        ("statement_timeout", "30s"),
        ("lock_timeout", "30s"),
    ] {
        let row = sqlx::query("SELECT current_setting($1)")
            .bind(setting)
            .fetch_one(&store.writing)
            .await
            .unwrap();
        assert_eq!(row.try_get::<String, _>(0).unwrap(), wanted, "{setting}");
    }
}

#[tokio::test]
async fn a_postgres_that_goes_away_is_unavailable_and_comes_back() {
    if testkit::postgres::shared().is_none() {
        return;
    }
    let mut server = testkit::postgres::Postgres::start().unwrap();
    let settings = Settings {
        acquire_timeout: Duration::from_secs(1),
        ..settings(&server.create_database().unwrap())
    };
    let store = Store::open(&settings).await.unwrap();
    application(&store, "shop").await;
    server.stop().unwrap();
    for _ in 0..2 {
        let read = store.resource(ResourceKind::Application, "shop").await;
        assert!(matches!(read, Err(StoreError::Unavailable(_))), "{read:?}");
        let written = store.note(event("server.start")).await;
        assert!(
            matches!(written, Err(StoreError::Unavailable(_))),
            "{written:?}"
        );
    }
    server.start_again().unwrap();
    let mut tries = 0;
    while let Err(error) = store.healthy().await {
        tries += 1;
        assert!(tries < 10, "{error}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert!(
        store
            .resource(ResourceKind::Application, "shop")
            .await
            .unwrap()
            .is_some()
    );
    assert_eq!(store.newest_change().await.unwrap(), 1);
}
