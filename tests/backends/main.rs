//! The contract of a backend: every test here runs against each of them.

#![allow(missing_docs, dead_code, clippy::unwrap_used, clippy::expect_used)]

mod contract;
mod exchange;
mod file;
#[path = "../support/receiver.rs"]
mod receiver;
mod webhook;
mod world;

/// Generates a test of each body for each backend.
macro_rules! contract {
    ($($test:ident),+ $(,)?) => {
        contract!(@of on_file, crate::file::FileFixture, $($test),+);
        contract!(@of on_webhook, crate::webhook::WebhookFixture, $($test),+);
        contract!(@of on_pbx, crate::exchange::ExchangeFixture, $($test),+);
    };
    (@of $backend:ident, $fixture:path, $($test:ident),+) => {
        mod $backend {
            use crate::world::Fixture as _;
            $(#[tokio::test]
            async fn $test() {
                crate::contract::$test(<$fixture>::start().await).await;
            })+
        }
    };
}

contract! {
    users_are_listed_once_by_name,
    users_are_found_by_part_and_group,
    a_user_is_found_in_its_own_domain_only,
    phone_apps_have_names,
    an_entry_is_made_once,
    an_entry_is_made_once_by_many_at_once,
    every_order_has_its_effect,
    a_phone_goes_to_whoever_had_it_last,
    a_backend_that_is_away_says_later,
}
