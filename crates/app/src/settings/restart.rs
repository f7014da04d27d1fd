//! **What waits for a restart**: a process decides once, at its start, by its settings; a reload takes
//! over resources and the content of files, and must say which other keys changed.
//!
//! Every field is taken apart by name here, so that a new one has to be thought of.

use core::fmt::Debug;

use proof::secret::Secret;

use super::meant::{Hashing, Settings};

/// The keys whose values differ from those that the process was started with.
pub(crate) fn waiting(started: &Settings, now: &Settings) -> Vec<&'static str> {
    let Settings {
        data_dir,
        database,
        master_key,
        former_master_keys,
        brand,
        issuer,
        listeners,
        trusted_proxies,
        client_certificate_field,
        per_address,
        failures_per_address,
        connections,
        header_timeout,
        idle_timeout,
        held_bodies,
        hashing,
        replay_memory,
        outage_grace,
        outbound,
        admin_hosts,
        log,
        decision_log,
        checkpoint_every,
        drain,
        // Sentences about the rest.
        dangers: _,
    } = started;
    let failures = ("limits.failures_per_address", "limits.penalty");
    let keys = [
        ("data_dir", same(data_dir, &now.data_dir)),
        ("database", *database == now.database),
        ("master_key", one_secret(master_key, &now.master_key)),
        (
            "former_master_keys",
            same_secrets(former_master_keys, &now.former_master_keys),
        ),
        ("brand", brand.as_str() == now.brand.as_str()),
        ("issuer", same(issuer, &now.issuer)),
        ("listeners", same(listeners, &now.listeners)),
        ("trusted_proxies", *trusted_proxies == now.trusted_proxies),
        (
            "client_certificate_field",
            *client_certificate_field == now.client_certificate_field,
        ),
        ("limits.per_address", same(per_address, &now.per_address)),
        (
            failures.0,
            same(
                &failures_per_address.map(|one| one.budget),
                &now.failures_per_address.map(|one| one.budget),
            ),
        ),
        (
            failures.1,
            // Held against each other only where both have one: without a budget there is no penalty.
            failures_per_address
                .zip(now.failures_per_address)
                .is_none_or(|(before, now)| {
                    (before.first, before.longest, before.forget_after)
                        == (now.first, now.longest, now.forget_after)
                }),
        ),
        ("limits.connections", *connections == now.connections),
        (
            "limits.header_timeout",
            *header_timeout == now.header_timeout,
        ),
        ("limits.idle_timeout", *idle_timeout == now.idle_timeout),
        ("limits.held_bodies", *held_bodies == now.held_bodies),
        ("hashing", same_hashing(hashing, &now.hashing)),
        ("replay_memory", *replay_memory == now.replay_memory),
        ("outage.grace", *outage_grace == now.outage_grace),
        ("outbound", same(outbound, &now.outbound)),
        ("admin.hosts", *admin_hosts == now.admin_hosts),
        ("log", same(log, &now.log)),
        ("decision_log", same(decision_log, &now.decision_log)),
        (
            "audit.checkpoint_every",
            *checkpoint_every == now.checkpoint_every,
        ),
        ("shutdown.drain", *drain == now.drain),
    ];
    let changed = keys.into_iter().filter(|(_, same)| !same);
    changed.map(|(key, _)| key).collect()
}

/// For what holds no secret, which would print as another's does.
fn same<T: Debug>(one: &T, other: &T) -> bool {
    format!("{one:?}") == format!("{other:?}")
}

fn one_secret(one: &Secret, other: &Secret) -> bool {
    one.matches(other.expose())
}

fn same_secrets(some: &[Secret], others: &[Secret]) -> bool {
    some.len() == others.len()
        && some
            .iter()
            .zip(others)
            .all(|(one, other)| one_secret(one, other))
}

fn same_hashing(one: &Hashing, now: &Hashing) -> bool {
    let Hashing {
        algorithm,
        pepper,
        memory_kib,
        passes,
        threads,
        queue,
    } = one;
    let same_pepper = match (pepper, &now.pepper) {
        (Some(one), Some(other)) => one_secret(one, other),
        (None, None) => true,
        _ => false,
    };
    same_pepper
        && *algorithm == now.algorithm
        && (memory_kib, passes, threads, queue)
            == (&now.memory_kib, &now.passes, &now.threads, &now.queue)
}

#[cfg(test)]
mod tests {
    use super::super::{Loaded, Mode, load};
    use super::*;

