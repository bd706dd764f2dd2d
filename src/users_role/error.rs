//! Errors of the Users role.

use super::backend::BackendError;
use crate::core::session::app::client::AskError;
use crate::store::StoreError;
use crate::users_role::devices_rest::DevicesError;

/// Errors of the Users role.
#[derive(Debug, thiserror::Error)]
pub enum UsersRoleError {
    /// The domain is not served, or has no such user, request or roll-out.
    #[error("no such {0}")]
    NotFound(&'static str),
    /// The chosen category or phone app does not exist (any more).
    #[error("no such {0}")]
    NoChoice(&'static str),
    /// The person has the highest allowed number of open codes.
    #[error("too many open codes")]
    TooManyOpen,
    /// The state has changed: what is to be cancelled has been used.
    #[error("{0}")]
    Conflict(&'static str),
    /// Devices cannot be reached, or has refused.
    #[error("Devices: {0}")]
    Devices(#[from] DevicesError),
    /// The backend has failed.
    #[error("backend: {0}")]
    Backend(#[from] BackendError),
    /// The store has failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<AskError> for UsersRoleError {
    fn from(error: AskError) -> Self {
        Self::Devices(error.into())
    }
}

/// Result of the Users role.
pub type Result<T> = std::result::Result<T, UsersRoleError>;
