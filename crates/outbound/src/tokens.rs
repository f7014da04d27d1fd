//! **Tokens of our own** for services behind the gateway: fetched, kept, and renewed ahead of their
//! end.
//!
//! While a token is good nobody waits: past three quarters of its life one task fetches the next one
//! and calls go on with what there is. Without a good one, calls wait for one fetch together; if
//! that fails they are told so, and for a while nobody asks again. A token that an upstream refused
//! is dropped once, whoever says so first. What is kept here is never printed.

use core::fmt;
use core::pin::Pin;
use core::time::Duration;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use http::HeaderValue;
use parking_lot::Mutex;
use proof::random::Entropy;
use proof::secret::Secret;
use proof::strict_json;
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::Instant;
use url::Url;

use crate::client_auth::{ClientAuth, Question};
use crate::clock::Clock;
use crate::fetch::Fetcher;

/// Life of a token whose server does not say one (RFC 6749 §5.1 leaves it open).
const UNSAID_LIFE: Duration = Duration::from_secs(300);
/// A token is not kept longer than this.
const LONGEST_LIFE: Duration = Duration::from_secs(24 * 3600);
/// How long before its end a token is not used any more: a call takes time too.
const MARGIN: Duration = Duration::from_secs(10);
/// How long nobody asks after a failure; doubled at each further one.
const PAUSE: Duration = Duration::from_millis(500);
/// The longest such pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(15);
/// Refused tokens are dropped this often at most, so that an upstream which refuses everything does
/// not turn every call into a fetch.
const DROP_INTERVAL: Duration = Duration::from_secs(1);
/// Largest answer of a token endpoint.
const MAX_ANSWER: usize = 64 * 1024;
/// Longest token: it has to fit into a header.
const MAX_TOKEN: usize = 16 * 1024;

/// What a server handed out.
#[derive(Debug)]
pub struct Issued {
    /// The access token.
    pub token: Secret,
    /// How long it lives, if the server says.
    pub lives: Option<Duration>,
}

/// Why no token was handed out. Safe to log.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct NoToken(Box<str>);

impl NoToken {
    /// A reason in words, without secrets.
    pub fn new(why: impl Into<Box<str>>) -> Self {
        Self(why.into())
    }
}

type Issuing<'a> = Pin<Box<dyn Future<Output = Result<Issued, NoToken>> + Send + 'a>>;

/// Hands out tokens: a token endpoint, or a test's double.
pub trait TokenIssuer: Send + Sync + 'static {
    /// A new token.
    fn issue(&self) -> Issuing<'_>;
}

/// A client at a token endpoint, with what it asks for (RFC 6749 §4.4).
pub struct TokenEndpoint {
    /// The way there.
    pub fetcher: Arc<Fetcher>,
    /// Where tokens are handed out.
    pub url: Url,
    /// Who asks.
    pub client: ClientAuth,
    /// Scopes, divided by blanks.
    pub scope: Option<String>,
    /// `audience`, as some servers want it.
    pub audience: Option<String>,
    /// `resource` (RFC 8707).
    pub resource: Option<String>,
    /// Tells the time, for assertions.
    pub clock: Arc<dyn Clock>,
    /// Makes assertions unique.
    pub entropy: Arc<dyn Entropy>,
}

/// RFC 6749 §5.1 and §5.2.
#[derive(Deserialize)]
struct Answer {
    access_token: Option<String>,
    token_type: Option<String>,
    expires_in: Option<Seconds>,
    error: Option<String>,
}

/// A number, which some servers write as a text.
#[derive(Deserialize)]
#[serde(untagged)]
enum Seconds {
    Number(u64),
    Text(String),
}

impl TokenIssuer for TokenEndpoint {
    fn issue(&self) -> Issuing<'_> {
        Box::pin(self.ask())
    }
}

impl TokenEndpoint {
    async fn ask(&self) -> Result<Issued, NoToken> {
        let mut parameters = vec![("grant_type", "client_credentials")];
        for (name, value) in [
            ("scope", &self.scope),
            ("audience", &self.audience),
            ("resource", &self.resource),
        ] {
            parameters.extend(value.as_deref().map(|value| (name, value)));
        }
        let question = Question {
            url: &self.url,
            accept: "application/json",
            parameters: &parameters,
            total_time: Duration::from_secs(5),
            max_bytes: MAX_ANSWER,
        };
        let asked = self
            .client
            .ask(&self.fetcher, &question, self.clock.now(), &*self.entropy);
        let answered = asked
            .await
            .map_err(|error| NoToken::new(error.to_string()))?;
        read(answered.status.as_u16(), &answered.body)
    }
}

