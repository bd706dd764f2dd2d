//! Wrong attempts and decisions over all nodes: what limits guessing when there are many sources
//! (`docs/protocol/sysclient.md` 9.1, `docs/protocol/directory.md` 4.4). Names, sources and secrets are not here.

use std::time::Duration;

use super::Result;
use super::observed::store_trait;

/// Wrong attempts count over all for this long.
pub const COUNTED_OVER: Duration = Duration::from_secs(60);

store_trait! {
    /// Wrong attempts and decisions over all nodes, by kind of secret. Both end by themselves.
    pub trait Attempts: Send + Sync {
        /// Adds the wrong attempts that a node has seen since its last report, and returns those of all nodes within
        /// [`COUNTED_OVER`]. A report that is repeated with the same `id` counts once; without attempts it only reads.
        async fn report_wrong(&self, kind: &str, id: &str, wrong: u32) -> Result<u64> => ReportWrong;

        /// Takes up to `want` decisions of this second. All nodes together get at most `per_second`.
        async fn take_decisions(&self, kind: &str, want: u32, per_second: u32) -> Result<u32> => TakeDecisions;
    }
}
