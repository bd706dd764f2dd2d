//! Errors of the operators' service.

use std::time::Duration;

use crate::core::model::quota::OverQuota;
use crate::store::StoreError;

/// Why a call of an operator failed. Nothing has changed then.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// The object does not exist, or is outside the authority of the caller.
    #[error("there is no such {0}")]
    NotFound(&'static str),
    /// The call conflicts with the current state; the reason.
    #[error("{0}")]
    Conflict(String),
    /// A member of the request is invalid.
    #[error("{field}: {why}")]
    Invalid {
        /// Name of the member; nested members are joined by dots.
        field: String,
        /// Reason.
        why: String,
    },
    /// A member of the request is valid but conflicts with the current state.
    #[error("{field}: {why}")]
    Unfit {
        /// Name of the member; nested members are joined by dots.
        field: String,
        /// Reason.
        why: String,
    },
    /// The authority of the caller is not sufficient.
    #[error("{0}")]
    NotAllowed(&'static str),
    /// The authority of the caller has ended since the call began.
    #[error("what you have logged in with does not hold any more; log in again")]
    Ended,
    /// A limit is exceeded.
    #[error("{0}")]
    TooMany(&'static str),
    /// The domain has as much as it may have.
    #[error(transparent)]
    OverQuota(#[from] OverQuota),
    /// The password was not looked at: after many wrong ones it would have to wait this long.
    #[error("too many wrong passwords; try again later")]
    TryLater(Duration),
    /// The store or the directory does not answer; try again later.
    #[error("{0}")]
    Unavailable(String),
}

impl AdminError {
    /// An invalid member.
    pub fn invalid(field: impl Into<String>, why: impl Into<String>) -> Self {
        Self::Invalid { field: field.into(), why: why.into() }
    }

    /// A member that conflicts with the current state.
    pub fn unfit(field: impl Into<String>, why: impl Into<String>) -> Self {
        Self::Unfit { field: field.into(), why: why.into() }
    }
}

impl From<StoreError> for AdminError {
    fn from(error: StoreError) -> Self {
        if let StoreError::OverQuota(over) = error {
            return Self::OverQuota(over);
        }
        tracing::warn!(%error, "call of an operator failed: store error");
        Self::Unavailable("the store does not answer; try again later".into())
    }
}
