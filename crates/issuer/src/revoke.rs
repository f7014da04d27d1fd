//! **Revocation**: by the client, of its own token (RFC 7009); by an administrator, of all tokens
//! of a client. A revocation is stored with its audit event first and felt on this node at once;
//! other nodes hear of it by the bus.

use core::time::Duration;
use std::collections::BTreeMap;

use proof::digest::TokenHash;
use proof::random::uuid_v7;
use proof::time::Timestamp;
use registry::actor::Actor;
use registry::audit::AuditDraft;
use verdict::identity::ClientId;

use crate::declared::RegisteredClient;
use crate::error::{Outcome, Reason};
use crate::flow::{EndReason, FlowFilter, Flows};
use crate::grant::refresh_token;
use crate::ports::{IssuerStore, Revocation, Secrets};
use crate::{Issuer, OAuthRequest};

/// No access token lives longer; an epoch may be forgotten after it.
pub(crate) const LONGEST_TOKEN: Duration = Duration::from_secs(3600);

impl<S: IssuerStore + Flows, C: Secrets> Issuer<S, C> {
    /// Answers a revocation request. A refresh token's end is its grant's: every token of it dies
    /// (RFC 7009 §2.1). A token that is unknown, or dead already, is a success:
    /// RFC 7009 §2.2.
    ///
    /// # Errors
    /// `invalid_client`, `invalid_request` without a `token`, `unauthorized_client` for another
    /// client's token (RFC 7009 §2.1), `temporarily_unavailable` if it can't be recorded: the
    /// token is alive then (RFC 7009 §2.2.1).
    pub async fn revoke(&self, request: &OAuthRequest<'_>) -> Outcome<()> {
        let client = self.authenticate_client(request).await?;
        let token = request.params.one("token").ok_or(Reason::TokenMissing)?;
        if let Some(hash) = refresh_token(self.brand(), client.client(), token) {
            return self.revoke_refresh(request, client.client(), hash).await;
        }
        let Some(token) = self.read_token(token, request.now).await? else {
            return Ok(());
        };
        if token.client_id() != client.client().client_id.as_str() {
            return Err(Reason::NotOwnToken.into());
        }
        let revocation = Revocation::Token {
            token_id: token.token_id().to_owned(),
            until: token.expires_at().plus(self.leeway().0),
        };
        let id = uuid_v7(request.now, self.entropy());
        let audit = AuditDraft {
            id,
            at: request.now,
            actor: format!("client:{}", client.client().client_id),
            action: "token.revoke",
            subject: format!("token/{}", token.token_id()),
            request_id: request.request_id.to_owned(),
            details: BTreeMap::new(),
        };
        self.store().revoke(revocation.clone(), audit).await?;
        self.revocations().learn(&revocation);
        Ok(())
    }

    async fn revoke_refresh(
        &self,
        request: &OAuthRequest<'_>,
        client: &RegisteredClient,
        hash: TokenHash,
    ) -> Outcome<()> {
        let found = self.store().refresh_token(hash, request.now).await?;
        let Some((grant, ..)) = found else {
            return Ok(());
        };
        if grant.client_id != client.client_id {
            return Err(Reason::NotOwnToken.into());
        }
        let which = FlowFilter {
            id: Some(grant.id.clone()),
            ..FlowFilter::default()
        };
        let audit = AuditDraft {
            id: uuid_v7(request.now, self.entropy()),
            at: request.now,
            actor: format!("client:{}", client.client_id),
            action: "grant.end",
            subject: format!("grant/{}", grant.id),
            request_id: request.request_id.to_owned(),
            details: BTreeMap::new(),
        };
        let ended = self
            .store()
            .end_grants(&which, EndReason::Client, request.now, audit)
            .await?;
        for grant in &ended {
            self.revocations().learn(&Revocation::Grant {
                grant_id: grant.id.clone(),
                until: request.now.plus(LONGEST_TOKEN).plus(self.leeway().0),
            });
        }
        Ok(())
    }
}

impl<S: IssuerStore + Flows, C: Secrets> Issuer<S, C> {
    /// Ends all that a client was given: every grant of a person, and every token until now. The
    /// caller has checked that the actor may do this.
    ///
    /// # Errors
    /// `temporarily_unavailable` or `server_error`; what was ended until then stays so.
    pub async fn end_client(
        &self,
        client_id: &ClientId,
        actor: &Actor,
        request_id: &str,
        now: Timestamp,
    ) -> Outcome<()> {
        let which = FlowFilter {
            client_id: Some(client_id.as_str().to_owned()),
            ..FlowFilter::default()
        };
        let audit = AuditDraft {
            id: uuid_v7(now, self.entropy()),
            at: now,
            actor: actor.label(),
            action: "grant.end",
            subject: format!("client/{client_id}"),
            request_id: request_id.to_owned(),
            details: BTreeMap::new(),
        };
        let ended = self
            .store()
            .end_grants(&which, EndReason::Client, now, audit)
            .await?;
        for grant in &ended {
            self.revocations().learn(&Revocation::Grant {
                grant_id: grant.id.clone(),
                until: now.plus(LONGEST_TOKEN).plus(self.leeway().0),
            });
        }
        self.revoke_client_tokens(client_id, actor, request_id, now)
            .await
    }
}

impl<S: IssuerStore, C: Secrets> Issuer<S, C> {
    /// Ends every token that a client was issued until now. The caller has checked that the actor
    /// may do this.
    ///
    /// # Errors
    /// `temporarily_unavailable` or `server_error`; nothing was written then.
    pub async fn revoke_client_tokens(
        &self,
        client_id: &ClientId,
        actor: &Actor,
        request_id: &str,
        now: Timestamp,
    ) -> Outcome<()> {
        // `iat` counts whole seconds: a token of this very second dies too, whenever it was made.
        let revocation = Revocation::ClientEpoch {
            client_id: client_id.as_str().to_owned(),
            before: now,
            until: now.plus(LONGEST_TOKEN).plus(self.leeway().0),
        };
        let audit = AuditDraft {
            id: uuid_v7(now, self.entropy()),
            at: now,
            actor: actor.label(),
            action: "client.revoke_tokens",
            subject: format!("client/{client_id}"),
            request_id: request_id.to_owned(),
            details: BTreeMap::new(),
        };
        self.store().revoke(revocation.clone(), audit).await?;
        self.revocations().learn(&revocation);
        Ok(())
    }

    /// Ends one token by its `jti`, whoever holds it. The caller has checked that the actor may do
    /// this. Whether there is such a token is not known: none is kept.
    ///
    /// # Errors
    /// `temporarily_unavailable` or `server_error`; nothing was written then.
    pub async fn revoke_token_id(
        &self,
        token_id: &str,
        actor: &Actor,
        request_id: &str,
        now: Timestamp,
    ) -> Outcome<()> {
        let revocation = Revocation::Token {
            token_id: token_id.to_owned(),
            until: now.plus(LONGEST_TOKEN).plus(self.leeway().0),
        };
        let audit = AuditDraft {
            id: uuid_v7(now, self.entropy()),
            at: now,
            actor: actor.label(),
            action: "token.revoke",
            subject: format!("token/{token_id}"),
            request_id: request_id.to_owned(),
            details: BTreeMap::new(),
        };
        self.store().revoke(revocation.clone(), audit).await?;
        self.revocations().learn(&revocation);
        Ok(())
    }
}
