//! **Routing**: from host, path and method to the one route that judges a call.
//!
//! Host first (exact, then one-label wildcard, then any), then the longest base path, then the
//! route's template: at each segment a literal beats a parameter and a parameter beats the rest of
//! the path. A path that belongs to a base path never falls through to another API's, and a path
//! that belongs to a template never falls through to a weaker one because of its method: that is
//! 405. Segments are compared decoded, so that no spelling of a path escapes the route that is
//! meant for it; nothing is rewritten but the base path, taken off where the API says so.

use http::{HeaderValue, Method};
use percent_encoding::percent_decode_str;
use registry::api::{PathTemplate, Segment};
use smallvec::SmallVec;
use std::borrow::Cow;
use std::collections::HashMap;

type Map<V> = HashMap<Box<str>, V, foldhash::fast::RandomState>;

/// Segments of a path that matching looks at; a deeper path matches only by a rest.
const DEPTH: usize = 64;

/// What routes are found by. `R` is an index into the snapshot's routes.
#[derive(Debug, Default)]
pub(crate) struct Table {
    exact: Map<Site>,
    /// By what follows the first label: `example.com` for `*.example.com`.
    wildcard: Map<Site>,
    any: Site,
}

#[derive(Debug, Default)]
struct Site {
    root: Base,
}

/// A node of the tree of base paths.
#[derive(Debug, Default)]
struct Base {
    children: Map<Base>,
    owner: Option<Owner>,
}

/// What a base path belongs to.
#[derive(Debug)]
struct Owner {
    api: usize,
    routes: Node,
}

/// A node of an API's tree of templates.
#[derive(Debug, Default)]
struct Node {
    literals: Map<Node>,
    parameter: Option<Box<Node>>,
    rest: Option<Terminal>,
    here: Option<Terminal>,
}

/// The routes of one template, by method.
#[derive(Debug, Default)]
struct Terminal {
    by_method: SmallVec<[(Method, usize); 4]>,
    any_method: Option<usize>,
    allow: Option<HeaderValue>,
}

/// What was found for a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found<'t> {
    /// This route.
    Route {
        /// Its index.
        route: usize,
        /// Where the path without its base path begins.
        below: usize,
    },
    /// The path is known, the method is not.
    OtherMethods {
        /// The API.
        api: usize,
        /// Methods that are.
        allow: &'t HeaderValue,
    },
    /// The base path is known, the rest is not.
    NoRoute {
        /// The API.
        api: usize,
    },
    /// Nothing is known.
    Nothing,
}

/// Two routes that can't be told apart, or two APIs in one place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Overlap {
    #[error("another API has the base path `{base}` on {host}")]
    Base { host: String, base: String },
    #[error("another route has the template `{template}` and the method {method}")]
    Template { template: String, method: String },
}

impl Table {
    /// Claims a base path on `hosts` (none: any) for an API.
    ///
    /// # Errors
    /// [`Overlap::Base`] where another API has it.
    pub(crate) fn claim(
        &mut self,
        api: usize,
        hosts: &[String],
        base: &str,
    ) -> Result<(), Overlap> {
        for site in self.sites(hosts) {
            let mut node = &mut site.root;
            for segment in segments(base) {
                node = node.children.entry(decode(segment).into()).or_default();
            }
            if node.owner.is_some() {
                let host = if hosts.is_empty() {
                    "any host".to_owned()
                } else {
                    hosts.join(", ")
                };
                return Err(Overlap::Base {
                    host,
                    base: base.to_owned(),
                });
            }
            node.owner = Some(Owner {
                api,
                routes: Node::default(),
            });
        }
        Ok(())
    }

    /// Adds a route below a base path that was claimed.
    ///
    /// # Errors
    /// [`Overlap::Template`] where another route of the API has template and method.
    pub(crate) fn add(
        &mut self,
        hosts: &[String],
        base: &str,
        template: &PathTemplate,
        methods: &[Method],
        route: usize,
    ) -> Result<(), Overlap> {
        for site in self.sites(hosts) {
            let mut node = &mut site.root;
            for segment in segments(base) {
                node = node.children.entry(decode(segment).into()).or_default();
            }
            let Some(owner) = &mut node.owner else {
                continue;
            };
            owner
                .routes
                .insert(&template.segments)
                .add(methods, route, template)?;
        }
        Ok(())
    }

    fn sites(&mut self, hosts: &[String]) -> Vec<&mut Site> {
        if hosts.is_empty() {
            return vec![&mut self.any];
        }
        // One pass per host keeps the borrow checker's peace without cloning sites.
        for host in hosts {
            let (map, key) = match host.strip_prefix("*.") {
                Some(rest) => (&mut self.wildcard, rest),
                None => (&mut self.exact, host.as_str()),
            };
            map.entry(key.to_ascii_lowercase().into()).or_default();
        }
        let named = |host: &str| {
            hosts
                .iter()
                .any(|h| !h.starts_with("*.") && h.eq_ignore_ascii_case(host))
        };
        let starred = |rest: &str| {
            hosts.iter().any(|h| {
                h.strip_prefix("*.")
                    .is_some_and(|h| h.eq_ignore_ascii_case(rest))
            })
        };
        let exact = self
            .exact
            .iter_mut()
            .filter(|(host, _)| named(host))
            .map(|(_, site)| site);
        let wild = self
            .wildcard
            .iter_mut()
            .filter(|(rest, _)| starred(rest))
            .map(|(_, site)| site);
        exact.chain(wild).collect()
    }

