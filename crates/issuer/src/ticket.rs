//! **Tickets of our pages**: what a page must hand back, sealed under the master key, so that it
//! outlives a restart and works on any node. A ticket is bound to one browser, and to the session
//! that the page was made in; it lives for ten minutes. One that is too old, or another browser's,
//! is good for nothing but the same page anew: never for a session or a code (threats F2, F4).

use core::time::Duration;

use proof::digest::TokenHash;
use proof::ticket as sealed;
use proof::time::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::Issuer;
use crate::browser::Browser;
use crate::error::{Reason, Refusal};
use crate::ports::{IssuerStore, Secrets};

/// How long a page may be used.
pub const LIFE: Duration = Duration::from_secs(600);

/// Which page a ticket was made for. One for a page opens no other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Page {
    Login,
    Consent,
    DeviceEnter,
    DeviceConfirm,
    Logout,
}

impl Page {
    const fn name(self) -> &'static str {
        match self {
            Self::Login => "login",
            Self::Consent => "consent",
            Self::DeviceEnter => "device-enter",
            Self::DeviceConfirm => "device-confirm",
            Self::Logout => "logout",
        }
    }
}

#[derive(Serialize, Deserialize)]
struct Ticket<T> {
    browser: TokenHash,
    /// The id of the session in which the page was made.
    session: Option<String>,
    until: Timestamp,
    state: T,
}

/// A ticket that was handed back.
pub(crate) enum Taken<T> {
    /// In its time, by its browser; and the session it was made in.
    Good(T, Option<String>),
    /// Ours, and too old or another browser's: the page is shown anew.
    Stale(T),
    /// None of ours.
    Broken(Refusal),
}

impl<S: IssuerStore, C: Secrets> Issuer<S, C> {
    /// A ticket for a page that this browser is given now.
    pub(crate) fn ticket<T: Serialize>(
        &self,
        page: Page,
        browser: &Browser<'_>,
        session: Option<&str>,
        state: &T,
        now: Timestamp,
    ) -> String {
        let ticket = Ticket {
            browser: browser.binding,
            session: session.map(str::to_owned),
            until: now.plus(LIFE),
            state,
        };
        let text = serde_json::to_vec(&ticket).expect("states are plain data");
        sealed::seal(self.keys().master(), page.name(), &text, self.entropy())
    }

    /// Opens a ticket of a page.
    pub(crate) fn take<T: DeserializeOwned>(
        &self,
        page: Page,
        ticket: &str,
        browser: &Browser<'_>,
        now: Timestamp,
    ) -> Taken<T> {
        let state = match sealed::open(self.keys().master(), page.name(), ticket) {
            Ok(state) => state,
            Err(defect) => {
                return Taken::Broken(Refusal::because(Reason::TicketInvalid, defect.code()));
            }
        };
        // Sealed by us: it can only be of another version of this program.
        let Ok(ticket) = serde_json::from_slice::<Ticket<T>>(state.expose()) else {
            return Taken::Broken(Refusal::because(Reason::TicketInvalid, "another version"));
        };
        if ticket.browser != browser.binding || ticket.until <= now {
            return Taken::Stale(ticket.state);
        }
        Taken::Good(ticket.state, ticket.session)
    }
}
