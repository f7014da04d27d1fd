//! **A device's code, the person's side** (RFC 8628 §3.3): somebody types what a device shows, sees
//! what it asks for and where it is, and decides. Only a person who is logged in is asked, and
//! guessing is throttled by person and by address (RFC 8628 §5.1).

use core::net::IpAddr;
use core::sync::atomic::{AtomicU32, Ordering};
use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::Arc;

use proof::time::Timestamp;
use quick_cache::sync::Cache;

use crate::Issuer;
use crate::authorize::person::{At, Toward};
use crate::browser::{
    self, Browser, ClientView, Decision, DeviceConfirmPage, DeviceEnterPage, DeviceNotice, Done,
    LoginNotice, LoginPage, Step,
};
use crate::consent;
use crate::error::{Reason, Refusal};
use crate::flow::{Device, DeviceDecision, Flows, Remembered};
use crate::ports::{IssuerStore, People, Secrets};
use crate::session::Present;
use crate::ticket::{Page, Taken};

/// Letters of user codes: no vowels, so no words (RFC 8628 §6.1); 20⁸ codes.
pub const USER_CODE_ALPHABET: &[u8; 20] = b"BCDFGHJKLMNPQRSTVWXZ";
/// Letters in a user code.
pub const USER_CODE_LENGTH: usize = 8;

/// The one form of a user code: upper case, without what people put between. `None`: it is none.
pub fn normal_user_code(typed: &str) -> Option<String> {
    // Longer than any way of writing it.
    if typed.len() > 4 * USER_CODE_LENGTH {
        return None;
    }
    let code: String = typed
        .chars()
        .filter(|c| !matches!(c, '-' | ' ' | '.' | '_'))
        .map(|c| c.to_ascii_uppercase())
        .collect();
    let known = |b: u8| USER_CODE_ALPHABET.contains(&b);
    (code.len() == USER_CODE_LENGTH && code.bytes().all(known)).then_some(code)
}

/// A user code as it is shown: `BCDF-GHJK`.
pub fn shown_user_code(code: &str) -> String {
    match code.split_at_checked(USER_CODE_LENGTH / 2) {
        Some((left, right)) => format!("{left}-{right}"),
        None => code.to_owned(),
    }
}

/// Counts wrong codes, on this node: by person, and by address with room for many people behind one.
pub(crate) struct WrongCodes(Cache<Guesser, Arc<Guesses>>);

#[derive(Clone, PartialEq, Eq, Hash)]
enum Guesser {
    Person(String),
    Address(IpAddr),
}

struct Guesses {
    since: Timestamp,
    wrong: AtomicU32,
}

impl WrongCodes {
    const WINDOW: Duration = Duration::from_secs(600);
    const BY_PERSON: u32 = 10;
    const BY_ADDRESS: u32 = 50;
    /// Guessers that are remembered; the least active are forgotten first.
    const REMEMBERED: usize = 4096;

    /// Counts a try before it is made, so that many at once are counted too. `false`: too many.
    fn may_try(&self, guesser: Guesser, now: Timestamp) -> bool {
        let limit = match guesser {
            Guesser::Person(_) => Self::BY_PERSON,
            Guesser::Address(_) => Self::BY_ADDRESS,
        };
        let fresh = || {
            Arc::new(Guesses {
                since: now,
                wrong: AtomicU32::new(0),
            })
        };
        let known = self.0.get(&guesser);
        let guesses = match known {
            Some(guesses) if guesses.since.plus(Self::WINDOW) > now => guesses,
            _ => {
                let guesses = fresh();
                self.0.insert(guesser, guesses.clone());
                guesses
            }
        };
        guesses.wrong.fetch_add(1, Ordering::Relaxed) < limit
    }

