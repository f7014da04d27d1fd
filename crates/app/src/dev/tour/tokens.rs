//! Access tokens of the issuer: JWTs, opaque ones, and those that are bound to a key.

use anyhow::Result;

use super::super::setup::write_private;
use super::Expect::{Output, Sets, Status};
use super::{Book, Scene};

/// Explains a call with a token as it would be judged when the token's time is over.
pub(super) fn later(scene: &Scene<'_>, token: &str, path: &str) -> String {
    let Scene {
        gateway, doorward, ..
    } = scene;
    let host = gateway.trim_start_matches("http://");
    format!(
        "printf 'GET {path} HTTP/1.1\\nHost: {host}\\nAuthorization: Bearer %s\\n' {token} | {doorward} explain --at $(($(date +%Y) + 1))-12-31T00:00:00Z --request -"
    )
}

/// A client gets a JWT, uses it and gives it back.
pub(super) fn jwt(book: &mut Book, scene: &Scene<'_>) {
    let Scene {
        gateway,
        tls,
        ca,
        issuer,
        client,
        order,
        binary,
        ..
    } = scene;
    let token = |more: &str| {
        format!(
            "TOKEN=$(curl -s -u {client} -d grant_type=client_credentials{more} {issuer}/oauth/token | sed 's/.*\"access_token\":\"\\([^\"]*\\)\".*/\\1/')"
        )
    };
    book.step(
        "Client credentials: get an access token (JWT)",
        token(""),
        Sets("TOKEN"),
    );
    book.step(
        "JWT: read orders",
        format!("curl -si -H \"Authorization: Bearer $TOKEN\" {gateway}/orders"),
        Status(200, "item"),
    );
    book.step(
        "JWT: one letter of its signature changed",
        format!(
            "curl -si -H \"Authorization: Bearer $(printf %s $TOKEN | sed 's/\\.\\([^.]*\\)$/.A\\1/')\" {gateway}/orders"
        ),
        Status(401, "credential-refused"),
    );
    book.step(
        "JWT: what will become of it, told ahead: it will have expired",
        later(scene, "$TOKEN", "/orders"),
        Output("jwt-expired"),
    );
    book.step(
        "JWT over TLS",
        format!("curl -si --cacert {ca} -H \"Authorization: Bearer $TOKEN\" {tls}/orders"),
        Status(200, "item"),
    );
    book.step(
        "What the API behind learns: a signed identity, never the token",
        format!("curl -si -H \"Authorization: Bearer $TOKEN\" {gateway}/whoami"),
        Status(200, "shop-backend"),
    );
    book.step(
        "Ask the issuer about the token",
        format!("curl -si -u {client} -d token=$TOKEN {issuer}/oauth/introspect"),
        Status(200, "\"active\":true"),
    );
    book.step(
        "Revoke the token",
        format!("curl -si -u {client} -d token=$TOKEN {issuer}/oauth/revoke"),
        Status(200, ""),
    );
    book.step(
        "It is dead at once",
        format!("curl -si -H \"Authorization: Bearer $TOKEN\" {gateway}/orders"),
        Status(401, "credential-refused"),
    );
    book.step(
        "A token for less: one scope only",
        token(" -d scope=orders:read"),
        Sets("TOKEN"),
    );
    book.step(
        "It can't write",
        format!("curl -si -H \"Authorization: Bearer $TOKEN\" {order} {gateway}/orders"),
        Status(403, "orders:write"),
    );
    book.step(
        "Look into the token without sending it anywhere",
        format!("printf %s $TOKEN | {} token inspect", binary),
        Output("shop-backend"),
    );
}

/// Tokens that say nothing to who holds them, for an API that is declared so.
pub(super) fn opaque(book: &mut Book, scene: &Scene<'_>, partner: &str) {
    let Scene {
        gateway, issuer, ..
    } = scene;
    let bearer = "-H \"Authorization: Bearer $OPAQUE\"";
    book.step(
        "A partner gets an opaque token: it tells its holder nothing",
        format!(
            "OPAQUE=$(curl -s -u {partner} -d grant_type=client_credentials {issuer}/oauth/token | sed 's/.*\"access_token\":\"\\([^\"]*\\)\".*/\\1/')"
        ),
        Sets("OPAQUE"),
    );
    book.step(
        "Opaque: see orders",
        format!("curl -si {bearer} {gateway}/partners/orders"),
        Status(200, "item"),
    );
    book.step(
        "The API behind learns who calls all the same, by a signed JWT: a phantom token",
        format!("curl -si {bearer} {gateway}/partners/whoami"),
        Status(200, "shop-partner"),
    );
    book.step(
        "Where a JWT is asked for, it is none",
        format!("curl -si {bearer} {gateway}/orders"),
        Status(401, "credential-refused"),
    );
    book.step(
        "Opaque: its end mistyped: refused by its checksum, nothing is looked up",
        format!(
            "curl -si -H \"Authorization: Bearer $(printf %s $OPAQUE | sed 's/...$/000/')\" {gateway}/partners/orders"
        ),
        Status(401, "credential-refused"),
    );
    book.step(
        "Opaque: a year from now it will have expired",
        later(scene, "$OPAQUE", "/partners/orders"),
        Output("jwt-expired"),
    );
    book.step(
        "Ask the issuer what it says",
        format!("curl -si -u {partner} -d token=$OPAQUE {issuer}/oauth/introspect"),
        Status(200, "\"active\":true"),
    );
    book.step(
        "Revoke the opaque token",
        format!("curl -si -u {partner} -d token=$OPAQUE {issuer}/oauth/revoke"),
        Status(200, ""),
    );
    book.step(
        "It is refused at once, though the gateway knew it",
        format!("curl -si {bearer} {gateway}/partners/orders"),
        Status(401, "credential-refused"),
    );
}

