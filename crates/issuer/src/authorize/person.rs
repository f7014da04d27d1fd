//! **The person's side** of an authorization request: who sits there, do they have to log in, do
//! they have to be asked, and then the code. Every page that is shown carries all that is needed to
//! go on in its ticket; whatever was valid when the page was made is asked again when it comes back
//! (the client, its redirect URI, its grants, the session, the person).

use std::collections::BTreeMap;

use proof::base64url;
use proof::digest::TokenHash;
use proof::random::uuid_v7;
use proof::secret::Secret;
use proof::time::Timestamp;
use registry::client::{GrantType, IdentityScope};
use serde::{Deserialize, Serialize};

use super::table::{Asked, Entrance, Reference, judge};
use super::{AuthorizationRequest, Begun, LONGEST_INTERACTION, Prompt, Stop, client};
use crate::Issuer;
use crate::browser::{
    self, Browser, ClientView, ConsentPage, Decision, LoginNotice, LoginPage, NewSession, Step,
};
use crate::consent::{self, Allowed};
use crate::declared::RegisteredClient;
use crate::error::{Outcome, Reason, Refusal};
use crate::flow::{Binding, Code, CodeIssued, Consent, Flows, Grant, NewCode, Remembered};
use crate::params::Params;
use crate::ports::{IssuerStore, People, PersonCheck, Secrets};
use crate::session::Present;
use crate::ticket::{Page, Taken};

/// The end of a grant, whatever is done with it: the refresh tokens' absolute life.
const GRANT_LIFE: core::time::Duration = core::time::Duration::from_secs(90 * 24 * 3600);
/// Longest text in a login form's fields, in bytes.
const MAX_FIELD: usize = 1024;

/// Where a login leads.
#[derive(Serialize, Deserialize)]
pub(crate) enum Toward {
    /// Back to a client's request.
    Client(Box<AuthorizationRequest>),
    /// To the device page.
    Device {
        /// What was typed, or came with the address, already.
        user_code: Option<String>,
    },
}

/// What every step is told.
#[derive(Clone, Copy)]
pub(crate) struct At<'a> {
    pub(crate) browser: &'a Browser<'a>,
    pub(crate) request_id: &'a str,
    pub(crate) now: Timestamp,
}

impl<S: IssuerStore + Flows, C: Secrets + People> Issuer<S, C> {
    /// Answers an authorization request.
    pub async fn authorize(
        &self,
        params: &Params<'_>,
        browser: &Browser<'_>,
        request_id: &str,
        now: Timestamp,
    ) -> Step {
        let at = At {
            browser,
            request_id,
            now,
        };
        let reference = match self.reference(params, now).await {
            Ok(reference) => reference,
            Err(refusal) => return browser::error_page(refusal, None, request_id),
        };
        let declared = self.declared();
        let asked = Asked {
            entrance: Entrance::Authorize,
            params,
            reference: reference.as_ref(),
            authenticated: None,
            proof_key: None,
            declared: &declared,
            ring: &self.keys().ring(),
            issuer: self.endpoints().issuer(),
            now,
        };
        match judge(&asked) {
            Ok((client, request)) => self.proceed(Begun { client, request }, at).await,
            Err(Stop::Direct(refusal)) => {
                let client = params.one("client_id").and_then(|id| declared.client(id));
                let again = client.and_then(|client| client.client_uri.clone());
                browser::error_page(refusal, again, request_id)
            }
            Err(Stop::Redirect(back, refusal)) => {
                Step::Answer(back.refuse(&refusal, self.endpoints().issuer()))
            }
        }
    }

    /// Answers a request that could not even be read.
    pub fn unreadable(&self, refusal: Refusal, request_id: &str) -> Step {
        browser::error_page(refusal, None, request_id)
    }

