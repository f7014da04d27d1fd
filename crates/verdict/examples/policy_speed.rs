//! How long a decision takes: 20 rules over the data of 10,000 users. Prints one line per way of asking.
//! `cargo run --release -p doorward-verdict --example policy_speed`; with a folder as argument it writes
//! policy, data and input there, for another server to be measured with the same.
#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    reason = "a measurement needs a clock and tells its result"
)]

use std::time::Instant;

use serde_json::{Value, json};
use verdict::policy::rego::{Limits, Source, Version};

const USERS: usize = 10_000;
const ROUNDS: u32 = 20_000;

/// 20 rules; `reasons` adds one name that two rules give values to, so that an allow is confirmed.
fn policy(reasons: bool) -> String {
    let mut text = String::from(
        r#"package orders

default allow := false

user := data.users[input.principal.subject]

allow if {
	active
	not barred
	may
}

active if user.active

may if owns
may if "admin" in user.roles
may if {
	"clerk" in user.roles
	same_tenant
	reads
}
may if {
	"auditor" in user.roles
	reads
	net.cidr_contains("10.0.0.0/8", input.call.address)
}

owns if {
	data.owners[input.parameters.id] == input.principal.subject
	same_tenant
}

same_tenant if user.tenant == input.principal.tenant

reads if input.call.method in {"GET", "HEAD"}

barred if startswith(input.call.path, "/internal/")
barred if input.call.headers["x-debug"] == "1"
barred if user.suspended
barred if {
	writes
	"read-only" in user.roles
}

writes if not reads

orders_path if glob.match("/orders/*", ["/"], input.call.path)
barred if not orders_path
barred if input.parameters.id == ""
barred if count(input.credential.scopes) == 0
"#,
    );
    if reasons {
        text.push_str("\nwhy := \"owner\" if owns\nwhy := \"other\" if not owns\n");
        text.push_str("decision := {\"allow\": allow, \"reason\": why}\n");
    }
    text
}

fn data() -> Value {
    let mut users = serde_json::Map::new();
    let mut owners = serde_json::Map::new();
    for number in 0..USERS {
        let roles = match number % 10 {
            0 => json!(["clerk"]),
            1 => json!(["auditor", "clerk"]),
            _ => json!(["user"]),
        };
        let user =
            json!({"active": true, "suspended": false, "tenant": number % 7, "roles": roles});
        users.insert(format!("user-{number}"), user);
        owners.insert(number.to_string(), format!("user-{number}").into());
    }
    json!({"users": users, "owners": owners})
}

fn input() -> Value {
    json!({
        "version": "v1", "time": 1_766_570_400_000_i64,
        "call": {
            "method": "GET", "scheme": "https", "host": "orders.example", "path": "/orders/5004",
            "query": {}, "headers": {"accept": "*/*", "user-agent": "x"}, "address": "10.1.2.3",
        },
        "principal": {
            "kind": "user", "id": "u", "subject": "user-5004", "tenant": 5004 % 7, "roles": [], "claims": {},
        },
        "credential": {"kind": "jwt", "scopes": ["orders:read"], "bound": false},
        "assurance": {"acr": "1"}, "api": "orders", "route": "/orders/{id}",
        "parameters": {"id": "5004"}, "objects": [], "policy": "orders",
    })
}

fn main() {
    if let Some(folder) = std::env::args().nth(1) {
        let folder = std::path::PathBuf::from(folder);
        for (name, text) in [
            ("orders.rego", policy(false)),
            ("data.json", data().to_string()),
            ("input.json", json!({"input": input()}).to_string()),
        ] {
            std::fs::write(folder.join(name), text).expect("the folder can be written");
        }
        return;
    }
    let input = input();
    for (name, reasons) in [("allow", false), ("allow, confirmed", true)] {
        let mut source = Source::inline("orders.rego", &policy(reasons));
        source.data = data();
        let began = Instant::now();
        let version = Version::compile(&source).expect("the policy compiles");
        let compiled = began.elapsed();
        assert_eq!(version.is_confirmed(), reasons);
        let limits = Limits::default();
        assert!(version.decide(&input, limits).allows());
        let mut times = Vec::with_capacity(ROUNDS as usize);
        for _ in 0..ROUNDS {
            let began = Instant::now();
            let outcome = version.decide(std::hint::black_box(&input), limits);
            times.push(began.elapsed());
            assert!(outcome.allows());
        }
        times.sort();
        let at = |share: usize| times[times.len() * share / 100].as_nanos() as f64 / 1e3;
        println!(
            "{name}: compiled in {:.1} ms; a decision takes {:.1} µs (half), {:.1} µs (95 of 100), {:.1} µs (99 of 100)",
            compiled.as_secs_f64() * 1e3,
            at(50),
            at(95),
            at(99),
        );
    }
}
