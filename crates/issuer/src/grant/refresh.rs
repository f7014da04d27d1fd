//! **Refresh tokens** (RFC 6749 §6, RFC 9700 §4.14). Under rotation each use replaces the token by
//! a successor that is *derived* from it, so that an honest retry after a lost answer gets the very
//! same one and many refreshes at once give one line (threat F5). A token that was replaced before
//! is a thief's or a victim's: nobody can tell, and the family ends. Its owner is told on the next
//! page that they see for that client, which demands a fresh login ([`crate::authorize`]). `fapi2` does not rotate: its
//! tokens are of no use without the client's key.

use core::time::Duration;
use std::sync::atomic::{AtomicU64, Ordering};

use proof::digest::{MacKey, TokenHash};
use proof::issued::{self, Issued, SecretKind};
use proof::random::Entropy;

use super::{Asked, REFRESH_IDLE, TokenResponse, target};
use crate::Issuer;
use crate::declared::RegisteredClient;
use crate::error::{Outcome, Reason, Refusal};
use crate::flow::{Flows, NewRefresh, Refresh, Refreshed};
use crate::ports::{IssuerStore, People, Secrets};

/// How long a replaced token may be tried again, while its successor is unused.
const RETRY: Duration = Duration::from_secs(10);

/// Keeps the key of successors apart from every other use of the master key.
const PURPOSE: &str = "issuer/refresh-successor";

/// The key under which successors are derived. All nodes with one master key derive the same; where
/// that is rotated at the very moment of a retry, the retry counts as a reuse.
pub(crate) fn refresh_key(master: &proof::seal::KekRing) -> MacKey {
    MacKey::new(master.current().derive(PURPOSE).expose())
}

/// The hash of a refresh token of this client's wall; `None`: the text is none.
pub(crate) fn refresh_token(
    brand: &issued::Brand,
    client: &RegisteredClient,
    text: &str,
) -> Option<TokenHash> {
    let presented = issued::parse(text.as_bytes(), brand).ok()?;
    (presented.kind == SecretKind::RefreshToken && presented.environment == client.environment)
        .then(|| TokenHash::of(text.as_bytes()))
}

/// The bytes from which a successor is made: an HMAC of its predecessor, block by block. Whoever
/// does not have the key learns nothing of the successor from the predecessor.
struct Derived<'a> {
    key: &'a MacKey,
    predecessor: &'a [u8],
    block: AtomicU64,
}

impl Entropy for Derived<'_> {
    fn fill(&self, out: &mut [u8]) {
        for chunk in out.chunks_mut(32) {
            let number = self.block.fetch_add(1, Ordering::Relaxed).to_be_bytes();
            // One part of fixed width, then one that varies.
            let block = self.key.tag_parts(&[&number, self.predecessor]);
            chunk.copy_from_slice(&block[..chunk.len()]);
        }
    }
}

impl<S: IssuerStore + Flows, C: Secrets + People> Issuer<S, C> {
    pub(super) async fn refresh(&self, asked: &Asked<'_>) -> Outcome<TokenResponse> {
        let client = asked.client();
        let now = asked.now();
        let text = asked
            .param("refresh_token")
            .ok_or(Reason::RefreshTokenMissing)?;
        let hash = refresh_token(self.brand(), client, text)
            .ok_or_else(|| Refusal::because(Reason::RefreshUnknown, "not of our grammar"))?;
        let (grant, _, is_current, _) = self
            .store()
            .refresh_token(hash, now)
            .await?
            .filter(|(grant, ..)| grant.client_id == client.client_id)
            .ok_or(Reason::RefreshUnknown)?;
        // Before the token is touched: whoever lacks its key can't even end the family.
        if grant.binding.is_some() && grant.binding != asked.binding {
            return Err(Reason::KeyMismatch.into());
        }
        let person = self.person_of(asked, &grant.subject).await?;
        let made = target::of_grant(self.endpoints(), client, &grant, asked.request.params)
            .and_then(|target| self.make_tokens(asked, &grant, &person, &target, None));
        // A request that is wrong in itself does not use a current token up; a replaced one is
        // judged first.
        let (answer, access) = match made {
            Ok((answer, access)) => (Ok(answer), access),
            Err(refusal) if is_current => return Err(refusal),
            Err(refusal) => (Err(refusal), None),
        };

        let until = now.plus(REFRESH_IDLE).min(grant.until);
        let successor = client.rules().rotates_refresh_tokens.then(|| {
            let source = Derived {
                key: self.refresh_key(),
                predecessor: text.as_bytes(),
                block: AtomicU64::new(0),
            };
            Issued::generate(
                self.brand(),
                SecretKind::RefreshToken,
                client.environment,
                &source,
            )
        });
        let subject = format!("grant/{}", grant.id);
        let refreshed = self
            .store()
            .refresh(
                Refresh {
                    hash,
                    client_id: &client.client_id,
                    successor: successor.as_ref().map(|issued| NewRefresh {
                        hash: TokenHash::of(issued.secret.expose()),
                        until,
                        binding: None,
                    }),
                    access,
                    retry: if asked.is_bound_or_authenticated() {
                        RETRY
                    } else {
                        Duration::ZERO
                    },
                    idle_until: until,
                    now,
                },
                self.draft(asked, "refresh_token.rotate", subject.clone()),
                self.draft(asked, "refresh_token.reuse", subject),
            )
            .await?;
        match refreshed {
            Refreshed::Current(_) | Refreshed::Retried(_) => {}
            Refreshed::Reused(grant) => {
                self.learn_ended(&grant, now);
                self.alarms()
                    .refresh_reused(&grant, asked.request.request_id);
                return Err(Reason::RefreshReused.into());
            }
            Refreshed::Ended => return Err(Reason::GrantEnded.into()),
            Refreshed::Unknown => return Err(Reason::RefreshUnknown.into()),
        }
        let mut answer = answer?;
        answer.refresh_token = Some(match &successor {
            Some(issued) => issued.text().to_owned(),
            None => text.to_owned(),
        });
        Ok(answer)
    }
}
