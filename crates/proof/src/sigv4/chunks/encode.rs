//! The sending side: a body in signed chunks, for requests that we sign.

use std::fmt;

use zeroize::Zeroizing;

use super::{TRAILER_SIGNATURE, chain::Chain};
use crate::digest::hex;

/// Writes a body in signed chunks, for requests that we sign.
pub struct ChunkEncoder {
    chain: Chain,
}

impl ChunkEncoder {
    pub(in crate::sigv4) fn new(
        key: Zeroizing<[u8; 32]>,
        time: String,
        scope: String,
        seed: [u8; 32],
    ) -> Self {
        Self {
            chain: Chain::new(key, time, scope, seed),
        }
    }

    /// Adds one chunk to `out`. An empty `content` adds nothing: the empty chunk is the last one.
    pub fn push(&mut self, content: &[u8], out: &mut Vec<u8>) {
        if content.is_empty() {
            return;
        }
        self.frame(content, out);
        out.extend_from_slice(b"\r\n");
    }

    /// Adds the last chunk and the trailers (names in lower case).
    pub fn finish(mut self, trailers: &[(String, String)], out: &mut Vec<u8>) {
        self.frame(b"", out);
        if !trailers.is_empty() {
            for (name, value) in trailers {
                out.extend_from_slice(format!("{name}:{value}\r\n").as_bytes());
            }
            let signature = hex(&self.chain.next_trailers(trailers));
            out.extend_from_slice(format!("{TRAILER_SIGNATURE}:{signature}\r\n").as_bytes());
        }
        out.extend_from_slice(b"\r\n");
    }

    fn frame(&mut self, content: &[u8], out: &mut Vec<u8>) {
        let signature = self.chain.next_chunk(content);
        self.chain.previous = signature;
        let line = format!(
            "{:x};chunk-signature={}\r\n",
            content.len(),
            hex(&signature)
        );
        out.extend_from_slice(line.as_bytes());
        out.extend_from_slice(content);
    }
}

impl fmt::Debug for ChunkEncoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ChunkEncoder(***)")
    }
}