    /// The login form came back.
    pub async fn login(
        &self,
        ticket: &str,
        username: &str,
        password: &Secret,
        browser: &Browser<'_>,
        request_id: &str,
        now: Timestamp,
    ) -> (Step, Option<NewSession>) {
        let at = At {
            browser,
            request_id,
            now,
        };
        let toward = match self.take::<Toward>(Page::Login, ticket, browser, now) {
            Taken::Good(toward, _) => toward,
            // Nothing that was typed is looked at: who made this browser send it is not known.
            Taken::Stale(toward) => {
                let page = self.login_anew(toward, "", Some(LoginNotice::Anew), at);
                return (page, None);
            }
            Taken::Broken(refusal) => {
                return (browser::error_page(refusal, None, request_id), None);
            }
        };
        let anew = |toward, notice| (self.login_anew(toward, username, Some(notice), at), None);
        if !self.can_record() {
            return anew(toward, LoginNotice::NotNow);
        }
        if username.is_empty() || username.len() > MAX_FIELD || password.len() > MAX_FIELD {
            return anew(toward, LoginNotice::Wrong);
        }
        let check = self
            .people()
            .check_password(username, password, browser.address, now);
        let person = match check.await {
            Ok(PersonCheck::Match(person)) => person,
            Ok(PersonCheck::Refused) => return anew(toward, LoginNotice::Wrong),
            Ok(PersonCheck::Throttled) => return anew(toward, LoginNotice::Throttled),
            Err(_) => return anew(toward, LoginNotice::NotNow),
        };
        let (present, handle) = match self.open_session(person, browser, request_id, now).await {
            Ok(opened) => opened,
            Err(refusal) => return (browser::error_page(refusal, None, request_id), None),
        };
        let step = match toward {
            Toward::Client(request) => match self.resume(*request, now) {
                Ok(begun) => self.with_person(begun, Some(present), at).await,
                Err(refusal) => browser::error_page(refusal, None, request_id),
            },
            Toward::Device { user_code } => {
                self.device_for(user_code.as_deref(), &present, at).await
            }
        };
        (step, Some(handle))
    }

    /// The person goes on as who they are, on a page that lets them choose
    /// ([`LoginPage::account`]).
    pub async fn go_on(
        &self,
        ticket: &str,
        browser: &Browser<'_>,
        request_id: &str,
        now: Timestamp,
    ) -> Step {
        let at = At {
            browser,
            request_id,
            now,
        };
        let (toward, session) = match self.take::<Toward>(Page::Login, ticket, browser, now) {
            Taken::Good(toward, session) => (toward, session),
            Taken::Stale(toward) => {
                return self.login_anew(toward, "", Some(LoginNotice::Anew), at);
            }
            Taken::Broken(refusal) => return browser::error_page(refusal, None, request_id),
        };
        let request = match toward {
            Toward::Client(request) => request,
            Toward::Device { user_code } => {
                return self
                    .device_page(user_code.as_deref(), browser, request_id, now)
                    .await;
            }
        };
        let mut begun = match self.resume(*request, now) {
            Ok(begun) => begun,
            Err(refusal) => return browser::error_page(refusal, None, request_id),
        };
        let present = match self.present(browser, now).await {
            Ok(present) => present,
            Err(refusal) => return self.refuse(&begun, &refusal),
        };
        // Only whoever was shown on the page can be chosen there.
        let shown = present.as_ref().map(|present| present.session.id.as_str());
        if shown.is_some() && shown == session.as_deref() {
            begun
                .request
                .prompt
                .retain(|prompt| *prompt != Prompt::SelectAccount);
        }
        self.with_person(begun, present, at).await
    }

    /// The consent form came back.
    pub async fn consent(
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
        let taken = self.take::<AuthorizationRequest>(Page::Consent, ticket, browser, now);
        let (request, session) = match taken {
            Taken::Good(request, session) => (request, session),
            Taken::Stale(request) => (request, None),
            Taken::Broken(refusal) => return browser::error_page(refusal, None, request_id),
        };
        let begun = match self.resume(request, now) {
            Ok(begun) => begun,
            Err(refusal) => return browser::error_page(refusal, None, request_id),
        };
        let present = match self.present(browser, now).await {
            Ok(present) => present,
            Err(refusal) => return self.refuse(&begun, &refusal),
        };
        let present = match (present, session) {
            (Some(present), Some(session)) if present.session.id == session => present,
            // Too old, or somebody else logged in meanwhile: whoever sits there now is asked.
            (present, _) => return self.with_person(begun, present, at).await,
        };
        match self.remembered(&begun, Some(&present)).await {
            // A token was stolen while the page lay there.
            Ok(known) if known.demands_login(&present) => {
                return self.with_person(begun, Some(present), at).await;
            }
            Ok(_) => {}
            Err(refusal) => return self.refuse(&begun, &refusal),
        }
        let ticked = match decision {
            Decision::Allow { scopes } => scopes,
            Decision::Deny => return self.refuse(&begun, &Reason::Denied.into()),
        };
        let request = &begun.request;
        let allowed = consent::decided(&begun.client, &request.scopes, &request.audiences, &ticked);
        let Some(allowed) = allowed else {
            return self.refuse(&begun, &Reason::Denied.into());
        };
        let given = Consent {
            subject: present.session.subject.clone(),
            client_id: begun.client.client_id.clone(),
            scopes: allowed.scopes.clone(),
            audiences: allowed.audiences.clone(),
            at: now,
        };
        self.issue(&begun, &present, allowed, Some(given), at).await
    }

