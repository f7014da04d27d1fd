//! **The tour**: one line to copy and paste for each thing that works, and what to expect.
//! `dev --check` runs these very lines. One file per subject adds its steps to the [`Book`].

mod certificates;
mod client_jwt;
mod door;
mod encrypted;
mod explained;
mod objects;
mod operations;
mod paseto;
mod people;
mod signed;
mod tokens;
mod upstreams;
mod webhooks;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};

use super::credentials::Demo;
use super::declared::Declared;
use crate::wire::Node;

/// What a line must lead to.
enum Expect {
    /// `curl -si` shows this status, and this text somewhere.
    Status(u16, &'static str),
    /// The output holds this text.
    Output(&'static str),
    /// The line sets this shell variable to something.
    Sets(&'static str),
}

struct Step {
    title: &'static str,
    line: String,
    expect: Expect,
}

/// The steps so far.
#[derive(Default)]
struct Book(Vec<Step>);

impl Book {
    fn step(&mut self, title: &'static str, line: String, expect: Expect) {
        self.0.push(Step {
            title,
            line,
            expect,
        });
    }
}

/// What the steps are told with: this installation's addresses, files and secrets.
struct Scene<'a> {
    /// The gateway, plain.
    gateway: String,
    /// The gateway over TLS.
    tls: String,
    /// The certificate to trust there.
    ca: String,
    issuer: String,
    ops: String,
    dir: &'a Path,
    /// This program.
    binary: String,
    /// This program with the address and the key of the admin API.
    doorward: String,
    /// A key that reads and writes orders.
    key: String,
    /// One that reads.
    reader: String,
    /// A client with its secret.
    client: String,
    /// A service account with its password.
    password: String,
    /// What curl sends to place an order.
    order: &'static str,
}

/// The steps with this installation's addresses and secrets.
pub(super) struct Tour {
    addresses: Vec<(&'static str, String)>,
    settings: String,
    steps: Vec<Step>,
}

impl Tour {
    /// Fills in the steps. What settings that an older `dev` wrote don't declare is left out.
    pub(super) fn new(node: &Node, demo: &Demo, declared: &Declared, dir: &Path) -> Result<Self> {
        let at = |name: &str| {
            node.address(name)
                .with_context(|| format!("the settings have no listener `{name}`"))
        };
        let text =
            |secret: &proof::secret::Secret| secret.expose_text().unwrap_or_default().to_owned();
        let admin = format!("http://{}", at("admin")?);
        let binary = std::env::current_exe()?.display().to_string();
        let scene = Scene {
            gateway: format!("http://{}", at("gateway")?),
            tls: format!("https://localhost:{}", at("gateway-tls")?.port()),
            ca: dir.join("tls/ca.pem").display().to_string(),
            issuer: format!("http://{}", at("issuer")?),
            ops: format!("http://{}", at("ops")?),
            dir,
            doorward: format!(
                "{binary} --admin-url {admin} --admin-key-file {}",
                dir.join("admin.key").display()
            ),
            binary,
            key: text(&demo.key),
            reader: text(&demo.reader),
            client: format!("shop-backend:{}", text(&demo.client_secret)),
            password: format!("alice:{}", text(&demo.password)),
            order: r#"-H 'Content-Type: application/json' -d '{"item":"Lamp","quantity":1}'"#,
        };

        let mut book = Book::default();
        door::keys(&mut book, &scene);
        if declared.takes("mtls") {
            certificates::mtls(&mut book, &scene);
        }
        signed::requests(&mut book, &scene, &demo.signers);
        if declared.takes("client_jwt") {
            client_jwt::calls(&mut book, &scene);
        }
        if declared.certifies() {
            client_jwt::certified(&mut book, &scene);
        }
        if let Some(sample) = declared.sample() {
            webhooks::deliveries(&mut book, &scene, &sample.to_string())?;
        }
        tokens::jwt(&mut book, &scene);
        if let Some(secret) = &demo.partner_secret {
            tokens::opaque(&mut book, &scene, &format!("shop-partner:{}", text(secret)));
        }
        if let Some(secret) = &demo.reports_secret {
            paseto::tokens(&mut book, &scene, &format!("shop-reports:{}", text(secret)));
        }
        if let Some(secret) = &demo.archive_secret {
            paseto::kept(&mut book, &scene, &format!("shop-archive:{}", text(secret)));
        }
        if let Some(secret) = &demo.accounting_secret {
            let client = format!("shop-accounting:{}", text(secret));
            encrypted::tokens(&mut book, &scene, &client);
        }
        tokens::bound(&mut book, &scene)?;
        if declared.asks_for_nonces() {
            tokens::sensitive(&mut book, &scene);
        }
        if declared.presents() {
            upstreams::credential(&mut book, &scene);
        }
        door::refused(&mut book, &scene);
        if let Some(password) = &demo.person {
            people::signs_in(&mut book, &scene, &text(password));
        }
        if node.serves_registration() {
            people::registers(&mut book, &scene);
        }
        if let Some(secret) = &demo.courier_secret {
            objects::guarded(&mut book, &scene, &format!("shop-courier:{}", text(secret)))?;
        }
        explained::why(&mut book, &scene);
        operations::turned_over(&mut book, &scene, &demo.password_id);
        operations::keys_and_record(&mut book, &scene, &demo.reader_id);

        let Scene {
            gateway,
            tls,
            issuer,
            ops,
            ..
        } = scene;
        let mut addresses = vec![
            ("gateway", gateway),
            ("gateway (TLS)", tls),
            ("issuer", issuer),
            ("admin API", admin),
            ("health, metrics", ops),
        ];
        // Settings that an older `dev` wrote have none.
        if let Some(at) = node.address("issuer-tls") {
            addresses.insert(
                3,
                ("issuer (TLS)", format!("https://localhost:{}", at.port())),
            );
        }
        Ok(Self {
            addresses,
            settings: dir.join("doorward.yaml").display().to_string(),
            steps: book.0,
        })
    }

    /// Prints addresses and steps.
    #[allow(clippy::print_stdout, reason = "the tour is what the command is for")]
    pub(super) fn print(&self) {
        let mut places = String::new();
        for (name, address) in &self.addresses {
            let _ = writeln!(places, "  {name:<16} {address}");
        }
        let _ = writeln!(
            places,
            "  {:<16} {} (edit it while this runs)\n",
            "settings", self.settings
        );
        let mut out = format!("\nDoorward is ready.\n\n{places}");
        out.push_str("The tour. Copy a line, see what happens:\n");
        for (number, step) in self.steps.iter().enumerate() {
            let expect = match step.expect {
                Expect::Status(status, _) => format!("{status}"),
                Expect::Output(text) => format!("… {text} …"),
                Expect::Sets(name) => format!("sets ${name}"),
            };
            let _ = write!(
                out,
                "\n{:>2}. {} → {expect}\n{}\n",
                number + 1,
                step.title,
                step.line
            );
        }
        // Again, since the steps are longer than a screen.
        let _ = write!(out, "\nEverything runs here:\n\n{places}");
        out.push_str("Stop with Ctrl-C. `./run --check` walks this tour by itself.\n");
        println!("{out}");
    }

    /// Runs every line and prints a tick or what differed. Returns how many differed.
    #[allow(clippy::print_stdout, reason = "the tour is what the command is for")]
    pub(super) fn walk(&self) -> usize {
        let mut variables: BTreeMap<&'static str, String> = BTreeMap::new();
        let mut failed = 0;
        for step in &self.steps {
            match step.run(&mut variables) {
                Ok(()) => println!("✓ {}", step.title),
                Err(found) => {
                    failed += 1;
                    println!(
                        "✗ {}\n    {}\n    {}",
                        step.title,
                        step.line,
                        found.replace('\n', "\n    ")
                    );
                }
            }
        }
        println!("{} passed, {failed} failed", self.steps.len() - failed);
        failed
    }
}

impl Step {
    fn run(&self, variables: &mut BTreeMap<&'static str, String>) -> Result<(), String> {
        let line = match self.expect {
            Expect::Sets(name) => format!("{}; printf %s \"${name}\"", self.line),
            _ => self.line.clone(),
        };
        let ran = Command::new("sh")
            .arg("-c")
            .arg(&line)
            .envs(&*variables)
            .output();
        let ran = ran.map_err(|error| format!("the line could not be run: {error}"))?;
        let output = String::from_utf8_lossy(&ran.stdout).into_owned();
        let all = || format!("{output}{}", String::from_utf8_lossy(&ran.stderr));
        match self.expect {
            Expect::Status(status, text) => {
                let found = output
                    .lines()
                    .rev()
                    .find_map(|line| line.strip_prefix("HTTP/")?.split(' ').nth(1));
                let same = found.and_then(|code| code.parse().ok()) == Some(status);
                let holds = output
                    .to_ascii_lowercase()
                    .contains(&text.to_ascii_lowercase());
                if same && holds {
                    Ok(())
                } else {
                    Err(format!("expected {status} {text}, found:\n{}", all()))
                }
            }
            Expect::Output(text) => {
                let holds =
                    ran.status.success() && all().to_lowercase().contains(&text.to_lowercase());
                if holds {
                    Ok(())
                } else {
                    Err(format!("expected `{text}`, found:\n{}", all()))
                }
            }
            Expect::Sets(name) => {
                if output.is_empty() || output.contains(r#""error""#) || output.contains('\n') {
                    return Err(format!("expected a value for {name}, found:\n{}", all()));
                }
                variables.insert(name, output);
                Ok(())
            }
        }
    }
}
