//! I: secrets are not printed, not stored, and not taken from the command line.

use core::time::Duration;
use std::process::Command;

use serde_json::json;
use testkit::doorward::BASE;
use testkit::wire;

use super::shared::{AUDIENCE, World, basic, but, seen};

/// Every secret of a run, by name. The distinguishing part: prefixes and ids are public.
fn secrets(world: &World) -> Vec<(String, String)> {
    let mut all = Vec::new();
    let issued = [
        ("the owner's key", world.doorward.owner_key()),
        ("a key", &world.key),
        ("a test key", &world.test_key),
        ("a client's secret", &world.client_secret),
        ("another client's secret", &world.lab_secret),
        ("a password", &world.password),
        ("another password", &world.lab_password),
    ];
    for (name, secret) in issued {
        assert!(secret.len() > 20, "{name}");
        all.push((name.to_owned(), secret.to_owned()));
        // Its last part alone is enough to guess the rest.
        all.push((
            format!("the end of {name}"),
            secret[secret.len() - 20..].to_owned(),
        ));
    }
    let master = std::fs::read_to_string(world.doorward.place().path().join("master.key")).unwrap();
    all.push(("the master key".to_owned(), master.trim().to_owned()));
    let tls =
        std::fs::read_to_string(world.doorward.place().path().join("tls/localhost.key")).unwrap();
    let line = tls.lines().nth(1).unwrap().to_owned();
    all.push(("the TLS key".to_owned(), line));
    for (user, password) in [
        ("alice", &world.password),
        ("machine", &world.client_secret),
        ("lab-machine", &world.lab_secret),
    ] {
        all.push((
            format!("Basic of {user}"),
            basic(user, password)["Basic ".len()..].to_owned(),
        ));
    }
    all
}

/// Fails if a text holds any of the secrets, in clear, as hex, or as base64.
fn holds_none(what: &str, text: &[u8], secrets: &[(String, String)]) {
    for (name, secret) in secrets {
        for form in [
            secret.clone(),
            proof::digest::hex(secret.as_bytes()),
            proof::base64std::encode(secret.as_bytes())
                .trim_end_matches('=')
                .to_owned(),
        ] {
            // The last characters of base64 depend on what follows.
            let form = &form.as_bytes()[..form.len() - 2];
            assert!(wire::find(text, form).is_none(), "{what} holds {name}");
        }
    }
}

/// Uses every secret well and badly, and returns the tokens that came up.
fn use_them_all(world: &World) -> (Vec<(String, String)>, Vec<u8>) {
    let mut tokens = Vec::new();
    let mut answers = Vec::new();
    let own = world.own_token("machine", &world.client_secret, "main");
    let foreign = world.foreign.sign(&world.foreign.claims(AUDIENCE));
    let expired = world
        .foreign
        .sign(&but(&world.foreign.claims(AUDIENCE), "exp", json!(1)));
    let told = world.get("/signed/x", &[("x-api-key", &world.key)]);
    let identity = seen(&told, "doorward-identity").remove(0);
    let assertion = world.signer_a.sign(&world.signer_a.claims("nobody"));
    for (name, token) in [
        ("an access token", &own),
        ("a foreign token", &foreign),
        ("an expired token", &expired),
        ("an identity token", &identity),
        ("an assertion", &assertion),
    ] {
        let signature = token.rsplit('.').next().unwrap();
        tokens.push((format!("the signature of {name}"), signature.to_owned()));
    }
    let secrets: Vec<String> = vec![
        world.doorward.owner_key().to_owned(),
        world.key.clone(),
        world.test_key.clone(),
        world.client_secret.clone(),
        world.lab_secret.clone(),
        world.password.clone(),
        world.lab_password.clone(),
        own,
        foreign,
        expired,
        identity,
        assertion,
    ];
    for secret in &secrets {
        let bearer = format!("Bearer {secret}");
        let pair = basic("alice", secret);
        let gateway: [(&str, &[(&str, &str)]); 7] = [
            ("/admin/x", &[("authorization", bearer.as_str())]),
            ("/admin/x", &[("x-api-key", secret.as_str())]),
            ("/admin/x", &[("authorization", pair.as_str())]),
            (
                "/admin/x",
                &[
                    ("authorization", bearer.as_str()),
                    ("x-api-key", secret.as_str()),
                ],
            ),
            ("/trial/x", &[("authorization", bearer.as_str())]),
            ("/nowhere/x", &[("authorization", bearer.as_str())]),
            (
                "/public/x",
                &[
                    ("authorization", secret.as_str()),
                    ("cookie", secret.as_str()),
                ],
            ),
        ];
        for (path, headers) in gateway {
            let answer = world.secure_get(path, headers);
            // The echo tells what it saw, so only what the gateway itself says counts here.
            if answer.status >= 400 {
                answers.extend(format!("{:?}{}\n", answer.headers, answer.text()).into_bytes());
            }
        }
        let query = format!("/admin/x?access_token={secret}&api_key={secret}");
        answers.extend(world.secure_get(&query, &[]).body);
        let form = format!(
            "grant_type=client_credentials&client_id=machine&client_secret={secret}&resource={secret}&scope={secret}&token={secret}&client_assertion={secret}"
        );
        for path in ["/oauth/token", "/oauth/introspect", "/oauth/revoke"] {
            let answer = wire::call(
                world.doorward.issuer(),
                "POST",
                path,
                &[
                    ("content-type", "application/x-www-form-urlencoded"),
                    ("authorization", &bearer),
                ],
                form.as_bytes(),
            )
            .unwrap();
            answers.extend(format!("{:?}{}\n", answer.headers, answer.text()).into_bytes());
        }
        let answer = wire::get(
            world.doorward.admin(),
            "/v1/status",
            &[("authorization", &pair)],
        )
        .unwrap();
        answers.extend(answer.body);
    }
    (tokens, answers)
}

