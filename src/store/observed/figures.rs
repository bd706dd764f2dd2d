//! [`super::Observed`] for `figures.rs`.

use async_trait::async_trait;

use super::{Observed, timed};
use crate::core::model::ids::NodeId;
use crate::metrics::StoreOp;
use crate::store::{Figures, Result, Store, Totals};

#[async_trait]
impl<S: Store> Figures for Observed<S> {
    async fn tell_members(&self, node: &NodeId, members: u64) -> Result<()> {
        timed(StoreOp::TellMembers, self.0.tell_members(node, members)).await
    }

    async fn figures(&self) -> Result<Totals> {
        timed(StoreOp::Figures, self.0.figures()).await
    }
}
