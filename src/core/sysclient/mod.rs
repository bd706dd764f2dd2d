//! The device protocol ("sysclient").

pub mod auth;
