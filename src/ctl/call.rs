//! A call of the REST interface: method, path, query, body, and how its answer is shown.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Map, Value};

use super::CtlError;
use crate::core::model::ids::Secret;
use crate::core::protocol::percent;

/// Reads the files that arguments name.
pub trait Files {
    /// The text of a file.
    fn read(&self, file: &Path) -> std::io::Result<String>;
}

/// The text of a file that an argument names.
pub(super) fn text(files: &dyn Files, file: &Path) -> Result<String, CtlError> {
    files.read(file).map_err(|error| CtlError::Arguments(format!("{}: {error}", file.display())))
}

/// A secret from a file, without the line break at its end.
pub(super) fn secret(files: &dyn Files, file: &Path) -> Result<Secret, CtlError> {
    let text = text(files, file)?;
    let line = text.strip_suffix('\n').unwrap_or(&text);
    Ok(Secret::new(line.strip_suffix('\r').unwrap_or(line)))
}

/// Limit for the length of a list.
#[derive(Debug, Clone, Copy, Args)]
pub struct Limit {
    /// Stop after this many entries [default: the whole list]
    #[arg(long, value_name = "N")]
    pub(super) limit: Option<u64>,
}

/// Request body.
#[derive(Default)]
pub(super) enum Body {
    /// Nothing.
    #[default]
    None,
    /// JSON.
    Json(Value),
    /// The text of a JSON file, sent unchecked: the broker checks it.
    Text(String),
    /// A bundle, sent as it is read, with its key.
    Bundle(PathBuf, Secret),
    /// A file as CSV, sent as it is read; `-` is standard input.
    Csv(PathBuf),
}

/// A column of a table: its title, and the path of its value in a row. Dots separate nested members.
pub(super) type Column = (&'static str, &'static str);

/// How an answer is shown.
#[derive(Clone, Copy)]
pub(super) enum Show {
    /// No output.
    Nothing,
    /// A single object, one line for each member.
    Thing,
    /// The rows of a member.
    List(List),
    /// CSV, passed on unchanged.
    Csv,
}

/// How a list in an answer is shown.
#[derive(Clone, Copy)]
pub(super) struct List {
    /// The member with the list.
    pub member: &'static str,
    /// Columns of the table.
    pub columns: &'static [Column],
    /// Member of an entry that is a list itself: each of its items becomes a row.
    pub each: Option<&'static str>,
    /// The list has pages, linked by `next`; at most this many entries are read.
    pub pages: Option<Limit>,
    /// Another member of the answer, shown below the table.
    pub below: Option<&'static str>,
}

impl List {
    pub const fn whole(member: &'static str, columns: &'static [Column]) -> Show {
        Show::List(Self { member, columns, each: None, pages: None, below: None })
    }

    pub const fn paged(member: &'static str, columns: &'static [Column], limit: Limit) -> Show {
        Show::List(Self { member, columns, each: None, pages: Some(limit), below: None })
    }
}

/// A call of the REST interface. It may contain secrets, so `Debug` shows the operation only.
pub struct Call {
    pub(super) method: &'static str,
    template: &'static str,
    parameters: BTreeMap<&'static str, String>,
    pub(super) query: Vec<(&'static str, String)>,
    pub(super) body: Body,
    pub(super) show: Show,
}

impl Call {
    /// A call of `method` at `template`, a path of the OpenAPI document without `/api/v1`.
    pub(super) const fn new(method: &'static str, template: &'static str, show: Show) -> Self {
        Self { method, template, parameters: BTreeMap::new(), query: Vec::new(), body: Body::None, show }
    }

    /// Sets a parameter of the path.
    pub(super) fn at(mut self, parameter: &'static str, value: &(impl ToString + ?Sized)) -> Self {
        self.parameters.insert(parameter, value.to_string());
        self
    }

    /// Sets the domain, unless the path has one already.
    pub(super) fn within(mut self, domain: &str) -> Self {
        self.parameters.entry("domain").or_insert_with(|| domain.to_owned());
        self
    }

    /// Adds a query parameter if there is a value.
    pub(super) fn query<T: ToString>(mut self, name: &'static str, value: Option<&T>) -> Self {
        self.query.extend(value.map(|value| (name, value.to_string())));
        self
    }

    /// Sets a JSON body from the members that have a value.
    pub(super) fn json<const N: usize>(mut self, members: [(&str, Option<Value>); N]) -> Self {
        let given = members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
        self.body = Body::Json(Value::Object(given.collect::<Map<_, _>>()));
        self
    }

    /// Sets another body.
    pub(super) fn body(mut self, body: Body) -> Self {
        self.body = body;
        self
    }

    /// Method and path as in the OpenAPI document.
    pub fn operation(&self) -> (&'static str, String) {
        (self.method, format!("/api/v1{}", self.template))
    }

    /// The names of the query parameters.
    pub fn query_names(&self) -> impl Iterator<Item = &'static str> {
        self.query.iter().map(|(name, _)| *name)
    }

    /// The members of a JSON body made by [`Call::json`].
    pub fn members(&self) -> Option<Vec<&str>> {
        match &self.body {
            Body::Json(Value::Object(members)) => Some(members.keys().map(String::as_str).collect()),
            _ => None,
        }
    }

    /// The path with all parameters.
    pub fn path(&self) -> Result<String, CtlError> {
        let mut path = "/api/v1".to_owned();
        for segment in self.template.split('/').skip(1) {
            let filled = match segment.strip_prefix('{').and_then(|name| name.strip_suffix('}')) {
                None => segment.to_owned(),
                Some(name) => match self.parameters.get(name).map(String::as_str) {
                    // These values would change the structure of the path.
                    Some(value @ ("" | "." | "..")) => {
                        return Err(CtlError::Arguments(format!("{value:?} is not a {name}")));
                    }
                    Some(value) => percent::encode(value),
                    None => {
                        let line = "which domain? set it with --in DOMAIN, or log in with --domain DOMAIN";
                        return Err(CtlError::Arguments(line.into()));
                    }
                },
            };
            path.push('/');
            path.push_str(&filled);
        }
        Ok(path)
    }
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.template)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_keeps_its_segments() {
        let call = |code: &str| Call::new("GET", "/domains/{domain}/codes/{code}", Show::Thing).at("code", code);
        assert_eq!(call("a/b?c").within("x.example").path().unwrap(), "/api/v1/domains/x.example/codes/a%2Fb%3Fc");
        for bad in ["", ".", ".."] {
            assert_eq!(call(bad).within("x").path().unwrap_err().exit_code(), 2, "{bad}");
        }
        assert!(call("1").path().unwrap_err().to_string().contains("--in"));
        assert_eq!(call("1").at("domain", "own").within("other").path().unwrap(), "/api/v1/domains/own/codes/1");
    }

    #[test]
    fn a_secret_loses_its_line_end_only() {
        struct Fixed(&'static str);
        impl Files for Fixed {
            fn read(&self, _: &Path) -> std::io::Result<String> {
                Ok(self.0.into())
            }
        }
        for (text, expected) in [("a b", "a b"), (" a \n", " a "), ("a\r\n", "a"), ("a\n\n", "a\n"), ("", "")] {
            assert_eq!(secret(&Fixed(text), Path::new("x")).unwrap().expose(), expected);
        }
    }
}
