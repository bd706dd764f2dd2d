//! Both ends of an app connection as state machines. Most clients act as Users, hence the name.

pub mod client;
pub mod event;
pub mod rights;
pub mod session;
pub mod settling;
