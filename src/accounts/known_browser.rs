//! Browsers that have signed in before. Each carries a cookie that proves it for the accounts that have signed in with
//! it. Its attempts are counted apart, so that nobody else can delay them, from the same address or from elsewhere
//! ("device cookies", OWASP).
//!
//! The cookie opens nothing: without the password it is worth as many guesses as any address has. It holds a random
//! name of the browser and a keyed hash of it for each account, so it tells nobody which accounts these are.

use std::fmt::Write as _;

use subtle::ConstantTimeEq as _;

use super::SignIn;
use crate::core::model::accounts::AccountName;
use crate::core::model::hex;
use crate::core::model::ids::Secret;
use crate::core::policy::limits::SourceKey;
use crate::random;

/// Accounts that one browser is known for; a further one replaces the one that signed in longest ago.
const ACCOUNTS: usize = 4;

/// Bytes of the name of a browser.
const NAME: usize = 16;

/// The parts of a cookie.
struct Parts<'a> {
    browser: &'a str,
    proofs: Vec<&'a str>,
}

impl<'a> Parts<'a> {
    fn read(cookie: &'a str) -> Option<Self> {
        let mut parts = cookie.split('.');
        let browser = parts.next().filter(|name| hex::decode(name).is_ok_and(|name| name.len() == NAME))?;
        Some(Self { browser, proofs: parts.take(ACCOUNTS).collect() })
    }
}

impl SignIn {
    /// The source as which attempts at this account count if the browser has signed in to it before. It is another one
    /// for each account.
    pub(super) fn known_browser(&self, cookie: Option<&str>, account: &AccountName) -> Option<SourceKey> {
        let parts = Parts::read(cookie?)?;
        let right = self.proof(parts.browser, account);
        let mut known = subtle::Choice::from(0);
        for proof in &parts.proofs {
            known |= proof.as_bytes().ct_eq(right.as_bytes());
        }
        bool::from(known).then(|| SourceKey::of_browser(&right))
    }

    /// The cookie of a browser in which this account has just signed in.
    pub(super) fn browser_cookie(&self, cookie: Option<&str>, account: &AccountName) -> Secret {
        let mut fresh = [0; NAME];
        random::fill(&mut fresh);
        let fresh = hex::encode(fresh);
        let before = cookie.and_then(Parts::read).unwrap_or(Parts { browser: &fresh, proofs: Vec::new() });
        let own = self.proof(before.browser, account);
        let mut value = format!("{}.{own}", before.browser);
        let long = |proof: &&&str| proof.len() == own.len() && hex::decode(proof).is_ok();
        for other in before.proofs.iter().filter(|other| **other != own).filter(long).take(ACCOUNTS - 1) {
            // Writing to a text cannot fail.
            let _ = write!(value, ".{other}");
        }
        Secret::new(value)
    }

    fn proof(&self, browser: &str, account: &AccountName) -> String {
        self.sealer.hash("browser of an account", &format!("{browser}.{}", account.as_str()))
    }
}
