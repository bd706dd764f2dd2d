//! The challenges of an app connection, on the server's side, and how many answers may fail
//! (`docs/protocol/appwebsocket.md` 3.1 and 3.4).

use std::time::Duration;

use sha2::{Digest as _, Sha256};

/// How long a challenge may be answered.
pub const VALID: Duration = Duration::from_secs(60);

/// The failed log-in of this number closes the connection.
pub const FAILURES: u8 = 3;

/// The challenges of one connection.
#[derive(Debug)]
pub struct Challenges {
    entropy: [u8; 32],
    drawn: u32,
}

impl Challenges {
    /// The challenges are derived from `entropy`, 32 random bytes.
    pub const fn new(entropy: [u8; 32]) -> Self {
        Self { entropy, drawn: 0 }
    }

    /// Sixteen decimal digits, different every time.
    pub fn draw(&mut self) -> Box<str> {
        self.drawn += 1;
        let hash = Sha256::new().chain_update(self.entropy).chain_update(self.drawn.to_be_bytes()).finalize();
        let (head, _) = hash.split_first_chunk::<8>().unwrap_or((&[0; 8], &[]));
        format!("{:016}", u64::from_be_bytes(*head) % 10_000_000_000_000_000).into()
    }
}
