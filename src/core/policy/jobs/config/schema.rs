//! The schema of a kind: its parameters, and the check and JSON Schema that are generated from them.

use std::fmt;

use regex_lite::Regex;
use serde_json::{Map, Value, json};

use super::Kind;
use crate::core::protocol::percent;

/// Longest value of an option once it is encoded, so that a line stays below 2000 bytes
/// (`docs/protocol/update-script.md` section 2).
pub const ENCODED_MAX: usize = 1800;

/// A parameter is missing, unknown, or not acceptable. Never contains the value: it may be a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct ConfigError {
    /// Name of the parameter; `values` if the problem is not about a single one.
    pub field: String,
    /// What is wrong with it.
    pub problem: Problem,
}

/// What is wrong with a parameter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// The kind has no such parameter.
    #[error("{0} has no such parameter")]
    Unknown(Kind),
    /// It is required.
    #[error("is missing")]
    Missing,
    /// The configuration has no parameter at all.
    #[error("at least one parameter is needed")]
    Nothing,
    /// It requires another parameter.
    #[error("needs {0} too")]
    Needs(&'static str),
    /// It has another type.
    #[error("must be {0}")]
    Type(&'static str),
    /// It is an empty text; it has to be left out instead.
    #[error("is empty; leave it out instead")]
    Empty,
    /// It has more characters than this.
    #[error("is longer than {0} characters")]
    TooLong(usize),
    /// It is longer than [`ENCODED_MAX`] after encoding.
    #[error("is too long for a line once it is encoded")]
    TooLongEncoded,
    /// It has line ends or other control characters.
    #[error("has control characters")]
    Control,
    /// It is out of this range.
    #[error("must be {0} to {1}")]
    Range(i64, i64),
    /// It is not one of these.
    #[error("must be one of {}", .0.join(", "))]
    Choice(&'static [&'static str]),
    /// It does not match this description.
    #[error("must be {0}")]
    Form(&'static str),
    /// One of its lines is wrong; lines count from 1.
    #[error("line {0}: {1}")]
    Line(usize, &'static str),
}

/// The form of a text. The expression also goes into the JSON Schema, so it uses only what both dialects support.
#[derive(Debug, Clone, Copy)]
pub struct Pattern {
    /// Regular expression.
    pub regex: &'static str,
    /// Description for people, after "must be".
    pub about: &'static str,
}

/// A rule that types cannot express.
pub type Rule = fn(&str) -> Result<(), Problem>;

/// The type of a parameter.
#[derive(Clone, Copy)]
pub enum Type {
    /// A text on one line, with at most this many characters.
    Text(usize),
    /// A text of this form.
    Form(Pattern),
    /// A text with several lines, with at most this many bytes; the function checks the rest.
    Block(usize, Rule),
    /// A whole number, both bounds inclusive.
    Number(i64, i64),
    /// Yes or no.
    Flag,
    /// One of these texts.
    Choice(&'static [&'static str]),
}

/// A parameter.
#[derive(Clone, Copy)]
pub struct Field {
    /// Name of the member.
    pub name: &'static str,
    /// Word in the line, with its slash; empty if it does not become an option.
    pub option: &'static str,
    /// Type and limits.
    pub kind: Type,
    /// Description for people.
    pub about: &'static str,
    /// It must be given.
    pub required: bool,
    /// It is never shown.
    pub secret: bool,
    /// Placeholders in it are filled in for every device ([`crate::core::policy::jobs::config::placeholders`]).
    pub per_device: bool,
    /// It requires this other parameter.
    pub needs: Option<&'static str>,
    /// An additional rule.
    pub also: Option<Rule>,
}

impl Field {
    /// An optional parameter.
    pub(super) const fn new(name: &'static str, option: &'static str, kind: Type, about: &'static str) -> Self {
        Self { name, option, kind, about, required: false, secret: false, per_device: false, needs: None, also: None }
    }

    /// Makes it required.
    pub(super) const fn required(self) -> Self {
        Self { required: true, ..self }
    }

    /// Marks it as never to be shown.
    pub(super) const fn secret(self) -> Self {
        Self { secret: true, ..self }
    }

    /// Fills in placeholders in it.
    pub(super) const fn per_device(self) -> Self {
        Self { per_device: true, ..self }
    }

    /// Makes it require `other`.
    pub(super) const fn needs(self, other: &'static str) -> Self {
        Self { needs: Some(other), ..self }
    }

    /// Adds a rule.
    pub(super) const fn also(self, rule: Rule) -> Self {
        Self { also: Some(rule), ..self }
    }

    fn check(&self, value: &Value) -> Result<(), Problem> {
        match self.kind {
            Type::Number(min, max) => {
                let number = value.as_i64().ok_or(Problem::Type("a whole number"))?;
                if (min..=max).contains(&number) { Ok(()) } else { Err(Problem::Range(min, max)) }
            }
            Type::Flag => value.as_bool().map(drop).ok_or(Problem::Type("true or false")),
            Type::Block(max, rule) => {
                let text = text(value)?;
                if text.len() > max { Err(Problem::TooLong(max)) } else { rule(text) }
            }
            Type::Choice(words) => {
                if words.contains(&text(value)?) {
                    Ok(())
                } else {
                    Err(Problem::Choice(words))
                }
            }
            Type::Text(max) => {
                let text = text(value)?;
                if text.chars().count() > max {
                    return Err(Problem::TooLong(max));
                }
                self.one_line(text)
            }
            Type::Form(pattern) => {
                let text = text(value)?;
                let fits = Regex::new(pattern.regex).is_ok_and(|regex| regex.is_match(text));
                if fits { self.one_line(text) } else { Err(Problem::Form(pattern.about)) }
            }
        }
    }

    fn one_line(&self, text: &str) -> Result<(), Problem> {
        if text.chars().any(char::is_control) {
            return Err(Problem::Control);
        }
        if percent::encode(text).len() > ENCODED_MAX {
            return Err(Problem::TooLongEncoded);
        }
        self.also.map_or(Ok(()), |rule| rule(text))
    }

    fn json_schema(&self) -> Value {
        let mut schema = match self.kind {
            Type::Text(max) | Type::Block(max, _) => json!({"type": "string", "minLength": 1, "maxLength": max}),
            Type::Form(pattern) => json!({"type": "string", "pattern": pattern.regex}),
            Type::Number(min, max) => json!({"type": "integer", "minimum": min, "maximum": max}),
            Type::Flag => json!({"type": "boolean"}),
            Type::Choice(words) => json!({"type": "string", "enum": words}),
        };
        let about =
            if self.per_device { format!("{} Placeholders are filled in.", self.about) } else { self.about.into() };
        schema["description"] = about.into();
        if self.secret {
            schema["format"] = "password".into();
            schema["writeOnly"] = true.into();
        }
        schema
    }
}

impl fmt::Debug for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

fn text(value: &Value) -> Result<&str, Problem> {
    match value.as_str() {
        None => Err(Problem::Type("a text")),
        Some("") => Err(Problem::Empty),
        Some(text) => Ok(text),
    }
}

/// How a line sets its options.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// The whole line of the module is ours.
    Change,
    /// Others have options in the same line: each of ours is set or removed on its own.
    Add,
}

