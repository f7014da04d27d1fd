//! The program, the issuers and the authority that rows are about, and what is asked of them.

use super::*;

pub(super) struct Authority(pub(super) CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(super) fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        Self(CertifiedIssuer::self_signed(Self::params("authority"), key).unwrap())
    }

    /// One that this one vouches for.
    fn below(&self) -> Self {
        let key = KeyPair::generate().unwrap();
        Self(CertifiedIssuer::signed_by(Self::params("office"), key, &self.0).unwrap())
    }

    fn params(name: &str) -> CertificateParams {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params
    }

    pub(super) fn leaf(&self, name: &str, serial: u64, until: i32) -> ClientCertificate {
        self.leaf_but(name, serial, |params| {
            params.not_after = rcgen::date_time_ymd(until, 1, 1)
        })
    }

    /// A good one, but for something.
    pub(super) fn leaf_but(
        &self,
        name: &str,
        serial: u64,
        change: impl FnOnce(&mut CertificateParams),
    ) -> ClientCertificate {
        let (leaf, key) = self.certified(name, serial, change);
        ClientCertificate::new(vec![leaf], &key)
    }

    /// A good one, and the certificate of the authority that vouches for it.
    pub(super) fn leaf_and_own(&self, name: &str, serial: u64) -> ClientCertificate {
        let (leaf, key) = self.certified(name, serial, |_| ());
        ClientCertificate::new(vec![leaf, self.0.der().clone()], &key)
    }

    pub(super) fn certified(
        &self,
        name: &str,
        serial: u64,
        change: impl FnOnce(&mut CertificateParams),
    ) -> (CertificateDer<'static>, KeyPair) {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.subject_alt_names = vec![SanType::URI(name.try_into().unwrap())];
        params.serial_number = Some(SerialNumber::from(serial));
        params.not_before = rcgen::date_time_ymd(2001, 1, 1);
        params.not_after = rcgen::date_time_ymd(2090, 1, 1);
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        (certificate.der().clone(), key)
    }

    /// Its list, good to the beginning of a year.
    fn list(&self, revoked: u64, until: i32) -> String {
        let list = CertificateRevocationListParams {
            this_update: rcgen::date_time_ymd(2026, 1, 1),
            next_update: rcgen::date_time_ymd(until, 1, 2),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: vec![RevokedCertParams {
                serial_number: SerialNumber::from(revoked),
                revocation_time: rcgen::date_time_ymd(2026, 1, 1),
                reason_code: None,
                invalidity_date: None,
            }],
            key_identifier_method: KeyIdMethod::Sha256,
        };
        list.signed_by(&self.0).unwrap().pem().unwrap()
    }
}

pub(super) struct World {
    pub(super) doorward: Doorward,
    pub(super) upstream: Upstream,
    pub(super) foreign: ForeignIssuer,
    pub(super) stranger: ForeignIssuer,
    pub(super) pasetos: IssuingKey,
    pub(super) strange_pasetos: IssuingKey,
    pub(super) export: SigningKey,
    pub(super) partners: Authority,
    /// For which `partners` vouches.
    pub(super) middle: Authority,
    /// Opens the tokens of the API `sealed`.
    pub(super) encryption: DecryptionKey,
    pub(super) partner: Partner,
    pub(super) local: IssuingKey,
    pub(super) strange_local: IssuingKey,
    pub(super) client_secret: String,
    /// Tokens of a client that was suspended afterwards, by API.
    pub(super) asleep: BTreeMap<&'static str, String>,
    /// When everything that was to expire has.
    pub(super) expired_by: i64,
}

