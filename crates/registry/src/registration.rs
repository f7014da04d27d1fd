//! **Registration metadata**: a client as RFC 7591 §2, OpenID Connect Dynamic Client Registration §2
//! and their extensions write it, to our document and back. A registration is a stranger's wish: what
//! the policy does not allow or we can't honour is refused with the sentence that says why, members
//! that we do not know are passed over (RFC 7591 §2), and nothing that only an operator may decide
//! (no consent, roles, introspection) can be wished for. Pure: whoever calls this stores the client.

use std::collections::BTreeMap;

use proof::issued::Environment;
use proof::jose::alg::Algorithm;
use serde_json::{Map, Value};
use url::{Host, Url};

use crate::client::{
    CertificateSubject, ClientAuthMethod, ClientKind, ClientMeaning, ClientSpec, GrantType,
    IdentityScope, Profile, SenderConstraint,
};
use crate::flaw::{Flaw, PathStep};
use crate::meaning::client::flaws_alone;
use crate::units::Period;

/// What strangers may register.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// The application that registered clients belong to.
    pub application: String,
    /// The wall that they stand behind.
    pub environment: Environment,
    /// The rules that they are held to.
    pub profile: Profile,
    /// Grants that they may ask for.
    pub grant_types: Vec<GrantType>,
    /// What of a person's identity they may ask for.
    pub identity_scopes: Vec<IdentityScope>,
    /// API → scopes that they may ask for.
    pub grants: BTreeMap<String, Vec<String>>,
    /// Hosts that they may have people sent to; `None`: any.
    pub redirect_hosts: Option<Vec<RedirectHost>>,
    /// Whether a CA vouches for clients' certificates.
    pub client_ca: bool,
    /// Whether URLs that we call may be plain HTTP on loopback (`dev`).
    pub loopback_dev: bool,
}

/// Where a registered client may have people sent to: a host as it stands, or with `*.` in front
/// every host below it, and not itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedirectHost {
    host: String,
    below: bool,
}

impl RedirectHost {
    /// Reads `partner.example`, `*.partner.example`, `127.0.0.1` or `[::1]`, each in the form that
    /// URLs have it in (lower case, no port). `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let (host, below) = match text.strip_prefix("*.") {
            Some(rest) => (rest, true),
            None => (text, false),
        };
        let url = Url::parse(&format!("https://{host}/")).ok()?;
        let named = matches!(url.host(), Some(Host::Domain(_)));
        // A star is a letter of hosts as URLs have them, and of none that is meant.
        let same = !host.contains('*')
            && url.host_str() == Some(host)
            && url.as_str() == format!("https://{host}/");
        (same && (named || !below)).then(|| Self {
            host: host.to_owned(),
            below,
        })
    }

    fn holds(&self, host: &str) -> bool {
        if !self.below {
            return host == self.host;
        }
        host.strip_suffix(self.host.as_str())
            .and_then(|rest| rest.strip_suffix('.'))
            .is_some_and(|rest| !rest.is_empty())
    }
}

/// Errors of RFC 7591 §3.2.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MetadataCode {
    /// A redirect URI is missing or can't be registered.
    InvalidRedirectUri,
    /// Anything else can't be.
    InvalidClientMetadata,
    /// There is nobody whose statements about software are believed here (RFC 7591 §2.3).
    UnapprovedSoftwareStatement,
}

impl MetadataCode {
    /// Its registered name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::InvalidRedirectUri => "invalid_redirect_uri",
            Self::InvalidClientMetadata => "invalid_client_metadata",
            Self::UnapprovedSoftwareStatement => "unapproved_software_statement",
        }
    }
}

/// Why metadata can't be registered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {description}", code.name())]
pub struct MetadataFlaw {
    /// The error.
    pub code: MetadataCode,
    /// What is wrong, in characters that RFC 6749 §5.2 allows in `error_description`.
    pub description: String,
}

