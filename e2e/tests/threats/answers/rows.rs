//! The rows: for each kind what is sent.

use super::made::{Known, Signers, forged, mistyped, unknown};
use super::*;

/// All of them.
pub(super) fn all<'a>(world: &'a World, known: &'a Known) -> Rows<'a> {
    let mut rows = Rows::default();
    api_keys(&mut rows, known);
    accounts(&mut rows, known);
    jwts(&mut rows, world);
    certificates(&mut rows, world);
    opaque_tokens(&mut rows, world);
    for signers in &known.signers {
        signed(&mut rows, signers);
    }
    client_jwts(&mut rows, world);
    webhooks(&mut rows, known);
    pasetos(&mut rows, world);
    admin_keys(&mut rows, known, world.doorward.owner_key());
    rows
}

fn api_keys<'a>(rows: &mut Rows<'a>, known: &'a Known) {
    let kind = CredentialKind::ApiKey;
    let (me, write) = ("/api-key/me", "/api-key/write");
    rows.add(kind, "none", || Call::bearer(me, &known.key));
    rows.add(kind, "none, in its own field", || {
        Call::get(me).with("x-api-key", &known.key)
    });
    rows.add(kind, "missing", || Call::get(me));
    rows.add(kind, "malformed", || Call::bearer(me, "letmein"));
    rows.add(kind, "malformed, in its own field", || {
        Call::get(me).with("x-api-key", "letmein")
    });
    rows.add(kind, "mistyped", || Call::bearer(me, &mistyped(&known.key)));
    rows.add(kind, "unknown", || {
        Call::bearer(me, &unknown(&known.key, SecretKind::SecretKey))
    });
    rows.add(kind, "forged, with another secret", || {
        Call::bearer(me, &forged(&known.key, SecretKind::SecretKey))
    });
    for (defect, key) in &known.keys {
        rows.add(kind, defect, move || Call::bearer(me, key));
    }
    rows.add(kind, "without the scope", || {
        Call::bearer(write, &known.key)
    });
    rows.add(kind, "twice in one call", || {
        Call::bearer(me, &known.key).with("x-api-key", &known.key)
    });
    rows.add(kind, "in the query", move || {
        Call::get(&format!("{me}?api_key={}", known.key))
    });
    rows.add(kind, "under another scheme", || {
        Call::get(me).with("authorization", basic("alice", &known.password))
    });
}

fn accounts<'a>(rows: &mut Rows<'a>, known: &'a Known) {
    let kind = CredentialKind::Basic;
    let (me, write) = ("/basic/me", "/basic/write");
    let call = |path: &str, user: &str, password: &str| {
        Call::get(path).with("authorization", basic(user, password))
    };
    rows.add(kind, "none", move || call(me, "alice", &known.password));
    rows.add(kind, "missing", || Call::get(me));
    rows.add(kind, "malformed", || {
        Call::get(me).with("authorization", "Basic !!!")
    });
    rows.add(kind, "a wrong password", move || {
        call(me, "alice", "a tall lamp beside the river")
    });
    rows.add(kind, "an unknown account", move || {
        call(me, "nobody", &known.password)
    });
    for (defect, user, password) in &known.passwords {
        rows.add(kind, defect, move || call(me, user, password));
    }
    rows.add(kind, "without the scope", move || {
        call(write, "alice", &known.password)
    });
    rows.add(kind, "under another scheme", || {
        Call::bearer(me, &known.key)
    });
}

