//! **What the settings declare**, as far as the demonstration must know: settings that an older `dev`
//! wrote, or that somebody edited, don't have all of it.

use core::net::SocketAddr;

use registry::document::Document;
use serde_json::Value;

/// The resources of the settings.
pub(super) struct Declared(Vec<Value>);

impl Declared {
    /// Reads the documents.
    pub(super) fn new(documents: &[Document]) -> Self {
        Self(documents.iter().map(Document::to_value).collect())
    }

    fn apis(&self) -> impl Iterator<Item = &Value> {
        self.0.iter().filter(|document| document["kind"] == "Api")
    }

    /// Whether some API, or a route of one, takes a credential kind.
    pub(super) fn takes(&self, kind: &str) -> bool {
        fn names(list: &Value, kind: &str) -> bool {
            let among = |entry: &Value| entry == kind || names(entry, kind);
            list.as_array().is_some_and(|list| list.iter().any(among))
        }
        self.apis().any(|api| {
            let spec = &api["spec"];
            let routes = spec["routes"].as_array().into_iter().flatten();
            core::iter::once(spec)
                .chain(routes)
                .any(|part| names(&part["credentials"], kind))
        })
    }

    /// Whether some route asks for nonces in DPoP proofs.
    pub(super) fn asks_for_nonces(&self) -> bool {
        self.apis()
            .filter_map(|api| api["spec"]["routes"].as_array())
            .flatten()
            .any(|route| route["dpop_nonce"] == true)
    }

    /// Whether the gateway presents a credential of its own to some upstream.
    pub(super) fn presents(&self) -> bool {
        self.apis()
            .any(|api| api["spec"]["upstream"]["credential"].is_object())
    }

    /// Whether some client's keys are certified.
    pub(super) fn certifies(&self) -> bool {
        let mut clients = self.0.iter().filter(|one| one["kind"] == "Client");
        clients.any(|client| client["spec"]["call_certificates"].is_object())
    }

    /// Where the settings expect the sample API: the upstream of `orders`, if that is on loopback.
    pub(super) fn sample(&self) -> Option<SocketAddr> {
        let orders = self
            .apis()
            .find(|api| api["metadata"]["name"] == "orders")?;
        let url = orders["spec"]["upstream"]["urls"][0].as_str()?;
        let address: SocketAddr = url.strip_prefix("http://")?.parse().ok()?;
        address.ip().is_loopback().then_some(address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn declared(spec: &Value) -> Declared {
        let document = serde_json::json!({
            "apiVersion": "doorward/v1", "kind": "Api", "metadata": { "name": "orders" }, "spec": spec,
        });
        Declared::new(&[Document::from_value(document, 0).expect("a document")])
    }

    #[test]
    fn the_sample_listens_where_the_settings_send_calls_and_never_but_on_loopback() {
        for (url, expected) in [
            ("http://127.0.0.1:9084", Some("127.0.0.1:9084")),
            ("http://[::1]:9084", Some("[::1]:9084")),
            ("http://192.0.2.7:9084", None),
            ("http://orders.internal:9084", None),
            ("https://127.0.0.1:9084", None),
        ] {
            let found =
                declared(&serde_json::json!({ "upstream": { "urls": [url] }, "routes": [] }));
            let found = found.sample().map(|address| address.to_string());
            assert_eq!(found.as_deref(), expected, "{url}");
        }
    }

    #[test]
    fn a_kind_is_found_wherever_it_is_declared() {
        let found = declared(&serde_json::json!({
            "upstream": { "urls": ["http://127.0.0.1:9084"] },
            "credentials": ["api_key", ["jwt", "mtls"]],
            "routes": [{ "path": "/hooks", "credentials": ["hmac"] }],
        }));
        for (kind, expected) in [
            ("api_key", true),
            ("mtls", true),
            ("hmac", true),
            ("basic", false),
        ] {
            assert_eq!(found.takes(kind), expected, "{kind}");
        }
    }
}
