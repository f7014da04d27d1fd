use core::time::Duration;

use proof::jose::key::SigningKey;
use serde_json::{Value, json};

use super::*;
use crate::document::Document;
use crate::meaning::tests::{context, document, orders};
use crate::meaning::{Context, mean_all};

fn read_in(context: &Context, spec: Value) -> Result<ClientMeaning, String> {
    let documents: Vec<_> = [
        document("Api", "orders", orders()),
        document("Application", "shop", json!({})),
        document("Client", "app", spec),
    ]
    .into_iter()
    .enumerate()
    .map(|(index, value)| Document::from_value(value, index).expect("has the shape"))
    .collect();
    match mean_all(&documents, context) {
        Ok(meaning) => Ok(meaning.clients[0].clone()),
        Err(flaws) => Err(flaws
            .iter()
            .map(|flaw| {
                let line = flaw.to_string();
                let line = line.strip_prefix("Client/app ").unwrap_or(&line);
                format!("{line}\n")
            })
            .collect()),
    }
}

fn read(spec: Value) -> Result<ClientMeaning, String> {
    read_in(&context(), spec)
}

fn jwks(algorithm: Algorithm) -> Value {
    let key = SigningKey::generate(algorithm).expect("is made");
    json!({ "keys": [key.public_jwk().to_json()] })
}

/// A sound client of a kind.
fn sound(kind: &str) -> Value {
    match kind {
        "service" => json!({ "application": "shop", "auth_method": "client_secret_basic" }),
        "confidential" => json!({
            "application": "shop", "kind": "confidential", "auth_method": "client_secret_basic",
            "redirect_uris": ["https://app.example.com/cb"]
        }),
        "native" => json!({
            "application": "shop", "kind": "native", "auth_method": "none",
            "redirect_uris": ["http://127.0.0.1/cb", "com.example.app:/cb"]
        }),
        "browser" => json!({
            "application": "shop", "kind": "browser", "auth_method": "none",
            "redirect_uris": ["https://app.example.com/cb", "https://app.example.com/other"]
        }),
        "device" => json!({ "application": "shop", "kind": "device", "auth_method": "none" }),
        _ => json!({
            "application": "shop", "kind": "confidential", "profile": "fapi2",
            "auth_method": "private_key_jwt", "jwks": jwks(Algorithm::ES256),
            "redirect_uris": ["https://app.example.com/cb"], "dpop_bound_access_tokens": true
        }),
    }
}

/// The client with some keys written over; `null` takes one out.
fn with(kind: &str, changes: Value) -> Value {
    let mut spec = sound(kind);
    let Value::Object(changes) = changes else {
        panic!("changes are a map")
    };
    for (key, value) in changes {
        if value.is_null() {
            spec.as_object_mut().expect("is a map").remove(&key);
        } else {
            spec[key] = value;
        }
    }
    spec
}

#[test]
fn each_kind_has_its_own_defaults() {
    use GrantType as G;
    let table: [(&str, &[GrantType]); 6] = [
        ("service", &[G::ClientCredentials]),
        ("confidential", &[G::AuthorizationCode, G::RefreshToken]),
        ("native", &[G::AuthorizationCode, G::RefreshToken]),
        ("browser", &[G::AuthorizationCode]),
        ("device", &[G::DeviceCode, G::RefreshToken]),
        ("fapi2", &[G::AuthorizationCode, G::RefreshToken]),
    ];
    for (kind, grants) in table {
        let client = read(sound(kind)).expect(kind);
        assert_eq!(client.grant_types, grants, "{kind}");
        assert_eq!(client.require_par, kind == "fapi2", "{kind}");
        assert_eq!(client.id_token_alg, Algorithm::ES256, "{kind}");
        assert_eq!(client.userinfo_alg, None, "{kind}");
        assert_eq!(client.identity_scopes, [], "{kind}");
        let origins: &[&str] = if kind == "browser" {
            &["https://app.example.com"]
        } else {
            &[]
        };
        assert_eq!(client.allowed_origins, origins, "{kind}");
    }
    let bound = read(with("browser", json!({ "dpop_bound_access_tokens": true })));
    let bound = bound.expect("is sound");
    assert_eq!(bound.grant_types, [G::AuthorizationCode, G::RefreshToken]);
    assert_eq!(bound.sender_constraint, SenderConstraint::Dpop);
    let old = read(with("confidential", json!({ "profile": "oidc_compat" })));
    assert_eq!(old.expect("is sound").id_token_alg, Algorithm::RS256);
}

