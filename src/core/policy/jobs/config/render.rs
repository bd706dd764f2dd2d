//! Renders parameters as command lines, and fills in placeholders.

use serde_json::{Map, Value};

use super::schema::{Field, How, OptionLine, Type, Verb};
use super::{Configuration, certificates, lines};
use crate::core::model::device::Device;
use crate::core::policy::jobs::config::placeholders::Placeholders;
use crate::core::protocol::script::{Command, Setting};

/// Longest line that is written; a longer one is continued by `config add`.
const LINE_MAX: usize = 1999;

impl Configuration {
    /// The lines for a device, in order, without `config write` and `config activate`. For parameters that were
    /// [checked](Configuration::check).
    pub fn lines(&self, device: &Device) -> Vec<String> {
        self.commands(device).iter().map(ToString::to_string).collect()
    }

    fn commands(&self, device: &Device) -> Vec<Command> {
        let schema = self.kind.schema();
        let mut placeholders = Placeholders::of(device);
        let block = || schema.fields().find_map(|field| self.values.get(field.name)?.as_str()).unwrap_or_default();
        let mut commands = Vec::new();
        match schema.how {
            How::Table => {
                schema.lines.iter().for_each(|line| self.line(line, line.module, &placeholders, &mut commands));
            }
            How::EachPort => {
                let ports = block();
                for port in ports.split(',') {
                    placeholders.port = Some(port);
                    schema.lines.iter().for_each(|line| self.line(line, port, &placeholders, &mut commands));
                }
            }
            How::Certificates => commands = certificates::commands(block()),
            How::Raw => commands.extend(lines::commands(block())),
        }
        commands
    }

    /// One line of the table, and what does not fit into it.
    fn line(&self, line: &OptionLine, module: &str, placeholders: &Placeholders, commands: &mut Vec<Command>) {
        let part = line.part.map(Setting::flag);
        let start = || -> Vec<Setting> { part.iter().cloned().collect() };
        let (mut options, mut length) = (start(), 0);
        let mut removed = Vec::new();
        let mut written = Vec::new();
        for field in line.fields.iter().filter(|field| !field.option.is_empty()) {
            let Some(setting) = self.setting(field, placeholders) else {
                // A flag in a line of others may have been set by them; only a job that names it takes it away.
                if !matches!(field.kind, Type::Flag) || self.values.contains_key(field.name) {
                    removed.push(Command::ConfigRem { module: module.into(), option: field.option.into() });
                }
                continue;
            };
            let words = setting.option.len() + setting.value.as_ref().map_or(0, |value| value.expose().len()) + 2;
            // The words before the options are short.
            if length + words > LINE_MAX - 64 {
                written.push(std::mem::replace(&mut options, start()));
                length = 0;
            }
            length += words;
            options.push(setting);
        }
        if line.verb == Verb::Change || options.len() > start().len() || !written.is_empty() {
            written.push(options);
        }
        for (at, options) in written.into_iter().enumerate() {
            let module = module.into();
            commands.push(if at == 0 && line.verb == Verb::Change {
                Command::ConfigChange { module, options }
            } else {
                Command::ConfigAdd { module, options }
            });
        }
        if line.verb == Verb::Add {
            commands.append(&mut removed);
        }
    }

    /// The option, if the parameter says that it is to be set.
    fn setting(&self, field: &Field, placeholders: &Placeholders) -> Option<Setting> {
        match self.values.get(field.name)? {
            Value::Bool(set) => set.then(|| Setting::flag(field.option)),
            Value::String(text) => Some(Setting::new(field.option, &filled(field, text, placeholders))),
            value => Some(Setting::new(field.option, &value.to_string())),
        }
    }

    /// The parameters with placeholders filled in, for a device with `other` (`docs/protocol/sysclient.md` 3.6).
    pub fn filled(&self, device: &Device) -> Map<String, Value> {
        let placeholders = Placeholders::of(device);
        let mut values = self.values.clone();
        for field in self.kind.schema().fields().filter(|field| field.per_device) {
            if let Some(Value::String(text)) = values.get_mut(field.name) {
                *text = filled(field, text, &placeholders);
            }
        }
        values
    }
}

fn filled(field: &Field, text: &str, placeholders: &Placeholders) -> String {
    match field.kind {
        Type::Text(max) if field.per_device => placeholders.fill(text, max),
        _ => text.to_owned(),
    }
}
