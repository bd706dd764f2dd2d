//! Follows every reference to a document: the file must exist, and so must the section, the step or the anchor that is named.
//!
//! Forms that are followed, in comments and texts of sources as well as in Markdown: a file name that ends in `.md`, alone or
//! followed by `3.1`, `section 5`, `sections 5 and 6`, `3.1 and section 6`, `7.2 to 7.4`, each also after a comma, then perhaps
//! `step 4`, `rule 2`, `item 6`; or an anchor behind `#`. In Markdown also links. Sources name documents from the root of the
//! repository; Markdown may name them from its own folder as well.

// The helpers of a test are tests: clippy excuses only the functions that are marked.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

/// Kinds of files that are searched for references.
const KINDS: [&str; 8] = ["rs", "lua", "toml", "yml", "mjs", "py", "html", "md"];

/// Folders without files of the repository, besides hidden ones that are not named in [`HIDDEN`].
const SKIPPED: [&str; 2] = ["target", "node_modules"];

/// Hidden folders with files of the repository.
const HIDDEN: [&str; 4] = [".cargo", ".ci", ".config", ".github"];

/// What no file may mention: places and texts outside the repository.
const OUTSIDE: [&str; 3] = [concat!("../sha", "red"), concat!("mission ", "document"), concat!("CHANGES-", "2026-11")];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// All files below `folder`, as paths from the root with slashes.
fn files(folder: &Path, prefix: &str, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let name = entry.file_name().to_string_lossy().into_owned();
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            let hidden = name.starts_with('.') && !HIDDEN.contains(&&*name);
            if !hidden && !SKIPPED.contains(&&*name) {
                files(&entry.path(), &format!("{prefix}{name}/"), found);
            }
        } else if kind.is_file() {
            found.push(format!("{prefix}{name}"));
        }
    }
}

fn all_files() -> Vec<String> {
    let mut found = Vec::new();
    files(&root(), "", &mut found);
    found.sort();
    found
}

fn is_markdown(file: &str) -> bool {
    Path::new(file).extension().is_some_and(|kind| kind == "md")
}

/// A heading of a document.
struct Heading {
    line: usize,
    level: usize,
    /// The number that it begins with.
    number: Option<String>,
    anchor: String,
}

/// What can be referred to in a document.
struct Document {
    lines: Vec<String>,
    headings: Vec<Heading>,
}

impl Document {
    fn read(text: &str) -> Self {
        let lines: Vec<String> = text.lines().map(Into::into).collect();
        let mut headings: Vec<Heading> = Vec::new();
        for (line, text) in prose(&lines) {
            let level = text.chars().take_while(|&c| c == '#').count();
            let Some(title) = text[level..].strip_prefix(' ').filter(|_| level > 0) else { continue };
            let first = title.split_whitespace().next().unwrap_or_default();
            let number = number(first).filter(|(_, rest)| rest.is_empty() || *rest == ".").map(|(n, _)| n.to_owned());
            let anchor = slug(title);
            let same = headings.iter().filter(|heading| heading.anchor == anchor).count();
            let anchor = if same == 0 { anchor } else { format!("{anchor}-{same}") };
            headings.push(Heading { line, level, number, anchor });
        }
        Self { lines, headings }
    }

    fn section(&self, number: &str) -> Option<usize> {
        self.headings.iter().position(|heading| heading.number.as_deref() == Some(number))
    }

    fn has_anchor(&self, anchor: &str) -> bool {
        let marked = [format!("id=\"{anchor}\""), format!("name=\"{anchor}\"")];
        self.headings.iter().any(|heading| heading.anchor == anchor)
            || self.lines.iter().any(|line| marked.iter().any(|mark| line.contains(mark)))
    }