    /// The code was right: the try does not count.
    fn was_right(&self, guesser: &Guesser) {
        if let Some(guesses) = self.0.get(guesser) {
            guesses.wrong.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Default for WrongCodes {
    fn default() -> Self {
        Self(Cache::new(Self::REMEMBERED))
    }
}

impl<S: IssuerStore + Flows, C: Secrets + People> Issuer<S, C> {
    /// The device page, with the code that came with its address
    /// (`verification_uri_complete`), if one did.
    pub async fn device_page(
        &self,
        user_code: Option<&str>,
        browser: &Browser<'_>,
        request_id: &str,
        now: Timestamp,
    ) -> Step {
        let at = At {
            browser,
            request_id,
            now,
        };
        // What is no code is not carried along.
        let user_code = user_code.and_then(normal_user_code);
        match self.present(browser, now).await {
            Ok(Some(present)) => self.device_for(user_code.as_deref(), &present, at).await,
            Ok(None) => self.device_login(user_code, "", None, at),
            Err(refusal) => browser::error_page(refusal, None, request_id),
        }
    }

    /// The form with the code came back.
    pub async fn device_enter(
        &self,
        ticket: &str,
        user_code: &str,
        browser: &Browser<'_>,
        request_id: &str,
        now: Timestamp,
    ) -> Step {
        let at = At {
            browser,
            request_id,
            now,
        };
        let session = match self.take::<()>(Page::DeviceEnter, ticket, browser, now) {
            Taken::Good((), session) => session,
            Taken::Stale(()) => None,
            Taken::Broken(refusal) => return browser::error_page(refusal, None, request_id),
        };
        let present = match self.present(browser, now).await {
            Ok(Some(present)) => present,
            Ok(None) => return self.device_login(normal_user_code(user_code), "", None, at),
            Err(refusal) => return browser::error_page(refusal, None, request_id),
        };
        if session.as_deref() != Some(present.session.id.as_str()) {
            return self.device_form(&present, "", Some(DeviceNotice::Anew), at);
        }
        match normal_user_code(user_code) {
            Some(code) => self.device_for(Some(&code), &present, at).await,
            None => self.device_form(&present, user_code, Some(DeviceNotice::Unknown), at),
        }
    }

    /// The decision came back.
    pub async fn device_decide(
        &self,
        ticket: &str,
        decision: Decision,
        browser: &Browser<'_>,
        request_id: &str,
        now: Timestamp,
    ) -> Step {
        let at = At {
            browser,
            request_id,
            now,
        };
        let taken = self.take::<String>(Page::DeviceConfirm, ticket, browser, now);
        let (code, session) = match taken {
            Taken::Good(code, session) => (code, session),
            Taken::Stale(code) => (code, None),
            Taken::Broken(refusal) => return browser::error_page(refusal, None, request_id),
        };
        let present = match self.present(browser, now).await {
            Ok(Some(present)) => present,
            Ok(None) => return self.device_login(Some(code), "", Some(LoginNotice::Anew), at),
            Err(refusal) => return browser::error_page(refusal, None, request_id),
        };
        // Whoever saw the page decides, and nobody else.
        if session.as_deref() != Some(present.session.id.as_str()) {
            return self.device_for(Some(&code), &present, at).await;
        }
        match self.decide(&code, decision, &present, at).await {
            Ok(Some(done)) => Step::Done(done),
            Ok(None) => self.device_form(&present, &code, Some(DeviceNotice::Unknown), at),
            Err(refusal) => browser::error_page(refusal, None, request_id),
        }
    }

    /// `None`: nothing waits under this code any more.
    async fn decide(
        &self,
        code: &str,
        decision: Decision,
        present: &Present,
        at: At<'_>,
    ) -> Result<Option<Done>, Refusal> {
        if !self.can_record() {
            return Err(Reason::Unavailable.into());
        }
        let declared = self.declared();
        let Some(device) = self.store().device(code, at.now).await? else {
            return Ok(None);
        };
        let Some(client) = declared.client(device.client_id.as_str()) else {
            return Ok(None);
        };
        if client.environment != present.person.environment {
            return Err(Reason::PersonBehindWall.into());
        }
        let subject = &present.session.subject;
        let known = self.store().remembered(subject, &client.client_id).await?;
        // A token was stolen while the page lay there: the code has to be typed anew.
        if known.demands_login(present) {
            return Ok(None);
        }
        let allowed = match decision {
            Decision::Allow { scopes } => {
                consent::decided(client, &device.scopes, &device.audiences, &scopes)
            }
            Decision::Deny => None,
        };
        let (decision, action, done) = match allowed {
            Some(allowed) => {
                let grant = self.new_grant(client, present, allowed, at.now);
                let decision = DeviceDecision::Approved(Box::new(grant));
                (decision, "device.allow", Done::DeviceAllowed)
            }
            None => (DeviceDecision::Denied, "device.deny", Done::DeviceDenied),
        };
        let object = match &decision {
            DeviceDecision::Approved(grant) => format!("grant/{}", grant.id),
            DeviceDecision::Denied => format!("client/{}", client.client_id),
        };
        let details = BTreeMap::from([
            ("client_id".to_owned(), client.client_id.to_string()),
            ("device_address".to_owned(), device.address.clone()),
        ]);
        let audit = self.person_did(
            &present.session.subject,
            action,
            object,
            details,
            at.request_id,
            at.now,
        );
        let decided = self
            .store()
            .decide_device(code, decision, at.now, audit)
            .await?;
        Ok(decided.then_some(done))
    }

    /// The confirmation page for a code, or the form if nothing waits under it.
    pub(crate) async fn device_for(
        &self,
        code: Option<&str>,
        present: &Present,
        at: At<'_>,
    ) -> Step {
        let Some(code) = code else {
            return self.device_form(present, "", None, at);
        };
        let guessers = [
            Guesser::Person(present.session.subject.clone()),
            Guesser::Address(at.browser.address),
        ];
        for guesser in &guessers {
            if !self.wrong_codes.may_try(guesser.clone(), at.now) {
                return self.device_form(present, "", Some(DeviceNotice::Throttled), at);
            }
        }
        let found = match self.store().device(code, at.now).await {
            Ok(found) => found,
            Err(error) => return browser::error_page(error.into(), None, at.request_id),
        };
        let declared = self.declared();
        let client = found
            .as_ref()
            .and_then(|device| declared.client(device.client_id.as_str()));
        let (Some(device), Some(client)) = (&found, client) else {
            return self.device_form(present, code, Some(DeviceNotice::Unknown), at);
        };
        for guesser in &guessers {
            self.wrong_codes.was_right(guesser);
        }
        let subject = &present.session.subject;
        let known = match self.store().remembered(subject, &client.client_id).await {
            Ok(known) => known,
            Err(error) => return browser::error_page(error.into(), None, at.request_id),
        };
        if known.demands_login(present) {
            let (code, notice) = (Some(code.to_owned()), Some(LoginNotice::Reused));
            return self.device_login(code, "", notice, at);
        }
        self.device_confirm(device, client, &known, present, at)
    }

    fn device_confirm(
        &self,
        device: &Device,
        client: &crate::declared::RegisteredClient,
        known: &Remembered,
        present: &Present,
        at: At<'_>,
    ) -> Step {
        let session = Some(present.session.id.as_str());
        let code = &device.user_code;
        Step::DeviceConfirm(DeviceConfirmPage {
            ticket: self.ticket(Page::DeviceConfirm, at.browser, session, code, at.now),
            client: ClientView::of(client),
            person: present.name(),
            user_code: shown_user_code(code),
            address: device.address.clone(),
            reused: known.reuse.is_some_and(|reuse| !reuse.answered),
            scopes: consent::asked(client, &device.scopes, &device.audiences, None),
        })
    }

    fn device_form(
        &self,
        present: &Present,
        user_code: &str,
        notice: Option<DeviceNotice>,
        at: At<'_>,
    ) -> Step {
        let session = Some(present.session.id.as_str());
        Step::DeviceEnter(DeviceEnterPage {
            ticket: self.ticket(Page::DeviceEnter, at.browser, session, &(), at.now),
            person: present.name(),
            user_code: user_code.chars().take(4 * USER_CODE_LENGTH).collect(),
            notice,
        })
    }

    pub(crate) fn device_login(
        &self,
        user_code: Option<String>,
        username: &str,
        notice: Option<LoginNotice>,
        at: At<'_>,
    ) -> Step {
        let toward = Toward::Device { user_code };
        Step::Login(LoginPage {
            ticket: self.ticket(Page::Login, at.browser, None, &toward, at.now),
            client: None,
            username: username.to_owned(),
            account: None,
            notice,
            locales: Vec::new(),
            leads_to: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_code_has_one_form_however_it_is_typed() {
        for typed in ["BCDFGHJK", "bcdf-ghjk", " BCDF GHJK ", "b.c.d.f.g.h.j.k"] {
            assert_eq!(
                normal_user_code(typed).as_deref(),
                Some("BCDFGHJK"),
                "{typed}"
            );
        }
        for typed in [
            "",
            "BCDFGHJ",
            "BCDFGHJKL",
            "ABCDFGHJ",
            "BCDF/GHJK",
            "ＢCDFGHJK",
        ] {
            assert_eq!(normal_user_code(typed), None, "{typed}");
        }
        assert_eq!(shown_user_code("BCDFGHJK"), "BCDF-GHJK");
    }

    #[test]
    fn f08_wrong_codes_are_throttled_and_right_ones_do_not_count() {
        let codes = WrongCodes::default();
        let now = Timestamp::from_secs(1_800_000_000);
        let person = || Guesser::Person("sub".to_owned());
        for _ in 0..WrongCodes::BY_PERSON * 2 {
            assert!(codes.may_try(person(), now));
            codes.was_right(&person());
        }
        for _ in 0..WrongCodes::BY_PERSON {
            assert!(codes.may_try(person(), now));
        }
        assert!(!codes.may_try(person(), now));
        assert!(codes.may_try(Guesser::Person("other".to_owned()), now));
        assert!(codes.may_try(person(), now.plus(WrongCodes::WINDOW)));
    }
}