impl MetadataFlaw {
    fn new(code: MetadataCode, text: impl AsRef<str>) -> Self {
        let allowed = |c: char| matches!(c, ' '..='~') && !matches!(c, '"' | '\\');
        Self {
            code,
            description: text
                .as_ref()
                .chars()
                .map(|c| if allowed(c) { c } else { '?' })
                .take(LONGEST_DESCRIPTION)
                .collect(),
        }
    }
    fn metadata(text: impl AsRef<str>) -> Self {
        Self::new(MetadataCode::InvalidClientMetadata, text)
    }
}

/// Longest description in characters: a refusal is no place for a long URI.
const LONGEST_DESCRIPTION: usize = 500;
/// Longest `default_max_age` in seconds: ten years.
const LONGEST_AGE: u64 = 10 * 366 * 86_400;
/// Longest `client_name` in bytes.
const LONGEST_NAME: usize = 200;

/// Members that ask for protection which is not given here. To pass over them would let the client
/// believe in it.
const NOT_OFFERED: [&str; 7] = [
    "id_token_encrypted_response_alg",
    "id_token_encrypted_response_enc",
    "userinfo_encrypted_response_alg",
    "userinfo_encrypted_response_enc",
    "request_object_encryption_alg",
    "request_object_encryption_enc",
    "request_object_signing_alg",
];

/// The members of one registration, read by type. `null` is the same as absent (RFC 7592 §2.2).
struct Metadata<'a>(&'a Map<String, Value>);

impl<'a> Metadata<'a> {
    fn member<T>(
        &self,
        name: &str,
        what: &str,
        read: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Result<Option<T>, MetadataFlaw> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => match read(value) {
                Some(value) => Ok(Some(value)),
                None => Err(MetadataFlaw::metadata(format!("{name} is {what}"))),
            },
        }
    }
    fn text(&self, name: &str) -> Result<Option<String>, MetadataFlaw> {
        self.member(name, "a text", |value| value.as_str().map(str::to_owned))
    }
    fn flag(&self, name: &str) -> Result<bool, MetadataFlaw> {
        let read = self.member(name, "true or false", Value::as_bool)?;
        Ok(read.unwrap_or_default())
    }
    fn texts(&self, name: &str) -> Result<Option<Vec<String>>, MetadataFlaw> {
        self.member(name, "a list of texts", |value| {
            let list = value.as_array()?;
            list.iter()
                .map(|one| one.as_str().map(str::to_owned))
                .collect()
        })
    }
}

