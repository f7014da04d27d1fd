//! Callers who sign their requests, in every scheme.

use std::sync::Arc;

use http::{HeaderName, Method};
use proof::hmac_request;
use proof::httpsig::{self, Component, SignParameters, SignerKey};
use proof::issued::SigningKeyId;
use proof::secret::Secret;
use proof::sigv4::{self, Payload, Signer};
use proof::time::Timestamp;

use super::{NOW, Sent, Stored};
use crate::call::Head;
use crate::credential::CredentialKind::{self, Hmac, HttpSignature, SigV4};
use crate::credential::signed::{SIGNATURE, SIGNATURE_INPUT, lent};
use crate::identity::{SecretId, SharedSecret, SigningKey, SigningMaterial, SigningScheme};

pub(crate) const REGION: &str = "local";
pub(crate) const SERVICE: &str = "orders";

/// A key and its secret, as its holder has them.
pub(crate) struct Caller {
    pub(crate) kind: CredentialKind,
    pub(crate) key_id: String,
    pub(crate) secret: Secret,
    pub(crate) nonce: String,
}

impl Clone for Caller {
    fn clone(&self) -> Self {
        Self {
            kind: self.kind,
            key_id: self.key_id.clone(),
            secret: self.secret.duplicate(),
            nonce: self.nonce.clone(),
        }
    }
}

impl Caller {
    /// The same name for each kind in every run.
    pub(crate) fn new(kind: CredentialKind) -> Self {
        let number = match kind {
            SigV4 => '1',
            HttpSignature => '2',
            Hmac => '3',
            other => panic!("{other:?} signs nothing"),
        };
        Self {
            kind,
            key_id: format!("DWAK000000000000000{number}"),
            secret: Secret::from_text(format!("the secret of {}", kind.name())),
            nonce: "0123456789abcdef".to_owned(),
        }
    }

    pub(crate) fn scheme(&self) -> SigningScheme {
        match self.kind {
            SigV4 => SigningScheme::SigV4,
            HttpSignature => SigningScheme::HttpSignature,
            _ => SigningScheme::Hmac,
        }
    }

    /// The key as the facts have it.
    pub(crate) fn stored(&self, stored: &Stored) -> Arc<SigningKey> {
        Arc::new(SigningKey {
            key_id: SigningKeyId::parse(&self.key_id).unwrap(),
            scheme: self.scheme(),
            material: SigningMaterial::Shared(vec![SharedSecret::new(
                SecretId::new("mat_1"),
                self.secret.duplicate(),
                None,
            )]),
            state: stored.state,
            expires_at: stored.expires_at,
            standing: stored.standing(&self.key_id),
        })
    }

    /// Signs a call with this body, now.
    pub(crate) fn sign(&self, sent: Sent, body: &[u8]) -> Sent {
        self.sign_at(sent, body, NOW)
    }

    pub(crate) fn sign_at(&self, mut sent: Sent, body: &[u8], now: Timestamp) -> Sent {
        if self.kind == HttpSignature && !body.is_empty() {
            sent = sent.with("content-digest", proof::content_digest::value_sha256(body));
        }
        let head: Head = sent.copy().read().unwrap();
        let lent = lent(&head);
        let hash = proof::digest::sha256(body);
        match self.kind {
            SigV4 => {
                let signer = Signer::new(&self.key_id, &self.secret, REGION, SERVICE);
                let fields = signer.sign(&lent, Payload::Hash(hash), &[], now).unwrap();
                for (name, value) in &fields.headers {
                    sent = sent.with(name.as_str(), value.as_bytes());
                }
                sent
            }
            HttpSignature => {
                let mut components = httpsig::REQUIRED.to_vec();
                if !body.is_empty() {
                    components.push(Component::field(HeaderName::from_static("content-digest")));
                }
                let parameters = SignParameters {
                    label: "sig1",
                    key_id: &self.key_id,
                    created: now,
                    expires: None,
                    nonce: Some(&self.nonce),
                    tag: None,
                    name_algorithm: false,
                };
                let key = SignerKey::Shared(&self.secret);
                let fields = httpsig::sign(&lent, &components, &parameters, key).unwrap();
                sent.with(SIGNATURE_INPUT.as_str(), fields.signature_input.as_bytes())
                    .with(SIGNATURE.as_str(), fields.signature.as_bytes())
            }
            _ => {
                let value =
                    hmac_request::sign(&lent, &hash, &self.key_id, &self.secret, &self.nonce, now);
                sent.with("authorization", value.unwrap().expose())
            }
        }
    }
}

impl Sent {
    /// Another call alike.
    pub(crate) fn copy(&self) -> Self {
        Self {
            method: self.method.clone(),
            target: self.target.clone(),
            version: self.version,
            fields: self.fields.clone(),
            arrival: self.arrival.clone(),
            body: self.body.clone(),
        }
    }

    pub(crate) fn post(target: &str) -> Self {
        Self {
            method: Method::POST,
            ..Self::get(target)
        }
    }
}

/// What Signature Version 4 is judged by in the tests' world.
pub(crate) fn rules() -> crate::credential::signed::SignatureRules {
    crate::credential::signed::SignatureRules {
        regions: vec![REGION.into()],
        services: vec![SERVICE.into()],
        presigned: Some(sigv4::PRESIGNED_LIFETIME),
        ..crate::credential::signed::SignatureRules::default()
    }
}
