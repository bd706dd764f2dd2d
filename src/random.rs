//! Random numbers, codes and passwords from ChaCha20, seeded by the operating system and reseeded regularly.
//!
//! One generator per thread. The pure core must not draw; it gets random values as arguments.

use std::cell::RefCell;

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};

use crate::core::model::ids::{Code, Secret};

/// A generator gets a new seed after this many bytes.
const RESEED_AFTER: usize = 1 << 20;

const DIGITS: &[u8] = b"0123456789";
const LETTERS_AND_DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

struct Source {
    generator: ChaCha20Rng,
    left: usize,
}

thread_local! {
    static SOURCE: RefCell<Source> = RefCell::new(Source { generator: seeded(), left: RESEED_AFTER });
}

fn seeded() -> ChaCha20Rng {
    let mut seed = [0; 32];
    // Without randomness of the operating system no secret is safe, so stopping is better than going on.
    #[allow(clippy::expect_used)]
    getrandom::fill(&mut seed).expect("the operating system gives random bytes");
    ChaCha20Rng::from_seed(seed)
}

/// Fills `bytes` from this thread's generator.
pub fn fill(bytes: &mut [u8]) {
    SOURCE.with_borrow_mut(|source| {
        if source.left < bytes.len() {
            *source = Source { generator: seeded(), left: RESEED_AFTER.max(bytes.len()) };
        }
        source.left -= bytes.len();
        source.generator.fill_bytes(bytes);
    });
}

/// A uniform number below `bound`: draws that would favour small numbers are rejected.
pub fn below(bound: u64) -> u64 {
    let fair = u64::MAX - u64::MAX % bound;
    loop {
        let mut bytes = [0; 8];
        fill(&mut bytes);
        let number = u64::from_le_bytes(bytes);
        if number < fair {
            return number % bound;
        }
    }
}

/// A provisioning code, uniform over all of them.
pub fn code() -> Code {
    loop {
        if let Some(code) = Code::from_number(below(Code::SPACE)) {
            return code;
        }
    }
}

/// A text of `chars` letters and digits (A–Z a–z 0–9).
pub fn letters_and_digits(chars: usize) -> Secret {
    Secret::new(text(chars, LETTERS_AND_DIGITS))
}

/// A text of `count` decimal digits.
pub fn digits(count: usize) -> Box<str> {
    text(count, DIGITS).into()
}

/// A text of `chars` characters, uniform over the alphabet: bytes that would favour its first characters are rejected.
/// Draws bytes for many characters at once, since each entry of a device needs such texts.
fn text(chars: usize, alphabet: &[u8]) -> String {
    let fair = 256 - 256 % alphabet.len();
    let mut text = String::with_capacity(chars);
    while text.len() < chars {
        let mut drawn = [0; 32];
        fill(&mut drawn);
        let fair = drawn.iter().map(|byte| usize::from(*byte)).filter(|byte| *byte < fair);
        text.extend(fair.take(chars - text.len()).map(|byte| char::from(alphabet[byte % alphabet.len()])));
    }
    text
}

/// A random GUID in its usual form.
pub fn guid() -> String {
    let mut bytes = [0; 16];
    fill(&mut bytes);
    uuid::Builder::from_random_bytes(bytes).into_uuid().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Chi-square over the digits at each of the twelve places, 100 000 codes: 9 degrees of freedom a place. The bound
    /// is the value that a fair source exceeds once in 10^9 runs per place, so the test does not fail by chance.
    #[test]
    fn codes_are_uniform() {
        const CODES: u32 = 100_000;
        let mut counts = [[0_u32; 10]; 12];
        for _ in 0..CODES {
            for (place, digit) in code().expose().bytes().enumerate() {
                counts[place][usize::from(digit - b'0')] += 1;
            }
        }
        let expected = f64::from(CODES) / 10.0;
        for (place, row) in counts.iter().enumerate() {
            let chi: f64 = row.iter().map(|&n| (f64::from(n) - expected).powi(2) / expected).sum();
            assert!(chi < 62.0, "place {place}: chi-square {chi}");
            assert!(chi > 0.001, "place {place}: too even to be random, {chi}");
        }
    }

    /// The same for texts: 61 and 9 degrees of freedom, exceeded once in 10^9 runs.
    #[test]
    fn characters_are_uniform() {
        for (alphabet, most) in [(LETTERS_AND_DIGITS, 153.0), (DIGITS, 62.0)] {
            let mut counts = [0_u32; 256];
            let drawn = text(310_000, alphabet);
            drawn.bytes().for_each(|byte| counts[usize::from(byte)] += 1);
            let expected = 310_000.0 / f64::from(u32::try_from(alphabet.len()).unwrap());
            let chi = alphabet.iter().map(|&c| (f64::from(counts[usize::from(c)]) - expected).powi(2) / expected).sum();
            assert!((0.001..most).contains(&chi), "chi-square {chi}");
            assert_eq!(counts.iter().sum::<u32>(), 310_000);
        }
    }

    #[test]
    fn a_generator_goes_on_after_reseeding() {
        let mut a = vec![0; RESEED_AFTER + 7];
        fill(&mut a);
        let mut b = [0; 64];
        fill(&mut b);
        assert!(a.iter().any(|&x| x != 0) && b.iter().any(|&x| x != 0));
    }

    #[test]
    fn texts_have_the_lengths_that_devices_insist_on() {
        assert_eq!(letters_and_digits(32).expose().len(), 32);
        assert_eq!(digits(10).len(), 10);
        assert_eq!(guid().len(), 36);
    }
}
