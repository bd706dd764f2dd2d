//! A strict JSON reader for the protocols.
//!
//! The protocols require more than a usual JSON library checks (`docs/protocol/sysclient.md` 2 and 9,
//! `docs/protocol/appwebsocket.md` 4): repeated member names, lone surrogates and deep nesting are errors, members
//! keep their order, and numbers keep their spelling, because a digest is computed over them. So the reader keeps the
//! tokens as received. It only reads; answers are written with `serde_json`.

mod reader;

use std::borrow::Cow;
use std::fmt::Write as _;

use reader::Reader;

/// Deepest nesting of a message, including the outermost object (`docs/protocol/sysclient.md` section 9).
pub const MAX_DEPTH: usize = 32;

/// Why a text is not one well-formed JSON value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// The bytes are not UTF-8.
    #[error("not UTF-8")]
    Utf8,
    /// The text breaks the grammar, or something follows the value.
    #[error("not well-formed")]
    Syntax,
    /// More than [`MAX_DEPTH`] levels.
    #[error("nested too deep")]
    Depth,
    /// An object has the same member name twice.
    #[error("repeated member name")]
    Repeated,
    /// A `\u` escape is half of a surrogate pair.
    #[error("lone surrogate")]
    Surrogate,
    /// The outermost value is not an object.
    #[error("not an object")]
    NotAnObject,
}

/// A JSON value as it was received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value<'a> {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number, spelled as received.
    Number(Cow<'a, str>),
    /// A string, decoded; borrowed from the text if it contains no escape.
    String(Cow<'a, str>),
    /// An array.
    Array(Vec<Value<'a>>),
    /// An object.
    Object(Object<'a>),
}

/// One member of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Member<'a> {
    name: Cow<'a, str>,
    value: Value<'a>,
    /// Position of the value in the text, as byte offsets.
    span: (u32, u32),
}

/// A JSON object with its members in the order of arrival. It borrows from the text where possible: most messages are
/// read and dropped.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Object<'a>(Vec<Member<'a>>);

impl<'a> Object<'a> {
    /// Parses `bytes` as one JSON object, with only white space around it.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, JsonError> {
        let text = std::str::from_utf8(bytes).map_err(|_| JsonError::Utf8)?;
        match Reader::new(text).whole()? {
            Value::Object(object) => Ok(object),
            _ => Err(JsonError::NotAnObject),
        }
    }

    /// The same without borrowing from the text.
    pub fn into_owned(self) -> Object<'static> {
        let owned = |Member { name, value, span }| Member { name: owned(name), value: value.into_owned(), span };
        Object(self.0.into_iter().map(owned).collect())
    }

    fn member(&self, name: &str) -> Option<&Member<'a>> {
        self.0.iter().find(|m| m.name == name)
    }

    /// The value of a member; `None` if there is no such member.
    pub fn get(&self, name: &str) -> Option<&Value<'a>> {
        self.member(name).map(|m| &m.value)
    }

    /// Position of the value of a member in the text, as byte offsets.
    pub fn span(&self, name: &str) -> Option<std::ops::Range<usize>> {
        self.member(name).map(|m| m.span.0 as usize..m.span.1 as usize)
    }

    /// A member that is a string; `None` if it is absent or of another type.
    pub fn str(&self, name: &str) -> Option<&str> {
        match self.get(name) {
            Some(Value::String(s)) => Some(s),
            _ => None,
        }
    }

    /// A member that is a boolean; `None` if it is absent or of another type.
    pub fn bool(&self, name: &str) -> Option<bool> {
        match self.get(name) {
            Some(Value::Bool(b)) => Some(*b),
            _ => None,
        }
    }

    /// A member that is a whole number of at most 64 bits without sign; `None` if it is absent or anything else.
    pub fn u64(&self, name: &str) -> Option<u64> {
        match self.get(name) {
            Some(Value::Number(n)) => n.parse().ok(),
            _ => None,
        }
    }

    /// A member that is an object; `None` if it is absent or of another type.
    pub fn object(&self, name: &str) -> Option<&Object<'a>> {
        match self.get(name) {
            Some(Value::Object(o)) => Some(o),
            _ => None,
        }
    }

    /// A member that is an array; `None` if it is absent or of another type.
    pub fn array(&self, name: &str) -> Option<&[Value<'a>]> {
        match self.get(name) {
            Some(Value::Array(a)) => Some(a),
            _ => None,
        }
    }

    /// The members, in the order of arrival.
    pub fn members(&self) -> impl Iterator<Item = (&str, &Value<'a>)> {
        self.0.iter().map(|member| (&*member.name, &member.value))
    }

    /// Whether a member is there, whatever its type.
    pub fn has(&self, name: &str) -> bool {
        self.member(name).is_some()
    }

    fn write_canonical(&self, out: &mut String) {
        out.push('{');
        for (n, member) in self.0.iter().enumerate() {
            if n > 0 {
                out.push(',');
            }
            write_string(&member.name, out);
            out.push(':');
            member.value.write_canonical(out);
        }
        out.push('}');
    }
}

impl Value<'_> {
    /// The canonical text of `docs/protocol/appwebsocket.md` section 4, rules 1 to 5: received order, no white space,
    /// fewest escapes.
    pub fn canonical(&self) -> String {
        let mut out = String::new();
        self.write_canonical(&mut out);
        out
    }

    fn into_owned(self) -> Value<'static> {
        match self {
            Self::Null => Value::Null,
            Self::Bool(yes) => Value::Bool(yes),
            Self::Number(text) => Value::Number(owned(text)),
            Self::String(text) => Value::String(owned(text)),
            Self::Array(items) => Value::Array(items.into_iter().map(Value::into_owned).collect()),
            Self::Object(object) => Value::Object(object.into_owned()),
        }
    }

    fn write_canonical(&self, out: &mut String) {
        match self {
            Self::Null => out.push_str("null"),
            Self::Bool(true) => out.push_str("true"),
            Self::Bool(false) => out.push_str("false"),
            Self::Number(n) => out.push_str(n),
            Self::String(s) => write_string(s, out),
            Self::Array(items) => {
                out.push('[');
                for (n, item) in items.iter().enumerate() {
                    if n > 0 {
                        out.push(',');
                    }
                    item.write_canonical(out);
                }
                out.push(']');
            }
            Self::Object(object) => object.write_canonical(out),
        }
    }
}

/// The received text of a JSON value without the white space outside strings
/// (`docs/protocol/appwebsocket.md` section 4, form B).
///
/// `text` must be a well-formed JSON value, as found by [`Object::span`].
pub fn without_white_space(text: &str) -> String {
    let (mut in_string, mut escaped) = (false, false);
    text.chars()
        .filter(|&c| {
            if in_string {
                match c {
                    _ if escaped => escaped = false,
                    '\\' => escaped = true,
                    '"' => in_string = false,
                    _ => {}
                }
                return true;
            }
            in_string = c == '"';
            !is_white_space(c)
        })
        .collect()
}

fn owned(text: Cow<'_, str>) -> Cow<'static, str> {
    Cow::Owned(text.into_owned())
}

const fn is_white_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n')
}

fn write_string(s: &str, out: &mut String) {
    out.push('"');
    for c in s.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c < ' ' => {
                // Writing to a `String` cannot fail.
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests;