/// A line of a kind: a module, and the parameters that become its options.
#[derive(Debug)]
pub struct OptionLine {
    /// How the options are set.
    pub verb: Verb,
    /// The module.
    pub module: &'static str,
    /// The word after the module, if the module has several lines.
    pub part: Option<&'static str>,
    /// The options.
    pub fields: &'static [Field],
}

/// How the lines of a kind are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// From the table.
    Table,
    /// From the table, once for every port that the first parameter names; the port is the module.
    EachPort,
    /// Variables with pieces of certificates.
    Certificates,
    /// The lines are the parameter.
    Raw,
}

/// A kind of configuration.
#[derive(Debug)]
pub struct Schema {
    /// The kind.
    pub kind: Kind,
    /// Description for people.
    pub about: &'static str,
    /// How its lines are made.
    pub how: How,
    /// Its lines with all parameters.
    pub lines: &'static [OptionLine],
}

impl Schema {
    /// All parameters.
    pub fn fields(&self) -> impl Iterator<Item = &'static Field> + use<> {
        self.lines.iter().flat_map(|line| line.fields)
    }

    pub(super) fn check(&self, values: &Map<String, Value>) -> Result<(), ConfigError> {
        let error = |field: &str, problem| ConfigError { field: field.to_owned(), problem };
        if let Some(name) = values.keys().find(|name| !self.fields().any(|field| field.name == **name)) {
            return Err(error(&crate::core::policy::jobs::builds::shown(name), Problem::Unknown(self.kind)));
        }
        for field in self.fields() {
            match values.get(field.name) {
                None if field.required => return Err(error(field.name, Problem::Missing)),
                None => {}
                Some(value) => {
                    field.check(value).map_err(|problem| error(field.name, problem))?;
                    if let Some(other) = field.needs.filter(|other| !values.contains_key(*other)) {
                        return Err(error(field.name, Problem::Needs(other)));
                    }
                }
            }
        }
        if values.is_empty() { Err(error("values", Problem::Nothing)) } else { Ok(()) }
    }

    /// The parameters as a JSON Schema (2020-12).
    pub fn json_schema(&self) -> Value {
        let properties: Map<String, Value> =
            self.fields().map(|field| (field.name.to_owned(), field.json_schema())).collect();
        let required: Vec<&str> = self.fields().filter(|field| field.required).map(|field| field.name).collect();
        let mut schema = json!({
            "type": "object",
            "title": self.kind.name(),
            "description": self.about,
            "properties": properties,
            "additionalProperties": false,
        });
        if required.is_empty() {
            schema["minProperties"] = 1.into();
        } else {
            schema["required"] = required.into();
        }
        let needs: Map<String, Value> =
            self.fields().filter_map(|field| Some((field.name.to_owned(), json!([field.needs?])))).collect();
        if !needs.is_empty() {
            schema["dependentRequired"] = needs.into();
        }
        schema
    }
}

/// A [`super::Configuration`] as a JSON Schema (2020-12): one alternative for each kind.
pub fn json_schema() -> Value {
    let alternative = |kind: Kind| {
        json!({
            "type": "object",
            "title": kind.name(),
            "properties": {"kind": {"const": kind.name()}, "values": kind.schema().json_schema()},
            "required": ["kind", "values"],
        })
    };
    json!({"oneOf": Kind::ALL.map(alternative)})
}
