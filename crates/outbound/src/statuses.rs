//! **What responders say of client certificates** (OCSP, RFC 6960), asked for ahead and kept, so that
//! a call waits at most for the first answer about its certificate.
//!
//! An answer is used for the responder's `refresh` and asked for anew then: in the background if it
//! was used since ([`Statuses::renew`]), else by the next call that needs it. Callers with one
//! certificate wait for one question. While the responder is away the answer that is held goes on
//! counting until its own end and not a moment longer; where none is held the answer is
//! [`Unavailable::CertificateStatus`], never a pass. Only certificates whose path held are asked
//! about, so whoever causes questions has one of the authority's; all the same they are few at once,
//! and a responder that fails is left alone for a while.

use core::time::Duration;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use proof::time::Timestamp;
use proof::x509::ocsp::{self, Declined, MAX_RESPONSE_BYTES, OcspDefect, Question, Status};
use quick_cache::sync::Cache;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use url::Url;
use verdict::credential::mtls::Asked;
use verdict::facts::{Answer, Unavailable};

use crate::clock::Clock;
use crate::fetch::{FetchError, FetchFailure, Fetcher, Inquiry};
use crate::flights::Flights;

/// Questions of calls to one responder at once.
const PLACES: usize = 16;

/// How responders are asked.
#[derive(Debug, Clone, Copy)]
pub struct StatusOptions {
    /// Answers held.
    pub max_held: usize,
    /// Time for one answer.
    pub patience: Duration,
    /// How long a call waits for a place.
    pub wait: Duration,
    /// How long an answer is still used once it is due: the background's time for asking anew.
    pub slack: Duration,
    /// How long it is remembered that a responder does not know a certificate: it may be a new one.
    pub unknown: Duration,
    /// How long nobody asks again about a certificate after a failure.
    pub retry: Duration,
    /// Failures in a row after which a responder is left alone.
    pub failures: u32,
    /// For how long it is.
    pub pause: Duration,
}

impl Default for StatusOptions {
    fn default() -> Self {
        Self {
            max_held: 20_000,
            patience: Duration::from_secs(3),
            wait: Duration::from_secs(1),
            slack: Duration::from_secs(15),
            unknown: Duration::from_secs(10),
            retry: Duration::from_secs(5),
            failures: 3,
            pause: Duration::from_secs(5),
        }
    }
}

/// Where the responder of an authority is, and what it is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResponderSource {
    /// Its address.
    pub url: Url,
    /// What it is asked about.
    pub asked: Asked,
    /// How long an answer is used before it is asked for anew.
    pub refresh: Duration,
}

/// A responder as it is declared now. What it said is forgotten with it.
#[derive(Debug)]
pub(crate) struct Responder {
    pub(crate) source: ResponderSource,
    /// Another number, another responder.
    number: u64,
    places: Semaphore,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Since the last good answer.
    failures: u32,
    /// Those of them that are not of one certificate.
    unreached: u32,
    paused_until: Option<Timestamp>,
}

/// Why a responder said nothing that can be used.
#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error(transparent)]
    Answer(#[from] OcspDefect),
}

impl Fault {
    /// Whether it is of the responder, and not of one certificate.
    fn is_the_responders(&self) -> bool {
        match self {
            Self::Fetch(error) => !matches!(
                error.failure,
                FetchFailure::TooLarge(_) | FetchFailure::Encoded
            ),
            Self::Answer(OcspDefect::Declined(declined)) => !matches!(
                declined,
                Declined::Unauthorized | Declined::MalformedRequest
            ),
            Self::Answer(_) => false,
        }
    }
}

/// A responder by its number, a certificate by its name.
type Key = (u64, [u8; 32]);

/// An answer that counts until its end.
struct Held {
    /// Gone where no authority has it any more.
    responder: Weak<Responder>,
    question: Question,
    answer: ocsp::Answer,
    /// From when on it is to be asked for anew.
    due: Timestamp,
    /// Until when it is used without asking, in milliseconds; never past its end.
    fresh_until: AtomicI64,
    used: AtomicBool,
}

impl Held {
    fn is_fresh(&self, now: Timestamp) -> bool {
        now.as_millis() < self.fresh_until.load(Ordering::Relaxed)
    }

