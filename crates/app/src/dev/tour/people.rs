//! A person, and a partner's program.

use super::Expect::{Output, Sets, Status};
use super::{Book, Scene};

/// A person signs in and allows an app: the code flow, refresh, a device, an exchange. The forms
/// are posted as a browser would, with its cookies in a file.
pub(super) fn signs_in(book: &mut Book, scene: &Scene<'_>, password: &str) {
    // RFC 7636 appendix B: the tour's verifier is no secret, since its challenge is printed.
    const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
    const CALLBACK: &str = "http://127.0.0.1:4711/callback";
    let Scene {
        issuer,
        gateway,
        client,
        binary,
        dir,
        ..
    } = scene;
    let jar = dir.join("tour.cookies");
    let browser = format!("curl -s -b {0} -c {0}", jar.display());
    let ticket = r#"sed -n 's/.*name="ticket" value="\([^"]*\)".*/\1/p' | head -1"#;
    let member = |name: &str| format!(r#"sed 's/.*"{name}":"\([^"]*\)".*/\1/'"#);
    let page = format!(
        "{issuer}/oauth/authorize?response_type=code&client_id=shop-app&redirect_uri={CALLBACK}&scope=openid+profile+orders:read&prompt=login+consent&state=tour&code_challenge={CHALLENGE}&code_challenge_method=S256"
    );
    book.step(
        "A person signs in: open this address in a browser too, as ada with the password below",
        format!("rm -f {}; curl -si '{page}'", jar.display()),
        Status(200, "Sign in"),
    );
    book.step(
        "The login page, with a ticket for this browser",
        format!("TICKET=$({browser} '{page}' | {ticket})"),
        Sets("TICKET"),
    );
    book.step(
        "A wrong password says no more than that",
        format!("{browser} -i -d ticket=$TICKET -d username=ada -d password=wrong {issuer}/login"),
        Status(200, "not right"),
    );
    book.step(
        "Signed in; what the app asks for, in the API's own words",
        format!(
            "CONSENT=$({browser} -d ticket=$TICKET -d username=ada -d password={password} {issuer}/login | {ticket})"
        ),
        Sets("CONSENT"),
    );
    book.step(
        "Allowed: the code goes back to the app",
        format!(
            "CODE=$({browser} -o /dev/null -w '%{{redirect_url}}' -d ticket=$CONSENT -d decision=allow -d scope=openid -d scope=profile -d scope=orders:read {issuer}/consent | sed 's/.*[?&]code=\\([^&]*\\).*/\\1/')"
        ),
        Sets("CODE"),
    );
    let redeem = format!(
        "-d grant_type=authorization_code -d client_id=shop-app -d code=$CODE -d redirect_uri={CALLBACK} -d code_verifier={VERIFIER} {issuer}/oauth/token"
    );
    book.step(
        "The app redeems it, with the verifier that only it has",
        format!("TOKENS=$(curl -s {redeem})"),
        Sets("TOKENS"),
    );
    book.step(
        "The person's access token",
        format!(
            "PERSON=$(printf %s \"$TOKENS\" | {})",
            member("access_token")
        ),
        Sets("PERSON"),
    );
    book.step(
        "Her refresh token",
        format!(
            "REFRESH=$(printf %s \"$TOKENS\" | {})",
            member("refresh_token")
        ),
        Sets("REFRESH"),
    );
    book.step(
        "The API gets to know who she is",
        format!("curl -si -H \"Authorization: Bearer $PERSON\" {gateway}/whoami"),
        Status(200, "user"),
    );
    book.step(
        "UserInfo says what she allowed",
        format!("curl -si -H \"Authorization: Bearer $PERSON\" {issuer}/oauth/userinfo"),
        Status(200, "Ada Lovelace"),
    );
    book.step(
        "She did not allow to write",
        format!("curl -si -X DELETE -H \"Authorization: Bearer $PERSON\" {gateway}/orders/1"),
        Status(403, "orders:write"),
    );
    let refresh = format!(
        "-d grant_type=refresh_token -d client_id=shop-app -d refresh_token=$REFRESH {issuer}/oauth/token"
    );
    book.step(
        "Refresh: a new pair, and the old refresh token is spent",
        format!("FRESH=$(curl -s {refresh} | {})", member("access_token")),
        Sets("FRESH"),
    );
    book.step(
        "It works",
        format!("curl -si -H \"Authorization: Bearer $FRESH\" {gateway}/orders"),
        Status(200, "["),
    );
    book.step(
        "A service behind the API exchanges it: for less, and in both names",
        format!(
            "BOTH=$(curl -s -u {client} -d grant_type=urn:ietf:params:oauth:grant-type:token-exchange -d subject_token=$FRESH -d subject_token_type=urn:ietf:params:oauth:token-type:access_token -d scope=orders:read {issuer}/oauth/token | {})",
            member("access_token")
        ),
        Sets("BOTH"),
    );
    book.step(
        "It names her, and who acts for her",
        format!("printf %s $BOTH | {binary} token inspect"),
        Output("shop-backend"),
    );
    book.step(
        "The spent one again: a thief, or worse",
        format!("curl -si {refresh}"),
        Status(400, "invalid_grant"),
    );
    book.step(
        "So all that she allowed is over, at once",
        format!("curl -si -H \"Authorization: Bearer $FRESH\" {gateway}/orders"),
        Status(401, "credential-refused"),
    );
    book.step(
        "A page in a browser may ask the issuer from its own origin",
        format!(
            "curl -si -X OPTIONS -H 'Origin: https://shop.example' -H 'Access-Control-Request-Method: POST' -H 'Access-Control-Request-Headers: dpop' {issuer}/oauth/token"
        ),
        Status(204, "access-control-allow-origin: https://shop.example"),
    );
    book.step(
        "A television asks for a code to show",
        format!(
            "DEVICE=$(curl -s -d client_id=shop-tv -d scope=openid+orders:read {issuer}/oauth/device)"
        ),
        Sets("DEVICE"),
    );
    book.step(
        "She types it where she is signed in already, and sees what the television would get",
        format!(
            "TICKET=$({browser} {issuer}/device?user_code=$(printf %s \"$DEVICE\" | {}) | {ticket})",
            member("user_code")
        ),
        Sets("TICKET"),
    );
    book.step(
        "Connected",
        format!(
            "{browser} -d ticket=$TICKET -d decision=allow -d scope=openid -d scope=orders:read {issuer}/device"
        ),
        Output("All set"),
    );
    book.step(
        "The television gets its tokens",
        format!(
            "TV=$(curl -s -d grant_type=urn:ietf:params:oauth:grant-type:device_code -d client_id=shop-tv -d device_code=$(printf %s \"$DEVICE\" | {}) {issuer}/oauth/token | {})",
            member("device_code"),
            member("access_token")
        ),
        Sets("TV"),
    );
    book.step(
        "It reads her orders",
        format!("curl -si -H \"Authorization: Bearer $TV\" {gateway}/orders"),
        Status(200, "["),
    );
    book.step(
        "Sign out: the session is over",
        format!("{browser} {issuer}/logout"),
        Output("Sign out?"),
    );
}

/// A partner registers a program of its own, once, and uses it.
pub(super) fn registers(book: &mut Book, scene: &Scene<'_>) {
    let Scene {
        issuer, doorward, ..
    } = scene;
    book.step(
        "A token for a partner: it registers one client, within the policy of the settings",
        format!(
            r#"INITIAL=$({doorward} registration-token create --label Partner --environment test --uses 1 --output json | sed -n 's/.*"secret": "\([^"]*\)".*/\1/p')"#
        ),
        Sets("INITIAL"),
    );
    let register = format!(
        r#"-H "Authorization: Bearer $INITIAL" -H 'Content-Type: application/json' -d '{{"client_name":"Partner","grant_types":["client_credentials"]}}' {issuer}/oauth/register"#
    );
    book.step(
        "The partner's program registers itself",
        format!("PARTNER=$(curl -s {register})"),
        Sets("PARTNER"),
    );
    book.step(
        "And gets a token for what it registered",
        format!(
            r#"TOKEN=$(curl -s -u $(printf %s "$PARTNER" | sed 's/.*"client_id":"\([^"]*\)".*"client_secret":"\([^"]*\)".*/\1:\2/') -d grant_type=client_credentials {issuer}/oauth/token | sed 's/.*"access_token":"\([^"]*\)".*/\1/')"#
        ),
        Sets("TOKEN"),
    );
    book.step(
        "A second client: the token was for one",
        format!("curl -si {register}"),
        Status(401, "invalid_token"),
    );
}
