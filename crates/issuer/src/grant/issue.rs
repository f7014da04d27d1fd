//! **Tokens of people**: what every grant that goes back to a person ends with. The person must
//! still be there; scopes and audiences are those of the grant, as far as the client is still
//! granted them; nothing lives longer than the grant.

use core::time::Duration;
use std::sync::Arc;

use proof::issued::{Issued, SecretKind};
use proof::random::uuid_v7;
use registry::client::{ClientKind, IdentityScope, Profile};

use super::target::PersonTarget;
use super::{Asked, REFRESH_IDLE, TokenResponse};
use crate::Issuer;
use crate::access::{AccessToken, Subject};
use crate::declared::RegisteredClient;
use crate::error::{Outcome, Reason};
use crate::flow::{Binding, Grant, NewRefresh};
use crate::id_token::{self, IdToken};
use crate::ports::{IssuerStore, KeptToken, KeyPurpose, People, Person, Secrets};

/// Whether a grant of this client gets a refresh token.
///
/// The client must be declared for them, and one that lives in a browser alone must have bound its
/// tokens to a key (RFC 9700 §4.14.2). OpenID Connect Core §11 leaves it to the server when there
/// are refresh tokens without `offline_access`: the modern profiles issue them whenever the client
/// is declared so, and they end with the session unless that scope was allowed; `oidc_compat` keeps
/// to what relying parties of old expect and issues them for `offline_access` alone. A grant
/// without OpenID knows no such scope.
pub(super) fn wants_refresh(
    client: &RegisteredClient,
    binding: Option<&Binding>,
    scopes: &[String],
) -> bool {
    let has = |scope: IdentityScope| scopes.iter().any(|own| own == scope.name());
    client.may_use(registry::client::GrantType::RefreshToken)
        && (client.kind != ClientKind::Browser || matches!(binding, Some(Binding::Jkt(_))))
        && (client.profile != Profile::OidcCompat
            || !has(IdentityScope::Openid)
            || has(IdentityScope::OfflineAccess))
}

impl<S: IssuerStore, C: Secrets + People> Issuer<S, C> {
    /// The person of a grant, if they may still use this client.
    pub(super) async fn person_of(&self, asked: &Asked<'_>, subject: &str) -> Outcome<Arc<Person>> {
        let person = self.people().person(subject, asked.now()).await?;
        Ok(person
            .filter(|person| person.environment == asked.client().environment)
            .ok_or(Reason::PersonGone)?)
    }

    /// The first refresh token of a line, and its text.
    pub(super) fn first_refresh(&self, asked: &Asked<'_>) -> (NewRefresh, String) {
        let client = asked.client();
        let issued = Issued::generate(
            self.brand(),
            SecretKind::RefreshToken,
            client.environment,
            self.entropy(),
        );
        let new = NewRefresh {
            hash: proof::digest::TokenHash::of(issued.secret.expose()),
            until: asked.now().plus(REFRESH_IDLE),
            // RFC 9449 §5: bound for public clients; others prove themselves at each refresh, and
            // may change their keys.
            binding: asked.binding.clone().filter(|_| client.is_public()),
        };
        (new, issued.text().to_owned())
    }

    /// Makes the tokens of a grant, but for the refresh token. They are made before the act that
    /// they belong to, so that nothing is spent for tokens that can't be made, and an opaque one is
    /// kept in the same step. None of them is sent unless the act came about.
    pub(super) fn make_tokens(
        &self,
        asked: &Asked<'_>,
        grant: &Grant,
        person: &Person,
        target: &PersonTarget<'_>,
        nonce: Option<&str>,
    ) -> Outcome<(TokenResponse, Option<KeptToken>)> {
        let client = asked.client();
        let left = grant.until.since(asked.now());
        let lifetime = Duration::from_secs(target.lifetime.min(left).as_secs());
        if lifetime.is_zero() {
            return Err(Reason::GrantEnded.into());
        }
        let scope = target.scopes.join(" ");
        let access = self.make_token(
            &AccessToken {
                issuer: self.endpoints().issuer(),
                client,
                subject: Subject::person(person, grant),
                audiences: &target.audiences,
                scope: &scope,
                issued_at: asked.now(),
                lifetime,
                token_id: &uuid_v7(asked.now(), self.entropy()),
                binding: asked.binding.as_ref(),
                act: None,
            },
            &target.form,
        )?;
        let id_token = if target.has(IdentityScope::Openid) {
            let ring = self.keys().ring();
            let key = KeyPurpose::id_token(client.id_token_alg)
                .and_then(|purpose| ring.signer(purpose))
                .ok_or(Reason::NoSigningKey)?;
            Some(id_token::mint(
                key,
                &IdToken {
                    issuer: self.endpoints().issuer(),
                    client,
                    person,
                    grant,
                    nonce,
                    access_token: &access.text,
                    now: asked.now(),
                },
            ))
        } else {
            None
        };
        let answer = TokenResponse {
            access_token: access.text,
            token_type: asked.token_type(),
            expires_in: lifetime.as_secs(),
            issued_token_type: None,
            refresh_token: None,
            id_token,
            scope,
        };
        Ok((answer, access.kept))
    }
}
