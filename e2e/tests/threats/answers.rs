//! **What callers are told**: for every kind of credential a row per defect, over HTTP/1.1 and
//! HTTP/2, with status, problem code and the challenges of `WWW-Authenticate`, word for word. The
//! golden file is what clients are written against. It has the cause from the log as well, which no
//! caller sees.

use core::fmt::Write as _;
use core::time::Duration;
use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::Arc;
use std::time::Instant;

use proof::calendar;
use proof::client_call::Draft;
use proof::issued::{Brand, Environment, Issued, KeyId, SecretKind};
use proof::jose::alg::Algorithm;
use proof::jose::jwe::DecryptionKey;
use proof::jose::jwt::Claims;
use proof::jose::key::SigningKey;
use proof::paseto::{self, IssuingKey, LocalKey, public_paserk};
use proof::random::{SystemEntropy, random_base62};
use proof::secret::Secret;
use proof::time::Timestamp;
use proof::webhook::{SharedKey, Style};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams,
    SanType, SerialNumber,
};
use rustls::pki_types::CertificateDer;
use serde_json::{Value, json};
use testkit::bound::{ClientCertificate, ProofKey};
use testkit::doorward::{BASE, Doorward, Place};
use testkit::signing::{Scheme, Signatory, Target};
use testkit::tokens::{ForeignIssuer, now};
use testkit::upstream::Upstream;
use testkit::wire::{self, Answer};
use verdict::credential::CredentialKind;

use super::shared::{basic, but};
use crate::flows::encrypted;
use crate::flows::foreign::Partner;
use declared::{api, apis, audience, document};
use made::Known;
use world::{Authority, World};

mod declared;
mod made;
mod rows;
mod world;

/// A call, the same over either protocol.
#[derive(Clone)]
struct Call {
    method: &'static str,
    path: String,
    fields: Vec<(String, String)>,
    body: Vec<u8>,
    /// The client's certificate, if it shows one.
    tls: Option<Arc<rustls::ClientConfig>>,
    /// Whether it goes to the admin API.
    admin: bool,
}

impl Call {
    fn get(path: &str) -> Self {
        Self {
            method: "GET",
            path: path.to_owned(),
            fields: Vec::new(),
            body: Vec::new(),
            tls: None,
            admin: false,
        }
    }

    fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.fields.push((name.to_owned(), value.into()));
        self
    }

    fn bearer(path: &str, token: &str) -> Self {
        Self::get(path).with("authorization", format!("Bearer {token}"))
    }

    fn shown(mut self, certificate: &Arc<rustls::ClientConfig>) -> Self {
        self.tls = Some(Arc::clone(certificate));
        self
    }

    fn for_admin(mut self) -> Self {
        self.admin = true;
        self
    }
}

/// What makes the calls of a row: the last one's answer counts, those before must pass.
type Row<'a> = (
    CredentialKind,
    &'static str,
    Box<dyn Fn() -> Vec<Call> + 'a>,
);

#[derive(Default)]
struct Rows<'a>(Vec<Row<'a>>);

impl<'a> Rows<'a> {
    fn add(&mut self, kind: CredentialKind, defect: &'static str, call: impl Fn() -> Call + 'a) {
        self.0.push((kind, defect, Box::new(move || vec![call()])));
    }

    /// What must pass, and then the call that counts.
    fn after(
        &mut self,
        kind: CredentialKind,
        defect: &'static str,
        calls: impl Fn() -> [Call; 2] + 'a,
    ) {
        self.0
            .push((kind, defect, Box::new(move || calls().into())));
    }

    /// The same call twice.
    fn twice(&mut self, kind: CredentialKind, defect: &'static str, call: impl Fn() -> Call + 'a) {
        let both = move || {
            let call = call();
            vec![call.clone(), call]
        };
        self.0.push((kind, defect, Box::new(both)));
    }
}

/// How long what is to expire lives.
const SHORT: i64 = 3;

const PARTNER: &str = "spiffe://example.org/billing";

/// Suspended.
const ASLEEP: &str = "spiffe://example.org/asleep";

