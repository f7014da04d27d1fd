//! **A client's certificate in a header field**, as proxies that end TLS pass it on: RFC 9440, and
//! the spellings of common proxies. Reading trusts nothing; whether the sender of the field may
//! speak for the client is the reader's question, and the certificate is judged like any other.

use percent_encoding::percent_decode_str;
use rustls_pki_types::{CertificateDer, pem::PemObject as _};

use super::{MAX_CERTIFICATE_BYTES, MAX_INTERMEDIATES, X509Defect};
use crate::{base64std, quoted};

/// How a proxy writes the certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RelayFormat {
    /// `Client-Cert` and `Client-Cert-Chain`: DER as structured byte sequences (RFC 9440 §2).
    Rfc9440,
    /// Percent-encoded PEM in a field of its own: nginx (`$ssl_client_escaped_cert` in
    /// `X-SSL-Client-Cert`), Apache with `escape`, AWS load balancers (`X-Amzn-Mtls-Clientcert`).
    EscapedPem,
    /// Envoy's `X-Forwarded-Client-Cert`, one element with `Cert` or `Chain` in percent-encoded PEM.
    Envoy,
    /// Traefik's `X-Forwarded-Tls-Client-Cert`: base64 of DER, divided by commas, leaf first.
    Traefik,
}

/// The longest value that is read: a chain of certificates, percent-encoded.
pub const MAX_RELAYED_BYTES: usize = 64 * 1024;

/// Reads the certificates that a proxy wrote, leaf first. `chain` is the second field of RFC 9440.
///
/// # Errors
/// [`X509Defect::NotPem`] or [`X509Defect::NotDer`] by the format; too long, too many.
pub fn read_relayed(
    format: RelayFormat,
    value: &str,
    chain: Option<&str>,
) -> Result<Vec<Vec<u8>>, X509Defect> {
    if value.len() > MAX_RELAYED_BYTES || chain.is_some_and(|chain| chain.len() > MAX_RELAYED_BYTES)
    {
        return Err(X509Defect::TooLong);
    }
    let found = match format {
        RelayFormat::Rfc9440 => {
            let mut found = vec![byte_sequence(value)?];
            for item in chain.into_iter().flat_map(|chain| chain.split(',')) {
                found.push(byte_sequence(item)?);
            }
            found
        }
        RelayFormat::EscapedPem => escaped_pem(value)?,
        RelayFormat::Envoy => envoy(value)?,
        RelayFormat::Traefik => {
            let whole = unescape(value)?;
            whole
                .split(',')
                .map(|item| base64std::decode(item.as_bytes()).map_err(|_| X509Defect::NotDer))
                .collect::<Result<_, _>>()?
        }
    };
    if found.len() > MAX_INTERMEDIATES + 1 {
        return Err(X509Defect::TooManyIntermediates);
    }
    if found.iter().any(|der| der.len() > MAX_CERTIFICATE_BYTES) {
        return Err(X509Defect::TooLong);
    }
    if found.is_empty() {
        return Err(X509Defect::NotPem);
    }
    Ok(found)
}

/// `:base64:` (RFC 8941 §3.3.5), without parameters.
fn byte_sequence(item: &str) -> Result<Vec<u8>, X509Defect> {
    item.trim_matches(' ')
        .strip_prefix(':')
        .and_then(|rest| rest.strip_suffix(':'))
        .filter(|inner| !inner.is_empty())
        .and_then(|inner| base64std::decode(inner.as_bytes()).ok())
        .ok_or(X509Defect::NotDer)
}

fn unescape(value: &str) -> Result<String, X509Defect> {
    percent_decode_str(value)
        .decode_utf8()
        .map(std::borrow::Cow::into_owned)
        .map_err(|_| X509Defect::NotPem)
}

fn escaped_pem(value: &str) -> Result<Vec<Vec<u8>>, X509Defect> {
    let pem = unescape(value)?;
    CertificateDer::pem_slice_iter(pem.as_bytes())
        .map(|der| der.map(|der| der.to_vec()).map_err(|_| X509Defect::NotPem))
        .collect()
}

