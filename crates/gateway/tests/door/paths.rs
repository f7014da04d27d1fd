//! Threats A: the path that is judged is the path that is sent.

use http::Method;
use registry::api::UpstreamMeaning;

use crate::harness::{Door, PUBLIC, Upstream, api, by_key, field, pool, route, with_methods};

/// `/public/{rest*}` for everybody, `/admin/{rest*}` for keys.
async fn door() -> (Door, Upstream) {
    let upstream = Upstream::start().await;
    let mut orders = api("orders", UpstreamMeaning::Pool(pool(&[upstream.at])));
    orders.routes = vec![
        route(&orders, "/public/{rest*}", PUBLIC),
        route(&orders, "/admin/{rest*}", by_key()),
    ];
    (Door::open(vec![orders]), upstream)
}

#[tokio::test]
async fn a01_a02_unclean_targets_are_refused_before_routing() {
    let (door, upstream) = door().await;
    for target in [
        "/public/../admin/x",
        "/public/%2e%2e/admin/x",
        "/public/%2E%2e/admin/x",
        "/public/..%2fadmin/x",
        "/public/%252e%252e/admin/x",
        "/public/./x",
        "/public//x",
        "//public/x",
        "/public/a%2Fb",
        "/public/a%5Cb",
        "/public/a\\b",
        "/public/a%00b",
        "/public/a%0d%0ab",
        "/public/x;/../admin",
    ] {
        let answer = door.get(target, "").await;
        assert_eq!(answer.status(), 400, "{target}: {answer:?}");
        assert!(matches!(answer.field("connection"), Some("close") | None));
    }
    assert!(
        upstream.seen().is_empty(),
        "something got through: {:?}",
        upstream.seen()
    );
}

#[tokio::test]
async fn a01_a_clean_target_is_sent_as_it_came() {
    let (door, upstream) = door().await;
    for target in [
        "/public/a%20b?x=%2e%2e/y&z",
        "/public/%C3%A9/~b-c_d?",
        "/public/a?b=c?d",
    ] {
        assert_eq!(door.get(target, "").await.status(), 200, "{target}");
        let seen = upstream.seen().pop().expect("seen");
        assert!(
            seen.starts_with(&format!("GET {target} HTTP/1.1\r\n")),
            "{seen}"
        );
    }
}

#[tokio::test]
async fn a02_an_encoded_slash_passes_only_where_the_route_allows_it_and_untouched() {
    let upstream = Upstream::start().await;
    let mut files = api("files", UpstreamMeaning::Pool(pool(&[upstream.at])));
    let mut allowing = route(&files, "/f/{name}", PUBLIC);
    allowing.allow_encoded_slash = true;
    files.routes = vec![allowing, route(&files, "/g/{name}", PUBLIC)];
    let door = Door::open(vec![files]);
    assert_eq!(door.get("/g/a%2Fb", "").await.status(), 400);
    assert_eq!(door.get("/f/a%2Fb", "").await.status(), 200);
    assert!(upstream.only().starts_with("GET /f/a%2Fb HTTP/1.1\r\n"));
}

#[tokio::test]
async fn a03_a_stripped_base_path_is_the_only_change_and_leads_to_no_other_route() {
    let upstream = Upstream::start().await;
    let mut orders = api("orders", UpstreamMeaning::Pool(pool(&[upstream.at])));
    orders.base_path = "/orders".to_owned();
    orders.strip_base_path = true;
    orders.routes = vec![
        route(&orders, "/{rest*}", PUBLIC),
        route(&orders, "/", PUBLIC),
    ];
    let mut admin = api("admin", UpstreamMeaning::Pool(pool(&[upstream.at])));
    admin.base_path = "/admin".to_owned();
    admin.routes = vec![route(&admin, "/{rest*}", by_key())];
    let door = Door::open(vec![orders, admin]);
    for (target, sent) in [
        ("/orders/a/b?c=/d", "/a/b?c=/d"),
        ("/orders", "/"),
        ("/orders?x", "/?x"),
        ("/orders/", "/"),
        // Judged by the orders API and sent to its upstream: never by the admin API's rules.
        ("/orders/admin/x", "/admin/x"),
    ] {
        assert_eq!(door.get(target, "").await.status(), 200, "{target}");
        let seen = upstream.seen().pop().expect("seen");
        assert!(
            seen.starts_with(&format!("GET {sent} HTTP/1.1\r\n")),
            "{target}: {seen}"
        );
    }
    assert_eq!(door.get("/admin/x", "").await.status(), 401);
    assert_eq!(door.get("/%61dmin/x", "").await.status(), 400);
    assert_eq!(door.get("/Admin/x", "").await.status(), 404);
}

