//! The kinds of secrets, and the rules for each.

use std::time::Duration;

use crate::core::policy::limits::MAX_KEYS;
use crate::core::policy::limits::rules::{Once, QueueRule, Rules};
use crate::metrics::{Attempt, Label as _};

/// What is guessed at. Each kind is counted for itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SecretKind {
    /// A code at Devices, in an identify or for a port.
    DeviceCode,
    /// The token of automatic provisioning.
    DeviceToken,
    /// A code at `/init`.
    InitCode,
    /// The log-in of an app.
    AppLogIn,
    /// The log-in of an exchange, or of a user of it, at the Users instance.
    ExchangeLogIn,
    /// A password or a token at the REST interface.
    OperatorToken,
    /// The password of an account of the pages.
    PagePassword,
    /// The credential of a Devices service at the directory.
    DirectoryCredential,
}

impl SecretKind {
    /// All kinds.
    pub const ALL: [Self; 8] = [
        Self::DeviceCode,
        Self::DeviceToken,
        Self::InitCode,
        Self::AppLogIn,
        Self::ExchangeLogIn,
        Self::OperatorToken,
        Self::PagePassword,
        Self::DirectoryCredential,
    ];

    /// The label in metrics.
    pub const fn label(self) -> Attempt {
        match self {
            Self::DeviceCode => Attempt::DeviceCode,
            Self::DeviceToken => Attempt::Token,
            Self::InitCode => Attempt::InitCode,
            Self::AppLogIn => Attempt::LogIn,
            Self::ExchangeLogIn => Attempt::ExchangeLogIn,
            Self::OperatorToken => Attempt::OperatorToken,
            Self::PagePassword => Attempt::PagePassword,
            Self::DirectoryCredential => Attempt::Credential,
        }
    }

    /// The name in the store and in texts for operators.
    pub fn name(self) -> &'static str {
        self.label().as_str()
    }

    /// The rules of the protocol texts; where they say nothing, our own.
    const fn rules(self) -> Rules {
        const CODES: Rules = Rules {
            window: Duration::from_secs(600),
            pair_free: 10,
            pair_longest: Duration::from_secs(600),
            source_free: 60,
            pace: Duration::from_secs(5),
            waiting: 32,
            queue: QueueRule::DropOldest,
            longest_wait: None,
            per_minute: 600,
            per_second: 10,
            proved: None,
            once: Once::PerPair,
            max_keys: MAX_KEYS,
        };
        const LOG_INS: Rules = Rules {
            // As long as the pace of a source: who shares name and source with somebody who guesses gets his turn.
            pair_longest: Duration::from_secs(5),
            queue: QueueRule::ByName(8),
            longest_wait: Some(Duration::from_secs(30)),
            proved: Some(Duration::from_secs(12 * 3600)),
            ..CODES
        };
        match self {
            Self::DeviceCode => CODES,
            Self::DeviceToken => Rules { pair_free: u32::MAX, once: Once::PerSource, ..CODES },
            Self::InitCode => Rules {
                queue: QueueRule::InOrder,
                longest_wait: Some(Duration::from_secs(30)),
                per_minute: 1000,
                per_second: 20,
                ..CODES
            },
            Self::AppLogIn | Self::ExchangeLogIn | Self::OperatorToken | Self::DirectoryCredential => LOG_INS,
            Self::PagePassword => Rules { pair_free: 5, ..LOG_INS },
        }
    }
}

/// The rules of all kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttemptRules([Rules; SecretKind::ALL.len()]);

impl Default for AttemptRules {
    fn default() -> Self {
        Self(SecretKind::ALL.map(SecretKind::rules))
    }
}

impl AttemptRules {
    /// The rules of a kind.
    pub const fn of(&self, kind: SecretKind) -> &Rules {
        let [code, token, init, log_in, exchange, operator, page, directory] = &self.0;
        match kind {
            SecretKind::DeviceCode => code,
            SecretKind::DeviceToken => token,
            SecretKind::InitCode => init,
            SecretKind::AppLogIn => log_in,
            SecretKind::ExchangeLogIn => exchange,
            SecretKind::OperatorToken => operator,
            SecretKind::PagePassword => page,
            SecretKind::DirectoryCredential => directory,
        }
    }

    /// The same with a change to the rules of some kinds.
    #[must_use]
    pub fn with(mut self, change: impl Fn(SecretKind, &mut Rules)) -> Self {
        for (kind, rules) in SecretKind::ALL.into_iter().zip(&mut self.0) {
            change(kind, rules);
        }
        self
    }
}
