//! Letting people in and out.

use super::hashing::Busy;
use super::{AccountAdminError, ActiveSession, DELIVERED_PASSWORD, NewAccount, NewSession, SignIn, SignInError};
use crate::clock;
use crate::core::model::accounts::{AccountName, Identity, WebSession};
use crate::core::model::ids::Secret;
use crate::core::policy::limits::SourceKey;
use crate::random;
use crate::store::{SessionHash, StoreError};

/// Letters and digits of what a browser shows: 190 bits.
const SHOWN: usize = 32;

/// Longest name of a browser that is kept, in characters.
const BROWSER: usize = 128;

impl From<Busy> for SignInError {
    fn from(_: Busy) -> Self {
        Self::Busy
    }
}

impl SignIn {
    /// Lets somebody in by name and password.
    pub async fn by_password(
        &self,
        name: &str,
        password: &Secret,
        source: Option<SourceKey>,
        browser: &str,
    ) -> Result<NewSession, SignInError> {
        // An account that was made with such a name by an earlier version would be somebody else.
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
        let right = self.hashing.verify(password, account.as_ref().map(|account| &account.hash)).await?;
        let Some(account) = account.filter(|_| right) else {
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
        Ok(self.begin(&account.identity, browser).await?)
    }

    /// Begins a session for somebody who has proved who they are.
    pub async fn begin(&self, identity: &Identity, browser: &str) -> Result<NewSession, StoreError> {
        let shown = random::letters_and_digits(SHOWN);
        let hash = SessionHash::of(&self.sealer, shown.expose());
        let browser: String = browser.chars().filter(|c| !c.is_control()).take(BROWSER).collect();
        let (idle, whole) = (self.settings.idle, self.settings.whole);
        let session = self.store.begin_session(&hash, identity, &browser, idle, whole).await?;
        self.note(identity, "session.begin", "", identity.domain.as_ref()).await;
        Ok(NewSession { shown, session })
    }

    /// The session of a browser, which is used hereby if somebody did it and not the page by itself.
    pub async fn visit(&self, shown: &str, by_itself: bool) -> Result<Option<ActiveSession>, StoreError> {
        // Nothing else was ever handed out.
        if shown.len() != SHOWN {
            return Ok(None);
        }
        let hash = SessionHash::of(&self.sealer, shown);
        let session = self.store.use_session(&hash, Some(self.settings.idle).filter(|_| !by_itself)).await?;
        Ok(session.map(|session| ActiveSession { hash, session }))
    }

    /// Gives somebody who shows the old password a new one. All their other sessions end; this one goes on.
    pub async fn change_password(
        &self,
        visit: &ActiveSession,
        old: &Secret,
        new: &Secret,
    ) -> Result<(), AccountAdminError> {
        let who = &visit.session.identity;
        let (now, name) = (clock::now(), &who.account);
        if self.with_wrong(|wrong| wrong.by_account.blocked(name, now)).is_some() {
            return Err(AccountAdminError::Wrong);
        }
        let account = self.store.account(name).await?.ok_or(AccountAdminError::Unknown)?;
        if !self.hashing.verify(old, Some(&account.hash)).await.map_err(|_| AccountAdminError::Busy)? {
            self.with_wrong(|wrong| wrong.by_account.count(name, now));
            return Err(AccountAdminError::Wrong);
        }
        self.keep(&NewAccount { identity: account.identity, password: new.clone() }, true).await?;
        for (hash, _) in self.store.sessions_of(name).await? {
            if hash != visit.hash {
                self.store.end_session(name, &hash).await?;
            }
        }
        self.note(who, "password.change", name.as_str(), who.domain.as_ref()).await;
        Ok(())
    }

    /// Ends the session of a browser.
    pub async fn sign_out(&self, visit: &ActiveSession) -> Result<(), StoreError> {
        self.store.end_session(&visit.session.identity.account, &visit.hash).await.map(drop)
    }

    /// Whether a session is over. Not so while the store does not answer.
    pub async fn has_ended(&self, hash: &SessionHash) -> bool {
        self.store.use_session(hash, None).await.is_ok_and(|session| session.is_none())
    }

    /// The sessions of somebody.
    pub async fn sessions(&self, who: &Identity) -> Result<Vec<(SessionHash, WebSession)>, StoreError> {
        self.store.sessions_of(&who.account).await
    }

    /// Ends the one of somebody's sessions that is named by its hash. False if there is none.
    pub async fn end_session(&self, who: &Identity, hash: &str) -> Result<bool, StoreError> {
        let sessions = self.sessions(who).await?;
        let Some((hash, _)) = sessions.iter().find(|(known, _)| known.as_str() == hash) else { return Ok(false) };
        let ended = self.store.end_session(&who.account, hash).await?;
        self.note(who, "session.end", "", who.domain.as_ref()).await;
        Ok(ended)
    }

    /// Ends all sessions of somebody.
    pub async fn sign_out_everywhere(&self, who: &Identity) -> Result<u64, StoreError> {
        let ended = self.store.end_sessions_of(&who.account).await?;
        self.note(who, "session.end_all", "", who.domain.as_ref()).await;
        Ok(ended)
    }
}
