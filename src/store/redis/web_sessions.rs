//! Sessions in browsers on Redis: a hash each, and an index of the sessions of each account by their last end.

use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::{LazyScript, Redis, keys, millis, script};
use crate::core::model::accounts::{AccountName, Identity, WebSession};
use crate::core::model::time::UnixMillis;
use crate::store::record::{corrupt, from_json, to_json};
use crate::store::{MAX_SESSIONS, Result, SEEN_EVERY, SessionHash, WebSessions};

static BEGIN: LazyScript = script!("session_begin");
static USE: LazyScript = script!("session_use");
static SESSIONS_OF: LazyScript = script!("sessions_of");
static END: LazyScript = script!("session_end");
static END_ALL: LazyScript = script!("sessions_end");

/// The part of a session that never changes.
#[derive(Serialize, Deserialize)]
struct About {
    identity: Identity,
    browser: Box<str>,
}

impl About {
    fn session(self, began: &str, seen: &str, ends: &str) -> Result<WebSession> {
        let time = |text: &str| text.parse().map(UnixMillis).map_err(|e| corrupt(keys::SESSION, &e));
        let Self { identity, browser } = self;
        Ok(WebSession { identity, browser, began: time(began)?, seen: time(seen)?, ends: time(ends)? })
    }
}

#[async_trait]
impl WebSessions for Redis {
    async fn begin_session(
        &self,
        hash: &SessionHash,
        identity: &Identity,
        browser: &str,
        idle: Duration,
        whole: Duration,
    ) -> Result<WebSession> {
        let about = About { identity: identity.clone(), browser: browser.into() };
        let mut script = BEGIN.key(keys::session(hash));
        script.key(keys::sessions_of(&identity.account)).arg(hash.as_str()).arg(to_json(&about));
        script.arg(identity.account.as_str()).arg(millis(idle)).arg(millis(whole)).arg(MAX_SESSIONS).arg(keys::SESSION);
        let began = UnixMillis(self.client.timed(self.client.eval(&script)).await?);
        Ok(WebSession { identity: about.identity, browser: about.browser, began, seen: began, ends: began + whole })
    }

    async fn use_session(&self, hash: &SessionHash, idle: Option<Duration>) -> Result<Option<WebSession>> {
        let mut script = USE.key(keys::session(hash));
        script.arg(hash.as_str()).arg(idle.map_or(0, millis)).arg(millis(SEEN_EVERY)).arg(keys::SESSIONS_OF);
        let found: Option<(Vec<u8>, String, String, String)> = self.client.timed(self.client.eval(&script)).await?;
        let Some((about, began, seen, ends)) = found else { return Ok(None) };
        from_json::<About>(keys::SESSION, &about)?.session(&began, &seen, &ends).map(Some)
    }

    async fn sessions_of(&self, account: &AccountName) -> Result<Vec<(SessionHash, WebSession)>> {
        let mut script = SESSIONS_OF.key(keys::sessions_of(account));
        script.arg(keys::SESSION);
        let found: Vec<(String, Vec<u8>, String, String, String)> =
            self.client.timed(self.client.eval(&script)).await?;
        let session = |(hash, about, began, seen, ends): &(String, Vec<u8>, String, String, String)| {
            let session = from_json::<About>(keys::SESSION, about)?.session(began, seen, ends)?;
            Ok((SessionHash::from_text(hash), session))
        };
        let mut sessions = found.iter().map(session).collect::<Result<Vec<_>>>()?;
        sessions.sort_by_key(|(_, session)| std::cmp::Reverse(session.began));
        Ok(sessions)
    }

    async fn end_session(&self, account: &AccountName, hash: &SessionHash) -> Result<bool> {
        let mut script = END.key(keys::session(hash));
        script.key(keys::sessions_of(account)).arg(hash.as_str()).arg(account.as_str());
        self.client.timed(self.client.eval_once(&script)).await
    }

    async fn end_sessions_of(&self, account: &AccountName) -> Result<u64> {
        let mut script = END_ALL.key(keys::sessions_of(account));
        script.arg(keys::SESSION);
        self.client.timed(self.client.eval_once(&script)).await
    }
}
