//! TODO header

pub mod appws;
pub mod close;
pub mod csv;
pub mod frame_guard;
pub mod init;
pub mod json;
pub mod loopback;
pub mod percent;
pub mod script;
pub mod sysclient;
