//! One call of the interface: method, path, query, body, and how its answer is shown.

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

/// A file that holds a secret and, usually, a line end.
pub(super) fn secret(files: &dyn Files, file: &Path) -> Result<Secret, CtlError> {
    let text = text(files, file)?;
    let line = text.strip_suffix('\n').unwrap_or(&text);
    Ok(Secret::new(line.strip_suffix('\r').unwrap_or(line)))
}

/// How much of a list is wanted.
#[derive(Debug, Clone, Copy, Args)]
pub struct Limit {
    /// Stop after so many [default: the whole list]
    #[arg(long, value_name = "N")]
    pub(super) limit: Option<u64>,
}

/// What is sent.
#[derive(Default)]
pub(super) enum Body {
    /// Nothing.
    #[default]
    None,
    /// JSON.
    Json(Value),
    /// The JSON text of a file, for the broker to judge.
    Text(String),
    /// A file as CSV, sent as it is read; `-` is standard input.
    Csv(PathBuf),
}

/// A column of a table: its title, and where its value is in a row. Dots lead into members.
pub(super) type Column = (&'static str, &'static str);

/// How an answer is shown.
#[derive(Clone, Copy)]
pub(super) enum Show {
    /// There is nothing to be shown.
    Nothing,
    /// One thing, a line for each member.
    Thing,
    /// The rows of a member.
    List(List),
    /// CSV as it comes.
    Csv,
}

/// A list in an answer.
#[derive(Clone, Copy)]
pub(super) struct List {
    /// The member that it is in.
    pub member: &'static str,
    /// What is shown of a row.
    pub columns: &'static [Column],
    /// A row is made for each entry of this member of it.
    pub each: Option<&'static str>,
    /// There may be more of it behind `next`; so many are wanted.
    pub pages: Option<Limit>,
    /// A member beside it, shown under the table.
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

/// One call. It may hold secrets, so `Debug` shows the operation only.
pub struct Call {
    pub(super) method: &'static str,
    template: &'static str,
    places: BTreeMap<&'static str, String>,
    pub(super) query: Vec<(&'static str, String)>,
    pub(super) body: Body,
    pub(super) show: Show,
}

impl Call {
    /// A call of `method` at `template`, a path of the OpenAPI document after `/api/v1`.
    pub(super) const fn new(method: &'static str, template: &'static str, show: Show) -> Self {
        Self { method, template, places: BTreeMap::new(), query: Vec::new(), body: Body::None, show }
    }

    /// Fills in a place of the path.
    pub(super) fn at(mut self, place: &'static str, value: &(impl ToString + ?Sized)) -> Self {
        self.places.insert(place, value.to_string());
        self
    }

    /// The domain that it is about, unless it names one itself.
    pub(super) fn within(mut self, domain: &str) -> Self {
        self.places.entry("domain").or_insert_with(|| domain.to_owned());
        self
    }

    /// Adds to the query, if there is a value.
    pub(super) fn query<T: ToString>(mut self, name: &'static str, value: Option<&T>) -> Self {
        self.query.extend(value.map(|value| (name, value.to_string())));
        self
    }

    /// A JSON body of the members that have a value.
    pub(super) fn json<const N: usize>(mut self, members: [(&str, Option<Value>); N]) -> Self {
        let given = members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
        self.body = Body::Json(Value::Object(given.collect::<Map<_, _>>()));
        self
    }

    /// Another body.
    pub(super) fn body(mut self, body: Body) -> Self {
        self.body = body;
        self
    }

    /// Method and path as the OpenAPI document has them.
    pub fn operation(&self) -> (&'static str, String) {
        (self.method, format!("/api/v1{}", self.template))
    }

    /// The names in the query.
    pub fn query_names(&self) -> impl Iterator<Item = &'static str> {
        self.query.iter().map(|(name, _)| *name)
    }

    /// The members of a JSON body that is made here.
    pub fn members(&self) -> Option<Vec<&str>> {
        match &self.body {
            Body::Json(Value::Object(members)) => Some(members.keys().map(String::as_str).collect()),
            _ => None,
        }
    }

    /// The path with everything filled in.
    pub fn path(&self) -> Result<String, CtlError> {
        let mut path = "/api/v1".to_owned();
        for segment in self.template.split('/').skip(1) {
            let filled = match segment.strip_prefix('{').and_then(|name| name.strip_suffix('}')) {
                None => segment.to_owned(),
                Some(name) => match self.places.get(name).map(String::as_str) {
                    // These would make another path of it.
                    Some(value @ ("" | "." | "..")) => {
                        return Err(CtlError::Arguments(format!("{value:?} is no {name}")));
                    }
                    Some(value) => percent::encode(value),
                    None => {
                        let line = "which domain? Say --in DOMAIN, or log in as one with --domain DOMAIN";
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
