//! **Sessions of people** with this server (single sign-on): opened by a login, found again by the
//! handle in the browser's cookie. Every login makes a new handle, and the session that the browser
//! had before ends with it (threat F2); the store knows hashes only.

use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::Arc;

use proof::digest::TokenHash;
use proof::random::uuid_v7;
use proof::secret::Secret;
use proof::time::Timestamp;
use registry::audit::AuditDraft;

use crate::Issuer;
use crate::browser::{Browser, NewSession};
use crate::error::Outcome;
use crate::flow::{Authentication, Flows, Remembered, Session};
use crate::ports::{IssuerStore, People, Person, Secrets};

/// Unused for so long, a session ends.
pub const IDLE: Duration = Duration::from_secs(8 * 3600);
/// So old, a session ends whatever is done with it.
pub const ABSOLUTE: Duration = Duration::from_secs(7 * 24 * 3600);
/// Its idle end is pushed at most so often: a write for each click would be a write too many.
const TOUCH_EVERY: Duration = Duration::from_secs(60);
/// What is kept of `User-Agent`, in bytes.
const MAX_AGENT: usize = 200;

/// `acr` of a login by password: what a relying party reads of it is that one factor, known to the
/// person, was shown (NIST SP 800-63B calls that level AAL1).
pub const ACR_PASSWORD: &str = "urn:doorward:acr:password";
/// `amr` of a login by password (RFC 8176 §2).
pub const AMR_PASSWORD: &str = "pwd";

/// Who sits at the browser, as far as this server knows.
pub(crate) struct Present {
    pub(crate) session: Session,
    pub(crate) person: Arc<Person>,
    /// Whether the login belongs to the request that is answered.
    pub(crate) just_now: bool,
}

impl Present {
    /// The person's name, for pages.
    pub(crate) fn name(&self) -> String {
        let claim = |name: &str| self.person.claims.get(name)?.as_str();
        claim("name")
            .or_else(|| claim("preferred_username"))
            .unwrap_or(&self.person.username)
            .to_owned()
    }
}

impl Remembered {
    /// Whether the person must log in before they go on with the client.
    pub(crate) fn demands_login(&self, present: &Present) -> bool {
        !present.just_now
            && self
                .reuse
                .is_some_and(|reuse| reuse.demands_login(&present.session.authentication))
    }
}

impl<S: IssuerStore + Flows, C: Secrets + People> Issuer<S, C> {
    /// The session of a browser, if it is alive and its person may still log in.
    pub(crate) async fn present(
        &self,
        browser: &Browser<'_>,
        now: Timestamp,
    ) -> Outcome<Option<Present>> {
        let Some(handle) = browser.session else {
            return Ok(None);
        };
        let Some(session) = self.store().session(handle, now).await? else {
            return Ok(None);
        };
        let Some(person) = self.people().person(&session.subject, now).await? else {
            return Ok(None);
        };
        let idle_until = now.plus(IDLE).min(session.until);
        if idle_until.since(session.idle_until) >= TOUCH_EVERY {
            self.store().touch_session(&session.id, idle_until).await?;
        }
        Ok(Some(Present {
            session,
            person,
            just_now: false,
        }))
    }

    /// Opens a session for a person who has just proved who they are.
    pub(crate) async fn open_session(
        &self,
        person: Arc<Person>,
        browser: &Browser<'_>,
        request_id: &str,
        now: Timestamp,
    ) -> Outcome<(Present, NewSession)> {
        let mut random = [0u8; 32];
        self.entropy().fill(&mut random);
        let handle = Secret::from_text(proof::base64url::encode(&random));
        let until = now.plus(ABSOLUTE);
        // Whoever logs in again as who they are goes on with their session, so that one client's
        // wish for a fresh login does not log them out of the others; the handle is new all the same.
        let before = match browser.session {
            Some(handle) => self.store().session(handle, now).await?,
            None => None,
        };
        let continued = before.filter(|before| before.subject == person.subject);
        let fresh = || uuid_v7(now, self.entropy());
        let mut session = Session {
            id: continued.as_ref().map_or_else(fresh, |old| old.id.clone()),
            subject: person.subject.clone(),
            authentication: Authentication {
                at: now,
                acr: ACR_PASSWORD.to_owned(),
                amr: vec![AMR_PASSWORD.to_owned()],
            },
            agent: shortened(browser.agent),
            address: browser.address.to_string(),
            created_at: now,
            idle_until: now.plus(IDLE).min(until),
            until,
        };
        let audit = self.person_did(
            &person.subject,
            "session.open",
            format!("session/{}", session.id),
            BTreeMap::from([("address".to_owned(), session.address.clone())]),
            request_id,
            now,
        );
        let hash = TokenHash::of(handle.expose());
        let opened = self
            .store()
            .open_session(hash, session.clone(), browser.session, audit.clone())
            .await;
        if let Err(error) = opened {
            // Another window of this browser was faster: its session is its own, this one is new.
            if continued.is_none() {
                return Err(error.into());
            }
            session.id = fresh();
            self.store()
                .open_session(hash, session.clone(), browser.session, audit)
                .await?;
        }
        let present = Present {
            session,
            person,
            just_now: true,
        };
        Ok((present, NewSession { handle }))
    }

    /// The audit event of something that a person did.
    pub(crate) fn person_did(
        &self,
        subject: &str,
        action: &'static str,
        object: String,
        details: BTreeMap<String, String>,
        request_id: &str,
        now: Timestamp,
    ) -> AuditDraft {
        AuditDraft {
            id: uuid_v7(now, self.entropy()),
            at: now,
            actor: format!("person:{subject}"),
            action,
            subject: object,
            request_id: request_id.to_owned(),
            details,
        }
    }
}

/// Printable ASCII, cut: it is shown in lists, and comes from whoever asks.
fn shortened(agent: &str) -> String {
    agent
        .chars()
        .filter(|c| c.is_ascii_graphic() || *c == ' ')
        .take(MAX_AGENT)
        .collect()
}