/// Everything that the admin API can be asked to show.
const SHOWN: [&str; 18] = [
    "/v1/status",
    "/v1/settings",
    "/v1/openapi.json",
    "/v1/export",
    "/v1/apis",
    "/v1/applications",
    "/v1/clients",
    "/v1/accounts",
    "/v1/issuers",
    "/v1/keys",
    "/v1/clients/machine/secrets",
    "/v1/accounts/alice/passwords",
    "/v1/admin-keys",
    "/v1/signing-keys",
    "/v1/audit",
    "/v1/audit/checkpoints",
    "/v1/audit/verify",
    "/v1/decisions",
];

/// Defence: `proof::secret::Secret` (no `Display`, no `Serialize`, masked `Debug`); causes and
/// views are made of safe values; `settings/mod.rs` masks what came from a file or `${ENV}`.
/// I2: `proof::password` hashes, `proof::seal` for keys; lookups go by id and verify the secret.
#[test]
fn i01_i02_secrets_are_neither_told_nor_kept() {
    // The longest log there is: what is not in it is in no shorter one.
    let world = World::start(&BASE.replace("level: info", "level: trace"));
    let mut secrets = secrets(&world);
    let (tokens, answers) = use_them_all(&world);
    secrets.extend(tokens);
    holds_none("an answer", &answers, &secrets);
    // Decisions are written in batches.
    std::thread::sleep(Duration::from_millis(200));
    for path in SHOWN {
        let (status, json) = world.doorward.admin_call("GET", path, None).unwrap();
        assert_eq!(status, 200, "{path}: {json}");
        holds_none(path, json.to_string().as_bytes(), &secrets);
        // The description of an import names the forms of hashes; no answer holds one.
        if path != "/v1/openapi.json" {
            let hash = [("a hash".to_owned(), "$argon2id$v=".to_owned())];
            holds_none(path, json.to_string().as_bytes(), &hash);
        }
    }
    let metrics = wire::get(world.doorward.ops(), "/metrics", &[]).unwrap();
    holds_none("the metrics", &metrics.body, &secrets);
    let place = world.doorward.place();
    for arguments in [
        &["config", "explain"][..],
        &["--output", "json", "config", "explain"],
    ] {
        let output = place.run(arguments).unwrap();
        assert!(output.status.success(), "{output:?}");
        assert!(!output.stdout.is_empty());
        holds_none("config explain", &output.stdout, &secrets);
    }
    // The same from the environment, and a wrong one: told by name, never by value.
    let text = std::fs::read_to_string(place.settings_file()).unwrap();
    let from_env = text.replace("file:master.key", "${MASTER}");
    std::fs::write(place.path().join("env.yaml"), &from_env).unwrap();
    let master = std::fs::read_to_string(place.path().join("master.key")).unwrap();
    let explain = ["config", "explain", "--config", "env.yaml"];
    let output = place.run_with(&explain, &[("MASTER", &master)]).unwrap();
    assert!(output.status.success(), "{output:?}");
    holds_none("config explain", &output.stdout, &secrets);
    let bad = format!("{}xyz", master.trim());
    let output = place.run_with(&explain, &[("MASTER", &bad)]).unwrap();
    assert!(!output.status.success());
    holds_none(
        "the refusal of a key",
        &[output.stdout, output.stderr].concat(),
        &secrets,
    );
    let (url, url_secret) = (
        "postgres://doorward:hunter2-hunter2@127.0.0.1:9/x",
        "hunter2-hunter2",
    );
    let with_url = text.replacen(
        "shutdown:",
        &format!("database: {{ url: '{url}' }}\nshutdown:"),
        1,
    );
    std::fs::write(place.path().join("url.yaml"), with_url).unwrap();
    for arguments in [
        &["config", "explain", "--config", "url.yaml"][..],
        &["serve", "--config", "url.yaml"],
    ] {
        let output = place.run(arguments).unwrap();
        let said = [output.stdout, output.stderr].concat();
        holds_none(
            "a database's password",
            &said,
            &[("it".to_owned(), format!("{url_secret}  "))],
        );
        assert!(
            wire::find(&said, url_secret.as_bytes()).is_none(),
            "{arguments:?}"
        );
    }
    // Standard output shows the first key once; the log never.
    let log = world.doorward.log();
    assert!(log.len() > 10_000, "trace is on");
    holds_none("the log", log.as_bytes(), &secrets);
    let owner = &secrets[0].1;
    assert_eq!(world.doorward.stdout().matches(owner.as_str()).count(), 1);

    // At rest: every file that was written, byte for byte, and every cell as text.
    let data = place.path().join("data");
    for entry in std::fs::read_dir(&data).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            holds_none(
                &path.display().to_string(),
                &std::fs::read(&path).unwrap(),
                &secrets,
            );
        }
    }
    let rows = cells(&data.join("doorward.db"));
    for (table, row) in &rows {
        holds_none(table, row.as_bytes(), &secrets);
    }
    // What is stored opens nothing by itself, wherever it is put. Guesses at one account are soon
    // throttled, so each is shown the few that are its own.
    let of = |owner: &str| -> Vec<String> {
        let mut cells: Vec<String> = rows
            .iter()
            .filter(|(_, row)| row.contains("$argon2") && row.contains(owner))
            .flat_map(|(_, row)| row.split('\u{1f}'))
            .filter(|cell| cell.contains("$argon2"))
            .map(str::to_owned)
            .collect();
        cells.sort();
        cells.dedup();
        assert!(!cells.is_empty(), "no verifier of {owner} is stored?");
        cells
    };
    for stolen in of(&world.key_id) {
        let head = &world.key[..world.key.len() - 49];
        for key in [
            stolen.clone(),
            format!("{head}{stolen}"),
            format!("{head}{}", &stolen[stolen.len() - 43..]),
        ] {
            for (name, value) in [
                ("x-api-key", key.clone()),
                ("authorization", format!("Bearer {key}")),
            ] {
                let answer = world.secure_get("/me", &[(name, &value)]);
                assert_eq!(answer.status, 401, "{name}: {value}: {}", answer.text());
            }
        }
    }
    for stolen in of("alice") {
        let answer = world.secure_get("/me", &[("authorization", &basic("alice", &stolen))]);
        assert!(
            matches!(answer.status, 401 | 429),
            "{stolen}: {}",
            answer.text()
        );
    }
    for stolen in of("machine") {
        let form = "grant_type=client_credentials&resource=https%3A%2F%2Fmain.example";
        let answer = world.token_endpoint(&[("authorization", &basic("machine", &stolen))], form);
        assert!(
            matches!(answer.status, 400 | 401 | 429),
            "{stolen}: {}",
            answer.text()
        );
    }
    for stolen in of("adm_") {
        let bearer = format!("Bearer {stolen}");
        let answer = wire::get(
            world.doorward.admin(),
            "/v1/status",
            &[("authorization", &bearer)],
        )
        .unwrap();
        assert!(
            matches!(answer.status, 401 | 429),
            "{stolen}: {}",
            answer.text()
        );
    }
    // The verifiers were those of secrets that do open: none was throttled away.
    assert_eq!(world.get("/me", &[("x-api-key", &world.key)]).status, 200);
}