    /// Finds the route of a call. `host` is lower case and without port, `path` begins with `/`.
    pub(crate) fn find(&self, host: &str, path: &str, method: &Method) -> Found<'_> {
        match self.owner(host, path) {
            None => Found::Nothing,
            Some((owner, below)) => match owner.routes.find(&path[below..]) {
                None => Found::NoRoute { api: owner.api },
                Some(terminal) => terminal.find(method, owner.api, below),
            },
        }
    }

    /// The API of a place, whatever its routes.
    pub(crate) fn api(&self, host: &str, path: &str) -> Option<usize> {
        self.owner(host, path).map(|(owner, _)| owner.api)
    }

    fn owner(&self, host: &str, path: &str) -> Option<(&Owner, usize)> {
        self.exact
            .get(host)
            .and_then(|site| site.owner(path))
            .or_else(|| {
                (!self.wildcard.is_empty()).then_some(())?;
                let (label, rest) = host.split_once('.')?;
                (!label.is_empty()).then_some(())?;
                self.wildcard.get(rest).and_then(|site| site.owner(path))
            })
            .or_else(|| self.any.owner(path))
    }
}

impl Site {
    /// The longest base path that `path` lies below, and where the path goes on after it.
    fn owner(&self, path: &str) -> Option<(&Owner, usize)> {
        let mut node = &self.root;
        let mut found = node.owner.as_ref().map(|owner| (owner, 0));
        let mut at = 0;
        for segment in segments(path) {
            let Some(child) = node.children.get(&*decode(segment)) else {
                break;
            };
            node = child;
            at += 1 + segment.len();
            if let Some(owner) = &node.owner {
                found = Some((owner, at));
            }
        }
        found
    }
}

impl Node {
    fn insert(&mut self, template: &[Segment]) -> &mut Terminal {
        let Some((first, others)) = template.split_first() else {
            return self.here.get_or_insert_default();
        };
        match first {
            Segment::Literal(text) => self
                .literals
                .entry(text.as_str().into())
                .or_default()
                .insert(others),
            Segment::Parameter(_) => self.parameter.get_or_insert_default().insert(others),
            Segment::Rest(_) => self.rest.get_or_insert_default(),
        }
    }

    /// `path`: what follows the base path, empty or beginning with `/`.
    fn find(&self, path: &str) -> Option<&Terminal> {
        let mut list: SmallVec<[&str; 16]> = SmallVec::new();
        for segment in segments(path).take(DEPTH + 1) {
            list.push(segment);
        }
        // Deeper than any template: only a rest that begins early enough can match.
        let deep = list.len() > DEPTH;
        self.descend(&list, deep)
    }

    /// Each node is visited once at most, since templates form a tree: the cost is bounded by the
    /// configuration, not by the caller.
    fn descend(&self, path: &[&str], deep: bool) -> Option<&Terminal> {
        let Some((first, others)) = path.split_first() else {
            return if deep { None } else { self.here.as_ref() };
        };
        if let Some(child) = self.literals.get(&*decode(first))
            && let Some(found) = child.descend(others, deep)
        {
            return Some(found);
        }
        if !first.is_empty()
            && let Some(child) = &self.parameter
            && let Some(found) = child.descend(others, deep)
        {
            return Some(found);
        }
        // One segment or more: a lone final slash is none.
        let some = !first.is_empty() || !others.is_empty();
        self.rest.as_ref().filter(|_| some)
    }
}

impl Terminal {
    fn add(
        &mut self,
        methods: &[Method],
        route: usize,
        template: &PathTemplate,
    ) -> Result<(), Overlap> {
        let overlap = |method: &str| Overlap::Template {
            template: template.written.clone(),
            method: method.to_owned(),
        };
        if methods.is_empty() && self.any_method.replace(route).is_some() {
            return Err(overlap("any"));
        }
        for method in methods {
            if self.by_method.iter().any(|(known, _)| known == method) {
                return Err(overlap(method.as_str()));
            }
            self.by_method.push((method.clone(), route));
        }
        let names: Vec<&str> = self
            .by_method
            .iter()
            .map(|(method, _)| method.as_str())
            .collect();
        self.allow = HeaderValue::from_str(&names.join(", ")).ok();
        Ok(())
    }

    fn find(&self, method: &Method, api: usize, below: usize) -> Found<'_> {
        let exact = self
            .by_method
            .iter()
            .find(|(known, _)| known == method)
            .map(|(_, route)| *route);
        match (exact.or(self.any_method), &self.allow) {
            (Some(route), _) => Found::Route { route, below },
            (None, Some(allow)) => Found::OtherMethods { api, allow },
            (None, None) => Found::NoRoute { api },
        }
    }
}

/// The segments of a path: none for `/` and the empty path; a final slash is an empty last one.
fn segments(path: &str) -> impl Iterator<Item = &str> {
    let inner = path.strip_prefix('/').unwrap_or(path);
    let mut rest = (!inner.is_empty()).then_some(inner);
    core::iter::from_fn(move || {
        let path = rest?;
        // Segments are short: looking byte by byte is quicker than a search that sets itself up.
        match path.bytes().position(|byte| byte == b'/') {
            Some(end) => {
                rest = Some(&path[end + 1..]);
                Some(&path[..end])
            }
            None => rest.take(),
        }
    })
}

/// What a segment says, whatever its spelling.
fn decode(segment: &str) -> Cow<'_, str> {
    if !segment.bytes().any(|byte| byte == b'%') {
        return Cow::Borrowed(segment);
    }
    percent_decode_str(segment).decode_utf8_lossy()
}

#[cfg(test)]
mod tests;
