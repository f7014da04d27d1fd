//! Client certificates as credentials: over TLS, in a proxy's field, and with lists that change.

use std::path::Path;
use std::time::{Duration, Instant};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType,
    IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SanType, SerialNumber,
};
use serde_json::{Value, json};
use testkit::bound::ClientCertificate;
use testkit::doorward::{BASE, Doorward, Place};
use testkit::upstream::Upstream;
use testkit::wire::{self, Answer};

use super::key_sets::{KeyServer, LISTED, Reply};

pub(super) const NAME: &str = "spiffe://example.org/billing";

pub(super) const RESOURCES: &str = r#"
resources:
  - apiVersion: doorward/v1
    kind: Api
    metadata: { name: main }
    spec:
      upstream: { urls: ["@UPSTREAM@"] }
      identity: { mode: headers }
      scopes: { read: Read things, write: Write things }
      credentials: [mtls]
      client_certificates:
        ca_file: partners/ca.pem
        crl_files: [partners/ca.crl]
        identities: [{ uri: "spiffe://example.org/*", scopes: [read] }]
      routes:
        - { path: /me }
        - { path: /write, scopes: [write] }
        - { path: /open, public: true }
"#;

/// An authority.
pub(crate) struct Ca(pub(super) CertifiedIssuer<'static, KeyPair>);

/// A client's certificate with its key.
pub(crate) struct Own {
    pub(crate) der: Vec<u8>,
    pub(crate) tls: ClientCertificate,
    /// The same as files hold them.
    pub(crate) pem: String,
    pub(crate) key_pem: String,
}

impl Ca {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    pub(super) fn own(&self, serial: u64) -> Own {
        self.named(NAME, serial)
    }

    pub(crate) fn named(&self, name: &str, serial: u64) -> Own {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, "client");
        params.subject_alt_names = vec![SanType::URI(name.try_into().unwrap())];
        params.serial_number = Some(SerialNumber::from(serial));
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        Own {
            der: certificate.der().to_vec(),
            tls: ClientCertificate::new(vec![certificate.der().clone()], &key),
            pem: certificate.pem(),
            key_pem: key.serialize_pem(),
        }
    }

    /// The list of revoked serial numbers, PEM.
    fn list(&self, serials: &[u64], number: u64) -> String {
        let list = CertificateRevocationListParams {
            this_update: rcgen::date_time_ymd(2026, 1, 1),
            next_update: rcgen::date_time_ymd(2099, 1, 1),
            crl_number: SerialNumber::from(number),
            issuing_distribution_point: None,
            revoked_certs: serials
                .iter()
                .map(|serial| RevokedCertParams {
                    serial_number: SerialNumber::from(*serial),
                    revocation_time: rcgen::date_time_ymd(2026, 1, 1),
                    reason_code: None,
                    invalidity_date: None,
                })
                .collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        list.signed_by(&self.0).unwrap().pem().unwrap()
    }

    /// Writes the list of revoked serial numbers, over the one before.
    pub(crate) fn revoke(&self, folder: &Path, serials: &[u64], number: u64) {
        let list = self.list(serials, number);
        let new = folder.join("ca.crl.new");
        std::fs::write(&new, list).unwrap();
        std::fs::rename(new, folder.join("ca.crl")).unwrap();
    }
}

pub(super) struct World {
    pub(super) doorward: Doorward,
    pub(super) upstream: Upstream,
    pub(super) ca: Ca,
}

impl World {
    fn start(more: &str) -> Self {
        Self::start_with(Place::new().unwrap(), Ca::new(), more, RESOURCES)
    }

    pub(super) fn start_with(place: Place, ca: Ca, more: &str, resources: &str) -> Self {
        let upstream = Upstream::start().unwrap();
        let partners = place.path().join("partners");
        std::fs::create_dir(&partners).unwrap();
        std::fs::write(partners.join("ca.pem"), ca.0.pem()).unwrap();
        ca.revoke(&partners, &[], 1);
        let settings = format!("{BASE}{more}{resources}").replace("@UPSTREAM@", &upstream.url());
        Self {
            doorward: place.start(&settings).unwrap(),
            upstream,
            ca,
        }
    }

    pub(super) fn over_tls(&self, own: Option<&Own>, path: &str) -> Answer {
        let trusted = self.doorward.place().path().join("tls/ca.pem");
        let at = self.doorward.gateway_tls();
        let request =
            format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        match own {
            None => wire::raw_tls(at, &trusted, request).unwrap(),
            Some(own) => {
                let config = own.tls.client_config(&trusted).unwrap();
                let mut stream = wire::connect_tls_as(at, &config, Some("http/1.1")).unwrap();
                std::io::Write::write_all(&mut stream, request.as_bytes()).unwrap();
                wire::first_answer(&mut stream).unwrap()
            }
        }
    }
}

/// Defence: `verdict::credential::mtls`: the API's own authority, its lists and its names.
#[test]
fn h05_a_certificate_counts_as_far_as_the_api_s_own_authority_vouches_for_it() {
    let world = World::start("");
    let (good, revoked) = (world.ca.own(1), world.ca.own(2));
    let answer = world.over_tls(Some(&good), "/me");
    assert_eq!(answer.status, 200, "{}", answer.text());
    let seen = world.upstream.seen().pop().unwrap();
    assert_eq!(seen.values("doorward-subject"), [NAME]);
    assert_eq!(seen.values("doorward-principal"), ["service"]);
    let answer = world.over_tls(Some(&good), "/write");
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (403, "insufficient-scope")
    );

    let answer = world.over_tls(None, "/me");
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (401, "credential-missing")
    );
    assert_eq!(
        answer.header("www-authenticate"),
        Some("ClientCertificate realm=\"main\"")
    );
    let answer = world.over_tls(Some(&Ca::new().own(1)), "/me");
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (401, "credential-refused")
    );
    // No credential where none is asked for.
    assert_eq!(world.over_tls(Some(&Ca::new().own(1)), "/open").status, 200);

    assert_eq!(world.over_tls(Some(&revoked), "/me").status, 200);
    let partners = world.doorward.place().path().join("partners");
    world.ca.revoke(&partners, &[2], 2);
    let until = Instant::now() + Duration::from_secs(20);
    while world.over_tls(Some(&revoked), "/me").status != 401 {
        assert!(Instant::now() < until, "the new list is not in force");
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(world.over_tls(Some(&good), "/me").status, 200);
    // A list that can't be read leaves the one before in force.
    std::fs::write(partners.join("ca.crl"), "no list").unwrap();
    let until = Instant::now() + Duration::from_secs(20);
    while !world
        .doorward
        .log()
        .contains("not a certificate revocation list")
    {
        assert!(
            Instant::now() < until,
            "the log does not tell of the bad list"
        );
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(world.over_tls(Some(&revoked), "/me").status, 401);
    assert_eq!(world.over_tls(Some(&good), "/me").status, 200);
}

fn until(what: &str, world: &World, holds: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < end, "{what}: {}", world.doorward.log());
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Defence: `registry::usecase::resource::its_files_can_be_used` before a document is written;
/// `app::wire::files::authorities`, which leaves out what can't be read and nothing else.
#[test]
fn h05_an_authority_that_can_not_be_read_is_refused_when_written_and_holds_nobody_up_later() {
    let mut world = World::start("");
    let second = Ca::new();
    let partners = world.doorward.place().path().join("partners");
    let api = |name: &str, file: &str| {
        json!({ "spec": {
            "base_path": format!("/{name}"), "upstream": { "urls": [world.upstream.url()] },
            "credentials": ["mtls"],
            "client_certificates": {
                "ca_file": format!("partners/{file}"), "identities": [{ "uri": NAME }],
            },
            "routes": [{ "path": "/me" }, { "path": "/open", "public": true }],
        }})
    };
    let put = |name: &str, spec: &Value| {
        let path = format!("/v1/apis/{name}");
        world.doorward.admin_call("PUT", &path, Some(spec)).unwrap()
    };
    // What can't be used is refused with its name: a file that is not there, one that holds nothing.
    std::fs::write(partners.join("empty.pem"), "nothing").unwrap();
    for file in ["second.pem", "empty.pem"] {
        let (status, told) = put("second", &api("second", file));
        assert_eq!((status, &told["code"]), (400, &json!("invalid-request")));
        let text = told.to_string();
        assert!(text.contains(&format!("partners/{file}")), "{text}");
        assert!(text.contains("client_certificates"), "{text}");
    }
    let shown = world.doorward.admin_call("GET", "/v1/apis/second", None);
    assert_eq!(shown.unwrap().0, 404, "nothing was written");
    std::fs::write(partners.join("second.pem"), second.pem()).unwrap();
    assert!(put("second", &api("second", "second.pem")).0 < 300);
    let (first, own) = (world.ca.own(1), second.own(1));
    let status = |world: &World, own: &Own, path: &str| world.over_tls(Some(own), path).status;
    until("it is in force", &world, || {
        status(&world, &own, "/second/me") == 200
    });

    // The file goes away: that API's certificates are unavailable, and whatever else is declared
    // comes into force.
    std::fs::remove_file(partners.join("second.pem")).unwrap();
    until("it is noticed", &world, || {
        status(&world, &own, "/second/me") == 503
    });
    let third = json!({ "spec": {
        "base_path": "/third", "upstream": { "urls": [world.upstream.url()] },
        "routes": [{ "path": "/open", "public": true }],
    }});
    assert!(put("third", &third).0 < 300);
    let others = |world: &World| {
        until("others go on", world, || {
            status(world, &first, "/third/open") == 200
        });
        assert_eq!(status(world, &first, "/me"), 200);
        assert_eq!(status(world, &own, "/second/open"), 200);
        let answer = world.over_tls(Some(&own), "/second/me");
        assert_eq!(answer.code(), "temporarily-unavailable");
    };
    others(&world);
    assert!(world.doorward.log().contains("second.pem can't be read"));
    until("the admin API tells", &world, || {
        let (_, told) = world
            .doorward
            .admin_call("GET", "/v1/status", None)
            .unwrap();
        told.to_string().contains("second.pem can't be read")
    });
    // Nor does it keep a node from starting.
    assert!(world.doorward.stop().unwrap(), "{}", world.doorward.log());
    world.doorward.start_again().unwrap();
    others(&world);
    std::fs::write(partners.join("second.pem"), second.pem()).unwrap();
    until("it is back", &world, || {
        status(&world, &own, "/second/me") == 200
    });

    // So it is with what the settings declare.
    std::fs::remove_file(partners.join("ca.pem")).unwrap();
    until("it is noticed", &world, || {
        status(&world, &first, "/me") == 503
    });
    assert_eq!(status(&world, &own, "/second/me"), 200);
    let file = world.doorward.place().settings_file();
    let settings = std::fs::read_to_string(&file).unwrap();
    let changed = settings.replace(
        "- { path: /open, public: true }",
        "- { path: /all, public: true }",
    );
    assert_ne!(changed, settings);
    world.doorward.place().write_settings(&changed).unwrap();
    // But a document that says something new must name what can be used.
    until("it is refused", &world, || {
        world
            .doorward
            .log()
            .contains("Api/main spec.client_certificates: partners/ca.pem can't be read")
    });
    assert_eq!(
        status(&world, &first, "/open"),
        200,
        "the running ones stay"
    );
    std::fs::write(partners.join("ca.pem"), world.ca.pem()).unwrap();
    until("it is in force", &world, || {
        status(&world, &first, "/all") == 200
    });
    assert_eq!(status(&world, &first, "/me"), 200);
}

/// Defence: `outbound::authorities`: an authority is not at hand before its published lists are.
#[test]
fn c06_certificates_wait_for_a_list_that_is_published_and_are_judged_by_it() {
    let (place, ca) = (Place::new().unwrap(), Ca::new());
    let server = KeyServer::start(&place.path().join("tls"), Reply::Status(500));
    let resources = RESOURCES.replace(
        "crl_files: [partners/ca.crl]",
        &format!("crl_urls: ['{}']", server.url()),
    );
    let outbound = format!("outbound: {LISTED}\n");
    let world = World::start_with(place, ca, &outbound, &resources);
    let (good, revoked) = (world.ca.own(1), world.ca.own(2));
    let answer = world.over_tls(Some(&good), "/me");
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (503, "temporarily-unavailable"),
        "{}",
        world.doorward.log()
    );
    assert_eq!(world.over_tls(Some(&good), "/open").status, 200);
    server.set(Reply::Keys(world.ca.list(&[2], 1)));
    let until = Instant::now() + Duration::from_secs(40);
    while world.over_tls(Some(&good), "/me").status != 200 {
        assert!(
            Instant::now() < until,
            "the list was never taken: {}",
            world.doorward.log()
        );
        std::thread::sleep(Duration::from_millis(200));
    }
    assert_eq!(world.over_tls(Some(&revoked), "/me").status, 401);
    // Its publisher is away: the list says itself how long it holds.
    server.set(Reply::Status(500));
    assert_eq!(world.over_tls(Some(&good), "/me").status, 200);
    assert_eq!(world.over_tls(Some(&revoked), "/me").status, 401);
}

