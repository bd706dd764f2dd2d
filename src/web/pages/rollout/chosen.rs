//! Parses the list of users of a roll-out, typed, pasted or uploaded: one user per line.

use std::collections::{HashMap, HashSet};

use csv::{ReaderBuilder, StringRecord};

use crate::core::model::users_role::Person;
use crate::core::protocol::csv::{guarded, unguarded};

/// Headers of a column that identifies users.
const TITLES: [&str; 6] = ["sip", "sip name", "sip-name", "user", "username", "benutzer"];

fn is_title(cell: &str) -> bool {
    TITLES.contains(&&*cell.trim().to_lowercase())
}

/// The entries of a text: the first cell of each line, or the column with a header of [`TITLES`]; in order, without
/// duplicates.
pub(super) fn entries(text: &str) -> Vec<String> {
    let text = text.trim_start_matches('\u{feff}');
    let head = text.lines().next().unwrap_or_default();
    let separator = [';', '\t'].into_iter().find(|separator| head.contains(*separator)).unwrap_or(',');
    let mut reader =
        ReaderBuilder::new().has_headers(false).flexible(true).delimiter(separator as u8).from_reader(text.as_bytes());
    let (mut record, mut column, mut first) = (StringRecord::new(), 0, true);
    let (mut seen, mut found) = (HashSet::new(), Vec::new());
    while let Ok(true) = reader.read_record(&mut record) {
        if std::mem::take(&mut first)
            && let Some(at) = record.iter().position(is_title)
        {
            column = at;
            continue;
        }
        // Our own exports mark what a spreadsheet would take for a formula.
        let cell = unguarded(record.get(column).unwrap_or_default().trim()).into_owned();
        if !cell.is_empty() && seen.insert(cell.clone()) {
            found.push(cell);
        }
    }
    found
}

/// Formats a list so that [`entries`] reads the same list.
pub(super) fn text(list: &[String]) -> String {
    let head = list.first().is_some_and(|first| is_title(first));
    let mut text = String::from(if head { "sip\n" } else { "" });
    for (number, entry) in list.iter().enumerate() {
        if number > 0 {
            text.push('\n');
        }
        let entry = guarded(entry);
        if entry.contains([',', ';', '\t', '"', '\r', '\n']) {
            text.extend(["\"", &entry.replace('"', "\"\""), "\""]);
        } else {
            text.push_str(&entry);
        }
    }
    text
}

/// Appends entries that are not in the list yet.
pub(super) fn with(list: &str, more: impl IntoIterator<Item = String>) -> Vec<String> {
    let mut all = entries(list);
    let mut seen: HashSet<String> = all.iter().cloned().collect();
    all.extend(more.into_iter().filter(|entry| seen.insert(entry.clone())));
    all
}

/// Resolves a list: the users, without duplicates, and the entries that match no user. A user is found by SIP name, by
/// number, or by a name that is unique.
pub(super) fn resolve(list: &[String], users: &[Person]) -> (Vec<Person>, Vec<String>) {
    let mut by_text: HashMap<&str, Option<&Person>> = HashMap::new();
    for person in users {
        // A name of two users identifies neither.
        by_text.entry(&person.name).and_modify(|known| *known = None).or_insert(Some(person));
    }
    by_text.extend(users.iter().filter_map(|person| Some((person.number.as_deref()?, Some(person)))));
    by_text.extend(users.iter().map(|person| (&*person.sip, Some(person))));
    let (mut found, mut unknown, mut seen) = (Vec::new(), Vec::new(), HashSet::new());
    for entry in list {
        match by_text.get(&**entry).copied().flatten() {
            Some(person) if seen.insert(&person.guid) => found.push(person.clone()),
            Some(_) => {}
            None => unknown.push(entry.clone()),
        }
    }
    (found, unknown)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::model::users_role::PersonId;

    #[test]
    fn a_list_is_one_of_many_shapes() {
        for text in [
            "anna\nben\n",
            " anna \r\n\r\nben\r\nanna\r\n",
            "anna;Anna Berg\nben;Ben Kraft",
            "anna\tAnna Berg\nben\tBen Kraft\n",
            "Name;SIP\n\"Berg; Anna\";anna\nKraft;ben\n",
            "\u{feff}sip,name\nanna,\"Berg, Anna\"\nben,\"Kraft, \"\"Ben\"\"\"\n",
            "anna\nben\n,,\n",
        ] {
            assert_eq!(entries(text), ["anna", "ben"], "{text:?}");
        }
        assert_eq!(entries("'=anna\n'ben\n"), ["=anna", "'ben"]);
        assert!(entries("").is_empty() && entries("sip\n").is_empty());
        assert_eq!(with("anna\nben", ["carl".into(), "anna".into(), "carl".into()]), ["anna", "ben", "carl"]);
    }

    proptest::proptest! {
        #[test]
        fn a_list_goes_to_and_fro_unchanged(typed in "([ab,;\t\"'=\n-]{0,9}|sip\n|\"user\"\n){0,6}") {
            let list = entries(&typed);
            proptest::prop_assert_eq!(entries(&text(&list)), list);
        }
    }

    #[test]
    fn a_name_with_a_comma_stays_on_the_list() {
        let list = with("\"Berg, Anna\"\nben", ["Kraft; Ben".into()]);
        assert_eq!(list, ["Berg, Anna", "ben", "Kraft; Ben"]);
        assert_eq!(text(&list), "\"Berg, Anna\"\nben\n\"Kraft; Ben\"");
        assert_eq!(entries(&text(&list)), list);
    }

    #[test]
    fn users_are_found_by_what_is_theirs_alone() {
        let person = |sip: &str, name: &str, number: Option<&str>| Person {
            guid: PersonId::parse(sip).unwrap(),
            sip: sip.into(),
            name: name.into(),
            groups: Vec::new(),
            number: number.map(Into::into),
        };
        let users = [
            person("anna", "Anna Berg", Some("201")),
            person("ben", "Ben Kraft", None),
            person("ben2", "Ben Kraft", Some("anna")),
        ];
        let resolve = |list: &[&str]| {
            let list: Vec<String> = list.iter().map(|entry| (*entry).to_owned()).collect();
            let (found, unknown) = resolve(&list, &users);
            (found.into_iter().map(|person| person.sip.into_string()).collect::<Vec<_>>(), unknown)
        };
        assert_eq!(
            resolve(&["anna", "201", "Anna Berg"]),
            (vec!["anna".into()], vec![]),
            "once, and the SIP name goes first"
        );
        assert_eq!(
            resolve(&["Ben Kraft", "ben", "otto"]),
            (vec!["ben".into()], vec!["Ben Kraft".into(), "otto".into()])
        );
    }
}
