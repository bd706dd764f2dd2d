//! TODO header

pub mod actor;
pub(crate) mod job_metrics;
pub(crate) mod jobs;
pub(crate) mod messages;
pub(crate) mod registration_gate;
pub(crate) mod stage_timer;
pub mod tunnel;
pub(crate) mod unassigned;