    fn keep(&self, until: Timestamp) {
        let until = until.min(self.answer.ends);
        self.fresh_until.store(until.as_millis(), Ordering::Relaxed);
    }
}

/// What responders said.
pub struct Statuses {
    fetcher: Arc<Fetcher>,
    options: StatusOptions,
    held: Cache<Key, Arc<Held>>,
    /// When a question that failed may be asked again.
    failed: Cache<Key, Timestamp>,
    questions: Flights<Key>,
}

impl core::fmt::Debug for Statuses {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Statuses")
            .field("held", &self.held.len())
            .finish_non_exhaustive()
    }
}

impl Statuses {
    /// Nothing was said yet.
    pub fn new(fetcher: Arc<Fetcher>, options: StatusOptions) -> Self {
        Self {
            fetcher,
            options,
            held: Cache::new(options.max_held.max(1)),
            failed: Cache::new(options.max_held.max(1)),
            questions: Flights::new(),
        }
    }

    /// Answers held. For metrics.
    pub fn held(&self) -> usize {
        self.held.len()
    }

    /// Forgets answers whose time is over, and those of responders that nobody names any more.
    pub(crate) fn drop_expired(&self, now: Timestamp) {
        self.held
            .retain(|_, held| now < held.answer.ends && held.responder.strong_count() > 0);
        self.failed.retain(|_, until| now < *until);
    }

    /// What the responder said, if that still counts and is not due.
    pub(crate) fn known(
        &self,
        responder: &Responder,
        question: &Question,
        now: Timestamp,
    ) -> Option<Status> {
        let held = self.held.get(&(responder.number, *question.id()))?;
        if !held.is_fresh(now) {
            return None;
        }
        // Many calls share the answer, and one writes.
        if !held.used.load(Ordering::Relaxed) {
            held.used.store(true, Ordering::Relaxed);
        }
        Some(held.answer.status)
    }

    /// What the responder says, from memory or by asking.
    pub(crate) async fn status(
        &self,
        responder: &Arc<Responder>,
        question: &Question,
        now: Timestamp,
    ) -> Answer<Status> {
        if let Some(status) = self.known(responder, question, now) {
            return Ok(status);
        }
        let key = (responder.number, *question.id());
        let turn = self.questions.enter(key).await;
        let _turn = turn.ok_or(Unavailable::CertificateStatus)?;
        if let Some(status) = self.known(responder, question, now) {
            return Ok(status);
        }
        let place = responder.places.acquire();
        let Ok(Ok(_place)) = timeout(self.options.wait, place).await else {
            return self.still_held(&key, now);
        };
        let status = self.ask(responder, question, now).await?;
        if let Some(held) = self.held.peek(&key) {
            held.used.store(true, Ordering::Relaxed);
        }
        Ok(status)
    }

    /// Asks anew for what was used since it was asked for and is due, four at once.
    pub async fn renew(&self, clock: &dyn Clock) {
        let now = clock.now();
        let due = self.held.iter().filter(|(key, held)| {
            held.due <= now
                && now < held.answer.ends
                && held.used.load(Ordering::Relaxed)
                && !self.failed_lately(key, now)
        });
        let queue: Mutex<Vec<_>> = Mutex::new(due.map(|(_, held)| held).collect());
        let work = async || {
            loop {
                let next = queue.lock().pop();
                let Some(held) = next else { return };
                let Some(responder) = held.responder.upgrade() else {
                    continue;
                };
                let key = (responder.number, *held.question.id());
                let Some(_turn) = self.questions.enter(key).await else {
                    continue;
                };
                // What it comes to is said where it is used.
                let asked = self.ask(&responder, &held.question, clock.now());
                let _known = Box::pin(asked).await;
            }
        };
        tokio::join!(work(), work(), work(), work());
    }

    fn failed_lately(&self, key: &Key, now: Timestamp) -> bool {
        self.failed.get(key).is_some_and(|until| now < until)
    }

