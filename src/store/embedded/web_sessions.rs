//! Sessions in browsers in the file: a row each, and an index of the sessions of each account by their last end.

use std::time::Duration;

use async_trait::async_trait;

use super::kv::{Outcome, Tx};
use super::{Embedded, keys};
use crate::core::model::accounts::{AccountName, Identity, WebSession};
use crate::core::model::time::UnixMillis;
use crate::store::{MAX_SESSIONS, Result, SEEN_EVERY, SessionHash, WebSessions};

#[async_trait]
impl WebSessions for Embedded {
    async fn begin_session(
        &self,
        hash: &SessionHash,
        identity: &Identity,
        browser: &str,
        idle: Duration,
        whole: Duration,
    ) -> Result<WebSession> {
        let (hash, identity, browser) = (hash.clone(), identity.clone(), Box::<str>::from(browser));
        self.kv
            .write(move |tx| {
                let (now, ends) = (tx.now, tx.now + whole);
                let session =
                    WebSession { identity: identity.clone(), browser: browser.clone(), began: now, seen: now, ends };
                let index = keys::sessions_of(&identity.account);
                tx.count_open(&index)?;
                tx.put(&keys::session(hash.as_str()), &session, Some(lives_until(&session, now, idle)))?;
                tx.rank(&index, ends.0, hash.as_str())?;
                let all = tx.members_until(&index, u64::MAX, usize::MAX)?;
                for hash in all.iter().take(all.len().saturating_sub(MAX_SESSIONS)) {
                    tx.remove(&keys::session(hash))?;
                    tx.unrank(&index, hash)?;
                }
                Ok(session)
            })
            .await
    }

    async fn use_session(&self, hash: &SessionHash, idle: Option<Duration>) -> Result<Option<WebSession>> {
        let place = keys::session(hash.as_str());
        let session: Option<WebSession> = self.kv.read(|snapshot| snapshot.get(&place))?;
        let now = self.kv.now();
        let (session, idle) = match (session, idle) {
            (Some(session), Some(idle)) if now >= session.seen + SEEN_EVERY => (session, idle),
            (session, _) => return Ok(session),
        };
        let noted = self.kv.write(move |tx| {
            // It may have been ended meanwhile.
            let Some(mut session) = tx.get::<WebSession>(&place)? else { return Ok(None) };
            session.seen = tx.now;
            tx.put(&place, &session, Some(lives_until(&session, tx.now, idle)))?;
            Ok(Some(session))
        });
        // If the use cannot be recorded, the session stays valid.
        Ok(noted.await.unwrap_or(Some(session)))
    }

    async fn sessions_of(&self, account: &AccountName) -> Result<Vec<(SessionHash, WebSession)>> {
        let index = keys::sessions_of(account);
        let mut sessions = self.kv.read(|snapshot| {
            let mut found = Vec::new();
            for hash in snapshot.members(&index, 0) {
                let hash = hash?;
                let session = snapshot.get::<WebSession>(&keys::session(&hash))?;
                found.extend(session.map(|session| (SessionHash::from_text(&hash), session)));
            }
            Ok(found)
        })?;
        sessions.sort_by_key(|(_, session)| std::cmp::Reverse(session.began));
        Ok(sessions)
    }

    async fn end_session(&self, account: &AccountName, hash: &SessionHash) -> Result<bool> {
        let (account, hash) = (account.clone(), hash.clone());
        self.kv.write(move |tx| end(tx, &account, hash.as_str())).await
    }

    async fn end_sessions_of(&self, account: &AccountName) -> Result<u64> {
        let account = account.clone();
        self.kv
            .write(move |tx| {
                let index = keys::sessions_of(&account);
                let mut ended = 0;
                for hash in tx.members_until(&index, u64::MAX, usize::MAX)? {
                    ended += u64::from(end(tx, &account, &hash)?);
                    tx.unrank(&index, &hash)?;
                }
                Ok(ended)
            })
            .await
    }
}

/// When a session that is used now ends by itself.
fn lives_until(session: &WebSession, now: UnixMillis, idle: Duration) -> UnixMillis {
    (now + idle).min(session.ends)
}

fn end(tx: &mut Tx<'_>, account: &AccountName, hash: &str) -> Outcome<bool> {
    let place = keys::session(hash);
    let ours = tx.get::<WebSession>(&place)?.is_some_and(|session| session.identity.account == *account);
    if ours {
        tx.remove(&place)?;
        tx.unrank(&keys::sessions_of(account), hash)?;
    }
    Ok(ours)
}
