//! Kinds of configuration: their parameters, checks, and command lines (`docs/protocol/update-script.md` 3.2).
//!
//! A kind is a table ([`kinds`]): the modules that its lines configure, and the parameters with their types, limits
//! and options. Checks, the JSON Schema, the masking of secrets and the lines are generated from that table
//! ([`schema`], [`render`]). Only two kinds have code of their own: certificates, which are too long for a line, and
//! `raw`, which consists of lines.
//!
//! **The names of modules and options are ours**, apart from those in `docs/protocol/update-script.md`: the vendor has
//! published no list. They follow the conventions of that language; where a device uses other names, `raw` is the
//! alternative.
//!
//! A job sets the whole kind: an option that it does not name returns to the device's default. Only a flag in a line
//! that others write as well (`noDhcp` of the update server) stays as it is unless the job names it.

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
pub use crate::core::model::device_config::HIDDEN;
pub use schema::{ConfigError, Problem};

/// One configuration: its kind and its parameters.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Configuration {
    /// The kind, `ntp` for instance.
    pub kind: Kind,
    /// Its parameters; every value is a string, a number or a boolean.
    pub values: Map<String, Value>,
}

impl Configuration {
    /// Checks that all parameters are known, acceptable, and present where required. The error names the parameter.
    pub fn check(&self) -> Result<(), ConfigError> {
        self.kind.schema().check(&self.values)?;
        kinds::ports_apart(&self.values)
    }

    /// The configuration with [`HIDDEN`] in place of every secret, for display.
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