    /// Whether a section has an item of this number in a list, or a row in a table.
    fn has_step(&self, section: &str, step: &str) -> bool {
        let Some(at) = self.section(section) else { return false };
        let Heading { line, level, .. } = self.headings[at];
        let end = self.headings[at + 1..].iter().find(|next| next.level <= level).map_or(self.lines.len(), |h| h.line);
        let starts = [format!("{step}. "), format!("{step}) "), format!("| {step} |")];
        self.lines[line..end].iter().any(|line| starts.iter().any(|start| line.trim_start().starts_with(start)))
    }
}

/// The lines that are not in a fenced block, with their indexes.
fn prose(lines: &[String]) -> Vec<(usize, &str)> {
    let mut fenced = false;
    let mut kept = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        let fence = line.trim_start().starts_with("```");
        if fence {
            fenced = !fenced;
        }
        if !fence && !fenced {
            kept.push((index, &**line));
        }
    }
    kept
}

/// The anchor that forges make of a title.
fn slug(title: &str) -> String {
    let kept = title.trim().chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.flat_map(char::to_lowercase).map(|c| if c == ' ' { '-' } else { c }).collect()
}

/// A number such as `3` or `3.1` at the beginning, and what follows. Not one that goes on as a word: `13r3`, `2a`.
fn number(text: &str) -> Option<(&str, &str)> {
    let bytes = text.as_bytes();
    let digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
    let mut end = 0;
    while digit(end) || (end > 0 && bytes.get(end) == Some(&b'.') && digit(end + 1)) {
        end += 1;
    }
    let (number, rest) = text.split_at(end);
    let goes_on = rest.starts_with(|c: char| c.is_alphanumeric() || c == '_');
    (end > 0 && !goes_on).then_some((number, rest))
}

/// A text in one line for each paragraph, and where its lines begin.
struct Flat {
    text: String,
    starts: Vec<usize>,
}

impl Flat {
    /// Comments without their marks, so that a reference may go on in the next line.
    fn source(text: &str) -> Self {
        const MARKS: [&str; 8] = ["//!", "///", "//", "#", "--", "*", "{#", "<!--"];
        let mut flat = Self { text: String::new(), starts: Vec::new() };
        for line in text.lines() {
            let line = line.trim();
            let line = MARKS.iter().find_map(|mark| line.strip_prefix(mark)).unwrap_or(line).trim();
            flat.push(line, if line.is_empty() { "\n" } else { "" });
        }
        flat
    }

    fn markdown(text: &str) -> Self {
        let lines: Vec<String> = text.lines().map(Into::into).collect();
        let mut prose = prose(&lines).into_iter().peekable();
        let mut flat = Self { text: String::new(), starts: Vec::new() };
        for index in 0..lines.len() {
            match prose.next_if(|(at, _)| *at == index) {
                Some((_, line)) => {
                    let line = line.trim();
                    let begins = line.is_empty() || line.starts_with(['#', '|', '>']) || line.starts_with("* ");
                    flat.push(line, if begins { "\n" } else { "" });
                }
                None => flat.push("", "\n"),
            }
        }
        flat
    }

    fn push(&mut self, line: &str, before: &str) {
        self.text.push_str(before);
        self.starts.push(self.text.len());
        self.text.push_str(line);
        self.text.push(' ');
    }

    /// The number of the line, from 1.
    fn line(&self, at: usize) -> usize {
        self.starts.partition_point(|&start| start <= at).max(1)
    }
}

/// A reference as it is written.
#[derive(Debug, Default, PartialEq)]
struct Reference {
    line: usize,
    path: String,
    anchor: Option<String>,
    sections: Vec<String>,
    /// A section and the number of a step in it.
    steps: Vec<(String, String)>,
    /// A link of Markdown, which is relative to the file.
    link: bool,
}

fn is_path(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/')
}

