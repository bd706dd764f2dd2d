//! The store as operators of the instance see it: its version, and the generations of the instance key.

use super::{Admin, AdminError, Authority, Result};
use crate::store::{KeyStatus, Rotation, SchemaStatus};

impl Admin {
    /// Version and migration of the store, and the generations of the instance key. Only with the instance password.
    pub async fn store_state(&self, authority: &Authority) -> Result<(SchemaStatus, KeyStatus)> {
        authority.instance_only()?;
        let store = &self.services.store;
        Ok((store.schema().await?, store.instance_keys().await?))
    }

    /// Begins to replace the generation of the instance key that seals. Only with the instance password.
    pub async fn rotate_instance_key(&self, authority: &Authority) -> Result<KeyStatus> {
        authority.instance_only()?;
        match self.services.store.rotate_instance_key().await? {
            Rotation::Begun(generation) => {
                tracing::info!(generation, "rotation of the instance key begins");
                self.record(authority, "key.rotate", &generation.to_string(), None).await;
                Ok(self.services.store.instance_keys().await?)
            }
            Rotation::UnderWay => {
                Err(AdminError::Conflict("earlier generations are still kept; wait until the rotation is over".into()))
            }
            Rotation::Migrating => {
                Err(AdminError::Conflict("the store is being migrated; wait until that is done".into()))
            }
        }
    }
}
