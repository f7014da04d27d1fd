//! Distinguished names as text (RFC 4514): written from a certificate, and compared attribute by
//! attribute, so that another order of escapes, another case of a type's name or a dotted number in
//! its place make no difference, and another value always does. Values compare exactly, with their
//! case: a name that is registered for a client is the name in its certificate, and nothing that
//! resembles it.

use x509_parser::{
    der_parser::asn1_rs::{Any, FromDer as _, Tag, ToDer as _},
    x509::X509Name,
};

use crate::digest::{hex, unhex};

/// Longest name as text.
const MAX_DN_BYTES: usize = 4 * 1024;

/// Attribute types with a name of their own: RFC 4514 §3, RFC 4519 §2, RFC 2985 §5.2.1. The first
/// name of a number is the one that is written.
const TYPES: [(&str, &str); 21] = [
    ("CN", "2.5.4.3"),
    ("L", "2.5.4.7"),
    ("ST", "2.5.4.8"),
    ("O", "2.5.4.10"),
    ("OU", "2.5.4.11"),
    ("C", "2.5.4.6"),
    ("STREET", "2.5.4.9"),
    ("DC", "0.9.2342.19200300.100.1.25"),
    ("UID", "0.9.2342.19200300.100.1.1"),
    ("serialNumber", "2.5.4.5"),
    ("SN", "2.5.4.4"),
    ("title", "2.5.4.12"),
    ("description", "2.5.4.13"),
    ("businessCategory", "2.5.4.15"),
    ("postalCode", "2.5.4.17"),
    ("givenName", "2.5.4.42"),
    ("initials", "2.5.4.43"),
    ("dnQualifier", "2.5.4.46"),
    ("organizationIdentifier", "2.5.4.97"),
    ("emailAddress", "1.2.840.113549.1.9.1"),
    ("S", "2.5.4.8"),
];

/// Whether a text is a name with at least one part, so that it could match something.
pub fn is_dn(text: &str) -> bool {
    dn_matches(text, text)
}

/// Whether two names are the same: as many parts in the same order, each with the same set of
/// attributes. A text that is no RFC 4514 name, or an empty one, matches nothing.
pub fn dn_matches(a: &str, b: &str) -> bool {
    match (read(a), read(b)) {
        (Some(a), Some(b)) => !a.is_empty() && a == b,
        _ => false,
    }
}

/// One attribute: the type's number in dots, and the value.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Attribute {
    kind: String,
    value: Value,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Value {
    Text(String),
    /// A whole DER element of another than a string type.
    Der(Vec<u8>),
}

/// The name as RFC 4514 §2 writes it; `None` if a value has no readable encoding.
pub(super) fn write(name: &X509Name<'_>) -> Option<String> {
    let mut text = String::new();
    let parts: Vec<_> = name.iter_rdn().collect();
    // §2.1: the last part comes first.
    for part in parts.into_iter().rev() {
        let mut first_of_part = true;
        for attribute in part.iter() {
            match (text.is_empty(), first_of_part) {
                (true, _) => {}
                (false, true) => text.push(','),
                (false, false) => text.push('+'),
            }
            first_of_part = false;
            let kind = attribute.attr_type().to_id_string();
            let value = value_of(attribute.attr_value())?;
            let short = TYPES.iter().find(|(_, number)| *number == kind);
            match (short, value) {
                (Some((short, _)), Value::Text(value)) => {
                    text.push_str(short);
                    text.push('=');
                    escape(&value, &mut text);
                }
                // §2.4: a type without a name, or a value that is no string, is written in hex.
                (_, _) => {
                    text.push_str(&kind);
                    text.push_str("=#");
                    text.push_str(&hex(&attribute.attr_value().to_der_vec().ok()?));
                }
            }
        }
    }
    (text.len() <= MAX_DN_BYTES).then_some(text)
}

