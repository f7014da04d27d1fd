//! **Clients that name themselves only** (RFC 8705 §2, RFC 6749 §2.1): the TLS connection's
//! certificate proves them, or, of a public client, nothing does. Which of these it is, the
//! declaration says: a certificate that happens to be there makes nobody another kind of client.

use proof::digest::TokenHash;
use proof::x509::{Certificate, dn_matches};
use registry::client::{CertificateSubject, ClientAuthMethod};
use verdict::credential::mtls;
use verdict::identity::CredentialId;

use super::AuthenticatedClient;
use crate::declared::{Declared, RegisteredClient};
use crate::error::{Outcome, Reason, Refusal};
use crate::ports::{IssuerStore, Secrets};
use crate::{Issuer, OAuthRequest};

impl<S: IssuerStore, C: Secrets> Issuer<S, C> {
    pub(super) async fn by_name(
        &self,
        request: &OAuthRequest<'_>,
        declared: &Declared,
        client_id: &str,
    ) -> Outcome<AuthenticatedClient> {
        let client = declared
            .known(client_id)
            .ok_or(Reason::NoClientAuthentication)?;
        let credential = match client.method {
            ClientAuthMethod::None => None,
            ClientAuthMethod::TlsClientAuth => {
                let (der, certificate) = shown(request)?;
                self.check_subject(client, &certificate, request).await?;
                Some(name_of(der))
            }
            ClientAuthMethod::SelfSignedTlsClientAuth => {
                let (der, certificate) = shown(request)?;
                self.check_key(client, &certificate, request).await?;
                Some(name_of(der))
            }
            ClientAuthMethod::ClientSecretBasic
            | ClientAuthMethod::ClientSecretPost
            | ClientAuthMethod::PrivateKeyJwt => {
                return Err(Reason::NoClientAuthentication.into());
            }
        };
        Ok(AuthenticatedClient {
            client: client.clone(),
            credential,
        })
    }

    /// RFC 8705 §2.1: a path to a trusted root first, since only then a name means something; then
    /// the one name that is registered, then what the authority's responder says of the path.
    async fn check_subject(
        &self,
        client: &RegisteredClient,
        certificate: &Certificate,
        request: &OAuthRequest<'_>,
    ) -> Outcome<()> {
        let bad = |cause: &'static str| Refusal::because(Reason::BadCertificate, cause);
        let vouches = self
            .client_authority()
            .ok_or_else(|| bad("nobody vouches for clients' certificates"))?;
        let authority = vouches.now()?;
        let path = certificate
            .verify_chain(
                request.sender.intermediates,
                &authority.roots,
                authority.revocation.as_ref(),
                request.now,
            )
            .map_err(|defect| bad(defect.code()))?;
        let trusted = path.certificate();
        let fits = match &client.certificate {
            Some(CertificateSubject::SubjectDn(dn)) => dn_matches(dn, trusted.subject_dn()),
            Some(CertificateSubject::SanDns(name)) => trusted
                .dns_names()
                .iter()
                .any(|own| own.eq_ignore_ascii_case(name)),
            Some(CertificateSubject::SanUri(uri)) => trusted.uris().contains(uri),
            Some(CertificateSubject::SanIp(ip)) => trusted.ip_addresses().contains(ip),
            Some(CertificateSubject::SanEmail(mail)) => trusted.emails().contains(mail),
            None => false,
        };
        if !fits {
            return Err(bad("another subject"));
        }
        for question in authority.questions(&path) {
            let status = vouches.status(&question, request.now).await?;
            mtls::not_revoked(status).map_err(|defect| bad(defect.code()))?;
        }
        Ok(())
    }

    /// RFC 8705 §2.2: the certificate's key is one of the client's; nobody vouches for its names.
    async fn check_key(
        &self,
        client: &RegisteredClient,
        certificate: &Certificate,
        request: &OAuthRequest<'_>,
    ) -> Outcome<()> {
        let bad = |cause: &'static str| Refusal::because(Reason::BadCertificate, cause);
        if !certificate.valid_at(request.now) {
            return Err(bad("not in its time"));
        }
        let known = match (&client.jwks, &client.jwks_uri) {
            (Some(set), _) => set
                .keys()
                .iter()
                .any(|key| certificate.public_key_matches(key)),
            (None, Some(at)) => {
                let thumbprint = certificate
                    .public_key()
                    .map_err(|defect| bad(defect.code()))?
                    .thumbprint();
                let keys = self.client_keys().keys(at, None).await?;
                keys.iter().any(|key| key.thumbprint() == thumbprint)
            }
            (None, None) => false,
        };
        if known {
            Ok(())
        } else {
            Err(bad("not the client's key"))
        }
    }
}

/// The certificate of the connection, as it came and read. Its key was proved in the handshake.
fn shown<'a>(request: &OAuthRequest<'a>) -> Outcome<(&'a [u8], Certificate)> {
    let der = request.sender.certificate.ok_or(Reason::NoCertificate)?;
    let certificate = Certificate::parse(der)
        .map_err(|defect| Refusal::because(Reason::BadCertificate, defect.code()))?;
    Ok((der, certificate))
}

/// What a certificate is called in the record, there as at the APIs.
fn name_of(der: &[u8]) -> CredentialId {
    CredentialId::new(format!("x5t:{}", TokenHash::of(der)))
}
