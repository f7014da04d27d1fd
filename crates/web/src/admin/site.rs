//! **Whose site this is** (threat H7): a web page of somebody else must not talk to the admin API,
//! even if it makes its own name point at this machine. So `Host` must be a name or an address of
//! ours, and a request that says it comes from a page must come from a page of this very origin.

use core::net::IpAddr;

use http::header::{HOST, ORIGIN};
use http::{HeaderMap, HeaderName};
use verdict::call::Arrival;
use verdict::problem::{Code, Problem};

/// What browsers say about where a request comes from.
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Names under which the admin API answers.
#[derive(Debug, Clone, Default)]
pub struct Site {
    hosts: Vec<String>,
}

impl Site {
    /// The names that the settings list, beside `localhost` and addresses.
    ///
    /// An address can't be rebound, since no name stands between it and the machine.
    pub fn new(hosts: impl IntoIterator<Item = String>) -> Self {
        Self {
            hosts: hosts
                .into_iter()
                .map(|host| host.to_ascii_lowercase())
                .collect(),
        }
    }

    /// Whether a request may go on.
    ///
    /// # Errors
    /// 403 [`Code::CorsRefused`], 421 [`Code::MisdirectedRequest`] for a foreign `Host`.
    pub(super) fn check(&self, headers: &HeaderMap, arrival: &Arrival) -> Result<(), Problem> {
        let authority = single(headers, &HOST)?.unwrap_or_default();
        if !self.is_ours(host_of(authority), arrival.loopback) {
            return Err(Problem::new(
                Code::MisdirectedRequest,
                format!("Host is `{authority}`, which is not ours"),
            ));
        }
        let foreign = |what: &str| {
            Problem::new(
                Code::CorsRefused,
                format!("{what} says that another site asks"),
            )
        };
        if let Some(origin) = single(headers, &ORIGIN)? {
            let own = format!("{}://{authority}", arrival.scheme.as_str());
            if !origin.eq_ignore_ascii_case(&own) {
                return Err(foreign("Origin"));
            }
        }
        match single(headers, &SEC_FETCH_SITE)? {
            None | Some("same-origin" | "none") => Ok(()),
            Some(_) => Err(foreign("Sec-Fetch-Site")),
        }
    }

    fn is_ours(&self, host: &str, loopback: bool) -> bool {
        let host = host.to_ascii_lowercase();
        let literal = host
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
            .unwrap_or(&host);
        // A listener on loopback is reached by a loopback address; which addresses another one has
        // is not known here (translation, floating addresses).
        let address = literal
            .parse::<IpAddr>()
            .is_ok_and(|address| !loopback || address.is_loopback());
        host == "localhost" || address || self.hosts.contains(&host)
    }
}

fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, Problem> {
    let mut values = headers.get_all(name).iter();
    let first = values.next();
    let bad = || {
        Problem::new(
            Code::UncleanHeader,
            format!("{name} is repeated or no text"),
        )
    };
    if values.next().is_some() {
        return Err(bad());
    }
    first
        .map(|value| value.to_str().map_err(|_| bad()))
        .transpose()
}

fn host_of(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => host,
        _ => authority,
    }
}
