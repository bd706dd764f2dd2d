//! Not yet.

use async_trait::async_trait;

use super::Embedded;
use crate::core::device::CodeState;
use crate::core::ids::{CategoryId, Code, DomainName, RolloutId};
use crate::core::time::UnixMillis;
use crate::store::{CodeBook, CodeListing, Result, Rollout, RolloutRow};

#[async_trait]
impl CodeBook for Embedded {
    async fn codes(
        &self,
        _domain: &DomainName,
        _before: Option<(UnixMillis, Code)>,
        _limit: usize,
    ) -> Result<Vec<CodeListing>> {
        Err(crate::store::StoreError::Unavailable("not yet".into()))
    }

    async fn revoke_code(&self, _domain: &DomainName, _code: Code) -> Result<bool> {
        Err(crate::store::StoreError::Unavailable("not yet".into()))
    }

    async fn begin_rollout(&self, _domain: &DomainName, _name: &str, _category: CategoryId) -> Result<Rollout> {
        Err(crate::store::StoreError::Unavailable("not yet".into()))
    }

    async fn add_rollout_rows(&self, _domain: &DomainName, _id: RolloutId, _rows: &[RolloutRow]) -> Result<()> {
        Err(crate::store::StoreError::Unavailable("not yet".into()))
    }

    async fn rollouts(&self, _domain: &DomainName) -> Result<Vec<Rollout>> {
        Err(crate::store::StoreError::Unavailable("not yet".into()))
    }

    async fn rollout_rows(
        &self,
        _domain: &DomainName,
        _id: RolloutId,
        _from: u64,
        _limit: usize,
    ) -> Result<Option<Vec<(RolloutRow, Option<CodeState>)>>> {
        Err(crate::store::StoreError::Unavailable("not yet".into()))
    }

    async fn remove_rollout(&self, _domain: &DomainName, _id: RolloutId) -> Result<bool> {
        Err(crate::store::StoreError::Unavailable("not yet".into()))
    }
}
