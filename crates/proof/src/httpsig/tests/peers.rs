//! What libraries of two other languages sign verifies here.

use super::*;

const MADE: &str = include_str!("../../../../../vectors/httpsig/peers.json");

#[test]
fn what_other_libraries_sign_verifies() {
    let file: Value = serde_json::from_str(MADE).unwrap();
    let mut seen = 0;
    for set in file["sets"].as_array().unwrap() {
        let now = Timestamp::from_secs(set["now"].as_i64().unwrap());
        for case in set["requests"].as_array().unwrap() {
            let text = |name: &str| case[name].as_str().unwrap();
            let name = format!("{} {}", text("peer"), text("key"));
            let request = request_of(case);
            let published = Published::read(set, text("key"));
            let head = request.head();
            let claimed = parse(&head, Some("orders")).unwrap().unwrap();
            let verified = claimed.verify(&[published.key()], now, &Rules::default());
            let verified = verified.unwrap_or_else(|defect| panic!("{name}: {defect}"));
            assert_eq!(verified.nonce, Some(format!("n-{}", text("key"))), "{name}");
            let mut check = verified.body.into_check();
            let mut out = Vec::new();
            check.push(text("body").as_bytes(), &mut out).unwrap();
            check.finish().unwrap();
            seen += 1;

            let mut other = request.clone();
            other.path.push('x');
            let claimed = parse(&other.head(), Some("orders")).unwrap().unwrap();
            let verdict = claimed.verify(&[published.key()], now, &Rules::default());
            assert_eq!(verdict.unwrap_err(), HttpSigDefect::Signature, "{name}");
        }
    }
    assert_eq!(seen, 9);
}