/// Lets a client fetch a token for each API, and suspends it.
fn asleep(doorward: &Doorward) -> BTreeMap<&'static str, String> {
    let (client, apis) = ("/v1/clients/sleeper", ["jwt", "opaque", "paseto-own"]);
    let spec = json!({ "spec": {
        "application": "shop", "auth_method": "client_secret_basic",
        "grants": { "jwt": ["read"], "opaque": ["read"], "paseto-own": ["read"] },
    }});
    doorward.make("PUT", client, &spec).unwrap();
    let secrets = format!("{client}/secrets");
    let made = doorward.make("POST", &secrets, &json!({})).unwrap();
    let secret = made["secret"].as_str().unwrap();
    let fields = [
        ("content-type", "application/x-www-form-urlencoded"),
        ("authorization", &basic("sleeper", secret)),
    ];
    let token = |api: &str| {
        let form = format!("grant_type=client_credentials&resource=https%3A%2F%2F{api}.example");
        let until = Instant::now() + Duration::from_secs(10);
        loop {
            let asked = wire::call(
                doorward.issuer(),
                "POST",
                "/oauth/token",
                &fields,
                form.as_bytes(),
            );
            let answer = asked.unwrap();
            if answer.status == 200 {
                return answer.json()["access_token"].as_str().unwrap().to_owned();
            }
            assert!(Instant::now() < until, "{api}: {}", answer.text());
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    let tokens = apis.map(|api| (api, token(api)));
    let suspend = format!("{client}/suspend");
    doorward.make("POST", &suspend, &json!({})).unwrap();
    tokens.into()
}

impl World {
    /// With further settings.
    pub(super) fn start(more: &str) -> Self {
        let upstream = Upstream::start().unwrap();
        let foreign = ForeignIssuer::new("https://foreign.example");
        let eddsa = || SigningKey::generate(Algorithm::EdDSA).unwrap();
        let (pasetos, export) = (eddsa(), eddsa());
        let paserk = public_paserk(&pasetos.public_jwk()).unwrap();
        let partners = Authority::new();
        let place = Place::new().unwrap();
        std::fs::write(place.path().join("partners.pem"), partners.0.pem()).unwrap();
        std::fs::write(place.path().join("partners.crl"), partners.list(2, 2099)).unwrap();

        let middle = partners.below();
        for (file, text) in [
            ("deep.crl", middle.list(2, 2099)),
            ("old.crl", partners.list(2, 2026)),
        ] {
            std::fs::write(place.path().join(file), text).unwrap();
        }
        let local = LocalKey::generate(&SystemEntropy);
        let text = local.to_paserk().expose_text().unwrap().to_owned();
        std::fs::write(place.path().join("local.paserk"), text).unwrap();
        let es256 = SigningKey::generate(Algorithm::ES256).unwrap();
        let encryption = encrypted::write(place.path(), "encryption.pem", &es256);

        let partner = Partner::start(&json!({ "keys": [export.public_jwk().to_json()] }));
        partner.introduce(place.path());

        let outbound =
            "outbound: { ca_file: partner-ca.pem, allow_networks: [127.0.0.0/8, '::1/128'] }";
        let mut settings = format!("{BASE}{more}{outbound}\nresources:\n");
        let apis = apis();
        for (name, kind, more) in &apis {
            let spec = api(name, kind, &upstream.url(), more);
            settings.push_str(&document("Api", name, &spec));
        }
        let issuer = json!({ "issuer": "https://foreign.example", "jwks": foreign.jwks() });
        settings.push_str(&document("TrustedIssuer", "foreign", &issuer));
        let issuer = json!({ "issuer": "https://pasetos.example", "paseto_keys": [paserk] });
        settings.push_str(&document("TrustedIssuer", "pasetos", &issuer));
        let issuer =
            json!({ "issuer": "https://local.example", "paseto_key_files": ["local.paserk"] });
        settings.push_str(&document("TrustedIssuer", "local", &issuer));
        // Nobody listens at the second one's address.
        for (name, issuer, origin) in [
            ("partner", &*partner.origin, &*partner.origin),
            ("away", "https://away.example", "https://localhost:9"),
        ] {
            let issuer = json!({ "issuer": issuer, "introspection": {
                "url": format!("{origin}/oauth/introspect"), "cache": "1s",
                "client_id": "door", "client_secret": "file:door.secret",
            }});
            settings.push_str(&document("TrustedIssuer", name, &issuer));
        }
        let shop = json!({ "owner": "a@example.com", "purpose": "Tests" });
        settings.push_str(&document("Application", "shop", &shop));
        let lab = but(&shop, "environment", json!("test"));
        settings.push_str(&document("Application", "lab", &lab));
        let machine = json!({
            "application": "shop", "auth_method": "client_secret_basic",
            "grants": {
                "jwt": ["read"], "jwt-other": [], "opaque": ["read"], "opaque-other": [],
                "sealed": ["read"], "paseto-own": ["read"], "paseto-kept": ["read"],
                "jwt-mtls": ["read"],
            },
        });
        settings.push_str(&document("Client", "machine", &machine));
        let keys = json!({ "keys": [export.public_jwk().to_json()] });
        let calls = json!({ "client-jwt": ["read"] });
        for (name, member, value) in [
            ("export", "grants", calls.clone()),
            ("elsewhere", "grants", json!({ "jwt": ["read"] })),
            ("asleep", "suspended", json!(true)),
            ("far", "networks", json!(["192.0.2.0/24"])),
        ] {
            let client = json!({
                "application": "shop", "auth_method": "private_key_jwt", "jwks": keys,
                "signs_calls": true, "grants": calls,
            });
            settings.push_str(&document("Client", name, &but(&client, member, value)));
        }
        let certified = json!({
            "application": "shop", "auth_method": "client_secret_basic",
            "signs_calls": true, "grants": { "client-jwt": ["read"] },
            "call_certificates": {
                "ca_file": "partners.pem", "crl_files": ["partners.crl"],
                "name": { "uri": PARTNER },
            },
        });
        settings.push_str(&document("Client", "certified", &certified));
        for (name, apis) in [
            ("alice", "basic"),
            ("bob", "basic"),
            ("carol", "basic"),
            ("dan", "api-key"),
        ] {
            let account = json!({ "application": "shop", "apis": [apis], "scopes": ["read"] });
            settings.push_str(&document("Account", name, &account));
        }
        let doorward = place.start(&settings).unwrap();
        let made = doorward.make("POST", "/v1/clients/machine/secrets", &json!({}));
        let asleep = asleep(&doorward);
        Self {
            asleep,
            client_secret: made.unwrap()["secret"].as_str().unwrap().to_owned(),
            doorward,
            upstream,
            stranger: ForeignIssuer::new("https://foreign.example"),
            foreign,
            pasetos: IssuingKey::signing(pasetos).unwrap(),
            strange_pasetos: IssuingKey::signing(eddsa()).unwrap(),
            export,
            partners,
            middle,
            encryption,
            partner,
            local: IssuingKey::local(local),
            strange_local: IssuingKey::local(LocalKey::generate(&SystemEntropy)),
            expired_by: 0,
        }
    }

    /// Makes something; what is to end by itself does so soon.
    pub(super) fn make(&mut self, path: &str, wish: &Value, ends: bool) -> Value {
        let mut wish = wish.clone();
        if ends {
            self.expired_by = now() + SHORT;
            let end = calendar::rfc3339(Timestamp::from_secs(self.expired_by));
            wish["expires_at"] = json!(end);
        }
        self.doorward.make("POST", path, &wish).unwrap()
    }

    /// Makes something and takes it back.
    pub(super) fn revoked(&mut self, path: &str, wish: &Value) -> Value {
        self.ended(path, wish, "revoke")
    }

    /// Makes something and ends it by an act.
    pub(super) fn ended(&mut self, path: &str, wish: &Value, act: &str) -> Value {
        let made = self.make(path, wish, false);
        let id = made["credential"]["id"].as_str().unwrap();
        let act = format!("{path}/{id}/{act}");
        self.doorward.make("POST", &act, &json!({})).unwrap();
        made
    }

    /// Our own issuer's token for an API.
    pub(super) fn token(&self, api: &str) -> String {
        let form = format!("grant_type=client_credentials&resource=https%3A%2F%2F{api}.example");
        let answer = self.issuer("/oauth/token", &form);
        assert_eq!(answer.status, 200, "{api}: {}", answer.text());
        answer.json()["access_token"].as_str().unwrap().to_owned()
    }

    /// One that was revoked, and is known to be.
    pub(super) fn revoked_token(&self, api: &str) -> String {
        let token = self.token(api);
        let answer = self.issuer("/oauth/revoke", &format!("token={token}"));
        assert_eq!(answer.status, 200, "{}", answer.text());
        let call = Call::bearer(&format!("/{api}/me"), &token);
        let until = Instant::now() + Duration::from_secs(10);
        while self.by_http1(&call).status == 200 {
            assert!(Instant::now() < until, "{api}: revoked, and still let in");
            std::thread::sleep(Duration::from_millis(20));
        }
        token
    }

    pub(super) fn issuer(&self, path: &str, form: &str) -> Answer {
        let fields = [
            ("content-type", "application/x-www-form-urlencoded"),
            ("authorization", &basic("machine", &self.client_secret)),
        ];
        let address = self.doorward.issuer();
        wire::call(address, "POST", path, &fields, form.as_bytes()).unwrap()
    }

    pub(super) fn plain_tls(&self) -> Arc<rustls::ClientConfig> {
        let ca = self.doorward.place().path().join("tls/ca.pem");
        Arc::new(wire::client_config(&ca).unwrap())
    }

    pub(super) fn showing(&self, certificate: &ClientCertificate) -> Arc<rustls::ClientConfig> {
        let ca = self.doorward.place().path().join("tls/ca.pem");
        certificate.client_config(&ca).unwrap()
    }

    pub(super) fn by_http1(&self, call: &Call) -> Answer {
        let fields = call.fields.iter().map(|(n, v)| (n.as_str(), v.as_str()));
        if call.admin {
            let fields: Vec<_> = fields.collect();
            let address = self.doorward.admin();
            return wire::call(address, call.method, &call.path, &fields, &call.body).unwrap();
        }
        let fields: Vec<_> = [("host", "localhost")].into_iter().chain(fields).collect();
        let address = self.doorward.gateway_tls();
        let bytes = wire::request(address, call.method, &call.path, &fields, &call.body);
        let tls = call.tls.clone().unwrap_or_else(|| self.plain_tls());
        let mut stream = wire::connect_tls_as(address, &tls, Some("http/1.1")).unwrap();
        stream.write_all(&bytes).unwrap();
        wire::first_answer(&mut stream).unwrap()
    }

    pub(super) fn by_http2(&self, call: &Call) -> Answer {
        let (address, origin, tls) = if call.admin {
            let address = self.doorward.admin();
            (address, format!("http://{address}"), None)
        } else {
            let tls = call.tls.clone().unwrap_or_else(|| self.plain_tls());
            let address = self.doorward.gateway_tls();
            (address, "https://localhost".to_owned(), Some(tls))
        };
        let mut request = http::Request::builder()
            .method(call.method)
            .uri(format!("{origin}{}", call.path));
        for (name, value) in &call.fields {
            request = request.header(name, value);
        }
        let request = request.body(call.body.clone()).unwrap();
        wire::http2_as(address, tls, request).unwrap()
    }

    /// What the log says of refused calls, by their ids: the caller is not told, but a row that is
    /// refused for another reason than its own would test nothing.
    pub(super) fn causes<'a>(
        &self,
        answers: impl Iterator<Item = &'a Answer>,
    ) -> BTreeMap<String, String> {
        let refused: Vec<_> = answers.filter(|one| one.status >= 400).collect();
        let until = Instant::now() + Duration::from_secs(10);
        loop {
            let log = self.doorward.log();
            let causes: BTreeMap<_, _> = log.lines().filter_map(cause_in).collect();
            if refused
                .iter()
                .all(|one| causes.contains_key(request_id(one)))
            {
                return causes;
            }
            assert!(
                Instant::now() < until,
                "the log lacks a refused call: {log}"
            );
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// What a caller can tell answers apart by.
    pub(super) fn told(&self, answer: &Answer) -> String {
        let mut text = format!("    {} {}\n", answer.status, answer.code());
        for (name, value) in &answer.headers {
            if name == "www-authenticate" {
                let value = value.replace(&self.doorward.issuer().to_string(), "ISSUER");
                let _ = writeln!(text, "    {name}: {value}");
            }
        }
        text.lines()
            .map(|line| format!("{}\n", line.trim_end()))
            .collect()
    }
}