    /// Asks, unless a failure was too short a while ago.
    async fn ask(
        &self,
        responder: &Arc<Responder>,
        question: &Question,
        now: Timestamp,
    ) -> Answer<Status> {
        let key = (responder.number, *question.id());
        if responder.is_paused(now) || self.failed_lately(&key, now) {
            return self.still_held(&key, now);
        }
        match self.inquire(responder, question, now).await {
            Ok(answer) => {
                responder.answered();
                self.failed.remove(&key);
                // An answer of before, shown again, takes back nothing that was said since.
                let held = self.held.peek(&key).map(|held| held.answer);
                let newer =
                    held.filter(|held| now < held.ends && answer.this_update < held.this_update);
                let answer = newer.unwrap_or(answer);
                self.take(responder, question, answer, now);
                Ok(answer.status)
            }
            Err(fault) => {
                responder.failed(&fault, now, &self.options);
                self.failed.insert(key, now.plus(self.options.retry));
                self.still_held(&key, now)
            }
        }
    }

    async fn inquire(
        &self,
        responder: &Responder,
        question: &Question,
        now: Timestamp,
    ) -> Result<ocsp::Answer, Fault> {
        let inquiry = Inquiry {
            body: question.request().into(),
            content_type: "application/ocsp-request",
            accept: "application/ocsp-response",
            within: self.options.patience,
            max_bytes: MAX_RESPONSE_BYTES,
        };
        let answer = self.fetcher.inquire(&responder.source.url, inquiry).await?;
        Ok(question.read(&answer, now)?)
    }

    fn take(
        &self,
        responder: &Arc<Responder>,
        question: &Question,
        answer: ocsp::Answer,
        now: Timestamp,
    ) {
        let (due, fresh_until) = match answer.status {
            Status::Unknown => (Timestamp::MAX, now.plus(self.options.unknown)),
            Status::Good | Status::Revoked => {
                // Short-lived answers leave the other half of their time for a responder that is away.
                let half = answer.ends.since(now) / 2;
                let due = now.plus(responder.source.refresh.min(half));
                (due, due.plus(self.options.slack))
            }
        };
        let held = Held {
            responder: Arc::downgrade(responder),
            question: question.clone(),
            answer,
            due,
            fresh_until: AtomicI64::new(fresh_until.min(answer.ends).as_millis()),
            used: AtomicBool::new(false),
        };
        self.held
            .insert((responder.number, *question.id()), Arc::new(held));
    }

    /// What is held where nothing newer can be had, until its own end. It is then used for a while
    /// without asking, so that calls don't wait for a responder that is away.
    fn still_held(&self, key: &Key, now: Timestamp) -> Answer<Status> {
        let held = self.held.get(key).filter(|held| now < held.answer.ends);
        let held = held.ok_or(Unavailable::CertificateStatus)?;
        held.keep(now.plus(self.options.slack));
        Ok(held.answer.status)
    }
}

impl Responder {
    /// One that was never asked. No two have one number.
    pub(crate) fn new(source: ResponderSource, number: u64) -> Self {
        Self {
            source,
            number,
            places: Semaphore::new(PLACES),
            state: Mutex::default(),
        }
    }

    fn is_paused(&self, now: Timestamp) -> bool {
        self.state
            .lock()
            .paused_until
            .is_some_and(|until| now < until)
    }

    fn answered(&self) {
        let failures = core::mem::take(&mut *self.state.lock()).failures;
        if failures > 0 {
            tracing::info!(url = %self.source.url, "the responder answers questions about certificates again");
        }
    }

    fn failed(&self, fault: &Fault, now: Timestamp, options: &StatusOptions) {
        let mut state = self.state.lock();
        state.failures = state.failures.saturating_add(1);
        let first = state.failures == 1;
        if fault.is_the_responders() {
            state.unreached = state.unreached.saturating_add(1);
            if state.unreached >= options.failures {
                state.paused_until = Some(now.plus(options.pause));
            }
        }
        drop(state);
        let url = &self.source.url;
        if first {
            tracing::warn!(%url, cause = %fault, "the responder can not be asked about certificates; its answers stay in force as long as they say themselves");
        } else {
            tracing::debug!(%url, cause = %fault, "the responder can not be asked about certificates");
        }
    }
}

#[cfg(test)]
mod tests;
