//! Build marks in page addresses (`docs/protocol/appwebsocket.md` 7.1): is a loaded page current, and if not, where is
//! the current one.

use crate::core::protocol::percent;

/// The address of the current page, if `url` does not already name it.
///
/// `mark` is the current build mark; `domain` and `instance` are the first two path segments of this service. `None`
/// when the mark is current, and for every address that is not http(s) or outside of the instance. The host is
/// ignored: the service may have several, and the answer only goes back to the client that sent it.
pub fn check_build(url: &str, mark: &str, domain: &str, instance: &str) -> Option<String> {
    if url.chars().any(|c| c.is_control() || c.is_whitespace() || c == '\\') {
        return None;
    }
    let (scheme, rest) = url.split_once("://")?;
    if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
        return None;
    }
    let path_start = url.len() - rest.len() + rest.find('/').filter(|&at| at > 0)?;
    let path_end = url.find(['?', '#']).unwrap_or(url.len());
    // A query or fragment before the first slash of the path makes this an address without a path.
    let path = url.get(path_start..path_end)?;

    let parts: Vec<&str> = path.split('/').skip(1).collect();
    let [first, second, below @ .., file] = parts.as_slice() else { return None };
    let decoded = |part: &str| percent::decode(part).ok();
    if decoded(first)?.to_lowercase() != domain.to_lowercase() || decoded(second)? != instance {
        return None;
    }
    // A browser would resolve these and leave the instance.
    if below.iter().chain([file]).any(|part| decoded(part).is_none_or(|p| p == "." || p == "..")) {
        return None;
    }
    // Only a segment below the instance can be a mark, so an instance named `cafe` is kept.
    let kept = match below.split_last() {
        Some((last, _)) if *last == mark => return None,
        Some((last, before)) if is_mark(last) => before,
        _ => below,
    };
    let mut current = String::from(&url[..path_start]);
    for part in [first, second].into_iter().chain(kept).chain([&mark, file]) {
        current.push('/');
        current.push_str(part);
    }
    current.push_str(&url[path_end..]);
    Some(current)
}

fn is_mark(part: &str) -> bool {
    !part.is_empty() && part.bytes().all(|b| b.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(url: &str) -> Option<String> {
        check_build(url, "13bc22", "example.com", "devices")
    }

    #[test]
    fn an_old_mark_is_replaced_and_a_missing_one_inserted() {
        let current = "https://ap.example.org/example.com/devices/13bc22/innovaphone-devices.htm?x=1";
        for old in ["12af07/", "12AF07/", "0/", ""] {
            let url = format!("https://ap.example.org/example.com/devices/{old}innovaphone-devices.htm?x=1");
            assert_eq!(check(&url).as_deref(), Some(current), "{url}");
        }
        assert_eq!(
            check("http://h:8080/Example.com/devices/sub/x.htm#f?/a/b").as_deref(),
            Some("http://h:8080/Example.com/devices/sub/13bc22/x.htm#f?/a/b")
        );
        assert_eq!(
            check("https://h/example.com/devices/12/x.htm?u=https://h/q#/f").as_deref(),
            Some("https://h/example.com/devices/13bc22/x.htm?u=https://h/q#/f")
        );
    }

    #[test]
    fn the_right_mark_needs_no_answer() {
        assert_eq!(check("https://ap.example.org/example.com/devices/13bc22/innovaphone-devices.htm?x=1"), None);
    }

    #[test]
    fn foreign_addresses_are_left_alone() {
        for url in [
            "",
            "ftp://h/example.com/devices/12/x.htm",
            "javascript:alert(1)//example.com/devices/12/x.htm",
            "/example.com/devices/12/x.htm",
            "https:///example.com/devices/12/x.htm",
            "https://h",
            "https://h?/example.com/devices/12/x.htm",
            "https://h/example.com/devices",
            "https://h/example.com/other/12/x.htm",
            "https://h/other.com/devices/12/x.htm",
            "https://h/a/example.com/devices/12/x.htm",
            "https://h/example.com/devices/../../x/12/x.htm",
            "https://h/example.com/devices/%2e%2e/12/x.htm",
            "https://h/example.com/devices/%zz/x.htm",
            "https://h/example.com/devices/12/x.htm\r\ny",
        ] {
            assert_eq!(check(url), None, "{url}");
        }
    }

    #[test]
    fn an_instance_named_like_a_mark_is_kept() {
        let url = check_build("https://h/example.com/cafe/x.htm", "13bc22", "example.com", "cafe");
        assert_eq!(url.as_deref(), Some("https://h/example.com/cafe/13bc22/x.htm"));
    }

    proptest::proptest! {
        #[test]
        fn no_text_causes_a_panic(text in proptest::prelude::any::<String>()) {
            let _ = check(&text);
            let _ = check(&format!("https://h{text}"));
            let _ = check(&format!("https://h/example.com/devices/{text}"));
        }
    }
}
