//! Texts in English and German, from `messages/{en,de}.toml`. A test holds the two files and their use together.

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

/// `[section] key = "text"` as `section.key`. A file that cannot be read has no texts; a test finds that.
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

    /// As in `lang="…"`.
    pub const fn code(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::De => "de",
        }
    }

    /// What it calls itself.
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

    /// The one that `Accept-Language` likes best; English if it likes none.
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

    /// The text of a key with `{name}` replaced by what it stands for.
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
