//! Reading, checking and looking up build lists.

use proptest::prelude::*;

use super::*;

const LIST: &str = r#"{"baseUrl":"https://ap.example.org/fw/","products":{
    "IP112":{"firmware":"136044","bootcode":"136044"},
    "IP29":{"firmware":"136012"},
    "IP29-20":{"firmware":"136020","firmwareFile":"special+1.bin"}}}"#;

fn refused(text: &str) -> String {
    BuildList::read(text.as_bytes()).unwrap_err().to_string()
}

#[test]
fn a_list_is_read_and_written() {
    let list = BuildList::read(LIST.as_bytes()).unwrap();
    assert_eq!((list.products.len(), &*list.base_url), (3, "https://ap.example.org/fw/"));
    let again = serde_json::to_vec(&list).unwrap();
    assert_eq!(BuildList::read(&again).unwrap(), list);
}

#[test]
fn a_product_is_found_by_its_name_then_in_any_case_then_by_its_family() {
    let list = BuildList::read(LIST.as_bytes()).unwrap();
    let firmware = |product| list.find(product).map(|build| build.firmware.as_deref().unwrap());
    assert_eq!(firmware("IP112"), Some("136044"));
    assert_eq!(firmware("ip112"), Some("136044"));
    assert_eq!(firmware("IP29-20"), Some("136020"));
    assert_eq!(firmware("ip29-20"), Some("136020"));
    // Not listed itself, so the family is used.
    assert_eq!(firmware("IP29-4"), Some("136012"));
    assert_eq!(firmware("ip29-4-b"), Some("136012"));
    for product in ["IP1", "IP1120", "", "-", "IP"] {
        assert_eq!(firmware(product), None, "{product}");
    }
}

#[test]
fn a_wrong_member_is_named() {
    let with = |products: &str| format!(r#"{{"baseUrl":"http://h/","products":{products}}}"#);
    let base = |url: &str| format!(r#"{{"baseUrl":"{url}","products":{{}}}}"#);
    for (text, problem) in [
        ("[]".to_owned(), "the build list is no JSON object: not an object"),
        ("{".to_owned(), "the build list is no JSON object: not well-formed"),
        (with(r#"{"A":{"firmware":"1"},"A":{}}"#), "the build list is no JSON object: repeated member name"),
        ("{}".to_owned(), "build list: missing field `baseUrl`"),
        (r#"{"baseUrl":"http://h/","products":{},"x":1}"#.to_owned(), "build list: unknown field `x`"),
        (r#"{"baseUrl":7,"products":{}}"#.to_owned(), "baseUrl: invalid type: integer `7`"),
        (with("[1]"), "products: invalid type: sequence"),
        (with(r#"{"A":{"firmware":136044}}"#), "products.A: invalid type: integer `136044`, expected a string"),
        (with(r#"{"B":{"firmware":"1"},"A":{"boot":"1"}}"#), "products.A: unknown field `boot`"),
        (with(r#"{"A":{}}"#), "products.A: has neither firmware nor bootcode"),
        (with(r#"{"A":{"firmware":""}}"#), "products.A.firmware: a build number is 1 to 10 digits"),
        (with(r#"{"A":{"firmware":"13.6044"}}"#), "products.A.firmware: a build"),
        (with(r#"{"A":{"firmware":"000"}}"#), "products.A.firmware: a build"),
        (with(r#"{"A":{"bootcode":"12345678901"}}"#), "products.A.bootcode: a build"),
        (with(r#"{"A":{"firmware":"1","firmwareFile":"a b"}}"#), "products.A.firmwareFile: a file name"),
        (with(r#"{"A":{"firmware":"1","bootcodeFile":"../a"}}"#), "products.A.bootcodeFile: a file name"),
        (with(r#"{"A":{"firmware":"1","bootcodeFile":".."}}"#), "products.A.bootcodeFile: a file name"),
        (with(r#"{"a/b":{"firmware":"1"}}"#), "products.a/b: a product has"),
        (with(r#"{"":{"firmware":"1"}}"#), "products.: a product has"),
        (with(r#"{"ip1":{"firmware":"1"},"IP1":{"firmware":"2"}}"#), "products.ip1: is listed twice"),
        (base("h/"), "baseUrl: must be an absolute"),
        (base("ftp://h/"), "baseUrl: must be an absolute"),
        (base("http:h/"), "baseUrl: must be an absolute"),
        (base("http://h/a b/"), "baseUrl: has blanks"),
        (base("http://h/\u{fc}/"), "baseUrl: has blanks"),
        (base("http://u:p@h/"), "baseUrl: has a user name"),
        (base("http://h/?a/"), "baseUrl: has a query"),
        (base("http://h/#/"), "baseUrl: has a query"),
        (base("http://h/fw"), "baseUrl: must end with /"),
        (base(&format!("http://h/{}/", "a".repeat(1024))), "baseUrl: is longer"),
    ] {
        let error = refused(&text);
        assert!(error.starts_with(problem), "{text}: {error}");
    }
}

#[test]
fn limits() {
    let products = |count: usize| {
        let products: Vec<String> = (0..count).map(|n| format!(r#""P{n}":{{"firmware":"1"}}"#)).collect();
        format!(r#"{{"baseUrl":"http://h/","products":{{{}}}}}"#, products.join(","))
    };
    assert!(BuildList::read(products(PRODUCTS_MAX).as_bytes()).is_ok());
    assert_eq!(refused(&products(PRODUCTS_MAX + 1)), "products: more than 5000");
    assert_eq!(BuildList::read(&vec![b' '; TEXT_MAX + 1]), Err(BuildsError::TooLong));
}

proptest! {
    #[test]
    fn a_file_address_needs_no_further_encoding(file in "[!-~]{1,40}") {
        let list = BuildList { base_url: "http://h/".into(), products: BTreeMap::new() };
        let url = list.url(&file);
        prop_assert!(!url.contains([' ', '#', '?']));
        prop_assert!(url["http://h/".len()..].split('/').count() == 1);
    }
}
