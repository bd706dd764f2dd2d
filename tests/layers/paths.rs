//! Finds the paths in Rust source text: `a::b::c` in code, and every leaf of a `use` tree.
//!
//! It knows just enough of the language: comments, texts, characters, lifetimes, identifiers.

use std::collections::BTreeSet;

/// A path as it stands in the source.
// The flags are independent of each other.
#[allow(clippy::struct_excessive_bools)]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path {
    /// Its parts.
    pub parts: Vec<String>,
    /// It begins with `::`, so its first part is a crate.
    pub global: bool,
    /// It is a leaf of a `use` tree.
    pub imports: bool,
    /// It is a leaf of a `pub use` tree: the file hands the name on.
    pub exported: bool,
    /// It ends with `*`.
    pub glob: bool,
    /// The name after `as`.
    renamed: Option<String>,
}

impl Path {
    pub fn root(&self) -> &str {
        self.parts.first().map_or("", String::as_str)
    }

    /// Of our own crate, or relative to the place where it stands.
    pub fn is_internal(&self) -> bool {
        !self.global && matches!(self.root(), "crate" | "super" | "self" | "Self" | "provbroker")
    }

    /// The name under which a `use` makes it known.
    pub fn imported_as(&self) -> Option<&str> {
        let last = self.parts.iter().rev().find(|part| *part != "self").map(String::as_str);
        self.imports.then_some(self.renamed.as_deref().or(last)).flatten()
    }

    /// The top-level module of the crate that it leads to, for a file that is `depth` modules deep. In a binary,
    /// `provbroker` is the crate and `crate` the binary itself.
    pub fn top_level(&self, depth: usize, binary: bool) -> Option<&str> {
        let at = |index: usize| self.parts.get(index).map(String::as_str);
        match self.root() {
            "provbroker" => at(1),
            "crate" if !binary => at(1),
            "super" => {
                let ups = self.parts.iter().take_while(|part| *part == "super").count();
                // With fewer the path stays in the module; an inline test module may take one more.
                (ups >= depth && depth > 0).then(|| at(ups)).flatten()
            }
            _ => None,
        }
    }

