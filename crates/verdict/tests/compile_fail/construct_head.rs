//! A head comes from reading one, so an unclean target can't enter.
use http::{HeaderMap, Method, Version};
use verdict::call::{Arrival, Head, Target};

fn unread(target: Target, arrival: Arrival) -> Head {
    Head {
        method: Method::GET,
        authority: "a.example".into(),
        target,
        headers: HeaderMap::new(),
        version: Version::HTTP_11,
        arrival,
    }
}

fn main() {}
