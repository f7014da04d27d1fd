//! Randomness as an argument, and the identifiers made from it. Whatever makes a secret takes an
//! [`Entropy`], so that a test can replay it and nothing in this room draws from a hidden source.
//! (Asymmetric key generation and ECDSA nonces are the provider's own business.)

use crate::{base62, time::Timestamp};

/// A source of unpredictable bytes.
pub trait Entropy: Send + Sync {
    /// Fills all of `out`.
    fn fill(&self, out: &mut [u8]);
}

/// The operating system's generator, by aws-lc-rs. The only source used outside tests.
#[derive(Copy, Clone, Debug, Default)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    /// # Panics
    /// If the operating system has no randomness to give: no secret may be made then.
    fn fill(&self, out: &mut [u8]) {
        aws_lc_rs::rand::fill(out).expect("the operating system's random generator works");
    }
}

/// A version 7 UUID (RFC 9562 §5.7) in lower-case text form: 48 bits of `now` in milliseconds,
/// then 74 random bits. A time before 1970 counts as 1970.
pub fn uuid_v7(now: Timestamp, entropy: &dyn Entropy) -> String {
    let mut bytes = [0u8; 16];
    entropy.fill(&mut bytes[6..]);
    let millis = u64::try_from(now.as_millis()).unwrap_or(0).to_be_bytes();
    bytes[..6].copy_from_slice(&millis[2..]);
    bytes[6] = (bytes[6] & 0x0f) | 0x70;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;

    let mut text = String::with_capacity(36);
    for (i, part) in [
        &bytes[..4],
        &bytes[4..6],
        &bytes[6..8],
        &bytes[8..10],
        &bytes[10..],
    ]
    .into_iter()
    .enumerate()
    {
        if i > 0 {
            text.push('-');
        }
        text.push_str(&crate::digest::hex(part));
    }
    text
}

/// `n` digits of base62, each of the 62 equally likely.
///
/// # Panics
/// If `entropy` keeps returning bytes that have to be thrown away: such a source is broken.
pub fn random_base62(n: usize, entropy: &dyn Entropy) -> String {
    // 248 is the largest multiple of 62 in a byte: what lies above would favour low digits.
    const FAIR: u8 = 248;
    let mut text = String::with_capacity(n);
    let mut pool = zeroize::Zeroizing::new([0u8; 64]);
    // One byte in 32 is thrown away. A source that needs this many refills is not random.
    for _ in 0..=n / 8 + 8 {
        entropy.fill(&mut *pool);
        for &byte in pool.iter().filter(|&&byte| byte < FAIR) {
            if text.len() == n {
                break;
            }
            text.push(char::from(base62::ALPHABET[usize::from(byte % 62)]));
        }
        if text.len() == n {
            return text;
        }
    }
    panic!("the source of randomness returns the same few bytes over and over");
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    /// A reproducible stream for tests: SHA-256 of a seed and a counter.
    pub(crate) struct Replay(AtomicU64);

    impl Replay {
        pub(crate) fn new(seed: u32) -> Self {
            Self(AtomicU64::new(u64::from(seed) << 32))
        }
    }

    impl Entropy for Replay {
        fn fill(&self, out: &mut [u8]) {
            for chunk in out.chunks_mut(32) {
                let n = self.0.fetch_add(1, Ordering::Relaxed);
                let block = crate::digest::sha256(&n.to_be_bytes());
                chunk.copy_from_slice(&block[..chunk.len()]);
            }
        }
    }

    struct Constant(u8);
    impl Entropy for Constant {
        fn fill(&self, out: &mut [u8]) {
            out.fill(self.0);
        }
    }

    #[test]
    fn a_uuid_carries_its_time_version_and_variant() {
        // RFC 9562 §A.6: 2022-02-22 19:22:22 UTC is 017f22e279b0.
        let text = uuid_v7(Timestamp::from_millis(1_645_557_742_000), &Constant(0xff));
        assert_eq!(text, "017f22e2-79b0-7fff-bfff-ffffffffffff");
    }

    #[test]
    fn uuids_sort_by_time() {
        let early = uuid_v7(Timestamp::from_millis(1), &SystemEntropy);
        let late = uuid_v7(Timestamp::from_millis(2), &SystemEntropy);
        assert!(early < late);
    }

    #[test]
    fn every_base62_digit_is_equally_likely() {
        let text = random_base62(62_000, &Replay::new(1));
        for digit in base62::ALPHABET {
            let n = text.bytes().filter(|b| b == digit).count();
            // 1000 expected, standard deviation 31: six of them is never by chance.
            assert!(
                (810..1190).contains(&n),
                "{} came {n} times",
                char::from(*digit)
            );
        }
    }

    #[test]
    #[should_panic(expected = "over and over")]
    fn a_broken_source_ends_in_a_panic_and_not_in_a_loop() {
        random_base62(16, &Constant(0xff));
    }

    #[test]
    fn the_system_source_does_not_repeat_itself() {
        assert_ne!(
            random_base62(22, &SystemEntropy),
            random_base62(22, &SystemEntropy)
        );
    }
}
