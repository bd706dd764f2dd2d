//! The directory inside Devices: the calls of section 3 as function calls (`directory.md` section 7).

use std::sync::Arc;

use async_trait::async_trait;

use super::{
    Caller, Directory, DirectoryError, DirectoryService, IssueRequest, IssuedByDirectory, SettingsError, check_address,
};
use crate::core::ids::Code;

/// A directory in this process. Its codes belong to the credential `local`, which nobody can have over the network.
pub struct LocalDirectory {
    service: Arc<DirectoryService>,
    address: String,
}

impl LocalDirectory {
    /// A directory whose codes lead to `address`.
    pub fn new(service: Arc<DirectoryService>, address: impl Into<String>) -> Result<Self, SettingsError> {
        let address = address.into();
        check_address(&address, service.settings().allow_ws)?;
        Ok(Self { service, address })
    }
}

#[async_trait]
impl Directory for LocalDirectory {
    async fn issue(&self, rollout: bool, idempotency_key: &str) -> Result<IssuedByDirectory, DirectoryError> {
        let request = IssueRequest { url: self.address.clone(), rollout };
        // Stands for the body that would be sent: the key belongs to it.
        let body = format!("{rollout} {}", self.address);
        let now = crate::clock::now();
        self.service.issue(&Caller::local(), &request, Some((idempotency_key, body.as_bytes())), now).await
    }

    async fn give_back(&self, code: Code) -> Result<(), DirectoryError> {
        self.service.give_back(&Caller::local(), code).await
    }
}
