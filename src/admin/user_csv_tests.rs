//! Lists of users: valid ones, errors with line and column, and the limit of length.

use std::io::Write as _;

use super::*;

fn sheet(text: &[u8]) -> Result<Vec<(String, Option<String>)>> {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(text).unwrap();
    let (count, users) = Sheet::check(file)?.users();
    let users: Vec<User> = users.collect::<Result<_>>()?;
    assert_eq!(users.len() as u64, count);
    Ok(users.into_iter().map(|user| (user.sip.into(), user.name.map(Into::into))).collect())
}

fn user(sip: &str, name: Option<&str>) -> (String, Option<String>) {
    (sip.into(), name.map(Into::into))
}

#[test]
fn lists_are_read_as_spreadsheets_write_them() {
    let both = vec![user("ann", Some("Ann, A.")), user("bob", None)];
    for text in [
        "sip,name\nann,\"Ann, A.\"\nbob,\n",
        "\u{feff}SIP;Name\r\nann;Ann, A.\r\nbob\r\n",
        "name,sip\n\"Ann, A.\",ann\n\n,bob",
    ] {
        assert_eq!(sheet(text.as_bytes()).unwrap(), both, "{text:?}");
    }
    assert_eq!(sheet(b"\xef\xbb\xbf\"sip\"\nann\n").unwrap(), [user("ann", None)]);
}

#[test]
fn our_own_exports_are_read_back() {
    let text = "sip,name\n'+491,\"'=1;'=2\"\n'ann','Ann'\n";
    let users = sheet(text.as_bytes()).unwrap();
    assert_eq!(users, [user("+491", Some("=1;=2")), user("'ann'", Some("'Ann'"))]);
}

#[test]
fn a_mistake_is_named_by_line_and_column() {
    let long = format!("sip\n{}\n", "x".repeat(129));
    for (text, field, why) in [
        ("", "line 1", "the head line is missing: sip, or sip,name"),
        ("sip\n", "line 2", "there are no users"),
        ("name\nann\n", "line 1", "the column sip is missing"),
        ("sip,phone\nann,1\n", "line 1, column 2", "the columns are sip and name"),
        ("sip,sip\nann,1\n", "line 1, column 2", "this column is there twice"),
        ("sip,name\nann,Ann\n,Bob\n", "line 3, column 1 (sip)", "it is empty"),
        ("sip,name\nann,Ann\n\"bob", "the last line", "a quoted cell does not end; is the list whole?"),
        ("sip,name\nann,Ann,7\n", "line 2, column 3", "the head line has less columns"),
        ("sip,name\nann,\"A\tB\"\n", "line 2, column 2 (name)", "it contains control characters"),
        (&long, "line 2, column 1 (sip)", "it is longer than 128 characters"),
    ] {
        let error = sheet(text.as_bytes()).unwrap_err().to_string();
        assert_eq!(error, format!("{field}: {why}"), "{text:?}");
    }
    let error = sheet(b"sip,name\nann,Ann\nbob,B\xfcb\n").unwrap_err().to_string();
    assert_eq!(error, "line 3, column 2: this is not UTF-8");
}

#[test]
fn a_list_is_not_endless() {
    let text = |users: u64| {
        let lines: Vec<_> = (0..users).map(|number| format!("u{number}\n")).collect();
        format!("sip\n{}", lines.concat())
    };
    assert_eq!(sheet(text(MAX_USERS).as_bytes()).unwrap().len() as u64, MAX_USERS);
    let error = sheet(text(MAX_USERS + 1).as_bytes()).unwrap_err().to_string();
    assert_eq!(error, "line 100002: more than 100000 users in one roll-out");
}
