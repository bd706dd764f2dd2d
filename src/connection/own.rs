//! How this process recognises its own components when they speak to it over the wire.
//!
//! The Users role reaches Devices over a listener of its own on loopback. Each request there has to carry a secret that
//! was drawn at the start and never leaves the process, so that no other program of the machine is mistaken for a
//! component, and no component for a stranger.

use subtle::ConstantTimeEq as _;

use crate::core::model::ids::Secret;
use crate::random;

/// Header field with the secret.
pub const FIELD: &str = "x-provbroker-own";

/// Letters and digits of the secret: 190 bits.
const LENGTH: usize = 32;

/// The secret of this process.
#[derive(Debug, Clone)]
pub struct OwnToken(Secret);

impl OwnToken {
    /// A new one.
    pub fn draw() -> Self {
        Self(random::letters_and_digits(LENGTH))
    }

    /// The value of the header field.
    pub fn expose(&self) -> &str {
        self.0.expose()
    }

    /// Whether this is the value of the header field.
    pub fn is(&self, shown: &[u8]) -> bool {
        self.0.expose().as_bytes().ct_eq(shown).into()
    }
}
