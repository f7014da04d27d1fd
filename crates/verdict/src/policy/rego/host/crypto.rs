//! `crypto.*`: digests, and certificates as data. SHA-1 and MD5 are not offered: nothing that decides
//! should stand on them.

use proof::digest::{self, MacHash};
use proof::x509::Certificate;
use regorus::Value;

use super::text;

/// Most certificates that one text may have.
const MAX_CERTIFICATES: usize = 16;

/// `crypto.sha256`: hexadecimal.
pub(super) fn sha256(of: &Value) -> Option<Value> {
    let digest = digest::sha256(text(of)?.as_bytes());
    Some(Value::from(digest::hex(&digest)))
}

/// `crypto.hmac.sha256`: hexadecimal.
pub(super) fn hmac_sha256(of: &Value, key: &Value) -> Option<Value> {
    hmac(MacHash::Sha256, of, key)
}

/// `crypto.hmac.sha512`: hexadecimal.
pub(super) fn hmac_sha512(of: &Value, key: &Value) -> Option<Value> {
    hmac(MacHash::Sha512, of, key)
}

fn hmac(hash: MacHash, of: &Value, key: &Value) -> Option<Value> {
    let tag = hash.tag(text(key)?.as_bytes(), text(of)?.as_bytes());
    Some(Value::from(digest::hex(&tag)))
}

/// `crypto.hmac.equal`: in a time that tells nothing of where two texts differ.
pub(super) fn equal(one: &Value, other: &Value) -> Option<Value> {
    let (one, other) = (text(one)?, text(other)?);
    let same = proof::secret::Secret::new(one.as_bytes()).matches(other.as_bytes());
    Some(Value::from(same))
}

/// `crypto.x509.parse_certificates`, from PEM: of what OPA tells, the names and the end.
pub(super) fn certificates(pem: &Value) -> Option<Value> {
    let list = Certificate::from_pem(text(pem)?.as_bytes()).ok()?;
    if list.len() > MAX_CERTIFICATES {
        return None;
    }
    let told: Vec<_> = list
        .iter()
        .map(|one| {
            let addresses = one.ip_addresses().iter().map(ToString::to_string);
            serde_json::json!({
                "Subject": one.subject_dn(),
                "DNSNames": one.dns_names(),
                "EmailAddresses": one.emails(),
                "IPAddresses": addresses.collect::<Vec<_>>(),
                "URIStrings": one.uris(),
                "NotAfter": one.not_after().as_millis(),
                "Thumbprint": one.thumbprint(),
            })
        })
        .collect();
    Some(Value::from(serde_json::Value::from(told)))
}
