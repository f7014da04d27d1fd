//! Bodies in chunks (`aws-chunked`): each chunk's signature continues the one before it, the first
//! one the head's. Bytes are pushed in as they arrive; a chunk comes out once its signature holds,
//! so that nothing unsigned is ever passed on. The end is good only if the last chunk was there,
//! the content has the length that the head signed, and the trailers are the declared ones.
//! At most one chunk is held in memory.
//!
//! Source: Amazon S3 API Reference, "Signature calculations for the authorization header:
//! transferring payload in multiple chunks", and the same "including trailing headers".

use std::fmt;

use zeroize::Zeroizing;

use crate::digest::unhex;

mod chain;
mod encode;

pub use encode::ChunkEncoder;

use chain::{Chain, Sums};

/// Longest line before a chunk.
const MAX_LINE_BYTES: usize = 256;
/// Longest trailers, with their signature.
const MAX_TRAILER_BYTES: usize = 4 * 1024;
const TRAILER_SIGNATURE: &str = "x-amz-trailer-signature";

/// Why a body in chunks is refused.
#[derive(Copy, Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChunkDefect {
    /// The line before a chunk, or the end of one, is not as it must be.
    #[error("chunk is not framed as it must be")]
    Framing,
    /// A chunk is longer than is accepted.
    #[error("chunk is too long")]
    TooLarge,
    /// A chunk's signature is wrong.
    #[error("signature of a chunk is wrong")]
    Signature,
    /// The content is longer or shorter than the head says.
    #[error("content has another length than was signed")]
    Length,
    /// The body ends before its last chunk or its trailers.
    #[error("body ends too early")]
    Truncated,
    /// Something follows the end.
    #[error("something follows the end of the body")]
    After,
    /// A trailer is missing, repeated, undeclared, too long or not usable.
    #[error("trailers are not the ones that were declared")]
    Trailer,
    /// The trailers' signature is missing or wrong.
    #[error("signature of the trailers is wrong")]
    TrailerSignature,
    /// A checksum in the trailers is not the content's.
    #[error("checksum of the content is wrong")]
    Checksum,
}

impl ChunkDefect {
    /// Every defect.
    pub const ALL: [Self; 9] = [
        Self::Framing,
        Self::TooLarge,
        Self::Signature,
        Self::Length,
        Self::Truncated,
        Self::After,
        Self::Trailer,
        Self::TrailerSignature,
        Self::Checksum,
    ];

    /// Stable kebab-case code for logs.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Framing => "sigv4-chunk-framing",
            Self::TooLarge => "sigv4-chunk-too-large",
            Self::Signature => "sigv4-chunk-signature",
            Self::Length => "sigv4-chunk-length",
            Self::Truncated => "sigv4-chunk-truncated",
            Self::After => "sigv4-chunk-after",
            Self::Trailer => "sigv4-chunk-trailer",
            Self::TrailerSignature => "sigv4-chunk-trailer-signature",
            Self::Checksum => "sigv4-chunk-checksum",
        }
    }
}

/// What a verified head says about the chunks to come.
pub(super) struct ChunkPlan {
    /// `None` where chunks are not signed.
    pub(super) signing_key: Option<Zeroizing<[u8; 32]>>,
    pub(super) time: String,
    pub(super) scope: String,
    pub(super) seed: [u8; 32],
    pub(super) decoded_length: u64,
    /// Names of the trailers, lower case; empty where none follow.
    pub(super) trailers: Vec<String>,
    pub(super) max_chunk_bytes: usize,
}

/// Takes a body in chunks and gives its content.
pub struct ChunkDecoder {
    chain: Option<Chain>,
    declared: Vec<String>,
    left: u64,
    max_chunk_bytes: usize,
    state: State,
    line: Vec<u8>,
    chunk: Vec<u8>,
    trailers: Vec<(String, String)>,
    trailer_bytes: usize,
    sums: Sums,
}

enum State {
    /// In the line before a chunk.
    Head,
    /// In a chunk, so many bytes before its end.
    Data { left: usize, signature: [u8; 32] },
    /// In the line end behind a chunk.
    DataEnd,
    /// In the trailers, or in the empty line at the end.
    Trailers,
    /// Behind the end.
    Done,
}

impl ChunkDecoder {
    pub(super) fn new(plan: ChunkPlan) -> Self {
        let sums = Sums::of(&plan.trailers);
        Self {
            chain: plan
                .signing_key
                .map(|key| Chain::new(key, plan.time, plan.scope, plan.seed)),
            declared: plan.trailers,
            left: plan.decoded_length,
            max_chunk_bytes: plan.max_chunk_bytes,
            state: State::Head,
            line: Vec::new(),
            chunk: Vec::new(),
            trailers: Vec::new(),
            trailer_bytes: 0,
            sums,
        }
    }

    /// How long the content is that is still to come, as the head says.
    pub fn content_left(&self) -> u64 {
        self.left
    }

