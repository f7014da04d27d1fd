//! What continues from chunk to chunk: the chain of signatures, and the checksums of the content.

use aws_lc_rs::digest;
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use super::ChunkDefect;
use crate::{
    base64std,
    digest::{hex, hmac_sha256, sha256},
};

/// The chain of signatures.
pub(super) struct Chain {
    key: Zeroizing<[u8; 32]>,
    time: String,
    scope: String,
    pub(super) previous: [u8; 32],
    /// Whether the trailers' signature was taken.
    pub(super) closed: bool,
}

impl Chain {
    pub(super) fn new(
        key: Zeroizing<[u8; 32]>,
        time: String,
        scope: String,
        seed: [u8; 32],
    ) -> Self {
        Self {
            key,
            time,
            scope,
            previous: seed,
            closed: false,
        }
    }

    pub(super) fn next_chunk(&self, content: &[u8]) -> [u8; 32] {
        let text = format!(
            "AWS4-HMAC-SHA256-PAYLOAD\n{}\n{}\n{}\n{}\n{}",
            self.time,
            self.scope,
            hex(&self.previous),
            hex(&sha256(b"")),
            hex(&sha256(content))
        );
        hmac_sha256(&*self.key, text.as_bytes())
    }

    pub(super) fn next_trailers(&self, trailers: &[(String, String)]) -> [u8; 32] {
        let mut sorted: Vec<_> = trailers.iter().collect();
        sorted.sort();
        let lines: String = sorted
            .into_iter()
            .map(|(name, value)| format!("{name}:{value}\n"))
            .collect();
        let text = format!(
            "AWS4-HMAC-SHA256-TRAILER\n{}\n{}\n{}\n{}",
            self.time,
            self.scope,
            hex(&self.previous),
            hex(&sha256(lines.as_bytes()))
        );
        hmac_sha256(&*self.key, text.as_bytes())
    }

    pub(super) fn chunk(
        &mut self,
        content: &[u8],
        signature: &[u8; 32],
    ) -> Result<(), ChunkDefect> {
        let expected = self.next_chunk(content);
        if !bool::from(expected.ct_eq(signature)) {
            return Err(ChunkDefect::Signature);
        }
        self.previous = expected;
        Ok(())
    }

    pub(super) fn trailers(
        &mut self,
        trailers: &[(String, String)],
        signature: &[u8; 32],
    ) -> Result<(), ChunkDefect> {
        if !bool::from(self.next_trailers(trailers).ct_eq(signature)) {
            return Err(ChunkDefect::TrailerSignature);
        }
        self.closed = true;
        Ok(())
    }
}

/// The checksums that trailers may carry and that are checked here; others are between the signer
/// and the upstream.
pub(super) struct Sums {
    sha256: Option<digest::Context>,
    crc32: Option<crc32fast::Hasher>,
}

impl Sums {
    pub(super) const SHA256: &str = "x-amz-checksum-sha256";
    pub(super) const CRC32: &str = "x-amz-checksum-crc32";

    pub(super) fn of(declared: &[String]) -> Self {
        let has = |name: &str| declared.iter().any(|declared| declared == name);
        Self {
            sha256: has(Self::SHA256).then(|| digest::Context::new(&digest::SHA256)),
            crc32: has(Self::CRC32).then(crc32fast::Hasher::new),
        }
    }

    pub(super) fn update(&mut self, content: &[u8]) {
        if let Some(context) = &mut self.sha256 {
            context.update(content);
        }
        if let Some(hasher) = &mut self.crc32 {
            hasher.update(content);
        }
    }

    pub(super) fn check(&mut self, trailers: &[(String, String)]) -> Result<(), ChunkDefect> {
        let sums = [
            (
                Self::SHA256,
                self.sha256.take().map(|sum| sum.finish().as_ref().to_vec()),
            ),
            (
                Self::CRC32,
                self.crc32
                    .take()
                    .map(|sum| sum.finalize().to_be_bytes().to_vec()),
            ),
        ];
        for (name, sum) in sums {
            let Some(sum) = sum else { continue };
            let sent = trailers.iter().find(|(known, _)| known == name);
            if sent.is_none_or(|(_, value)| *value != base64std::encode(&sum)) {
                return Err(ChunkDefect::Checksum);
            }
        }
        Ok(())
    }
}
