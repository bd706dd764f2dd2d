//! Renders the kinds of configuration and their parameters as a Markdown table for `docs/operators.md`.

use std::fmt::Write as _;

use super::Kind;
use super::schema::{Field, Type};

/// The table in Markdown, a row for each parameter.
pub fn markdown() -> String {
    let mut out = String::from("| kind | parameter | value | meaning |\n|---|---|---|---|\n");
    for kind in Kind::ALL {
        let schema = kind.schema();
        let mut cell = format!("`{}`: {}", kind.name(), schema.about);
        for field in schema.fields() {
            // Writing to a string cannot fail.
            let _ = writeln!(out, "| {cell} | `{}`{} | {} | {} |", field.name, marks(field), value(field), field.about);
            cell.clear();
        }
    }
    out.replace("|  |", "| |")
}

fn marks(field: &Field) -> String {
    let mut marks = Vec::new();
    if field.required {
        marks.push("required".to_owned());
    }
    marks.extend(field.needs.map(|other| format!("with `{other}`")));
    if field.secret {
        marks.push("secret".to_owned());
    }
    if field.per_device {
        marks.push("placeholders".to_owned());
    }
    if marks.is_empty() { String::new() } else { format!(" ({})", marks.join(", ")) }
}

fn value(field: &Field) -> String {
    match field.kind {
        Type::Text(most) => format!("text of at most {most} characters"),
        Type::Form(form) => form.about.to_owned(),
        Type::Block(most, _) => format!("text of at most {most} bytes, with line ends"),
        Type::Number(least, most) => format!("number from {least} to {most}"),
        Type::Flag => "true or false".to_owned(),
        Type::Choice(words) => words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_operators_manual_has_the_table() {
        let manual = include_str!("../../../../../docs/operators.md");
        let (_, rest) = manual.split_once("<!-- kinds:").unwrap();
        let table = rest.split_once("-->\n").unwrap().1.split_once("<!-- /kinds -->").unwrap().0;
        assert_eq!(table, markdown(), "put the output of `provbroker kinds-table` into docs/operators.md");
    }

    #[test]
    fn no_cell_breaks_the_table() {
        for line in markdown().lines() {
            assert_eq!(line.matches('|').count(), 5, "{line}");
        }
    }
}
