//! **Authorization code** (RFC 6749 §4.1.3, OAuth 2.1 §4.1.3). Everything that a code is held to is
//! compared before it is spent, so that a stranger's guess spends nobody's code; spending it is one
//! atomic step, and a second redemption ends the grant with all of its tokens (threat F6).

use proof::base64url;
use proof::digest::{TokenHash, sha256};
use proof::secret::Secret;

use super::issue::wants_refresh;
use super::{Asked, TokenResponse, target};
use crate::Issuer;
use crate::error::{Outcome, Reason, Refusal};
use crate::flow::{Binding, Code, Flows, NewTokens, Redeemed};
use crate::ports::{IssuerStore, People, Secrets};

impl<S: IssuerStore + Flows, C: Secrets + People> Issuer<S, C> {
    pub(super) async fn authorization_code(&self, asked: &Asked<'_>) -> Outcome<TokenResponse> {
        let client = asked.client();
        let now = asked.now();
        let code = asked.param("code").ok_or(Reason::CodeMissing)?;
        let verifier = asked.param("code_verifier");
        if verifier.is_some_and(|verifier| !is_verifier(verifier)) {
            return Err(Reason::MalformedVerifier.into());
        }
        let hash = TokenHash::of(code.as_bytes());
        let Some((code, grant)) = self.store().code(hash, now).await? else {
            return Err(self.no_code(asked, hash).await?);
        };
        // RFC 6749 §4.1.3: the code was issued to this client.
        if grant.client_id != client.client_id || now >= code.until {
            return Err(Reason::CodeUnknown.into());
        }
        check(asked, &code, verifier)?;
        let person = self.person_of(asked, &grant.subject).await?;
        let target = target::of_grant(self.endpoints(), client, &grant, asked.request.params)?;
        let nonce = code.nonce.as_deref();
        let (mut answer, access) = self.make_tokens(asked, &grant, &person, &target, nonce)?;

        let first = wants_refresh(client, asked.binding.as_ref(), &grant.scopes)
            .then(|| self.first_refresh(asked));
        let (refresh, refresh_token) = first.unzip();
        answer.refresh_token = refresh_token;
        let subject = format!("grant/{}", grant.id);
        let redeemed = self
            .store()
            .redeem_code(
                hash,
                &client.client_id,
                NewTokens { refresh, access },
                now,
                self.draft(asked, "code.redeem", subject.clone()),
                self.draft(asked, "code.reuse", subject),
            )
            .await?;
        match redeemed {
            Redeemed::First(..) => Ok(answer),
            Redeemed::Reused(grant) => {
                self.learn_ended(&grant, now);
                Err(Reason::CodeReused.into())
            }
            Redeemed::Unknown => Err(Reason::CodeUnknown.into()),
        }
    }

    /// Why a code can't be redeemed that is not there to be looked at: it was redeemed before, and
    /// then the grant ends, or there never was one.
    async fn no_code(&self, asked: &Asked<'_>, hash: TokenHash) -> Outcome<Refusal> {
        let draft = |action| self.draft(asked, action, "code".to_owned());
        let redeemed = self
            .store()
            .redeem_code(
                hash,
                &asked.client().client_id,
                NewTokens::default(),
                asked.now(),
                draft("code.redeem"),
                draft("code.reuse"),
            )
            .await?;
        Ok(match redeemed {
            Redeemed::Reused(grant) => {
                self.learn_ended(&grant, asked.now());
                Reason::CodeReused.into()
            }
            // A code that came to be between the two questions was not checked: it is spent.
            Redeemed::First(..) | Redeemed::Unknown => Reason::CodeUnknown.into(),
        })
    }
}

/// Compares what the code remembers of its request.
fn check(asked: &Asked<'_>, code: &Code, verifier: Option<&str>) -> Outcome<()> {
    let client = asked.client();
    match (asked.param("redirect_uri"), &code.redirect_uri) {
        (Some(sent), Some(remembered)) if sent == remembered => {}
        // The request left it out, and it could mean one only.
        (Some(sent), None) if client.redirect_uris == [sent] => {}
        (Some(_), _) => return Err(Reason::RedirectMismatch.into()),
        // OAuth 2.1 §4.1.3 has no such parameter any more, since PKCE does its work; without PKCE
        // RFC 6749 §4.1.3 holds.
        (None, Some(_)) if code.code_challenge.is_none() => {
            return Err(Reason::RedirectMismatch.into());
        }
        (None, _) => {}
    }
    match (&code.code_challenge, verifier) {
        (Some(challenge), Some(verifier)) => {
            let made = Secret::new(base64url::encode(&sha256(verifier.as_bytes())));
            if !made.matches(challenge.as_bytes()) {
                return Err(Reason::VerifierMismatch.into());
            }
        }
        (Some(_), None) => return Err(Reason::VerifierMismatch.into()),
        // RFC 9700 §2.1.1: somebody took the challenge out of the request on its way.
        (None, Some(_)) => return Err(Reason::VerifierUnasked.into()),
        (None, None) if client.is_public() || client.rules().pkce_required_for_confidential => {
            return Err(Reason::VerifierMismatch.into());
        }
        (None, None) => {}
    }
    // RFC 9449 §10: the code is bound to the key that the request named.
    if let Some(bound) = &code.dpop_jkt {
        match &asked.binding {
            Some(Binding::Jkt(shown)) if shown == bound => {}
            _ => return Err(Reason::KeyMismatch.into()),
        }
    }
    Ok(())
}

/// RFC 7636 §4.1: 43 to 128 of `ALPHA / DIGIT / "-" / "." / "_" / "~"`.
fn is_verifier(text: &str) -> bool {
    (43..=128).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-._~".contains(&b))
}