/// Reads what a token endpoint answered (RFC 6749 §5.1, §5.2): a JSON object in which nothing stands
/// twice. Of what it says only registered words reach the log.
///
/// # Errors
/// [`NoToken`].
pub fn read(status: u16, body: &[u8]) -> Result<Issued, NoToken> {
    let members = strict_json::parse_object(body, MAX_ANSWER).ok();
    let answer: Option<Answer> =
        members.and_then(|members| serde_json::from_value(Value::Object(members)).ok());
    if status != 200 {
        let clean = |error: &String| {
            (1..=64).contains(&error.len())
                && error
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'_')
        };
        let error = answer.and_then(|answer| answer.error).filter(clean);
        let error = error.as_deref().unwrap_or("no error code");
        return Err(NoToken::new(format!(
            "the token endpoint answered {status}, {error}"
        )));
    }
    let answer =
        answer.ok_or_else(|| NoToken::new("the token endpoint answered no JSON object"))?;
    let token = answer
        .access_token
        .ok_or_else(|| NoToken::new("the token endpoint handed out no access_token"))?;
    let token = Secret::from_text(token);
    // RFC 6750 §2.1: b68token.
    let fits = |b: &u8| b.is_ascii_alphanumeric() || b"-._~+/=".contains(b);
    if token.is_empty() || token.len() > MAX_TOKEN || !token.expose().iter().all(fits) {
        return Err(NoToken::new("the access_token can't stand in a header"));
    }
    if !answer
        .token_type
        .is_some_and(|kind| kind.eq_ignore_ascii_case("Bearer"))
    {
        return Err(NoToken::new("the token's type is not Bearer"));
    }
    let lives = match answer.expires_in {
        None => None,
        Some(Seconds::Number(seconds)) => Some(seconds),
        Some(Seconds::Text(text)) => Some(
            text.parse()
                .map_err(|_| NoToken::new("expires_in is not a number"))?,
        ),
    };
    Ok(Issued {
        token,
        lives: lives.map(Duration::from_secs),
    })
}

/// A token that is kept.
pub struct Token {
    field: HeaderValue,
    text: Secret,
    renew_at: Instant,
    until: Instant,
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(***)")
    }
}

impl Token {
    /// The value of `Authorization`, marked as sensitive.
    pub fn field(&self) -> &HeaderValue {
        &self.field
    }

    /// The token itself, to find it in what an upstream answers.
    pub fn text(&self) -> &Secret {
        &self.text
    }
}

/// One token, kept fresh. See the module.
pub struct TokenSource {
    /// For the log: whose token, from where.
    name: Box<str>,
    issuer: Arc<dyn TokenIssuer>,
    entropy: Arc<dyn Entropy>,
    current: ArcSwapOption<Token>,
    flight: Mutex<Flight>,
}

#[derive(Default)]
struct Flight {
    /// Closed when the fetch under way ends.
    running: Option<watch::Receiver<()>>,
    /// Fetches that failed in a row.
    failures: u32,
    /// When the last one ended and why, if it failed.
    failed: Option<(Instant, NoToken)>,
    /// When a refused token was dropped last.
    dropped: Option<Instant>,
}

impl fmt::Debug for TokenSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenSource({})", self.name)
    }
}

impl TokenSource {
    /// Without a token yet. `name` is for the log: whose token, from where.
    pub fn new(
        name: impl Into<Box<str>>,
        issuer: Arc<dyn TokenIssuer>,
        entropy: Arc<dyn Entropy>,
    ) -> Arc<Self> {
        Arc::new(Self {
            name: name.into(),
            issuer,
            entropy,
            current: ArcSwapOption::empty(),
            flight: Mutex::default(),
        })
    }

    /// Begins with the token of another source, which the same server handed out for the same, so
    /// that a new client secret costs no call its token. The next one is fetched with the new.
    pub fn take_over(&self, other: &Self) {
        if let Some(token) = other.current.load_full() {
            self.current.store(Some(Arc::new(Token {
                field: token.field.clone(),
                text: token.text.duplicate(),
                renew_at: Instant::now(),
                until: token.until,
            })));
        }
    }