/// Every row of every table as text, cells divided by U+001F.
fn cells(database: &std::path::Path) -> Vec<(String, String)> {
    use sqlx::{Column as _, Row as _};
    wire::runtime().block_on(async {
        let options = sqlx::sqlite::SqliteConnectOptions::new()
            .filename(database)
            .read_only(true);
        let pool = sqlx::SqlitePool::connect_with(options).await.unwrap();
        let tables: Vec<String> =
            sqlx::query_scalar("SELECT name FROM sqlite_master WHERE type = 'table'")
                .fetch_all(&pool)
                .await
                .unwrap();
        assert!(tables.len() > 5, "{tables:?}");
        let mut all = Vec::new();
        for table in tables {
            let query = format!("SELECT * FROM \"{table}\"");
            for row in sqlx::query(sqlx::AssertSqlSafe(query))
                .fetch_all(&pool)
                .await
                .unwrap()
            {
                let texts: Vec<String> = row
                    .columns()
                    .iter()
                    .map(|column| {
                        let at = column.ordinal();
                        row.try_get_unchecked::<Vec<u8>, _>(at)
                            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
                            .unwrap_or_default()
                    })
                    .collect();
                all.push((table.clone(), texts.join("\u{1f}")));
            }
        }
        all
    })
}

/// Defence: there is none to take out: this walks through every command's own help and fails when
/// somebody adds an option that takes a secret's value.
#[test]
fn i03_no_option_takes_a_secret_by_value() {
    let binary = testkit::doorward::binary().unwrap();
    let help = |path: &[String]| {
        let output = Command::new(&binary)
            .args(path)
            .arg("--help")
            .output()
            .unwrap();
        assert!(output.status.success(), "{path:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let mut todo: Vec<Vec<String>> = vec![Vec::new()];
    let mut walked = 0;
    while let Some(path) = todo.pop() {
        walked += 1;
        assert!(walked < 300, "commands without end");
        let text = help(&path);
        let mut section = "";
        for line in text.lines() {
            if !line.starts_with(' ') && line.ends_with(':') {
                section = line;
                continue;
            }
            if section == "Commands:" && line.starts_with("  ") && !line.starts_with("   ") {
                let name = line.split_whitespace().next().unwrap_or_default();
                if name != "help" {
                    todo.push([&path[..], &[name.to_owned()]].concat());
                }
            }
            // `--name <VALUE>` and `<VALUE>` of arguments.
            let Some(option) = line.split_whitespace().find(|word| word.starts_with("--")) else {
                continue;
            };
            if section == "Commands:" {
                continue;
            }
            let takes_value = line.contains('<') || line.contains('=');
            let name = option.trim_start_matches("--").trim_end_matches([',', '=']);
            let secret = ["secret", "password", "key", "token", "pepper", "credential"]
                .iter()
                .any(|word| name.split('-').any(|part| part == *word));
            let by_reference = name.ends_with("-file")
                || name.ends_with("-url")
                || name.ends_with("-id")
                || line.contains("FILE");
            assert!(
                !(takes_value && secret && !by_reference),
                "doorward {}: {line}",
                path.join(" ")
            );
        }
    }
    assert!(walked > 20, "only {walked} commands were found");
    // And a value in its place is refused without being repeated.
    for arguments in [
        &["--admin-key", "hunter2-hunter2", "status"][..],
        &["serve", "--master-key", "hunter2-hunter2"],
        &[
            "account",
            "password",
            "alice",
            "--password",
            "hunter2-hunter2",
        ],
    ] {
        let output = Command::new(&binary).args(arguments).output().unwrap();
        assert!(!output.status.success(), "{arguments:?}");
    }
}
