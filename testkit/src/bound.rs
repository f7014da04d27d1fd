//! **What a bound token needs besides itself**: a key that signs DPoP proofs, and a certificate of
//! a client's own. Both can be made as wrong as a test wants.

use std::path::Path;
use std::sync::Arc;

use anyhow::Result;
use proof::base64url;
use proof::client_call;
use proof::digest::sha256;
use proof::jose::alg::Algorithm;
use proof::jose::key::SigningKey;
use proof::secret::Secret;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::{Value, json};

use crate::tokens::now;
use crate::wire;

/// A client's key for DPoP (RFC 9449).
#[derive(Debug)]
pub struct ProofKey(SigningKey);

impl ProofKey {
    /// A new one for an algorithm.
    ///
    /// # Panics
    /// If no key can be made.
    #[must_use]
    pub fn new(algorithm: Algorithm) -> Self {
        Self(SigningKey::generate(algorithm).expect("a fresh key"))
    }

    /// Its RFC 7638 thumbprint: what `cnf.jkt` and `dpop_jkt` name.
    #[must_use]
    pub fn thumbprint(&self) -> &str {
        self.0.kid()
    }

    /// A good header, with the public key's required members.
    #[must_use]
    pub fn header(&self) -> Value {
        let mut jwk = self.0.public_jwk().to_json();
        if let Some(members) = jwk.as_object_mut() {
            members.retain(|name, _| !["use", "kid", "alg"].contains(&name.as_str()));
        }
        json!({ "typ": "dpop+jwt", "alg": self.0.alg().name(), "jwk": jwk })
    }

    /// Good claims for a call, with an id of their own.
    #[must_use]
    pub fn claims(&self, method: &str, address: &str, token: Option<&str>) -> Value {
        let mut claims = json!({
            "jti": proof::random::random_base62(16, &proof::random::SystemEntropy),
            "htm": method,
            "htu": address,
            "iat": now(),
        });
        if let Some(token) = token {
            claims["ath"] = json!(base64url::encode(&sha256(token.as_bytes())));
        }
        claims
    }

    /// A good proof for a call.
    #[must_use]
    pub fn proof(&self, method: &str, address: &str, token: Option<&str>) -> String {
        self.sign(&self.header(), &self.claims(method, address, token))
    }

    /// A proof of any header and claims, truly signed.
    #[must_use]
    pub fn sign(&self, header: &Value, claims: &Value) -> String {
        let part = |json: &Value| base64url::encode(json.to_string().as_bytes());
        let input = format!("{}.{}", part(header), part(claims));
        let signature = self.0.sign(input.as_bytes());
        format!("{input}.{}", base64url::encode(&signature))
    }
}

/// A client's certificate and its key.
#[derive(Debug)]
pub struct ClientCertificate {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl ClientCertificate {
    /// A self-signed one of a name.
    ///
    /// # Errors
    /// If none can be made.
    pub fn self_signed(name: &str) -> Result<Self> {
        let key = rcgen::KeyPair::generate()?;
        let params = rcgen::CertificateParams::new(vec![name.to_owned()])?;
        let certificate = params.self_signed(&key)?;
        Ok(Self::new(vec![certificate.der().clone()], &key))
    }

    /// A chain, leaf first, and the leaf's key.
    #[must_use]
    pub fn new(chain: Vec<CertificateDer<'static>>, key: &rcgen::KeyPair) -> Self {
        Self {
            chain,
            key: PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
        }
    }

    /// How logs and usage name it.
    #[must_use]
    pub fn name(&self) -> String {
        let digest = proof::digest::sha256(&self.chain[0]);
        format!("x5t:{}", proof::digest::hex(&digest))
    }

    /// What `cnf.x5t#S256` names (RFC 8705 §3.1).
    #[must_use]
    pub fn thumbprint(&self) -> String {
        proof::x509::thumbprint(&self.chain[0])
    }

    /// The JWT of a call, signed with the certified key, and the certificates along with it
    /// (RFC 7515 §4.1.6).
    ///
    /// # Panics
    /// If the key is no P-256 key.
    #[must_use]
    pub fn sign_call(&self, draft: &client_call::Draft<'_>) -> String {
        let der = Secret::new(self.key.secret_der());
        let key = SigningKey::from_pkcs8(Algorithm::ES256, &der).expect("a P-256 key");
        draft.sign_certified(&key, &self.chain)
    }

    /// TLS of a client that trusts one PEM file and shows this certificate.
    ///
    /// # Errors
    /// If the file can't be read, or the key does not fit.
    pub fn client_config(&self, ca: &Path) -> Result<Arc<rustls::ClientConfig>> {
        let builder = wire::trusting(ca)?;
        Ok(Arc::new(builder.with_client_auth_cert(
            self.chain.clone(),
            self.key.clone_key(),
        )?))
    }
}