    /// A token that is good now.
    ///
    /// # Errors
    /// [`NoToken`]: there is none, and none could be fetched.
    pub async fn token(self: &Arc<Self>) -> Result<Arc<Token>, NoToken> {
        if let Some(token) = self.current.load_full() {
            let now = Instant::now();
            if now < token.until {
                if now >= token.renew_at {
                    self.start();
                }
                return Ok(token);
            }
        }
        if let Some(mut running) = self.start() {
            // Only ever closed: an error is the news that the fetch ended.
            let _ended = running.changed().await;
        }
        if let Some(token) = self.current.load_full()
            && Instant::now() < token.until
        {
            return Ok(token);
        }
        let failed = self.flight.lock().failed.clone();
        Err(failed.map_or_else(|| NoToken::new("the token is over already"), |(_, why)| why))
    }

    /// Fetches a token ahead of the first call, if there is none.
    pub fn warm(self: &Arc<Self>) {
        if self.current.load().is_none() {
            self.start();
        }
    }

    /// An upstream refused `token`. Whether a call is worth another try with [`TokenSource::token`].
    pub fn refused(&self, token: &Arc<Token>) -> bool {
        let mut flight = self.flight.lock();
        let same = |current: &Arc<Token>| Arc::ptr_eq(current, token);
        if !self.current.load_full().as_ref().is_some_and(same) {
            // Another call said so first.
            return true;
        }
        let now = Instant::now();
        if flight
            .dropped
            .is_some_and(|at| now.duration_since(at) < DROP_INTERVAL)
        {
            return false;
        }
        flight.dropped = Some(now);
        self.current.store(None);
        drop(flight);
        tracing::warn!(token = %self.name, "the upstream refused the token; another is fetched");
        true
    }

    /// Starts a fetch unless one is under way or just failed.
    fn start(self: &Arc<Self>) -> Option<watch::Receiver<()>> {
        let mut flight = self.flight.lock();
        if let Some(running) = &flight.running
            && running.has_changed().is_ok()
        {
            return Some(running.clone());
        }
        if let Some((at, _)) = &flight.failed {
            let pause = PAUSE * 2u32.saturating_pow(flight.failures.saturating_sub(1).min(8));
            let pause = self.scattered(pause.min(LONGEST_PAUSE));
            if at.elapsed() < pause {
                return None;
            }
        }
        let (ending, running) = watch::channel(());
        flight.running = Some(running.clone());
        let this = Arc::clone(self);
        tokio::spawn(async move {
            this.fetch().await;
            drop(ending);
        });
        Some(running)
    }

    async fn fetch(&self) {
        let began = Instant::now();
        let outcome = self.issuer.issue().await.and_then(|issued| {
            let text = format!("Bearer {}", issued.token.expose_text().unwrap_or_default());
            let text = Secret::from_text(text);
            let mut field = HeaderValue::from_bytes(text.expose())
                .map_err(|_| NoToken::new("the access_token can't stand in a header"))?;
            field.set_sensitive(true);
            let life = issued.lives.unwrap_or(UNSAID_LIFE).min(LONGEST_LIFE);
            Ok(Token {
                field,
                text: issued.token,
                renew_at: began + self.scattered(life.mul_f64(0.75)),
                until: began + life - (life / 10).min(MARGIN),
            })
        });
        let mut flight = self.flight.lock();
        match outcome {
            Ok(token) => {
                self.current.store(Some(Arc::new(token)));
                flight.failures = 0;
                flight.failed = None;
            }
            Err(why) => {
                tracing::warn!(token = %self.name, cause = %why, "a token for an upstream could not be fetched");
                flight.failures = flight.failures.saturating_add(1);
                flight.failed = Some((Instant::now(), why));
            }
        }
    }

    /// A little less than `time`, by chance: nodes that began together don't ask together.
    fn scattered(&self, time: Duration) -> Duration {
        let mut byte = [0];
        self.entropy.fill(&mut byte);
        time.mul_f64(1.0 - f64::from(byte[0]) / 2550.0)
    }
}

#[cfg(test)]
mod tests;
