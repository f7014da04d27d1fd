//! **Devices** (RFC 8628): a device asks for a code that a person types elsewhere, and polls until
//! the person decided. What it may ask for is checked when it asks, against the client's
//! declaration; what it gets is what the person allowed.

use core::time::Duration;

use proof::digest::TokenHash;
use proof::secret::Secret;
use registry::client::GrantType;
use serde::Serialize;

use super::issue::wants_refresh;
use super::{Asked, TokenResponse, target};
use crate::error::{Outcome, Reason};
use crate::flow::{Device, Flows, Polled};
use crate::params::RESOURCE;
use crate::ports::{IssuerStore, People, Secrets};
use crate::{Issuer, OAuthRequest};

/// Life of a device code.
const LIFETIME: Duration = Duration::from_secs(600);
/// Least time between two polls.
const INTERVAL: Duration = Duration::from_secs(5);

/// RFC 8628 §6.1: no vowels, so that no words come about; nothing that looks like something else.
const LETTERS: &[u8; 20] = b"BCDFGHJKLMNPQRSTVWXZ";
/// Letters of a user code: 34 bits, held by its short life and the throttle of the page.
const USER_CODE: usize = 8;
/// How often another user code is made when one is taken.
const ATTEMPTS: usize = 5;

/// RFC 8628 §3.2. It holds the device code, so it has no `Debug`.
#[derive(Serialize)]
pub struct DeviceResponse {
    /// What the device polls with.
    pub device_code: String,
    /// What the person types: `XXXX-XXXX`.
    pub user_code: String,
    /// Where.
    pub verification_uri: String,
    /// The same with the code in it, for a picture to scan.
    pub verification_uri_complete: String,
    /// Life in seconds.
    pub expires_in: u64,
    /// Least seconds between two polls.
    pub interval: u64,
}

impl<S: IssuerStore + Flows, C: Secrets + People> Issuer<S, C> {
    /// Answers a device authorization request (RFC 8628 §3.1).
    ///
    /// # Errors
    /// As the token endpoint's for client authentication, scopes and resources.
    pub async fn start_device(&self, request: &OAuthRequest<'_>) -> Outcome<DeviceResponse> {
        if !self.can_record() {
            return Err(Reason::Unavailable.into());
        }
        let client = self.authenticate_client(request).await?;
        let client = client.client();
        if !client.may_use(GrantType::DeviceCode) {
            return Err(Reason::GrantNotAllowed.into());
        }
        let (scopes, audiences) = target::requested(client, request.params)?;
        let mut random = [0; 32];
        self.entropy().fill(&mut random);
        let device_code = Secret::new(proof::base64url::encode(&random));
        let hash = TokenHash::of(device_code.expose());
        for _ in 0..ATTEMPTS {
            let user_code = self.user_code().ok_or(Reason::Internal)?;
            let device = Device {
                client_id: client.client_id.clone(),
                user_code: user_code.clone(),
                scopes: scopes.clone(),
                audiences: audiences.clone(),
                address: request.sender.address.to_string(),
                interval: INTERVAL,
                created_at: request.now,
                until: request.now.plus(LIFETIME),
            };
            if !self.store().start_device(hash, device, request.now).await? {
                continue;
            }
            let page = self.endpoints().device_page();
            let (first, second) = user_code.split_at(USER_CODE / 2);
            let shown = format!("{first}-{second}");
            return Ok(DeviceResponse {
                device_code: device_code.expose_text().unwrap_or_default().to_owned(),
                verification_uri_complete: format!("{page}?user_code={shown}"),
                verification_uri: page,
                user_code: shown,
                expires_in: LIFETIME.as_secs(),
                interval: INTERVAL.as_secs(),
            });
        }
        Err(Reason::Unavailable.into())
    }

    fn user_code(&self) -> Option<String> {
        // 240 is the largest multiple of 20 in a byte: what lies above would favour early letters.
        const FAIR: u8 = 240;
        let mut random = [0; 8 * USER_CODE];
        self.entropy().fill(&mut random);
        let letters = random
            .iter()
            .filter(|&&byte| byte < FAIR)
            .map(|byte| char::from(LETTERS[usize::from(byte % 20)]));
        Some(letters.take(USER_CODE).collect::<String>()).filter(|code| code.len() == USER_CODE)
    }

    pub(super) async fn device_code(&self, asked: &Asked<'_>) -> Outcome<TokenResponse> {
        let client = asked.client();
        let now = asked.now();
        let code = asked
            .param("device_code")
            .ok_or(Reason::DeviceCodeMissing)?;
        let hash = TokenHash::of(code.as_bytes());
        // A poll for more than was allowed is refused before it spends the approval, so that the
        // device can ask again. Without these parameters it asks for all that was allowed.
        if asked.param("scope").is_some() || asked.param(RESOURCE).is_some() {
            let approved = self.store().approved_device(hash, &client.client_id, now);
            if let Some(grant) = approved.await? {
                target::of_grant(self.endpoints(), client, &grant, asked.request.params)?;
            }
        }
        // Whether the person's scopes would ask for it is not known before the code is spent, and
        // OpenID Connect has no part in this flow: the client's declaration decides.
        let first =
            wants_refresh(client, asked.binding.as_ref(), &[]).then(|| self.first_refresh(asked));
        let (refresh, refresh_token) = first.unzip();
        let polled = self
            .store()
            .poll_device(
                hash,
                &client.client_id,
                refresh,
                now,
                self.draft(
                    asked,
                    "device.redeem",
                    format!("client/{}", client.client_id),
                ),
            )
            .await?;
        let grant = match polled {
            Polled::Approved(grant) => grant,
            Polled::Pending => return Err(Reason::DevicePending.into()),
            Polled::SlowDown => return Err(Reason::DeviceTooFast.into()),
            Polled::Denied => return Err(Reason::DeviceDenied.into()),
            Polled::Expired => return Err(Reason::DeviceExpired.into()),
            Polled::Unknown => return Err(Reason::DeviceUnknown.into()),
        };
        let person = self.person_of(asked, &grant.subject).await?;
        let target = target::of_grant(self.endpoints(), client, &grant, asked.request.params)?;
        let (mut answer, access) = self.make_tokens(asked, &grant, &person, &target, None)?;
        // What the person allowed is known only now, so this one can't go with the redemption.
        if let Some(access) = access {
            self.store().keep_token(access).await?;
        }
        answer.refresh_token = refresh_token;
        Ok(answer)
    }
}
