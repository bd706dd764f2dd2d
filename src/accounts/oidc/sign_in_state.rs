//! State of a sign-in, kept by the browser while it is at the provider. It is sealed, so the browser can neither read
//! nor forge it, and any node with the same master key can open it.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq as _;

use crate::core::model::ids::Secret;
use crate::core::model::time::UnixMillis;
use crate::random;
use crate::store::seal::Sealer;

/// Time limit of a sign-in at the provider.
pub const STATE_LIFETIME: Duration = Duration::from_secs(10 * 60);

/// Purpose of the seal. The text is part of the format.
const PURPOSE: &str = "ticket to the OpenID provider";

/// Longest sealed state, in characters: browsers store cookies of up to 4096.
const LONGEST: usize = 3500;

/// Longest address of the page to show afterwards.
const LONGEST_TARGET: usize = 1024;

/// State of a sign-in at the provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SignInState {
    /// Random value that the browser brings back in the address.
    pub state: String,
    /// Random value that the provider puts into the ID token.
    pub nonce: String,
    /// PKCE verifier: proves that the token is requested by the service that has started the sign-in (RFC 7636).
    pub verifier: Secret,
    /// Page to show afterwards.
    pub to: String,
    /// End of validity, on the clock of the store.
    pub until: UnixMillis,
}

impl SignInState {
    /// New random state.
    pub fn new(to: &str, now: UnixMillis) -> Self {
        let text = |chars| random::letters_and_digits(chars).expose().to_owned();
        let to = if to.len() <= LONGEST_TARGET { to } else { "" };
        Self {
            state: text(32),
            nonce: text(32),
            verifier: random::letters_and_digits(64),
            to: to.to_owned(),
            until: now + STATE_LIFETIME,
        }
    }

    pub fn seal(&self, sealer: &Sealer) -> String {
        // Serializing five plain fields cannot fail; an empty text could not be opened again.
        let text = serde_json::to_string(self).unwrap_or_default();
        URL_SAFE_NO_PAD.encode(sealer.seal_handed_out(PURPOSE, &text))
    }

    /// Opens a sealed state. `None` if it is not genuine, has expired, or does not belong to `state`.
    pub fn open(sealer: &Sealer, shown: &str, state: &str, now: UnixMillis) -> Option<Self> {
        if shown.len() > LONGEST {
            return None;
        }
        let text = sealer.open_handed_out(PURPOSE, &URL_SAFE_NO_PAD.decode(shown).ok()?).ok()?;
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
        let sealer = Sealer::random();
        let now = UnixMillis(1_000_000);
        let ticket = SignInState::new("/ui/account", now);
        let shown = ticket.seal(&sealer);
        assert!(!shown.contains(&ticket.state));
        let open = |shown: &str, state: &str, now| SignInState::open(&sealer, shown, state, now);
        assert_eq!(open(&shown, &ticket.state, now).as_ref(), Some(&ticket));
        assert_eq!(open(&shown, "", now), None);
        assert_eq!(open(&shown, &SignInState::new("", now).state, now), None);
        assert_eq!(open(&shown, &ticket.state, now + STATE_LIFETIME), None);
        for bad in ["", "x", &shown[1..], &"x".repeat(5000)] {
            assert_eq!(open(bad, &ticket.state, now), None);
        }
        let other = Sealer::random();
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