fn jwts<'a>(rows: &mut Rows<'a>, world: &'a World) {
    let kind = CredentialKind::Jwt;
    let (me, write) = ("/jwt/me", "/jwt/write");
    let claims = || {
        but(
            &world.foreign.claims(&audience("jwt")),
            "scope",
            json!("read"),
        )
    };
    let sent = move |claims: &Value| Call::bearer(me, &world.foreign.sign(claims));
    let own = world.token("jwt");
    let (other, revoked) = (world.token("jwt-other"), world.revoked_token("jwt"));
    let token = own.clone();
    rows.add(kind, "none", move || Call::bearer(me, &token));
    rows.add(kind, "none, of a foreign issuer", move || sent(&claims()));
    rows.add(kind, "missing", || Call::get(me));
    rows.add(kind, "malformed", || {
        Call::bearer(me, "eyJhbGciOiJFUzI1NiJ9.e30")
    });
    let token = own.clone();
    rows.add(kind, "forged", move || Call::bearer(me, &mistyped(&token)));
    rows.add(kind, "forged, by a key of one's own", move || {
        Call::bearer(me, &world.stranger.sign(&claims()))
    });
    rows.add(kind, "of an issuer that is not trusted", move || {
        sent(&but(&claims(), "iss", json!("https://evil.example")))
    });
    rows.add(kind, "expired", move || {
        sent(&but(&claims(), "exp", json!(now() - 120)))
    });
    rows.add(kind, "not valid yet", move || {
        sent(&but(&claims(), "nbf", json!(now() + 300)))
    });
    rows.add(kind, "revoked", move || Call::bearer(me, &revoked));
    rows.add(kind, "of another API", move || Call::bearer(me, &other));
    rows.add(kind, "of another API, of a foreign issuer", move || {
        sent(&but(&claims(), "aud", json!(audience("jwt-other"))))
    });
    rows.add(kind, "an ID token", move || {
        let header = but(&world.foreign.header(), "typ", json!("JWT"));
        let claims = but(&claims(), "nonce", json!("n-0S6"));
        Call::bearer(me, &world.foreign.sign_with(&header, &claims))
    });
    let token = own;
    rows.add(kind, "without the scope", move || {
        Call::bearer(write, &token)
    });
    let key = Arc::new(ProofKey::new(Algorithm::ES256));
    let bound = claims();
    let bound = but(&bound, "cnf", json!({ "jkt": key.thumbprint() }));
    let bound = Arc::new(world.foreign.sign(&bound));
    let proved = |by: &Arc<ProofKey>| {
        let (key, bound) = (Arc::clone(by), Arc::clone(&bound));
        move || {
            let proof = key.proof("GET", &format!("https://localhost{me}"), Some(&bound));
            let call = Call::get(me).with("authorization", format!("DPoP {bound}"));
            call.with("dpop", proof)
        }
    };
    rows.add(kind, "bound: none", proved(&key));
    rows.twice(kind, "bound: its proof replayed", proved(&key));
    let thief = Arc::new(ProofKey::new(Algorithm::ES256));
    rows.add(kind, "bound: proved by another key", proved(&thief));
    let token = Arc::clone(&bound);
    rows.add(kind, "bound: as a bearer token", move || {
        Call::bearer(me, &token)
    });
    rows.add(kind, "bound: without a proof", move || {
        Call::get(me).with("authorization", format!("DPoP {bound}"))
    });
}

fn certificates<'a>(rows: &mut Rows<'a>, world: &'a World) {
    let kind = CredentialKind::Mtls;
    let (me, write) = ("/mtls/me", "/mtls/write");
    let good = world.showing(&world.partners.leaf(PARTNER, 1, 2090));
    let stranger = Authority::new().leaf(PARTNER, 1, 2090);
    let cases = [
        ("forged, by an authority of one's own", stranger),
        ("expired", world.partners.leaf(PARTNER, 3, 2002)),
        ("revoked", world.partners.leaf(PARTNER, 2, 2090)),
        (
            "of a name that the API does not know",
            world.partners.leaf("spiffe://example.org/other", 4, 2090),
        ),
    ];
    let tls = Arc::clone(&good);
    rows.add(kind, "none", move || Call::get(me).shown(&tls));
    rows.add(kind, "missing", || Call::get(me));
    for (defect, certificate) in cases {
        let tls = world.showing(&certificate);
        rows.add(kind, defect, move || Call::get(me).shown(&tls));
    }
    rows.add(kind, "without the scope", move || {
        Call::get(write).shown(&good)
    });
}

fn opaque_tokens<'a>(rows: &mut Rows<'a>, world: &'a World) {
    let kind = CredentialKind::Opaque;
    let (me, write) = ("/opaque/me", "/opaque/write");
    let own = world.token("opaque");
    let broken = mistyped(&own);
    let (never, guessed) = (
        unknown(&own, SecretKind::OpaqueToken),
        forged(&own, SecretKind::OpaqueToken),
    );
    let cases = [
        ("none", own.clone()),
        ("malformed", "letmein".to_owned()),
        ("mistyped", broken),
        ("unknown", never),
        ("forged, with another secret", guessed),
        ("revoked", world.revoked_token("opaque")),
        ("of another API", world.token("opaque-other")),
        ("a JWT", world.token("jwt")),
    ];
    rows.add(kind, "missing", || Call::get(me));
    for (defect, token) in cases {
        rows.add(kind, defect, move || Call::bearer(me, &token));
    }
    rows.add(kind, "without the scope", move || Call::bearer(write, &own));
}

