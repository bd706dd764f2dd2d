//! What a browser takes along to the provider and must bring back: sealed, so that it can neither be read nor made, and any node
//! with the same master key can take it.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq as _;

use crate::core::model::ids::Secret;
use crate::core::model::time::UnixMillis;
use crate::random;
use crate::store::seal::Sealer;

/// From leaving to coming back.
pub const TICKET_LIFETIME: Duration = Duration::from_secs(10 * 60);

/// What it is sealed for.
const PLACE: &str = "ticket to the OpenID provider";

/// Longest sealed ticket, in characters: browsers keep cookies of 4096 at most.
const LONGEST: usize = 3500;

/// Longest place that is led back to.
const LONGEST_PLACE: usize = 1024;

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SignInState {
    /// Comes back through the browser.
    pub state: String,
    /// Comes back within the token.
    pub nonce: String,
    /// Proves that the code is asked for by whoever has begun (RFC 7636).
    pub verifier: Secret,
    /// Where to lead afterwards.
    pub to: String,
    /// On the clock of the store.
    pub until: UnixMillis,
}

impl SignInState {
    /// A new one.
    pub fn new(to: &str, now: UnixMillis) -> Self {
        let text = |chars| random::letters_and_digits(chars).expose().to_owned();
        let to = if to.len() <= LONGEST_PLACE { to } else { "" };
        Self {
            state: text(32),
            nonce: text(32),
            verifier: random::letters_and_digits(64),
            to: to.to_owned(),
            until: now + TICKET_LIFETIME,
        }
    }

    pub fn seal(&self, sealer: &Sealer) -> String {
        // Five texts; an empty one opens nothing.
        let text = serde_json::to_string(self).unwrap_or_default();
        URL_SAFE_NO_PAD.encode(sealer.seal(PLACE, &text))
    }

    /// The ticket, if it is genuine, not too old, and belongs to this state.
    pub fn open(sealer: &Sealer, shown: &str, state: &str, now: UnixMillis) -> Option<Self> {
        if shown.len() > LONGEST {
            return None;
        }
        let text = sealer.open(PLACE, &URL_SAFE_NO_PAD.decode(shown).ok()?).ok()?;
        let ticket: Self = serde_json::from_str(text.expose()).ok()?;
        let same: bool = ticket.state.as_bytes().ct_eq(state.as_bytes()).into();
        (same && now < ticket.until).then_some(ticket)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_is_good_for_its_state_and_time_only() {
        let sealer = Sealer::new(&Secret::new("master"));
        let now = UnixMillis(1_000_000);
        let ticket = SignInState::new("/ui/account", now);
        let shown = ticket.seal(&sealer);
        assert!(!shown.contains(&ticket.state));
        let open = |shown: &str, state: &str, now| SignInState::open(&sealer, shown, state, now);
        assert_eq!(open(&shown, &ticket.state, now).as_ref(), Some(&ticket));
        assert_eq!(open(&shown, "", now), None);
        assert_eq!(open(&shown, &SignInState::new("", now).state, now), None);
        assert_eq!(open(&shown, &ticket.state, now + TICKET_LIFETIME), None);
        for bad in ["", "x", &shown[1..], &"x".repeat(5000)] {
            assert_eq!(open(bad, &ticket.state, now), None);
        }
        let other = Sealer::new(&Secret::new("another"));
        assert_eq!(SignInState::open(&other, &shown, &ticket.state, now), None);
        let long = SignInState::new(&"/ui/x".repeat(600), now).seal(&sealer);
        assert!(SignInState::new(&"x".repeat(1024), now).seal(&sealer).len() < LONGEST && long.len() < 1000);
    }

    #[test]
    fn nothing_is_used_twice() {
        let (one, other) = (SignInState::new("", UnixMillis(0)), SignInState::new("", UnixMillis(0)));
        let all = [&one.state, &one.nonce, one.verifier.expose(), &other.state, &other.nonce, other.verifier.expose()];
        assert_eq!(all.iter().collect::<std::collections::BTreeSet<_>>().len(), 6);
        assert!((43..=128).contains(&one.verifier.expose().len()), "RFC 7636, section 4.1");
    }
}
