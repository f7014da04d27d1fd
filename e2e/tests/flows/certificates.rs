//! Clients that prove themselves by a certificate of a CA (RFC 8705 §2.1), at the listener that the
//! metadata names for them, and what the tokens that they get are good for.

use core::net::SocketAddr;
use core::time::Duration;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose, SanType, date_time_ymd,
};
use serde_json::{Value, json};
use testkit::bound::ClientCertificate;
use testkit::browser::encode;
use testkit::doorward::{BASE, Doorward, Place};
use testkit::upstream::Upstream;
use testkit::wire::{self, Answer};

use super::scene::{claims, orders};

const RESOURCES: &str = r#"
resources:
  - apiVersion: doorward/v1
    kind: Api
    metadata: { name: orders }
    spec:
      audiences: [https://orders.example]
      upstream: { urls: ['@UPSTREAM@'] }
      scopes: { "orders:read": See orders }
      credentials: [jwt]
      routes: [{ path: /orders, methods: [GET], scopes: ["orders:read"] }]
  - { apiVersion: doorward/v1, kind: Application, metadata: { name: shop }, spec: { display_name: Shop, owner: a@example.com, purpose: Tests } }
"#;

/// The clients, and the one name of a certificate that each is known by.
const CLIENTS: [(&str, &str, &str); 5] = [
    (
        "by-dn",
        "tls_client_auth_subject_dn",
        "CN=batch, O=Partner\\, Inc., C=CH",
    ),
    ("by-dns", "tls_client_auth_san_dns", "batch.partner.example"),
    (
        "by-uri",
        "tls_client_auth_san_uri",
        "spiffe://partner.example/batch",
    ),
    ("by-ip", "tls_client_auth_san_ip", "192.0.2.7"),
    (
        "by-email",
        "tls_client_auth_san_email",
        "batch@partner.example",
    ),
];

type Ca = CertifiedIssuer<'static, KeyPair>;

fn ca_params(name: &str) -> CertificateParams {
    let mut params = subject(&[(DnType::CommonName, name)]);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn ca(name: &str) -> Ca {
    CertifiedIssuer::self_signed(ca_params(name), KeyPair::generate().unwrap()).unwrap()
}

/// A leaf of this subject, the most significant part first, good for clients.
fn subject(parts: &[(DnType, &str)]) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    for (kind, value) in parts {
        params.distinguished_name.push(kind.clone(), *value);
    }
    params
}

fn batch() -> CertificateParams {
    subject(&[
        (DnType::CountryName, "CH"),
        (DnType::OrganizationName, "Partner, Inc."),
        (DnType::CommonName, "batch"),
    ])
}

fn named(names: Vec<SanType>) -> CertificateParams {
    let mut params = subject(&[(DnType::CommonName, "whatever")]);
    params.subject_alt_names = names;
    params
}

fn dns(name: &str) -> SanType {
    SanType::DnsName(name.try_into().unwrap())
}

/// What the client of [`CLIENTS`] shows.
fn good(client: &str) -> CertificateParams {
    match client {
        "by-dn" => batch(),
        "by-dns" => named(vec![
            dns("other.partner.example"),
            dns("BATCH.partner.example"),
        ]),
        "by-uri" => named(vec![SanType::URI(
            "spiffe://partner.example/batch".try_into().unwrap(),
        )]),
        "by-ip" => named(vec![SanType::IpAddress("192.0.2.7".parse().unwrap())]),
        "by-email" => named(vec![SanType::Rfc822Name(
            "batch@partner.example".try_into().unwrap(),
        )]),
        other => panic!("{other}"),
    }
}

fn signed(params: &CertificateParams, by: &Ca, over: &[&Ca]) -> ClientCertificate {
    let key = KeyPair::generate().unwrap();
    let leaf = params.signed_by(&key, by).unwrap();
    let mut chain = vec![leaf.der().clone()];
    chain.extend(over.iter().map(|ca| ca.der().clone()));
    ClientCertificate::new(chain, &key)
}

struct World {
    doorward: Doorward,
    /// The partner's CA, which the issuer trusts.
    partner: Ca,
    /// The alias of the token endpoint: where it listens, and its path.
    token: (SocketAddr, String),
    server_ca: PathBuf,
    _upstream: Upstream,
}

impl World {
    fn start() -> Self {
        let (partner, upstream) = (ca("Partner CA"), Upstream::start().unwrap());
        let place = Place::new().unwrap();
        std::fs::write(place.path().join("partners.pem"), partner.pem()).unwrap();
        let server_ca = place.path().join("tls/ca.pem");
        let mtls = format!("https://localhost:{}", place.issuer_tls.port());
        let own = format!(
            "issuer: {{ url: 'http://@ISSUER@', mtls_url: '{mtls}', client_certificates: {{ ca_file: partners.pem }} }}"
        );
        let base = BASE.replace("issuer: { url: 'http://@ISSUER@' }", &own);
        let mut settings = format!("{base}{RESOURCES}").replace("@UPSTREAM@", &upstream.url());
        for (client, kind, name) in CLIENTS {
            let document = json!({
                "apiVersion": "doorward/v1",
                "kind": "Client",
                "metadata": { "name": client },
                "spec": {
                    "application": "shop",
                    "kind": "service",
                    "auth_method": "tls_client_auth",
                    kind: name,
                    "tls_client_certificate_bound_access_tokens": true,
                    "grants": { "orders": ["orders:read"] },
                },
            });
            settings.push_str(&format!("  - {document}\n"));
        }
        let doorward = place.start(&settings).unwrap();
        let metadata = wire::get(
            doorward.issuer(),
            "/.well-known/oauth-authorization-server",
            &[],
        );
        let metadata = metadata.unwrap().json();
        let methods = metadata["token_endpoint_auth_methods_supported"].as_array();
        assert!(methods.unwrap().contains(&json!("tls_client_auth")));
        let alias = metadata["mtls_endpoint_aliases"]["token_endpoint"].as_str();
        let path = alias.and_then(|alias| alias.strip_prefix(&mtls));
        let path = path.unwrap_or_else(|| panic!("{metadata}")).to_owned();
        Self {
            token: (doorward.issuer_tls(), path),
            doorward,
            partner,
            server_ca,
            _upstream: upstream,
        }
    }

    /// How often a client got a token with a certificate, as usage has it.
    fn used(&self, client: &str, certificate: &str) -> i64 {
        let path = format!("/v1/usage?about=client%3A{client}");
        let (_, page) = self.doorward.admin_call("GET", &path, None).unwrap();
        let items = page["items"].as_array().unwrap();
        let found = items.iter().find(|one| one["name"] == certificate);
        found.map_or(0, |one| {
            assert_eq!(one["belongs_to"], format!("client:{client}"));
            one["calls"].as_i64().unwrap()
        })
    }

    fn tls(&self, certificate: Option<&ClientCertificate>) -> Arc<rustls::ClientConfig> {
        match certificate {
            Some(certificate) => certificate.client_config(&self.server_ca).unwrap(),
            None => Arc::new(wire::client_config(&self.server_ca).unwrap()),
        }
    }

    /// Asks for a token as a client, over a connection with this certificate.
    fn ask(&self, client: &str, certificate: Option<&ClientCertificate>) -> Answer {
        let (address, path) = &self.token;
        let fields = [("grant_type", "client_credentials"), ("client_id", client)];
        let headers = [
            ("host", format!("localhost:{}", address.port())),
            (
                "content-type",
                "application/x-www-form-urlencoded".to_owned(),
            ),
        ];
        let headers: Vec<_> = headers.iter().map(|(n, v)| (*n, v.as_str())).collect();
        let body = encode(&fields);
        let bytes = wire::request(*address, "POST", path, &headers, body.as_bytes());
        let config = self.tls(certificate);
        let mut stream = wire::connect_tls_as(*address, &config, Some("http/1.1")).unwrap();
        stream.write_all(&bytes).unwrap();
        wire::first_answer(&mut stream).unwrap()
    }

    /// The token of a client that must get one.
    fn token(&self, client: &str, certificate: &ClientCertificate) -> String {
        let answer = self.ask(client, Some(certificate));
        assert_eq!(answer.status, 200, "{client}: {}", answer.text());
        let token = answer.json()["access_token"].as_str().unwrap().to_owned();
        let bound = claims(&token)["cnf"]["x5t#S256"].clone();
        assert_eq!(bound, json!(certificate.thumbprint()), "{client}");
        token
    }

    /// `GET /orders` at the gateway over TLS with this certificate: the status.
    fn orders(&self, token: &str, certificate: Option<&ClientCertificate>) -> u16 {
        let address = self.doorward.gateway_tls();
        let bearer = format!("Bearer {token}");
        let headers = [("host", "localhost"), ("authorization", bearer.as_str())];
        let bytes = wire::request(address, "GET", "/orders", &headers, b"");
        let config = self.tls(certificate);
        let mut stream = wire::connect_tls_as(address, &config, Some("http/1.1")).unwrap();
        stream.write_all(&bytes).unwrap();
        wire::first_answer(&mut stream).unwrap().status
    }
}

/// Defence: `client::certificate::check_subject`, and the gateway's `binding::judge`.
#[test]
fn d01_a_certificate_of_a_trusted_ca_with_the_registered_name_gets_a_token_bound_to_it() {
    let world = World::start();
    for (client, ..) in CLIENTS {
        let own = signed(&good(client), &world.partner, &[]);
        let token = world.token(client, &own);
        assert_eq!(world.orders(&token, Some(&own)), 200, "{client}");
        // The same names, from the same CA: another key, so another certificate.
        let twin = signed(&good(client), &world.partner, &[]);
        assert_eq!(world.orders(&token, Some(&twin)), 401, "{client}");
        assert_eq!(world.orders(&token, None), 401, "{client}");
        assert_eq!(orders(&world.doorward, &token), 401, "{client}: no TLS");
        // The twin is the client too, and its tokens are its own.
        let other = world.token(client, &twin);
        assert_eq!(world.orders(&other, Some(&twin)), 200, "{client}");
        assert_eq!(world.orders(&other, Some(&own)), 401, "{client}");
        // Whoever takes the first one out of use sees what is still shown.
        let shown = [own.name(), twin.name()];
        let counted = || shown.each_ref().map(|name| world.used(client, name));
        let until = Instant::now() + Duration::from_secs(10);
        while counted() != [1, 1] {
            assert!(Instant::now() < until, "{client}: {:?}", counted());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    // Over a CA in between, which the client sends along.
    let key = KeyPair::generate().unwrap();
    let between = CertifiedIssuer::signed_by(ca_params("Between"), key, &world.partner).unwrap();
    let own = signed(&batch(), &between, &[&between]);
    let token = world.token("by-dn", &own);
    assert_eq!(world.orders(&token, Some(&own)), 200);
    let alone = signed(&batch(), &between, &[]);
    assert_eq!(world.ask("by-dn", Some(&alone)).status, 401, "no path");
}

/// Defence: `Certificate::verify_chain` first, then the one name that is registered.
#[test]
fn h05_every_other_certificate_is_refused_alike() {
    let world = World::start();
    let stranger = ca("Partner CA");
    let year = |from: i32, to: i32| {
        let mut params = batch();
        params.not_before = date_time_ymd(from, 1, 1);
        params.not_after = date_time_ymd(to, 1, 1);
        params
    };
    let mut server_only = batch();
    server_only.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let own = KeyPair::generate().unwrap();
    let self_signed = batch().self_signed(&own).unwrap();
    let self_signed = ClientCertificate::new(vec![self_signed.der().clone()], &own);
    // A client's certificate that signs for others, as if it were a CA.
    let leaf = CertifiedIssuer::signed_by(batch(), KeyPair::generate().unwrap(), &world.partner);
    let leaf = leaf.unwrap();
    let by_leaf = signed(&batch(), &leaf, &[&leaf]);
    let partner = |params: &CertificateParams| signed(params, &world.partner, &[]);
    let dn = |parts: &[(DnType, &str)]| partner(&subject(parts));
    let (country, organization, common) = (
        DnType::CountryName,
        DnType::OrganizationName,
        DnType::CommonName,
    );

    let cases: Vec<(&str, &str, Option<ClientCertificate>)> = vec![
        ("none at all", "by-dn", None),
        (
            "another CA of the same name",
            "by-dn",
            Some(signed(&batch(), &stranger, &[])),
        ),
        (
            "another CA that is sent along",
            "by-dn",
            Some(signed(&batch(), &stranger, &[&stranger])),
        ),
        ("nobody's but its own", "by-dn", Some(self_signed)),
        ("signed by a leaf", "by-dn", Some(by_leaf)),
        ("expired", "by-dn", Some(partner(&year(2001, 2002)))),
        ("of the future", "by-dn", Some(partner(&year(2090, 2091)))),
        ("for servers", "by-dn", Some(partner(&server_only))),
        (
            "another subject",
            "by-dn",
            Some(dn(&[
                (country.clone(), "CH"),
                (organization.clone(), "Partner, Inc."),
                (common.clone(), "other"),
            ])),
        ),
        (
            "a part less",
            "by-dn",
            Some(dn(&[
                (organization.clone(), "Partner, Inc."),
                (common.clone(), "batch"),
            ])),
        ),
        (
            "another order",
            "by-dn",
            Some(dn(&[
                (common.clone(), "batch"),
                (organization.clone(), "Partner, Inc."),
                (country.clone(), "CH"),
            ])),
        ),
        (
            "the name of one part as two",
            "by-dn",
            Some(dn(&[
                (country, "CH"),
                (organization, "Partner"),
                (common.clone(), "batch"),
            ])),
        ),
        (
            "the name as subject, where a DNS name is asked for",
            "by-dns",
            Some(dn(&[(common, "batch.partner.example")])),
        ),
        (
            "another DNS name",
            "by-dns",
            Some(partner(&named(vec![dns("x.partner.example")]))),
        ),
        (
            "a wildcard",
            "by-dns",
            Some(partner(&named(vec![dns("*.partner.example")]))),
        ),
        (
            "a name below",
            "by-dns",
            Some(partner(&named(vec![dns("a.batch.partner.example")]))),
        ),
        (
            "the URI as a DNS name",
            "by-uri",
            Some(partner(&named(vec![dns("partner.example")]))),
        ),
        (
            "a longer URI",
            "by-uri",
            Some(partner(&named(vec![SanType::URI(
                "spiffe://partner.example/batch/x".try_into().unwrap(),
            )]))),
        ),
        (
            "another address",
            "by-ip",
            Some(partner(&named(vec![SanType::IpAddress(
                "192.0.2.8".parse().unwrap(),
            )]))),
        ),
        (
            "the address as a DNS name",
            "by-ip",
            Some(partner(&named(vec![dns("192.0.2.7")]))),
        ),
        (
            "another mailbox",
            "by-email",
            Some(partner(&named(vec![SanType::Rfc822Name(
                "batch@partner.example.evil.example".try_into().unwrap(),
            )]))),
        ),
        ("another client's", "by-dns", Some(partner(&good("by-dn")))),
        ("another client's", "by-dn", Some(partner(&good("by-dns")))),
        (
            "an unknown client's",
            "nobody",
            Some(partner(&good("by-dn"))),
        ),
    ];
    let without_id = |answer: &Answer| {
        let mut json = answer.json();
        json.as_object_mut().unwrap().remove("request_id");
        json
    };
    let expected: Value = without_id(&world.ask("nobody", None));
    assert_eq!(expected["error"], json!("invalid_client"));
    for (what, client, certificate) in cases {
        let answer = world.ask(client, certificate.as_ref());
        assert_eq!(answer.status, 401, "{what}: {}", answer.text());
        assert_eq!(without_id(&answer), expected, "{what}");
    }

    // Where nobody is asked for a certificate, none comes; and a field is a text.
    let fields = [("grant_type", "client_credentials"), ("client_id", "by-dn")];
    let body = encode(&fields);
    let headers = [
        ("content-type", "application/x-www-form-urlencoded"),
        ("client-cert", ":AAAA:"),
        ("x-ssl-client-s-dn", "CN=batch,O=Partner\\, Inc.,C=CH"),
    ];
    let answer = wire::call(
        world.doorward.issuer(),
        "POST",
        "/oauth/token",
        &headers,
        body.as_bytes(),
    );
    assert_eq!(answer.unwrap().status, 401);
}