/// Defence: `gateway::proxies::TrustedProxies::relayed_session`, reached for listed peers only.
#[test]
fn b02_a_certificate_in_a_field_counts_from_a_listed_proxy_alone_and_is_judged_again() {
    let field = |der: &[u8]| format!(":{}:", proof::base64std::encode(der));
    let listed =
        World::start("trusted_proxies: [127.0.0.1]\nclient_certificate_field: client-cert\n");
    let (good, stranger) = (field(&listed.ca.own(1).der), field(&Ca::new().own(1).der));
    let ask = |world: &World, fields: &[(&str, &str)]| {
        let mut fields = fields.to_vec();
        fields.push(("x-forwarded-for", "203.0.113.7"));
        let answer = wire::get(world.doorward.gateway(), "/me", &fields).unwrap();
        (answer.status, answer.code())
    };
    let told = |status: u16, code: &str| (status, code.to_owned());
    assert_eq!(ask(&listed, &[("client-cert", &good)]).0, 200);
    let seen = listed.upstream.seen().pop().unwrap();
    assert_eq!(seen.values("doorward-subject"), [NAME]);
    assert!(seen.values("client-cert").is_empty(), "it never goes on");
    let cases: [(&[(&str, &str)], _); 6] = [
        (
            &[("client-cert", &stranger)],
            told(401, "credential-refused"),
        ),
        (&[], told(401, "credential-missing")),
        (&[("client-cert", "")], told(401, "credential-missing")),
        (&[("client-cert", "garbage")], told(400, "unclean-header")),
        (
            &[("client-cert", &good), ("client-cert", &good)],
            told(400, "unclean-header"),
        ),
        // Another proxy's field is not the one that is configured.
        (
            &[("x-ssl-client-cert", &good)],
            told(401, "credential-missing"),
        ),
    ];
    for (fields, expected) in cases {
        assert_eq!(ask(&listed, fields), expected, "{fields:?}");
    }

    // Those of common proxies, each as its maker writes it.
    let escaped = |pem: &str| {
        let each = pem.bytes().map(|byte| format!("%{byte:02X}"));
        each.collect::<String>()
    };
    for (name, write) in [
        ("x-amzn-mtls-clientcert", 0),
        ("x-ssl-client-cert", 0),
        ("x-forwarded-client-cert", 1),
        ("x-forwarded-tls-client-cert", 2),
    ] {
        let value = |own: &Own| match write {
            0 => escaped(&own.pem),
            1 => format!(
                "Hash=00;Cert=\"{}\";Subject=\"CN=client\"",
                escaped(&own.pem)
            ),
            _ => proof::base64std::encode(&own.der),
        };
        let declared = format!("client_certificate_field: {name}\n");
        let listed = World::start(&format!("trusted_proxies: [127.0.0.1]\n{declared}"));
        let good = value(&listed.ca.own(1));
        assert_eq!(ask(&listed, &[(name, &good)]).0, 200, "{name}");
        let seen = listed.upstream.seen().pop().unwrap();
        assert_eq!(seen.values("doorward-subject"), [NAME], "{name}");
        assert!(seen.values(name).is_empty(), "{name}: it never goes on");
        let stranger = value(&Ca::new().own(1));
        for (fields, expected) in [
            (vec![(name, &*stranger)], told(401, "credential-refused")),
            (vec![(name, "garbage")], told(400, "unclean-header")),
            (
                vec![(name, &*good), (name, &*good)],
                told(400, "unclean-header"),
            ),
            // What the proxy of another maker would write counts for nothing.
            (
                vec![("client-cert", &*field(&listed.ca.own(1).der))],
                told(401, "credential-missing"),
            ),
        ] {
            assert_eq!(ask(&listed, &fields), expected, "{name}");
        }
        let spoofed = World::start(&declared);
        let good = value(&spoofed.ca.own(1));
        assert_eq!(
            ask(&spoofed, &[(name, &good)]),
            told(401, "credential-missing"),
            "{name}: the sender is not listed"
        );
    }

    let unlisted = World::start("client_certificate_field: client-cert\n");
    let good = field(&unlisted.ca.own(1).der);
    assert_eq!(
        ask(&unlisted, &[("client-cert", &good)]),
        told(401, "credential-missing")
    );
    let silent = World::start("trusted_proxies: [127.0.0.1]\n");
    let good = field(&silent.ca.own(1).der);
    assert_eq!(
        ask(&silent, &[("client-cert", &good)]),
        told(401, "credential-missing")
    );
}
