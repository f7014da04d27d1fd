//! **The tour**: one line to copy and paste for each thing that works, and what to expect.
//! `dev --check` runs these very lines.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};

use super::credentials::Demo;
use super::setup::write_private;
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

/// The steps with this installation's addresses and secrets.
pub(super) struct Tour {
    addresses: Vec<(&'static str, String)>,
    settings: String,
    steps: Vec<Step>,
}

/// A fresh key for proofs, as `openssl genpkey` would write it.
fn dpop_key() -> Result<String> {
    Ok(rcgen::KeyPair::generate()?.serialize_pem())
}

impl Tour {
    /// Fills in the steps.
    pub(super) fn new(node: &Node, demo: &Demo, dir: &Path) -> Result<Self> {
        let at = |name: &str| {
            node.address(name)
                .with_context(|| format!("the settings have no listener `{name}`"))
        };
        let gateway = format!("http://{}", at("gateway")?);
        let tls = format!("https://localhost:{}", at("gateway-tls")?.port());
        let issuer = format!("http://{}", at("issuer")?);
        let admin = format!("http://{}", at("admin")?);
        let ops = format!("http://{}", at("ops")?);
        let binary = std::env::current_exe()?;
        let text =
            |secret: &proof::secret::Secret| secret.expose_text().unwrap_or_default().to_owned();
        let (key, reader) = (text(&demo.key), text(&demo.reader));
        let (client, password) = (
            format!("shop-backend:{}", text(&demo.client_secret)),
            format!("alice:{}", text(&demo.password)),
        );
        let doorward = format!(
            "{} --admin-url {admin} --admin-key-file {}",
            binary.display(),
            dir.join("admin.key").display()
        );
        let mut wrong = key.clone();
        wrong.pop();
        wrong.push(if key.ends_with('0') { '1' } else { '0' });
        let ca = dir.join("tls/ca.pem");
        let ca = ca.display();
        let token = |more: &str| {
            format!(
                "TOKEN=$(curl -s -u {client} -d grant_type=client_credentials{more} {issuer}/oauth/token | sed 's/.*\"access_token\":\"\\([^\"]*\\)\".*/\\1/')"
            )
        };
        let order = r#"-H 'Content-Type: application/json' -d '{"item":"Lamp","quantity":1}'"#;
        let reader_id = &demo.reader_id;

        let mut steps = Vec::new();
        let mut step = |title, line: String, expect| {
            steps.push(Step {
                title,
                line,
                expect,
            })
        };
        use Expect::{Output, Sets, Status};
        step(
            "Without a credential the door stays shut",
            format!("curl -si {gateway}/orders"),
            Status(401, "www-authenticate"),
        );
        step(
            "A route that is declared public needs none",
            format!("curl -si {gateway}/health"),
            Status(200, ""),
        );
        step(
            "API key: read orders",
            format!("curl -si -H 'Authorization: Bearer {key}' {gateway}/orders"),
            Status(200, "item"),
        );
        step(
            "API key in its own header",
            format!("curl -si -H 'X-API-Key: {key}' {gateway}/orders"),
            Status(200, "item"),
        );
        step(
            "API key: place an order",
            format!("curl -si -H 'Authorization: Bearer {key}' {order} {gateway}/orders"),
            Status(201, "Lamp"),
        );
        step(
            "One wrong character: refused by its checksum, nothing is looked up",
            format!("curl -si -H 'Authorization: Bearer {wrong}' {gateway}/orders"),
            Status(401, "credential-refused"),
        );
        step(
            "A key that may only read can't write",
            format!("curl -si -H 'Authorization: Bearer {reader}' {order} {gateway}/orders"),
            Status(403, "insufficient-scope"),
        );
        step(
            "Basic: alice sees her own orders",
            format!("curl -si -u {password} {gateway}/orders"),
            Status(200, "alice"),
        );
        step(
            "Basic with a wrong password",
            format!("curl -si -u alice:wrong-password {gateway}/orders"),
            Status(401, "credential-refused"),
        );
        step(
            "Client credentials: get an access token (JWT)",
            token(""),
            Sets("TOKEN"),
        );
        step(
            "JWT: read orders",
            format!("curl -si -H \"Authorization: Bearer $TOKEN\" {gateway}/orders"),
            Status(200, "item"),
        );
        step(
            "JWT over TLS",
            format!("curl -si --cacert {ca} -H \"Authorization: Bearer $TOKEN\" {tls}/orders"),
            Status(200, "item"),
        );
        let with = |name: &str| {
            let file = dir.join("tls").join(name);
            format!(
                "curl -si --cacert {ca} --cert {0}.pem --key {0}.key {tls}",
                file.display()
            )
        };
        // Settings that an older `dev` wrote know no certificates.
        let declared = std::fs::read_to_string(dir.join("doorward.yaml")).unwrap_or_default();
        if declared.contains("clients-ca.pem") {
            step(
                "mTLS: the client's certificate is the credential",
                format!("{}/orders", with("billing")),
                Status(200, "item"),
            );
            step(
                "The API behind learns the certificate's name",
                format!("{}/whoami", with("billing")),
                Status(200, "spiffe://dev.example/billing"),
            );
            step(
                "It may read, not write",
                format!("{}/orders {order}", with("billing")),
                Status(403, "insufficient-scope"),
            );
            step(
                "A certificate that has expired",
                format!("{}/orders", with("billing-expired")),
                Status(401, "credential-refused"),
            );
            step(
                "A certificate on the revocation list",
                format!("{}/orders", with("billing-revoked")),
                Status(401, "credential-refused"),
            );
            step(
                "The same name, vouched for by somebody else",
                format!("{}/orders", with("billing-stranger")),
                Status(401, "credential-refused"),
            );
        }
        for signer in &demo.signers {
            let url = format!("{gateway}/orders");
            let sign = |url: &str, more: &str| {
                format!(
                    "{} sign {} '{url}' --key-id {} --secret-file {}{}{more}",
                    binary.display(),
                    signer.command,
                    signer.key_id,
                    signer.secret_file.display(),
                    signer.options,
                )
            };
            let [good, replayed, changed, expired] = signer.titles;
            step(
                good,
                format!("{} | curl -si -K -", sign(&url, "")),
                Status(200, "item"),
            );
            step(
                replayed,
                format!(
                    "CALL=$({}); echo \"$CALL\" | curl -s -K - > /dev/null; echo \"$CALL\" | curl -si -K -",
                    sign(&url, "")
                ),
                Status(401, "credential-refused"),
            );
            step(
                changed,
                format!(
                    "{} | sed 's|/orders|/whoami|' | curl -si -K -",
                    sign(&url, "")
                ),
                Status(401, "credential-refused"),
            );
            step(
                expired,
                format!(
                    "{} --at 2020-01-01T00:00:00Z | curl -si -K -",
                    sign(&url, "")
                ),
                Status(401, "credential-refused"),
            );
            if signer.command == "sigv4" {
                step(
                    "Presigned: a URL that anybody may use for ten minutes",
                    format!("{} | curl -si -K -", sign(&url, " --presign 10m")),
                    Status(200, "item"),
                );
            }
        }
        step(
            "What the API behind learns: a signed identity, never the token",
            format!("curl -si -H \"Authorization: Bearer $TOKEN\" {gateway}/whoami"),
            Status(200, "shop-backend"),
        );
        step(
            "Ask the issuer about the token",
            format!("curl -si -u {client} -d token=$TOKEN {issuer}/oauth/introspect"),
            Status(200, "\"active\":true"),
        );
        step(
            "Revoke the token",
            format!("curl -si -u {client} -d token=$TOKEN {issuer}/oauth/revoke"),
            Status(200, ""),
        );
        step(
            "It is dead at once",
            format!("curl -si -H \"Authorization: Bearer $TOKEN\" {gateway}/orders"),
            Status(401, "credential-refused"),
        );
        if let Some(secret) = &demo.partner_secret {
            let partner = format!("shop-partner:{}", text(secret));
            opaque(&mut step, &gateway, &issuer, &partner);
        }
        step(
            "A token for less: one scope only",
            token(" -d scope=orders:read"),
            Sets("TOKEN"),
        );
        step(
            "It can't write",
            format!("curl -si -H \"Authorization: Bearer $TOKEN\" {order} {gateway}/orders"),
            Status(403, "orders:write"),
        );
        step(
            "Look into the token without sending it anywhere",
            format!("printf %s $TOKEN | {} token inspect", binary.display()),
            Output("shop-backend"),
        );
        let own_key = dir.join("tour-dpop.key");
        write_private(&own_key, dpop_key()?.as_bytes())?;
        let dpop = |url: &str, more: &str| {
            let own_key = own_key.display();
            format!(
                "{} sign dpop {url} --private-key-file {own_key}{more}",
                binary.display()
            )
        };
        let ask = format!("-u {client} -d grant_type=client_credentials");
        let endpoint = format!("-X POST {issuer}/oauth/token");
        step(
            "DPoP: the issuer asks for a nonce of its own first",
            format!(
                "NONCE=$({} | curl -s -D - -o /dev/null -K - {ask} | sed -n 's/^dpop-nonce: *//Ip' | tr -d '\\r')",
                dpop(&endpoint, "")
            ),
            Sets("NONCE"),
        );
        step(
            "DPoP: get a token that is bound to a key",
            format!(
                "BOUND=$({} | curl -s -K - {ask} | sed 's/.*\"access_token\":\"\\([^\"]*\\)\".*/\\1/')",
                dpop(&endpoint, " --nonce $NONCE")
            ),
            Sets("BOUND"),
        );
        let proved = dpop(&format!("{gateway}/orders"), " --access-token-file -");
        step(
            "DPoP: the token with a proof of its key",
            format!("printf %s $BOUND | {proved} | curl -si -K -"),
            Status(200, "item"),
        );
        step(
            "DPoP: the same proof a second time",
            format!(
                "CALL=$(printf %s $BOUND | {proved}); echo \"$CALL\" | curl -s -K - > /dev/null; echo \"$CALL\" | curl -si -K -"
            ),
            Status(401, "proof-refused"),
        );
        step(
            "DPoP: the token as a plain bearer, as a thief would send it",
            format!("curl -si -H \"Authorization: Bearer $BOUND\" {gateway}/orders"),
            Status(401, "credential-refused"),
        );
        step(
            "A path that could be read in two ways is refused, not tidied up",
            format!(
                "curl -si --path-as-is -H 'Authorization: Bearer {key}' {gateway}/orders/../admin/stats"
            ),
            Status(400, "unclean-target"),
        );
        step(
            "Two credentials in one call",
            format!("curl -si -H 'X-API-Key: {key}' -u {password} {gateway}/orders"),
            Status(400, "credential-ambiguous"),
        );
        step(
            "A key in the URL is exposed",
            format!("curl -si '{gateway}/orders?api_key={key}'"),
            Status(400, "credential-in-url"),
        );
        step(
            "A role that nobody here holds",
            format!("curl -si -H 'Authorization: Bearer {key}' {gateway}/admin/stats"),
            Status(403, "role-missing"),
        );
        step(
            "A browser's preflight",
            format!(
                "curl -si -X OPTIONS -H 'Origin: https://shop.example' -H 'Access-Control-Request-Method: GET' -H 'Access-Control-Request-Headers: authorization' {gateway}/orders"
            ),
            Status(204, "access-control-allow-origin"),
        );
        if let Some(password) = &demo.person {
            people(
                &mut step,
                &People {
                    issuer: &issuer,
                    gateway: &gateway,
                    password: &text(password),
                    client: &client,
                    jar: &dir.join("tour.cookies"),
                    binary: &binary.display().to_string(),
                },
            );
        }
        // Settings that an older `dev` wrote let nobody register anything.
        if node.serves_registration() {
            partner(&mut step, &issuer, &doorward);
        }
        step(
            "List the keys",
            format!("{doorward} key list"),
            Output("shop"),
        );
        step(
            "Suspend one",
            format!("{doorward} key suspend {reader_id}"),
            Output("suspended"),
        );
        step(
            "It is refused at once",
            format!("curl -si -H 'Authorization: Bearer {reader}' {gateway}/orders"),
            Status(401, "credential-refused"),
        );
        step(
            "Resume it",
            format!("{doorward} key resume {reader_id}"),
            Output("active"),
        );
        step(
            "It works again",
            format!("curl -si -H 'Authorization: Bearer {reader}' {gateway}/orders"),
            Status(200, "item"),
        );
        step(
            "The audit trail is whole",
            format!("{doorward} audit verify"),
            Output("whole"),
        );
        step(
            "Health has a listener of its own",
            format!("curl -si {ops}/readyz"),
            Status(200, ""),
        );

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
            steps,
        })
    }

    /// Prints addresses and steps.
    #[allow(clippy::print_stdout, reason = "the tour is what the command is for")]
    pub(super) fn print(&self) {
        let mut out = String::from("\nDoorward is ready.\n\n");
        for (name, address) in &self.addresses {
            let _ = writeln!(out, "  {name:<16} {address}");
        }
        let _ = writeln!(
            out,
            "  {:<16} {} (edit it while this runs)\n",
            "settings", self.settings
        );
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
        out.push_str("\nStop with Ctrl-C. `./run --check` walks this tour by itself.\n");
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

/// Tokens that say nothing to who holds them, for an API that is declared so.
fn opaque(
    step: &mut impl FnMut(&'static str, String, Expect),
    gateway: &str,
    issuer: &str,
    partner: &str,
) {
    use Expect::{Sets, Status};
    let bearer = "-H \"Authorization: Bearer $OPAQUE\"";
    step(
        "A partner gets an opaque token: it tells its holder nothing",
        format!(
            "OPAQUE=$(curl -s -u {partner} -d grant_type=client_credentials {issuer}/oauth/token | sed 's/.*\"access_token\":\"\\([^\"]*\\)\".*/\\1/')"
        ),
        Sets("OPAQUE"),
    );
    step(
        "Opaque: see orders",
        format!("curl -si {bearer} {gateway}/partners/orders"),
        Status(200, "item"),
    );
    step(
        "The API behind learns who calls all the same, by a signed JWT: a phantom token",
        format!("curl -si {bearer} {gateway}/partners/whoami"),
        Status(200, "shop-partner"),
    );
    step(
        "Where a JWT is asked for, it is none",
        format!("curl -si {bearer} {gateway}/orders"),
        Status(401, "credential-refused"),
    );
    step(
        "Ask the issuer what it says",
        format!("curl -si -u {partner} -d token=$OPAQUE {issuer}/oauth/introspect"),
        Status(200, "\"active\":true"),
    );
    step(
        "Revoke the opaque token",
        format!("curl -si -u {partner} -d token=$OPAQUE {issuer}/oauth/revoke"),
        Status(200, ""),
    );
    step(
        "It is refused at once, though the gateway knew it",
        format!("curl -si {bearer} {gateway}/partners/orders"),
        Status(401, "credential-refused"),
    );
}

/// What the steps with a person need.
struct People<'a> {
    issuer: &'a str,
    gateway: &'a str,
    password: &'a str,
    client: &'a str,
    jar: &'a Path,
    binary: &'a str,
}

/// A person signs in and allows an app: the code flow, refresh, a device, an exchange. The forms
/// are posted as a browser would, with its cookies in a file.
fn people(step: &mut impl FnMut(&'static str, String, Expect), with: &People<'_>) {
    use Expect::{Output, Sets, Status};
    // RFC 7636 appendix B: the tour's verifier is no secret, since its challenge is printed.
    const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
    const CALLBACK: &str = "http://127.0.0.1:4711/callback";
    let People {
        issuer,
        gateway,
        password,
        client,
        jar,
        binary,
    } = with;
    let browser = format!("curl -s -b {0} -c {0}", jar.display());
    let ticket = r#"sed -n 's/.*name="ticket" value="\([^"]*\)".*/\1/p' | head -1"#;
    let member = |name: &str| format!(r#"sed 's/.*"{name}":"\([^"]*\)".*/\1/'"#);
    let page = format!(
        "{issuer}/oauth/authorize?response_type=code&client_id=shop-app&redirect_uri={CALLBACK}&scope=openid+profile+orders:read&prompt=login+consent&state=tour&code_challenge={CHALLENGE}&code_challenge_method=S256"
    );
    step(
        "A person signs in: open this address in a browser too, as ada with the password below",
        format!("rm -f {}; curl -si '{page}'", jar.display()),
        Status(200, "Sign in"),
    );
    step(
        "The login page, with a ticket for this browser",
        format!("TICKET=$({browser} '{page}' | {ticket})"),
        Sets("TICKET"),
    );
    step(
        "A wrong password says no more than that",
        format!("{browser} -i -d ticket=$TICKET -d username=ada -d password=wrong {issuer}/login"),
        Status(200, "not right"),
    );
    step(
        "Signed in; what the app asks for, in the API's own words",
        format!(
            "CONSENT=$({browser} -d ticket=$TICKET -d username=ada -d password={password} {issuer}/login | {ticket})"
        ),
        Sets("CONSENT"),
    );
    step(
        "Allowed: the code goes back to the app",
        format!(
            "CODE=$({browser} -o /dev/null -w '%{{redirect_url}}' -d ticket=$CONSENT -d decision=allow -d scope=openid -d scope=profile -d scope=orders:read {issuer}/consent | sed 's/.*[?&]code=\\([^&]*\\).*/\\1/')"
        ),
        Sets("CODE"),
    );
    let redeem = format!(
        "-d grant_type=authorization_code -d client_id=shop-app -d code=$CODE -d redirect_uri={CALLBACK} -d code_verifier={VERIFIER} {issuer}/oauth/token"
    );
    step(
        "The app redeems it, with the verifier that only it has",
        format!("TOKENS=$(curl -s {redeem})"),
        Sets("TOKENS"),
    );
    step(
        "The person's access token",
        format!(
            "PERSON=$(printf %s \"$TOKENS\" | {})",
            member("access_token")
        ),
        Sets("PERSON"),
    );
    step(
        "Her refresh token",
        format!(
            "REFRESH=$(printf %s \"$TOKENS\" | {})",
            member("refresh_token")
        ),
        Sets("REFRESH"),
    );
    step(
        "The API gets to know who she is",
        format!("curl -si -H \"Authorization: Bearer $PERSON\" {gateway}/whoami"),
        Status(200, "user"),
    );
    step(
        "UserInfo says what she allowed",
        format!("curl -si -H \"Authorization: Bearer $PERSON\" {issuer}/oauth/userinfo"),
        Status(200, "Ada Lovelace"),
    );
    step(
        "She did not allow to write",
        format!("curl -si -X DELETE -H \"Authorization: Bearer $PERSON\" {gateway}/orders/1"),
        Status(403, "orders:write"),
    );
    let refresh = format!(
        "-d grant_type=refresh_token -d client_id=shop-app -d refresh_token=$REFRESH {issuer}/oauth/token"
    );
    step(
        "Refresh: a new pair, and the old refresh token is spent",
        format!("FRESH=$(curl -s {refresh} | {})", member("access_token")),
        Sets("FRESH"),
    );
    step(
        "It works",
        format!("curl -si -H \"Authorization: Bearer $FRESH\" {gateway}/orders"),
        Status(200, "["),
    );
    step(
        "A service behind the API exchanges it: for less, and in both names",
        format!(
            "BOTH=$(curl -s -u {client} -d grant_type=urn:ietf:params:oauth:grant-type:token-exchange -d subject_token=$FRESH -d subject_token_type=urn:ietf:params:oauth:token-type:access_token -d scope=orders:read {issuer}/oauth/token | {})",
            member("access_token")
        ),
        Sets("BOTH"),
    );
    step(
        "It names her, and who acts for her",
        format!("printf %s $BOTH | {binary} token inspect"),
        Output("shop-backend"),
    );
    step(
        "The spent one again: a thief, or worse",
        format!("curl -si {refresh}"),
        Status(400, "invalid_grant"),
    );
    step(
        "So all that she allowed is over, at once",
        format!("curl -si -H \"Authorization: Bearer $FRESH\" {gateway}/orders"),
        Status(401, "credential-refused"),
    );
    step(
        "A page in a browser may ask the issuer from its own origin",
        format!(
            "curl -si -X OPTIONS -H 'Origin: https://shop.example' -H 'Access-Control-Request-Method: POST' -H 'Access-Control-Request-Headers: dpop' {issuer}/oauth/token"
        ),
        Status(204, "access-control-allow-origin: https://shop.example"),
    );
    step(
        "A television asks for a code to show",
        format!(
            "DEVICE=$(curl -s -d client_id=shop-tv -d scope=openid+orders:read {issuer}/oauth/device)"
        ),
        Sets("DEVICE"),
    );
    step(
        "She types it where she is signed in already, and sees what the television would get",
        format!(
            "TICKET=$({browser} {issuer}/device?user_code=$(printf %s \"$DEVICE\" | {}) | {ticket})",
            member("user_code")
        ),
        Sets("TICKET"),
    );
    step(
        "Connected",
        format!(
            "{browser} -d ticket=$TICKET -d decision=allow -d scope=openid -d scope=orders:read {issuer}/device"
        ),
        Output("All set"),
    );
    step(
        "The television gets its tokens",
        format!(
            "TV=$(curl -s -d grant_type=urn:ietf:params:oauth:grant-type:device_code -d client_id=shop-tv -d device_code=$(printf %s \"$DEVICE\" | {}) {issuer}/oauth/token | {})",
            member("device_code"),
            member("access_token")
        ),
        Sets("TV"),
    );
    step(
        "It reads her orders",
        format!("curl -si -H \"Authorization: Bearer $TV\" {gateway}/orders"),
        Status(200, "["),
    );
    step(
        "Sign out: the session is over",
        format!("{browser} {issuer}/logout"),
        Output("Sign out?"),
    );
}

/// A partner registers a program of its own, once, and uses it.
fn partner(step: &mut impl FnMut(&'static str, String, Expect), issuer: &str, doorward: &str) {
    use Expect::{Sets, Status};
    step(
        "A token for a partner: it registers one client, within the policy of the settings",
        format!(
            r#"INITIAL=$({doorward} registration-token create --label Partner --environment test --uses 1 --output json | sed -n 's/.*"secret": "\([^"]*\)".*/\1/p')"#
        ),
        Sets("INITIAL"),
    );
    let register = format!(
        r#"-H "Authorization: Bearer $INITIAL" -H 'Content-Type: application/json' -d '{{"client_name":"Partner","grant_types":["client_credentials"]}}' {issuer}/oauth/register"#
    );
    step(
        "The partner's program registers itself",
        format!("PARTNER=$(curl -s {register})"),
        Sets("PARTNER"),
    );
    step(
        "And gets a token for what it registered",
        format!(
            r#"TOKEN=$(curl -s -u $(printf %s "$PARTNER" | sed 's/.*"client_id":"\([^"]*\)".*"client_secret":"\([^"]*\)".*/\1:\2/') -d grant_type=client_credentials {issuer}/oauth/token | sed 's/.*"access_token":"\([^"]*\)".*/\1/')"#
        ),
        Sets("TOKEN"),
    );
    step(
        "A second client: the token was for one",
        format!("curl -si {register}"),
        Status(401, "invalid_token"),
    );
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
