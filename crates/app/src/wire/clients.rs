//! **Clients**, from what is declared to what judging asks for: who signs its calls, and who is
//! suspended.

use outbound::clients::ClientKeys;
use registry::client::ClientMeaning;
use registry::document::{Document, Spec};
use verdict::credential::client_jwt::CallingClient;
use verdict::identity::ClientId;

/// The clients that are suspended. Read from the documents themselves, so that nothing that is wrong
/// with another one keeps a client awake.
pub(super) fn suspended(documents: &[Document]) -> impl Iterator<Item = ClientId> {
    documents
        .iter()
        .filter_map(|document| match &document.spec {
            Spec::Client(spec) if spec.suspended => Some(ClientId::new(document.name.as_str())),
            _ => None,
        })
}

/// The clients that may sign their own calls, and where their keys are. Keys that they have for the
/// token endpoint sign no calls where certificates are declared for those.
pub(super) fn calling_clients(clients: &[ClientMeaning]) -> Vec<(CallingClient, ClientKeys)> {
    let signing = clients.iter().filter(|client| client.signs_calls);
    signing
        .filter_map(|client| {
            let certificates = client.call_certificates.as_ref();
            let keys = match (&client.jwks, &client.jwks_uri) {
                _ if certificates.is_some() => ClientKeys::Certified,
                (Some(set), _) => ClientKeys::Declared(set.clone()),
                (None, Some(url)) => ClientKeys::Published(url.clone()),
                (None, None) => return None,
            };
            let calling = CallingClient {
                client: client.client_id.clone(),
                application: client.application.clone(),
                environment: client.environment,
                grants: client.grants.clone(),
                roles: client.roles.clone(),
                networks: client.networks.clone(),
                algorithms: client.profile.rules().signing_algorithms.to_vec(),
                certificates: certificates.map(|own| own.judged.clone()),
            };
            Some((calling, keys))
        })
        .collect()
}
