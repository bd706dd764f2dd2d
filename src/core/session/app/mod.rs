//! Both ends of an app connection as state machines. Most clients act as Users, hence the name.

pub mod client;
pub mod event;
mod following;
pub mod known;
pub mod logged_in;
mod replies;
pub mod rights;
pub mod session;
pub mod settling;
mod slots;
pub mod subscription;
pub mod walk;
