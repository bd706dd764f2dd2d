//! Why the Users role has not done what it was asked.

use super::backend::BackendError;
use crate::core::session::app::client::AskError;
use crate::store::StoreError;
use crate::users_role::devices_rest::DevicesError;

/// Why the Users role has not done what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum UsersRoleError {
    /// There is no such thing in this domain: a domain that is not served, a user, a request, a roll-out.
    #[error("no such {0}")]
    NotFound(&'static str),
    /// What was chosen for a phone is not there (any more): the category, or the phone app.
    #[error("no such {0}")]
    NoChoice(&'static str),
    /// The person has as many open codes as they may have.
    #[error("too many open codes")]
    TooManyOpen,
    /// It does not fit any more: what is to be cancelled has been used.
    #[error("{0}")]
    Conflict(&'static str),
    /// Devices cannot be asked, or has refused.
    #[error("Devices: {0}")]
    Devices(#[from] DevicesError),
    /// The backend cannot be asked.
    #[error("backend: {0}")]
    Backend(#[from] BackendError),
    /// The store does not answer.
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
