//! Signs users in with name and password, and manages their sessions.

use std::net::IpAddr;

use super::hashing::{Busy, HashFor};
use super::{AccountAdminError, ActiveSession, NewAccount, NewSession, SignIn, SignInError};
use crate::attempts::{SecretKind, TryLater};
use crate::config::is_delivered;
use crate::core::model::accounts::{AccountName, Actor, Identity, WebSession};
use crate::core::model::ids::Secret;
use crate::core::policy::limits::SourceKey;
use crate::random;
use crate::store::{SessionHash, StoreError};

/// Letters and digits of a session cookie: 190 bits.
const COOKIE_LENGTH: usize = 32;

/// Most characters that are stored of a browser's name.
const BROWSER: usize = 128;

impl From<TryLater> for SignInError {
    fn from(later: TryLater) -> Self {
        Self::TryLater(later.after)
    }
}

impl From<TryLater> for AccountAdminError {
    fn from(later: TryLater) -> Self {
        Self::TryLater(later.after)
    }
}

impl From<Busy> for SignInError {
    fn from(_: Busy) -> Self {
        Self::Busy
    }
}

/// A sign-in with name and password.
#[derive(Debug)]
pub struct PasswordSignIn<'a> {
    /// The name.
    pub name: &'a str,
    /// The password.
    pub password: &'a Secret,
    /// Where the request comes from.
    pub source: SourceKey,
    /// The same as an address, for the audit log.
    pub from: Option<IpAddr>,
    /// The cookie of a browser that has signed in before, if it sent one.
    pub browser_cookie: Option<&'a str>,
    /// What the browser calls itself.
    pub browser: &'a str,
}

impl SignIn {
    /// Signs in with name and password, as soon as attempts at this account from there may be decided.
    pub async fn by_password(&self, request: PasswordSignIn<'_>) -> Result<NewSession, SignInError> {
        let PasswordSignIn { name: shown, password, source, from, browser_cookie, browser } = request;
        // An account with such a name, made by an earlier version, would be mistaken for a user of the provider.
        let name = AccountName::parse(shown).ok().filter(|name| !name.is_of_provider());
        if !self.settings.loopback && is_delivered(password) {
            return Err(SignInError::Delivered);
        }
        let known = name.as_ref().and_then(|name| self.known_browser(browser_cookie, name));
        let who = name.as_ref().map_or(shown, AccountName::as_str);
        let attempt = self.attempts.reserve(SecretKind::PagePassword, Some(who), known.unwrap_or(source)).await?;
        let account = match &name {
            Some(name) => self.store.account(name).await?,
            None => None,
        };
        let whom = known.map_or(HashFor::Stranger(Some(source)), HashFor::Known);
        let correct = self.hashing.verify(password, account.as_ref().map(|account| &account.hash), whom).await?;
        let Some(account) = account.filter(|_| correct) else {
            attempt.wrong_secret(password.expose().as_bytes());
            return Err(SignInError::Wrong);
        };
        attempt.right();
        let mut identity = account.identity.clone();
        if let Some(domain) = &identity.domain {
            let found = self.store.domain(domain).await?;
            if !identity.grant().is_some_and(|grant| grant.holds(found.as_ref())) && self.tenants.is_some() {
                // The account was left over when its domain was deleted.
                return Err(SignInError::Wrong);
            }
            identity.domain_id = found.map(|found| found.id);
        }
        let begun = self.begin(&identity, browser, from).await?;
        // The password may have been changed, or the account removed, since it was read: whoever did that has not seen
        // this session, and ends it only if it began before.
        if self.store.account(&identity.account).await?.as_ref() != Some(&account) {
            self.store
                .end_session(&identity.account, &SessionHash::of(&self.sealer, begun.cookie_value.expose()))
                .await?;
            return Err(SignInError::Wrong);
        }
        let browser_cookie = Some(self.browser_cookie(browser_cookie, &account.identity.account));
        Ok(NewSession { browser_cookie, ..begun })
    }

    /// Begins a session for an authenticated identity.
    pub async fn begin(
        &self,
        identity: &Identity,
        browser: &str,
        from: Option<IpAddr>,
    ) -> Result<NewSession, StoreError> {
        let cookie_value = random::letters_and_digits(COOKIE_LENGTH);
        let hash = SessionHash::of(&self.sealer, cookie_value.expose());
        let browser: String = browser.chars().filter(|c| !c.is_control()).take(BROWSER).collect();
        let (idle, whole) = (self.settings.idle, self.settings.whole);
        let session = self.store.begin_session(&hash, identity, &browser, idle, whole).await?;
        self.note(&Actor::account(identity, from), "session.begin", "", identity.domain.as_ref()).await;
        Ok(NewSession { cookie_value, browser_cookie: None, session })
    }

