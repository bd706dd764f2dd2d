//! Whether a source has a test of this name, for tables that name tests.
//!
//! Include it with `#[path = "support/named_test.rs"] mod named_test;`.

/// Whether a source has this test, as a function or for each store.
pub fn has_test(source: &str, name: &str) -> bool {
    let begins = |before: &str, after: char| {
        source
            .split(before)
            .skip(1)
            .any(|rest| rest.trim_start().strip_prefix(name).is_some_and(|r| r.starts_with(after)))
    };
    begins("fn ", '(') || begins("on_each_store!(", ',')
}