    pub fn begins_with(&self, prefix: &str) -> bool {
        let mut parts = self.parts.iter();
        prefix.split("::").all(|wanted| parts.next().is_some_and(|part| part == wanted))
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Token {
    Word(String),
    Colons,
    Mark(char),
}

/// All paths of a source text.
pub fn paths(source: &str) -> Vec<Path> {
    paths_of(&tokens(source)).0
}

/// All paths of a token stream, and every word outside of `use` trees.
pub fn paths_of(tokens: &[Token]) -> (Vec<Path>, BTreeSet<String>) {
    let mut found = Vec::new();
    let mut words = BTreeSet::new();
    let mut at = 0;
    while at < tokens.len() {
        match &tokens[at] {
            Token::Word(word) if word == "use" => {
                let exported = is_public(&tokens[..at]);
                let from = found.len();
                at += 1;
                use_tree(tokens, &mut at, &[], false, &mut found);
                for path in &mut found[from..] {
                    path.exported = exported;
                }
            }
            Token::Word(_) => {
                let before = at.checked_sub(1).map(|index| &tokens[index]);
                // `x.y::<T>()` is a method; what follows `::` belongs to the path before it.
                let global = before == Some(&Token::Colons);
                let continued = global && at >= 2 && matches!(&tokens[at - 2], Token::Word(_) | Token::Mark('>'));
                let method = before == Some(&Token::Mark('.'));
                let mut parts = Vec::new();
                while let Some(Token::Word(word)) = tokens.get(at) {
                    parts.push(word.clone());
                    words.insert(word.clone());
                    at += 1;
                    if tokens.get(at) == Some(&Token::Colons) && matches!(tokens.get(at + 1), Some(Token::Word(_))) {
                        at += 1;
                    } else {
                        break;
                    }
                }
                if parts.len() > 1 && !continued && !method {
                    found.push(Path { parts, global, imports: false, exported: false, glob: false, renamed: None });
                }
            }
            _ => at += 1,
        }
    }
    (found, words)
}

/// Whether the tokens end with `pub` or `pub(…)`.
fn is_public(before: &[Token]) -> bool {
    let is_pub = |token: Option<&Token>| matches!(token, Some(Token::Word(word)) if word == "pub");
    if before.last() != Some(&Token::Mark(')')) {
        return is_pub(before.last());
    }
    let open = before.iter().rposition(|token| *token == Token::Mark('('));
    open.is_some_and(|open| is_pub(before[..open].last()))
}

fn use_tree(tokens: &[Token], at: &mut usize, prefix: &[String], global: bool, found: &mut Vec<Path>) {
    let mut parts = prefix.to_vec();
    let mut global = global;
    let mut glob = false;
    loop {
        match tokens.get(*at) {
            Some(Token::Colons) => {
                global |= parts.is_empty();
                *at += 1;
            }
            Some(Token::Mark('{')) => {
                *at += 1;
                while !matches!(tokens.get(*at), None | Some(Token::Mark('}'))) {
                    use_tree(tokens, at, &parts, global, found);
                    if tokens.get(*at) == Some(&Token::Mark(',')) {
                        *at += 1;
                    }
                }
                *at += 1;
                return;
            }
            Some(Token::Word(word)) if word == "as" => {
                let renamed = match tokens.get(*at + 1) {
                    Some(Token::Word(name)) => Some(name.clone()),
                    _ => None,
                };
                *at += 2;
                found.push(Path { parts, global, imports: true, exported: false, glob, renamed });
                return;
            }
            Some(Token::Word(word)) => {
                parts.push(word.clone());
                *at += 1;
            }
            Some(Token::Mark('*')) => (glob, *at) = (true, *at + 1),
            Some(Token::Mark(',' | '}' | ';')) | None => {
                found.push(Path { parts, global, imports: true, exported: false, glob, renamed: None });
                return;
            }
            // Not a `use` after all, such as the `use<>` of a captured lifetime.
            Some(Token::Mark(_)) => {
                *at += 1;
                return;
            }
        }
    }
}

pub fn tokens(source: &str) -> Vec<Token> {
    let chars: Vec<char> = source.chars().collect();
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(&c) = chars.get(at) {
        let next = chars.get(at + 1).copied();
        match c {
            '/' if next == Some('/') => at = skip_while(&chars, at, |c| c != '\n'),
            '/' if next == Some('*') => at = skip_comment(&chars, at),
            '"' => at = skip_text(&chars, at + 1),
            // A character, or the lifetime that looks like the beginning of one.
            '\'' if next == Some('\\') => at = 1 + skip_while(&chars, at + 3, |c| c != '\''),
            '\'' if chars.get(at + 2) == Some(&'\'') => at += 3,
            '\'' => at = skip_while(&chars, at + 1, is_word),
            ':' if next == Some(':') => {
                found.push(Token::Colons);
                at += 2;
            }
            c if is_word(c) => {
                let end = skip_while(&chars, at, is_word);
                let word: String = chars[at..end].iter().collect();
                let raw = matches!(word.as_str(), "r" | "br" | "cr");
                match chars.get(end) {
                    Some('"') if !raw && matches!(word.as_str(), "b" | "c") => at = skip_text(&chars, end + 1),
                    Some('"' | '#') if raw => at = skip_raw(&chars, end),
                    _ => {
                        found.push(Token::Word(word));
                        at = end;
                    }
                }
            }
            c if c.is_whitespace() => at += 1,
            c => {
                found.push(Token::Mark(c));
                at += 1;
            }
        }
    }
    found
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn skip_while(chars: &[char], from: usize, mut goes_on: impl FnMut(char) -> bool) -> usize {
    (from..chars.len()).find(|&at| !goes_on(chars[at])).unwrap_or(chars.len())
}

fn skip_comment(chars: &[char], from: usize) -> usize {
    let mut depth = 0;
    let mut at = from;
    while at < chars.len() {
        match (chars[at], chars.get(at + 1)) {
            ('/', Some('*')) => (depth, at) = (depth + 1, at + 2),
            ('*', Some('/')) => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

fn skip_text(chars: &[char], from: usize) -> usize {
    let mut escaped = false;
    1 + skip_while(chars, from, |c| {
        let ends = c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        !ends
    })
}

/// `from` is at the first `#` or the quote. A raw identifier such as `r#type` has no quote and is left to be read as a
/// word.
fn skip_raw(chars: &[char], from: usize) -> usize {
    let quote = skip_while(chars, from, |c| c == '#');
    if chars.get(quote) != Some(&'"') {
        return quote;
    }
    let hashes = quote - from;
    let ends = |at: usize| chars[at] == '"' && (1..=hashes).all(|more| chars.get(at + more) == Some(&'#'));
    (quote + 1..chars.len()).find(|&at| ends(at)).map_or(chars.len(), |at| at + hashes + 1)
}
