//! **Back-channel logout** (OpenID Connect Back-Channel Logout 1.0): when a session ends, every
//! client that got a login from it, and said where it listens, is told by a signed logout token.
//! Notices are written in the transaction that ends the session, so none is lost; they are delivered
//! afterwards, by whichever node takes them, and given up after some tries: a client that is away
//! must not be called for ever.

use core::future::Future;
use core::time::Duration;

use proof::jose::jws;
use proof::random::uuid_v7;
use proof::time::Timestamp;
use serde_json::{Value, json};
use url::Url;

use crate::Issuer;
use crate::declared::RegisteredClient;
use crate::error::{Outcome, Reason};
use crate::flow::{Flows, LogoutNotice};
use crate::ports::{IssuerStore, KeyPurpose, Secrets};

/// `typ` of a logout token (§2.4), so that it never passes as an ID token or an access token.
pub const TYPE: &str = "logout+jwt";
/// Life of a logout token; §2.4 recommends at most two minutes.
pub const LIFETIME: Duration = Duration::from_secs(120);
/// The one member of `events` (§2.4).
const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";
/// Tries in all.
pub const MAX_ATTEMPTS: i64 = 5;
/// How long a notice is left to the node that took it; if it was not delivered, the next try follows.
pub const RETRY_AFTER: Duration = Duration::from_secs(60);
/// Notices that are taken at once.
const BATCH: u32 = 32;

/// The way to clients' logout endpoints: outgoing HTTP, made safe elsewhere.
pub trait LogoutDelivery: Send + Sync {
    /// Posts a form (`application/x-www-form-urlencoded`). `Ok`: the client answered 200 or 204
    /// (§2.8).
    ///
    /// # Errors
    /// What came instead, for the log; never a secret.
    fn post(&self, to: &Url, form: String) -> impl Future<Output = Result<(), String>> + Send;
}

/// What came of one round.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Delivered {
    /// Clients that were told.
    pub told: usize,
    /// Failures that will be tried again: client and cause.
    pub failed: Vec<(String, String)>,
    /// Notices that were given up: client and cause.
    pub given_up: Vec<(String, String)>,
}

impl<S: IssuerStore + Flows, C: Secrets> Issuer<S, C> {
    /// Delivers notices that are due. Call it every few seconds; every node may.
    ///
    /// # Errors
    /// `temporarily_unavailable` or `server_error` of the store; what was taken is tried again.
    pub async fn deliver_logouts<D: LogoutDelivery>(
        &self,
        delivery: &D,
        now: Timestamp,
    ) -> Outcome<Delivered> {
        let mut round = Delivered::default();
        let lease_until = now.plus(RETRY_AFTER);
        let due = self.store().due_notices(now, lease_until, BATCH).await?;
        for notice in due {
            match self.tell(delivery, &notice, now).await {
                Ok(true) => round.told += 1,
                // It does not listen, or is no client any more.
                Ok(false) => {}
                Err(cause) => {
                    let client = notice.client_id.as_str().to_owned();
                    if notice.attempts + 1 < MAX_ATTEMPTS {
                        round.failed.push((client, cause));
                        continue;
                    }
                    round.given_up.push((client, cause));
                }
            }
            self.store().settle_notice(&notice.id).await?;
        }
        Ok(round)
    }

    /// `false`: there is nobody to tell.
    async fn tell<D: LogoutDelivery>(
        &self,
        delivery: &D,
        notice: &LogoutNotice,
        now: Timestamp,
    ) -> Result<bool, String> {
        let declared = self.declared();
        // A suspended client hears of it too: its own sessions are to end.
        let Some(client) = declared.known(notice.client_id.as_str()) else {
            return Ok(false);
        };
        let Some(to) = &client.backchannel_logout_uri else {
            return Ok(false);
        };
        let token = self
            .logout_token(client, notice, now)
            .map_err(|refusal| refusal.to_string())?;
        // §2.5: the one parameter of the form.
        delivery.post(to, format!("logout_token={token}")).await?;
        Ok(true)
    }

    fn logout_token(
        &self,
        client: &RegisteredClient,
        notice: &LogoutNotice,
        now: Timestamp,
    ) -> Outcome<String> {
        let ring = self.keys().ring();
        let key = KeyPurpose::id_token(client.id_token_alg)
            .and_then(|purpose| ring.signer(purpose))
            .ok_or(Reason::NoSigningKey)?;
        let claims = json!({
            "iss": self.endpoints().issuer(),
            "sub": notice.subject,
            "aud": client.client_id.as_str(),
            "iat": now.as_secs(),
            "exp": now.plus(LIFETIME).as_secs(),
            // Fresh with each try: a client that remembers `jti` must still take the second.
            "jti": uuid_v7(now, self.entropy()),
            "sid": notice.session,
            "events": { (EVENT): {} },
        });
        Ok(jws::sign(key, TYPE, &Value::to_string(&claims)))
    }
}
