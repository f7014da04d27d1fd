//! **Tickets**: state that is handed out sealed, to be handed back with the next request, so that
//! nothing is stored for whoever never comes back. A ticket is AES-256-GCM under a key of its own,
//! derived from a key-encryption key and 256 random bits: however many are made, no nonce repeats.
//! What a ticket is for is authenticated with it, so that one for a login opens nowhere else.
//!
//! ```text
//! base64url( version 1 │ id length 1 │ key id │ salt 32 │ ciphertext │ tag 16 )
//! ```

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};

use crate::base64url;
use crate::digest::MacKey;
use crate::random::Entropy;
use crate::seal::{KekRing, KeyEncryptionKey};
use crate::secret::Secret;

const VERSION: u8 = 1;
const SALT: usize = 32;
const TAG: usize = 16;
/// Largest state, in bytes.
pub const MAX_STATE_BYTES: usize = 48 * 1024;
/// What the tickets' keys are derived for.
const PURPOSE: &str = "doorward ticket 1";

/// Why a ticket does not open.
#[derive(Copy, Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TicketDefect {
    /// Not base64url, cut short, or too long.
    #[error("ticket is malformed")]
    Malformed,
    /// Written in a format that is not known.
    #[error("ticket has an unknown version")]
    UnknownVersion,
    /// The key it was made under is not at hand.
    #[error("ticket names an unknown key")]
    UnknownKey,
    /// It was changed, or made for another purpose.
    #[error("ticket does not open")]
    Tampered,
}

impl TicketDefect {
    /// Stable kebab-case code for logs.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Malformed => "ticket-malformed",
            Self::UnknownVersion => "ticket-unknown-version",
            Self::UnknownKey => "ticket-unknown-key",
            Self::Tampered => "ticket-tampered",
        }
    }
}

/// Seals `state` for one purpose.
///
/// # Panics
/// If the provider fails to encrypt, which means that it is broken; or for a state beyond
/// [`MAX_STATE_BYTES`]: whoever makes tickets bounds what goes into them.
pub fn seal(ring: &KekRing, purpose: &str, state: &[u8], entropy: &dyn Entropy) -> String {
    assert!(state.len() <= MAX_STATE_BYTES, "the state fits the format");
    let kek = ring.current();
    let mut bytes = vec![VERSION, kek.id().len() as u8];
    bytes.extend_from_slice(kek.id().as_bytes());
    let mut salt = [0u8; SALT];
    entropy.fill(&mut salt);
    bytes.extend_from_slice(&salt);
    let mut buffer = state.to_vec();
    let tag = key(kek, &salt)
        .seal_in_place_separate_tag(nonce(), Aad::from(purpose.as_bytes()), &mut buffer)
        .expect("AES-256-GCM encrypts any short message");
    bytes.extend_from_slice(&buffer);
    bytes.extend_from_slice(tag.as_ref());
    base64url::encode(&bytes)
}

/// Opens what [`seal`] made for the same purpose, under the ring's current key or an older one.
///
/// # Errors
/// [`TicketDefect`].
pub fn open(ring: &KekRing, purpose: &str, ticket: &str) -> Result<Secret, TicketDefect> {
    // Four characters carry three bytes; the header is short.
    if ticket.len() > MAX_STATE_BYTES / 3 * 4 + 512 {
        return Err(TicketDefect::Malformed);
    }
    let bytes = base64url::decode(ticket.as_bytes()).map_err(|_| TicketDefect::Malformed)?;
    let (id, rest) = match bytes.as_slice() {
        [VERSION, length, rest @ ..] => rest
            .split_at_checked(usize::from(*length))
            .ok_or(TicketDefect::Malformed)?,
        [_, _, ..] => return Err(TicketDefect::UnknownVersion),
        _ => return Err(TicketDefect::Malformed),
    };
    let (salt, sealed) = rest
        .split_at_checked(SALT)
        .filter(|(_, sealed)| sealed.len() >= TAG)
        .ok_or(TicketDefect::Malformed)?;
    let kek = ring.find(id).ok_or(TicketDefect::UnknownKey)?;
    let mut buffer = zeroize::Zeroizing::new(sealed.to_vec());
    let state = key(kek, salt)
        .open_in_place(nonce(), Aad::from(purpose.as_bytes()), &mut buffer)
        .map_err(|_| TicketDefect::Tampered)?;
    Ok(Secret::new(&*state))
}

fn key(kek: &KeyEncryptionKey, salt: &[u8]) -> LessSafeKey {
    let own = Secret::new(MacKey::new(kek.derive(PURPOSE).expose()).tag(salt));
    LessSafeKey::new(UnboundKey::new(&AES_256_GCM, own.expose()).expect("the key has 32 bytes"))
}

/// Always the same: every ticket has a key of its own.
fn nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; 12])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::SystemEntropy;

    fn kek(id: &str, byte: u8) -> KeyEncryptionKey {
        KeyEncryptionKey::from_bytes(id, &Secret::new([byte; 32])).unwrap()
    }

    fn sealed(ring: &KekRing) -> String {
        seal(ring, "login", b"the state", &SystemEntropy)
    }

    #[test]
    fn a_ticket_opens_for_its_purpose_also_after_the_key_was_replaced() {
        let ticket = sealed(&KekRing::new(kek("k1", 1)));
        let ring = KekRing::new(kek("k2", 2)).with_previous(kek("k1", 1));
        assert_eq!(
            open(&ring, "login", &ticket).unwrap().expose(),
            b"the state"
        );
    }

    #[test]
    fn a_ticket_opens_for_no_other_purpose_and_under_no_other_key() {
        let ring = KekRing::new(kek("k1", 1));
        let ticket = sealed(&ring);
        assert_eq!(
            open(&ring, "consent", &ticket).unwrap_err(),
            TicketDefect::Tampered
        );
        let same_name = KekRing::new(kek("k1", 2));
        assert_eq!(
            open(&same_name, "login", &ticket).unwrap_err(),
            TicketDefect::Tampered
        );
        let other = KekRing::new(kek("k2", 1));
        assert_eq!(
            open(&other, "login", &ticket).unwrap_err(),
            TicketDefect::UnknownKey
        );
    }

    #[test]
    fn every_changed_or_missing_byte_is_noticed() {
        let ring = KekRing::new(kek("k1", 1));
        let bytes = base64url::decode(sealed(&ring).as_bytes()).unwrap();
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert!(open(&ring, "login", &base64url::encode(&changed)).is_err());
            assert!(open(&ring, "login", &base64url::encode(&bytes[..at])).is_err());
        }
        for text in ["", "=", "AA", "not base64url"] {
            assert!(open(&ring, "login", text).is_err(), "{text}");
        }
        let long = "A".repeat(MAX_STATE_BYTES * 2);
        assert_eq!(
            open(&ring, "login", &long).unwrap_err(),
            TicketDefect::Malformed
        );
    }

    #[test]
    fn two_tickets_of_one_state_have_nothing_in_common() {
        let ring = KekRing::new(kek("k1", 1));
        assert_ne!(sealed(&ring), sealed(&ring));
    }
}
