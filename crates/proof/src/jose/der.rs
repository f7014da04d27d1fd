//! Just enough DER (X.690) to take a public key out of a SubjectPublicKeyInfo (RFC 5280 §4.1.2.7)
//! and an RSAPublicKey (RFC 8017 §A.1.1) apart, and PEM (RFC 7468) around it. Strict: definite
//! lengths in their shortest form, nothing left over, one PEM block of the label `PUBLIC KEY`.
//! [`take`] and [`only`] read what responders answer too ([`crate::x509::ocsp`]).

use crate::base64std;

/// The bytes are not DER of the wanted shape.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) struct NotDer;

pub(crate) const SEQUENCE: u8 = 0x30;
pub(crate) const INTEGER: u8 = 0x02;
pub(crate) const BIT_STRING: u8 = 0x03;
pub(crate) const OBJECT_IDENTIFIER: u8 = 0x06;

/// A public key as SubjectPublicKeyInfo gives it: the algorithm's fields and the key bits.
pub(crate) struct SubjectPublicKeyInfo<'a> {
    /// Content of the algorithm's OBJECT IDENTIFIER.
    pub(crate) algorithm: &'a [u8],
    /// The whole encoded parameters, empty if absent.
    pub(crate) parameters: &'a [u8],
    /// The key.
    pub(crate) key: &'a [u8],
}

/// Takes one element with `tag` off the front: its content, and the rest.
pub(crate) fn take(input: &[u8], tag: u8) -> Result<(&[u8], &[u8]), NotDer> {
    let [first, length, rest @ ..] = input else {
        return Err(NotDer);
    };
    if *first != tag {
        return Err(NotDer);
    }
    let (length, rest) = match *length {
        short @ 0..=0x7f => (usize::from(short), rest),
        0x81 => match rest {
            [n @ 0x80..=0xff, rest @ ..] => (usize::from(*n), rest),
            _ => return Err(NotDer),
        },
        0x82 => match rest {
            [high @ 1..=0xff, low, rest @ ..] => {
                (usize::from(u16::from_be_bytes([*high, *low])), rest)
            }
            _ => return Err(NotDer),
        },
        // Indefinite lengths are BER; nothing that is read here has three bytes of length.
        _ => return Err(NotDer),
    };
    rest.split_at_checked(length).ok_or(NotDer)
}

/// The content of the one element that fills `input`.
pub(crate) fn only(input: &[u8], tag: u8) -> Result<&[u8], NotDer> {
    match take(input, tag)? {
        (content, []) => Ok(content),
        _ => Err(NotDer),
    }
}

pub(crate) fn subject_public_key_info(der: &[u8]) -> Result<SubjectPublicKeyInfo<'_>, NotDer> {
    let (algorithm, rest) = take(only(der, SEQUENCE)?, SEQUENCE)?;
    let (algorithm, parameters) = take(algorithm, OBJECT_IDENTIFIER)?;
    match only(rest, BIT_STRING)? {
        // No unused bits: every key is whole bytes.
        [0, key @ ..] => Ok(SubjectPublicKeyInfo {
            algorithm,
            parameters,
            key,
        }),
        _ => Err(NotDer),
    }
}

/// Modulus and exponent without leading zeros.
pub(crate) fn rsa_public_key(der: &[u8]) -> Result<(&[u8], &[u8]), NotDer> {
    let (modulus, rest) = take(only(der, SEQUENCE)?, INTEGER)?;
    let exponent = only(rest, INTEGER)?;
    Ok((positive(modulus)?, positive(exponent)?))
}

/// A positive INTEGER's magnitude: one zero byte in front only where the top bit is set.
fn positive(content: &[u8]) -> Result<&[u8], NotDer> {
    match content {
        [0, 0x80..=0xff, ..] => Ok(&content[1..]),
        [1..=0x7f, ..] => Ok(content),
        _ => Err(NotDer),
    }
}

/// The DER inside one PEM block `PUBLIC KEY` that fills the text; a line break may follow it.
pub(crate) fn public_key_pem(pem: &str) -> Result<Vec<u8>, NotDer> {
    let body = pem
        .strip_prefix("-----BEGIN PUBLIC KEY-----")
        .and_then(|rest| {
            rest.trim_end_matches(['\r', '\n'])
                .strip_suffix("-----END PUBLIC KEY-----")
        })
        .ok_or(NotDer)?;
    if !body.starts_with(['\r', '\n']) || !body.ends_with('\n') {
        return Err(NotDer);
    }
    let joined: String = body.lines().collect();
    base64std::decode(joined.as_bytes()).map_err(|_| NotDer)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lengths_have_one_form() {
        assert_eq!(only(&[0x30, 1, 7], SEQUENCE), Ok(&[7][..]));
        let long = [&[0x30, 0x81, 0x80][..], &[7; 0x80]].concat();
        assert_eq!(only(&long, SEQUENCE), Ok(&[7; 0x80][..]));
        for bad in [
            &[][..],
            &[0x30],
            &[0x30, 2, 7],
            &[0x30, 1, 7, 0],
            &[0x31, 1, 7],
            &[0x30, 0x80, 7, 0, 0],
            &[0x30, 0x81, 1, 7],
            &[0x30, 0x82, 0, 1, 7],
            &[0x30, 0x83, 0, 0, 1, 7],
        ] {
            assert_eq!(only(bad, SEQUENCE), Err(NotDer), "{bad:x?}");
        }
    }

    #[test]
    fn integers_are_positive_and_shortest() {
        assert_eq!(positive(&[0, 0x80]), Ok(&[0x80][..]));
        assert_eq!(positive(&[1, 0, 1]), Ok(&[1, 0, 1][..]));
        for bad in [&[][..], &[0], &[0, 1], &[0x80], &[0xff, 1]] {
            assert_eq!(positive(bad), Err(NotDer), "{bad:x?}");
        }
    }

    #[test]
    fn c01_pem_with_anything_around_it_is_refused() {
        let good = "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n";
        assert_eq!(public_key_pem(good), Ok(vec![0, 0, 0]));
        assert_eq!(
            public_key_pem(&good.replace('\n', "\r\n")),
            Ok(vec![0, 0, 0])
        );
        for bad in [
            format!(" {good}"),
            format!("\n{good}"),
            format!("{good} "),
            format!("{good}{good}"),
            good.replace("AAAA", "AAA"),
            good.replace("AAAA", " AAAA"),
            good.replace("PUBLIC", "PRIVATE"),
            good.replace("PUBLIC KEY", "CERTIFICATE"),
            good.replace("-----\nAAAA\n-----", "-----AAAA-----"),
            String::new(),
        ] {
            assert_eq!(public_key_pem(&bad), Err(NotDer), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_refused_without_a_panic(bytes: Vec<u8>, text: String) {
            let _ = subject_public_key_info(&bytes).is_ok();
            let _ = rsa_public_key(&bytes);
            let _ = public_key_pem(&text);
        }
    }
}
