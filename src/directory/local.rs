//! The directory in the process of Devices: function calls instead of HTTP (`docs/protocol/directory.md` section 7).

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::{
    Caller, Directory, DirectoryError, DirectoryService, IssueRequest, IssuedByDirectory, SettingsError, check_address,
};
use crate::core::model::ids::Code;

/// A directory in this process. Its codes belong to the credential `local`, which no caller over the network can have.
pub struct LocalDirectory {
    service: Arc<DirectoryService>,
    address: String,
}

impl LocalDirectory {
    /// A directory whose codes lead to `address`.
    pub fn new(service: Arc<DirectoryService>, address: impl Into<String>) -> Result<Self, SettingsError> {
        let address = address.into();
        check_address(&address, true)?;
        Ok(Self { service, address })
    }
}

#[async_trait]
impl Directory for LocalDirectory {
    /// Ignores the key: it is for answers that are lost on the network.
    async fn issue(&self, rollout: bool, _idempotency_key: &str) -> Result<IssuedByDirectory, DirectoryError> {
        let request = IssueRequest { url: self.address.clone(), rollout };
        self.service.issue(&Caller::local(), &request, None, crate::clock::now()).await
    }

    async fn list(&self, code: Code, ttl: Duration) -> Result<bool, DirectoryError> {
        self.service.list(&Caller::local(), &self.address, code, ttl).await
    }

    fn lists(&self) -> bool {
        true
    }

    fn address(&self) -> &str {
        &self.address
    }

    async fn give_back(&self, code: Code) -> Result<(), DirectoryError> {
        self.service.give_back(&Caller::local(), code).await
    }
}