/// All references of a text.
fn references(file: &str, text: &str) -> Vec<Reference> {
    let flat = if is_markdown(file) { Flat::markdown(text) } else { Flat::source(text) };
    let mut found = Vec::new();
    for (at, ending) in flat.text.match_indices(".md") {
        let rest = &flat.text[at + ending.len()..];
        if rest.starts_with(|c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '/')) {
            continue;
        }
        if is_markdown(file) && rest.trim_start_matches('`').starts_with("](") {
            // The text of a link, whose target follows.
            continue;
        }
        let before = flat.text[..at].trim_end_matches(is_path);
        let path = &flat.text[before.len()..at + ending.len()];
        // A pattern, a part of a made name, an address, something that a build has made.
        let foreign = before.ends_with(['*', '}', '$', '~']) || path.starts_with("//") || path.starts_with("target/");
        if foreign || path.ends_with("/.md") || path == ending {
            continue;
        }
        let mut reference = Reference { line: flat.line(at), path: path.into(), ..Reference::default() };
        reference.link = is_markdown(file) && before.ends_with("](");
        let rest = match rest.strip_prefix('#') {
            Some(rest) => {
                let end = rest.find(|c: char| !c.is_alphanumeric() && c != '-' && c != '_').unwrap_or(rest.len());
                reference.anchor = Some(rest[..end].into());
                &rest[end..]
            }
            None => rest,
        };
        follow(&mut reference, rest);
        found.push(reference);
    }
    if is_markdown(file) {
        own_anchors(file, &flat, &mut found);
    }
    found
}

/// Links to a heading of the same document.
fn own_anchors(file: &str, flat: &Flat, found: &mut Vec<Reference>) {
    let name = file.rsplit('/').next().unwrap_or(file);
    for (at, opening) in flat.text.match_indices("](#") {
        let anchor = flat.text[at + opening.len()..].split(')').next().unwrap_or_default();
        let reference = Reference { line: flat.line(at), path: name.into(), link: true, ..Reference::default() };
        found.push(Reference { anchor: Some(anchor.into()), ..reference });
    }
}

/// Without one of the words at the beginning, and the blanks behind it.
fn without<'a>(text: &'a str, words: &[&str]) -> Option<&'a str> {
    let rest = words.iter().find_map(|word| text.strip_prefix(word))?;
    rest.starts_with(' ').then(|| rest.trim_start())
}

/// Whether a number without the word "section" is one: it has a point, or nothing follows that it could count.
fn stands_alone(number: &str, rest: &str) -> bool {
    let rest = rest.trim_start_matches(['`', '*']);
    let ends = rest.trim().is_empty() || rest.starts_with([')', ']', ',', '.', ';', ':', '\n']);
    number.contains('.') || ends || without(rest.trim_start(), &["and", "to", "or"]).is_some()
}

/// Reads the sections and steps behind the name of a document.
fn follow(reference: &mut Reference, rest: &str) {
    const SECTION: [&str; 3] = ["sections", "section", "§"];
    const STEP: [&str; 6] = ["steps", "step", "rules", "rule", "items", "item"];
    let mut rest = rest.trim_start_matches(['`', '"', ')']);
    let mut first = true;
    let mut steps = false;
    loop {
        let comma = rest.strip_prefix(',');
        let mut next = comma.unwrap_or(rest);
        if !next.starts_with(' ') {
            return;
        }
        next = next.trim_start_matches(' ');
        let joined = without(next, &["and", "to", "or"]);
        next = joined.unwrap_or(next);
        if first && joined.is_some() {
            return;
        }
        let word = without(next, &SECTION);
        let step = without(next, &STEP);
        let Some((number, after)) = number(word.or(step).unwrap_or(next)) else { return };
        let bare = word.is_none() && step.is_none();
        if !first && bare && comma.is_none() && joined.is_none() {
            return;
        }
        if bare && (!first || comma.is_some()) && !stands_alone(number, after) {
            return;
        }
        steps = step.is_some() || (steps && bare);
        match (steps, reference.sections.last()) {
            (false, _) => reference.sections.push(number.into()),
            (true, Some(section)) => reference.steps.push((section.clone(), number.into())),
            (true, None) => return,
        }
        (rest, first) = (after, false);
    }
}

