//! TODO header

pub mod accounts;
pub mod blocked_reason;
pub mod config_kind;
pub mod device;
pub mod device_view;
pub mod ids;
pub mod root_cause;
pub mod time;
pub mod timeline;
pub mod users_role;
pub mod work;
