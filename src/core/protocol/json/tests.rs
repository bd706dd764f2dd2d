//! What the reader preserves, and what it refuses.

use super::*;

fn error(text: &str) -> Option<JsonError> {
    Object::parse(text.as_bytes()).err()
}

#[test]
fn keeps_order_spelling_and_spans() {
    let text = r#" { "z" : 1.50 , "a":[ 1E+2, -0.0 ] } "#;
    let object = Object::parse(text.as_bytes()).unwrap();
    assert_eq!(Value::Object(object.clone()).canonical(), r#"{"z":1.50,"a":[1E+2,-0.0]}"#);
    assert_eq!(&text[object.span("a").unwrap()], "[ 1E+2, -0.0 ]");
}

#[test]
fn refuses_what_the_protocols_forbid() {
    assert_eq!(error(r#"{"a":1,"a":2}"#), Some(JsonError::Repeated));
    assert_eq!(error(r#"{"a":"\ud800"}"#), Some(JsonError::Surrogate));
    assert_eq!(error(r#"{"a":"\ud800A"}"#), Some(JsonError::Surrogate));
    assert_eq!(error(r#"{"a":"\udc00"}"#), Some(JsonError::Surrogate));
    assert_eq!(error("{}\0"), Some(JsonError::Syntax));
    assert_eq!(error("\u{feff}{}"), Some(JsonError::Syntax));
    assert_eq!(error("[]"), Some(JsonError::NotAnObject));
    assert_eq!(error("{'a':1}"), Some(JsonError::Syntax));
    assert_eq!(error(r#"{"a":01}"#), Some(JsonError::Syntax));
    assert_eq!(error("{\"a\":\"\t\"}"), Some(JsonError::Syntax));
    assert_eq!(Object::parse(b"{\"a\":\"\xff\"}").err(), Some(JsonError::Utf8));
}

#[test]
fn a_repeated_name_in_a_large_object_is_found() {
    let mut text = String::from("{");
    for n in 0..1000 {
        let _ = write!(text, "\"m{n}\":0,");
    }
    assert_eq!(error(&format!("{text}\"m500\":1}}")), Some(JsonError::Repeated));
    assert_eq!(error(&format!("{text}\"x\":1}}")), None);
}

#[test]
fn depth_counts_the_outermost_object() {
    let nested = |n: usize| format!("{{\"x\":{}{}}}", "[".repeat(n), "]".repeat(n));
    assert_eq!(error(&nested(MAX_DEPTH - 1)), None);
    assert_eq!(error(&nested(MAX_DEPTH)), Some(JsonError::Depth));
}

#[test]
fn white_space_inside_strings_stays() {
    assert_eq!(without_white_space("{ \"a b\" : \"\\\" \" }"), r#"{"a b":"\" "}"#);
}