/// What the metadata declares, checked as if it stood in a document.
///
/// # Errors
/// [`MetadataFlaw`]: the first thing that is wrong.
pub fn from_metadata(
    metadata: &Map<String, Value>,
    policy: &Policy,
) -> Result<ClientSpec, MetadataFlaw> {
    let read = Metadata(metadata);
    refuses_what_is_not_offered(&read)?;
    let native = match read.text("application_type")?.as_deref() {
        None | Some("web") => false,
        Some("native") => true,
        Some(_) => {
            return Err(MetadataFlaw::metadata("application_type is web or native"));
        }
    };
    let grant_types = grant_types(&read, policy)?;
    let redirect_uris = read.texts("redirect_uris")?.unwrap_or_default();
    if grant_types.contains(&GrantType::AuthorizationCode) && redirect_uris.is_empty() {
        return Err(MetadataFlaw::new(
            MetadataCode::InvalidRedirectUri,
            "redirect_uris is missing",
        ));
    }
    let post_logout_redirect_uris = read.texts("post_logout_redirect_uris")?.unwrap_or_default();
    let place = ("redirect_uris", MetadataCode::InvalidRedirectUri);
    lead_where_they_may(place, &redirect_uris, policy)?;
    let place = (
        "post_logout_redirect_uris",
        MetadataCode::InvalidClientMetadata,
    );
    lead_where_they_may(place, &post_logout_redirect_uris, policy)?;
    let auth_method = auth_method(&read, native, policy)?;
    let kind = kind(auth_method, native, &grant_types, &redirect_uris);
    let (identity_scopes, grants) = scopes(&read, policy, &grant_types)?;
    let default_max_age = read.member("default_max_age", "a number of seconds", |value| {
        value.as_u64().filter(|age| *age <= LONGEST_AGE)
    })?;
    let spec = ClientSpec {
        display_name: name(&read)?,
        environment: policy.environment,
        profile: policy.profile,
        kind,
        grant_types: Some(grant_types),
        redirect_uris,
        post_logout_redirect_uris,
        jwks: read.member("jwks", "a key set", |value| {
            value.is_object().then(|| value.clone())
        })?,
        jwks_uri: read.text("jwks_uri")?,
        tls_client_auth_subject_dn: read.text("tls_client_auth_subject_dn")?,
        tls_client_auth_san_dns: read.text("tls_client_auth_san_dns")?,
        tls_client_auth_san_uri: read.text("tls_client_auth_san_uri")?,
        tls_client_auth_san_ip: read.member("tls_client_auth_san_ip", "an address", |value| {
            value.as_str()?.parse().ok()
        })?,
        tls_client_auth_san_email: read.text("tls_client_auth_san_email")?,
        dpop_bound_access_tokens: read.flag("dpop_bound_access_tokens")?,
        tls_client_certificate_bound_access_tokens: read
            .flag("tls_client_certificate_bound_access_tokens")?,
        require_pushed_authorization_requests: read
            .flag("require_pushed_authorization_requests")?,
        identity_scopes,
        grants,
        id_token_signed_response_alg: read.text("id_token_signed_response_alg")?,
        userinfo_signed_response_alg: read.text("userinfo_signed_response_alg")?,
        default_max_age: default_max_age.map(Period::seconds),
        require_auth_time: read.flag("require_auth_time")?,
        backchannel_logout_uri: read.text("backchannel_logout_uri")?,
        backchannel_logout_session_required: read.flag("backchannel_logout_session_required")?,
        client_uri: read.text("client_uri")?,
        logo_uri: read.text("logo_uri")?,
        policy_uri: read.text("policy_uri")?,
        tos_uri: read.text("tos_uri")?,
        contacts: read.texts("contacts")?.unwrap_or_default(),
        ..ClientSpec::service(policy.application.as_str(), auth_method)
    };
    match flaws_alone("?", &spec, policy.loopback_dev).first() {
        None => Ok(spec),
        Some(flaw) => Err(of_flaw(flaw)),
    }
}

/// A document's flaw in the words of the metadata.
fn of_flaw(flaw: &Flaw) -> MetadataFlaw {
    let mut place: Vec<_> = flaw
        .path
        .iter()
        .filter_map(|step| match step {
            PathStep::Key(key) => Some(key.as_str()),
            PathStep::Index(_) => None,
        })
        .skip(1)
        .collect();
    let code = if place.first() == Some(&"redirect_uris") {
        MetadataCode::InvalidRedirectUri
    } else {
        MetadataCode::InvalidClientMetadata
    };
    for step in &mut place {
        if *step == "auth_method" {
            *step = "token_endpoint_auth_method";
        }
    }
    MetadataFlaw::new(code, format!("{}: {}", place.join("."), flaw.message))
}

fn refuses_what_is_not_offered(read: &Metadata<'_>) -> Result<(), MetadataFlaw> {
    if read.text("software_statement")?.is_some() {
        return Err(MetadataFlaw::new(
            MetadataCode::UnapprovedSoftwareStatement,
            "software_statement: no issuer of such statements is trusted here",
        ));
    }
    for name in NOT_OFFERED {
        if read.0.get(name).is_some_and(|value| !value.is_null()) {
            return Err(MetadataFlaw::metadata(format!(
                "{name} is not offered here"
            )));
        }
    }
    if read.flag("require_signed_request_object")? {
        return Err(MetadataFlaw::metadata(
            "require_signed_request_object is not offered here",
        ));
    }
    if read
        .text("subject_type")?
        .is_some_and(|kind| kind != "public")
    {
        return Err(MetadataFlaw::metadata("subject_type is public"));
    }
    if let Some(alg) = read.text("token_endpoint_auth_signing_alg")?
        && Algorithm::from_name(&alg).is_none()
    {
        return Err(MetadataFlaw::metadata(format!(
            "token_endpoint_auth_signing_alg: {alg} is not accepted here"
        )));
    }
    Ok(())
}