/// The documents of the repository, read once.
#[derive(Default)]
struct Documents {
    root: PathBuf,
    read: BTreeMap<String, Option<Document>>,
}

impl Documents {
    fn get(&mut self, path: &str) -> Option<&Document> {
        let file = self.root.join(path);
        let read = || std::fs::read_to_string(file).ok().map(|text| Document::read(&text));
        self.read.entry(path.to_owned()).or_insert_with(read).as_ref()
    }

    /// The document that is meant: from the root, or from the folder of the file.
    fn resolve(&mut self, file: &str, reference: &Reference) -> Option<String> {
        let path = &reference.path;
        let folder = file.rsplit_once('/').map_or("", |(folder, _)| folder);
        let near = normal(&format!("{folder}/{path}"));
        let near = near.filter(|_| is_markdown(file) || path.starts_with("./") || path.starts_with("../"));
        let far = normal(path).filter(|_| !reference.link);
        [near, far].into_iter().flatten().find(|path| self.get(path).is_some())
    }

    /// What is wrong with the references of a text.
    fn check(&mut self, file: &str, text: &str) -> Vec<String> {
        let mut wrong = Vec::new();
        for reference in references(file, text) {
            let Reference { line, path, anchor, sections, steps, .. } = &reference;
            let mut report = |what: String| wrong.push(format!("{file}:{line}: {path}: {what}"));
            let Some(document) = self.resolve(file, &reference).and_then(|path| self.get(&path)) else {
                report("no such document".into());
                continue;
            };
            if let Some(anchor) = anchor.as_ref().filter(|anchor| !document.has_anchor(anchor)) {
                report(format!("no anchor #{anchor}"));
            }
            for section in sections.iter().filter(|section| document.section(section).is_none()) {
                report(format!("no section {section}"));
            }
            for (section, step) in steps.iter().filter(|(section, step)| !document.has_step(section, step)) {
                report(format!("no number {step} in section {section}"));
            }
        }
        wrong
    }
}

