//! What happens to a signed request under way (RFC 9421 appendices B.3 and B.4): a proxy that ends TLS
//! signs what it adds, and others change what nobody covered.

use super::*;
use crate::x509::{self, Certificate, RelayFormat};

/// The request of a case with the case's signature, judged by its key.
fn verdict(request: &Owned, file: &Value, case: &Value, rules: &Rules<'_>) -> Verdict {
    let text = |name: &str| case[name].as_str().unwrap();
    let request = request
        .clone()
        .with("signature-input", text("input"))
        .with("signature", text("signature"));
    let published = Published::read(file, text("key"));
    let head = request.head();
    let claimed = parse(&head, None).unwrap().unwrap();
    claimed.verify(&[published.key()], now(), rules)
}

type Verdict = Result<Verified, HttpSigDefect>;

#[test]
fn a_proxy_that_ends_tls_signs_the_certificate_that_it_relays() {
    let file = rfc();
    let case = &file["proxied"];
    let request = request_of(case);
    let verified = verdict(&request, &file, case, &lax()).unwrap();
    assert!(verified.covered.iter().any(|name| name == "client-cert"));

    let relayed = request.headers["client-cert"].to_str().unwrap();
    let chain = x509::read_relayed(RelayFormat::Rfc9440, relayed, None).unwrap();
    assert_eq!(chain.len(), 1);
    let certificate = Certificate::parse(&chain[0]).unwrap();
    assert_eq!(certificate.emails(), ["bdc@example.com"]);

    // Another certificate, or none.
    let mut other = request.clone();
    other.set("client-cert", &relayed.replacen("MIIBqDCC", "MIIBqDCD", 1));
    let refused = verdict(&other, &file, case, &lax()).unwrap_err();
    assert_eq!(refused, HttpSigDefect::Signature);
    other.headers.remove("client-cert");
    let refused = verdict(&other, &file, case, &lax()).unwrap_err();
    assert_eq!(refused, HttpSigDefect::ComponentMissing);
    // A second one beside it is covered as well.
    let mut other = request.clone();
    other.add("client-cert", relayed);
    let refused = verdict(&other, &file, case, &lax()).unwrap_err();
    assert_eq!(refused, HttpSigDefect::Signature);
    // The proxy vouches for the certificate, and not for the body: by default that is not enough.
    let refused = verdict(&request, &file, case, &Rules::default()).unwrap_err();
    assert_eq!(refused, HttpSigDefect::NotCovered);
}

#[test]
fn d03_what_was_covered_may_not_change_under_way_and_the_rest_may() {
    let file = rfc();
    let case = &file["transformed"];
    let (mut kept, mut broken) = (0, 0);
    for changed in case["requests"].as_array().unwrap() {
        let what = changed["what"].as_str().unwrap();
        let verdict = verdict(&request_of(changed), &file, case, &lax()).map(|_| ());
        if changed["keeps"].as_bool().unwrap() {
            assert_eq!(verdict, Ok(()), "{what}");
            kept += 1;
        } else {
            assert_eq!(verdict, Err(HttpSigDefect::Signature), "{what}");
            broken += 1;
        }
    }
    assert_eq!((kept, broken), (4, 2));
    // A query that nobody covers may change, which is why a verifier asks for it by default.
    let request = request_of(&case["requests"][1]);
    let refused = verdict(&request, &file, case, &Rules::default()).unwrap_err();
    assert_eq!(refused, HttpSigDefect::NotCovered);
}
