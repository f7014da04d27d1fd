//! The server's nonces for DPoP (RFC 9449 §8, §9), without any memory: a nonce is a time and a MAC
//! over it. It bounds how far ahead proofs can be made by someone who has a key for a moment. It
//! refuses to be a replay defence: one nonce serves many proofs, and `jti` is what is used once.

use std::{fmt, time::Duration};

use crate::{
    base64url, digest::MacKey, random::Entropy, seal::KekRing, secret::Secret, time::Timestamp,
};

/// How long a nonce is taken, at the least; at the most, one [`BUCKET`] more.
pub const LIFE: Duration = Duration::from_secs(300);
/// Nonces minted within one bucket are the same, so that clients may keep one for a while.
pub const BUCKET: Duration = Duration::from_secs(60);

const TAG_BYTES: usize = 16;
/// Keeps these tags apart from every other use of the key.
const LABEL: &[u8; 16] = b"dpop-nonce-v1\0\0\0";

/// The key under which a fleet mints and accepts nonces: at least 32 random bytes.
pub struct NonceKey(MacKey);

impl NonceKey {
    /// Prepares the key.
    pub fn new(key: &[u8]) -> Self {
        Self(MacKey::new(key))
    }

    /// The key that all processes with this master key have for `purpose`, which keeps it apart from
    /// every other use of the master key.
    pub fn derived(master: &KekRing, purpose: &str) -> Self {
        Self::new(master.current().derive(purpose).expose())
    }

    /// A key that no other process has, nor this one after a restart.
    pub fn of_process(entropy: &dyn Entropy) -> Self {
        let mut key = vec![0; 32];
        entropy.fill(&mut key);
        // From here on the bytes are wiped when they go.
        Self::new(Secret::new(key).expose())
    }

    /// The nonce of this moment: 24 bytes in base64url, which is within RFC 9449 §8.1's alphabet.
    pub fn mint(&self, now: Timestamp) -> String {
        let bucket = bucket_of(now).to_be_bytes();
        let tag = self.0.tag_parts(&[LABEL, &bucket]);
        let mut nonce = [0; 8 + TAG_BYTES];
        nonce[..8].copy_from_slice(&bucket);
        nonce[8..].copy_from_slice(&tag[..TAG_BYTES]);
        base64url::encode(&nonce)
    }

    /// Whether this key minted `nonce` at most [`LIFE`] ago. One bucket ahead passes too, for
    /// another node's clock.
    pub fn accepts(&self, nonce: &str, now: Timestamp) -> bool {
        use subtle::ConstantTimeEq as _;
        let Some(Ok(bytes)) = base64url::decode(nonce.as_bytes())
            .ok()
            .map(<[u8; 8 + TAG_BYTES]>::try_from)
        else {
            return false;
        };
        let (bucket, tag) = bytes.split_at(8);
        let expected = self.0.tag_parts(&[LABEL, bucket]);
        if !bool::from(expected[..TAG_BYTES].ct_eq(tag)) {
            return false;
        }
        let Ok(bucket) = <[u8; 8]>::try_from(bucket).map(i64::from_be_bytes) else {
            return false;
        };
        let age = bucket_of(now).saturating_sub(bucket);
        let oldest = i64::try_from(LIFE.as_secs() / BUCKET.as_secs()).unwrap_or(0);
        (-1..=oldest).contains(&age)
    }
}

impl fmt::Debug for NonceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NonceKey(***)")
    }
}

fn bucket_of(now: Timestamp) -> i64 {
    now.as_secs()
        .div_euclid(i64::try_from(BUCKET.as_secs()).unwrap_or(60))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_800_000_000;

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_secs(NOW + secs)
    }

    #[test]
    fn d02_a_nonce_lives_its_time_and_no_longer() {
        let key = NonceKey::new(&[1; 32]);
        let nonce = key.mint(at(0));
        for (secs, taken) in [
            (0, true),
            (299, true),
            (300, true),
            (361, false),
            (86_400, false),
            (-59, true),
            (-121, false),
        ] {
            assert_eq!(key.accepts(&nonce, at(secs)), taken, "{secs}");
        }
    }

    #[test]
    fn d02_only_what_the_key_minted_is_taken() {
        let key = NonceKey::new(&[1; 32]);
        let nonce = key.mint(at(0));
        assert!(!NonceKey::new(&[2; 32]).accepts(&nonce, at(0)));
        let mut changed = base64url::decode(nonce.as_bytes()).unwrap();
        for at_byte in 0..changed.len() {
            changed[at_byte] ^= 1;
            assert!(
                !key.accepts(&base64url::encode(&changed), at(0)),
                "{at_byte}"
            );
            changed[at_byte] ^= 1;
        }
        for bad in [
            "",
            "x",
            &nonce[1..],
            &format!("{nonce}AAAA"),
            &format!("{nonce} "),
        ] {
            assert!(!key.accepts(bad, at(0)), "{bad:?}");
        }
    }

    #[test]
    fn i01_a_nonce_key_masks_itself() {
        assert_eq!(format!("{:?}", NonceKey::new(&[1; 32])), "NonceKey(***)");
    }
}