    /// A `request_uri` of ours, looked up; whether it is good is the table's to say.
    async fn reference(&self, params: &Params<'_>, now: Timestamp) -> Outcome<Option<Reference>> {
        let Some(hash) = params.one("request_uri").and_then(crate::pushed::reference) else {
            return Ok(None);
        };
        let pushed = self.store().pushed(hash, now).await?;
        Ok(Some(Reference { hash, pushed }))
    }

    async fn proceed(&self, begun: Begun, at: At<'_>) -> Step {
        match self.present(at.browser, at.now).await {
            Ok(present) => self.with_person(begun, present, at).await,
            Err(refusal) => self.refuse(&begun, &refusal),
        }
    }

    /// A request that lay on a page, held against what is declared now.
    fn resume(&self, request: AuthorizationRequest, now: Timestamp) -> Outcome<Begun> {
        let changed = |cause: &'static str| Refusal::because(Reason::TicketInvalid, cause);
        if request.begun_at.plus(LONGEST_INTERACTION) <= now {
            return Err(changed("the request is too old"));
        }
        let declared = self.declared();
        let client = declared
            .client(&request.client_id)
            .ok_or_else(|| changed("the client is gone"))?;
        let stands = client.may_use(GrantType::AuthorizationCode)
            && client::is_registered(client, request.back.redirect_uri())
            && request
                .scopes
                .iter()
                .all(|scope| super::target::is_granted(client, scope))
            && request
                .audiences
                .iter()
                .all(|audience| super::target::of_audience(client, audience).is_some());
        if !stands {
            return Err(changed("the client may not ask for it any more"));
        }
        Ok(Begun {
            client: client.clone(),
            request,
        })
    }

    /// Login, consent, code: the first that is needed.
    async fn with_person(&self, begun: Begun, present: Option<Present>, at: At<'_>) -> Step {
        let silent = begun.request.prompts(Prompt::None);
        let known = match self.remembered(&begun, present.as_ref()).await {
            Ok(known) => known,
            Err(refusal) => return self.refuse(&begun, &refusal),
        };
        let present = match who(&begun, present, &known, at.now) {
            Who::Known(present) => present,
            Who::Refused(reason) => return self.refuse(&begun, &reason.into()),
            Who::LoginNeeded(reason, _, _) if silent => return self.refuse(&begun, &reason.into()),
            Who::LoginNeeded(_, present, notice) => {
                return self.login_page(begun, present.as_deref(), None, notice, at);
            }
        };
        let request = &begun.request;
        let remembered = known.consent;
        let covered = consent::covers(remembered.as_ref(), &request.scopes, &request.audiences);
        let unseen = !present.just_now
            && consent::may_be_impersonated(&begun.client, request.back.redirect_uri());
        // The page is also where a person is told that a token was stolen, so then it is shown.
        let untold = known.reuse.is_some_and(|reuse| !reuse.answered);
        let settled = (begun.client.skip_consent || (covered && !unseen)) && !untold;
        if settled && !request.prompts(Prompt::Consent) {
            let allowed = Allowed {
                scopes: request.scopes.clone(),
                audiences: request.audiences.clone(),
                withdrawn: Vec::new(),
            };
            return self.issue(&begun, &present, allowed, None, at).await;
        }
        if silent {
            return self.refuse(&begun, &Reason::ConsentNeeded.into());
        }
        let session = Some(present.session.id.as_str());
        Step::Consent(ConsentPage {
            ticket: self.ticket(Page::Consent, at.browser, session, request, at.now),
            client: ClientView::of(&begun.client),
            person: present.name(),
            scopes: consent::asked(
                &begun.client,
                &request.scopes,
                &request.audiences,
                remembered.as_ref(),
            ),
            destination: browser::destination(request.back.redirect_uri()),
            reused: untold,
            locales: request.ui_locales.clone(),
            leads_to: request.back.redirect_uri().to_owned(),
        })
    }