#[test]
fn a_client_means_all_that_it_says() {
    let client = read(with(
        "confidential",
        json!({
            "auth_method": "tls_client_auth", "tls_client_auth_san_dns": "App.Example.com",
            "grant_types": ["authorization_code", "urn:ietf:params:oauth:grant-type:token-exchange"],
            "post_logout_redirect_uris": ["https://app.example.com/bye"],
            "tls_client_certificate_bound_access_tokens": true,
            "require_pushed_authorization_requests": true,
            "identity_scopes": ["openid", "email"],
            "id_token_signed_response_alg": "PS256", "userinfo_signed_response_alg": "EdDSA",
            "default_max_age": "1h", "require_auth_time": true,
            "backchannel_logout_uri": "https://app.example.com/logout",
            "backchannel_logout_session_required": true,
            "client_uri": "https://app.example.com/", "contacts": ["ops@example.com"],
            "skip_consent": true
        }),
    ))
    .expect("is sound");
    assert_eq!(
        client.certificate,
        Some(CertificateSubject::SanDns("app.example.com".to_owned()))
    );
    assert_eq!(client.sender_constraint, SenderConstraint::Mtls);
    assert!(client.require_par && client.skip_consent && client.require_auth_time);
    assert_eq!(
        (client.id_token_alg, client.userinfo_alg),
        (Algorithm::PS256, Some(Algorithm::EdDSA))
    );
    assert_eq!(client.default_max_age, Some(Duration::from_secs(3600)));
    assert_eq!(
        client.backchannel_logout_uri.map(|url| url.to_string()),
        Some("https://app.example.com/logout".to_owned())
    );
    assert_eq!(
        client.identity_scopes,
        [IdentityScope::Openid, IdentityScope::Email]
    );
}

#[test]
fn keys_come_from_one_place() {
    let inline = read(sound("fapi2")).expect("is sound");
    assert!(inline.jwks.is_some() && inline.jwks_uri.is_none());
    let by_url = json!({ "jwks": null, "jwks_uri": "https://app.example.com/jwks" });
    let fetched = read(with("fapi2", by_url)).expect("is sound");
    assert!(fetched.jwks.is_none());
    assert_eq!(
        fetched.jwks_uri.map(|url| url.to_string()),
        Some("https://app.example.com/jwks".to_owned())
    );
    let loopback = json!({ "jwks": null, "jwks_uri": "http://127.0.0.1:9000/jwks" });
    let dev = Context {
        loopback_dev: true,
        ..context()
    };
    assert!(read_in(&dev, with("fapi2", loopback.clone())).is_ok());
    assert!(read(with("fapi2", loopback)).is_err());
}

/// Base, what is changed of it, the flaws.
type Case = (&'static str, Value, &'static str);

fn hold(table: Vec<Case>) {
    for (kind, change, flaws) in table {
        let shown = format!("{kind} with {change}");
        match read(with(kind, change)) {
            Ok(_) => panic!("{shown} is taken for sound"),
            Err(found) => assert_eq!(found.trim_end(), flaws, "{shown}"),
        }
    }
}

