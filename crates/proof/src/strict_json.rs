//! JSON (RFC 8259) as security code must read it: an object that names a member twice is refused
//! at every depth (RFC 7515 §4, RFC 7519 §4 leave that open), nesting and size are bounded, and nothing
//! may follow the value. Two readers can then never see two different tokens in one text.

use std::{cell::Cell, fmt};

use serde::de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// Deepest nesting of arrays and objects.
pub const MAX_DEPTH: usize = 32;

/// Why a text was refused.
#[derive(Copy, Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JsonDefect {
    /// Longer than the caller allows.
    #[error("JSON text is too long")]
    TooLong,
    /// Not JSON, not UTF-8, a number out of range, or something after the value.
    #[error("not one JSON value")]
    Syntax,
    /// A member's name stands twice in one object.
    #[error("a member is named twice")]
    DuplicateMember,
    /// Nested deeper than [`MAX_DEPTH`].
    #[error("nested too deeply")]
    TooDeep,
    /// Another value where an object is wanted.
    #[error("not a JSON object")]
    NotAnObject,
}

impl JsonDefect {
    /// Stable kebab-case code for logs.
    pub const fn code(self) -> &'static str {
        match self {
            Self::TooLong => "json-too-long",
            Self::Syntax => "json-syntax",
            Self::DuplicateMember => "json-duplicate-member",
            Self::TooDeep => "json-too-deep",
            Self::NotAnObject => "json-not-an-object",
        }
    }
}

/// Reads one object of at most `max_bytes`.
///
/// # Errors
/// [`JsonDefect`].
pub fn parse_object(text: &[u8], max_bytes: usize) -> Result<Map<String, Value>, JsonDefect> {
    match parse(text, max_bytes)? {
        Value::Object(members) => Ok(members),
        _ => Err(JsonDefect::NotAnObject),
    }
}

/// Reads one value of at most `max_bytes`.
///
/// # Errors
/// [`JsonDefect`], except for [`JsonDefect::NotAnObject`].
pub fn parse(text: &[u8], max_bytes: usize) -> Result<Value, JsonDefect> {
    if text.len() > max_bytes {
        return Err(JsonDefect::TooLong);
    }
    // serde's error carries text only; the cell carries which of our own rules was broken.
    let defect = Cell::new(JsonDefect::Syntax);
    let mut reader = serde_json::Deserializer::from_slice(text);
    let strict = Strict {
        depth: 0,
        defect: &defect,
    };
    let value = strict.deserialize(&mut reader).map_err(|_| defect.get())?;
    reader.end().map_err(|_| JsonDefect::Syntax)?;
    Ok(value)
}

#[derive(Copy, Clone)]
struct Strict<'c> {
    depth: usize,
    defect: &'c Cell<JsonDefect>,
}

impl Strict<'_> {
    fn deeper<E: serde::de::Error>(self) -> Result<Self, E> {
        if self.depth == MAX_DEPTH {
            self.defect.set(JsonDefect::TooDeep);
            return Err(E::custom("too deep"));
        }
        Ok(Self {
            depth: self.depth + 1,
            ..self
        })
    }
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value)
            .map(Value::Number)
            .ok_or_else(|| E::custom("not finite"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut list = Vec::new();
        while let Some(element) = elements.next_element_seed(inner)? {
            list.push(element);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut map = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            let value = members.next_value_seed(inner)?;
            if map.insert(name, value).is_some() {
                self.defect.set(JsonDefect::DuplicateMember);
                return Err(A::Error::custom("duplicate member"));
            }
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    const MAX: usize = 1 << 16;

    #[test]
    fn ordinary_json_reads_as_it_does_elsewhere() {
        let text = r#"{"a":[1,-2,3.5,true,null,"x\u00e9"],"b":{"c":18446744073709551615}}"#;
        assert_eq!(
            parse(text.as_bytes(), MAX),
            Ok(json!({"a": [1, -2, 3.5, true, null, "xé"], "b": {"c": u64::MAX}}))
        );
    }

    #[test]
    fn c03_a_member_named_twice_is_refused_at_every_depth() {
        for text in [
            r#"{"a":1,"a":1}"#,
            r#"{"a":1,"b":2,"a":3}"#,
            r#"{"x":{"a":1,"a":2}}"#,
            r#"[{"a":1},[{"b":{"a":1,"a":2}}]]"#,
            r#"{"a":1,"\u0061":2}"#,
        ] {
            assert_eq!(
                parse(text.as_bytes(), MAX),
                Err(JsonDefect::DuplicateMember),
                "{text}"
            );
        }
        assert!(parse(br#"{"a":{"a":1},"b":{"a":1}}"#, MAX).is_ok());
    }

    #[test]
    fn what_is_not_one_json_value_is_refused() {
        for text in [
            "",
            " ",
            "{",
            "{} {}",
            "{}x",
            "{'a':1}",
            "{a:1}",
            "{\"a\":1,}",
            "[1,]",
            "NaN",
            "1e999",
            "\"\\ud800\"",
            "01",
            "// x\n{}",
            "\u{feff}{}",
        ] {
            assert_eq!(
                parse(text.as_bytes(), MAX),
                Err(JsonDefect::Syntax),
                "{text:?}"
            );
        }
        assert_eq!(parse(b"\"\xff\"", MAX), Err(JsonDefect::Syntax));
    }

    #[test]
    fn depth_is_bounded() {
        let nested = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
        assert!(parse(nested(MAX_DEPTH).as_bytes(), MAX).is_ok());
        for depth in [MAX_DEPTH + 1, 10_000] {
            assert_eq!(
                parse(nested(depth).as_bytes(), MAX),
                Err(JsonDefect::TooDeep)
            );
        }
    }

    #[test]
    fn size_is_bounded_before_anything_is_read() {
        assert_eq!(parse(b"[[[[", 3), Err(JsonDefect::TooLong));
        assert_eq!(parse(b"[1]", 3), Ok(json!([1])));
    }

    #[test]
    fn only_an_object_is_an_object() {
        assert_eq!(parse_object(b"[]", MAX), Err(JsonDefect::NotAnObject));
        assert_eq!(parse_object(b"{}", MAX), Ok(Map::new()));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused_without_a_panic(bytes: Vec<u8>) {
            let ours = parse(&bytes, MAX);
            let theirs = serde_json::from_slice::<Value>(&bytes);
            // Strict may refuse more, and never reads otherwise.
            if let Ok(value) = ours {
                prop_assert_eq!(value, theirs.unwrap());
            }
        }
    }
}
