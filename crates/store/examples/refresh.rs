//! What a rotating refresh costs the store: CPU time of this process per refresh, and how many a
//! second, with so many clients at once. Durable, on SQLite in a temporary directory (give another
//! place as the first argument, since the disk decides how long a commit takes).
//!
//! `cargo run --release -p doorward-store --example refresh`

use std::collections::BTreeMap;
use std::io::Write as _;
use std::time::{Duration, Instant};

use issuer::flow::{
    Authentication, Code, Flows as _, Grant, NewCode, NewRefresh, NewTokens, Refresh, Refreshed,
};
use proof::digest::TokenHash;
use proof::random::{SystemEntropy, uuid_v7};
use proof::time::Timestamp;
use registry::audit::AuditDraft;
use store::{Location, Settings, Store};
use verdict::identity::ClientId;

/// Refreshes in each round.
const REFRESHES: usize = 2_000;

fn now() -> Timestamp {
    Timestamp::from_secs(1_800_000_000)
}

fn event(action: &'static str) -> AuditDraft {
    AuditDraft {
        id: uuid_v7(now(), &SystemEntropy),
        at: now(),
        actor: "client shop".into(),
        action,
        subject: "grant/0192f0c1-6a1e-7c3e-8a55-0123456789ab".into(),
        request_id: "0192f0c1-6a1e-7c3e-8a55-0123456789ab".into(),
        details: BTreeMap::from([("client".into(), "shop".into())]),
    }
}

fn hash(line: usize, generation: usize) -> TokenHash {
    TokenHash::of(format!("{line}-{generation}").as_bytes())
}

fn token(line: usize, generation: usize) -> NewRefresh {
    NewRefresh {
        hash: hash(line, generation),
        until: now().plus(Duration::from_secs(14 * 24 * 3600)),
        binding: None,
    }
}

/// CPU time of this process, user and system; in steps of 10 ms (proc(5), fields 14 and 15).
fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after = stat.rsplit(')').next().unwrap_or_default();
    let ticks: u64 = after
        .split_whitespace()
        .skip(11)
        .take(2)
        .filter_map(|field| field.parse::<u64>().ok())
        .sum();
    Duration::from_millis(ticks * 10)
}

async fn begin(store: &Store, line: usize) -> Result<(), registry::ports::StoreError> {
    let client_id = ClientId::new("shop");
    let grant = Grant {
        id: uuid_v7(now(), &SystemEntropy),
        client_id: client_id.clone(),
        subject: "0192f0c1-6a1e-7c3e-8a55-0123456789ab".into(),
        session: None,
        scopes: vec!["openid".into(), "orders:read".into()],
        audiences: vec!["https://orders.example".into()],
        authentication: Authentication {
            at: now(),
            acr: "password".into(),
            amr: vec!["pwd".into()],
        },
        claims: None,
        binding: None,
        offline: true,
        created_at: now(),
        until: now().plus(Duration::from_secs(90 * 24 * 3600)),
    };
    let name = TokenHash::of(format!("code {line} {}", grant.id).as_bytes());
    let code = Code {
        redirect_uri: None,
        code_challenge: None,
        nonce: None,
        dpop_jkt: None,
        until: now().plus(Duration::from_secs(60)),
    };
    let new = NewCode {
        hash: name,
        code,
        grant,
        spends: None,
        consent: None,
        withdrawn: Vec::new(),
    };
    store.issue_code(new, event("grant.create")).await?;
    store
        .redeem_code(
            name,
            &client_id,
            NewTokens {
                refresh: Some(token(line, 0)),
                access: None,
            },
            now(),
            event("grant.redeem"),
            event("grant.end"),
        )
        .await?;
    Ok(())
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let directory = match std::env::args_os().nth(1) {
        Some(place) => tempfile::tempdir_in(place)?,
        None => tempfile::tempdir()?,
    };
    let mut first = 0;
    for clients in [1, 8, 32, 128] {
        let file = directory.path().join(format!("{clients}.db"));
        let store = Store::open(&Settings::new(Location::Sqlite(file))).await?;
        for line in first..first + clients {
            begin(&store, line).await?;
        }
        let each = REFRESHES.div_ceil(clients);
        for rotates in [true, false] {
            let (started, spent) = (Instant::now(), cpu());
            let refreshers: Vec<_> = (first..first + clients)
                .map(|line| {
                    let store = store.clone();
                    tokio::spawn(async move {
                        let client_id = ClientId::new("shop");
                        for n in 0..each {
                            // After the rotations the last one of the line stays.
                            let n = if rotates { n } else { each };
                            let refresh = Refresh {
                                hash: hash(line, n),
                                client_id: &client_id,
                                successor: rotates.then(|| token(line, n + 1)),
                                access: None,
                                retry: Duration::ZERO,
                                idle_until: token(line, n).until,
                                now: now(),
                            };
                            let refreshed = store
                                .refresh(refresh, event("grant.refresh"), event("grant.end"))
                                .await;
                            assert!(
                                matches!(refreshed, Ok(Refreshed::Current(_))),
                                "{refreshed:?}"
                            );
                        }
                    })
                })
                .collect();
            for refresher in refreshers {
                refresher.await?;
            }
            let (took, spent) = (started.elapsed(), cpu() - spent);
            let count = each * clients;
            writeln!(
                std::io::stdout(),
                "{clients:>4} clients, {}: {:>5} µs CPU each, {:>6.0} a second",
                if rotates { "rotating" } else { "steady  " },
                spent.as_micros() / count as u128,
                count as f64 / took.as_secs_f64(),
            )?;
        }
        first += clients;
        store.close().await;
    }
    Ok(())
}