#[test]
fn what_proves_itself_and_how_is_this_table() {
    let public = "spec.auth_method: a client of kind service proves itself (choose private_key_jwt, or make it native, browser or device)";
    let secretive = "spec.auth_method: a client of kind native can keep no secret (write `auth_method: none`, or make it confidential)";
    hold(vec![
        ("service", json!({ "auth_method": "none" }), public),
        (
            "native",
            json!({ "auth_method": "client_secret_post" }),
            secretive,
        ),
        (
            "browser",
            json!({ "auth_method": "client_secret_basic" }),
            "spec.auth_method: a client of kind browser can keep no secret (write `auth_method: none`, or make it confidential)",
        ),
        (
            "fapi2",
            json!({ "auth_method": "client_secret_basic", "jwks": null }),
            "spec.auth_method: profile fapi2 does not allow client_secret_basic (one of private_key_jwt, tls_client_auth, self_signed_tls_client_auth)",
        ),
        (
            "native",
            json!({ "profile": "fapi2", "redirect_uris": ["https://a.example.com/cb"], "dpop_bound_access_tokens": true }),
            "spec.auth_method: profile fapi2 does not allow none (one of private_key_jwt, tls_client_auth, self_signed_tls_client_auth)",
        ),
        (
            "service",
            json!({ "auth_method": "private_key_jwt" }),
            "spec.auth_method: private_key_jwt needs the client's keys (write jwks or jwks_uri)",
        ),
        (
            "service",
            json!({ "auth_method": "self_signed_tls_client_auth" }),
            "spec.auth_method: self_signed_tls_client_auth needs the client's keys (write jwks or jwks_uri)",
        ),
        (
            "service",
            json!({ "jwks_uri": "https://a.example.com/jwks" }),
            "spec.jwks_uri: keys are for private_key_jwt, self_signed_tls_client_auth and signs_calls only",
        ),
        (
            "fapi2",
            json!({ "jwks_uri": "https://a.example.com/jwks" }),
            "spec.jwks_uri: there are two sources of the client's keys (write only one of jwks, jwks_uri)",
        ),
        (
            "fapi2",
            json!({ "jwks": null, "jwks_uri": "http://a.example.com/jwks" }),
            "spec.jwks_uri: a key set is fetched from an https URL",
        ),
        (
            "fapi2",
            json!({ "jwks": jwks(Algorithm::ES384) }),
            "spec.jwks: profile fapi2 allows none of these keys (a key for one of ES256, EdDSA, PS256)",
        ),
        (
            "service",
            json!({ "auth_method": "tls_client_auth" }),
            "spec.auth_method: tls_client_auth needs to know the certificate's subject (write one of tls_client_auth_subject_dn, _san_dns, _san_uri, _san_ip, _san_email)",
        ),
        (
            "service",
            json!({ "auth_method": "tls_client_auth", "tls_client_auth_san_dns": "a.example.com", "tls_client_auth_san_ip": "192.0.2.1" }),
            "spec.tls_client_auth_san_ip: write only one subject of the certificate",
        ),
        (
            "service",
            json!({ "tls_client_auth_san_dns": "a.example.com" }),
            "spec.tls_client_auth_san_dns: this is for auth_method tls_client_auth only",
        ),
        (
            "service",
            json!({ "auth_method": "tls_client_auth", "tls_client_auth_san_dns": "*.example.com" }),
            "spec.tls_client_auth_san_dns: this is a DNS name without wildcard",
        ),
        (
            "service",
            json!({ "auth_method": "tls_client_auth", "tls_client_auth_subject_dn": "orders" }),
            "spec.tls_client_auth_subject_dn: this is a distinguished name, as in `CN=orders,O=Example`",
        ),
        (
            "service",
            json!({ "auth_method": "tls_client_auth", "tls_client_auth_san_uri": "orders" }),
            "spec.tls_client_auth_san_uri: this is an absolute URI",
        ),
        (
            "service",
            json!({ "auth_method": "tls_client_auth", "tls_client_auth_san_email": "orders" }),
            "spec.tls_client_auth_san_email: this is a mail address",
        ),
    ]);
}