/// A value's text, whichever of ASN.1's string types holds it.
fn value_of(any: &Any<'_>) -> Option<Value> {
    let utf8 = |bytes: &[u8]| std::str::from_utf8(bytes).ok().map(str::to_owned);
    let text = match any.tag() {
        Tag::Utf8String => utf8(any.data)?,
        Tag::PrintableString | Tag::Ia5String | Tag::NumericString | Tag::VisibleString => {
            utf8(any.data).filter(|text| text.is_ascii())?
        }
        // Latin-1 in practice: every byte is its code point.
        Tag::T61String => any.data.iter().copied().map(char::from).collect(),
        Tag::BmpString => {
            let (units, rest) = any.data.as_chunks::<2>();
            if !rest.is_empty() {
                return None;
            }
            let units: Vec<u16> = units.iter().copied().map(u16::from_be_bytes).collect();
            String::from_utf16(&units).ok()?
        }
        _ => return any.to_der_vec().ok().map(Value::Der),
    };
    Some(Value::Text(text))
}

/// RFC 4514 §2.4.
fn escape(value: &str, text: &mut String) {
    let last = value.chars().count().saturating_sub(1);
    for (at, letter) in value.chars().enumerate() {
        let edge = (letter == ' ' && (at == 0 || at == last)) || (letter == '#' && at == 0);
        match letter {
            '"' | '+' | ',' | ';' | '<' | '>' | '\\' => {
                text.push('\\');
                text.push(letter);
            }
            _ if edge => {
                text.push('\\');
                text.push(letter);
            }
            // Controls could break a line of a log.
            _ if letter.is_control() => {
                let mut bytes = [0; 4];
                for byte in letter.encode_utf8(&mut bytes).bytes() {
                    text.push('\\');
                    text.push_str(&hex(&[byte]));
                }
            }
            _ => text.push(letter),
        }
    }
}

/// Reads a name (RFC 4514 §3): parts in order, the attributes of each sorted. Blanks around
/// separators, which RFC 1779 and many tools write, mean nothing.
fn read(text: &str) -> Option<Vec<Vec<Attribute>>> {
    if text.len() > MAX_DN_BYTES {
        return None;
    }
    let mut parts = Vec::new();
    let mut part = Vec::new();
    // The end is the last value's: its blanks may be escaped.
    let mut rest = text.trim_start_matches(' ');
    if rest.is_empty() {
        return Some(parts);
    }
    loop {
        let (kind, after) = rest.split_once('=')?;
        let kind = type_number(kind.trim_matches(' '))?;
        let (value, separator, after) = read_value(after)?;
        part.push(Attribute { kind, value });
        if separator != Some('+') {
            part.sort();
            parts.push(std::mem::take(&mut part));
        }
        if separator.is_none() {
            return Some(parts);
        }
        rest = after;
    }
}

fn type_number(kind: &str) -> Option<String> {
    if let Some((_, number)) = TYPES
        .iter()
        .find(|(short, _)| short.eq_ignore_ascii_case(kind))
    {
        return Some((*number).to_owned());
    }
    let arcs = kind.split('.');
    let plain = |arc: &str| {
        !arc.is_empty()
            && arc.bytes().all(|b| b.is_ascii_digit())
            && (arc == "0" || !arc.starts_with('0'))
    };
    (arcs.clone().count() >= 2 && arcs.clone().all(plain)).then(|| kind.to_owned())
}

