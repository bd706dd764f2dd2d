//! Accounts, sessions in browsers and deeds on Redis.

use std::collections::HashMap;
use std::time::Duration;

use ::redis::cmd;
use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::{LazyScript, Redis, keys, millis, script};
use crate::core::model::accounts::{Account, AccountName, AuditAction, AuditEntry, Identity, WebSession};
use crate::core::model::ids::DomainName;
use crate::core::model::time::UnixMillis;
use crate::store::accounts::AccountRow;
use crate::store::record::{corrupt, from_json, to_json};
use crate::store::{
    AUDIT_KEPT, Accounts, Audit, MAX_ACCOUNTS, MAX_AUDIT_ENTRIES, MAX_SESSIONS, PutAccount, Result, SEEN_EVERY,
    SessionHash, WebSessions,
};

static PUT: LazyScript = script!("account_put");
static BEGIN: LazyScript = script!("session_begin");
static USE: LazyScript = script!("session_use");
static SESSIONS_OF: LazyScript = script!("sessions_of");
static END: LazyScript = script!("session_end");
static END_ALL: LazyScript = script!("sessions_end");
static NOTE: LazyScript = script!("deed_note");
static AUDIT: LazyScript = script!("deeds");

/// Where a sealed hash belongs.
fn place(name: &AccountName) -> String {
    format!("{}#{name}", keys::ACCOUNTS)
}

#[async_trait]
impl Accounts for Redis {
    async fn put_account(&self, account: &Account, replace: bool) -> Result<PutAccount> {
        let name = &account.identity.account;
        let mut script = PUT.key(keys::ACCOUNTS);
        script.arg(name.as_str()).arg(to_json(&AccountRow::of(&self.sealer, &place(name), account)));
        script.arg(u8::from(replace)).arg(MAX_ACCOUNTS);
        let became: u8 = self.line.timed(self.line.eval_once(&script)).await?;
        Ok(match became {
            0 => PutAccount::Kept,
            1 => PutAccount::Exists,
            _ => PutAccount::TooMany,
        })
    }

    async fn account(&self, name: &AccountName) -> Result<Option<Account>> {
        let read = cmd("HGET").arg(keys::ACCOUNTS).arg(name.as_str()).take();
        let row: Option<Vec<u8>> = self.line.timed(self.line.ask(&read)).await?;
        row.map(|row| from_json::<AccountRow>(keys::ACCOUNTS, &row)?.open(&self.sealer, &place(name))).transpose()
    }

    async fn accounts(&self) -> Result<Vec<Account>> {
        let read = cmd("HGETALL").arg(keys::ACCOUNTS).take();
        let rows: HashMap<String, Vec<u8>> = self.line.timed(self.line.ask(&read)).await?;
        let account = |(name, row): (&String, &Vec<u8>)| {
            let name = AccountName::parse(name).map_err(|e| corrupt(keys::ACCOUNTS, &e))?;
            from_json::<AccountRow>(keys::ACCOUNTS, row)?.open(&self.sealer, &place(&name))
        };
        let mut accounts = rows.iter().map(account).collect::<Result<Vec<_>>>()?;
        accounts.sort_by(|a, b| a.identity.account.cmp(&b.identity.account));
        Ok(accounts)
    }

    async fn remove_account(&self, name: &AccountName) -> Result<bool> {
        let remove = cmd("HDEL").arg(keys::ACCOUNTS).arg(name.as_str()).take();
        self.line.timed(self.line.ask(&remove)).await
    }
}

/// What never changes about a session.
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
        let began = UnixMillis(self.line.timed(self.line.eval(&script)).await?);
        Ok(WebSession { identity: about.identity, browser: about.browser, began, seen: began, ends: began + whole })
    }

    async fn use_session(&self, hash: &SessionHash, idle: Option<Duration>) -> Result<Option<WebSession>> {
        let mut script = USE.key(keys::session(hash));
        script.arg(hash.as_str()).arg(idle.map_or(0, millis)).arg(millis(SEEN_EVERY)).arg(keys::SESSIONS_OF);
        let found: Option<(Vec<u8>, String, String, String)> = self.line.timed(self.line.eval(&script)).await?;
        let Some((about, began, seen, ends)) = found else { return Ok(None) };
        from_json::<About>(keys::SESSION, &about)?.session(&began, &seen, &ends).map(Some)
    }

    async fn sessions_of(&self, account: &AccountName) -> Result<Vec<(SessionHash, WebSession)>> {
        let mut script = SESSIONS_OF.key(keys::sessions_of(account));
        script.arg(keys::SESSION);
        let found: Vec<(String, Vec<u8>, String, String, String)> = self.line.timed(self.line.eval(&script)).await?;
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
        self.line.timed(self.line.eval_once(&script)).await
    }

    async fn end_sessions_of(&self, account: &AccountName) -> Result<u64> {
        let mut script = END_ALL.key(keys::sessions_of(account));
        script.arg(keys::SESSION);
        self.line.timed(self.line.eval_once(&script)).await
    }
}

#[async_trait]
impl Audit for Redis {
    async fn append_audit(&self, mark: &str, action: &AuditAction) -> Result<()> {
        let line = format!("{mark} {}", to_json(action));
        let lists = [Some(keys::AUDIT.to_owned()), action.domain.as_ref().map(keys::audit_entries)];
        for list in lists.into_iter().flatten() {
            let mut script = NOTE.key(list);
            script.arg(&line).arg(millis(AUDIT_KEPT)).arg(MAX_AUDIT_ENTRIES);
            self.line.timed(self.line.eval::<()>(&script)).await?;
        }
        Ok(())
    }

    async fn audit_entries(
        &self,
        domain: Option<&DomainName>,
        before: Option<(UnixMillis, &str)>,
        limit: usize,
    ) -> Result<Vec<AuditEntry>> {
        let list = domain.map_or_else(|| keys::AUDIT.to_owned(), keys::audit_entries);
        let mut script = AUDIT.key(&list);
        match before {
            Some((at, mark)) => script.arg(at.0).arg(mark),
            None => script.arg("").arg(""),
        };
        script.arg(limit).arg(millis(AUDIT_KEPT));
        let found: Vec<(String, u64)> = self.line.timed(self.line.eval(&script)).await?;
        let action = |(line, at): &(String, u64)| {
            let (mark, action) = line.split_once(' ').ok_or_else(|| corrupt(&list, &"no mark"))?;
            Ok(AuditEntry { at: UnixMillis(*at), mark: mark.into(), action: from_json(&list, action.as_bytes())? })
        };
        found.iter().map(action).collect()
    }
}