#[test]
fn which_kind_may_use_which_grant_is_this_table() {
    let refused = |kind: &str, grant: &str, index: usize| {
        format!("spec.grant_types[{index}]: a client of kind {kind} can not use {grant}")
    };
    let mut table = String::new();
    for grant in GrantType::ALL {
        for (kind, begins) in [
            ("service", "client_credentials"),
            ("confidential", "authorization_code"),
            ("native", "authorization_code"),
            ("browser", "authorization_code"),
            ("device", "urn:ietf:params:oauth:grant-type:device_code"),
        ] {
            let mut grants = vec![begins];
            if grant.name() != begins {
                grants.push(grant.name());
            }
            // Where the kind allows it, nothing else is in the way.
            let change = json!({ "grant_types": grants, "dpop_bound_access_tokens": true });
            let word = match read(with(kind, change)) {
                Ok(_) => "yes",
                Err(found) => {
                    let flaw = refused(kind, grant.name(), grants.len() - 1);
                    assert_eq!(found.lines().next(), Some(&*flaw));
                    "-"
                }
            };
            table.push_str(&format!("{word:<4}"));
        }
        table.push_str(&format!("{}\n", grant.name()));
    }
    assert_eq!(
        table,
        "-   yes yes yes -   authorization_code\n\
         -   yes yes yes yes refresh_token\n\
         yes yes -   -   -   client_credentials\n\
         -   yes yes -   yes urn:ietf:params:oauth:grant-type:device_code\n\
         yes yes -   -   -   urn:ietf:params:oauth:grant-type:token-exchange\n"
    );
    hold(vec![
        (
            "service",
            json!({ "grant_types": [] }),
            "spec.grant_types: the list is empty (leave it out, or name at least one)",
        ),
        (
            "service",
            json!({ "grant_types": ["client_credentials", "client_credentials"] }),
            "spec.grant_types[1]: this stands in the list twice",
        ),
        (
            "browser",
            json!({ "grant_types": ["authorization_code", "refresh_token"] }),
            "spec.grant_types[1]: a browser-only client gets a refresh token only if it is bound to a key (write `dpop_bound_access_tokens: true`, or leave refresh_token out)",
        ),
        (
            "confidential",
            json!({ "grant_types": ["refresh_token"], "redirect_uris": null }),
            "spec.grant_types[0]: nothing gives this client its first refresh token (add authorization_code or the device grant)",
        ),
    ]);
}

#[test]
fn f01_where_people_are_sent_is_this_table() {
    hold(vec![
        (
            "confidential",
            json!({ "redirect_uris": null }),
            "spec: authorization_code needs a place to send people back to (write redirect_uris)",
        ),
        (
            "service",
            json!({ "redirect_uris": ["https://a.example.com/cb"] }),
            "spec.redirect_uris: nobody is sent to this client: it has no authorization_code grant (leave redirect_uris out, or choose another `kind` or `grant_types`)",
        ),
        (
            "device",
            json!({ "post_logout_redirect_uris": ["https://a.example.com/"] }),
            "spec.post_logout_redirect_uris: nobody is sent to this client: it has no authorization_code grant (leave post_logout_redirect_uris out, or choose another `kind` or `grant_types`)",
        ),
        (
            "confidential",
            json!({ "redirect_uris": ["https://a.example.com/*"] }),
            "spec.redirect_uris[0]: `https://a.example.com/*`: a redirect URI has no wildcard: it is compared as it stands (write each URI out)",
        ),
        (
            "confidential",
            json!({ "redirect_uris": ["https://a.example.com/", "https://a.example.com/"] }),
            "spec.redirect_uris[1]: this stands in the list twice",
        ),
        (
            "confidential",
            json!({ "redirect_uris": ["com.example.app:/cb"] }),
            "spec.redirect_uris[0]: `com.example.app:/cb`: only native clients have a scheme of their own (use https, or make the client `kind: native`)",
        ),
        (
            "native",
            json!({ "redirect_uris": ["app:/cb"] }),
            "spec.redirect_uris[0]: `app:/cb`: a scheme of one's own is a domain name in reverse, with a dot (as in `com.example.app:/callback`)",
        ),
        (
            "native",
            json!({ "redirect_uris": ["http://a.example.com/cb"] }),
            "spec.redirect_uris[0]: `http://a.example.com/cb`: plain http leads to loopback only (use https, or a loopback address as in `http://127.0.0.1/callback`)",
        ),
        (
            "fapi2",
            json!({ "redirect_uris": ["http://127.0.0.1/cb"] }),
            "spec.redirect_uris[0]: `http://127.0.0.1/cb`: plain http is not allowed by the client's profile (use https)",
        ),
        (
            "confidential",
            json!({ "post_logout_redirect_uris": ["https://u@a.example.com/"] }),
            "spec.post_logout_redirect_uris[0]: `https://u@a.example.com/`: a redirect URI has no user (leave out everything before the `@`)",
        ),
        (
            "browser",
            json!({ "allowed_origins": ["https://app.example.com/"] }),
            "spec.allowed_origins[0]: `https://app.example.com/` is not an origin (scheme, host and a port that is not the default, as in `https://app.example.com`)",
        ),
        (
            "confidential",
            json!({ "allowed_origins": ["https://app.example.com"] }),
            "spec.allowed_origins: a script at the token endpoint could not keep what this client proves itself with (leave it out, or write `auth_method: none`)",
        ),
        (
            "confidential",
            json!({ "backchannel_logout_uri": "http://a.example.com/" }),
            "spec.backchannel_logout_uri: a logout is told over https",
        ),
        (
            "confidential",
            json!({ "backchannel_logout_uri": "https://a.example.com/#x" }),
            "spec.backchannel_logout_uri: this has no fragment",
        ),
        (
            "confidential",
            json!({ "backchannel_logout_session_required": true }),
            "spec.backchannel_logout_session_required: there is nowhere to tell of logouts (write backchannel_logout_uri)",
        ),
        (
            "confidential",
            json!({ "client_uri": "javascript:alert(1)" }),
            "spec.client_uri: this is the URL of a page, https or http",
        ),
        (
            "confidential",
            json!({ "contacts": ["nobody"] }),
            "spec.contacts[0]: this is a mail address",
        ),
    ]);
}