/// Known from another network.
const FAR: &str = "spiffe://example.org/far";

fn moment() -> Timestamp {
    Timestamp::from_secs(now())
}

/// As of an hour ago.
fn long_ago() -> Timestamp {
    moment().minus(Duration::from_secs(3600))
}

fn request_id(answer: &Answer) -> &str {
    answer.header("doorward-request-id").unwrap_or_default()
}

/// The id of a call and why it was refused, of a line of the access log; names that differ in every
/// run are shortened.
fn cause_in(line: &str) -> Option<(String, String)> {
    let line: Value = serde_json::from_str(line).ok()?;
    let fields = if line["fields"].is_object() {
        &line["fields"]
    } else {
        &line
    };
    let id = fields["request_id"].as_str()?.to_owned();
    let cause = fields["cause"].as_str()?;
    let words = cause.split(' ').map(|word| {
        let bare = word.trim_matches(['(', ')', ',']);
        let name = [
            "key_", "adm_", "pwd_", "sgn_", "svc_", "jti:", "x5t:", "jkt:", "DWAK",
        ]
        .into_iter()
        .find(|name| bare.starts_with(name) && bare.len() > name.len());
        match name {
            Some(name) => word.replace(bare, &format!("{name}…")),
            // The public id within a secret.
            None if bare.len() == 16 && bare.bytes().all(|b| b.is_ascii_alphanumeric()) => {
                word.replace(bare, "…")
            }
            None => word.to_owned(),
        }
    });
    Some((id, words.collect::<Vec<_>>().join(" ")))
}

/// Sends the calls of all rows over both protocols, and writes down what is answered.
fn answers(world: &World, rows: &Rows<'_>) -> String {
    while now() <= world.expired_by {
        std::thread::sleep(Duration::from_millis(50));
    }
    let mut answered = Vec::new();
    for kind in CredentialKind::ALL {
        for (_, defect, calls) in rows.0.iter().filter(|(of, ..)| *of == kind) {
            let over = |send: &dyn Fn(&Call) -> Answer| {
                let mut calls = calls();
                let last = calls.pop().unwrap();
                for before in &calls {
                    let answer = send(before);
                    assert_eq!(answer.status, 200, "{kind:?} {defect}: {}", answer.text());
                }
                send(&last)
            };
            let (one, two) = (
                over(&|call| world.by_http1(call)),
                over(&|call| world.by_http2(call)),
            );
            answered.push((kind, *defect, one, two));
        }
    }

    let causes = world.causes(answered.iter().flat_map(|(.., one, two)| [one, two]));
    let mut golden = String::new();
    for (kind, defect, one, two) in &answered {
        let [one, two] = [one, two].map(|answer| {
            let mut text = world.told(answer);
            if let Some(cause) = causes.get(request_id(answer)).filter(|cause| *cause != "-") {
                let _ = writeln!(text, "    log: {cause}");
            }
            text
        });
        assert_eq!(one, two, "{kind:?} {defect}: HTTP/1.1 and HTTP/2 differ");
        let _ = writeln!(golden, "{} · {defect}\n{one}", kind.name());
    }
    golden
}

#[test]
fn c12_every_kind_with_every_defect_is_answered_alike_over_both_protocols() {
    let mut world = World::start("");
    let known = Known::make(&mut world);
    let world = world;
    let rows = rows::all(&world, &known);
    for kind in CredentialKind::ALL {
        let has_row = rows.0.iter().any(|(of, ..)| *of == kind);
        assert!(has_row, "{kind:?} has no row");
    }
    insta::assert_snapshot!(
        "credential_kind_by_defect_on_the_wire",
        answers(&world, &rows)
    );
}

#[test]
fn b02_callers_behind_a_proxy_are_told_the_same_of_the_certificate_that_it_relays() {
    let relays = "trusted_proxies: [127.0.0.1]\nclient_certificate_field: client-cert\n";
    let world = World::start(relays);
    let rows = rows::relayed(&world);
    insta::assert_snapshot!("relayed_certificate_by_defect", answers(&world, &rows));
}
