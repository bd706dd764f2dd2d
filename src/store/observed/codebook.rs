//! [`super::Observed`] for `codebook.rs`.

use async_trait::async_trait;

use super::{Observed, timed};
use crate::core::model::device::CodeState;
use crate::core::model::ids::{CategoryId, Code, DomainName, RolloutId};
use crate::core::model::time::UnixMillis;
use crate::metrics::StoreOp;
use crate::store::{CodeBook, CodeListing, Result, Rollout, RolloutRow, Store};

#[async_trait]
impl<S: Store> CodeBook for Observed<S> {
    async fn codes(
        &self,
        domain: &DomainName,
        before: Option<(UnixMillis, Code)>,
        limit: usize,
    ) -> Result<Vec<CodeListing>> {
        timed(StoreOp::Codes, self.0.codes(domain, before, limit)).await
    }

    async fn revoke_code(&self, domain: &DomainName, code: Code) -> Result<bool> {
        timed(StoreOp::RevokeCode, self.0.revoke_code(domain, code)).await
    }

    async fn begin_rollout(
        &self,
        domain: &DomainName,
        name: &str,
        category: CategoryId,
        users: u64,
    ) -> Result<Rollout> {
        timed(StoreOp::BeginRollout, self.0.begin_rollout(domain, name, category, users)).await
    }

    async fn add_rollout_rows(
        &self,
        domain: &DomainName,
        id: RolloutId,
        from: u64,
        rows: &[RolloutRow],
    ) -> Result<bool> {
        timed(StoreOp::AddRolloutRows, self.0.add_rollout_rows(domain, id, from, rows)).await
    }

    async fn rollouts(&self, domain: &DomainName) -> Result<Vec<Rollout>> {
        timed(StoreOp::Rollouts, self.0.rollouts(domain)).await
    }

    async fn rollout_rows(
        &self,
        domain: &DomainName,
        id: RolloutId,
        from: u64,
        limit: usize,
    ) -> Result<Option<Vec<(RolloutRow, Option<CodeState>)>>> {
        timed(StoreOp::RolloutRows, self.0.rollout_rows(domain, id, from, limit)).await
    }

    async fn remove_rollout(&self, domain: &DomainName, id: RolloutId) -> Result<bool> {
        timed(StoreOp::RemoveRollout, self.0.remove_rollout(domain, id)).await
    }
}
