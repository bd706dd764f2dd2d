//! What is remembered of bundles, in the file.

use async_trait::async_trait;

use super::{Embedded, keys};
use crate::core::model::bundle::BundleState;
use crate::core::model::ids::DomainName;
use crate::store::bundles::{MARK, next};
use crate::store::{Bundles, Result};

#[async_trait]
impl Bundles for Embedded {
    fn instance_mark(&self) -> Box<str> {
        self.sealer.lasting_hash(MARK.0, MARK.1).into()
    }

    async fn bundle_state(&self, domain: &DomainName) -> Result<BundleState> {
        self.kv.read(|snapshot| Ok(snapshot.get(&keys::bundles(domain))?.unwrap_or_default()))
    }

    async fn keep_bundle_state(&self, domain: &DomainName, state: &BundleState) -> Result<bool> {
        let (place, of, new) = (keys::bundles(domain), state.revision, next(state));
        self.kv
            .write(move |tx| {
                let there: BundleState = tx.get(&place)?.unwrap_or_default();
                // The same once more is a repetition after a time-out.
                let same = there.revision == of || there == new;
                if same {
                    tx.put(&place, &new, None)?;
                }
                Ok(same)
            })
            .await
    }
}
