//! What can be asked of the sample: one enum, from which routing, the `Allow`
//! field and the check against `openapi.yaml` are read.
//!
//! Paths match exactly: no trailing slash, no decoding, no second spelling.

use http::Method;

/// One operation of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// `GET /orders`: the orders that the caller may see.
    ListOrders,
    /// `POST /orders`: place an order.
    PlaceOrder,
    /// `GET /orders/{id}`: one order.
    ReadOrder,
    /// `PUT /orders/{id}`: replace what an order says.
    ReplaceOrder,
    /// `DELETE /orders/{id}`: remove an order.
    RemoveOrder,
    /// `GET /admin/stats`: counts over all owners.
    Stats,
    /// `GET /whoami`: what reached the service.
    WhoAmI,
    /// `POST /upload`: count and digest a streamed body.
    Upload,
    /// `GET /stream`: as many bytes as asked for.
    Stream,
    /// `GET /slow`: an answer after a while.
    Slow,
    /// `GET /events`: server-sent events.
    Events,
    /// `GET /health`: the service is up.
    Health,
}

impl Operation {
    /// Every operation.
    pub const ALL: [Self; 12] = [
        Self::ListOrders,
        Self::PlaceOrder,
        Self::ReadOrder,
        Self::ReplaceOrder,
        Self::RemoveOrder,
        Self::Stats,
        Self::WhoAmI,
        Self::Upload,
        Self::Stream,
        Self::Slow,
        Self::Events,
        Self::Health,
    ];

    /// The method it answers to; `HEAD` is served wherever this is `GET`.
    #[must_use]
    pub fn method(self) -> Method {
        match self {
            Self::PlaceOrder | Self::Upload => Method::POST,
            Self::ReplaceOrder => Method::PUT,
            Self::RemoveOrder => Method::DELETE,
            Self::ListOrders
            | Self::ReadOrder
            | Self::Stats
            | Self::WhoAmI
            | Self::Stream
            | Self::Slow
            | Self::Events
            | Self::Health => Method::GET,
        }
    }

    /// The path as `openapi.yaml` writes it.
    #[must_use]
    pub fn template(self) -> &'static str {
        match self {
            Self::ListOrders | Self::PlaceOrder => "/orders",
            Self::ReadOrder | Self::ReplaceOrder | Self::RemoveOrder => "/orders/{id}",
            Self::Stats => "/admin/stats",
            Self::WhoAmI => "/whoami",
            Self::Upload => "/upload",
            Self::Stream => "/stream",
            Self::Slow => "/slow",
            Self::Events => "/events",
            Self::Health => "/health",
        }
    }

    /// The value of `{id}` where `path` matches the template; empty where the
    /// template has none.
    fn matches(self, path: &str) -> Option<&str> {
        match self.template().strip_suffix("{id}") {
            Some(prefix) => path
                .strip_prefix(prefix)
                .filter(|id| !id.is_empty() && !id.contains('/')),
            None => (path == self.template()).then_some(""),
        }
    }
}

/// What a method and a path lead to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found<'a> {
    /// An operation, with the value of `{id}` or an empty string.
    Operation(Operation, &'a str),
    /// The path exists, for these methods (the value of an `Allow` field).
    OtherMethods(String),
    /// No such path.
    Nothing,
}

/// Looks an operation up.
pub(crate) fn find<'a>(method: &Method, path: &'a str) -> Found<'a> {
    let served_as = if method == Method::HEAD {
        &Method::GET
    } else {
        method
    };
    let mut allowed = Vec::new();
    for operation in Operation::ALL {
        let Some(id) = operation.matches(path) else {
            continue;
        };
        if operation.method() == *served_as {
            return Found::Operation(operation, id);
        }
        allowed.push(operation.method());
        if operation.method() == Method::GET {
            allowed.push(Method::HEAD);
        }
    }
    if allowed.is_empty() {
        return Found::Nothing;
    }
    Found::OtherMethods(
        allowed
            .iter()
            .map(Method::as_str)
            .collect::<Vec<_>>()
            .join(", "),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_openapi_file_describes_every_operation_and_no_other() {
        let document: serde_json::Value =
            serde_saphyr::from_str(include_str!("../openapi.yaml")).expect("the file is YAML");
        let described: BTreeSet<(String, String)> = document["paths"]
            .as_object()
            .expect("it has paths")
            .iter()
            .flat_map(|(path, item)| {
                item.as_object()
                    .expect("a path item is an object")
                    .keys()
                    .filter(|key| *key != "parameters")
                    .map(|method| (method.to_uppercase(), path.clone()))
            })
            .collect();
        let served: BTreeSet<(String, String)> = Operation::ALL
            .iter()
            .map(|operation| {
                (
                    operation.method().to_string(),
                    operation.template().to_owned(),
                )
            })
            .collect();
        assert_eq!(described, served);
    }

    #[test]
    fn paths_match_exactly() {
        let cases = [
            (
                "GET",
                "/orders",
                Found::Operation(Operation::ListOrders, ""),
            ),
            (
                "HEAD",
                "/orders/ord_1",
                Found::Operation(Operation::ReadOrder, "ord_1"),
            ),
            (
                "DELETE",
                "/orders/ord_1",
                Found::Operation(Operation::RemoveOrder, "ord_1"),
            ),
            ("GET", "/orders/", Found::Nothing),
            ("GET", "/Orders", Found::Nothing),
            ("GET", "/orders/ord_1/items", Found::Nothing),
            ("GET", "/", Found::Nothing),
            (
                "DELETE",
                "/orders",
                Found::OtherMethods("GET, HEAD, POST".to_owned()),
            ),
            ("GET", "/upload", Found::OtherMethods("POST".to_owned())),
        ];
        for (method, path, expected) in cases {
            let method = Method::from_bytes(method.as_bytes()).expect("a method");
            assert_eq!(find(&method, path), expected, "{method} {path}");
        }
    }
}