    /// What is known of the person who sits there and the client; of nobody, nothing.
    async fn remembered(&self, begun: &Begun, present: Option<&Present>) -> Outcome<Remembered> {
        match present {
            Some(present) => {
                let subject = &present.session.subject;
                let known = self.store().remembered(subject, &begun.client.client_id);
                Ok(known.await?)
            }
            None => Ok(Remembered::default()),
        }
    }

    /// Issues the code, and sends the person back with it.
    async fn issue(
        &self,
        begun: &Begun,
        present: &Present,
        allowed: Allowed,
        memory: Option<Consent>,
        at: At<'_>,
    ) -> Step {
        // Nothing is issued that could not be recorded.
        if !self.can_record() {
            return self.refuse(begun, &Reason::Unavailable.into());
        }
        let (client, request, now) = (&begun.client, &begun.request, at.now);
        let mut random = [0u8; 32];
        self.entropy().fill(&mut random);
        let code = base64url::encode(&random);
        let withdrawn = allowed.withdrawn.clone();
        let grant = self.new_grant(client, present, allowed, now);
        let grant = Grant {
            claims: request.claims.clone(),
            // RFC 9449 §10: of a public client, the key that redeems the code holds the refresh
            // tokens too.
            binding: request
                .dpop_jkt
                .clone()
                .filter(|_| client.is_public())
                .map(Binding::Jkt),
            ..grant
        };
        let details = BTreeMap::from([
            ("client_id".to_owned(), client.client_id.to_string()),
            ("scope".to_owned(), grant.scopes.join(" ")),
        ]);
        let audit = self.person_did(
            &grant.subject,
            "grant.create",
            format!("grant/{}", grant.id),
            details,
            at.request_id,
            now,
        );
        let new = NewCode {
            hash: TokenHash::of(code.as_bytes()),
            code: Code {
                redirect_uri: request
                    .redirect_uri_sent
                    .then(|| request.back.redirect_uri().to_owned()),
                code_challenge: request.code_challenge.clone(),
                nonce: request.nonce.clone(),
                dpop_jkt: request.dpop_jkt.clone(),
                until: now.plus(client.rules().code_lifetime),
            },
            grant,
            spends: request.pushed,
            consent: memory,
            withdrawn,
        };
        match self.store().issue_code(new, audit).await {
            Ok(CodeIssued::Issued) => {
                let params = vec![("code", code)];
                Step::Answer(request.back.answer(params, self.endpoints().issuer()))
            }
            Ok(CodeIssued::RequestSpent) => browser::error_page(
                Reason::RequestUriSpent.into(),
                client.client_uri.clone(),
                at.request_id,
            ),
            Err(error) => self.refuse(begun, &error.into()),
        }
    }

    /// A grant of what a person allowed.
    pub(crate) fn new_grant(
        &self,
        client: &RegisteredClient,
        present: &Present,
        allowed: Allowed,
        now: Timestamp,
    ) -> Grant {
        let holds = |scope: IdentityScope| allowed.scopes.iter().any(|s| s == scope.name());
        Grant {
            id: uuid_v7(now, self.entropy()),
            client_id: client.client_id.clone(),
            subject: present.session.subject.clone(),
            session: Some(present.session.id.clone()),
            offline: holds(IdentityScope::OfflineAccess) || !holds(IdentityScope::Openid),
            scopes: allowed.scopes,
            audiences: allowed.audiences,
            authentication: present.session.authentication.clone(),
            claims: None,
            binding: None,
            created_at: now,
            until: now.plus(GRANT_LIFE),
        }
    }

