//! The body against what was signed: what is pushed comes out again once it may be passed on, and
//! [`BodyCheck::finish`] says whether the whole was what the signer hashed. Whoever passes a body
//! on while it is checked must hold back its end until then.

use std::fmt;

use aws_lc_rs::digest;
use subtle::ConstantTimeEq as _;

use crate::sigv4::chunks::{ChunkDecoder, ChunkDefect};

/// What the body of a verified request must be.
pub enum BodyDigest {
    /// This is its SHA-256.
    Sha256([u8; 32]),
    /// This is its SHA-512.
    Sha512([u8; 64]),
    /// There is none: nothing about a body was signed.
    Empty,
    /// Anything: the rules allow a body that nobody signed.
    Unsigned,
    /// It was hashed before the signature was verified, and is part of what was signed.
    Checked,
    /// It comes in chunks of Signature Version 4; what is passed on is their content.
    Chunks(Box<ChunkDecoder>),
}

impl BodyDigest {
    /// Ready to take the body.
    pub fn into_check(self) -> BodyCheck {
        let state = match self {
            Self::Sha256(expected) => State::Hash(
                digest::Context::new(&digest::SHA256),
                expected.as_slice().into(),
            ),
            Self::Sha512(expected) => State::Hash(
                digest::Context::new(&digest::SHA512),
                expected.as_slice().into(),
            ),
            Self::Empty => State::Empty,
            Self::Unsigned | Self::Checked => State::Any,
            Self::Chunks(decoder) => State::Chunks(decoder),
        };
        BodyCheck { state }
    }

    /// Whether what may be passed on is not what was sent: a body in chunks loses its frame.
    pub fn rewrites(&self) -> bool {
        matches!(self, Self::Chunks(_))
    }
}

impl fmt::Debug for BodyDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sha256(_) => "Sha256",
            Self::Sha512(_) => "Sha512",
            Self::Empty => "Empty",
            Self::Unsigned => "Unsigned",
            Self::Checked => "Checked",
            Self::Chunks(_) => "Chunks",
        })
    }
}

/// A body on its way through.
pub struct BodyCheck {
    state: State,
}

enum State {
    Hash(digest::Context, Box<[u8]>),
    Empty,
    Any,
    Chunks(Box<ChunkDecoder>),
}

/// Why a body is not the one that was signed.
#[derive(Copy, Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BodyDefect {
    /// Its hash is another.
    #[error("body is not the one that was signed")]
    WrongDigest,
    /// There is one, and nothing about it was signed.
    #[error("body is not covered by the signature")]
    NotCovered,
    /// Its chunks are not as they were signed.
    #[error("{0}")]
    Chunk(ChunkDefect),
}

impl BodyDefect {
    /// Stable kebab-case code for logs.
    pub const fn code(self) -> &'static str {
        match self {
            Self::WrongDigest => "body-wrong-digest",
            Self::NotCovered => "body-not-covered",
            Self::Chunk(defect) => defect.code(),
        }
    }
}

impl BodyCheck {
    /// Takes the next bytes as they were on the wire, and adds to `out` what may be passed on.
    ///
    /// # Errors
    /// [`BodyDefect`] as soon as it is known; the check must not be used any more then.
    pub fn push(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<(), BodyDefect> {
        match &mut self.state {
            State::Hash(context, _) => context.update(input),
            State::Empty if input.is_empty() => {}
            State::Empty => return Err(BodyDefect::NotCovered),
            State::Any => {}
            State::Chunks(decoder) => {
                return decoder.push(input, out).map_err(BodyDefect::Chunk);
            }
        }
        out.extend_from_slice(input);
        Ok(())
    }

    /// The body has ended.
    ///
    /// # Errors
    /// [`BodyDefect`] if it was not what was signed.
    pub fn finish(self) -> Result<(), BodyDefect> {
        match self.state {
            State::Hash(context, expected) => {
                if bool::from(context.finish().as_ref().ct_eq(&expected)) {
                    Ok(())
                } else {
                    Err(BodyDefect::WrongDigest)
                }
            }
            State::Empty | State::Any => Ok(()),
            State::Chunks(decoder) => decoder.finish().map_err(BodyDefect::Chunk),
        }
    }
}

impl fmt::Debug for BodyCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BodyCheck")
    }
}
