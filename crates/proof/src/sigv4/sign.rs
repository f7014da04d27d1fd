//! The signing side: for calls that Doorward itself makes, and for the command line.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, header};

use super::{
    ALGORITHM, PathStyle, Payload, Scope, SigV4Defect, canonical,
    canonical::{Percent, SIGNATURE_PARAMETER},
    chunks::ChunkEncoder,
    read::{CONTENT_SHA256, DATE},
    string_to_sign,
};
use crate::{
    calendar,
    digest::{hex, hmac_sha256},
    request::SignedHead,
    secret::Secret,
    time::Timestamp,
};

/// Who signs, and for what.
#[derive(Clone, Copy, Debug)]
pub struct Signer<'a> {
    /// The key's id.
    pub key_id: &'a str,
    /// The key.
    pub secret: &'a Secret,
    /// Region of the credential scope.
    pub region: &'a str,
    /// Service of the credential scope.
    pub service: &'a str,
    /// How the path stands in the canonical request.
    pub path: PathStyle,
}

/// What a signature adds to a request.
pub struct SignedFields {
    /// The fields to set: `x-amz-date`, `x-amz-content-sha256` and `authorization`.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    seed: [u8; 32],
    time: String,
    scope: Scope,
}

impl std::fmt::Debug for SignedFields {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SignedFields")
            .field("scope", &self.scope)
            .finish_non_exhaustive()
    }
}

impl<'a> Signer<'a> {
    /// A signer for a service, with the path as that service's signers write it.
    pub fn new(key_id: &'a str, secret: &'a Secret, region: &'a str, service: &'a str) -> Self {
        let path = match PathStyle::of_service(service) {
            [PathStyle::AsSent, ..] => PathStyle::AsSent,
            _ => PathStyle::Double,
        };
        Self {
            key_id,
            secret,
            region,
            service,
            path,
        }
    }

    /// Signs a head. Covered are the host, `content-type`, every `x-amz-*` and whatever is named
    /// in `also`, as far as the head has them.
    ///
    /// # Errors
    /// [`SigV4Defect`] if a name or value can't be signed.
    pub fn sign(
        &self,
        head: &SignedHead<'_>,
        payload: Payload,
        also: &[HeaderName],
        now: Timestamp,
    ) -> Result<SignedFields, SigV4Defect> {
        let time = calendar::basic(now);
        let mut headers = head.headers.clone();
        let mut added = Vec::new();
        let mut add = |headers: &mut HeaderMap, name: HeaderName, text: &str| {
            let value =
                HeaderValue::from_str(text).map_err(|_| SigV4Defect::Malformed("Credential"))?;
            headers.insert(name.clone(), value.clone());
            added.push((name, value));
            Ok::<(), SigV4Defect>(())
        };
        add(&mut headers, DATE, &time)?;
        add(&mut headers, CONTENT_SHA256, &payload.declared())?;
        let scope = self.scope(&time);
        let names = names(&headers, also);
        let head = SignedHead {
            headers: &headers,
            ..*head
        };
        let seed = self.signature(&head, &names, &payload.declared(), &time, &scope)?;
        let authorization = format!(
            "{ALGORITHM} Credential={}/{}, SignedHeaders={}, Signature={}",
            self.key_id,
            scope.text(),
            names.join(";"),
            hex(&seed)
        );
        let mut value = HeaderValue::from_str(&authorization)
            .map_err(|_| SigV4Defect::Malformed("Credential"))?;
        value.set_sensitive(true);
        added.push((header::AUTHORIZATION, value));
        Ok(SignedFields {
            headers: added,
            seed,
            time,
            scope,
        })
    }

    /// Continues a signature made for [`Payload::SignedChunks`].
    pub fn chunks(&self, signed: SignedFields) -> ChunkEncoder {
        ChunkEncoder::new(
            signed.scope.derive(self.secret),
            signed.time,
            signed.scope.text(),
            signed.seed,
        )
    }

    /// The whole query of a presigned request, which lives so long from now. Covered are the host
    /// and whatever `content-type` and `x-amz-*` the head has.
    ///
    /// # Errors
    /// [`SigV4Defect`] if a name or value can't be signed.
    pub fn presign(
        &self,
        head: &SignedHead<'_>,
        payload: Payload,
        expires_in: Duration,
        now: Timestamp,
    ) -> Result<String, SigV4Defect> {
        let time = calendar::basic(now);
        let scope = self.scope(&time);
        let names = names(head.headers, &[]);
        let credential = format!("{}/{}", self.key_id, scope.text());
        let mut query = head.query.unwrap_or_default().to_owned();
        for (name, value) in [
            ("X-Amz-Algorithm", ALGORITHM),
            ("X-Amz-Credential", &credential),
            ("X-Amz-Date", &time),
            ("X-Amz-Expires", &expires_in.as_secs().to_string()),
            ("X-Amz-SignedHeaders", &names.join(";")),
        ] {
            if !query.is_empty() {
                query.push('&');
            }
            query.push_str(name);
            query.push('=');
            query.push_str(&canonical::encoded(value, Percent::Encoded, false));
        }
        let with_query = SignedHead {
            query: Some(&query),
            ..*head
        };
        let signature = self.signature(&with_query, &names, &payload.declared(), &time, &scope)?;
        Ok(format!("{query}&{SIGNATURE_PARAMETER}={}", hex(&signature)))
    }

    fn scope(&self, time: &str) -> Scope {
        Scope {
            date: time.chars().take(8).collect(),
            region: self.region.to_owned(),
            service: self.service.to_owned(),
        }
    }

    fn signature(
        &self,
        head: &SignedHead<'_>,
        names: &[String],
        payload: &str,
        time: &str,
        scope: &Scope,
    ) -> Result<[u8; 32], SigV4Defect> {
        let path = canonical::path(head.path, self.path);
        let query = canonical::queries(head.query).swap_remove(0);
        let headers = canonical::headers(head, names)?;
        let request = canonical::request(head.method, &path, &query, &headers, names, payload);
        let text = string_to_sign(time, scope, &request);
        Ok(hmac_sha256(&*scope.derive(self.secret), text.as_bytes()))
    }
}

/// The names of the fields to sign, sorted.
fn names(headers: &HeaderMap, also: &[HeaderName]) -> Vec<String> {
    let mut names: Vec<String> = headers
        .keys()
        .filter(|name| {
            **name == header::CONTENT_TYPE
                || name.as_str().starts_with("x-amz-")
                || also.contains(name)
        })
        .map(|name| name.as_str().to_owned())
        .collect();
    names.push("host".to_owned());
    names.sort();
    names.dedup();
    names
}