#[test]
fn what_a_profile_demands_and_identity_needs_is_this_table() {
    hold(vec![
        (
            "fapi2",
            json!({ "dpop_bound_access_tokens": null }),
            "spec.profile: profile fapi2 demands that tokens are bound to their sender (write dpop_bound_access_tokens or tls_client_certificate_bound_access_tokens)",
        ),
        (
            "fapi2",
            json!({ "tls_client_certificate_bound_access_tokens": true }),
            "spec.tls_client_certificate_bound_access_tokens: a token is bound in one way (keep this or dpop_bound_access_tokens)",
        ),
        (
            "fapi2",
            json!({ "id_token_signed_response_alg": "RS256" }),
            "spec.id_token_signed_response_alg: profile fapi2 does not sign with `RS256` (one of ES256, EdDSA, PS256)",
        ),
        (
            "confidential",
            json!({ "id_token_signed_response_alg": "none" }),
            "spec.id_token_signed_response_alg: profile oauth21 does not sign with `none` (one of ES256, EdDSA, PS256, RS256)",
        ),
        (
            "confidential",
            json!({ "userinfo_signed_response_alg": "HS256" }),
            "spec.userinfo_signed_response_alg: profile oauth21 does not sign with `HS256` (one of ES256, EdDSA, PS256, RS256)",
        ),
        (
            "service",
            json!({ "identity_scopes": ["openid"] }),
            "spec.identity_scopes: this client acts for itself and learns nobody's identity",
        ),
        (
            "confidential",
            json!({ "identity_scopes": ["email"] }),
            "spec.identity_scopes: without openid the others say nothing (add openid)",
        ),
        (
            "browser",
            json!({ "identity_scopes": ["openid", "offline_access"] }),
            "spec.identity_scopes[1]: offline_access is a refresh token, and this client gets none (add refresh_token to grant_types)",
        ),
        (
            "confidential",
            json!({ "default_max_age": "1500ms" }),
            "spec.default_max_age: this is in whole seconds",
        ),
    ]);
}

