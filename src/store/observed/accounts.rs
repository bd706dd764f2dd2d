//! [`super::Observed`] for `accounts.rs`.

use std::time::Duration;

use async_trait::async_trait;

use super::{Observed, timed};
use crate::core::model::accounts::{Account, AccountName, AuditAction, AuditEntry, Identity, WebSession};
use crate::core::model::ids::DomainName;
use crate::core::model::time::UnixMillis;
use crate::metrics::StoreOp;
use crate::store::{Accounts, Audit, PutAccount, Result, SessionHash, Store, WebSessions};

#[async_trait]
impl<S: Store> Accounts for Observed<S> {
    async fn put_account(&self, account: &Account, replace: bool) -> Result<PutAccount> {
        timed(StoreOp::PutAccount, self.0.put_account(account, replace)).await
    }

    async fn account(&self, name: &AccountName) -> Result<Option<Account>> {
        timed(StoreOp::Accounts, self.0.account(name)).await
    }

    async fn accounts(&self) -> Result<Vec<Account>> {
        timed(StoreOp::Accounts, self.0.accounts()).await
    }

    async fn remove_account(&self, name: &AccountName) -> Result<bool> {
        timed(StoreOp::RemoveAccount, self.0.remove_account(name)).await
    }
}

#[async_trait]
impl<S: Store> WebSessions for Observed<S> {
    async fn begin_session(
        &self,
        hash: &SessionHash,
        identity: &Identity,
        browser: &str,
        idle: Duration,
        whole: Duration,
    ) -> Result<WebSession> {
        timed(StoreOp::BeginSession, self.0.begin_session(hash, identity, browser, idle, whole)).await
    }

    async fn use_session(&self, hash: &SessionHash, idle: Option<Duration>) -> Result<Option<WebSession>> {
        timed(StoreOp::UseSession, self.0.use_session(hash, idle)).await
    }

    async fn sessions_of(&self, account: &AccountName) -> Result<Vec<(SessionHash, WebSession)>> {
        timed(StoreOp::SessionsOf, self.0.sessions_of(account)).await
    }

    async fn end_session(&self, account: &AccountName, hash: &SessionHash) -> Result<bool> {
        timed(StoreOp::EndSession, self.0.end_session(account, hash)).await
    }

    async fn end_sessions_of(&self, account: &AccountName) -> Result<u64> {
        timed(StoreOp::EndSession, self.0.end_sessions_of(account)).await
    }
}

#[async_trait]
impl<S: Store> Audit for Observed<S> {
    async fn append_audit(&self, mark: &str, action: &AuditAction) -> Result<()> {
        timed(StoreOp::AppendAudit, self.0.append_audit(mark, action)).await
    }

    async fn audit_entries(
        &self,
        domain: Option<&DomainName>,
        before: Option<(UnixMillis, &str)>,
        limit: usize,
    ) -> Result<Vec<AuditEntry>> {
        timed(StoreOp::Audit, self.0.audit_entries(domain, before, limit)).await
    }
}