#[tokio::test]
async fn a04_rules_see_the_path_never_the_query() {
    let (door, upstream) = door().await;
    assert_eq!(door.get("/admin/x?/public/y", "").await.status(), 401);
    assert_eq!(door.get("/admin/x#/public/y", "").await.status(), 401);
    assert_eq!(door.get("/admin/x?#/public/y", "").await.status(), 401);
    assert_eq!(door.get("/public/a%23b", "").await.status(), 200);
    assert!(
        upstream
            .only()
            .starts_with("GET /public/a%23b HTTP/1.1\r\n"),
        "inert, as it came"
    );
    assert_eq!(door.get("/nowhere?/public/y", "").await.status(), 404);
}

#[tokio::test]
async fn a05_odd_forms_of_targets_are_refused_or_mean_what_they_say() {
    let (door, upstream) = door().await;
    let cases = [
        // Absolute-form whose authority is the Host: the path counts.
        (
            "GET http://a.example/admin/x HTTP/1.1\r\nhost: a.example\r\n\r\n",
            401,
        ),
        (
            "GET http://b.example/public/x HTTP/1.1\r\nhost: a.example\r\n\r\n",
            400,
        ),
        ("GET a.example:80 HTTP/1.1\r\nhost: a.example\r\n\r\n", 400),
        (
            "CONNECT a.example:80 HTTP/1.1\r\nhost: a.example:80\r\n\r\n",
            400,
        ),
        (
            "GET //a.example/public/x HTTP/1.1\r\nhost: a.example\r\n\r\n",
            400,
        ),
        ("OPTIONS * HTTP/1.1\r\nhost: a.example\r\n\r\n", 400),
        (
            "GET ftp://a.example/public/x HTTP/1.1\r\nhost: a.example\r\n\r\n",
            400,
        ),
    ];
    for (request, status) in cases {
        assert_eq!(door.send(request).await.status(), status, "{request}");
    }
    assert!(upstream.seen().is_empty(), "{:?}", upstream.seen());
}

#[tokio::test]
async fn a06_method_overrides_change_nothing_and_never_reach_the_upstream() {
    let upstream = Upstream::start().await;
    let mut orders = api("orders", UpstreamMeaning::Pool(pool(&[upstream.at])));
    orders.routes = vec![with_methods(route(&orders, "/x", PUBLIC), &[Method::POST])];
    let door = Door::open(vec![orders]);
    for method in ["GET", "HEAD", "OPTIONS", "DELETE"] {
        let answer = door
            .send(&format!(
                "{method} /x?_method=POST HTTP/1.1\r\nhost: a\r\nx-http-method-override: POST\r\n\r\n"
            ))
            .await;
        assert_eq!(answer.status(), 405, "{method}");
        assert_eq!(answer.field("allow"), Some("POST"));
    }
    let request = "POST /x HTTP/1.1\r\nhost: a\r\nX-HTTP-Method-Override: DELETE\r\n\
                   x_http_method_override: DELETE\r\nx-original-url: /admin\r\ncontent-length: 0\r\n\r\n";
    assert_eq!(door.send(request).await.status(), 200);
    let seen = upstream.only();
    assert!(seen.starts_with("POST /x"));
    for name in [
        "x-http-method-override",
        "x_http_method_override",
        "x-original-url",
    ] {
        assert_eq!(field(&seen, name), None, "{name}");
    }
}

#[tokio::test]
async fn a06_an_answer_to_head_has_no_body() {
    let (door, upstream) = door().await;
    upstream.will_answer("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n");
    let answer = door
        .send("HEAD /public/x HTTP/1.1\r\nhost: a\r\n\r\n")
        .await;
    assert_eq!((answer.status(), answer.body()), (200, ""));
    assert_eq!(answer.field("content-length"), Some("5"));
    let refused = door.send("HEAD /admin/x HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert_eq!((refused.status(), refused.body()), (401, ""));
}

#[tokio::test]
async fn the_host_decides_which_api_judges() {
    let upstream = Upstream::start().await;
    let mut one = api("one", UpstreamMeaning::Pool(pool(&[upstream.at])));
    one.hosts = vec!["one.example".to_owned()];
    one.routes = vec![route(&one, "/{rest*}", by_key())];
    let mut any = api("any", UpstreamMeaning::Pool(pool(&[upstream.at])));
    any.routes = vec![route(&any, "/{rest*}", PUBLIC)];
    let door = Door::open(vec![one, any]);
    for (host, status) in [
        ("one.example", 401),
        ("ONE.example", 401),
        ("one.example:8080", 401),
        ("two.example", 200),
        ("one.example.", 400),
        ("one.example@two.example", 400),
        ("one.example, two.example", 400),
    ] {
        let answer = door
            .send(&format!("GET /x HTTP/1.1\r\nhost: {host}\r\n\r\n"))
            .await;
        assert_eq!(answer.status(), status, "{host}");
    }
}
