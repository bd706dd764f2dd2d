//! Texts in English and German, from `messages/{en,de}.toml`. A test checks that both files have the same keys, and
//! that each key is used.

use std::collections::HashMap;
use std::sync::LazyLock;

/// A language of the pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lang {
    /// English.
    En,
    /// German.
    De,
}

type Texts = HashMap<String, String>;

static EN: LazyLock<Texts> = LazyLock::new(|| read(include_str!("messages/en.toml")));
static DE: LazyLock<Texts> = LazyLock::new(|| read(include_str!("messages/de.toml")));

/// Reads `[section] key = "text"` as `section.key`. An invalid file has no texts; a test detects that.
fn read(file: &str) -> Texts {
    let sections: HashMap<String, HashMap<String, String>> = toml::from_str(file).unwrap_or_default();
    let named = |(section, texts): (String, HashMap<String, String>)| {
        texts.into_iter().map(move |(key, text)| (format!("{section}.{key}"), text))
    };
    sections.into_iter().flat_map(named).collect()
}

impl Lang {
    /// All languages.
    pub const ALL: [Self; 2] = [Self::En, Self::De];

    /// Language code for `lang="…"`.
    pub const fn code(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::De => "de",
        }
    }

    /// Its own name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::En => "English",
            Self::De => "Deutsch",
        }
    }

    /// The language with this code.
    pub fn parse(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|lang| lang.code() == code)
    }

    /// The preferred language of an `Accept-Language` header; English if it has none of ours.
    pub fn accepted(header: &str) -> Self {
        let mut best = (Self::En, 0.0);
        for part in header.split(',') {
            let (range, rest) = part.split_once(';').unwrap_or((part, ""));
            let quality = rest.trim().strip_prefix("q=").map_or(1.0, |q| q.trim().parse().unwrap_or(0.0));
            let primary = range.trim().split('-').next().unwrap_or_default().to_ascii_lowercase();
            if let Some(lang) = Self::parse(&primary).filter(|_| quality > best.1) {
                best = (lang, quality);
            }
        }
        best.0
    }

    /// The text of a key.
    pub fn text(self, key: &str) -> &'static str {
        let texts = match self {
            Self::En => &*EN,
            Self::De => &*DE,
        };
        texts.get(key).map_or("…", String::as_str)
    }

    /// The text of a key with each `{name}` replaced by its value.
    pub fn filled(self, key: &str, names: &[(&str, &str)]) -> String {
        let mut text = self.text(key).to_owned();
        for (name, value) in names {
            text = text.replace(&format!("{{{name}}}"), value);
        }
        text
    }
}

#[cfg(test)]
#[path = "messages_tests.rs"]
mod tests;