fn name(read: &Metadata<'_>) -> Result<Option<String>, MetadataFlaw> {
    let name = read.text("client_name")?;
    let sound = |name: &String| {
        (1..=LONGEST_NAME).contains(&name.len()) && !name.chars().any(char::is_control)
    };
    if name.as_ref().is_some_and(|name| !sound(name)) {
        return Err(MetadataFlaw::metadata(
            "client_name is one line of 1 to 200 bytes",
        ));
    }
    Ok(name)
}

/// RFC 7591 §2: `client_secret_basic` unless said otherwise; a native program has no secret to
/// begin with (RFC 8252 §8.4), so for it the default is none.
fn auth_method(
    read: &Metadata<'_>,
    native: bool,
    policy: &Policy,
) -> Result<ClientAuthMethod, MetadataFlaw> {
    let Some(written) = read.text("token_endpoint_auth_method")? else {
        return Ok(if native {
            ClientAuthMethod::None
        } else {
            ClientAuthMethod::ClientSecretBasic
        });
    };
    let method = ClientAuthMethod::from_name(&written)
        .filter(|method| policy.client_ca || *method != ClientAuthMethod::TlsClientAuth)
        .ok_or_else(|| {
            MetadataFlaw::metadata(format!(
                "token_endpoint_auth_method: {written} is not offered here"
            ))
        })?;
    if native && !method.is_public() {
        return Err(MetadataFlaw::metadata(
            "token_endpoint_auth_method of a native application is none",
        ));
    }
    Ok(method)
}

/// RFC 7591 §2.1: response types and grant types say the same thing twice, and must agree.
fn grant_types(read: &Metadata<'_>, policy: &Policy) -> Result<Vec<GrantType>, MetadataFlaw> {
    let written = read.texts("grant_types")?;
    let written = written.unwrap_or_else(|| vec!["authorization_code".to_owned()]);
    let mut grants = Vec::new();
    for name in &written {
        let grant = GrantType::from_name(name).filter(|one| policy.grant_types.contains(one));
        match grant {
            Some(grant) if !grants.contains(&grant) => grants.push(grant),
            Some(_) => {}
            None => {
                return Err(MetadataFlaw::metadata(format!(
                    "grant_types: {name} is not offered here"
                )));
            }
        }
    }
    let code = grants.contains(&GrantType::AuthorizationCode);
    let types = read.texts("response_types")?;
    let types = types.unwrap_or_else(|| {
        if code {
            vec!["code".to_owned()]
        } else {
            Vec::new()
        }
    });
    if let Some(other) = types.iter().find(|one| *one != "code") {
        return Err(MetadataFlaw::metadata(format!(
            "response_types: {other} is not offered here, only code"
        )));
    }
    if types.is_empty() == code {
        return Err(MetadataFlaw::metadata(
            "response_types and grant_types do not agree: code belongs to authorization_code",
        ));
    }
    Ok(grants)
}

/// What sort of program registers itself, from what it says of itself.
fn kind(
    method: ClientAuthMethod,
    native: bool,
    grants: &[GrantType],
    redirects: &[String],
) -> ClientKind {
    let code = grants.contains(&GrantType::AuthorizationCode);
    let device = grants.contains(&GrantType::DeviceCode);
    match (method.is_public(), code, device) {
        (false, false, false) => ClientKind::Service,
        (false, _, _) => ClientKind::Confidential,
        (true, false, true) => ClientKind::Device,
        // `application_type` is seldom written; a program that listens on the person's own machine
        // says the same.
        (true, _, _) if native || redirects.iter().all(|uri| !is_https(uri)) => ClientKind::Native,
        (true, _, _) => ClientKind::Browser,
    }
}

