//! Log-ins that match and that do not, and insensitivity to white space. The vectors are in `tests/vectors_apps.rs`.

use proptest::prelude::*;

use super::*;
use crate::core::protocol::json::Object;

fn read(text: &str) -> Login {
    Login::read(&Request::parse(text).unwrap())
}

fn password() -> Secret {
    Secret::new("pwd")
}

#[test]
fn the_server_accepts_what_a_client_writes() {
    for info in [None, Some("{}"), Some(r#"{"cn":"A / \"B\"","n":[1.50,null]}"#)] {
        let identity = AppIdentity { app: "a.htm", domain: "d", sip: "s", guid: "0", dn: "x:y", info };
        let login = read(&write_login(&identity, Some("users"), "17", &password()));
        assert!(login.matches("17", &password()), "{info:?}");
        assert!(!login.matches("18", &password()) && !login.matches("17", &Secret::new("pwD")));
        assert_eq!(login.app_name(), "a");
    }
}

#[test]
fn null_is_no_info_and_other_kinds_fail() {
    let identity = AppIdentity { app: "a", ..AppIdentity::default() };
    let digest = login_digest(&identity, "17", &password());
    let with = |info: &str| read(&format!(r#"{{"mt":"AppLogin","app":"a","digest":"{digest}"{info}}}"#));
    assert!(with("").matches("17", &password()));
    assert!(with(r#","info":null"#).matches("17", &password()));
    for info in [r#","info":[]"#, r#","info":"""#, r#","info":0"#, r#","info":false"#, r#","info":{}"#] {
        assert!(!with(info).matches("17", &password()), "{info}");
    }
}

#[test]
fn a_digest_is_not_valid_for_members_split_elsewhere() {
    let identity = AppIdentity { app: "a", domain: "other", sip: "instance", ..AppIdentity::default() };
    let digest = login_digest(&identity, "17", &password());
    // The same text `a:other:instance:::…`, split elsewhere.
    let shifted = format!(r#"{{"mt":"AppLogin","app":"a:other","domain":"instance","dn":":","digest":"{digest}"}}"#);
    assert!(!read(&shifted).matches("17", &password()));
    let shifted = format!(r#"{{"mt":"AppLogin","app":"a","domain":"other:instance","dn":":","digest":"{digest}"}}"#);
    assert!(!read(&shifted).matches("17", &password()));
}

#[test]
fn a_name_that_is_too_long_to_be_kept_logs_nobody_in() {
    let login = |sip: &str| {
        let identity = AppIdentity { app: "a", domain: "d", sip, ..AppIdentity::default() };
        read(&write_login(&identity, None, "17", &password())).matches("17", &password())
    };
    assert!(login(&"x".repeat(256)) && !login(&"x".repeat(257)));
}

#[test]
fn an_empty_password_matches_nothing() {
    let identity = AppIdentity { app: "a", ..AppIdentity::default() };
    let login = read(&write_login(&identity, None, "17", &Secret::default()));
    assert!(!login.matches("17", &Secret::default()));
}

#[test]
fn debug_shows_no_digest() {
    let text = write_login(&AppIdentity { app: "a", sip: "anna", ..AppIdentity::default() }, None, "17", &password());
    let login = read(&text);
    let shown = format!("{login:?}");
    assert!(!shown.contains(&*login.digest) && !shown.contains("anna"), "{shown}");
}

/// JSON texts with random white space and escapes, with the same value without them.
fn spaced_json() -> impl Strategy<Value = (String, String)> {
    let space = || "[ \t\r\n]{0,2}";
    let leaf = prop_oneof![
        Just(("null".to_owned(), "null".to_owned())),
        Just((r#""\u0041\/b c""#.to_owned(), r#""A/b c""#.to_owned())),
        "-?[1-9][0-9]{0,3}(\\.[0-9]{1,2})?".prop_map(|n| (n.clone(), n)),
        "[a-zü ]{0,5}".prop_map(|s| (format!("\"{s}\""), format!("\"{s}\""))),
    ];
    leaf.prop_recursive(3, 16, 4, move |inner| {
        prop::collection::vec((inner, space(), space()), 0..4).prop_map(|items| {
            let (mut spaced, mut tight) = (Vec::new(), Vec::new());
            for (n, ((loose, plain), before, after)) in items.into_iter().enumerate() {
                spaced.push(format!("{before}\"m{n}\"{after}:{before}{loose}{after}"));
                tight.push(format!("\"m{n}\":{plain}"));
            }
            (format!("{{{}}}", spaced.join(",")), format!("{{{}}}", tight.join(",")))
        })
    })
}

proptest! {
    #[test]
    fn canonical_text_is_stable_under_white_space((spaced, tight) in spaced_json()) {
        let info = |text: &str| {
            let message = format!("{{\"info\":{text}}}");
            let object = Object::parse(message.as_bytes()).unwrap();
            object.get("info").unwrap().canonical()
        };
        prop_assert_eq!(&info(&spaced), &tight);
        prop_assert_eq!(&info(&tight), &tight);
    }

    #[test]
    fn no_text_causes_a_panic(text in any::<String>(), info in any::<String>()) {
        let texts = [text, format!("{{\"mt\":\"AppLogin\",\"info\":{info}}}")];
        for text in texts {
            if let Ok(request) = Request::parse(&text) {
                let _ = Login::read(&request).matches("17", &password());
                let _ = crate::core::protocol::appws::call::Call::read(&request);
            }
        }
    }
}