#[test]
fn a_client_signs_its_calls_only_where_that_is_written_and_where_it_acts_for_itself() {
    assert!(!read(sound("service")).expect("is sound").signs_calls);
    let keys = jwks(Algorithm::ES256);
    let signs = |kind: &str, more: Value| {
        let mut changes = json!({ "signs_calls": true, "jwks": keys });
        for (key, value) in more.as_object().expect("is a map") {
            changes[key] = value.clone();
        }
        read(with(kind, changes))
    };
    // Whatever it proves itself with at the token endpoint.
    for method in ["client_secret_basic", "private_key_jwt"] {
        let client = signs("service", json!({ "auth_method": method })).expect(method);
        assert!(client.signs_calls && client.jwks.is_some(), "{method}");
    }
    let both = json!({ "grant_types": ["authorization_code", "client_credentials"] });
    assert!(signs("confidential", both).is_ok());
    let for_itself = "spec.signs_calls: a client that signs its calls acts for itself, and this one may not (add client_credentials to grant_types)\n";
    for (kind, more, expected) in [
        ("confidential", json!({}), for_itself.to_owned()),
        ("native", json!({}), for_itself.to_owned()),
        (
            "service",
            json!({ "jwks": null }),
            "spec.signs_calls: calls are verified with the client's keys (write jwks, jwks_uri or call_certificates)\n"
                .to_owned(),
        ),
        (
            "service",
            json!({ "dpop_bound_access_tokens": true }),
            "spec.signs_calls: this client's tokens are bound to their sender, and calls that it signs are not (leave one of them out)\n".to_owned(),
        ),
        (
            "service",
            json!({ "auth_method": "self_signed_tls_client_auth" }),
            "spec.signs_calls: this client's keys are those of its certificates, which sign nothing else (another auth_method)\n".to_owned(),
        ),
    ] {
        let flaws = signs(kind, more.clone()).expect_err(kind);
        assert_eq!(flaws, expected, "{kind} {more}");
    }
}

#[test]
fn certified_calls_know_one_name_and_no_registered_key() {
    let sections = |more: Value| {
        let name = json!({ "uri": "spiffe://example.org/export" });
        let mut section = json!({ "ca_file": "partners/ca.pem", "name": name });
        for (key, value) in more.as_object().expect("is a map") {
            section[key] = value.clone();
        }
        json!({ "signs_calls": true, "call_certificates": section })
    };
    let signs = |section: Value, more: Value| {
        let mut changes = sections(section);
        for (key, value) in more.as_object().expect("is a map") {
            changes[key] = value.clone();
        }
        read(with("service", changes))
    };
    let own = signs(json!({}), json!({})).expect("is sound");
    assert!(own.signs_calls && own.jwks.is_none());
    let own = own.call_certificates.expect("is there");
    assert_eq!(own.files.roots, std::path::Path::new("partners/ca.pem"));
    // Keys of the token endpoint may stand beside them.
    let keys = jwks(Algorithm::ES256);
    let both = json!({ "auth_method": "private_key_jwt", "jwks": keys });
    assert!(signs(json!({}), both).expect("is sound").jwks.is_some());
    let both = json!({ "auth_method": "self_signed_tls_client_auth", "jwks": keys });
    assert!(signs(json!({}), both).is_ok());
    // Whatever judges is a part of the version.
    for other in [
        json!({ "ca_file": "other.pem" }),
        json!({ "crl_files": ["partners/ca.crl"] }),
        json!({ "name": { "dns": "export.example.org" } }),
    ] {
        let other = signs(other, json!({})).expect("is sound");
        let other = other.call_certificates.expect("is there");
        assert_ne!(other.judged.config, own.judged.config);
    }

    let one_name = "spec.call_certificates.name: an identity has one name (write one of `uri`, `dns`, `email` and `subject`)\n";
    let no_family = "spec.call_certificates.name: a client has one name and no family of names (write the whole name, without `*`)\n";
    for (section, more, expected) in [
        (json!({ "name": {} }), json!({}), one_name),
        (
            json!({ "name": { "uri": "urn:a:b", "dns": "a.example.com" } }),
            json!({}),
            one_name,
        ),
        (
            json!({ "name": { "uri": "spiffe://example.org/*" } }),
            json!({}),
            no_family,
        ),
        (
            json!({ "name": { "dns": "*.example.org" } }),
            json!({}),
            no_family,
        ),
        (
            json!({ "name": { "email": "*@example.org" } }),
            json!({}),
            no_family,
        ),
        (
            json!({ "ca_file": "" }),
            json!({}),
            "spec.call_certificates.ca_file: the path is empty\n",
        ),
        (
            json!({}),
            json!({ "jwks": keys }),
            "spec.jwks: calls are verified by call_certificates, and nothing else asks for these keys\n",
        ),
        (
            json!({}),
            json!({ "signs_calls": false }),
            "spec.call_certificates: these are for signs_calls only (write `signs_calls: true`, or leave them out)\n",
        ),
    ] {
        let flaws = signs(section.clone(), more.clone()).expect_err("is no sound client");
        assert_eq!(flaws, expected, "{section} {more}");
    }
}