/// One value, the separator that ends it (none at the end of the text), and what follows.
fn read_value(text: &str) -> Option<(Value, Option<char>, &str)> {
    let text = text.trim_start_matches(' ');
    if let Some(hexadecimal) = text.strip_prefix('#') {
        let end = hexadecimal.find([',', '+']).unwrap_or(hexadecimal.len());
        let (digits, rest) = hexadecimal.split_at(end);
        let der = unhex(&digits.trim_end_matches(' ').to_ascii_lowercase())?;
        let (left, any) = Any::from_der(&der).ok()?;
        if !left.is_empty() {
            return None;
        }
        let separator = rest.chars().next();
        return Some((value_of(&any)?, separator, rest.get(1..).unwrap_or("")));
    }
    let mut bytes = Vec::new();
    // How many bytes are certain: unescaped blanks at the end are none of the value's.
    let mut certain = 0;
    let mut letters = text.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '\\' => {
                let (_, escaped) = letters.next()?;
                if let Some(high) = escaped.to_digit(16) {
                    let (_, low) = letters.next()?;
                    bytes.push(u8::try_from(high * 16 + low.to_digit(16)?).ok()?);
                } else if matches!(
                    escaped,
                    '"' | '+' | ',' | ';' | '<' | '>' | '\\' | ' ' | '#' | '='
                ) {
                    bytes.push(u8::try_from(escaped).ok()?);
                } else {
                    return None;
                }
                certain = bytes.len();
            }
            ',' | '+' => {
                bytes.truncate(certain);
                let value = Value::Text(String::from_utf8(bytes).ok()?);
                return Some((value, Some(letter), &text[at + 1..]));
            }
            // Quoting and `;` are LDAPv2's: another reader could split the text elsewhere.
            '"' | ';' | '<' | '>' | '\0' => return None,
            _ => {
                let mut buffer = [0; 4];
                bytes.extend_from_slice(letter.encode_utf8(&mut buffer).as_bytes());
                if letter != ' ' {
                    certain = bytes.len();
                }
            }
        }
    }
    bytes.truncate(certain);
    Some((Value::Text(String::from_utf8(bytes).ok()?), None, ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_mean_the_same_match() {
        for (a, b) in [
            ("CN=a,O=b", "CN=a,O=b"),
            ("CN=a,O=b", "cn=a, o=b"),
            ("CN=a,O=b", " CN = a , O = b "),
            ("CN=a,O=b", "2.5.4.3=a,2.5.4.10=b"),
            ("CN=a", "2.5.4.3=#0c0161"),
            ("CN=a", "CN=#130161"),
            ("CN=a", "CN=#130161 "),
            ("CN=x+UID=7,O=b", "UID=7+CN=x,O=b"),
            (r"CN=a\,b", r"CN=a\2cb"),
            (r"CN=a\,b", r"CN=a\2Cb"),
            (r"CN=\ a\ ", r"CN=\20a\20"),
            (r"CN=Lu\C4\8Di\C4\87", "CN=Lučić"),
            ("ST=x", "S=x"),
            ("emailAddress=a@b.c", "1.2.840.113549.1.9.1=#16056140622e63"),
            ("2.5.4.99=#020107", "2.5.4.99=#020107"),
            ("CN=", "CN="),
        ] {
            assert!(dn_matches(a, b), "{a} | {b}");
            assert!(dn_matches(b, a), "{b} | {a}");
        }
    }

    #[test]
    fn names_that_differ_do_not_match() {
        for (a, b) in [
            ("CN=a,O=b", "O=b,CN=a"),
            ("CN=a,O=b", "CN=a"),
            ("CN=a,O=b", "CN=a,O=b,C=DE"),
            ("CN=a", "CN=A"),
            ("CN=a b", "CN=a  b"),
            ("CN=a", r"CN=a\ "),
            ("CN=a", "O=a"),
            (r"CN=a\,O=b", "CN=a,O=b"),
            (r"CN=a\2bO\3db", "CN=a+O=b"),
            ("CN=x+UID=7", "CN=x,UID=7"),
            ("CN=a", "CN=*"),
            ("2.5.4.99=#020107", "2.5.4.99=7"),
        ] {
            assert!(!dn_matches(a, b), "{a} | {b}");
        }
    }

    #[test]
    fn what_is_no_name_matches_nothing_not_even_itself() {
        let long = format!("CN={}", "a".repeat(MAX_DN_BYTES));
        for bad in [
            "",
            " ",
            "a",
            "CN",
            "=a",
            "XX=a",
            "CN=a,",
            ",CN=a",
            "CN=a,,O=b",
            "CN=a+",
            "CN=\"a\"",
            "CN=a;O=b",
            r"CN=a\",
            r"CN=a\z",
            r"CN=\C4",
            "CN=#",
            "CN=#0c",
            "CN=#0c0161ff",
            "CN=#xy",
            "CN=a\0",
            "1=a",
            "1..2=a",
            "2.05.4.3=a",
            long.as_str(),
        ] {
            assert!(!dn_matches(bad, bad), "{bad:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_value_survives_being_written_and_read(value in "\\PC{0,12}|[ #+,;<>=\\\\\"\u{1}a]{0,8}") {
            let mut text = "CN=".to_owned();
            escape(&value, &mut text);
            let parts = read(&text).unwrap();
            proptest::prop_assert_eq!(
                &parts[0][0].value,
                &Value::Text(value)
            );
        }

        #[test]
        fn any_text_is_read_or_refused_without_a_panic(text: String) {
            let _ = dn_matches(&text, &text);
        }
    }
}
