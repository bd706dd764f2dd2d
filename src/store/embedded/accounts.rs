//! Accounts, sessions in browsers and deeds in the file.

use std::time::Duration;

use async_trait::async_trait;

use super::kv::{Outcome, Tx};
use super::{Embedded, keys};
use crate::core::model::accounts::{Account, AccountName, AuditAction, AuditEntry, Identity, WebSession};
use crate::core::model::ids::DomainName;
use crate::core::model::time::UnixMillis;
use crate::store::accounts::AccountRow;
use crate::store::{
    AUDIT_KEPT, Accounts, Audit, MAX_ACCOUNTS, MAX_AUDIT_ENTRIES, MAX_SESSIONS, PutAccount, Result, SEEN_EVERY,
    SessionHash, WebSessions,
};

#[async_trait]
impl Accounts for Embedded {
    async fn put_account(&self, account: &Account, replace: bool) -> Result<PutAccount> {
        let place = keys::account(&account.identity.account);
        let row = AccountRow::of(&self.sealer, &place, account);
        self.kv
            .write(move |tx| {
                let there = tx.has(&place)?;
                if there && !replace {
                    return Ok(PutAccount::Exists);
                }
                if !there && tx.with_prefix::<serde::de::IgnoredAny>(keys::ACCOUNT)?.len() >= MAX_ACCOUNTS {
                    return Ok(PutAccount::TooMany);
                }
                tx.put(&place, &row, None)?;
                Ok(PutAccount::Kept)
            })
            .await
    }

    async fn account(&self, name: &AccountName) -> Result<Option<Account>> {
        let place = keys::account(name);
        let row: Option<AccountRow> = self.kv.read(|snapshot| snapshot.get(&place))?;
        row.map(|row| row.open(&self.sealer, &place)).transpose()
    }

    async fn accounts(&self) -> Result<Vec<Account>> {
        let rows: Vec<(String, AccountRow)> = self.kv.read(|snapshot| snapshot.with_prefix(keys::ACCOUNT))?;
        let account = |(name, row): (String, AccountRow)| row.open(&self.sealer, &format!("{}{name}", keys::ACCOUNT));
        rows.into_iter().map(account).collect()
    }

    async fn remove_account(&self, name: &AccountName) -> Result<bool> {
        let place = keys::account(name);
        self.kv
            .write(move |tx| {
                let there = tx.has(&place)?;
                tx.remove(&place)?;
                Ok(there)
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
        // A file that takes no note leaves the session as good as it was.
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

#[async_trait]
impl Audit for Embedded {
    async fn append_audit(&self, mark: &str, action: &AuditAction) -> Result<()> {
        let (mark, action) = (mark.to_owned(), action.clone());
        self.kv
            .write(move |tx| {
                let row = keys::action(&mark);
                if tx.has(&row)? {
                    return Ok(());
                }
                tx.put(&row, &action, Some(tx.now + AUDIT_KEPT))?;
                let lists = [Some(keys::AUDIT.to_owned()), action.domain.as_ref().map(keys::audit_entries)];
                lists.iter().flatten().try_for_each(|list| add(tx, list, &mark))
            })
            .await
    }

    async fn audit_entries(
        &self,
        domain: Option<&DomainName>,
        before: Option<(UnixMillis, &str)>,
        limit: usize,
    ) -> Result<Vec<AuditEntry>> {
        let list = domain.map_or_else(|| keys::AUDIT.to_owned(), keys::audit_entries);
        self.kv.read(|snapshot| {
            let mut found = Vec::new();
            for ranked in snapshot.members_before(&list, before.map(|(at, mark)| (at.0, mark))) {
                let (at, mark) = ranked?;
                // Of one whose row is over, all before it are over too.
                let Some(action) = snapshot.get::<AuditAction>(&keys::action(&mark))? else { break };
                found.push(AuditEntry { at: UnixMillis(at), mark: mark.into(), action });
                if found.len() == limit {
                    break;
                }
            }
            Ok(found)
        })
    }
}

fn add(tx: &mut Tx<'_>, list: &str, mark: &str) -> Outcome<()> {
    let over = (tx.now - AUDIT_KEPT).0;
    for old in tx.members_until(list, over, 16)? {
        tx.unrank(list, &old)?;
    }
    tx.rank(list, tx.now.0, mark)?;
    if tx.size(list)? > MAX_AUDIT_ENTRIES as u64
        && let Some(oldest) = tx.members_until(list, u64::MAX, 1)?.first()
    {
        tx.unrank(list, oldest)?;
    }
    Ok(())
}
