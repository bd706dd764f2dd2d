//! Keys of the texts in both languages, and their use in the sources.

use std::collections::BTreeSet;
use std::path::Path;

use super::*;

fn keys(texts: &Texts) -> BTreeSet<&str> {
    texts.keys().map(String::as_str).collect()
}

/// The placeholders of a text.
fn names(text: &str) -> BTreeSet<&str> {
    text.split('{').skip(1).filter_map(|rest| Some(rest.split_once('}')?.0)).collect()
}

#[test]
fn both_languages_have_the_same_texts() {
    assert!(EN.len() > 20);
    assert_eq!(keys(&EN), keys(&DE));
    for (key, text) in EN.iter() {
        let german = &DE[key];
        assert!(!text.trim().is_empty() && !german.trim().is_empty(), "{key}");
        assert_eq!(names(text), names(german), "{key}");
    }
}

fn sources(under: &Path, into: &mut String) {
    for entry in std::fs::read_dir(under).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, into);
        } else if path.extension().is_some_and(|kind| kind == "rs" || kind == "html") {
            into.push_str(&std::fs::read_to_string(path).unwrap());
        }
    }
}

/// Every quoted text that looks like a key of a section is a key, and every key is used; `section.*` in quotes uses the
/// section.
#[test]
fn every_text_is_used_and_there_is_none_missing() {
    let mut all = String::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/web/pages"), &mut all);
    let quoted: BTreeSet<&str> = all.split('"').collect();
    let sections: BTreeSet<&str> = EN.keys().filter_map(|key| Some(key.split_once('.')?.0)).collect();
    let is_word =
        |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_lowercase() || c == '_' || c.is_ascii_digit());
    for text in &quoted {
        if let Some((section, key)) = text.split_once('.')
            && sections.contains(section)
            && is_word(key)
            && key != "html"
        {
            assert!(EN.contains_key(*text), "there is no text {text}");
        }
    }
    for key in EN.keys() {
        let section = key.split('.').next().unwrap();
        let used = quoted.contains(key.as_str()) || quoted.contains(format!("{section}.*").as_str());
        assert!(used, "nobody uses {key}");
    }
}

#[test]
fn the_language_is_the_preferred_one() {
    for (header, lang) in [
        ("", Lang::En),
        ("de", Lang::De),
        ("de-AT,de;q=0.9,en;q=0.8", Lang::De),
        ("fr, en;q=0.5, de;q=0.7", Lang::De),
        ("en-US,en;q=0.9,de;q=0.8", Lang::En),
        ("fr", Lang::En),
        ("de;q=0", Lang::En),
        ("de;q=x", Lang::En),
    ] {
        assert_eq!(Lang::accepted(header), lang, "{header}");
    }
    assert_eq!(Lang::En.filled("error.too_many_do", &[("seconds", "7")]).matches('7').count(), 1);
}
