//! Kinds of configuration: their parameters, checks, and command lines.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// One configuration: its kind and its parameters.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Configuration {
    /// The kind, `ntp` for instance.
    pub kind: Kind,
    /// Its parameters; every value is a string, a number or a boolean.
    pub values: Map<String, Value>,
}

impl fmt::Debug for Configuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The values may hold passwords.
        f.debug_struct("Configuration").field("kind", &self.kind).finish_non_exhaustive()
    }
}

/// A kind of configuration; a device gets the latest job of every kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Time servers.
    Ntp,
    /// Lines of the script language.
    Raw,
}
