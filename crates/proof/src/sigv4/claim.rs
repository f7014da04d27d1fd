//! A claim, and its judgement.

use std::time::Duration;

use subtle::ConstantTimeEq as _;

use super::{
    PathStyle, Payload, Rules, Scope, SigV4Defect, canonical,
    chunks::{ChunkDecoder, ChunkPlan},
    read, string_to_sign,
};
use crate::{
    digest::{hex, hmac_sha256},
    request::{BodyDigest, Replay, SignedHead, Verified},
    secret::Secret,
    time::Timestamp,
};

/// A request that says who signed it. Nothing of it is verified.
#[derive(Clone, Debug)]
pub struct Claimed<'a> {
    pub(super) head: SignedHead<'a>,
    pub(super) key_id: String,
    pub(super) scope: Scope,
    pub(super) time: String,
    pub(super) signed_at: Timestamp,
    /// How long it lives, if it is presigned.
    pub(super) expires_in: Option<Duration>,
    pub(super) signed_headers: Vec<String>,
    pub(super) payload: Option<Payload>,
    pub(super) signature: [u8; 32],
}

impl Claimed<'_> {
    /// The id under which the secret is to be looked up.
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// For what the signing key was derived, as claimed.
    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    /// Whether it came as a presigned query.
    pub fn is_presigned(&self) -> bool {
        self.expires_in.is_some()
    }

    /// Whether the whole body must be hashed before [`Self::verify`]: the request signs a hash
    /// that it does not name.
    pub fn needs_body(&self) -> bool {
        self.payload.is_none()
    }

    /// Verifies with whichever of `secrets` it was signed with. `body` is the SHA-256 of the whole
    /// body, asked for where [`Self::needs_body`].
    ///
    /// # Errors
    /// The first [`SigV4Defect`]: rules, required fields, times, then the signature.
    pub fn verify<S: AsRef<str>>(
        self,
        secrets: &[&Secret],
        body: Option<&[u8; 32]>,
        now: Timestamp,
        rules: &Rules<'_, S>,
    ) -> Result<Verified, SigV4Defect> {
        let lists = |list: &[S], text: &str| list.iter().any(|known| known.as_ref() == text);
        if !lists(rules.regions, &self.scope.region) {
            return Err(SigV4Defect::Region);
        }
        if !lists(rules.services, &self.scope.service) {
            return Err(SigV4Defect::Service);
        }
        let payload = match self.payload {
            Some(payload) => payload.declared(),
            None => hex(body.ok_or(SigV4Defect::BodyNotHashed)?),
        };
        self.payload_is_allowed(rules)?;
        self.required_are_signed(rules)?;
        let until = self.within(now, rules)?;

        let headers = canonical::headers(&self.head, &self.signed_headers)?;
        let styles = rules
            .paths
            .unwrap_or_else(|| PathStyle::of_service(&self.scope.service));
        let texts = self.strings_to_sign(styles, &headers, &payload);
        let (key, matched) = secrets
            .iter()
            .enumerate()
            .find_map(|(n, secret)| {
                let key = self.scope.derive(secret);
                texts
                    .iter()
                    .any(|text| {
                        let tag = hmac_sha256(&*key, text.as_bytes());
                        bool::from(tag.ct_eq(&self.signature))
                    })
                    .then_some((key, n))
            })
            .ok_or(SigV4Defect::Signature)?;

        let plan = |signing_key| -> Result<_, SigV4Defect> {
            Ok(ChunkPlan {
                signing_key,
                time: self.time.clone(),
                scope: self.scope.text(),
                seed: self.signature,
                decoded_length: read::decoded_length(&self.head)?,
                trailers: read::declared_trailers(&self.head)?,
                max_chunk_bytes: rules.max_chunk_bytes,
            })
        };
        let body = match self.payload {
            None => BodyDigest::Checked,
            Some(Payload::Hash(hash)) => BodyDigest::Sha256(hash),
            Some(Payload::Unsigned) if rules.unsigned_payload => BodyDigest::Unsigned,
            Some(Payload::Unsigned) => BodyDigest::Empty,
            Some(Payload::SignedChunks { trailers }) => {
                let plan = plan(Some(key))?;
                if plan.trailers.is_empty() == trailers {
                    return Err(SigV4Defect::Payload);
                }
                BodyDigest::Chunks(Box::new(ChunkDecoder::new(plan)))
            }
            Some(Payload::UnsignedChunks) => {
                BodyDigest::Chunks(Box::new(ChunkDecoder::new(plan(None)?)))
            }
        };
        Ok(Verified {
            key: matched,
            created: Some(self.signed_at),
            expires: self.expires_in.map(|life| self.signed_at.plus(life)),
            nonce: None,
            tag: None,
            reusable: self.expires_in.is_some(),
            body,
            replay: Replay::new("sigv4", &[self.key_id.as_bytes(), &self.signature], until),
            key_id: self.key_id,
            covered: self.signed_headers,
        })
    }

    /// The scope's date is the day of the time that is signed.
    pub(super) fn of_one_day(self) -> Result<Self, SigV4Defect> {
        if self.time.get(..8) == Some(self.scope.date.as_str()) {
            Ok(self)
        } else {
            Err(SigV4Defect::Time)
        }
    }

    fn payload_is_allowed<S: AsRef<str>>(&self, rules: &Rules<'_, S>) -> Result<(), SigV4Defect> {
        let allowed = match self.payload {
            None | Some(Payload::Hash(_)) => true,
            // A presigned request may leave the body out, and then there must be none.
            Some(Payload::Unsigned) => rules.unsigned_payload || self.is_presigned(),
            Some(Payload::SignedChunks { .. }) => rules.signed_chunks,
            Some(Payload::UnsignedChunks) => rules.unsigned_chunks,
        };
        if allowed {
            Ok(())
        } else {
            Err(SigV4Defect::PayloadNotAllowed)
        }
    }

    fn required_are_signed<S: AsRef<str>>(&self, rules: &Rules<'_, S>) -> Result<(), SigV4Defect> {
        let unsigned = |name: &str| {
            let required = name == "content-type"
                || name.starts_with("x-amz-")
                || rules.signed_if_present.iter().any(|r| r.as_ref() == name);
            required && !self.signed_headers.iter().any(|signed| signed == name)
        };
        if self.head.headers.keys().any(|name| unsigned(name.as_str())) {
            return Err(SigV4Defect::NotSigned);
        }
        Ok(())
    }

    /// Whether now lies in its time; gives when it would be refused anyway.
    fn within<S: AsRef<str>>(
        &self,
        now: Timestamp,
        rules: &Rules<'_, S>,
    ) -> Result<Timestamp, SigV4Defect> {
        if self.signed_at > now.plus(rules.window) {
            return Err(SigV4Defect::InFuture);
        }
        let end = match self.expires_in {
            None => self.signed_at.plus(rules.window),
            Some(life) => {
                let longest = rules.presigned.ok_or(SigV4Defect::Presigned)?;
                if life > longest {
                    return Err(SigV4Defect::LifetimeTooLong);
                }
                self.signed_at.plus(life).plus(rules.leeway.0)
            }
        };
        if now >= end {
            return Err(SigV4Defect::Stale);
        }
        Ok(end)
    }

    fn strings_to_sign(&self, styles: &[PathStyle], headers: &[u8], payload: &str) -> Vec<String> {
        let mut paths: Vec<String> = Vec::with_capacity(styles.len());
        for style in styles {
            let path = canonical::path(self.head.path, *style);
            if !paths.contains(&path) {
                paths.push(path);
            }
        }
        let queries = canonical::queries(self.head.query);
        let mut texts = Vec::with_capacity(paths.len() * queries.len());
        for path in &paths {
            for query in &queries {
                let request = canonical::request(
                    self.head.method,
                    path,
                    query,
                    headers,
                    &self.signed_headers,
                    payload,
                );
                texts.push(string_to_sign(&self.time, &self.scope, &request));
            }
        }
        texts
    }
}