/// Tokens that are worth nothing without a key.
///
/// # Errors
/// If the key can't be written.
pub(super) fn bound(book: &mut Book, scene: &Scene<'_>) -> Result<()> {
    let Scene {
        gateway,
        issuer,
        client,
        binary,
        dir,
        ..
    } = scene;
    let own_key = dir.join("tour-dpop.key");
    write_private(
        &own_key,
        rcgen::KeyPair::generate()?.serialize_pem().as_bytes(),
    )?;
    let dpop = |url: &str, more: &str| {
        let own_key = own_key.display();
        format!(
            "{} sign dpop {url} --private-key-file {own_key}{more}",
            binary
        )
    };
    let ask = format!("-u {client} -d grant_type=client_credentials");
    let endpoint = format!("-X POST {issuer}/oauth/token");
    book.step(
        "DPoP: the issuer asks for a nonce of its own first",
        format!(
            "NONCE=$({} | curl -s -D - -o /dev/null -K - {ask} | sed -n 's/^dpop-nonce: *//Ip' | tr -d '\\r')",
            dpop(&endpoint, "")
        ),
        Sets("NONCE"),
    );
    book.step(
        "DPoP: get a token that is bound to a key",
        format!(
            "BOUND=$({} | curl -s -K - {ask} | sed 's/.*\"access_token\":\"\\([^\"]*\\)\".*/\\1/')",
            dpop(&endpoint, " --nonce $NONCE")
        ),
        Sets("BOUND"),
    );
    let proved = dpop(&format!("{gateway}/orders"), " --access-token-file -");
    book.step(
        "DPoP: the token with a proof of its key",
        format!("printf %s $BOUND | {proved} | curl -si -K -"),
        Status(200, "item"),
    );
    book.step(
        "DPoP: the same proof a second time",
        format!(
            "CALL=$(printf %s $BOUND | {proved}); echo \"$CALL\" | curl -s -K - > /dev/null; echo \"$CALL\" | curl -si -K -"
        ),
        Status(401, "proof-refused"),
    );
    book.step(
        "DPoP: a proof of long ago",
        format!("printf %s $BOUND | {proved} --at 2020-01-01T00:00:00Z | curl -si -K -"),
        Status(401, "proof-refused"),
    );
    book.step(
        "DPoP: the proof of another call",
        format!("printf %s $BOUND | {proved} | sed 's|/orders|/whoami|' | curl -si -K -"),
        Status(401, "proof-refused"),
    );
    book.step(
        "DPoP: the token as a plain bearer, as a thief would send it",
        format!("curl -si -H \"Authorization: Bearer $BOUND\" {gateway}/orders"),
        Status(401, "credential-refused"),
    );
    Ok(())
}

/// A route where nothing but a bound token with a fresh proof passes.
pub(super) fn sensitive(book: &mut Book, scene: &Scene<'_>) {
    let Scene {
        gateway,
        binary,
        dir,
        client,
        issuer,
        ..
    } = scene;
    let own_key = dir.join("tour-dpop.key");
    let dpop = |more: &str| {
        format!(
            "printf %s $BOUND | {binary} sign dpop {gateway}/events --private-key-file {} --access-token-file -{more}",
            own_key.display()
        )
    };
    book.step(
        "A sensitive route refuses tokens that are bound to nothing",
        format!(
            "curl -si -H \"Authorization: Bearer $(curl -s -u {client} -d grant_type=client_credentials {issuer}/oauth/token | sed 's/.*\"access_token\":\"\\([^\"]*\\)\".*/\\1/')\" {gateway}/events"
        ),
        Status(401, "credential-refused"),
    );
    book.step(
        "It asks for a nonce of its own, so that no proof can be made ahead",
        format!("{} | curl -si -m 5 -K -", dpop("")),
        Status(401, "dpop-nonce-needed"),
    );
    book.step(
        "The nonce of that answer",
        format!(
            "FRESHLY=$({} | curl -s -m 5 -D - -o /dev/null -K - | sed -n 's/^dpop-nonce: *//Ip' | tr -d '\\r')",
            dpop("")
        ),
        Sets("FRESHLY"),
    );
    book.step(
        "A proof that repeats it",
        format!(
            "{} | curl -si -m 1 -K - | head -20",
            dpop(" --nonce $FRESHLY")
        ),
        Status(200, "text/event-stream"),
    );
}