    /// The session of a request. It is prolonged unless the page made the request by itself.
    pub async fn use_session(
        &self,
        cookie_value: &str,
        by_itself: bool,
        from: Option<IpAddr>,
    ) -> Result<Option<ActiveSession>, StoreError> {
        // Values of another length were never issued.
        if cookie_value.len() != COOKIE_LENGTH {
            return Ok(None);
        }
        let idle = Some(self.settings.idle).filter(|_| !by_itself);
        for hash in SessionHash::all(&self.sealer, cookie_value) {
            if let Some(session) = self.store.use_session(&hash, idle).await? {
                return Ok(self.holds(&session.identity).then_some(ActiveSession { hash, session, from }));
            }
        }
        Ok(None)
    }

    /// Changes the password of the own account after checking the old one, and ends all other sessions of the account.
    pub async fn change_password(
        &self,
        current: &ActiveSession,
        old: &Secret,
        new: &Secret,
    ) -> Result<(), AccountAdminError> {
        let who = &current.session.identity;
        if !self.holds(who) {
            return Err(AccountAdminError::Unknown);
        }
        let name = &who.account;
        // Who is signed in is not delayed by what others try at the sign-in.
        let source = SourceKey::of_browser(current.hash.as_str());
        let attempt = self.attempts.reserve(SecretKind::PagePassword, Some(name.as_str()), source).await?;
        let account = self.store.account(name).await?.ok_or(AccountAdminError::Unknown)?;
        let right = self.hashing.verify(old, Some(&account.hash), HashFor::SignedIn).await;
        if !right.map_err(|_| AccountAdminError::Busy)? {
            attempt.wrong_secret(old.expose().as_bytes());
            return Err(AccountAdminError::Wrong);
        }
        attempt.right();
        self.put(&NewAccount { identity: account.identity.clone(), password: new.clone() }, Some(&account)).await?;
        for (hash, _) in self.store.sessions_of(name).await? {
            if hash != current.hash {
                self.store.end_session(name, &hash).await?;
            }
        }
        self.announce_end(name).await;
        self.note(&current.actor(), "password.change", name.as_str(), who.domain.as_ref()).await;
        Ok(())
    }

    /// Ends the session of a browser.
    pub async fn sign_out(&self, current: &ActiveSession) -> Result<(), StoreError> {
        let account = &current.session.identity.account;
        self.store.end_session(account, &current.hash).await?;
        self.announce_end(account).await;
        Ok(())
    }

    /// Whether a session has ended; false if the store does not answer.
    pub async fn has_ended(&self, hash: &SessionHash) -> bool {
        self.whose(hash).await.is_ok_and(|identity| identity.is_none())
    }

    /// Whose session this is; `None` if it has ended.
    pub async fn whose(&self, hash: &SessionHash) -> Result<Option<Identity>, StoreError> {
        let session = self.store.use_session(hash, None).await?;
        Ok(session.map(|session| session.identity).filter(|identity| self.holds(identity)))
    }

    /// The sessions of an account.
    pub async fn sessions(&self, who: &Identity) -> Result<Vec<(SessionHash, WebSession)>, StoreError> {
        self.store.sessions_of(&who.account).await
    }

    /// Ends the session of an account with this hash. Returns false if there is none.
    pub async fn end_session(&self, current: &ActiveSession, hash: &str) -> Result<bool, StoreError> {
        let who = &current.session.identity;
        let sessions = self.sessions(who).await?;
        let Some((hash, _)) = sessions.iter().find(|(known, _)| known.as_str() == hash) else { return Ok(false) };
        let ended = self.store.end_session(&who.account, hash).await?;
        self.announce_end(&who.account).await;
        self.note(&current.actor(), "session.end", "", who.domain.as_ref()).await;
        Ok(ended)
    }

    /// Ends all sessions of an account.
    pub async fn sign_out_everywhere(&self, current: &ActiveSession) -> Result<u64, StoreError> {
        let who = &current.session.identity;
        let ended = self.store.end_sessions_of(&who.account).await?;
        self.announce_end(&who.account).await;
        self.note(&current.actor(), "session.end_all", "", who.domain.as_ref()).await;
        Ok(ended)
    }
}