fn signed<'a>(rows: &mut Rows<'a>, signers: &'a Signers) {
    let scheme = signers.good.scheme;
    let kind = match scheme {
        Scheme::SigV4 => CredentialKind::SigV4,
        Scheme::HttpSignature => CredentialKind::HttpSignature,
        Scheme::Hmac => CredentialKind::Hmac,
    };
    let base = scheme.name().replace('_', "-");
    let (me, write) = (format!("/{base}/me"), format!("/{base}/write"));
    let call = |signer: &'a Signatory, path: &str, sent_to: &str, at: fn() -> Timestamp| {
        let (path, sent_to) = (path.to_owned(), sent_to.to_owned());
        move || {
            let target = Target {
                method: "GET",
                scheme: "https",
                authority: "localhost",
                path: &path,
            };
            let mut call = Call::get(&sent_to);
            call.fields = signer.fields(&target, at());
            call
        }
    };
    rows.add(kind, "none", call(&signers.good, &me, &me, moment));
    let path = me.clone();
    rows.add(kind, "missing", move || Call::get(&path));
    let path = me.clone();
    rows.add(kind, "malformed", move || {
        let call = Call::get(&path);
        match scheme {
            Scheme::SigV4 => call.with("authorization", "AWS4-HMAC-SHA256 Credential=x"),
            Scheme::HttpSignature => call
                .with("signature-input", "sig1=(")
                .with("signature", "sig1=:AA==:"),
            Scheme::Hmac => call.with("authorization", "HMAC-SHA256 keyid=x"),
        }
    });
    for (defect, signer) in &signers.others {
        rows.add(kind, defect, call(signer, &me, &me, moment));
    }
    rows.add(
        kind,
        "signed for another address",
        call(&signers.good, &write, &me, moment),
    );
    rows.add(
        kind,
        "signed an hour ago",
        call(&signers.good, &me, &me, long_ago),
    );
    rows.add(
        kind,
        "signed in an hour",
        call(&signers.good, &me, &me, || {
            moment().plus(Duration::from_secs(3600))
        }),
    );
    rows.twice(kind, "replayed", call(&signers.good, &me, &me, moment));
    if scheme == Scheme::SigV4 {
        let path = me.clone();
        rows.add(kind, "for another region", move || {
            let mut signer = signers.good.clone();
            signer.region = "elsewhere".to_owned();
            let target = Target {
                method: "GET",
                scheme: "https",
                authority: "localhost",
                path: &path,
            };
            let mut call = Call::get(&path);
            call.fields = signer.fields(&target, moment());
            call
        });
    }
    rows.add(
        kind,
        "without the scope",
        call(&signers.good, &write, &write, moment),
    );
}

fn client_jwts<'a>(rows: &mut Rows<'a>, world: &'a World) {
    let kind = CredentialKind::ClientJwt;
    let (me, write) = ("/client-jwt/me", "/client-jwt/write");
    let sent = |path: &'static str, key: &'a SigningKey, change: fn(&mut Draft<'static>)| {
        move || {
            let mut draft = own_call("export");
            change(&mut draft);
            Call::bearer(path, &draft.sign(key, key.kid()))
        }
    };
    let own = &world.export;
    rows.add(kind, "none", sent(me, own, |_| ()));
    rows.add(kind, "missing", || Call::get(me));
    rows.add(kind, "malformed", || {
        Call::bearer(me, "eyJhbGciOiJFUzI1NiJ9.e30")
    });
    rows.add(
        kind,
        "forged, by a key of one's own",
        sent(me, &world.stranger.key, |_| ()),
    );
    rows.add(
        kind,
        "of an unknown client",
        sent(me, own, |draft| draft.client = "nobody"),
    );
    rows.add(
        kind,
        "expired",
        sent(me, own, |draft| draft.issued_at = long_ago()),
    );
    rows.twice(kind, "replayed", sent(me, own, |_| ()));
    rows.add(
        kind,
        "for another API",
        sent(me, own, |draft| draft.audience = "https://jwt.example"),
    );
    rows.add(
        kind,
        "of a client that may not call the API",
        sent(me, own, |draft| draft.client = "elsewhere"),
    );
    rows.add(
        kind,
        "for another method",
        sent(me, own, |draft| draft.method = Some("POST")),
    );
    rows.add(kind, "without the scope", sent(write, own, |_| ()));
    certified_calls(rows, world);
}

