//! Environment variables `PROVBROKER__SECTION__KEY`, which override the file.
//!
//! The type of a key is the type of its default, so a value needs no quotes and a list may be written `a,b`. A TOML
//! value of the right type is read as such. `[[domains]]` and `[[accounts]]` can only be set in the file.

use toml::{Table, Value};

use super::sections::Config;
use super::{ConfigError, retired, source};

/// Prefix of all variables.
pub(super) const PREFIX: &str = "PROVBROKER__";

/// The variable of a key such as `server.listen`.
pub(super) fn name_of(key: &str) -> String {
    format!("{PREFIX}{}", key.replace('.', "__").to_uppercase())
}

/// Applies the variables to the configuration.
pub(super) fn overlay(config: Config, variables: &[(String, String)]) -> Result<Config, ConfigError> {
    let ours: Vec<_> = variables.iter().filter(|(name, _)| name.starts_with(PREFIX)).collect();
    if ours.is_empty() {
        return Ok(config);
    }
    let mut table = Table::try_from(&config).map_err(|e| ConfigError::new("configuration", e))?;
    let mut config = config;
    for (name, text) in ours {
        let path = name[PREFIX.len()..].to_lowercase();
        let (section, key) = path.split_once("__").unwrap_or((path.as_str(), ""));
        if matches!(section, "domains" | "accounts") {
            let problem = format_args!("{section} cannot be set by a variable; put them into the file");
            return Err(ConfigError::new(name, problem));
        }
        // `users.webhook.url` is PROVBROKER__USERS__WEBHOOK__URL.
        let key = key.replace("__", ".");
        if let Some(keys) = table.get_mut(section).and_then(Value::as_table_mut)
            && retired::is_retired(section, &key)
        {
            keys.insert(key.clone(), Value::Boolean(true));
        }
        let slot = key.split('.').fold(table.get_mut(section), |slot, part| {
            slot.and_then(Value::as_table_mut).and_then(|keys| keys.get_mut(part))
        });
        let Some(slot) = slot.filter(|slot| !slot.is_table()) else {
            return Err(ConfigError::new(name, "no such key; write PROVBROKER__SECTION__KEY or remove the variable"));
        };
        if !retired::is_retired(section, &key) {
            *slot =
                value_like(slot, text).map_err(|wanted| ConfigError::new(name, format_args!("must be {wanted}")))?;
        }
        // Converted after each variable, so that an error names the variable.
        config = table.clone().try_into().map_err(|error: toml::de::Error| {
            ConfigError::new(name, source::describe(Some(&format!("{section}.{key}")), error.message()))
        })?;
    }
    Ok(config)
}

/// Reads `text` as a value of the type of `example`; the error says what was expected.
fn value_like(example: &Value, text: &str) -> Result<Value, &'static str> {
    let as_toml = || {
        let mut table: Table = toml::from_str(&format!("v = {}", text.trim())).ok()?;
        // A line break in the text could add a second key.
        (table.len() == 1).then(|| table.remove("v")).flatten()
    };
    let parsed = as_toml().filter(|value| value.same_type(example));
    match example {
        Value::String(_) => Ok(parsed.unwrap_or_else(|| Value::String(text.to_owned()))),
        Value::Array(_) => Ok(parsed.unwrap_or_else(|| {
            let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
            Value::Array(items.map(|item| Value::String(item.to_owned())).collect())
        })),
        Value::Boolean(_) => parsed.ok_or("true or false"),
        Value::Integer(_) => parsed.ok_or("a whole number"),
        _ => parsed.ok_or("a value of another type"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_take_the_type_of_the_key() {
        let string = Value::String(String::new());
        assert_eq!(value_like(&string, "123").unwrap().as_str(), Some("123"));
        assert_eq!(value_like(&string, "\"a b\"").unwrap().as_str(), Some("a b"));
        assert_eq!(value_like(&string, "say \"hi\"").unwrap().as_str(), Some("say \"hi\""));
        let list = Value::Array(Vec::new());
        assert_eq!(value_like(&list, "a, b").unwrap(), value_like(&list, "[\"a\", \"b\"]").unwrap());
        assert_eq!(value_like(&list, "").unwrap(), list);
        assert!(value_like(&Value::Integer(1), "many").is_err());
        assert!(value_like(&Value::Boolean(true), "1").is_err());
        assert!(value_like(&Value::Integer(1), "1\nw = 2").is_err());
    }
}
