//! Signs users in with name and password, and manages their sessions.

use std::net::IpAddr;

use super::hashing::Busy;
use super::{AccountAdminError, ActiveSession, DELIVERED_PASSWORD, NewAccount, NewSession, SignIn, SignInError};
use crate::clock;
use crate::core::model::accounts::{AccountName, Actor, Identity, WebSession};
use crate::core::model::ids::Secret;
use crate::core::policy::limits::SourceKey;
use crate::random;
use crate::store::{SessionHash, StoreError};

/// Letters and digits of a session cookie: 190 bits.
const COOKIE_LENGTH: usize = 32;

/// Most characters that are stored of a browser's name.
const BROWSER: usize = 128;

impl From<Busy> for SignInError {
    fn from(_: Busy) -> Self {
        Self::Busy
    }
}

impl SignIn {
    /// Signs in with name and password.
    pub async fn by_password(
        &self,
        name: &str,
        password: &Secret,
        from: Option<IpAddr>,
        browser: &str,
    ) -> Result<NewSession, SignInError> {
        let source = from.map(SourceKey::from);
        // An account with such a name, made by an earlier version, would be mistaken for a user of the provider.
        let name = AccountName::parse(name).ok().filter(|name| !name.is_of_provider());
        let now = clock::now();
        let blocked = self.with_wrong(|wrong| {
            let by_account = name.as_ref().and_then(|name| wrong.by_account.blocked(name, now));
            by_account.max(source.and_then(|source| wrong.by_source.blocked(&source, now)))
        });
        if let Some(wait) = blocked {
            return Err(SignInError::Blocked(wait));
        }
        if !self.settings.loopback && password.expose() == DELIVERED_PASSWORD {
            return Err(SignInError::Delivered);
        }
        let account = match &name {
            Some(name) => self.store.account(name).await?,
            None => None,
        };
        let correct = self.hashing.verify(password, account.as_ref().map(|account| &account.hash)).await?;
        let Some(account) = account.filter(|_| correct) else {
            self.with_wrong(|wrong| {
                if let Some(name) = &name {
                    wrong.by_account.count(name, now);
                }
                if let Some(source) = &source {
                    wrong.by_source.count(source, now);
                }
            });
            return Err(SignInError::Wrong);
        };
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
        Ok(begun)
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
        Ok(NewSession { cookie_value, session })
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
        let hash = SessionHash::of(&self.sealer, cookie_value);
        let session = self.store.use_session(&hash, Some(self.settings.idle).filter(|_| !by_itself)).await?;
        let session = session.filter(|session| self.holds(&session.identity));
        Ok(session.map(|session| ActiveSession { hash, session, from }))
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
        let (now, name) = (clock::now(), &who.account);
        if self.with_wrong(|wrong| wrong.by_account.blocked(name, now)).is_some() {
            return Err(AccountAdminError::Wrong);
        }
        let account = self.store.account(name).await?.ok_or(AccountAdminError::Unknown)?;
        if !self.hashing.verify(old, Some(&account.hash)).await.map_err(|_| AccountAdminError::Busy)? {
            self.with_wrong(|wrong| wrong.by_account.count(name, now));
            return Err(AccountAdminError::Wrong);
        }
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
