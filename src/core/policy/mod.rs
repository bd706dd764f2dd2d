//! TODO header

pub mod admission;
pub mod backoff;
pub mod blocked_reason;
pub mod entry;
pub mod jobs;
pub mod limits;
pub mod log_limiter;
pub mod mailbox;
pub mod oidc_claims;
pub mod storm;
