//! Base62 with fixed widths, digits in ASCII order (`0-9A-Za-z`). Fixed widths give every number
//! one spelling and every secret one length; a value is never trimmed or padded by the reader.

/// The digits by value.
pub const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Digits that hold 256 bits: 62⁴³ > 2²⁵⁶.
pub const WIDTH_256: usize = 43;

/// Digits that hold 32 bits: 62⁶ > 2³².
pub const WIDTH_32: usize = 6;

/// Whether every byte is a base62 digit.
pub fn is_base62(text: &[u8]) -> bool {
    text.iter().all(u8::is_ascii_alphanumeric)
}

/// A 256-bit number, most significant byte first, in 43 digits.
pub fn encode_256(number: &[u8; 32]) -> [u8; WIDTH_256] {
    let mut rest = *number;
    let mut text = [b'0'; WIDTH_256];
    for digit in text.iter_mut().rev() {
        let mut remainder = 0u32;
        for byte in &mut rest {
            let step = remainder << 8 | u32::from(*byte);
            // Both fit: the remainder is below 62, so the quotient is below 256.
            *byte = (step / 62) as u8;
            remainder = step % 62;
        }
        *digit = ALPHABET[remainder as usize];
    }
    zeroize::Zeroize::zeroize(&mut rest);
    text
}

/// Reads 43 digits back into a 256-bit number; `None` for another alphabet or a value above it.
pub fn decode_256(text: &[u8; WIDTH_256]) -> Option<[u8; 32]> {
    let mut number = [0u8; 32];
    for digit in text {
        let mut carry = u32::from(value(*digit)?);
        for byte in number.iter_mut().rev() {
            carry += u32::from(*byte) * 62;
            *byte = (carry & 0xff) as u8;
            carry >>= 8;
        }
        if carry != 0 {
            return None;
        }
    }
    Some(number)
}

/// A 32-bit number in 6 digits.
pub fn encode_32(number: u32) -> [u8; WIDTH_32] {
    let mut rest = number;
    let mut text = [b'0'; WIDTH_32];
    for digit in text.iter_mut().rev() {
        *digit = ALPHABET[(rest % 62) as usize];
        rest /= 62;
    }
    text
}

fn value(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'A'..=b'Z' => Some(digit - b'A' + 10),
        b'a'..=b'z' => Some(digit - b'a' + 36),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn digits_stand_for_their_place_in_the_alphabet() {
        for (i, digit) in ALPHABET.iter().enumerate() {
            assert_eq!(value(*digit).map(usize::from), Some(i));
        }
        assert_eq!(&encode_32(61 + 62), b"00001z");
        assert_eq!(&encode_32(u32::MAX), b"4gfFC3");
    }

    #[test]
    fn the_largest_number_fits_and_the_next_does_not() {
        let mut text = encode_256(&[0xff; 32]);
        assert_eq!(decode_256(&text), Some([0xff; 32]));
        let last = text.len() - 1;
        text[last] += 1;
        assert_eq!(decode_256(&text), None);
        assert_eq!(decode_256(&[b'z'; WIDTH_256]), None);
    }

    proptest! {
        #[test]
        fn numbers_survive_the_round_trip(number: [u8; 32]) {
            let text = encode_256(&number);
            prop_assert!(is_base62(&text));
            prop_assert_eq!(decode_256(&text), Some(number));
        }

        #[test]
        fn order_of_texts_is_order_of_numbers(a: u32, b: u32) {
            prop_assert_eq!(encode_32(a).cmp(&encode_32(b)), a.cmp(&b));
        }
    }
}
