//! **Trailers**: the fields behind a body. They come after everything was judged, and there are
//! services that take them for fields of the head; so none passes that would not pass there, and none
//! that may stand in a head alone (RFC 9110 §6.5.1). Nothing is refused for them: whoever reads no
//! trailers loses nothing.

use std::sync::Arc;

use http::header::{self, HeaderMap, HeaderName};
use smallvec::SmallVec;
use verdict::call::onward;
use verdict::call::spelled_like;
use verdict::credential::is_carrier;
use verdict::policy::Place;

use crate::snapshot::RouteEntry;

/// What of a call's trailers goes on to the upstream.
pub(crate) struct CallTrailers(pub(crate) Arc<RouteEntry>);

impl CallTrailers {
    /// Takes out what does not go on.
    pub(crate) fn clean(&self, trailers: &mut HeaderMap) {
        let judged = &self.0.meaning.judged;
        // An object is named once, where it was judged.
        let names_object = |name: &HeaderName| {
            judged.rule.objects.iter().any(|one| {
                matches!(&one.place, Place::Header(known) if spelled_like(name.as_str(), known.as_str()))
            })
        };
        take_out(trailers, |name| {
            is_of_head(name)
                || onward::ends_here(name)
                || onward::is_trace(name)
                // Credentials stand in heads, on whatever route.
                || is_carrier(name, judged)
                || judged.writes(name)
                || names_object(name)
        });
    }
}

/// Takes out of an answer's trailers what no caller may get behind a body.
pub(crate) fn clean_answer(trailers: &mut HeaderMap) {
    take_out(trailers, |name| {
        is_of_head(name) || onward::is_hop_by_hop(name) || onward::is_claim(name.as_str())
    });
}

fn take_out(trailers: &mut HeaderMap, gone: impl Fn(&HeaderName) -> bool) {
    let gone: SmallVec<[HeaderName; 4]> =
        trailers.keys().filter(|name| gone(name)).cloned().collect();
    for name in gone {
        trailers.remove(name);
    }
}

/// Whether a field frames or routes a message, changes what is asked for, authenticates somebody, or
/// says how the content is to be read or kept: such a one counts before the body or not at all
/// (RFC 9110 §6.5.1).
fn is_of_head(name: &HeaderName) -> bool {
    matches!(
        *name,
        header::HOST
            | header::CONTENT_LENGTH
            | header::CONTENT_TYPE
            | header::CONTENT_ENCODING
            | header::CONTENT_RANGE
            | header::CACHE_CONTROL
            | header::PRAGMA
            | header::MAX_FORWARDS
            | header::RANGE
            | header::IF_MATCH
            | header::IF_NONE_MATCH
            | header::IF_MODIFIED_SINCE
            | header::IF_UNMODIFIED_SINCE
            | header::IF_RANGE
            | header::AUTHORIZATION
            | header::COOKIE
            | header::SET_COOKIE
            | header::WWW_AUTHENTICATE
            | header::ORIGIN
            | header::VIA
            | header::AGE
            | header::DATE
            | header::EXPIRES
            | header::LOCATION
            | header::RETRY_AFTER
            | header::VARY
            | header::WARNING
    ) || name.as_str().starts_with("sec-")
        || name.as_str().starts_with("access-control-")
}
