//! Why an operator's call was not done.

use crate::store::StoreError;

/// Why an operator's call was not done. Nothing has changed then.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// There is no such thing, or it is outside the authority of the caller.
    #[error("there is no such {0}")]
    NotFound(&'static str),
    /// It stands against the present state: the reason.
    #[error("{0}")]
    Conflict(String),
    /// A member of the request is wrong.
    #[error("{field}: {why}")]
    Invalid {
        /// Which one; members within members are joined by dots.
        field: String,
        /// What is wrong with it.
        why: String,
    },
    /// A member of the request is right in itself, but does not fit what is there.
    #[error("{field}: {why}")]
    Unfit {
        /// Which one; members within members are joined by dots.
        field: String,
        /// What it does not fit.
        why: String,
    },
    /// The authority of the caller does not suffice.
    #[error("{0}")]
    NotAllowed(&'static str),
    /// Too many of something.
    #[error("{0}")]
    TooMany(&'static str),
    /// Another part is not there: try again later.
    #[error("{0}")]
    Unavailable(String),
}

impl AdminError {
    /// A wrong member.
    pub fn invalid(field: impl Into<String>, why: impl Into<String>) -> Self {
        Self::Invalid { field: field.into(), why: why.into() }
    }

    /// A member that does not fit what is there.
    pub fn unfit(field: impl Into<String>, why: impl Into<String>) -> Self {
        Self::Unfit { field: field.into(), why: why.into() }
    }
}

impl From<StoreError> for AdminError {
    fn from(error: StoreError) -> Self {
        tracing::warn!(%error, "operator's call failed");
        Self::Unavailable("the store does not answer; try again later".into())
    }
}