    /// Every key of the settings that is no list of resources, with another value than below.
    const CHANGES: [(&str, &str, &str); 25] = [
        ("data_dir: data", "data_dir: other", "data_dir"),
        ("url: sqlite", "url: 'postgres://a@b/c'", "database"),
        ("${ONE}", "${TWO}", "master_key"),
        (
            "former_master_keys: []",
            "former_master_keys: ['${TWO}']",
            "former_master_keys",
        ),
        ("brand: dw", "brand: other", "brand"),
        ("https://one.example", "https://two.example", "issuer"),
        ("127.0.0.1:8001", "127.0.0.1:8002", "listeners"),
        ("[10.0.0.1]", "[10.0.0.2]", "trusted_proxies"),
        (
            "client-cert",
            "x-ssl-client-cert",
            "client_certificate_field",
        ),
        ("per_address: 1/s", "per_address: 2/s", "limits.per_address"),
        (
            "failures_per_address: 3/m",
            "failures_per_address: 4/m",
            "limits.failures_per_address",
        ),
        ("first: 10s", "first: 11s", "limits.penalty"),
        ("connections: 10", "connections: 11", "limits.connections"),
        (
            "header_timeout: 10s",
            "header_timeout: 11s",
            "limits.header_timeout",
        ),
        (
            "idle_timeout: 75s",
            "idle_timeout: 76s",
            "limits.idle_timeout",
        ),
        (
            "held_bodies: 64MiB",
            "held_bodies: 65MiB",
            "limits.held_bodies",
        ),
        ("pepper: '${ONE}'", "pepper: '${TWO}'", "hashing"),
        (
            "replay_memory: durable",
            "replay_memory: memory",
            "replay_memory",
        ),
        ("grace: 10m", "grace: 11m", "outage.grace"),
        (
            "allow_networks: []",
            "allow_networks: [10.0.0.0/8]",
            "outbound",
        ),
        ("hosts: []", "hosts: [one.example]", "admin.hosts"),
        ("level: info", "level: debug", "log"),
        ("keep: 30d", "keep: 31d", "decision_log"),
        (
            "checkpoint_every: 1m",
            "checkpoint_every: 2m",
            "audit.checkpoint_every",
        ),
        ("drain: 30s", "drain: 31s", "shutdown.drain"),
    ];

    const TEXT: &str = "\
version: 1
data_dir: data
database: { url: sqlite }
master_key: ${ONE}
former_master_keys: []
brand: dw
issuer: { url: 'https://one.example' }
listeners: [{ name: a, address: '127.0.0.1:8001', serves: [gateway] }]
trusted_proxies: [10.0.0.1]
client_certificate_field: client-cert
limits:
  per_address: 1/s
  failures_per_address: 3/m
  penalty: { first: 10s }
  connections: 10
  header_timeout: 10s
  idle_timeout: 75s
  held_bodies: 64MiB
hashing: { pepper: '${ONE}' }
replay_memory: durable
outage: { grace: 10m }
outbound: { allow_networks: [] }
admin: { hosts: [] }
log: { level: info }
decision_log: { keep: 30d }
audit: { checkpoint_every: 1m }
shutdown: { drain: 30s }
";

    fn read(text: &str) -> Loaded {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("doorward.yaml");
        std::fs::write(&file, text).expect("written");
        let key = |byte: u8| Some(proof::base64std::encode(&[byte; 32]));
        let env = |name: &str| match name {
            "ONE" => key(1),
            "TWO" => key(2),
            _ => None,
        };
        let mut loaded = load(&file, &env, Mode::Serve).unwrap_or_else(|flaws| panic!("{flaws}"));
        // Each reading has a folder of its own here.
        let settings = &mut loaded.settings;
        settings.data_dir = settings.data_dir.file_name().expect("a name").into();
        if let super::super::Database::Sqlite(path) = &mut settings.database {
            *path = "doorward.db".into();
        }
        loaded
    }

    #[test]
    fn every_key_that_changed_is_named_and_no_other() {
        let started = read(TEXT);
        assert_eq!(
            waiting(&started.settings, &read(TEXT).settings),
            Vec::<&str>::new()
        );
        for (before, after, key) in CHANGES {
            assert!(TEXT.contains(before), "{before}");
            // The first place only: `${ONE}` stands twice.
            let now = read(&TEXT.replacen(before, after, 1));
            let found = waiting(&started.settings, &now.settings);
            assert_eq!(found, [key], "{after}");
        }
    }
}
