//! Not yet.

use async_trait::async_trait;

use super::Redis;
use crate::core::ids::DomainName;
use crate::core::timeline::{Happening, Step, Subject};
use crate::store::{Result, Timelines};

#[async_trait]
impl Timelines for Redis {
    async fn note(&self, _domain: &DomainName, _subjects: &[Subject], _event: &Happening) -> Result<()> {
        Err(crate::store::StoreError::Unavailable("not yet".into()))
    }

    async fn timeline(&self, _domain: &DomainName, _subject: &Subject) -> Result<Vec<Step>> {
        Err(crate::store::StoreError::Unavailable("not yet".into()))
    }
}