/// Whether the policy lets people be sent to each of these. What is no URI is found by
/// [`flaws_alone`], and holds no host that is allowed.
fn lead_where_they_may(
    (name, code): (&str, MetadataCode),
    uris: &[String],
    policy: &Policy,
) -> Result<(), MetadataFlaw> {
    let Some(hosts) = &policy.redirect_hosts else {
        return Ok(());
    };
    let allowed = |uri: &&String| {
        Url::parse(uri).is_ok_and(|url| {
            // A scheme of a program's own has no host that says whose it is.
            matches!(url.scheme(), "https" | "http")
                && url
                    .host_str()
                    .is_some_and(|host| hosts.iter().any(|one| one.holds(host)))
        })
    };
    match uris.iter().find(|uri| !allowed(uri)) {
        None => Ok(()),
        Some(uri) => Err(MetadataFlaw::new(
            code,
            format!("{name}: nobody may be sent to {uri}"),
        )),
    }
}

fn is_https(uri: &str) -> bool {
    Url::parse(uri).is_ok_and(|uri| uri.scheme() == "https")
}

/// Scopes by whom they belong to.
type Scopes = (Vec<IdentityScope>, BTreeMap<String, Vec<String>>);

/// RFC 7591 §2 `scope`; absent, it is all that the policy allows and the grants have a use for.
fn scopes(
    read: &Metadata<'_>,
    policy: &Policy,
    grants: &[GrantType],
) -> Result<Scopes, MetadataFlaw> {
    let people =
        grants.contains(&GrantType::AuthorizationCode) || grants.contains(&GrantType::DeviceCode);
    let useful = |scope: &IdentityScope| {
        people
            && (*scope != IdentityScope::OfflineAccess || grants.contains(&GrantType::RefreshToken))
    };
    let Some(written) = read.text("scope")? else {
        let identity = policy.identity_scopes.iter().copied().filter(useful);
        return Ok((identity.collect(), policy.grants.clone()));
    };
    let (mut identity, mut apis) = (Vec::new(), BTreeMap::<String, Vec<String>>::new());
    for scope in written.split(' ').filter(|scope| !scope.is_empty()) {
        let unknown = || MetadataFlaw::metadata(format!("scope: {scope} is not offered here"));
        if let Some(known) = IdentityScope::from_name(scope) {
            if !policy.identity_scopes.contains(&known) {
                return Err(unknown());
            }
            if !identity.contains(&known) {
                identity.push(known);
            }
            continue;
        }
        let mut found = false;
        for (api, allowed) in &policy.grants {
            if allowed.iter().any(|one| one == scope) {
                let held = apis.entry(api.clone()).or_default();
                if !held.iter().any(|one| one == scope) {
                    held.push(scope.to_owned());
                }
                found = true;
            }
        }
        if !found {
            return Err(unknown());
        }
    }
    Ok((identity, apis))
}

/// Where the client lists the redirect URIs of its sector (OpenID Registration §5). Subjects are
/// public here, so it changes nothing but this: its own URIs are held to the list, by
/// [`sector_holds`].
///
/// # Errors
/// [`MetadataFlaw`] for what is no https URL.
pub fn sector_identifier_uri(metadata: &Map<String, Value>) -> Result<Option<Url>, MetadataFlaw> {
    let Some(text) = Metadata(metadata).text("sector_identifier_uri")? else {
        return Ok(None);
    };
    match Url::parse(&text) {
        Ok(url) if url.scheme() == "https" && url.username().is_empty() => Ok(Some(url)),
        _ => Err(MetadataFlaw::metadata(
            "sector_identifier_uri is an https URL",
        )),
    }
}

/// Whether every redirect URI stands in the sector's list, as fetched.
///
/// # Errors
/// [`MetadataFlaw`] for a list that is none or lacks one.
pub fn sector_holds(spec: &ClientSpec, list: &Value) -> Result<(), MetadataFlaw> {
    let listed = |uri: &String| {
        list.as_array()
            .is_some_and(|list| list.iter().any(|one| one.as_str() == Some(uri)))
    };
    match spec.redirect_uris.iter().find(|uri| !listed(uri)) {
        None if list.is_array() => Ok(()),
        None => Err(MetadataFlaw::metadata(
            "sector_identifier_uri: there is no list of URIs",
        )),
        Some(uri) => Err(MetadataFlaw::metadata(format!(
            "sector_identifier_uri: {uri} is not in the list"
        ))),
    }
}