/// A path without `.` and `..`; `None` if it leads out of the repository.
fn normal(path: &str) -> Option<String> {
    let mut parts: Vec<&str> = Vec::new();
    for part in Path::new(path.trim_start_matches('/')).components() {
        match part {
            Component::Normal(part) => parts.push(part.to_str()?),
            Component::ParentDir => drop(parts.pop()?),
            Component::CurDir => {}
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(parts.join("/"))
}

/// Links of Markdown to something else than a document, which has to exist as well.
fn other_links(file: &str, text: &str) -> Vec<String> {
    let flat = Flat::markdown(text);
    let links = flat.text.match_indices("](").map(|(at, opening)| &flat.text[at + opening.len()..]);
    let targets = links.filter_map(|rest| rest.split([')', ' ']).next());
    let local = targets.filter(|to| !to.is_empty() && !to.contains(':') && !to.contains('#') && !is_markdown(to));
    let folder = file.rsplit_once('/').map_or("", |(folder, _)| folder);
    local.filter_map(|target| normal(&format!("{folder}/{target}")).or_else(|| Some(format!("../{target}")))).collect()
}

/// What a text mentions that lies outside the repository.
fn outside(file: &str, text: &str) -> Vec<String> {
    let flat = Flat::source(text).text;
    let named = OUTSIDE.iter().filter(|what| text.contains(**what) || flat.contains(**what));
    named.map(|what| format!("{file}: mentions {what}")).collect()
}

#[test]
fn every_reference_leads_somewhere() {
    let mut documents = Documents { root: root(), ..Documents::default() };
    let (mut wrong, mut followed) = (Vec::new(), 0);
    for file in all_files() {
        let kind = Path::new(&file).extension().and_then(|kind| kind.to_str()).unwrap_or_default();
        if !KINDS.contains(&kind) {
            continue;
        }
        let text = std::fs::read_to_string(root().join(&file)).unwrap();
        followed += references(&file, &text).len();
        wrong.extend(documents.check(&file, &text));
        if is_markdown(&file) {
            let gone = other_links(&file, &text).into_iter().filter(|path| !root().join(path).exists());
            wrong.extend(gone.map(|path| format!("{file}: {path}: does not exist")));
        }
    }
    println!("{followed} references, {} dangling", wrong.len());
    assert!(wrong.is_empty(), "{} of {followed} references are dangling:\n{}", wrong.len(), wrong.join("\n"));
    assert!(followed > 300, "only {followed} references were found");
}

/// The sections of `document` in which a mark stands, by the nearest heading with a number; what comes before it has none.
fn marked_sections(document: &Document) -> BTreeSet<String> {
    let marks = document.lines.iter().enumerate().filter(|(_, line)| line.contains("*planned*"));
    let heading = |at| document.headings.iter().rev().filter(move |h| h.line < at).find_map(|h| h.number.clone());
    marks.filter_map(|(at, _)| heading(at)).collect()
}

/// The rows of the table of planned rules: document and sections.
fn planned_rows(readme: &str) -> Vec<(String, Vec<String>)> {
    let rows = readme.lines().filter_map(|line| {
        let [rule, _, file, sections, _] =
            line.strip_prefix("| ")?.strip_suffix(" |")?.split(" | ").collect::<Vec<_>>()[..]
        else {
            return None;
        };
        let file = file.strip_prefix("[`")?.split('`').next()?;
        rule.starts_with(|c: char| c.is_ascii_digit())
            .then(|| (file.to_owned(), sections.split(", ").map(Into::into).collect()))
    });
    rows.collect()
}

#[test]
fn planned_rules_are_marked_and_listed() {
    let mut documents = Documents { root: root(), ..Documents::default() };
    let folder = "docs/protocol";
    let readme = std::fs::read_to_string(root().join(folder).join(md("README"))).unwrap();
    let mut listed: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (file, sections) in planned_rows(&readme) {
        listed.entry(file).or_default().extend(sections);
    }
    for entry in std::fs::read_dir(root().join(folder)).unwrap().map(Result::unwrap) {
        let file = entry.file_name().to_string_lossy().into_owned();
        if file == md("README") {
            continue;
        }
        let marked = marked_sections(documents.get(&format!("{folder}/{file}")).unwrap());
        assert_eq!(
            marked,
            listed.remove(&file).unwrap_or_default(),
            "{file}: sections with marks, sections in the table"
        );
    }
    assert!(listed.is_empty(), "no such documents: {listed:?}");
}

#[test]
fn nothing_outside_the_repository_is_mentioned() {
    let texts = all_files().into_iter().filter_map(|file| {
        let text = std::fs::read_to_string(root().join(&file)).ok()?;
        Some((file, text))
    });
    let found: Vec<String> = texts.flat_map(|(file, text)| outside(&file, &text)).collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// The name of a document. Put together, so that this file has no wrong references itself.
fn md(stem: &str) -> String {
    format!("{stem}{}", concat!(".", "md"))
}

const GUIDE: &str = "# Guide\n\n## 1. One\n\n1. first\n2. second\n\n### 1.1 Part\n\n| 7 | row |\n\n```\n## 8 code\n```\n\n\
                     ## 2. Two: the `rest`\n\n3. third\n\n## 10 Ten\n";

/// A repository with one document, `docs/guide`, and what is wrong in a text of another file of it.
fn wrong_in(file: &str, text: &str) -> Vec<String> {
    let read = BTreeMap::from([(md("docs/guide"), Some(Document::read(GUIDE)))]);
    let mut documents = Documents { root: PathBuf::from("/nowhere"), read };
    let wrong = documents.check(file, &text.replace("GUIDE", &md("docs/guide")).replace("BARE", &md("guide")));
    wrong.into_iter().map(|what| what.rsplit(": ").next().unwrap_or_default().to_owned()).collect()
}

#[test]
fn right_references_are_followed() {
    for text in [
        "// see `GUIDE`",
        "// see `GUIDE` 1.1).",
        "//! see `GUIDE`\n//! section 2, which is long",
        "/// (`GUIDE` sections 1 and 2)",
        "/// (`GUIDE` 1.1 and section 10).",
        "/// (`GUIDE`, section 1)",
        "/// (`GUIDE`, 1.1 to 2)",
        "/// (`GUIDE` section 1, step 2)",
        "/// (`GUIDE` 1, rules 1 to 2)",
        "/// (`GUIDE` 1.1, item 7)",
        "/// (`GUIDE` 1.1, 64 digits, 2.5)",
        "/// (`GUIDE` 1.1): after 5, 6 s",
        "/// [guide](GUIDE#1-one)",
        "# (GUIDE 10) 99",
        "let url = \"https://example.org/GUIDE\"; let all = \"*.BARE\"; let made = \"{folder}/BARE\";",
    ] {
        assert_eq!(wrong_in("src/lib.rs", text), [""; 0], "{text}");
    }
    for text in [
        "[a](BARE#2-two-the-rest) and [b](../docs/BARE)",
        "[`none/BARE`](BARE) 1.1",
        "`BARE` 1.1",
        "`GUIDE` 1.1",
        "```\n`BARE` 99\n```",
    ] {
        assert_eq!(wrong_in(&md("docs/other"), text), [""; 0], "{text}");
    }
}

#[test]
fn wrong_references_are_found() {
    let found = |text: &str, wrong: &[&str]| assert_eq!(wrong_in("src/lib.rs", text), wrong, "{text}");
    found("// see `BARE` 1", &["no such document"]);
    found("// see `other/BARE`", &["no such document"]);
    found("// see `../BARE`", &["no such document"]);
    found("// see `GUIDE` 3", &["no section 3"]);
    found("// see `GUIDE` 8", &["no section 8"]);
    found("//! see `GUIDE`\n//! section 2.1.", &["no section 2.1"]);
    found("/// (`GUIDE` 1.1, and section 4)", &["no section 4"]);
    found("/// (`GUIDE` sections 1, 3 and 5)", &["no section 3", "no section 5"]);
    found("/// (`GUIDE`, 9)", &["no section 9"]);
    found("/// (`GUIDE` 1.1 to 1.3)", &["no section 1.3"]);
    found("/// (`GUIDE` section 1, step 3)", &["no number 3 in section 1"]);
    found("/// (`GUIDE` section 2, rules 3 to 4)", &["no number 4 in section 2"]);
    found("/// [guide](GUIDE#three)", &["no anchor #three"]);
    let other = md("docs/other");
    assert_eq!(wrong_in(&other, "[a](GUIDE)"), ["no such document"], "a link is relative to its file");
    assert_eq!(wrong_in(&other, "[`none/BARE`](BARE) section 3"), ["no section 3"]);
    assert_eq!(wrong_in(&other, "[a](BARE#none)"), ["no anchor #none"]);
    assert_eq!(wrong_in(&other, "* `BARE`,\n  section 3"), ["no section 3"]);
    assert_eq!(wrong_in(&other, "[a](#none)"), ["no such document"], "the file itself has to be there");
    assert_eq!(wrong_in(&md("docs/guide"), "[a](#none)"), ["no anchor #none"]);
    assert_eq!(other_links(&md("docs/other"), "[a](gone.toml), [b](../x)"), ["docs/gone.toml", "x"]);
}

#[test]
fn places_outside_are_found() {
    assert_eq!(outside("a", concat!("the mission\n", "/// document says")).len(), 1);
    assert_eq!(outside("a", concat!("see ../", "shared/x and CHANGES-", "2026-11")).len(), 2);
    assert_eq!(outside("a", "a shared document of the mission").len(), 0);
}
