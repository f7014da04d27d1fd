use http::HeaderValue;
use serde_json::json;

use super::*;
use crate::credential::CredentialKind;
use crate::testing::{Sent, World};

fn ids(body: &Value, pointer: &str) -> Result<Vec<String>, String> {
    let pointer = Pointer::read(pointer).unwrap();
    let mut ids = Ids::new();
    in_body(body, &pointer.steps, &mut ids)
        .map(|()| ids.into_vec())
        .map_err(Cow::into_owned)
}

#[test]
fn j01_a_path_parameter_is_read_as_the_service_behind_reads_it() {
    for (path, segment, rest, found) in [
        ("/orders/1001", 1, false, Some("1001")),
        ("/orders/ORD%20%E2%82%AC", 1, false, Some("ORD €")),
        ("/orders/1001/items/7", 3, false, Some("7")),
        ("/orders", 1, false, None),
        ("/orders/", 1, false, None),
        ("/files/a/b%2Fc", 1, true, Some("a/b/c")),
        ("/files", 1, true, None),
    ] {
        assert_eq!(
            in_path(path, segment, rest).unwrap().as_deref(),
            found,
            "{path}"
        );
    }
}

#[test]
fn j01_a_query_parameter_has_one_reading_or_none() {
    for (query, found) in [
        ("id=1001&page=2", Some("1001")),
        ("page=2", None),
        ("i%64=1001", Some("1001")),
        ("id=10%2B01", Some("10+01")),
    ] {
        assert_eq!(
            in_query(Some(query), "id").unwrap().as_deref(),
            found,
            "{query}"
        );
    }
    for query in [
        "id=1001&id=1002",
        "id=1001&ID=1002",
        "id[]=1001",
        "id=1001&id[0]=1002",
        "id=1001;id=1002",
        "page=1;id=1002",
        "id=10+01",
        "id=%ff",
        "id=1001&%69d=1002",
        "%20id=1001",
    ] {
        assert!(in_query(Some(query), "id").is_err(), "{query}");
    }
}

#[test]
fn j01_every_element_of_a_batch_is_named() {
    let body = json!({"orders": [{"id": "1"}, {"id": 2}, {"id": "3"}]});
    assert_eq!(ids(&body, "/orders/*/id").unwrap(), ["1", "2", "3"]);
    assert_eq!(ids(&json!({"id": "a/b"}), "/id").unwrap(), ["a/b"]);
    assert_eq!(ids(&json!({"a/b": {"~": "x"}}), "/a~1b/~0").unwrap(), ["x"]);
    assert!(ids(&json!({}), "/id").unwrap().is_empty());
    assert_eq!(ids(&json!(["x", "y"]), "/*").unwrap(), ["x", "y"]);
}

#[test]
fn j01_a_member_in_another_spelling_is_refused_wherever_it_stands() {
    for body in [
        json!({"order_id": "mine", "Order_ID": "theirs"}),
        json!({"ORDER_ID": "theirs"}),
    ] {
        assert!(ids(&body, "/order_id").is_err(), "{body}");
    }
    for body in [
        json!({"order_id": ["mine", "theirs"]}),
        json!({"order_id": {"id": "mine"}}),
        json!({"order_id": 1.5}),
        json!({"order_id": null}),
        json!({"order_id": true}),
        json!("mine"),
    ] {
        assert!(ids(&body, "/order_id").is_err(), "{body}");
    }
    assert!(ids(&json!({"orders": {"0": "x"}}), "/orders/*").is_err());
}

#[test]
fn j01_a_batch_is_bounded() {
    let many: Vec<_> = (0..=MOST_OBJECTS + 1).map(|at| json!(at)).collect();
    assert!(ids(&Value::Array(many), "/*").is_err());
}

#[test]
fn a_body_is_read_only_if_it_can_be_read_in_one_way() {
    let headers = |list: &[(&'static str, &'static str)]| -> HeaderMap {
        list.iter()
            .map(|(name, value)| {
                (
                    HeaderName::from_static(name),
                    HeaderValue::from_static(value),
                )
            })
            .collect()
    };
    let plain = headers(&[("content-type", "application/json; charset=utf-8")]);
    assert_eq!(json(&plain, b"{\"id\":1}").unwrap(), Some(json!({"id": 1})));
    assert_eq!(json(&plain, b"").unwrap(), None);
    let patch = headers(&[("content-type", "application/merge-patch+json")]);
    assert!(json(&patch, b"{}").is_ok());
    for (fields, body) in [
        (headers(&[]), &b"{}"[..]),
        (headers(&[("content-type", "text/plain")]), b"{}"),
        (
            headers(&[("content-type", "application/json; charset=utf-16")]),
            b"{}",
        ),
        (
            headers(&[(
                "content-type",
                "application/json; charset=utf-8; charset=utf-16",
            )]),
            b"{}",
        ),
        (
            headers(&[
                ("content-type", "application/json"),
                ("content-encoding", "gzip"),
            ]),
            b"{}",
        ),
        (plain.clone(), b"{\"id\":1,\"id\":2}"),
        (plain.clone(), b"{\"id\":1} {\"id\":2}"),
        (plain, b"id=1"),
    ] {
        assert!(json(&fields, body).is_err(), "{fields:?}");
    }
}

#[test]
fn j01_a_field_has_one_reading_or_none() {
    let route = World::new().route(&[&[CredentialKind::ApiKey]]);
    let read = |fields: &[(&str, &str)]| {
        let sent = fields
            .iter()
            .fold(Sent::get("/orders"), |sent, (name, value)| {
                sent.with(name, value)
            });
        let name = HeaderName::from_static("x-order");
        in_header(&sent.read().unwrap(), &name, &route)
    };
    assert_eq!(
        read(&[("x-order", "1001")]).unwrap().as_deref(),
        Some("1001")
    );
    assert_eq!(read(&[("x-orders", "1001")]).unwrap(), None);
    for fields in [
        &[("x-order", "1001"), ("x-order", "1002")][..],
        &[("x-order", "1001"), ("x_order", "1002")],
        &[("x.order", "1002")],
        &[("x-order", "1001"), ("connection", "close, X-Order")],
    ] {
        assert!(read(fields).is_err(), "{fields:?}");
    }
}

#[test]
fn what_is_no_pointer_is_not_taken_for_one() {
    for text in ["", "id", "/", "/a//b", "/a/", "/~2", "/~"] {
        assert_eq!(Pointer::read(text), Err(BadPointer), "{text}");
    }
}
