//! **A bad environment**: each hindrance ends the start with exit code 1 and a sentence that says
//! what to do; a disk that fills up later refuses writes and nothing else.

use std::fs::Permissions;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use serde_json::json;
use sqlx::{Connection as _, SqliteConnection};
use testkit::doorward::{Doorward, Place};
use testkit::wire;

use super::backend::Backend;
use super::scene;

fn settings() -> String {
    scene::settings("http://127.0.0.1:9")
}

/// A start that must fail, saying all of these.
fn refused(place: &Place, settings: &str, sayings: &[&str]) {
    place.write_settings(settings).unwrap();
    let (code, words) = scene::serve_to_its_end(place);
    assert_eq!(code, Some(1), "{words}");
    for saying in sayings {
        assert!(
            words.contains(&place.fill(saying)),
            "{saying:?} is not said: {words}"
        );
    }
    assert!(!words.contains("panicked"), "{words}");
}

fn am_root() -> bool {
    std::fs::metadata("/proc/self").unwrap().uid() == 0
}

#[test]
fn a_port_that_is_taken_is_named() {
    for (listener, address) in [
        ("gateway", "@GATEWAY@"),
        ("admin", "@ADMIN@"),
        ("ops", "@OPS@"),
    ] {
        let place = Place::new().unwrap();
        let _held = std::net::TcpListener::bind(place.fill(address)).unwrap();
        let saying = format!("listener `{listener}` can't have {address}: stop what uses the port");
        refused(&place, &settings(), &[&saying]);
    }
}

#[test]
fn a_master_key_that_is_missing_short_or_another_is_told_apart() {
    let place = Place::new().unwrap();
    let key = place.path().join("master.key");
    std::fs::remove_file(&key).unwrap();
    refused(
        &place,
        &settings(),
        &[
            "doorward.yaml:3:",
            "master.key can't be read",
            "make one with",
        ],
    );
    std::fs::write(&key, "c2hvcnQ=").unwrap();
    std::fs::set_permissions(&key, Permissions::from_mode(0o644)).unwrap();
    let sayings = [
        "doorward.yaml:3:",
        "master.key can be read by other users (mode 644)",
        "run chmod 600",
    ];
    refused(&place, &settings(), &sayings);
    // A group may read it, so that a platform can hand it to a process that does not own it.
    std::fs::set_permissions(&key, Permissions::from_mode(0o440)).unwrap();
    refused(
        &place,
        &settings(),
        &["doorward.yaml:3:", "not 32 bytes in base64"],
    );

    let mut doorward = Doorward::start(&settings()).unwrap();
    assert!(doorward.stop().unwrap());
    let key = doorward.place().path().join("master.key");
    let right = std::fs::read(&key).unwrap();
    std::fs::write(&key, proof::base64std::encode(&[7u8; 32])).unwrap();
    refused(
        doorward.place(),
        &settings(),
        &["is `master_key` the one they were sealed under?"],
    );
    std::fs::write(&key, right).unwrap();
    doorward.start_again().unwrap();
}

#[test]
fn a_schema_of_a_newer_version_is_refused() {
    let mut doorward = Doorward::start(&settings()).unwrap();
    assert!(doorward.stop().unwrap());
    let database = doorward.place().path().join("data/doorward.db");
    wire::runtime().block_on(async {
        let mut connection = SqliteConnection::connect(database.to_str().unwrap())
            .await
            .unwrap();
        sqlx::raw_sql("UPDATE schema_meta SET version = 99, min_compatible = 98")
            .execute(&mut connection)
            .await
            .unwrap();
        connection.close().await.unwrap();
    });
    let sayings = ["has schema 99", "install a newer Doorward"];
    refused(doorward.place(), &settings(), &sayings);
}

#[test]
fn a_settings_file_with_mistakes_lists_them_all_with_their_places() {
    let place = Place::new().unwrap();
    let text = settings()
        .replace("drain: 5s", "drain: soon")
        .replace("data_dir: data", "data_dri: data")
        .replace("scopes: [\"orders:write\"]", "scopes: [\"orders:writ\"]");
    refused(&place, &text, &["data_dri", "doorward.yaml:2:"]);
    let text = text.replace("data_dri: data", "data_dir: data");
    refused(
        &place,
        &text,
        &["doorward.yaml:8:", "orders:writ", "2 mistakes"],
    );
    std::fs::remove_file(place.settings_file()).unwrap();
    let (code, words) = scene::serve_to_its_end(&place);
    assert_eq!(code, Some(1));
    assert!(words.contains("doorward.yaml"), "{words}");
}

#[test]
fn a_data_directory_that_can_not_be_made_used_or_kept_to_oneself_is_refused() {
    let place = Place::new().unwrap();
    std::fs::write(place.path().join("occupied"), "").unwrap();
    let text = settings().replace("data_dir: data", "data_dir: occupied");
    refused(&place, &text, &["occupied"]);
    let text = settings().replace("data_dir: data", "data_dir: no/such/folder");
    refused(
        &place,
        &text,
        &["the directory above it does not exist: create it"],
    );

    let mut doorward = Doorward::start(&settings()).unwrap();
    assert!(doorward.stop().unwrap());
    let database = doorward.place().path().join("data/doorward.db");
    std::fs::set_permissions(&database, Permissions::from_mode(0o644)).unwrap();
    refused(
        doorward.place(),
        &settings(),
        &["can be read by other users (mode 644): run chmod 600"],
    );
    std::fs::write(&database, "this is no database, whatever its name says").unwrap();
    std::fs::set_permissions(&database, Permissions::from_mode(0o600)).unwrap();
    refused(
        doorward.place(),
        &settings(),
        &["is not a database, or it is damaged"],
    );

    if am_root() {
        println!("skipped: no permission is missing to root");
        return;
    }
    let place = Place::new().unwrap();
    std::fs::create_dir(place.path().join("data")).unwrap();
    std::fs::set_permissions(place.path().join("data"), Permissions::from_mode(0o500)).unwrap();
    refused(&place, &settings(), &["no permission to read and write"]);
}

