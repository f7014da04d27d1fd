//! **Crashes**: a process that is killed in the middle of writes loses nothing that it
//! acknowledged, and leaves nothing half-written.

use std::collections::HashSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::Value;
use testkit::doorward::Doorward;

use super::backend::Backend;
use super::scene;

const WRITES: usize = 500;
const WRITERS: usize = 8;
/// The kill comes when so many are acknowledged.
const KILL_AFTER: usize = 250;

#[test]
fn sigkill_in_the_middle_of_500_writes_loses_nothing_that_was_acknowledged() {
    let upstream = Backend::start("one");
    for (database, lines) in scene::databases() {
        let settings = format!("{}{lines}", scene::settings(&upstream.url()));
        let mut doorward = Doorward::start(&settings).unwrap();
        let acknowledged = kill_while_writing(&mut doorward);
        doorward.start_again().unwrap();

        let listed = keys(&doorward);
        let missing: Vec<_> = acknowledged
            .iter()
            .filter(|(id, _)| !listed.contains(id))
            .collect();
        assert!(
            missing.is_empty(),
            "{database}: {} keys are lost",
            missing.len()
        );
        // Whoever was cut off may find its key made or not, but nobody else's.
        assert!(
            listed.len() <= acknowledged.len() + WRITERS,
            "{database}: {} keys of {} acknowledged",
            listed.len(),
            acknowledged.len()
        );
        for (id, secret) in acknowledged.iter().step_by(10) {
            assert_eq!(
                scene::read_orders(&doorward, secret),
                200,
                "{database}: {id}"
            );
        }
        let verified = scene::audit_verified(&doorward);
        assert_eq!(verified["intact"], true, "{database}: {verified}");
        let named = audited_keys(&doorward);
        assert_eq!(
            named, listed,
            "{database}: each key has its audit event and each event its key"
        );
        println!(
            "{database}: killed after {} acknowledged writes, {} keys found",
            acknowledged.len(),
            listed.len()
        );
        assert!(doorward.stop().unwrap(), "{}", doorward.log());
    }
}

/// Writes from several sides until the kill; returns what was acknowledged.
fn kill_while_writing(doorward: &mut Doorward) -> Vec<(String, String)> {
    let acknowledged = Mutex::new(Vec::new());
    let next = AtomicUsize::new(0);
    let process = &*doorward;
    std::thread::scope(|scope| {
        for _ in 0..WRITERS {
            scope.spawn(|| {
                while let number = next.fetch_add(1, Ordering::Relaxed)
                    && number < WRITES
                {
                    let wish = scene::key_wish(&format!("crash {number}"));
                    match process.admin_call("POST", "/v1/keys", Some(&wish)) {
                        Ok((201, made)) => acknowledged.lock().unwrap().push(scene::issued(&made)),
                        Ok((status, answer)) => panic!("{status} {answer}"),
                        // The kill.
                        Err(_) => return,
                    }
                }
            });
        }
        scope.spawn(|| {
            scene::wait_until("half of the writes", Duration::from_secs(60), || {
                acknowledged.lock().unwrap().len() >= KILL_AFTER
            });
            process.signal("KILL").unwrap();
        });
    });
    let _ = doorward.wait(Duration::from_secs(5)).unwrap();
    let acknowledged = acknowledged.into_inner().unwrap();
    assert!(
        (KILL_AFTER..WRITES).contains(&acknowledged.len()),
        "the kill was to come in the middle, not after {}",
        acknowledged.len()
    );
    acknowledged
}

fn keys(doorward: &Doorward) -> HashSet<String> {
    let (status, page) = doorward
        .admin_call("GET", "/v1/keys?limit=1000", None)
        .unwrap();
    assert_eq!(status, 200, "{page}");
    assert!(page["next"].is_null());
    texts(&page, "id")
}

fn audited_keys(doorward: &Doorward) -> HashSet<String> {
    let (status, page) = doorward
        .admin_call("GET", "/v1/audit?newest=true&limit=1000", None)
        .unwrap();
    assert_eq!(status, 200, "{page}");
    texts(&page, "subject")
        .iter()
        .filter_map(|subject| subject.find("key_").map(|at| subject[at..].to_owned()))
        .collect()
}

fn texts(page: &Value, member: &str) -> HashSet<String> {
    page["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item[member].as_str().unwrap().to_owned())
        .collect()
}
