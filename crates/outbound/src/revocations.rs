//! **What was revoked**: a list that is pushed here and asked on every use of a token.
//!
//! Asking is local and takes no lock: two maps behind atomic pointers, each cut into slices so
//! that an addition copies one slice and not the list. Entries end with the tokens they forbid.
//! The list is bounded; when it would overflow it says so instead of forgetting an entry, and from
//! then on every token is unanswerable until the list is replaced: a revoked token never passes
//! because there were many of them.

use core::hash::BuildHasher as _;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use proof::time::Timestamp;
use verdict::credential::jwt::{IssuerId, VerifiedToken};
use verdict::facts::{Answer, Unavailable};

/// Entries held unless told otherwise.
pub const DEFAULT_CAPACITY: usize = 1_000_000;

const SLICES: usize = 64;

/// One revocation, as the issuer pushes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Revoked {
    /// One token.
    Token {
        /// Its issuer: another's tokens may bear the same `jti`.
        issuer: IssuerId,
        /// Its `jti` (RFC 7519 §4.1.7).
        token_id: Box<str>,
        /// When the token has expired anyway, leeway included.
        until: Timestamp,
    },
    /// Every token of a grant.
    Grant {
        /// The tokens' issuer.
        issuer: IssuerId,
        /// Their `grant_id`.
        grant_id: Box<str>,
        /// When the last of those tokens has expired anyway.
        until: Timestamp,
    },
    /// Every token of a client that was issued before a time.
    ClientEpoch {
        /// The tokens' issuer.
        issuer: IssuerId,
        /// The client's `client_id`.
        client: Box<str>,
        /// Tokens with `iat` before this are dead, and tokens without `iat`.
        before: Timestamp,
        /// When the last of those tokens has expired anyway.
        until: Timestamp,
    },
}

impl Revoked {
    fn until(&self) -> Timestamp {
        match self {
            Self::Token { until, .. }
            | Self::Grant { until, .. }
            | Self::ClientEpoch { until, .. } => *until,
        }
    }
}

/// The list of revocations in force. Clones of its `Arc` are handed to whoever feeds it.
pub struct Revocations {
    slices: Box<[ArcSwap<Slice>]>,
    /// `HashMap::default()` would give every slice a seed of its own.
    hasher: foldhash::fast::RandomState,
    held: AtomicUsize,
    capacity: usize,
    overflowed: AtomicBool,
    /// One writer at a time; readers never wait.
    writing: Mutex<()>,
}

#[derive(Debug, Clone, Default)]
struct Slice {
    /// By `jti` or `grant_id`.
    tokens: HashMap<Box<str>, Vec<(IssuerId, Timestamp)>>,
    /// By client: issuer, before, until.
    clients: HashMap<Box<str>, Vec<(IssuerId, Timestamp, Timestamp)>>,
}

impl Slice {
    fn len(&self) -> usize {
        self.tokens.values().map(Vec::len).sum::<usize>()
            + self.clients.values().map(Vec::len).sum::<usize>()
    }

    fn add(&mut self, entry: Revoked) {
        match entry {
            Revoked::Token {
                issuer,
                token_id,
                until,
            } => {
                let entries = self.tokens.entry(token_id).or_default();
                match entries.iter_mut().find(|(held, _)| *held == issuer) {
                    Some((_, held)) => *held = until.max(*held),
                    None => entries.push((issuer, until)),
                }
            }
            // A grant's id and a token's are both ours and never equal, so they share the map.
            Revoked::Grant {
                issuer,
                grant_id,
                until,
            } => self.add(Revoked::Token {
                issuer,
                token_id: grant_id,
                until,
            }),
            Revoked::ClientEpoch {
                issuer,
                client,
                before,
                until,
            } => {
                let entries = self.clients.entry(client).or_default();
                match entries.iter_mut().find(|(held, ..)| *held == issuer) {
                    Some((_, held_before, held_until)) => {
                        *held_before = before.max(*held_before);
                        *held_until = until.max(*held_until);
                    }
                    None => entries.push((issuer, before, until)),
                }
            }
        }
    }

    fn drop_ended(&mut self, now: Timestamp) {
        self.tokens.retain(|_, entries| {
            entries.retain(|(_, until)| *until > now);
            !entries.is_empty()
        });
        self.clients.retain(|_, entries| {
            entries.retain(|(_, _, until)| *until > now);
            !entries.is_empty()
        });
    }
}

impl Default for Revocations {
    fn default() -> Self {
        Self::with_capacity(DEFAULT_CAPACITY)
    }
}

impl Revocations {
    /// An empty list for at most `capacity` entries.
    pub fn with_capacity(capacity: usize) -> Self {
        Self {
            slices: (0..SLICES).map(|_| ArcSwap::default()).collect(),
            hasher: foldhash::fast::RandomState::default(),
            held: AtomicUsize::new(0),
            capacity,
            overflowed: AtomicBool::new(false),
            writing: Mutex::new(()),
        }
    }