/// What a good JWT of a client says of a call.
fn own_call(client: &'static str) -> Draft<'static> {
    // For as long as the test lives.
    let (jti, audience): (&str, &str) = (
        random_base62(24, &SystemEntropy).leak(),
        audience("client-jwt").leak(),
    );
    Draft {
        client,
        audience,
        jti,
        issued_at: moment(),
        lifetime: Duration::from_secs(60),
        scope: None,
        method: None,
        uri: None,
        body_sha256: None,
    }
}

/// Of a client whose keys are certified.
fn certified_calls<'a>(rows: &mut Rows<'a>, world: &'a World) {
    let kind = CredentialKind::ClientJwt;
    let me = "/client-jwt/me";
    let leaf = |name: &str, serial, until| Arc::new(world.partners.leaf(name, serial, until));
    let good = leaf(PARTNER, 1, 2090);
    let sent = |by: &Arc<ClientCertificate>, client: &'static str| {
        let by = Arc::clone(by);
        move || Call::bearer(me, &by.sign_call(&own_call(client)))
    };
    rows.add(kind, "none, certified", sent(&good, "certified"));
    rows.twice(kind, "certified, replayed", sent(&good, "certified"));
    let stranger = Arc::new(Authority::new().leaf(PARTNER, 1, 2090));
    let other = leaf("spiffe://example.org/other", 4, 2090);
    for (defect, by) in [
        ("certified by an authority of one's own", stranger),
        ("certified, and expired", leaf(PARTNER, 3, 2002)),
        ("certified, and revoked", leaf(PARTNER, 2, 2090)),
        ("certified, with another name", other),
    ] {
        rows.add(kind, defect, sent(&by, "certified"));
    }
    rows.add(
        kind,
        "certified, of a client that registered its keys",
        sent(&good, "export"),
    );
    rows.add(kind, "registered, of a client that is certified", || {
        let key = &world.export;
        Call::bearer(me, &own_call("certified").sign(key, key.kid()))
    });
    rows.add(kind, "certified, and forged", move || {
        Call::bearer(me, &mistyped(&good.sign_call(&own_call("certified"))))
    });
}

fn webhooks<'a>(rows: &mut Rows<'a>, known: &'a Known) {
    let kind = CredentialKind::Webhook;
    let (me, write) = ("/webhook/me", "/webhook/write");
    let delivery = |path: &'static str, secret: &str, at: fn() -> Timestamp| {
        let style = Style::StandardWebhooks;
        let secret = secret.to_owned();
        move || {
            let key = SharedKey::read(style, &Secret::from_text(secret.clone())).unwrap();
            let id = random_base62(24, &SystemEntropy);
            let body = b"{}".to_vec();
            let fields = proof::webhook::sign(style, &key, &id, &body, at()).unwrap();
            let fields = fields.iter().map(|(name, value)| {
                (name.as_str().to_owned(), value.to_str().unwrap().to_owned())
            });
            Call {
                method: "POST",
                fields: fields.collect(),
                body,
                ..Call::get(path)
            }
        }
    };
    let bare = || Call {
        method: "POST",
        body: b"{}".to_vec(),
        ..Call::get(me)
    };
    rows.add(kind, "none", delivery(me, &known.sender, moment));
    rows.add(kind, "missing", bare);
    rows.add(kind, "malformed", move || {
        bare()
            .with("webhook-id", "msg_1")
            .with("webhook-timestamp", now().to_string())
            .with("webhook-signature", "letmein")
    });
    let other = SharedKey::generate(&SystemEntropy).to_text();
    let other = other.expose_text().unwrap();
    rows.add(
        kind,
        "forged, with another secret",
        delivery(me, other, moment),
    );
    for (defect, secret) in &known.senders {
        rows.add(kind, defect, delivery(me, secret, moment));
    }
    let good = delivery(me, &known.sender, moment);
    rows.add(kind, "with another body", move || Call {
        body: b"{ }".to_vec(),
        ..good()
    });
    rows.add(
        kind,
        "signed an hour ago",
        delivery(me, &known.sender, long_ago),
    );
    rows.twice(kind, "replayed", delivery(me, &known.sender, moment));
    rows.add(
        kind,
        "without the scope",
        delivery(write, &known.sender, moment),
    );
}

