//! **Sender constraint** at the issuer's own endpoints (RFC 9449, RFC 8705): which key the sender of
//! a request has shown to hold, and so what its tokens are bound to. A proof that was tried and
//! failed is never "no proof", and a client whose tokens must be bound never gets unbound ones
//! (threat D1).

use proof::dpop::{self, Proof, ProofDefect, ProofExpect};
use proof::time::Timestamp;
use proof::x509;
use registry::client::SenderConstraint;

use crate::declared::RegisteredClient;
use crate::error::{Outcome, Reason, Refusal};
use crate::flow::Binding;
use crate::metadata::Endpoint;
use crate::ports::{FirstUse, IssuerStore, Secrets};
use crate::{DpopHeader, Issuer, OAuthRequest};

/// Keeps the nonces' key apart from every other use of the master key.
pub(crate) const NONCE_PURPOSE: &str = "issuer/dpop-nonce";

/// Scope of DPoP proofs in the replay memory.
const REPLAY: &str = "dpop";

/// What a verifier of proofs asks beside the proof itself.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ProofCheck<'a> {
    /// The request's method.
    pub(crate) method: &'a str,
    /// Where it was sent.
    pub(crate) endpoint: Endpoint,
    /// The access token that came with it.
    pub(crate) access_token: Option<&'a [u8]>,
    /// Whether it must repeat a nonce of ours.
    pub(crate) nonce: bool,
}

impl<S: IssuerStore, C: Secrets> Issuer<S, C> {
    /// The nonce that proofs sent to the token endpoint and to that of pushed requests must carry
    /// now (RFC 9449 §8). Send it as `DPoP-Nonce` with every answer to a request that came with a
    /// proof, and with every `use_dpop_nonce`.
    pub fn dpop_nonce(&self, now: Timestamp) -> String {
        self.nonces().mint(now)
    }

    /// What the tokens of a request by an authenticated client are bound to: the key of its DPoP
    /// proof, or its certificate where the client is declared so.
    ///
    /// # Errors
    /// `invalid_dpop_proof`, `use_dpop_nonce`; `invalid_request` without the certificate that is
    /// needed; `temporarily_unavailable` if a replay can't be ruled out.
    pub(crate) async fn bind(
        &self,
        request: &OAuthRequest<'_>,
        client: &RegisteredClient,
        endpoint: Endpoint,
    ) -> Outcome<Option<Binding>> {
        let proof_came = request.sender.dpop != DpopHeader::Absent;
        match client.sender_constraint {
            SenderConstraint::Mtls if proof_came => Err(Reason::TwoConstraints.into()),
            SenderConstraint::Mtls => {
                let der = request
                    .sender
                    .certificate
                    .ok_or(Reason::CertificateMissing)?;
                Ok(Some(Binding::Certificate(x509::thumbprint(der))))
            }
            SenderConstraint::Dpop if !proof_came => Err(Reason::ProofMissing.into()),
            SenderConstraint::None if client.rules().sender_constraint_required && !proof_came => {
                Err(Reason::ProofMissing.into())
            }
            SenderConstraint::Dpop | SenderConstraint::None => {
                let check = ProofCheck {
                    method: "POST",
                    endpoint,
                    access_token: None,
                    nonce: true,
                };
                let proof = self
                    .check_proof(request.sender.dpop, check, request.now)
                    .await?;
                Ok(proof.map(|proof| Binding::Jkt(proof.thumbprint)))
            }
        }
    }

    /// Judges the `DPoP` header of a request; `None` without one.
    ///
    /// # Errors
    /// As [`Issuer::bind`].
    pub(crate) async fn check_proof(
        &self,
        header: DpopHeader<'_>,
        check: ProofCheck<'_>,
        now: Timestamp,
    ) -> Outcome<Option<Proof>> {
        let text = match header {
            DpopHeader::Absent => return Ok(None),
            DpopHeader::Repeated => return Err(Reason::ProofRepeated.into()),
            DpopHeader::One(text) => text,
        };
        let expect = |uri| ProofExpect {
            method: check.method,
            uri,
            access_token: check.access_token,
            max_age: dpop::MAX_AGE,
            leeway: self.leeway(),
        };
        let endpoints = self.endpoints();
        let url = endpoints.url(check.endpoint);
        let mut proof = dpop::verify(text, &expect(&url), now);
        // The same endpoint has a second address where clients show certificates (RFC 8705 §5).
        if proof == Err(ProofDefect::WrongUri)
            && let Some(alias) = endpoints.mtls_url(check.endpoint)
        {
            proof = dpop::verify(text, &expect(&alias), now);
        }
        let proof = proof.map_err(|defect| Refusal::because(Reason::BadProof, defect.code()))?;
        if check.nonce {
            let fresh = proof
                .nonce
                .as_deref()
                .is_some_and(|nonce| self.nonces().accepts(nonce, now));
            if !fresh {
                return Err(Reason::NonceNeeded.into());
            }
        }
        // Last, so that nobody spends a `jti` without the key.
        let id = format!("{}/{}", proof.thumbprint, proof.jti);
        let until = dpop::replayable_until(&proof, dpop::MAX_AGE, self.leeway());
        let memory = match check.nonce {
            true => self.replay_with_nonce(),
            false => self.replay(),
        };
        match memory.first_use(REPLAY, &id, until, now).await? {
            FirstUse::Yes => Ok(Some(proof)),
            FirstUse::Replayed => Err(Reason::ProofReplayed.into()),
        }
    }
}
