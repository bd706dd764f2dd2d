//! Kinds of configuration: their parameters, checks, and command lines.
//!
//! A kind is a table ([`kinds`]): the modules that its lines go to, and the parameters with their types, limits and options.
//! Checking, the JSON Schema, the masking of secrets and the lines are all made from that table ([`schema`], [`render`]). Only
//! two kinds need a hand of their own: certificates, which are too long for a line, and `raw`, which is lines already.
//!
//! **The names of modules and options are ours**, apart from those in `docs/protocol/update-script.md`: the vendor has
//! published no list. They follow the habits of that engine; where a device calls something otherwise, `raw` is the way
//! out.
//!
//! A job says everything of its kind: an option that it does not name goes back to what the device does by itself. Only a flag in
//! a line that is not ours alone (`noDhcp` of the update server) stays as it is unless the job names it.

pub mod placeholders;

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

mod certificates;
pub mod kinds;
mod lines;
pub mod render;
pub mod schema;
pub mod table;

pub use crate::core::model::config_kind::{Kind, UnknownKind};
pub use schema::{ConfigError, Problem};

/// What stands in the place of a secret when a configuration is shown.
pub const HIDDEN: &str = "hidden";

/// One configuration: its kind and its parameters.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Configuration {
    /// The kind, `ntp` for instance.
    pub kind: Kind,
    /// Its parameters; every value is a string, a number or a boolean.
    pub values: Map<String, Value>,
}

impl Configuration {
    /// Whether all parameters are known, present where they must be, and acceptable. The error names the parameter.
    pub fn check(&self) -> Result<(), ConfigError> {
        self.kind.schema().check(&self.values)
    }

    /// The configuration with [`HIDDEN`] in the place of every secret, to be shown to people.
    #[must_use]
    pub fn masked(&self) -> Self {
        let mut values = self.values.clone();
        for field in self.kind.schema().fields().filter(|field| field.secret) {
            if let Some(value) = values.get_mut(field.name) {
                *value = HIDDEN.into();
            }
        }
        Self { kind: self.kind, values }
    }
}

impl fmt::Debug for Configuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The values may hold passwords.
        f.debug_struct("Configuration").field("kind", &self.kind).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