    /// Tells the client no.
    fn refuse(&self, begun: &Begun, refusal: &Refusal) -> Step {
        Step::Answer(
            begun
                .request
                .back
                .refuse(refusal, self.endpoints().issuer()),
        )
    }

    /// A login page for a ticket that was handed back.
    fn login_anew(
        &self,
        toward: Toward,
        username: &str,
        notice: Option<LoginNotice>,
        at: At<'_>,
    ) -> Step {
        match toward {
            Toward::Client(request) => match self.resume(*request, at.now) {
                Ok(begun) => self.login_page(begun, None, Some(username), notice, at),
                Err(refusal) => browser::error_page(refusal, None, at.request_id),
            },
            Toward::Device { user_code } => self.device_login(user_code, username, notice, at),
        }
    }

    fn login_page(
        &self,
        begun: Begun,
        present: Option<&Present>,
        username: Option<&str>,
        notice: Option<LoginNotice>,
        at: At<'_>,
    ) -> Step {
        let Begun { client, request } = begun;
        // A hint fills the field, and proves nothing.
        let hint = request.login_hint.clone().unwrap_or_default();
        let username = match username {
            Some(typed) if typed.len() <= MAX_FIELD => typed.to_owned(),
            Some(_) => String::new(),
            None => hint,
        };
        let account = present
            .filter(|_| request.prompts(Prompt::SelectAccount))
            .map(Present::name);
        let locales = request.ui_locales.clone();
        let leads_to = Some(request.back.redirect_uri().to_owned());
        let session = present.map(|present| present.session.id.as_str());
        let toward = Toward::Client(Box::new(request));
        Step::Login(LoginPage {
            ticket: self.ticket(Page::Login, at.browser, session, &toward, at.now),
            client: Some(ClientView::of(&client)),
            username,
            account,
            notice,
            locales,
            leads_to,
        })
    }
}

/// Who the request is answered for.
enum Who {
    /// This person, as they are logged in.
    Known(Box<Present>),
    /// Somebody has to log in: why, in the client's words and in the page's.
    LoginNeeded(Reason, Option<Box<Present>>, Option<LoginNotice>),
    /// They did, and it can't be they.
    Refused(Reason),
}

/// OpenID Connect Core §3.1.2.3: whether the login that there is, is good for this request.
fn who(begun: &Begun, present: Option<Present>, known: &Remembered, now: Timestamp) -> Who {
    let Begun { client, request } = begun;
    let Some(present) = present else {
        return Who::LoginNeeded(Reason::LoginNeeded, None, None);
    };
    let behind_wall = present.person.environment != client.environment;
    let another = request
        .subject
        .as_ref()
        .is_some_and(|subject| *subject != present.session.subject);
    let since = now.since(present.session.authentication.at).as_secs();
    // Whole seconds would let a login of this very second pass for max_age=0, which asks for a new
    // one (OpenID Connect Core §3.1.2.1).
    let too_old = request
        .max_age
        .is_some_and(|longest| longest == 0 || since > longest);
    if present.just_now {
        return match (behind_wall, another) {
            (true, _) => Who::Refused(Reason::PersonBehindWall),
            (_, true) => Who::Refused(Reason::AnotherPerson),
            _ => Who::Known(Box::new(present)),
        };
    }
    let present = Box::new(present);
    if behind_wall || another {
        let notice = Some(LoginNotice::AnotherPerson);
        return Who::LoginNeeded(Reason::AnotherPerson, Some(present), notice);
    }
    // RFC 9700 §4.14.2: a stolen token may mean that more was stolen. Until the person has proved
    // anew who they are, nothing is given to that client.
    if known.demands_login(&present) {
        return Who::LoginNeeded(Reason::LoginNeeded, None, Some(LoginNotice::Reused));
    }
    if request.prompts(Prompt::Login) || too_old {
        let notice = Some(LoginNotice::Again);
        return Who::LoginNeeded(Reason::LoginNeeded, None, notice);
    }
    if request.prompts(Prompt::SelectAccount) {
        return Who::LoginNeeded(Reason::LoginNeeded, Some(present), None);
    }
    Who::Known(present)
}
