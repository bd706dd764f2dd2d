//! One copy of a device's configuration: an option line for each module (`docs/protocol/update-script.md` 3.2).
//!
//! Values arrive percent-encoded and are decoded here, once; a value with broken encoding is kept unchanged.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::core::model::ids::Secret;
use crate::core::protocol::percent;
use crate::core::protocol::script::{Command, Script, Setting};

/// The option lines of all modules.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Config(BTreeMap<Box<str>, Vec<Stored>>);

/// An option with its decoded value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Stored {
    option: Box<str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    value: Option<Secret>,
}

/// A value, decoded.
pub(super) fn decoded(value: &Secret) -> Secret {
    percent::decode(value.expose()).map_or_else(|_| value.clone(), Secret::new)
}

impl Config {
    /// The value of an option, decoded; `None` if the option is not set or has no value.
    pub fn value(&self, module: &str, option: &str) -> Option<&Secret> {
        self.0.get(module)?.iter().find(|stored| &*stored.option == option)?.value.as_ref()
    }

    /// Whether an option is set, with or without value.
    pub fn has(&self, module: &str, option: &str) -> bool {
        self.0.get(module).is_some_and(|line| line.iter().any(|stored| &*stored.option == option))
    }

    /// Whether no module has a line.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Replaces the line of a module.
    pub(super) fn change(&mut self, module: &str, options: &[Setting]) {
        self.0.remove(module);
        self.add(module, options);
    }

    /// Sets these options, keeps the others.
    pub(super) fn add(&mut self, module: &str, options: &[Setting]) {
        let line = self.0.entry(module.into()).or_default();
        for Setting { option, value } in options {
            let value = value.as_ref().map(decoded);
            match line.iter_mut().find(|stored| stored.option == *option) {
                Some(stored) => stored.value = value,
                None => line.push(Stored { option: option.clone(), value }),
            }
        }
    }

    /// Removes one option.
    pub(super) fn remove(&mut self, module: &str, option: &str) {
        if let Some(line) = self.0.get_mut(module) {
            line.retain(|stored| &*stored.option != option);
        }
    }

    /// The script that creates this configuration.
    pub(super) fn script(&self) -> Secret {
        let commands = self.0.iter().map(|(module, line)| {
            let setting = |stored: &Stored| match &stored.value {
                Some(value) => Setting::new(&stored.option, value.expose()),
                None => Setting::flag(&stored.option),
            };
            Command::ConfigChange { module: module.clone(), options: line.iter().map(setting).collect() }
        });
        Secret::new(Script(commands.collect()).to_string())
    }
}