/// One element: two would be two proxies' words, and which of them saw the client can't be told.
///
/// `Subject` and `URI` are texts of the client's own choice: a quote in one stands behind a backslash
/// and ends nothing. Percent-encoded PEM has neither, so there neither is believed.
fn envoy(value: &str) -> Result<Vec<Vec<u8>>, X509Defect> {
    if !quoted::is_closed(value) {
        return Err(X509Defect::NotPem);
    }
    let mut cert = None;
    let mut chain = None;
    for pair in quoted::split(value, ';') {
        let (key, text) = pair.split_once('=').ok_or(X509Defect::NotPem)?;
        if quoted::split(text, ',').nth(1).is_some() {
            return Err(X509Defect::NotPem);
        }
        let slot = match key {
            "Cert" => &mut cert,
            "Chain" => &mut chain,
            _ => continue,
        };
        let text = text
            .strip_prefix('"')
            .and_then(|rest| rest.strip_suffix('"'))
            .unwrap_or(text);
        if text.contains(['"', '\\']) {
            return Err(X509Defect::NotPem);
        }
        if slot.replace(escaped_pem(text)?).is_some() {
            return Err(X509Defect::NotPem);
        }
    }
    match (cert, chain) {
        // The chain begins with the certificate itself.
        (Some(cert), Some(chain)) if cert.first() != chain.first() => Err(X509Defect::NotPem),
        (_, Some(chain)) => Ok(chain),
        (Some(cert), None) => Ok(cert),
        (None, None) => Err(X509Defect::NotPem),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pem(name: &str) -> (String, Vec<u8>) {
        let key = rcgen::KeyPair::generate().expect("a key");
        let params = rcgen::CertificateParams::new([name.to_owned()]).expect("a name");
        let certificate = params.self_signed(&key).expect("a certificate");
        (certificate.pem(), certificate.der().to_vec())
    }

    fn escape(text: &str) -> String {
        percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
    }

    #[test]
    fn every_format_gives_the_certificate_that_was_written_and_its_chain() {
        let ((leaf_pem, leaf), (other_pem, other)) = (pem("leaf.test"), pem("other.test"));
        let b64 = |der: &[u8]| base64std::encode(der);
        let both = vec![leaf.clone(), other.clone()];
        let chain = format!(":{}:", b64(&other));
        let cases = [
            (
                RelayFormat::Rfc9440,
                format!(":{}:", b64(&leaf)),
                Some(chain.as_str()),
            ),
            (
                RelayFormat::EscapedPem,
                escape(&format!("{leaf_pem}{other_pem}")),
                None,
            ),
            (
                RelayFormat::Envoy,
                format!(
                    "Hash=00;Cert=\"{}\";Subject=\"CN=a;b,c\";Chain=\"{}\"",
                    escape(&leaf_pem),
                    escape(&format!("{leaf_pem}{other_pem}"))
                ),
                None,
            ),
            (
                RelayFormat::Traefik,
                format!("{},{}", b64(&leaf), b64(&other)),
                None,
            ),
            (
                RelayFormat::Traefik,
                escape(&format!("{},{}", b64(&leaf), b64(&other))),
                None,
            ),
        ];
        for (format, value, chain) in cases {
            assert_eq!(
                read_relayed(format, &value, chain),
                Ok(both.clone()),
                "{format:?}"
            );
        }
    }

    #[test]
    fn b02_a_subject_with_quotes_in_it_speaks_for_no_other_certificate() {
        let ((own_pem, own), (other_pem, _)) = (pem("own.test"), pem("other.test"));
        let (own_pem, other_pem) = (escape(&own_pem), escape(&other_pem));
        let forged = format!(r#"Subject="CN=a\";Cert=\"{other_pem}\";b=\"""#);
        for value in [
            format!(r#"Hash=00;{forged};Cert="{own_pem}""#),
            format!(r#"Hash=00;Cert="{own_pem}";{forged}"#),
        ] {
            let read = read_relayed(RelayFormat::Envoy, &value, None);
            assert_eq!(read, Ok(vec![own.clone()]), "{value}");
        }
        // No other is there, or a quote is left open, or what is there is not percent-encoded.
        for value in [
            forged,
            format!(r#"Cert="{other_pem}";Subject="CN=a\""#),
            format!(r#"Subject="CN=a;Cert="{other_pem}""#),
            format!(r#"Cert="\"{other_pem}""#),
            format!(r#"Cert=\"{other_pem}\""#),
        ] {
            assert!(
                read_relayed(RelayFormat::Envoy, &value, None).is_err(),
                "{value}"
            );
        }
    }

    #[test]
    fn what_is_no_certificate_in_the_format_is_refused() {
        let (leaf_pem, leaf) = pem("leaf.test");
        let b64 = base64std::encode(&leaf);
        let element = format!("Cert=\"{}\"", escape(&leaf_pem));
        let other = format!("Chain=\"{}\"", escape(&pem("other.test").0));
        let cases = [
            (RelayFormat::Rfc9440, b64.clone()),
            (RelayFormat::Rfc9440, "::".to_owned()),
            (RelayFormat::Rfc9440, format!(":{b64}:;a=1")),
            (RelayFormat::Rfc9440, String::new()),
            (RelayFormat::EscapedPem, b64),
            (RelayFormat::EscapedPem, String::new()),
            (RelayFormat::Envoy, "Hash=00".to_owned()),
            (RelayFormat::Envoy, format!("{element},{element}")),
            (RelayFormat::Envoy, format!("{element};{element}")),
            (RelayFormat::Envoy, format!("{element};{other}")),
            (RelayFormat::Traefik, "no base64".to_owned()),
            (RelayFormat::EscapedPem, "x".repeat(MAX_RELAYED_BYTES + 1)),
        ];
        for (format, value) in cases {
            assert!(
                read_relayed(format, &value, None).is_err(),
                "{format:?} {value}"
            );
        }
    }
}
