//! TODO header

pub mod actor;
pub(crate) mod change_signal;
pub(crate) mod coalesce;
pub mod membership_batch;
pub mod paced_broadcast;
pub mod registry;
