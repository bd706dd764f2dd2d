//! Tables: aligned columns with a head line, in plain characters.

use std::fmt::Write as _;
use std::time::{Duration, UNIX_EPOCH};

use serde_json::Value;

use super::call::Column;
use super::escape::escaped;

/// Members that are times.
const TIMES: [&str; 6] = ["at", "created", "entered", "issued", "seen", "validUntil"];

/// What is greater is milliseconds: in seconds it would be a year beyond 5000.
const MILLIS: u64 = 100_000_000_000;

/// A value on one line. `name` is that of its member.
fn shown(name: &str, value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Bool(yes) => if *yes { "yes" } else { "no" }.into(),
        Value::String(text) => escaped(text),
        Value::Number(number) => match number.as_u64().filter(|_| TIMES.contains(&name)) {
            Some(at) => time(at),
            None => number.to_string(),
        },
        Value::Array(all) => all.iter().map(|one| shown(name, one)).collect::<Vec<_>>().join(", "),
        Value::Object(members) => {
            let one = |(name, value): (&String, &Value)| format!("{}={}", escaped(name), shown(name, value));
            members.iter().map(one).collect::<Vec<_>>().join(" ")
        }
    }
}

fn time(at: u64) -> String {
    let since = if at > MILLIS { Duration::from_millis(at) } else { Duration::from_secs(at) };
    // What lies beyond the year 9999 cannot be written.
    if since.as_secs() < 253_402_300_800 {
        humantime::format_rfc3339_seconds(UNIX_EPOCH + since).to_string()
    } else {
        at.to_string()
    }
}

/// Something stands in every place, so that an empty text is seen and a column is never missing.
fn visible(text: Option<String>) -> String {
    text.filter(|text| !text.is_empty()).unwrap_or_else(|| "-".into())
}

/// The value at a path of member names with dots between them.
fn find<'a>(row: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').try_fold(row, |value, name| value.get(name))
}

/// A table that is written in parts. Widths are those of the longest cell so far.
pub(super) struct Table {
    columns: &'static [Column],
    widths: Vec<usize>,
    begun: bool,
}

impl Table {
    pub fn new(columns: &'static [Column]) -> Self {
        let widths = columns.iter().map(|(title, _)| title.chars().count()).collect();
        Self { columns, widths, begun: false }
    }

    /// Some rows as lines; the first time with the head line before them.
    pub fn add<'a>(&mut self, rows: impl IntoIterator<Item = &'a Value>) -> String {
        let cell = |row: &Value, path: &str| {
            visible(find(row, path).map(|value| shown(path.rsplit('.').next().unwrap_or(path), value)))
        };
        let cells = |row| self.columns.iter().map(|(_, path)| cell(row, path)).collect();
        let mut lines: Vec<Vec<String>> = rows.into_iter().map(cells).collect();
        if !std::mem::replace(&mut self.begun, true) {
            lines.insert(0, self.columns.iter().map(|(title, _)| (*title).to_owned()).collect());
        }
        for line in &lines {
            for (width, cell) in self.widths.iter_mut().zip(line) {
                *width = (*width).max(cell.chars().count());
            }
        }
        lines.iter().map(|line| aligned(line, &self.widths)).collect()
    }
}

/// One thing: a line for each member, members within members joined by dots.
pub(super) fn thing(value: &Value) -> String {
    let mut lines = Vec::new();
    flatten(String::new(), "", value, &mut lines);
    let widest = lines.iter().map(|(path, _)| path.chars().count()).max().unwrap_or_default();
    lines.into_iter().map(|(path, text)| aligned(&[path, text], &[widest, 0])).collect()
}

fn flatten(path: String, name: &str, value: &Value, into: &mut Vec<(String, String)>) {
    let join = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    match value {
        Value::Object(members) => {
            members.iter().for_each(|(name, value)| flatten(join(&escaped(name)), name, value, into));
        }
        Value::Array(all) if all.iter().any(Value::is_object) => {
            all.iter().enumerate().for_each(|(at, value)| flatten(join(&at.to_string()), name, value, into));
        }
        value => into.push((path, visible(Some(shown(name, value))))),
    }
}

fn aligned(cells: &[String], widths: &[usize]) -> String {
    let mut line = String::new();
    for (cell, width) in cells.iter().zip(widths) {
        // Writing into a text does not fail.
        let _ = write!(line, "{cell:width$}  ");
    }
    line.truncate(line.trim_end().len());
    line.push('\n');
    line
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const COLUMNS: &[Column] = &[("id", "id"), ("name", "name"), ("category", "category.name"), ("seen", "seen")];

    #[test]
    fn columns_stand_under_each_other() {
        let mut table = Table::new(COLUMNS);
        let rows = [
            json!({"id": 7, "name": "Anna Sörensen", "category": {"name": "Desk"}, "seen": 1_767_225_600}),
            json!({"id": 12345, "name": "", "category": {}}),
        ];
        let first = "id     name           category  seen\n\
                     7      Anna Sörensen  Desk      2026-01-01T00:00:00Z\n\
                     12345  -              -         -\n";
        assert_eq!(table.add(&rows), first);
        let more =
            table.add(&[json!({"id": 8, "name": "B", "category": {"name": "D"}, "seen": 1_767_225_600_999_u64})]);
        assert_eq!(more, "8      B              D         2026-01-01T00:00:00Z\n");
    }

    #[test]
    fn what_a_device_says_stays_text() {
        let mut table = Table::new(&[("name", "name")]);
        let text = table.add(&[json!({"name": "\u{1b}]0;x\u{7}\nroot\u{9b}2J\u{202e}ü"})]);
        assert_eq!(text, "name\n\\u{1b}]0;x\\u{7}\\nroot\\u{9b}2J\\u{202e}ü\n");
        assert_eq!(thing(&json!({"a\nb": "c\rd"})), "a\\nb  c\\rd\n");
    }

    #[test]
    fn a_thing_has_a_line_for_each_member() {
        let value = json!({"id": 1, "accessTo": [], "online": true, "category": {"id": 2}, "ports": ["TEL1", "TEL2"],
            "work": [{"at": 1_767_225_600, "what": "ntp"}], "created": u64::MAX});
        let text = "accessTo     -\n\
                    category.id  2\n\
                    created      18446744073709551615\n\
                    id           1\n\
                    online       yes\n\
                    ports        TEL1, TEL2\n\
                    work.0.at    2026-01-01T00:00:00Z\n\
                    work.0.what  ntp\n";
        assert_eq!(thing(&value), text);
    }
}