fn pasetos<'a>(rows: &mut Rows<'a>, world: &'a World) {
    let kind = CredentialKind::Paseto;
    let (me, write) = ("/paseto/me", "/paseto/write");
    let sent = |path: &'static str, key: &'a IssuingKey, change: fn(&mut Claims)| {
        move || {
            let mut claims = Claims {
                iss: Some("https://pasetos.example".to_owned()),
                sub: Some("user-1".to_owned()),
                aud: vec![audience("paseto")],
                iat: Some(moment()),
                exp: Some(moment().plus(Duration::from_secs(300))),
                jti: Some(random_base62(16, &SystemEntropy)),
                client_id: Some("app-1".to_owned()),
                scope: Some("read".to_owned()),
                ..Claims::default()
            };
            change(&mut claims);
            Call::bearer(path, &paseto::issue(key, &claims, b"").unwrap())
        }
    };
    let own = &world.pasetos;
    rows.add(kind, "none", sent(me, own, |_| ()));
    rows.add(kind, "missing", || Call::get(me));
    rows.add(kind, "malformed", || Call::bearer(me, "v4.public.AAAA"));
    rows.add(
        kind,
        "forged, by a key of one's own",
        sent(me, &world.strange_pasetos, |_| ()),
    );
    let good = sent(me, own, |_| ());
    rows.add(kind, "forged", move || {
        let mut call = good();
        let token = call.fields[0].1.clone();
        let middle = token.len() / 2;
        let other = if token.as_bytes()[middle] == b'A' {
            "B"
        } else {
            "A"
        };
        call.fields[0].1 = format!("{}{other}{}", &token[..middle], &token[middle + 1..]);
        call
    });
    rows.add(
        kind,
        "of an issuer that is not trusted",
        sent(me, own, |claims| {
            claims.iss = Some("https://evil.example".to_owned())
        }),
    );
    rows.add(
        kind,
        "expired",
        sent(me, own, |claims| {
            claims.iat = Some(long_ago());
            claims.exp = Some(moment().minus(Duration::from_secs(120)));
        }),
    );
    rows.add(
        kind,
        "for another API",
        sent(me, own, |claims| claims.aud = vec![audience("jwt")]),
    );
    rows.add(kind, "without the scope", sent(write, own, |_| ()));
}

fn admin_keys<'a>(rows: &mut Rows<'a>, known: &'a Known, owner: &'a str) {
    let kind = CredentialKind::AdminKey;
    let call = |key: &str| Call::bearer("/v1/apis", key).for_admin();
    rows.add(kind, "none", move || call(&known.admin));
    rows.add(kind, "missing", || Call::get("/v1/apis").for_admin());
    rows.add(kind, "malformed", move || call("letmein"));
    rows.add(kind, "mistyped", move || call(&mistyped(&known.admin)));
    rows.add(kind, "unknown", move || {
        call(&unknown(&known.admin, SecretKind::AdminKey))
    });
    rows.add(kind, "forged, with another secret", move || {
        call(&forged(&known.admin, SecretKind::AdminKey))
    });
    for (defect, key) in &known.admins {
        rows.add(kind, defect, move || call(key));
    }
    rows.add(kind, "of a role that may not", || Call {
        method: "POST",
        path: "/v1/explain".to_owned(),
        body: br#"{"request":"GET / HTTP/1.1\n\n"}"#.to_vec(),
        ..Call::bearer("", &known.admin)
            .with("content-type", "application/json")
            .for_admin()
    });
    rows.add(kind, "at the door of an API", move || {
        Call::bearer("/api-key/me", owner)
    });
}