    /// Takes the next bytes, and adds to `out` the content that may be passed on.
    ///
    /// # Errors
    /// [`ChunkDefect`]; the decoder must not be used any more then.
    pub fn push(&mut self, mut input: &[u8], out: &mut Vec<u8>) -> Result<(), ChunkDefect> {
        while !input.is_empty() {
            match &mut self.state {
                State::Head => {
                    if self.take_line(&mut input, MAX_LINE_BYTES, ChunkDefect::Framing)? {
                        let line = std::mem::take(&mut self.line);
                        self.begin_chunk(&line)?;
                    }
                }
                State::Data { left, signature } => {
                    let (now, later) = input.split_at(input.len().min(*left));
                    input = later;
                    *left -= now.len();
                    if self.chain.is_none() {
                        self.sums.update(now);
                        out.extend_from_slice(now);
                    } else {
                        self.chunk.extend_from_slice(now);
                    }
                    if *left == 0 {
                        if let Some(chain) = &mut self.chain {
                            chain.chunk(&self.chunk, signature)?;
                            self.sums.update(&self.chunk);
                            out.append(&mut self.chunk);
                        }
                        self.state = State::DataEnd;
                    }
                }
                State::DataEnd => {
                    if self.take_line(&mut input, 0, ChunkDefect::Framing)? {
                        self.state = State::Head;
                    }
                }
                State::Trailers => {
                    if self.take_line(&mut input, MAX_TRAILER_BYTES, ChunkDefect::Trailer)? {
                        let line = std::mem::take(&mut self.line);
                        self.trailer_line(&line)?;
                    }
                }
                State::Done => return Err(ChunkDefect::After),
            }
        }
        Ok(())
    }

    /// The body has ended.
    ///
    /// # Errors
    /// [`ChunkDefect::Truncated`] unless its end was there; all else is found by [`Self::push`].
    pub fn finish(self) -> Result<(), ChunkDefect> {
        match self.state {
            State::Done => Ok(()),
            _ => Err(ChunkDefect::Truncated),
        }
    }

    /// Moves bytes from `input` to `line`, up to a line end; whether it was reached. The end
    /// itself is not kept.
    fn take_line(
        &mut self,
        input: &mut &[u8],
        max_bytes: usize,
        defect: ChunkDefect,
    ) -> Result<bool, ChunkDefect> {
        while let [byte, rest @ ..] = *input {
            *input = rest;
            if *byte == b'\n' {
                return match self.line.pop() {
                    Some(b'\r') => Ok(true),
                    _ => Err(defect),
                };
            }
            // A carriage return stands at the end and nowhere else.
            if self.line.last() == Some(&b'\r') || (*byte != b'\r' && self.line.len() >= max_bytes)
            {
                return Err(defect);
            }
            self.line.push(*byte);
        }
        Ok(false)
    }

    fn begin_chunk(&mut self, line: &[u8]) -> Result<(), ChunkDefect> {
        let line = std::str::from_utf8(line).map_err(|_| ChunkDefect::Framing)?;
        let (size, signature) = match (&self.chain, line.split_once(";chunk-signature=")) {
            (Some(_), Some((size, signature))) => (
                size,
                unhex(signature)
                    .and_then(|bytes| bytes.try_into().ok())
                    .ok_or(ChunkDefect::Framing)?,
            ),
            (None, None) => (line, [0; 32]),
            _ => return Err(ChunkDefect::Framing),
        };
        let hexadecimal = size.bytes().all(|b| b.is_ascii_hexdigit());
        if !(1..=15).contains(&size.len()) || !hexadecimal || (size.starts_with('0') && size != "0")
        {
            return Err(ChunkDefect::Framing);
        }
        let size = u64::from_str_radix(size, 16).map_err(|_| ChunkDefect::Framing)?;
        if size == 0 {
            return self.last_chunk(&signature);
        }
        let left = usize::try_from(size)
            .ok()
            .filter(|size| self.chain.is_none() || *size <= self.max_chunk_bytes)
            .ok_or(ChunkDefect::TooLarge)?;
        self.left = self.left.checked_sub(size).ok_or(ChunkDefect::Length)?;
        self.state = State::Data { left, signature };
        Ok(())
    }

    fn last_chunk(&mut self, signature: &[u8; 32]) -> Result<(), ChunkDefect> {
        if let Some(chain) = &mut self.chain {
            chain.chunk(b"", signature)?;
        }
        if self.left != 0 {
            return Err(ChunkDefect::Length);
        }
        self.state = State::Trailers;
        Ok(())
    }

    fn trailer_line(&mut self, line: &[u8]) -> Result<(), ChunkDefect> {
        let line = std::str::from_utf8(line).map_err(|_| ChunkDefect::Trailer)?;
        self.trailer_bytes += line.len();
        if self.trailer_bytes > MAX_TRAILER_BYTES {
            return Err(ChunkDefect::Trailer);
        }
        if line.is_empty() {
            return self.end();
        }
        let (name, value) = line.split_once(':').ok_or(ChunkDefect::Trailer)?;
        let name = name.to_ascii_lowercase();
        let value = value.trim();
        if self.is_signed() {
            // The trailers' own signature is the last of them.
            return Err(ChunkDefect::Trailer);
        }
        if name == TRAILER_SIGNATURE {
            let chain = self.chain.as_mut().ok_or(ChunkDefect::Trailer)?;
            let signature = unhex(value)
                .and_then(|bytes| bytes.try_into().ok())
                .ok_or(ChunkDefect::TrailerSignature)?;
            return chain.trailers(&self.trailers, &signature);
        }
        let declared = self.declared.contains(&name);
        if !declared || self.trailers.iter().any(|(known, _)| *known == name) {
            return Err(ChunkDefect::Trailer);
        }
        self.trailers.push((name, value.to_owned()));
        Ok(())
    }

    fn is_signed(&self) -> bool {
        self.chain.as_ref().is_some_and(|chain| chain.closed)
    }

    fn end(&mut self) -> Result<(), ChunkDefect> {
        if self.trailers.len() != self.declared.len() {
            return Err(ChunkDefect::Trailer);
        }
        if self.chain.is_some() && !self.declared.is_empty() && !self.is_signed() {
            return Err(ChunkDefect::TrailerSignature);
        }
        self.sums.check(&self.trailers)?;
        self.state = State::Done;
        Ok(())
    }
}

impl fmt::Debug for ChunkDecoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChunkDecoder")
            .field("signed", &self.chain.is_some())
            .field("content_left", &self.left)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
