//! The commands `store` and `keys`.

use clap::Subcommand;

use super::call::{Call, Show};

/// The store.
#[derive(Debug, Subcommand)]
pub enum Store {
    /// Show version, migration and keys; only with the instance password
    Status,
}

/// The instance key.
#[derive(Debug, Subcommand)]
pub enum Keys {
    /// Show the generations, and how far a rotation has come; only with the instance password
    Status,
    /// Make a new generation and seal everything with it; only with the instance password
    Rotate,
}

impl Store {
    pub(super) fn call(&self) -> Call {
        match self {
            Self::Status => Call::new("GET", "/store", Show::Thing),
        }
    }
}

impl Keys {
    pub(super) fn call(&self) -> Call {
        match self {
            Self::Status => Call::new("GET", "/store", Show::Thing),
            Self::Rotate => Call::new("POST", "/keys/rotation", Show::Thing),
        }
    }
}
