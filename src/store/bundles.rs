//! What is remembered of the bundles of a domain (`docs/offline.md`).

use super::Result;
use super::observed::store_trait;
use crate::core::model::bundle::BundleState;
use crate::core::model::ids::DomainName;

store_trait! {
    /// Bundles between a centre and its sites. The record ends with its domain.
    pub trait Bundles: Send + Sync {
        /// A text that is the same as long as the store lives, and that no other store has.
        fn instance_mark(&self) -> Box<str>;

        /// What is remembered; nothing for a domain without bundles.
        async fn bundle_state(&self, domain: &DomainName) -> Result<BundleState> => BundleState;

        /// Replaces the record that was read: `state` has the revision that was read, and is kept with the next one.
        /// False if somebody else has changed it since.
        async fn keep_bundle_state(
            &self,
            domain: &DomainName,
            state: &BundleState,
        ) -> Result<bool> => KeepBundleState;
    }
}

/// What the mark of an instance is a keyed hash of.
pub(super) const MARK: (&str, &str) = ("mark of the instance", "bundle");

/// The state as it is kept.
pub(super) fn next(state: &BundleState) -> BundleState {
    BundleState { revision: state.revision + 1, ..state.clone() }
}
