//! Records, identifiers and values that all layers share.
//!
//! Data and small rules about a single value only. Nothing here may use a session, a store, a connection or a clock.
//!
//! * [`accounts`]: accounts, roles, browser sessions and entries of the audit log.
//! * [`app_ip_path`]: the path of the App IP on an app platform.
//! * [`blocked_reason`]: why a device or a code does not get further.
//! * [`bundle`]: what a centre and a site remember of the bundles between them.
//! * [`config_kind`]: the kinds of configuration by name.
//! * [`device`]: device, domain, category, code and notice as sessions and stores exchange them.
//! * [`config_type`]: the published types of device configurations.
//! * [`device_config`]: device configurations as devices and apps see them.
//! * [`device_view`]: devices and domains without secrets, for clients.
//! * [`grant`]: what somebody has proved about a domain.
//! * [`hex`]: hexadecimal text.
//! * [`ids`]: identifiers and secrets that can only be made from valid text.
//! * [`quota`]: how much of the store one domain may use.
//! * [`root_cause`]: the innermost cause of an error.
//! * [`time`]: monotonic and Unix time as separate types.
//! * [`timeline`]: the events of a device or a code.
//! * [`users_role`]: persons, phone requests and entry orders of the Users role.
//! * [`work`]: progress of the jobs for one device.

pub mod accounts;
pub mod app_ip_path;
pub mod blocked_reason;
pub mod bundle;
pub mod config_kind;
pub mod config_type;
pub mod device;
pub mod device_config;
pub mod device_view;
pub mod grant;
pub mod hex;
pub mod ids;
pub mod quota;
pub mod root_cause;
pub mod time;
pub mod timeline;
pub mod users_role;
pub mod work;