    /// Adds entries; those that ended before `now` are left out, and dropped from slices that
    /// are touched. In force for the next call.
    pub fn extend(&self, entries: impl IntoIterator<Item = Revoked>, now: Timestamp) {
        let _writing = self.writing.lock();
        let mut sorted: Vec<Vec<Revoked>> = vec![Vec::new(); SLICES];
        for entry in entries.into_iter().filter(|entry| entry.until() > now) {
            sorted[self.slice_of(&entry)].push(entry);
        }
        for (slice, entries) in self.slices.iter().zip(sorted) {
            if !entries.is_empty() {
                let before = slice.load();
                let mut after = Slice::clone(&before);
                after.drop_ended(now);
                entries.into_iter().for_each(|entry| after.add(entry));
                self.store(slice, before.len(), after);
            }
        }
    }

    /// Replaces the whole list, as after a start or a gap.
    pub fn replace(&self, entries: impl IntoIterator<Item = Revoked>, now: Timestamp) {
        let _writing = self.writing.lock();
        let mut sorted = vec![Slice::default(); SLICES];
        for entry in entries.into_iter().filter(|entry| entry.until() > now) {
            sorted[self.slice_of(&entry)].add(entry);
        }
        let fits = sorted.iter().map(Slice::len).sum::<usize>() <= self.capacity;
        for (slice, after) in self.slices.iter().zip(sorted) {
            let before = slice.load().len();
            self.store(slice, before, after);
        }
        self.overflowed.store(!fits, Ordering::Release);
    }

    /// Drops entries that ended. Call it now and then; asking does not need it.
    pub fn drop_ended(&self, now: Timestamp) {
        let _writing = self.writing.lock();
        for slice in &self.slices {
            let before = slice.load();
            let mut after = Slice::clone(&before);
            after.drop_ended(now);
            if after.len() < before.len() {
                self.store(slice, before.len(), after);
            }
        }
    }

    /// Entries held.
    pub fn len(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    /// Whether nothing is revoked.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether a token was revoked.
    ///
    /// # Errors
    /// [`Unavailable::CutOff`] after the list overflowed.
    pub fn revoked(&self, token: &VerifiedToken) -> Answer<bool> {
        self.names(
            &token.issuer,
            [token.token_id.as_deref(), token.grant_id.as_deref()],
            token.standing.client.as_ref().map(|id| id.as_str()),
            token.issued_at,
        )
    }

    /// Whether a token of an issuer was revoked, by what names it: its `jti` and grant, its client
    /// and its `iat`. A token without `iat` counts as older than any epoch of its client.
    ///
    /// # Errors
    /// [`Unavailable::CutOff`] after the list overflowed.
    pub fn names(
        &self,
        issuer: &IssuerId,
        ids: [Option<&str>; 2],
        client: Option<&str>,
        issued_at: Option<Timestamp>,
    ) -> Answer<bool> {
        if self.overflowed.load(Ordering::Acquire) {
            return Err(Unavailable::CutOff);
        }
        if self.is_empty() {
            return Ok(false);
        }
        let by_id = ids.into_iter().flatten().any(|id| {
            let slice = self.slices[self.place(id)].load();
            let entries = slice.tokens.get(id);
            entries.is_some_and(|entries| entries.iter().any(|(of, _)| of == issuer))
        });
        if by_id {
            return Ok(true);
        }
        let Some(client) = client else {
            return Ok(false);
        };
        let slice = self.slices[self.place(client)].load();
        let epochs = slice.clients.get(client);
        Ok(epochs.is_some_and(|epochs| {
            epochs
                .iter()
                .any(|(of, before, _)| of == issuer && issued_at.is_none_or(|at| at < *before))
        }))
    }

    fn slice_of(&self, entry: &Revoked) -> usize {
        match entry {
            Revoked::Token { token_id, .. } => self.place(token_id),
            Revoked::Grant { grant_id, .. } => self.place(grant_id),
            Revoked::ClientEpoch { client, .. } => self.place(client),
        }
    }

    fn place(&self, text: &str) -> usize {
        self.hasher.hash_one(text) as usize & (SLICES - 1)
    }

    /// Publishes a slice; needs the writer's lock.
    fn store(&self, slice: &ArcSwap<Slice>, before: usize, after: Slice) {
        let (len, held) = (after.len(), self.held.load(Ordering::Relaxed));
        slice.store(Arc::new(after));
        let held = held.saturating_sub(before) + len;
        self.held.store(held, Ordering::Release);
        if held > self.capacity {
            tracing::error!(
                held,
                capacity = self.capacity,
                "the list of revocations overflowed: tokens are refused until it is replaced"
            );
            self.overflowed.store(true, Ordering::Release);
        }
    }
}

#[cfg(test)]
mod tests;
