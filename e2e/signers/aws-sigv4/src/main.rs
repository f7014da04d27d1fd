//! The signer of the AWS SDK for Rust signs with a key that `doorward secret create` made.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SignatureLocation,
    SigningSettings, UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4;
use http::Request;

struct Key {
    id: String,
    secret: String,
}

/// How the SDK signs for a service.
fn settings(service: &str) -> SigningSettings {
    let mut settings = SigningSettings::default();
    if service == "s3" {
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
    }
    settings
}

fn signed(
    key: &Key,
    service: &str,
    settings: SigningSettings,
    request: Request<Vec<u8>>,
    unsigned: bool,
) -> Request<Vec<u8>> {
    let identity = Credentials::new(&key.id, &key.secret, None, None, "doorward").into();
    let parameters = v4::SigningParams::builder()
        .identity(&identity)
        .region("eu-central-1")
        .name(service)
        .time(SystemTime::now())
        .settings(settings)
        .build()
        .expect("complete parameters")
        .into();
    let fields = request
        .headers()
        .iter()
        .map(|(name, value)| (name.as_str(), value.to_str().expect("text")));
    let body = match unsigned {
        true => SignableBody::UnsignedPayload,
        false => SignableBody::Bytes(request.body()),
    };
    let uri = request.uri().to_string();
    let signable = SignableRequest::new(request.method().as_str(), uri, fields, body);
    let signed = sign(signable.expect("signable"), &parameters).expect("signed");
    let (instructions, _) = signed.into_parts();
    let mut request = request;
    instructions.apply_to_request_http1x(&mut request);
    request
}

/// Sends a request as it is; the status.
fn send(request: &Request<Vec<u8>>) -> u16 {
    let authority = request.uri().authority().expect("an authority");
    let target = request.uri().path_and_query().expect("a target");
    let mut text = format!(
        "{} {target} HTTP/1.1\r\nhost: {authority}\r\n",
        request.method()
    );
    for (name, value) in request.headers() {
        text += &format!("{name}: {}\r\n", value.to_str().expect("text"));
    }
    text += &format!(
        "content-length: {}\r\nconnection: close\r\n\r\n",
        request.body().len()
    );
    let mut stream = TcpStream::connect(authority.as_str()).expect("the gateway");
    stream.write_all(text.as_bytes()).expect("sent");
    stream.write_all(request.body()).expect("sent");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("an answer");
    let status = answer.get(9..12).map(String::from_utf8_lossy);
    status
        .and_then(|status| status.parse().ok())
        .expect("a status")
}

fn request(method: &str, url: String, body: &[u8]) -> Request<Vec<u8>> {
    let mut request = Request::builder().method(method).uri(url);
    if !body.is_empty() {
        request = request.header("content-type", "application/json");
    }
    request.body(body.to_vec()).expect("a request")
}

fn main() {
    let facts = std::fs::read(std::env::var("FACTS").expect("FACTS")).expect("facts");
    let facts: serde_json::Value = serde_json::from_slice(&facts).expect("facts");
    let text = |value: &serde_json::Value| value.as_str().expect("text").to_owned();
    let key = Key {
        id: text(&facts["sigv4"]["id"]),
        secret: text(&facts["sigv4"]["secret"]),
    };
    let plain = text(&facts["plain"]);
    let expect = |what: &str, request: &Request<Vec<u8>>, status: u16| {
        assert_eq!(send(request), status, "{what}");
        println!("✓ {what}");
    };

    let get = |service: &str, path: &str| {
        signed(
            &key,
            service,
            settings(service),
            request("GET", format!("{plain}{path}"), b""),
            false,
        )
    };
    expect(
        "GET with a query",
        &get("execute-api", "/orders?b=2&a=x%20y"),
        200,
    );
    for service in ["execute-api", "s3"] {
        expect(
            &format!("a path that is encoded, {service}"),
            &get(service, "/orders/a%20b%2Bc"),
            200,
        );
    }
    expect("another service", &get("dynamodb", "/orders"), 401);

    let body = br#"{"item":"tea"}"#;
    let post = |service| {
        signed(
            &key,
            service,
            settings(service),
            request("POST", format!("{plain}/orders"), body),
            false,
        )
    };
    for service in ["execute-api", "s3"] {
        expect(&format!("POST, {service}"), &post(service), 200);
        let mut changed = post(service);
        changed.body_mut()[9] ^= 1;
        expect(&format!("POST, another body, {service}"), &changed, 401);
    }
    // Not like any before: times are whole seconds, and two equal calls in one have one signature.
    let once = get("execute-api", "/orders?once=1");
    expect("a signature", &once, 200);
    expect("the same once more", &once, 401);

    let mut presigning = settings("execute-api");
    presigning.signature_location = SignatureLocation::QueryParams;
    presigning.expires_in = Some(Duration::from_secs(600));
    let url = format!("{plain}/orders?cup=two");
    let presigned = signed(
        &key,
        "execute-api",
        presigning,
        request("GET", url, b""),
        false,
    );
    expect("presigned", &presigned, 200);
    expect("presigned, again", &presigned, 200);
    let other = presigned.uri().to_string().replace("cup=two", "cup=twi");
    expect("presigned, another query", &request("GET", other, b""), 401);

    for (path, status) in [("/store/cups/tea", 200), ("/orders/tea", 401)] {
        let call = request("PUT", format!("{plain}{path}"), body);
        let call = signed(&key, "s3", settings("s3"), call, true);
        expect(&format!("an unsigned body to {path}"), &call, status);
    }
}