#[test]
fn a_second_process_on_one_database_is_refused_and_one_that_was_killed_keeps_nobody_out() {
    let mut first = Doorward::start(&settings()).unwrap();
    let second = Place::new().unwrap();
    for name in ["master.key", "data"] {
        let _ = std::fs::remove_file(second.path().join(name));
        let of_the_first = first.place().path().join(name);
        std::os::unix::fs::symlink(of_the_first, second.path().join(name)).unwrap();
    }
    let holder = format!("is served by another process (process {})", first.pid());
    refused(&second, &settings(), &[&holder, "stop it first"]);

    // Whoever only looks is not kept out.
    let checked = first.place().run(&["config", "check"]).unwrap();
    assert!(checked.status.success(), "{}", scene::words(&checked));
    let looked = scene::attempt(&first, &["doctor"], first.owner_key());
    let said = scene::words(&looked);
    assert!(said.contains("database: it answers"), "{said}");

    first.kill();
    let mut second = second.start(&settings()).unwrap();
    assert!(second.stop().unwrap(), "{}", second.log());
    first.start_again().unwrap();
}

/// A file system of a given size, gone at the end.
struct SmallDisk<'a>(&'a Path);

impl<'a> SmallDisk<'a> {
    fn mount(at: &'a Path, mebibytes: u32) -> Result<Self, String> {
        std::fs::create_dir_all(at).unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={mebibytes}m"), "tmpfs"])
            .arg(at)
            .output()
            .map_err(|error| error.to_string())?;
        if !mounted.status.success() {
            return Err(String::from_utf8_lossy(&mounted.stderr).into_owned());
        }
        Ok(Self(at))
    }

    /// Takes all that is left.
    fn fill(&self) {
        let mut file = std::fs::File::create(self.0.join("filler")).unwrap();
        let block = [0u8; 4096];
        while std::io::Write::write_all(&mut file, &block).is_ok() {}
    }

    fn make_room(&self) {
        std::fs::remove_file(self.0.join("filler")).unwrap();
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0).status();
    }
}

#[test]
fn a_full_disk_refuses_writes_with_503_loses_nothing_and_mends_itself() {
    let upstream = Backend::start("one");
    let text = scene::settings(&upstream.url());
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().join("data");
    let text = text.replace("data_dir: data", &format!("data_dir: {}", at.display()));
    let disk = match SmallDisk::mount(&at, 6) {
        Ok(disk) => disk,
        Err(reason) => {
            println!("skipped: a small file system can't be mounted here: {reason}");
            return;
        }
    };
    std::fs::set_permissions(&at, Permissions::from_mode(0o700)).unwrap();
    let mut doorward = Doorward::start(&text).unwrap();
    let (_, key) = scene::key(&doorward, "before");
    assert_eq!(scene::read_orders(&doorward, &key), 200);

    disk.fill();
    let mut refusal = None;
    for number in 0..200 {
        let wish = scene::key_wish(&format!("filling {number}"));
        let (status, answer) = doorward
            .admin_call("POST", "/v1/keys", Some(&wish))
            .unwrap();
        if status != 201 {
            refusal = Some((status, answer));
            break;
        }
    }
    let (status, answer) = refusal.unwrap();
    assert_eq!(status, 503, "{answer}");
    assert_eq!(scene::read_orders(&doorward, &key), 200, "calls still pass");
    let (status, _) = doorward.admin_call("GET", "/v1/status", None).unwrap();
    assert_eq!(status, 200, "reading goes on");
    assert!(
        doorward.log().contains("is full: free some space"),
        "{}",
        doorward.log()
    );

    disk.make_room();
    scene::wait_until(
        "writing goes on",
        std::time::Duration::from_secs(10),
        || {
            let spec = json!({ "spec": { "owner": "a@b.example", "purpose": "x", "environment": "test" } });
            doorward
                .admin_call("PUT", "/v1/applications/after", Some(&spec))
                .unwrap()
                .0
                < 300
        },
    );
    assert_eq!(scene::audit_verified(&doorward)["intact"], true);

    assert!(doorward.stop().unwrap(), "{}", doorward.log());
}

#[test]
fn a_first_start_on_a_full_disk_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().join("data");
    let disk = match SmallDisk::mount(&at, 1) {
        Ok(disk) => disk,
        Err(reason) => {
            println!("skipped: a small file system can't be mounted here: {reason}");
            return;
        }
    };
    std::fs::set_permissions(&at, Permissions::from_mode(0o700)).unwrap();
    disk.fill();
    let text = settings().replace("data_dir: data", &format!("data_dir: {}", at.display()));
    let place = Place::new().unwrap();
    refused(&place, &text, &["is full: free some space and start again"]);
}