/// A client as the metadata of a registration response (RFC 7591 §3.2.1), with its `client_id`. The
/// secret, the registration access token and their times are the caller's to add.
pub fn to_metadata(client: &ClientMeaning) -> Map<String, Value> {
    let mut map = Map::new();
    let mut put = |name: &str, value: Value| drop(map.insert(name.to_owned(), value));
    put("client_id", client.client_id.as_str().into());
    put("client_name", client.display_name.as_str().into());
    let native = matches!(client.kind, ClientKind::Native);
    put(
        "application_type",
        if native { "native" } else { "web" }.into(),
    );
    put(
        "token_endpoint_auth_method",
        client.auth_method.name().into(),
    );
    let grants: Vec<_> = client.grant_types.iter().map(|one| one.name()).collect();
    put("grant_types", grants.into());
    let code = client.grant_types.contains(&GrantType::AuthorizationCode);
    let types: &[&str] = if code { &["code"] } else { &[] };
    put("response_types", types.to_vec().into());
    put("subject_type", "public".into());
    put("scope", scope(client).into());
    put(
        "id_token_signed_response_alg",
        client.id_token_alg.name().into(),
    );
    for (name, list) in [
        ("redirect_uris", &client.redirect_uris),
        (
            "post_logout_redirect_uris",
            &client.post_logout_redirect_uris,
        ),
        ("contacts", &client.contacts),
    ] {
        if !list.is_empty() {
            put(name, list.clone().into());
        }
    }
    for (name, set) in [
        ("require_pushed_authorization_requests", client.require_par),
        ("require_auth_time", client.require_auth_time),
        (
            "backchannel_logout_session_required",
            client.backchannel_logout_session_required,
        ),
        (
            "dpop_bound_access_tokens",
            client.sender_constraint == SenderConstraint::Dpop,
        ),
        (
            "tls_client_certificate_bound_access_tokens",
            client.sender_constraint == SenderConstraint::Mtls,
        ),
    ] {
        if set {
            put(name, true.into());
        }
    }
    let url = |url: &Option<Url>| url.as_ref().map(|url| url.as_str().to_owned());
    let alg = client.userinfo_alg.map(|alg| alg.name().to_owned());
    for (name, text) in [
        ("jwks_uri", url(&client.jwks_uri)),
        (
            "backchannel_logout_uri",
            url(&client.backchannel_logout_uri),
        ),
        ("userinfo_signed_response_alg", alg),
        ("client_uri", client.client_uri.clone()),
        ("logo_uri", client.logo_uri.clone()),
        ("policy_uri", client.policy_uri.clone()),
        ("tos_uri", client.tos_uri.clone()),
    ] {
        if let Some(text) = text {
            put(name, text.into());
        }
    }
    if let Some(set) = &client.jwks {
        let keys: Vec<_> = set.keys().iter().map(|key| key.to_json()).collect();
        put("jwks", serde_json::json!({ "keys": keys }));
    }
    if let Some(age) = client.default_max_age {
        put("default_max_age", age.as_secs().into());
    }
    if let Some(subject) = &client.certificate {
        let (name, value) = match subject {
            CertificateSubject::SubjectDn(text) => ("tls_client_auth_subject_dn", text.clone()),
            CertificateSubject::SanDns(text) => ("tls_client_auth_san_dns", text.clone()),
            CertificateSubject::SanUri(text) => ("tls_client_auth_san_uri", text.clone()),
            CertificateSubject::SanIp(address) => ("tls_client_auth_san_ip", address.to_string()),
            CertificateSubject::SanEmail(text) => ("tls_client_auth_san_email", text.clone()),
        };
        put(name, value.into());
    }
    map
}

/// Every scope that the client may ask for, each once.
fn scope(client: &ClientMeaning) -> String {
    let mut scopes: Vec<&str> = client
        .identity_scopes
        .iter()
        .map(|one| one.name())
        .collect();
    for (_, held) in &client.grants {
        for scope in held.iter() {
            if !scopes.contains(&scope) {
                scopes.push(scope);
            }
        }
    }
    scopes.join(" ")
}

#[cfg(test)]
mod tests;
