//! Grammars that others are built on.

use proof::structured;
use proof::{base64std, base64url, calendar, strict_json, x509};
use verdict::policy::relations::{Object, Subject, Tuple};

/// What is read and written again is read as the same (RFC 9651 §4).
pub(crate) fn structured(data: &[u8]) {
    let Ok(text) = core::str::from_utf8(data) else {
        return;
    };
    if let Ok(members) = structured::parse_dictionary(text) {
        let again = structured::dictionary_text(&members);
        assert_eq!(
            structured::parse_dictionary(&again).as_ref(),
            Ok(&members),
            "{again}"
        );
    }
    if let Ok(members) = structured::parse_list(text) {
        let again = structured::list_text(&members);
        assert_eq!(
            structured::parse_list(&again).as_ref(),
            Ok(&members),
            "{again}"
        );
    }
    let _ = structured::parse_item(text);
}

/// What is accepted is read as the same when it is written again. But for fractions: the last digit
/// of one may differ, and nothing is decided by a fraction.
pub(crate) fn strict_json(data: &[u8]) {
    const MOST: usize = 4096;
    if let Ok(value) = strict_json::parse(data, MOST) {
        assert!(data.len() <= MOST);
        let again = value.to_string();
        let fraction = |byte: &u8| matches!(byte, b'.' | b'e' | b'E');
        // A whole number that is too long becomes one.
        if data.iter().chain(again.as_bytes()).any(fraction) {
            assert!(
                strict_json::parse(again.as_bytes(), 8 * MOST).is_ok(),
                "{again}"
            );
            return;
        }
        assert_eq!(
            strict_json::parse(again.as_bytes(), 8 * MOST).ok(),
            Some(value)
        );
    }
    let _ = strict_json::parse_object(data, MOST);
}

/// One text for one time, one spelling for one value.
pub(crate) fn times(data: &[u8]) {
    if let Ok(bytes) = base64url::decode(data) {
        assert_eq!(base64url::encode(&bytes).as_bytes(), data);
    }
    if let Ok(bytes) = base64std::decode(data) {
        assert_eq!(base64std::encode(&bytes).as_bytes(), data);
    }
    let Ok(text) = core::str::from_utf8(data) else {
        return;
    };
    if let Some(time) = calendar::parse_basic(text) {
        assert_eq!(calendar::basic(time), text);
    }
    if let Some(time) = calendar::parse_http_date(text) {
        assert_eq!(
            calendar::parse_http_date(&calendar::http_date(time)),
            Some(time)
        );
    }
    if let Some(time) = calendar::parse_rfc3339(text) {
        let _ = calendar::rfc3339(time);
    }
}

/// A name is itself, and what it is compared with does not depend on which stands first.
pub(crate) fn names(data: &[u8]) {
    let Ok(text) = core::str::from_utf8(data) else {
        return;
    };
    let (one, other) = text.split_once('\n').unwrap_or((text, text));
    if x509::is_dn(one) {
        assert!(x509::dn_matches(one, one), "{one}");
    }
    assert_eq!(x509::dn_matches(one, other), x509::dn_matches(other, one));
}

/// What reads as a tuple, subject or object is written again as the very same text, and no object's
/// id stands for everybody or for members.
pub(crate) fn relation(data: &[u8]) {
    let Ok(text) = core::str::from_utf8(data) else {
        return;
    };
    if let Ok(tuple) = text.parse::<Tuple>() {
        assert_eq!(tuple.to_string(), text);
        assert_ne!(tuple.object.id(), "*");
    }
    if let Ok(subject) = text.parse::<Subject>() {
        assert_eq!(subject.to_string(), text);
        assert!(text.parse::<Tuple>().is_err());
    }
    if let Ok(object) = text.parse::<Object>() {
        assert_eq!(object.to_string(), text);
        assert_eq!(text.parse(), Ok(Subject::One(object)));
    }
}
