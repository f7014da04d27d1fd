use super::*;

fn template(written: &str) -> PathTemplate {
    let segments = segments(written)
        .map(
            |text| match text.strip_prefix('{').and_then(|t| t.strip_suffix('}')) {
                Some(name) => match name.strip_suffix('*') {
                    Some(name) => Segment::Rest(name.to_owned()),
                    None => Segment::Parameter(name.to_owned()),
                },
                None => Segment::Literal(text.to_owned()),
            },
        )
        .collect();
    PathTemplate {
        written: written.to_owned(),
        segments,
    }
}

/// An API as hosts, base path and templates with methods.
type Written<'a> = (&'a [&'a str], &'a str, &'a [(&'a str, &'a [Method])]);

/// Route numbers count through all APIs.
fn table(apis: &[Written<'_>]) -> Table {
    let mut table = Table::default();
    let mut route = 0;
    for (api, (hosts, base, routes)) in apis.iter().enumerate() {
        let hosts: Vec<String> = hosts.iter().map(|h| (*h).to_owned()).collect();
        table.claim(api, &hosts, base).expect("a free place");
        for (written, methods) in *routes {
            table
                .add(&hosts, base, &template(written), methods, route)
                .expect("no overlap");
            route += 1;
        }
    }
    table
}

fn found(table: &Table, host: &str, path: &str) -> Option<usize> {
    match table.find(host, path, &Method::GET) {
        Found::Route { route, .. } => Some(route),
        _ => None,
    }
}

#[test]
fn a_literal_beats_a_parameter_and_a_parameter_beats_the_rest() {
    let t = table(&[(
        &[],
        "/",
        &[
            ("/a/b", &[]),
            ("/a/{x}", &[]),
            ("/{rest*}", &[]),
            ("/", &[]),
            ("/a/{x}/c", &[]),
            ("/a/b/d", &[]),
        ],
    )]);
    for (path, expected) in [
        ("/a/b", Some(0)),
        ("/a/%62", Some(0)),
        ("/%61/b", Some(0)),
        ("/a/B", Some(1)),
        ("/a/z", Some(1)),
        ("/a", Some(2)),
        ("/a/b/c", Some(4)),
        ("/a/b/d", Some(5)),
        ("/a/b/e", Some(2)),
        ("/z/y/x", Some(2)),
        ("/", Some(3)),
        ("/a/", Some(2)),
        ("/a/b/", Some(2)),
    ] {
        assert_eq!(found(&t, "h", path), expected, "{path}");
    }
}

#[test]
fn j02_a_final_slash_is_another_path() {
    let t = table(&[(&[], "/", &[("/admin", &[]), ("/files/{rest*}", &[])])]);
    assert_eq!(found(&t, "h", "/admin"), Some(0));
    assert_eq!(found(&t, "h", "/admin/"), None);
    assert_eq!(found(&t, "h", "/files/"), None);
    assert_eq!(found(&t, "h", "/files/a/"), Some(1));
}

#[test]
fn hosts_are_matched_exactly_then_by_one_label_then_any() {
    let all: &[(&str, &[Method])] = &[("/{rest*}", &[])];
    let t = table(&[
        (&["a.example.com"], "/", all),
        (&["*.example.com"], "/", all),
        (&[], "/", all),
    ]);
    for (host, expected) in [
        ("a.example.com", 0),
        ("b.example.com", 1),
        ("b.b.example.com", 2),
        ("example.com", 2),
        (".example.com", 2),
        ("127.0.0.1", 2),
    ] {
        assert_eq!(found(&t, host, "/x"), Some(expected), "{host}");
    }
}

#[test]
fn j02_a_base_path_is_never_left_to_another_api() {
    let t = table(&[
        (&[], "/", &[("/{rest*}", &[])]),
        (&[], "/orders", &[("/open", &[])]),
        (&[], "/orders/v2", &[("/{rest*}", &[])]),
    ]);
    assert_eq!(found(&t, "h", "/orders/open"), Some(1));
    assert_eq!(found(&t, "h", "/orders/secret"), None);
    assert_eq!(found(&t, "h", "/%6frders/secret"), None);
    assert_eq!(found(&t, "h", "/orders"), None);
    assert_eq!(found(&t, "h", "/ordersx"), Some(0));
    assert_eq!(found(&t, "h", "/orders/v2/x"), Some(2));
    assert_eq!(
        t.find("h", "/orders/nothing", &Method::GET),
        Found::NoRoute { api: 1 }
    );
}

#[test]
fn the_path_below_the_base_begins_where_the_base_ends_however_it_was_spelled() {
    let t = table(&[(&[], "/orders", &[("/{rest*}", &[]), ("/", &[])])]);
    for (path, below) in [
        ("/orders/a", "/a"),
        ("/%6frders/a", "/a"),
        ("/orders/", "/"),
        ("/orders", ""),
    ] {
        let Found::Route { below: at, .. } = t.find("h", path, &Method::GET) else {
            panic!("{path} has no route");
        };
        assert_eq!(&path[at..], below);
    }
}

#[test]
fn a06_head_and_options_are_what_they_are() {
    let t = table(&[(
        &[],
        "/",
        &[
            ("/a", &[Method::GET]),
            ("/a", &[Method::POST]),
            ("/any", &[]),
        ],
    )]);
    assert_eq!(found(&t, "h", "/a"), Some(0));
    for method in [Method::HEAD, Method::OPTIONS, Method::DELETE] {
        let Found::OtherMethods { allow, .. } = t.find("h", "/a", &method) else {
            panic!("{method} found a route");
        };
        assert_eq!(allow, "GET, POST");
        assert_eq!(
            t.find("h", "/any", &method),
            Found::Route { route: 2, below: 0 }
        );
    }
}

#[test]
fn a_method_never_falls_through_to_a_weaker_template() {
    let t = table(&[(
        &[],
        "/",
        &[
            ("/users/me", &[Method::GET]),
            ("/users/{id}", &[Method::DELETE]),
        ],
    )]);
    assert!(matches!(
        t.find("h", "/users/me", &Method::DELETE),
        Found::OtherMethods { .. }
    ));
}

#[test]
fn overlaps_are_refused() {
    let mut t = table(&[(&["a.example"], "/x", &[("/a/{one}", &[Method::GET])])]);
    let hosts = ["a.example".to_owned()];
    assert!(matches!(
        t.claim(1, &hosts, "/x"),
        Err(Overlap::Base { .. })
    ));
    assert!(t.claim(1, &[], "/x").is_ok());
    let again = t.add(&hosts, "/x", &template("/a/{two}"), &[Method::GET], 9);
    assert!(matches!(again, Err(Overlap::Template { .. })));
    assert!(
        t.add(&hosts, "/x", &template("/a/{two}"), &[Method::PUT], 9)
            .is_ok()
    );
}

#[test]
fn a_very_deep_path_matches_by_a_rest_only() {
    let t = table(&[(&[], "/", &[("/a/{rest*}", &[]), ("/b/{x}", &[])])]);
    let deep = "/z".repeat(500);
    assert_eq!(found(&t, "h", &format!("/a{deep}")), Some(0));
    assert_eq!(found(&t, "h", &format!("/b{deep}")), None);
}
